"""Certificates and checks of them in words, for a terminal. Everything is read from the certificate's own values."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from tracking.audit.divergence import Divergence
from tracking.pages.terminal import joined, printable
from tracking.pages.text_divergence import divergence_text
from tracking.runs.words import counted

if TYPE_CHECKING:
    from tracking.explain.verify import Check

Certificate = Mapping[str, Any]  # of the form `tracking.explain.schema.CertificateForm`

SAYS = {
    "proven": "run both ways, these alone carry A to B, and none of them can be left out: {minimal}",
    "consistent with": "what was run is consistent with: {minimal}; {reason}",
    "noise": "the difference is within run-to-run variation: {reason}",
    "same": "nothing to explain: {reason}",
    "not reproduced": "{reason}; no cause is named for a difference that does not come back",
    "cannot be run here": "{reason}",
}


def headline(values: Certificate) -> str:
    """The verdict as a sentence."""
    if values["verdict"] == "consistent with" and not values["minimal"]:
        return f"no cause is named: {values['reason']}"
    minimal = ", ".join(values["minimal"])
    return SAYS[values["verdict"]].format(minimal=minimal, reason=values["reason"])


def certificate_text(values: Certificate) -> str:
    """The whole certificate as lines of text."""
    values = printable(values)
    ends = [f"  {name}  {end['subject']} {end['id'][:12]}" for name, end in values["ends"].items()]
    blocks = [
        [f"{values['verdict']}: {headline(values)}", *ends],
        _difference(values),
        _shares(values),
        _cleared(values),
        _unavailable(values),
        [_runs_line(values)],
        _places(values),
    ]
    return joined(blocks)


def _difference(values: Certificate) -> list[str]:
    whole = values["difference"]
    grade = f", held against one another at the grade of {values['grade']}" if values["grade"] else ""
    band = f"; repeats of one run differ in up to {counted(values['band'], 'decision')}" if values["band"] else ""
    return [
        f"difference: {flips_text(whole['flips'])} of {whole['samples']:,}, {points_text(whole['points'])}{grade}{band}"
    ]


def flips_text(flips: Any) -> str:
    """For example ``12 decisions`` or ``3.5 decisions``."""
    number = float(Fraction(flips))
    return f"{number:,.4g} {'decision' if number == 1 else 'decisions'}"


def points_text(points: float) -> str:
    return f"{points:+.2f} points of top-1 accuracy"


def _shares(values: Certificate) -> list[str]:
    if not values["shares"]:
        return []
    changes = {factor["name"]: factor for factor in values["factors"]}
    lines = ["share of each"]
    for share in values["shares"]:
        factor = changes[share["factor"]]
        lines += [f"  {share['factor']}: {factor['change']}", f"    {share_text(share)}", f"    set by {factor['how']}"]
    return [*lines, *interaction_lines(values)]


def share_text(share: Mapping[str, Any]) -> str:
    """Both measures with their intervals, and the error of sampling where orders were sampled."""
    low, high = share["flips_interval"]
    words = f"{flips_text(share['flips'])} (95 % interval {low:.4g} to {high:.4g})"
    low, high = share["points_interval"]
    words += f", {share['points']:+.2f} points ({low:+.2f} to {high:+.2f})"
    error = share["sampling_error"]
    return words + (f"; orders sampled: ± {error['flips']:.2g}, ± {error['points']:.2g}" if any(error.values()) else "")


def interaction_lines(values: Certificate) -> list[str]:
    return [
        f"  together {' and '.join(each['factors'])} change {each['flips']:+d} decisions and {each['correct']:+d} right "
        "answers beyond what each does alone"
        for each in values["interactions"]
    ]


def cleared(values: Certificate) -> list[Mapping[str, Any]]:
    """Factors that differ too: with the minimal set as in B, or as in A, all of them together change nothing."""
    if values["verdict"] != "proven":
        return []
    return [each for each in values["factors"] if each["name"] not in values["minimal"]]


def _cleared(values: Certificate) -> list[str]:
    lines = [f"  {each['name']}: {each['change']}" for each in cleared(values)]
    return ["differ too; together they change nothing here", *lines] if lines else []


def _unavailable(values: Certificate) -> list[str]:
    if not values["not_here"]:
        return []
    return [
        "cannot be set here",
        *(f"  {each['name']}: {each['change']} ({each['why']})" for each in values["not_here"]),
    ]


def _runs_line(values: Certificate) -> str:
    runs = counted(values["runs"], "run")
    return f"{runs} of {counted(len(values['hybrids']), 'hybrid')}: {', '.join(each['name'] for each in values['hybrids'])}"


def _places(values: Certificate) -> list[str]:
    rows = place_rows(values)
    width = max((len(stage) for _, stage, _ in rows), default=0)
    lines = [f"  {hybrid}: {stage:{width}}  {words}" for hybrid, stage, words in rows]
    return ["first divergence from A, by canaries", *lines] if lines else []


def place_rows(values: Certificate) -> list[tuple[str, str, str]]:
    """Hybrid, stage, and where it parts there from A."""
    return [
        (hybrid, stage, divergence_text(Divergence(**each)))
        for hybrid, parted in values["places"].items()
        for stage, each in parted.items()
    ]


def checks_text(checks: "Sequence[Check]") -> str:
    """What was computed again, what was run again, and what could not be checked, line by line."""
    blocks = {
        "computed again from both runs and from what hybrids gave": [
            each for each in checks if each.good is not None and not each.ran
        ],
        "run again": [each for each in checks if each.good is not None and each.ran],
        "not checked": [each for each in checks if each.good is None],
    }
    marks = {True: "ok    ", False: "FAIL  ", None: ""}
    return joined(
        [head, *(f"  {marks[each.good]}{printable(each.what)}: {printable(each.words)}" for each in chosen)]
        for head, chosen in blocks.items()
        if chosen
    )

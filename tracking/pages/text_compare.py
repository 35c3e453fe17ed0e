"""Two runs compared image by image, in words, for a terminal."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tracking.audit.claims import Measured
from tracking.audit.grades import task_of_run
from tracking.pages.terminal import PIPE, Screen, aligned, indented, joined, printable, table_lines
from tracking.pages.text_audit import document_rows, short

if TYPE_CHECKING:
    from tracking.audit.claims import Claim
    from tracking.audit.compare import Accuracy, Comparison
    from tracking.lookup.said import Said
    from tracking.runs.run import Run

SHOWN = 200  # letters of a generated text


def comparison_text(found: "Comparison", names: Sequence[str] | None, listed: int, screen: Screen = PIPE) -> str:
    """Both accuracies, their paired difference, other metrics, what is published of either, and the first `listed` flips."""
    sides = zip("AB", (found.first, found.second), found.accuracies, strict=True)
    rows = [(f"{letter}  {short(run)}", accuracy_text(accuracy)) for letter, run, accuracy in sides]
    blocks = [
        [comparison_line(found)],
        indented(aligned(rows)),
        indented(aligned(paired_rows(found))),
        indented(aligned(_metric_rows(found))),
        indented(aligned(document_rows(found.pair.counts, found.pair.differing) if found.pair else [])),
        *(indented([line, *indented(aligned(rows))]) for line, rows in published_rows(found)),
        _flip_lines(found, names, listed, screen),
    ]
    return joined(blocks)


def said_text(said: "Said", listed: int, screen: Screen = PIPE) -> str:
    """How many generated texts differ, and the first of them; a text's first letters, as a terminal can show them."""
    line = f"  texts that differ  {len(said.apart):,} of {said.samples:,} generated"
    rows = [(name, _shown(first), _shown(second)) for name, first, second in said.apart[:listed]]
    return joined([[line, *(table_lines(rows, ("sample", "A says", "B says"), screen, indent=4) if rows else [])]])


def _shown(text: str) -> str:
    return str(printable(beginning(text, SHOWN)))


def beginning(text: str, letters: int) -> str:
    """The text; of a longer one its first letters."""
    return text if len(text) <= letters else f"{text[:letters]} ..."


def comparison_line(found: "Comparison") -> str:
    """The difference in one sentence, with its interval."""
    samples = found.accuracies[0].samples
    first, second = found.first.subject, found.second.subject
    low, high = (100 * end for end in found.bootstrap)
    if found.difference < 0:
        first, second, low, high = second, first, -high, -low
    if found.difference == 0:
        return f"{first} and {second} get equally many of the same {samples:,} {_kind(found)} right"
    chance = "" if found.p_value < 0.05 else ", which may be chance"
    return (
        f"{second} beats {first} by {100 * abs(found.difference):.2f} points [{low:.2f}, {high:.2f}] "
        f"on the same {samples:,} {_kind(found)}{chance}"
    )


def _kind(found: "Comparison") -> str:
    return "documents" if found.pair else "images"


def p_text(p_value: float) -> str:
    """For example ``6.7e-171``; what is too small for a float says so."""
    return "< 1e-300" if p_value < 1e-300 else f"= {p_value:.2g}"


def accuracy_text(accuracy: "Accuracy") -> str:
    """The share that is right, with its interval and as counts."""
    ends = f"[{100 * accuracy.low:.2f}, {100 * accuracy.high:.2f}]"
    return f"{100 * accuracy.top1:.2f} %  {ends}  {accuracy.right:,} of {accuracy.samples:,}"


def paired_rows(found: "Comparison") -> list[tuple[str, str]]:
    """The paired difference, what only one gets right, whether that is chance, and how many decisions differ."""
    flipped = "sets that differ" if task_of_run(found.first) == "multilabel" else "top-1 flips"
    ends = [" ".join(f"{100 * end:+.2f}" for end in interval) for interval in (found.bootstrap, found.interval)]
    return [
        ("B - A", f"{100 * found.difference:+.2f} points, 95 % interval {_ends(found.bootstrap)} (paired bootstrap)"),
        *([] if ends[0] == ends[1] else [("", f"{_ends(found.interval)} (by formula)")]),
        ("only B right, b", f"{found.only_second:,}"),
        ("only A right, c", f"{found.only_first:,}"),
        ("exact McNemar", f"p {p_text(found.p_value)}"),
        (flipped, f"{len(found.flipped):,} of {found.accuracies[0].samples:,}"),
    ]


def _metric_rows(found: "Comparison") -> list[tuple[str, str]]:
    """Every other metric, of A and of B, each with its own interval."""
    return [(name, "  ".join(map(with_interval, (first, second)))) for name, first, second in found.metrics]


def with_interval(measured: tuple[float, float, float]) -> str:
    """A metric, and the ends of its interval."""
    value, low, high = measured
    return f"{value:.4f} [{low:.4f}, {high:.4f}]"


def _ends(interval: tuple[float, float]) -> str:
    return f"[{100 * interval[0]:+.2f}, {100 * interval[1]:+.2f}]"


def published_rows(found: "Comparison") -> Iterable[tuple[str, list[tuple[str, str]]]]:
    """What is published of either model: a line about it, and each number beside what was measured here."""
    sides = zip("AB", (found.first, found.second), found.accuracies, found.published, strict=True)
    for letter, run, accuracy, claims in sides:
        if claims:
            yield (
                f"published for {letter}, {claims[0].checkpoint}",
                [_published_row(run, accuracy, claim) for claim in claims],
            )


def _published_row(run: "Run", accuracy: "Accuracy", claim: "Claim") -> tuple[str, str]:
    judged = claim.judged(Measured.of(run.results, accuracy.right, accuracy.samples))
    return f"{claim.top1} %", f"{judged:19}  {claim.date:7}  {claim.source}"


def _flip_lines(found: "Comparison", names: Sequence[str] | None, listed: int, screen: Screen) -> list[str]:
    if not listed or not len(found.flipped):
        return []
    rows = [tuple(str(cell) for cell in flip) for flip in found.flips(names)[:listed]]
    table = table_lines(rows, ("sample", "label", "A", "B"), screen, indent=4)
    return [f"  flips, {len(rows)} of {len(found.flipped):,}", *table]

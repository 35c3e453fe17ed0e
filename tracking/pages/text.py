"""Audits in words, for a terminal: what happened first, then why it could have, then what is the same."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from tracking.audit.audit import Audit, AuditOutcome, Difference
from tracking.audit.divergence import divergence, divergence_lines
from tracking.audit.grades import Grades
from tracking.runs.run import Run, Scalar
from tracking.runs.words import change_text, counted, value_text

if TYPE_CHECKING:
    from tracking.audit.claims import Claim
    from tracking.audit.compare import Accuracy, Comparison
    from tracking.audit.matrix import Group, Matrix

SAYS = {
    AuditOutcome.REPRODUCED: "the same result under the same conditions",
    AuditOutcome.ROBUST: "the same result although conditions differ",
    AuditOutcome.EXPLAINED: "another result, and conditions differ that could have changed it",
    AuditOutcome.UNEXPLAINED: "another result, and no recorded condition differs that could have changed it",
}
COLOURS = {
    AuditOutcome.REPRODUCED: "\033[1;32m",
    AuditOutcome.ROBUST: "\033[1;32m",
    AuditOutcome.EXPLAINED: "\033[1;33m",
    AuditOutcome.UNEXPLAINED: "\033[1;31m",
}
KINDS = {"param": "parameter", "input": "input", "code": "code fact", "environment": "environment fact"}
WIDTH = 110
SHOWN = 4  # consequences of one suspect that are written out; --json and --html hold all


def short(run: Run) -> str:
    return f"{run.subject} {run.id[:12]}"


def audit_text(audit: Audit, colour: bool = False) -> str:
    """The whole audit as lines of text; `colour` adds terminal colours to the outcome alone."""
    word = audit.outcome.value
    head = _coloured(audit.outcome, word) if colour else word
    blocks = [
        [f"{head}: {headline(audit)}", f"  before  {short(audit.before)}", f"  after   {short(audit.after)}"],
        ["results", *_indented(_aligned(result_rows(audit.grades)))],
        _suspects(audit),
        _harmless(audit),
        divergence_lines(divergence(audit.before, audit.after)) if not audit.grades.same else [],
        [same_line(audit), *unrecorded_lines(audit)],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def headline(audit: Audit) -> str:
    """The outcome as a sentence, with what was not recorded and so cannot be vouched for."""
    level = {"decisions": "top-1 decisions", "accuracy": "top-1 accuracy"}.get(audit.grades.finest or "")
    silent = sum(len(names) for names in audit.unrecorded.values())
    limits = [f"compared by {level}, no finer result was recorded in both"] if level else []
    limits += [f"{counted(silent, 'condition')} not recorded in both"] if silent else []
    return SAYS[audit.outcome] + (f" ({'; '.join(limits)})" if limits else "")


def summary_text(audits: Sequence[Audit], colour: bool = False) -> str:
    """One line for each of many audits, then a count of each outcome."""
    befores = {each.before.id for each in audits}
    rows = [
        (each.outcome.value, _compared(each, befores), _points(each.grades), _first_suspect(each)) for each in audits
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = []
    for each, row in zip(audits, rows, strict=True):
        cells = [f"{cell:{width}}" for cell, width in zip(row, widths, strict=False)]
        cells[0] = _coloured(each.outcome, cells[0]) if colour else cells[0]
        lines.append("  ".join([*cells, row[3]]).rstrip())
    against = [f"against {short(audits[0].before)}", ""] if len(befores) == 1 else []
    counts = {outcome: sum(each.outcome is outcome for each in audits) for outcome in AuditOutcome}
    total = ", ".join(f"{count} {outcome.value}" for outcome, count in counts.items() if count)
    return "\n".join([*against, *lines, "", total])


def _compared(audit: Audit, befores: set[str]) -> str:
    """The run compared, and with which, unless all are compared with the same."""
    if len(befores) == 1:
        return short(audit.after)
    after = audit.after.id[:12] if audit.before.subject == audit.after.subject else short(audit.after)
    return f"{short(audit.before)} -> {after}"


def _coloured(outcome: AuditOutcome, text: str) -> str:
    return f"{COLOURS[outcome]}{text}\033[0m"


def _first_suspect(audit: Audit) -> str:
    more = f" and {len(audit.suspects) - 1} more" if len(audit.suspects) > 1 else ""
    return f"{audit.suspects[0].name}{more}" if audit.suspects else ""


def _points(grades: Grades) -> str:
    """The result in few characters: the change of accuracy, flips, or the finest level that is the same."""
    if grades.flips:
        flips = f"{grades.flips:,} of {grades.samples:,} flips"
        return f"{flips}, {_noise_word(grades)}"
    if grades.top1_before != grades.top1_after:
        return f"{grades.top1_before} -> {grades.top1_after}"
    return {True: "same bits", False: "other bits", None: "same"}[grades.bits_same]


def _noise_word(grades: Grades) -> str:
    return {True: "within noise", False: "more than noise", None: "unpaired"}[grades.within_noise]


# ---- results


def result_rows(grades: Grades) -> list[tuple[str, str]]:
    """What became of the results, finest level first: (level, words)."""
    rows = [
        ("score bits", _word(grades.bits_same)),
        ("top-1 decisions", _decisions(grades)),
        ("top-1 accuracy", _accuracy(grades)),
    ]
    if grades.decided_differently:
        rows.append(("paired test" if grades.p_value is not None else "interval", _noise(grades)))
    if grades.relabelled:
        rows.append(("labels", f"{grades.relabelled:,} of {grades.samples:,} differ"))
    if grades.other:
        rows.append(("other checks", _other(grades.other)))
    return rows


def _accuracy(grades: Grades) -> str:
    """Both accuracies, and their change with its interval."""
    if grades.top1_before is None or grades.top1_after is None:
        return "not recorded in both"
    before, after = grades.top1_before, grades.top1_after
    if before == after and not grades.flips:
        return f"same: {before:.4f}"
    return f"{before:.4f} -> {after:.4f} ({100 * (after - before):+.2f} points{_interval(grades)})"


def _word(same: bool | None) -> str:
    return {True: "same", False: "differ", None: "not recorded in both"}[same]


def _decisions(grades: Grades) -> str:
    if grades.flips is None:
        return "not comparable: the runs did not decide on the same recorded samples"
    if grades.flips == 0:
        return f"same: all {grades.samples:,}"
    return f"{grades.flips:,} of {grades.samples:,} differ"


def _interval(grades: Grades) -> str:
    if grades.change is None:
        return ""
    low, high = (100 * end for end in grades.change)
    return f", 95 % interval {low:+.2f} to {high:+.2f}"


def _noise(grades: Grades) -> str:
    if grades.within_noise is None:
        return "nothing recorded tells it from noise"
    verdict = "within noise" if grades.within_noise else "more than noise"
    if grades.p_value is None:
        return f"{verdict}: on different samples, it {'holds' if grades.within_noise else 'leaves out'} zero"
    counts = f"{grades.only_before:,} right only before, {grades.only_after:,} only after"
    return f"{verdict}: {counts}, exact McNemar p = {grades.p_value:.2g}"


def _other(other: Mapping[str, tuple[Scalar, Scalar]]) -> str:
    shown = [f"{name} {_numbers(old, new)}" for name, (old, new) in list(other.items())[:SHOWN]]
    more = len(other) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")


def _numbers(old: Scalar, new: Scalar) -> str:
    """Two numbers with four digits, or as many as tell them apart."""
    whole = f"{value_text(old)} -> {value_text(new)}"
    if not (isinstance(old, float) and isinstance(new, float)):
        return whole
    texts = ((f"{old:.{digits}g}", f"{new:.{digits}g}") for digits in range(4, 18))
    return next((f"{before} -> {after}" for before, after in texts if before != after), whole)


# ---- conditions


def _suspects(audit: Audit) -> list[str]:
    if not audit.suspects:
        return []
    lines = [suspects_title(audit)]
    for place, suspect in enumerate(audit.suspects, 1):
        lines += [f"{place:3}  {suspect.name}: {change_text(suspect)}", *_wrapped(suspect.reason)]
        lines += _wrapped(f"seen: {suspect.effect}") if suspect.effect else []
        lines += _with_it(audit.consequences(suspect.name))
    return lines


def suspects_title(audit: Audit) -> str:
    return (
        "these differ and left the result as it was" if audit.grades.same else "could have changed it, likeliest first"
    )


def _wrapped(words: str) -> list[str]:
    return textwrap.wrap(words, WIDTH, initial_indent="     ", subsequent_indent="     ")


def _with_it(consequences: Sequence[Difference]) -> list[str]:
    lines = [f"     may follow from it: {each.name}: {change_text(each)}" for each in consequences[:SHOWN]]
    more = len(consequences) - SHOWN
    return [*lines, f"     and {more} more"] if more > 0 else lines


def _harmless(audit: Audit) -> list[str]:
    if not audit.harmless:
        return []
    rows = [(each.name, f"{change_text(each)}  ({each.reason})") for each in audit.harmless]
    return ["differ too, and cannot change a prediction", *_indented(_aligned(rows))]


def same_line(audit: Audit) -> str:
    """What is the same, in one line with counts."""
    counts = [counted(count, KINDS[kind]) for kind, count in audit.same.items()]
    return f"same: {', '.join(counts) or 'nothing that both recorded'}"


def unrecorded_lines(audit: Audit) -> list[str]:
    """What one side never recorded: no difference is claimed for it."""
    return [
        f"not recorded {end}: {counted(len(names), 'condition')}, {', '.join(names[:SHOWN])}{_and_more(names[SHOWN - 1 :])}"
        for end, names in audit.unrecorded.items()
    ]


def _aligned(rows: Iterable[tuple[str, str]]) -> list[str]:
    rows = list(rows)
    width = max(len(name) for name, _ in rows)
    return [f"{name:{width}}  {words}" for name, words in rows]


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" for line in lines]


# ---- two runs, image by image


def comparison_text(found: "Comparison", names: Sequence[str] | None, listed: int) -> str:
    """Both accuracies, their paired difference, what is published of either, and the first `listed` flips."""
    sides = zip("AB", (found.first, found.second), found.accuracies, strict=True)
    rows = [(f"{letter}  {short(run)}", _accuracy_text(accuracy)) for letter, run, accuracy in sides]
    blocks = [
        [comparison_line(found)],
        _aligned(rows),
        _aligned(_paired_rows(found)),
        *_published_blocks(found),
        _flip_lines(found, names, listed),
    ]
    return (
        "\n\n".join("\n".join(_indented(block) if place else block) for place, block in enumerate(blocks) if block)
        + "\n"
    )


def comparison_line(found: "Comparison") -> str:
    """The difference in one sentence, with its interval."""
    samples = found.accuracies[0].samples
    first, second = found.first.subject, found.second.subject
    low, high = (100 * end for end in found.bootstrap)
    if found.difference < 0:
        first, second, low, high = second, first, -high, -low
    if found.difference == 0:
        return f"{first} and {second} get equally many of the same {samples:,} images right"
    chance = "" if found.p_value < 0.05 else ", which may be chance"
    return (
        f"{second} beats {first} by {100 * abs(found.difference):.2f} points [{low:.2f}, {high:.2f}] "
        f"on the same {samples:,} images{chance}"
    )


def p_text(p_value: float) -> str:
    """For example ``6.7e-171``; what is too small for a float says so."""
    return "< 1e-300" if p_value < 1e-300 else f"= {p_value:.2g}"


def _accuracy_text(accuracy: "Accuracy") -> str:
    ends = f"[{100 * accuracy.low:.2f}, {100 * accuracy.high:.2f}]"
    return f"{100 * accuracy.top1:.2f} %  {ends}  {accuracy.right:,} of {accuracy.samples:,}"


def _paired_rows(found: "Comparison") -> list[tuple[str, str]]:
    ends = [" ".join(f"{100 * end:+.2f}" for end in interval) for interval in (found.bootstrap, found.interval)]
    return [
        ("B - A", f"{100 * found.difference:+.2f} points, 95 % interval {_ends(found.bootstrap)} (paired bootstrap)"),
        *([] if ends[0] == ends[1] else [("", f"{_ends(found.interval)} (by formula)")]),
        ("only B right, b", f"{found.only_second:,}"),
        ("only A right, c", f"{found.only_first:,}"),
        ("exact McNemar", f"p {p_text(found.p_value)}"),
        ("top-1 flips", f"{len(found.flipped):,} of {found.accuracies[0].samples:,}"),
    ]


def _ends(interval: tuple[float, float]) -> str:
    return f"[{100 * interval[0]:+.2f}, {100 * interval[1]:+.2f}]"


def _published_blocks(found: "Comparison") -> Iterable[list[str]]:
    for letter, accuracy, claims in zip("AB", found.accuracies, found.published, strict=True):
        if claims:
            rows = [_published_row(accuracy, claim) for claim in claims]
            yield [f"published for {letter}, {claims[0].checkpoint}", *_indented(_aligned(rows))]


def _published_row(accuracy: "Accuracy", claim: "Claim") -> tuple[str, str]:
    judged = claim.judged(accuracy.low, accuracy.high)
    return f"{claim.top1} %", f"{judged:11}  {claim.date:7}  {claim.source}"


def _flip_lines(found: "Comparison", names: Sequence[str] | None, listed: int) -> list[str]:
    if not listed or not len(found.flipped):
        return []
    rows = [tuple(str(cell) for cell in flip) for flip in found.flips(names)[:listed]]
    table = [("sample", "label", "A", "B"), *rows]
    widths = [max(len(row[column]) for row in table) for column in range(4)]
    lines = ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    return [f"flips, {len(rows)} of {len(found.flipped):,}", *_indented(lines)]


# ---- many runs


def matrix_text(found: "Matrix") -> str:
    """Which conditions vary over many runs, those that go with the result best first."""
    told = [group for group in found.groups if group.share is not None]
    untold = [group for group in found.groups if group.share is None]
    blocks = [[f"{counted(len(found.runs), 'run')}: {matrix_line(found)}"]]
    if told:
        title = f"what goes with {found.result}, best first"
        blocks.append([title, *(line for group in told for line in _group_lines(found, group)), CHANCE])
    if untold:
        names = [f"{group.names[0]}{_and_more(group.names)}" for group in untold]
        blocks.append([UNTOLD, *_indented(names)])
    if len(found.runs) <= COLUMNS and found.groups:
        blocks.append([_side_by_side(found)])
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _side_by_side(found: "Matrix") -> str:
    """The pandas table, conditions down and runs across."""
    table = found.table().set_index("id").astype(object)
    return str(table.where(table.notna(), "-").T.rename_axis(columns=None).to_string(max_colwidth=40))


COLUMNS = 6  # runs that fit on a terminal side by side; --html and --json hold all
CHANCE = "by chance: how often shuffled results go with any of these conditions at least as well"
UNTOLD = "vary, but these runs cannot say whether they go with the result"


def matrix_line(found: "Matrix") -> str:
    """How much varies and how much does not, in one line."""
    names = sum(len(group.names) for group in found.groups)
    ways = f" in {counted(len(found.groups), 'way')}" if len(found.groups) != names else ""
    return f"{counted(found.same, 'condition')} the same in all, {names:,} {'varies' if names == 1 else 'vary'}{ways}"


def _group_lines(found: "Matrix", group: "Group") -> list[str]:
    note = "" if group.can_change in ("decisions", "bits") else f"; cannot change a prediction ({group.can_change})"
    head = f"  {group.names[0]}: {percent(group.share)}, by chance {percent(group.chance)}{note}"
    values = [(value, tops_text(tops)) for value, tops in found.by_value(group).items()]
    in_step = [f"    in step: {', '.join(group.names[1:5])}{_and_more(group.names[4:])}"] if group.names[1:] else []
    return [head, *(f"    {line}" for line in _aligned(values)), *in_step]


def tops_text(tops: Sequence[float | None]) -> str:
    """Accuracies that came with one value, for example ``0.9204 to 0.9241 (2 runs)``."""
    known = sorted(top for top in tops if top is not None)
    ends = dict.fromkeys(f"{top:.4f}" for top in (known[0], known[-1])) if known else {"-": None}
    return f"{' to '.join(ends)} ({counted(len(tops), 'run')})"


def _and_more(names: Sequence[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""


def percent(share: float | None) -> str:
    """For example ``37 %``; a dash for None."""
    return "-" if share is None else f"{100 * share:.0f} %"


# ---- environments


def environment_text(facts: Mapping[str, Mapping[str, Scalar]]) -> str:
    """Facts by runtime: first what all runtimes share, then what each has of its own."""
    shared = _shared(list(facts.values()))
    blocks = [_block("everywhere" if len(facts) > 1 else next(iter(facts), ""), shared)]
    for runtime, own in facts.items():
        blocks.append(_block(runtime, {name: value for name, value in own.items() if name not in shared}))
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _shared(all_facts: Sequence[Mapping[str, Scalar]]) -> dict[str, Scalar]:
    first, *others = all_facts
    return {
        name: value for name, value in first.items() if all(name in each and each[name] == value for each in others)
    }


def _block(title: str, facts: Mapping[str, Scalar]) -> list[str]:
    if not facts:
        return []
    return [title, *_indented(_aligned((name, value_text(facts[name])) for name in sorted(facts)))]

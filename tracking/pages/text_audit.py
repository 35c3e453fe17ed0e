"""Audits in words, for a terminal: what happened first, then why it could have, then what is the same."""

import textwrap
from collections.abc import Mapping, Sequence

from tracking.audit.audit import Audit, AuditOutcome, Difference
from tracking.audit.divergence import divergence
from tracking.audit.grades import Grades, other_test_sets
from tracking.audit.pairing import UNSCORED
from tracking.pages.terminal import PIPE, Screen, aligned, and_more, indented, joined, table_lines
from tracking.pages.text_divergence import divergence_lines
from tracking.runs.run import Run, Scalar
from tracking.runs.words import change_text, counted, value_text

SAYS = {
    AuditOutcome.REPRODUCED: "the same result under the same conditions",
    AuditOutcome.PARTLY: "the same result, and nothing differs that both runs recorded",
    AuditOutcome.ROBUST: "the same result although conditions differ",
    AuditOutcome.EXPLAINED: "another result, and conditions differ that could have changed it",
    AuditOutcome.UNEXPLAINED: "another result, and no recorded condition differs that could have changed it",
}
STYLES = {
    "reproduced": "bold green",
    "same as far as recorded": "bold yellow",
    "robust": "bold green",
    "explained": "bold yellow",
    "unexplained": "bold red",
}
COLOURS = {
    "reproduced": "\033[1;32m",
    "same as far as recorded": "\033[1;33m",
    "robust": "\033[1;32m",
    "explained": "\033[1;33m",
    "unexplained": "\033[1;31m",
}
KINDS = {"param": "parameter", "input": "input", "code": "code fact", "environment": "environment fact"}
SECTIONS_SAID = {
    "param": "the parameters",
    "input": "the inputs",
    "code": "the code",
    "environment": "the environment",
}
DECIDED = {"classes": ("top-1 decisions", "top-1 accuracy"), "multilabel": ("sets of labels", "exact match")}
WIDTH = 110
SHOWN = 4  # consequences of one suspect that are written out; --json and --html hold all


def short(run: Run) -> str:
    return f"{run.subject} {run.id[:12]}"


def audit_text(audit: Audit, screen: Screen = PIPE) -> str:
    """The whole audit as lines of text; a screen with colours shows the outcome alone in one."""
    word = audit.outcome.value
    head = f"{COLOURS[word]}{word}\033[0m" if screen.colour else word
    blocks = [
        [f"{head}: {headline(audit)}", f"  before  {short(audit.before)}", f"  after   {short(audit.after)}"],
        ["results", *indented(aligned(result_rows(audit.grades)))],
        _suspects(audit),
        _harmless(audit),
        divergence_lines(divergence(audit.before, audit.after)) if not audit.grades.same else [],
        [same_line(audit), *unrecorded_lines(audit)],
    ]
    return joined(blocks)


def headline(audit: Audit) -> str:
    """The outcome as a sentence, with what was not recorded and so cannot be vouched for, and test sets that differ."""
    words = DECIDED.get(audit.grades.task, ("", ""))
    levels = {**dict(zip(("decisions", "accuracy"), words, strict=True)), "metrics": "metrics", "outputs": "outputs"}
    level = levels.get(audit.grades.finest or "")
    sets = other_test_sets(audit.before, audit.after)
    silent = sum(len(names) for names in audit.unrecorded.values())
    limits = [f"of other images: test set {' before, '.join(sets)} after"] if sets else []
    limits += [f"compared by {level}, no finer result was recorded in both"] if level else []
    limits += [f"{counted(silent, 'condition')} not recorded in both"] if silent else []
    if audit.outcome is AuditOutcome.PARTLY:
        silent_sections = " and ".join(SECTIONS_SAID[name] for name in audit.unrecorded_sections)
        limits += [f"nothing of {silent_sections} was recorded in both"] if silent_sections else []
    return SAYS[audit.outcome] + (f" ({'; '.join(limits)})" if limits else "")


def summary_text(audits: Sequence[Audit], screen: Screen = PIPE) -> str:
    """One line for each of many audits, then a count of each outcome."""
    befores = {each.before.id for each in audits}
    rows = [
        (each.outcome.value, _compared(each, befores), _points(each.grades), _first_suspect(each)) for each in audits
    ]
    against = [f"against {short(audits[0].before)}", ""] if len(befores) == 1 else []
    counts = {outcome: sum(each.outcome is outcome for each in audits) for outcome in AuditOutcome}
    total = ", ".join(f"{count} {outcome.value}" for outcome, count in counts.items() if count)
    return "\n".join([*against, *table_lines(rows, screen=screen, styles=STYLES), "", total])


def _compared(audit: Audit, befores: set[str]) -> str:
    """The run compared, and with which, unless all are compared with the same."""
    if len(befores) == 1:
        return short(audit.after)
    after = audit.after.id[:12] if audit.before.subject == audit.after.subject else short(audit.after)
    return f"{short(audit.before)} -> {after}"


def _first_suspect(audit: Audit) -> str:
    more = f" and {len(audit.suspects) - 1} more" if len(audit.suspects) > 1 else ""
    return f"{audit.suspects[0].name}{more}" if audit.suspects else ""


def _points(grades: Grades) -> str:
    """The result in few characters: the change of accuracy, flips, or the finest level that is the same."""
    if grades.flips:
        flips = f"{grades.flips:,} of {grades.samples:,} flips"
        return f"{flips}, {_noise_word(grades)}"
    if grades.moved:
        name, pair = next(iter(grades.moved.items()))
        return f"{name} {_numbers(*pair)}" + (f" and {len(grades.moved) - 1} more" if len(grades.moved) > 1 else "")
    if grades.top1_before != grades.top1_after:
        return f"{grades.top1_before} -> {grades.top1_after}"
    return {True: "same bits", False: "other bits", None: "same"}[grades.bits_same]


def _noise_word(grades: Grades) -> str:
    return {True: "within noise", False: "more than noise", None: "unpaired"}[grades.within_noise]


# ---- results


def result_rows(grades: Grades) -> list[tuple[str, str]]:
    """What became of the results, finest level first: (level, words)."""
    if grades.metrics is not None:
        return [*[(name, _metric(*pair)) for name, pair in grades.metrics.items()], *_texts(grades)]
    words = DECIDED.get(grades.task)
    rows = [
        ("score bits", _word(grades.bits_same)),
        *([] if not words else [(words[0], _decisions(grades)), (words[1], _accuracy(grades))]),
    ]
    if grades.decided_differently:
        rows.append(("paired test" if grades.p_value is not None else "interval", _noise(grades)))
    if grades.relabelled:
        rows.append(("labels", f"{grades.relabelled:,} of {grades.samples:,} differ"))
    rows += _texts(grades)
    if grades.other:
        rows.append(("other checks", _other(grades.other)))
    return rows


def _texts(grades: Grades) -> list[tuple[str, str]]:
    return [] if grades.documents is None else document_rows(grades.documents, grades.texts or {})


def document_rows(counts: tuple[int, int, int], differing: Mapping[str, int]) -> list[tuple[str, str]]:
    """Which documents both hold, and of how many of these prompt, target and output differ."""
    shared, before, after = counts
    sets = f"{shared:,} in both" + (f", {before:,} only before, {after:,} only after" if before or after else "")
    texts = [
        (kind, f"{count:,} of {shared:,} differ" if count else f"same: all {shared:,}")
        for kind, count in differing.items()
        if kind != UNSCORED
    ]
    left = [(UNSCORED, f"{differing[UNSCORED]:,} of {shared:,} in one: left out")] if UNSCORED in differing else []
    return [("documents", sets), *texts, *left]


def _metric(before: Scalar, after: Scalar) -> str:
    return f"same: {value_text(before)}" if before == after else _numbers(before, after)


def _accuracy(grades: Grades) -> str:
    """Both accuracies, and their change with its interval."""
    if grades.top1_before is None or grades.top1_after is None:
        known = {"before": grades.top1_before, "after": grades.top1_after}
        there = [f"{end} {value:.4f}" for end, value in known.items() if value is not None]
        lacking = [end for end, value in known.items() if value is None]
        return f"not recorded {lacking[0]}; {there[0]}" if there else "not recorded in both"
    before, after = grades.top1_before, grades.top1_after
    if before == after and not grades.flips:
        return f"same: {before:.4f}"
    return f"{before:.4f} -> {after:.4f} ({100 * (after - before):+.2f} points{_interval(grades)})"


def _word(same: bool | None) -> str:
    return {True: "same", False: "differ", None: "not recorded in both"}[same]


def _decisions(grades: Grades) -> str:
    if grades.flips is None:
        if grades.documents:
            return "not comparable: nothing says in both what was right"
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
    return ["differ too, and cannot change a prediction", *indented(aligned(rows))]


def same_line(audit: Audit) -> str:
    """What is the same, in one line with counts."""
    counts = [counted(count, KINDS[kind]) for kind, count in audit.same.items()]
    return f"same: {', '.join(counts) or 'nothing that both recorded'}"


def unrecorded_lines(audit: Audit) -> list[str]:
    """What one side never recorded or a secret was taken out of: no difference is claimed for it."""
    lines = ["both are the same run"] if audit.before.id == audit.after.id else []
    lines += [
        f"not recorded {end}: {counted(len(names), 'condition')}, {_first_names(names)}"
        for end, names in audit.unrecorded.items()
    ]
    if audit.hidden:
        lines.append(f"neither equal nor different, as a secret was taken out: {_first_names(audit.hidden)}")
    return lines


def _first_names(names: Sequence[str]) -> str:
    return f"{', '.join(names[:SHOWN])}{and_more(names[SHOWN - 1 :])}"

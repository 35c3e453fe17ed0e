"""What a job came to, in a few lines for the end of a terminal: the numbers, what needs somebody, where to look."""

from collections.abc import Sequence

from tracking.pages.terminal import PIPE, Screen
from tracking.runs.findings import Finding, Verdict
from tracking.runs.run import Run
from tracking.runs.words import counted, printable

SHOWN = 3  # findings that are written out, failures first
COLOURS = {Verdict.FAIL: "\033[1;31m", Verdict.WARN: "\033[1;33m"}


def job_text(runs: Sequence[Run], report: str, screen: Screen = PIPE) -> str:
    """At most five lines and a line for what is left out."""
    found = [each for run in runs for each in run.findings if each.verdict in COLOURS]
    found.sort(key=lambda each: each.verdict is not Verdict.FAIL)
    lines = [f"weighed: {counted(len(runs), 'model')}{_range(runs)}"]
    if not found:
        checked = sum(len(run.findings) for run in runs)
        lines.append(f"needs somebody: nothing ({counted(checked, 'finding')}, none warns or fails)")
    lines += [f"needs somebody: {_said(each, screen)}" for each in found[:SHOWN]]
    if left := len(found) - SHOWN:
        lines += [f"  and {left} more, in the report"] if left > 0 else []
    return "\n".join([*lines, f"look: {report}"])


def _range(runs: Sequence[Run]) -> str:
    tops = sorted(float(top) for run in runs if isinstance(top := run.results.get("top1"), int | float))
    if not tops:
        return ""
    ends = dict.fromkeys(f"{100 * top:.2f} %" for top in (tops[0], tops[-1]))
    return f", top-1 {' to '.join(ends)}"


def _said(finding: Finding, screen: Screen) -> str:
    """The model and the first sentence, which has the number."""
    sentence = printable(" ".join(finding.sentence.split())).partition(". ")[0].rstrip(".")
    word = "fails" if finding.verdict is Verdict.FAIL else "warns"
    word = f"{COLOURS[finding.verdict]}{word}\033[0m" if screen.colour else word
    return f"{finding.subject} {word} ({finding.check}): {sentence}"

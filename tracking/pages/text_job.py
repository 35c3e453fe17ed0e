"""What a job came to, in five lines for the end of a terminal: the numbers, what needs somebody, what to do, where to look."""

from collections.abc import Sequence

from tracking.audit.trust import DO_NOT_TRUST, Need, first_sentence, judged, needs, of_the_run
from tracking.pages.terminal import PIPE, Screen
from tracking.runs.findings import Verdict
from tracking.runs.run import Run
from tracking.runs.words import counted, printable

COLOURS = {Verdict.FAIL: "\033[1;31m", Verdict.WARN: "\033[1;33m"}


def job_text(runs: Sequence[Run], report: str, screen: Screen = PIPE) -> str:
    """At most five lines."""
    wanting = needs(of_the_run(each, run.subject) for run in runs for each in run.findings)
    lines = [f"evaluated: {counted(len(runs), 'model')}{_range(runs)}{_distrusted(runs)}"]
    if wanting:
        lines += [f"needs somebody: {_said(wanting[0], screen)}", f"  do: {first_sentence(wanting[0].meaning.do)}"]
        lines += [f"  and {_rest(wanting[1:])}"] if wanting[1:] else []
    else:
        checked = sum(len(run.findings) for run in runs)
        lines.append(f"needs somebody: nothing ({counted(checked, 'finding')}, none warns or fails)")
    return "\n".join([*lines, f"look: {report}, or `weighbridge ui`"])


def _range(runs: Sequence[Run]) -> str:
    tops = sorted(float(top) for run in runs if isinstance(top := run.results.get("top1"), int | float))
    if not tops:
        return ""
    ends = dict.fromkeys(f"{100 * top:.2f} %" for top in (tops[0], tops[-1]))
    return f", top-1 {' to '.join(ends)}"


def _distrusted(runs: Sequence[Run]) -> str:
    count = sum(judged(run).words == DO_NOT_TRUST for run in runs)
    return f"; do not trust {count} of them" if count else ""


def _said(need: Need, screen: Screen) -> str:
    """The models and the first sentence, which has the number."""
    sentence = printable(" ".join(need.finding.sentence.split())).partition(". ")[0].rstrip(".")
    word = "fails" if need.finding.verdict is Verdict.FAIL else "warns"
    word = f"{COLOURS[need.finding.verdict]}{word}\033[0m" if screen.colour else word
    return f"{', '.join(need.subjects)} {word} ({need.finding.check}): {sentence}"


def _rest(others: Sequence[Need]) -> str:
    """For example ``2 more, of a, b: in the report``."""
    subjects = list(dict.fromkeys(subject for need in others for subject in need.subjects))
    named = ", ".join(subjects[:3]) + (f" and {len(subjects) - 3} more" if len(subjects) > 3 else "")
    return f"{len(others)} more, of {named}: in the report"

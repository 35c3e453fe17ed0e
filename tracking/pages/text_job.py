"""What a job came to, in five lines for the end of a terminal: the numbers, what needs somebody, what to do, where to look."""

from collections.abc import Sequence

from tracking.audit.cases import Case, cases
from tracking.audit.trust import DO_NOT_TRUST, distinct, first_sentence, judged
from tracking.pages.terminal import PIPE, Screen
from tracking.runs.findings import Verdict
from tracking.runs.run import Run
from tracking.runs.words import counted, printable

COLOURS = {Verdict.FAIL: "\033[1;31m", Verdict.WARN: "\033[1;33m"}


def job_text(runs: Sequence[Run], report: str, screen: Screen = PIPE) -> str:
    """At most five lines."""
    wanting = cases(runs)
    lines = [f"evaluated: {counted(len(runs), 'model')}{_range(runs)}{_distrusted(runs)}"]
    if wanting:
        lines += [f"needs somebody: {_said(wanting[0], screen)}", f"  do: {first_sentence(wanting[0].steps[0])}"]
        lines += [f"  and {_rest(wanting)}"] if len(wanting) > 1 or len(wanting[0].needs) > 1 else []
    else:
        lines.append(f"needs somebody: nothing ({counted(len(distinct(runs)), 'finding')}, none warns or fails)")
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


def _said(case: Case, screen: Screen) -> str:
    """The models, and what is wrong with them and why."""
    verdict = case.needs[0].finding.verdict
    word = "fails" if verdict is Verdict.FAIL else "warns"
    word = f"{COLOURS[verdict]}{word}\033[0m" if screen.colour else word
    return f"{', '.join(case.subjects)} {word}: {printable(' '.join(case.headline.split()))}"


def _rest(wanting: Sequence[Case]) -> str:
    """For example ``2 more findings, of a, b: in the report``."""
    subjects = list(dict.fromkeys(subject for case in wanting[1:] or wanting for subject in case.subjects))
    named = ", ".join(subjects[:3]) + (f" and {len(subjects) - 3} more" if len(subjects) > 3 else "")
    others = sum(len(case.needs) for case in wanting) - 1
    return f"{counted(others, 'more finding')}, of {named}: in the report"

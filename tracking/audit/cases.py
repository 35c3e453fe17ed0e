"""What needs somebody, model by model: one case for one model, with one order of steps, however many checks saw it.

What fails comes first, then what explains it. Of findings that share a cause only the gravest says what to do, and a wrong
number whose reason was found has no steps of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tracking.audit.claim_outcomes import EXCEEDS, SHORT
from tracking.audit.meanings import Meaning, meaning_of, meanings
from tracking.audit.statistics import wilson
from tracking.audit.trust import GRAVE, Need, first_sentence, judged, needs, of_the_run
from tracking.runs.facts import is_number
from tracking.runs.findings import Finding, Verdict
from tracking.runs.run import Run

MOST = 10**9  # images of a believable count


@dataclass(frozen=True)
class Case:
    """What is wrong with one model, or alike with several.

    Attributes:
        subjects: the models.
        needs: the findings, what fails before what warns; in each the gravest first.
        headline: what is wrong and why, with the numbers, in a line.
        remedied: what a remedy gives, in a sentence; empty where none was tried.
        means: what that means, in plain words.
        steps: what to do, in this order.
        excluded: what was ruled out as the reason of a wrong number.
        unseen: what was not, with the check that did not look.
        sibling: a sound run of the same images, to compare with.
        run: of a single model.
    """

    subjects: tuple[str, ...]
    needs: tuple[Need, ...]
    headline: str
    remedied: str
    means: tuple[str, ...]
    steps: tuple[str, ...]
    excluded: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    sibling: Run | None = None
    run: Run | None = None

    @property
    def order(self) -> tuple[int, int]:
        return min(need.order for need in self.needs)

    @property
    def grave(self) -> bool:
        return any(need.meaning.rank in GRAVE or need.finding.verdict is Verdict.FAIL for need in self.needs)


def cases(runs: Sequence[Run], together: Sequence[Finding] = ()) -> list[Case]:
    """The gravest first: one of each model; what was found alike of several models, or of all together, is one of its own."""
    every = needs([*(of_the_run(each, run.subject) for run in runs for each in run.findings), *together])
    of_runs = {run.subject: run for run in runs}
    own: dict[tuple[str, ...], list[Need]] = {(subject,): [] for subject in of_runs}
    shared = [need for need in every if need.subjects not in own]
    for need in every:
        own.setdefault(need.subjects, []).append(need)
    sound = [run for run in runs if judged(run).kind in ("pass", "warn")]
    found = [_case(need.subjects, [need]) for need in shared]
    found += [_case((name,), own[name,], run, sound) for name, run in of_runs.items() if own[name,]]
    return sorted(found, key=lambda case: case.order)


def _case(subjects: tuple[str, ...], found: Sequence[Need], run: Run | None = None, sound: Sequence[Run] = ()) -> Case:
    told = list(_telling(found))
    case = Case(
        subjects,
        tuple(sorted(found, key=lambda need: need.finding.verdict is not Verdict.FAIL)),
        headline(found),
        remedied(found, run),
        tuple(dict.fromkeys(need.meaning.means for need in told)),
        tuple(dict.fromkeys(_of(run, step) for need in told for step in need.meaning.steps)),
        run=run,
    )
    if run is None or not any(need.meaning.rank in GRAVE for need in found):
        return case
    excluded, unseen = _looked_at(run)
    return replace(case, excluded=excluded, unseen=unseen, sibling=_sibling(run, sound))


def _of(run: Run | None, step: str) -> str:
    """The step with the names of this model's own files."""
    for name in ("recipe", "weights"):
        if run and run.params.get(f"model.{name}"):
            step = step.replace(f"<{name}>", str(run.params[f"model.{name}"]))
    return step


def _telling(found: Sequence[Need]) -> Iterator[Need]:
    """Those that say what to do: not a number whose reason is known, and one of each cause."""
    reasons = any(need.meaning.rank == "cause" for need in found)
    causes = set()
    for need in found:
        if need.meaning.cause in causes or (reasons and need.meaning.rank == "number"):
            continue
        causes |= {need.meaning.cause} - {""}
        yield need


def headline(found: Sequence[Need]) -> str:
    """For example ``61.30% instead of the claimed 97.00%: stored BatchNorm statistics do not fit``."""
    wrong = next((said for need in found if (said := _instead(need.finding))), "")
    lead = found[0]
    if not wrong:
        return f"{lead.meaning.title}: {first_sentence(lead.finding.sentence).rstrip('.')}"
    if lead.meaning.rank != "cause":
        return f"{wrong}: no check found out why"
    return f"{wrong}: {lead.meaning.title[0].lower()}{lead.meaning.title[1:]}"


def _instead(finding: Finding) -> str:
    name = next((name for name in ("top1", "top5") if f"{name}_claimed" in finding.evidence), None)
    if name is None or finding.evidence.get("claim") not in (SHORT, EXCEEDS):
        return ""
    said, claimed = finding.evidence.get(name), finding.evidence[f"{name}_claimed"]
    if not is_number(said) or not is_number(claimed):
        return ""
    return f"{'' if name == 'top1' else 'top-5 '}{said:.2%} instead of the claimed {claimed:.2%}"


def remedied(found: Sequence[Need], run: Run | None) -> str:
    """What the accuracy is with a remedy that a check has tried, with its interval, and where the claim lies."""
    for need in found:
        top1, images = (need.finding.evidence.get(name) for name in (need.meaning.remedied, "images"))
        if not need.meaning.remedied or not is_number(top1) or not 0 <= top1 <= 1:  # a stranger's run may say anything
            continue
        if type(images) is not int or not 0 < images <= MOST:
            return f"{need.meaning.remedy} {top1:.2%} are right."
        low, high = wilson(round(top1 * images), images)
        claim = run.params.get("model.claim.top1") if run else None
        place = f"; the claimed {claim:.2%} {_lies(claim, low, high)}" if is_number(claim) else ""
        return f"{need.meaning.remedy} {top1:.2%} of {images} are right (95% interval {low:.2%} to {high:.2%}){place}."
    return ""


def _lies(claim: float, low: float, high: float) -> str:
    return "lies within" if low <= claim <= high else "lies above" if claim > high else "lies below"


def _looked_at(run: Run) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What was ruled out as a reason, and what was not because its check did not run."""
    told = [(finding, meaning_of(finding)) for finding in run.findings]
    excluded = [each.excludes for finding, each in told if finding.verdict is Verdict.PASS and each.excludes]
    ran = {finding.check for finding in run.findings if finding.verdict is not Verdict.SKIP}
    open_ = [each for each in meanings() if each.excludes and each.check not in ran]
    return tuple(dict.fromkeys(excluded)), tuple(dict.fromkeys(map(_unseen, open_)))


def _unseen(meaning: Meaning) -> str:
    return f"{meaning.excludes} (`{meaning.check}` did not run for this model)"


def _sibling(run: Run, sound: Sequence[Run]) -> Run | None:
    """A sound run of the same samples, prepared alike; of the same architecture and framework if there is one."""
    samples = run.inputs.get("samples")
    beside = [each for each in sound if samples and each.inputs.get("samples") == samples]
    alike = ("model.architecture", "model.framework")
    return min(beside, key=lambda each: [each.params.get(name) != run.params.get(name) for name in alike], default=None)


def case_of(run: Run) -> Case | None:
    """The case of one run by itself; None where nothing needs anybody."""
    return next(iter(cases([run])), None)

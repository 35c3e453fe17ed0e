"""The page of each model within the report: what was found of it by check, what needs somebody first, and its pictures."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stages.report.charts import Rows
from stages.report.checks import Mistakes, Transfer, calibrations, mistakes, transfers
from stages.report.grouping import SEVERITY, grouped
from stages.report.pictures import NO_IMAGES, Images
from tracking.audit.meanings import Meaning, badge, meaning_of
from tracking.audit.trust import Judged, tally, worst_first
from tracking.runs.decisions import confusion as counted
from tracking.runs.decisions import unpack_decisions
from tracking.runs.findings import Finding, Verdict
from tracking.runs.run import Run
from weighbridge.networks.class_names import called

CHECKS = {
    "accuracy_check": "Accuracy, claims and classes",
    "preprocess_check": "Preprocessing mistakes",
    "mode_check": "Training and inference mode",
    "isolation_check": "Asked in other ways",
    "backend_parity": "Other backends and ports",
    "transfer_check": "Transfer to another task",
    "fingerprint": "Whose preprocessing it was",
    "backend_check": "Learning on other backends",
    "fetch": "The images",
    "pretrain": "Training here",
}
MOST_CLASSES = 30  # of a confusion matrix that is drawn


@dataclass(frozen=True)
class Told:
    """A finding with what it means, and the name by which a link leads to it."""

    finding: Finding
    meaning: Meaning
    anchor: str

    @property
    def needs_somebody(self) -> bool:
        return self.finding.verdict in (Verdict.FAIL, Verdict.WARN)


@dataclass(frozen=True)
class Check:
    """What one check found of one model, what needs somebody first."""

    name: str
    title: str
    told: tuple[Told, ...]

    @property
    def summary(self) -> str:
        """For example ``1 warn, 12 pass, 2 not run``."""
        return _counted(self.told)

    @property
    def ran(self) -> bool:
        return any(each.finding.verdict is not Verdict.SKIP for each in self.told)

    @property
    def wanting(self) -> list[Told]:
        return [each for each in self.told if each.needs_somebody]

    @property
    def rest(self) -> list[Told]:
        return [each for each in self.told if not each.needs_somebody]

    @property
    def rest_summary(self) -> str:
        return _counted(self.rest)


def _counted(told: Sequence[Told]) -> str:
    return tally([each.finding for each in told]).partition(": ")[2].rstrip(".")


@dataclass(frozen=True)
class ModelPage:
    """One model: its run, the verdict about it, which checks looked at it, what they found, and pictures where there are any."""

    anchor: str
    run: Run
    judged: Judged
    looked: str
    checks: tuple[Check, ...]
    mistakes: Mistakes | None
    transfer: Transfer | None
    calibration: Rows | None
    confusion: "Confusion | None"


def model_pages(runs: Sequence[Run], images: Images = NO_IMAGES) -> list[ModelPage]:
    """A page for each run, the gravest first; `images` know what its classes are called."""
    of_a_pair = compared_with(runs)
    return [
        _page(number, run, found, images, looked_at(run, paired=run.subject in of_a_pair))
        for number, (run, found) in enumerate(worst_first(runs), 1)
    ]


ABOUT_THE_NUMBER = {
    "accuracy_check": "accuracy",
    "preprocess_check": "preprocessing",
    "mode_check": "modes",
    "isolation_check": "isolation",
    "backend_parity": "other backends",
}


def looked_at(run: Run, *, paired: bool) -> str:
    """Which of the checks of a number ran, for example ``3 of 5 checks ran; not: preprocessing, modes``.

    A model that others are held against is `paired`: backend_parity looked at it too.
    """
    ran = {each.check for each in run.findings if each.verdict is not Verdict.SKIP}
    ran |= {"backend_parity"} if paired else set()
    missing = [words for check, words in ABOUT_THE_NUMBER.items() if check not in ran]
    counted = f"{len(ABOUT_THE_NUMBER) - len(missing)} of {len(ABOUT_THE_NUMBER)} checks ran"
    return f"{counted}; not: {', '.join(missing)}" if missing else counted


def _page(number: int, run: Run, found: Judged, images: Images, looked: str) -> ModelPage:
    told = [Told(each, meaning_of(each), f"f{number}-{place}") for place, each in enumerate(run.findings, 1)]
    told.sort(key=lambda each: SEVERITY.index(each.finding.verdict))
    by_check: dict[str, list[Told]] = {}
    for each in told:
        by_check.setdefault(each.finding.check, []).append(each)
    names = [*(name for name in CHECKS if name in by_check), *(name for name in by_check if name not in CHECKS)]
    return ModelPage(
        f"m{number}",
        run,
        found,
        looked,
        tuple(Check(name, CHECKS.get(name, name), tuple(by_check[name])) for name in names),
        next(iter(mistakes(run.findings)), None),
        next(iter(transfers(run.findings)), None),
        next(iter(calibrations(run.findings)), None),
        confusion(run, images),
    )


def anchors(pages: Sequence[ModelPage]) -> dict[tuple[str, str], str]:
    """Where a finding stands, by model and sentence."""
    return {
        (page.run.subject, each.finding.sentence): each.anchor
        for page in pages
        for check in page.checks
        for each in check.told
    }


# ---- what is taken for what


@dataclass(frozen=True)
class Confusion:
    """How many images of each class (rows) were taken for each (columns); names say index and, where it is known, class."""

    names: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]


def confusion(run: Run, images: Images = NO_IMAGES) -> Confusion | None:
    """Out of the decisions of the run; None where there are none, or too many classes to be looked at."""
    counts = counted(run.decisions, MOST_CLASSES)
    if counts is None:
        return None
    known = images.class_names(unpack_decisions(run.decisions["labels"])) if images.of_run(run) else []
    names = (
        f"{place} {name}" if (name := called(known, place)) != str(place) else name for place in range(len(counts))
    )
    return Confusion(tuple(names), tuple(tuple(row) for row in counts))


# ---- like with like


@dataclass(frozen=True)
class Checked:
    """What was looked at in which model: a row for each question, by check, and each model's gravest answer in it.

    Where a check ran and had no reason to ask, the answer is ``not asked``; where it did not run, ``not run``.
    """

    subjects: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[str, ...]], ...]


def checked(pages: Sequence[ModelPage]) -> Checked:
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for page in pages:
        for check in page.checks:
            for each in reversed(check.told):  # the worst last, which stays
                key = check.title, _kind(each)
                rows.setdefault(key, {})[page.run.subject] = badge(each.finding)
    subjects = tuple(page.run.subject for page in pages)
    ran = {(check.title, page.run.subject) for page in pages for check in page.checks if check.ran}
    references = {(CHECKS["backend_parity"], name) for name in compared_with([page.run for page in pages])}

    def cell(check: str, cells: Mapping[str, str], name: str) -> str:
        missing = "not asked" if (check, name) in ran else "reference" if (check, name) in references else "not run"
        return cells.get(name, missing)

    order = [*CHECKS.values()]
    named = sorted(rows.items(), key=lambda row: order.index(row[0][0]) if row[0][0] in order else len(order))
    told = ((check, kind, tuple(cell(check, cells, name) for name in subjects)) for (check, kind), cells in named)
    return Checked(subjects, tuple(told))


def compared_with(runs: Iterable[Run]) -> set[str]:
    """The models that `backend_parity` holds others against."""
    found = (each for run in runs for each in run.findings if each.check == "backend_parity")
    return {str(each.evidence["reference"]) for each in found if "reference" in each.evidence}


QUESTIONS = {
    "weighbridge.networks.claimed._accuracy": "Is the accuracy the claimed one?",
    "stages.mode_check.passes.accuracies": "Is it right in inference mode, and what does forgetting eval() cost?",
    "stages.preprocess_check._better": "Would another preprocessing be better?",
    "stages.backend_parity.__main__._scores": "Does another backend give the same scores?",
}  # of findings whose kinds are named by the answer


def _kind(told: Told) -> str:
    """One name for one question, whatever the answer was."""
    if scenario := told.finding.evidence.get("scenario"):
        return f"Asked in another way: {scenario}"
    return QUESTIONS.get(told.meaning.made_by, told.meaning.title)


def shared(found: Sequence[Finding]) -> Iterator[tuple[str, list[Told]]]:
    """What was found of all runs together, by check."""
    told: Mapping[str, list[Finding]] = grouped(found, "check")
    for number, (check, members) in enumerate(told.items(), 1):
        ordered: list[Any] = sorted(members, key=lambda each: SEVERITY.index(each.verdict))
        yield check, [Told(each, meaning_of(each), f"a{number}-{place}") for place, each in enumerate(ordered, 1)]

"""Whether a model's number can be trusted, by what was found of it: a verdict of few words, what needs somebody, what to do."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tracking.audit.claim_outcomes import COMES_BACK
from tracking.audit.meanings import RANKS, Meaning, badge, meaning_of
from tracking.runs.findings import Finding, Verdict
from tracking.runs.run import Run
from tracking.runs.words import counted

DO_NOT_TRUST, CHECK_FIRST, TRUSTED, NOTHING_AGAINST, NOT_CHECKED = (
    "do not trust",
    "check before use",
    "claim is met",
    "nothing against it",
    "was not checked",
)
KINDS = {DO_NOT_TRUST: "fail", CHECK_FIRST: "warn", TRUSTED: "pass", NOTHING_AGAINST: "pass", NOT_CHECKED: "skip"}
GRAVE = ("cause", "number")


@dataclass(frozen=True)
class Need:
    """One thing that needs somebody: a finding that warns or fails, what it means, and the models of which it was found."""

    finding: Finding
    meaning: Meaning
    subjects: tuple[str, ...]

    @property
    def order(self) -> tuple[int, int]:
        """Reasons before numbers, numbers before uses, uses before choices; in each what fails before what warns."""
        return RANKS.index(self.meaning.rank), int(self.finding.verdict is not Verdict.FAIL)


@dataclass(frozen=True)
class Judged:
    """A model's verdict in few words, its kind (a finding's verdict, for the colour), what needs somebody, and what to do."""

    words: str
    needs: tuple[Need, ...]
    do: str

    @property
    def kind(self) -> str:
        return KINDS[self.words]


def needs(found: Iterable[Finding]) -> list[Need]:
    """What warns or fails, the gravest first; what was found alike of several models once."""
    alike: dict[tuple[str, str, str, str], list[Finding]] = {}
    for each in found:
        if each.verdict in (Verdict.FAIL, Verdict.WARN):
            key = each.check, each.verdict.value, each.sentence, repr(sorted(each.evidence))
            alike.setdefault(key, []).append(each)
    gathered = [
        Need(members[0], meaning_of(members[0]), tuple(dict.fromkeys(each.subject for each in members)))
        for members in alike.values()
    ]
    return sorted(gathered, key=lambda need: need.order)


def judged(run: Run) -> Judged:
    """The verdict about one model; `claim is met` takes a claimed number that came back."""
    wanting = needs(run.findings)
    if any(need.meaning.rank in GRAVE or need.finding.verdict is Verdict.FAIL for need in wanting):
        return Judged(DO_NOT_TRUST, tuple(wanting), first_sentence(wanting[0].meaning.do))
    if wanting:
        return Judged(CHECK_FIRST, tuple(wanting), first_sentence(wanting[0].meaning.do))
    if any(each.evidence.get("claim") == COMES_BACK and each.verdict is Verdict.PASS for each in run.findings):
        return Judged(TRUSTED, (), "Nothing.")
    if any(each.verdict is Verdict.PASS for each in run.findings):
        return Judged(
            NOTHING_AGAINST, (), "Nothing. To have it compared, state the claimed accuracy: `claim` in the suite."
        )
    return Judged(NOT_CHECKED, (), "Let checks run: `checks` in the suite.")


def worst_first(runs: Sequence[Run]) -> list[tuple[Run, Judged]]:
    """Every run with its verdict; the gravest first, else in their order."""
    order = list(KINDS)
    pairs = [(run, judged(run)) for run in runs]
    return sorted(pairs, key=lambda pair: (order.index(pair[1].words), pair[1].needs[0].order if pair[1].needs else ()))


def answer(verdicts: Sequence[str], failed: int = 0) -> str:
    """Whether numbers can be trusted, in a sentence or two, by the verdict about each model."""
    count = {words: verdicts.count(words) for words in KINDS if words in verdicts}
    told = [f"{number} {_of(words, number)}" for words, number in count.items()]
    told += [f"{failed} {'stage' if failed == 1 else 'stages'} could not run"] if failed else []
    if DO_NOT_TRUST in count:
        head = "Not all of them." if len(count) > 1 else "No."
    elif CHECK_FIRST in count or failed:
        head = "With care."
    else:
        head = "Nothing was measured." if not verdicts else "Yes, as far as was checked."
    return f"{head} {counted(len(verdicts), 'model')}: {', '.join(told)}." if told else head


def _of(words: str, number: int) -> str:
    singular = {
        DO_NOT_TRUST: "should not be trusted",
        CHECK_FIRST: "needs a look before use",
        TRUSTED: "meets its claim",
        NOTHING_AGAINST: "has nothing against it, and no claim to be held against",
        NOT_CHECKED: "was not checked",
    }[words]
    plural = {
        "needs a look": "need a look",
        "has nothing against it": "have nothing against them",
        "was not": "were not",
        "meets its": "meet their",
    }
    for one, many in plural.items() if number > 1 else ():
        singular = singular.replace(one, many)
    return singular


BADGES = ("fail", "warn", "close", "pass", "info", "not run")


def distinct(runs: Iterable[Run]) -> list[Finding]:
    """Every finding once: models that share their weights share what was found when these were trained."""
    found: dict[tuple[str, str, str], list[Finding]] = {}  # their evidence may not be hashable
    kept: list[Finding] = []
    for finding in (finding for each in runs for finding in each.findings):
        alike = found.setdefault((finding.check, finding.subject, finding.sentence), [])
        if finding not in alike:
            alike.append(finding)
            kept.append(finding)
    return kept


def tally(found: Sequence[Finding]) -> str:
    """How many findings say what, for example ``89 findings: 1 fail, 2 warn, 64 pass, 10 info, 12 not run.``"""
    badges = [badge(each) for each in found]
    told = [f"{badges.count(each)} {each}" for each in BADGES if each in badges]
    return f"{counted(len(found), 'finding')}: {', '.join(told)}."


def first_sentence(text: str) -> str:
    head, stop, _ = text.partition(". ")
    return f"{head}." if stop else head


def of_the_run(finding: Finding, subject: str) -> Finding:
    """The finding under the name of the model in whose run it stands: weights trained here are filed under their own name."""
    return replace(finding, subject=subject)

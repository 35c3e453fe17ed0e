"""What each finding means and what to do about it, in plain words: `findings.toml`, which docs/findings.md is written from.

`python -m tracking.audit.meanings` writes the page again.
"""

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from tracking.audit.claim_outcomes import WITHIN
from tracking.runs.findings import Finding, Verdict
from tracking.runs.writing import write_text

TABLE = "findings.toml"
PAGE = Path("docs/findings.md")
RANKS = ("cause", "number", "use", "choice", "")  # what is in doubt, the gravest first; nothing


@dataclass(frozen=True)
class Meaning:
    """One kind of finding.

    Attributes:
        made_by: the function that makes it.
        says, formerly: pieces of its sentence, now and in older versions, one of which is in it; none: any.
        verdicts: those that it is about; none: all.
        rank: what is in doubt where it warns or fails, one of `RANKS`; nothing for what only passes or is skipped.
        title: a few words.
        means: what it says of the model, in plain words.
        steps: what to do where it warns or fails, in this order.
        cause: what findings of one model share that are told together; empty for what stands alone.
        info: whether it judges nothing where it passes or is skipped.
        excludes: what it rules out, where it passes, as the reason of a wrong number.
        remedied, remedy: the number in its evidence that a remedy gives, and the remedy as the beginning of a sentence.
    """

    made_by: str
    check: str
    title: str
    means: str
    steps: tuple[str, ...]
    says: tuple[str, ...] = ()
    formerly: tuple[str, ...] = ()
    verdicts: tuple[str, ...] = ()
    rank: str = ""
    cause: str = ""
    info: bool = False
    excludes: str = ""
    remedied: str = ""
    remedy: str = ""

    @property
    def do(self) -> str:
        return " ".join(self.steps)

    def fits(self, finding: Finding) -> bool:
        return (
            self.check == finding.check
            and (not self.verdicts or finding.verdict.value in self.verdicts)
            and (not self.says or any(_said(piece, finding.sentence) for piece in (*self.says, *self.formerly)))
        )

    def advice(self, finding: Finding) -> str:
        """What to do about the finding; nothing where it passes and only a warning would ask for it."""
        asks = finding.verdict in (Verdict.FAIL, Verdict.WARN) or not self.rank
        return self.do if asks and self.do != "Nothing." else ""


def _said(piece: str, sentence: str) -> bool:
    """Whether the sentence has the piece, as it is or as it is said where the samples are texts (`weighbridge.texts.words`)."""
    return piece in sentence or piece.replace("image", "text") in sentence


@cache
def meanings() -> tuple[Meaning, ...]:
    """Every kind of finding that the project makes, check by check, in the order in which they are tried."""
    rows = tomllib.loads((Path(__file__).parent / TABLE).read_text(encoding="utf-8"))["finding"]
    found = [_meaning(**row | {"check": check}) for row in rows for check in _several(row["check"])]
    checks = list(dict.fromkeys(each.check for each in found))
    return tuple(sorted(found, key=lambda each: checks.index(each.check)))


def _meaning(*, do: str | list[str], **row: Any) -> Meaning:
    lists = {name: tuple(value) for name, value in row.items() if isinstance(value, list)}
    return Meaning(**{**row, **lists}, steps=_several(do))


def _several(given: str | list[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def meaning_of(finding: Finding) -> Meaning:
    """The first kind that fits; for a check of somebody's own, its sentence has to do."""
    fitting = next((each for each in meanings() if each.fits(finding)), None)
    return fitting or Meaning(
        made_by="",
        check=finding.check,
        title=finding.check,
        means="A check that was added to the project; its sentence says what it saw.",
        steps=("Read the sentence and its evidence.",),
        rank="use",
    )


def badge(finding: Finding) -> str:
    """The one word beside a finding: its verdict, ``info`` for what judges nothing, ``close`` for a near claim, ``not run``."""
    if finding.verdict not in (Verdict.PASS, Verdict.SKIP):
        return finding.verdict.value
    if finding.evidence.get("claim") == WITHIN:
        return "close"
    if meaning_of(finding).info:
        return "info"
    return "not run" if finding.verdict is Verdict.SKIP else finding.verdict.value


# ---- docs/findings.md

HEAD = """# Findings

What each finding means, and what to do where it warns or fails. The report and `weighbridge ui` show the same words
beside each finding. The page is written from `tracking/audit/findings.toml` by `python -m tracking.audit.meanings`.

What is in doubt decides the order in the report and the verdict about a model:

| what is in doubt | verdict about the model |
|---|---|
| the reason why a number is wrong, or the number itself | do not trust |
| what it answers elsewhere (another backend, a server) | do not trust where it fails, check before use where it warns |
| whether there is a better choice, such as another learning rate | check before use |
"""
DOUBTS = {
    "cause": " In doubt: the number, and this is why.",
    "number": " In doubt: the number.",
    "use": " In doubt: answers elsewhere.",
    "choice": " In doubt: a choice.",
    "": "",
}


def markdown() -> str:
    """The page docs/findings.md."""
    return "\n".join([HEAD, *_sections()])


def _sections() -> Iterator[str]:
    for check, members in groupby(meanings(), key=lambda each: each.check):
        yield f"## `{check}`\n"
        for each in members:
            says = "; ".join(f"“… {piece} …”" for piece in each.says) or "any other sentence of this check"
            when = f" ({' or '.join(each.verdicts)})" if each.verdicts else ""
            yield f"### {each.title}\n\n{says}{when}\n\n{each.means}{DOUBTS[each.rank]}\n\n**What to do:**{_listed(each.steps)}\n"


def _listed(steps: Sequence[str]) -> str:
    return f" {steps[0]}" if len(steps) == 1 else "\n\n" + "\n".join(f"{n}. {step}" for n, step in enumerate(steps, 1))


if __name__ == "__main__":
    write_text(PAGE, markdown())

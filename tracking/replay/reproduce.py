"""A recorded run, run again from what it recorded: does it come back, and if not, what differs first?

The code comes from a git worktree of the recorded commit, packages from an environment that differs in these alone, data and
weights by their hashes, variables and params as recorded (`tracking.replay.replayer`); nothing is taken from what was
kept of earlier
runs. Code and weights of a run that is not known here are not touched unless they are trusted.
"""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tracking.audit.audit import Audit, audit
from tracking.audit.divergence import divergence, to_dict
from tracking.capture.environment import PREPARATION, Runtime, runtime_of
from tracking.replay.conditions import packages_in, settable
from tracking.replay.environments import others
from tracking.replay.errors import RefusedError, UnavailableError
from tracking.replay.processes import TooLongError, allowed, run
from tracking.replay.replayer import Replayer
from tracking.runs.decisions import pack_decisions
from tracking.runs.errors import UserError
from tracking.runs.outcomes import Outcome, finest_agreement, recorded
from tracking.runs.run import Run, Scalar
from tracking.runs.secrets import redact
from tracking.runs.words import change_text

NOT_REPRODUCED = "not reproduced"
CAPTURE_SECONDS = 600.0
CAPTURE = """
import json, sys
from tracking.capture.environment import Runtime, capture
print(json.dumps([dict(capture(Runtime(**each)).facts) for each in json.loads(sys.argv[1])]))
"""


@dataclass(frozen=True)
class Reproduction:
    """What came of running a run again.

    Attributes:
        run: the recorded one.
        verdict: the finest grade at which it came back (`bits`, `decisions`, `accuracy`), or `not reproduced`.
        reason: why it could not be run; empty where it was.
        again: what was run, as a run; None where nothing was.
        packages: those that an environment of its own had to hold, with their versions.
        commit: of the worktree whose code ran; None where the project's own files are the recorded ones.
    """

    run: Run
    verdict: str
    reason: str = ""
    again: Run | None = None
    packages: tuple[tuple[str, str], ...] = ()
    commit: str | None = None

    @property
    def audit(self) -> Audit | None:
        """The recorded run held against what was run."""
        return None if self.again is None else audit(self.run, self.again)

    @property
    def first(self) -> str:
        """The first thing that differs, in words; empty where the bits came back."""
        if self.verdict == "bits" or (compared := self.audit) is None:
            return self.reason
        suspects = compared.suspects
        return f"{suspects[0].name}: {change_text(suspects[0])}" if suspects else "no recorded condition differs"

    def to_dict(self) -> dict[str, Any]:
        compared = self.audit
        return {
            "run": self.run.id,
            "verdict": self.verdict,
            "first_difference": self.first or None,
            "suspects": [each.name for each in compared.suspects] if compared else [],
            "first_divergence": to_dict(divergence(self.run, self.again)) if self.again else {},
            "again": self.again.id if self.again else None,
            "packages": dict(self.packages),
            "worktree": self.commit,
        }


def reproduce(run: Run, replayer: Replayer, say: Callable[[str], None] = lambda _: None) -> Reproduction:
    """Run it again. `replayer` should keep its answers in an empty folder, so that it really runs.

    Raises:
        UserError: the run recorded no decisions.
    """
    before, conditions = recorded(run), settable(run.conditions)
    try:
        say(f"{run.subject} {run.id[:12]}: preprocess and infer, as recorded")
        outcome = replayer.replay(conditions)
    except (UnavailableError, RefusedError) as problem:
        return Reproduction(run, NOT_REPRODUCED, str(problem))
    verdict = finest_agreement(before, outcome) or NOT_REPRODUCED
    code = replayer.code(conditions)
    return Reproduction(
        run=run,
        verdict=verdict,
        again=_as_run(run, outcome, _facts(run, replayer.python(conditions)), _canaries(run, replayer, verdict)),
        packages=tuple(others(packages_in(conditions)).items()),
        commit=None if code == replayer.root else str(run.code["commit"]),
    )


def _canaries(run: Run, replayer: Replayer, verdict: str) -> tuple[str, ...]:
    """Kept anew where something differs and the run can be held against them."""
    if verdict == "bits" or not run.canaries:
        return ()
    try:
        return replayer.canaries(settable(run.conditions))
    except (UnavailableError, RefusedError):
        return ()


def _as_run(run: Run, outcome: Outcome, facts: dict[str, Scalar], canaries: tuple[str, ...]) -> Run:
    """What was run, as a run: conditions that were set are the recorded ones, all others what is here."""
    same = int(recorded(run).right.sum()) == int(outcome.right.sum())
    results: dict[str, Scalar] = {
        "top1": run.results.get("top1") if same else round(outcome.accuracy, 6),
        "samples": len(outcome.top1),
        "scores.sha256": outcome.scores,
        "decisions.sha256": outcome.decisions,
    }
    packed = pack_decisions((), outcome.labels, outcome.top1)
    return replace(
        run,
        environment={**facts, **outcome.process},
        results={name: value for name, value in results.items() if value is not None and name in run.results},
        decisions={**packed, "names.sha256": run.decisions["names.sha256"]},
        findings=(),
        curves={},
        canaries=canaries,
    )


def _facts(run: Run, python: Path) -> dict[str, Scalar]:
    """The environment as a run would record it: captured with that interpreter; variables and images are as recorded."""
    framework, backend = (str(run.params.get(f"model.{key}")) for key in ("framework", "backend"))
    preparing, computing = _captured(python, [PREPARATION, runtime_of(framework, backend, run.environment)])
    found = {**{name: value for name, value in preparing.items() if name in run.environment}, **computing}
    kept = {name: value for name, value in run.environment.items() if name.startswith(("variable.", "images."))}
    return {**{name: value for name, value in found.items() if not name.startswith("variable.")}, **kept}


def _captured(python: Path, runtimes: list[Runtime]) -> list[dict[str, Scalar]]:
    here = str(Path(__file__).resolve().parents[2])
    environ = {**allowed(os.environ), "PYTHONPATH": here, "PYTHONDONTWRITEBYTECODE": "1"}
    asked = json.dumps([asdict(runtime) for runtime in runtimes])
    try:
        ended = run([str(python), "-c", CAPTURE, asked], environ, seconds=CAPTURE_SECONDS)
    except TooLongError:
        raise UserError(f"{python}: did not say what it is within {CAPTURE_SECONDS:.0f} s") from None
    if ended.returncode != 0:
        last = (ended.stderr.strip() or "no reason given").splitlines()[-1]
        raise UserError(f"{python}: cannot say what it is: {redact(last)}")
    facts: list[dict[str, Scalar]] = json.loads(ended.stdout)
    return facts

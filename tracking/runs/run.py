"""A run is a value: conditions and outcome, complete when built, its id a digest of its content."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracking.runs.errors import UserError
from tracking.runs.findings import Finding

if TYPE_CHECKING:
    import numpy as np

SCHEMA = 1
FOREIGN = 0  # the schema of a run that another tool recorded: what it lacks was not recorded
Scalar = str | int | float | bool | None
SCALAR = (str, int, float, bool, type(None))
EACH = "each key"  # of a pattern: whatever keys there are
RUN: Mapping[str, Any] = {
    "subject": str,
    "command": str,
    "params": {EACH: SCALAR},
    "inputs": {EACH: str},
    "environment": {EACH: SCALAR},
    "code": {EACH: SCALAR},
    "results": {EACH: SCALAR},
    "findings": [{"check": str, "subject": str, "verdict": str, "sentence": str, "evidence": dict}],
    "curves": {EACH: [[(int, float), (int, float)]]},
    "decisions": {EACH: str},
    "canaries": [str],
    "schema": int,
}
OPTIONAL = {"findings", "curves", "decisions", "canaries", "schema"}
PACKED = {"u1": 1, "u2": 2, "i4": 4}  # bytes of one decision
ORIGIN, DECLARED = "environment.origin", "declared"  # the fact that a run's environment was told, not captured


@dataclass(frozen=True)
class Run:
    """One model, weighed once.

    Attributes:
        subject: the model's key in ``params.yaml``.
        command: the recorded command that made the predictions.
        params: what was asked for, flat and dotted: ``model.backend``, ``recipe.resize.size``.
        inputs: content hashes by role, as DVC took them: ``weights``, ``images``, ``code/stages/infer.py``.
        environment: facts that could change a prediction: ``package.torch``, ``cpu.model``, ``torch.threads``.
        code: ``commit``, ``dirty`` and, when dirty, ``patch`` (sha256 of the uncommitted change).
        results: flat numbers and digests: ``top1`` (a fraction), ``samples``, ``scores.sha256``.
        findings: what every check said of this model.
        curves: name -> (step, value) pairs, for example training accuracy by epoch.
        decisions: per-sample top-1 class and label (see `pack_decisions`), so that two runs can be compared pairwise.
        canaries: marks of every step and layer for a few fixed inputs (`tracking.runs.canaries`), in the order of running.
    """

    subject: str
    command: str
    params: Mapping[str, Scalar]
    inputs: Mapping[str, str]
    environment: Mapping[str, Scalar]
    code: Mapping[str, Scalar]
    results: Mapping[str, Scalar]
    findings: Sequence[Finding] = ()
    curves: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    decisions: Mapping[str, str] = field(default_factory=dict)
    canaries: Sequence[str] = ()
    schema: int = SCHEMA

    @cached_property
    def id(self) -> str:
        """64 hexadecimal digits: the sha256 of everything above."""
        return hashlib.sha256(_canonical(self.to_dict()).encode()).hexdigest()

    @property
    def conditions(self) -> dict[str, Scalar]:
        """Everything that could be a cause of the outcome, in one flat namespace."""
        return {
            **{f"param.{name}": value for name, value in self.params.items()},
            **{f"input.{name}": value for name, value in self.inputs.items()},
            **{f"code.{name}": value for name, value in self.code.items()},
            **self.environment,
        }

    @property
    def is_declared(self) -> bool:
        """Whether somebody else made the predictions, so that conditions are only what they declared."""
        return self.environment.get(ORIGIN) == DECLARED

    def to_dict(self) -> dict[str, Any]:
        """JSON values; without canaries the key is left out, so that runs made before there were any keep their ids."""
        return {name: value for name, value in asdict(self).items() if name != "canaries" or value}

    def save(self, path: Path) -> None:
        """Write the run as JSON (its id included, for readers and for the check in `load`)."""
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"id": self.id, **self.to_dict()}, indent=1, sort_keys=True, allow_nan=False)
        path.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Run":
        """Read a run file.

        Raises:
            UserError: the file is absent, is not a run, or its content does not give the id written in it.
        """
        try:
            return cls.from_dict(json.loads(path.read_text(encoding="utf-8")))
        except OSError as problem:
            raise UserError(f"{path}: cannot be read ({problem.strerror})") from problem
        except (ValueError, TypeError, KeyError, RecursionError) as problem:
            raise UserError(f"{path}: not a run file ({problem})") from problem

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Run":
        """The run that `to_dict` gave; other keys are left aside.

        Raises:
            ValueError: a value is of the wrong kind, or the content does not give the id among them.
        """
        if problem := _problem(values):
            raise ValueError(problem)
        known = {f.name for f in fields(cls)}
        content = {name: value for name, value in values.items() if name in known}
        content["findings"] = tuple(Finding.from_dict(row) for row in values.get("findings", ()))
        content["curves"] = {
            name: tuple((step, value) for step, value in points) for name, points in values.get("curves", {}).items()
        }
        content["canaries"] = tuple(values.get("canaries", ()))
        run = cls(**content)
        if values.get("id", run.id) != run.id:
            raise ValueError(f"its content has id {run.id[:12]}, the file says {values['id'][:12]}: it was edited")
        return run


def misfit(value: Any, pattern: Any, place: str = "") -> str:
    """Where a JSON value is not as `pattern` has it, in words; empty where it is.

    A pattern is a type, a tuple of patterns one of which must fit, a list (of one: for each item; else item by item), or a
    mapping by key; `EACH` stands for whatever keys there are.
    """
    here = place or "the whole"
    if isinstance(pattern, tuple):
        return (
            "" if any(not misfit(value, each, place) for each in pattern) else f"{here}: has a value of the wrong kind"
        )
    if isinstance(pattern, Mapping):
        return _misfit_by_key(value, pattern, place)
    if isinstance(pattern, list):
        if not isinstance(value, list | tuple) or (len(pattern) > 1 and len(value) != len(pattern)):
            return f"{here}: is not a list{'' if len(pattern) == 1 else f' of {len(pattern)}'}"
        each = pattern * len(value) if len(pattern) == 1 else pattern
        return next(
            filter(None, (misfit(*pair, f"{place}[{row}]") for row, pair in enumerate(zip(value, each, strict=True)))),
            "",
        )
    fits = isinstance(value, pattern) and (pattern is bool or not isinstance(value, bool))
    return "" if fits else f"{here}: has a value of the wrong kind"


def _misfit_by_key(value: Any, pattern: Mapping[str, Any], place: str) -> str:
    if not isinstance(value, Mapping):
        return f"{place or 'the whole'}: is not a mapping"
    if EACH not in pattern and (odd := sorted(value.keys() ^ pattern.keys(), key=str)):
        return f"{f'{place}.' if place else ''}{odd[0]}: {'unknown' if odd[0] in value else 'missing'}"
    names = ((name, f"{place}.{name}" if place else str(name)) for name in value)
    return next(filter(None, (misfit(value[name], pattern.get(name, pattern.get(EACH)), at) for name, at in names)), "")


def _problem(values: Any) -> str:
    """Why these are not the values of a run; empty where they are."""
    if not isinstance(values, Mapping):
        return "the whole: is not a mapping"
    content = {name: value for name, value in values.items() if name in RUN}
    absent = dict.fromkeys(RUN.keys() - values.keys() & OPTIONAL)
    if wrong := misfit(content, {name: pattern for name, pattern in RUN.items() if name not in absent}):
        return wrong
    if not isinstance(values.get("id", ""), str):
        return "id: has a value of the wrong kind"
    subject = content["subject"]
    if not subject.isprintable() or set(subject) & {"/", "\\"} or subject in ("", ".", ".."):
        return "subject: must be a name without slashes and control characters: it names files"
    return _unpackable(content.get("decisions", {}))


def _unpackable(decisions: Mapping[str, str]) -> str:
    """Why decisions cannot be unpacked; empty where they can, or where there are none."""
    if not decisions:
        return ""
    counts = set()
    for name in ("labels", "top1"):
        if name not in decisions:
            return f"decisions.{name}: missing"
        if (count := packed_count(decisions[name])) is None:
            return f"decisions.{name}: not packed decisions"
        counts.add(count)
    return "" if len(counts) == 1 else "decisions: not as many labels as classes"


def packed_count(packed: str) -> int | None:
    """How many decisions were packed into a text; None where it is none that `unpack_decisions` reads."""
    dtype, _, text = packed.partition(":")
    try:
        size = len(base64.b64decode(text, validate=True))
    except ValueError:
        return None
    return size // PACKED[dtype] if dtype in PACKED and size % PACKED[dtype] == 0 else None


def pack_decisions(names: Sequence[str], labels: "np.ndarray", top1: "np.ndarray") -> dict[str, str]:
    """Pack labels and top-1 classes (both int, shape (samples,)) into short text; names by digest only."""
    return {
        "names.sha256": hashlib.sha256("\n".join(names).encode()).hexdigest(),
        "labels": pack(labels),
        "top1": pack(top1),
    }


def unpack_decisions(packed: str) -> "np.ndarray":
    """The int32 array of shape (samples,) that `pack_decisions` packed."""
    import numpy as np

    dtype, _, text = packed.partition(":")
    return np.frombuffer(base64.b64decode(text), dtype=f"<{dtype}").astype(np.int32)


def kept_change(patch: str) -> str:
    """The git reference of the code of a run that was made with uncommitted changes; `patch` as in `Run.code`."""
    return f"refs/weighbridge/{patch}"


def pack(values: "np.ndarray") -> str:
    """Classes (int, shape (samples,)) as short text."""
    dtype = "u1" if values.max(initial=0) < 256 else "u2" if values.max(initial=0) < 65536 else "i4"
    return f"{dtype}:{base64.b64encode(values.astype('<' + dtype).tobytes()).decode()}"


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)

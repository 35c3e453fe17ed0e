"""A run is a value: conditions and outcome, complete when built, its id a digest of its content."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from tracking.runs.errors import UserError
from tracking.runs.findings import Finding
from tracking.runs.writing import write_json

SCHEMA = 1
FOREIGN = 0  # the schema of a run that another tool recorded: what it lacks was not recorded
Scalar = str | int | float | bool | None
ORIGIN, DECLARED = "environment.origin", "declared"  # the fact that a run's environment was declared, not captured


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
        decisions: per-sample top-1 class and label (see `tracking.runs.decisions`), so that two runs can be compared pairwise.
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
        content = {each.name: getattr(self, each.name) for each in fields(self)}  # not `to_dict`: copying takes longest
        if not self.canaries:
            del content["canaries"]
        return hashlib.sha256(_canonical(content).encode()).hexdigest()

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
        write_json(path, {"id": self.id, **self.to_dict()})

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
        from tracking.runs.run_file import problem_in

        if problem := problem_in(values, SCHEMA):
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
            if further := sorted(values.keys() - known - {"id"}):
                raise ValueError(
                    f"made by a newer Weighbridge, or edited: this one does not know {', '.join(further)[:200]}"
                )
            raise ValueError(f"its content has id {run.id[:12]}, the file says {values['id'][:12]}: it was edited")
        return run


def readable(
    paths: Iterable[Path],
    broken: Callable[[UserError], None] = lambda _: None,
    load: Callable[[Path], Run] = Run.load,
) -> Iterator[tuple[Path, Run]]:
    """Every file that is a run, with it, as `load` reads it; `broken` is told of each other one why it is none."""
    for path in paths:
        try:
            run = load(path)
        except UserError as problem:
            broken(problem)
        else:
            yield path, run


def load_runs(folder: Path) -> list[Run]:
    """Every run of a folder, by the names of the files.

    Raises:
        UserError: one of them is no run file.
    """
    return [Run.load(path) for path in sorted(folder.glob("*.json"))]


def kept_change(patch: str) -> str:
    """The git reference of the code of a run that was made with uncommitted changes; `patch` as in `Run.code`."""
    return f"refs/weighbridge/{patch}"


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_plain)


def _plain(value: Any) -> dict[str, Any]:
    return dict(vars(value) if isinstance(value, Finding) else value)

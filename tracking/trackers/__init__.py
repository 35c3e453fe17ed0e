"""Trackers: places that keep runs for people to browse. One file each, its name is the tracker's name in `params.yaml`.

A tracker is a value with `log(run) -> address`, from a complete run to where it now is, and `holds(run)`, which looks and writes
nothing. Logging the same run again changes nothing. What a run looks like there (its parameters, metrics and tags) is decided
here, once for all.
"""

import hashlib
import importlib
import json
import pkgutil
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from tracking.audit.trust import judged
from tracking.runs.cut_texts import cut
from tracking.runs.errors import UserError
from tracking.runs.extras import missing
from tracking.runs.facts import is_number
from tracking.runs.run import Run, Scalar
from tracking.runs.secrets import redact

LONGEST_KEY = 100  # of a parameter, metric or tag in Comet; MLflow takes 250
RUN_ID = "weighbridge.run_id"


Held = Literal["whole", "partial", "absent"]


class Tracker(Protocol):
    """A place that keeps runs."""

    def log(self, run: Run) -> str:
        """Keep the run, unless it is there already, and return its address.

        Raises:
            UserError: the place cannot be reached, or refused the run.
        """
        ...

    def holds(self, run: Run) -> Held:
        """How much of the run is there; raises as `log`."""
        ...


class Nothing:
    """A place that is not there, and is not made by looking."""

    def log(self, run: Run) -> str:
        raise UserError(f"{run.subject}: nothing is written where one only looks")

    def holds(self, run: Run) -> Held:
        return "absent"


class Metric(NamedTuple):
    """One number of a run; `step` counts along a curve and is None for a result."""

    name: str
    value: float
    step: int | None


def connect(name: str, folder: Path, experiment: str, *, looking: bool = False) -> Tracker:
    """The tracker `name`, keeping its files (if it has any) under `folder` and its runs under `experiment`.

    With `looking` nothing is made: a store that is not there holds nothing.

    Raises:
        UserError: there is no such tracker, its SDK is not installed, or it cannot be reached.
    """
    if name not in names():
        raise UserError(f"publish.trackers: unknown tracker {name!r}; known: {', '.join(names())}")
    module = importlib.import_module(f"{__name__}.{name}")
    try:
        opening = getattr(module, "look", module.connect) if looking else module.connect
        tracker: Tracker = opening(folder, experiment)
    except ModuleNotFoundError as problem:
        raise UserError(f"tracker {name}: {missing(problem)}") from problem
    return tracker


def names() -> list[str]:
    """Every known tracker: the modules of this package, but for parts of them (`_comet_content`)."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def addresses() -> dict[str, str]:
    """Where each tracker would write now, without any secret. It reads environment variables and imports no SDK."""
    return {name: importlib.import_module(f"{__name__}.{name}").address() for name in names()}


def parameters(run: Run, longest: int) -> dict[str, str]:
    """The run's conditions as flat text, no value over `longest` characters."""
    return flat_text(run.conditions, longest)


def metrics(run: Run) -> list[Metric]:
    """The run's numbers: results, and curves under `curve.<name>`.

    Steps are counted by trackers in whole numbers. A curve over fractions is logged by its index, and the fractions
    beside it as `curve.<name>.x`.
    """
    return [*_results(run), *(metric for name, points in run.curves.items() for metric in _curve(name, points))]


def tags(run: Run, longest: int) -> dict[str, str]:
    """What a person filters by, and the digests among the results."""
    values = {
        RUN_ID: run.id,
        "verdict": judged(run).words,
        "commit": run.code.get("commit"),
        "dirty": run.code.get("dirty"),
        "stage": _stage(run.command),
        "command": run.command,
        "subject": run.subject,
        "model": run.params.get("model.architecture"),
        "framework": run.params.get("model.framework"),
        "backend": run.params.get("model.backend"),
        **{f"result.{name}": value for name, value in run.results.items() if not is_number(value)},
    }
    return flat_text({name: value for name, value in values.items() if value is not None}, longest)


def ends(run: Run) -> dict[str, str]:
    """Of an explanation the ids of the two runs that it is about, as ``A`` and ``B``; of any other run none."""
    if not run.command.startswith("weighbridge explain "):
        return {}
    return {end: str(run.params[end]) for end in "AB" if end in run.params}


def document(run: Run) -> str:
    """The whole run as JSON text: what every tracker keeps beside the flat values, so that nothing is cut."""
    return json.dumps({"id": run.id, **run.to_dict()}, indent=1, sort_keys=True, allow_nan=False) + "\n"


def one_line(problem: BaseException) -> str:
    """What went wrong, in one line of at most 500 characters, without credentials."""
    return redact(" ".join(str(problem).split()))[:500] or type(problem).__name__


def _results(run: Run) -> Iterator[Metric]:
    for name, value in run.results.items():
        if is_number(value):
            yield Metric(_key(name), value, None)


def _curve(name: str, points: Sequence[tuple[float, float]]) -> Iterator[Metric]:
    whole = all(float(x).is_integer() for x, _ in points)
    for index, (x, value) in enumerate(points):
        yield Metric(_key(f"curve.{name}"), value, int(x) if whole else index)
        if not whole:
            yield Metric(_key(f"curve.{name}.x"), x, index)


def _stage(command: str) -> str | None:
    named = re.search(r"\bstages[./](\w+)", command)
    return named[1] if named else None


def flat_text(values: Mapping[str, Scalar], longest: int) -> dict[str, str]:
    """Values as text under keys that trackers take, none over `longest` characters."""
    return {_key(name): cut(_text(value), longest) for name, value in values.items()}


def _text(value: Scalar) -> str:
    return value if isinstance(value, str) and value else json.dumps(value)  # empty text is no value to some servers


def _key(name: str) -> str:
    """The name, or where trackers would refuse it a readable one that no other name maps to."""
    plain = posixpath.normpath(re.sub(r"[^\w.\-/ :]", "_", name)).lstrip("./")
    if name and plain == name and len(name) <= LONGEST_KEY:
        return name
    return f"{plain[: LONGEST_KEY - 13]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"

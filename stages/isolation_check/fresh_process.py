"""A model asked in a fresh process: after saving and loading it, exported, or behind a server.

As a program (`python -m stages.isolation_check.fresh_process FOLDER`) it loads the network that `FOLDER/spec.json`
describes, asks it about
`FOLDER/<number>.npy` and writes `FOLDER/scores.npy`.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from stages.isolation_check.serving import ask_server
from tracking.runs.errors import UserError
from weighbridge.frameworks import Classifier, Exportable, Spec, find_adapter, load
from weighbridge.networks.score_differences import CannotBeAskedError

_PROJECT = Path(__file__).resolve().parents[2]

Ask = Callable[[Classifier, list[np.ndarray]], np.ndarray]


def scenarios_elsewhere(spec: Spec, seconds: int) -> Mapping[str, Ask]:
    """By scenario, how the loaded classifier is taken to another process and asked there about batches.

    Each raises a `CannotBeAskedError` where this model cannot go that way.
    """
    return {
        "reload": partial(ask_in_fresh_process, _save, spec, seconds),
        "export": partial(ask_in_fresh_process, _export, spec, seconds),
        "serve": lambda _classifier, batches: ask_server(spec, batches, seconds),
    }


def ask_in_fresh_process(
    write: Callable[[Classifier, Spec, Path], Spec],
    spec: Spec,
    seconds: int,
    classifier: Classifier,
    batches: list[np.ndarray],
) -> np.ndarray:
    with TemporaryDirectory(prefix="isolation-") as made:
        folder = Path(made)
        return in_fresh_process(write(classifier, spec, folder), batches, folder, seconds)


def _save(classifier: Classifier, spec: Spec, folder: Path) -> Spec:
    adapter = find_adapter(spec.framework)
    if adapter.program:
        raise CannotBeAskedError("its file is a compiled program, which this process read and cannot write")
    return adapter.save(classifier, spec, folder)


def _export(classifier: Classifier, spec: Spec, folder: Path) -> Spec:
    """Write what the framework's users export to; the spec that loads it."""
    if not isinstance(classifier, Exportable):
        raise CannotBeAskedError(f"{spec.framework} on {spec.backend} has no export here")
    try:
        exported = classifier.export(folder, spec.image)
    except UserError as problem:
        raise CannotBeAskedError(str(problem)) from problem
    except Exception as problem:
        raise CannotBeAskedError(
            f"its export fails ({type(problem).__name__}: {' '.join(str(problem).split())[:300]})"
        ) from problem
    return replace(
        spec,
        framework=exported.framework,
        backend=exported.backend,
        weights=exported.path,
        sha256=None,
        checkpoint=None,
    )


def in_fresh_process(spec: Spec, batches: list[np.ndarray], folder: Path, seconds: int) -> np.ndarray:
    """The scores of all batches, joined, from a process that has done nothing else; `folder` is for its files.

    Raises:
        UserError: it refuses the model, or dies of it.
        CannotBeAskedError: it takes longer than `seconds`.
    """
    (folder / "spec.json").write_text(json.dumps(asdict(spec), default=str))
    for number, images in enumerate(batches):
        np.save(folder / f"{number}.npy", images)
    command = [sys.executable, "-m", __name__, str(folder)]
    try:
        done = subprocess.run(command, cwd=_PROJECT, timeout=seconds, capture_output=True, text=True, check=False)
    except subprocess.TimeoutExpired as problem:
        raise CannotBeAskedError(f"the fresh process took more than {seconds} s (isolation_check.seconds)") from problem
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise UserError(f"the fresh process ended with exit code {done.returncode} ({said})")
    return np.asarray(np.load(folder / "scores.npy"))


def spec_from(values: Mapping[str, Any]) -> Spec:
    """The spec that was written as JSON."""
    weights = values["weights"]
    return Spec(**{**values, "weights": None if weights is None else Path(weights)})


def _answer(folder: Path) -> None:
    classifier = load(spec_from(json.loads((folder / "spec.json").read_text())))
    files = sorted(folder.glob("[0-9]*.npy"), key=lambda path: int(path.stem))
    np.save(folder / "scores.npy", np.concatenate([classifier.predict(np.load(path)) for path in files]))


if __name__ == "__main__":
    try:
        _answer(Path(sys.argv[1]))
    except UserError as problem:
        raise SystemExit(str(problem)) from None

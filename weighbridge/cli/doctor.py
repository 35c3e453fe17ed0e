"""The command that says what is missing to run a suite here: doctor."""

import argparse
import os
import shutil
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tracking.runs.errors import UserError
from weighbridge.cli.options import Command, add_json
from weighbridge.cli.output import print_json
from weighbridge.process.exit_codes import FINDING

if TYPE_CHECKING:
    from weighbridge.params.data import Data
    from weighbridge.params.whole import Params

LEAST_FREE = 2**30  # bytes: a run of the built-in job writes about 140 MB


class Looked(NamedTuple):
    """One thing that was looked at: whether it is there, and what was seen, with what to do."""

    what: str
    good: bool
    words: str


def doctor_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "suite", metavar="SUITE", nargs="?", type=Path, help="its file (default: the one in use, params.yaml)"
    )
    add_json(parser)


def doctor(options: argparse.Namespace) -> int:
    """Say what is here and what is missing to run a suite; nothing is loaded, fetched or run."""
    found = list(examined(options.suite))
    if options.json:
        print_json({"looked": [each._asdict() for each in found]})
    else:
        from tracking.pages.terminal import aligned

        rows = [(f"{'ok     ' if each.good else 'MISSING'}  {each.what}", each.words) for each in found]
        print(*aligned(rows), sep="\n")
    return 0 if all(each.good for each in found) else FINDING


def examined(suite: Path | None) -> Iterator[Looked]:
    """Everything that the suite needs, each with whether it is here."""
    yield from _programs()
    try:
        job = _job(suite)
    except UserError as problem:
        yield Looked("suite", False, str(problem))
        return
    yield Looked("suite", True, str(suite or "params.yaml"))
    yield from _packages(job)
    yield from _weights(job)
    yield from _images(job)
    yield from _keys(job)
    yield _disk(job)


def _job(suite: Path | None) -> "Params":
    from weighbridge.params.whole import load_completed, load_params

    return load_params() if suite is None else load_completed(suite)


def _programs() -> Iterator[Looked]:
    from tracking.capture.repository import NoRepositoryError, repository

    try:
        repository(Path())
        yield Looked("git", True, "this folder is in a repository")
    except NoRepositoryError as problem:
        yield Looked("git", False, str(problem))
    yield Looked(
        "dvc.yaml", Path("dvc.yaml").is_file(), "the pipeline; run this in Weighbridge's own folder or a clone of it"
    )
    yield _distribution("dvc", ("dvc",))


# ---- packages


def _packages(job: "Params") -> Iterator[Looked]:
    """Of each framework and backend that a model or a training names, what must be installed."""
    from tracking.capture.environment import COMPUTING
    from tracking.capture.packages import INSTALLED_AS
    from weighbridge.frameworks import find_adapter

    wanted: dict[str, tuple[str, ...]] = {}
    for each in (*job.models.values(), *job.pretrain.values()):
        adapter = find_adapter(each.framework)
        for library in (
            each.framework,
            *adapter.libraries,
            *COMPUTING.get(each.backend or adapter.backends[0], ())[:1],
        ):
            if library in INSTALLED_AS:
                wanted[library] = INSTALLED_AS[library]
    for name, distributions in sorted(wanted.items()):
        yield _distribution(name, distributions)
    for tracker, package in (("mlflow", "mlflow"), ("comet", "comet-ml")):
        if tracker in job.publish.trackers:
            yield _distribution(package, (package, "mlflow-skinny") if tracker == "mlflow" else (package,))


def _distribution(name: str, distributions: Iterable[str]) -> Looked:
    from tracking.runs.extras import installing

    for each in distributions:
        try:
            return Looked(f"package {name}", True, f"{each} {metadata.version(each)}")
        except metadata.PackageNotFoundError:
            continue
    return Looked(f"package {name}", False, installing(name))


# ---- weights and images


def _weights(job: "Params") -> Iterator[Looked]:
    for name, model in job.models.items():
        path = Path(model.weights)
        key = path.parts[2] if path.parts[:2] == ("data", "weights") and len(path.parts) > 2 else ""
        if path.exists():
            yield Looked(f"weights of {name}", True, f"{path}, {_size(path)}")
        elif key in job.pretrain:
            yield Looked(f"weights of {name}", True, f"{path}: trained here by the stage pretrain")
        elif key in job.downloads:
            source = job.downloads[key].name or job.downloads[key].url
            yield Looked(f"weights of {name}", True, f"{path}: to be fetched, {source}: needs a network")
        else:
            yield Looked(f"weights of {name}", False, f"{path}: no such file or folder")


def _size(path: Path) -> str:
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return f"{sum(each.stat().st_size for each in files) / 2**20:,.1f} MiB"


def _images(job: "Params") -> Iterator[Looked]:
    from weighbridge.params.data import NO_IMAGES

    for name, data in {"data": job.data, **{f"data of {key}": each for key, each in job.test_sets.items()}}.items():
        if data.source != NO_IMAGES:
            yield from _source(name, data)
    for name, imported in job.imports.items():
        for part in dict.fromkeys((imported.predictions, imported.scores, imported.labels)):
            if part and not Path(part).is_file():
                yield Looked(f"import {name}", False, f"{part}: no such file")


def _source(name: str, data: "Data") -> Iterator[Looked]:
    source = Path(data.source)
    yield Looked(name, source.exists(), f"{source}" if source.exists() else f"{source}: no such file or folder")
    tables = [each.file for each in (data.labels, data.texts) if each is not None]
    for inside in [*([data.images] if data.images else []), *tables]:
        if source.exists() and not (source / inside).exists():
            yield Looked(f"{name}: {inside}", False, f"{source / inside}: no such file or folder")


# ---- keys and disk


def _keys(job: "Params") -> Iterator[Looked]:
    """No tracker needs a key: without one, runs are kept here."""
    if "comet" in job.publish.trackers:
        from tracking.capture.comet_settings import comet_setting

        yield Looked("key of Comet", True, "set" if comet_setting("api_key") else "not set: archives in data/comet")
    if "mlflow" in job.publish.trackers:
        address = os.environ.get("MLFLOW_TRACKING_URI", "")
        file = address.removeprefix("sqlite:///") if address.startswith("sqlite:///") else ""
        good = not file or Path(file).is_file()
        words = f"MLFLOW_TRACKING_URI: no such store: {file}" if not good else "set" if address else "data/mlflow.db"
        yield Looked("address of MLflow", good, words)


def _disk(job: "Params") -> Looked:
    free = shutil.disk_usage(Path()).free
    kept = job.loading.prepared_megabytes * len(job.recipes)
    words = f"{free / 2**30:,.1f} GiB free; prepared images take up to {kept / 1000:,.1f} GB"
    return Looked("disk", free >= LEAST_FREE, words)


COMMANDS = {
    "doctor": Command("say what is missing to run a suite here, a line each", doctor_options, doctor),
}

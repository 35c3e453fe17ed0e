"""Commands that say what the pipeline weighs: use, params, weigh."""

import argparse
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tracking.lookup.find import FOLDER
from tracking.runs.errors import UserError
from tracking.runs.writing import write_bytes, write_text
from weighbridge.cli.options import Command, add_json, positive
from weighbridge.cli.output import print_json, screen

WEIGHED = Path("suites/weighed.yaml")
REPORT = FOLDER / "report.html"


# ---- use


def use_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "suite",
        metavar="SUITE",
        type=Path,
        help="its file, for example suites/photos.yaml; params.yaml itself is completed after an edit by hand",
    )


def use(options: argparse.Namespace) -> int:
    """Make a suite the job that `dvc repro` runs."""
    from weighbridge.params.suites import use as take

    print(take(options.suite))
    return 0


# ---- params


def params_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help="every value, with what is the default")
    add_json(parser)


def params(options: argparse.Namespace) -> int:
    """Print what is special about the job in use."""
    from weighbridge.params.written import plain_yaml

    found = _in_use(every=options.all)
    if options.json:
        print_json({"params": found})
    else:
        print(plain_yaml(found, compact=True), end="")
    return 0


def _in_use(*, every: bool = False) -> dict[str, Any]:
    from weighbridge.params.short import short
    from weighbridge.params.whole import load_params

    job = load_params()
    return job.model_dump() if every else short(job)


# ---- weigh


def weigh_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models",
        metavar="MODEL",
        nargs="+",
        help="torchvision/resnet50/IMAGENET1K_V2, timm/resnet50.a1_in1k, keras/MobileNet, transformers/<folder>, "
        "onnx:net.onnx (or tflite:, kerasfile:, savedmodel:, torch:), or a model of the suite in use",
    )
    parser.add_argument(
        "--images",
        metavar="FOLDER",
        type=Path,
        required=True,
        help="folders of classes, under test/ or directly; or images and a table of labels",
    )
    parser.add_argument(
        "--labels",
        metavar="FILE.csv",
        type=Path,
        help="columns name and label, class indices from 0 (FOLDER/labels.csv)",
    )
    parser.add_argument(
        "--classes",
        metavar="CLASSES",
        help="how many (1000, or the folders), or which scores are theirs: imagenet, background first, a file, a list",
    )
    parser.add_argument("--checks", metavar="CHECKS", default="none", help="none (the default), all, or names: a,b")
    parser.add_argument("--batch-size", metavar="N", type=positive, help="images asked about at once (32)")
    parser.add_argument(
        "--recipe",
        metavar="RECIPE",
        help="prepare images as these weights declare (torchvision/resnet50/IMAGENET1K_V2), or by a recipe of the suite in use",
    )
    parser.add_argument(
        "--suite", metavar="FILE", type=Path, default=WEIGHED, help=f"where it is kept (default: {WEIGHED})"
    )


def weigh(options: argparse.Namespace) -> int:
    """Write a suite for these models and images, use it and run it."""
    from weighbridge.params.complete import complete
    from weighbridge.params.section import PARAMS
    from weighbridge.params.suites import use as take

    suite = _weighed(options)
    job = complete(suite, options.suite)
    _require_ours(options.suite, PARAMS)
    before = options.suite.read_bytes() if options.suite.is_file() else None
    _keep(options.suite, suite)
    try:
        print(take(options.suite), flush=True)
    except UserError:
        _put_back(options.suite, before)
        raise
    code = _repro()
    _print_runs([*job["models"]])
    return code


def _weighed(options: argparse.Namespace) -> dict[str, Any]:
    from weighbridge.cli.weighed import Asked, weighed_suite

    checks = options.checks if options.checks in ("all", "none") else options.checks.split(",")
    asked = Asked(
        tuple(options.models),
        options.images,
        options.labels,
        options.classes,
        checks,
        options.batch_size,
        options.recipe,
    )
    return weighed_suite(asked, _in_use())


def _require_ours(path: Path, params: Path) -> None:
    """Refuse to write over a suite that somebody wrote."""
    from weighbridge.params.written import is_weighed

    if path.resolve() == params.resolve():
        raise UserError(f"--suite {path}: is what `dvc repro` reads; name another file")
    try:
        ours = not path.exists() or is_weighed(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as problem:
        raise UserError(f"--suite {path}: cannot be read ({problem})") from problem
    if not ours:
        raise UserError(
            f"--suite {path}: was not written by `weighbridge weigh`, or was edited since; name another file"
        )


def _keep(path: Path, suite: Mapping[str, Any]) -> None:
    from weighbridge.params.written import weighed_text

    try:
        write_text(path, weighed_text(suite))
    except OSError as problem:
        raise UserError(f"--suite {path}: cannot be written ({problem.strerror})") from problem


def _put_back(path: Path, before: bytes | None) -> None:
    if before is None:
        path.unlink(missing_ok=True)
    else:
        write_bytes(path, before)


def _repro() -> int:
    """`weighbridge repro` in a process of its own; what it says is passed through."""
    return subprocess.run([sys.executable, "-m", "weighbridge", "repro"], check=False).returncode


def _print_runs(models: Iterable[str]) -> None:
    """The table of those that were weighed, and where the report is."""
    from tracking.pages.text_runs import runs_rows, runs_text
    from tracking.runs.run import Run

    paths = [path for name in models if (path := FOLDER / "runs" / f"{name}.json").is_file()]
    if paths:
        print(runs_text(runs_rows([(path, Run.load(path)) for path in paths], FOLDER), screen()))
        print(f"report: {REPORT}")


COMMANDS = {
    "use": Command("make a suite the job that `dvc repro` runs", use_options, use),
    "params": Command("print what is special about the job in use", params_options, params),
    "weigh": Command(
        "weigh models on a folder of labelled images: write a suite, use it, run it", weigh_options, weigh
    ),
}

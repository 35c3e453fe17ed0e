"""A copy of this project in a git repository of its own, small enough that its whole pipeline runs in seconds."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from stages.capture import READ_BEFORE, stage_code
from tests.import_graph import ROOT
from tracking.capture.code_files import remembered
from weighbridge.params.complete import complete
from weighbridge.params.written import plain_yaml

FEW_DIGITS = """
from pathlib import Path
from weighbridge.images.digits import write_images as write_all

def write_images(folder: Path) -> None:
    write_all(folder)
    for label in folder.glob("*/*"):
        for path in sorted(label.glob("*.png"))[12:]:
            path.unlink()
"""
# Whoever runs these tests may have set what the tests are about.
UNSET = ("ONEDNN_", "DNNL_", "ATEN_", "OMP_", "MKL_", "OPENBLAS_", "NPY_", "KERAS_")


def copy_project(
    folder: Path, smaller: Callable[[Any], None], write: Callable[[Path], None] = lambda _project: None
) -> Path:
    """Copy the project's files (no tests, no results) to `folder`, make its params `smaller`, commit everything.

    `write` adds files to the folder before that.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("tests/", "data/metrics", "dvc.lock")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    (folder / "few_digits.py").write_text(FEW_DIGITS)
    write(folder)
    edit_params(folder, lambda params: _few_digits(params, smaller))
    git(folder, "init", "-q")
    commit(folder)
    with remembered(folder / READ_BEFORE):  # `capture` there reads nothing again that was read here
        list(stage_code({"onnx", "torchvision"}, {}))
    return folder


def _few_digits(params: Any, smaller: Callable[[Any], None]) -> None:
    params["data"]["source"] = "few_digits.py"
    params["recipes"] = {"digits-32": params["recipes"]["digits-32"]}
    params["transfer_check"] |= {"samples": 60, "epochs": 1}
    params["preprocess_check"]["samples"] = 20
    params["layers"]["inputs"] = 8
    params["mode_check"] |= {"samples": 64, "black_batches": 1}
    params["mode_check"]["frozen"] |= {"samples": 64, "epochs": 1, "seeds": [0]}
    params["isolation_check"] |= {"models": ["resnet18-torchvision"], "samples": 16}
    params["publish"]["trackers"] = []
    smaller(params)
    check_those_there_are(params)


def check_those_there_are(params: Any) -> None:
    """Take models that params no longer have off the lists of the checks."""
    for check in ("mode_check", "preprocess_check", "isolation_check", "transfer_check"):
        _strike(params[check], params["models"])
    _strike(params["mode_check"]["frozen"], params["models"])


def _strike(check: Any, models: Any) -> None:
    check["models"] = [name for name in check["models"] or () if name in models]


def edit_params(project: Path, edit: Callable[[Any], None]) -> None:
    """Let `edit` change the content of ``params.yaml`` in place, and complete it."""
    path = project / "params.yaml"
    params = YAML(typ="safe").load(path)
    edit(params)
    path.write_text(plain_yaml(complete(params)), encoding="utf-8")


def git(project: Path, *arguments: str) -> None:
    subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@x", *arguments], cwd=project, check=True)


def commit(project: Path) -> None:
    git(project, "add", "-A")
    git(project, "commit", "-qm", "x")


def repro(project: Path, *targets: str, programs: Path | None = None, **variables: str) -> list[str]:
    """Run `dvc repro`; the names of the stages that it ran.

    `programs` is the folder of the `python` that stages start (by default this one's), `variables` are set for them.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith(UNSET)}
    path = f"{programs or Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "repro", *targets],
        cwd=project,
        env={**clean, "PATH": path, **variables},
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return [line.split("'")[1] for line in done.stdout.splitlines() if line.startswith("Running stage")]

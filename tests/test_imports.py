"""A suite that holds nothing but predictions of others, through the whole pipeline."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.project import copy_project, repro
from tracking.runs.run import Run

LABELS = np.arange(100) % 10


def only_imports(params: Any) -> None:
    first = {
        "framework": "keras", "backend": None, "architecture": "Net", "checkpoint": "keras/ResNet50/imagenet", "claim": None,
        "predictions": "theirs.npy", "scores": "theirs.npy", "labels": "labels.npy", "columns": None, "classes": 10,
        "declared": {"package.keras": "2.2.4"}, "preprocessing": {"resize": "squashed"},
    }  # fmt: skip
    params["data"]["source"] = "weighbridge/images/no_images.py"
    params |= {name: {} for name in ("recipes", "pretrain", "models", "backend_parity")}
    params["imports"] = {"theirs": first, "others": {**first, "predictions": "others.json", "scores": "others.json"}}
    params["published_check"]["pairs"] = {"net": {"reference": "theirs", "candidate": "others"}}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = copy_project(tmp_path_factory.mktemp("imports") / "here", only_imports)
    np.save(project / "labels.npy", LABELS)
    np.save(project / "theirs.npy", np.where(LABELS < 7, LABELS, 0))
    (project / "others.json").write_text(json.dumps(np.where(LABELS < 9, LABELS, 0).tolist()))
    return project


def test_imported_predictions_become_runs_without_any_model_and_run_again_only_when_they_change(project: Path) -> None:
    ran = [name.partition("@")[0] for name in repro(project)]
    assert ran == [
        "capture",
        "fetch",
        *["import_predictions"] * 2,
        *["record_import"] * 2,
        "published_check",
        "report",
        "publish",
    ]
    runs = {path.stem: Run.load(path) for path in (project / "data/runs").glob("*.json")}
    assert {name: run.results["top1"] for name, run in runs.items()} == {"theirs": 0.7, "others": 0.9}
    assert runs["theirs"].is_declared
    assert len(list((project / "data/journal").glob("*.json"))) == 2
    assert json.loads((project / "data/metrics/others.json").read_text())["top1"] == 0.9
    page = (project / "data/report.html").read_text(encoding="utf-8")
    assert "others against theirs on the same 100 images: +20.00 points" in page
    (project / "others.json").write_text(json.dumps(LABELS.tolist()))
    again = repro(project)
    assert "import_predictions@others" in again
    assert "import_predictions@theirs" not in again

"""The whole pipeline, end to end, in a repository of its own: small data, one epoch, every stage."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import tiny_onnx, tiny_torch
from tests.project import copy_project, edit_params, git, repro
from tracking.runs.run import Run
from weighbridge.params.lock import stage_names
from weighbridge.params.section import load_yaml

WANTED = ("torch", "onnxruntime", "onnxscript")
ABSENT = [name for name in WANTED if importlib.util.find_spec(name) is None]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(ABSENT), reason=f"not installed: {', '.join(ABSENT)}")]

TORCH, ONNX = tiny_torch.MODEL, tiny_onnx.MODEL
SECRET = "Qp7vT2mXz9Lk4Rw8"  # planted: it opens nothing
PLANTED = {
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "HF_TOKEN": SECRET,
    "MLFLOW_TRACKING_PASSWORD": SECRET,
    "PIP_INDEX_URL": f"https://someone:{SECRET}@host/simple",
    "XLA_FLAGS": f"--xla_dump_to=https://someone:{SECRET}@host/",  # on the allow-list, of runtimes not used here
}


def smaller(params: Any) -> None:
    tiny_torch.trained_here(params)
    params["models"][ONNX] = dict(tiny_onnx.NET)
    params["mode_check"]["models"] = [TORCH, ONNX]
    params["backend_parity"] = {ONNX: {"reference": TORCH, "candidate": ONNX}}


def write(project: Path) -> None:
    tiny_torch.write_network(project)
    tiny_onnx.write_net(project / "net.onnx")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this project in a git repository, in a path with a space, with params that take seconds."""
    return copy_project(tmp_path_factory.mktemp("a project") / "here", smaller, write)


@pytest.fixture(scope="module")
def first_time(project: Path) -> list[str]:
    git(project, "remote", "add", "origin", f"https://someone:{SECRET}@host/project.git")
    return repro(project, **PLANTED)


def files_with(words: str, folder: Path) -> list[Path]:
    files = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.relative_to(folder).parts)
    return [path for path in files if words.encode() in path.read_bytes()]


def test_no_planted_secret_reaches_a_file(project: Path, first_time: list[str]) -> None:
    assert files_with(SECRET, project) == []
    assert files_with("xla_dump_to", project)  # the variable was captured, without its secret


def test_from_empty_every_stage_runs(project: Path, first_time: list[str]) -> None:
    assert sorted(first_time) == sorted(
        stage_names(load_yaml(project / "dvc.yaml"), load_yaml(project / "params.yaml"))
    )
    page = (project / "data/report.html").read_text()
    for name in (TORCH, ONNX):
        run = Run.load(project / f"data/runs/{name}.json")
        assert run.results["samples"] == 120
        trained = {"pretrain"} if name == TORCH else set()
        assert {finding.check for finding in run.findings} >= {"accuracy_check", "mode_check", *trained}
        assert run.code["dirty"] is False
        assert name in page
    assert len(list((project / "data/journal").glob("*.json"))) == 2
    assert len(list((project / "data/journal/times").iterdir())) == 2  # of `infer`, kept by `publish`


def test_a_second_time_nothing_is_recomputed(project: Path, first_time: list[str]) -> None:
    assert repro(project) == ["capture"]


def test_a_variable_recomputes_those_who_see_it_going_back_restores_and_the_audit_names_it(
    project: Path, first_time: list[str]
) -> None:
    """Of what would run again only the model itself is run: its checks take a minute."""
    before = Run.load(project / f"data/runs/{TORCH}.json")
    other = Run.load(project / f"data/runs/{ONNX}.json")
    sse = {"ONEDNN_MAX_CPU_ISA": "SSE41"}
    repro(project, "--single-item", "capture", **sse)
    to_run = repro(project, "--dry", **sse)
    assert {f"infer@{TORCH}", f"mode_check@{TORCH}"} <= {*to_run}
    assert not [name for name in to_run if name.startswith(("fetch", "preprocess@", "pretrain"))]
    assert f"infer@{ONNX}" not in to_run  # onnxruntime never reads it
    again = [f"{stage}@{TORCH}" for stage in ("infer", "accuracy_check", "record")]
    assert repro(project, "--single-item", *again, **sse)[0] == again[0]
    changed = Run.load(project / f"data/runs/{TORCH}.json")
    assert changed.environment["variable.ONEDNN_MAX_CPU_ISA"] == "SSE41"
    assert changed.id != before.id
    changed.save(project / "changed.json")
    assert repro(project) == ["capture"]  # everything else comes out of DVC's run cache
    assert Run.load(project / f"data/runs/{TORCH}.json").id == before.id
    assert Run.load(project / f"data/runs/{ONNX}.json").results["scores.sha256"] == other.results["scores.sha256"]
    command = [sys.executable, "-m", "weighbridge", "audit", TORCH, "changed.json", "--json"]
    said = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True).stdout
    assert json.loads(said)["outcome"] in ("explained", "robust")
    isa = "torch.onednn.isa"  # the same on a CPU that has nothing to take away
    follows = [isa] if changed.environment.get(isa) != before.environment.get(isa) else []
    assert all(said.index("variable.ONEDNN_MAX_CPU_ISA") < said.index(name) for name in follows)


def test_another_size_is_prepared_anew_although_dvcs_run_cache_sees_no_key_of_that_name(
    project: Path, first_time: list[str]
) -> None:
    stages = ("capture", "preprocess@digits-32")
    try:
        edit_params(project, lambda params: params["recipes"]["digits-32"]["resize"].update(size=24))
        assert repro(project, "--single-item", *stages) == [*stages]
        assert np.load(project / "data/prepared/digits-32/test/inputs.npy", mmap_mode="r").shape[1:3] == (24, 24)
    finally:
        edit_params(project, lambda params: params["recipes"]["digits-32"]["resize"].update(size=32))
    repro(project, "--single-item", *stages)
    assert np.load(project / "data/prepared/digits-32/test/inputs.npy", mmap_mode="r").shape[1:3] == (32, 32)


def test_a_mistake_in_params_stops_with_one_line_and_code_2(project: Path, first_time: list[str]) -> None:
    kept = (project / "params.yaml").read_text()
    try:
        (project / "params.yaml").write_text(kept.replace("corrupt: fail", "corrupt: maybe"))
        paths = ("source", "images", "manifest", "skipped")
        command = [sys.executable, "-m", "stages.fetch", *(word for name in paths for word in (f"--{name}", "x"))]
        failed = subprocess.run(command, cwd=project, capture_output=True, text=True)
    finally:
        (project / "params.yaml").write_text(kept)
    assert failed.returncode == 2
    assert failed.stderr.count("\n") == 1
    assert "data.corrupt" in failed.stderr

"""A check is added to a copy of the project as docs/add-a-check.md has it, and with nothing else; it runs and is recorded."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.docs.pages import blocks
from tests.import_graph import ROOT
from tests.project import commit, copy_project, repro
from tracking.audit.audit import AuditOutcome, audit
from tracking.runs.findings import load_findings
from tracking.runs.run import Run
from weighbridge.networks.predictions import PredictionSet
from weighbridge.params.section import load_yaml

ABSENT = [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(ABSENT), reason=f"not installed: {', '.join(ABSENT)}")

PAGE = (ROOT / "docs/add-a-check.md").read_text(encoding="utf-8")
SECTION, STAGE, TEST = blocks(PAGE, "python")
(ENTRY,) = blocks(PAGE, "yaml")
ADDED = {
    "stages/confidence_check.py": STAGE,
    "weighbridge/params/confidence_check.py": SECTION,
    "tests/stages/test_confidence_check.py": TEST,
}
SUITE = """
data: {source: few_digits.py, classes: 10}
recipes: {digits-32: {resize: {size: 32}}}
models: {asked: "onnx:linear.onnx", other: "onnx:linear.onnx"}
checks: [confidence_check]
publish: {trackers: []}
confidence_check: {models: [asked], sure: SURE}
"""
PAIRS = """
from weighbridge.params.section import Name, Section


class Pair(Section):
    model: Name
    table: str
    rows: int = 3


CHECK = dict[Name, Pair]
"""


def linear(path: Path) -> None:
    """A model of random weights: of pixels (images, 32, 32, 3) to ten scores."""
    import onnx
    from onnx import helper, numpy_helper

    kernel = np.random.default_rng(0).normal(size=(32 * 32 * 3, 10)).astype(np.float32) / 20
    images = helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, ["n", 32, 32, 3])
    scores = helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, ["n", 10])
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("MatMul", ["flat", "kernel"], ["scores"]),
    ]
    graph = helper.make_graph(nodes, "linear", [images], [scores], [numpy_helper.from_array(kernel, "kernel")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def without_models(params: Any) -> None:
    params |= {name: {} for name in ("models", "pretrain", "backend_parity")}


def add_check(project: Path) -> None:
    for name, source in ADDED.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(source, encoding="utf-8")
    entry = "".join(f"  {line}\n" if line else "\n" for line in ENTRY.splitlines())
    pipeline = project / "dvc.yaml"
    pipeline.write_text(pipeline.read_text(encoding="utf-8").replace("\n  record:\n", f"\n{entry}\n  record:\n", 1))


def python(project: Path, *words: str) -> str:
    done = subprocess.run([sys.executable, *words], cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def use(project: Path, sure: float) -> None:
    """Use the suite, from outside the project: a job is no part of what a check is."""
    suite = project.with_name("suite.yaml")
    suite.write_text(SUITE.replace("SURE", str(sure)))
    python(project, "-m", "weighbridge", "use", str(suite))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with the check added, and the model that it is asked of recorded."""
    project = copy_project(tmp_path_factory.mktemp("check") / "here", without_models)
    linear(project / "linear.onnx")
    commit(project)
    add_check(project)
    use(project, 0.3)
    repro(project, "record@asked")
    return project


def test_an_added_check_is_asked_for_the_models_of_its_section(project: Path) -> None:
    params = load_yaml(project / "params.yaml")
    assert params["confidence_check"] == {"models": ["asked"], "sure": 0.3, "allowed": 0.5}
    asked = {"weights": "linear.onnx", "recipe": "digits-32", "framework": "onnx", "backend": "onnxruntime"}
    checks = {name: entries for name, entries in params["pipeline"].items() if entries and name.endswith("_check")}
    assert checks.keys() == {"confidence_check"}
    assert checks["confidence_check"]["asked"].items() >= asked.items()


def test_its_finding_is_made_of_the_models_predictions_and_recorded(project: Path) -> None:
    predicted = PredictionSet.load(project / "data/predictions/asked")
    scores = np.asarray(predicted.scores, dtype=float)
    probability = (np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)).max(axis=1)
    share = (probability >= 0.3)[predicted.top1 != predicted.labels].mean()
    (finding,) = load_findings(project / "data/findings/asked/confidence_check.json")
    assert finding.evidence["sure"] == pytest.approx(share)
    run = Run.load(project / "data/runs/asked.json")
    assert finding in run.findings
    assert run.results["confidence_check.sure"] == finding.evidence["sure"]


def test_its_code_is_written_down_and_is_code_of_no_other_stage(project: Path) -> None:
    folder = project / "data/code"
    code = {path.relative_to(folder).as_posix(): json.loads(path.read_text()) for path in folder.rglob("*.json")}
    files = {"stages/confidence_check.py", "weighbridge/params/confidence_check.py"}
    assert files <= code["confidence_check.json"].keys()
    assert [stage for stage, digests in code.items() if files & digests.keys()] == ["confidence_check.json"]
    finds_it = "weighbridge/params/checks.py"
    assert [stage for stage, digests in code.items() if finds_it in digests] == []


def test_the_test_that_comes_with_it_passes(project: Path) -> None:
    assert "3 passed" in python(
        project, "-m", "pytest", "-p", "no:cacheprovider", "tests/stages/test_confidence_check.py"
    )


def test_nothing_else_was_touched(project: Path) -> None:
    """But the params of the job and what DVC writes when it runs."""
    listed = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=all"],
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    changed = {
        line[3:] for line in listed.splitlines() if not line[3:].startswith(("data/", "params.yaml", "dvc.lock"))
    }
    assert changed == {*ADDED, "dvc.yaml"}


def test_a_name_that_is_no_models_and_a_key_that_is_none_are_refused(project: Path) -> None:
    suite = project.with_name("wrong.yaml")
    for old, new, words in [
        ("[asked]", "[askde]", "confidence_check.models: there is no 'askde'; did you mean 'asked'?"),
        ("sure:", "shure:", "unknown key 'confidence_check.shure'; did you mean 'sure'?"),
    ]:
        suite.write_text(SUITE.replace("SURE", "0.3").replace(old, new))
        done = subprocess.run(
            [sys.executable, "-m", "weighbridge", "use", str(suite)], cwd=project, capture_output=True, text=True
        )
        assert done.returncode == 2
        assert words in done.stderr


def test_a_section_that_is_a_mapping_is_asked_for_each_entry(project: Path) -> None:
    path = project / "weighbridge/params/pairs_check.py"
    path.write_text(PAIRS)
    suite = {
        "data": {"source": "x"}, "recipes": {"plain": {}}, "models": {"a": "onnx:linear.onnx"},
        "pairs_check": {"p": {"model": "a", "table": "t.csv"}},
    }  # fmt: skip
    ask = f"import json; from weighbridge.params.complete import complete; print(json.dumps(complete({suite!r})))"
    try:
        job = json.loads(python(project, "-c", ask))
    finally:
        path.unlink()
    assert job["pairs_check"]["p"] == {"model": "a", "table": "t.csv", "rows": 3}
    item = {"weights": "linear.onnx", "recipe": "plain", "framework": "onnx", "backend": "onnxruntime"}
    assert job["pipeline"]["pairs_check"].keys() == {"p"}
    assert job["pipeline"]["pairs_check"]["p"].items() >= {"model": "a", "table": "t.csv", **item}.items()
    assert job["checks"][-3:] == ["confidence_check", "pairs_check", "transfer_check"]


def test_another_value_of_its_key_runs_it_again_and_is_no_condition_of_the_models_result(project: Path) -> None:
    before = Run.load(project / "data/runs/asked.json")
    use(project, 0.99)
    assert repro(project, "record@asked") == ["capture", "confidence_check@asked", "record@asked"]
    after = Run.load(project / "data/runs/asked.json")
    found = audit(before, after)
    assert found.outcome is AuditOutcome.REPRODUCED
    assert found.differences == ()
    share = {name: run.results["confidence_check.sure"] for name, run in (("before", before), ("after", after))}
    assert found.grades.other == {"confidence_check.sure": (share["before"], share["after"])}
    assert share["before"] > share["after"]

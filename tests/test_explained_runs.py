"""Differences explained by running real processes: hybrids, certificates, another clone, a forgotten eval()."""

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.explaining import explained, weigh, weighbridge
from tests.project import commit, copy_project, edit_params, git
from tests.tiny_onnx import MODEL, only_this_net, write_net
from weighbridge.process.torchvision_operators import define_missing_operators

ABSENT = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(ABSENT), reason=f"not installed: {', '.join(ABSENT)}")]

RECIPE = "digits-32"
LONG = "WEIGHBRIDGE_LONG_TESTS"


PROVIDERS = "param.model.computing.providers"


def bicubic(params: Any) -> None:
    """Also the provider by name that is taken anyway."""
    params["recipes"][RECIPE]["resize"]["interpolation"] = "bicubic"
    params["models"][MODEL]["computing"] = {"providers": ["CPUExecutionProvider"]}


def found_batches(params: Any) -> None:
    only_this_net(params)
    params["models"][MODEL]["batch_size"] = "auto"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, a.json and b.json: another interpolation, and another commit of the code that does the same."""
    project = copy_project(tmp_path_factory.mktemp("explained") / "here", found_batches)
    write_net(project / "net.onnx")
    commit(project)
    weigh(project, MODEL, RECIPE, "a.json")
    edit_params(project, bicubic)
    with (project / "stages/infer.py").open("a") as file:
        file.write("ANOTHER_COMMIT = True\n")  # a comment would be no other code
    commit(project)
    weigh(project, MODEL, RECIPE, "b.json")
    return project


@pytest.fixture(scope="module")
def found(project: Path) -> dict:
    return explained(project, "--html", "page.html")


def test_the_interpolation_alone_is_proven_both_ways_and_another_commit_is_cleared(project: Path, found: dict) -> None:
    assert (found["verdict"], found["grade"]) == ("proven", "bits")
    assert found["minimal"] == ["param.recipe.resize.interpolation"]
    assert {factor["name"] for factor in found["factors"]} == {"param.recipe.resize.interpolation", PROVIDERS, "code"}
    assert "<svg" in (project / "page.html").read_text()


def test_a_batch_size_that_was_found_is_recorded_as_the_number(project: Path) -> None:
    run = json.loads((project / "a.json").read_text())
    assert run["params"]["model.batch_size"] in {2**power for power in range(7)}
    assert "model.batch_size" not in run["environment"]


def test_explaining_again_runs_nothing_again(project: Path, found: dict) -> None:
    done = weighbridge(
        project, "explain", "a.json", "b.json", "--trust", "--certificate", "again.json", "--max-runs", "1"
    )
    assert "run 1 of" not in done.stderr
    assert (project / "again.json").read_bytes() == (project / "certificate.json").read_bytes()


def test_a_certificate_verifies_in_a_fresh_clone_and_changed_by_one_byte_does_not(
    project: Path, found: dict, tmp_path: Path
) -> None:
    git(project, "clone", "-q", str(project), str(tmp_path / "clone"))
    cache = f"[cache]\n    dir = {project / '.dvc/cache'}\n"  # a cache that several clones share
    (tmp_path / "clone/.dvc/config.local").write_text(cache)
    content = (project / "certificate.json").read_bytes()
    (tmp_path / "certificate.json").write_bytes(content)
    done = weighbridge(tmp_path / "clone", "verify", str(tmp_path / "certificate.json"))
    assert done.returncode == 3  # its hybrids run a factory, which is a program
    assert "the same bits" not in done.stdout
    done = weighbridge(tmp_path / "clone", "verify", "--trust", str(tmp_path / "certificate.json"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("the same bits") == 4
    (tmp_path / "certificate.json").write_bytes(content.replace(b'"band": 0', b'"band": 1'))
    done = weighbridge(tmp_path / "clone", "verify", str(tmp_path / "certificate.json"))
    assert done.returncode == 2
    assert "was changed after it was written" in done.stderr


def untrained(params: Any) -> None:
    network = {"framework": "torchvision", "architecture": "resnet18", "weights": "net.safetensors", "recipe": RECIPE}
    params["pretrain"], params["models"], params["backend_parity"] = {}, {MODEL: network}, {}


@pytest.fixture
def batchnorms(tmp_path: Path) -> Path:
    """A project with a network of BatchNorm layers, untrained."""
    torch = pytest.importorskip("torch")
    define_missing_operators()
    torchvision = pytest.importorskip("torchvision")
    from safetensors.torch import save_file

    project = copy_project(tmp_path / "here", untrained)
    torch.manual_seed(0)
    save_file(torchvision.models.resnet18(num_classes=10).state_dict(), project / "net.safetensors")
    return project


@pytest.mark.skipif(LONG not in os.environ, reason=f"takes five minutes on two cores; set {LONG} to run it")
def test_a_forgotten_eval_is_proven_down_to_the_first_batchnorm(batchnorms: Path) -> None:
    weigh(batchnorms, MODEL, RECIPE, "b.json")
    edit_params(batchnorms, lambda params: params["inference"].update(mode="training", layout="channels_last"))
    weigh(batchnorms, MODEL, RECIPE, "c.json")
    proven = explained(batchnorms, "--grade", "decisions", runs=("b.json", "c.json"))
    assert (proven["verdict"], proven["minimal"]) == ("proven", ["param.inference.mode"])
    assert {factor["name"] for factor in proven["factors"]} == {"param.inference.mode", "param.inference.layout"}
    assert proven["places"]["B"]["infer"]["at"] == "bn1"

"""Adapters say what they are: everything that has to know of them asks them, and finds them by looking."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.import_graph import ROOT
from tracking.capture.environment import COMPUTING
from tracking.capture.packages import INSTALLED_AS
from tracking.runs.errors import UserError
from weighbridge.frameworks import find_adapter, frameworks
from weighbridge.networks.adapters import runtimes
from weighbridge.params import networks
from weighbridge.params.networks import backends


def test_every_public_module_beside_the_door_is_an_adapter() -> None:
    files = {path.stem for path in (ROOT / "weighbridge/frameworks").glob("*.py") if not path.stem.startswith("_")}
    assert set(frameworks()) == files


@pytest.mark.parametrize("framework", frameworks())
def test_an_adapter_of_this_project_names_backends_and_libraries_that_are_recorded(framework: str) -> None:
    adapter = find_adapter(framework)
    assert adapter.backends
    assert set(adapter.backends) <= COMPUTING.keys()
    assert set(adapter.libraries) <= INSTALLED_AS.keys()
    assert {f"{framework}-{backend}" for backend in adapter.backends} <= runtimes().keys()


def test_asking_all_adapters_what_they_are_imports_no_framework() -> None:
    code = "import sys; from weighbridge.networks.adapters import runtimes; runtimes(); print(*sys.modules)"
    seen = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    libraries = {"torch", "tensorflow", "keras", "jax", "onnx", "onnxruntime", "timm", "transformers", "ai_edge_litert"}
    assert libraries & set(seen.split()) == set()


def test_params_read_the_backends_that_the_adapters_have() -> None:
    assert backends() == {framework: find_adapter(framework).backends for framework in frameworks()}


def test_a_file_beside_the_adapters_that_declares_nothing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "caffe.py").write_text("ADAPTER = Adapter(backends=BACKENDS_OF['caffe'])\n")
    monkeypatch.setattr(networks, "_ADAPTERS", tmp_path)
    with pytest.raises(UserError, match=r"caffe\.py: an adapter says what it is"):
        networks.backends.__wrapped__()


def test_an_unknown_framework_is_named_by_whoever_loads_it() -> None:
    with pytest.raises(UserError, match="unknown framework 'caffe'; known: factory, keras"):
        find_adapter("caffe")

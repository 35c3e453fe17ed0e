"""What training scripts and libraries really save: wrappers, prefixes, shards, half precision; all of it, or a word about it."""

import argparse
import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from tracking.runs.errors import UserError  # noqa: E402
from weighbridge.frameworks import _torch_weights  # noqa: E402
from weighbridge.weights.files import load_tensors, save_tensors  # noqa: E402
from weighbridge.weights.parts import files_beside  # noqa: E402
from weighbridge.weights.readers import RefusedError, torch_state  # noqa: E402


def network(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    nn = torch.nn
    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 5))


def state(module: Any) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in module.state_dict().items()}


def saved(folder: Path, tensors: dict[str, np.ndarray]) -> Path:
    save_tensors(tensors, folder / "w.safetensors")
    return folder / "w.safetensors"


def loaded(path: Path) -> dict[str, str]:
    """The facts of loading into another network, which then has the weights of the first."""
    module = network(seed=1)
    done = _torch_weights.load_state(module, path)
    assert all(np.array_equal(value, state(network())[name]) for name, value in state(module).items())
    assert all(str(path) in each.sentence for each in done)
    return {each.fact: each.value for each in done}


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "_orig_mod.module.", "model.", "model._orig_mod.", "net.backbone.0."]
)
def test_a_prefix_that_all_names_share_comes_off_and_is_named(prefix: str, tmp_path: Path) -> None:
    path = saved(tmp_path, {prefix + name: value for name, value in state(network()).items()})
    assert loaded(path) == {"model.weights.prefix": prefix}


def test_weights_that_fit_as_they_are_are_left_alone(tmp_path: Path) -> None:
    assert loaded(saved(tmp_path, state(network()))) == {}


@pytest.mark.parametrize("word", ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"])
def test_what_wrappers_put_inside_some_names_comes_off(word: str, tmp_path: Path) -> None:
    named = {name.replace("1.", f"1.{word}."): value for name, value in state(network()).items()}
    assert loaded(saved(tmp_path, named)) == {"model.weights.prefix": f"{word}."}
    named = {f"model.{name}": value for name, value in named.items()}
    assert loaded(saved(tmp_path, named)) == {"model.weights.prefix": f"{word}. model."}


def test_a_prefix_that_belongs_to_the_network_stays(tmp_path: Path) -> None:
    wrapped = torch.nn.Sequential(OrderedDict(module=network()))
    assert _torch_weights.load_state(wrapped, saved(tmp_path, state(wrapped))) == ()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda named: named | {"criterion.weight": np.ones(5, np.float32)}, "unexpected: criterion.weight"),
        (lambda named: {name: value for name, value in named.items() if "3.bias" not in name}, "missing: 3.bias"),
        (lambda named: named | {"model.3.bias": np.ones(6, np.float32)}, r"another shape: 3.bias \(6,\) not \(5,\)"),
    ],
    ids=["more", "less", "other"],
)
def test_a_prefix_never_makes_a_partial_load(spoil: Any, said: str, tmp_path: Path) -> None:
    named = {f"model.{name}": value for name, value in state(network()).items()}
    with pytest.raises(UserError, match=rf"w\.safetensors: weights of another architecture; .*{said}"):
        _torch_weights.load_state(network(), saved(tmp_path, spoil(named)))


HALVES = {"state_dict": {"w": torch.ones(2)}, "epoch": 3}
BESIDE = {
    "a Lightning checkpoint": {
        "pytorch-lightning_version": "2.5.0",
        "callbacks": {
            "ModelCheckpoint{'monitor': 'loss'}": {"best_model_score": torch.tensor(0.9), "dirpath": Path("x")}
        },
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 0.1}]}],
        "hyper_parameters": {"width": 4},
    },
    "NumPy numbers": {"best_acc1": np.float64(76.1), "seen": np.int64(9), "flags": [np.bool_(True), np.float32(2)]},
    "NumPy arrays": {"history": np.arange(3.0), "names": np.array(["a", "b"])},
    "an optimiser": {
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": []},
        "step": torch.tensor(7),
    },
}


@pytest.mark.parametrize("beside", BESIDE)
def test_harmless_values_beside_the_weights_pass(beside: str, tmp_path: Path) -> None:
    torch.save(HALVES | BESIDE[beside], tmp_path / "w.pth")
    tensors, notes = torch_state(tmp_path / "w.pth")
    assert tensors["w"].tolist() == [1, 1]
    assert notes["taken"] == "state_dict"


def test_a_namespace_beside_the_weights_is_refused_with_the_way_out(tmp_path: Path) -> None:
    torch.save(HALVES | {"args": argparse.Namespace(lr=0.1)}, tmp_path / "w.pth")
    with pytest.raises(RefusedError, match=r"asks for argparse\.Namespace.*write its weights alone: torch\.save\("):
        torch_state(tmp_path / "w.pth")


def test_the_only_entry_of_tensors_holds_the_weights_whatever_it_is_called(tmp_path: Path) -> None:
    torch.save({"generator": {"w": torch.ones(2)}, "epoch": 3}, tmp_path / "w.pth")
    assert torch_state(tmp_path / "w.pth")[1] == {"taken": "generator", "others": []}
    torch.save({"model": {"state_dict": {"w": torch.ones(2)}}}, tmp_path / "w.pth")
    assert torch_state(tmp_path / "w.pth")[1]["taken"] == "model/state_dict"
    torch.save({"student": {"w": torch.ones(2)}, "teacher": {"w": torch.ones(2)}}, tmp_path / "w.pth")
    with pytest.raises(RefusedError, match="holds no tensors by name; its entries: student, teacher"):
        torch_state(tmp_path / "w.pth")


def sharded(folder: Path) -> Path:
    tensors = state(network())
    names = sorted(tensors)
    parts = {"model-1.safetensors": names[:3], "model-2.safetensors": names[3:]}
    for file, held in parts.items():
        save_tensors({name: tensors[name] for name in held}, folder / file)
    index = {"metadata": {}, "weight_map": {name: file for file, held in parts.items() for name in held}}
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps(index))
    return path


def test_shards_are_read_by_their_index_or_by_their_folder(tmp_path: Path) -> None:
    index = sharded(tmp_path)
    assert loaded(index) == {}
    assert load_tensors(tmp_path).keys() == state(network()).keys()
    assert [path.name for path in files_beside(index)] == ["model-1.safetensors", "model-2.safetensors"]


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("model-3.safetensors", r"model-3\.safetensors: not found; model\.safetensors\.index\.json names it"),
        ("model-1.safetensors", r"model-[12]\.safetensors: holds other tensors than .* says: 3\.weight"),
        ("../w.safetensors", r"names a file elsewhere \('\.\./w\.safetensors'\)"),
        ("/etc/hostname", "names a file elsewhere"),
    ],
)
def test_an_index_that_is_not_true_is_refused(file: str, said: str, tmp_path: Path) -> None:
    path = sharded(tmp_path)
    index = json.loads(path.read_text())
    index["weight_map"]["3.weight"] = file
    path.write_text(json.dumps(index))
    with pytest.raises(UserError, match=said):
        load_tensors(path)


@pytest.mark.parametrize("kind", [np.float16, np.float64])
def test_weights_of_another_precision_take_the_place_of_the_networks(kind: type, tmp_path: Path) -> None:
    stored = {
        name: value.astype(kind) if value.dtype == np.float32 else value for name, value in state(network()).items()
    }
    module = network(seed=1)
    assert _torch_weights.load_state(module, saved(tmp_path, stored)) == ()
    assert {value.dtype for name, value in state(module).items() if "num" not in name} == {np.dtype(np.float32)}
    assert np.array_equal(state(module)["3.weight"], stored["3.weight"].astype(np.float32))

"""Ways of computing that are asked for: each changes what it says, or is refused in one line; no bits of a CPU are assumed."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from tracking.runs.errors import UserError  # noqa: E402
from weighbridge.frameworks import Spec, _torch_computing, _torch_devices  # noqa: E402
from weighbridge.frameworks._torch import TorchNetwork  # noqa: E402
from weighbridge.networks.layer_outputs import Recorder  # noqa: E402
from weighbridge.networks.watching import record_layers  # noqa: E402

IMAGES = np.random.default_rng(0).normal(size=(8, 12, 12, 3)).astype(np.float32)


def network(seed: int = 0) -> TorchNetwork:
    torch.manual_seed(seed)
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)]
    module = nn.Sequential(*layers)
    with torch.no_grad():
        module[-1].weight *= 20  # an easy task: far from ties
    return TorchNetwork(module, "cpu")


PLAIN = network().predict(IMAGES)


def asked(**computing: Any) -> TorchNetwork:
    made = network()
    made.compute(computing)
    return made


@pytest.mark.parametrize("precision", ["bf16", "fp16", "amp-bf16", "amp-fp16"])
def test_half_precision_gives_other_bits_and_the_same_decisions(precision: str) -> None:
    made = asked(precision=precision)
    scores = made.predict(IMAGES)
    kinds = {each.dtype for each in made.module.parameters()}
    assert kinds == ({torch.float32} if precision.startswith("amp") else {getattr(torch, LONG[precision])})
    assert scores.dtype == np.float32
    assert not np.array_equal(scores, PLAIN)
    assert (scores.argmax(axis=1) == PLAIN.argmax(axis=1)).all()


LONG = {"bf16": "bfloat16", "fp16": "float16"}


@pytest.mark.skipif(not _torch_computing.int8_engines(), reason="this CPU has no engine for int8")
def test_int8_layers_give_other_bits_the_same_decisions_and_keep_the_weights_that_were_loaded() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = asked(quantisation="int8-dynamic")
    assert not np.array_equal(made.predict(IMAGES), PLAIN)
    assert (made.predict(IMAGES).argmax(axis=1) == PLAIN.argmax(axis=1)).all()
    assert all(np.array_equal(value, network().weights()[name]) for name, value in made.weights().items())


def test_what_a_network_or_a_machine_has_not_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="ask for quantisation or for bf16"):
        asked(quantisation="int8-dynamic", precision="bf16")
    with pytest.raises(UserError, match="Sequential has no linear layer"):
        TorchNetwork(nn.Sequential(nn.Conv2d(3, 4, 3)), "cpu").compute({"quantisation": "int8-dynamic"})
    monkeypatch.setattr(_torch_computing, "int8_engines", list)
    with pytest.raises(UserError, match="this CPU has no engine for it"):
        asked(quantisation="int8-dynamic")


def test_a_compiled_network_is_asked_compiled_and_watched_as_it_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a backend that compiles nothing, since compilers are not everywhere."""
    passed: list[str] = []

    def backend(graph: Any, _inputs: Any) -> Any:
        passed.append("compiled")
        return graph.forward

    compile_ = torch.compile

    def counting(function: Any, mode: str) -> Any:
        passed.append(mode)
        return compile_(function, backend=backend)

    monkeypatch.setattr(torch, "compile", counting)
    made = asked(compile="default")
    assert np.allclose(made.predict(IMAGES), PLAIN, atol=1e-4)
    assert passed == ["default", "compiled"]
    recorder = Recorder(len(IMAGES), 8)
    assert record_layers(made, IMAGES, Path("net"), recorder) is None
    assert [layer.name for layer in recorder.layers][:3] == ["0", "1", "2"]
    assert made.features(IMAGES).shape == (8, 8)
    with pytest.raises(UserError, match="is not exported"):
        made.export(Path(), (12, 12, 3))


def test_a_compiler_that_is_not_there_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def backend(_graph: Any, _inputs: Any) -> Any:
        raise RuntimeError("no C++ compiler")

    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, mode: compile_(function, backend=backend))
    with pytest.raises(UserError, match=r"torch\.compile cannot compile it here .*no C\+\+ compiler") as caught:
        asked(compile="default").predict(IMAGES)
    assert "\n" not in str(caught.value)


def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def test_a_device_is_taken_by_name_and_one_that_is_not_there_is_named_with_those_that_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    two_gpus(monkeypatch)
    chosen = [_torch_devices.configure(None, 0, asked) for asked in ("auto", "cpu", "cuda", "cuda:1")]
    assert chosen == ["cuda", "cpu", "cuda", "cuda:1"]
    with pytest.raises(
        UserError, match="torch sees no such device here; set it to auto or to one of: cpu, cuda:0, cuda:1"
    ):
        _torch_devices.configure(None, 0, "cuda:2")
    monkeypatch.undo()
    with pytest.raises(UserError, match="device is xpu:7"):
        _torch_devices.configure(None, 0, "xpu:7")


@pytest.mark.parametrize("given", [IMAGES, np.array([[3, 4, -1]], np.int32)], ids=["images", "tokens"])
def test_a_gpu_gets_from_pinned_memory_what_the_cpu_gets(given: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[bool] = []
    empty = torch.empty

    def noting(*shape: Any, pin_memory: bool, **kind: Any) -> Any:
        pinned.append(pin_memory)
        return empty(*shape, **kind)

    plain = _torch_devices.batch_of(given, "cpu")
    monkeypatch.setattr(torch, "empty", noting)
    monkeypatch.setattr(_torch_devices, "sends_ahead", lambda _device: True)
    sent = _torch_devices.batch_of(given, "cpu")
    assert pinned == [True]
    assert torch.equal(sent, plain)
    assert (sent.dtype, sent.is_contiguous()) == (plain.dtype, True)


def test_a_batch_that_was_sent_ahead_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    made = network()
    assert made.send is None  # on a CPU there is nothing to be gained
    monkeypatch.setattr("weighbridge.frameworks._torch.sends_ahead", lambda _device: True)
    assert made.send is not None
    assert made.predict(made.send(IMAGES)).tobytes() == PLAIN.tobytes()


def test_a_full_device_is_a_lack_of_memory_and_no_unusable_batch() -> None:
    def full(_module: Any, _batch: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(MemoryError):
        TorchNetwork(nn.Linear(2, 2), "cpu", ask=full).predict(IMAGES)


# ---- ONNX Runtime


def program(folder: Path, device: str = "cpu", **computing: Any) -> Any:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    from tests.tiny_onnx import write_net
    from weighbridge.frameworks import onnx as adapter

    write_net(folder / "net.onnx")
    spec = Spec("onnx", "onnxruntime", "net", {}, 10, 32, folder / "net.onnx", 1, 0, device, computing=computing)
    return adapter.load(spec)


def test_graph_level_and_providers_in_force_are_facts(tmp_path: Path) -> None:
    found = program(tmp_path, graph_level="disabled", providers=["CPUExecutionProvider"]).in_force
    assert found == {"model.providers": "CPUExecutionProvider", "model.graph_level": "ORT_DISABLE_ALL"}
    assert program(tmp_path).in_force["model.graph_level"] == "ORT_ENABLE_ALL"


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"providers": ["AbacusExecutionProvider"]}, r"no AbacusExecutionProvider; it has .*CPUExecutionProvider"),
        ({"graph_level": "wild"}, r"no ORT_ENABLE_WILD; it has ORT_DISABLE_ALL, .*ORT_ENABLE_ALL"),
        ({"device": "mps"}, r"no such device; providers that it has are named under computing\.providers"),
    ],
)
def test_what_an_onnxruntime_has_not_is_named_with_what_it_has(
    how: Mapping[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=words):
        program(tmp_path, **how)

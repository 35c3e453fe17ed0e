"""The isolation check finds and names what leaks from one use of a model into another, and invents nothing."""

import socket
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from stages.isolation_check import serving as _serving  # noqa: E402
from stages.isolation_check.__main__ import isolation_check  # noqa: E402
from stages.isolation_check.scenarios import ModelUnderTest  # noqa: E402
from tests.stages.isolation_check.leaking_networks import (  # noqa: E402
    HERE,
    RECIPE,
    InPlace,
    LeftInTraining,
    MeanOfBatch,
    ObeysASwitch,
    SharedGlobal,
    TurnsASwitch,
    export_by_trace,
    found,
    network,
    over_http,
    samples,
)
from tracking.runs.errors import UserError  # noqa: E402
from tracking.runs.findings import Finding  # noqa: E402
from weighbridge.frameworks import Spec, load  # noqa: E402
from weighbridge.frameworks._torch import TorchNetwork  # noqa: E402
from weighbridge.images.samples import SampleSet  # noqa: E402
from weighbridge.networks.score_differences import (  # noqa: E402
    SCENARIOS,
    CannotBeAskedError,
    compare_scores,
    spread_batches,
    verdict,
)
from weighbridge.params.isolation_check import IsolationCheck  # noqa: E402
from weighbridge.weights.files import save_tensors  # noqa: E402

FACTORY = "tests/conformance/tiny_network.py:tiny_network"
nn = torch.nn


def cause(finding: Finding) -> str:
    assert finding.verdict == "fail", finding.sentence
    return str(finding.evidence["cause"])


@pytest.mark.parametrize("seed", range(50))
def test_of_a_healthy_model_nothing_is_invented(seed: int) -> None:
    layers = [nn.Dropout(0.5), nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.GELU(), nn.Identity()]

    def healthy() -> TorchNetwork:
        return network(seed, *(layers[i] for i in np.random.default_rng(seed).permutation(5)[: seed % 5 + 1]))

    ways = {"export": over_http(healthy().predict), "serve": over_http(healthy().predict)}
    said = found(healthy, [*HERE[1:], *ways], **ways)
    assert {f.verdict.value for f in said.values()} == {"pass"}, [f.sentence for f in said.values()]


def test_preprocessing_in_place_is_found_when_an_array_is_used_twice() -> None:
    said = found(lambda: InPlace(network().module, "cpu"), HERE[1:])
    assert cause(said["repeated"]) == "in-place"
    assert "edited in place, by up to" in said["repeated"].sentence
    assert said["order"].verdict == "pass"  # everyone with an array of his own is safe


def test_another_model_that_edits_a_shared_array_is_found() -> None:
    said = found(network, other=lambda: InPlace(network(1).module, "cpu"))
    assert cause(said["interleaved"]) == "in-place"
    assert {name for name, f in said.items() if f.verdict == "fail"} == {"interleaved"}


def test_a_shared_global_is_found_when_another_model_is_loaded() -> None:
    said = found(lambda: SharedGlobal(network().module, 1.0), other=lambda: SharedGlobal(network(1).module, 3.0))
    assert cause(said["interleaved"]) == "shared-state"
    assert said["alone"].verdict == said["repeated"].verdict == "pass"


def test_a_switch_of_the_framework_that_another_model_turns_is_named() -> None:
    try:
        said = found(
            lambda: ObeysASwitch(network().module, "cpu"), other=lambda: TurnsASwitch(network(1).module, "cpu")
        )
    finally:
        torch.use_deterministic_algorithms(False)
    assert cause(said["interleaved"]) == "shared-state"
    assert "torch.deterministic: False -> True" in said["interleaved"].sentence


def test_weights_shared_with_another_model_are_named() -> None:
    mine = network()

    def other() -> TorchNetwork:
        for shared in mine.module.parameters():
            shared.data.mul_(2)
        return mine

    said = found(lambda: mine, ["repeated", "interleaved"], other=other)
    assert cause(said["interleaved"]) == "weights-moved"
    assert "6 of its weights and buffers moved" in said["interleaved"].sentence


def test_a_model_left_in_training_mode_depends_on_its_companions() -> None:
    said = found(lambda: LeftInTraining(network().module, "cpu"), ["batch", "order"])
    assert {cause(f) for f in said.values()} == {"training-mode"}


def test_scores_that_depend_on_companions_are_found_in_inference_mode_too() -> None:
    said = found(lambda: MeanOfBatch(network().module, "cpu"), ["repeated", "batch", "order"])
    assert cause(said["batch"]) == cause(said["order"]) == "companions"
    assert said["repeated"].verdict == "pass"


def test_dropout_left_on_is_told_from_everything_else() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(48, 5))
    said = found(lambda: LeftInTraining(module, "cpu"), ["repeated", "order"])
    assert {cause(f) for f in said.values()} == {"chance"}


class Drifting(TorchNetwork):
    """Adds 0.01 more at every call, by a number that it keeps beside its weights."""

    calls = 0

    def predict(self, images: np.ndarray) -> np.ndarray:
        self.calls += 1
        return super().predict(images) + np.float32(0.01 * self.calls)


def test_answers_that_drift_from_call_to_call_are_not_called_chance() -> None:
    said = found(lambda: Drifting(network().module, "cpu"), ["repeated", "order"])
    assert {cause(f) for f in said.values()} == {"drift"}
    assert "a fresh copy gives the first answer again" in said["repeated"].sentence


def test_chance_is_no_drift_where_loading_sets_the_seed() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(48, 5))

    def fresh() -> TorchNetwork:
        torch.manual_seed(0)
        return LeftInTraining(module, "cpu")

    assert cause(found(fresh, ["repeated"])["repeated"]) == "chance"


def test_shared_state_is_said_to_be_named_by_elimination() -> None:
    said = found(lambda: SharedGlobal(network().module, 1.0), other=lambda: SharedGlobal(network(1).module, 3.0))
    assert "No other cause shows, so by elimination" in said["interleaved"].sentence


def test_a_failure_stays_one_where_its_cause_cannot_be_looked_for() -> None:
    loaded: list[TorchNetwork] = []

    def fresh() -> TorchNetwork:
        if loaded:
            raise CannotBeAskedError("the weights file is gone")
        loaded.append(MeanOfBatch(network().module, "cpu"))
        return loaded[0]

    subject = ModelUnderTest(fresh, network, samples(), [slice(0, 8)], 2, {"serve": over_http(network(7).predict)})
    asked = IsolationCheck(
        models=None, scenarios=["serve"], samples=8, one_by_one=2, max_score_difference=1e-4, seconds=60
    )
    (finding,) = isolation_check("m", subject, np.zeros((8, 5), np.float32), asked)
    assert cause(finding) == "unknown"
    assert "the weights file is gone" in finding.sentence


def test_an_export_in_training_mode_is_found() -> None:
    said = found(
        network, ["export"], export=lambda _c, b: np.concatenate([network().forward(i, training=True) for i in b])
    )
    assert cause(said["export"]) == "training-mode"


def test_a_client_that_scales_otherwise_is_found() -> None:
    raw = RECIPE.model_copy(update={"scale": "0..255", "normalise": None})
    images = SampleSet(samples().names, samples().labels, samples().inputs, samples().classes, raw).images()
    said = found(
        network,
        ["serve"],
        serve=lambda *_: np.concatenate([network().predict(images[:8]), network().predict(images[8:16])]),
    )
    assert cause(said["serve"]) == "inputs"
    assert "none: raw 0..255" in said["serve"].sentence


def test_a_client_that_sends_bgr_is_found() -> None:
    flipped = over_http(lambda images: network().predict(images[..., ::-1]))
    said = found(network, ["serve"], serve=flipped)
    assert cause(said["serve"]) == "inputs"


def test_other_weights_behind_the_server_have_no_known_cause() -> None:
    said = found(network, ["serve"], serve=over_http(network(7).predict))
    assert cause(said["serve"]) == "unknown"
    assert said["serve"].evidence["first"][0][0] == "0"


def test_what_a_model_cannot_do_is_skipped_with_the_reason() -> None:
    def cannot(*_: object) -> np.ndarray:
        raise CannotBeAskedError("it has no export")

    said = list(
        isolation_check(
            "m",
            ModelUnderTest(network, network, samples(), [slice(0, 8)], 2, {"export": cannot}),
            np.zeros((8, 5), np.float32),
            IsolationCheck(
                models=None, scenarios=["export"], samples=8, one_by_one=2, max_score_difference=1e-4, seconds=60
            ),
        )
    )
    assert [f.verdict for f in said] == ["skip"]
    assert "it has no export" in said[0].sentence


def test_the_first_difference_is_named_with_image_class_and_both_scores() -> None:
    expected, got = np.zeros((3, 2), np.float32), np.zeros((3, 2), np.float32)
    got[1, 1], got[2, 1] = 0.25, 4
    difference = compare_scores(("a", "b", "c"), expected, got)
    assert difference.first == ("b", 1, 0.0, 0.25)
    assert (difference.largest, difference.flipped, difference.equal_bits) == (4.0, ("b", "c"), False)


def test_scores_that_are_no_numbers_are_a_difference() -> None:
    expected, got = np.zeros((1, 2), np.float32), np.full((1, 2), np.nan, np.float32)
    assert verdict(SCENARIOS["batch"], compare_scores(("a",), expected, got), 1e-3) == "fail"


def test_other_bits_are_a_warning_only_where_the_very_same_was_asked() -> None:
    expected, got = np.ones((1, 2), np.float32), np.ones((1, 2), np.float32) + np.float32(1e-6)
    difference = compare_scores(("a",), expected, got)
    assert verdict(SCENARIOS["repeated"], difference, 1e-3) == "warn"
    assert verdict(SCENARIOS["batch"], difference, 1e-3) == "pass"


@pytest.mark.parametrize(
    ("total", "size", "most", "wanted"),
    [
        (540, 64, 128, [(0, 64), (448, 512)]),
        (540, 64, 10, [(0, 64)]),
        (20, 64, 128, [(0, 20)]),
        (64, 32, 999, [(0, 32), (32, 64)]),
    ],
)
def test_batches_are_whole_and_spread(total: int, size: int, most: int, wanted: list[tuple[int, int]]) -> None:
    assert [(b.start, b.stop) for b in spread_batches(total, size, most)] == wanted


def test_a_model_that_breaks_elsewhere_fails_and_is_not_skipped() -> None:
    def dies(*_: object) -> np.ndarray:
        raise UserError("the fresh process died")

    said = found(network, ["reload"], reload=dies)
    assert cause(said["reload"]) == "breaks"


def said_of_export(export: Callable[[TorchNetwork, Path], None], path: Path) -> Finding:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    exported = network()
    exported.module.train()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of torch, about the mode
        export(exported, path)
    spec = Spec("onnx", "onnxruntime", "m", {}, 5, 4, path, 1, 0, "cpu")

    def in_a_new_session(_classifier: object, batches: list[np.ndarray]) -> np.ndarray:
        session = load(spec)
        return np.concatenate([session.predict(images) for images in batches])

    return found(network, ["export"], export=in_a_new_session)["export"]


def test_an_onnx_file_that_keeps_training_mode_is_found(tmp_path: Path) -> None:
    assert cause(said_of_export(export_by_trace, tmp_path / "model.onnx")) == "training-mode"


def test_the_adapters_exporter_writes_inference_mode_whatever_the_models(tmp_path: Path) -> None:
    said = said_of_export(lambda exported, path: exported.export(path.parent, (4, 4, 3)), tmp_path / "model.onnx")
    assert said.verdict == "pass", said.sentence


ECHO = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    body, more = b"", True
    while more:
        part = await receive()
        body, more = body + part["body"], part.get("more_body")
    import json
    sums = [[sum(map(float, image))] for image in json.loads(body)["inputs"]]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps({"predictions": sums}).encode()})
"""


def echo_server(folder: Path, port: int) -> list[str]:
    """The program that MLflow starts too, with another application."""
    (folder / "echo.py").write_text(ECHO)
    program = [sys.executable, "-m", "uvicorn", "--app-dir", str(folder), "--lifespan", "off", "echo:app"]
    return [*program, "--host", _serving.HOST, "--port", str(port)]


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((_serving.HOST, port)) == 0


def test_a_server_is_asked_in_bounded_requests_and_is_gone_after_an_interrupt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_serving, "VALUES_A_REQUEST", 6)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # nobody is there: it must not be asked
    port, batch = _serving.free_port(), np.arange(15, dtype=np.float32).reshape(5, 3)

    def asked_until_interrupted() -> None:
        with _serving.served(echo_server(tmp_path, port), port, tmp_path / "log", 60) as address:
            assert listens(port)
            assert _serving.post_all(address, [batch], 60).ravel().tolist() == batch.sum(axis=1).tolist()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asked_until_interrupted()
    assert not listens(port)


def test_a_port_that_was_taken_meanwhile_is_noticed_and_another_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as somebody:
        somebody.bind((_serving.HOST, 0))
        somebody.listen()
        ports = iter([somebody.getsockname()[1], _serving.free_port()])
        monkeypatch.setattr(_serving, "free_port", lambda: next(ports))
        monkeypatch.setattr(_serving, "save_for_mlflow", lambda *_: None)
        monkeypatch.setattr(_serving, "serve_command", lambda _model, port: echo_server(tmp_path, port))
        spec = Spec("m", "m", "m", {}, 1, 1, None, None, 0, "cpu")
        assert _serving.ask_server(spec, [np.ones((2, 3), np.float32)], 60).tolist() == [[3.0], [3.0]]
    assert list(ports) == []


@pytest.mark.slow
def test_a_network_behind_mlflow_gives_the_same_bits_and_a_wrong_client_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = Spec("factory", "torch", FACTORY, {"width": 8}, 5, 4, None, 1, 0, "cpu")
    save_tensors(load(spec).weights(), tmp_path / "weights.safetensors")
    spec = replace(spec, weights=tmp_path / "weights.safetensors")
    real, asked = _serving.post_all, {}

    def both(address: str, batches: list[np.ndarray], seconds: int) -> np.ndarray:
        asked["wrong"] = real(address, [images[..., ::-1] for images in batches], seconds)
        return real(address, batches, seconds)

    monkeypatch.setattr(_serving, "post_all", both)
    ways = {"serve": lambda _c, batches: _serving.ask_server(spec, batches, 300), "export": lambda *_: asked["wrong"]}
    said = found(lambda: load(spec), ["serve", "export"], **ways)
    assert said["serve"].evidence["equal_bits"]
    assert cause(said["export"]) == "inputs"

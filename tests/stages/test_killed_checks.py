"""A killed check goes on after the last part that it had, with the same bits; parts of other conditions are not believed."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

import weighbridge.process.partial

torch = pytest.importorskip("torch")

from stages.backend_check.__main__ import measure  # noqa: E402
from stages.backend_check.tasks import Reply, Request  # noqa: E402
from stages.isolation_check.__main__ import isolation_check  # noqa: E402
from stages.isolation_check.scenarios import ModelUnderTest  # noqa: E402
from stages.mode_check.__main__ import mode_check  # noqa: E402
from stages.transfer_check.__main__ import transfer_check  # noqa: E402
from stages.transfer_check.finetuning import NetworkSource  # noqa: E402
from stages.transfer_check.targets import Draws  # noqa: E402
from stages.transfer_check.verdicts import judge  # noqa: E402
from tests.stages.mode_check import moving_networks  # noqa: E402
from weighbridge.frameworks import Classifier  # noqa: E402
from weighbridge.frameworks._torch import TorchNetwork  # noqa: E402
from weighbridge.networks.kept_parts import Parts  # noqa: E402
from weighbridge.networks.preparations import PartialAnswers  # noqa: E402
from weighbridge.params.backend_check import BackendCheck  # noqa: E402
from weighbridge.params.isolation_check import IsolationCheck  # noqa: E402
from weighbridge.params.mode_check import Frozen, Shift  # noqa: E402
from weighbridge.params.transfer_check import Transfer  # noqa: E402

Keeping = Callable[[Classifier | None], Parts]
SAMPLES = moving_networks.samples()
SCENARIOS = ["alone", "repeated", "interleaved", "after_others", "batch", "order"]


class Killed(BaseException):
    """What no check catches."""


def network(seed: int = 0) -> TorchNetwork:
    return moving_networks.network(torch.nn.BatchNorm2d(3), torch.nn.Dropout(0.3), seed=seed)


def modes(keeping: Keeping) -> object:
    heads = Frozen(
        models=["m"],
        target={},
        shifts={"dark": Shift(offset=-0.3), "bright": Shift(offset=0.3)},
        samples=40,
        batch_size=8,
        epochs=1,
        seeds=[0],
    )
    params = moving_networks.PARAMS.model_copy(update={"frozen": heads, "black_batches": 2})
    return [*mode_check("m", network, SAMPLES, params, framework="torch", train=SAMPLES, keeping=keeping)]


def isolation(keeping: Keeping) -> object:
    subject = ModelUnderTest(network, lambda: network(1), SAMPLES, [slice(0, 8), slice(8, 16)], 6)
    params = IsolationCheck(
        models=None, scenarios=SCENARIOS, samples=16, one_by_one=6, max_score_difference=1e-4, seconds=60
    )
    return [*isolation_check("m", subject, subject.scores(network().predict), params, keeping)]


def transfer(keeping: Keeping) -> object:
    few = SAMPLES.shuffled(20)
    networks = NetworkSource(lambda: network(7), lambda seed: network(seed + 100))
    target = Draws({0: few, 1: replace(few, labels=few.labels[::-1].copy())}, few, 60)
    task = Transfer(learning_rates=[0.01], probed_rates=[0.01], scratch_rates=[0.05], cuts=1, epochs=2, seeds=[0, 1])
    study = transfer_check(task, networks, target, SAMPLES, 8, keeping)
    return [*judge("m", task, study)], study.sweep().to_csv()


def backends(keeping: Keeping) -> object:
    asked = BackendCheck(model="m", backends=["torch", "jax"], tasks=["mlp", "cnn"], repeats=5, steps=3)

    def answer(request: Request) -> Reply:
        scores = network(request.seed).predict(SAMPLES.images(slice(0, 4)))
        return Reply(float(request.steps), 1.0, float(np.abs(scores).max()), "weights")

    with keeping(None) as parts:
        return repr(measure(asked, {"torch": answer, "jax": answer}, parts))


CHECKS = {"mode_check": modes, "isolation_check": isolation, "transfer_check": transfer, "backend_check": backends}


# The batch in which it is killed, and the one that proves equal bits; situations, black images and mixed scenarios begin anew.
TWICE = {"mode_check": 4, "isolation_check": 8, "transfer_check": 4, "backend_check": 5}


class Watched:
    """Counts what is computed, and kills in the middle of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.parts: list[str] = []
        self.batches = 0
        self.last: int | None = None
        forward, kept = torch.nn.Linear.forward, PartialAnswers.keep

        def counted(layer: torch.nn.Linear, images: torch.Tensor) -> torch.Tensor:
            self.batches += 1
            if self.batches == self.last:
                raise Killed
            return forward(layer, images)

        def noted(partial: PartialAnswers, name: str, value: np.ndarray | str) -> None:
            self.parts += [] if name == "first" or name.endswith("random numbers") else [name]
            kept(partial, name, value)

        monkeypatch.setattr(torch.nn.Linear, "forward", counted)
        monkeypatch.setattr(PartialAnswers, "keep", noted)
        monkeypatch.setattr(weighbridge.process.partial, "SHARE", 0)  # each batch is kept, whatever it costs

    def run(self, check: Callable[[Keeping], object], folder: Path, conditions: str, last: int | None = None) -> str:
        """What the check says; empty where it was killed in that batch."""
        self.parts, self.batches, self.last = [], 0, last
        np.random.seed(0)
        try:
            found = check(lambda classifier: Parts(folder, conditions, classifier))
        except Killed:
            return ""
        return json.dumps(found, default=asdict)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(monkeypatch)


@pytest.mark.parametrize("name", CHECKS)
def test_a_killed_check_goes_on_and_says_the_same(name: str, watched: Watched, tmp_path: Path) -> None:
    check = CHECKS[name]
    whole = watched.run(check, tmp_path / "whole", "conditions")
    parts, batches = watched.parts, watched.batches
    assert len(set(parts)) == len(parts) >= 6
    for share in (0.3, 0.6, 0.9):
        assert watched.run(check, tmp_path / "killed", "conditions", last=int(share * batches)) == ""
        before, killed = watched.parts, watched.batches
        assert before
        assert watched.run(check, tmp_path / "killed", "conditions") == whole
        assert sorted(before + watched.parts) == sorted(parts)  # none twice
        assert killed + watched.batches - batches <= TWICE[name]
        assert not (tmp_path / "killed").exists()


@pytest.mark.parametrize("name", CHECKS)
def test_parts_of_other_conditions_are_computed_again(name: str, watched: Watched, tmp_path: Path) -> None:
    whole = watched.run(CHECKS[name], tmp_path / "whole", "conditions")
    parts, batches = watched.parts, watched.batches
    watched.run(CHECKS[name], tmp_path / "other", "others", last=int(0.9 * batches))
    assert watched.run(CHECKS[name], tmp_path / "other", "conditions") == whole
    assert watched.parts == parts

"""Canaries of a small network and of a recipe's steps: the same again, and another where something differs."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.layers import canary_rows, made_up, spaced, steps
from tests.weighbridge.images.pictures import recipe, write_pictures
from tracking.runs.canaries import Canary
from weighbridge.images.samples import SampleSet
from weighbridge.params.layers import Layers

PARAMS = Layers(inputs=24, kept=16, images=2)
SIDE = 20


@dataclass
class Linear:
    """A classifier whose inside cannot be seen; scores of a batch depend on its size by `by_batch`."""

    factor: float = 1.0
    by_batch: float = 0.0
    inside: Any = None
    device: str = "cpu"
    categories: None = None

    def predict(self, images: np.ndarray) -> np.ndarray:
        flat = images.reshape(len(images), -1)[:, :10]
        return np.float32(flat * self.factor + self.by_batch * len(images))

    def weights(self) -> dict[str, np.ndarray]:
        return {}


@pytest.fixture
def samples(tmp_path: Path) -> SampleSet:
    paths = write_pictures(tmp_path, 3)
    pixels = np.zeros((3, SIDE, SIDE, 3), np.uint8)
    return SampleSet(tuple(path.name for path in paths), np.arange(3), pixels, ("a", "b", "c"), recipe())


def rows(classifier: Any, samples: SampleSet, batch_size: int = 64) -> list[str]:
    return canary_rows(classifier, samples, Path("model.tflite"), batch_size, PARAMS)


def test_a_program_whose_layers_cannot_be_seen_has_its_scores_kept(samples: SampleSet) -> None:
    assert [row.partition(" ")[0] for row in rows(Linear(), samples)] == ["infer/inputs", "infer/scores"]
    assert rows(Linear(), samples) == rows(Linear(), samples)
    assert rows(Linear(), samples)[1] != rows(Linear(factor=1.0001), samples)[1]


def test_what_depends_on_the_batch_shows_in_small_batches(samples: SampleSet) -> None:
    assert rows(Linear(by_batch=1.0), samples, 8)[1] != rows(Linear(by_batch=1.0), samples, 16)[1]
    assert rows(Linear(), samples, 8) == rows(Linear(), samples, 16)


def test_layers_of_a_network_are_kept_in_their_order(samples: SampleSet) -> None:
    torch = pytest.importorskip("torch")
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(SIDE * SIDE * 3, 4), torch.nn.ReLU())

    class Seen(Linear):
        def predict(self, images: np.ndarray) -> np.ndarray:
            return np.asarray(network(torch.from_numpy(images)).detach().numpy())

    kept = [Canary.read(row).place for row in rows(Seen(inside=network), samples)]
    assert kept[0] == "inputs"
    assert kept[-2:] == ["2", "scores"]
    assert "1" in kept


def test_steps_of_the_recipe_are_kept_and_an_other_step_shows_where_it_is(samples: SampleSet, tmp_path: Path) -> None:
    changed = SampleSet(samples.names, samples.labels, samples.inputs, samples.classes, recipe(scale="-1..1"))
    ours, theirs = list(steps(tmp_path, samples, 2)), list(steps(tmp_path, changed, 2))
    places = [Canary.read(row).place for row in ours]
    assert (places[:2], places[-1]) == (["file", "decode"], "arithmetic")
    assert [place for place, a, b in zip(places, ours, theirs, strict=True) if a != b] == ["arithmetic"]
    assert list(steps(tmp_path, samples, 0)) == []


def test_made_up_inputs_never_change() -> None:
    images = made_up(4, (16, 16, 3), texts=False)
    assert hashlib.sha256(images.tobytes()).hexdigest()[:16] == "378fe7150b4043e3"
    assert (images.dtype, images.min() >= -2, images.max() <= 2) == (np.float32, True, True)
    texts = made_up(4, (6,), texts=True)
    assert hashlib.sha256(texts.astype("<i4").tobytes()).hexdigest()[:16] == "d96b26f309e5b34d"


def test_layers_are_spaced_logarithmically_with_both_ends() -> None:
    names = [str(number) for number in range(100)]
    chosen = [int(name) for name in spaced(names, 8)]
    assert (chosen[0], chosen[-1]) == (0, 99)
    assert len(chosen) <= 8
    assert np.all(np.diff(np.diff(chosen)) >= 0)
    assert spaced(names[:5], 8) == names[:5]

"""Canaries of a small network and of a recipe's steps: the same again, and another where something differs."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from stages.layers import steps
from tests.import_graph import ROOT
from tests.weighbridge.images.pictures import recipe, write_pictures
from tracking.runs.canaries import Canary, write
from weighbridge.images.samples import SampleSet
from weighbridge.networks.canary_rows import canary_rows, hand_over, handed_over, made_up, place_of, spaced
from weighbridge.networks.conditions import movable
from weighbridge.params.layers import Layers
from weighbridge.params.section import read
from weighbridge.params.written import plain_yaml

PARAMS = Layers(inputs=24, kept=16, images=2)
SIDE, NAMED = 20, "resnet18-torchvision"


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


@pytest.mark.parametrize("before", [7, 9, 100, 5000])
def test_a_row_is_the_same_whatever_was_written_before(before: int) -> None:
    write("step", "one", [np.ones(before, np.float32)])
    values = [np.arange(50, dtype=np.float32), np.arange(50, dtype=np.float32)[::-1] / 7]
    sizes = Canary.read(write("step", "one", values)).sizes
    signs = [
        np.unpackbits(np.frombuffer(hashlib.shake_256(f"signs {each}".encode()).digest(13), np.uint8))[:100] * 2.0 - 1
        for each in range(3)
    ]
    flat = np.concatenate(values).astype(np.float64)
    assert sizes == pytest.approx([np.sqrt(flat @ flat), *(flat @ each for each in signs)], rel=1e-6)


def test_layers_are_spaced_logarithmically_with_both_ends() -> None:
    names = [str(number) for number in range(100)]
    chosen = [int(name) for name in spaced(names, 8)]
    assert (chosen[0], chosen[-1]) == (0, 99)
    assert len(chosen) <= 8
    assert np.all(np.diff(np.diff(chosen)) >= 0)
    assert spaced(names[:5], 8) == names[:5]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with params, a weights file and what canaries depend on; it is the current one."""
    monkeypatch.chdir(tmp_path)
    params = {**YAML(typ="safe").load(ROOT / "params.yaml"), "backend_parity": {}}
    Path("params.yaml").write_text(plain_yaml(params))
    Path("weights").write_text("w")
    Path("code.json").write_text("{}")
    return tmp_path


def left(classifier: Any, samples: SampleSet, before: object = ()) -> list[str] | None:
    """What `infer` leaves of a model, and `layers` takes."""
    before = before or movable(classifier)
    place = place_of(NAMED, samples, Path("weights"), "code.json")
    hand_over(classifier, NAMED, samples, Path("weights"), place, before)
    return handed_over(place_of(NAMED, samples, Path("weights"), "code.json"))


@pytest.mark.usefixtures("project")
def test_canaries_that_infer_leaves_are_those_that_layers_would_make_and_are_taken_once(samples: SampleSet) -> None:
    own = canary_rows(Linear(), samples, Path("weights"), 64, read(Layers, "layers"))
    assert left(Linear(), samples) == own
    assert handed_over(place_of(NAMED, samples, Path("weights"), "code.json")) is None


@pytest.mark.usefixtures("project")
def test_no_canaries_are_left_of_a_network_that_is_another_than_when_it_was_loaded(samples: SampleSet) -> None:
    assert left(Linear(), samples, before=("another",)) is None


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("other", ["weights", "code", "params", "variable", "size"])
def test_canaries_of_other_conditions_are_not_taken(
    other: str, samples: SampleSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = place_of(NAMED, samples, Path("weights"), "code.json")
    hand_over(Linear(), NAMED, samples, Path("weights"), place, movable(Linear()))
    if other in ("weights", "code"):
        Path({"code": "code.json"}.get(other, other)).write_text("another")
    elif other == "params":
        text = Path("params.yaml").read_text()
        assert "kept: 16" in text
        Path("params.yaml").write_text(text.replace("kept: 16", "kept: 17"))
    elif other == "variable":
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    else:
        samples = replace(samples, inputs=np.zeros((3, SIDE, SIDE + 1, 3), np.uint8))
    assert handed_over(place_of(NAMED, samples, Path("weights"), "code.json")) is None


@pytest.mark.usefixtures("project")
def test_where_what_canaries_depend_on_is_not_at_hand_none_are_left(samples: SampleSet) -> None:
    assert place_of(NAMED, samples, Path("weights"), "code.json absent.json") is None


@pytest.mark.usefixtures("project")
def test_a_network_whose_layers_are_kept_for_a_pair_is_left_to_that_stage(samples: SampleSet) -> None:
    Path("params.yaml").write_text((ROOT / "params.yaml").read_text())
    assert left(Linear(), samples) is None

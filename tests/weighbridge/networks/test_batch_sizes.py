"""`batch_size: auto`: computed where it runs on a CPU, tried where a device can be full."""

from typing import Any

import numpy as np
import pytest

from tracking.runs.errors import UserError
from weighbridge.images.samples import SampleSet
from weighbridge.networks.batch_sizes import TIMES_INPUT, found_batch_size
from weighbridge.params.inference import Inference
from weighbridge.params.models import Model
from weighbridge.params.recipes import Recipe

COUNT, IMAGE = 50, 8 * 8 * 3 * 4  # bytes of an image when finished
SAMPLES = SampleSet(
    tuple(map(str, range(COUNT))), np.zeros(COUNT, np.int64), np.zeros((COUNT, 8, 8, 3), np.uint8), ("a",), Recipe()
)
MODEL = Model.model_validate(
    {"framework": "onnx", "architecture": "net", "weights": "net.onnx", "recipe": "r", "batch_size": "auto"}
)


class Device:
    """Has room for so many images at a time."""

    def __init__(self, device: str, room: int, problem: Exception) -> None:
        self.device, self.room, self.problem = device, room, problem
        self.asked: list[int] = []

    def predict(self, images: np.ndarray) -> np.ndarray:
        self.asked.append(len(images))
        if len(images) > self.room:
            raise self.problem
        return np.zeros((len(images), 2), np.float32)


def found(device: Any, memory: int = 10**12, model: Model = MODEL, **inference: Any) -> int | None:
    return found_batch_size(model, Inference(**inference), device, SAMPLES, lambda: memory)


@pytest.mark.parametrize(("images", "size"), [(0.5, 1), (1, 1), (3.9, 2), (8, 8), (10**6, 64)])
def test_on_a_cpu_it_is_the_largest_power_of_two_for_a_quarter_of_the_memory(images: float, size: int) -> None:
    device = Device("cpu", 10**6, MemoryError())
    assert found(device, int(4 * TIMES_INPUT * IMAGE * images)) == size
    assert device.asked == []


@pytest.mark.parametrize(
    "problem",
    [MemoryError("full"), UserError("RESOURCE_EXHAUSTED: no room"), RuntimeError("CUDA error: out of memory")],
)
def test_elsewhere_it_is_the_largest_that_has_room(problem: Exception) -> None:
    device = Device("cuda", 10, problem)
    assert found(device) == 8
    assert device.asked == [1, 2, 4, 8, 16]


def test_it_is_no_larger_than_all_samples_need() -> None:
    assert found(Device("cuda", 10**6, MemoryError())) == 64


def test_other_errors_are_not_taken_for_a_lack_of_room() -> None:
    with pytest.raises(UserError, match="wants 4 dimensions"):
        found(Device("cuda", 0, UserError("wants 4 dimensions")))
    with pytest.raises(UserError, match="no room for one sample"):
        found(Device("cuda", 0, MemoryError()))


def test_a_number_stays_and_training_mode_needs_one() -> None:
    number = MODEL.model_copy(update={"batch_size": 5})
    assert found(Device("cuda", 0, MemoryError()), model=number, mode="training") is None
    with pytest.raises(UserError, match="give batch_size a number"):
        found(Device("cuda", 10, MemoryError()), mode="training")

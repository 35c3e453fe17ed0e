"""Small networks and their data for timing backends: what the comparison of CNTK and TensorFlow under Keras timed in 2017.

An MLP, a convolutional network, a bidirectional LSTM and an embedding bag, each on scikit-learn's digits. For the bag every
digit becomes a text, one word for each of its 64 pixels that says where it is and how dark.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

LEVELS = 17  # of a pixel's darkness
CLASSES, SIDE = 10, 8
TEST_SAMPLES = 540


@dataclass(frozen=True)
class Request:
    """One repeat: train `task` from the weights that `seed` draws, then measure.

    Attributes:
        steps: mini-batches; 1 for the first call, which compiles.
        optimiser: `adam` or `sgd` (with momentum 0.9), as Keras has them.
    """

    task: str
    seed: int
    steps: int
    batch_size: int
    optimiser: str
    learning_rate: float


@dataclass(frozen=True)
class Reply:
    """What one backend measured.

    Attributes:
        seconds, cpu_seconds: of the training steps alone, by the clock and by the process.
        accuracy: on the held-out digits, after training.
        initial: sha256 of the weights before the first step.
    """

    seconds: float
    cpu_seconds: float
    accuracy: float
    initial: str


def data(task: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(inputs, labels, held-out inputs, their labels), the same everywhere."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    train, test = order[TEST_SAMPLES:], order[:TEST_SAMPLES]
    inputs, labels = _inputs(task, digits.images), digits.target.astype(np.int64)
    return inputs[train], labels[train], inputs[test], labels[test]


def _inputs(task: str, images: np.ndarray) -> np.ndarray:
    scaled = (images / (LEVELS - 1)).astype(np.float32)
    if task == "bag":
        return (np.arange(SIDE * SIDE) * LEVELS + images.reshape(len(images), -1)).astype(np.int32)
    if task == "cnn":
        return scaled[..., None]
    return scaled.reshape(len(images), -1) if task == "mlp" else scaled


def build(keras: Any, task: str) -> Any:
    """The network, with weights that will be replaced."""
    layers = keras.layers
    inputs, hidden = {
        "mlp": (keras.Input((SIDE * SIDE,)), [layers.Dense(256, "relu"), layers.Dense(256, "relu")]),
        "cnn": (
            keras.Input((SIDE, SIDE, 1)),
            [
                layers.Conv2D(32, 3, padding="same", activation="relu"),
                layers.Conv2D(32, 3, padding="same", activation="relu"),
                layers.MaxPooling2D(),
                layers.Conv2D(64, 3, padding="same", activation="relu"),
                layers.Flatten(),
            ],
        ),
        "bilstm": (keras.Input((SIDE, SIDE)), [layers.Bidirectional(layers.LSTM(32))]),  # row after row
        "bag": (
            keras.Input((SIDE * SIDE,), dtype="int32"),
            [layers.Embedding(SIDE * SIDE * LEVELS, 32), layers.GlobalAveragePooling1D()],
        ),
    }[task]
    outputs = inputs
    for layer in [*hidden, layers.Dense(CLASSES)]:
        outputs = layer(outputs)
    return keras.Model(inputs, outputs)


def initial_weights(shapes: list[tuple[int, ...]], seed: int) -> list[np.ndarray]:
    """Drawn by NumPy, so that every backend starts from the same: Glorot's uniform draw, and zeros for biases.

    X. Glorot and Y. Bengio 2010, https://proceedings.mlr.press/v9/glorot10a.html.
    """
    rng = np.random.default_rng(seed)
    return [_glorot(shape, rng) if len(shape) > 1 else np.zeros(shape, np.float32) for shape in shapes]


def _glorot(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    places = int(np.prod(shape[:-2]))
    limit = np.sqrt(6 / (places * (shape[-2] + shape[-1])))
    return rng.uniform(-limit, limit, shape).astype(np.float32)


def digest(weights: list[np.ndarray]) -> str:
    """The sha256 of all of them."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(each).tobytes() for each in weights)).hexdigest()


def batches(request: Request, samples: int) -> Iterator[np.ndarray]:
    """Rows of every mini-batch: one shuffle after another, from the request's seed."""
    rng = np.random.default_rng([request.seed, 1])
    rows: list[int] = []
    for _ in range(request.steps):
        while len(rows) < request.batch_size:
            rows += rng.permutation(samples).tolist()
        yield np.array(rows[: request.batch_size])
        rows = rows[request.batch_size :]

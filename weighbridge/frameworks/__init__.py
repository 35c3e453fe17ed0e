"""Frameworks behind one door: `load(spec)` imports the adapter named by `spec.framework` and no other.

An adapter is a module here whose name does not begin with an underscore. It has `load(spec)` and says what it is in `ADAPTER`; it
imports no framework at its top. Nothing else has to be told of it.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.frameworks._training import (
    SUMS,
    Epoch,
    FinishedImages,
    Images,
    KeptTraining,
    Training,
    batches_per_epoch,
    cosine_rate,
    epoch_batches,
)
from weighbridge.process.allocation import without_collecting
from weighbridge.weights.files import save_tensors

__all__ = [
    "SUMS",
    "Adapter",
    "Adjustable",
    "Behaved",
    "Behaviour",
    "Classifier",
    "Epoch",
    "Exportable",
    "Exported",
    "FinishedImages",
    "Images",
    "KeptTraining",
    "Network",
    "Spec",
    "Training",
    "batches_per_epoch",
    "cosine_rate",
    "epoch_batches",
    "find_adapter",
    "frameworks",
    "load",
    "save_weights",
]


@dataclass(frozen=True)
class Spec:
    """One network to be built in this process.

    Attributes:
        framework, backend: the adapter's file name, and what must compute (verified after import).
        architecture, arguments: the builder's name in the framework, and its keyword arguments.
        classes: how many scores the network gives.
        size: height of its images, in pixels, or the length of its texts, in tokens.
        width, channels: of its images; without a width they are square.
        weights: the file (or folder of files) to load, or None for a random start from `seed`.
        threads: of the framework inside one operation; None leaves it to the machine.
        device: `auto` takes a GPU where there is one; others insist (`cpu`, `cuda:1`, `mps`).
        sha256: of the weights file, as the user pinned it; it was verified. Files that hold code need it.
        checkpoint: the name under which the weights were published, `torchvision/ResNet50/IMAGENET1K_V2`.
        training: whether `predict` asks in training mode.
        layout: `channels_last` lays torch's weights out so; None leaves them as they are.
        computing: what is asked of how it computes, by a name of `weighbridge.params.computing`; the adapter knows these names.
    """

    framework: str
    backend: str
    architecture: str
    arguments: Mapping[str, Any]
    classes: int
    size: int
    weights: Path | None
    threads: int | None
    seed: int
    device: str
    sha256: str | None = None
    checkpoint: str | None = None
    training: bool = False
    layout: str | None = None
    width: int | None = None
    channels: int = 3
    computing: Mapping[str, Any] = field(default_factory=dict)

    @property
    def image(self) -> tuple[int, int, int]:
        """The shape of one image: height, width, channels."""
        return self.size, self.width or self.size, self.channels


class Classifier(Protocol):
    """A network that can be asked; `adjustments`, where it has it, is what was done so that its weights fit, and `in_force` facts
    of how it computes that are the framework's own choice where nothing was asked. `channels_first`, where it is true, says that
    images are best laid out in planes (`weighbridge.images.recipes.empty_images`); it moves no bit. `tensors`, where it has
    it, is as `weights` but not copied, for those who read it before anything changes it.

    Images are finished: float32, NHWC. Texts are token ids: int32, shape (samples, length), -1 where a text has ended; what a
    language model is asked about documents are rows of them (`weighbridge.texts.requests`).

    Attributes:
        device: where it really computes: `cpu`, `cuda`, `cuda:1`, `mps`.
        inside: the framework's own object, for those who ask about its layers; None for a compiled file.
        categories: what the weights' publisher calls the classes, in the order of the scores; None where nobody says.
    """

    device: str
    inside: Any
    categories: tuple[str, ...] | None

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Scores (logits, float32, shape (samples, classes)) of one batch; a language model's are of the next
        token, or of rows their log-likelihoods."""
        ...

    def weights(self) -> dict[str, np.ndarray]:
        """Every weight and buffer by name, copied."""
        ...


def tensors_of(classifier: Classifier) -> dict[str, np.ndarray]:
    """Every weight and buffer by name, to be read at once and never written: not copied where that can be spared."""
    return dict(getattr(classifier, "tensors", classifier.weights)())


@dataclass(frozen=True)
class Exported:
    """A finished program that was written: what loads it, and where it is."""

    framework: str
    backend: str
    path: Path


@runtime_checkable
class Exportable(Protocol):
    """A classifier that can be written as a finished program, the way the framework's users do it."""

    def export(self, folder: Path, sample: tuple[int, ...]) -> Exported:
        """Write the program for samples of this shape to `folder`: an image's height, width and number of channels.

        Raises:
            UserError: this backend has no such program.
        """
        ...


@dataclass(frozen=True)
class Behaved:
    """What one situation did to a copy of a network.

    Attributes:
        before, after: its weights and buffers, as `Classifier.weights` gives them.
        scores: of two passes over the same batch, one after the other; none where the situation is a training step.
        raised: the name of the exception with which the framework refused; empty where it did not.
    """

    before: Mapping[str, np.ndarray]
    after: Mapping[str, np.ndarray]
    scores: tuple[np.ndarray, ...] = ()
    raised: str = ""


Behaviour = Callable[[np.ndarray, np.ndarray], Behaved]


@runtime_checkable
class Adjustable(Protocol):
    """A classifier that is told after it was loaded how to compute."""

    def compute(self, asked: Mapping[str, Any]) -> None:
        """As `Spec.computing`.

        Raises:
            UserError: this framework, backend or machine cannot.
        """
        ...


@runtime_checkable
class Network(Classifier, Protocol):
    """A classifier whose inside can be reached: modes, features, training.

    Attributes:
        training: whether `predict` asks in training mode; False unless it is set.
    """

    training: bool

    def lay_out(self, layout: str) -> None:
        """Lay the weights out in memory as `layout` says.

        Raises:
            UserError: the framework has no such layout.
        """
        ...

    def forward(self, images: np.ndarray, *, training: bool, batchnorm: bool | None = None) -> np.ndarray:
        """Scores of one batch in training or inference mode, without a gradient step.

        `batchnorm` says whether the BatchNorm layers are in training mode; None leaves them as the rest is.
        """
        ...

    def features(self, images: np.ndarray, *, training: bool = False, batchnorm: bool | None = None) -> np.ndarray:
        """What the last layer sees, in a mode as of `forward`: float32, shape (samples, width)."""
        ...

    def restore(self, weights: Mapping[str, np.ndarray]) -> None:
        """Put back what `weights` gave, or another value of the same names and shapes."""
        ...

    def randomness(self) -> dict[str, bytes]:
        """The state of every random number generator that the framework keeps, by name."""
        ...

    def behaviours(self) -> Mapping[str, Behaviour]:
        """Situations that users bring a network into, by a name of `stages.mode_check.behaviours`; those its framework knows.

        Each takes one batch of images and labels, and acts on a copy of the network.
        """
        ...

    def freeze(self) -> None:
        """Make every weight untrainable, the way the framework's users do."""
        ...

    def trainable(self) -> set[str]:
        """The names, among those of `weights`, that training changes by gradient: no moving statistics, no counters."""
        ...

    def set_batchnorm_momentum(self, momentum: float | None) -> None:
        """Set what the moving statistics keep of the past at each step (Keras' convention: 0.99 keeps 99 %).

        None gives every layer its own again, which it had before the first call.
        """
        ...

    def retarget(self, classes: int, seed: int) -> "Network":
        """The same backbone (shared, not copied) under a new random last layer of `classes` scores.

        Raises:
            UserError: here, or when it is first asked: the layer that was replaced does not give the scores.
        """
        ...

    def hold(self, names: AbstractSet[str]) -> None:
        """Keep these weights and buffers as they are while `fit` trains the rest; those held before are let go.

        They get no gradient, and a layer whose own are all held runs in inference mode: BatchNorm's statistics stay.
        """
        ...

    def set_weights(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Give the weights and buffers of these names new values, of their shape."""
        ...

    def fit(self, images: Images, labels: np.ndarray, training: Training) -> None:
        """Train every trainable weight; what `training.kept` has of an earlier time is not done again."""
        ...


def save_weights(classifier: Classifier, spec: Spec, folder: Path) -> Spec:
    """Write the classifier's weights to `folder`, as a table of tensors; the spec that loads them."""
    save_tensors(classifier.weights(), folder / "model.safetensors")
    return replace(spec, weights=folder / "model.safetensors", sha256=None)


@dataclass(frozen=True)
class Adapter:
    """What an adapter says of itself, so that nothing else needs to know its name.

    Attributes:
        backends: what can compute for it, the default first; written out, for params read it from the source. What torch,
            TensorFlow, JAX, onnxruntime and LiteRT compute with is known (`tracking.capture.environment.COMPUTING`).
        libraries: what else takes part, as far as `tracking.capture.packages.INSTALLED_AS` knows it by name.
        packages: further installed packages that can move a number.
        variables: further environment variables (names or patterns) that can move a number.
        computing: the keys of `weighbridge.params.computing` that it knows; written out, as `backends`.
        program: whether its files are finished programs: they can only be asked, not written, trained or watched.
        save: writes a loaded classifier to a folder; the spec that loads it from there. Not asked of programs.
    """

    backends: tuple[str, ...]
    libraries: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    computing: tuple[str, ...] = ()
    program: bool = False
    save: Callable[[Classifier, Spec, Path], Spec] = save_weights


def frameworks() -> tuple[str, ...]:
    """The name of every adapter, sorted: the values that `framework` in `params.yaml` may have."""
    return tuple(sorted(each.name for each in pkgutil.iter_modules(__path__) if not each.name.startswith("_")))


def find_adapter(framework: str) -> Adapter:
    """What the adapter of `framework` says of itself.

    Raises:
        UserError: there is none.
    """
    return cast(Adapter, _module(framework).ADAPTER)


def _module(framework: str) -> Any:
    if framework not in frameworks():
        raise UserError(f"unknown framework {framework!r}; known: {', '.join(frameworks())}")
    return importlib.import_module(f"{__name__}.{framework}")


def load(spec: Spec) -> Classifier:
    """Build the network, load its weights, and verify that the backend is the one asked for.

    Raises:
        UserError: unknown framework or architecture, unusable weights, another backend than asked for, or a mode, a
            layout or a way of computing that it has not.
    """
    with without_collecting():
        classifier = cast(Classifier, _module(spec.framework).load(spec))
    if spec.computing and isinstance(classifier, Adjustable):
        classifier.compute(spec.computing)
    if not spec.training and spec.layout is None:
        return classifier
    if not isinstance(classifier, Network):
        key = "mode" if spec.training else "layout"
        raise UserError(f"params.yaml: inference.{key}: a model of {spec.framework} has none to set; set it to null")
    classifier.training = spec.training
    if spec.layout is not None:
        classifier.lay_out(spec.layout)
    return classifier

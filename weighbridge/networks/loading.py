"""From a model in `params.yaml` to a network in this process."""

from dataclasses import replace
from pathlib import Path

from tracking.runs.errors import UserError
from weighbridge.frameworks import Classifier, Network, Spec, load
from weighbridge.images.samples import SampleSet
from weighbridge.networks.answers import answer_by_generating
from weighbridge.networks.input_check import require_fitting
from weighbridge.networks.score_order import arrange_scores, scores_of
from weighbridge.params.inference import Inference
from weighbridge.params.models import Model
from weighbridge.params.pretrain import Pretrain
from weighbridge.params.recipes import TextRecipe
from weighbridge.params.section import read
from weighbridge.params.which_data import data_keys
from weighbridge.weights.adjustments import Adjustment
from weighbridge.weights.files import check_weights


def asked_model(name: str, weights: Path) -> tuple[Model, Inference, int]:
    """What params say of a model whose weights lie at `weights`: the model, how it is asked, and the number of classes."""
    chosen = read(Model, "models", name).model_copy(update={"weights": str(weights)})
    return chosen, read(Inference, "inference"), read(int, *data_keys(name), "classes")


def load_model(model: Model, inference: Inference, classes: int, samples: SampleSet) -> Classifier:
    """Verify the weights' hash, then build the network for images or texts like those of `samples`.

    Its scores come in the order of the classes of `samples` (`weighbridge.networks.class_map`).

    Raises:
        UserError: another hash, unusable weights, or a file that declares another input than the samples are.
    """
    check_weights(Path(model.weights), model.sha256)
    classifier = load(spec_of(model, inference, classes, samples))
    require_fitting(classifier, samples, model.recipe, model.weights)
    if not isinstance(samples.recipe, TextRecipe) or not samples.recipe.asks:
        arrange_scores(classifier, model, classes, samples)
    elif samples.recipe.target == "answer":
        answer_by_generating(classifier, samples.recipe)
    return classifier


def adjustments(classifier: Classifier) -> tuple[Adjustment, ...]:
    """What loading had to do so that the file fits; none of an adapter that does nothing of the kind."""
    return tuple(getattr(classifier, "adjustments", ()))


def load_other(model: Model, inference: Inference, classes: int, samples: SampleSet) -> Classifier:
    """Another model of this framework: the architecture from a random start, or the same file where that cannot be had."""
    spec = spec_of(model, inference, classes, samples)
    try:
        return load(replace(spec, weights=None, checkpoint=None, seed=spec.seed + 1))
    except UserError:
        return load(spec)


def spec_of(model: Model, inference: Inference, classes: int, samples: SampleSet) -> Spec:
    """What the model's adapter is told."""
    return replace(
        _random_start(model, scores_of(model, classes), samples),
        weights=Path(model.weights),
        threads=inference.threads,
        seed=inference.seed,
        device=inference.device,
        sha256=model.sha256,
        checkpoint=model.checkpoint,
        training=inference.mode == "training",
        layout=inference.layout,
        computing=model.computing_asked,
    )


def new_network(source: Pretrain, classes: int, samples: SampleSet) -> Network:
    """A random start from `source.seed`, on the CPU, for images or texts like those of `samples`.

    Raises:
        UserError: the framework cannot train.
    """
    built = load(replace(_random_start(source, classes, samples), threads=source.threads, seed=source.seed))
    if not isinstance(built, Network):
        raise UserError(f"params.yaml: pretrain: {source.framework} cannot train a network")
    return built


def _random_start(network: Model | Pretrain, classes: int, samples: SampleSet) -> Spec:
    size, *rest = map(int, samples.inputs.shape[1:])
    width, channels = rest if len(rest) == 2 else (None, 3)  # texts have a length alone
    return Spec(
        framework=network.framework,
        backend=network.backend,
        architecture=network.architecture,
        arguments=network.arguments,
        classes=classes,
        size=size,
        width=width,
        channels=channels,
        weights=None,
        threads=None,
        seed=0,
        device="cpu",
    )


def load_network(model: Model, inference: Inference, classes: int, samples: SampleSet) -> Network | None:
    """As `load_model`, for those who set modes and train: as its framework computes by itself, whatever `computing` says, since
    int8 layers cannot train and compiled ones cannot be reached; None for a program."""
    plain = model.model_copy(update={"computing": None})
    classifier = load_model(plain, inference.model_copy(update={"mode": None}), classes, samples)
    return classifier if isinstance(classifier, Network) else None


def random_network(model: Model, inference: Inference, classes: int, samples: SampleSet, seed: int) -> Network:
    """The architecture of `model` from a random start.

    Raises:
        UserError: it cannot be built without its weights, or not be trained.
    """
    spec = replace(
        _random_start(model, classes, samples), threads=inference.threads, seed=seed, device=inference.device
    )
    built = load(spec)
    if not isinstance(built, Network):
        raise UserError(f"{model.framework} cannot train a network")
    return built

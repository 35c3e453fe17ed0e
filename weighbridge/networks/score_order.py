"""A loaded model whose scores come in the order of the data's classes, whoever asks it."""

import re
from collections.abc import Callable
from functools import cached_property
from typing import Any, cast

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.frameworks import Classifier, Network
from weighbridge.images.samples import SampleSet
from weighbridge.images.tasks import CLASSES, REGRESSION
from weighbridge.networks.class_map import ClassMap, class_map, output_map
from weighbridge.networks.class_names import read_names
from weighbridge.networks.score_kinds import LOGITS, PROBABILITIES
from weighbridge.params.models import Classes, Model

ORDER = "score_order"  # where a classifier keeps its own
_OF_IMAGENET = re.compile(r"(torchvision|keras|timm)/.*(imagenet(1k_\w+)?|in1k)", re.IGNORECASE)
ASKED = 64  # images that tell whether one score is a probability


class ScoreOrder:
    """How one model's scores are put in order; found out when the first of them come.

    Args:
        classifier: the model, as its adapter gives it.
        model, classes: what params say of it, and how many classes the data have.
        samples: whose class names are meant.
    """

    def __init__(self, classifier: Classifier, model: Model, classes: int, samples: SampleSet) -> None:
        self._classifier, self._own = classifier, type(classifier)
        self._categories = classifier.categories
        self._model, self._classes, self._samples = model, classes, samples
        self.map: ClassMap | None = None

    def arrange(self, scores: np.ndarray) -> np.ndarray:
        """The model's own scores in the order of the data's classes.

        Raises:
            UserError: they are no table of scores, or it cannot be told to which classes they belong.
        """
        task = self._samples.task
        if scores.ndim == 1 and task == REGRESSION:
            scores = scores[:, None]
        if scores.ndim < 2 or scores.size != len(scores) * scores.shape[1]:
            raise UserError(f"{self._model.weights}: gives no scores per image but an array of shape {scores.shape}")
        table = scores.reshape(len(scores), scores.shape[1])
        if self.map is None:
            names, weights = self._samples.classes, self._model.weights
            known = self._model.classes, names, self._classes, table.shape[1], self._categories, weights
            self.map = class_map(*known) if task == CLASSES else output_map(*known)
        return self.map.arrange(table, LOGITS if self.map.order else self._kind_of_one)

    def __deepcopy__(self, memo: dict[int, Any]) -> "ScoreOrder":
        """A copy of the network keeps its scores in the same order."""
        return self

    @cached_property
    def _kind_of_one(self) -> str:
        """What a single score is: a probability where none of many images gets anything outside 0 to 1."""
        rows = np.linspace(0, len(self._samples) - 1, min(ASKED, len(self._samples))).round().astype(int)
        size = self._model.batch
        asked = [self._ask(self._samples.images(rows[i : i + size])) for i in range(0, len(rows), size)]
        values = np.concatenate([np.ravel(each) for each in asked])
        values = values[np.isfinite(values)]
        return PROBABILITIES if len(values) and values.min() >= 0 and values.max() <= 1 else LOGITS

    def _ask(self, images: np.ndarray) -> np.ndarray:
        """The model's own scores in inference mode, which moves nothing of it."""
        if isinstance(self._classifier, Network):
            return np.asarray(cast(Any, self._own).forward(self._classifier, images, training=False))
        return self._own.predict(self._classifier, images)


class _Ordered:
    """A classifier whose answers come in order. A call may make another (`predict` one of `forward`): the outer one counts."""

    score_order: ScoreOrder
    _asked = False

    def predict(self, images: np.ndarray) -> np.ndarray:
        return self._in_order(super().predict, images)  # type: ignore[misc]

    def _in_order(self, ask: Callable[..., np.ndarray], images: np.ndarray, **modes: Any) -> np.ndarray:
        if self._asked:
            return ask(images, **modes)
        self._asked = True
        try:
            scores = ask(images, **modes)
        finally:
            self._asked = False
        return self.score_order.arrange(scores)


class _OrderedNetwork(_Ordered):
    def forward(self, images: np.ndarray, *, training: bool, batchnorm: bool | None = None) -> np.ndarray:
        modes = {"training": training, "batchnorm": batchnorm}
        return self._in_order(super().forward, images, **modes)  # type: ignore[misc]


def arrange_scores(classifier: Classifier, model: Model, classes: int, samples: SampleSet) -> None:
    """Put the scores of every later answer of `classifier` in the order of the classes of `samples`."""
    order = ScoreOrder(classifier, model, classes, samples)
    mixed_in = _OrderedNetwork if isinstance(classifier, Network) else _Ordered
    own = type(classifier)
    classifier.__class__ = type(own.__name__, (mixed_in, own), {})
    setattr(classifier, ORDER, order)


def class_map_of(classifier: Classifier) -> ClassMap | None:
    """How the scores of a classifier that was asked are put in order; None where nothing does."""
    order = getattr(classifier, ORDER, None)
    return None if order is None else order.map


def in_order(classifier: Classifier, scores: np.ndarray) -> np.ndarray:
    """Scores that the file of `classifier` gave in another process, in the order in which `classifier` gives them."""
    order = getattr(classifier, ORDER, None)
    return scores if order is None else cast(ScoreOrder, order).arrange(scores)


def scores_of(model: Model, classes: int) -> int:
    """How many scores a network must be built with: as params say, or the name of published weights; else one for each class."""
    asked = model.classes or Classes()
    background = int(asked.background is not None)
    if asked.scores is not None:
        return asked.scores
    if asked.names is not None:
        return len(read_names(asked.names)) + background
    if model.classes is None and classes < 1000 and _OF_IMAGENET.fullmatch(model.checkpoint or ""):
        return 1000
    return classes + background

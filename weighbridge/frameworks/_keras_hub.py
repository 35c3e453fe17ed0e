"""A text model of keras-hub as a `Classifier`, and how it takes transformers' weights. Imported by its adapter only."""

from collections.abc import Callable
from typing import Any

import keras
import keras_hub
import numpy as np

from tracking.runs.errors import UserError
from weighbridge.frameworks._keras_computing import in_float32
from weighbridge.frameworks._keras_hub_layers import watched
from weighbridge.frameworks._keras_layers import named, no_gradient
from weighbridge.frameworks._token_scores import last_token, log_likelihoods
from weighbridge.weights.adjustments import Adjustment
from weighbridge.weights.files import Tensors, Weights, require_same_tensors

Change = Callable[[np.ndarray, list[int]], np.ndarray]
_PREFIXES = ("transformer.", "bert.", "")
_HEAD = "lm_head.weight"
_BUFFERS = (".attn.bias", ".attn.masked_bias", "embeddings.position_ids")  # of older files; nothing is learnt in them


class TextModel:
    """`weighbridge.frameworks.Classifier` over one of keras-hub's models, uncompiled, for texts differ in length.

    Attributes:
        causal: whether it gives scores of each token, not of the text.
    """

    categories: tuple[str, ...] | None = None

    def __init__(self, model: Any, device: str, adjustments: tuple[Adjustment, ...] = ()) -> None:
        self.inside = model
        self.device = device
        self.causal = isinstance(model, keras_hub.models.CausalLM)
        self.adjustments = adjustments

    def predict(self, images: np.ndarray) -> np.ndarray:
        if images.ndim == 3:
            if not self.causal:
                raise UserError(
                    f"{type(self.inside).__name__} gives scores of texts, not of each token: it is no causal language model"
                )
            return log_likelihoods(self._scores, images)
        scores = self._scores(images)
        return last_token(scores, images) if self.causal else scores

    def watch(self, images: np.ndarray, recorder: Any) -> np.ndarray:
        """As `weighbridge.networks.watching.Watchable` says."""
        with watched(self.inside, recorder):
            return self.predict(images)

    def _scores(self, ids: np.ndarray) -> np.ndarray:
        """Float32, shape (texts, classes) or (texts, length, vocabulary), of token ids, -1 after each text's last."""
        backbone = self.inside.backbone
        if ids.shape[1] > backbone.max_sequence_length or ids.max() >= backbone.vocabulary_size:
            raise UserError(
                f"{type(self.inside).__name__} takes {backbone.max_sequence_length} tokens of {backbone.vocabulary_size}, "
                f"not {ids.shape[1]} with id {ids.max()}; check `arguments` and the recipe's length and tokenizer"
            )
        given = {"token_ids": np.maximum(ids, 0), "padding_mask": ids >= 0, "segment_ids": np.zeros_like(ids)}
        wanted = {name: keras.ops.convert_to_tensor(given[name].astype("int32")) for name in self.inside.input}
        with no_gradient():
            scores = self.inside(wanted, training=False)
        return np.asarray(keras.ops.convert_to_numpy(scores), dtype=np.float32)

    def weights(self) -> dict[str, np.ndarray]:
        own = named(self.inside.weights)
        return {name: in_float32(np.array(keras.ops.convert_to_numpy(v.value))) for name, v in own.items()}


def convert(model: Any, converter: Any, stored: Weights, config: dict[str, Any]) -> None:
    """Give the model the tensors of transformers' class, by the names and shapes that keras-hub's own converter asks for.

    Raises:
        UserError: tensors are missing, left over, or of another shape, or the scores are not tied to the embedding.
    """
    table = _Table(stored.tensors)
    converter.convert_weights(model.backbone, table, config)
    if isinstance(model, keras_hub.models.BertTextClassifier):
        table.port_weight(model.output_dense.kernel, "classifier.weight", lambda value, _shape: value.T)
        table.port_weight(model.output_dense.bias, "classifier.bias")
    require_same_tensors({name: value.shape for name, value in stored.tensors.items()}, table.wanted, str(stored.path))
    head = stored.tensors.get(_HEAD)
    if head is not None and not np.array_equal(head, table.get_tensor("wte.weight")):
        raise UserError(
            f"{stored.path}: {_HEAD} is not the token embedding, as it is in keras-hub's GPT2CausalLM; nothing was loaded"
        )


class _Table:
    """What keras-hub's converters take tensors from, in place of its loader of files.

    Attributes:
        wanted: the shape that each tensor should have, by its name in the file.
    """

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors
        beside = (name for name in tensors if name == _HEAD or name.endswith(_BUFFERS))
        self.wanted: dict[str, tuple[int, ...]] = {name: tensors[name].shape for name in beside}

    def _name(self, asked: str) -> str:
        return next((name for prefix in _PREFIXES if (name := prefix + asked) in self._tensors), asked)

    def get_tensor(self, name: str) -> np.ndarray:
        """Raises a `KeyError` where there is none: by that converters know which of two names is in use."""
        return self._tensors[self._name(name)]

    def port_weight(self, keras_variable: Any, hf_weight_key: str, hook_fn: Change | None = None) -> None:
        """Assign the tensor, changed by `hook_fn`; what is missing or does not fit is left for `wanted` to tell."""
        name, shape = self._name(hf_weight_key), tuple(keras_variable.shape)
        self.wanted.setdefault(name, shape)
        if (value := self._tensors.get(name)) is None:
            return
        try:
            changed = hook_fn(value, list(shape)) if hook_fn else value
        except (ValueError, IndexError):
            changed = value
        fits = changed.shape == shape
        self.wanted[name] = value.shape if fits else shape
        if fits:
            keras_variable.assign(changed)

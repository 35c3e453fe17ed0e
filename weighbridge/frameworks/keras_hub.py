"""keras-hub's GPT-2 and BERT (https://keras.io/keras_hub/api/models/) with the weights of transformers' classes.

`architecture` is `GPT2CausalLM` or `BertTextClassifier`, `weights` the table of tensors of `GPT2LMHeadModel` or of
`BertForSequenceClassification`, `arguments` the sizes as transformers' configuration names them. keras-hub is optional and
imported only here; presets, which it would download, are never asked for.

keras-hub computes BERT's GELU by its approximation with tanh, which transformers calls `gelu_new`; `hidden_act: gelu` under
`arguments` is the exact one, transformers' default.
"""

import importlib.metadata
import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tracking.runs.errors import UserError
from tracking.runs.stand_ins import standing_in
from weighbridge.frameworks import Adapter, Spec, _keras
from weighbridge.weights.files import read_weights

ADAPTER = Adapter(
    backends=("tensorflow", "jax", "torch"),
    computing=("precision",),
    libraries=("keras",),
    packages=("keras-hub",),
    save=lambda _classifier, spec, _folder: spec,  # nothing here changes its weights
)
WRITTEN_FOR = "0.32.0"  # of keras-hub
_SETTINGS: dict[str, dict[str, Any]] = {  # of transformers' configuration, with its defaults
    "GPT2CausalLM": {
        "vocab_size": 50257,
        "n_positions": 1024,
        "n_embd": 768,
        "n_layer": 12,
        "n_head": 12,
        "resid_pdrop": 0.1,
    },
    "BertTextClassifier": {
        "vocab_size": 30522,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "max_position_embeddings": 512,
        "hidden_act": "gelu_new",
    },
}
_IDLE = {"bos_token_id", "eos_token_id", "pad_token_id"}  # of which no score hangs


def load(spec: Spec) -> Any:
    """Build the class for its sizes and give it the weights, converted by name as keras-hub does.

    A text's padding mask is 1 where its ids are, and 0 where they have ended (-1); positions count from its first token.
    """
    config = _config(spec)
    if importlib.util.find_spec("keras_hub") is None:
        raise UserError("keras-hub is not installed: pip install keras-hub")
    _, device = _keras.start(spec)
    stored = None if spec.weights is None else read_weights(spec.weights)
    others = dict.fromkeys({"tensorflow", "jax"} - {spec.backend})  # keras-hub imports them wherever they are installed
    with _known(), _keras.quiet_native_logs(), standing_in(others):
        from weighbridge.frameworks import _keras_hub
    with _known():
        model, converter = _built(spec, config)
        if stored is None:
            return _keras_hub.TextModel(model, device)
        _keras_hub.convert(model, converter, stored, config)
        return _keras_hub.TextModel(model, device, stored.adjustments)


@contextmanager
def _known() -> Iterator[None]:
    """Name the version whose own modules (`keras_hub.src`, which it promises to nobody) are not as they are known here."""
    try:
        yield
    except (ImportError, AttributeError, KeyError) as problem:
        version = importlib.metadata.version("keras-hub")
        raise UserError(
            f"keras-hub {version} is not as this adapter knows it ({' '.join(str(problem).split())[:200]}); "
            f"install the version it was written for: pip install keras-hub=={WRITTEN_FOR}"
        ) from problem


def _config(spec: Spec) -> dict[str, Any]:
    settings = _SETTINGS.get(spec.architecture)
    if settings is None:
        raise UserError(
            f"params.yaml: keras_hub has no model {spec.architecture!r} here; it has {', '.join(sorted(_SETTINGS))}"
        )
    if unknown := sorted(spec.arguments.keys() - settings.keys() - _IDLE):
        raise UserError(
            f"params.yaml: {spec.architecture} has no setting {', '.join(unknown)}; check `arguments`. "
            f"It has {', '.join(settings)}"
        )
    if spec.arguments.get("hidden_act", "gelu") not in ("gelu", "gelu_new"):
        raise UserError(f"params.yaml: arguments.hidden_act: is gelu or gelu_new, not {spec.arguments['hidden_act']!r}")
    return {**settings, **spec.arguments}


def _built(spec: Spec, config: Mapping[str, Any]) -> tuple[Any, Any]:
    """The model, and keras-hub's converter of transformers' weights."""
    import keras
    from keras_hub.models import BertTextClassifier, GPT2CausalLM
    from keras_hub.src.utils.transformers import convert_bert, convert_gpt2

    converter = convert_gpt2 if spec.architecture == "GPT2CausalLM" else convert_bert
    try:
        backbone = converter.backbone_cls(**converter.convert_backbone_config(config))
        if converter is convert_gpt2:
            return GPT2CausalLM(backbone), converter
        model = BertTextClassifier(backbone, num_classes=spec.classes)
    except (TypeError, ValueError, ZeroDivisionError) as problem:
        said = " ".join(str(problem).split())
        raise UserError(f"params.yaml: {spec.architecture}: {said[:300]}; check `arguments`") from problem
    if config["hidden_act"] == "gelu":
        for layer in backbone.transformer_layers:
            layer._feedforward_intermediate_dense.activation = keras.activations.gelu
    return model, converter

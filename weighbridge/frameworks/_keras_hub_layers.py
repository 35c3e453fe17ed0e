"""The layers of keras-hub's GPT-2 and BERT as they run, those inside its blocks too, by the names of transformers' modules."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

_NAMES = {  # what gives the same values there; Keras' Dense has its activation in it, and BERT's norms come last in their block
    "gpt2": {
        "token_embedding": "transformer.wte",
        "position_embedding": "transformer.wpe",
        "embeddings_add": "transformer.drop",
        r"transformer_layer_(\d+)": r"transformer.h.\1",
        r"transformer_layer_(\d+)/self_attention_layer_norm": r"transformer.h.\1.ln_1",
        r"transformer_layer_(\d+)/self_attention(?:_layer)?/attention_output": r"transformer.h.\1.attn.c_proj",
        r"transformer_layer_(\d+)/feedforward_layer_norm": r"transformer.h.\1.ln_2",
        r"transformer_layer_(\d+)/feedforward_intermediate_dense": r"transformer.h.\1.mlp.act",
        r"transformer_layer_(\d+)/feedforward_output_dense": r"transformer.h.\1.mlp.c_proj",
        "layer_norm": "transformer.ln_f",
    },
    "bert": {
        "token_embedding": "bert.embeddings.word_embeddings",
        "position_embedding": "bert.embeddings.position_embeddings",
        "segment_embedding": "bert.embeddings.token_type_embeddings",
        "embeddings_layer_norm": "bert.embeddings.LayerNorm",
        r"transformer_layer_(\d+)/self_attention(?:_layer)?/(query|key|value)": r"bert.encoder.layer.\1.attention.self.\2",
        r"transformer_layer_(\d+)/self_attention(?:_layer)?/attention_output": r"bert.encoder.layer.\1.attention.output.dense",
        r"transformer_layer_(\d+)/self_attention_layer_norm": r"bert.encoder.layer.\1.attention.output.LayerNorm",
        r"transformer_layer_(\d+)/feedforward_intermediate_dense": r"bert.encoder.layer.\1.intermediate.intermediate_act_fn",
        r"transformer_layer_(\d+)/feedforward_output_dense": r"bert.encoder.layer.\1.output.dense",
        r"transformer_layer_(\d+)/feedforward_layer_norm": r"bert.encoder.layer.\1.output.LayerNorm",
        "pooled_dense": "bert.pooler.activation",
        "logits": "classifier",
    },
}


@contextmanager
def watched(model: Any, recorder: Any) -> Iterator[None]:
    """Meanwhile every layer that is called gives its output to the recorder, before the layer that it is part of does."""
    names = _NAMES["gpt2" if "GPT2" in type(model).__name__ else "bert"]
    layers = [
        layer for layer in model._flatten_layers(include_self=False) if layer.path and layer is not model.backbone
    ]
    for layer in layers:
        layer.call = _watched(layer, names, recorder)
    try:
        yield
    finally:
        for layer in layers:
            del layer.call


def _watched(layer: Any, names: Mapping[str, str], recorder: Any) -> Callable[..., Any]:
    usual = layer.call
    found = ((re.fullmatch(pattern, layer.path), name) for pattern, name in names.items())
    own = next((match.expand(name) for match, name in found if match), layer.path)

    def call(*args: Any, **kwargs: Any) -> Any:
        output = usual(*args, **kwargs)
        values = np.asarray(keras.ops.convert_to_numpy(output))
        whole = values.reshape(*values.shape[:2], -1) if values.ndim == 4 else values  # of all heads side by side
        recorder.add("lm_head" if kwargs.get("reverse") else own, "any", whole, [])
        return output

    return call

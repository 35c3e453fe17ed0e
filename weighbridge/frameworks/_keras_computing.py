"""Ways in which a Keras network computes: precision and XLA. Imported by adapters only."""

from typing import Any

import numpy as np

from tracking.runs.errors import UserError

_POLICIES = {"bf16": "bfloat16", "fp16": "float16", "amp-bf16": "mixed_bfloat16", "amp-fp16": "mixed_float16"}


def set_precision(keras: Any, precision: str | None) -> None:
    """Set the dtype policy of the layers that are built from now on (https://keras.io/api/mixed_precision/)."""
    policy = _POLICIES.get(precision or "", "float32")
    if keras.config.dtype_policy().name != policy:
        keras.config.set_dtype_policy(policy)


def set_jit(model: Any, jit: bool) -> None:
    """Say whether XLA compiles the model.

    Raises:
        UserError: it cannot on this backend, or not this model.
    """
    import keras

    if keras.backend.backend() == "torch" and jit:
        raise UserError("params.yaml: computing.jit is for Keras on tensorflow or jax; on torch set it to null")
    model.jit_compile = jit
    if model.jit_compile is not jit:
        raise UserError(f"params.yaml: computing.jit: {model.name} has layers that XLA cannot compile; set it to null")


def in_float32(values: np.ndarray) -> np.ndarray:
    """NumPy itself has no bfloat16, whose values are float32's."""
    return values.astype(np.float32) if values.dtype.name == "bfloat16" else values

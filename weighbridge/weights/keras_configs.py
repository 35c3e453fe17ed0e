"""Keras model configurations (JSON), searched for code before Keras sees them.

Safe mode has been passed by more than once (CVE-2024-3660, CVE-2025-1550, -8747, -9905, -9906, -12058; CVE-2026-1462), and of
`.h5` files it was ignored. So only names of Keras' own model parts may occur.
"""

import re
from collections.abc import Iterator
from typing import Any

# of these, the first run code or other people's programs, the last read files that the configuration names
_CODE = {
    "Lambda",
    "__lambda__",
    "TFSMLayer",
    "TorchModuleWrapper",
    "JaxLayer",
    "FlaxLayer",
    "TFOpLambda",
    "SlicingOpLambda",
}
_FILES = {"StringLookup", "IntegerLookup", "TextVectorization"}
_PARTS = (
    "activations|constraints|dtype_policies|initializers|layers|losses|metrics|mixed_precision|ops|optimizers|quantizers"
    "|random|regularizers"
)
# of `keras.src`, Keras takes classes of savable objects alone; of its public modules whatever is exported there
_MODULE = re.compile(
    rf"keras\.(?:{_PARTS})(?:\.[\w.]+)?|keras\.src\.(?:{_PARTS}|applications|engine|models)(?:\.[\w.]+)?|builtins"
    r"|keras\.src\.backend\.torch\.optimizers\.torch_\w+"  # what the optimizers are called on torch
)
_OWN_NAMES = {"Model", "Sequential", "Functional", "DTypePolicy", "FloatDTypePolicy", "InputSpec", "Variable"}
_FUNCTIONS = re.compile(r"builtins|keras\.(?:src\.)?(?:activations|losses|metrics|ops)(?:\.[\w.]+)?")


def code_in(config: Any) -> str | None:
    """What in `config` would run code of the file's own or read a file, in a few words; None where nothing does."""
    return next((said for node in _nodes(config) if (said := _complaint(node))), None)


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _complaint(node: dict[str, Any]) -> str | None:
    name, module, registered = (node.get(key) for key in ("class_name", "module", "registered_name"))
    if name in _CODE:
        return f"a {name} layer, which holds code"
    if name in _FILES:
        return f"a {name} layer, which may read files"
    if node.get("function_type") == "lambda" or node.get("output_shape_type") == "lambda":
        return "a lambda"
    if name == "function":
        if said := _strange_function(node.get("config"), module):
            return f"the function {said}, which is no part of a model"
    elif isinstance(name, str) and (said := _stranger(name, module)):
        return f"{said}, which is not Keras' own"
    if isinstance(registered, str) and ">" in registered:
        return f"{registered}, which is not Keras' own"
    return None


def _stranger(name: str, module: Any) -> str | None:
    """The full name of what is no model part: Keras joins module and name, so that a name with a dot leads elsewhere."""
    full = name if module is None else f"{module}.{name}"
    if set(name) & set(".>"):
        return full
    if module is None or (module in ("keras", "keras.models") and name in _OWN_NAMES):
        return None
    return None if isinstance(module, str) and _MODULE.fullmatch(module) else full


def _strange_function(name: Any, module: Any) -> str | None:
    known = module is None or (isinstance(module, str) and _FUNCTIONS.fullmatch(module))
    return None if known and isinstance(name, str) and not set(name) & set(".>") else f"{module}.{name}"

"""The part of a run's flat conditions that a replay sets, their digest, and what they name."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from tracking.replay.environments import KNOWN
from tracking.runs.run import Scalar

Conditions = Mapping[str, Scalar]
CODE = "input.code/"
TOKENIZER = "recipe.tokenizer.sha256"
NAMED = ("code.commit", "code.patch")  # names of what the hashes in `CODE` say
INPUTS = ("input.weights", "input.images", "input.manifest", "input.factory")
BESIDE = "input.weights/"  # the files that are read with the weights file
PACKAGE = "package."
READ = (
    "model.",
    "recipe.",
    "inference.",
    "data.classes",
    "data.texts",
)  # the params that `preprocess` and `infer` read
NAMES = (
    "model.recipe",
    "model.claim.top1",
    "model.claim.top5",
    "model.claim.source",
)  # of them, those that change nothing


def settable(conditions: Conditions) -> dict[str, Scalar]:
    """The conditions that a replay sets, of a run's. Flags are left as they come: add those that matter."""
    return {name: value for name, value in sorted(conditions.items()) if _is_settable(name)}


def _is_settable(name: str) -> bool:
    head, _, rest = name.partition(".")
    if head == "package":
        return rest in KNOWN
    if head == "param":
        return rest.startswith(READ) and rest not in NAMES
    return head == "variable" or name in (*INPUTS, *NAMED, TOKENIZER) or name.startswith((CODE, BESIDE))


def digest(conditions: Conditions) -> str:
    """64 hexadecimal digits that name these conditions on any machine."""
    return hashlib.sha256(json.dumps(dict(conditions), sort_keys=True, allow_nan=False).encode()).hexdigest()


def identity(conditions: Conditions) -> dict[str, Scalar]:
    """The conditions that distinguish answers: where every file of the code is hashed, its commit is but a name."""
    hashed = any(name.startswith(CODE) for name in conditions)
    return {name: value for name, value in conditions.items() if not (hashed and name in NAMED)}


def packages_in(conditions: Conditions) -> dict[str, str]:
    """The recorded packages: name -> version."""
    return {name.removeprefix(PACKAGE): str(value) for name, value in conditions.items() if name.startswith(PACKAGE)}


def nested(conditions: Conditions, prefix: str) -> dict[str, Any]:
    """The flat values under `prefix` as the tree they were made from; absent means null."""
    tree: dict[str, Any] = {}
    for name, value in conditions.items():
        if name.startswith(prefix):
            *path, last = name.removeprefix(prefix).split(".")
            branch = tree
            for part in path:
                branch = branch.setdefault(part, {})
            branch[last] = _list_or_value(value)
    return tree


def _list_or_value(value: Scalar) -> Any:
    if isinstance(value, str) and value.startswith("["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value

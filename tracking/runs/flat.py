"""Nested values as a run keeps them: under dotted names."""

import json
from collections.abc import Mapping
from typing import Any

from tracking.runs.run import Scalar
from tracking.runs.secrets import redacted


def flat(values: Mapping[str, Any]) -> dict[str, Scalar]:
    """Nested values under dotted names; lists as JSON, nothing for None, no secrets at any depth."""
    return _flat(redacted(values), "")


def _flat(values: Mapping[str, Any], prefix: str) -> dict[str, Scalar]:
    flattened: dict[str, Scalar] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flattened |= _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            flattened[f"{prefix}{name}"] = json.dumps(value)
        elif value is not None:
            flattened[f"{prefix}{name}"] = value
    return flattened

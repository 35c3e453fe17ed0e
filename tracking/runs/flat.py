"""Nested values as a run keeps them: under dotted names."""

import json
from collections.abc import Mapping
from typing import Any

from tracking.runs.run import Scalar
from tracking.runs.secrets import redact


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Scalar]:
    """Nested values under dotted names; lists as JSON, nothing for None, no secrets."""
    flattened: dict[str, Scalar] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flattened |= flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            flattened[f"{prefix}{name}"] = json.dumps(value)
        elif value is not None:
            flattened[f"{prefix}{name}"] = redact(value) if isinstance(value, str) else value
    return flattened

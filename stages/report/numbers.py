"""Numbers as text. What is missing, or is no finite number, is a dash."""

import math
import re
from collections.abc import Iterable
from typing import Any, TypeGuard

from tracking.runs.facts import is_number

ABSENT = "–"
DIGEST = re.compile(r"[0-9a-f]{32,}(\.dir)?")


def is_finite(value: Any) -> TypeGuard[float]:
    return is_number(value) and math.isfinite(value)


def range_of(values: Iterable[Any]) -> tuple[float, float] | None:
    known = [value for value in values if is_finite(value)]
    return (min(known), max(known)) if known else None


def percent(value: Any, digits: int = 2) -> str:
    return f"{value:.{digits}%}" if is_finite(value) else ABSENT


def number(value: Any, digits: int = 2) -> str:
    return f"{value:.{digits}g}" if is_finite(value) else ABSENT


def plain(value: Any) -> str:
    """Any JSON value that is neither a list nor an object."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ABSENT
    return f"{value:.6g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


def brief(value: Any) -> str:
    """A digest by its first twelve digits; anything else in full."""
    text = plain(value)
    return text[:12] if DIGEST.fullmatch(text) else text

"""Numbers as text. What is missing, or is no finite number, is a dash."""

import math
import re
from collections.abc import Iterable, Mapping
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
    return re.sub(r"e([+-])0+", r"e\1", f"{value:.{digits}g}").replace("e+", "e") if is_finite(value) else ABSENT


def plain(value: Any) -> str:
    """Any JSON value that is neither a list nor an object."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ABSENT
    return f"{value:.6g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


def brief(value: Any) -> str:
    """A digest by its first twelve digits; anything else in full."""
    text = plain(value)
    return text[:12] if DIGEST.fullmatch(text) else text


def headline(results: Mapping[str, Any]) -> tuple[str, str]:
    """By which a run is known first, and what is said beside it: top-1, or where there is none another metric by its name."""
    if is_finite(results.get("exact_match")):
        return "", f"exact match {percent(results['exact_match'])}, mean AUROC {number(results.get('auroc'), 4)}"
    if is_finite(results.get("mae")):
        return "", f"MAE {number(results['mae'], 4)}, R2 {number(results.get('r2'), 4)}"
    if is_finite(results.get("token_perplexity")):
        low, high = (number(results.get(f"token_perplexity_{end}"), 4) for end in ("low", "high"))
        return f"{number(results['token_perplexity'], 4)} perplexity", f"by token, {low} to {high}"
    ends = [percent(results.get(f"top1_{end}")) for end in ("low", "high") if f"top1_{end}" in results]
    return percent(results.get("top1")), " to ".join(ends)

"""Numbers as text. What is missing, or is no finite number, is a dash."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
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


WORDS = {
    "top1_inference": "top-1 in inference mode",
    "top1_training": "top-1 in training mode",
    "top1_training_by_class": "top-1 in training mode, a class a batch",
    "top1_stored": "top-1 with the stored statistics",
    "top1_repaired": "top-1 with statistics estimated again",
    "only_inference_right": "images right in inference mode only",
    "only_training_right": "images right in training mode only",
    "p_value": "p (exact McNemar)",
    "forecast_drop": "drop expected of a new head trained on batch statistics",
    "widest_distance": "widest distance of a layer",
    "mean": "means apart (stored standard deviations)",
    "deviation": "deviation (times the stored one)",
}  # names in evidence that underscores alone do not explain
SHARE = re.compile(r"(.+_)?top[15](_.+)?|forecast_drop|.*balanced_accuracy.*")


def in_words(name: Any) -> str:
    """A name in evidence as people read it."""
    return WORDS.get(name) or str(name).replace("_", " ").replace("top1", "top-1").replace("top5", "top-5")


def measured(value: Any, name: Any = "") -> str:
    """A value in evidence: shares of images in per cent, anything else as `brief` has it."""
    if isinstance(value, float) and SHARE.fullmatch(str(name)) and 0 <= value <= 1:
        return percent(value)
    return f"{value:.3g}" if is_finite(value) and isinstance(value, float) else brief(value)


def as_table(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    """Heads and cells of rows with the same names, texts first; by distance where they have one, the widest first."""
    first = rows[0]
    names = sorted(first, key=lambda name: not isinstance(first[name], str))
    alike = [row for row in rows if isinstance(row, Mapping) and row.keys() == first.keys()]
    if all(is_finite(row.get("distance")) for row in alike):
        alike.sort(key=lambda row: -float(row["distance"]))
    return names, [[row[name] for name in names] for row in alike]


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

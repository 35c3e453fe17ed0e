"""A certificate's form: one JSON file that anybody can read, sealed, and read back only as it was written.

Its last key is the sha256 of everything before it, and `load` takes the very bytes that `save` writes and no others: one
changed byte is seen. That makes it whole, not true: `tracking.explain.verify` draws every conclusion of it again from both
runs and from what hybrids gave, and runs hybrids again.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from pydantic import Field

from tracking.explain.search_result import SearchVerdict
from tracking.runs.decisions import packed_count
from tracking.runs.errors import UserError
from tracking.runs.forms import Form, Number, Pair, Value, shape_error
from tracking.runs.outcomes import GRADES, recorded
from tracking.runs.run import Run
from tracking.runs.run_file import newer_schema
from tracking.runs.writing import write_text

Certificate = dict[str, Any]  # of the form `CertificateForm`
SCHEMA = 2  # raised too when the search asks for other hybrids than before
SEAL = "sha256"


class Hashes(Form):
    scores: str | None
    decisions: str
    right: int
    samples: int


class OutcomeHashes(Hashes):
    labels: str


class End(Form):
    id: str
    subject: str
    recorded: Hashes
    conditions: dict[str, Value]
    run: dict[str, Any]


class Ends(Form):
    A: End
    B: End


class FactorForm(Form):
    name: str
    change: str
    how: str
    needs: str
    values: dict[str, Pair[Value]]


class NotHere(Form):
    name: str
    change: str
    why: str


class Difference(Form):
    flips: int
    correct: int
    samples: int
    points: Number


class SamplingError(Form):
    flips: Number
    points: Number


class ShareForm(Form):
    factor: str
    flips: str
    flips_interval: Pair[Number]
    correct: str
    points: Number
    points_interval: Pair[Number]
    sampling_error: SamplingError


class InteractionForm(Form):
    factors: Pair[str]
    flips: int
    correct: int


class HybridForm(Form):
    number: int
    name: str
    from_B: Sequence[str]  # noqa: N815 -- the key that certificates have
    conditions: str
    outcomes: Sequence[OutcomeHashes | None]
    refused: str


class Place(Form):
    stage: str
    places: int
    at: str | None
    after: str | None
    distance: Number
    at_last: Number
    ranks: str | None
    reason: str


class CertificateForm(Form):
    """Every key of a certificate."""

    version: int = Field(alias="schema")
    weighbridge: str
    verdict: str
    reason: str
    grade: str | None
    ends: Ends
    factors: Sequence[FactorForm]
    not_here: Sequence[NotHere]
    minimal: Sequence[str]
    difference: Difference
    shares: Sequence[ShareForm]
    interactions: Sequence[InteractionForm]
    band: int
    runs: int
    hybrids: Sequence[HybridForm]
    arrays: dict[str, str]
    places: dict[str, dict[str, Place]]
    machine: dict[str, Value]
    sha256: str


def seal(values: Mapping[str, Any]) -> str:
    content = {name: value for name, value in values.items() if name != SEAL}
    return hashlib.sha256(text_of(content).encode()).hexdigest()


def text_of(values: Mapping[str, Any]) -> str:
    """A certificate as it is written."""
    return json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def save(values: Mapping[str, Any], path: Path) -> None:
    """Write a certificate."""
    try:
        write_text(path, text_of(values))
    except OSError as problem:
        raise UserError(f"{path}: cannot be written ({problem.strerror})") from problem


def load(path: Path) -> Certificate:
    """Read a certificate.

    Raises:
        UserError: it cannot be read, is no certificate, or is not byte for byte what was written.
    """
    try:
        return parse(path.read_bytes(), str(path))
    except OSError as problem:
        raise UserError(f"{path}: cannot be read ({problem.strerror})") from problem


def parse(content: bytes, place: str) -> Certificate:
    """A certificate out of the bytes found at `place`; raises as `load`."""
    try:
        values = json.loads(content)
        if isinstance(values, dict) and (newer := newer_schema(values, SCHEMA)):
            raise UserError(f"{place}: {newer}")
        whole = isinstance(values, dict) and values[SEAL] == seal(values) and text_of(values).encode() == content
    except (ValueError, KeyError, TypeError, RecursionError) as problem:
        raise UserError(f"{place}: not a certificate ({problem})") from problem
    if not whole:
        raise UserError(f"{place}: was changed after it was written: its content does not give the sha256 in it")
    if (schema := values.get("schema")) != SCHEMA:
        said = "`weighbridge explain` makes it anew, with both runs in it"
        raise UserError(f"{place}: has schema {schema}, this version reads {SCHEMA}: {said}")
    if wrong := shape_error(values, CertificateForm) or _contradiction(values):
        raise UserError(f"{place}: not a certificate ({wrong})")
    return dict(values)


def _contradiction(values: Certificate) -> str:
    """What in a certificate names something that is not in it, or cannot be; empty where all is well."""
    names = [factor["name"] for factor in values["factors"]]
    numbers = [hybrid["number"] for hybrid in values["hybrids"]]
    named = {
        "factors": len(names) == len(set(names)),
        "verdict": values["verdict"] in list(SearchVerdict),
        "grade": values["grade"] in GRADES or (values["grade"] is None and values["verdict"] != SearchVerdict.PROVEN),
        "minimal": set(values["minimal"]) <= set(names),
        "shares": all(share["factor"] in values["minimal"] and _are_fractions(share) for share in values["shares"]),
        "interactions": all(set(each["factors"]) <= set(values["minimal"]) for each in values["interactions"]),
        "ends": all(_is_run(end["run"]) for end in values["ends"].values()),
        "hybrids": numbers == list(range(len(numbers)))
        and all(each["outcomes"] and set(each["from_B"]) <= set(names) for each in values["hybrids"]),
        "arrays": all(packed_count(packed) == values["difference"]["samples"] for packed in values["arrays"].values())
        and all(
            outcome is None or {outcome["decisions"], outcome["labels"]} <= values["arrays"].keys()
            for each in values["hybrids"]
            for outcome in each["outcomes"]
        ),
    }
    return next((f"{key}: cannot be so" for key, good in named.items() if not good), "")


def _is_run(values: Certificate) -> bool:
    """Whether it is a run with a decision for every sample."""
    try:
        recorded(Run.from_dict(values))
    except (ValueError, TypeError, KeyError, RecursionError, UserError):
        return False
    return True


def _are_fractions(share: Certificate) -> bool:
    try:
        return all(Fraction(share[name]) is not None for name in ("flips", "correct"))
    except (ValueError, ZeroDivisionError):
        return False

"""The samples that `lm_eval --log_samples` wrote beside its results: `samples_<task>_<time>.jsonl` for `results_<time>.json`.

Versions before 0.4.5 did not say which filter a row is of: a document's first row is of the first filter, and so on.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tracking.foreign.samples import Sample, verdict
from tracking.runs.errors import UserError

RESULTS = re.compile(r"(?P<before>.*?)results_(?P<time>.+)\.json")
SAMPLES = re.compile(r"(?P<before>.*?)samples_(?P<task>.+)_(?P<time>\d{4}-\d\d-\d\dT[^_]+)\.jsonl")
BINARY = ("acc", "exact_match")  # metrics that say right or wrong, in this order; then others that end so
LARGEST = 2**30  # bytes of one file


def samples_beside(results: Path, task: str, chosen: str, filters: Sequence[str]) -> list[Sample]:
    """The samples of one task and filter (all of them where `chosen` is empty); none where they were not logged."""
    named = RESULTS.fullmatch(results.name)
    file = results.with_name(f"{named['before']}samples_{task}_{named['time']}.jsonl") if named else results
    if not named or not file.is_file():
        return []
    return [sample for filtered, sample in read_samples(file, filters) if not chosen or filtered == chosen]


def results_beside(samples: Path) -> tuple[Path, str] | None:
    """The results file and task to which a file of samples belongs, by its name; None where it is not named so."""
    named = SAMPLES.fullmatch(samples.name)
    return (samples.with_name(f"{named['before']}results_{named['time']}.json"), named["task"]) if named else None


def read_samples(file: Path, filters: Sequence[str] = ()) -> list[tuple[str, Sample]]:
    """Every row with its filter, in the order of the documents.

    Raises:
        UserError: it is too large, or a row is no sample.
    """
    if file.stat().st_size > LARGEST:
        raise UserError(f"{file}: larger than {LARGEST >> 20} MiB: not read")
    rows = sorted(_rows(file), key=lambda row: (str(row.get("doc_id")).zfill(12), str(row.get("filter"))))
    seen: Counter[str] = Counter()
    found = []
    for row in rows:
        filtered = str(row.get("filter", "none"))
        if "filter" not in row and len(filters) > 1:
            place = seen[str(row.get("doc_id"))]
            seen[str(row.get("doc_id"))] += 1
            filtered = filters[place % len(filters)]
        found.append((filtered, _sample(row, filtered)))
    return found


def _rows(file: Path) -> Iterator[Mapping[str, Any]]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    row = json.loads(line.decode())
                    row.get("doc_hash") or row["doc_id"]
                except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
                    raise UserError(f"{file}: line {number} is no sample ({problem})") from problem
                yield row


def _sample(row: Mapping[str, Any], filtered: str) -> Sample:
    named = row.get("doc_hash") or f"doc_id {row['doc_id']}"
    return Sample(
        document=f"{named} {filtered}",
        prompt=row.get("prompt_hash") or row.get("arguments"),
        target=row.get("target_hash") or row.get("target"),
        output=row.get("filtered_resps"),
        right=_right(row),
    )


def _right(row: Mapping[str, Any]) -> bool | None:
    """By its metrics that say right or wrong; the tool lists them in no fixed order, and before 0.4.5 not at all."""
    listed = row.get("metrics")
    names = [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else list(row)
    return verdict({name: row.get(name) for name in names if name.endswith(BINARY)}, BINARY)

"""Results of lighteval: `results/<model>/results_<time>.json`, and the details of each sample in
`details/<model>/<time>/details_<task>_<time>.parquet`, of the forms before and since 0.9.

Each task is a run, under its name without the number of examples, which is a condition. Samples are paired by their question and
choices. Times, job numbers and folders are no conditions.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tracking.audit.recorded import COMPLETE, RECORDER
from tracking.foreign.bounded import LARGEST
from tracking.foreign.samples import Sample, documents_of, packed, results_of, verdict
from tracking.runs.errors import UserError
from tracking.runs.extras import needed
from tracking.runs.facts import is_number
from tracking.runs.flat import flat
from tracking.runs.run import FOREIGN, Run, Scalar

TOOL = "lighteval"
LISTS = "param.model_config.* param.max_samples"
NO_CONDITIONS = {
    "start_time",
    "end_time",
    "total_evaluation_time_secondes",
    "job_id",
    "model_size",
    "lighteval_sha",
    "model_sha",
}
OWN_FOLDERS = {"cache_dir"}
RIGHT = ("acc", "em", "exact_match", "extractive_match", "loglikelihood_acc", "qem", "pqem")
ADDRESS = re.compile(r" at 0x[0-9a-f]+")
COLUMNS = (  # since 0.9, then before
    {"doc", "metric", "model_response"},
    {"metrics", "predictions", "full_prompt"},
)
MOST_ROWS = 2_000_000


def recognises(values: Any) -> bool:
    if not isinstance(values, Mapping):
        return False
    general = values.get("config_general")
    if not isinstance(general, Mapping) or not isinstance(values.get("results"), Mapping):
        return False
    return isinstance(values.get("versions"), Mapping) or "lighteval_sha" in general


def read(values: Mapping[str, Any], path: Path) -> list[Run]:
    """A run for every task; averages over tasks are none.

    Raises:
        UserError: something in it, or in the details, is not what the tool writes.
    """
    try:
        tasks = [task for task in values["results"] if task != "all" and ":_average" not in task]
        several = Counter(_parted(task)[0] for task in tasks)
        return [_run(values, task, several[_parted(task)[0]] > 1, path) for task in tasks]
    except (TypeError, AttributeError, KeyError, ValueError, OverflowError, IndexError) as problem:
        raise UserError(f"{path}: not results of {TOOL} as it writes them ({problem!r:.200})") from problem


def _parted(task: str) -> tuple[str, int | None]:
    """`leaderboard|arc:challenge|25` (before 0.9 with `|0` behind it) is the task and its number of examples."""
    parts = task.split("|")
    numbers = [part for part in parts if part.isdecimal()]
    named = "_".join(part for part in parts if not part.isdecimal()).replace("/", "_")
    return named, int(numbers[0]) if numbers else None


def _run(values: Mapping[str, Any], task: str, several: bool, path: Path) -> Run:
    named, shots = _parted(task)
    samples = [_sample(row) for row in _details(path, task)]
    decisions = packed(samples) if samples else {}
    general = values["config_general"]
    sha = general.get("model_sha")
    commit = general.get("lighteval_sha")
    return Run(
        subject=f"{named}.{shots}" if several else named,
        command="",
        params=dict(sorted(_params(values, task, shots).items())),
        inputs={**({"weights": str(sha)} if sha else {}), **documents_of(decisions)},
        environment={
            RECORDER: TOOL,
            COMPLETE: LISTS,
            **({"commit.lighteval": str(commit)} if commit not in (None, "", "?") else {}),
        },
        code={},
        results={
            **{name: value for name, value in values["results"][task].items() if _is_finite(value)},
            **results_of(samples),
        },
        decisions=decisions,
        schema=FOREIGN,
    )


def _params(values: Mapping[str, Any], task: str, shots: int | None) -> dict[str, Scalar]:
    general = {name: value for name, value in values["config_general"].items() if name not in NO_CONDITIONS}
    model = general.get("model_config")
    if isinstance(model, Mapping):
        general["model_config"] = {name: value for name, value in model.items() if name not in OWN_FOLDERS}
    described = (values.get("config_tasks") or {}).get(task) or {}
    asked = {**general, "task": _without_addresses(described), "num_fewshot": shots}
    asked["task"]["version"] = (values.get("versions") or {}).get(task)
    return flat(asked)


def _without_addresses(value: Any) -> Any:
    if isinstance(value, str):
        return ADDRESS.sub("", value)
    if isinstance(value, Mapping):
        return {str(name): _without_addresses(each) for name, each in value.items()}
    return [_without_addresses(each) for each in value] if isinstance(value, list) else value


def _is_finite(value: Any) -> bool:
    return is_number(value) and abs(value) != float("inf") and value == value


# ---- samples


def _details(results: Path, task: str) -> Iterator[Mapping[str, Any]]:
    """The rows of a task's details, where they were kept; images are not read."""
    file = _details_file(results, task)
    if file is None:
        return
    if file.stat().st_size > LARGEST:
        raise UserError(f"{file}: larger than {LARGEST >> 20} MiB: not read")
    pyarrow, parquet = needed("pyarrow"), needed("pyarrow.parquet")
    try:
        table = parquet.ParquetFile(file)
        columns = set(table.schema_arrow.names)
        if not any(known <= columns for known in COLUMNS) or table.metadata.num_rows > MOST_ROWS:
            raise UserError(
                f"{file}: not details of {TOOL} in a form that is known; it has: {', '.join(sorted(columns))[:200]}"
            )
        for batch in table.iter_batches(batch_size=1000):
            yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError) as problem:
        raise UserError(f"{file}: not whole ({' '.join(str(problem).split())[:200]})") from problem


def _details_file(results: Path, task: str) -> Path | None:
    """`results/a/b/results_T.json` has its details in `details/a/b/T/details_<task>_T.parquet`."""
    parts, time = results.absolute().parts, results.stem.removeprefix("results_")
    for place in (at for at, part in enumerate(parts) if part == "results"):
        folder = Path(*parts[:place], "details", *parts[place + 1 : -1], time)
        file = folder / f"details_{task}_{time}.parquet"
        if "/" not in task and file.is_file():
            return file
    return None


def _sample(row: Mapping[str, Any]) -> Sample:
    if "doc" in row:
        doc, said, metrics = row["doc"], row["model_response"], row["metric"]
        asked, gold = [doc["query"], doc.get("choices")], doc.get("gold_index")
        prompt = said.get("input") or doc["query"]
        output = said.get("text") or said.get("logprobs") or None
    else:
        asked, gold = (
            [row.get("example") or row["full_prompt"], row.get("choices")],
            row.get("gold_index") or row.get("gold"),
        )
        prompt, output, metrics = row["full_prompt"], row["predictions"], row["metrics"]
    return Sample(
        document=json.dumps(asked, default=str),
        prompt=prompt,
        target=gold,
        output=output,
        right=verdict(metrics if isinstance(metrics, Mapping) else {}, RIGHT),
    )

"""Results of lm-evaluation-harness, of 0.3 to 0.4.9: `results*.json`, and the samples that `--log_samples` wrote beside it.

Samples are paired by `doc_hash` and filter. The working folder's `git_hash`, dates and durations are no conditions; addresses
of functions, which differ by chance, are taken out. What `model_args` does not say was not given: the list is complete.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tracking.audit.recorded import COMPLETE, RECORDER
from tracking.foreign.samples import Sample, documents_of, packed
from tracking.foreign.torch_env import torch_environment
from tracking.runs.errors import UserError
from tracking.runs.flat import flat
from tracking.runs.run import FOREIGN, Run, Scalar

TOOL = "lm-evaluation-harness"
LISTS = "param.model_args.* param.gen_kwargs.* param.task.generation_kwargs.*"  # what is not in them was not given
OF_THE_RUN = (
    *("system_instruction_sha", "fewshot_as_multiturn", "chat_template_sha", "max_length", "eot_token_id"),
    *("tokenizer_pad_token", "tokenizer_eos_token", "tokenizer_bos_token"),
)
NO_CONDITIONS = {"bootstrap_iters", "batch_sizes", "model_args", "gen_kwargs", "model_sha", "num_fewshot"}
OF_NO_TASK = {"task", "task_alias", "group", "group_alias", "tag", "metadata", "num_fewshot", "generation_kwargs"}
ADDRESS = re.compile(r" at 0x[0-9a-f]+")
LONGEST = 2000  # letters of a template that are kept; of a longer one its digest


def recognises(values: Any) -> bool:
    if not isinstance(values, Mapping):
        return False
    return all(isinstance(values.get(name), Mapping) for name in ("results", "config", "versions"))


def read(values: Mapping[str, Any], path: Path, only: str | None = None) -> list[Run]:
    """A run for every task, or group of tasks, that is part of no other group; or the run of one task, part of one or not.

    Raises:
        UserError: there is no such task, or something in it is not what the tool writes.
    """
    if only is not None and only not in values["results"]:
        raise UserError(f"{path}:{only}: no such task; it has: {', '.join(sorted(values['results']))[:500]}")
    try:
        parts = {part for group in _table(values, "group_subtasks").values() for part in group or ()}
        tasks = [task for task in values["results"] if task not in parts] if only is None else [only]
        return [_run(values, task, path) for task in tasks]
    except (TypeError, AttributeError, KeyError, ValueError) as problem:
        raise UserError(f"{path}: not results of {TOOL} as it writes them ({problem})") from problem


def _run(values: Mapping[str, Any], task: str, path: Path) -> Run:
    config = values["config"]
    samples = list(_samples(path, task, values))
    metrics = dict(_metrics(values["results"][task]))
    counted = _effective(values, task)
    right = [each.right for each in samples if each.right is not None]
    if right:
        metrics["top1"] = sum(right) / len(right)
    decisions = packed(samples) if samples else {}
    sha = config.get("model_sha")
    return Run(
        subject=task.replace("/", "_"),
        command="",
        params=dict(sorted(_params(values, task).items())),
        inputs={**({"weights": str(sha)} if sha else {}), **documents_of(decisions)},
        environment=_environment(values),
        code={},
        results={**metrics, **({"samples": counted} if counted is not None else {})},
        decisions=decisions,
        schema=FOREIGN,
    )


# ---- what was asked for


def _params(values: Mapping[str, Any], task: str) -> dict[str, Scalar]:
    config = values["config"]
    own = {name: value for name, value in config.items() if name not in NO_CONDITIONS}
    own |= {name: values[name] for name in OF_THE_RUN if name in values}
    own["model_args"] = arguments(config.get("model_args"))
    own["gen_kwargs"] = arguments(config.get("gen_kwargs"))
    described = _table(values, "configs").get(task) or {}
    own["task"] = {name: _shortened(value) for name, value in described.items() if name not in OF_NO_TASK}
    own["task"]["generation_kwargs"] = described.get("generation_kwargs") or {}
    own["task"]["version"] = _table(values, "versions").get(task)
    found = flat(own)
    if "limit" in config:  # null is an answer too
        found["limit"] = "all" if config["limit"] is None else config["limit"]
    found["batch_size"] = str(config.get("batch_size"))  # "1" and 1 are one batch size
    if (shots := _shots(values, task)) is not None:
        found["num_fewshot"] = shots
    return found


def arguments(written: Any) -> dict[str, Any]:
    """`a=1,b=2`, or a mapping already; commas within brackets and braces part nothing."""
    if isinstance(written, Mapping):
        return dict(written)
    parts = re.split(r",(?![^\[({]*[\])}])", str(written)) if written else []
    pairs = (part.partition("=") for part in parts)
    return {name.strip(): value.strip() for name, _, value in pairs if name.strip()}


def _shortened(value: Any) -> Any:
    if isinstance(value, str):
        text = ADDRESS.sub("", value)
        return text if len(text) <= LONGEST else f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    if isinstance(value, Mapping):
        return {name: _shortened(each) for name, each in value.items()}
    return [_shortened(each) for each in value] if isinstance(value, list) else value


def _shots(values: Mapping[str, Any], task: str) -> Scalar:
    """Of a group what its tasks had, as the group itself says 0; several are listed. None where nobody says."""
    told = _table(values, "n-shot")
    parts = list(_tasks_of(values, task))
    found = sorted({told[part] for part in parts if isinstance(told.get(part), int)})
    if not found:
        config = _table(values, "configs").get(task) or {}
        one = config.get("num_fewshot", values["config"].get("num_fewshot"))
        return one if isinstance(one, int) else None
    return found[0] if len(found) == 1 else json.dumps(found)


def _tasks_of(values: Mapping[str, Any], task: str, seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """The tasks at the bottom of a group; a task is its own."""
    parts = [part for part in _table(values, "group_subtasks").get(task) or () if part not in seen]
    if not parts:
        yield task
    for part in parts:
        yield from _tasks_of(values, part, seen | {task})


def _environment(values: Mapping[str, Any]) -> dict[str, Scalar]:
    facts: dict[str, Scalar] = {RECORDER: TOOL, COMPLETE: LISTS}
    facts |= torch_environment(str(values.get("pretty_env_info") or ""))
    for name, package in (("transformers_version", "transformers"), ("lm_eval_version", "lm-eval")):
        if values.get(name):
            facts[f"package.{package}"] = str(values[name])
    return facts


# ---- what came out


def _metrics(row: Mapping[str, Any]) -> Iterator[tuple[str, Scalar]]:
    """`acc,none` is `acc`, another filter stays in the name; "N/A" is no number."""
    for name, value in row.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        metric, _, chosen = name.partition(",")
        kept = metric if chosen in ("", "none") else f"{metric}.{chosen}"
        yield kept, value if math.isfinite(value) else str(value)


def _effective(values: Mapping[str, Any], task: str) -> int | None:
    counts = _table(values, "n-samples")
    known = [counts[part]["effective"] for part in _tasks_of(values, task) if isinstance(counts.get(part), Mapping)]
    return sum(known) if known and all(isinstance(each, int) for each in known) else None


def _samples(path: Path, task: str, values: Mapping[str, Any]) -> Iterator[Sample]:
    """The samples logged beside the results at the same time; of several filters each is a sample of its own."""
    stamp = (
        path.stem.removeprefix("results_") if path.stem.startswith("results_") else path.stem.partition("results_")[2]
    )
    file = path.with_name(f"samples_{task}_{stamp}.jsonl")
    if not stamp or not file.is_file():
        return
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    yield _sample(json.loads(line))
                except (ValueError, KeyError, TypeError, RecursionError) as problem:
                    raise UserError(f"{file}: line {number} is no sample ({problem})") from problem


def _sample(row: Mapping[str, Any]) -> Sample:
    named = row.get("doc_hash") or f"doc_id {row['doc_id']}"
    return Sample(
        document=f"{named} {row.get('filter', 'none')}",
        prompt=row.get("prompt_hash") or row.get("arguments"),
        target=row.get("target_hash") or row.get("target"),
        output=row.get("filtered_resps"),
        right=_right(row),
    )


def _right(row: Mapping[str, Any]) -> bool | None:
    """By the first of its metrics that is 0 or 1 for each sample: acc, exact_match and the like."""
    for name in (*_named_metrics(row), "acc", "exact_match", "acc_norm"):
        value = row.get(name)
        if name in row and isinstance(value, bool | int | float) and value in (0, 1):
            return bool(value)
    return None


def _named_metrics(row: Mapping[str, Any]) -> list[str]:
    """In an order of their own: the tool's is not fixed."""
    names = row.get("metrics")
    whole = sorted(name for name in names if isinstance(name, str)) if isinstance(names, list) else []
    return [name for name in whole if name.endswith(("acc", "exact_match"))]


def _table(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name)
    return found if isinstance(found, Mapping) else {}

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
from tracking.foreign.lm_eval_samples import samples_beside
from tracking.foreign.samples import documents_of, packed, share_right
from tracking.foreign.torch_env import torch_environment
from tracking.runs.errors import UserError
from tracking.runs.facts import is_number
from tracking.runs.flat import flat
from tracking.runs.run import FOREIGN, Run, Scalar

TOOL = "lm-evaluation-harness"
SAID = ("chat_template_sha", "system_instruction_sha")  # null where there was none
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
    """A run for every task, or group of tasks, that is part of no other group; or those of one task, part of one or not.

    A task whose answers were filtered in several ways is a run for each filter: `gsm8k.strict-match`, `gsm8k.flexible-extract`.

    Raises:
        UserError: there is no such task, or something in it is not what the tool writes.
    """
    try:
        filters = {task: _filters(row) for task, row in values["results"].items()}
        named = {_subject(task, each): (task, each) for task, several in filters.items() for each in several}
        if only is not None and only not in filters and only not in named:
            raise UserError(f"{path}:{only}: no such task; it has: {', '.join(sorted(named))[:500]}")
        if only in filters or only is None:
            parts = {part for group in _table(values, "group_subtasks").values() for part in group or ()}
            tasks = [task for task in filters if task not in parts] if only is None else [only]
            return [_run(values, task, each, path) for task in tasks for each in filters[task]]
        return [_run(values, *named[only], path)]
    except (TypeError, AttributeError, KeyError, ValueError, OverflowError) as problem:
        raise UserError(f"{path}: not results of {TOOL} as it writes them ({problem})") from problem


def _filters(row: Mapping[str, Any]) -> list[str]:
    """The filters of a task where it has several, each with the same metrics; else the empty one, which stands for all."""
    found: dict[str, set[str]] = {}
    for name in row:
        metric, comma, chosen = name.partition(",")
        if comma:
            found.setdefault(chosen, set()).add(metric)
    one = next(iter(found.values()), set())
    return list(found) if len(found) > 1 and all(each == one for each in found.values()) else [""]


def _subject(task: str, chosen: str) -> str:
    return f"{task}.{chosen}" if chosen else task


def _run(values: Mapping[str, Any], task: str, chosen: str, path: Path) -> Run:
    config, row = values["config"], values["results"][task]
    samples = samples_beside(path, task, chosen, _filters(row))
    own = {name: value for name, value in row.items() if not chosen or name.partition(",")[2] == chosen}
    metrics = {
        (name.removesuffix(f".{chosen}") if chosen else name): value for name, value in _metrics(own)
    } | share_right(samples)
    counted = _effective(values, task)
    decisions = packed(samples) if samples else {}
    sha = config.get("model_sha")
    asked = _params(values, task) | ({"filter": chosen} if chosen else {})
    return Run(
        subject=_subject(task, chosen).replace("/", "_"),
        command="",
        params=dict(sorted(asked.items())),
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
    own |= {name: "none" for name in SAID if name in values and values[name] is None}
    own["model_args"] = arguments(config.get("model_args"))
    own["gen_kwargs"] = arguments(config.get("gen_kwargs"))
    described = _table(values, "configs").get(task) or {}
    own["task"] = {name: _shortened(value) for name, value in described.items() if name not in OF_NO_TASK}
    own["task"]["generation_kwargs"] = described.get("generation_kwargs") or {}
    own["task"]["name"] = task
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
    facts: dict[str, Scalar] = {RECORDER: TOOL, COMPLETE: _lists(values)}
    facts |= torch_environment(str(values.get("pretty_env_info") or ""))
    for name, package in (("transformers_version", "transformers"), ("lm_eval_version", "lm-eval")):
        if values.get(name):
            facts[f"package.{package}"] = str(values[name])
    return facts


def _lists(values: Mapping[str, Any]) -> str:
    """What is written down whole: what is not in it was not given."""
    lists = [f"param.{name}.*" for name in ("model_args", "gen_kwargs") if name in values["config"]]
    return " ".join([*lists, *(["param.task.generation_kwargs.*"] if values.get("configs") else [])])


# ---- what came out


def _metrics(row: Mapping[str, Any]) -> Iterator[tuple[str, Scalar]]:
    """`acc,none` is `acc`, another filter stays in the name; "N/A" is no number."""
    for name, value in row.items():
        if not is_number(value):
            continue
        metric, _, chosen = name.partition(",")
        kept = metric if chosen in ("", "none") else f"{metric}.{chosen}"
        yield kept, value if math.isfinite(value) else str(value)


def _effective(values: Mapping[str, Any], task: str) -> int | None:
    counts = _table(values, "n-samples")
    known = [counts[part]["effective"] for part in _tasks_of(values, task) if isinstance(counts.get(part), Mapping)]
    return sum(known) if known and all(isinstance(each, int) for each in known) else None


def _table(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name)
    return found if isinstance(found, Mapping) else {}

"""Runs of HELM: a folder with `run_spec.json`, and with `stats.json`, `per_instance_stats.json` and `scenario_state.json`.

Instances are paired by their text, references and perturbation. What took time or energy is no result of the model.
Forms: `helm.benchmark.runner`, where None is left out (`asdict_without_nones`).
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tracking.audit.recorded import COMPLETE, RECORDER
from tracking.foreign.bounded import read_json
from tracking.foreign.samples import Sample, documents_of, packed, results_of, verdict
from tracking.runs.errors import UserError
from tracking.runs.flat import flat
from tracking.runs.run import FOREIGN, Run, Scalar

TOOL = "HELM"
SPEC, STATS, STATES, INSTANCES = "run_spec.json", "stats.json", "scenario_state.json", "per_instance_stats.json"
LISTS = "param.adapter.* param.scenario.* param.metrics param.augmenter.*"
COSTS = ("runtime", "co2", "energy", "batch_size", "num_instances", "latency")
RIGHT = (
    *("exact_match", "quasi_exact_match", "prefix_exact_match", "quasi_prefix_exact_match", "final_number_exact_match"),
    *("math_equiv_chain_of_thought", "math_equiv", "code_eval_acc"),
)


def folders(path: Path) -> list[Path]:
    """The runs in a folder, itself or one below it; empty where there is none. A file of a run stands for it."""
    if path.is_file():
        return [path.parent] if path.name in (SPEC, STATS, STATES, INSTANCES) and (path.parent / SPEC).is_file() else []
    return [path] if (path / SPEC).is_file() else sorted(each.parent for each in path.glob(f"*/{SPEC}"))


def read(path: Path) -> list[Run]:
    """Every run of a folder.

    Raises:
        UserError: a file cannot be read, or is not as the tool writes it.
    """
    try:
        return [_run(folder) for folder in folders(path)]
    except (TypeError, AttributeError, KeyError, ValueError, OverflowError, IndexError) as problem:
        raise UserError(f"{path}: not a run of {TOOL} as it writes them ({problem!r:.200})") from problem


def _run(folder: Path) -> Run:
    spec = read_json(folder / SPEC)
    states = (read_json(folder / STATES) or {}).get("request_states") or ()
    samples = list(_samples(states, read_json(folder / INSTANCES) or ()))
    decisions = packed(samples) if samples else {}
    metrics = dict(_metrics(read_json(folder / STATS) or ()))
    return Run(
        subject=str(spec.get("name") or folder.name).partition("model=")[0].rstrip(",:").replace("/", "_")
        or folder.name,
        command="",
        params=dict(sorted(_params(spec).items())),
        inputs=documents_of(decisions),
        environment={RECORDER: TOOL, COMPLETE: LISTS},
        code={},
        results={**metrics, **results_of(samples)},
        decisions=decisions,
        schema=FOREIGN,
    )


def _params(spec: Mapping[str, Any]) -> dict[str, Scalar]:
    """What was asked for; an empty text or list is what older versions did not write."""
    asked = flat(
        {
            "adapter": spec["adapter_spec"],
            "scenario": spec.get("scenario_spec") or {},
            "metrics": json.dumps(spec.get("metric_specs") or [], sort_keys=True),
            "augmenter": spec.get("data_augmenter_spec") or {},
        }
    )
    return {name: value for name, value in asked.items() if value not in ("", "[]")}


def _metrics(stats: Any) -> Iterator[tuple[str, Scalar]]:
    """`exact_match` of the test split; another split, a part of it and a perturbation stay in the name."""
    for row in stats:
        named = row["name"]
        disturbed = named.get("perturbation") or {}
        split = "" if named.get("split") in (None, "test") else named["split"]
        parts = (named["name"], split, named.get("sub_split"), disturbed.get("name"), disturbed.get("computed_on"))
        name = ".".join(str(part) for part in parts if part)
        if isinstance(row.get("mean"), int | float) and not any(cost in name for cost in COSTS):
            yield name, row["mean"]


# ---- instances


def _samples(states: Any, rows: Any) -> Iterator[Sample]:
    """Of several requests for one instance (a choice each, a calibration) one sample."""
    verdicts = {_place(row, row.get("instance_id")): _right(row) for row in rows}
    grouped: dict[str, list[Mapping[str, Any]]] = {}
    for state in states:
        grouped.setdefault(
            _place(
                state["instance"] | {"train_trial_index": state.get("train_trial_index")}, state["instance"].get("id")
            ),
            [],
        ).append(state)
    for place, several in grouped.items():
        yield _sample(several, verdicts.get(place))
    for place in verdicts if not grouped else ():
        yield Sample(document=place, right=verdicts[place])


def _place(row: Mapping[str, Any], instance: Any) -> str:
    disturbed = json.dumps(row.get("perturbation") or {}, sort_keys=True)
    return f"{instance} {disturbed} {row.get('train_trial_index') or 0}"


def _sample(states: list[Mapping[str, Any]], right: bool | None) -> Sample:
    instance, trial = states[0]["instance"], states[0].get("train_trial_index") or 0
    references = [[each["output"].get("text"), each.get("tags") or []] for each in instance.get("references") or ()]
    asked = [instance["input"].get("text"), [text for text, _ in references], instance.get("perturbation"), trial]
    return Sample(
        document=json.dumps(asked, sort_keys=True),
        prompt=[state["request"].get("prompt") for state in states],
        target=references,
        output=[_completions(state) for state in states] if any(state.get("result") for state in states) else None,
        right=right,
    )


def _completions(state: Mapping[str, Any]) -> list[Any]:
    """Texts, and where only their log-probability counts (a choice each) that too."""
    told = (state.get("result") or {}).get("completions") or ()
    return [
        [each.get("text"), each.get("logprob")] if "reference_index" in state else each.get("text") for each in told
    ]


def _right(row: Mapping[str, Any]) -> bool | None:
    means = {stat["name"]["name"]: stat.get("mean") for stat in row["stats"]}
    return verdict({name: means[name] for name in RIGHT if name in means}, RIGHT)

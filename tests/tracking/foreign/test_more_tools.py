"""Results of HELM, lighteval, OpenCompass, MLPerf and timm, in the shape in which these tools write them."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.tracking.foreign.test_evaluations import audited
from tracking.audit.compare import compare
from tracking.lookup.find import find_run, find_runs
from tracking.runs.errors import UserError


def save(path: Path, values: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(values if isinstance(values, str) else json.dumps(values))
    return path


# ---- HELM


def helm(folder: Path, *, right: tuple[bool, ...] = (True, False, True), shots: int = 5, answers: str = "ABA") -> Path:
    run = folder / "mmlu:subject=anatomy,model=openai_gpt2"
    adapter = {
        "method": "multiple_choice_joint",
        "max_train_instances": shots,
        "model": "openai/gpt2",
        "instructions": "",
    }
    save(
        run / "run_spec.json",
        {
            "name": run.name,
            "adapter_spec": adapter,
            "scenario_spec": {"class_name": "M", "args": {"subject": "anatomy"}},
        },
    )
    stat = {"count": 1, "sum": 1.0, "mean": 0.5}
    names: list[dict[str, Any]] = [{"name": "exact_match", "split": "test"}, {"name": "exact_match", "split": "valid"}]
    names.append({"name": "exact_match", "split": "test", "perturbation": {"name": "typos", "computed_on": "worst"}})
    names.append({"name": "inference_runtime", "split": "test"})
    save(run / "stats.json", [{"name": name, **stat} for name in names] + [{"name": {"name": "logprob"}, "count": 0}])
    instances = [
        {
            "input": {"text": f"Q{number}"},
            "references": [{"output": {"text": "a"}, "tags": ["correct"]}],
            "id": f"id{number}",
        }
        for number in range(len(right))
    ]
    save(
        run / "per_instance_stats.json",
        [
            {
                "instance_id": f"id{number}",
                "train_trial_index": 0,
                "stats": [{"name": {"name": "exact_match"}, "mean": float(each)}],
            }
            for number, each in enumerate(right)
        ],
    )
    states = [
        {
            "instance": instance,
            "train_trial_index": 0,
            "request": {"prompt": f"{shots} examples. {instance['id']}"},
            "result": {"success": True, "completions": [{"text": answer, "logprob": -1.0}], "request_time": 0.5},
        }
        for instance, answer in zip(instances, answers, strict=True)
    ]
    save(run / "scenario_state.json", {"adapter_spec": adapter, "request_states": states})
    return run


def test_helm_is_paired_by_instance(tmp_path: Path) -> None:
    one, other = helm(tmp_path / "a"), helm(tmp_path / "b", right=(True, True, True), shots=0, answers="AAA")
    run = find_run(str(one))
    assert (run.subject, run.params["adapter.max_train_instances"]) == ("mmlu:subject=anatomy", 5)
    assert {name: run.results[name] for name in ("exact_match", "exact_match.valid", "exact_match.typos.worst")} == {
        "exact_match": 0.5,
        "exact_match.valid": 0.5,
        "exact_match.typos.worst": 0.5,
    }
    assert "inference_runtime" not in run.results
    assert "adapter.instructions" not in run.params
    found = audited(one, other / "scenario_state.json")
    assert [each.name for each in found.suspects] == ["param.adapter.max_train_instances"]
    assert (found.grades.flips, found.grades.documents) == (1, (3, 0, 0))
    assert found.grades.texts == {"prompts": 3, "targets": 0, "outputs": 1}


def test_every_run_of_a_helm_suite_is_read_and_one_without_states_by_the_ids_of_its_instances(tmp_path: Path) -> None:
    run = helm(tmp_path / "suite")
    (run / "scenario_state.json").unlink()
    assert [each.results["top1"] for each in find_runs(str(tmp_path / "suite"))] == [2 / 3]


# ---- lighteval

TIME = "2025-01-02T03-04-05.678"


def lighteval(
    folder: Path, *, batch: int = 1, shots: int = 5, right: tuple[bool, ...] = (True, False), old: bool = False
) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    task = f"leaderboard|arc:challenge|{shots}" + ("|0" if old else "")
    general = {
        "lighteval_sha": "?",
        "max_samples": None,
        "start_time": float(batch),
        "model_config": {"model_name": "gpt2", "batch_size": batch, "cache_dir": str(folder)},
    }
    values = {
        "config_general": general,
        "results": {
            task: {"acc": 0.5, "acc_stderr": 0.1},
            "leaderboard|arc:_average|5": {"acc": 0.5},
            "all": {"acc": 0.5},
        },
        "versions": {task: 0},
        "config_tasks": {task: {"metric": ["<function f at 0x7f>"], "num_samples": None}},
        "summary_tasks": {},
        "summary_general": {},
    }
    path = save(folder / "out/results/gpt2" / f"results_{TIME}.json", values)
    if old:
        rows = [
            {
                "example": f"q{n}",
                "full_prompt": f"{shots} q{n}",
                "predictions": ["a"],
                "gold": ["a"],
                "metrics": {"acc": int(each)},
            }
            for n, each in enumerate(right)
        ]
    else:
        rows = [
            {
                "doc": {"query": f"q{n}", "choices": ["a", "b"], "gold_index": 0, "id": str(n)},
                "metric": {"acc": int(each)},
                "model_response": {"input": f"{shots} q{n}", "text": [], "logprobs": [-float(batch), -2.0]},
            }
            for n, each in enumerate(right)
        ]
    details = folder / "out/details/gpt2" / TIME / f"details_{task}_{TIME}.parquet"
    details.parent.mkdir(parents=True)
    parquet.write_table(pyarrow.Table.from_pylist(rows), details)
    return path


@pytest.mark.parametrize("old", [False, True])
def test_lighteval_is_read_with_its_details(old: bool, tmp_path: Path) -> None:
    one = lighteval(tmp_path / "a", old=old)
    other = lighteval(tmp_path / "b", old=old, batch=8, shots=0, right=(True, True))
    run = find_run(str(one.parents[2]))
    assert (run.subject, run.results) == (
        "leaderboard_arc:challenge",
        {"acc": 0.5, "acc_stderr": 0.1, "top1": 0.5, "samples": 2},
    )
    found = audited(one, other)
    assert [each.name for each in found.suspects] == ["param.num_fewshot", "param.model_config.batch_size"]
    assert (found.grades.flips, found.grades.documents) == (1, (2, 0, 0))
    assert found.grades.texts == {"prompts": 2, "targets": 0, "outputs": 0 if old else 2}


def test_the_first_form_of_lightevals_results_is_read(tmp_path: Path) -> None:
    general = {
        "lighteval_sha": "494ee12",
        "override_batch_size": 1,
        "model_sha": "8443",
        "model_dtype": "torch.bfloat16",
    }
    values = {"config_general": general, "results": {"harness|hellaswag|10": {"acc_norm": 0.76}}}
    run = find_run(str(save(tmp_path / "results.json", values)))
    assert (run.subject, run.results, run.inputs) == ("harness_hellaswag", {"acc_norm": 0.76}, {"weights": "8443"})
    assert {"model_dtype": "torch.bfloat16", "num_fewshot": 10}.items() <= run.params.items()


def test_details_in_an_unknown_form_or_damaged_are_refused_by_name(tmp_path: Path) -> None:
    path = lighteval(tmp_path / "a")
    details = next(tmp_path.rglob("*.parquet"))
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"x": [1]}), details)
    with pytest.raises(UserError, match="not details of lighteval in a form that is known; it has: x"):
        find_run(str(path))
    details.write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"details_.*parquet: not whole"):
        find_run(str(path))


# ---- OpenCompass

CONFIG = """
datasets = [dict(abbr='gsm8k', path='openai/gsm8k', infer_cfg=dict(retriever=dict(type='Zero')), n=-1)]
models = [dict(abbr='m', path='hf/m', batch_size={batch}, run_cfg=dict(num_gpus=1), type=__import__('os').getcwd())]
"""


def opencompass(folder: Path, *, batch: int = 1, right: tuple[bool, ...] = (True, False, True)) -> Path:
    start = folder / "20250102_030405"
    said = [
        {"origin_prompt": [{"role": "HUMAN", "prompt": f"q{n}"}], "prediction": f"a{each}", "gold": "g"}
        for n, each in enumerate(right)
    ]
    for part, rows in enumerate((said[:2], said[2:])):
        save(start / f"predictions/m/gsm8k_{part}.json", {str(n): row for n, row in enumerate(rows)})
    details = {str(n): {"pred": "x", "answer": "g", "correct": each} for n, each in enumerate(right)}
    save(start / "results/m/gsm8k.json", {"accuracy": 66.7, "details": {"type": "GEN", **details}})
    save(start / "configs/20250102_030405_1.py", CONFIG.format(batch=batch))
    return folder


def test_opencompass_is_read_with_its_parts_and_its_configuration_is_not_run(tmp_path: Path) -> None:
    one, other = opencompass(tmp_path / "a"), opencompass(tmp_path / "b", batch=8, right=(True, True, True))
    run = find_run(str(one))
    assert (run.subject, run.results) == ("gsm8k", {"accuracy": 66.7, "top1": 2 / 3, "samples": 3})
    assert (run.params["model.batch_size"], run.params["dataset.n"], run.params.get("model.type")) == (1, -1, None)
    found = audited(one, other / "20250102_030405")
    assert [each.name for each in found.suspects] == ["param.model.batch_size"]
    assert (found.grades.flips, found.grades.texts) == (1, {"prompts": 0, "targets": 0, "outputs": 1})


@pytest.mark.parametrize("config", ["models = [", "(" * 5000, "models = [dict(" + "a=dict(" * 300, "\0"])
def test_a_configuration_that_cannot_be_read_is_not_recorded(config: str, tmp_path: Path) -> None:
    folder = opencompass(tmp_path)
    next(folder.rglob("*.py")).write_text(config)
    assert find_run(str(folder)).params == {"model.abbr": "m", "dataset.abbr": "gsm8k"}


def test_a_table_of_opencompass_has_a_run_for_each_figure(tmp_path: Path) -> None:
    rows = "dataset,version,metric,mode,m\nceval,-,naive_average,gen,34.10\ngsm8k,{version},accuracy,gen,{figure}\nx,-,-,-,-\n"
    one = save(tmp_path / "a/20250102/summary/summary_1.csv", rows.format(version="1d7fe4", figure="65.62"))
    other = save(tmp_path / "b/summary_2.csv", rows.format(version="77aa00", figure="82.00 (7/8)"))
    assert {run.subject: run.results for run in find_runs(str(one))} == {
        "ceval": {"naive_average": 34.1},
        "gsm8k": {"accuracy": 65.62},
    }
    found = audited(f"{tmp_path / 'a'}:gsm8k", f"{other.parent}:gsm8k")
    assert [each.name for each in found.suspects] == ["param.dataset.version"]


# ---- MLPerf

SUMMARY = """================
MLPerf Results Summary
================
SUT name : PySUT
Scenario : Offline
Mode     : AccuracyOnly
Samples per second: 123.4
================
Test Parameters Used
================
samples_per_query : 24576
qsl_rng_seed : {seed}
"""


def mlperf(folder: Path, answers: list[str], *, seed: int = 1) -> Path:
    rows = ",\n".join(
        f'{{ "seq_id" : {n}, "qsl_idx" : {len(answers) - n}, "data" : "{each}" }}' for n, each in enumerate(answers)
    )
    save(folder / "mlperf_log_accuracy.json", f"[\n{rows}\n]\n")
    save(folder / "mlperf_log_summary.txt", SUMMARY.format(seed=seed))
    save(folder / "mlperf_log_detail.txt", ':::MLLOG {"key": "loadgen_version", "value": "4.1 @ abc", "time_ms": 1}')
    save(folder / "accuracy.txt", "accuracy=76.456%, good=38228, total=50000")
    return folder


def test_mlperf_answers_are_compared_byte_by_byte(tmp_path: Path) -> None:
    one = mlperf(tmp_path / "a", ["0A000000", "0b000000"])
    other = mlperf(tmp_path / "b", ["0a000000", "0C000000"], seed=2)
    run = find_run(str(one))
    assert run.params == {
        "sut_name": "PySUT",
        "scenario": "Offline",
        "mode": "AccuracyOnly",
        "samples_per_query": "24576",
        "qsl_rng_seed": "1",
    }
    assert (run.results["top1"], run.results["good"], run.environment["package.mlperf-loadgen"]) == (
        0.76456,
        38228,
        "4.1 @ abc",
    )
    found = audited(one, other / "mlperf_log_accuracy.json")
    assert [each.name for each in found.suspects] == ["param.qsl_rng_seed"]
    assert (found.grades.documents, found.grades.texts) == ((2, 0, 0), {"outputs": 1})


def test_of_a_submission_of_mlperf_the_logs_that_are_whole_are_read(tmp_path: Path) -> None:
    lines = {"sut_name": "S", "effective_scenario": "Offline", "effective_min_duration_ms": 6e5, "loadgen_version": "3"}
    for top1 in (76.158, 76.034):
        folder = tmp_path / str(top1) / "Offline" / "accuracy"
        save(folder / "mlperf_log_accuracy.json", '[\n{ "seq_id" : 0, "qsl_i\n\n...\n\n : 1, "data" : "4100"}\n]')
        save(folder / "accuracy.txt", f"accuracy={top1}%, good=38079, total=50000\nhash=580beea6\n")
        rows = [":::MLLOG " + json.dumps({"key": key, "value": value}) for key, value in lines.items()]
        save(folder / "mlperf_log_detail.txt", "\n".join(rows) + "\n:::MLL")
    run = find_run(str(tmp_path / "76.158/Offline"))
    assert run.results == {"top1": 0.76158, "good": 38079, "total": 50000}
    assert run.params == {"sut_name": "S", "scenario": "Offline", "min_duration_ms": "600000"}
    assert run.environment["package.mlperf-loadgen"] == "3"
    found = audited(tmp_path / "76.158/Offline", tmp_path / "76.034/Offline/accuracy/mlperf_log_detail.txt")
    assert (found.grades.top1_before, found.grades.top1_after) == (0.76158, 0.76034)


# ---- timm

TABLE = "model,img_size,top1,top1_err,top5,top5_err,param_count,crop_pct,interpolation\n"


def test_each_row_of_a_table_of_timm_is_a_run(tmp_path: Path) -> None:
    row = "resnet50.a1_in1k,{size},{top1},19.8,95.1,4.9,25.56,0.95,bicubic\n"
    one = save(tmp_path / "a.csv", TABLE + row.format(size=224, top1="80.22") + "vit,224,81.0,19,95,5,86,0.9,bicubic\n")
    other = save(tmp_path / "b.csv", TABLE + row.format(size="288.0", top1=81.22))
    assert [run.subject for run in find_runs(str(one))] == ["resnet50.a1_in1k", "vit"]
    found = audited(f"{one}:resnet50.a1_in1k", other)
    assert (found.grades.top1_before, found.grades.top1_after) == (0.8022, 0.8122)
    assert [(each.name, each.before, each.after) for each in found.suspects] == [("param.img_size", 224, 288)]
    written = save(tmp_path / "c.json", [{"model": "vit", "top1": 81.0, "top1_err": 19.0, "img_size": 224}])
    assert find_run(str(written)).results == {"top1": 0.81}


def test_a_share_that_is_none_and_a_model_that_is_there_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="row 1: top1 is 'x', not a share in per cent"):
        find_runs(str(save(tmp_path / "a.csv", TABLE + "m,224,x,1,1,1,1,1,b\n")))
    with pytest.raises(UserError, match="twice with one image size"):
        find_runs(str(save(tmp_path / "a.csv", TABLE + "m,224,1,1,1,1,1,1,b\n" * 2)))


# ---- all of them


def damaged(rows: Any) -> Mapping[str, Any]:
    return {"results": rows, "config_general": {}, "versions": {}}


@pytest.mark.parametrize(
    ("make", "file", "content"),
    [
        (helm, "run_spec.json", {"name": 3}),
        (helm, "stats.json", [{"mean": 1}]),
        (helm, "scenario_state.json", {"request_states": [{"instance": 3}]}),
        (helm, "per_instance_stats.json", [3]),
        (helm, "stats.json", "[1, "),
        (lighteval, f"results_{TIME}.json", damaged({"t|1": 3})),
        (opencompass, "gsm8k_0.json", {"0": 3}),
        (opencompass, "gsm8k.json", [3]),
        (opencompass, "gsm8k.json", "{"),
        (lambda folder: mlperf(folder, ["00"]), "mlperf_log_accuracy.json", [{"qsl_idx": "x", "data": "zz"}]),
        (lambda folder: mlperf(folder, ["00"]), "mlperf_log_accuracy.json", "[{"),
    ],
)  # fmt: skip
def test_what_is_not_as_the_tool_writes_it_is_one_clear_line(
    make: Callable[[Path], Path], file: str, content: Any, tmp_path: Path
) -> None:
    path = make(tmp_path / "a")
    save(next(tmp_path.rglob(file)), content)
    with pytest.raises(UserError) as problem:
        find_runs(str(path))
    assert str(problem.value).startswith(str(tmp_path))
    assert "\n" not in str(problem.value)


def test_decisions_are_compared_one_by_one(tmp_path: Path) -> None:
    pair = [
        find_run(str(helm(tmp_path / name, right=right))) for name, right in (("a", (True,) * 3), ("b", (False,) * 3))
    ]
    assert (compare(*pair).only_first, compare(*pair).p_value) == (3, 0.25)

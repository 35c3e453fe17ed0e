"""Result files of evaluation tools, real and made up: what they say, what they do not say, how two are paired."""

import io
import json
import random
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.import_graph import ROOT
from tracking.audit.audit import Audit, audit
from tracking.audit.compare import compare
from tracking.foreign.lm_eval import arguments
from tracking.foreign.read import foreign_runs
from tracking.foreign.torch_env import torch_environment
from tracking.lookup.find import find_run, find_runs
from tracking.runs.errors import UserError
from weighbridge.cli.main import main

EVALS = ROOT / "../shared/data/evals"
real = pytest.mark.skipif(not EVALS.is_dir(), reason="../shared/data/evals is absent")
LM = EVALS / "lm-eval"


def audited(before: Path | str, after: Path | str) -> Audit:
    return audit(find_run(str(before)), find_run(str(after)))


def suspects(found: Audit) -> list[str]:
    return [each.name for each in found.suspects]


# ---- real files, with their right answers


@real
def test_another_batch_size_moves_log_probabilities_and_no_decision() -> None:
    found = audited(LM / "pair-batch-samples/bs1", LM / "pair-batch-samples/bs8")
    assert (found.outcome, suspects(found)) == ("robust", ["param.batch_size"])
    assert (found.grades.top1_before, found.grades.top1_after, found.grades.flips) == (0.92, 0.92, 0)
    assert found.grades.documents == (50, 0, 0)
    assert found.grades.texts == {"prompts": 0, "targets": 0, "outputs": 16}


@real
@pytest.mark.parametrize(
    ("task", "before", "after"), [("winogrande", 0.741, 0.506), ("piqa", 0.814, 0.591), ("sciq", 0.972, 0.663)]
)
def test_a_missing_bos_comes_first_and_the_batch_size_behind_it(task: str, before: float, after: float) -> None:
    found = audited(f"{LM}/pair-bos/suite_add_bos_token.json:{task}", f"{LM}/pair-bos/suite_no_bos.json:{task}")
    assert found.outcome == "explained"
    assert suspects(found) == ["param.model_args.add_bos_token", "param.batch_size"]
    assert found.grades.metrics is not None
    assert [round(float(value or 0), 3) for value in found.grades.metrics["acc"]] == [before, after]


@real
def test_only_the_subtasks_tell_how_many_examples_a_group_had() -> None:
    found = audited(LM / "pair-bos/mmlu_add_bos_token.json", LM / "pair-bos/mmlu_no_bos.json")
    assert suspects(found) == ["param.model_args.add_bos_token", "param.num_fewshot", "param.batch_size"]
    shots = next(each for each in found.differences if each.name == "param.num_fewshot")
    assert (shots.before, shots.after) == (0, 5)


@real
def test_a_subset_is_equal_on_the_documents_that_both_hold() -> None:
    found = audited(LM / "pair-limit-samples/limit20", LM / "pair-limit-samples/full")
    assert (found.outcome, suspects(found)) == ("explained", ["param.limit"])
    assert (found.grades.samples, found.grades.flips, found.grades.documents) == (20, 0, (20, 0, 797))
    assert set((found.grades.texts or {}).values()) == {0}
    shared = compare(found.before, found.after)
    assert (shared.accuracies[0].samples, shared.difference) == (20, 0.0)


@real
def test_answers_that_nobody_scored_are_paired_and_their_score_is_not_recorded(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pair = [str(EVALS / f"inspect_ai/pair/popularity_{letter}.eval") for letter in "ab"]
    assert main(["audit", *pair]) == 0
    said = capsys.readouterr().out
    assert said.startswith("same as far as recorded: ")
    assert "top-1 accuracy   not recorded before; after 0.8000" in said
    assert "outputs          same: all 10" in said
    with pytest.raises(UserError, match="not scored"):
        compare(*(find_run(each) for each in pair))


@real
@pytest.mark.parametrize(
    ("file", "tasks", "holds", "lacks"),
    [
        ("0.3_opt-125m.json", 65, {"param.batch_size": "64", "param.num_fewshot": 0}, "package.torch"),
        (
            "0.4-dev_2023_xglm.json",
            1,
            {"param.num_fewshot": 0, "param.model_args.pretrained": "facebook/xglm-1.7B"},
            "gpu.0.name",
        ),
        ("0.4.0_latxa-7b-v1.1_xstorycloze_eu_0-shot.json", 1, {"param.num_fewshot": 0}, "package.transformers"),
        ("0.4.2_2024-04_openai.json", 1, {"package.torch": "2.2.0", "package.transformers": "4.32.1"}, "gpu.0.name"),
        (
            "0.4.8_vllm_tp8_qwen3-8b.json",
            2,
            {"param.model_args.tensor_parallel_size": 8},
            "input.weights",
        ),
        ("0.4.9.2_results_2026-01-21T03-44-18.458309.json", 2, {"package.lm-eval": "0.4.9.2"}, "code.commit"),
    ],
)
def test_every_version_is_read_and_what_it_lacks_is_not_recorded(
    file: str, tasks: int, holds: Mapping[str, Any], lacks: str
) -> None:
    found = find_runs(str(LM / "versions" / file))
    assert len(found) == tasks
    assert {name: found[0].conditions.get(name) for name in holds} == dict(holds)
    assert lacks not in found[0].conditions


@real
def test_the_gpu_stands_in_the_text_of_the_environment() -> None:
    run = find_run(str(LM / "pair-batch-samples/bs1"))
    held = {
        "gpu.0.name": "NVIDIA H100 80GB HBM3",
        "gpu.driver": "550.90.07",
        "package.torch": "2.3.1",
        "torch.cuda": "12.1",
    }
    assert {name: run.environment.get(name) for name in held} == held


# ---- made up: the kinds


def results(**changes: Any) -> dict[str, Any]:
    config = {"model": "hf", "model_args": "pretrained=m,dtype=float32", "batch_size": "1", "limit": None}
    return {
        "results": {"t": {"alias": "t", "acc,none": 0.5, "acc_stderr,none": "N/A", "f1,strict": float("inf")}},
        "versions": {"t": 1},
        "config": {**config, **changes.pop("config", {})},
        "configs": {"t": {"doc_to_text": "<function f at 0x7f12>", "num_fewshot": 2}},
        "n-shot": {"t": 2},
        "git_hash": "abc",
        **changes,
    }


def written(folder: Path, values: Mapping[str, Any], samples: list[dict[str, Any]] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "results_2024.json"
    path.write_text(json.dumps(values))
    if samples is not None:
        (folder / "samples_t_2024.jsonl").write_text("".join(json.dumps(each) + "\n" for each in samples))
    return path


def sample(number: int, right: bool, **changes: Any) -> dict[str, Any]:
    told = {"doc_hash": f"d{number}", "prompt_hash": f"p{number}", "target_hash": "t", "filtered_resps": [f"r{right}"]}
    return {"doc_id": number, "filter": "none", **told, "metrics": ["acc"], "acc": float(right), **changes}


def test_what_differs_by_chance_or_by_form_is_no_difference(tmp_path: Path) -> None:
    one = written(tmp_path / "a", results(date=1.0))
    other = results(
        config={"batch_size": 1, "model_args": {"dtype": "float32", "pretrained": "m"}},
        configs={"t": {"doc_to_text": "<function f at 0x9999>", "num_fewshot": 2}},
        git_hash="def",
        date=2.0,
    )
    found = audited(one, written(tmp_path / "b", other))
    assert found.differences == ()
    assert found.grades.metrics == {"acc": (0.5, 0.5), "f1.strict": ("inf", "inf")}


def test_an_argument_that_one_lacks_was_not_given_and_a_fact_that_one_lacks_is_not_recorded(tmp_path: Path) -> None:
    more = results(
        config={"model_args": "pretrained=m,dtype=float32,add_bos_token=True"}, transformers_version="4.44.0"
    )
    found = audited(written(tmp_path / "a", results()), written(tmp_path / "b", more))
    assert [each.name for each in found.differences] == ["param.model_args.add_bos_token"]
    assert found.unrecorded == {"before": ("package.transformers",)}


def test_samples_are_paired_by_content_whatever_their_order(tmp_path: Path) -> None:
    samples = [sample(number, number % 3 > 0) for number in range(30)]
    changed = [sample(number, number % 3 > 0 and number != 5) for number in range(40)]
    random.Random(0).shuffle(changed)
    found = audited(written(tmp_path / "a", results(), samples), written(tmp_path / "b", results(), changed))
    assert (found.grades.samples, found.grades.flips, found.grades.documents) == (30, 1, (30, 0, 10))
    assert found.grades.texts == {"prompts": 0, "targets": 0, "outputs": 1}


def test_another_prompt_for_the_same_document_is_counted(tmp_path: Path) -> None:
    samples = [sample(number, True) for number in range(5)]
    other = [sample(number, True, prompt_hash=f"p{number if number else 'other'}") for number in range(5)]
    found = audited(written(tmp_path / "a", results(), samples), written(tmp_path / "b", results(), other))
    assert (found.grades.texts or {})["prompts"] == 1


def test_several_filters_of_one_document_are_several_samples_and_a_doubled_one_is_not_paired(tmp_path: Path) -> None:
    samples = [sample(0, True, filter="strict"), sample(0, False, filter="flexible"), sample(1, True), sample(1, False)]
    path = written(tmp_path / "a", results(), samples)
    found = audited(path, path)
    assert found.grades.documents == (2, 2, 2)


def test_an_empty_sample_file_and_none_are_read(tmp_path: Path) -> None:
    assert find_run(str(written(tmp_path / "a", results(), []))).decisions == {}
    assert find_run(str(written(tmp_path / "b", results()))).results["acc"] == 0.5


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("a=1,b=x", {"a": "1", "b": "x"}),
        ("a={'b': 1, 'c': 2},d=3", {"a": "{'b': 1, 'c': 2}", "d": "3"}),
        ("peft=", {"peft": ""}),
        (None, {}),
        ("", {}),
    ],
)
def test_arguments_are_read_as_they_are_written(text: str | None, read: dict[str, str]) -> None:
    assert arguments(text) == read


@pytest.mark.parametrize(
    "text", ["", "'NoneType' object has no attribute 'splitlines'", "PyTorch version: N/A\nOS: \n"]
)
def test_an_environment_that_could_not_be_read_gives_no_fact(text: str) -> None:
    assert torch_environment(text) == {}


@pytest.mark.parametrize("cut", [{"results": {"t": 3}}, {"configs": {"t": 3}}, {"group_subtasks": {"t": 5}}])
def test_what_is_not_as_the_tool_writes_it_is_one_clear_line(cut: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"not results of lm-evaluation-harness|not a run file"):
        find_runs(str(written(tmp_path, results(**cut))))


def test_a_broken_sample_is_named_by_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, results(), [sample(0, True)])
    with (tmp_path / "samples_t_2024.jsonl").open("a") as file:
        file.write('{"doc_id": 1, ')
    with pytest.raises(UserError, match="line 2 is no sample"):
        find_runs(str(path))


def test_a_task_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such task; it has: t"):
        find_run(f"{written(tmp_path, results())}:u")


# ---- inspect_ai


LOG = {
    "status": "success",
    "eval": {"task": "t", "model": "m", "packages": {"inspect_ai": "0.3"}, "config": {"limit": 2}},
    "results": {"completed_samples": 2, "scores": [{"name": "match", "metrics": {"accuracy": {"value": 0.5}}}]},
}
ROWS = [
    {
        "id": number,
        "epoch": 1,
        "input": f"q{number}",
        "target": "a",
        "output": {"choices": [{"message": {"content": "a"}}]},
        "scores": {"match": {"value": "C" if number else "I"}},
    }
    for number in range(2)
]


def zstandard(files: Mapping[str, bytes]) -> bytes:
    """An archive whose members are packed by Zstandard, written by hand: Python 3.11's zipfile cannot."""
    pyarrow = pytest.importorskip("pyarrow")
    body, entries = io.BytesIO(), []
    for name, content in files.items():
        packed, offset = pyarrow.compress(content, codec="zstd", asbytes=True), body.tell()
        import zlib

        sizes = (zlib.crc32(content), len(packed), len(content))
        body.write(
            struct.pack("<4s5H3I2H", b"PK\3\4", 63, 0, 93, 0, 0x21, *sizes, len(name), 0) + name.encode() + packed
        )
        entries.append(
            struct.pack("<4s6H3I5H2I", b"PK\1\2", 63, 63, 0, 93, 0, 0x21, *sizes, len(name), 0, 0, 0, 0, 0, offset)
            + name.encode()
        )
    start, directory = body.tell(), b"".join(entries)
    ending = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, len(entries), len(entries), len(directory), start, 0)
    return body.getvalue() + directory + ending


@pytest.mark.parametrize("kind", ["deflate", "zstandard", "json"])
def test_a_log_is_read_in_each_of_its_forms(kind: str, tmp_path: Path) -> None:
    files = {f"samples/{number}_epoch_1.json": json.dumps(row).encode() for number, row in enumerate(ROWS)}
    files["header.json"] = json.dumps(LOG).encode()
    path = tmp_path / ("log.json" if kind == "json" else "log.eval")
    if kind == "json":
        path.write_text(json.dumps({**LOG, "samples": ROWS}))
    elif kind == "zstandard":
        path.write_bytes(zstandard(files))
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    run = find_run(str(path))
    assert (run.subject, run.results["top1"], run.results["match.accuracy"], run.results["samples"]) == (
        "t",
        0.5,
        0.5,
        2,
    )
    assert (run.params["config.limit"], run.environment["package.inspect-ai"]) == (2, "0.3")


def test_an_archive_cut_anywhere_is_one_clear_line(tmp_path: Path) -> None:
    whole = zstandard({"header.json": json.dumps(LOG).encode()})
    for end in range(0, len(whole), 23):
        (tmp_path / "log.eval").write_bytes(whole[:end])
        with pytest.raises(UserError, match="not a whole log of inspect_ai"):
            foreign_runs(tmp_path / "log.eval")


def test_files_that_no_tool_wrote_are_left_to_others(tmp_path: Path) -> None:
    for content in ("[]", "{}", '{"eval": 1}', "no json", '{"results": {}, "config": 3}'):
        (tmp_path / "x.json").write_text(content)
        assert foreign_runs(tmp_path / "x.json") is None

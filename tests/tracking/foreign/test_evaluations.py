"""Result files of lm-evaluation-harness and inspect_ai, made up: what they say, what they do not say, how two are paired.

Real ones are tried in tests/weighbridge/cli/test_result_files.py.
"""

import io
import json
import random
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tracking.audit.audit import Audit, audit
from tracking.audit.compare import compare
from tracking.audit.compare_tasks import compare_tasks
from tracking.foreign.lm_eval import arguments
from tracking.foreign.read import foreign_runs
from tracking.foreign.torch_env import torch_environment
from tracking.lookup.find import find_run, find_runs
from tracking.pages.text_audit import audit_text
from tracking.runs.errors import UserError


def audited(before: Path | str, after: Path | str) -> Audit:
    return audit(find_run(str(before)), find_run(str(after)))


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


def filtered(folder: Path, *, named: bool, flexible: bool = True) -> Path:
    """Two documents, each read by two filters; older versions do not say by which."""
    metrics = {f"exact_match,{name}": 0.5 for name in ("strict", "flexible")}
    rows = [
        sample(number, right, metrics=["exact_match"], exact_match=float(right), **({"filter": name} if named else {}))
        for name, right in (("strict", False), ("flexible", flexible))
        for number in range(2)
    ]
    for row in () if named else rows:
        del row["filter"]
    return written(folder, results(results={"t": {"alias": "t", **metrics}}), rows)


@pytest.mark.parametrize("named", [True, False])
def test_each_filter_of_a_task_is_a_run_with_its_own_accuracy(named: bool, tmp_path: Path) -> None:
    path = filtered(tmp_path / "a", named=named)
    runs = find_runs(str(path))
    assert [(run.subject, run.results["top1"], run.results["exact_match"]) for run in runs] == [
        ("t.strict", 0.0, 0.5),
        ("t.flexible", 1.0, 0.5),
    ]
    assert find_run(f"{path}:t.flexible") == find_run(f"{path.parent}:t.flexible") == runs[1]
    assert find_runs(f"{path}:t") == find_runs(f"{path.parent}:t") == runs
    assert len(compare_tasks(runs, runs).pooled) == 1
    other = filtered(tmp_path / "b", named=True, flexible=False)
    assert [audited(f"{path}:t.{name}", f"{other}:t.{name}").grades.flips for name in ("strict", "flexible")] == [0, 2]


def test_a_document_that_is_there_twice_is_paired_in_order(tmp_path: Path) -> None:
    twice = [sample(number, number > 0, doc_hash="d") for number in range(3)]
    path = written(tmp_path / "a", results(), twice)
    random.Random(1).shuffle(twice)
    found = audited(path, written(tmp_path / "b", results(), twice))
    assert (found.grades.documents, found.grades.flips) == ((3, 0, 0), 0)


def test_a_file_of_samples_stands_for_its_task_with_or_without_its_results(tmp_path: Path) -> None:
    stamp = "2024-08-21T03-40-10.8"
    path = written(tmp_path, results(), [sample(0, True), sample(1, False)])
    named = path.rename(tmp_path / f"x_results_{stamp}.json")
    samples = (tmp_path / "samples_t_2024.jsonl").rename(tmp_path / f"x_samples_t_{stamp}.jsonl")
    assert find_run(str(samples)) == find_run(str(named))
    named.unlink()
    alone = find_run(str(samples))
    assert (alone.subject, alone.params, alone.results["top1"]) == ("t", {}, 0.5)


def test_results_of_one_model_below_a_folder_are_found_and_of_several_are_named(tmp_path: Path) -> None:
    written(tmp_path / "out/model__x", results())
    assert find_run(str(tmp_path / "out")).results["acc"] == 0.5
    written(tmp_path / "out/model__y", results())
    with pytest.raises(UserError, match=r"holds results in several folders; name one: .*model__x.*model__y"):
        find_run(str(tmp_path / "out"))


def test_tasks_that_were_run_one_by_one_are_all_there_the_newest_of_each(tmp_path: Path) -> None:
    for time, task, value in (("2024-1", "a", 0.1), ("2024-2", "b", 0.2), ("2024-3", "a", 0.3)):
        (tmp_path / f"results_{time}.json").write_text(
            json.dumps(results(results={task: {"acc,none": value}}, configs={}, versions={}))
        )
    assert {run.subject: run.results["acc"] for run in find_runs(str(tmp_path))} == {"a": 0.3, "b": 0.2}


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


def test_numbers_that_no_float_holds_are_words_or_one_clear_line(tmp_path: Path) -> None:
    path = written(tmp_path / "a", results(config={"threshold": float("nan"), "most": 10**400}))
    assert (find_run(str(path)).params["threshold"], audited(path, f"{path}:t").outcome) == (
        "nan",
        "same as far as recorded",
    )
    with pytest.raises(UserError, match="not results of lm-evaluation-harness"):
        find_runs(str(written(tmp_path / "b", results(results={"t": {"acc,none": 10**400}}))))


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


def test_answers_of_which_some_are_unscored_are_compared_on_the_others(tmp_path: Path) -> None:
    rows = [{**ROWS[number % 2], "id": number} for number in range(6)]
    failed = [{**rows[0], "scores": {}, "output": {"choices": []}, "error": {"message": "timed out"}}, *rows[1:]]
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path, samples in zip(paths, (rows, failed), strict=True):
        path.write_text(json.dumps({**LOG, "samples": samples}))
    found = audited(*paths)
    assert (found.grades.documents, found.grades.samples, found.grades.flips) == ((6, 0, 0), 5, 0)
    assert found.grades.texts == {"prompts": 0, "targets": 0, "outputs": 1, "unscored": 1}
    assert "unscored         1 of 6 in one: left out" in audit_text(found)
    assert compare(found.before, found.after).accuracies[0].samples == 5


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

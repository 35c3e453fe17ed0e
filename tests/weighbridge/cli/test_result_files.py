"""The rows E of the cases from the field, and more of each kind, as a person types them: real result files of other tools."""

import gzip
import json
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.import_graph import ROOT
from weighbridge.cli.main import main

EVALS = ROOT / "../shared/data/evals"
LM, INSPECT = EVALS / "lm-eval", EVALS / "inspect_ai/pair"
BATCH, LIMIT, BOS = LM / "pair-batch-samples", LM / "pair-limit-samples", LM / "pair-bos"
pytestmark = pytest.mark.skipif(not EVALS.is_dir(), reason="../shared/data/evals is absent")
Said = Callable[..., Any]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """What a command prints with `--json`; of several audits the list."""

    def run(*arguments: Path | str, code: int = 0) -> Any:
        assert main([*map(str, arguments), "--json"]) == code
        found = json.loads(capsys.readouterr().out)
        audits = found.get("audits", [found])
        return audits[0] if len(audits) == 1 else audits

    return run


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The one line with which a command refuses."""

    def run(*arguments: Path | str) -> str:
        assert main([*map(str, arguments)]) == 2
        line = capsys.readouterr().err
        assert line.count("\n") == 1
        return line

    return run


def other(folder: Path, name: str, change: Callable[[list[str]], list[str]]) -> Path:
    """A copy of a folder of the pair whose samples were changed line by line."""
    shutil.copytree(BATCH / name, folder)
    samples = next(folder.glob("*.jsonl"))
    samples.write_text("".join(change(samples.read_text().splitlines(keepends=True))))
    return folder


def shuffled(lines: list[str]) -> list[str]:
    return random.Random(1).sample(lines, len(lines))


# ---- E1


@pytest.mark.parametrize("order", [("bs1", "bs8"), ("bs8", "bs1")])
def test_another_batch_size_moves_log_probabilities_and_no_decision(order: tuple[str, str], said: Said) -> None:
    found = said("audit", *(BATCH / each for each in order), "--strict")
    assert (found["outcome"], found["suspects"]) == ("robust", ["param.batch_size"])
    results = found["results"]
    assert (results["top1_before"], results["top1_after"], results["flips"]) == (0.92, 0.92, 0)
    assert results["documents"] == [50, 0, 0]
    assert results["texts"] == {"prompts": 0, "targets": 0, "outputs": 16}


def test_the_order_of_samples_changes_nothing(tmp_path: Path, said: Said) -> None:
    found = said("audit", BATCH / "bs1", other(tmp_path / "x", "bs8", shuffled))
    assert (found["outcome"], found["results"]["texts"]["outputs"]) == ("robust", 16)


def test_samples_of_which_some_are_missing_are_another_set_before_anything_else(tmp_path: Path, said: Said) -> None:
    found = said("audit", BATCH / "bs1", other(tmp_path / "x", "bs8", lambda lines: shuffled(lines)[:30]))
    assert (found["outcome"], found["suspects"]) == ("explained", ["input.documents", "param.batch_size"])
    assert (found["results"]["documents"], found["results"]["flips"]) == ([30, 20, 0], 0)


def test_without_samples_the_scores_are_compared(tmp_path: Path, said: Said) -> None:
    found = said("audit", BATCH / "bs1", other(tmp_path / "x", "bs8", lambda _: []))
    assert (found["outcome"], found["results"]["finest"]) == ("robust", "metrics")
    assert found["not_recorded"] == {"after": ["input.documents"]}


def test_a_pair_is_compared_by_its_folders_its_tasks_its_files_and_its_samples(said: Said) -> None:
    folders = [BATCH / name for name in ("bs1", "bs8")]
    written: list[list[Any]] = [folders, [f"{folder}:asdiv" for folder in folders]]
    written += [[next(folder.glob(kind)) for folder in folders] for kind in ("*.json", "*.jsonl")]
    for pair in written:
        found = said("compare", *pair)
        assert (found["samples"], found["flips"], found["texts"]["outputs"], found["p_value"]) == (50, 0, 16, 1.0)


# ---- E2, E3


@pytest.mark.parametrize(
    ("task", "before", "after"), [("winogrande", 0.741, 0.506), ("piqa", 0.814, 0.591), ("sciq", 0.972, 0.663)]
)
def test_a_missing_bos_comes_first_and_the_batch_size_behind_it(
    task: str, before: float, after: float, said: Said
) -> None:
    pair = [f"{BOS}/suite_{name}.json:{task}" for name in ("add_bos_token", "no_bos")]
    for ends, values in ((pair, [before, after]), (pair[::-1], [after, before])):
        found = said("audit", *ends, "--strict", "--metric", "acc", code=1)
        assert (found["outcome"], found["suspects"]) == (
            "explained",
            ["param.model_args.add_bos_token", "param.batch_size"],
        )
        assert [round(value, 3) for value in found["results"]["metrics"]["acc"]] == values


def test_a_tolerance_takes_small_moves_of_a_metric_for_none(said: Said) -> None:
    pair = [f"{BOS}/suite_{name}.json:piqa" for name in ("add_bos_token", "no_bos")]
    asked = ["--metric", "acc", "--strict", "--tolerance"]
    assert said("audit", *pair, *asked, "0.3")["outcome"] == "robust"
    assert said("audit", *pair, *asked, "0.2", code=1)["outcome"] == "explained"


def test_two_differences_are_never_one_cause(capsys: pytest.CaptureFixture[str]) -> None:
    pair = [f"{BOS}/suite_{name}.json:piqa" for name in ("add_bos_token", "no_bos")]
    for form in ([], ["--format", "markdown"], ["--format", "github"], ["--format", "junit"]):
        assert main(["audit", *pair, *form]) == 0
        text = capsys.readouterr().out
        assert "could have changed" in text
        assert "add_bos_token" in text
        assert "batch_size" in text


def test_of_a_file_with_several_tasks_every_one_is_audited(said: Said) -> None:
    found = said("audit", *(BOS / f"suite_{name}.json" for name in ("add_bos_token", "no_bos")))
    assert len(found) == 9
    assert {tuple(each["suspects"]) for each in found} == {("param.model_args.add_bos_token", "param.batch_size")}


@pytest.mark.parametrize("task", ["", ":mmlu_virology"])
def test_only_the_subtasks_tell_how_many_examples_a_group_had(task: str, said: Said) -> None:
    found = said("audit", *(f"{BOS}/mmlu_{name}.json{task}" for name in ("add_bos_token", "no_bos")))
    assert found["suspects"] == ["param.model_args.add_bos_token", "param.num_fewshot", "param.batch_size"]
    shots = next(each for each in found["differences"] if each["name"] == "param.num_fewshot")
    assert (shots["before"], shots["after"]) == (0, 5)


# ---- E4


def test_a_subset_is_equal_on_the_documents_that_both_hold(said: Said) -> None:
    for pair, documents in ((("limit20", "full"), [20, 0, 797]), (("full", "limit20"), [20, 797, 0])):
        found = said("audit", *(LIMIT / each for each in pair))
        assert (found["outcome"], found["suspects"]) == ("explained", ["param.limit"])
        assert (found["results"]["flips"], found["results"]["documents"]) == (0, documents)
        assert set(found["results"]["texts"].values()) == {0}
    shared = said("compare", LIMIT / "limit20", LIMIT / "full")
    assert (shared["samples"], shared["difference"]) == (20, 0.0)


# ---- E5


@pytest.mark.parametrize("suffix", [".eval", ".zip", ".log"])
def test_answers_that_nobody_scored_are_paired_and_their_score_is_not_recorded(
    suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], refused: Callable[..., str]
) -> None:
    pair = [shutil.copy(INSPECT / f"popularity_{letter}.eval", tmp_path / f"{letter}{suffix}") for letter in "ab"]
    for ends, words in ((pair, "before; after 0.8000"), (pair[::-1], "after; before 0.8000")):
        assert main(["audit", *map(str, ends)]) == 0
        text = capsys.readouterr().out
        assert text.startswith("same as far as recorded: ")
        assert f"top-1 accuracy   not recorded {words}" in text
        assert "outputs          same: all 10" in text
    assert "not scored" in refused("compare", *pair)


def test_a_log_without_one_answer_says_which_answers_are_shared(tmp_path: Path, said: Said) -> None:
    cut = tmp_path / "cut.eval"
    with zipfile.ZipFile(INSPECT / "popularity_b.eval") as whole, zipfile.ZipFile(cut, "w") as fewer:
        for name in whole.namelist():
            if name != "samples/7_epoch_1.json":
                fewer.writestr(name, whole.read(name))
    found = said("audit", INSPECT / "popularity_b.eval", cut)
    assert (found["results"]["documents"], found["results"]["flips"]) == ([9, 1, 0], 0)
    assert found["suspects"] == ["input.documents"]


# ---- E6


@pytest.mark.parametrize(
    ("file", "tasks"),
    [
        ("0.3_opt-125m.json", 65),
        ("0.4-dev_2023_xglm.json", 1),
        ("0.4.0_latxa-7b-v1.1_xstorycloze_eu_0-shot.json", 1),
        ("0.4.2_2024-04_openai.json", 1),
        ("0.4.8_vllm_tp8_qwen3-8b.json", 2),
        ("0.4.9.2_results_2026-01-21T03-44-18.458309.json", 2),
    ],
)
def test_every_version_is_read_and_is_itself(file: str, tasks: int, said: Said) -> None:
    found = said("audit", LM / "versions" / file, LM / "versions" / file)
    found = found if isinstance(found, list) else [found]
    assert len(found) == tasks
    assert {each["outcome"] for each in found} <= {"same as far as recorded", "reproduced"}


@pytest.mark.parametrize(
    ("file", "recorded", "lacks"),
    [
        ("0.3_opt-125m.json:winogrande", {"param.batch_size": "64", "param.num_fewshot": 0}, "package.torch"),
        ("0.4-dev_2023_xglm.json:boolq", {"param.model_args.pretrained": "facebook/xglm-1.7B"}, "gpu.0.name"),
        ("0.4.0_latxa-7b-v1.1_xstorycloze_eu_0-shot.json", {"param.num_fewshot": 0}, "package.transformers"),
    ],
)
def test_what_an_older_version_did_not_write_is_no_difference(
    file: str, recorded: dict[str, Any], lacks: str, said: Said
) -> None:
    """Held against a result of 0.4.3, which wrote down more."""
    found = said("audit", LM / "versions" / file, BATCH / "bs1")
    told = {each["name"]: each["before"] for each in found["differences"]}
    assert {name: told[name] for name in recorded} == recorded
    assert lacks in found["not_recorded"]["before"]
    assert lacks not in found["suspects"]


# ---- files that are not whole, not what they seem, or not one result


def test_what_is_damaged_or_packed_is_one_line_that_names_the_file(tmp_path: Path, refused: Callable[..., str]) -> None:
    whole = next((BATCH / "bs8").glob("*.json"))
    samples = next((BATCH / "bs8").glob("*.jsonl"))
    files = {
        "cut.json": whole.read_bytes()[:900],
        "packed.json.gz": gzip.compress(whole.read_bytes()),
        "bytes.json": b"\xff\xfe\x00",
        "cut.eval": (INSPECT / "popularity_b.eval").read_bytes()[:5000],
        samples.name: samples.read_bytes()[:-90],
        "deep.json": b"[" * 100_000,
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        assert name in refused("audit", BATCH / "bs1", tmp_path / name)
    with zipfile.ZipFile(tmp_path / "results.zip", "w") as archive:
        archive.write(whole, "results.json")
    assert "results.zip: " in refused("audit", BATCH / "bs1", tmp_path / "results.zip")
    assert "unpack" in refused("audit", BATCH / "bs1", tmp_path / "results.zip")


def test_several_tasks_without_samples_are_not_compared_one_by_one(refused: Callable[..., str]) -> None:
    line = refused("compare", *(BOS / f"suite_{name}.json" for name in ("add_bos_token", "no_bos")))
    assert "none of 9 tasks can be compared sample by sample" in line

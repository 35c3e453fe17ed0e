"""A task file goes through the stages of any other samples: fetch, preprocess, infer, accuracy_check."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from stages import fetch, infer, preprocess  # noqa: E402
from stages.accuracy_check import __main__ as accuracy_check  # noqa: E402
from tests.import_graph import ROOT  # noqa: E402
from tests.project import check_those_there_are, edit_params  # noqa: E402
from tests.weighbridge.texts import small_language as small  # noqa: E402
from tracking.runs.errors import UserError  # noqa: E402
from weighbridge.frameworks._torch import TorchNetwork  # noqa: E402
from weighbridge.networks.predictions import PredictionSet  # noqa: E402

CLAIMS = ROOT / "tracking/audit/claims.csv"
TASKS = {"choices": small.QUESTIONS, "last-word": small.LAST_WORDS, "perplexity": small.TEXTS, "answer": small.ANSWERS}
METRICS = {"choices": "acc_bytes", "last-word": "perplexity", "perplexity": "bits_per_byte", "answer": "top1"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.write(tmp_path_factory.mktemp("model"))


def project(folder: Path, model: Path, target: str) -> None:
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())

    def edit(params: Any) -> None:
        params["data"] |= {"source": str(folder), "prompts": "tasks.jsonl"}
        prompt = {"filters": [{"kind": "regex", "pattern": "([0-9])"}]} if target == "answer" else {}
        recipe = {"tokenizer": str(model), "length": small.LENGTH, "target": target, "bos": small.END, "prompt": prompt}
        params["recipes"] = {"asked": recipe}
        entry = {
            "framework": "transformers",
            "architecture": "GPT2LMHeadModel",
            "weights": str(model),
            "recipe": "asked",
        }
        params["models"] = {"gpt2": entry}
        params["pretrain"] = params["backend_parity"] = {}
        check_those_there_are(params)

    edit_params(folder, edit)


@pytest.mark.parametrize("target", TASKS)
def test_documents_go_through_the_stages(
    target: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.write_tasks(tmp_path / "tasks.jsonl", TASKS[target])
    project(tmp_path, model, target)
    monkeypatch.chdir(tmp_path)
    fetch.main(tmp_path, Path("images"), Path("manifest.csv"), Path("skipped.csv"))
    preprocess.main(Path("images"), Path("manifest.csv"), "asked", Path("prepared"))
    infer.main("gpt2", Path("prepared"), Path("images"), model, "", Path("predictions"))
    accuracy_check.main(
        "gpt2",
        Path("predictions"),
        Path("prepared"),
        CLAIMS,
        Path("findings.json"),
        Path("all.json"),
        Path("metrics.json"),
    )
    predicted = PredictionSet.load(Path("predictions"))
    metrics, few = (json.loads(Path(name).read_text()) for name in ("all.json", "metrics.json"))
    assert (few.items() <= metrics.items(), len(few) <= 7, few["samples"]) == (True, True, len(TASKS[target]))
    assert len(predicted.names) == metrics["samples"] == len(TASKS[target])
    assert metrics[f"{METRICS[target]}_low"] <= metrics[METRICS[target]] <= metrics[f"{METRICS[target]}_high"]
    assert f'"{METRICS[target]}"' in Path("findings.json").read_text()
    assert (predicted.said is not None) == (target == "answer")
    if predicted.said is not None:
        right = [
            re.findall("[0-9]", said)[:1] == [each["answer"]]
            for said, each in zip(predicted.said, small.ANSWERS, strict=True)
        ]
        assert predicted.correct().tolist() == right
    if target != "perplexity":
        assert predicted.correct().mean() == pytest.approx(metrics["top1"], abs=1e-6)


@pytest.mark.parametrize("target", ["choices", "answer"])
def test_scoring_and_generating_go_on_after_a_kill_to_the_same_bytes(
    target: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.write_tasks(tmp_path / "tasks.jsonl", TASKS[target])
    project(tmp_path, model, target)
    edit_params(tmp_path, lambda params: params["models"]["gpt2"].update(batch_size=1))
    monkeypatch.chdir(tmp_path)
    fetch.main(tmp_path, Path("images"), Path("manifest.csv"), Path("skipped.csv"))
    preprocess.main(Path("images"), Path("manifest.csv"), "asked", Path("prepared"))
    calls, killed_at, scores = 0, 0, TorchNetwork.scores

    def counted(network: TorchNetwork, images: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == killed_at:
            raise KeyboardInterrupt
        return scores(network, images)

    monkeypatch.setattr(TorchNetwork, "scores", counted)

    def asked(folder: str) -> dict[str, bytes]:
        nonlocal calls
        calls = 0
        infer.main("gpt2", Path("prepared"), Path("images"), model, "", Path(folder))
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}

    whole = asked("whole")
    assert calls == len(TASKS[target])
    killed_at = calls
    with pytest.raises(KeyboardInterrupt):
        asked("killed")
    assert list(Path("data/partial").iterdir())
    killed_at = 0
    assert asked("killed") == whole
    assert calls == 2  # the first batch, and the one at which it was killed


def test_a_recipe_that_asks_about_documents_needs_a_task_file(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(tmp_path, model, "choices")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "manifest.csv").write_text("name,split,label,class,sha256\ntest/0.txt,test,0,0,x\n")
    with pytest.raises(UserError, match=r"data\.texts or data\.prompts and a tokenizer go together"):
        preprocess.main(Path("images"), Path("manifest.csv"), "asked", Path("prepared"))

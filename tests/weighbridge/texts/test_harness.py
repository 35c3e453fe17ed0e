"""Scores of language models are lm-evaluation-harness's own, digit for digit, where one row passes at a time.

With larger batches they are not: it sorts requests by length and joins those that share a context, so that other rows pass
together, and the last bits of a sum depend on that. Where the package is absent the figures that it gave are used.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from stages.accuracy_check.documents import measure_documents  # noqa: E402
from tests.weighbridge.texts import small_language as small  # noqa: E402
from weighbridge.frameworks import Spec  # noqa: E402
from weighbridge.frameworks import transformers as adapter  # noqa: E402
from weighbridge.images.samples import SampleSet  # noqa: E402
from weighbridge.networks.answers import answer_by_generating  # noqa: E402
from weighbridge.networks.predictions import PredictionSet  # noqa: E402
from weighbridge.params.metrics import Metrics  # noqa: E402
from weighbridge.params.recipes import TextRecipe  # noqa: E402
from weighbridge.texts.prompts import Asking  # noqa: E402

TASKS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "choices": (
        small.QUESTIONS,
        {"output_type": "multiple_choice", "doc_to_choice": "choices", "doc_to_target": "label"},
    ),
    "last-word": (small.LAST_WORDS, {"output_type": "loglikelihood", "doc_to_target": " {{answer}}"}),
    "perplexity": (small.TEXTS, {"output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "prompt"}),
    "answer": (small.ANSWERS, {"output_type": "generate_until", "doc_to_target": "answer"}),
}
DIGIT = "([0-9])"
RECORDED: dict[str, dict[str, float]] = {  # by lm-evaluation-harness 0.4.13, torch 2.13, transformers 5.24
    "choices": {"acc": 1 / 3, "acc_norm": 1 / 3, "acc_bytes": 1 / 3},
    "last-word": {"acc": 1 / 9, "perplexity": 399331.0084132496},
    "perplexity": {
        "word_perplexity": 1876516.6788887787,
        "byte_perplexity": 17.97506567278501,
        "bits_per_byte": 4.167925136518733,
    },
    "answer": {"exact_match": 2 / 3},
}
METRICS = {
    "choices": ("acc", "acc_norm", "acc_bytes"),
    "last-word": ("acc", "perplexity"),
    "perplexity": ("word_perplexity", "byte_perplexity", "bits_per_byte"),
    "answer": ("exact_match",),
}


def ours(folder: Path, target: str, batch_size: int = 1, **changes: Any) -> tuple[np.ndarray, dict[str, float]]:
    """Scores of the small model, and its metrics under their names there."""
    documents, _ = TASKS[target]
    if target == "answer":
        changes = {"prompt": {"filters": [{"kind": "regex", "pattern": DIGIT}]}, **changes}
    recipe = TextRecipe.model_validate(
        {"tokenizer": str(folder), "length": small.LENGTH, "target": target, "bos": small.END, **changes}
    )
    (folder / "documents").mkdir(exist_ok=True)
    files = [
        small.write_tasks(folder / f"documents/{target}-{number:06d}.json", [each])
        for number, each in enumerate(documents)
    ]
    inputs, labels = Asking(recipe).arrays(files)
    spec = Spec("transformers", "torch", "GPT2LMHeadModel", {}, 300, small.LENGTH, folder, 1, 0, "cpu")
    network = adapter.load(spec)
    if target == "answer":
        answer_by_generating(network, recipe)
    samples = SampleSet(tuple(file.name for file in files), labels, inputs, (), recipe)
    scores = np.concatenate([network.predict(batch) for batch in samples.batches(batch_size)])
    predicted = PredictionSet(samples.names, labels, scores, {})
    measured = measure_documents(predicted, samples, target, Metrics(draws=0))
    renamed = {"last-word": "acc", "answer": "exact_match"}.get(target, "top1")
    return scores, {**measured, renamed: measured.get("top1", 0.0)}


def theirs(folder: Path, target: str) -> Mapping[str, Any]:
    """lm-evaluation-harness's figures, and log-likelihoods by document, of the same files."""
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed")
    from lm_eval import evaluator
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.models.huggingface import HFLM

    transformers = adapter._import_transformers()
    documents, asked = TASKS[target]
    data = small.write_tasks(folder / f"{target}.jsonl", documents)
    config = {
        "task": target,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}, "cache_dir": str(folder / "cache")},
        "test_split": "test",
        "doc_to_text": "{{prompt}}",
        "metric_list": [{"metric": name} for name in METRICS[target]],
        **asked,
    }
    if target == "answer":
        config["generation_kwargs"] = {"until": ["\n\n"], "max_gen_toks": 32, "do_sample": False}
        steps = [{"function": "regex", "regex_pattern": DIGIT}, {"function": "take_first"}]
        config["filter_list"] = [{"name": "none", "filter": steps}]
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), eos_token=small.END, bos_token=small.END
    )
    model = transformers.GPT2LMHeadModel.from_pretrained(folder).eval()
    harness = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1, max_length=small.LENGTH)
    found = evaluator.evaluate(harness, {target: ConfigurableTask(config=config)}, bootstrap_iters=0)
    return found  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.write(tmp_path_factory.mktemp("language"))


@pytest.mark.parametrize("target", TASKS)
def test_figures_are_those_that_the_harness_gave(target: str, folder: Path) -> None:
    measured = ours(folder, target)[1]
    assert {name: measured[name] for name in METRICS[target]} == pytest.approx(RECORDED[target], rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("target", TASKS)
def test_figures_and_log_likelihoods_are_the_harness_own_digit_for_digit(target: str, folder: Path) -> None:
    found = theirs(folder, target)
    scores, measured = ours(folder, target)
    assert {name: measured[name] for name in METRICS[target]} == {
        name: float(found["results"][target][f"{name},none"]) for name in METRICS[target]
    }
    logged = sorted(found["samples"][target], key=lambda each: int(each["doc_id"]))
    for own, sample in zip(scores.tolist(), logged, strict=True):
        if target == "choices":
            assert own == [likely for likely, _ in sample["filtered_resps"]]
        elif target == "last-word":
            assert (own[0], own[0] >= own[1]) == sample["filtered_resps"][0]
        elif target == "perplexity":
            assert sum(each for each in own if np.isfinite(each)) == sample["filtered_resps"][0]
        else:
            assert bool(np.argmax(own) == 0) == bool(sample["exact_match"])

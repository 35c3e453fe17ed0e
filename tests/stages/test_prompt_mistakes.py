"""What the usual mistakes with prompts cost a language model: each named, paired with the recipe in use, ranked."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from stages.fingerprint.__main__ import fingerprint, try_prompts  # noqa: E402
from stages.fingerprint.observed import Observed  # noqa: E402
from stages.fingerprint.prompts import prompt_candidates, prompt_decisions  # noqa: E402
from stages.preprocess_check import Measured, measure_prompts, preprocess_check  # noqa: E402
from tests.weighbridge.texts import small_language as small  # noqa: E402
from weighbridge.frameworks import Spec  # noqa: E402
from weighbridge.frameworks import transformers as adapter  # noqa: E402
from weighbridge.images.samples import SampleSet  # noqa: E402
from weighbridge.networks.kept_parts import Parts  # noqa: E402
from weighbridge.networks.prompt_mistakes import Questions, prompt_mistakes  # noqa: E402
from weighbridge.params.recipes import TextRecipe  # noqa: E402
from weighbridge.texts.prompts import Asking  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = small.write(tmp_path_factory.mktemp("prompts"))
    (made / "test").mkdir()
    for number, each in enumerate(small.QUESTIONS):
        (made / f"test/{number:06d}.json").write_text(json.dumps(each))
    return made


def recipe_of(folder: Path, **changes: Any) -> TextRecipe:
    prompt = {"template": "Q: {prompt}", "shots": {"number": 0}} | changes.pop("prompt", {})
    values = {
        "tokenizer": str(folder),
        "length": small.LENGTH,
        "target": "choices",
        "bos": small.END,
        "bos_at": "always",
    }
    return TextRecipe.model_validate({**values, "prompt": prompt, **changes})


def samples_of(folder: Path, recipe: TextRecipe, rule: np.ndarray | None = None) -> SampleSet:
    names = tuple(f"test/{number:06d}.json" for number in range(len(small.QUESTIONS)))
    inputs, labels = Asking(recipe).arrays([folder / name for name in names])
    return SampleSet(names, labels if rule is None else rule, inputs, (), recipe)


def test_every_usual_mistake_is_made_and_ranked_by_what_it_costs(folder: Path) -> None:
    network = adapter.load(Spec("transformers", "torch", "GPT2LMHeadModel", {}, 300, small.LENGTH, folder, 1, 0, "cpu"))
    recipe = recipe_of(folder)
    asked = samples_of(folder, recipe)
    said = network.predict(asked.images()).argmax(axis=1)  # what the model says with this recipe is right
    measured = measure_prompts(network, samples_of(folder, recipe, said), folder, 4)
    costs = {cost.mistake: cost for cost in measured.costs}
    assert measured.top1 == 1.0
    assert {"beginning token doubled", "beginning token missing", "template missing"} <= costs.keys()
    assert "padded on the left, the model not told" in costs
    assert [cost.difference for cost in measured.costs] == sorted(cost.difference for cost in measured.costs)
    assert all(cost.flips == round(-cost.difference * len(said)) for cost in measured.costs)
    assert costs["template missing"].mean_shift
    assert "cut on the right" in measured.untried
    first, *_ = preprocess_check("gpt2", measured, len(said))
    assert measured.costs[0].mistake in first.sentence


def test_a_killed_check_of_prompts_goes_on_and_says_the_same(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = adapter.load(Spec("transformers", "torch", "GPT2LMHeadModel", {}, 300, small.LENGTH, folder, 1, 0, "cpu"))
    asked, scores, calls = samples_of(folder, recipe_of(folder)), Questions.scores, [0]
    last: list[int] = []

    def counted(*given: Any) -> np.ndarray:
        calls[0] += 1
        if calls == last:
            raise KeyboardInterrupt
        return scores(*given)

    def measured(place: str) -> Measured:
        calls[0] = 0
        return measure_prompts(network, asked, folder, 4, Parts(tmp_path / place, "conditions", network))

    monkeypatch.setattr(Questions, "scores", counted)
    whole, total = measured("whole"), calls[0]
    last = [6]
    with pytest.raises(KeyboardInterrupt):
        measured("killed")
    last = []
    assert measured("killed") == whole
    assert calls[0] == total - 4  # not the recipe's own scores, nor those of three mistakes


def test_predictions_are_traced_to_the_way_in_which_the_model_was_asked(folder: Path) -> None:
    network = adapter.load(Spec("transformers", "torch", "GPT2LMHeadModel", {}, 300, small.LENGTH, folder, 1, 0, "cpu"))
    recipe = recipe_of(folder)
    names = samples_of(folder, recipe).names
    made = {name: mistake for name, mistake in prompt_mistakes(recipe).items() if name == "template missing"}
    (scores,) = [scores for _, scores in prompt_decisions(network, folder, names, made, 4)[0].values()]
    observed = Observed(names, scores.argmax(axis=1), scores)
    known = prompt_candidates("recipe asked", recipe, {}, 60)
    tried = try_prompts(network, folder, known, observed, 4)
    (found,) = fingerprint("gpt2", "recipe asked", tried, observed, 0.001)
    assert "made by 'template missing'" in found.sentence
    assert found.verdict == "warn"
    assert "padded on the left, the model not told" in tried.decisions
    assert len(tried.decisions) > 6


def test_a_mistake_that_is_the_recipe_is_none(folder: Path) -> None:
    names = prompt_mistakes(recipe_of(folder)).keys()
    assert {"choices compared by their sums", "beginning token there once", "examples missing"}.isdisjoint(names)
    shots = prompt_mistakes(recipe_of(folder, prompt={"shots": {"number": 2}, "normalise": "bytes"})).keys()
    assert {"choices compared by their sums", "examples in another order", "examples missing"} <= shots
    assert "choices compared by bytes" not in shots
    generated = prompt_mistakes(recipe_of(folder, target="answer", length=64)).keys()
    assert not any("padded" in name or "compared" in name for name in generated)

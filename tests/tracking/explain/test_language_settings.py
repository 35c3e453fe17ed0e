"""Settings of a language model planted together between two runs: exactly those that move its scores are proven."""

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from tests.tracking.recordings import recorded_run
from tests.weighbridge.texts import small_language as small
from tracking.explain.explain import explain
from tracking.replay.conditions import nested, settable
from tracking.runs.decisions import pack_decisions
from tracking.runs.outcomes import Outcome
from tracking.runs.run import Run, Scalar
from weighbridge.frameworks import Spec, load
from weighbridge.texts.requests import Row, as_array

Conditions = Mapping[str, Scalar]
BASE: dict[str, Scalar] = {
    "param.model.framework": "transformers",
    "param.model.backend": "torch",
    "param.model.architecture": "GPT2LMHeadModel",
    "param.model.batch_size": 6,
    "param.inference.seed": 0,
    "input.weights": "a" * 32,
}
ASKED_BY: dict[str, Scalar] = {
    "param.recipe.length": 40,
    "param.recipe.bos_at": "empty",
    "param.recipe.truncation_side": "left",
    "param.inference.threads": 1,
}
PLANTED: dict[str, Scalar] = {
    "param.model.arguments.dtype": "bfloat16",
    "param.model.arguments.padding_side": "left",
    "param.model.arguments.attn_implementation": "eager",
    "param.model.arguments.use_cache": True,
    "param.model.batch_size": 1,
    "param.inference.seed": 7,
}
ASKED_OTHERWISE: dict[str, Scalar] = {
    "param.recipe.length": 44,
    "param.recipe.bos_at": "always",
    "param.recipe.truncation_side": "right",  # of texts that are all shorter
    "param.inference.threads": 2,
    "param.inference.layout": "channels_last",  # of images' weights
}


class Asking:
    """Replays in this process a small GPT-2 asked for the likelier of two answers."""

    def __init__(self, folder: Path) -> None:
        small.write_model(folder)
        self.folder, self.answers = folder, dict[str, np.ndarray]()
        random = np.random.default_rng(0)
        self.texts = [[tuple(random.integers(1, 300, n + 6).tolist()) for n in (0, place)] for place in range(6)]

    def requests(self, recipe: Mapping[str, Scalar]) -> np.ndarray:
        start = (0,) if recipe.get("bos_at") == "always" else ()
        length = int(str(recipe.get("length", 40)))
        cut = slice(length) if recipe.get("truncation_side") == "right" else slice(-length, None)
        return as_array([[Row((*start, *text)[cut], 2) for text in texts] for texts in self.texts], length)

    def scores(self, conditions: Conditions) -> np.ndarray:
        key = json.dumps(dict(sorted(conditions.items())))
        if key not in self.answers:
            model = nested(conditions, "param.model.")
            seed, size = int(str(conditions["param.inference.seed"])), model["batch_size"]
            arguments, ways = model.get("arguments", {}), model.get("computing", {})
            named = ("transformers", "torch", "GPT2LMHeadModel")
            inference = nested(conditions, "param.inference.")
            threads, layout = inference.get("threads", 1), inference.get("layout")
            network = load(
                Spec(*named, arguments, 300, 48, self.folder, threads, seed, "cpu", layout=layout, computing=ways)
            )
            asked = self.requests(nested(conditions, "param.recipe."))
            parts = [asked[start : start + size] for start in range(0, len(asked), size)]
            self.answers[key] = np.concatenate([network.predict(part) for part in parts])
        return self.answers[key]

    def known(self, conditions: Conditions, _repeat: int = 0) -> bool:
        return json.dumps(dict(sorted(conditions.items()))) in self.answers

    def replay(self, conditions: Conditions, _repeat: int = 0) -> Outcome:
        scores = self.scores(conditions)
        return Outcome(np.zeros(len(scores), int), scores.argmax(axis=1), hashlib.sha256(scores.tobytes()).hexdigest())

    def run(self, conditions: Conditions) -> Run:
        found = self.replay(settable(conditions))
        names = [str(place) for place in range(len(found.top1))]
        return recorded_run(
            params={name.removeprefix("param."): each for name, each in conditions.items() if name[:6] == "param."},
            inputs={"weights": conditions["input.weights"]},
            results={"top1": found.accuracy, "samples": len(names), "scores.sha256": found.scores},
            decisions=pack_decisions(names, found.labels, found.top1),
        )


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Asking:
    return Asking(tmp_path_factory.mktemp("gpt2"))


def telling(asking: Asking, names: list[str]) -> list[str]:
    """The first two, in this order, of which every part gives scores of its own on this CPU."""
    taken: list[str] = []
    for name in names:
        together = [*taken, name]
        parts = [part for size in range(len(together) + 1) for part in itertools.combinations(together, size)]
        different = {asking.replay(settable({**BASE, **{n: PLANTED[n] for n in part}})).scores for part in parts}
        if len(taken) < 2 and len(different) == len(parts):
            taken = together
    return taken


def test_of_six_settings_two_are_planted_that_matter_and_exactly_these_are_proven(asking: Asking) -> None:
    causes = telling(asking, list(PLANTED))
    assert causes[0] == "param.model.arguments.dtype"  # moves the scores of any CPU
    alone = {name: asking.replay(settable({**BASE, name: value})).scores for name, value in PLANTED.items()}
    harmless = [name for name, scores in alone.items() if scores == asking.replay(settable(BASE)).scores]
    assert "param.inference.seed" in harmless
    changes = {name: PLANTED[name] for name in (*causes, *harmless)}
    own = asking.replay(settable({**BASE, **{name: PLANTED[name] for name in causes}}))
    if own.scores != asking.replay(settable({**BASE, **changes})).scores:
        changes = {
            name: PLANTED[name] for name in (*causes, "param.inference.seed")
        }  # harmless alone, not beside these
    found = explain(asking.run(BASE), asking.run({**BASE, **changes}), asking)
    assert {factor.name for factor in found.ends.factors} == set(changes)
    assert found.found.verdict == "proven"
    assert set(found.found.minimal) == set(causes)


def planted_sets(asking: Asking, own: Conditions, known: Conditions) -> Iterator[tuple[list[str], list[str]]]:
    """n = 2..8 settings, k = 1..4 of them causes: these give the scores of all, and none of them can be left out.

    Left out are draws in which a setting matters beside the causes that alone does not.
    """

    def scored(names: list[str]) -> str:
        return asking.replay(settable({**own, **{name: known[name] for name in names}})).scores

    moving = [name for name in known if scored([name]) != scored([])]
    for number in range(100):
        draw = np.random.default_rng(number)
        n, k = 2 + number % 7, 1 + number % 4
        causes = draw.permutation(moving)[: min(n, k)].tolist()
        rest = draw.permutation([name for name in known if name not in moving]).tolist()
        names = [*causes, *rest[: n - len(causes)]]
        needed = all(scored([each for each in names if each != cause]) != scored(names) for cause in causes)
        if needed and scored(causes) == scored(names):
            yield causes, names


def test_of_twenty_planted_sets_each_is_proven_exactly(asking: Asking) -> None:
    own, known = {**BASE, **ASKED_BY}, {**PLANTED, **ASKED_OTHERWISE}
    sizes = []
    for causes, names in itertools.islice(planted_sets(asking, own, known), 20):
        found = explain(asking.run(own), asking.run({**own, **{name: known[name] for name in names}}), asking)
        assert {factor.name for factor in found.ends.factors} == set(names)
        assert (found.found.verdict, set(found.found.minimal)) == ("proven", set(causes))
        sizes.append((len(names), len(causes)))
    assert max(sizes)[0] > 6, sizes  # of which many are causes depends on the CPU


def test_int8_and_bfloat16_are_one_factor_since_no_network_is_both(asking: Asking) -> None:
    from weighbridge.frameworks._torch_computing import int8_engines

    if not int8_engines():
        pytest.skip("this CPU has no engine for int8")
    half = {**BASE, "param.model.arguments.dtype": "bfloat16"}
    int8 = {**BASE, "param.model.computing.quantisation": "int8-dynamic", "param.inference.seed": 7}
    found = explain(asking.run(half), asking.run(int8), asking)
    assert (found.found.verdict, set(found.found.minimal)) == ("proven", {"computing"})
    plain = asking.scores(settable(BASE))
    moved = np.abs(asking.scores(settable(int8)) - plain)
    assert 0 < moved.max() < np.abs(plain).max() / 2

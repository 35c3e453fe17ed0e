"""keras-hub's GPT-2 and BERT against transformers', with the same weights: scores, layers, refusals."""

import importlib.metadata
import importlib.util
import json
import subprocess
import sys
from typing import Any

import pytest

from tests.import_graph import ROOT
from tracking.runs.errors import UserError
from weighbridge.frameworks import Spec, find_adapter, load
from weighbridge.frameworks.keras_hub import _known

WANTED = ("keras_hub", "tensorflow", "torch", "transformers")


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if absent := [name for name in WANTED if importlib.util.find_spec(name) is None]:
        pytest.skip(f"{', '.join(absent)} is not installed")
    folder = tmp_path_factory.mktemp("answers")
    command = [sys.executable, "-m", "tests.conformance.ask_keras_hub", str(folder), "tensorflow"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads((folder / "answers.json").read_text())
    return found


@pytest.mark.parametrize("pair", ["GPT-2, requests", "GPT-2, texts", "BERT"])
def test_scores_and_layers_are_those_of_transformers(answers: dict[str, Any], pair: str) -> None:
    found = answers["pairs"][pair]
    assert found["apart"] < 1e-4
    assert found["parts_at"] is None
    inside = ("bert.encoder.layer.1.attention.self.key", "bert.encoder.layer.1.output.LayerNorm", "classifier")
    inside = inside if pair == "BERT" else ("transformer.h.0.attn.c_proj", "transformer.h.1", "lm_head")
    assert {*inside, "scores"} <= set(found["layers"])


def test_the_approximate_gelu_of_keras_hubs_bert_is_found_where_it_is(answers: dict[str, Any]) -> None:
    found = answers["pairs"]["BERT, as keras-hub has it"]
    assert found["parts_at"] == "bert.encoder.layer.0.intermediate.intermediate_act_fn"
    assert found["apart"] > 10 * answers["pairs"]["BERT"]["apart"]


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("untied", "lm_head.weight is not the token embedding"),
        ("foreign", "unexpected: alien"),
        ("shape", "transformer.wpe.weight (25, 16) not (24, 16)"),
        ("long", "takes 24 tokens of 60, not 25"),
        ("unknown token", "with id 60"),
        ("requests", "no causal language model"),
        ("moved", "is not as this adapter knows it (import of keras_hub.src.utils.transformers halted"),
    ],
)
def test_what_cannot_be_computed_is_refused_in_a_line(answers: dict[str, Any], case: str, words: str) -> None:
    assert words in answers["refused"][case]


def test_a_process_imports_the_backend_that_was_asked_for_alone(answers: dict[str, Any]) -> None:
    assert "jax" not in answers["imported"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architecture": "GPT3"}, "no model 'GPT3' here; it has BertTextClassifier, GPT2CausalLM"),
        ({"arguments": {"n_heads": 2}}, "GPT2CausalLM has no setting n_heads"),
        (
            {"architecture": "BertTextClassifier", "arguments": {"hidden_act": "relu"}},
            "hidden_act: is gelu or gelu_new",
        ),
    ],
)
def test_what_it_has_not_is_said_before_anything_is_imported(changes: dict[str, Any], words: str) -> None:
    given = {"architecture": "GPT2CausalLM", "arguments": {}} | changes
    backend = find_adapter("keras_hub").backends[0]
    spec = Spec("keras_hub", backend, given["architecture"], given["arguments"], 3, 24, None, 1, 0, "cpu")
    with pytest.raises(UserError, match=words):
        load(spec)
    assert "keras_hub" not in sys.modules


@pytest.mark.parametrize("problem", [ImportError("no convert_gpt2"), AttributeError("no convert_gpt2")])
def test_another_version_that_has_its_parts_elsewhere_is_named(
    problem: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda _name: "9.9")
    with (
        pytest.raises(UserError, match=r"^keras-hub 9\.9 is not as .* \(no convert_gpt2\); .* keras-hub==\d"),
        _known(),
    ):
        raise problem


def test_a_missing_keras_hub_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(UserError, match=r"^keras-hub is not installed: pip install keras-hub$"):
        load(Spec("keras_hub", "tensorflow", "GPT2CausalLM", {}, 3, 24, None, 1, 0, "cpu"))

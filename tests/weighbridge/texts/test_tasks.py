"""Task files, sample logs of lm-evaluation-harness, and the prompts that a recipe makes of documents."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.import_graph import ROOT
from tests.weighbridge.texts import small_language as small
from tracking.runs.errors import UserError
from weighbridge.params.recipes import TextRecipe
from weighbridge.texts.answers import filtered, stopped
from weighbridge.texts.marks import HEAD, SCORED
from weighbridge.texts.prompts import Asking
from weighbridge.texts.tasks import Document, read_tasks

EVALS = ROOT / "../shared/data/evals/lm-eval"
CHAT = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("tokenizers")
    made = tmp_path_factory.mktemp("tokenizer")
    small.write_tokenizer(made)
    (made / "chat.jinja").write_text(CHAT)
    return made


def asking(folder: Path, pool: tuple[Document, ...] = (), **recipe: Any) -> Asking:
    values = {"tokenizer": str(folder), "length": 48, "target": "choices", **recipe}
    return Asking(TextRecipe.model_validate(values), pool)


QUESTION = Document("Is it", choices=("yes", "no"), label=1)
EXAMPLES = tuple(Document(f"Line {number}", choices=("yes", "no"), label=0) for number in range(4))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 2: not JSON"),
        ("[1]", "is an object with a `prompt`, not a list"),
        ('{"choices": ["a"]}', "prompt must be a text, not None"),
        ('{"prompt": "a", "choices": ["a"], "label": 1}', "label is 1, but there are 1 choices"),
        ('{"prompt": "a", "answer": [3]}', r"answer\[0\] must be a text"),
        ('{"prompt": "a", "split": "dev"}', "split is test or train, not 'dev'"),
        ('{"doc_id": 1, "arguments": {}}', "not a sample as lm-evaluation-harness logs it"),
    ],
)
def test_a_line_that_is_no_document_is_named(line: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"prompt": "a"}\n' + line + "\n")
    with pytest.raises(UserError, match=words):
        list(read_tasks(tmp_path / "t.jsonl"))


def test_a_document_comes_back_from_the_line_that_is_kept_of_it(tmp_path: Path) -> None:
    lines = [
        {"prompt": "a", "choices": ["b", "c"], "label": 1, "year": 3},
        {"prompt": "d", "answer": "e", "split": "train"},
    ]
    first = list(read_tasks(small.write_tasks(tmp_path / "t.jsonl", lines)))
    again = list(read_tasks(small.write_tasks(tmp_path / "u.jsonl", [each.values() for each in first])))
    assert first == again
    assert [each.right for each in first] == ["c", "e"]


def test_logged_choices_keep_their_order_and_their_space_is_the_delimiters(tmp_path: Path) -> None:
    arguments = {f"gen_args_{number}": {"arg_0": "Q:", "arg_1": f" {number}"} for number in range(11)}
    log = {"doc_id": 0, "arguments": arguments, "target": "10"}
    (found,) = read_tasks(small.write_tasks(tmp_path / "samples.jsonl", [log, {**log, "filter": "other"}]))
    assert found == Document("Q:", choices=tuple(map(str, range(11))), label=10)


@pytest.mark.skipif(not EVALS.is_dir(), reason="the real sample logs are absent")
def test_real_sample_logs_are_task_files() -> None:
    found = {path.name.split("_20")[0]: list(read_tasks(path)) for path in EVALS.rglob("*samples*.jsonl")}
    assert set(found) >= {"samples_asdiv", "samples_truthfulqa_gen"}
    assert all(each.prompt and each.right is not None for documents in found.values() for each in documents)
    assert found["samples_asdiv"][0].right == "9"


def test_what_is_scored_follows_the_context_and_its_sizes_stand_before(folder: Path) -> None:
    (folder / "q.json").write_text(json.dumps(QUESTION.values()))
    inputs, labels = asking(folder, prompt={"normalise": "bytes"}).arrays([folder / "q.json"])
    assert inputs.shape[:2] == (1, 2)
    assert labels.tolist() == [1]
    assert inputs[0, :, :HEAD].tolist() == [[3, 3, 3, 1], [2, 2, 2, 1]]
    tokens = inputs[0, 1, HEAD:]
    said = [tokens[(tokens >= 0) & (tokens & SCORED == bit)] & (SCORED - 1) for bit in (0, SCORED)]
    tokenizer = asking(folder)._tokenizer
    assert [tokenizer.decode(ids.tolist()) for ids in said] == ["Is it", " no"]


def test_examples_stand_in_the_order_in_which_the_seed_draws_them_or_turned_round(folder: Path) -> None:
    texts = {}
    for order in ("drawn", "reversed"):
        prompt = {"template": "Q: {prompt}", "description": "Go.\n", "shots": {"number": 2, "order": order}}
        texts[order] = asking(folder, EXAMPLES, prompt=prompt).context(QUESTION, "q")
    parts = [text.removeprefix("Go.\n").split("\n\n") for text in texts.values()]
    assert parts[0][2] == parts[1][2] == "Q: Is it"
    assert parts[0][:2] == parts[1][1::-1]
    assert parts[0][0].endswith(" yes")


def test_a_chat_template_is_rendered_in_a_sandbox(folder: Path) -> None:
    prompt = {"chat_template": str(folder / "chat.jinja"), "shots": {"number": 1}}
    text = asking(folder, EXAMPLES[:1], prompt=prompt).context(QUESTION, "q")
    assert text == "<user>Line 0<assistant>yes<user>Is it<assistant>"
    (folder / "bad.jinja").write_text("{{ messages.__class__.__mro__[1].__subclasses__() }}")
    with pytest.raises(UserError, match="cannot be used"):
        asking(folder, prompt={"chat_template": str(folder / "bad.jinja")}).context(QUESTION, "q")


def test_a_template_takes_fields_and_evaluates_nothing(folder: Path) -> None:
    prompt = {"template": "{prompt} {prompt.__class__} {year}"}
    with pytest.raises(UserError, match="has no 'year'"):
        asking(folder, prompt=prompt).context(QUESTION, "q")
    dated = Document("Is it", choices=("yes",), label=0, fields={"year": 3})
    assert asking(folder, prompt=prompt).context(dated, "q") == "Is it {prompt.__class__} 3"


@pytest.mark.parametrize(("at", "often"), [("empty", 0), ("always", 1), ("twice", 2)])
def test_a_beginning_token_stands_where_it_is_asked_for(at: str, often: int, folder: Path) -> None:
    rows = asking(folder, bos=small.END, bos_at=at).rows(QUESTION, "q")
    assert [list(row.tokens).count(0) for row in rows] == [often, often]
    (alone,) = asking(folder, bos=small.END, target="perplexity").rows(Document("yes"), "q")
    assert alone.tokens[0] == 0
    with pytest.raises(UserError, match=r"has no token '<s>'"):
        asking(folder, bos="<s>")


@pytest.mark.parametrize(("side", "kept"), [("left", " no"), ("right", " no")])
def test_a_prompt_that_is_too_long_loses_tokens_on_the_side_that_is_asked_for(
    side: str, kept: str, folder: Path
) -> None:
    long = Document(small.WORDS * 3, choices=("no",), label=0)
    made = asking(folder, truncation_side=side, length=8)
    (row,) = made.rows(long, "q")
    text = made._tokenizer.decode(list(row.tokens))
    assert len(row.tokens) == 9
    assert text.endswith(kept)
    assert text.startswith("the model") == (side == "right")


def test_windows_score_every_token_once(folder: Path) -> None:
    made = asking(folder, bos=small.END, target="perplexity", length=16)
    document = Document(small.WORDS * 2)
    rows = made.rows(document, "q")
    scored = [token for row in rows for token in row.tokens[len(row.tokens) - row.scored :]]
    assert scored == made._tokenizer.encode(document.prompt).ids
    assert len(rows) > 2
    assert all(len(row.tokens) == 17 for row in rows)


@pytest.mark.parametrize("target", ["choices", "perplexity"])
def test_rows_are_written_one_document_after_another_as_they_are_in_memory(
    target: str, folder: Path, tmp_path: Path
) -> None:
    """Documents of unlike lengths and numbers of rows."""
    lines = [
        {"prompt": small.WORDS * 2, "choices": ["a", "no, not at all"], "label": 1},
        {"prompt": "Is it", "choices": ["yes", "no", "b"], "label": 2},
    ]
    files = [small.write_tasks(tmp_path / f"{number}.json", [line]) for number, line in enumerate(lines)]
    made = asking(folder, bos=small.END, target=target, length=20)
    made.write(files, tmp_path)
    inputs, labels = made.arrays(files)
    assert np.array_equal(np.load(tmp_path / "inputs.npy"), inputs)
    assert np.array_equal(np.load(tmp_path / "labels.npy"), labels)
    assert (inputs[..., HEAD:] == -1).any()


def test_an_answer_is_what_the_filters_leave_before_a_stop() -> None:
    prompt = {"filters": [{"kind": "regex", "pattern": r"(\d+)", "take": -1}], "stop": ["\n\n"]}
    recipe = TextRecipe.model_validate({"tokenizer": "t", "target": "answer", "prompt": prompt})
    assert recipe.prompt is not None
    assert filtered(stopped("7 and 9\n\n11", recipe.prompt.stop), recipe.prompt) == "9"
    assert filtered("none", recipe.prompt) == "[invalid]"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"target": "label", "prompt": {}}, "prompt: goes with target"),
        ({"target": "label", "bos": "<s>"}, "leave bos and eos out"),
        ({"target": "perplexity"}, "perplexity needs a token before"),
        ({"target": "answer", "prompt": {"new_tokens": 128}}, "nothing is left for the prompt"),
        ({"target": "answer", "prompt": {"filters": [{"kind": "regex", "pattern": "("}]}}, "is no regular expression"),
    ],
)
def test_recipes_that_do_not_fit_together_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TextRecipe.model_validate({"tokenizer": "t", **changes})


def test_labels_of_texts_are_asked_as_before() -> None:
    recipe = TextRecipe(tokenizer="t")
    assert (recipe.asks, recipe.truncation_side, recipe.special_tokens) == (False, "right", "tokenizer")
    assert np.array_equal(recipe.model_dump()["target"], "label")

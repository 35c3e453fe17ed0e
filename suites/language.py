"""Documents out of the reference that comes with Python (`pydoc_data.topics`): sentences to train on, and to be asked about.

Every fifth sentence is held out. Another version of Python has other sentences: the version is recorded. A text to train on is a
sentence after `HEAD`, the beginnings of three, a line each, or a few words in a row and, after `FIRST`, the first of them.
Prompts of another form are new to the model, and which word is the first it can tell only by where the text begins.
"""

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

HELD_OUT = 5
ASKED = 200  # documents of each task
HEAD = "Python says: "
FIRST = "\nFirst word: "
_SENTENCE = re.compile(r"(?<=[a-z\"')]\.) +(?=[A-Z])")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9 ,;:'\"()_*/\-.]+\.")


def sentences() -> list[str]:
    """Every plain sentence of 8 to 40 words, once, in the order of the topics."""
    found: dict[str, None] = {}
    for name in sorted(topics):
        for paragraph in topics[name].split("\n\n"):
            for sentence in _SENTENCE.split(" ".join(paragraph.split())):
                if _PLAIN.fullmatch(sentence) and 8 <= len(sentence.split()) <= 40:
                    found[sentence] = None
    return list(found)


def write_images(folder: Path) -> None:
    """A task file for each task: the whole texts, continuations to choose from, last words, and the order of words."""
    every = sentences()
    held_out, rest = every[::HELD_OUT], [each for place, each in enumerate(every) if place % HELD_OUT]
    texts = (
        *_headed(rest),
        *_of_three(rest),
        *(f"{' '.join(each)}{FIRST}{each[0]}\n" for each in _in_a_row(rest, times=3)),
    )
    training = [{"prompt": each, "split": "train"} for each in texts]
    _write(folder / "text.jsonl", [*training, *({"prompt": each} for each in _headed(held_out))])
    _write(
        folder / "choices.jsonl", [*_choices(held_out[:ASKED], rest, "test"), *_choices(rest[:ASKED], rest, "train")]
    )
    asked = list(_in_a_row(held_out, times=1))[:ASKED]
    _write(folder / "first.jsonl", _which_is_first(asked))
    _write(folder / "words.jsonl", [{"prompt": " ".join(each), "answer": each[0]} for each in asked])
    _write(folder / "scrambled.jsonl", [*_orders(rest, "train"), *_orders(held_out, "test")])


def _headed(asked: list[str]) -> list[str]:
    return [HEAD + sentence for sentence in asked]


def _of_three(asked: list[str]) -> list[str]:
    """The beginnings of three sentences, as many texts as there are sentences."""
    draw = random.Random(0)  # noqa: S311 -- no secret
    return ["\n".join(_headed([_begun(each) for each in draw.sample(asked, 3)])) for _ in asked]


def _begun(sentence: str) -> str:
    return " ".join(sentence.split()[:6])


def _choices(asked: list[str], others: list[str], split: str) -> Iterator[dict[str, Any]]:
    """What comes after two to five words of a sentence, among three words of others."""
    draw = random.Random(0)  # noqa: S311 -- no secret
    words = sorted({word for sentence in others for word in sentence.split()})
    for place, sentence in enumerate(asked):
        *begun, right = sentence.split()[: 3 + place % 4]
        choices = [right, *draw.sample([word for word in words if word != right], 3)]
        draw.shuffle(choices)
        yield {"prompt": " ".join(begun), "choices": choices, "label": choices.index(right), "split": split}


def _in_a_row(asked: list[str], times: int) -> Iterator[list[str]]:
    """Four to six words of each sentence, so often; where fewer than four are different, none."""
    draw = random.Random(0)  # noqa: S311 -- no secret
    for sentence in asked * times:
        words, count = sentence.split(), draw.randint(4, 6)
        start = draw.randrange(len(words) - count + 1)
        chosen = words[start : start + count]
        if len(set(chosen)) >= 4:
            yield chosen


def _which_is_first(asked: list[list[str]]) -> Iterator[dict[str, Any]]:
    """The first of some words, among three others of them."""
    draw = random.Random(0)  # noqa: S311 -- no secret
    for words in asked:
        others = [each for each in dict.fromkeys(words) if each != words[0]]
        choices = [words[0], *draw.sample(others, 3)]
        draw.shuffle(choices)
        yield {"prompt": " ".join(words), "choices": choices, "label": choices.index(words[0])}


def _orders(asked: list[str], split: str) -> Iterator[dict[str, Any]]:
    """Sentences as they are (1) and with their words shuffled (0), in turn."""
    draw = random.Random(0)  # noqa: S311 -- no secret
    for place, sentence in enumerate(asked):
        words = sentence.split()
        if place % 2 == 0:
            draw.shuffle(words)
        yield {"prompt": " ".join(words), "label": place % 2, "split": split}


def _write(path: Path, documents: Any) -> None:
    path.write_text("".join(json.dumps(each) + "\n" for each in documents), encoding="utf-8")

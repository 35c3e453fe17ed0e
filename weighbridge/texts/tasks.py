"""Task files: JSON lines, a document a line, that say what a language model is asked and what would be right.

| key | what |
|---|---|
| `prompt` | the question; needed |
| `choices`, `label` | what it is chosen from, and the place of the right one, from 0 |
| `answer` | the right text, or a list of right texts: what is generated is held against them, the last word is predicted |
| `label` alone | the class of a text |
| `pair` | a second text |
| `split` | `train` for documents that examples are taken from; else `test` |

Further keys are for templates. The samples that lm-evaluation-harness logs (`samples_<task>_<date>.jsonl`) are task files too:
what was asked there is asked here, word for word (`weighbridge.texts.harness_logs`).
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tracking.runs.errors import UserError
from weighbridge.texts.harness_logs import is_log, of_log

LONGEST = 64 * 1024 * 1024  # letters of a line
SPLITS = ("test", "train")


@dataclass(frozen=True)
class Document:
    """One line of a task file; see there.

    Attributes:
        answers: every text that would be right.
        fields: what else the line says, for templates.
    """

    prompt: str
    pair: str | None = None
    choices: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    label: int | None = None
    split: str = "test"
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def right(self) -> str | None:
        """The text that answers the prompt: the right choice, or the first answer."""
        if self.choices and self.label is not None:
            return self.choices[self.label]
        return self.answers[0] if self.answers else None

    def values(self) -> dict[str, Any]:
        """Its line, as a task file has it."""
        found = {
            "prompt": self.prompt,
            "pair": self.pair,
            "choices": list(self.choices) or None,
            "answer": list(self.answers) or None,
            "label": self.label,
            "split": self.split,
        }
        return {**self.fields, **{name: value for name, value in found.items() if value is not None}}


def read_tasks(path: Path) -> Iterator[Document]:
    """The documents of a task file, or of a sample log (each once, whatever filters were logged), one after another.

    Raises:
        UserError: it cannot be read, or a line is no document; the line is named.
    """
    seen: set[object] = set()
    for where, line in _lines(path):
        values = _object(line, where)
        if is_log(values):
            known = str(values["doc_id"])
            if known in seen:
                continue
            seen.add(known)
        yield document_of(values, where)


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    try:
        with path.open(encoding="utf-8") as file:
            number = 0
            while line := file.readline(LONGEST + 1):
                number += 1
                where = f"{path}: line {number}"
                if len(line) > LONGEST:
                    raise UserError(f"{where} is longer than {LONGEST} letters")
                if line.strip():
                    yield where, line
    except (OSError, UnicodeDecodeError) as problem:
        raise UserError(f"{path}: cannot be read as text ({problem})") from problem


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as problem:
        raise UserError(f"{where}: not JSON ({problem})") from problem
    if not isinstance(values, dict):
        raise UserError(f"{where}: a document is an object with a `prompt`, not a {type(values).__name__}")
    return values


def read_document(path: Path) -> Document:
    """The document of a file that holds one line of a task file."""
    return document_of(_object(path.read_text(encoding="utf-8"), str(path)), str(path))


def document_of(values: Mapping[str, Any], where: str) -> Document:
    """A document of the keys of its line; `where` says in messages where it stands.

    Raises:
        UserError: it is none.
    """
    if is_log(values):
        try:
            values = of_log(values)
        except (KeyError, IndexError, TypeError, ValueError) as problem:
            raise UserError(f"{where}: not a sample as lm-evaluation-harness logs it ({problem!r})") from problem
    own = {name: values.get(name) for name in ("prompt", "pair", "choices", "answer", "label")}
    answer = own["answer"]
    made = Document(
        prompt=_text(own["prompt"], f"{where}: prompt"),
        pair=None if own["pair"] is None else _text(own["pair"], f"{where}: pair"),
        choices=_texts(own["choices"] or [], f"{where}: choices"),
        answers=_texts([answer] if isinstance(answer, str) else answer or [], f"{where}: answer"),
        label=_label(own["label"], own["choices"], f"{where}: label"),
        split=str(values.get("split", "test")),
        fields={name: value for name, value in values.items() if name not in (*own, "split")},
    )
    if made.split not in SPLITS:
        raise UserError(f"{where}: split is {' or '.join(SPLITS)}, not {made.split!r}")
    return made


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise UserError(f"{where} must be a text, not {value!r:.60}")
    return value


def _texts(values: object, where: str) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise UserError(f"{where} must be a list of texts, not {values!r:.60}")
    return tuple(_text(value, f"{where}[{place}]") for place, value in enumerate(values))


def _label(label: object, choices: object, where: str) -> int | None:
    if label is None:
        return None
    if not isinstance(label, int) or isinstance(label, bool) or label < 0:
        raise UserError(f"{where} must be a whole number from 0, not {label!r:.60}")
    if isinstance(choices, list) and choices and label >= len(choices):
        raise UserError(f"{where} is {label}, but there are {len(choices)} choices, counted from 0")
    return label


def read_texts(paths: Iterable[Path]) -> Iterator[str | tuple[str, str]]:
    """The texts of files, or of documents in JSON, of which a pair is two."""
    for path in paths:
        if path.suffix == ".json":
            document = read_document(path)
            yield document.prompt if document.pair is None else (document.prompt, document.pair)
        else:
            yield path.read_text(encoding="utf-8")

"""Chat templates: a stranger's Jinja, rendered in a sandbox as transformers renders it, and never run outside of it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tracking.runs.errors import UserError

LARGEST = 1024 * 1024  # bytes of a template


def template_text(path: Path) -> str:
    """The template: the file itself, or `chat_template` in a JSON file (`tokenizer_config.json`).

    Raises:
        UserError: it cannot be read, or holds none.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path}: is larger than {LARGEST} bytes, which no chat template is")
        text = path.read_text(encoding="utf-8")
        found = json.loads(text).get("chat_template") if path.suffix == ".json" else text
    except (OSError, ValueError, AttributeError) as problem:
        raise UserError(f"{path}: cannot be read as a chat template ({problem})") from problem
    if not isinstance(found, str):
        raise UserError(f"{path}: holds no chat_template")
    return found


class Chat:
    """One chat template.

    Raises:
        UserError: it cannot be read, or is no Jinja.
    """

    def __init__(self, path: str) -> None:
        from jinja2 import TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        self._path, self._problem = path, TemplateError
        room = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, autoescape=False)
        room.globals["raise_exception"] = _refuse
        try:
            self._template = room.from_string(template_text(Path(path)))
        except TemplateError as problem:
            raise UserError(f"{path}: not a chat template ({problem})") from problem

    def text(self, system: str, examples: Sequence[tuple[str, str]], question: str) -> str:
        """System message (where there is one), examples as turns, the question, and the beginning of an answer."""
        turns: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
        for asked, said in examples:
            turns += [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
        turns.append({"role": "user", "content": question})
        try:
            return str(self._template.render(messages=turns, add_generation_prompt=True, bos_token="", eos_token=""))
        except (self._problem, TypeError, ValueError, ArithmeticError) as problem:
            raise UserError(f"{self._path}: this chat template cannot be used ({problem})") from problem


def _refuse(message: str) -> None:
    raise ValueError(message)

"""Documents out of the samples that lm-evaluation-harness logged: what was asked there, word for word, examples included.

A leading space of the continuations is taken for the recipe's `delimiter` where all of them begin with it.
"""

from collections.abc import Mapping
from typing import Any


def is_log(values: Mapping[str, Any]) -> bool:
    """Whether the keys are those of a logged sample."""
    return "doc_id" in values and "arguments" in values and "prompt" not in values


def of_log(values: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a document, of a logged sample: of one choice or of several, of a whole text, or of an answer to generate.

    Raises:
        KeyError, TypeError, ValueError: it is not as the tool writes it.
    """
    asked = [_pair(each) for each in _in_order(values["arguments"])]
    prompt, target = asked[0][0], values.get("target")
    if isinstance(asked[0][1], str):
        given = _without_space([str(continuation) for _, continuation in asked])
        if len(given) == 1:
            return {"prompt": prompt, "answer": given[0]}
        if len({context for context, _ in asked}) > 1:
            raise ValueError("its choices stand after different prompts; only one prompt with several choices is taken")
        return {"prompt": prompt, "choices": given, "label": int(str(target))}
    return {"prompt": prompt, "answer": target if isinstance(target, list) else str(target)}


def _in_order(arguments: Any) -> list[Any]:
    """Lists, or a mapping `gen_args_0`, `gen_args_1` ..."""
    if not isinstance(arguments, Mapping):
        return list(arguments)
    return [arguments[name] for name in sorted(arguments, key=lambda name: int(name.rpartition("_")[2]))]


def _pair(arguments: Any) -> tuple[str, Any]:
    """The context, and what follows: a continuation, settings of a generation, or nothing of a whole text."""
    parts = list(arguments.values()) if isinstance(arguments, Mapping) else list(arguments)
    return str(parts[0]), parts[1] if len(parts) > 1 else None


def _without_space(texts: list[str]) -> list[str]:
    return [text[1:] for text in texts] if all(text.startswith(" ") for text in texts) else texts

"""What checks say of samples, where these are texts: most checks were worded for images."""

import re
from collections.abc import Iterable
from dataclasses import replace

from tracking.runs.findings import Finding

_QUOTED = re.compile(r"(\([^()]*\)|`[^`]*`|'[^']*'|\"[^\"]*\")")  # names, sources and keys: they stay as they are
_IMAGES = re.compile(r"\b([Ii])mage(s?)\b")


def said_of_texts(found: Iterable[Finding]) -> list[Finding]:
    """The findings with "text" for "image" in their sentences, but for what is quoted or in brackets there."""
    return [replace(each, sentence=_of_texts(each.sentence)) for each in found]


def _of_texts(sentence: str) -> str:
    parts = _QUOTED.split(sentence)
    parts[::2] = [
        _IMAGES.sub(lambda word: f"{'T' if word[1] == 'I' else 't'}ext{word[2]}", part) for part in parts[::2]
    ]
    return "".join(parts)

"""What checks say of samples, where these are texts: most checks are worded for images."""

import re
from collections.abc import Iterable
from dataclasses import replace

from tracking.runs.findings import Finding

_QUOTED = re.compile(r"(\([^()]*\)|`[^`]*`|'[^']*'|\"[^\"]*\")")  # names, sources and keys: they stay as they are
_IMAGES = re.compile(r"(?<![Bb]lack )\b([Ii])mage(s?)\b")
_AN_IMAGE = re.compile(r"\b([Aa])n image\b")
_COUNTED = re.compile(r"\b(\d[\d,]*) image(s?)\b")  # in brackets too


def said_of_texts(found: Iterable[Finding]) -> list[Finding]:
    """The findings with "text" for "image" in their sentences, but for what is quoted or in brackets there and not counted."""
    return [replace(each, sentence=_of_texts(each.sentence)) for each in found]


def _of_texts(sentence: str) -> str:
    parts = _QUOTED.split(_COUNTED.sub(r"\1 text\2", _AN_IMAGE.sub(r"\1 text", sentence)))
    parts[::2] = [
        _IMAGES.sub(lambda word: f"{'T' if word[1] == 'I' else 't'}ext{word[2]}", part) for part in parts[::2]
    ]
    return "".join(parts)

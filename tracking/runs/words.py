"""The few words that a recorded sentence needs: one value, one change, one count. Whole texts are the pages' business."""

import re
from collections.abc import Mapping
from typing import Protocol

from tracking.runs.run import Scalar


class Change(Protocol):
    """A condition before and after; `absent` is ``before`` or ``after`` where that side has none, else empty."""

    @property
    def before(self) -> Scalar: ...
    @property
    def after(self) -> Scalar: ...
    @property
    def absent(self) -> str: ...


def printable(text: str) -> str:
    """Text of strangers as a terminal may show it: line breaks and tabs stay, what a terminal would obey is spelled out."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else repr(letter)[1:-1] for letter in text)


def markdown_text(words: str) -> str:
    """Text of strangers on one line of Markdown, shown as it is: no tag, no link, no mention of a person."""
    plain = printable(" ".join(words.split())).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*_\[\]#|~!])", r"\\\1", plain).replace("@", "@<!-- -->")


def value_text(value: Scalar) -> str:
    """A value on one line: hashes shortened, null and booleans as JSON writes them, nothing a terminal would obey."""
    if value is None or isinstance(value, bool):
        return str({None: "null", True: "true", False: "false"}[value])
    text = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in str(value))
    digest = text.removesuffix(".dir")  # DVC's mark of a folder
    if len(digest) in (32, 40, 64) and all(letter in "0123456789abcdef" for letter in digest):
        return digest[:12]
    return text if len(text) <= 60 else f"{text[:57]}..."


def change_text(change: Change) -> str:
    """Both values, for example ``absent -> AVX2``."""
    before = "absent" if change.absent == "before" else value_text(change.before)
    after = "absent" if change.absent == "after" else value_text(change.after)
    if before == after:  # both were cut before they differ
        before, after = _around_the_difference(str(change.before), str(change.after))
    return f"{before} -> {after}"


def _around_the_difference(before: str, after: str) -> tuple[str, str]:
    same = next((at for at, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1]), len(before))
    start = max(0, min(same, len(before), len(after)) - 10)
    return value_text(f"...{before[start : start + 50]}"), value_text(f"...{after[start : start + 50]}")


def samples_word(params: Mapping[str, Scalar]) -> str:
    """What the samples of a run with these params are."""
    return "texts" if any(name.startswith(("data.texts", "data.prompts")) for name in params) else "images"


def counted(number: int, noun: str) -> str:
    """For example ``1 condition`` or ``2,000 conditions``."""
    return f"{number:,} {noun if number == 1 else f'{noun}s'}"

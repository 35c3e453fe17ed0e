"""The documentation, read: its blocks, commands, links, tables and inline code."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.import_graph import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BETWEEN = {"&&", "|", ";"}


@dataclass(frozen=True)
class Command:
    """One command line of a page, without variables set before it and without the comment after it."""

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return shlex.join(self.words)


def blocks(text: str, language: str) -> list[str]:
    """What stands inside the fenced blocks of this language."""
    return [content for name, content in BLOCK.findall(text) if name == language]


def prose(text: str) -> str:
    """The page without its fenced blocks."""
    return BLOCK.sub("", text)


def inline_code(text: str) -> list[str]:
    """Every `piece of code` in the prose, each once."""
    return list(dict.fromkeys(" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose(text))))


def links(text: str) -> list[str]:
    """Where the links of the prose lead."""
    return re.findall(r"\]\(([^)\s]+)\)", prose(text))


def rows(text: str) -> set[str]:
    """The names in the first cells of all tables, where they are written as code."""
    cells = re.findall(r"^\| (`[^|]*) \|", prose(text), re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def section(text: str, heading: str) -> str:
    """What stands under `## heading`; empty where there is no such heading."""
    _, _, rest = text.partition(f"\n## {heading}\n")
    return rest.partition("\n## ")[0]


def commands(text: str, page: str) -> list[Command]:
    """Every command of the lines that begin with `$ ` in console blocks; a line may hold several."""
    lines = (line for block in blocks(text, "console") for line in block.splitlines() if line.startswith("$ "))
    return [Command(page, words) for line in lines for words in split(line[2:])]


def outputs(text: str) -> dict[str, list[str]]:
    """The lines shown below a command of a console block, by the command's line."""
    found: dict[str, list[str]] = {}
    for block in blocks(text, "console"):
        line = ""
        for each in block.splitlines():
            if each.startswith("$ "):
                line = each[2:]
            elif line:
                found.setdefault(line, []).append(each)
    return found


def inline_commands(text: str, page: str) -> list[Command]:
    """Every command in the prose, `<placeholders>` and dots included, of the programs that are ours or DVC."""
    written = (re.sub(r"<[^>]*>", "X", code).replace("...", "") for code in inline_code(text))
    found = (words for code in written if code.startswith(("weighbridge ", "dvc ", "make ")) for words in split(code))
    return [Command(page, words) for words in found]


def split(line: str) -> Iterator[tuple[str, ...]]:
    """The commands of one line, as words."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word not in BETWEEN:
            words.append(word)
            continue
        while words and re.match(r"[A-Z_]+=", words[0]):
            words.pop(0)
        if words:
            yield tuple(words)
        words = []


def name_of(page: Path) -> str:
    """How a page is called in messages: its path in the repository."""
    return page.relative_to(ROOT).as_posix()

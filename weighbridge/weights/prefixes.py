"""What wrappers put into the names of weights, and ways to take it off: DataParallel, torch.compile, Lightning, FSDP."""

from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import TypeVar

Value = TypeVar("Value")
# what wrappers insert anywhere in a name, not only before it
WORDS = ("_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")


def without_prefix(named: Mapping[str, Value]) -> Iterator[tuple[str, dict[str, Value]]]:
    """(what is taken off, the rest by name): nothing, then every prefix that all names share, then wrappers' words anywhere."""
    yield "", dict(named)
    bare = {_bare(name): value for name, value in named.items()}
    for before, words in ((named, ()), (bare, WORDS)):
        if words and (len(bare) < len(named) or bare.keys() == named.keys()):
            return  # two names would become one, or none would change
        if words:
            yield _said(named, ""), dict(bare)
        for prefix in _shared(before):
            rest = {name.removeprefix(prefix): value for name, value in before.items()}
            yield _said(named, prefix) if words else prefix, rest


def _shared(named: Mapping[str, object]) -> list[str]:
    """Every prefix of whole parts that all names have, the shortest first."""
    first, last = min(named, default=""), max(named, default="")
    pairs = zip(first.split(".")[:-1], last.split(".")[:-1], strict=False)
    parts = [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]
    return [".".join(parts[: count + 1]) + "." for count in range(len(parts))]


def _bare(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in WORDS)


def _said(named: Mapping[str, object], prefix: str) -> str:
    found = [f"{word}." for word in WORDS if any(word in name.split(".") for name in named)]
    return " ".join([*found, *([prefix] if prefix else [])])

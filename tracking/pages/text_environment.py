"""The facts of environments in words, for a terminal."""

from collections.abc import Mapping, Sequence

from tracking.pages.terminal import aligned, indented, joined
from tracking.runs.run import Scalar
from tracking.runs.words import value_text


def environment_text(facts: Mapping[str, Mapping[str, Scalar]]) -> str:
    """Facts by runtime: first what all runtimes share, then what each has of its own."""
    shared = _shared(list(facts.values()))
    blocks = [_block("everywhere" if len(facts) > 1 else next(iter(facts), ""), shared)]
    for runtime, own in facts.items():
        blocks.append(_block(runtime, {name: value for name, value in own.items() if name not in shared}))
    return joined(blocks)


def _shared(all_facts: Sequence[Mapping[str, Scalar]]) -> dict[str, Scalar]:
    first, *others = all_facts
    return {
        name: value for name, value in first.items() if all(name in each and each[name] == value for each in others)
    }


def _block(title: str, facts: Mapping[str, Scalar]) -> list[str]:
    if not facts:
        return []
    return [title, *indented(aligned((name, value_text(facts[name])) for name in sorted(facts)))]

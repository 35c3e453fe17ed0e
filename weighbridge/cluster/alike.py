"""Nodes by what `capture` says of them: what most of them are, and in which facts another one differs."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

SHOWN = 5  # facts of a node
Environments = Mapping[str, str]  # the text of each file, by its path


def most_common(found: Sequence[Environments], here: Environments) -> Environments:
    """What most nodes have; of several that are as common, what this machine has, or the first in the order of their texts."""
    counted = Counter(json.dumps(each, sort_keys=True) for each in found)
    ours = json.dumps(here, sort_keys=True)
    return dict(json.loads(min(counted, key=lambda text: (-counted[text], text != ours, text))))


def differences(usual: Environments, own: Environments) -> dict[str, dict[str, object]]:
    """The facts that are others on a node, None where it has them not, by the file of the environment."""
    found = {}
    for path in usual.keys() | own.keys():
        theirs, ours = (json.loads(each.get(path, "{}")).get("facts", {}) for each in (usual, own))
        names = sorted(name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name))
        if names:
            found[path] = {name: ours.get(name) for name in names}
    return found


def sentences(
    name: str, differs: Mapping[str, Mapping[str, object]], used: bool, others: str = "most"
) -> Iterator[str]:
    """What to say of a node that differs from the `others`."""
    facts = {fact: value for found in differs.values() for fact, value in found.items()}
    if not facts:
        return
    listed = ", ".join(
        f"{fact} ({'absent' if value is None else value})" for fact, value in sorted(facts.items())[:SHOWN]
    )
    more = f" and {len(facts) - SHOWN} more" if len(facts) > SHOWN else ""
    does = (
        "it runs nothing; `cluster.nodes: any` lets it, recorded as its own" if others == "most" else "it runs nothing"
    )
    yield f"node {name} is not like {others}: {listed}{more}: {'runs made there record these' if used else does}"

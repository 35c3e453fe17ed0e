"""What checks ask of models that are weighed on several test sets: every name of a model becomes its names on its sets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_origin

from tracking.runs.errors import UserError
from tracking.runs.test_sets import on, test_set_of, without_test_set
from weighbridge.params.checks import SECTIONS

Values = dict[str, Any]
ROLES = ("model", "reference", "candidate")


@dataclass(frozen=True)
class AskedOnSets:
    """By model, the test sets that it is weighed on; `path` says in messages where the job stands."""

    path: Path
    sets: Mapping[str, Sequence[str]]

    def names(self, asked: Any) -> Any:
        """A list of names of models, each on all its sets; a name that says its set, or is none of a model, stays."""
        if not isinstance(asked, list):
            return asked
        return [new for name in asked for new in self.of(name)]

    def of(self, name: Any) -> list[Any]:
        """One name on all its sets."""
        return [on(name, each) for each in self.sets[name]] if isinstance(name, str) and name in self.sets else [name]

    def entries(self, section: str, asked: Any) -> tuple[Any, dict[str, list[str]]]:
        """Entries that name one model or a pair, each on the sets that these share; and what became of their keys."""
        if not isinstance(asked, Mapping):
            return asked, {}
        found: Values = {}
        keys: dict[str, list[str]] = {}
        for key, entry in asked.items():
            shared = self._shared(f"{section}.{key}", entry) if isinstance(entry, Mapping) else []
            new = {on(key, each): self._on_set(entry, each) for each in shared} or {key: entry}
            found |= new
            keys[key] = list(new)
        return found, keys

    def _on_set(self, entry: Mapping[str, Any], test_set: str) -> Values:
        moved = {role: on(entry[role], test_set) for role in ROLES if entry.get(role) in self.sets}
        return {**entry, **moved}

    def _shared(self, place: str, entry: Mapping[str, Any]) -> list[str]:
        """The sets on which all that the entry names are weighed; empty where it names nothing that is on sets."""
        named = [str(entry[role]) for role in ROLES if role in entry]
        bare = [name for name in named if name in self.sets]
        if not bare:
            return []
        said = {test_set_of(name) for name in named if without_test_set(name) in self.sets} - {None}
        shared = [each for each in self.sets[bare[0]] if all(each in self.sets[name] for name in bare)]
        shared = [each for each in shared if said <= {each}]
        if not shared:
            raise UserError(f"{self.path}: {place}: {' and '.join(named)} are weighed on no test set in common")
        others = [name for name in named if without_test_set(name) not in self.sets]
        if len(shared) > 1 and (others or "predictions" in entry):
            raise UserError(
                f"{self.path}: {place}: {bare[0]} is weighed on {', '.join(shared)}; say on which of them it is meant: "
                f"{on(bare[0], shared[0])}"
            )
        return shared


def checks_on_sets(suite: Mapping[str, Any], asked: AskedOnSets, images: str) -> Values:
    """`suite` with the sections of its checks about models on their sets; `images`: what transfers go to by default.

    Raises:
        UserError: a pair without a test set in common, or a name that may mean several models where one is needed.
    """
    found = dict(suite)
    for name, kind in SECTIONS.items():
        if name not in suite:
            continue
        if get_origin(kind) is dict:
            found[name] = asked.entries(name, suite[name])[0]
        elif isinstance(suite[name], Mapping):
            found[name] = _listed(suite[name], asked)
    if isinstance(suite.get("published_check"), Mapping):
        found["published_check"] = _published(suite["published_check"], asked)
    transfer = found.get("transfer_check", {})
    if isinstance(transfer, Mapping) and isinstance(transfer.get("target", {}), Mapping):
        found["transfer_check"] = {**transfer, "target": {"images": images, **transfer.get("target", {})}}
    return found


def _listed(section: Mapping[str, Any], asked: AskedOnSets) -> Values:
    """A section that lists models, itself or one of its parts (`mode_check.frozen`)."""
    parts = {name: _listed(part, asked) for name, part in section.items() if isinstance(part, Mapping)}
    models = {"models": asked.names(section["models"])} if "models" in section else {}
    return {**section, **parts, **models}


def _published(section: Mapping[str, Any], asked: AskedOnSets) -> Values:
    pairs, keys = asked.entries("published_check.pairs", section.get("pairs", {}))
    known, statements = section.get("known", {}), section.get("statements", {})
    found = {**section, "pairs": pairs}
    if isinstance(known, Mapping):
        found["known"] = {new: why for name, why in known.items() for new in asked.of(name)}
    if isinstance(statements, Mapping):
        found["statements"] = {key: _statement(said, asked, keys) for key, said in statements.items()}
    return found


def _statement(said: Any, asked: AskedOnSets, keys: Mapping[str, Iterable[str]]) -> Any:
    if not isinstance(said, Mapping):
        return said
    runs = {"runs": asked.names(said["runs"])} if "runs" in said else {}
    listed = said.get("pairs")
    pairs = {"pairs": [new for key in listed for new in keys.get(key, [key])]} if isinstance(listed, list) else {}
    return {**said, **runs, **pairs}

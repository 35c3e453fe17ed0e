"""Several test sets for the same models: `data` as a mapping of names to data sections.

They become the section `test_sets`. A model `m` with the recipe `r` that is weighed on the set `photos` becomes the model
`m+photos` with the recipe `r+photos`, and what names the model (checks, pairs) names these: stages, files and runs keep sets
apart by name alone.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracking.runs.errors import UserError
from tracking.runs.test_sets import on
from weighbridge.params.checks_on_sets import AskedOnSets, checks_on_sets
from weighbridge.params.data import Data
from weighbridge.params.models import Claim
from weighbridge.params.section import check, nearest
from weighbridge.params.which_data import data_folder

Values = dict[str, Any]
WHERE = ("source", "images", "labels", "texts", "prompts", "columns", "dataset")


def spread(suite: Mapping[str, Any], path: Path) -> Values:
    """`suite`, written out but for its test sets, with every model on each of its sets; unchanged where `data` is one section.

    Raises:
        UserError: something is no test set, or asks for one that is not there; `path` says where it stands.
    """
    sets = _named_sets(suite.get("data"), path)
    if not sets:
        _refuse_choices(suite, path)
        return dict(suite)
    if suite.get("test_sets"):
        raise UserError(f"{path}: test_sets: data names test sets already; leave one of the two out")
    models, trained = _Sets(path, "models", tuple(sets)), _Sets(path, "pretrain", tuple(sets))
    weighed = {key: models.chosen(key, entry) for key, entry in _entries(suite, "models")}
    training = {key: trained.one(key, entry) for key, entry in _entries(suite, "pretrain")}
    asking = {name: section for name, section in suite.items() if name != "data"}
    return {
        **checks_on_sets(asking, AskedOnSets(path, weighed), f"{data_folder(on('', next(iter(sets))))}/images"),
        "test_sets": sets,
        "recipes": _recipes(suite, weighed, training, sets),
        "models": _on_sets(suite.get("models", {}), weighed, renamed=True),
        "pretrain": _on_sets(suite.get("pretrain", {}), training, renamed=False),
    }


def _section(suite: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A section; empty where it is none, of which the schema says what is wrong."""
    section = suite.get(name)
    return section if isinstance(section, Mapping) else {}


def _entries(suite: Mapping[str, Any], name: str) -> list[tuple[str, Mapping[str, Any]]]:
    return [(str(key), entry) for key, entry in _section(suite, name).items() if isinstance(entry, Mapping)]


# ---- what the sets are


def _named_sets(data: Any, path: Path) -> dict[str, Values]:
    """The sections by name; empty where `data` is one section."""
    if not isinstance(data, Mapping):
        return {}
    named = {
        name: value for name, value in data.items() if isinstance(value, Mapping) and name not in Data.model_fields
    }
    if not named:
        return {}
    for name in data:
        if name in Data.model_fields:
            raise UserError(
                f"{path}: data.{next(iter(named))}: unknown key beside data.{name}; data is one section, or names of test sets "
                f"with a section each, and no test set can be called {name}"
            )
        if name not in named:
            raise UserError(f"{path}: data.{name}: a test set is a section (source, classes ...), not {data[name]!r}")
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
            raise UserError(f"{path}: data: a test set's name has letters, digits, - and _, not {name!r}")
    _require_apart({name: check(Data, value, path, "data", name) for name, value in named.items()}, path)
    return {name: dict(value) for name, value in named.items()}


def _require_apart(sets: Mapping[str, Data], path: Path) -> None:
    known: dict[str, str] = {}
    for name, data in sets.items():
        if "source" not in data.model_fields_set:
            raise UserError(f"{path}: data.{name}.source: is missing; name a folder or a file of labelled images")
        place = repr([os.path.normpath(data.source), *(getattr(data, key) for key in WHERE[1:])])
        if place in known:
            raise UserError(f"{path}: data.{name}: has the same source as data.{known[place]}; one of them is enough")
        known[place] = name


def _refuse_choices(suite: Mapping[str, Any], path: Path) -> None:
    for section in ("models", "pretrain"):
        for key, entry in _entries(suite, section):
            if "data" in entry:
                raise UserError(
                    f"{path}: {section}.{key}.data: there is one test set only, without a name; name several: "
                    "data: {name: {source: ...}, ...}"
                )


@dataclass(frozen=True)
class _Sets:
    """What the entries of a section may choose from."""

    path: Path
    section: str
    known: tuple[str, ...]

    def chosen(self, key: str, entry: Mapping[str, Any]) -> tuple[str, ...]:
        """The sets that an entry names in `data`, else all."""
        place = f"{self.path}: {self.section}.{key}.data"
        said = entry.get("data", list(self.known))
        names = [said] if isinstance(said, str) else said
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise UserError(f"{place}: give the name of a test set, or a list of names, not {said!r}")
        for name in names:
            if name not in self.known:
                raise UserError(f"{place}: there is no test set {name!r}{nearest(name, self.known)}")
        if len(set(names)) < len(names):
            raise UserError(f"{place}: lists one twice")
        self._require_claim_of_one(key, entry, names)
        return tuple(names)

    def one(self, key: str, entry: Mapping[str, Any]) -> tuple[str, ...]:
        """The set that is trained on: the one that `data` names, else the first."""
        names = self.chosen(key, entry) if "data" in entry else self.known[:1]
        if len(names) > 1:
            raise UserError(
                f"{self.path}: {self.section}.{key}.data: training takes the images of one test set; name one"
            )
        return names

    def _require_claim_of_one(self, key: str, entry: Mapping[str, Any], names: Sequence[str]) -> None:
        claim = entry.get("claim")
        if not isinstance(claim, Mapping):
            return
        place = f"{self.path}: {self.section}.{key}.claim"
        if not _is_by_set(claim):
            if len(names) > 1 and claim.get("images") != "other":
                raise UserError(
                    f"{place}: is about one test set, and {key} is weighed on {', '.join(names)}; say which: "
                    f"claim: {{{names[0]}: {{...}}}}, or in it images: other"
                )
            return
        for name in claim:
            if name not in names:
                raise UserError(
                    f"{place}.{name}: {key} is not weighed on a test set {name!r}{nearest(str(name), names)}"
                )


def _is_by_set(claim: Mapping[str, Any]) -> bool:
    return bool(claim) and not any(name in Claim.model_fields for name in claim)


# ---- every entry on its sets


def _on_sets(section: Any, asked: Mapping[str, Sequence[str]], *, renamed: bool) -> Any:
    """Models are called after their sets; what is trained keeps its name."""
    if not isinstance(section, Mapping):
        return section
    found: Values = {key: entry for key, entry in section.items() if key not in asked}
    for key, sets in asked.items():
        found |= {on(key, name) if renamed else key: _on_set(section[key], name) for name in sets}
    return found


def _on_set(entry: Mapping[str, Any], name: str) -> Values:
    found = {key: value for key, value in entry.items() if key != "data"}
    if isinstance(entry.get("recipe"), str):
        found["recipe"] = on(entry["recipe"], name)
    if isinstance(entry.get("claim"), Mapping) and _is_by_set(entry["claim"]):
        found["claim"] = entry["claim"].get(name)
    return found


def _recipes(
    suite: Mapping[str, Any],
    weighed: Mapping[str, Sequence[str]],
    training: Mapping[str, Sequence[str]],
    sets: Iterable[str],
) -> Values:
    """Each recipe on the sets that it is used on; one that nobody uses on all."""
    used: dict[str, set[str]] = {}
    for section, asked in (("models", weighed), ("pretrain", training)):
        for key, entry in _entries(suite, section):
            used.setdefault(str(entry.get("recipe")), set()).update(asked[key])
    return {
        on(key, name): recipe
        for key, recipe in _section(suite, "recipes").items()
        for name in sets
        if name in used.get(key, sets)
    }

"""A stand-in is there while something is imported, and nowhere after it."""

import importlib
import json
import sys
from types import ModuleType

import pytest

from tracking.runs.stand_ins import standing_in


def test_a_stand_in_is_imported_meanwhile_and_gone_after_an_error_too() -> None:
    own = ModuleType("no_such_module")
    with pytest.raises(ImportError), standing_in({"no_such_module": own, "nor_this": None}):
        importlib.import_module("nor_this" if importlib.import_module("no_such_module") is own else "json")
    assert not {"no_such_module", "nor_this"} & sys.modules.keys()


def test_what_is_imported_already_and_what_took_the_place_meanwhile_stay() -> None:
    late = ModuleType("late")
    with standing_in({"json": None, "late": ModuleType("late")}):
        assert importlib.import_module("json") is json
        sys.modules["late"] = late
    assert sys.modules["json"] is json
    assert sys.modules.pop("late") is late

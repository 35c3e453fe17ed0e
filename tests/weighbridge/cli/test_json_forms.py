"""What `--json` prints has a form with a number, and the JSON Schemas in docs/ are those of the forms."""

import argparse
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import asdict
from io import StringIO
from typing import Any

import pytest
from pydantic import ValidationError

from tests.import_graph import ROOT
from tests.tracking.explain.test_mutated_certificates import TRUE, made
from tests.tracking.recordings import Answering, recorded_run
from tests.tracking.replay.test_reproduce import OTHER_BITS, Here
from tests.weighbridge.cli.printed import printed
from tracking.explain.recipe_search import Tried
from tracking.explain.verify import consistent
from tracking.replay import reproduce as reproducing
from tracking.replay.band import band
from tracking.replay.reproduce import reproduce
from weighbridge.cli.json_forms import FORMS, SCHEMAS, schema_text
from weighbridge.cli.main import COMMANDS
from weighbridge.cli.output import print_json


@pytest.mark.parametrize("command", FORMS)
def test_the_schemas_in_the_documentation_are_those_of_the_forms(command: str) -> None:
    """`python -m weighbridge.cli.json_forms` writes them again."""
    assert (ROOT / SCHEMAS / f"{command}.json").read_text(encoding="utf-8") == schema_text(command)


def test_every_command_that_prints_json_has_a_form() -> None:
    taking = set()
    for name, command in COMMANDS.items():
        parser = argparse.ArgumentParser()
        command.options(parser)
        if "--json" in parser.format_help():
            taking.add(name)
    assert taking == FORMS.keys() - {"explain-against"}
    assert {path.stem for path in (ROOT / SCHEMAS).iterdir()} == FORMS.keys()


def certificate() -> Mapping[str, Any]:
    noise, changes = TRUE["one cause"]
    return made(noise, **changes)


def reproduction() -> Mapping[str, Any]:
    return reproduce(recorded_run(), Here(lambda _: OTHER_BITS)).to_dict()


OUTPUTS: Mapping[str, Callable[[], Mapping[str, Any]]] = {
    "explain": certificate,
    "explain-against": lambda: {"tried": [asdict(Tried("as recorded", 0.5, (0.4, 0.6), True))], "untried": ["more"]},
    "band": lambda: band(recorded_run(), Answering(), max_runs=2).to_dict(),
    "reproduce": reproduction,
    "verify": lambda: {"checks": [asdict(each) for each in consistent(certificate())]},
}


@pytest.mark.parametrize("command", OUTPUTS)
def test_what_commands_that_run_models_print_has_their_form(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are held to theirs where they are tested: `tests.weighbridge.cli.printed`."""
    monkeypatch.setattr(
        reproducing, "_captured", lambda _python, runtimes: [{"cpu.model": "another"} for _ in runtimes]
    )
    assert printed(command, printed_by(OUTPUTS[command]()))["schema"] == (2 if command == "explain" else 1)


def test_another_form_is_seen() -> None:
    values = {**OUTPUTS["explain-against"](), "more": 1}
    with pytest.raises(ValidationError, match="more"):
        printed("explain-against", printed_by(values))
    with pytest.raises(ValidationError, match="schema"):
        printed("explain-against", printed_by({**OUTPUTS["explain-against"](), "schema": 99}))


def printed_by(values: Mapping[str, Any]) -> str:
    with redirect_stdout(StringIO()) as out:
        print_json(values)
    return out.getvalue()

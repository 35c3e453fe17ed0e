"""The commands in README.md and docs/: each one is understood by its program, and the cheap ones are run."""

import argparse
import contextlib
import importlib.util
import io
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from tests.docs.made_up_project import IMAGES, STANDS_FOR, made_up_project
from tests.docs.pages import PAGES, Command, commands, inline_code, inline_commands, name_of, outputs
from tests.import_graph import ROOT
from weighbridge.cli import main as cli
from weighbridge.params.whole import load_params

# Every command of ours is in one of these two tables.
EXECUTED = {"gate", "runs", "show", "diff", "audit", "compare", "matrix", "params", "use", "completion"}
PARSED = {
    "explain": "runs models",
    "verify": "runs models",
    "band": "runs models",
    "reproduce": "runs models",
    "repro": "runs the stages",
    "doctor": "says what is missing here, which is not known; tests/weighbridge/cli/test_environments.py",
    "gc": "removes what tests of others made; tests/tracking/replay/test_collection.py",
    "sign": "wants an SSH key; tests/tracking/explain/test_signature.py",
    "sync": "writes to trackers, which takes seconds each; tests/weighbridge/cli/test_sync.py",
    "ui": "serves until it is interrupted; tests/weighbridge/cli/test_ui.py",
    "weigh": "runs models; but its suite is written and used, see below",
}
# Programs of others whose options are not looked up: what pages may ask of them.
OTHERS = {"mlflow": {"ui", "models"}, "comet": {"upload"}, "git": {"checkout", "clone"}}
SHELL = {".", "cp", "mkdir", "find", "sort", "xargs", "sha256sum", "cd"}
YOURS = {"suites/mine.yaml", "suites/weighed.yaml"}  # files that a reader makes

TEXTS = {name_of(page): page.read_text(encoding="utf-8") for page in PAGES}
SHOWN = list(dict.fromkeys(command for page, text in TEXTS.items() for command in commands(text, page)))
NAMED = list(dict.fromkeys(command for page, text in TEXTS.items() for command in inline_commands(text, page)))


# ---- each command is understood


def problem(words: tuple[str, ...]) -> str:
    """What is wrong with a command; empty where nothing is."""
    program, *arguments = words
    if program in ("python", "python3") and arguments[:1] == ["-m"]:
        return _of_module(*arguments[1:])
    if program in PROGRAMS:
        return PROGRAMS[program](arguments)
    if program in OTHERS:
        return "" if arguments and arguments[0] in OTHERS[program] else f"{program}: not among {OTHERS[program]}"
    return "" if program in SHELL else f"{program}: unknown program"


def _of_module(module: str, *arguments: str) -> str:
    if module in PROGRAMS:
        return PROGRAMS[module](list(arguments))
    return "" if importlib.util.find_spec(module) else f"python -m {module}: no such module"


def _weighbridge(arguments: list[str]) -> str:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            cli.parser().parse_args(arguments)
    except SystemExit as ended:
        return "" if ended.code in (0, None) else said.getvalue().splitlines()[-1]
    return ""


def _dvc(arguments: list[str]) -> str:
    from dvc.cli import DvcParserError
    from dvc.cli.parser import get_main_parser

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            get_main_parser().parse_args(arguments)
    except (DvcParserError, SystemExit):
        return said.getvalue() or "not understood by dvc"
    return ""


def _make(arguments: list[str]) -> str:
    written = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", written, re.MULTILINE))
    variables = set(re.findall(r"^([A-Z]+) \?=", written, re.MULTILINE))
    for word in arguments:
        name, is_variable, _ = word.partition("=")
        if name not in (variables if is_variable else targets):
            return f"make: no {'variable' if is_variable else 'target'} {name!r}"
    return ""


def _pip(arguments: list[str]) -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    known = project["optional-dependencies"]
    extras = [extra for word in arguments for extra in ",".join(re.findall(r"\[(.*)\]", word)).split(",") if extra]
    if absent := [extra for extra in extras if extra not in known]:
        return f"pip: no extra {absent[0]!r}"
    after = [arguments[place + 1] for place, word in enumerate(arguments) if word == "--constraint"]
    return next((f"pip: no file {name}" for name in after if not (ROOT / name).is_file()), "")


def _pytest(arguments: list[str]) -> str:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for word in arguments:
        if word not in makefile if word.startswith("--") else "/" in word and not (ROOT / word).exists():
            return f"pytest: {word}: no such path, and not among the options of `make test`"
    return ""


PROGRAMS: dict[str, Callable[[list[str]], str]] = {
    "weighbridge": _weighbridge,
    "dvc": _dvc,
    "make": _make,
    "pip": _pip,
    "pytest": _pytest,
}


@pytest.mark.parametrize("command", SHOWN, ids=lambda command: f"{command.page}: {command}")
def test_every_command_in_a_block_is_understood(command: Command) -> None:
    assert problem(command.words) == ""


@pytest.mark.parametrize("command", NAMED, ids=lambda command: f"{command.page}: {command}")
def test_every_command_in_the_prose_is_understood(command: Command) -> None:
    assert is_name(command.words) or problem(command.words) == ""


def is_name(words: tuple[str, ...]) -> bool:
    """Whether this is the name of a command of ours or of DVC and nothing more, as in "see `weighbridge explain`"."""
    from dvc.cli.parser import get_main_parser

    parsers = {"weighbridge": cli.parser, "dvc": get_main_parser}
    return len(words) == 2 and words[0] in parsers and words[1] in subcommands(parsers[words[0]]())


def subcommands(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    (action,) = (each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    return dict(action.choices)


@pytest.mark.parametrize(
    "line",
    [
        "weighbridge audti a b",
        "weighbridge audit a",
        "weighbridge audit a b --sctrict",
        "weighbridge explan",
        "python -m weighbridge runs --jsn",
        "python -m stages.infre --model x",
        "dvc rpro",
        "dvc repro --forcefully",
        "make rpro",
        "make repro SUIT=x",
        "pip install .[al]",
        "pip install --constraint constraint.txt .",
        "pytest tests/doc",
        "mlflow gui",
        "conda install x",
    ],
)
def test_a_command_that_is_not_understood_is_found(line: str) -> None:
    assert problem(tuple(line.split())) != ""
    assert not is_name(tuple(line.split()))


def test_every_option_named_in_the_prose_exists() -> None:
    options = {code.split()[0] for text in TEXTS.values() for code in inline_code(text) if code.startswith("--")}
    assert {option for option in options if option not in known_options()} == set()


def test_an_option_that_does_not_exist_is_found() -> None:
    assert "--jobs" in known_options()
    assert "--job" not in known_options()


def known_options() -> set[str]:
    """Those of our commands, and of the stages as `dvc.yaml` starts them."""
    ours = {option for each in subcommands(cli.parser()).values() for option in each._option_string_actions}
    return ours | set(re.findall(r"--[a-z-]+", (ROOT / "dvc.yaml").read_text(encoding="utf-8")))


def test_plain_commands_are_those_that_make_runs() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    shown = [str(command) for command in SHOWN if command.page == "README.md"]
    for program in ("pytest ", "dvc repro", "weighbridge runs"):
        line = next(line for line in shown if line.startswith(program))
        made = line.replace("dvc repro", "weighbridge repro")  # the same, in less time
        assert f"python -m {made}\n" in makefile


# ---- the cheap ones are run


def ran(command: Command) -> bool:
    return command.words[0] == "weighbridge" and command.words[1] in EXECUTED


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_up_project(tmp_path_factory.mktemp("project"), YOURS - {"suites/weighed.yaml"})


def test_every_command_of_ours_is_either_run_or_only_parsed() -> None:
    assert set(cli.COMMANDS) == EXECUTED | PARSED.keys()
    assert not EXECUTED & PARSED.keys()


def test_the_documentation_shows_every_command_of_ours() -> None:
    assert {command.words[1] for command in SHOWN if command.words[0] == "weighbridge"} == set(cli.COMMANDS)


@pytest.mark.parametrize("line", list(dict.fromkeys(str(command) for command in SHOWN if ran(command))))
def test_a_cheap_command_runs_as_it_is_shown(
    line: str, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [STANDS_FOR.get(word, word) for word in line.split()[1:]]
    monkeypatch.chdir(project)
    code = cli.main(words)
    said = capsys.readouterr()
    assert code == (1 if "--strict" in words else 0), said.err
    assert said.out
    for name in re.findall(r"\S+\.(?:html|csv)", line):
        assert (project / name).is_file()


OUTPUTS = [(line, shown) for text in TEXTS.values() for line, shown in outputs(text).items()]
FORMS = [(line, shown) for line, shown in OUTPUTS if line.startswith(("weighbridge audit", "weighbridge compare"))]


def labels(lines: Iterable[str]) -> set[str]:
    """What lines say before their first number, name or value: `top-1 accuracy` of `  top-1 accuracy   same: 0.9685`.

    Lines further in hold values that are any length, and are left out.
    """
    near = (line.strip() for line in lines if len(line) - len(line.lstrip()) <= 2 and line.strip() != "...")
    found = {re.split(r"\d\d|\d\.|\d,|:|  |,", line)[0].strip() for line in near}
    return {label for label in found if len(label) > 1}


@pytest.mark.parametrize(("line", "shown"), FORMS, ids=[line for line, _ in FORMS])
def test_the_output_shown_has_the_form_of_what_is_printed(
    line: str,
    shown: list[str],
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(project)
    cli.main([STANDS_FOR.get(word, word) for word in line.split()[1:]])
    printed = capsys.readouterr().out
    assert labels(shown) - labels(printed.splitlines()) == set()


def test_the_table_of_runs_has_the_columns_that_are_printed(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    cli.main(["runs"])
    (shown,) = (shown for line, shown in OUTPUTS if line == "weighbridge runs")
    assert shown[0].split() == capsys.readouterr().out.splitlines()[0].split()


def test_an_output_of_another_form_is_found() -> None:
    printed = labels(["results", "  top-1 accuracy   same: 0.9685"])
    assert labels(["  top-1 accuracy   differs: 0.8"]) <= printed
    assert labels(["  top-1  same: 0.9685"]) - printed == {"top-1"}
    assert labels(["result"]) - printed == {"result"}


def test_the_documentation_shows_an_audit_and_a_comparison() -> None:
    assert {line.split()[1] for line, _ in FORMS} == {"audit", "compare"}


@pytest.mark.parametrize("line", [str(each) for each in SHOWN if each.words[:2] == ("weighbridge", "weigh")])
def test_weighing_as_it_is_shown_writes_a_suite_and_uses_it(
    line: str, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    monkeypatch.setattr("weighbridge.cli.jobs._repro", lambda: 7)  # where models would be downloaded and run
    code = cli.main([str(project / IMAGES) if word == "/data/my-photos" else word for word in line.split()[1:]])
    assert code == 7, capsys.readouterr().err
    assert load_params(project / "params.yaml").suite == "suites/weighed.yaml"


def test_a_command_that_fails_is_noticed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    assert cli.main(["audit", "nobody", "resnet18-torchvision"]) == 2


def test_the_module_starts_like_the_program() -> None:
    command = [sys.executable, "-m", "weighbridge", "--help"]
    started = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert started.returncode == 0
    assert set(cli.COMMANDS) <= set(started.stdout.split())

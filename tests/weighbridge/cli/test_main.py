"""The command line: what it prints, its exit codes, what it imports and how soon it answers."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from tests.import_graph import ROOT
from tests.tracking.audit.test_audit import Page, weighed, wrong
from tests.weighbridge.cli.printed import printed
from tracking.runs.errors import UserError
from tracking.runs.run import Run
from weighbridge.cli.main import COMMANDS, main
from weighbridge.cli.output import HarmlessStream

BEFORE = weighed()
AFTER = weighed(top1=wrong(20), facts={"package.pillow": "11.3.0"})
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder where AFTER is the current run and BEFORE is in the journal too."""
    folder = tmp_path / "data"
    AFTER.save(folder / "runs/resnet18-torchvision.json")
    for run in (BEFORE, AFTER):
        run.save(folder / "journal" / f"{run.subject}-{run.id[:12]}.json")
    return folder


@pytest.fixture
def weighbridge(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run one command: exit code, stdout, stderr."""

    def command(*arguments: str | Path) -> tuple[int, str, str]:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as ended:
            code = int(ended.code or 0)
        return (code, *capsys.readouterr())

    return command


# ---- audit


def test_audit_prints_outcome_and_suspect(weighbridge: Command, folder: Path) -> None:
    code, out, err = weighbridge("audit", BEFORE.id[:8], "resnet18-torchvision", "--folder", folder)
    assert (code, err) == (0, "")
    assert out.startswith("explained: ")
    assert "package.pillow: 12.0.0 -> 11.3.0" in out


def test_audit_as_json_is_one_object_for_one_run(weighbridge: Command, folder: Path) -> None:
    _, out, _ = weighbridge("audit", BEFORE.id, AFTER.id, "--json", "--folder", folder)
    assert printed("audit", out)["outcome"] == "explained"


def test_audit_of_a_folder_compares_each_run_in_it(weighbridge: Command, folder: Path) -> None:
    code, out, _ = weighbridge("audit", BEFORE.id, folder / "journal", "--json", "--folder", folder)
    assert sorted(each["outcome"] for each in printed("audit", out)["audits"]) == ["explained", "reproduced"]
    assert code == 0


def test_audit_of_many_prints_a_line_each(weighbridge: Command, folder: Path) -> None:
    _, out, _ = weighbridge("audit", BEFORE.id, AFTER.id, BEFORE.id, "--folder", folder)
    assert out.splitlines()[-1] == "1 reproduced, 1 explained"


def test_audit_of_a_folder_of_one_run_is_still_a_list_in_json(weighbridge: Command, folder: Path) -> None:
    _, out, _ = weighbridge("audit", BEFORE.id, folder / "runs", "--json", "--folder", folder)
    assert [each["outcome"] for each in printed("audit", out)["audits"]] == ["explained"]


def test_two_folders_are_paired_by_model(weighbridge: Command, tmp_path: Path) -> None:
    for end in ("old", "new"):
        for subject in ("a", "b"):
            replace(BEFORE, subject=subject).save(tmp_path / end / f"{subject}.json")
    _, out, _ = weighbridge("audit", tmp_path / "old", tmp_path / "new", "--json")
    assert [(each["before"]["subject"], each["after"]["subject"]) for each in printed("audit", out)["audits"]] == [
        ("a", "a"),
        ("b", "b"),
    ]


def test_two_folders_without_a_model_in_common_are_refused(weighbridge: Command, tmp_path: Path) -> None:
    for end, subjects in (("old", "ab"), ("new", "cd")):
        for subject in subjects:
            replace(BEFORE, subject=subject).save(tmp_path / end / f"{subject}.json")
    code, _, err = weighbridge("audit", tmp_path / "old", tmp_path / "new")
    assert (code, err) == (2, "weighbridge: the two folders hold no runs of the same model\n")


@pytest.mark.parametrize(("after", "expected"), [(AFTER, 1), (BEFORE, 0), (weighed(facts={"package.torch": "3"}), 0)])
def test_strict_fails_unless_reproduced_or_robust(
    weighbridge: Command, tmp_path: Path, after: Run, expected: int
) -> None:
    BEFORE.save(tmp_path / "before.json")
    after.save(tmp_path / "after.json")
    files = (tmp_path / "before.json", tmp_path / "after.json")
    assert weighbridge("audit", *files, "--strict")[0] == expected
    assert weighbridge("audit", *files)[0] == 0


def test_audit_writes_a_page(weighbridge: Command, folder: Path, tmp_path: Path) -> None:
    weighbridge("audit", BEFORE.id, AFTER.id, "--folder", folder, "--html", tmp_path / "audit.html")
    page = (tmp_path / "audit.html").read_text(encoding="utf-8")
    assert Page(page).fetched == []
    assert "package.pillow" in page


def test_a_page_that_cannot_be_written_is_said(weighbridge: Command, folder: Path, tmp_path: Path) -> None:
    code, out, err = weighbridge("audit", BEFORE.id, AFTER.id, "--folder", folder, "--html", tmp_path / "no/audit.html")
    assert (code, out) == (2, "")
    assert err == f"weighbridge: {tmp_path}/no/audit.html: cannot be written (No such file or directory)\n"


# ---- mistakes


@pytest.mark.parametrize(
    "arguments",
    [["audit", "none", "nothing"], ["audit", "./missing.json", "x"], ["show", "--runtime", "none"], ["matrix", "none"]],
)
def test_a_mistake_is_one_line_and_exit_code_two(weighbridge: Command, tmp_path: Path, arguments: list[str]) -> None:
    code, out, err = weighbridge(*arguments)
    assert (code, out) == (2, "")
    assert re.fullmatch(r"weighbridge: .+\n", err)


@pytest.mark.parametrize("arguments", [[], ["audit"], ["weigh"], ["audit", "a", "b", "--strickt"]])
def test_a_mistyped_command_is_exit_code_two(weighbridge: Command, arguments: list[str]) -> None:
    code, _, err = weighbridge(*arguments)
    assert code == 2
    assert err.startswith("usage: weighbridge")


def test_an_interrupt_is_exit_code_130(weighbridge: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("weighbridge.cli.inspect.find_runs", interrupted)
    assert weighbridge("audit", "a", "b") == (130, "", "weighbridge: interrupted\n")


def test_a_reader_that_leaves_is_no_error(folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "weighbridge", "audit", BEFORE.id, AFTER.id, "--folder", str(folder)]
    ended = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, "")


def test_the_version_is_that_of_the_package(weighbridge: Command) -> None:
    from importlib.metadata import version

    assert weighbridge("--version") == (0, f"weighbridge {version('weighbridge')}\n", "")


@pytest.mark.parametrize("command", [["verify", "missing.json"], ["reproduce", BEFORE.id]])
def test_outside_a_project_nothing_is_run_and_nothing_left_behind(
    weighbridge: Command, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = weighbridge(*command, "--folder", folder)
    assert (code, err.startswith(("weighbridge: dvc.yaml: not found", "weighbridge: missing.json"))) == (2, True)
    assert not (folder / "hybrids").exists()


# ---- runs


def test_runs_lists_each_run_once(weighbridge: Command, folder: Path) -> None:
    _, out, _ = weighbridge("runs", "--folder", folder, "--json")
    rows = printed("runs", out)["runs"]
    assert [(row["id"], row["current"]) for row in rows] == [(AFTER.id, True), (BEFORE.id, False)]
    assert rows[0]["top1"] == AFTER.results["top1"]


def test_runs_are_chosen_and_ordered(weighbridge: Command, folder: Path) -> None:
    def rows(*options: str) -> list[dict]:
        return list(printed("runs", weighbridge("runs", "--folder", folder, "--json", *options)[1])["runs"])

    ordered = [row["top1"] for row in rows("--sort", "top1")]
    assert ordered == sorted((row["top1"] for row in rows()), reverse=True)
    assert rows("--subject", "no*") == []
    assert len(rows("--current")) == 1
    code, _, err = weighbridge("runs", "--folder", folder, "--sort", "size")
    assert (code, "there is no column 'size'" in err) == (2, True)


def test_runs_as_a_table_has_short_ids(weighbridge: Command, folder: Path) -> None:
    _, out, _ = weighbridge("runs", "--folder", folder)
    head, first, second = out.splitlines()
    assert head.split() == ["id", "subject", "framework", "backend", "top1", "samples", "commit", "dirty", "current"]
    assert first.split()[0] == AFTER.id[:12]
    assert second.split()[-2:] == ["no", "no"]


def test_a_damaged_file_is_named_and_the_others_are_listed(weighbridge: Command, folder: Path) -> None:
    (folder / "journal/damaged.json").write_text("{")
    code, out, err = weighbridge("runs", "--folder", folder, "--json")
    assert (code, len(printed("runs", out)["runs"])) == (0, 2)
    assert "damaged.json: not a run file" in err


def test_without_runs_it_says_how_to_make_them(weighbridge: Command, tmp_path: Path) -> None:
    assert weighbridge("runs", "--folder", tmp_path)[1] == f"no runs in {tmp_path}: `dvc repro` makes them\n"
    assert weighbridge("runs", "--folder", tmp_path, "--json")[1] == '{\n "schema": 1,\n "runs": []\n}\n'


# ---- show


def test_show_prints_the_facts_of_every_runtime(weighbridge: Command) -> None:
    from tests.tracking.capture.runtimes import RUNTIMES, capture

    code, out, _ = weighbridge("show", "--json")
    assert code == 0
    assert printed("show", out)["runtimes"] == {runtime: dict(capture(runtime).facts) for runtime in RUNTIMES}


def test_show_as_text_has_a_line_for_every_fact_of_a_runtime(weighbridge: Command) -> None:
    from tests.tracking.capture.runtimes import RUNTIMES, capture

    runtime = RUNTIMES[0]
    _, out, _ = weighbridge("show", "--runtime", runtime)
    assert {line.split()[0] for line in out.splitlines()[1:]} == set(capture(runtime).facts)


def test_show_as_text_says_once_what_all_runtimes_share(weighbridge: Command) -> None:
    _, out, _ = weighbridge("show")
    assert out.startswith("everywhere\n")
    assert len(re.findall(r"^  cpu\.model ", out, flags=re.MULTILINE)) <= 1


# ---- matrix


def test_matrix_prints_what_goes_with_the_result(weighbridge: Command, folder: Path, tmp_path: Path) -> None:
    weighed(bits="third", facts={"variable.X": "1"}).save(folder / "journal/third.json")
    _, out, _ = weighbridge("matrix", folder / "journal", "--html", tmp_path / "matrix.html")
    assert "package.pillow: 100 %" in out
    assert Page((tmp_path / "matrix.html").read_text(encoding="utf-8")).fetched == []
    _, out, _ = weighbridge("matrix", folder / "journal", "--json")
    assert printed("matrix", out)["conditions"][0]["names"] == ["package.pillow"]


# ---- cost


@pytest.mark.parametrize(
    "arguments", [["audit", BEFORE.id, AFTER.id], ["runs"], ["show"], ["matrix", BEFORE.id, AFTER.id]]
)
def test_no_command_imports_a_framework_or_a_tracker(folder: Path, arguments: list[str]) -> None:
    code = "import sys; from weighbridge.cli.main import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    where = [] if arguments == ["show"] else ["--folder", str(folder)]
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments, *where], capture_output=True, text=True, cwd=ROOT, check=True
    )
    loaded = {name.partition(".")[0] for name in ended.stderr.split()}
    assert "tracking" in loaded
    assert loaded & {"torch", "torchvision", "tensorflow", "keras", "jax", "onnxruntime", "mlflow", "comet_ml"} == set()
    if arguments[0] == "audit":
        assert loaded & {"pandas", "git"} == set()


# ---- what goes wrong, and what strangers wrote


def command_that(raises: BaseException) -> Callable[..., int]:
    def run(_: object) -> int:
        raise raises

    return run


@pytest.mark.parametrize(
    ("problem", "code", "words"),
    [
        (PermissionError(13, "Permission denied", "data/runs"), 2, "weighbridge: data/runs: Permission denied\n"),
        (OSError(28, "No space left on device"), 2, "weighbridge: output: No space left on device\n"),
        (UserError("token=Zk3v9QwXy7Lm2NpR5tBd8Hs1"), 2, "weighbridge: token=***\n"),
        (UserError("a\r\033[2Kb"), 2, "weighbridge: a\\r\\x1b[2Kb\n"),
    ],
)
def test_what_is_no_bug_is_one_line_and_exit_code_two(
    weighbridge: Command, monkeypatch: pytest.MonkeyPatch, problem: Exception, code: int, words: str
) -> None:
    monkeypatch.setitem(COMMANDS, "runs", COMMANDS["runs"]._replace(run=command_that(problem)))
    assert weighbridge("runs") == (code, "", words)


def test_an_error_of_ours_has_a_traceback_without_secrets_and_exit_code_70(
    weighbridge: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = KeyError("password=hunter2")
    monkeypatch.setitem(COMMANDS, "runs", COMMANDS["runs"]._replace(run=command_that(problem)))
    code, _, err = weighbridge("runs")
    assert code == 70
    assert "Traceback" in err
    assert "hunter2" not in err


def test_help_says_what_the_exit_codes_mean(weighbridge: Command) -> None:
    _, out, _ = weighbridge("--help")
    codes = [line.split()[0] for line in out.partition("exit codes:")[2].splitlines() if re.match(r"  \d", line)]
    assert codes == ["0", "1", "2", "3", "70", "130"]


def test_names_that_strangers_gave_are_shown_harmlessly(weighbridge: Command, folder: Path) -> None:
    named = replace(AFTER, params={**AFTER.params, "a\r\033[2Kok": "b\033]0;title\007"})
    named.save(folder / "named.json")
    code, out, _ = weighbridge("audit", BEFORE.id, folder / "named.json", "--folder", folder)
    assert code == 0
    assert "a\\r\\x1b[2Kok" in out
    assert not set(out) & {"\r", "\033", "\007"}


def test_our_own_colours_are_left() -> None:
    kept = StringIO()
    HarmlessStream(kept).write("\033[1;31mred\033[0m \033[8mhidden \u202ereversed")
    assert kept.getvalue() == "\033[1;31mred\033[0m \\x1b[8mhidden \\u202ereversed"


def test_a_run_held_against_itself_is_said_to_be_the_same(weighbridge: Command, folder: Path) -> None:
    code, out, _ = weighbridge("audit", BEFORE.id, BEFORE.id, "--strict", "--folder", folder)
    assert code == 0
    assert "both are the same run" in out

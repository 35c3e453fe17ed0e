"""show RUN, diff, doctor, completion, and what every --help has."""

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tracking.audit.test_audit import weighed
from tests.weighbridge.cli.printed import printed
from weighbridge.cli import doctor as doctoring
from weighbridge.cli.examples import EXAMPLES
from weighbridge.cli.main import COMMANDS, main, parser

RUN = weighed(facts={"package.torch": "2.13.0", "os.kernel": "6"}, params={"model.backend": "torch"})
OTHER = replace(
    RUN,
    environment={**RUN.environment, "package.torch": "2.12.0", "os.kernel": "5", "variable.OMP_NUM_THREADS": "2"},
)
Said = Callable[..., tuple[int, str]]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    def run(*arguments: object) -> tuple[int, str]:
        code = main([str(each) for each in arguments])
        seen = capsys.readouterr()
        return code, seen.out + seen.err

    return run


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "a.json", tmp_path / "b.json"
    for run, path in zip((RUN, OTHER), paths, strict=True):
        run.save(path)
    return paths


# ---- show RUN, diff


def test_a_run_is_shown_whole(said: Said, files: tuple[Path, Path]) -> None:
    code, text = said("show", files[0])
    assert code == 0
    for name in (RUN.id, "top1", "model.backend", "package.torch", "kept of each sample"):
        assert name in text
    assert printed("show", said("show", files[0], "--json")[1])["run"]["id"] == RUN.id


def test_two_environments_differ_in_what_matters_first(said: Said, files: tuple[Path, Path]) -> None:
    found = printed("diff", said("diff", *files, "--json")[1])
    told = {each["name"]: (each["first"], each["second"], each["absent"]) for each in found["differences"]}
    assert told == {
        "package.torch": ("2.13.0", "2.12.0", ""),
        "variable.OMP_NUM_THREADS": (None, "2", "first"),
        "os.kernel": ("6", "5", ""),
    }
    assert list(told)[-1] == "os.kernel"
    assert said("diff", *files, "--strict")[0] == 1
    assert said("diff", files[0], files[0], "--strict") == (0, f"nothing differs; same: {len(RUN.environment)} facts\n")


def test_what_show_wrote_is_compared_with_here_and_with_a_run(
    said: Said, tmp_path: Path, files: tuple[Path, Path]
) -> None:
    kept = tmp_path / "here.json"
    kept.write_text(said("show", "--runtime", "onnx-onnxruntime", "--json")[1])
    assert said("diff", kept, "here", "--runtime", "onnx-onnxruntime", "--strict")[0] == 0
    assert "package.torch" in said("diff", kept, files[0])[1]
    code, line = said("diff", kept, "here", "--runtime", "keras-jax")
    assert (code, "has no runtime 'keras-jax'; it has: onnx-onnxruntime" in line) == (2, True)


# ---- doctor


def test_the_default_job_lacks_nothing_that_a_checkout_has(said: Said) -> None:
    rows = {each["what"]: each for each in printed("doctor", said("doctor", "--json")[1])["looked"]}
    assert rows["weights of resnet18-onnx"]["words"].endswith("trained here by the stage pretrain")
    assert rows["package torch"]["good"]
    assert "key of Comet" in rows


def test_what_is_missing_is_a_line_each_and_the_exit_code_tells(
    said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = tmp_path / "suite.yaml"
    model = {
        "framework": "torchvision",
        "architecture": "resnet18",
        "weights": "gone.pth",
        "recipe": "r",
        "sha256": "0" * 64,
    }
    suite.write_text(
        json.dumps({"data": {"source": "nowhere"}, "recipes": {"r": {"resize": {"size": 32}}}, "models": {"m": model}})
    )
    monkeypatch.setattr(doctoring.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 2**20}))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///typo.db")

    def absent(name: str) -> str:
        raise doctoring.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctoring.metadata, "version", absent)
    code, text = said("doctor", suite)
    missing = {line.removeprefix("MISSING").strip() for line in text.splitlines() if line.startswith("MISSING")}
    assert code == 1
    for words in (
        "gone.pth: no such file or folder",
        "nowhere: no such file or folder",
        "no such store: typo.db",
        "GiB free",
        "pip install 'weighbridge[torch]'",
    ):
        assert any(words in line for line in missing), (words, missing)


def test_a_suite_that_is_none_is_a_line_too(said: Said, tmp_path: Path) -> None:
    code, text = said("doctor", tmp_path / "none.yaml")
    assert (code, bool(re.search(r"MISSING  suite .*none\.yaml", text))) == (1, True)


# ---- help and completion


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_examples_that_parse_and_the_exit_codes(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    text = capsys.readouterr().out
    assert "exit codes:" in text
    for example in EXAMPLES[command]:
        assert f"  weighbridge {example}\n" in text
        words = shlex.split(example.partition(" >>")[0])
        assert words[0] == command
        parser().parse_args(words)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_completes_every_command(shell: str, said: Said) -> None:
    code, script = said("completion", shell)
    assert code == 0
    assert all(name in script for name in COMMANDS)
    assert "--metric" in script

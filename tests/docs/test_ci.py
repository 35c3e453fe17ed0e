"""The templates for CI servers: whole YAML, with steps that name what exists, and audits that do what the page says."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.import_graph import ROOT
from tests.tracking.audit.test_audit import weighed, wrong
from weighbridge.cli.main import main, parser

GITHUB: dict[str, Any] = YAML(typ="safe").load((ROOT / "docs/ci/github.yml").read_text(encoding="utf-8"))
GITLAB: dict[str, Any] = YAML(typ="safe").load((ROOT / "docs/ci/gitlab.yml").read_text(encoding="utf-8"))
STEPS: list[dict[str, Any]] = GITHUB["jobs"]["benchmark"]["steps"]
SCRIPTS = {"github": [step["run"] for step in STEPS if "run" in step], "gitlab": GITLAB["benchmark"]["script"]}


def commands(server: str) -> list[list[str]]:
    """Every command of ours in a template, without what the shell does with its output."""
    lines = [line.strip() for script in SCRIPTS[server] for line in script.splitlines()]
    ours = [line.partition(" || ")[0].partition(" > ")[0] for line in lines if line.startswith("weighbridge ")]
    return [shlex.split(line)[1:] for line in ours]


@pytest.mark.parametrize("server", SCRIPTS)
def test_every_command_of_a_template_is_understood_and_one_decides(server: str) -> None:
    for words in commands(server):
        parser().parse_args(words)
    assert [words[0] for words in commands(server)] == ["repro", "audit", "audit"]
    assert sum("--strict" in words for words in commands(server)) == 1


def test_steps_of_github_are_whole() -> None:
    assert all(("uses" in step) != ("run" in step) for step in STEPS)
    assert all("@" in step["uses"] for step in STEPS if "uses" in step)
    assert GITHUB["on"].keys() == {"pull_request", "push"}


@pytest.mark.parametrize("server", SCRIPTS)
@pytest.mark.parametrize(("changed", "code"), [(False, 0), (True, 1)])
def test_the_audit_of_a_template_fails_where_a_result_changed(
    server: str,
    changed: bool,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    before = weighed(facts={"package.torch": "2.13.0"}, code={"commit": "c" * 40})
    after = weighed(top1=wrong(20), facts={"package.torch": "2.12.0"}, code={"commit": "c" * 40}) if changed else before
    base = "base-runs" if server == "github" else "base/data/runs"
    for run, folder in ((before, base), (after, "data/runs")):
        for subject in ("a", "b"):
            replace(run, subject=subject).save(tmp_path / folder / f"{subject}.json")
    codes = {words[words.index("--format") + 1]: main(words) for words in commands(server)[1:]}
    assert codes == {("github" if server == "github" else "junit"): 0, "markdown": code}
    assert ("package.torch" in capsys.readouterr().out) is changed

"""What a run looks like in a tracker, and how trackers are found."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tracking.trackers.samples import LONG, weighed
from tracking import trackers
from tracking.audit.summary import description, findings_table
from tracking.runs.cut_texts import cut, same_text
from tracking.runs.errors import UserError
from tracking.runs.findings import Finding, Verdict
from tracking.trackers import (
    Metric,
    addresses,
    connect,
    metrics,
    one_line,
    parameters,
    tags,
)


def test_parameters_are_the_conditions_as_text_with_dotted_names() -> None:
    flat = parameters(weighed(), longest=6000)
    assert len(flat) == len(weighed().conditions) >= 200
    assert flat["param.model.backend"] == "torch"
    assert flat["param.recipe.resize.antialias"] == "true"
    assert flat["param.model.sha256"] == "null"
    assert flat["code.dirty"] == "false"
    assert flat["torch.threads"] == "1"
    assert flat["input.code/stages/infer.py"] == "0123abcd"
    assert flat["cpu.model"] == "Größe 漢字 🙂"
    assert flat["variable.LONG"] == LONG


def test_an_empty_value_can_be_told_from_an_absent_one() -> None:
    assert trackers._text("") == '""'


def test_a_value_over_the_limit_is_cut_and_says_so() -> None:
    kept = parameters(weighed(), longest=1000)["variable.LONG"]
    assert len(kept) == 1000
    assert kept.startswith("éééé")
    assert "(cut; sha256 " in kept
    assert kept.endswith(", whole in run.json)")


def test_two_long_values_that_differ_at_the_end_still_differ_when_cut() -> None:
    assert cut("x" * 5000 + "a", 1000) != cut("x" * 5000 + "b", 1000)
    assert cut("x" * 1000, 1000) == "x" * 1000


def test_a_cut_text_is_the_whole_one_and_no_other() -> None:
    whole, other = ("x" * 300 + end for end in "ab")
    assert same_text(cut(whole, 200), whole)
    assert same_text(cut(whole, 200), cut(whole, 250))
    assert not same_text(cut(whole, 200), other)
    assert not same_text(cut(whole, 200), cut(other, 200))


@pytest.mark.parametrize("name", ["package.p1", "input.code/stages/infer.py", "cpu.größe", "variable.A B:C-d_e"])
def test_a_name_that_every_tracker_takes_is_kept(name: str) -> None:
    assert trackers._key(name) == name


@pytest.mark.parametrize("name", ["a//b", "../a", "/a", "a/", ".", "..", "a|b", "a%b", "a=b", "x" * 101, "", "a/./b"])
def test_a_name_that_a_tracker_refuses_is_replaced_and_stays_unique(name: str) -> None:
    from mlflow.utils.validation import _validate_param

    key = trackers._key(name)
    assert key != name
    assert len(key) <= trackers.LONGEST_KEY
    assert key != trackers._key(name + "?")
    assert trackers._key(key) == key
    _validate_param(key, "value")


def test_mlflow_does_refuse_such_a_name() -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.utils.validation import _validate_param

    for name in ("a//b", "a|b"):
        with pytest.raises(MlflowException):
            _validate_param(name, "value")


def test_metrics_are_the_numbers_among_the_results_and_the_curves() -> None:
    assert metrics(weighed()) == [
        Metric("top1", 0.30000000000000004, None),
        Metric("parity.max", 4.76837158203125e-07, None),
        Metric("samples", 540, None),
        Metric("curve.pretrain.accuracy", 0.1, 1),
        Metric("curve.pretrain.accuracy", 1 / 3, 2),
        Metric("curve.pretrain.accuracy", 0.9, 3),
        Metric("curve.transfer_check.source", 0.9, 0),
        Metric("curve.transfer_check.source.x", 0.001, 0),
        Metric("curve.transfer_check.source", 0.8, 1),
        Metric("curve.transfer_check.source.x", 0.01, 1),
    ]


def test_a_boolean_result_is_a_tag_and_no_number() -> None:
    run = weighed(verified=True)
    assert "verified" not in {metric.name for metric in metrics(run)}
    assert tags(run, 1000)["result.verified"] == "true"


def test_tags_say_what_a_person_filters_by() -> None:
    run = weighed()
    found = tags(run, 1000)
    assert found["weighbridge.run_id"] == run.id
    assert found["commit"] == "c" * 40
    assert (found["dirty"], found["stage"], found["subject"]) == ("false", "infer", "resnet18-torchvision")
    assert (found["model"], found["framework"], found["backend"]) == ("resnet18", "torchvision", "torch")
    assert found["result.scores.sha256"] == "d" * 64
    assert found["verdict"] == "check before use"
    assert not any(name.startswith("finding") for name in found)


def test_findings_are_a_table_and_the_description_says_what_needs_somebody_first() -> None:
    hostile = "In training mode with every BatchNorm frozen, a forward pass changes <b>2</b> of [x](http://evil)."
    wanting = Finding("mode_check", "m", Verdict.WARN, hostile)
    run = replace(weighed(), findings=(*weighed().findings, wanting), results={"top1": 0.9, "samples": 40})
    run = replace(run, findings=(*weighed().findings[:1], wanting))
    (first, *others) = findings_table(run)
    assert first[:3] == ("What changes the weights and statistics", "warn", hostile)
    assert first[4].startswith("Where inference mode changes something")
    assert len(others) == 1
    names = [
        row[0] for row in findings_table(replace(run, findings=(wanting, replace(wanting, sentence=f"{hostile}!"))))
    ]
    assert names == [first[0], f"{first[0]} (2)"]
    assert description(run).startswith("**check before use**, top-1 90.00% of 40 images")
    assert "<b>" not in description(run)
    assert "\\[x\\](http" in description(run)  # no link


def test_a_tag_without_a_value_is_left_out() -> None:
    run = weighed()
    bare = type(run)(**{**run.to_dict(), "code": {}, "params": {}, "command": "true", "findings": ()})
    assert {"commit", "dirty", "stage", "framework"} & set(tags(bare, 1000)) == set()


def test_an_unknown_tracker_is_named_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown tracker 'wandb'; known: comet, local, mlflow"):
        connect("wandb", tmp_path, "e")


@pytest.mark.parametrize(
    ("name", "package", "install"),
    [
        ("comet", "comet_ml", "pip install 'weighbridge[comet]'"),
        ("mlflow", "mlflow", "pip install 'weighbridge[mlflow]'"),
    ],
)
def test_a_missing_sdk_is_named_with_the_command_that_installs_it(
    name: str, package: str, install: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError) as problem:
        connect(name, tmp_path, "e")
    assert str(problem.value) == f"tracker {name}: the package {package!r} is not installed: {install}"


def test_addresses_name_the_servers_and_hide_what_is_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://user:hunter2@mlflow.example:5000/a?token=hunter3")
    monkeypatch.setenv("COMET_API_KEY", "hunter4")
    monkeypatch.setenv("COMET_URL_OVERRIDE", "https://me:hunter5@comet.example/clientlib/")
    monkeypatch.setenv("COMET_WORKSPACE", "team")
    monkeypatch.setenv("COMET_PROJECT_NAME", "scales")
    assert addresses() == {
        "comet": "online comet.example team/scales",
        "local": "journal",
        "mlflow": "https://mlflow.example:5000/a",
    }


def test_addresses_without_any_variable_are_the_local_files(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "COMET_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert addresses() == {"comet": "offline", "local": "journal", "mlflow": "sqlite"}


def test_addresses_import_no_sdk() -> None:
    code = "import sys; from tracking.trackers import addresses; addresses(); print({'mlflow', 'comet_ml'} & {*sys.modules})"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"


def test_a_problem_is_told_in_one_line_without_credentials() -> None:
    told = one_line(ValueError("cannot open\n  postgresql://me:hunter2@db.example/x"))
    assert "\n" not in told
    assert "hunter2" not in told
    assert "db.example" in told
    assert one_line(ValueError()) == "ValueError"

"""Whether a run may pass: its findings, its claim, a baseline, each class; what cannot be said is neither yes nor no."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.weighbridge.cli.printed import printed
from tracking.audit.compare import compare
from tracking.audit.gate import gate
from tracking.runs.decisions import pack_decisions
from tracking.runs.findings import Finding, Verdict
from tracking.runs.run import Run
from weighbridge.cli.main import main

SAMPLES, CLASSES = 400, 4
LABELS = np.arange(SAMPLES) % CLASSES


def run(wrong: np.ndarray | None = None, *findings: Finding) -> Run:
    top1 = LABELS.copy()
    if wrong is not None:
        top1[wrong] = (top1[wrong] + 1) % CLASSES
    decisions = pack_decisions([str(each) for each in range(SAMPLES)], LABELS, top1)
    results = {"top1": float((top1 == LABELS).mean()), "samples": SAMPLES}
    return Run("net", "", {"a": 1}, {}, {}, {}, results, findings, decisions=decisions)


def claimed(verdict: Verdict) -> Finding:
    return Finding("accuracy_check", "net", verdict, "Top-1 is 90 %.", {"claim": "short"})


def met(
    found: Run, baseline: Run | None = None, *, claim: bool = False, within: float = 0.0, by_class: bool = False
) -> dict:
    against = compare(baseline, found) if baseline else None
    judged = gate(found, claim=claim, against=against, within=within, by_class=by_class)
    return {each.name: each.met for each in judged.conditions} | {"open": judged.open}


def test_a_failure_closes_and_a_warning_does_not() -> None:
    assert met(run(None, Finding("mode_check", "net", Verdict.WARN, "x"))) == {"findings": True, "open": True}
    assert met(run(None, Finding("mode_check", "net", Verdict.FAIL, "x"))) == {"findings": False, "open": False}


@pytest.mark.parametrize(("verdict", "open_"), [(Verdict.PASS, True), (Verdict.FAIL, False), (Verdict.WARN, None)])
def test_a_claim_must_have_come_back(verdict: Verdict, open_: bool | None) -> None:
    assert met(run(None, claimed(verdict)), claim=True)["claim"] is open_
    assert met(run(None, claimed(verdict)))["open"] is True  # where the claim is not asked for


def test_where_nothing_was_claimed_nothing_can_be_said() -> None:
    assert met(run(), claim=True) == {"findings": True, "claim": None, "open": None}


def test_a_loss_beyond_chance_closes_one_within_chance_is_undecided_and_one_that_is_allowed_is_met() -> None:
    worse, little = run(np.arange(40)), run(np.arange(2))
    assert met(worse, run())["baseline"] is False
    assert met(worse, run(), within=0.1)["baseline"] is True
    assert met(little, run())["baseline"] is None
    assert met(run(), worse)["baseline"] is True


def test_a_class_that_loses_is_named_though_the_accuracy_is_the_same() -> None:
    before, after = run(np.flatnonzero(LABELS == 1)[:40]), run(np.flatnonzero(LABELS == 2)[:40])
    found = met(after, before, by_class=True)
    assert found == {"findings": True, "baseline": True, "class 2": False, "open": False}
    assert met(before, before, by_class=True)["classes"] is True


def test_the_command_has_an_exit_code_for_each_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {"good": run(), "bad": run(np.arange(40)), "near": run(np.arange(2))}
    for name, each in files.items():
        replace(each, subject=name).save(tmp_path / f"{name}.json")
    good, bad, near = (str(tmp_path / f"{name}.json") for name in files)
    assert main(["gate", good, "--baseline", bad]) == 0
    assert main(["gate", bad, "--baseline", good, "--by-class"]) == 1
    assert capsys.readouterr().out.count("closed: bad") == 1
    assert main(["gate", near, "--baseline", good, "--json"]) == 3
    assert printed("gate", json.dumps(json.loads(capsys.readouterr().out)))["open"] is None
    assert main(["gate", good, "--by-class"]) == 2
    assert "--by-class: needs --baseline" in capsys.readouterr().err

"""Findings of many models put together."""

from dataclasses import replace

import pytest

from tracking.audit import cases as cases_module
from tracking.audit.cases import cases
from tracking.audit.trust import distinct
from tracking.runs.findings import Finding, Verdict
from tracking.runs.run import Run

SHARED = Finding("fetch", "images", Verdict.PASS, "All of them can be read.", {"rows": [[1, 2]]})


def of_models(count: int) -> list[Run]:
    """Each with a finding that all share and five of its own, one of which fails."""
    return [
        Run(f"m{number}", "", {}, {"samples": "a"}, {}, {}, {}, findings=(replace(SHARED), *_own(f"m{number}")))
        for number in range(count)
    ]


def _own(subject: str) -> list[Finding]:
    found = [Finding("mode_check", subject, Verdict.PASS, f"{place} of it.", {}) for place in range(4)]
    return [*found, Finding("accuracy_check", subject, Verdict.FAIL, f"Top-1 of {subject} is other than claimed.", {})]


def test_what_models_share_is_told_once_and_what_only_reads_alike_twice() -> None:
    one, other = of_models(2)
    again = replace(SHARED, evidence={"rows": [[1, 3]]})
    other = replace(other, findings=(*other.findings, again))
    assert distinct([one, other, one]) == [*one.findings, *other.findings[1:]]


def test_findings_of_many_models_are_compared_only_where_they_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[Finding] = []
    monkeypatch.setattr(Finding, "__eq__", lambda one, other: compared.append(one) or vars(one) == vars(other))
    assert len(distinct(of_models(20))) == 1 + 20 * 5
    assert len(compared) == 19


def test_every_model_is_judged_once_however_many_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[Run] = []
    once = cases_module.judged
    monkeypatch.setattr(cases_module, "judged", lambda run: judged.append(run) or once(run))
    assert [case.subjects for case in cases(of_models(20))] == [(f"m{number}",) for number in range(20)]
    assert len(judged) == 20

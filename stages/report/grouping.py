"""Findings and conditions put together for reading: each once, the worst first, what is equal told once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tracking.runs.findings import Finding, Verdict
from tracking.runs.run import Run, Scalar

SEVERITY = (Verdict.FAIL, Verdict.WARN, Verdict.PASS, Verdict.SKIP)


def distinct(runs: Iterable[Run]) -> list[Finding]:
    """Every finding once: models that share their weights share what was found when these were trained."""
    found: list[Finding] = []
    for each in runs:
        found += [finding for finding in each.findings if finding not in found]
    return found


def counts(found: Iterable[Finding]) -> dict[str, int]:
    verdicts = [finding.verdict for finding in found]
    return {verdict.value: verdicts.count(verdict) for verdict in SEVERITY}


def by_check(found: Iterable[Finding]) -> dict[str, list[tuple[list[str], list[Finding]]]]:
    """check -> (subjects, what was found of each of them); on every level what failed comes first, then the models' order.

    Subjects stand together where the very same was found of them.
    """
    worst_first = sorted(found, key=_severity)
    return {check: _alike(grouped(members, "subject")) for check, members in grouped(worst_first, "check").items()}


def _severity(finding: Finding) -> int:
    return SEVERITY.index(finding.verdict)


def _alike(by_subject: Mapping[str, list[Finding]]) -> list[tuple[list[str], list[Finding]]]:
    groups: list[tuple[list[str], list[Finding]]] = []
    for subject, members in by_subject.items():
        for subjects, others in groups:
            if [replace(finding, subject=subject) for finding in others] == members:
                subjects.append(subject)
                break
        else:
            groups.append(([subject], members))
    return groups


def grouped(found: Iterable[Finding], name: str) -> dict[str, list[Finding]]:
    groups: dict[str, list[Finding]] = {}
    for finding in found:
        groups.setdefault(getattr(finding, name), []).append(finding)
    return groups


@dataclass(frozen=True)
class Split:
    """Conditions by name: equal in every run; equal in the runs that have them (by these runs' subjects); a value each."""

    same: dict[str, Scalar]
    partly: dict[tuple[str, ...], dict[str, Scalar]]
    differing: dict[str, list[Scalar]]


def split(facts: Mapping[str, Mapping[str, Scalar]]) -> Split:
    split = Split({}, {}, {})
    for name in sorted({name for each in facts.values() for name in each}):
        having = tuple(subject for subject, each in facts.items() if name in each)
        values = [facts[subject][name] for subject in having]
        if len({(type(value), value) for value in values}) > 1:
            split.differing[name] = [each.get(name) for each in facts.values()]
        elif len(having) < len(facts):
            split.partly.setdefault(having, {})[name] = values[0]
        else:
            split.same[name] = values[0]
    return split

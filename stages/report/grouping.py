"""Findings and conditions put together for reading: each once, what is equal told once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tracking.runs.findings import Finding, Verdict
from tracking.runs.run import Run, Scalar

SEVERITY = (Verdict.FAIL, Verdict.WARN, Verdict.PASS, Verdict.SKIP)


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


NETWORK, CODE = "model.", "code/"  # beginnings of names among the facts, and among the inputs


def environment_of(run: Run) -> dict[str, Scalar]:
    return {name: value for name, value in run.environment.items() if not name.startswith(NETWORK)}


def network_of(run: Run) -> dict[str, Scalar]:
    """What the loaded network is: its layers, tensors and settings."""
    return {name: value for name, value in run.environment.items() if name.startswith(NETWORK)}


def inputs_of(run: Run) -> dict[str, Scalar]:
    return {name: value for name, value in run.inputs.items() if not name.startswith(CODE)}


def code_of(run: Run) -> dict[str, Scalar]:
    """Hashes of this project's own files that the stages import."""
    return {name: value for name, value in run.inputs.items() if name.startswith(CODE)}

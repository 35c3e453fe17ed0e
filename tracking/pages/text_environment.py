"""The facts of environments, and single runs, in words, for a terminal."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tracking.pages.terminal import PIPE, Screen, aligned, indented, joined, table_lines
from tracking.runs.run import Run, Scalar
from tracking.runs.words import counted, value_text

if TYPE_CHECKING:
    from tracking.audit.environments import EnvironmentDiff, FactDifference


def environment_text(facts: Mapping[str, Mapping[str, Scalar]]) -> str:
    """Facts by runtime: first what all runtimes share, then what each has of its own."""
    shared = _shared(list(facts.values()))
    blocks = [_block("everywhere" if len(facts) > 1 else next(iter(facts), ""), shared)]
    for runtime, own in facts.items():
        blocks.append(_block(runtime, {name: value for name, value in own.items() if name not in shared}))
    return joined(blocks)


def _shared(all_facts: Sequence[Mapping[str, Scalar]]) -> dict[str, Scalar]:
    first, *others = all_facts
    return {
        name: value for name, value in first.items() if all(name in each and each[name] == value for each in others)
    }


def _block(title: str, facts: Mapping[str, Scalar]) -> list[str]:
    if not facts:
        return []
    return [title, *indented(aligned((name, value_text(facts[name])) for name in sorted(facts)))]


def diff_text(found: "EnvironmentDiff", screen: Screen = PIPE) -> str:
    """A line for each fact that differs, what matters most first."""
    rows = [
        (each.name, *(_side(each, end) for end in ("first", "second")), each.can_change) for each in found.differences
    ]
    same = f"same: {counted(found.same, 'fact')}"
    if not rows:
        return f"nothing differs; {same}\n"
    return joined([table_lines(rows, ("fact", "A", "B", "can change"), screen), [same]])


def _side(each: "FactDifference", end: str) -> str:
    return "absent" if each.absent == end else value_text(getattr(each, end))


def run_text(run: Run) -> str:
    """A run in words: what it is, what came out, what the checks said, and every condition."""
    head = [("subject", run.subject), ("id", run.id), *([("command", run.command)] if run.command else [])]
    findings = [(f"{each.verdict.value} {each.check}", each.sentence) for each in run.findings]
    kept = ", ".join(sorted(run.decisions))
    return joined(
        [
            aligned(head),
            _block("results", run.results),
            ["findings", *indented(aligned(findings))] if findings else [],
            _block("parameters", run.params),
            _block("inputs", run.inputs),
            _block("code", run.code),
            _block("environment", run.environment),
            [f"kept of each sample: {kept}"] if kept else [],
        ]
    )

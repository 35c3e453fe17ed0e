"""The list of benchmarks is whole, and what they share withholds verdicts and writes Markdown and JSON."""

import json
from pathlib import Path

import pytest

from benchmarks.__main__ import ALONE, NEEDING, about, listed
from benchmarks.figures import is_noisy, report, table, verdict, verdict_of_pairs
from tests.import_graph import ROOT

PARTS = {"__init__", "__main__", "figures", "killed_pipelines"}  # what benchmarks share, or are made of


def test_every_benchmark_is_in_the_list_with_one_line() -> None:
    there = {path.stem for path in (ROOT / "benchmarks").glob("*.py")} - PARTS
    assert there == {*ALONE, *NEEDING}
    assert all(about(name).endswith(".") and about(name) in listed() for name in there)


@pytest.mark.parametrize("name", ALONE)
def test_those_that_are_run_together_write_their_figures_to_a_file(name: str) -> None:
    assert "[--json FILE]" in (ROOT / f"benchmarks/{name}.py").read_text(encoding="utf-8")


def test_no_verdict_is_given_of_few_or_unlike_repeats() -> None:
    assert not is_noisy([1.0, 1.05, 1.09], [7.0, 7.0, 7.1])
    assert is_noisy([1.0, 1.0], [7.0, 7.0, 7.1])
    assert is_noisy([1.0, 1.0, 1.0], [7.0, 7.0, 7.8])
    assert [verdict(met, noisy) for met, noisy in ((True, False), (False, False), (True, True))] == [
        "met",
        "MISSED",
        "withheld: too noisy",
    ]


def test_figures_are_written_as_json_and_what_is_printed_beside_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = {"load": 0.5, "processors": 2, "cpu": "a CPU", "versions": {"python": "3"}, "commit": "abc"}
    report(table(("a", "b"), [(1, "x")]), {"a": 1}, state, tmp_path / "one.json")
    written = json.loads((tmp_path / "one.json").read_text())
    assert written["figures"] == {"a": 1}
    assert written["machine"]["cpu"] == "a CPU"
    said = (tmp_path / "one.md").read_text()
    assert said == capsys.readouterr().out
    assert said.startswith("| a | b |\n| --- | --- |\n| 1 | x |\n")
    assert "commit abc" in said


def test_a_verdict_of_pairs_needs_three_that_agree() -> None:
    other = [1.0, 2.0, 1.5]  # a machine that others use too
    assert verdict_of_pairs([1.05, 2.1, 1.5], other, 0.9) == "met"
    assert verdict_of_pairs([1.2, 2.5, 1.8], other, 0.9) == "MISSED"
    assert verdict_of_pairs([1.2, 2.1, 1.5], other, 0.9) == "withheld: too noisy"
    assert verdict_of_pairs([1.0, 2.0], other[:2], 0.9) == "withheld: too noisy"


@pytest.mark.parametrize(
    ("ratios", "said"),
    [
        ([1.1, 1.05, 1.2, 1.01, 1.0, 1.15, 0.94], "met"),  # one is a little below .95
        ([1.1, 1.05, 1.2, 1.01, 1.0, 1.15, 0.5], "withheld: too noisy"),  # one is far below
        ([0.8, 0.85, 0.7, 0.9, 0.91, 0.75, 0.96], "MISSED"),
        ([0.9, 1.0, 0.9, 1.0, 0.9, 1.0], "withheld: too noisy"),
        ([1.0, 1.0, 1.0, 0.9], "withheld: too noisy"),
    ],
)
def test_of_many_pairs_some_may_disagree_as_far_as_chance_explains(ratios: list[float], said: str) -> None:
    assert verdict_of_pairs([1.0] * len(ratios), ratios, 0.95) == said

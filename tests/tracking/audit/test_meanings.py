"""Every finding that the code makes is explained, in words that the code still says."""

import ast
from pathlib import Path

import pytest

from tests.import_graph import ROOT
from tracking.audit import meanings as words
from tracking.audit.meanings import Meaning, markdown, meaning_of, meanings
from tracking.runs.findings import Finding, Verdict

COPIED = {"stages.record._without_curves"}  # a finding of another stage, without its curves


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def makers() -> set[str]:
    """Every function that makes a finding, by its dotted name."""
    found = set()
    for package in ("stages", "weighbridge", "tracking"):
        for path in (ROOT / package).rglob("*.py"):
            source = path.read_text(encoding="utf-8")
            if "Finding(" not in source or path.name == "findings.py":
                continue
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.FunctionDef) and any(map(makes_one, ast.walk(node))):
                    found.add(f"{module_of(path)}.{node.name}")
    return found


def makes_one(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding"


def test_every_function_that_makes_a_finding_has_its_meaning_written_down() -> None:
    assert makers() - COPIED == {each.made_by for each in meanings()}


def texts(made_by: str) -> str:
    """Every text in the function's module and in those that word sentences for it, each text in one piece."""
    path = ROOT.joinpath(*made_by.split(".")[:-1]).with_suffix(".py")
    own = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
    return "\n".join(str(value) for value in own)


SAID_ELSEWHERE = {"a forward pass", "a training step"}


@pytest.mark.parametrize(
    "each", [each for each in meanings() if each.says], ids=lambda each: f"{each.made_by}: {each.title}"
)
def test_the_pieces_by_which_a_finding_is_known_are_still_said(each: Meaning) -> None:
    said = texts(each.made_by)
    assert [piece for piece in each.says if piece not in said] == []


def test_every_meaning_says_what_to_do_in_a_sentence_and_has_a_rank() -> None:
    for each in meanings():
        assert each.means.endswith(".")
        assert each.do.endswith(".")
        assert each.rank in words.RANKS


def test_a_finding_of_a_check_that_somebody_added_is_told_by_its_sentence() -> None:
    found = meaning_of(Finding("my_check", "m", Verdict.WARN, "x"))
    assert (found.title, found.do) == ("my_check", "Read the sentence and its evidence.")


@pytest.mark.parametrize("check", ["mode_check", "transfer_check"])
def test_a_meaning_of_several_checks_is_found_for_each(check: str) -> None:
    said = Finding(check, "m", Verdict.SKIP, "The model was looked at as the framework computes by itself.")
    assert meaning_of(said).made_by == "weighbridge.networks.left_out.computing_left_out"


def test_the_page_of_findings_is_written_from_the_table() -> None:
    page = (ROOT / words.PAGE).read_text(encoding="utf-8")
    assert page == markdown(), "write it again: python -m tracking.audit.meanings"

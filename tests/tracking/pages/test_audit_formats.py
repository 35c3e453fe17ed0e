"""Audits for pull requests and CI servers: what stands there, and that nothing of a stranger's run does more than be read."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from tracking.audit.audit import audit
from tracking.pages.audit_formats import audit_annotations, audit_by_name, audit_junit, audit_markdown
from tracking.runs.run import Run

HOSTILE = "a|b`c<script>alert(1)</script>@all [x](http://evil)\n::error::x%0A\033[31m"


@pytest.fixture
def pair() -> tuple:
    before = Run(
        "net", "", {"model.backend": "torch"}, {"weights": "1"}, {"package.torch": "2"}, {"commit": "c"}, {"top1": 0.9}
    )
    after = replace(before, params={**before.params, HOSTILE: "x", "model.note": HOSTILE}, results={"top1": 0.1})
    return before, after


def test_markdown_names_the_suspects_and_shows_hostile_text_as_text(pair: tuple) -> None:
    text = audit_markdown([audit(*pair)])
    assert text.startswith("**explained**: another result")
    assert "`param.model.note`" in text
    outside = re.sub(r"`[^`]*`", "", text.replace("\\`", ""))  # within backticks nothing is obeyed
    assert "<script" not in outside
    assert "\033" not in text
    assert "[x](" not in outside
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert all(line.replace("\\|", "").count("|") == 4 for line in rows)


def test_markdown_of_several_has_a_line_for_each(pair: tuple) -> None:
    text = audit_markdown([audit(*pair), audit(pair[0], pair[0])])
    assert text.count("\n| **") == 2
    assert text.count("<details>") == text.count("</details>") >= 2


def test_junit_fails_where_the_result_is_another(pair: tuple) -> None:
    suite = ElementTree.fromstring(audit_junit([audit(*pair), audit(pair[0], pair[0])]))
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert "param.model.note" in str(failure.text)


def test_an_annotation_is_one_line_that_commands_nothing_else(pair: tuple) -> None:
    lines = audit_annotations([audit(*pair), audit(pair[0], pair[0])]).splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["::error", "::notice"]
    assert not [part for part in lines[0].split("%0A")[1:] if part.startswith("::")]
    assert "\033" not in lines[0]


def test_by_name_has_a_line_for_each_difference_in_the_order_of_their_names(pair: tuple) -> None:
    found = audit(*pair)
    lines = audit_by_name([found]).splitlines()
    assert len(lines) == len(found.differences) == 2
    assert lines == sorted(lines)
    assert lines[0].startswith("param.a|b")
    assert "\033" not in "".join(lines)
    assert len(audit_by_name([found, found]).splitlines()) == 2 * (1 + len(lines))

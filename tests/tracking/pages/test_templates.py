"""Pages out of templates: escaped, self-contained, and with no name that nobody gave."""

from pathlib import Path

import pytest
from jinja2 import UndefinedError

from tests.tracking.audit.test_audit import Page, weighed, wrong
from tracking.audit.audit import audit
from tracking.audit.matrix import matrix
from tracking.pages.html_audit import audit_page
from tracking.pages.html_matrix import matrix_page
from tracking.pages.templates import environment

EVIL = "</title><script>alert(1)</script>"


def test_a_template_of_another_folder_extends_the_base(tmp_path: Path) -> None:
    (tmp_path / "own.jinja").write_text(
        '{% extends "base.jinja" %}{% block title %}{{ words }}{% endblock %}{% block body %}{{ words }}{% endblock %}'
    )
    page = environment(tmp_path).get_template("own.jinja").render(words=EVIL)
    assert Page(page).fetched == []
    assert page.count("&lt;script&gt;") == 2
    assert "<script" not in page


def test_a_name_that_nobody_gave_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "own.jinja").write_text("{{ missing }}")
    with pytest.raises(UndefinedError, match="missing"):
        environment(tmp_path).get_template("own.jinja").render()


def test_every_page_has_the_style_of_the_base() -> None:
    runs = [weighed(), weighed(top1=wrong(20), facts={"package.pillow": "11.3.0"})]
    style = environment().get_template("base.jinja").render()
    root = next(line for line in style.splitlines() if line.startswith(":root"))
    for page in (audit_page([audit(*runs)]), matrix_page(matrix(runs))):
        assert root in page
        assert page.startswith("<!doctype html>")


def test_what_runs_say_is_escaped_on_both_pages() -> None:
    runs = [weighed(facts={"variable.X": EVIL}), weighed(top1=wrong(20), facts={"variable.X": f"{EVIL}2"})]
    for page in (audit_page([audit(*runs)]), audit_page([audit(*runs)] * 2), matrix_page(matrix(runs))):
        Page(page)
        assert "<script" not in page
        assert "&lt;script&gt;" in page

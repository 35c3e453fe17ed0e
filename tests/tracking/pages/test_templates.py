"""Pages out of templates: escaped, self-contained, and with no name that nobody gave."""

import base64
import hashlib
import re
from html import unescape
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from tests.tracking.audit.test_audit import Page, weighed, wrong
from tracking.audit.audit import audit
from tracking.audit.matrix import matrix
from tracking.pages.html_audit import audit_page
from tracking.pages.html_matrix import matrix_page
from tracking.pages.templates import HERE, environment, worded

EVIL = "</title><script>alert(1)</script>"


def test_a_template_of_another_folder_extends_the_base(tmp_path: Path) -> None:
    (tmp_path / "own.jinja").write_text(
        '{% extends "base.jinja" %}{% block title %}{{ words }}{% endblock %}{% block body %}{{ words }}{% endblock %}'
    )
    page = environment(tmp_path).get_template("own.jinja").render(words=EVIL)
    assert Page(page).fetched == []
    assert page.count("&lt;script&gt;") == 2
    assert page.count("<script") == 1  # ours


def test_a_name_that_nobody_gave_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "own.jinja").write_text("{{ missing }}")
    with pytest.raises(UndefinedError, match="missing"):
        environment(tmp_path).get_template("own.jinja").render()


def test_every_page_has_the_style_of_the_base() -> None:
    runs = [weighed(), weighed(top1=wrong(20), facts={"package.pillow": "11.3.0"})]
    style = (HERE / "style.css").read_text(encoding="utf-8")
    for page in (audit_page([audit(*runs)]), matrix_page(matrix(runs))):
        assert style in page
        assert page.startswith("<!doctype html>")


def test_what_runs_say_is_escaped_on_both_pages() -> None:
    runs = [weighed(facts={"variable.X": EVIL}), weighed(top1=wrong(20), facts={"variable.X": f"{EVIL}2"})]
    for page in (audit_page([audit(*runs)]), audit_page([audit(*runs)] * 2), matrix_page(matrix(runs))):
        Page(page)
        assert page.count("<script") == 1  # ours
        assert "&lt;script&gt;" in page


def test_a_browser_runs_only_our_script_and_takes_only_our_style() -> None:
    """The hashes are those of the files, so that a script which a value brought in has none."""
    page = audit_page([audit(weighed(), weighed())])
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    said = dict(part.split(" ", 1) for part in unescape(policy).split("; "))
    for kind, name, element in (("style-src", "style.css", "style"), ("script-src", "page.js", "script")):
        content = (HERE / name).read_bytes()
        assert said[kind] == f"'sha256-{base64.b64encode(hashlib.sha256(content).digest()).decode()}'"
        assert f"<{element}>{content.decode()}</{element}>" in page
    assert (said["default-src"], said["img-src"], said["base-uri"]) == ("'none'", "data:", "'none'")
    assert re.findall(r"\son\w+=|\sstyle=|javascript:", page.replace((HERE / "page.js").read_text(), "")) == []


def test_pieces_of_code_are_shown_as_such_and_the_rest_is_escaped() -> None:
    assert worded("call `f(<x>)` & <b>") == "call <code>f(&lt;x&gt;)</code> &amp; &lt;b&gt;"


def luminance(colour: str) -> float:
    """Relative luminance of `#rgb` or `#rrggbb`, after WCAG 2.2."""
    digits = colour.lstrip("#")
    digits = "".join(each * 2 for each in digits) if len(digits) == 3 else digits
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_the_contrast_of_black_and_white_is_21() -> None:
    assert round(contrast("#000", "#ffffff"), 2) == 21


def test_every_colour_of_text_stands_out_in_light_and_dark() -> None:
    """WCAG 2.2, level AA: 4.5 to 1."""
    light, dark = re.findall(r":root \{([^}]*)\}", (HERE / "style.css").read_text(encoding="utf-8"))[:2]
    for theme in (light, dark):
        colours = dict(re.findall(r"--([\w-]+): (#\w+)", theme))
        for ground in ("page", "card", "tint"):
            low = {
                name: round(contrast(colours[name], colours[ground]), 1)
                for name in ("ink", "soft", "good", "warm", "bad", "link")
            }
            assert {name: value for name, value in low.items() if value < 4.5} == {}
        assert contrast(colours["card"], colours["bad"]) >= 4.5  # of a chip that fails

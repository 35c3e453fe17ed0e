"""Tables for a terminal and for a pipe: nothing is lost in either, and colours only where they are wanted."""

import io
import os

import pytest

from tracking.explain.verify import Check
from tracking.pages.terminal import PIPE, Screen, aligned, printable, table_lines
from tracking.pages.text_certificate import checks_text
from weighbridge.cli.output import screen

LONG = "a-long-name-without-a-blank-" * 10
ROWS = [("short", LONG, "1"), ("[bold]not markup[/bold]", "x", "2")]


def test_in_a_pipe_a_row_is_a_line_however_long_it_is() -> None:
    head, first, second = table_lines(ROWS, ("name", "value", "number"))
    assert head.split() == ["name", "value", "number"]
    assert first.split() == ["short", LONG, "1"]
    assert second.startswith("[bold]not markup[/bold]  x ")
    assert not any(line.endswith(" ") for line in (head, first, second))


@pytest.mark.parametrize("width", [40, 80])
def test_in_a_terminal_a_long_cell_is_folded_and_nothing_is_cut(width: int) -> None:
    lines = table_lines(ROWS, ("name", "value", "number"), Screen(width), indent=2)
    assert max(map(len, lines)) <= width
    assert all(line.startswith("  ") for line in lines)
    kept = "".join("".join(lines).split())
    for letter in set(LONG) - {" "}:
        assert kept.count(letter) >= LONG.count(letter)
    assert "…" not in kept


@pytest.mark.parametrize("width", [30, 60, 80, 100, 200])
def test_no_column_is_lost_however_many_there_are(width: int) -> None:
    row = [f"{letter * 11}{number}" for number, letter in enumerate("abcdefghi")]
    kept = "".join("".join(table_lines([row], [str(number) for number in range(9)], Screen(width))).split())
    for cell in row:
        assert all(kept.count(letter) >= cell.count(letter) for letter in set(cell))


def test_an_id_stays_whole_where_there_is_room() -> None:
    lines = table_lines([("490421827fff", LONG)], ("id", "value"), Screen(60))
    assert lines[1].startswith("490421827fff  a-long-name")


def test_columns_are_aligned() -> None:
    lines = table_lines([("a", "1"), ("bbb", "2")])
    assert lines == ["a    1", "bbb  2"]
    assert aligned([("a", "1"), ("bbb", "2")]) == lines
    assert table_lines([]) == aligned([]) == []


def test_colours_are_of_the_cells_asked_for_and_of_no_pipe() -> None:
    (line,) = table_lines([("good", "other")], screen=Screen(80, colour=True), styles={"good": "bold green"})
    assert line.startswith("\033[1;32mgood\033[0m")
    assert "\033" not in "".join(table_lines([("good", "other")], styles={"good": "bold green"}))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("variable", "colour"), [(None, True), ("", True), ("1", False)])
def test_no_color_is_respected(variable: str | None, colour: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    if variable is not None:
        monkeypatch.setenv("NO_COLOR", variable)
    monkeypatch.setenv("COLUMNS", "77")
    assert screen() == PIPE
    monkeypatch.setattr("sys.stdout", Terminal())
    assert screen() == Screen(77, colour)
    assert os.environ["COLUMNS"] == "77"


def test_the_table_of_a_screen_without_colours_has_none_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\033" not in "".join(table_lines(ROWS, ("name", "value", "number"), Screen(80)))


def test_what_a_certificate_names_cannot_repaint_a_line() -> None:
    text = checks_text([Check("hybrid 0: A\r\x1b[2Kok  hybrid 0\nok", False, "another\x07")])
    assert text.splitlines()[1:] == ["  FAIL  hybrid 0: A\\r\\x1b[2Kok  hybrid 0\\nok: another\\x07"]
    assert printable({"a\n": ["b\x1b", 1, None]}) == {"a\\n": ["b\\x1b", 1, None]}

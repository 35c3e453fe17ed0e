"""What a gate found, in words, for a terminal."""

from tracking.audit.gate import Gate
from tracking.pages.terminal import PIPE, Screen, table_lines
from tracking.pages.text_audit import short

WORDS = {True: "met", False: "broken", None: "not known"}
SAYS = {True: "open", False: "closed", None: "undecided"}
STYLES = {"met": "green", "broken": "bold red", "not known": "yellow"}


def gate_text(found: Gate, screen: Screen = PIPE) -> str:
    """The verdict, then a line for each condition."""
    rows = [(each.name, WORDS[each.met], each.words) for each in found.conditions]
    return (
        "\n".join([f"{SAYS[found.open]}: {short(found.run)}", *table_lines(rows, screen=screen, styles=STYLES)]) + "\n"
    )

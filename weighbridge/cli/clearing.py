"""`weighbridge gc`: what was kept of runs that were run again, bounded by age and size."""

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracking.runs.errors import UserError
from weighbridge.cli.options import Command, add_folder, add_json
from weighbridge.cli.output import print_json

if TYPE_CHECKING:
    from tracking.replay.collection import Collected, Kept

DAYS = 30.0
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def gc_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--older-than",
        metavar="DAYS",
        type=_days,
        default=DAYS,
        help=f"remove what was not used for so many days (default: {DAYS:.0f})",
    )
    parser.add_argument(
        "--max-size", metavar="SIZE", type=_size, help="then the longest unused until at most so much stays (20G, 500M)"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would go")
    add_folder(parser)
    add_json(parser)


def _days(text: str) -> float:
    days = float(text)
    if not 0 <= days < 1e6:
        raise argparse.ArgumentTypeError(f"must be a number of days, not {text}")
    return days


def _size(text: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)B?", text.upper())
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write 20G, 500M or bytes")
    return round(float(found[1]) * UNITS[found[2]])


def gc(options: argparse.Namespace) -> int:
    """Remove what is old, or too much, of environments, worktrees, answers and reproduced runs; say what went."""
    from tracking.replay.collection import DAY, collect

    folder = options.folder / "hybrids"
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UserError(f"{folder}: is no folder of its own; nothing was removed")
    found = collect(
        folder, Path(), older_than=options.older_than * DAY, max_size=options.max_size, dry_run=options.dry_run
    )
    if options.json:
        print_json({"dry_run": options.dry_run, "freed": _rows(found.freed), "kept": _rows(found.kept)})
    else:
        print(_text(found, dry_run=options.dry_run))
    return 0


def _rows(things: "tuple[Kept, ...]") -> list[dict[str, Any]]:
    return [{"name": each.name, "bytes": each.size, "why": each.why} for each in things]


def _text(found: "Collected", *, dry_run: bool) -> str:
    lines = [f"  {each.name}: {_bytes(each.size)}, {each.why}" for each in found.freed]
    freed, kept = (sum(each.size for each in things) for things in (found.freed, found.kept))
    words = "would go" if dry_run else "removed"
    return "\n".join(
        [f"{words}: {len(found.freed)}, {_bytes(freed)}", *lines, f"kept: {len(found.kept)}, {_bytes(kept)}"]
    )


def _bytes(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


COMMANDS = {
    "gc": Command(
        "remove old environments, worktrees and answers that explain, verify, band and reproduce kept", gc_options, gc
    )
}

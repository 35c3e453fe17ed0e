"""Commands that read what was recorded and run nothing: runs, audit, compare, matrix."""

import argparse
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracking.lookup.find import find_runs, one_of, run_files, sample_names
from tracking.lookup.said import said_by_both
from tracking.runs.errors import UserError
from weighbridge.cli.options import RUN, Command, add_folder, add_html, add_json
from weighbridge.cli.output import print_json, screen, write_file

if TYPE_CHECKING:
    from tracking.audit.audit import Audit
    from tracking.runs.run import Run


# ---- runs


def runs_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--subject", metavar="PATTERN", default="*", help="only subjects that match, such as resnet*")
    parser.add_argument("--current", action="store_true", help="only the current run of each model")
    parser.add_argument("--sort", metavar="COLUMN", help="by this column, the largest number first")
    add_folder(parser)
    add_json(parser)


def runs(options: argparse.Namespace) -> int:
    """Print every run that is known here."""
    from tracking.pages.text_runs import runs_rows, runs_text
    from tracking.runs.run import readable
    from weighbridge.script.events import recover

    recover(options.folder)  # what a killed script left becomes a run
    every = runs_rows(readable(run_files(options.folder), _say_left_out), options.folder)
    rows = _chosen(every, options)
    if options.json:
        print_json({"runs": rows})
    elif rows:
        print(runs_text(rows, screen()))
    else:
        print(f"no runs in {options.folder}: `dvc repro` makes them")
    return 0


def _chosen(rows: "list[dict[str, Any]]", options: argparse.Namespace) -> "list[dict[str, Any]]":
    """Those rows that are asked for, in the order that is asked for; what has no value in a column comes last."""
    kept = [
        row for row in rows if fnmatchcase(row["subject"], options.subject) and (row["current"] or not options.current)
    ]
    if options.sort is None or not kept:
        return kept
    if options.sort not in kept[0]:
        raise UserError(f"--sort: there is no column {options.sort!r}, only {', '.join(kept[0])}")
    known = [row for row in kept if row[options.sort] is not None]
    numbers = all(isinstance(row[options.sort], int | float) for row in known)
    known.sort(key=lambda row: row[options.sort] if numbers else str(row[options.sort]), reverse=numbers)
    return [*known, *(row for row in kept if row[options.sort] is None)]


def _say_left_out(problem: UserError) -> None:
    print(f"weighbridge: left out: {problem}", file=sys.stderr)


# ---- audit


def audit_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("before", metavar="BEFORE", help=f"{RUN}, or a folder of runs")
    parser.add_argument(
        "after", metavar="AFTER", nargs="+", help="the same; several are compared with BEFORE one by one"
    )
    parser.add_argument("--strict", action="store_true", help="exit with 1 unless every result is reproduced or robust")
    parser.add_argument(
        "--metric",
        metavar="NAME",
        action="append",
        default=[],
        help="the result that decides (several times for several); by default decisions and accuracy, else all that both have",
    )
    parser.add_argument(
        "--tolerance", metavar="X", type=_tolerance, default=0.0, help="metrics that differ by no more are the same (0)"
    )
    parser.add_argument(
        "--format",
        choices=("text", "markdown", "junit", "github", "by-name"),
        default="text",
        help="how it is printed (text); by-name: a line a difference, in the order of MLflow's compare page",
    )
    add_html(parser)
    add_folder(parser)
    add_json(parser)


def _tolerance(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 0 or more")
    return value


def audit(options: argparse.Namespace) -> int:
    """Compare runs and print what changed and what could have changed it."""
    audits, several = _audits(options)
    if options.html:
        from tracking.pages.html_audit import audit_page

        write_file(options.html, audit_page(audits))
    if options.json:
        found = [each.to_dict() for each in audits]
        print_json({"audits": found} if several else found[0])
    elif options.format != "text":
        from tracking.pages.audit_formats import FORMATS

        print(FORMATS[options.format](audits), end="")
    else:
        _print_audits(audits)
    good = all(each.outcome.holds for each in audits)
    return 1 if options.strict and not good else 0


def _audits(options: argparse.Namespace) -> "tuple[list[Audit], bool]":
    """Every audit asked for, and whether several were (a folder of one run is a folder)."""
    from tracking.audit.audit import audit as audited

    before = find_runs(options.before, options.folder)
    after = [run for reference in options.after for run in find_runs(reference, options.folder)]
    pairs = _pairs(before, after)
    several = len(pairs) > 1 or any(Path(name).is_dir() for name in (options.before, *options.after))
    return [audited(*pair, options.metric, options.tolerance) for pair in pairs], several


def _pairs(before: "list[Run]", after: "list[Run]") -> "list[tuple[Run, Run]]":
    """One against many, many against one; of many against many those of the same model."""
    if len(before) == 1 or len(after) == 1:
        return [(old, new) for old in before for new in after]
    pairs = [(old, new) for old in before for new in after if old.subject == new.subject]
    if not pairs:
        raise UserError("the two folders hold no runs of the same model")
    return pairs


def _print_audits(audits: "list[Audit]") -> None:
    from tracking.pages.text_audit import audit_text, summary_text

    if len(audits) > 1:
        print(summary_text(audits, screen()))
    else:
        print(audit_text(audits[0], screen()), end="")


# ---- compare


def compare_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("first", metavar="A", help=RUN)
    parser.add_argument("second", metavar="B", help="the other one, on the same images")
    parser.add_argument(
        "--flips",
        metavar="N|FILE.csv",
        type=_number_or_file,
        default=5,
        help="how many of the images decided differently to list (default: 5), or a file for all of them",
    )
    parser.add_argument(
        "--claims", metavar="FILE", type=Path, help="a table of published accuracies besides the shipped one"
    )
    add_html(parser)
    add_folder(parser)
    add_json(parser)


def _number_or_file(text: str) -> int | Path:
    if text.isdecimal():
        return int(text)
    if text.endswith(".csv"):
        return Path(text)
    raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor a file that ends in .csv")


def compare(options: argparse.Namespace) -> int:
    """Compare two runs on the same images, image by image, and both with what is published; or task by task."""
    from tracking.audit.claims import load_claims
    from tracking.audit.compare import compare as compared

    all_first, all_second = (find_runs(reference, options.folder) for reference in (options.first, options.second))
    if len(all_first) > 1 and len(all_second) > 1:
        return _compare_tasks(all_first, all_second, options)
    first, second = one_of(options.first, all_first), one_of(options.second, all_second)
    found = compared(first, second, load_claims(options.claims))
    names, said = sample_names(first, options.folder), said_by_both(first, second, options.folder)
    listed = options.flips if isinstance(options.flips, int) else 0
    if isinstance(options.flips, Path):
        write_file(options.flips, found.flips_table(names))
    if options.html:
        from tracking.pages.html_compare import compare_page

        write_file(options.html, compare_page(found, names, said))
    if options.json:
        about = {"said_apart": len(said.apart), "said": said.apart[:listed]} if said else {}
        print_json({**found.to_dict(names, listed), **about})
    else:
        from tracking.pages.text_compare import comparison_text, said_text

        print(comparison_text(found, names, listed, screen()), end="")
        print(said_text(said, listed, screen()) if said else "", end="")
    return 0


def _compare_tasks(first: "list[Run]", second: "list[Run]", options: argparse.Namespace) -> int:
    from tracking.audit.claims import load_claims
    from tracking.audit.compare_tasks import compare_tasks

    found = compare_tasks(first, second, load_claims(options.claims))
    if isinstance(options.flips, Path):
        raise UserError("--flips FILE.csv: of one task; name it, for example results.json:gsm8k")
    if options.html:
        raise UserError("--html: of one task; name it, for example results.json:gsm8k")
    if options.json:
        print_json(found.to_dict())
    else:
        from tracking.pages.text_tasks import tasks_text

        print(tasks_text(found, screen()), end="")
    return 0


# ---- matrix


def matrix_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", metavar="RUN", nargs="+", help=f"{RUN}, or a folder of runs")
    parser.add_argument("--metric", metavar="NAME", help="the result by which they are ordered (default: top1)")
    parser.add_argument("--lower", action="store_true", help="a lower one is better")
    add_html(parser)
    add_folder(parser)
    add_json(parser)


def matrix(options: argparse.Namespace) -> int:
    """Put many runs side by side and print which conditions go with the result."""
    from tracking.audit.matrix import matrix as side_by_side
    from tracking.pages.text_matrix import matrix_text

    chosen = [run for reference in options.runs for run in find_runs(reference, options.folder)]
    found = side_by_side(chosen, options.metric, lower=options.lower)
    if options.html:
        from tracking.pages.html_matrix import matrix_page

        write_file(options.html, matrix_page(found))
    if options.json:
        print_json(found.to_dict())
    else:
        print(matrix_text(found, screen()), end="")
    return 0


COMMANDS = {
    "runs": Command("list the runs that are known here", runs_options, runs),
    "audit": Command(
        "compare two runs: is the result the same, and if not, what could have changed it", audit_options, audit
    ),
    "compare": Command(
        "compare two runs image by image: the paired difference, the flips, what was published",
        compare_options,
        compare,
    ),
    "matrix": Command("put many runs side by side: which conditions go with the result", matrix_options, matrix),
}

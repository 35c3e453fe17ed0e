"""The command line: `weighbridge show | runs | audit | compare | matrix | explain | verify | band |
reproduce | use`, or `python -m weighbridge`.

Nothing here imports a machine-learning framework, and each command imports only what it needs. Exit codes: 0; 1 where
`audit --strict` finds another result, `explain` or `reproduce` cannot bring a run back or `verify` finds a fault; 2 for a user's
mistake, in one line on stderr; 130 when interrupted.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tracking.lookup.find import FOLDER, find_run, find_runs, run_files, sample_names
from tracking.runs.errors import UserError

if TYPE_CHECKING:
    from tracking.audit.audit import Audit
    from tracking.explain.certificate import Values
    from tracking.explain.explain import Limits
    from tracking.replay.replayer import Replayer
    from tracking.runs.run import Run

RUN = (
    "a run: its file, the model's name, an id prefix, mlflow:<run id>, comet:<key or archive>, "
    "or <git revision>:<model>"
)
CLOSED_PIPE = 141  # what a shell reports of a program that its reader left


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; `arguments` default to the process's own."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.command(options)
        sys.stdout.flush()
    except UserError as problem:
        print(f"weighbridge: {problem}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains as it exits
        return CLOSED_PIPE
    except KeyboardInterrupt:
        print("weighbridge: interrupted", file=sys.stderr)
        return 130
    return code


# ---- commands


def show(options: argparse.Namespace) -> int:
    """Print the conditions of this machine."""
    from tracking.capture.environment import RUNTIMES, capture

    chosen = [options.runtime] if options.runtime else list(RUNTIMES)
    if options.runtime and options.runtime not in RUNTIMES:
        raise UserError(f"--runtime: unknown runtime {options.runtime!r}; known: {', '.join(RUNTIMES)}")
    facts = {runtime: dict(capture(runtime).facts) for runtime in chosen}
    if options.json:
        _print_json(facts)
    else:
        from tracking.pages.text import environment_text

        print(environment_text(facts), end="")
    return 0


def runs(options: argparse.Namespace) -> int:
    """Print every run that is known here."""
    from tracking.pages.tables import runs_rows, runs_text

    rows = runs_rows(_readable(run_files(options.folder)), options.folder)
    if options.json:
        _print_json(rows)
    elif rows:
        print(runs_text(rows))
    else:
        print(f"no runs in {options.folder}: `dvc repro` makes them")
    return 0


def audit(options: argparse.Namespace) -> int:
    """Compare runs and print what changed and what could have changed it."""
    from tracking.audit.audit import Outcome

    audits, several = _audits(options)
    if options.html:
        from tracking.pages.html import audit_page

        _write(options.html, audit_page(audits))
    if options.json:
        found = [each.to_dict() for each in audits]
        _print_json(found if several else found[0])
    else:
        _print_audits(audits)
    good = all(each.outcome in (Outcome.REPRODUCED, Outcome.ROBUST) for each in audits)
    return 1 if options.strict and not good else 0


def compare(options: argparse.Namespace) -> int:
    """Compare two runs on the same images, image by image, and both with what is published."""
    from tracking.audit.claims import load_claims
    from tracking.audit.compare import compare as pair

    first, second = (find_run(written, options.folder) for written in (options.first, options.second))
    found = pair(first, second, load_claims(options.claims))
    names = sample_names(first, options.folder)
    listed = options.flips if isinstance(options.flips, int) else 0
    if isinstance(options.flips, Path):
        _write(options.flips, found.flips_table(names))
    if options.json:
        _print_json(found.to_dict(names, listed))
    else:
        from tracking.pages.text import comparison_text

        print(comparison_text(found, names, listed), end="")
    return 0


def matrix(options: argparse.Namespace) -> int:
    """Put many runs side by side and print which conditions go with the result."""
    from tracking.audit.matrix import matrix as compare
    from tracking.pages.text import matrix_text

    found = compare([run for written in options.runs for run in find_runs(written, options.folder)])
    if options.html:
        from tracking.pages.html import matrix_page

        _write(options.html, matrix_page(found))
    if options.json:
        _print_json(found.to_dict())
    else:
        print(matrix_text(found), end="")
    return 0


def explain(options: argparse.Namespace) -> int:
    """Run hybrids of two runs until what moved the result is known, and write the certificate."""
    if options.against:
        return _against_published(options)
    from tracking.explain.certificate import certificate, save
    from tracking.explain.explain import explain as search
    from tracking.explain.explain import located
    from tracking.pages.text_explain import certificate_text

    before, after = (find_run(written, options.folder) for written in (options.before, options.after))
    replayer = _trusting(options, before, after)
    explanation = search(before, after, replayer, _limits(options), options.grade, _progress)
    found = certificate(located(explanation, replayer, _progress, _limits(options)))
    path = options.certificate or options.folder / "certificates" / f"{before.id[:12]}-{after.id[:12]}.json"
    save(found, path)
    if options.html:
        from tracking.pages.html_explain import certificate_page

        _write(options.html, certificate_page(found))
    if options.json:
        _print_json(found)
    else:
        print(f"{certificate_text(found)}\ncertificate: {path}")
    _log(found, explanation.audit, options)
    return 1 if found["verdict"] in ("not reproduced", "not here") else 0


def _log(found: "Values", compared: "Audit", options: argparse.Namespace) -> None:
    """Keep a certificate, and the audit that it began with, in every tracker asked for."""
    if not options.log:
        return
    from tracking.explain.as_run import as_run
    from tracking.explain.certificate import text_of
    from tracking.pages.text_explain import headline
    from tracking.trackers import connect

    kept = as_run(found, text_of(found), compared, headline(found))
    for name in options.log:
        print(f"kept as {connect(name, options.folder, options.experiment).log(kept)}", file=sys.stderr)


def _against_published(options: argparse.Namespace) -> int:
    from tracking.explain.recipe_search import published, try_recipes
    from tracking.pages.text_explain import tried_text

    ignored = {"--certificate": options.certificate, "--html": options.html, "--log": options.log}
    ignored |= {"--grade": options.grade != "bits", "--jobs": options.jobs != 1}
    if given := [name for name, value in ignored.items() if value]:
        raise UserError(f"{given[0]}: goes with two runs, not with --against")
    run = find_run(options.before, options.folder)
    claim, source = published(run)
    tried, untried = try_recipes(run, claim, _trusting(options, run), _limits(options), _progress)
    if options.json:
        _print_json({"tried": [asdict(each) for each in tried], "untried": untried})
    else:
        print(tried_text(tried, claim, source, untried), end="")
    return 0


def verify(options: argparse.Namespace) -> int:
    """Check a certificate, and run hybrids of it again."""
    from tracking.explain.certificate import decisive
    from tracking.explain.certificate import verify as check
    from tracking.explain.trust import are_known
    from tracking.pages.text_explain import checks_text

    found = _certificate(options)
    trusted = options.trust or are_known(found["ends"].values(), options.folder)
    every = [each["number"] for each in found["hybrids"]]
    chosen = {"none": [], "decisive": decisive(found), "all": every}[options.runs]
    numbers = chosen if options.hybrid is None else [options.hybrid]
    with TemporaryDirectory() as answers:
        checks = check(found, numbers, _replayer(options, Path(answers), trusted=trusted), _progress)
    if options.json:
        _print_json([asdict(each) for each in checks])
    else:
        print(checks_text(checks), end="")
    return 0 if all(each.good for each in checks) else 1


def _certificate(options: argparse.Namespace) -> "Values":
    """Out of its file, or out of a tracker's run that holds it."""
    from tracking.explain.as_run import certificate_in
    from tracking.explain.certificate import load, parse

    written = options.certificate
    if not written.startswith(("mlflow:", "comet:")):
        return load(Path(written))
    return parse(certificate_in(find_run(written, options.folder), written).encode(), written)


def band(options: argparse.Namespace) -> int:
    """Run a run again under levers that nobody controls, and print how many decisions can flip."""
    from tracking.replay.band import band as measure
    from tracking.replay.band import band_text

    run = find_run(options.run, options.folder)
    found = measure(run, _trusting(options, run), options.max_runs, _progress)
    if options.json:
        _print_json(found.to_dict())
    else:
        print(band_text(found), end="")
    return 0


def reproduce(options: argparse.Namespace) -> int:
    """Run a run again from what it recorded, and print whether it comes back."""
    from tracking.replay.reproduce import NOT_REPRODUCED, reproduction_text
    from tracking.replay.reproduce import reproduce as again

    run = find_run(options.run, options.folder)
    with TemporaryDirectory() as answers:
        found = again(run, _trusting(options, run, answers=Path(answers)), _progress)
    written = None
    if found.again is not None:
        written = options.folder / "reproduced" / f"{found.again.id[:12]}.json"
        found.again.save(written)
    if options.json:
        _print_json(found.to_dict())
    else:
        print(reproduction_text(found, written), end="")
    return 1 if found.verdict == NOT_REPRODUCED else 0


def use(options: argparse.Namespace) -> int:
    """Make a suite the job that `dvc repro` runs."""
    from weighbridge.params.suites import use as take

    print(take(options.suite))
    return 0


def _replayer(options: argparse.Namespace, answers: Path | None = None, *, trusted: bool) -> "Replayer":
    """Runs models of the project in the current folder again."""
    from tracking.replay.replayer import Replayer

    if not Path("dvc.yaml").is_file():
        raise UserError("dvc.yaml: not found; run this in the project's folder")
    return Replayer(Path(), options.folder / "hybrids", answers, _progress, trusted=trusted)


def _trusting(options: argparse.Namespace, *runs: "Run", answers: Path | None = None) -> "Replayer":
    """The same for runs that are known here, or trusted by the user; all others are refused."""
    from tracking.explain.trust import require_trust

    replayer = _replayer(options, answers, trusted=True)
    for run in runs:
        require_trust(run, Path(), options.folder, trusted=options.trust)
    return replayer


def _limits(options: argparse.Namespace) -> "Limits":
    from tracking.explain.explain import Limits

    return Limits(options.max_runs, options.budget, options.jobs)


def _progress(words: str) -> None:
    print(f"weighbridge: {words}", file=sys.stderr, flush=True)


def _audits(options: argparse.Namespace) -> "tuple[list[Audit], bool]":
    """Every audit asked for, and whether several were (a folder of one run is a folder)."""
    from tracking.audit.audit import audit as compare

    before = find_runs(options.before, options.folder)
    after = [run for written in options.after for run in find_runs(written, options.folder)]
    several = len(options.after) > 1 or any(Path(written).is_dir() for written in (options.before, *options.after))
    return [compare(*pair) for pair in _pairs(before, after)], several


def _pairs(before: "list[Run]", after: "list[Run]") -> "list[tuple[Run, Run]]":
    """One against many, many against one; of many against many those of the same model."""
    if len(before) == 1 or len(after) == 1:
        return [(old, new) for old in before for new in after]
    pairs = [(old, new) for old in before for new in after if old.subject == new.subject]
    if not pairs:
        raise UserError("the two folders hold no runs of the same model")
    return pairs


def _print_audits(audits: "list[Audit]") -> None:
    from tracking.pages.text import audit_text, summary_text

    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    if len(audits) > 1:
        print(summary_text(audits, colour))
    else:
        print(audit_text(audits[0], colour), end="")


# ---- what commands share


def _readable(paths: list[Path]) -> "list[tuple[Path, Run]]":
    """Every run with its file; a file that is no run is named on stderr and left out."""
    from tracking.runs.run import Run

    read = []
    for path in paths:
        try:
            read.append((path, Run.load(path)))
        except UserError as problem:
            print(f"weighbridge: left out: {problem}", file=sys.stderr)
    return read


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=1, allow_nan=False))


def _write(path: Path, page: str) -> None:
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as problem:
        raise UserError(f"{path}: cannot be written ({problem.strerror})") from problem


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="weighbridge", description="What moved the number?")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, (options, words) in COMMANDS.items():
        options(commands.add_parser(name, help=words, description=f"{words[0].upper()}{words[1:]}."))
    return parser


def _show_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runtime", metavar="NAME", help="only this runtime, for example torch")
    _finish(parser, show)


def _runs_options(parser: argparse.ArgumentParser) -> None:
    _folder(parser)
    _finish(parser, runs)


def _audit_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("before", metavar="BEFORE", help=f"{RUN}, or a folder of runs")
    parser.add_argument(
        "after", metavar="AFTER", nargs="+", help="the same; several are compared with BEFORE one by one"
    )
    parser.add_argument("--strict", action="store_true", help="exit with 1 unless every result is reproduced or robust")
    parser.add_argument("--html", metavar="FILE", type=Path, help="also write a self-contained page")
    _folder(parser)
    _finish(parser, audit)


def _compare_options(parser: argparse.ArgumentParser) -> None:
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
    _folder(parser)
    _finish(parser, compare)


def _number_or_file(text: str) -> int | Path:
    if text.isdecimal():
        return int(text)
    if text.endswith(".csv"):
        return Path(text)
    raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor a file that ends in .csv")


def _matrix_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", metavar="RUN", nargs="+", help=f"{RUN}, or a folder of runs")
    parser.add_argument("--html", metavar="FILE", type=Path, help="also write a self-contained page")
    _folder(parser)
    _finish(parser, matrix)


def _explain_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("before", metavar="A", help=RUN)
    ends = parser.add_mutually_exclusive_group(required=True)
    ends.add_argument("after", metavar="B", nargs="?", help="the same")
    ends.add_argument("--against", choices=["published"], help="try known recipes until A meets its published accuracy")
    parser.add_argument(
        "--grade", choices=["bits", "decisions", "accuracy"], default="bits", help="look no finer than this"
    )
    parser.add_argument(
        "--max-runs", metavar="N", type=_positive, default=100, help="start at most N runs (default: 100)"
    )
    parser.add_argument("--budget", metavar="SECONDS", type=float, help="start no run after so many seconds")
    parser.add_argument("--jobs", metavar="N", type=_positive, default=1, help="run N side by side (default: 1)")
    parser.add_argument("--certificate", metavar="FILE", type=Path, help="where it goes (default: data/certificates)")
    parser.add_argument(
        "--log",
        metavar="TRACKER",
        action="append",
        choices=["comet", "mlflow"],
        help="also keep it, with the audit, in this tracker (comet or mlflow; may be given twice)",
    )
    parser.add_argument(
        "--experiment",
        metavar="NAME",
        default="weighbridge",
        help="under which it is kept there (default: weighbridge)",
    )
    parser.add_argument("--html", metavar="FILE", type=Path, help="also write a self-contained page")
    _trust(parser)
    _folder(parser)
    _finish(parser, explain)


def _verify_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "certificate",
        metavar="CERTIFICATE",
        help="a file that `explain` wrote, or mlflow:<run id>, comet:<key or archive>",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--hybrid", metavar="K", type=int, help="run only the hybrid of this number again")
    which.add_argument("--all", dest="runs", action="store_const", const="all", help="run every hybrid again")
    which.add_argument("--no-runs", dest="runs", action="store_const", const="none", help="check the file alone")
    parser.set_defaults(runs="decisive")
    _trust(parser)
    _folder(parser)
    _finish(parser, verify)


def _band_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help=RUN)
    parser.add_argument(
        "--max-runs", metavar="N", type=_positive, default=20, help="start at most N runs (default: 20)"
    )
    _trust(parser)
    _folder(parser)
    _finish(parser, band)


def _reproduce_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help=RUN)
    _trust(parser)
    _folder(parser)
    _finish(parser, reproduce)


def _trust(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--trust", action="store_true", help="run code and load weights of a run that is not known here"
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {text}")
    return number


def _use_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("suite", metavar="SUITE", type=Path, help="its file, for example suites/photos.yaml")
    parser.set_defaults(command=use)


def _folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--folder", metavar="FOLDER", type=Path, default=FOLDER, help="where runs are kept (default: data)"
    )


def _finish(parser: argparse.ArgumentParser, command: Any) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=command)


COMMANDS = {
    "show": (_show_options, "print this environment: everything here that could move a number"),
    "runs": (_runs_options, "list the runs that are known here"),
    "audit": (_audit_options, "compare two runs: is the result the same, and if not, what could have changed it"),
    "compare": (
        _compare_options,
        "compare two runs image by image: the paired difference, the flips, what was published",
    ),
    "matrix": (_matrix_options, "put many runs side by side: which conditions go with the result"),
    "explain": (_explain_options, "run again with one factor changed at a time: which difference moved the result"),
    "verify": (_verify_options, "check a certificate that `explain` wrote, by running its hybrids again"),
    "band": (_band_options, "run again under harmless levers: how many decisions can flip for reasons nobody controls"),
    "reproduce": (_reproduce_options, "run a recorded run again, in its own environment: does it come back"),
    "use": (_use_options, "make a suite the job that `dvc repro` runs"),
}


if __name__ == "__main__":
    sys.exit(main())

"""Commands that run recorded models again: explain, band, reproduce."""

import argparse
import json
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tracking.lookup.find import find_run
from tracking.runs.errors import UserError
from weighbridge.cli.options import (
    RUN,
    Command,
    add_folder,
    add_html,
    add_json,
    add_max_runs,
    add_timeout,
    add_trust,
)
from weighbridge.cli.output import print_json, print_progress, screen, write_file
from weighbridge.cli.replaying import add_jobs, empty_folder, jobs, limits, trusting
from weighbridge.process.exit_codes import FINDING, UNDECIDED

if TYPE_CHECKING:
    from tracking.audit.audit import Audit
    from tracking.explain.schema import Certificate
    from tracking.runs.run import Scalar

# ---- explain


def explain_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("before", metavar="A", help=RUN)
    ends = parser.add_mutually_exclusive_group(required=True)
    ends.add_argument("after", metavar="B", nargs="?", help="the same")
    ends.add_argument("--against", choices=["published"], help="try known recipes until A meets its published accuracy")
    parser.add_argument(
        "--grade", choices=["bits", "decisions", "accuracy"], default="bits", help="look no finer than this"
    )
    add_max_runs(parser, 100)
    parser.add_argument("--budget", metavar="SECONDS", type=float, help="start no run after so many seconds")
    add_jobs(parser)
    parser.add_argument("--certificate", metavar="FILE", type=Path, help="where it goes (default: data/certificates)")
    _add_trackers(parser)
    add_html(parser)
    add_trust(parser)
    add_timeout(parser)
    add_folder(parser)
    add_json(parser)


def _add_trackers(parser: argparse.ArgumentParser) -> None:
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


def explain(options: argparse.Namespace) -> int:
    """Run hybrids of two runs until what moved the result is known, and write the certificate."""
    if options.against:
        return _explain_published(options)
    from tracking.explain.certificate import certificate
    from tracking.explain.explain import explain as explained
    from tracking.explain.explain import located
    from tracking.explain.schema import save
    from tracking.explain.search_result import SearchVerdict
    from tracking.pages.text_certificate import certificate_text

    before, after = (find_run(reference, options.folder) for reference in (options.before, options.after))
    replayer = trusting(options, before, after)
    most = limits(options, replayer)
    explanation = explained(before, after, replayer, most, options.grade, print_progress)
    found = certificate(located(explanation, replayer, print_progress, most))
    path = options.certificate or options.folder / "certificates" / f"{before.id[:12]}-{after.id[:12]}.json"
    save(found, path)
    if options.html:
        from tracking.pages.html_certificate import certificate_page

        write_file(options.html, certificate_page(found))
    if options.json:
        print_json(found)
    else:
        print(f"{certificate_text(found)}\ncertificate: {path}")
    _log(found, explanation.audit, options)
    if found["verdict"] in (SearchVerdict.UNAVAILABLE, SearchVerdict.CONSISTENT):
        return UNDECIDED
    return FINDING if found["verdict"] == SearchVerdict.NOT_REPRODUCED else 0


def _log(found: "Certificate", compared: "Audit", options: argparse.Namespace) -> None:
    """Keep a certificate, and the audit that it began with, in every tracker asked for."""
    if not options.log:
        return
    from tracking.explain.as_run import as_run
    from tracking.explain.schema import text_of
    from tracking.pages.text_certificate import headline
    from tracking.trackers import connect

    kept = as_run(found, text_of(found), compared, headline(found))
    for name in options.log:
        print(f"kept as {connect(name, options.folder, options.experiment).log(kept)}", file=sys.stderr)


def _explain_published(options: argparse.Namespace) -> int:
    """Try recipes until the run meets its published accuracy, and print what each gives."""
    from tracking.explain.recipe_search import published, try_recipes
    from tracking.pages.text_recipe_search import tried_text

    ignored = {"--certificate": options.certificate, "--html": options.html, "--log": options.log}
    ignored |= {"--grade": options.grade != "bits", "--jobs": options.jobs is not None}
    if given := [name for name, value in ignored.items() if value]:
        raise UserError(f"{given[0]}: goes with two runs, not with --against")
    run = find_run(options.before, options.folder)
    claim, source = published(run)
    replayer = trusting(options, run)
    tried, untried = try_recipes(run, claim, replayer, limits(options, replayer), print_progress)
    if options.json:
        print_json({"tried": [asdict(each) for each in tried], "untried": untried})
    else:
        print(tried_text(tried, claim, source, untried, screen()), end="")
    return 0


# ---- band


def lever(text: str) -> "tuple[str, Scalar]":
    """A condition and the value that it is to have, from `CONDITION=VALUE`; the value is read as JSON where it is that."""
    from tracking.replay.conditions import settable
    from tracking.replay.flags import FLAGS

    name, equals, value = text.partition("=")
    if not equals or not (name in FLAGS or settable({name: value})):
        raise argparse.ArgumentTypeError(f"{text!r}: give a condition that can be set again, = and its value")
    with suppress(ValueError):
        read = json.loads(value)
        return name, read if isinstance(read, int | float | bool) else value
    return name, value


def band_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help=RUN)
    parser.add_argument(
        "--lever",
        metavar="CONDITION=VALUE",
        action="append",
        default=[],
        type=lever,
        help="also try this one, such as param.model.computing.precision=bf16 (may be given several times)",
    )
    add_max_runs(parser, 20)
    add_jobs(parser)
    add_trust(parser)
    add_timeout(parser)
    add_folder(parser)
    add_json(parser)


def band(options: argparse.Namespace) -> int:
    """Run a run again under harmless levers, and print how many decisions can flip."""
    from tracking.pages.text_band import band_text
    from tracking.replay.band import band as measured

    run = find_run(options.run, options.folder)
    replayer = trusting(options, run)
    found = measured(run, replayer, options.max_runs, print_progress, options.lever, jobs(options, replayer))
    if options.json:
        print_json(found.to_dict())
    else:
        print(band_text(found), end="")
    return 0


# ---- reproduce


def reproduce_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help=RUN)
    add_trust(parser)
    add_timeout(parser)
    add_folder(parser)
    add_json(parser)


def reproduce(options: argparse.Namespace) -> int:
    """Run a run again from what it recorded, and print whether it comes back."""
    from tracking.pages.text_reproduction import reproduction_text
    from tracking.replay.reproduce import NOT_REPRODUCED
    from tracking.replay.reproduce import reproduce as reproduced

    run = find_run(options.run, options.folder)
    with empty_folder(options) as answers:
        found = reproduced(run, trusting(options, run, answers=answers), print_progress)
    output = None
    if found.again is not None:
        output = options.folder / "reproduced" / f"{found.again.id[:12]}.json"
        found.again.save(output)
    if options.json:
        print_json(found.to_dict())
    else:
        print(reproduction_text(found, output), end="")
    return FINDING if found.verdict == NOT_REPRODUCED else 0


COMMANDS = {
    "explain": Command(
        "run again with one factor changed at a time: which difference moved the result", explain_options, explain
    ),
    "band": Command(
        "run again under levers that should change nothing: how many decisions flip, and how many could",
        band_options,
        band,
    ),
    "reproduce": Command(
        "run a recorded run again, in its own environment: does it come back", reproduce_options, reproduce
    ),
}

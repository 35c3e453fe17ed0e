"""The command that judges a run for a registry or a pipeline: gate."""

import argparse

from tracking.lookup.find import find_run
from tracking.runs.errors import UserError
from weighbridge.cli.options import RUN, Command, add_folder, add_json
from weighbridge.cli.output import print_json, screen
from weighbridge.process.exit_codes import FINDING, UNDECIDED


def gate_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help=RUN)
    parser.add_argument("--claim", action="store_true", help="what was claimed of it must have come back")
    parser.add_argument("--baseline", metavar="RUN", help="the run that it must not be worse than, on the same samples")
    parser.add_argument(
        "--within", metavar="POINTS", type=_points, default=0.0, help="points of accuracy that it may lose (default: 0)"
    )
    parser.add_argument("--by-class", action="store_true", help="and no class may lose beyond chance")
    add_folder(parser)
    add_json(parser)


def _points(text: str) -> float:
    try:
        points = float(text)
    except ValueError:
        points = -1.0
    if not 0 <= points <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of points from 0 to 100")
    return points / 100


def gate(options: argparse.Namespace) -> int:
    """Judge a run: 0 where all is met, 1 where something is broken, 3 where something cannot be said."""
    from tracking.audit.compare import compare
    from tracking.audit.gate import gate as judged

    if options.by_class and not options.baseline:
        raise UserError("--by-class: needs --baseline, the run whose classes are compared")
    run = find_run(options.run, options.folder)
    against = compare(find_run(options.baseline, options.folder), run) if options.baseline else None
    found = judged(run, claim=options.claim, against=against, within=options.within, by_class=options.by_class)
    if options.json:
        print_json(found.to_dict())
    else:
        from tracking.pages.text_gate import gate_text

        print(gate_text(found, screen()), end="")
    return {True: 0, False: FINDING, None: UNDECIDED}[found.open]


COMMANDS = {
    "gate": Command("judge a run for a registry: its findings, its claim, a baseline, each class", gate_options, gate)
}

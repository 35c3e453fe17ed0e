"""Commands that run recorded models again, and what they wrote: explain, verify, sign, band, reproduce."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
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
    positive,
)
from weighbridge.cli.output import print_json, print_progress, screen, write_file

if TYPE_CHECKING:
    from tracking.audit.audit import Audit
    from tracking.explain.limits import Limits
    from tracking.explain.schema import Certificate
    from tracking.explain.verify import Check
    from tracking.replay.replayer import Replayer
    from tracking.runs.run import Run

UNDECIDED = 3  # the exit code where something that was to be run could not be

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
    parser.add_argument("--jobs", metavar="N", type=positive, default=1, help="run N side by side (default: 1)")
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
    replayer = _trusting(options, before, after)
    explanation = explained(before, after, replayer, _limits(options), options.grade, print_progress)
    found = certificate(located(explanation, replayer, print_progress, _limits(options)))
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
    return 1 if found["verdict"] in (SearchVerdict.NOT_REPRODUCED, SearchVerdict.UNAVAILABLE) else 0


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
    ignored |= {"--grade": options.grade != "bits", "--jobs": options.jobs != 1}
    if given := [name for name, value in ignored.items() if value]:
        raise UserError(f"{given[0]}: goes with two runs, not with --against")
    run = find_run(options.before, options.folder)
    claim, source = published(run)
    tried, untried = try_recipes(run, claim, _trusting(options, run), _limits(options), print_progress)
    if options.json:
        print_json({"tried": [asdict(each) for each in tried], "untried": untried})
    else:
        print(tried_text(tried, claim, source, untried, screen()), end="")
    return 0


# ---- verify


def verify_options(parser: argparse.ArgumentParser) -> None:
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
    parser.add_argument(
        "--signer", metavar="NAME", help="it must be signed by this person, for example ada@example.org"
    )
    parser.add_argument(
        "--signers",
        metavar="FILE",
        type=Path,
        default=Path("allowed_signers"),
        help="who has which SSH key, as ssh-keygen and git read it (default: allowed_signers)",
    )
    add_trust(parser)
    add_timeout(parser)
    add_folder(parser)
    add_json(parser)


def verify(options: argparse.Namespace) -> int:
    """Check a certificate, and run hybrids of it again."""
    from tracking.explain.trust import are_known, whose
    from tracking.explain.verify import decisive, undecided
    from tracking.explain.verify import verify as verified
    from tracking.pages.text_certificate import checks_text

    found = _certificate(options)
    trusted = options.trust or are_known(found["ends"].values(), Path(), options.folder)
    every = [each["number"] for each in found["hybrids"]]
    chosen = {"none": [], "decisive": decisive(found), "all": every}[options.runs]
    numbers = chosen if options.hybrid is None else [options.hybrid]
    with _empty_folder(options) as answers:
        checks = verified(found, numbers, _replayer(options, answers, trusted=trusted), print_progress)
    checks += [whose(found, options.folder), _signature(options)]
    if options.json:
        print_json([asdict(each) for each in checks])
    else:
        print(checks_text(checks), end="")
    if any(each.good is False for each in checks):
        return 1
    return UNDECIDED if undecided(checks) else 0


def _signature(options: argparse.Namespace) -> "Check":
    """Who signed it, where that is asked for; unsigned is said."""
    from tracking.explain.signature import signature_of, signed_by
    from tracking.explain.verify import Check

    path = Path(options.certificate)
    if options.signer is None:
        there = signature_of(path).is_file()
        said = "not looked at; --signer NAME says whose it must be" if there else "unsigned: nothing shows who made it"
        return Check("signature", None, said)
    if not path.is_file():
        return Check("signature", False, f"unsigned: {options.certificate} is no file with a signature beside it")
    why = signed_by(path.read_bytes(), signature_of(path), options.signer, options.signers)
    return Check("signature", not why, why or f"of {options.signer}")


def sign_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("certificate", metavar="CERTIFICATE", type=Path, help="a file that `explain` wrote")
    parser.add_argument(
        "--key", metavar="FILE", type=Path, required=True, help="an SSH key, for example ~/.ssh/id_ed25519"
    )


def sign(options: argparse.Namespace) -> int:
    """Sign a certificate with an SSH key, once it is seen to be whole."""
    from tracking.explain.schema import load
    from tracking.explain.signature import sign as signed

    load(options.certificate)
    print(f"signature: {signed(options.certificate, options.key.expanduser())}")
    return 0


def _certificate(options: argparse.Namespace) -> "Certificate":
    """Out of its file, or out of a tracker's run that holds it."""
    from tracking.explain.as_run import certificate_in
    from tracking.explain.schema import load, parse

    reference = options.certificate
    if not reference.startswith(("mlflow:", "comet:")):
        return load(Path(reference))
    return parse(certificate_in(find_run(reference, options.folder), reference).encode(), reference)


# ---- band


def band_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help=RUN)
    add_max_runs(parser, 20)
    add_trust(parser)
    add_timeout(parser)
    add_folder(parser)
    add_json(parser)


def band(options: argparse.Namespace) -> int:
    """Run a run again under harmless levers, and print how many decisions can flip."""
    from tracking.pages.text_band import band_text
    from tracking.replay.band import band as measured

    run = find_run(options.run, options.folder)
    found = measured(run, _trusting(options, run), options.max_runs, print_progress)
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
    with _empty_folder(options) as answers:
        found = reproduced(run, _trusting(options, run, answers=answers), print_progress)
    output = None
    if found.again is not None:
        output = options.folder / "reproduced" / f"{found.again.id[:12]}.json"
        found.again.save(output)
    if options.json:
        print_json(found.to_dict())
    else:
        print(reproduction_text(found, output), end="")
    return 1 if found.verdict == NOT_REPRODUCED else 0


# ---- what they share


def _replayer(options: argparse.Namespace, answers: Path | None = None, *, trusted: bool) -> "Replayer":
    """Runs models of the project in the current folder again."""
    from tracking.replay.replayer import Replayer

    _require_project()
    kept = options.folder / "hybrids"
    return Replayer(Path(), kept, answers, print_progress, seconds=options.timeout, trusted=trusted)


def _require_project() -> None:
    if not Path("dvc.yaml").is_file():
        raise UserError("dvc.yaml: not found; run this in the project's folder")


def _trusting(options: argparse.Namespace, *runs: "Run", answers: Path | None = None) -> "Replayer":
    """The same for runs that are known here, or trusted by the user; all others are refused."""
    from tracking.explain.trust import require_trust

    replayer = _replayer(options, answers, trusted=True)
    for run in runs:
        require_trust(run, Path(), options.folder, trusted=options.trust)
    return replayer


def _limits(options: argparse.Namespace) -> "Limits":
    from tracking.explain.limits import Limits

    return Limits(options.max_runs, options.budget, options.jobs)


@contextmanager
def _empty_folder(options: argparse.Namespace) -> Iterator[Path]:
    """For answers of this command alone, beside those that are kept: they may be larger than a system's temporary folder."""
    _require_project()
    kept = options.folder / "hybrids"
    kept.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=kept, prefix="anew-") as made:
        yield Path(made)


COMMANDS = {
    "explain": Command(
        "run again with one factor changed at a time: which difference moved the result", explain_options, explain
    ),
    "verify": Command("check a certificate that `explain` wrote, by running its hybrids again", verify_options, verify),
    "sign": Command("sign a certificate with an SSH key, for `verify --signer`", sign_options, sign),
    "band": Command(
        "run again under levers that should change nothing: how many decisions flip, and how many could",
        band_options,
        band,
    ),
    "reproduce": Command(
        "run a recorded run again, in its own environment: does it come back", reproduce_options, reproduce
    ),
}

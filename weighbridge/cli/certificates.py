"""Commands about certificates: verify, sign."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tracking.lookup.find import find_run
from weighbridge.cli.options import Command, add_folder, add_json, add_timeout, add_trust
from weighbridge.cli.output import print_json, print_progress
from weighbridge.cli.replaying import empty_folder, replayer_of
from weighbridge.process.exit_codes import FINDING, UNDECIDED

if TYPE_CHECKING:
    from tracking.explain.schema import Certificate
    from tracking.explain.verify import Check


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
    from tracking.explain.trust import are_known, known_runs, whose
    from tracking.explain.verify import decisive, undecided
    from tracking.explain.verify import verify as verified
    from tracking.pages.text_certificate import checks_text

    found = _certificate(options)
    known = known_runs(options.folder)
    trusted = options.trust or are_known(found["ends"].values(), Path(), known)
    every = [each["number"] for each in found["hybrids"]]
    chosen = {"none": [], "decisive": decisive(found), "all": every}[options.runs]
    numbers = chosen if options.hybrid is None else [options.hybrid]
    with empty_folder(options) as answers:
        checks = verified(found, numbers, replayer_of(options, answers, trusted=trusted), print_progress)
    checks += [whose(found, known), _signature(options)]
    if options.json:
        print_json({"checks": [asdict(each) for each in checks]})
    else:
        print(checks_text(checks), end="")
    if any(each.good is False for each in checks):
        return FINDING
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


COMMANDS = {
    "verify": Command("check a certificate that `explain` wrote, by running its hybrids again", verify_options, verify),
    "sign": Command("sign a certificate with an SSH key, for `verify --signer`", sign_options, sign),
}

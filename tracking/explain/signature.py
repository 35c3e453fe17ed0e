"""Who made a certificate: an SSH signature beside it, made and checked by `ssh-keygen -Y` (OpenSSH 8.2 or later)."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from tracking.replay.processes import TooLongError, allowed, run
from tracking.runs.errors import UserError

NAMESPACE = "weighbridge-certificate"  # a signature for another purpose is none of a certificate
SECONDS = 60.0
AGENT = "SSH_AUTH_SOCK"
SIGNER = re.compile(r"[A-Za-z0-9_.@+][A-Za-z0-9_.@+-]*")


def signature_of(path: Path) -> Path:
    """Where the signature of a certificate lies."""
    return path.with_name(f"{path.name}.sig")


def sign(path: Path, key: Path) -> Path:
    """Sign a certificate's bytes with an SSH key, and return the signature's file; one that lies there is replaced.

    Raises:
        UserError: there is no `ssh-keygen`, no such key, or it refuses.
    """
    if not key.is_file():
        raise UserError(f"--key: {key}: there is no such file")
    signature_of(path).unlink(missing_ok=True)
    # on the user's terminal: a key may ask for its passphrase
    command = [_program(), "-q", "-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(path)]
    ended = subprocess.run(command, env=_environ(), capture_output=False, stdout=subprocess.DEVNULL, check=False)
    if ended.returncode != 0 or not signature_of(path).is_file():
        raise UserError(f"{path}: not signed: ssh-keygen ended with {ended.returncode}")
    return signature_of(path)


def signed_by(content: bytes, signature: Path, signer: str, signers: Path) -> str:
    """Why these bytes are not signed by `signer`; empty where they are.

    Args:
        signers: who has which key, in the form of ssh-keygen's ALLOWED SIGNERS.

    Raises:
        UserError: there is no `ssh-keygen`, or no such file of signers.
    """
    if not SIGNER.fullmatch(signer):
        raise UserError(f"--signer: {signer!r} is no name of a signer, for example ada@example.org")
    if not signers.is_file():
        raise UserError(f"--signers: {signers}: there is no such file; each line names a signer and his public key")
    if not signature.is_file():
        return f"unsigned: {signature} is not there"
    options = ["-f", str(signers), "-I", signer, "-n", NAMESPACE, "-s", str(signature)]
    try:
        ended = run([_program(), "-Y", "verify", *options], _environ(), seconds=SECONDS, sent=content)
    except TooLongError:
        return f"ssh-keygen did not answer within {SECONDS:.0f} s"
    return "" if ended.returncode == 0 else f"not signed by {signer}: {_last(ended.stderr or ended.stdout)}"


def _last(text: str) -> str:
    return (text.strip() or "no reason given").splitlines()[-1]


def _program() -> str:
    if found := shutil.which("ssh-keygen"):
        return found
    raise UserError("ssh-keygen: not found; install OpenSSH to sign certificates and to check who signed them")


def _environ() -> dict[str, str]:
    agent = {AGENT: os.environ[AGENT]} if AGENT in os.environ else {}
    return {**allowed(os.environ), **agent}

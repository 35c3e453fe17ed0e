"""One file over HTTP: short timeouts, no retries that hang, resumed where it broke off, bounded, with progress.

Credentials in a URL are used and never shown.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tracking.runs.errors import UserError
from tracking.runs.secrets import redact_url
from weighbridge.process.progress import progress

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0  # without a single byte
MOST_BYTES = 64 * 2**30
_CHUNK = 2**20


def fetch_file(url: str, part: Path, *, insecure: bool, put_it: str) -> None:
    """Bring `part`, of which the beginning may be there from an earlier try, to the whole content of `url`.

    Args:
        insecure: whether plain http will do, because the content's hash is known.
        put_it: what a user without a network can do instead; said when there is none.

    Raises:
        UserError: no connection, no such file, too large, or cut short (then `part` keeps what arrived).
    """
    import requests

    shown = redact_url(url)
    try:
        with _request(requests, url, part) as answer:
            _require_usable(answer, shown, insecure)
            _write(answer, part, shown)
    except (requests.RequestException, UnicodeError) as problem:
        arrived = f"; {part.stat().st_size} bytes are kept for the next try" if part.is_file() else ""
        raise UserError(
            f"{shown}: {_reason(requests, problem)}; with a network run this again, or {put_it}{arrived}"
        ) from problem


def _request(requests: Any, url: str, part: Path) -> Any:
    have = part.stat().st_size if part.is_file() else 0
    asked = {"Range": f"bytes={have}-"} if have else {}
    headers = {"Accept-Encoding": "identity", **asked}  # or Content-Length counts other bytes than arrive
    answer = requests.get(url, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS), headers=headers)
    if have and answer.status_code == 416:  # nothing is left to send, or the file is another one now
        answer.close()
        part.unlink()
        return _request(requests, url, part)
    return answer


def _require_usable(answer: Any, shown: str, insecure: bool) -> None:
    hops = [hop.url for hop in (*answer.history, answer)]
    if not insecure and not all(hop.startswith("https://") for hop in hops):
        raise UserError(f"{shown}: leads over plain http ({redact_url(hops[-1])}); give its sha256 if that is meant")
    if answer.status_code not in (200, 206):
        raise UserError(f"{shown}: the server says {answer.status_code} {answer.reason}; nothing was downloaded")


def _write(answer: Any, part: Path, shown: str) -> None:
    have = part.stat().st_size if answer.status_code == 206 and part.is_file() else 0
    if have and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
        part.unlink()
        raise UserError(f"{shown}: the server sends another part than it was asked for; run this again")
    left = int(answer.headers.get("Content-Length", 0))
    _require_room(shown, have + left, left, part)
    part.parent.mkdir(parents=True, exist_ok=True)
    with part.open("ab" if have else "wb") as file:
        for chunk in progress(_chunks(answer), f"{shown} (MiB)", -(-left // _CHUNK) or None):
            file.write(chunk)
            _require_room(shown, file.tell(), 0, part)


def _chunks(answer: Any) -> Iterator[bytes]:
    yield from answer.iter_content(_CHUNK)


def _require_room(shown: str, size: int, left: int, part: Path) -> None:
    if size > MOST_BYTES:
        part.unlink(missing_ok=True)
        raise UserError(f"{shown}: larger than {MOST_BYTES} bytes; nothing was kept")
    folder = next(parent for parent in part.absolute().parents if parent.is_dir())
    if left > shutil.disk_usage(folder).free:
        raise UserError(f"{shown}: has {left} bytes to come, more than are free at {folder}")


def _reason(requests: Any, problem: Exception) -> str:
    kinds = {
        requests.exceptions.ProxyError: "the proxy cannot be reached or refuses",
        requests.exceptions.SSLError: "no secure connection",
        requests.Timeout: f"no answer within {CONNECT_SECONDS:.0f} s, or none for {READ_SECONDS:.0f} s",
        requests.exceptions.ChunkedEncodingError: "cut short",
        requests.ConnectionError: "no connection (offline?)",
    }
    return next((words for kind, words in kinds.items() if isinstance(problem, kind)), f"{type(problem).__name__}")

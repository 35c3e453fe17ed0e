"""Fetch published weights, by the name under which they are published or from a URL, unless they are there.

reads   what an earlier run wrote, and the caches of torch.hub, Keras and the Hugging Face hub
writes  <weights>/  the file (of a transformers repository: the files), and download.json: where from, and each file's sha256
params  downloads.<source>

Nothing is fetched when the file is there, or in its library's cache, with the right hash: the one pinned in params.yaml, or else
the one said by the publisher. It is verified before the file gets its name. A download that breaks off is resumed.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tracking.runs.errors import UserError
from tracking.runs.secrets import redact_url
from weighbridge.params.downloads import Download
from weighbridge.params.section import read
from weighbridge.process.stage import replacing, run
from weighbridge.weights.http import fetch_file
from weighbridge.weights.published_files import TRANSFORMERS_FILES, Remote, Repository, find_remote

RECORD = "download.json"
_PIN = " and give its `sha256` in params.yaml, for nothing else tells that it is the right one"


def download(wanted: Download, weights: Path, folder: Path) -> dict[str, Any]:
    """Put what is wanted into `folder`, out of `weights` (an earlier run's), a cache or the network; return the record of it.

    Raises:
        UserError: nothing is published by that name, no network, or another content than was promised.
    """
    asked = _asked(wanted)
    files = _kept(wanted, weights, asked)
    if files is not None:
        for file in files:
            shutil.copyfile(weights / file, folder / file)
        return {**asked, **_record(weights), "files": _hashes(folder)}
    remote = Remote(wanted.url, None) if wanted.url else find_remote(str(wanted.name), wanted.arguments)
    if isinstance(remote, Repository):
        origin = _from_hub(remote, wanted, weights, folder)
    else:
        origin = _from_file(remote, wanted, weights, folder)
    return {**asked, **origin, "files": _hashes(folder)}


def _asked(wanted: Download) -> dict[str, Any]:
    url = redact_url(wanted.url) if wanted.url else None
    return {"name": wanted.name, "url": url, "arguments": wanted.arguments}


def _record(weights: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((weights / RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _kept(wanted: Download, weights: Path, asked: dict[str, Any]) -> list[str] | None:
    """The files of an earlier run, or that the user has put there, if they are what is wanted.

    With the pinned file of a transformers repository, what else of one lies beside it is taken as the user put it there.
    """
    pinned = {wanted.file: wanted.sha256} if wanted.sha256 else {}
    record = _record(weights)
    same = all(record.get(key) == value for key, value in asked.items())
    expected = {**(record.get("files", {}) if same else {}), **pinned}
    right = wanted.file in expected and all(_matches(weights / file, sha256) for file, sha256 in expected.items())
    if right and not same and str(wanted.name).startswith("transformers/"):
        beside = (path.name for path in _files(weights) if any(path.match(pattern) for pattern in TRANSFORMERS_FILES))
        return sorted({*expected, *beside})
    return list(expected) if right else None


def _from_file(remote: Remote, wanted: Download, weights: Path, folder: Path) -> dict[str, Any]:
    checksum, algorithm = (wanted.sha256, "sha256") if wanted.sha256 else (remote.checksum, remote.algorithm())
    there = (weights / wanted.file, *remote.cached)
    source = next((path for path in there if checksum and _matches(path, checksum, algorithm)), None)
    if source is not None:
        shutil.copyfile(source, folder / wanted.file)
        return {"origin": redact_url(remote.url)}
    part = weights.with_name(f".{weights.name}.part-{wanted.file}")
    put_it = f"put the file at {weights / wanted.file}{'' if checksum else _PIN}"
    fetch_file(remote.url, part, insecure=wanted.sha256 is not None, put_it=put_it)
    if checksum and not _matches(part, checksum, algorithm):
        found = _digest(part, algorithm)
        part.unlink()
        raise UserError(
            f"{redact_url(remote.url)}: {algorithm} is {found}, not {checksum} as promised; nothing was kept"
        )
    part.replace(folder / wanted.file)
    return {"origin": redact_url(remote.url)}


def _from_hub(remote: Repository, wanted: Download, weights: Path, folder: Path) -> dict[str, Any]:
    snapshot = _snapshot(remote, weights / wanted.file)
    found = {
        wanted.file if len(remote.patterns) == 1 else path.name: path
        for path in sorted(snapshot.iterdir())
        if path.is_file()
    }
    if wanted.file not in found:
        names = ", ".join(found) or "nothing of use"
        raise UserError(f"{remote.name}: brings no {wanted.file!r}, but {names}; see `file` in params.yaml")
    if wanted.sha256 and (sha256 := _digest(found[wanted.file], "sha256")) != wanted.sha256:
        raise UserError(
            f"{remote.name}: sha256 of {wanted.file} is {sha256}, not {wanted.sha256} as pinned in params.yaml; "
            "nothing was kept"
        )
    for name, path in found.items():
        shutil.copyfile(path, folder / name)
    return {"origin": f"https://huggingface.co/{remote.name}", "revision": snapshot.name}


def _snapshot(remote: Repository, put_it: Path) -> Path:
    """Of the hub's own cache, after it has been brought up to date; the hub's library compares sizes and resumes."""
    os.environ |= {"HF_HUB_DISABLE_TELEMETRY": "1"}
    for name, seconds in (("HF_HUB_ETAG_TIMEOUT", "5"), ("HF_HUB_DOWNLOAD_TIMEOUT", "30")):
        os.environ.setdefault(name, seconds)
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(remote.name, allow_patterns=list(remote.patterns), ignore_patterns=["*/*"]))
    except ImportError as problem:
        raise UserError(f"params.yaml: {remote.name}: huggingface_hub is not installed") from problem
    except Exception as problem:
        said = " ".join(str(problem).split())[:200]
        raise UserError(
            f"https://huggingface.co/{remote.name}: cannot be fetched (offline?); with a network run this again, "
            f"or put the file at {put_it}{_PIN} ({type(problem).__name__}: {said})"
        ) from problem


def _hashes(folder: Path) -> dict[str, str]:
    return {path.name: _digest(path, "sha256") for path in _files(folder)}


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if path.name != RECORD)


def _matches(path: Path, checksum: str, algorithm: str = "sha256") -> bool:
    return path.is_file() and _digest(path, algorithm).startswith(checksum)


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def main(source: str, weights: Path) -> None:
    """Fetch what is missing; the folder takes its place whole."""
    wanted = read(Download, "downloads", source)
    with replacing(weights) as folder:
        folder.mkdir()
        record = download(wanted, weights, folder)
        (folder / RECORD).write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)

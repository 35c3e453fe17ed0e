"""A run of W&B's server, read over its HTTP interface without the SDK: `wandb:<entity>/<project>/<run id>`.

The key is that of `WANDB_API_KEY`, or of the server's entry in `~/.netrc`; the server `WANDB_BASE_URL`, else W&B's own. It goes
to that server alone: redirects are not followed. Fields of the query: `wandb/apis/public/runs.py` and `files.py` (0.31).
"""

import base64
import json
import netrc
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from tracking.foreign.wandb_run import packages_of, run_of
from tracking.runs.errors import UserError
from tracking.runs.run import Run

SERVER = "https://api.wandb.ai"
TIMEOUT = 20  # seconds, for one request
LARGEST = 32 * 2**20  # bytes of one answer
QUERY = """query Run($entity: String!, $project: String!, $name: String!) {
  project(name: $project, entityName: $entity) { run(name: $name) {
    name displayName commit config summaryMetrics
    files(names: ["requirements.txt", "wandb-metadata.json"], first: 2) { edges { node { name directUrl } } }
  } } }"""


def from_wandb(written: str) -> Run:
    """The run of that path.

    Raises:
        UserError: the path is none, no key is there, the server cannot be reached or refuses, or has no such run.
    """
    source = f"wandb:{written}"
    parts = written.removeprefix("/").split("/")
    if len(parts) == 4 and parts[2] == "runs":  # as in the address of the run's page
        del parts[2]
    if len(parts) != 3 or not all(parts):
        raise UserError(f"{source}: give wandb:<entity>/<project>/<run id>; a run on this disk is named by its folder")
    server = (os.environ.get("WANDB_BASE_URL") or SERVER).rstrip("/")
    key = _key(server)
    if not key:
        raise UserError(f"{source}: no key: set WANDB_API_KEY, or log in with `wandb login`")
    names = dict(zip(("entity", "project", "name"), parts, strict=True))
    answer = _asked(f"{server}/graphql", key, {"query": QUERY, "variables": names}, source)
    try:
        record = ((answer.get("data") or {}).get("project") or {}).get("run")
        if record is None:
            told = "; ".join(str(each.get("message")) for each in answer.get("errors") or ())[:200]
            raise UserError(f"{source}: there is no such run online{f' ({told})' if told else ''}")
        return _run(record, server, source)
    except (TypeError, AttributeError, KeyError, ValueError) as problem:
        raise UserError(f"{source}: the server's answer is not as W&B gives it ({problem!r:.200})") from problem


def _run(record: Mapping[str, Any], server: str, source: str) -> Run:
    config = json.loads(record.get("config") or "{}")
    params = {name: each["value"] for name, each in config.items() if isinstance(each, Mapping) and "value" in each}
    files = {
        edge["node"]["name"]: edge["node"].get("directUrl") for edge in (record.get("files") or {}).get("edges") or ()
    }
    texts = {name: _file(str(url), server, source) for name, url in files.items() if url}
    told = json.loads(texts.get("wandb-metadata.json") or "{}")
    facts = {"os.platform": told.get("os"), "python.version": told.get("python"), "gpu.0.name": told.get("gpu")}
    run = run_of(
        str(record.get("displayName") or record["name"]),
        params,
        json.loads(record.get("summaryMetrics") or "{}"),
        packages_of(texts.get("requirements.txt", "")),
        {name: str(value) for name, value in facts.items() if value},
    )
    return replace(run, code={"commit": str(record["commit"]), **run.code}) if record.get("commit") else run


# ---- the server


def _key(server: str) -> str:
    if key := os.environ.get("WANDB_API_KEY"):
        return key
    try:
        found = netrc.netrc().authenticators(urlsplit(server).hostname or "")
    except (OSError, netrc.NetrcParseError):
        return ""
    return str(found[2]) if found and found[2] else ""


def _asked(url: str, key: str, question: Mapping[str, Any], source: str) -> Mapping[str, Any]:
    token = base64.b64encode(f"api:{key}".encode()).decode()
    headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
    found = json.loads(_answer(urllib.request.Request(url, json.dumps(question).encode(), headers), source) or "null")  # noqa: S310
    if not isinstance(found, Mapping):
        raise UserError(f"{source}: the server's answer is not as W&B gives it")
    return found


def _file(url: str, server: str, source: str) -> str:
    """A file of the run, from the address that the server names: without the key, and by HTTPS unless it is the server's own."""
    parts, own = urlsplit(url), urlsplit(server)
    if parts.scheme != "https" and (parts.scheme, parts.netloc) != (own.scheme, own.netloc):
        return ""
    return _answer(urllib.request.Request(url), source)  # noqa: S310


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer of its own: it would carry the key to another server."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _answer(question: urllib.request.Request, source: str) -> str:
    if urlsplit(question.full_url).scheme not in ("https", "http"):
        raise UserError(f"{source}: WANDB_BASE_URL is no address of the web")
    try:
        with urllib.request.build_opener(_NoRedirect).open(question, timeout=TIMEOUT) as answer:
            content = answer.read(LARGEST + 1)
    except urllib.error.HTTPError as problem:
        why = "the key is refused" if problem.code in (401, 403) else f"the server answers {problem.code}"
        raise UserError(f"{source}: {why}") from None
    except (OSError, ValueError) as problem:
        raise UserError(f"{source}: {urlsplit(question.full_url).netloc} cannot be reached ({problem})") from None
    if len(content) > LARGEST:
        raise UserError(f"{source}: an answer larger than {LARGEST >> 20} MiB: not read")
    return str(content.decode("utf-8", errors="replace"))

"""The pages of `weighbridge ui`: read from files, written nowhere.

A browser on this machine also shows pages of strangers, so a request is answered only where its Host is this machine (a page that
makes its own name point here is refused), and every answer says that nothing but our script runs and that no page may hold it.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from pathlib import Path

from flask import Flask, Response, abort, request
from werkzeug.exceptions import HTTPException

from tracking.audit.audit import audit
from tracking.audit.claims import load_claims
from tracking.audit.compare import compare
from tracking.audit.matrix import matrix
from tracking.explain.schema import load
from tracking.lookup.find import run_files, sample_names
from tracking.lookup.said import said_by_both
from tracking.pages.html_audit import audit_page
from tracking.pages.html_certificate import certificate_page
from tracking.pages.html_compare import compare_page
from tracking.pages.html_matrix import matrix_page
from tracking.pages.html_runs import certificates_page, message_page, run_page, runs_page
from tracking.pages.templates import environment
from tracking.pages.text_certificate import headline
from tracking.pages.text_runs import runs_rows
from tracking.runs.errors import UserError
from tracking.runs.run import Run, readable
from weighbridge.process.files import marks

SITE = (("/report", "Report"), ("/", "Runs"), ("/matrix", "Matrix"), ("/certificates", "Certificates"))
HOSTS = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?")
LARGEST = 20_000_000  # bytes of a report that is shown
MOST = 200  # runs of one matrix


def site(folder: Path) -> Flask:
    """The pages about the runs, the report and the certificates of a folder."""
    app = Flask("weighbridge", static_folder=None)
    policy = str(environment().globals["policy"])
    app.before_request(_refuse_strangers)
    app.after_request(partial(_sealed, f"{policy}; frame-ancestors 'none'"))
    app.register_error_handler(UserError, lambda problem: (message_page("Cannot be shown", str(problem), SITE), 422))
    app.register_error_handler(HTTPException, _refused)
    views: Mapping[str, Callable[..., str]] = {
        "/": partial(_runs, folder),
        "/report": partial(_report, folder / "report.html", policy),
        "/run/<run_id>": partial(_run, folder),
        "/audit": partial(_audit, folder),
        "/compare": partial(_compare, folder),
        "/matrix": partial(_matrix, folder),
        "/certificates": partial(_certificates, folder / "certificates"),
        "/certificates/<name>": partial(_certificate, folder / "certificates"),
    }
    for address, view in views.items():
        app.add_url_rule(address, address, view, methods=["GET"])
    return app


def _refuse_strangers() -> None:
    if not HOSTS.fullmatch(request.host):
        abort(403, "This address is not the one of this machine: open http://127.0.0.1 with the port that was printed.")


def _sealed(policy: str, answer: Response) -> Response:
    answer.headers |= {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
    return answer


def _refused(problem: HTTPException) -> tuple[str, int]:
    return message_page(problem.name, problem.description or "", SITE), problem.code or 500


# ---- runs


def _known(folder: Path) -> tuple[list[tuple[Path, Run]], int]:
    """Every run that can be read, and how many files cannot; a file that is as it was is not read again for each page."""
    broken: list[UserError] = []
    return list(readable(run_files(folder), broken.append, lambda path: _loaded(path, marks(path)))), len(broken)


@lru_cache(maxsize=2000)
def _loaded(path: Path, _marks: tuple[int, ...]) -> Run:
    return Run.load(path)


def _by_id(known: Iterable[tuple[Path, Run]]) -> dict[str, Run]:
    return {run.id: run for _, run in known}


def _wanted(runs: Mapping[str, Run], run_id: str) -> Run:
    if run_id not in runs:
        abort(404, "There is no such run here.")
    return runs[run_id]


def _runs(folder: Path) -> str:
    known, broken = _known(folder)
    before = request.args.get("before")
    runs = _by_id(known)
    chosen = _wanted(runs, before) if before else None
    return runs_page(runs_rows(known, folder), runs, chosen, broken, SITE)


def _run(folder: Path, run_id: str) -> str:
    runs = _by_id(_known(folder)[0])
    return run_page(_wanted(runs, run_id), _places(folder / "published.json", run_id), SITE)


def _places(published: Path, run_id: str) -> dict[str, str]:
    """The run's addresses by tracker, as the last publishing noted them."""
    try:
        noted = json.loads(published.read_text(encoding="utf-8"))[run_id]
        return {str(name): str(place) for name, place in noted.items() if name != "subject"}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _pair(folder: Path) -> tuple[Run, Run]:
    runs = _by_id(_known(folder)[0])
    return _wanted(runs, request.args.get("before", "")), _wanted(runs, request.args.get("after", ""))


def _audit(folder: Path) -> str:
    return audit_page([audit(*_pair(folder))], SITE)


def _compare(folder: Path) -> str:
    first, second = _pair(folder)
    said = said_by_both(first, second, folder)
    return compare_page(compare(first, second, load_claims()), sample_names(first, folder), said, SITE)


def _matrix(folder: Path) -> str:
    """Of the ticked runs; of every current one where none is ticked."""
    asked, (known, _) = request.args.getlist("run")[:MOST], _known(folder)
    runs, current = _by_id(known), [run for path, run in known if path.parent == folder / "runs"]
    return matrix_page(matrix([_wanted(runs, each) for each in asked] or current[:MOST]), SITE)


# ---- files


def _report(path: Path, policy: str) -> str:
    """The report as it is on disk, where it is one of this version: a page with another script would be shown without it."""
    try:
        page = path.read_text(encoding="utf-8") if path.stat().st_size <= LARGEST else ""
    except (OSError, UnicodeError):
        abort(404, "There is no report here: `weighbridge repro` writes it.")
    if policy.replace("'", "&#39;") not in page:
        abort(404, "The report here was written by another version: `weighbridge repro` writes it again.")
    links = " ".join(f'<a href="{address}">{name}</a>' for address, name in SITE)
    return page.replace("<body>", f'<body>\n<nav class="site" aria-label="Pages">{links}</nav>', 1)


def _certificates(folder: Path) -> str:
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            values = load(path)
            found.append((path, str(values["verdict"]), headline(values)))
        except UserError as problem:
            found.append((path, "", str(problem)))
    return certificates_page(found, SITE)


def _certificate(folder: Path, name: str) -> str:
    if name not in {path.name for path in folder.glob("*.json")}:
        abort(404, "There is no such certificate here.")
    return certificate_page(load(folder / name), SITE)

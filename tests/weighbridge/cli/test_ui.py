"""`weighbridge ui` reads, answers this machine only, and runs nothing of what it shows."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.tracking.audit.test_audit import weighed, wrong
from tracking.pages.templates import environment
from tracking.runs.findings import Finding, Verdict
from tracking.runs.run import Run
from weighbridge.cli.site import site
from weighbridge.cli.ui import LOOPBACK

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7 * 7 }}"
BEFORE = weighed()
AFTER = weighed(top1=wrong(20), facts={"package.pillow": "11.3.0"})
HERE = "http://127.0.0.1:8460"


def hostile() -> Run:
    """A run whose every text is an attempt to script the page."""
    found = (Finding(HOSTILE, HOSTILE, Verdict.FAIL, HOSTILE, {HOSTILE: HOSTILE}),)
    return weighed(
        subject=HOSTILE.replace("/", ""),  # a name with a slash is refused with its file
        command=HOSTILE,
        code={"commit": HOSTILE, "dirty": True},
        params={"model.framework": HOSTILE, "model.backend": HOSTILE},
        findings=found,
        facts={HOSTILE: HOSTILE},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Runs, and no pipeline, params or repository."""
    for number, run in enumerate((BEFORE, AFTER)):
        run.save(tmp_path / f"runs/{number}.json")
    return tmp_path


@pytest.fixture
def client(folder: Path) -> FlaskClient:
    return site(folder).test_client()


def get(client: FlaskClient, address: str, **options: Any) -> str:
    answer = client.get(address, base_url=HERE, **options)
    assert answer.status_code == 200, answer.text
    return answer.text


def links(page: str) -> list[str]:
    return [each.replace("&amp;", "&") for each in re.findall(r'href="(/[^"]*)"', page)]


def test_two_clicks_lead_to_the_audit_of_any_two(client: FlaskClient) -> None:
    first = next(each for each in links(get(client, "/")) if each == f"/?before={BEFORE.id}")
    second = next(each for each in links(get(client, first)) if each.startswith("/audit"))
    page = get(client, second)
    assert "package.pillow" in page
    assert ">explained</h1>" in page


def test_every_page_that_a_page_leads_to_is_there(client: FlaskClient, folder: Path) -> None:
    (folder / "report.html").write_text(environment().get_template("base.jinja").render())
    seen, wanted = set(), ["/"]
    while wanted:
        address = wanted.pop()
        seen.add(address)
        wanted += [each for each in links(get(client, address)) if each not in seen and each not in wanted]
    assert {each.partition("?")[0].partition("/run/")[0] or "/run" for each in seen} == {
        *("/", "/report", "/run", "/audit", "/compare", "/matrix", "/certificates"),
    }


def test_a_report_of_another_version_is_not_shown_without_its_style(client: FlaskClient, folder: Path) -> None:
    (folder / "report.html").write_text("<script>alert(1)</script>")
    answer = client.get("/report", base_url=HERE)
    assert answer.status_code == 404
    assert "weighbridge repro" in answer.text
    assert "alert" not in answer.text


class Elements(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def scripted(page: str) -> list[tuple[str, dict[str, str | None]]]:
    """Elements that run something, but for our script."""
    elements = Elements(page).found
    scripts = [each for each in elements if each[0] in ("script", "iframe", "object", "embed", "img", "base")]
    handlers = [each for each in elements if any(name.startswith("on") for name in each[1])]
    addresses = [each for each in elements if "javascript:" in (each[1].get("href") or "")]
    return [*scripts[1:], *handlers, *addresses]


def test_nothing_of_a_strangers_run_scripts_a_page(folder: Path) -> None:
    stranger = hostile()
    stranger.save(folder / "runs/2.json")
    (folder / "certificates").mkdir()
    (folder / "certificates" / "<img src=x onerror=alert(1)>.json").write_text(f'{{"{HOSTILE[:8]}": 1}}')
    client = site(folder).test_client()
    pages = [
        get(client, address)
        for address in (
            *("/", "/matrix", "/certificates", f"/run/{stranger.id}"),
            f"/?before={stranger.id}",
            f"/audit?before={BEFORE.id}&after={stranger.id}",
            f"/compare?before={BEFORE.id}&after={stranger.id}",
        )
    ]
    assert [scripted(page) for page in pages] == [[]] * len(pages)
    assert "49<" not in "".join(pages)
    assert scripted(f"<script></script>{HOSTILE}") != []  # the test can fail


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "192.168.0.1:8460", "localhost.evil:8460"])
def test_a_name_that_is_not_this_machine_is_refused(client: FlaskClient, host: str) -> None:
    answer = client.get("/", headers={"Host": host})
    assert answer.status_code == 403
    assert BEFORE.subject not in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1:8460", "localhost:1", "localhost", "[::1]:8460"])
def test_this_machine_is_answered(client: FlaskClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_written(client: FlaskClient, method: str) -> None:
    assert client.open("/", method=method, base_url=HERE).status_code == 405


@pytest.mark.parametrize(
    "address",
    [
        *(
            "/run/x",
            "/audit",
            "/audit?before=../../etc/passwd&after=x",
            "/certificates/..%2f..%2fetc%2fpasswd",
            "/nothing",
        ),
        *("/?before=mlflow:1", "/matrix?run=https://evil.example"),
    ],
)
def test_what_is_not_there_is_said_and_nothing_else_is_read(client: FlaskClient, address: str) -> None:
    answer = client.get(address, base_url=HERE)
    assert answer.status_code == 404
    assert "root:" not in answer.text


def test_every_answer_says_that_nothing_of_others_runs_and_that_nobody_frames_it(client: FlaskClient) -> None:
    for address in ("/", "/nothing"):
        headers = client.get(address, base_url=HERE).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"


def test_a_file_that_is_no_run_is_counted_and_hides_no_other(client: FlaskClient, folder: Path) -> None:
    (folder / "runs/broken.json").write_text("{")
    page = get(client, "/")
    assert "1 files are no run" in page
    assert page.count("from here</a>") == 2


def test_without_runs_it_says_what_makes_them(tmp_path: Path) -> None:
    assert "weighbridge repro" in get(site(tmp_path).test_client(), "/")


def test_it_is_served_on_this_machine_only() -> None:
    assert LOOPBACK == "127.0.0.1"


def test_a_run_is_read_once_until_its_file_is_another(
    folder: Path, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    load = Run.load
    monkeypatch.setattr(Run, "load", lambda path: read.append(path.name) or load(path))
    pages = [get(client, "/"), get(client, "/")]
    assert (read, pages[0]) == (["0.json", "1.json"], pages[1])
    weighed(subject="renamed").save(folder / "runs/1.json")
    (folder / "runs/0.json").unlink()
    changed = get(client, "/")
    assert read == ["0.json", "1.json", "1.json"]
    assert "renamed" in changed
    assert AFTER.id not in changed

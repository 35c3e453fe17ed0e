"""Runs of W&B online, from a stand-in on the loopback interface that answers as the real server does."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tracking.audit.audit import audit
from tracking.lookup import wandb_online
from tracking.lookup.find import find_run
from tracking.runs.errors import UserError

KEY = "0" * 40


class Server(ThreadingHTTPServer):
    """What it keeps, and what it was asked."""

    runs: dict[str, dict[str, Any]]
    seen: list[tuple[str, str]]
    status = 200
    body: bytes | None = None


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, self.headers["Authorization"]))
        name = asked["variables"]["name"]
        found = {"data": {"project": {"run": self.server.runs.get(name)}}}
        self.answer(self.server.body or json.dumps(found).encode())

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers.get("Authorization", "")))
        self.answer(b"torch==2.13.0\n" if "requirements" in self.path else b'{"os": "Linux-6", "gpu": "NVIDIA H100"}')

    def answer(self, content: bytes) -> None:
        self.send_response(self.server.status)
        if self.server.status == 302:
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    found = Server(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{found.server_port}"
    found.seen = []
    found.runs = {name: run(url, rate, accuracy) for name, rate, accuracy in (("aa", 0.1, 0.9), ("bb", 0.2, 0.8))}
    monkeypatch.setenv("WANDB_BASE_URL", url)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield found
    found.shutdown()
    found.server_close()


def run(url: str, rate: float, accuracy: float) -> dict[str, Any]:
    files = [
        {"node": {"name": name, "directUrl": f"{url}/{name}"}} for name in ("requirements.txt", "wandb-metadata.json")
    ]
    files.append({"node": {"name": "other", "directUrl": "file:///etc/passwd"}})
    return {
        "name": "aa",
        "displayName": "good-name-1",
        "commit": "c" * 40,
        "config": json.dumps({"lr": {"value": rate, "desc": None}, "_wandb": {"value": {}}}),
        "summaryMetrics": json.dumps({"accuracy": accuracy, "_runtime": 9, "train_runtime": rate}),
        "files": {"edges": files},
    }


def test_two_runs_online_are_audited_and_the_key_goes_to_the_server_alone(server: Server) -> None:
    one, other = find_run("wandb:me/project/aa"), find_run("wandb:me/project/runs/bb")
    assert (one.subject, one.params, one.code) == ("good-name-1", {"lr": 0.1}, {"commit": "c" * 40})
    assert one.environment == {"package.torch": "2.13.0", "os.platform": "Linux-6", "gpu.0.name": "NVIDIA H100"}
    found = audit(one, other)
    assert [each.name for each in found.suspects] == ["param.lr"]
    assert found.grades.metrics == {"accuracy": (0.9, 0.8)}
    token = "Basic " + base64.b64encode(f"api:{KEY}".encode()).decode()
    assert {(path, sent) for path, sent in server.seen} == {
        ("/graphql", token),
        ("/requirements.txt", ""),
        ("/wandb-metadata.json", ""),
    }


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, None, "the key is refused"),
        (500, None, "the server answers 500"),
        (302, None, "the server answers 302"),
        (200, b"[]", "not as W&B gives it"),
        (200, b'{"data": {"project": {"run": {"name": "x", "config": "3"}}}}', "not as W&B gives it"),
        (
            200,
            b'{"data": null, "errors": [{"message": "permission denied"}]}',
            r"no such run online \(permission denied\)",
        ),
    ],
)
def test_what_the_server_refuses_is_one_line_without_the_key(
    status: int, body: bytes | None, said: str, server: Server
) -> None:
    server.status, server.body = status, body
    with pytest.raises(UserError, match=said) as problem:
        find_run("wandb:me/project/aa")
    assert KEY not in str(problem.value)


def test_a_run_that_is_not_there_and_a_path_that_is_none_are_said(server: Server) -> None:
    with pytest.raises(UserError, match="there is no such run online"):
        find_run("wandb:me/project/cc")
    with pytest.raises(UserError, match="give wandb:<entity>/<project>/<run id>"):
        find_run("wandb:aa")


def test_an_endless_answer_is_not_read(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wandb_online, "LARGEST", 10)
    with pytest.raises(UserError, match="larger than"):
        find_run("wandb:me/project/aa")


def test_without_a_key_nobody_is_asked_and_a_netrc_has_one(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UserError, match="no key: set WANDB_API_KEY"):
        find_run("wandb:me/project/aa")
    assert server.seen == []
    (tmp_path / ".netrc").write_text(f"machine 127.0.0.1 login user password {KEY}\n")
    (tmp_path / ".netrc").chmod(0o600)
    assert find_run("wandb:me/project/aa").params == {"lr": 0.1}


def test_a_server_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with pytest.raises(UserError, match="127.0.0.1:9 cannot be reached"):
        find_run("wandb:me/project/aa")

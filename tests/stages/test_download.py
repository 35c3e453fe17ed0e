"""Downloads: verified before they get their name, resumed, and one line when there is no network."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from stages import download as module
from stages.download import download
from tests.import_graph import ROOT
from tests.installed import needs
from tracking.runs.errors import UserError
from weighbridge.params.downloads import Download
from weighbridge.process.stage import replacing
from weighbridge.weights import http as _http
from weighbridge.weights.http import fetch_file
from weighbridge.weights.published_files import Remote, Repository, find_remote

CONTENT = bytes(range(256)) * 8000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Served:
    """A server of one file, and what it was asked."""

    url: str
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    cut_after: int | None = None
    ranges: bool = True


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    served = Served("")

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_args: Any) -> None:
            pass

        def do_GET(self) -> None:
            served.asked.append((self.path, self.headers.get("Range")))
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", "/weights.bin")
                self.end_headers()
                return
            if self.path.partition("?")[0] != "/weights.bin":
                self.send_error(404)
                return
            start = int((self.headers.get("Range") or "bytes=0-")[6:-1]) if served.ranges else 0
            if start >= len(CONTENT):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(CONTENT) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
            self.end_headers()
            self.wfile.write(CONTENT[start:][: served.cut_after])

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield served
    server.shutdown()
    server.server_close()


def wanted(url: str | None, sha256: str | None = SHA256, name: str | None = None) -> Download:
    return Download(name=name, url=url, arguments={}, file="weights.bin", sha256=sha256)


def fetched(asked: Download, weights: Path) -> dict[str, Any]:
    """As the stage's `main` does it."""
    with replacing(weights) as folder:
        folder.mkdir()
        record = download(asked, weights, folder)
        (folder / "download.json").write_text(json.dumps(record))
    return record


def test_a_file_arrives_verified_and_is_not_fetched_again(served: Served, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    record = fetched(wanted(f"{served.url}/weights.bin?token=secret"), weights)
    assert (weights / "weights.bin").read_bytes() == CONTENT
    assert record["files"] == {"weights.bin": SHA256}
    assert "secret" not in json.dumps(record)
    assert fetched(wanted(f"{served.url}/weights.bin?token=secret"), weights) == record
    assert len(served.asked) == 1
    assert list(tmp_path.iterdir()) == [weights]


def test_a_file_that_the_user_has_put_there_needs_no_network(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/weights.bin").write_bytes(CONTENT)
    fetched(wanted("http://127.0.0.1:9/weights.bin"), tmp_path / "weights")
    assert (tmp_path / "weights/weights.bin").read_bytes() == CONTENT


def test_a_file_with_another_hash_is_fetched_anew(served: Served, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/weights.bin").write_bytes(b"old")
    fetched(wanted(f"{served.url}/weights.bin"), tmp_path / "weights")
    assert (tmp_path / "weights/weights.bin").read_bytes() == CONTENT


def test_a_wrong_hash_is_refused_and_nothing_is_kept(served: Served, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"sha256 is {SHA256}, not {'0' * 64} as promised; nothing was kept"):
        fetched(wanted(f"{served.url}/weights.bin", "0" * 64), tmp_path / "weights")
    assert list(tmp_path.iterdir()) == []


def test_a_redirect_is_followed(served: Served, tmp_path: Path) -> None:
    fetched(wanted(f"{served.url}/moved"), tmp_path / "weights")
    assert [path for path, _ in served.asked] == ["/moved", "/weights.bin"]


def test_a_missing_file_is_named(served: Served, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"/absent: the server says 404 Not Found; nothing was downloaded"):
        fetched(wanted(f"{served.url}/absent"), tmp_path / "weights")


def test_a_download_that_breaks_off_is_resumed(served: Served, tmp_path: Path) -> None:
    served.cut_after = 2**20 + 5
    with pytest.raises(UserError, match=r"cut short; .*; \d+ bytes are kept for the next try"):
        fetched(wanted(f"{served.url}/weights.bin"), tmp_path / "weights")
    assert not (tmp_path / "weights").exists()
    served.cut_after = None
    fetched(wanted(f"{served.url}/weights.bin"), tmp_path / "weights")
    assert (tmp_path / "weights/weights.bin").read_bytes() == CONTENT
    resumed = served.asked[1][1]
    assert resumed is not None
    assert int(resumed.removeprefix("bytes=").rstrip("-")) >= 2**20


@pytest.mark.parametrize("have", [1000, len(CONTENT), len(CONTENT) + 9])
@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "no ranges"])
def test_whatever_lies_there_from_before_the_content_is_whole(
    served: Served, tmp_path: Path, have: int, ranges: bool
) -> None:
    served.ranges = ranges
    part = tmp_path / "part"
    part.write_bytes((CONTENT + b"x" * 9)[:have])
    fetch_file(f"{served.url}/weights.bin", part, insecure=True, put_it="wait")
    assert part.read_bytes() == CONTENT


def test_plain_http_needs_a_hash(served: Served, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="leads over plain http .*give its sha256"):
        fetch_file(f"{served.url}/moved", tmp_path / "part", insecure=False, put_it="wait")
    assert not (tmp_path / "part").exists()


def test_a_file_that_is_too_large_is_not_kept(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_http, "MOST_BYTES", 1000)
    with pytest.raises(UserError, match="larger than 1000 bytes; nothing was kept"):
        fetched(wanted(f"{served.url}/weights.bin"), tmp_path / "weights")
    assert list(tmp_path.iterdir()) == []


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.parametrize(
    ("host", "proxy", "words"),
    [
        ("127.0.0.1:{port}", None, r"no connection \(offline\?\)"),
        ("no-such-host.invalid", None, r"no connection \(offline\?\)"),
        ("no-such-host.invalid", "http://127.0.0.1:{port}", "the proxy cannot be reached or refuses"),
    ],
)
def test_offline_is_one_line_without_the_credentials_of_the_url(
    host: str, proxy: str | None, words: str, tmp_path: Path, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = closed_port()
    if proxy:
        monkeypatch.setenv("http_proxy", proxy.format(port=port))
    url = f"http://user:hunter2@{host.format(port=port)}/weights.bin?key=hunter2"
    with pytest.raises(UserError, match=words) as caught:
        fetched(wanted(url), tmp_path / "weights")
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "with a network run this again, or put the file at" in str(caught.value)


def test_a_published_file_in_its_librarys_cache_is_taken_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = tmp_path / "cache.pth"
    cached.write_bytes(CONTENT)
    remote = Remote("https://no-such-host.invalid/w.pth", SHA256[:8], (tmp_path / "absent.pth", cached))
    monkeypatch.setattr(module, "find_remote", lambda _name, _arguments: remote)
    record = fetched(wanted(None, None, "torchvision/ResNet18/IMAGENET1K_V1"), tmp_path / "weights")
    assert record["files"] == {"weights.bin": SHA256}
    assert record["origin"] == remote.url


def test_a_cached_file_with_another_hash_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache.pth").write_bytes(b"damaged")
    remote = Remote("https://no-such-host.invalid/w.pth", SHA256[:8], (tmp_path / "cache.pth",))
    monkeypatch.setattr(module, "find_remote", lambda _name, _arguments: remote)
    with pytest.raises(UserError, match="offline"):
        fetched(wanted(None, None, "torchvision/ResNet18/IMAGENET1K_V1"), tmp_path / "weights")


def test_a_repository_brings_its_files_and_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = tmp_path / "0123abc"
    snapshot.mkdir()
    for name in ("config.json", "weights.bin"):
        (snapshot / name).write_bytes(CONTENT)
    asked = []
    monkeypatch.setattr(module, "_snapshot", lambda remote, _put_it: asked.append(remote) or snapshot)
    record = fetched(wanted(None, None, "transformers/someone/model"), tmp_path / "weights")
    assert record["revision"] == "0123abc"
    assert record["files"] == {"config.json": SHA256, "weights.bin": SHA256}
    assert fetched(wanted(None, None, "transformers/someone/model"), tmp_path / "weights") == record
    assert len(asked) == 1


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Repository]:
    """One on the hub, of a configuration and weights, and what it was asked for."""
    snapshot = tmp_path / "0123abc"
    snapshot.mkdir()
    (snapshot / "config.json").write_bytes(b"{}")
    (snapshot / "weights.bin").write_bytes(CONTENT)
    asked: list[Repository] = []

    def fetch(remote: Repository, _put_it: Path) -> Path:
        asked.append(remote)
        return snapshot

    monkeypatch.setattr(module, "_snapshot", fetch)
    one = Repository("timm/resnet18.a1_in1k", ("weights.bin",))
    two = Repository("someone/model", ("*.json", "*.bin"))
    monkeypatch.setattr(module, "find_remote", lambda name, _arguments: one if name.startswith("timm") else two)
    return asked


@pytest.mark.parametrize("name", ["timm/resnet18.a1_in1k", "transformers/someone/model"])
def test_a_pinned_hash_counts_for_files_of_the_hub_too(name: str, repository: list[Repository], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"sha256 of weights.bin is {SHA256}, not {'0' * 64} as pinned") as caught:
        fetched(wanted(None, "0" * 64, name), tmp_path / "weights")
    assert "nothing was kept" in str(caught.value)
    assert not (tmp_path / "weights").exists()
    assert fetched(wanted(None, SHA256, name), tmp_path / "weights")["files"]["weights.bin"] == SHA256
    assert len(repository) == 2


def test_a_pinned_file_of_a_repository_stays_with_what_was_put_beside_it(
    repository: list[Repository], tmp_path: Path
) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    for name in ("weights.bin", "config.json", "notes.py"):
        (weights / name).write_bytes(CONTENT)
    fetched(wanted(None, SHA256, "transformers/someone/model"), weights)
    assert {path.name for path in weights.iterdir()} == {"weights.bin", "config.json", "download.json"}
    assert repository == []


def test_a_file_that_the_user_has_put_there_is_held_against_what_its_publisher_declares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = Remote("https://no-such-host.invalid/w.pth", SHA256[:8])
    monkeypatch.setattr(module, "find_remote", lambda _name, _arguments: remote)
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "weights.bin").write_bytes(b"another")
    with pytest.raises(UserError, match="put the file at .*weights.bin$"):
        fetched(wanted(None, None, "torchvision/ResNet18/IMAGENET1K_V1"), weights)
    (weights / "weights.bin").write_bytes(CONTENT)
    assert fetched(wanted(None, None, "torchvision/ResNet18/IMAGENET1K_V1"), weights)["files"] == {
        "weights.bin": SHA256
    }


def test_where_nothing_tells_that_a_file_is_the_right_one_the_advice_is_to_pin_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "find_remote", lambda *_: Remote("https://no-such-host.invalid/w.h5", None))
    with pytest.raises(UserError, match="put the file at .*weights.bin and give its `sha256` in params.yaml"):
        fetched(wanted(None, None, "keras/MobileNet/imagenet"), tmp_path / "weights")


def test_offline_the_hub_is_one_line_that_says_to_pin_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")

    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionError("no\nnetwork")

    monkeypatch.setattr(hub, "snapshot_download", fail)
    with pytest.raises(UserError, match="put the file at .* and give its `sha256`") as caught:
        module._snapshot(Repository("someone/model", ("*.json",)), tmp_path / "w.safetensors")
    assert "\n" not in str(caught.value)


def test_the_command_ends_with_exit_code_2_and_one_line(tmp_path: Path) -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    url = f"http://127.0.0.1:{closed_port()}/w"
    line = f"downloads: {{w: {{name: null, url: '{url}', arguments: {{}}, file: w, sha256: {SHA256}}}}}"
    assert "downloads: {}" in text
    (tmp_path / "params.yaml").write_text(text.replace("downloads: {}", line), encoding="utf-8")
    command = [sys.executable, "-m", "stages.download", "--source", "w", "--weights", "weights/w"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1"}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended.stderr
    assert not (tmp_path / "weights/w").exists()


def test_torchvisions_names_are_found_in_its_own_table() -> None:
    needs("torchvision")
    found = find_remote("torchvision/ResNet50/IMAGENET1K_V2", {})
    assert isinstance(found, Remote)
    assert found.url.endswith("/resnet50-11ad3fa6.pth")
    assert (found.checksum, found.algorithm()) == ("11ad3fa6", "sha256")
    with pytest.raises(UserError, match="torchvision publishes no such weights; did you mean 'IMAGENET1K_V.'"):
        find_remote("torchvision/ResNet50/IMAGENET1K_V9", {})


def test_timms_names_are_found_in_its_own_table() -> None:
    needs("timm")
    assert find_remote("timm/resnet50.a1_in1k", {}) == Repository("timm/resnet50.a1_in1k", ("model.safetensors",))
    with pytest.raises(UserError, match="timm publishes no such weights; did you mean 'resnet50"):
        find_remote("timm/resnet50.a9_in1k", {})


def test_keras_names_are_found_by_asking_its_builder() -> None:
    needs("keras")
    found = find_remote("keras/MobileNet/imagenet", {"alpha": 0.25})
    assert isinstance(found, Remote)
    assert found.url.endswith("/mobilenet_2_5_224_tf.h5")
    assert find_remote("keras/ResNet50/imagenet", {}).algorithm() == "md5"  # type: ignore[union-attr]
    with pytest.raises(UserError, match="keras publishes no such weights"):
        find_remote("keras/ResNet51/imagenet", {})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"url": None, "name": None}, "give either `name` or `url`"),
        ({"name": "timm/x"}, "give either `name` or `url`"),
        ({"sha256": None}, "give its sha256"),
        ({"url": "file:///etc/passwd"}, "url"),
        ({"file": "../w"}, "file"),
        ({"url": None, "name": "hub/x"}, "name"),
    ],
)
def test_a_download_that_says_too_little_is_refused(changes: dict[str, Any], words: str) -> None:
    right = {"name": None, "url": "https://x.org/w", "arguments": {}, "file": "w", "sha256": SHA256}
    with pytest.raises(ValueError, match=words):
        Download.model_validate({**right, **changes})
    assert Download.model_validate(right).file == "w"

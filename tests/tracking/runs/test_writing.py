"""Files are written whole or not at all; a cut one gives one clear line, a newer one is called newer."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tracking.capture.environment import Environment
from tracking.explain import schema
from tracking.runs.errors import UserError
from tracking.runs.findings import Finding, Verdict, load_findings, save_findings
from tracking.runs.run import Run
from tracking.runs.writing import replacing, write_json, write_text
from weighbridge.process.files import read_array, read_json

RUN = Run("net", "infer", {"a": 1}, {"images": "0" * 32}, {"os": "linux"}, {"commit": "c"}, {"top1": 0.5})
FINDING = Finding("check", "net", Verdict.PASS, "it is right: 1 of 1", {"top1": 1.0})


def save_array(path: Path) -> None:
    with replacing(path) as partial, partial.open("wb") as file:
        np.save(file, np.arange(6, dtype=np.float32))


def load_certificate(path: Path) -> Any:
    return schema.load(path)


KINDS: dict[str, tuple[Callable[[Path], Any], Callable[[Path], Any]]] = {
    "run": (RUN.save, Run.load),
    "environment": (Environment("torch", {"package.torch": "2.13"}).save, Environment.load),
    "findings": (lambda path: save_findings([FINDING], path), load_findings),
    "certificate": (lambda path: schema.save({"schema": 1, "sha256": "0"}, path), load_certificate),
    "json": (lambda path: write_json(path, {"a": [1, 2], "b": "c"}), read_json),
    "array": (save_array, read_array),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_at_any_byte_gives_one_clear_line(kind: str, tmp_path: Path) -> None:
    save, load = KINDS[kind]
    path = tmp_path / "file"
    save(path)
    whole = path.read_bytes()
    assert whole.endswith(b"\n") or kind == "array"
    for length in range(len(whole) - 1):  # without its last line break, text says the same
        path.write_bytes(whole[:length])
        with pytest.raises(UserError) as raised:
            load(path)
        assert "\n" not in str(raised.value)
        assert str(path) in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "load"), [("run", Run.load), ("environment", Environment.load), ("certificate", load_certificate)]
)
def test_a_newer_file_is_called_newer(kind: str, load: Callable[[Path], Any], tmp_path: Path) -> None:
    KINDS[kind][0](tmp_path / "file")
    values = json.loads((tmp_path / "file").read_text())
    (tmp_path / "file").write_text(json.dumps({**values, "schema": 99, "further": 1}))
    with pytest.raises(UserError, match="made by a newer Weighbridge \\(schema 99"):
        load(tmp_path / "file")


def test_a_run_with_a_key_that_is_not_known_is_not_called_edited_alone(tmp_path: Path) -> None:
    values = {**RUN.to_dict(), "further": 1, "id": "0" * 64}
    (tmp_path / "run").write_text(json.dumps(values))
    with pytest.raises(UserError, match="made by a newer Weighbridge, or edited: this one does not know further"):
        Run.load(tmp_path / "run")


def test_what_stands_beside_a_file_goes_when_it_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path / "file", "old")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*file'"):
        write_text(tmp_path / "file", "new")
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_the_old_file_is_whole_when_the_writer_is_killed_before_it_ends(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "old")
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom tracking.runs.writing import write_text\n"
        "os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_text(Path(sys.argv[1]), 'new')"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path / "file")], check=False)
    assert ended.returncode == -9
    assert (tmp_path / "file").read_text() == "old"


def test_many_writers_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    texts = [str(number) * 5000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: write_text(tmp_path / "file", text), texts))
    assert (tmp_path / "file").read_text() in texts
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_keeps_its_rights_and_a_new_one_has_the_usual(tmp_path: Path) -> None:
    (tmp_path / "usual").write_text("")
    write_text(tmp_path / "new", "")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "usual").stat().st_mode
    (tmp_path / "new").chmod(0o600)
    write_text(tmp_path / "new", "again")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600


def test_a_folder_takes_the_place_of_another_whole(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with replacing(tmp_path / "folder") as partial:
            partial.mkdir()
            (partial / name).write_text(name)
    assert os.listdir(tmp_path / "folder") == ["two"]
    assert os.listdir(tmp_path) == ["folder"]


def test_a_folder_that_failed_leaves_the_old_one(tmp_path: Path) -> None:
    with replacing(tmp_path / "folder") as partial:
        partial.mkdir()
    with pytest.raises(FileExistsError), replacing(tmp_path / "folder") as partial:
        [partial.mkdir() for _ in "half way"]
    assert os.listdir(tmp_path) == ["folder"]
    shutil.rmtree(tmp_path / "folder")

"""Runs of W&B on disk, written here in the SDK's format: what they say, however they are cut."""

import json
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tracking.audit.audit import audit
from tracking.foreign.wandb_log import BLOCK, HEADER, MAGIC
from tracking.lookup.find import find_run
from tracking.runs.errors import UserError


def varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def field(number: int, value: bytes | str) -> bytes:
    content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(content)) + content


def row(values: Mapping[str, Any]) -> bytes:
    return b"".join(field(1, field(1, name) + field(16, json.dumps(value))) for name, value in values.items())


def log(*messages: bytes) -> bytes:
    """LevelDB's log format: messages in fragments that no block's end cuts."""
    written = bytearray(MAGIC)
    for message in messages:
        first = True
        while True:
            if (left := BLOCK - len(written) % BLOCK) < HEADER:
                written += bytes(left)
                left = BLOCK
            part, message = message[: left - HEADER], message[left - HEADER :]
            kind = {(True, True): 1, (True, False): 2, (False, False): 3, (False, True): 4}[first, not message]
            written += struct.pack("<IHB", zlib.crc32(bytes([kind]) + part), len(part), kind) + part
            first = False
            if not message:
                break
    return bytes(written)


def run(folder: Path, rate: float, *, note: str = "", accuracy: float = 0.9, marked: bool = True) -> Path:
    messages = [
        field(17, field(1, "abc") + field(4, row({"lr": rate, "_wandb": {}})) + field(8, "good-name-1")) + b"\x08\x01",
        field(26, field(1, "Linux") + field(18, "NVIDIA H100")),
        *(field(2, row({"loss": 1 / (step + 1), "_step": step, "_runtime": 3})) for step in range(3)),
        field(5, row({"torch.threads": 2, "note": note, **({"weighbridge.conditions": "1"} if marked else {})})),
        field(3, row({"accuracy": accuracy, "_runtime": 9, "table": {"_type": "x"}})),
    ]
    folder.mkdir(parents=True)
    (folder / "run-abc.wandb").write_bytes(log(*messages))
    (folder / "files").mkdir()
    (folder / "files/requirements.txt").write_text("torch==2.3.1\n-e git+x#egg=y\nNumPy_x==1.0\n")
    return folder


def test_a_log_holds_config_summary_history_and_packages(tmp_path: Path) -> None:
    found = find_run(str(run(tmp_path / "offline-run-1-abc", 0.1)))
    assert (found.subject, found.params["lr"], found.results) == ("good-name-1", 0.1, {"accuracy": 0.9})
    assert found.curves["loss"] == ((0.0, 1.0), (1.0, 0.5), (2.0, 1 / 3))
    facts = {"torch.threads": 2, "gpu.0.name": "NVIDIA H100"}
    assert {name: found.environment.get(name) for name in facts} == facts
    assert "package.torch" not in found.environment
    assert find_run(str(tmp_path / "offline-run-1-abc/run-abc.wandb")) == found


def test_packages_are_those_of_the_list_where_the_script_logged_no_conditions(tmp_path: Path) -> None:
    found = find_run(str(run(tmp_path / "a", 0.1, marked=False)))
    assert {name for name in found.environment if name.startswith("package.")} == {"package.torch", "package.numpy-x"}
    assert found.params["torch.threads"] == 2


def test_a_record_longer_than_a_block_is_put_together(tmp_path: Path) -> None:
    long = "x" * (3 * BLOCK)
    assert find_run(str(run(tmp_path / "a", 0.1, note=long))).params["note"] == long


def test_two_runs_are_audited(tmp_path: Path) -> None:
    one, other = run(tmp_path / "a", 0.1), run(tmp_path / "b", 0.2, accuracy=0.8)
    found = audit(find_run(str(one)), find_run(str(other)))
    assert [each.name for each in found.suspects] == ["param.lr"]
    assert found.grades.metrics == {"accuracy": (0.9, 0.8)}


def test_a_log_cut_anywhere_holds_what_came_before_the_cut(tmp_path: Path) -> None:
    folder = run(tmp_path / "a", 0.1)
    whole = (folder / "run-abc.wandb").read_bytes()
    for end in range(len(MAGIC), len(whole), 11):
        (folder / "run-abc.wandb").write_bytes(whole[:end])
        assert find_run(str(folder)).params.get("lr") in (0.1, None)
    (folder / "run-abc.wandb").write_bytes(whole[:3])
    with pytest.raises(UserError, match="does not begin as a log"):
        find_run(str(folder))


def test_a_changed_byte_ends_the_reading_there(tmp_path: Path) -> None:
    folder = run(tmp_path / "a", 0.1)
    content = bytearray((folder / "run-abc.wandb").read_bytes())
    content[-3] ^= 1
    (folder / "run-abc.wandb").write_bytes(content)
    found = find_run(str(folder))
    assert (found.params["lr"], found.results) == (0.1, {})


def test_the_files_of_an_online_run_are_read_where_there_is_no_log(tmp_path: Path) -> None:
    files = tmp_path / "run-1-abc/files"
    files.mkdir(parents=True)
    (files / "config.yaml").write_text("_wandb: {value: {}}\nlr: {desc: null, value: 0.1}\nwandb_version: 1\n")
    (files / "wandb-summary.json").write_text('{"accuracy": 0.9, "_step": 3, "loss": NaN}')
    found = find_run(str(tmp_path / "run-1-abc"))
    assert (found.subject, found.params, found.results) == ("abc", {"lr": 0.1}, {"accuracy": 0.9, "loss": "nan"})

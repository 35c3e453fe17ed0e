"""What a node does for a stage, without a cluster: files come out of a store and go into it."""

import json
import os
import sys
import tarfile
from pathlib import Path

import pytest

from weighbridge.cluster import node, store
from weighbridge.cluster.node import Job, environment_of, run_job
from weighbridge.cluster.project_files import LARGEST, keep_project, own_conditions
from weighbridge.process.node_facts import VARIABLE, node_facts

STAGE = """
import json, os, sys
from pathlib import Path
Path("data/timings").mkdir(parents=True)
Path("data/timings/s.json").write_text('{"seconds": 1}')
said = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "DVC_STAGE", "WEIGHBRIDGE_NODE_FACTS")}
said["read"] = Path("data/in/it.txt").read_text()
Path("data/out").mkdir()
Path("data/out/said.json").write_text(json.dumps(said))
print("done")
sys.exit(int(Path("data/code").read_text()))
"""


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def job(folder: Path, code: int = 0, **more: object) -> Job:
    """A stage that reads a folder and a file and writes a folder."""
    address, project, read = (folder / "store").as_uri(), folder / "project", folder / "in"
    for path in (project, read):
        path.mkdir()
    (project / "stage.py").write_text(STAGE)
    (read / "it.txt").write_text("content")
    (folder / "code").write_text(str(code))
    for key, path in {"code/1": project, "in/1": read, "in/2": folder / "code"}.items():
        store.keep(address, key, path)
    inputs = {"data/in": "in/1", "data/code": "in/2"}
    return Job("s@m", "python stage.py", "out/1", address, "code/1", inputs, ("data/out",), **more)  # type: ignore[arg-type]


def test_a_stage_reads_what_came_along_and_what_it_wrote_comes_back(tmp_path: Path) -> None:
    asked = job(tmp_path, variables={"OMP_NUM_THREADS": "3"}, special={"isa": "SSE4"})
    done = run_job(asked)
    assert (done.code, done.said, done.notes) == (0, "done\n", {"data/timings/s.json": '{"seconds": 1}'})
    store.bring(asked.store, "out/1/data/out", tmp_path / "back")
    said = json.loads((tmp_path / "back/said.json").read_text())
    assert said == {
        "OMP_NUM_THREADS": "3", "DVC_STAGE": "s@m", "WEIGHBRIDGE_NODE_FACTS": "node_facts.json", "read": "content",
    }  # fmt: skip
    assert node.SPECIAL == VARIABLE


def test_of_a_stage_that_fails_the_code_and_the_words_come_back_and_no_output(tmp_path: Path) -> None:
    asked = job(tmp_path, code=2)
    assert run_job(asked).code == 2
    with pytest.raises(FileNotFoundError):
        store.bring(asked.store, "out/1/data/out", tmp_path / "back")


def test_what_a_node_has_fetched_is_not_fetched_again(tmp_path: Path) -> None:
    asked = job(tmp_path)
    assert run_job(asked).code == 0
    (tmp_path / "store/in/1.tar").unlink()
    assert run_job(asked).code == 0


def test_variables_of_ray_do_not_reach_a_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "OMP_NUM_THREADS", "77"
    )  # as Ray does in its workers; their parent, which is the node, has it not
    assert node.own_variables().get("OMP_NUM_THREADS") != "77"


@pytest.mark.parametrize(("path", "kept"), [("/site-packages/ray/core/libjemalloc.so", False), ("/own.so", True)])
def test_the_allocator_that_ray_loads_does_not_reach_a_stage(
    path: str, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("psutil.Process.environ", lambda _: {"LD_PRELOAD": path, "HOME": "/h"})
    assert node.own_variables() == {"HOME": "/h"} | ({"LD_PRELOAD": path} if kept else {})


def test_a_node_that_cannot_capture_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no such thing"):
        environment_of(Job(**{**vars(job(tmp_path)), "command": "echo no such thing; exit 3"}))


def test_the_facts_of_a_node_are_read_where_there_are_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert node_facts() == {}
    (tmp_path / "facts.json").write_text('{"isa": "SSE4", "gone": null}')
    monkeypatch.setenv(VARIABLE, str(tmp_path / "facts.json"))
    assert node_facts() == {"isa": "SSE4", "gone": None}


def test_the_store_keeps_a_file_or_a_folder_whole_and_forgets_what_it_is_told(tmp_path: Path) -> None:
    address = (tmp_path / "store").as_uri()
    (tmp_path / "a").write_text("1")
    store.keep(address, "x/a", tmp_path / "a")
    (tmp_path / "a").write_text("2")
    store.keep(address, "x/a", tmp_path / "a")  # there already
    store.bring(address, "x/a", tmp_path / "deep/b")
    assert (tmp_path / "deep/b").read_text() == "1"
    store.forget(address, "x")
    store.forget(address, "x")
    with pytest.raises(FileNotFoundError):
        store.bring(address, "x/a", tmp_path / "c")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "cache") == ["a", "deep", "store"]


def test_only_variables_that_move_numbers_leave_this_machine() -> None:
    environ = {"OMP_NUM_THREADS": "1", "KMP_AFFINITY": "x", "AWS_SECRET_ACCESS_KEY": "s", "HOME": "/h"}
    assert own_conditions(environ) == {"OMP_NUM_THREADS": "1", "KMP_AFFINITY": "x"}


def test_the_projects_own_files_are_sent_without_data_and_their_digest_follows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    for name in ("stages/a.py", "data/big.npy", ".venv/x.py", "params.yaml", "stages/__pycache__/a.pyc"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(name)
    address = (tmp_path / "store").as_uri()
    key = keep_project(address, project)
    with tarfile.open(tmp_path / f"store/{key}.tar") as archive:
        sent = sorted(each.name for each in archive if each.isfile())
    assert sent == ["it/params.yaml", "it/stages/a.py"]
    with monkeypatch.context() as patch:
        patch.setattr(store, "keep", lambda *_: pytest.fail("it was packed again"))
        assert keep_project(address, project) == key
    (project / "params.yaml").write_text("other")
    assert keep_project(address, project) != key
    monkeypatch.setattr("weighbridge.cluster.project_files.LARGEST", 3)
    with pytest.raises(Exception, match="keep data and weights in data/"):
        keep_project(address, project)
    assert LARGEST > 3


def test_a_nodes_folder_is_the_users_own(tmp_path: Path) -> None:
    assert node.cache() == tmp_path / "cache/weighbridge/node"
    if os.name == "posix":
        assert node.cache().stat().st_mode & 0o077 == 0
    assert sys.executable

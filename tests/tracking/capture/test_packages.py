"""Installed packages: version, content, commit; the same however they were installed."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import git
import pytest

from tracking.capture.machine import Machine, Package, this_machine
from tracking.capture.packages import content_digest, head_commit, packages

RECORD = """thing/__init__.py,sha256=aaaa,10
thing/_core.cpython-311-x86_64-linux-gnu.so,sha256=bbbb,2000
thing.libs/libblas-1234abcd.so,sha256=cccc,3000
thing-1.0.dist-info/METADATA,sha256=dddd,100
thing-1.0.dist-info/WHEEL,sha256=eeee,90
"""
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_the_installer_does_not_change_the_digest() -> None:
    by_pip = RECORD + (
        "../../../bin/thing,sha256=1111,200\nthing/__pycache__/__init__.cpython-311.pyc,,\n"
        "thing-1.0.dist-info/INSTALLER,sha256=2222,4\nthing-1.0.dist-info/REQUESTED,sha256=3333,0\n"
        "thing-1.0.dist-info/RECORD,,\nthing-1.0.dist-info/direct_url.json,sha256=5555,100\n"
    )
    by_uv = "\n".join(reversed(RECORD.splitlines())) + "\nthing-1.0.dist-info/uv_cache.json,sha256=6666,9\n"
    assert content_digest(RECORD) == content_digest(by_pip) == content_digest(by_uv)


def test_another_build_changes_the_digest() -> None:
    assert content_digest(RECORD) != content_digest(RECORD.replace("bbbb", "ffff"))


def test_without_hashes_there_is_no_digest() -> None:
    assert content_digest("thing/__init__.py,,\n") is None


def facts(package: Package, files: Mapping[str, str] | None = None) -> dict[str, object]:
    """Facts of `package`, installed in place of torch."""
    machine = Machine(package={"torch": package}.get, read=(files or {}).get)
    return dict(packages(machine, ["torch", "mkl"]))


def test_a_wheel_has_version_with_local_tag_and_digest() -> None:
    found = facts(Package("torch", "2.13.0+cpu", RECORD))
    assert found == {"package.torch": "2.13.0+cpu", "wheel.torch": content_digest(RECORD)}


def test_an_install_from_git_has_its_commit() -> None:
    origin = {"url": "https://host/thing.git", "vcs_info": {"vcs": "git", "commit_id": COMMIT}}
    assert facts(Package("thing", "1.0", None, json.dumps(origin)))["commit.thing"] == COMMIT


def test_an_editable_install_has_the_commit_of_its_checkout_and_no_digest() -> None:
    """Its RECORD lists a finder with the checkout's path in it: that would differ from machine to machine."""
    origin = json.dumps({"url": "file:///work/my%20thing/python", "dir_info": {"editable": True}})
    files = {"/work/my thing/.git/HEAD": "ref: refs/heads/main\n", "/work/my thing/.git/refs/heads/main": f"{COMMIT}\n"}
    found = facts(Package("thing", "1.0", RECORD, origin), files)
    assert found == {"package.thing": "1.0", "commit.thing": COMMIT}


@pytest.mark.parametrize(
    "origin", ["{", "[]", '{"url": "file:///x", "archive_info": {}}', '{"dir_info": {"editable": true}}']
)
def test_an_unreadable_origin_is_no_commit(origin: str) -> None:
    assert "commit.thing" not in facts(Package("thing", "1.0", RECORD, origin))


@pytest.mark.parametrize("state", ["branch", "packed", "detached"])
def test_the_commit_is_what_git_says(tmp_path: Path, state: str) -> None:
    repository = git.Repo.init(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "a").write_text("a")
    repository.index.add(["a"])
    commit = repository.index.commit("first").hexsha
    if state == "packed":
        repository.git.pack_refs("--all")
    if state == "detached":
        repository.git.checkout(commit)
    assert head_commit(this_machine(), str(tmp_path / "sub")) == commit


def test_a_worktree_points_to_its_checkout(tmp_path: Path) -> None:
    repository = git.Repo.init(tmp_path / "main")
    commit = repository.index.commit("first").hexsha
    repository.git.worktree("add", "-b", "other", str(tmp_path / "other"))
    assert head_commit(this_machine(), str(tmp_path / "other")) == commit


def test_outside_a_checkout_there_is_no_commit() -> None:
    assert head_commit(Machine(), "/work/thing") is None


def test_this_installation_has_digests() -> None:
    found = packages(this_machine(), ["numpy", "no-such-part"])
    assert set(found) == {"package.numpy", "wheel.numpy"}
    assert packages(replace(this_machine()), ["numpy"]) == found

"""`weighbridge gc`: what goes and what stays, whoever uses it, and whose worktrees are touched."""

import os
import subprocess
import sys
import time
from pathlib import Path

import git
import pytest

from tests.import_graph import ROOT
from tests.weighbridge.cli.printed import printed
from tracking.replay.collection import DAY, Collected, collect
from tracking.replay.replayer import Replayer
from weighbridge.cli.main import main


def outcome(folder: Path, name: str, *, days: float = 0, size: int = 100) -> Path:
    """An answer that is complete, of that many bytes, and was used so many days ago."""
    place = folder / "outcomes" / name
    place.mkdir(parents=True)
    (place / "scores.npy").write_bytes(bytes(size))
    (place / "conditions.json").touch()
    os.utime(place, (time.time() - days * DAY,) * 2)
    return place


def collected(folder: Path, root: Path, **bounds: float) -> Collected:
    return collect(folder, root, **{"older_than": None, "max_size": None, **bounds})


def names(things: tuple) -> list[str]:
    return [each.name for each in things]


def test_what_was_not_used_for_long_goes_and_then_the_longest_unused_until_little_enough_is_left(
    tmp_path: Path,
) -> None:
    for name, days in {"new": 1, "older": 3, "old": 40}.items():
        outcome(tmp_path, name, days=days)
    assert names(collected(tmp_path, tmp_path, older_than=30 * DAY).freed) == ["outcomes/old"]
    found = collected(tmp_path, tmp_path, max_size=150)
    assert (names(found.freed), names(found.kept)) == (["outcomes/older"], ["outcomes/new"])
    assert [path.name for path in (tmp_path / "outcomes").iterdir()] == ["new"]


def test_a_dry_run_says_the_same_and_removes_nothing(tmp_path: Path) -> None:
    outcome(tmp_path, "old", days=40)
    before = sorted(tmp_path.rglob("*"))
    assert names(collected(tmp_path, tmp_path, older_than=DAY, dry_run=True).freed) == ["outcomes/old"]
    assert sorted(tmp_path.rglob("*")) == before


def test_what_killed_processes_left_goes_whatever_its_age(tmp_path: Path) -> None:
    outcome(tmp_path, "whole")
    (outcome(tmp_path, "half") / "conditions.json").unlink()
    for name in ("environments/half", "scratch-1-0-x", "anew-1-0-x", "code/0123", "outcomes/.removed-x"):
        (tmp_path / name).mkdir(parents=True)
    found = collected(tmp_path, tmp_path)
    assert names(found.kept) == ["outcomes/whole"]
    assert len(found.freed) == 6
    assert {path.name for path in tmp_path.iterdir()} >= {"outcomes"}
    assert not list(tmp_path.glob("scratch-*"))


USER = """
import sys
from pathlib import Path
from tracking.replay.folders import exclusive, own_folder

folder = Path(sys.argv[1])
with exclusive(folder / "outcomes/used"):
    pass
with own_folder(folder, "scratch"):
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_what_a_living_process_uses_stays_and_goes_when_it_was_killed(tmp_path: Path) -> None:
    place = outcome(tmp_path, "used", days=40)
    user = subprocess.Popen(
        [sys.executable, "-c", USER, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert user.stdout is not None
    assert user.stdout.readline() == "ready\n"
    os.utime(place, (0, 0))  # whatever the clock says
    assert collected(tmp_path, tmp_path, older_than=DAY, max_size=0).freed == ()
    assert len(list(tmp_path.glob("scratch-*"))) == 1
    user.kill()
    user.communicate()
    assert len(collected(tmp_path, tmp_path, older_than=DAY).freed) == 2
    assert list((tmp_path / "users").iterdir()) == []


@pytest.fixture
def project(tmp_path: Path) -> git.Repo:
    """A repository with two commits."""
    repository = git.Repo.init(tmp_path / "project")
    for content in ("old", "new"):
        (tmp_path / "project/file.py").write_text(content)
        repository.git.add("-A")
        repository.git.execute(["git", "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", content])
    return repository


def test_only_our_own_worktrees_are_removed_and_forgotten(project: git.Repo, tmp_path: Path) -> None:
    """One of the user's whose disk is not mounted looks deleted; one of ours may have been deleted by hand."""
    root, own = tmp_path / "project", tmp_path / "own"
    project.git.worktree("add", "--detach", str(own))
    own.rename(tmp_path / "elsewhere")
    folder = root / "data/hybrids"
    for commit in ("HEAD", "HEAD~1"):
        place = Replayer(root).sources._worktree(project, project.commit(commit).hexsha)
        os.utime(place, (0, 0))
    by_hand = place.rename(tmp_path / "gone")
    ours = [line for line in project.git.worktree("list").splitlines() if str(folder) in line]
    assert len(ours) == 2
    for user in (folder / "users").iterdir():
        user.unlink()  # of this very process
    collected(folder, root, older_than=DAY)
    assert [line.split()[0] for line in project.git.worktree("list").splitlines()[1:]] == [str(own)]
    assert by_hand.is_dir()


def test_reproduced_runs_go_too_and_certificates_and_files_of_somebody_s_own_stay(tmp_path: Path) -> None:
    for name in ("reproduced/0123456789ab.json", "reproduced/mine.json", "certificates/c.json", "journal/x.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (0, 0))
    found = collected(tmp_path / "hybrids", tmp_path, older_than=30 * DAY, max_size=0)
    assert names(found.freed) == ["reproduced/0123456789ab.json"]
    assert sorted(path.name for path in tmp_path.rglob("*.json")) == ["c.json", "mine.json", "x.json"]


def test_it_says_what_went_in_words_and_as_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome(tmp_path / "data/hybrids", "old", days=40, size=2_000_000)
    outcome(tmp_path / "data/hybrids", "new", size=5)
    assert main(["gc", "--dry-run", "--json"]) == 0
    told = printed("gc", capsys.readouterr().out)
    assert told["freed"] == [{"name": "outcomes/old", "bytes": 2_000_000, "why": "not used for 40 days"}]
    assert main(["gc", "--max-size", "1K"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "removed: 1, 2.0 MB",
        "  outcomes/old: 2.0 MB, not used for 40 days",
        "kept: 1, 5 bytes",
    ]
    with pytest.raises(SystemExit, match="2"):
        main(["gc", "--max-size", "much"])

"""What was kept of runs that were run again, bounded: the oldest goes, by age or until the rest is small enough.

Kept as `<folder>/<kind>/<name>`: outcomes, what killed runs had of them (`partial`), canaries, prepared samples, environments,
and code (git worktrees); and beside the folder the runs that `reproduce` made. Everything can be made again, for the time that
it took. What a living process uses stays (`tracking.replay.folders`), and so does everything else in the folder. Of git's
worktrees only those in this folder are ever touched. Certificates and the changes that `record` kept in git stay: nothing makes
these again.
"""

import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from tracking.capture.repository import NoRepositoryError, repository
from tracking.replay.folders import USERS, in_use
from tracking.replay.replayer import COMPLETE

CODE = "code"
REPRODUCED = "reproduced"  # beside the folder
KINDS = ("outcomes", "partial", "canaries", "prepared", "environments", CODE, REPRODUCED)
MARKS = (".lock", ".complete", ".partial")  # of files beside what is kept
OF_PROCESSES = ("scratch-", "anew-")  # folders of one process each, which it removes itself unless it is killed
REMOVED = ".removed-"
DAY = 86_400.0


@dataclass(frozen=True)
class Kept:
    """One thing that is kept.

    Attributes:
        path: the file or folder.
        size: bytes of its files; links to elsewhere do not count.
        used: when it was made or used last, in seconds since 1970.
        why: why it stays or goes, in words.
    """

    path: Path
    size: int
    used: float
    why: str = ""

    @property
    def name(self) -> str:
        return f"{self.path.parent.name}/{self.path.name}" if self.path.parent.name in KINDS else self.path.name


@dataclass(frozen=True)
class Collected:
    """What `collect` did, or would do: what went and what stays, each the longest unused first."""

    freed: tuple[Kept, ...]
    kept: tuple[Kept, ...]


def collect(
    folder: Path, root: Path, *, older_than: float | None, max_size: int | None, dry_run: bool = False
) -> Collected:
    """Remove what killed processes left, what was not used for so long, and then the longest unused while there is too much.

    Args:
        folder: where it is kept, `data/hybrids`.
        root: the project's folder, whose repository knows the worktrees.
        older_than: seconds without use; None: nothing is too old.
        max_size: bytes that may stay; None: any number. What is in use stays and counts.
        dry_run: only say.
    """
    used = in_use(folder)
    found = sorted(_everything(folder, used), key=lambda each: (each.used, each.name))
    chosen = _chosen(found, used, older_than, max_size)
    freed = [each for each in chosen if dry_run or _removed(each, folder, root)]
    if not dry_run:
        _forget(folder, root)
    gone = {each.path for each in freed}
    return Collected(tuple(freed), tuple(each for each in found if each.path not in gone))


def _everything(folder: Path, used: set[str]) -> Iterator[Kept]:
    kept = [path for kind in KINDS for path in _entries(folder / kind) if path.suffix not in MARKS]
    kept += [path for path in _entries(folder.parent / REPRODUCED) if re.fullmatch(r"[0-9a-f]{12}\.json", path.name)]
    own = [path for path in _entries(folder) if path.name.startswith(OF_PROCESSES)]
    left = [*filter(_unfinished, kept), *(path for path in own if not any(f"-{user}-" in path.name for user in used))]
    for path in (*kept, *own):
        with suppress(FileNotFoundError):  # another process removed it meanwhile
            yield _measured(path, "left behind by a process that was killed" if path in left else "")


def _unfinished(path: Path) -> bool:
    """Whether it was never finished, or is half removed."""
    complete = {
        "outcomes": path / COMPLETE,
        "environments": path / "complete",
        CODE: path.with_name(f"{path.name}.complete"),
    }
    return path.name.startswith(REMOVED) or not complete.get(path.parent.name, path).exists()


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _measured(path: Path, why: str) -> Kept:
    size = 0
    for place, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                size += (Path(place) / name).lstat().st_size
    seen = path.lstat()
    return Kept(path, size if path.is_dir() else seen.st_size, seen.st_mtime, why)


def _chosen(found: Sequence[Kept], used: set[str], older_than: float | None, max_size: int | None) -> list[Kept]:
    """What is to go. `found` is sorted, the longest unused first."""
    now, left, chosen = time.time(), sum(each.size for each in found), []
    for each in found:
        living = each.path.name.startswith(OF_PROCESSES) and not each.why
        if living or each.name in used:
            continue
        why = each.why
        if not why and older_than is not None and now - each.used > older_than:
            why = f"not used for {(now - each.used) / DAY:.0f} days"
        if not why and max_size is not None and left > max_size:
            why = "the longest unused of what is more than may stay"
        if why:
            left -= each.size
            chosen.append(Kept(each.path, each.size, each.used, why))
    return chosen


def _removed(each: Kept, folder: Path, root: Path) -> bool:
    """Remove it, unless a process has begun to use it; whether it is gone."""
    path = each.path
    lock = FileLock(f"{path}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    try:
        if each.name in in_use(folder):
            return False
        if path.parent.name == CODE:
            path.with_name(f"{path.name}.complete").unlink(missing_ok=True)
            _remove_worktree(path, root)
        aside = path.with_name(f"{REMOVED}{path.name.removeprefix(REMOVED)}")
        if path.exists():
            path.rename(aside)  # in one step: nobody finds half of it
            shutil.rmtree(aside) if aside.is_dir() else aside.unlink()
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()
    return True


def _remove_worktree(place: Path, root: Path) -> None:
    """Remove one worktree and git's note of it, and no other; without git the folder alone goes."""
    from git import GitCommandError

    with suppress(NoRepositoryError, GitCommandError):
        repository(root).git.worktree("remove", "--force", str(place.resolve()))


def _forget(folder: Path, root: Path) -> None:
    """Remove the lists of processes that ended, and git's notes of our worktrees whose folders somebody deleted."""
    living = in_use(folder)
    for path in _entries(folder / USERS):
        if path.stem not in living:
            path.unlink(missing_ok=True)
    with suppress(NoRepositoryError):
        ours = (folder / CODE).resolve()
        for line in repository(root).git.worktree("list", "--porcelain").splitlines():
            place = Path(line.removeprefix("worktree "))
            if line.startswith("worktree ") and place.parent == ours and not place.exists():
                _remove_worktree(place, root)

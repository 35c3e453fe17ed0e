"""Finding the run that a person means: a file, a name, an id, a tracker's address, or what a git revision had.

| written | means |
|---|---|
| `data/runs/x.json` | that file |
| `data/runs` | every run in that folder |
| `resnet18-torchvision` | the current run of that model: `<folder>/runs/<subject>.json` |
| `3f2a91c0` | the run with that id (at least 4 digits of it), current or in the journal |
| `main~3:resnet18-torchvision` | that model's run at a git revision, through its `dvc.lock` and the DVC cache |
| `results.json`, `log.eval`, a folder | each task in the results of another tool (`tracking.foreign`), of a folder the newest |
| `results.json:mmlu` | that task of it |
| `wandb:<entity>/<project>/<run id>` | the run of W&B online |
| `dvc:<revision>`, `dvc:workspace` | somebody's DVC project at that revision, or as it lies here |
| `mlflow:<run id>` | the run in MLflow (`MLFLOW_TRACKING_URI`, else the store in the folder) |
| `comet:<archive.zip>`, `comet:<key>` | the run in a Comet archive, or of that experiment online |
"""

import hashlib
import json
import re
from collections.abc import Iterator
from configparser import ConfigParser
from configparser import Error as ConfigError
from pathlib import Path
from typing import TYPE_CHECKING

from tracking.capture.repository import NoRepositoryError, repository
from tracking.foreign.read import foreign_runs, foreign_task
from tracking.lookup.dvc_project import from_dvc
from tracking.lookup.read_back import from_comet, from_mlflow
from tracking.lookup.wandb_online import from_wandb
from tracking.runs.decisions import names_digest
from tracking.runs.errors import UserError
from tracking.runs.run import Run

if TYPE_CHECKING:
    from git import Commit, Repo

FOLDER = Path("data")
SHORTEST_ID = 4


def find_run(written: str, folder: Path = FOLDER) -> Run:
    """The one run that `written` means (see the module's table).

    Raises:
        UserError: there is no such run, or more than one.
    """
    return one_of(written, find_runs(written, folder))


def one_of(written: str, runs: list[Run]) -> Run:
    """The only one of the runs that `written` means.

    Raises:
        UserError: there are several.
    """
    if len(runs) != 1:
        named = ", ".join(sorted(run.subject for run in runs))[:500]
        raise UserError(f"{written}: holds {len(runs)} runs; name one of them: {named}")
    return runs[0]


def find_runs(written: str, folder: Path = FOLDER) -> list[Run]:
    """Every run that `written` means: one, or for a folder all in it, each once, in the order of their file names.

    Raises:
        UserError: there is no such run, an id prefix fits several, or a file is not a run.
    """
    head, _, rest = written.partition(":")
    if head == "mlflow" and rest:
        return [from_mlflow(rest, folder)]
    if head == "comet" and rest:
        return [from_comet(rest, folder)]
    if head == "wandb" and rest:
        return [from_wandb(rest)]
    if head == "dvc" and rest:
        return [from_dvc(rest, _cached)]
    path = Path(written)
    if path.is_dir():
        return _in_folder(path)
    if path.is_file():
        return foreign_runs(path) or [Run.load(path)]
    if rest and Path(head).exists() and (found := foreign_task(Path(head), rest)):
        return found
    if rest:
        return [_from_revision(head, rest, folder)]
    return [_by_name(written, folder)]


def sample_names(run: Run, folder: Path = FOLDER) -> tuple[str, ...] | None:
    """The names of a run's samples, which a run file holds by digest only: from its predictions, where they still fit."""
    path = folder / "predictions" / run.subject / "names.json"
    try:
        names = tuple(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None
    return names if names_digest([*map(str, names)]) == run.decisions.get("names.sha256") else None


def run_files(folder: Path = FOLDER) -> list[Path]:
    """The files of every run known here: the current ones, then the journal's."""
    return [*sorted((folder / "runs").glob("*.json")), *sorted((folder / "journal").glob("*.json"))]


def _in_folder(folder: Path) -> list[Run]:
    if found := foreign_runs(folder):
        return found
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise UserError(f"{folder}: there is no run file (*.json) in this folder")
    return _distinct(Run.load(path) for path in paths)


def _distinct(runs: Iterator[Run]) -> list[Run]:
    return list({run.id: run for run in runs}.values())


# ---- by name or id


def _by_name(written: str, folder: Path) -> Run:
    current = folder / "runs" / f"{written}.json"
    if re.fullmatch(r"[\w.+-]+", written) and current.is_file():
        return Run.load(current)
    if re.fullmatch(rf"[0-9a-f]{{{SHORTEST_ID},64}}", written.lower()):
        return _by_id(written.lower(), folder)
    known = ", ".join(path.stem for path in sorted((folder / "runs").glob("*.json")))
    raise UserError(
        f"{written}: there is no such file, run in {folder}, or id (at least {SHORTEST_ID} hexadecimal digits); "
        f"current runs: {known or 'none'}"
    )


def _by_id(prefix: str, folder: Path) -> Run:
    claims = re.compile(rb'"id"\s*:\s*"' + prefix.encode())  # parsing all of a journal takes seconds
    files = (path for path in run_files(folder) if claims.search(_content(path)))
    found = _distinct(Run.load(path) for path in files if _stored_id(path).startswith(prefix))
    if not found:
        raise UserError(f"{prefix}: no run in {folder} has an id that begins so; `weighbridge runs` lists them")
    if len(found) > 1:
        several = ", ".join(f"{run.id[:12]} ({run.subject})" for run in found)
        raise UserError(f"{prefix}: {len(found)} runs have an id that begins so: {several}; give more digits")
    return found[0]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _stored_id(path: Path) -> str:
    """The id that the file claims, without building the run; empty where it claims none."""
    try:
        claimed = json.loads(_content(path))["id"]
    except (ValueError, TypeError, KeyError):
        return ""
    return str(claimed)


# ---- through git and DVC


def _from_revision(revision: str, subject: str, folder: Path) -> Run:
    repo, commit = _commit(revision, subject, folder)
    root = Path(repo.working_dir)
    inside = _inside(root, folder / "runs" / f"{subject}.json")
    committed = _blob(commit, inside)
    if committed is not None:
        return _parsed(committed, f"{revision}:{inside}")
    lock = _blob(commit, "dvc.lock")
    if lock is None:
        raise UserError(f"{revision}:{subject}: there is no dvc.lock at that revision")
    digest = _locked_hash(lock.decode("utf-8"), inside)
    if digest is None:
        raise UserError(f"{revision}:{subject}: dvc.lock of that revision has no {inside}")
    content = _cached(root, digest) or _kept(digest, subject, folder)
    if content is None:
        raise UserError(
            f"{revision}:{subject}: its run (md5 {digest}) is not in the DVC cache here; where a DVC remote has it, "
            f"`dvc get . {inside} --rev {revision} -o before.json` brings it"
        )
    return _parsed(content, f"{revision}:{subject}")


def _commit(revision: str, subject: str, folder: Path) -> "tuple[Repo, Commit]":
    try:
        repo = repository(folder if folder.is_dir() else Path())
    except NoRepositoryError as problem:
        raise UserError(f"{revision}:{subject}: there is no such file, and no git revision here: {problem}") from None
    from git.exc import BadName, GitError

    try:
        return repo, repo.commit(revision)
    except (BadName, GitError, ValueError, IndexError) as problem:
        raise UserError(
            f"{revision}:{subject}: there is no such file, and {revision!r} is no git revision here"
        ) from problem


def _inside(root: Path, path: Path) -> str:
    try:
        return path.absolute().relative_to(root).as_posix()
    except ValueError as problem:
        raise UserError(f"{path}: lies outside the git repository {root.name}") from problem


def _blob(commit: "Commit", path: str) -> bytes | None:
    try:
        return bytes((commit.tree / path).data_stream.read())
    except KeyError:
        return None


def _locked_hash(lock: str, path: str) -> str | None:
    """The md5 that a `dvc.lock` gives for an output, in the few lines of YAML that DVC writes.

    An output is `- path: <path>` followed by its `md5:` before the next `- `.
    """
    for item in re.split(r"^\s*- ", lock, flags=re.MULTILINE):
        named = re.match(r"path: (.+)", item)
        digest = re.search(r"^\s+md5: ([0-9a-f]{32})\s*$", item, flags=re.MULTILINE)
        if named and digest and named[1].strip().strip("'\"") == path:
            return digest[1]
    return None


def _cached(root: Path, digest: str) -> bytes | None:
    cache = cache_folder(root)
    places = (folder / digest[:2] / digest[2:] for folder in (cache / "files/md5", cache))  # the latter before DVC 3
    return next((path.read_bytes() for path in places if path.is_file()), None)


def cache_folder(root: Path) -> Path:
    """DVC's cache: `cache.dir` of its local or shared configuration, relative to that file, else `.dvc/cache`."""
    for name in ("config.local", "config"):
        config = ConfigParser(interpolation=None)
        try:
            config.read(root / ".dvc" / name, encoding="utf-8")
        except ConfigError as problem:
            raise UserError(f".dvc/{name}: not a DVC configuration ({' '.join(str(problem).split())})") from problem
        if config.has_option("cache", "dir"):
            return root / ".dvc" / Path(config["cache"]["dir"]).expanduser()
    return root / ".dvc" / "cache"


def _kept(digest: str, subject: str, folder: Path) -> bytes | None:
    """A journal's file that has the very bytes DVC names."""
    for path in (folder / "journal").glob(f"{subject}-*.json"):
        content = path.read_bytes()
        if hashlib.md5(content, usedforsecurity=False).hexdigest() == digest:
            return content
    return None


def _parsed(content: bytes, source: str) -> Run:
    try:
        return Run.from_dict(json.loads(content))
    except (ValueError, TypeError, KeyError, RecursionError) as problem:
        raise UserError(f"{source}: not a run ({problem})") from problem

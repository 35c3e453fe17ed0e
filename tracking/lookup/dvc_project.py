"""A revision of somebody's DVC project as a run: `dvc:<revision>`, read out of git's commits. Nothing is checked out or run.

| file | gives |
|---|---|
| `dvc.lock` | parameters that the stages had, commands, and the hash of each dependency that no stage makes |
| `params.yaml`, and what `dvc.yaml` names as parameters | every other parameter |
| metrics that `dvc.yaml` names, DVCLive's `dvclive/metrics.json` | results; those that git does not hold, out of DVC's cache |
| `*.dvc` | hashes of data |
| code (`*.py`, `*.ipynb`, ...) | git's hash of each file, tests left out |
| `requirements.txt` | packages, as far as pinned |

`dvc:workspace` is the working folder as it lies there. An experiment of DVC is named by its name.
"""

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from tracking.audit.recorded import COMPLETE, RECORDER
from tracking.capture.repository import NoRepositoryError, files_of, repository
from tracking.lookup.mlflow_files import facts_of
from tracking.runs.errors import UserError
from tracking.runs.facts import is_number
from tracking.runs.flat import flat
from tracking.runs.run import FOREIGN, Run, Scalar

if TYPE_CHECKING:
    from git import Commit, Repo

WORKSPACE = "workspace"
CODE = (".py", ".ipynb", ".sh", ".r", ".R", ".jl")
NO_CODE = ("tests", "test", "docs")
HASH = re.compile(r"[0-9a-f]{32}")
MOST_FILES, LARGEST = 50_000, 32 * 2**20  # of a project; bytes of one file that is read


@dataclass(frozen=True)
class Tree:
    """The files of a project at one revision.

    Attributes:
        source: what the user wrote.
        hashes: path -> git's hash of the content; empty for the working folder.
        read: the content of a file of `hashes`, or of one in the folder; None where there is none.
    """

    source: str
    hashes: Mapping[str, str]
    read: Callable[[str], bytes | None]

    def values(self, path: str) -> Any:
        """A file of YAML, JSON or TOML, parsed; None where there is none.

        Raises:
            UserError: it is not plain, or too large.
        """
        content = self.read(path)
        if content is None:
            return None
        if len(content) > LARGEST:
            raise UserError(f"{self.source}: {path}: larger than {LARGEST >> 20} MiB: not read")
        try:
            return _parsed(path, content.decode("utf-8-sig"))
        except (ValueError, RecursionError) as problem:
            raise UserError(
                f"{self.source}: {path}: cannot be read ({' '.join(str(problem).split())[:200]})"
            ) from problem


def from_dvc(written: str, cached: Callable[[Path, str], bytes | None]) -> Run:
    """The run of a revision of the DVC project around the working folder.

    Args:
        written: a revision of git, the name of an experiment, or `workspace`.
        cached: the content that DVC's cache holds under a hash, for the root of a repository.

    Raises:
        UserError: there is no such project or revision, or a file in it is not as DVC writes it.
    """
    try:
        repo = repository(Path())
    except NoRepositoryError as problem:
        raise UserError(f"dvc:{written}: {problem}") from None
    root = Path(repo.working_dir)
    commit = None if written == WORKSPACE else _commit(repo, written)
    inside = _project(root, commit)
    if inside is None:
        raise UserError(
            f"dvc:{written}: no dvc.yaml, dvc.lock or *.dvc in {Path().absolute().name} or above it at that revision"
        )
    tree = _of_folder(root / inside) if commit is None else _of_commit(commit, inside, f"dvc:{written}")
    try:
        return _run(tree, (root / inside).name, commit, lambda digest: cached(root, digest))
    except (TypeError, AttributeError, KeyError) as problem:
        raise UserError(f"dvc:{written}: a file is not as DVC writes it ({problem!r:.200})") from problem


# ---- where the files are


def _commit(repo: "Repo", written: str) -> "Commit":
    from git.exc import BadName, GitError

    names = [] if written.startswith("-") else [written]
    if names and "/" not in written:
        listed = repo.git.for_each_ref("--format=%(refname)", "refs/exps").splitlines()
        names += [name for name in listed if name.rpartition("/")[2] == written]
    for name in names:
        try:
            return repo.commit(name)
        except (BadName, GitError, ValueError, IndexError):
            continue
    raise UserError(f"dvc:{written}: is no revision of git and no experiment of DVC here")


def _project(root: Path, commit: "Commit | None") -> str | None:
    """The project's folder inside the repository: the working folder, or the nearest above it that has DVC's files."""
    try:
        here = Path().absolute().relative_to(root.absolute())
    except ValueError:
        here = Path()
    for folder in (here, *here.parents):
        if commit is None:
            names = [path.name for path in (root / folder).iterdir()]
        else:
            tree = _tree(commit, folder.as_posix())
            names = [] if tree is None else [blob.name for blob in tree.blobs]
        if any(name in ("dvc.yaml", "dvc.lock") or name.endswith(".dvc") for name in names if name != ".dvc"):
            return "" if folder == Path() else folder.as_posix()
    return None


def _tree(commit: "Commit", folder: str) -> Any:
    try:
        return commit.tree if folder in ("", ".") else commit.tree / folder
    except KeyError:
        return None


def _of_commit(commit: "Commit", inside: str, source: str) -> Tree:
    start = f"{inside}/" if inside else ""
    blobs: dict[str, Any] = {}
    for blob in _tree(commit, inside).traverse(predicate=lambda item, _: item.type == "blob"):
        blobs[blob.path.removeprefix(start)] = blob
        if len(blobs) > MOST_FILES:
            raise UserError(f"{source}: more than {MOST_FILES:,} files: not read")

    def read(path: str) -> bytes | None:
        blob = blobs.get(path)
        return None if blob is None else bytes(blob.data_stream.read(LARGEST + 1))

    return Tree(source, {path: blob.hexsha for path, blob in blobs.items()}, read)


def _of_folder(folder: Path) -> Tree:
    paths = {name: folder / name for name in files_of(folder) if (folder / name).is_file()}

    def read(path: str) -> bytes | None:
        file = folder / path
        return (
            file.open("rb").read(LARGEST + 1)
            if file.is_file() and file.resolve().is_relative_to(folder.resolve())
            else None
        )

    return Tree(
        f"dvc:{WORKSPACE}",
        {path: _git_hash(file) for path, file in paths.items() if _is_code(path) or path.endswith(".dvc")},
        read,
    )


def _git_hash(file: Path) -> str:
    """The hash under which git files the content: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects"""
    import hashlib

    content = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


# ---- what they say


def _run(tree: Tree, subject: str, commit: "Commit | None", cached: Callable[[str], bytes | None]) -> Run:
    pipeline, lock = tree.values("dvc.yaml") or {}, tree.values("dvc.lock") or {}
    stages = (lock.get("stages") or {}) if "schema" in lock else lock  # before DVC 2 there was no schema
    made = {out["path"]: out for stage in stages.values() for out in stage.get("outs") or ()}
    params = dict(_params(tree, pipeline, stages))
    params |= {f"stage.{name}.cmd": _text(stage.get("cmd")) for name, stage in stages.items()}
    requirements = tree.read("requirements.txt") or b""
    return Run(
        subject=subject,
        command="",
        params=flat(params),
        inputs=dict(sorted(_inputs(tree, stages, made))),
        environment={RECORDER: "DVC", COMPLETE: "param.* input.*", **facts_of(requirements.decode(errors="replace"))},
        code={"commit": commit.hexsha} if commit is not None else {},
        results=dict(_results(tree, pipeline, made, cached)),
        schema=FOREIGN,
    )


def _text(command: Any) -> Scalar:
    return " && ".join(map(str, command)) if isinstance(command, list) else str(command)


def _params(tree: Tree, pipeline: Mapping[str, Any], stages: Mapping[str, Any]) -> Iterator[tuple[str, Scalar]]:
    """Those in files, then those that a stage was locked with. Of another file than params.yaml with its name before them."""
    for file in sorted({"params.yaml", *_param_files(pipeline)}):
        values = tree.values(file)
        if isinstance(values, Mapping):
            yield from ((_named(file, name), value) for name, value in flat(values).items())
    for stage in stages.values():
        for file, values in (stage.get("params") or {}).items():
            yield from ((_named(file, name), value) for name, value in flat(values or {}).items())


def _named(file: str, name: str) -> str:
    return name if file == "params.yaml" else f"{file}:{name}"


def _param_files(pipeline: Mapping[str, Any]) -> Iterator[str]:
    declared = [
        *(pipeline.get("params") or ()),
        *(each for stage in _stages(pipeline) for each in stage.get("params") or ()),
    ]
    for each in declared:
        if isinstance(each, Mapping):
            yield from map(str, each)
        elif each.endswith((".yaml", ".yml", ".json", ".toml")):
            yield each


def _stages(pipeline: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for stage in (pipeline.get("stages") or {}).values():
        yield stage.get("do", stage)


def _inputs(tree: Tree, stages: Mapping[str, Any], made: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for path, digest in tree.hashes.items():
        if _is_code(path):
            yield f"code/{path}", digest
        elif path.endswith(".dvc"):
            folder = PurePosixPath(path).parent
            for out in (tree.values(path) or {}).get("outs") or ():
                yield (folder / str(out["path"])).as_posix(), _digest(out)
    for stage in stages.values():
        for each in stage.get("deps") or ():
            if each["path"] not in made and not _is_code(each["path"]) and _digest(each):
                yield each["path"], _digest(each)


def _is_code(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return path.endswith(CODE) and not set(parts) & set(NO_CODE) and not parts[-1].startswith(("test_", "conftest."))


def _digest(entry: Mapping[str, Any]) -> str:
    named = ("md5", "etag", "checksum", str(entry.get("hash")))
    return next((str(entry[name]) for name in named if entry.get(name)), "")


# ---- metrics


def _results(
    tree: Tree, pipeline: Mapping[str, Any], made: Mapping[str, Any], cached: Callable[[str], bytes | None]
) -> Iterator[tuple[str, Scalar]]:
    """Every number; of several files that name one metric with the file's name before it."""
    files = {file: _numbers(tree, file, made, cached) for file in _metric_files(tree, pipeline, made)}
    names = [name for numbers in files.values() for name in numbers]
    for file, numbers in files.items():
        for name, value in numbers.items():
            yield (name if names.count(name) == 1 else f"{file}:{name}"), value


def _metric_files(tree: Tree, pipeline: Mapping[str, Any], made: Mapping[str, Any]) -> list[str]:
    declared = [
        *(pipeline.get("metrics") or ()),
        *(each for stage in _stages(pipeline) for each in stage.get("metrics") or ()),
    ]
    names = [str(path) for each in declared for path in (each if isinstance(each, Mapping) else (each,))]
    found = {"dvclive/metrics.json"} | {name for name in names if "${" not in name}
    patterns = [_pattern(name) for name in names if "${" in name]
    known = {*made, *tree.hashes}
    return sorted(found | {path for path in known for pattern in patterns if fnmatchcase(path, pattern)})


def _pattern(name: str) -> str:
    """`metrics/${item}.json` is `metrics/*.json`."""
    head, *rest = name.split("${")
    return "*".join([head, *(part.partition("}")[2] for part in rest)])


def _numbers(
    tree: Tree, file: str, made: Mapping[str, Any], cached: Callable[[str], bytes | None]
) -> dict[str, Scalar]:
    content = tree.read(file)
    if content is None and HASH.fullmatch(digest := str(made.get(file, {}).get("md5", ""))):
        content = cached(digest)
    if content is None:
        return {}
    held = Tree(tree.source, {}, lambda _: content).values(file)
    values = flat(held if isinstance(held, Mapping) else {"value": held})
    return {
        name: value if abs(value) != float("inf") and value == value else str(value)
        for name, value in values.items()
        if is_number(value) and name != "step"
    }


def _parsed(path: str, text: str) -> Any:
    if path.endswith(".json"):
        return json.loads(text)
    if path.endswith(".toml"):
        return tomllib.loads(text)
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe").load(text)
    except YAMLError as problem:
        raise ValueError(str(problem)) from problem

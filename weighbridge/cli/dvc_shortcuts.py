"""DVC, in this process, spared what makes a job's time grow with the square of its models.

DVC reads and writes all of dvc.lock after every stage, reads all of params.yaml several times for each, and looks at every image
once for each stage that depends on them. Here the entry of the one stage is put in its place, params are read again only when
their file has changed, and dependencies are looked at again only when a stage has run; dvc.lock has the same bytes.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ABSENT = object()
HEAD = "schema: '2.0'\nstages:\n"


def write_entries_alone() -> None:
    """Let DVC, in this process, write the entry of a stage into dvc.lock without reading and writing all others."""
    from dvc.dvcfile import Lockfile

    from tracking.runs.writing import write_text

    whole = Lockfile.dump_stages

    def dump_stages(self: Any, stages: Sequence[Any], **kwargs: Any) -> None:
        path = Path(self.path)
        text = path.read_text(encoding="utf-8") if path.is_file() else HEAD
        if not text.startswith(HEAD) or not stages:
            whole(self, stages, **kwargs)
            return
        spliced = text
        for stage in stages:
            spliced = with_entry(spliced, stage.name, _entry(stage, kwargs))
        if spliced != text:
            write_text(path, spliced)
            self.repo.scm_context.track_file(self.relpath)

    Lockfile.dump_stages = dump_stages


def read_params_once() -> None:
    """Let DVC, in this process, parse a file of params again only when it has changed, and look keys up directly."""
    from dvc.dependency import param

    parse, look_up = param.load_path, param.read_param_file
    parsed: dict[Any, Any] = {}

    def load_path(path: str, fs: Any, **kwargs: Any) -> Any:
        state = os.stat(path)
        key = (path, state.st_ino, state.st_mtime_ns, state.st_size)
        if key not in parsed:
            parsed.clear()
            parsed[key] = parse(path, fs, **kwargs)
        return parsed[key]

    def read_param_file(fs: Any, path: str, keys: list[str] | None = None, flatten: bool = False, **kwargs: Any) -> Any:
        if not keys or not flatten:
            return look_up(fs, path, keys, flatten, **kwargs)
        found = ((key, value_at(load_path(path, fs, **kwargs), key)) for key in keys)
        return {key: value for key, value in found if value is not ABSENT}

    param.load_path, param.read_param_file = load_path, read_param_file


def hash_dependencies_once() -> None:
    """Let DVC, in this process, hash what several stages depend on once, as long as no stage runs that could change it."""
    from dvc.output import Output
    from dvc.stage import Stage

    get_hash, run = Output.get_hash, Stage.run
    hashes: dict[str, Any] = {}
    running: list[Any] = []

    def hash_once(self: Any) -> Any:
        if running or not self.IS_DEPENDENCY:
            return get_hash(self)
        if self.fs_path not in hashes:
            hashes[self.fs_path] = get_hash(self)
        return hashes[self.fs_path]

    def run_and_forget(self: Any, *args: Any, **kwargs: Any) -> None:
        running.append(self)
        try:
            run(self, *args, **kwargs)
        finally:
            hashes.clear()
            running.remove(self)

    Output.get_hash, Stage.run = hash_once, run_and_forget


def look_past_missing_inputs() -> None:
    """Let a dry run of DVC, in this process, list a stage whose inputs other stages are still to make: DVC would end at it."""
    from dvc.stage import cache

    can_hash = cache._can_hash

    def can_hash_yet(stage: Any) -> bool:
        try:
            return bool(can_hash(stage))
        except FileNotFoundError:
            return False

    cache._can_hash = can_hash_yet


def value_at(params: Any, key: str) -> Any:
    """What stands at a dotted key; `ABSENT` where nothing does."""
    for name in key.split("."):
        if not isinstance(params, Mapping) or name not in params:
            return ABSENT
        params = params[name]
    return params


def with_entry(text: str, name: str, entry: str) -> str:
    """The text of a lock file with `entry`, the text of the stage `name`, in its place or at the end."""
    from tracking.capture.dvc_lock import entries

    start, end = entries(text).get(name, (len(text), len(text)))
    return text[:start] + entry + text[end:]


def _entry(stage: Any, kwargs: Any) -> str:
    """The stage's entry as DVC writes it."""
    from io import StringIO

    from dvc.stage.serialize import to_lockfile
    from dvc.utils.serialize._yaml import _dump

    stream = StringIO()
    _dump({"stages": to_lockfile(stage, **kwargs)}, stream)
    return stream.getvalue().removeprefix("stages:\n")

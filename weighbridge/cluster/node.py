"""What a node does for a stage: fetch what it reads, run its command in a process of its own, keep what it wrote.

Sent to nodes as it is, so that it imports nothing of Weighbridge but the store: the stage runs with the code that came along,
whatever is installed there. A node's conditions are those under which Ray was started on it, and the variables that were set
for the job.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from weighbridge.cluster.store import bring, keep

ENVIRONMENT = "data/environment"
NOTES = ("data/timings", "data/failures")  # small files that a stage leaves beside its outputs
SPECIAL = "WEIGHBRIDGE_NODE_FACTS"  # names the file with the facts in which the node differs
KEPT = 20_000  # characters of what a command said


@dataclass(frozen=True)
class Job:
    """A stage to run somewhere.

    Attributes:
        stage: as DVC calls it.
        command: for the shell, in the project's folder.
        key: of this stage with this code and these inputs; what it writes is kept under it.
        code, inputs: keys in the store, of the project's files and by path of what the stage reads.
        outputs: paths of what it writes.
        variables: set for it, over those of the node.
        without: patterns of variables of the node that it does not get.
        special: the facts in which this node differs from what was captured for the stage, by name; None: it does not have it.
    """

    stage: str
    command: str
    key: str
    store: str
    code: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    special: Mapping[str, object] = field(default_factory=dict)
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Done:
    """How it ended: the exit code, the last of what was said, and the notes by path."""

    code: int
    said: str
    notes: dict[str, str]


def run_job(job: Job) -> Done:
    """Run a stage on this node."""
    with scratch() as folder:
        project = unpack(job, Path(folder))
        variables = dict(job.variables)
        if job.special:
            (project / "node_facts.json").write_text(json.dumps(job.special), encoding="utf-8")
            variables[SPECIAL] = "node_facts.json"
        code, said = run_command(job, project, {**variables, "DVC_STAGE": job.stage}, f"[{job.stage}] ")
        if code == 0:
            for output in job.outputs:
                keep(job.store, f"{job.key}/{output}", project / output)
        return Done(code, said, {name: text for folder in NOTES for name, text in texts(project, folder).items()})


def environment_of(job: Job) -> dict[str, str]:
    """What `capture` writes on this node: the files of environments, by path."""
    with scratch() as folder:
        project = unpack(job, Path(folder))
        code, said = run_command(job, project, {**job.variables, "DVC_STAGE": job.stage}, "")
        if code != 0:
            raise RuntimeError(said)
        return texts(project, ENVIRONMENT)


def cache() -> Path:
    """Where this node keeps what it has fetched; in the user's own folder, as others could plant files elsewhere."""
    path = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "weighbridge", "node")
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def scratch() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="job-", dir=cache(), ignore_cleanup_errors=True)


def unpack(job: Job, folder: Path) -> Path:
    """The project with what the stage reads, below `folder`; on a node what has been fetched once is copied."""
    project = folder / "project"
    bring(job.store, job.code, project)
    for path, key in job.inputs.items():
        place(fetched(job.store, key), project / path)
    return project


def fetched(store: str, key: str) -> Path:
    """Where it lies on this node, fetched if need be."""
    path = cache() / key
    if not path.exists():
        with suppress(OSError):  # somebody else was faster
            bring(store, key, path)
    if not path.exists():
        raise FileNotFoundError(f"{store}/{key}.tar")
    return path


def place(source: Path, target: Path) -> None:
    """Links where the file system has them: stages never write into what they read."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, copy_function=_link, dirs_exist_ok=True)
    else:
        target.unlink(missing_ok=True)
        _link(source, target)


def _link(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def run_command(job: Job, project: Path, variables: Mapping[str, str], prefix: str) -> tuple[int, str]:
    """Its exit code and the last of what it said; each line is passed on as it comes."""
    own = {name: value for name, value in own_variables().items() if not any(fnmatchcase(name, e) for e in job.without)}
    environ = {**own, **variables}
    environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", os.defpath)])
    said = ""
    with subprocess.Popen(
        ["/bin/sh", "-c", job.command], cwd=project, env=environ, text=True, errors="replace",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            said = (said + line)[-KEPT:]
            if prefix:
                sys.stdout.write(prefix + line)
                sys.stdout.flush()
    return process.returncode, said


def own_variables() -> dict[str, str]:
    """Those of the node itself. Ray sets OMP_NUM_THREADS and an allocator for its workers, which would move numbers."""
    import psutil

    try:
        found = dict(psutil.Process(os.getppid()).environ())
    except (OSError, psutil.Error):
        found = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    if "/ray/core/" in found.get("LD_PRELOAD", ""):
        del found["LD_PRELOAD"]
    return found


def texts(project: Path, folder: str) -> dict[str, str]:
    """The JSON files below a folder, by path."""
    files = sorted((project / folder).rglob("*.json"))
    return {path.relative_to(project).as_posix(): path.read_text(encoding="utf-8") for path in files}

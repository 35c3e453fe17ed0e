"""The runs of `explain`, `band` and `reproduce` on the nodes of a cluster: each in its own process, with its variables pinned.

An answer is kept as one of this machine, so only nodes that are like it are asked. Samples are prepared here.
"""

import json
import shlex
import subprocess
import tempfile
import threading
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from uuid import uuid4

from tracking.replay.elsewhere import Asked
from tracking.replay.errors import StoppedError
from tracking.replay.scratch import KEY
from weighbridge.cluster import store
from weighbridge.cluster.node import Job
from weighbridge.cluster.on_ray import RECORDED, OnRay, connect
from weighbridge.cluster.project_files import keep_project
from weighbridge.params.cluster import Cluster
from weighbridge.params.section import load_yaml
from weighbridge.weights.files import check_weights

PLACE = "replayed"  # on a node, below the project's files: what is read and what is written


class OnNodes:
    """Sends the processes of replays to nodes; any thread may ask. The cluster is asked when the first one is sent."""

    def __init__(self, cluster: Cluster, project: Path, say: Callable[[str], None]) -> None:
        self._cluster, self._project, self._say = cluster, project.resolve(), say
        self._store = str(cluster.store)
        self._asking = threading.Lock()

    @cached_property
    def _far(self) -> tuple[OnRay, int]:
        """The nodes that are like this machine, and how many CPUs they have."""
        far = OnRay(connect(log=False), self._cluster, {}, self._project, self._say)
        return far, far.look_for_like_here(load_yaml(self._project / "dvc.yaml")["stages"]["capture"]["cmd"])

    def run(self, asked: Asked) -> subprocess.CompletedProcess[str] | None:
        """As `tracking.replay.elsewhere.Elsewhere` says."""
        with self._asking:
            far, cpus = self._far
        with tempfile.TemporaryDirectory() as folder:
            job, outputs = self._job(asked, Path(folder) / "params.yaml")
        sent, done = far.send(job, asked.threads or cpus)
        try:
            for place, path in outputs.items() if done.code == 0 else ():
                store.bring(self._store, f"{sent.key}/{place}", path)
        except OSError as problem:
            raise StoppedError(f"{asked.stage}: what a node wrote is not in {self._store} ({problem})") from None
        finally:
            store.forget(self._store, sent.key)
        return subprocess.CompletedProcess(job.command, done.code, "", done.said)

    def _job(self, asked: Asked, params: Path) -> tuple[Job, dict[str, Path]]:
        """What a node is asked, and where what it writes belongs here; `params` is written."""
        inputs = {f"{PLACE}/weights/{path.name}": path for path in asked.beside} | {"params.yaml": params}
        outputs: dict[str, Path] = {}
        words: list[str] = []
        for flag, value in asked.arguments:
            words += [flag, str(value)]
            if isinstance(value, Path):
                words[-1] = place = f"{PLACE}/{flag.removeprefix('--')}/{value.name}"
                (inputs if value.exists() else outputs)[place] = value
        values = json.loads(asked.params.read_text(encoding="utf-8").replace(f"{asked.code}/", ""))
        recipe = values["recipes"][KEY]
        if "tokenizer" in recipe:
            tokenizer = self._project / recipe["tokenizer"]
            recipe["tokenizer"] = f"{PLACE}/tokenizer/{tokenizer.name}"
            inputs[recipe["tokenizer"]] = tokenizer
        params.write_text(json.dumps(values), encoding="utf-8")
        keys = {place: self._kept(path) for place, path in inputs.items()}
        command = shlex.join(["python", *asked.command, *words])
        key, code = f"out/{uuid4().hex}", keep_project(self._store, asked.code)
        variables = {**asked.variables, "PYTHONDONTWRITEBYTECODE": "1"}
        return Job(asked.stage, command, key, self._store, code, keys, tuple(outputs), variables, {}, RECORDED), outputs

    def _kept(self, path: Path) -> str:
        """Its key in the store, into which it is put."""
        key = f"in/{check_weights(path.resolve(), None)}"
        store.keep(self._store, key, path.resolve())
        return key

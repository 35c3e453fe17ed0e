"""Stages of single models, sent to the nodes of a Ray cluster (https://docs.ray.io) instead of being run here.

`capture` asks every node for its environment, and what the most of them have is what stages depend on: the files of the
environment are theirs, not this machine's. A node that differs is said, and used only where params say so; a run made on it
then holds its facts. Ray's own retries are not used: a stage whose node died is sent to another one, by name.
"""

import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from tracking.capture.variables import READ_BY
from tracking.runs.errors import UserError
from tracking.runs.writing import write_text
from weighbridge.cluster import node, store
from weighbridge.cluster.alike import differences, most_common, sentences
from weighbridge.cluster.node import Done, Job
from weighbridge.cluster.project_files import keep_project, own_conditions
from weighbridge.cluster.shards import joined, parts_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from weighbridge.params.cluster import Cluster

SENT = (
    "preprocess", "pretrain", "infer", "layers", "mode_check", "isolation_check", "preprocess_check", "fingerprint",
    "transfer_check",
)  # fmt: skip
ATTEMPTS = 5  # nodes that a stage may lose
RECORDED = tuple(pattern for names in READ_BY.values() for pattern in names)  # variables that can move a number


@dataclass
class Node:
    """A node of the cluster: its CPUs, how many are free, and the facts in which it differs, by the environment's file."""

    id: str
    address: str
    cpus: int
    free: int
    differs: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    alive: bool = True


def connect(*, log: bool = True) -> Any:
    """Ray, connected to the cluster that `RAY_ADDRESS` names; what nodes say is printed here with `log`.

    Raises:
        UserError: Ray is not installed, no cluster is named, or it cannot be reached.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        raise UserError("executor: ray: set RAY_ADDRESS to the address of a cluster (`ray start --head` starts one)")
    try:
        import ray
    except ImportError:
        raise UserError('executor: ray: Ray is not installed: pip install "weighbridge[ray]"') from None
    try:
        ray.init(address=address, log_to_driver=log, logging_level="warning")
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as problem:
        raise UserError(f"RAY_ADDRESS {address}: no Ray cluster can be reached there ({str(problem)[:200]})") from None
    for module in (node, store):
        ray.cloudpickle.register_pickle_by_value(module)
    return ray


class OnRay:
    """Sends stages to nodes; any thread may ask."""

    def __init__(
        self, ray: Any, cluster: "Cluster", threads: Mapping[str, int], project: Path, say: Callable[[str], None]
    ) -> None:
        """`threads` are those of a stage, by its name, where they are not one; `say` is called with what people should know."""
        self._say = say
        self._ray, self._cluster, self._threads, self._project = ray, cluster, threads, project
        self._store = str(cluster.store)
        self._nodes = []
        for each in sorted(ray.nodes(), key=lambda each: str(each["NodeID"])):
            if (cpus := int(each["Resources"].get("CPU", 0))) and each["Alive"]:
                self._nodes.append(Node(each["NodeID"], each["NodeManagerAddress"], cpus, cpus))
        if not self._nodes:
            raise UserError("executor: ray: the cluster has no node with a CPU")
        self._changed = threading.Condition()
        self._variables = own_conditions(os.environ)
        self._code = keep_project(self._store, project)
        self._asked: set[Any] = set()
        self._looked = self._stopping = False

    @property
    def cpus(self) -> int:
        """Of all nodes that may run stages."""
        return sum(each.cpus for each in self._nodes if self._cluster.nodes == "any" or not each.differs)

    def takes(self, stage: str) -> bool:
        """Whether it is one that nodes run."""
        return stage.partition("@")[0] in SENT

    def look_at_nodes(self, command: str) -> None:
        """Write the environment that most nodes have, and say where others differ. `command` is that of `capture`.

        Raises:
            UserError: a node cannot capture.
        """
        found = self._environments(Job("capture", command, "", self._store, self._code, variables=self._variables))
        usual = most_common(found, node.texts(self._project, node.ENVIRONMENT))
        self._hold_against(usual, found, "most")
        for path, text in usual.items():
            write_text(self._project / path, text)

    def look_for_like_here(self, command: str) -> int:
        """Use only nodes that are like this machine, variables apart, and say where others differ; their CPUs.

        Raises:
            UserError: there is none, or a node cannot capture.
        """
        job = Job("capture", command, "", self._store, self._code, without=RECORDED)
        self._hold_against(node.environment_of(job), self._environments(job), "this machine")
        alike = [each.cpus for each in self._nodes if not each.differs]
        if not alike:
            raise UserError(
                "executor: ray: no node is like this machine, for which runs are repeated; set executor: local to do it here"
            )
        return sum(alike)

    def _environments(self, job: Job) -> list[Mapping[str, str]]:
        asked = [self._task(node.environment_of, each, 0).remote(job) for each in self._nodes]
        found = []
        for each, reference in zip(self._nodes, asked, strict=True):
            try:
                found.append(self._ray.get(reference))
            except self._ray.exceptions.RayError as problem:
                raise UserError(f"node {each.address}: cannot say what it is: {_last_line(problem)}") from None
        return found

    def _hold_against(self, usual: Mapping[str, str], found: "Sequence[Mapping[str, str]]", others: str) -> None:
        for each, own in zip(self._nodes, found, strict=True):
            each.differs = differences(usual, own)
            for sentence in sentences(
                each.id[:8], each.differs, self._cluster.nodes == "any" and others == "most", others
            ):
                self._say(sentence)
        self._looked = True

    def run(self, stage: Any) -> int:
        """Run a stage of DVC on a node; its exit code. What it writes is put in its place.

        Raises:
            UserError: it reads what lies outside the project, or no node is left that could run it.
        """
        if not self._looked:
            raise UserError(f"{stage.addressing}: what the nodes are is not known: let `capture` run first")
        job = self._job_of(stage)
        parts = parts_of(job, self._project, self._cluster.shards) if job.stage.startswith("infer@") else []
        if not parts:
            return self._run(job)
        with ThreadPoolExecutor(len(parts)) as pool:
            if code := max(pool.map(self._run, parts)):
                return code
        try:
            return self._run(joined(job, parts, self._project))
        finally:
            store.forget(self._store, f"{job.key}-rows")

    def _run(self, job: Job) -> int:
        """Run a job on a node; its exit code."""
        return self._bring_back(*self.send(job, self._threads.get(job.stage, 1)))

    def send(self, job: Job, cpus: int) -> tuple[Job, Done]:
        """Run a job on a node, and on another one where that is lost; the job as it was sent, and how it ended."""
        lost = self._ray.exceptions
        for _ in range(ATTEMPTS):
            with self._taken(job, cpus) as chosen:
                try:
                    return self._ask(job, chosen, cpus)
                except (lost.NodeDiedError, lost.WorkerCrashedError, lost.TaskUnschedulableError) as problem:
                    chosen.alive = self._is_alive(chosen)
                    self._say(f"{job.stage}: lost with node {chosen.id[:8]}: {_last_line(problem)}")
        raise UserError(f"{job.stage}: {ATTEMPTS} nodes were lost that ran it; its memory may not suffice")

    def stop(self) -> None:
        """End what still runs on nodes."""
        self._stopping = True
        for reference in list(self._asked):
            self._ray.cancel(reference, force=True)
        with self._changed:
            self._changed.notify_all()

    def _job_of(self, stage: Any) -> Job:
        inputs = {}
        for dependency in stage.deps:
            if type(dependency).__name__ == "ParamsDependency":
                continue
            path = self._inside(stage, dependency.fs_path)
            inputs[path] = f"in/{dependency.hash_info.value}"
            store.keep(self._store, inputs[path], self._project / path)
        outputs = tuple(self._inside(stage, out.fs_path) for out in stage.outs)
        key = f"out/{uuid4().hex}"
        return Job(stage.addressing, stage.cmd, key, self._store, self._code, inputs, outputs, self._variables)

    def _inside(self, stage: Any, path: str) -> str:
        try:
            return Path(path).relative_to(self._project).as_posix()
        except ValueError:
            raise UserError(
                f"{stage.addressing}: {path} lies outside the project, where nodes cannot find it: move it into the project"
            ) from None

    @contextmanager
    def _taken(self, job: Job, cpus: int) -> "Iterator[Node]":
        """The node with most free CPUs among those that may run it, once there is one.

        Raises:
            UserError: none is left.
        """
        with self._changed:
            chosen = self._free_node(job, cpus)
            while chosen is None:
                self._changed.wait()
                chosen = self._free_node(job, cpus)
            taken = min(cpus, chosen.cpus)
            chosen.free -= taken
        try:
            yield chosen
        finally:
            with self._changed:
                chosen.free += taken
                self._changed.notify_all()

    def _free_node(self, job: Job, cpus: int) -> Node | None:
        if self._stopping:
            raise UserError(f"{job.stage}: was interrupted")
        usable = [each for each in self._nodes if each.alive and self._may(job, each)]
        if not usable:
            raise UserError(f"{job.stage}: no node is left that could run it")
        chosen = max(usable, key=lambda each: each.free)
        return chosen if chosen.free >= min(cpus, chosen.cpus) else None

    def _may(self, job: Job, each: Node) -> bool:
        """What a node that differs predicts is recorded as its own; nothing else that a stage finds is."""
        any_node = self._cluster.nodes == "any" and self._cluster.shards == 1 and job.stage.startswith("infer@")
        return any_node or not each.differs

    def _ask(self, job: Job, chosen: Node, cpus: int) -> tuple[Job, Done]:
        special = {name: value for path in job.inputs for name, value in chosen.differs.get(path, {}).items()}
        sent = replace(job, special=special, key=f"{job.key}-{chosen.id}")
        reference = self._task(node.run_job, chosen, cpus).remote(sent)
        self._asked.add(reference)
        try:
            return sent, self._ray.get(reference)
        finally:
            self._asked.discard(reference)

    def _task(self, function: Callable[..., Any], chosen: Node, cpus: int) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        return self._ray.remote(function).options(
            num_cpus=min(cpus, chosen.cpus),
            num_gpus=self._cluster.gpus if cpus else 0,
            max_retries=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(chosen.id, soft=False),
        )

    def _bring_back(self, job: Job, done: Done) -> int:
        for path, text in done.notes.items():
            write_text(self._project / path, text)
        for output in job.outputs if done.code == 0 else ():
            store.bring(self._store, f"{job.key}/{output}", self._project / output)
        store.forget(self._store, job.key)
        return done.code

    def _is_alive(self, chosen: Node) -> bool:
        return any(each["NodeID"] == chosen.id and each["Alive"] for each in self._ray.nodes())


def _last_line(problem: Exception) -> str:
    """What Ray says, without the traceback of a worker."""
    return (str(problem).strip().splitlines() or [type(problem).__name__])[-1][:300]

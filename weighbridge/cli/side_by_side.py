"""Stages that do not need one another, run at once: DVC plans, locks and records as always, only their commands overlap.

Whatever DVC does itself (hashing, its cache, dvc.lock) one thread does at a time, with the repository locked.
"""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, Protocol

from tracking.capture.cpus import usable_cpus
from weighbridge.cli.gpus_apart import SharedOut, has_gpu
from weighbridge.process.exit_codes import INTERRUPTED

MEMORY_OF_A_STAGE = 4 * 2**30  # bytes: what a check may take at most
TO_END = 10  # seconds that a stage has after an interrupt, before it is stopped
TO_SAY = 2  # seconds for its last lines


def side_by_side(asked: int | None, threads: int | None, device: str, gpus: int) -> int:
    """How many stages to run at once: as `jobs` asks; null: what cores and memory carry, and where GPUs are used one for each.

    Args:
        asked: `jobs` of the params.
        threads: of each model; null takes all cores.
        device: on which the models run.
        gpus: how many there are to share out.
    """
    import psutil

    if asked is not None:
        return asked
    if device != "cpu" and (gpus or has_gpu()):
        return max(1, gpus)
    cores = usable_cpus() or 1
    return max(1, min(cores // (threads or cores), psutil.virtual_memory().available // MEMORY_OF_A_STAGE))


def places(params: Mapping[str, Any], jobs: int) -> dict[str, int]:
    """Of how many of the `jobs` a stage takes the place, where it is not one: training has its own number of threads."""
    each = params.get("inference", {}).get("threads") or 1
    sources = params.get("pretrain", {})
    asked = {name: source.get("threads", 1) for name, source in sources.items()}
    return {f"pretrain@{name}": min(jobs, -(-threads // each)) if threads else jobs for name, threads in asked.items()}


def threads_of(params: Mapping[str, Any]) -> dict[str, int]:
    """How many threads the stages of models have, by stage, where they are not one."""
    each = params.get("inference", {}).get("threads") or 1
    pipeline = params.get("pipeline", {})
    threads = {f"{stage}@{name}": each for stage, entries in pipeline.items() for name in entries if each != 1}
    return threads | {
        f"pretrain@{name}": source.get("threads") or 1 for name, source in params.get("pretrain", {}).items()
    }


class Far(Protocol):
    """Runs the commands of some stages elsewhere (`weighbridge.cluster`)."""

    def takes(self, stage: str) -> bool: ...
    def look_at_nodes(self, command: str) -> None: ...
    def run(self, stage: Any) -> int: ...
    def stop(self) -> None: ...


def run_side_by_side(
    jobs: int, taken: Mapping[str, int], gpus: Sequence[str] = (), far: Far | None = None, here: int = 1
) -> None:
    """Let DVC, in this process, run up to `jobs` stages at once; the lines of each begin with its name.

    Args:
        jobs: how many.
        taken: of how many a stage takes the place, by its name, where it is not one.
        gpus: to share out among them.
        far: what runs some of them elsewhere.
        here: how many of the others run at once then.
    """
    from dvc.repo import reproduce
    from dvc.stage import run

    if jobs == 1 and far is None:
        return
    turn, commands = Turn(), Commands(SharedOut(gpus, jobs), far)
    if far is not None:
        run.cmd_run = commands.elsewhere_or(run.cmd_run, here)
    alone = reproduce._reproduce

    def _reproduce(stages: list[Any], graph: Any = None, on_error: str = "fail", **kwargs: Any) -> list[Any]:
        if graph is None or not stages or kwargs.get("dry") or kwargs.get("force_downstream"):
            with turn.kept(), commands.ended():
                return list(alone(stages, graph=graph, on_error=on_error, **kwargs))
        return Schedule(stages, graph, on_error, kwargs, turn, commands).run(jobs, taken)

    def unlocked_repo(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(stage: Any, *args: Any, **kwargs: Any) -> Any:
            with turn.given(stage.repo):
                return function(stage, *args, **kwargs)

        return wrapper

    reproduce._reproduce, run.unlocked_repo, run._run = _reproduce, unlocked_repo, commands.run


class Turn:
    """Whose turn it is to let DVC work; the repository is locked while somebody has it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @contextmanager
    def taken(self, repo: Any) -> Iterator[None]:
        with self._lock:
            repo.lock.lock()
            try:
                yield
            finally:
                repo.lock.unlock()

    @contextmanager
    def given(self, repo: Any) -> Iterator[None]:
        """Let others have the turn meanwhile."""
        repo.lock.unlock()
        repo._reset()
        self._lock.release()
        try:
            yield
        finally:
            self._lock.acquire()
            repo.lock.lock()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Of a thread that has locked the repository already."""
        with self._lock:
            yield


class Schedule:
    """The stages of one repro: those whose dependencies are done may run, in the order that DVC planned."""

    def __init__(
        self,
        stages: Sequence[Any],
        graph: Any,
        on_error: str,
        options: Mapping[str, Any],
        turn: Turn,
        commands: "Commands",
    ) -> None:
        planned = set(stages)
        self._graph, self._on_error, self._turn, self._commands = graph, on_error, turn, commands
        self._options = {name: value for name, value in options.items() if name not in ("force_downstream", "repro_fn")}
        self._waiting = {stage: {each for each in graph.successors(stage) if each in planned} for stage in stages}
        self._done: list[Any] = []
        self._failed: list[Any] = []

    def run(self, jobs: int, taken: Mapping[str, int]) -> list[Any]:
        """The stages that had something to do.

        Raises:
            ReproductionError: a stage failed; with `keep-going` after all that do not need it.
        """
        from dvc.repo.reproduce import _raise_error

        repo = next(iter(self._waiting)).repo
        running: dict[Future[Any], Any] = {}
        free = jobs
        with self._turn.kept(), self._turn.given(repo), ThreadPoolExecutor(jobs) as pool, self._commands.ended():
            while running or self._ready():
                for stage in self._ready():
                    if free < taken.get(stage.addressing, 1):
                        break
                    free -= taken.get(stage.addressing, 1)
                    del self._waiting[stage]
                    running[pool.submit(self._reproduce, stage)] = stage
                for ended in wait(running, return_when=FIRST_COMPLETED).done:
                    stage = running.pop(ended)
                    free += taken.get(stage.addressing, 1)
                    self._end(stage, ended)
        if self._failed and self._on_error != "ignore":
            _raise_error(None, *self._failed)
        return self._done

    def _ready(self) -> list[Any]:
        return [stage for stage, needed in self._waiting.items() if not needed]

    def _reproduce(self, stage: Any) -> Any:
        from dvc.repo.reproduce import _reproduce_stage

        with self._turn.taken(stage.repo):
            return _reproduce_stage(stage, upstream=list(self._graph.successors(stage)), **self._options)

    def _end(self, stage: Any, ended: Future[Any]) -> None:
        from dvc.repo import reproduce

        problem = ended.exception()
        if problem is None:
            self._done += [stage] if ended.result() else []
            return self._forget(stage)
        self._failed.append(stage)
        if self._on_error == "fail":
            reproduce.logger.error("%s", problem)
            self._waiting.clear()
        else:
            for dependent in reproduce.handle_error(self._graph, self._on_error, problem, stage):
                self._waiting.pop(dependent, None)
        self._forget(stage)

    def _forget(self, stage: Any) -> None:
        """Let nobody wait for it any more."""
        for needed in self._waiting.values():
            needed.discard(stage)


class Commands:
    """The commands that run now."""

    def __init__(self, gpus: SharedOut, far: Far | None = None) -> None:
        self._gpus, self._far = gpus, far
        self._running: set[subprocess.Popen[str]] = set()
        self._stopping = False

    def elsewhere_or(self, alone: Callable[..., None], here: int) -> Callable[..., None]:
        """What DVC does for a stage: its command is run elsewhere, or as `alone` does; `here` of these at once."""
        from dvc.stage.exceptions import StageCmdFailedError

        assert self._far is not None
        far, places = self._far, threading.Semaphore(here)

        def cmd_run(stage: Any, dry: bool = False, run_env: Any = None) -> None:
            if dry or not far.takes(stage.addressing):
                with places:
                    alone(stage, dry=dry, run_env=run_env)
                if stage.addressing == "capture" and not dry:
                    far.look_at_nodes(stage.cmd)
                return
            print(f"Running stage '{stage.addressing}' on a node:\n> {stage.cmd}", flush=True)
            if (code := far.run(stage)) != 0:
                raise StageCmdFailedError(stage.cmd, code)

        return cmd_run

    def run(self, executable: str, command: str, **kwargs: Any) -> None:
        """What DVC does for one command of a stage, each line of output after the stage's name.

        Raises:
            StageCmdFailedError: it ended with another code than 0.
        """
        from dvc.stage.exceptions import StageCmdFailedError
        from dvc.stage.run import _make_cmd

        if self._stopping:
            raise StageCmdFailedError(command, INTERRUPTED)
        out: dict[str, Any] = {
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
            "text": True,
            "errors": "replace",
        }
        with self._gpus.one() as gpu:
            environ = {**kwargs["env"], **gpu}
            process = subprocess.Popen(_make_cmd(executable, command), **out, **{**kwargs, "env": environ})
            self._running.add(process)
            said = threading.Thread(target=_say, args=(process.stdout, environ["DVC_STAGE"]), daemon=True)
            said.start()
            try:
                code = process.wait()
            finally:
                self._running.discard(process)
            said.join(TO_SAY)  # a process that it left behind may hold the pipe
        if code != 0:
            raise StageCmdFailedError(command, code)

    @contextmanager
    def ended(self) -> Iterator[None]:
        """Stop what still runs when the block is left by an exception, an interrupt above all."""
        try:
            yield
        except BaseException:
            self._stopping = True
            if self._far is not None:
                self._far.stop()
            for process in list(self._running):
                try:
                    process.wait(TO_END)  # an interrupt from the keyboard has reached it as well
                except subprocess.TimeoutExpired:
                    process.terminate()
            raise


def _say(lines: Any, name: str) -> None:
    for line in lines:
        sys.stdout.write(f"[{name}] {line}")
        sys.stdout.flush()

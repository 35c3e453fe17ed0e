"""Time small networks on Keras' backends, and test whether they learn the same: the benchmark of 2017, made again.

reads   environment/keras-<backend>.json, so that another version is timed again
writes  findings of the model that params name: for each task and backend the accuracy against the first backend's (equivalent
        within a margin, or not shown to be), and how many times as long it takes; <timings>: the seconds of every repeat,
        beside the other stages' and, like them, not an output
keeps   data/partial/backend_check-<key> until it is done: what a killed one had measured; nothing of another time if a file that
        <conditions> names has changed
params  backend_check.<key>

Every backend computes in a process of its own, from the same weights, on the same batches, with the same number of
threads. The first step, which compiles, is timed apart. Repeats are interleaved (all backends before the next repeat, each
time beginning with another one), so that a busy machine is busy for all; each repeat has a seed of its own.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Timer
from typing import IO, Any

from stages.backend_check import worker as _backend_worker
from stages.backend_check.equivalence import Ratio, ratio_of_medians, tost
from stages.backend_check.tasks import Reply, Request
from tracking.runs.errors import UserError
from tracking.runs.findings import Finding, Verdict, save_findings
from weighbridge.networks.conditions import conditions_of
from weighbridge.networks.kept_parts import NOWHERE, Parts
from weighbridge.params.backend_check import BackendCheck
from weighbridge.params.section import read
from weighbridge.process.files import write_json
from weighbridge.process.partial import PARTIAL
from weighbridge.process.progress import progress
from weighbridge.process.stage import run

CHECK = "backend_check"
SIGNIFICANT = 0.05
Ask = Callable[[Request], Reply]
Replies = Mapping[tuple[str, str], Sequence[Reply]]


def backend_check(asked: BackendCheck, replies: Replies) -> Iterator[Finding]:
    """Two findings for each task and backend but the first; `replies` by task and backend, one a repeat.

    Raises:
        UserError: two backends did not start from the same weights.
    """
    first, *others = asked.backends
    for task in asked.tasks:
        for backend in others:
            reference, candidate = replies[task, first], replies[task, backend]
            if [each.initial for each in reference] != [each.initial for each in candidate]:
                raise UserError(f"backend_check: {task}: {backend} and {first} did not start from the same weights")
            yield _accuracy(asked, task, backend, reference, candidate)
            yield _time(asked, task, backend, reference, candidate)


def _accuracy(
    asked: BackendCheck, task: str, backend: str, reference: Sequence[Reply], candidate: Sequence[Reply]
) -> Finding:
    ours, theirs = ([each.accuracy for each in series] for series in (reference, candidate))
    found = tost(ours, theirs, asked.margin)
    same = found.p_value < SIGNIFICANT
    sentence = (
        f"{task}: after {asked.steps} steps of {asked.optimiser} from the same weights {backend} is "
        f"{found.difference * 100:+.2f} points from {asked.backends[0]} in accuracy (90 % interval {found.low * 100:+.2f} to "
        f"{found.high * 100:+.2f}, {len(ours)} seeds): {'equivalent' if same else 'not shown to be equivalent'} within "
        f"{asked.margin:.1%} (TOST p = {found.p_value:.2g})."
    )
    numbers = {"accuracy_difference": found.difference, "equivalence_p_value": found.p_value}
    curves = {
        f"{task}.{name}.accuracy": [[repeat, value] for repeat, value in enumerate(series, 1)]
        for name, series in ((asked.backends[0], ours), (backend, theirs))
    }
    evidence = {f"{task}.{backend}.{name}": value for name, value in numbers.items()} | {"curves": curves}
    return Finding(CHECK, asked.model, Verdict.PASS if same else Verdict.WARN, sentence, evidence)


def _time(
    asked: BackendCheck, task: str, backend: str, reference: Sequence[Reply], candidate: Sequence[Reply]
) -> Finding:
    """Ratios are kept beneath a name, not as numbers of the run: no audit should hold two measurements to be equal."""
    wall, cpu = (
        ratio_of_medians([getattr(r, unit) for r in reference], [getattr(r, unit) for r in candidate], asked.seed)
        for unit in ("seconds", "cpu_seconds")
    )
    sentence = (
        f"{task}: {backend} takes {_words(wall)} times as long as {asked.backends[0]} by the clock ({_judged(wall)}) and "
        f"{_words(cpu)} times as much of the processor, compiling apart; {asked.steps} steps of {asked.batch_size}, medians of "
        f"{len(reference)} interleaved repeats."
    )
    evidence = {"times": {f"{task}.{backend}": {"clock": asdict(wall), "processor": asdict(cpu)}}}
    return Finding(CHECK, asked.model, Verdict.PASS, sentence, evidence)


def _words(ratio: Ratio) -> str:
    return f"{ratio.ratio:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"


def _judged(ratio: Ratio) -> str:
    return "not told apart" if ratio.low <= 1 <= ratio.high else "slower" if ratio.ratio > 1 else "faster"


def measure(
    asked: BackendCheck, workers: Mapping[str, Ask], parts: Parts = NOWHERE
) -> tuple[dict[tuple[str, str], float], Replies]:
    """(seconds of every first step, the replies), both by task and backend. What is kept in `parts` is not asked again, but for
    first steps: each process has to compile before it is timed."""
    first_steps = {}
    for task, backend in progress(_pairs(asked, 0), "backend_check: compiling"):
        compiled = workers[backend](_request(asked, task, repeat=0, steps=1)).seconds
        first_steps[task, backend] = parts.value(f"{task} {backend} first", float, partial(float, compiled))
    plan = [(repeat, *pair) for repeat in range(asked.repeats) for pair in _pairs(asked, repeat)]
    replies: dict[tuple[str, str], list[Reply]] = {}
    for repeat, task, backend in progress(plan, "backend_check"):
        request = _request(asked, task, repeat, asked.steps)
        answer = parts.value(f"{task} {backend} {repeat}", Reply, partial(workers[backend], request))
        replies.setdefault((task, backend), []).append(answer)
    return first_steps, replies


def _pairs(asked: BackendCheck, repeat: int) -> list[tuple[str, str]]:
    """Every task on every backend; each repeat begins with the next backend."""
    start = repeat % len(asked.backends)
    order = [*asked.backends[start:], *asked.backends[:start]]
    return [(task, backend) for task in asked.tasks for backend in order]


def _request(asked: BackendCheck, task: str, repeat: int, steps: int) -> Request:
    return Request(task, asked.seed + repeat, steps, asked.batch_size, asked.optimiser, asked.learning_rate)


@contextmanager
def worker(backend: str, threads: int, seconds: float) -> Iterator[Ask]:
    """A process that answers for one backend, each time within so many seconds; it ends with the block."""
    if find_spec(backend) is None:
        raise UserError(f"backend_check: {backend} is not installed; install it or take it out of `backends`")
    pinned = {f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "MKL", "OPENBLAS")}
    command = [sys.executable, "-m", _backend_worker.__name__, backend, str(threads)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, env={**os.environ, **pinned}, stderr=said, **pipes)
        try:
            yield lambda request: _answer(process, backend, request, said, seconds)
        finally:
            process.kill()
            process.communicate()


def _answer(process: Any, backend: str, request: Request, said: IO[str], seconds: float) -> Reply:
    late = Event()

    def give_up() -> None:
        late.set()
        process.kill()  # which ends the wait for its answer

    timer = Timer(seconds, give_up)
    timer.start()
    try:
        print(json.dumps(asdict(request)), file=process.stdin, flush=True)
        line = process.stdout.readline()
    except BrokenPipeError:
        line = ""
    finally:
        timer.cancel()
    if late.is_set():
        raise UserError(f"backend_check: {backend} gave no answer within {seconds:g} seconds; raise `seconds`")
    if not line:
        process.wait()
        raise UserError(f"backend_check: {backend} stopped: {_last_line(said)}")
    return Reply(**json.loads(line))


def _last_line(said: IO[str]) -> str:
    said.seek(0)
    lines = said.read().strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def main(key: str, timings: Path, findings: Path, conditions: str = "") -> None:
    """Start the workers, measure, write."""
    asked = read(BackendCheck, "backend_check", key)
    parts = Parts(PARTIAL / f"{CHECK}-{key}", conditions_of([asked.model_dump()], None, None, conditions))
    with ExitStack() as stack:
        workers: dict[str, Ask] = {
            backend: stack.enter_context(worker(backend, asked.threads, asked.seconds)) for backend in asked.backends
        }
        first_steps, replies = measure(asked, workers, parts)
    save_findings(backend_check(asked, replies), findings)
    seconds = {
        f"{task}.{backend}": {"first_step": first_steps[task, backend], "repeats": [asdict(each) for each in series]}
        for (task, backend), series in replies.items()
    }
    write_json(timings, seconds)
    parts.forget()


if __name__ == "__main__":
    run(main)

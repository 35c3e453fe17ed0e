"""Write down what could change a prediction here, one file per runtime. It always runs; unchanged files re-run nothing.

reads   params.yaml, to refuse its mistakes before anything is computed;
        this machine: hardware, operating system, installed packages, environment variables on an allow-list
writes  <environment>/<runtime>.json for every runtime, <trackers>: where each tracker would write
        <context>: load, clocks, memory and whatever else moves timings and no prediction; beside the timings and, like
        them, not an output
"""

from pathlib import Path

from stages._params import load_params
from stages._predictions import write_json
from stages._stage import run
from tracking.context import context as read_context
from tracking.environment import RUNTIMES, Environment
from tracking.environment import capture as capture_one
from tracking.errors import UserError
from tracking.machine import this_machine


def capture() -> tuple[Environment, ...]:
    """The environment of every runtime, each reader asked at most once."""
    machine = this_machine()
    return tuple(capture_one(runtime, machine) for runtime in RUNTIMES)


def main(environment: Path, trackers: Path, context: Path) -> None:
    """Capture, write."""
    from tracking.trackers import addresses, names

    if unknown := sorted(set(load_params().publish.trackers) - set(names())):
        raise UserError(f"params.yaml: publish.trackers: unknown {', '.join(unknown)}; known: {', '.join(names())}")
    for captured in capture():
        captured.save(environment / f"{captured.runtime}.json")
    write_json(trackers, addresses())
    write_json(context, read_context(this_machine()))


if __name__ == "__main__":
    run(main)

"""Where else a replay's processes may run: what is asked of another machine, and what answers."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class Asked:
    """One process of a replay.

    Attributes:
        stage: its name.
        code: the folder whose stages run.
        command: what the interpreter gets, without the arguments.
        arguments: each with its value; a `Path` that exists is read, one that does not is written.
        beside: files that are read with the weights, and lie beside them.
        variables: of those that Weighbridge records, the ones that are set; all others are not.
        params: the file that is the process's `params.yaml`.
        threads: that it computes with; None: as many as there are.
    """

    stage: str
    code: Path
    command: Sequence[str]
    arguments: Sequence[tuple[str, Any]]
    beside: Sequence[Path]
    variables: Mapping[str, str]
    params: Path
    threads: int | None


class Elsewhere(Protocol):
    """Machines that are like this one in all that replays do not set."""

    def run(self, asked: Asked) -> subprocess.CompletedProcess[str] | None:
        """How it ended, what it wrote being in its place; None where it has to run here."""
        ...

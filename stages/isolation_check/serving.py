"""A model behind `mlflow models serve` on 127.0.0.1, asked over HTTP as its users do. The server never outlives the question."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.frameworks import Spec
from weighbridge.networks.score_differences import CannotBeAskedError
from weighbridge.process.progress import progress

HOST = "127.0.0.1"
PORTS_TRIED = 3
PR_SET_PDEATHSIG = 1  # prctl(2)
VALUES_A_REQUEST = 2**20  # JSON takes some 20 bytes a value
_PRCTL = (
    ctypes.CDLL(None).prctl if sys.platform == "linux" else None
)  # found before the fork, after which little is safe
_PROJECT = Path(__file__).resolve().parents[2]
_CODE = Path(__file__).with_name("served.py")
_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


class PortTakenError(Exception):
    """Somebody else listens on the port by now."""


def ask_server(spec: Spec, batches: list[np.ndarray], seconds: int) -> np.ndarray:
    """Save the model for MLflow, serve it, and post every batch; the joined scores.

    Raises:
        UserError: the server ends, or refuses a request.
        CannotBeAskedError: it is not ready in time, or finds no free port.
    """
    with TemporaryDirectory(prefix="serving-") as made:
        model = Path(made) / "model"
        save_for_mlflow(spec, batches[0], model)
        for _ in range(PORTS_TRIED):
            try:
                port = free_port()
                with served(serve_command(model, port), port, Path(made) / "server.log", seconds) as address:
                    return post_all(address, batches, seconds)
            except PortTakenError:
                continue
    raise CannotBeAskedError(f"{PORTS_TRIED} free ports of {HOST} were taken before the server had them")


def save_for_mlflow(spec: Spec, images: np.ndarray, folder: Path) -> None:
    """Write an MLflow model that loads `spec` and takes arrays like `images`."""
    os.environ.update(_QUIET)
    import mlflow
    from mlflow.models.signature import ModelSignature
    from mlflow.types import Schema, TensorSpec

    signature = ModelSignature(inputs=Schema([TensorSpec(images.dtype, (-1, *images.shape[1:]))]))
    values = asdict(spec) | {"weights": str(spec.weights.resolve()) if spec.weights else None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # an example of the input would load the model once more
        mlflow.pyfunc.save_model(
            folder, python_model=str(_CODE), model_config=values, signature=signature, pip_requirements=[]
        )


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def serve_command(model: Path, port: int) -> list[str]:
    """MLflow's own, as people type it."""
    program = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(model), "--env-manager", "local"]
    return [*program, "--host", HOST, "--port", str(port)]


@contextmanager
def served(command: list[str], port: int, log: Path, seconds: int) -> Iterator[str]:
    """Run a server on `port` while the block lasts; its address. It and its children are ended whatever happens.

    Raises:
        PortTakenError: another process has the port.
        UserError: the server ends.
        CannotBeAskedError: it is not ready within `seconds`.
    """
    with log.open("wb") as output:
        server = subprocess.Popen(
            command,
            cwd=_PROJECT,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
    try:
        _wait(server, log, port, seconds)
        yield f"http://{HOST}:{port}/invocations"
    finally:
        _stop(server)


def _environment() -> dict[str, str]:
    """With `stages` to be imported, and this Python's programs first: MLflow looks for uvicorn there."""
    modules = os.pathsep.join(filter(None, (str(_PROJECT), os.environ.get("PYTHONPATH"))))
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, **_QUIET, "PYTHONPATH": modules, "PATH": programs}


def _wait(server: "subprocess.Popen[bytes]", log: Path, port: int, seconds: int) -> None:
    """Until the server itself says that it listens: another one might answer on its port."""
    for _ in progress(range(seconds), "isolation_check: waiting for the server, second"):
        ended = server.poll() is not None
        said = log.read_text(errors="replace")
        if "address already in use" in said:
            raise PortTakenError
        if ended:
            raise UserError(f"the server ended ({(said.strip().splitlines() or ['no word'])[-1]})")
        if f"running on http://{HOST}:{port}" in said:
            return
        with suppress(subprocess.TimeoutExpired):
            server.wait(timeout=1)
    raise CannotBeAskedError(f"the server was not ready within {seconds} s (isolation_check.seconds)")


def _end_with_parent() -> None:
    """Where the kernel can (Linux), have this process told to end when the stage is killed; MLflow does so for its own."""
    if _PRCTL is not None:
        _PRCTL(PR_SET_PDEATHSIG, signal.SIGTERM)


def _stop(server: "subprocess.Popen[bytes]") -> None:
    for kind in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, kind)
            server.wait(timeout=5)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def post_all(address: str, batches: list[np.ndarray], seconds: int) -> np.ndarray:
    """Scores of every batch, in requests of a bounded size."""
    return np.concatenate(
        [_post(address, part, seconds) for part in progress(_parts(batches), "isolation_check: asking")]
    )


def _parts(batches: list[np.ndarray]) -> list[np.ndarray]:
    images = max(1, VALUES_A_REQUEST // batches[0][0].size)
    return [batch[start : start + images] for batch in batches for start in range(0, len(batch), images)]


def _post(address: str, images: np.ndarray, seconds: int) -> np.ndarray:
    import requests

    with requests.Session() as session:
        session.trust_env = False  # no proxy of the surroundings comes between
        try:
            answer = session.post(address, json={"inputs": images.tolist()}, timeout=seconds)
        except requests.RequestException as problem:
            raise UserError(f"the server gave no answer ({type(problem).__name__})") from problem
    if not answer.ok:
        raise UserError(
            f"the server refused a batch of shape {images.shape} (HTTP {answer.status_code}: {_said(answer)})"
        )
    return np.asarray(answer.json()["predictions"], np.float32)


def _said(answer: Any) -> str:
    return " ".join(answer.text.split())[:300]

"""A model behind `mlflow models serve` on 127.0.0.1, asked over HTTP as its users do. The server never outlives the question."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from stages._progress import progress
from stages.frameworks import Spec
from tracking.errors import UserError

HOST = "127.0.0.1"
PORTS_TRIED = 3
VALUES_A_REQUEST = 2**20  # JSON takes some 20 bytes a value
_PROJECT = Path(__file__).resolve().parents[1]
_CODE = Path(__file__).with_name("_served.py")
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "PYTHONPATH": str(_PROJECT),
}


class PortTakenError(Exception):
    """Somebody else listens on the port by now."""


def ask_server(spec: Spec, batches: list[np.ndarray], seconds: int) -> np.ndarray:
    """Save the model for MLflow, serve it, and post every batch; the joined scores.

    Raises:
        UserError: it cannot be served, or a request is refused.
    """
    with TemporaryDirectory(prefix="serving-") as made:
        model = Path(made) / "model"
        save_for_mlflow(spec, batches[0], model)
        for _ in range(PORTS_TRIED):
            try:
                with served(model, free_port(), seconds) as address:
                    return post_all(address, batches, seconds)
            except PortTakenError:
                continue
    raise UserError(f"{PORTS_TRIED} free ports of {HOST} were taken before the server had them")


def save_for_mlflow(spec: Spec, images: np.ndarray, folder: Path) -> None:
    """Write an MLflow model that loads `spec` and takes arrays like `images`."""
    os.environ.update(_QUIET)
    import mlflow
    from mlflow.models.signature import ModelSignature
    from mlflow.types import Schema, TensorSpec

    signature = ModelSignature(inputs=Schema([TensorSpec(images.dtype, (-1, *images.shape[1:]))]))
    values = asdict(spec) | {"weights": str(spec.weights.resolve()) if spec.weights else None}
    mlflow.pyfunc.save_model(
        folder, python_model=str(_CODE), model_config=values, signature=signature, pip_requirements=[]
    )


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(model: Path, port: int, seconds: int) -> Iterator[str]:
    """Serve an MLflow model while the block lasts; its address. The server and its children are ended whatever happens.

    Raises:
        PortTakenError: another process has the port.
        UserError: the server ends, or is not ready within `seconds`.
    """
    program = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(model), "--env-manager", "local"]
    log = model.parent / f"server-{port}.log"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"  # mlflow looks for uvicorn there
    with log.open("wb") as output:
        server = subprocess.Popen(
            [*program, "--host", HOST, "--port", str(port)],
            cwd=model.parent,
            env={**os.environ, **_QUIET, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait(server, log, port, seconds)
        yield f"http://{HOST}:{port}/invocations"
    finally:
        _stop(server)


def _wait(server: "subprocess.Popen[bytes]", log: Path, port: int, seconds: int) -> None:
    """Until the server itself says that it listens: another one might answer on its port."""
    started = time.monotonic()
    for _ in progress(iter(lambda: time.sleep(0.2), 0), "isolation_check: waiting for the server"):
        said = log.read_text(errors="replace")
        if f"running on http://{HOST}:{port}" in said:
            return
        if "address already in use" in said:
            raise PortTakenError
        if server.poll() is not None or time.monotonic() - started > seconds:
            why = "ended" if server.poll() is not None else f"was not ready within {seconds} s"
            raise UserError(f"the server {why} ({(said.strip().splitlines() or ['no word'])[-1]})")


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

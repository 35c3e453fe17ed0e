"""MLflow stores without runs: their schema is made once a process, which takes seconds, and copied."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory


def empty_store(folder: Path) -> Path:
    """`folder`, made if it is not there, with a store in it as the MLflow tracker would make it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mlflow.db").write_bytes(_migrated())
    return folder


@cache
def _migrated() -> bytes:
    from mlflow import MlflowClient

    with TemporaryDirectory() as made:
        MlflowClient(f"sqlite:///{made}/mlflow.db").search_experiments(max_results=1)
        return Path(made, "mlflow.db").read_bytes()

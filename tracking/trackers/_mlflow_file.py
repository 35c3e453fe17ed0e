"""The SQLite file in which MLflow keeps runs where there is no server: made whole, and settled after it was moved."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from tracking.runs.writing import sync

if TYPE_CHECKING:
    from mlflow import MlflowClient

SQLITE = "sqlite:///"
FILES = "mlartifacts"  # the folder of files beside the store


def create_store(client_class: "type[MlflowClient]", database: Path) -> None:
    """Make the schema in a file aside and move it into place: MLflow cannot open one whose making was interrupted."""
    if database.exists():
        return
    partial = database.with_name(f".{database.name}.partial")
    for remains in database.parent.glob(f"{partial.name}*"):
        remains.unlink()
    client_class(tracking_uri=sqlite_uri(partial)).search_experiments(max_results=1)
    sync(partial)
    partial.replace(database)


def settle(database: Path, files: str) -> None:
    """Have the files of a store that was moved or copied lie beside it again: it knows them by their absolute addresses.

    An address that is somebody's own choice stays: it exists, and no store lies beside it.
    """
    with closing(sqlite3.connect(database)) as store, store:
        told = store.execute(
            "SELECT DISTINCT artifact_location FROM experiments WHERE artifact_location LIKE ?", [f"%/{FILES}"]
        )
        for (old,) in told.fetchall():
            place = Path(url2pathname(urlsplit(old).path))
            if old != files and (not place.exists() or place.with_name("mlflow.db").exists()):
                store.execute(
                    "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?) WHERE substr(artifact_uri, 1, ?) = ?",
                    (files, len(old) + 1, len(old) + 1, f"{old}/"),
                )
                store.execute("UPDATE experiments SET artifact_location = ? WHERE artifact_location = ?", (files, old))


def sqlite_uri(database: Path) -> str:
    return f"{SQLITE}{database}"

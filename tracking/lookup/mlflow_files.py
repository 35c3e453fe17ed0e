"""What an MLflow run of somebody else says beside its parameters: data sets, and the environments written next to its models."""

import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tracking.runs.facts import Facts

ENVIRONMENTS = ("requirements.txt", "conda.yaml", "python_env.yaml", "MLmodel")
PINNED = re.compile(r"^\s*-?\s*([A-Za-z0-9][\w.-]*)==([\w.+!-]+)\s*$", re.MULTILINE)
CONDA = re.compile(r"^\s*-\s*([A-Za-z0-9][\w.-]*)=([\d][\w.]*)\s*$", re.MULTILINE)
PYTHON = re.compile(r"^(?:python|\s+python_version|\s*-\s*python)\s*[:=]\s*[\"']?(\d[\w.]*)", re.MULTILINE)
MOST_FOLDERS = 10  # of a run that are looked into for a model


def data_sets(record: Any) -> dict[str, str]:
    """Inputs by role: the digest of each data set that the run names, and of several of one name each."""
    found: dict[str, str] = {}
    for each in getattr(getattr(record, "inputs", None), "dataset_inputs", None) or ():
        name = f"dataset.{each.dataset.name}"
        found[name] = " ".join(sorted({*found.get(name, "").split(), str(each.dataset.digest)}))
    return found


def environment_of(client: Any, run_id: str) -> Facts:
    """Packages and Python, from the files beside the run's models (MLflow's own `requirements.txt`, `conda.yaml` ...)."""
    facts: Facts = {}
    with TemporaryDirectory() as folder:
        for path in _environment_files(client, run_id):
            text = Path(client.download_artifacts(run_id, path, folder)).read_text(encoding="utf-8", errors="replace")
            facts |= facts_of(text)
    return dict(sorted(facts.items()))


def facts_of(text: str) -> Facts:
    """Facts of one such file: ``package.<name>``, ``python.version``."""
    found: Facts = {f"package.{name.lower().replace('_', '-')}": version for name, version in PINNED.findall(text)}
    for name, version in CONDA.findall(text):
        if name != "python":
            found.setdefault(f"package.{name.lower()}", version)
    if python := PYTHON.search(text):
        found["python.version"] = python[1]
    return found


def _environment_files(client: Any, run_id: str) -> Iterator[str]:
    """In the run's own folder and in those right under it; the general ones first, so that pinned versions win."""
    listed = list(client.list_artifacts(run_id))
    folders = [each.path for each in listed if each.is_dir][:MOST_FOLDERS]
    below = [each for folder in folders for each in client.list_artifacts(run_id, folder)]
    names = {each.path for each in (*listed, *below) if not each.is_dir}
    for wanted in reversed(ENVIRONMENTS):
        yield from sorted(name for name in names if name.rpartition("/")[2] == wanted)

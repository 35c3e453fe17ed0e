"""What a node is asked for a replay, without a cluster: files there and back, and the variables of the hybrid alone."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tracking.replay.conditions import BESIDE
from tracking.replay.errors import RefusedError
from tracking.replay.scratch import Scratch
from weighbridge.cluster.hybrids import OnNodes
from weighbridge.cluster.node import Done, Job, run_job
from weighbridge.params.cluster import Cluster

INFER = """
import json, os, sys
from pathlib import Path
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
params = json.loads(Path("params.yaml").read_text())
said = {"variables": {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "ONEDNN_MAX_CPU_ISA")}}
said["read"] = [(Path(given["--samples"]) / "test.txt").read_text(), Path(given["--weights"]).read_text()]
said["beside"] = Path(given["--weights"]).with_name("w.data").read_text()
said["recipe"] = Path(params["recipes"]["replayed"]["tokenizer"]).read_text()
said["architecture"] = params["models"]["replayed"]["architecture"]
Path(given["--predictions"]).mkdir(parents=True)
Path(given["--predictions"], "said.json").write_text(json.dumps(said))
"""


@pytest.fixture
def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OnNodes:
    """A node that is this process; its own variables say otherwise than any hybrid."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    own = {"OMP_NUM_THREADS": "7", "ONEDNN_MAX_CPU_ISA": "SSE41", "PATH": "/usr/bin:/bin"}
    monkeypatch.setattr("weighbridge.cluster.node.own_variables", lambda: own)
    made = OnNodes(Cluster(store=(tmp_path / "store").as_uri()), tmp_path, print)
    asked: list[tuple[int, dict[str, str]]] = []

    def send(job: Job, cpus: int) -> tuple[Job, Done]:
        asked.append((cpus, dict(job.variables)))
        return job, run_job(job)

    vars(made)["_far"] = (SimpleNamespace(send=send, asked=asked), 2)
    return made


def scratch(tmp_path: Path, nodes: OnNodes, **conditions: Any) -> Scratch:
    """A run whose code, weights and tokenizer lie in the project, and whose samples are prepared."""
    files = {
        "stages/infer.py": INFER,
        "stages/__init__.py": "",
        "dvc.yaml": "stages:\n  infer:\n    cmd: python -m stages.infer --model m --samples s --weights w --predictions p\n",
        "data/prepared/test.txt": "samples",
        "data/w.bin": "weights",
        "data/w.data": "beside",
        "data/tokens.json": "tokenizer",
        "scratch/params.yaml": json.dumps(
            {
                "recipes": {"replayed": {"tokenizer": str(tmp_path / "data/tokens.json")}},
                "models": {"replayed": {"architecture": f"{tmp_path}/net.py:net"}},
            }
        ),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    known = {f"{BESIDE}w.data": "md5", **conditions}
    return Scratch(known, tmp_path / "scratch", tmp_path, tmp_path, "net", Path(sys.executable), elsewhere=nodes)


def ask(run: Scratch, tmp_path: Path) -> dict[str, Any]:
    values = {"samples": tmp_path / "data/prepared", "weights": tmp_path / "data/w.bin", "model": "replayed"}
    run._start("infer", **values, predictions=tmp_path / "scratch/predictions")
    return dict(json.loads((tmp_path / "scratch/predictions/said.json").read_text()))


def test_a_hybrid_runs_on_a_node_with_its_own_variables_and_comes_back(tmp_path: Path, nodes: OnNodes) -> None:
    run = scratch(tmp_path, nodes, **{"variable.OMP_NUM_THREADS": "1", "param.inference.threads": 3})
    assert ask(run, tmp_path) == {
        "variables": {"OMP_NUM_THREADS": "1", "ONEDNN_MAX_CPU_ISA": None},
        "read": ["samples", "weights"],
        "beside": "beside",
        "recipe": "tokenizer",
        "architecture": "net.py:net",
    }
    assert [cpus for cpus, _ in nodes._far[0].asked] == [3]
    assert not list((tmp_path / "store/out").iterdir())


def test_what_a_node_refuses_is_said_as_here(tmp_path: Path, nodes: OnNodes) -> None:
    run = scratch(tmp_path, nodes)
    (tmp_path / "stages/infer.py").write_text("raise SystemExit('gives 10 scores per image')")
    with pytest.raises(RefusedError, match="gives 10 scores per image"):
        ask(run, tmp_path)
    assert [cpus for cpus, _ in nodes._far[0].asked] == [2]  # threads are as many as there are


def test_what_has_to_run_in_an_environment_of_its_own_runs_here(tmp_path: Path, nodes: OnNodes) -> None:
    run = scratch(tmp_path, nodes)
    (tmp_path / "python").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "python").chmod(0o755)
    Scratch(run.conditions, run.folder, run.root, run.code, "net", tmp_path / "python", elsewhere=nodes)._start(
        "infer", samples=Path("s"), weights=Path("w"), model="m", predictions=Path("p")
    )
    assert nodes._far[0].asked == []

"""A real Ray cluster on loopback: a head and two nodes of one CPU. Its stages are small scripts; DVC is not asked."""

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tracking.runs.errors import UserError
from weighbridge.cluster.on_ray import OnRay, connect
from weighbridge.params.cluster import Cluster

pytestmark = pytest.mark.slow
CAPTURE = "python capture.py"
CAPTURES = """
import json, os
from pathlib import Path
Path("data/environment").mkdir(parents=True)
facts = {"isa": os.environ.get("ONEDNN_MAX_CPU_ISA", "all")}
Path("data/environment/onnx.json").write_text(json.dumps({"facts": facts}))
"""
WORKS = """
import json, os, sys, time
from pathlib import Path
shared, name, seconds = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
(shared / f"{name}-{os.getpid()}").touch()
time.sleep(seconds)
facts = os.environ.get("WEIGHBRIDGE_NODE_FACTS")
Path("data/out").mkdir()
Path(f"data/out/{name}").write_text(Path(facts).read_text() if facts else "as usual")
"""


@pytest.fixture(scope="module")
def nodes() -> Iterator[tuple[Any, list[Any]]]:
    """The cluster, and a node of each kind: two alike, one under another instruction set."""
    if "WEIGHBRIDGE_SERVERS" not in os.environ:
        pytest.importorskip("ray")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster as Loopback

    loopback = Loopback(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        made = [loopback.add_node(num_cpus=1) for _ in range(2)]
        os.environ["ONEDNN_MAX_CPU_ISA"] = "SSE41"
        made.append(loopback.add_node(num_cpus=1))
        del os.environ["ONEDNN_MAX_CPU_ISA"]
        os.environ["RAY_ADDRESS"] = loopback.address
        yield loopback, made
    finally:
        os.environ.pop("ONEDNN_MAX_CPU_ISA", None)
        os.environ.pop("RAY_ADDRESS", None)
        if "ray" in sys.modules:
            sys.modules["ray"].shutdown()
        loopback.shutdown()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    (project / "data/environment").mkdir(parents=True)
    (project / "capture.py").write_text(CAPTURES)
    (project / "work.py").write_text(WORKS)
    return project


@pytest.fixture(scope="module")
def ray(nodes: tuple[Any, list[Any]]) -> Any:
    return connect()


def stage(project: Path, name: str, seconds: float = 0.0) -> Any:
    """A stage as DVC has it."""
    read = SimpleNamespace(
        fs_path=str(project / "data/environment/onnx.json"), hash_info=SimpleNamespace(value=project.parent.name)
    )
    out = SimpleNamespace(fs_path=str(project / f"data/out/{name}"))
    command = f"python work.py {project.parent} {name} {seconds}"
    return SimpleNamespace(addressing=f"infer@{name}", cmd=command, deps=[read], outs=[out])


def sender(ray: Any, project: Path, said: list[str], **cluster: Any) -> OnRay:
    sends = OnRay(ray, Cluster(store=(project.parent / "store").as_uri(), **cluster), {}, project, said.append)
    sends.look_at_nodes(CAPTURE)
    return sends


def test_the_node_that_differs_is_said_and_runs_nothing(ray: Any, project: Path) -> None:
    said: list[str] = []
    sends = sender(ray, project, said)
    assert sends.cpus == 2
    assert len(said) == 1
    assert "isa (SSE41): it runs nothing" in said[0]
    assert json.loads((project / "data/environment/onnx.json").read_text()) == {"facts": {"isa": "all"}}
    for name in "abc":
        assert sends.run(stage(project, name)) == 0
        assert (project / "data/out" / name).read_text() == "as usual"


def test_where_any_node_may_infer_what_differs_is_with_the_result(ray: Any, project: Path) -> None:
    sends = sender(ray, project, [], nodes="any")
    assert sends.cpus == 3
    threads = [threading.Thread(target=sends.run, args=(stage(project, name, 1.0),)) for name in "abc"]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    found = [(project / "data/out" / name).read_text() for name in "abc"]
    assert sorted(found) == ["as usual", "as usual", '{"isa": "SSE41"}']


def test_a_command_that_fails_gives_its_code(ray: Any, project: Path) -> None:
    sends = sender(ray, project, [])
    failing = stage(project, "a")
    failing.cmd = "exit 2"
    assert sends.run(failing) == 2
    assert not (project / "data/out/a").exists()


def test_nothing_is_sent_before_the_nodes_are_known_or_from_outside_the_project(ray: Any, project: Path) -> None:
    sends = OnRay(ray, Cluster(store=(project.parent / "store").as_uri()), {}, project, print)
    with pytest.raises(UserError, match="let `capture` run first"):
        sends.run(stage(project, "a"))
    sends.look_at_nodes(CAPTURE)
    outside = stage(project, "a")
    outside.deps[0].fs_path = "/somewhere/else"
    with pytest.raises(UserError, match="infer@a: /somewhere/else lies outside the project"):
        sends.run(outside)


def test_for_replays_which_pin_variables_a_node_is_like_this_machine_whatever_is_set_there(
    ray: Any, project: Path
) -> None:
    said: list[str] = []
    sends = OnRay(ray, Cluster(store=(project.parent / "store").as_uri()), {}, project, said.append)
    assert sends.look_for_like_here(CAPTURE) == 3
    assert said == []
    (project / "capture.py").write_text(CAPTURES.replace('"all"', "str(os.getpid())"))
    others = OnRay(ray, Cluster(store=(project.parent / "store").as_uri()), {}, project, said.append)
    with pytest.raises(UserError, match="no node is like this machine"):
        others.look_for_like_here(CAPTURE)
    assert len(said) == 3


def test_a_stage_whose_node_is_killed_runs_on_another(ray: Any, project: Path, nodes: tuple[Any, list[Any]]) -> None:
    """The last test here: a node is gone afterwards."""
    said: list[str] = []
    sends = sender(ray, project, said)
    threads = [threading.Thread(target=sends.run, args=(stage(project, name, 3.0),)) for name in "ab"]
    for each in threads:
        each.start()
    until = time.monotonic() + 60
    while len(list(project.parent.glob("[ab]-*"))) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    nodes[0].remove_node(nodes[1][1], allow_graceful=False)
    for each in threads:
        each.join(120)
    assert [(project / "data/out" / name).read_text() for name in "ab"] == ["as usual"] * 2
    assert any("lost with node" in line for line in said)


def test_without_a_cluster_or_without_ray_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(UserError, match="set RAY_ADDRESS"):
        connect()
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"weighbridge\[ray\]"):
        connect()

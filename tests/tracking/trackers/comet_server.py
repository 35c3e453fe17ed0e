"""A stand-in for Comet's server on the loopback interface: what the SDK sends lands in memory and can be read back.

It speaks the endpoints that `comet upload` and `comet_ml.API` use, as comet_ml 3.58 calls them. It is not Comet: how the
real server stores, delays or rounds is not known to it.
"""

import gzip
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

STATUS = {
    "is_alive_beat_duration_millis": 10000,
    "gpu_monitor_interval_millis": 60000,
    "cpu_monitor_interval_millis": 60000,
    "parameter_update_interval_millis": 10000,
    "pending_rpcs": False,
}
API_KEY = "Zz0000000000000000000000s"


@dataclass
class Experiment:
    """What was received for one experiment key; metrics as (name, value, step) in order of arrival."""

    project: str
    workspace: str | None
    parameters: dict[str, str] = field(default_factory=dict)
    metrics: list[tuple[str, float, int | None]] = field(default_factory=list)
    others: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    html: str = ""
    tags: set[str] = field(default_factory=set)


@dataclass
class Artifact:
    """A version of an artifact, and the experiments that named it."""

    kind: str
    name: str
    alias: str
    metadata: dict[str, Any]
    used_by: list[str]
    state: str = "OPEN"


@dataclass
class Memory:
    """The server's memory, and how it misbehaves: a request whose path matches `broken` gets HTTP 500."""

    url: str = ""
    broken: str | None = None
    experiments: dict[str, Experiment] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    artifacts: list[Artifact] = field(default_factory=list)


@contextmanager
def comet_server() -> Iterator[Memory]:
    """Serve until the block ends; `COMET_URL_OVERRIDE` is to be set to the memory's `url`."""
    memory = Memory()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"memory": memory}))
    memory.url = f"http://127.0.0.1:{server.server_port}/clientlib/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    memory: Memory
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(_get, parse_qs(urlsplit(self.path).query))

    def do_POST(self) -> None:
        self._answer(_post, self._body())

    def _answer(self, respond: Any, content: Any) -> None:
        path = urlsplit(self.path).path
        self.memory.requests.append(f"{self.command} {path}")
        if self.memory.broken and re.search(self.memory.broken, path):
            status, value = 500, {"msg": "broken on purpose"}
        elif "/rest/" in path and self.headers.get("Authorization") != API_KEY:
            status, value = 401, {"msg": "unknown key"}
        else:
            status, value = respond(self.memory, path, content)
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> Any:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Encoding") == "gzip":
            raw = gzip.decompress(raw)
        kind = self.headers.get("Content-Type", "")
        if kind.startswith("multipart/"):
            query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            return query | {"file": _file_of(kind, raw)}
        return json.loads(raw or b"{}")

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


def _file_of(kind: str, raw: bytes) -> bytes:
    parts = BytesParser().parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + raw).get_payload()
    return next(part.get_payload(decode=True) for part in parts if part.get_filename())


def _get(memory: Memory, path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
    if path.endswith("/isAlive/ver"):
        return 200, {"msg": "Healthy Server", "version": "5.10.1"}
    if path.endswith("/account-details"):
        return 200, {"userName": "tester", "defaultWorkspaceName": "tester"}
    if path.endswith("/artifacts/version"):
        return _version(memory, {name: values[0] for name, values in query.items()})
    experiment = memory.experiments.get(query.get("experimentKey", [""])[0])
    if experiment is None:
        return 404, {"msg": "no such experiment"}
    answers = {
        "experiment/metadata": lambda: _metadata(query["experimentKey"][0], experiment),
        "experiment/metrics/get-all": lambda: {"metrics": [_metric(*point) for point in experiment.metrics]},
        "experiment/parameters": lambda: {"values": _summary(experiment.parameters)},
        "experiment/log-other": lambda: {"values": _summary(experiment.others)},
        "experiment/asset/list": lambda: {
            "assets": [_asset(name, content) for name, content in experiment.files.items()]
        },
        "experiment/asset/get-asset": lambda: experiment.files[query["assetId"][0].removeprefix("asset-")],
    }
    for ending, answer in answers.items():
        if path.endswith(ending):
            return 200, answer()
    return 404, {"msg": f"the stand-in does not know {path}"}


def _metadata(key: str, experiment: Experiment) -> dict[str, Any]:
    return {
        "experimentKey": key,
        "projectName": experiment.project,
        "workspaceName": experiment.workspace,
        "experimentName": experiment.others.get("Name"),
    }


def _version(memory: Memory, query: dict[str, str]) -> tuple[int, Any]:
    for number, each in enumerate(memory.artifacts):
        if query.get("versionId") == str(number) or (query.get("artifactName"), query.get("versionOrAlias")) == (
            each.name,
            each.alias,
        ):
            if key := query.get("consumerExperimentKey"):
                each.used_by.append(key)
            artifact = {"artifactId": each.name, "artifactName": each.name, "artifactType": each.kind, "tags": []}
            return 200, {
                "alias": [each.alias],
                "artifact": {**artifact, "workspaceName": "tester"},
                "artifactVersion": f"{number + 1}.0.0",
                "artifactVersionId": str(number),
                "experimentKey": each.used_by[0],
                "metadata": json.dumps(each.metadata),
                "sizeInBytes": 0,
                "tags": [],
            }
    return 400, {"sdk_error_code": 624523, "msg": "no such artifact"}


def _asset(name: str, content: bytes) -> dict[str, Any]:
    return {"fileName": name, "assetId": f"asset-{name}", "fileSize": len(content)}


def _metric(name: str, value: float, step: int | None) -> dict[str, Any]:
    return {"metricName": name, "metricValue": str(value), "step": step, "timestamp": 0, "epoch": None}


def _summary(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "valueCurrent": value} for name, value in values.items()]


def _post(memory: Memory, path: str, body: dict[str, Any]) -> tuple[int, Any]:
    if path.endswith("/logger/add/run"):
        return _add(memory, body)
    if path.endswith("/logger/get/run"):
        return 200, _handshake(body["previousExperiment"])
    if "/write/artifacts/" in path:
        return _write_artifact(memory, path, body)
    experiment = memory.experiments[body.get("experimentKey") or body["experimentId"]]
    if path.endswith("/asset/upload"):
        experiment.files[body["fileName"]] = body["file"]
    elif path.endswith("/write/experiment/html"):
        experiment.html = body["html"]
    elif "addedTags" in body:
        experiment.tags |= set(body["addedTags"])
    elif path.endswith("/write/experiment/log-other"):
        experiment.others[body["key"]] = body["value"]
    elif path.endswith("/batch/logger/experiment/parameter"):
        experiment.parameters |= {row["parameterName"]: row["parameterValue"] for row in body["values"]}
    elif path.endswith("/batch/logger/experiment/metric"):
        experiment.metrics += [(row["metricName"], row["metricValue"], row["step"]) for row in body["values"]]
    return 200, STATUS


def _write_artifact(memory: Memory, path: str, body: dict[str, Any]) -> tuple[int, Any]:
    if path.endswith("/state"):
        memory.artifacts[int(body["artifactVersionId"])].state = body["state"]
        return 200, STATUS
    named, metadata = (body["artifactType"], body["artifactName"], *body["alias"]), json.loads(body["versionMetadata"])
    memory.artifacts.append(Artifact(*named, metadata, [body["experimentKey"]]))
    number = len(memory.artifacts)
    version = {"artifactVersionId": str(number - 1), "currentVersion": f"{number}.0.0", "previousVersion": None}
    return 200, {"artifactId": body["artifactName"], **version}


def _add(memory: Memory, body: dict[str, Any]) -> tuple[int, Any]:
    key = body["experimentKey"]
    if key in memory.experiments:
        return 400, {"sdk_error_code": 90999, "msg": "already exists"}
    memory.experiments[key] = Experiment(body["projectName"], body["teamName"])
    return 200, _handshake(key)


def _handshake(key: str) -> dict[str, Any]:
    return {
        "runId": f"run-{key}",
        "project_id": "1",
        "focusUrl": "http://127.0.0.1/",
        "projectName": "p",
        "workspace": "w",
    }

"""Model and data of a run as Comet's artifacts: named, with DVC's hashes, so that Comet shows which runs used the same ones.

No file is uploaded: an artifact here is a name and a hash, DVC's remote has the files. Comet's SDK keeps artifacts on a server
alone, so an offline archive has none, and `weighbridge sync` brings them once the run is on a server.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from tracking.runs.run import Run

LONGEST_NAME = 100  # characters, as Comet takes them


class Named(NamedTuple):
    """One artifact; `alias` is its hash, which tells its versions apart."""

    kind: str
    name: str
    alias: str
    metadata: Mapping[str, str]

    @property
    def marker(self) -> str:
        """The name under which the record says that it has the artifact."""
        return f"artifact.{self.kind}"

    @property
    def version(self) -> str:
        return f"{self.name}:{self.alias}"


def artifacts_of(run: Run) -> list[Named]:
    """The data and the weights, as far as their hashes are recorded."""
    source = str(run.params.get("data.source") or "images")
    data = {role: run.inputs[role] for role in ("images", "manifest", "samples") if role in run.inputs}
    found = []
    if data:
        found.append(Named("dataset", _plain(source), _plain(next(iter(data.values()))), {"source": source, **data}))
    if weights := run.inputs.get("weights"):
        found.append(Named("model", _plain(run.subject), _plain(weights), {"subject": run.subject, "weights": weights}))
    return found


def keep(experiment: Any, wanted: Iterable[Named]) -> None:
    """Name each artifact in the online `experiment`: a version that is there is used, another one is made.

    Raises:
        CometException: the server refused one.
    """
    from comet_ml import Artifact
    from comet_ml.exceptions import ArtifactNotFound

    for each in wanted:
        try:
            experiment.get_artifact(each.name, version_or_alias=each.alias)
        except ArtifactNotFound:
            experiment.log_artifact(Artifact(each.name, each.kind, aliases=[each.alias], metadata=dict(each.metadata)))


def _plain(text: str) -> str:
    """Without what Comet reads as a workspace or a version."""
    return re.sub(r"[^\w.\-]", "-", text)[:LONGEST_NAME] or "-"

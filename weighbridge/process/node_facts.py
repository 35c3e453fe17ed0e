"""In what a node of a cluster differs from the environment that was captured for the stage."""

import json
import os
from pathlib import Path

from tracking.runs.run import Scalar

VARIABLE = "WEIGHBRIDGE_NODE_FACTS"  # names the file; `weighbridge.cluster.node` writes it


def node_facts() -> dict[str, Scalar | None]:
    """The facts that are others on this node, None where it has them not.

    Empty where the stage runs on a machine like that of the environment.
    """
    path = os.environ.get(VARIABLE)
    return dict(json.loads(Path(path).read_text(encoding="utf-8"))) if path else {}

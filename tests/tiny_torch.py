"""A small network of torch in a copied project, as a user's own: a stage takes little longer than importing torch."""

import shutil
from pathlib import Path
from typing import Any

from tests.import_graph import ROOT

MODEL, SOURCE = "small-torch", "small-digits"
NETWORK = {"framework": "factory", "architecture": "tiny_network.py:tiny_network", "arguments": {"width": 8}}
CHECKS = ("mode_check", "preprocess_check", "isolation_check", "transfer_check")


def write_network(project: Path) -> None:
    shutil.copyfile(ROOT / "tests/conformance/tiny_network.py", project / "tiny_network.py")


def trained_here(params: Any) -> None:
    """Make it the only model of a copied project, trained for one epoch."""
    short = {"epochs": 1, "batch_size": 16, "threads": 1, "export": None}
    params["pretrain"] = {SOURCE: {**params["pretrain"]["resnet18-digits"], **NETWORK, **short}}
    weights = f"data/weights/{SOURCE}/weights.safetensors"
    params["models"] = {
        MODEL: {**params["models"]["resnet18-torchvision"], **NETWORK, "weights": weights, "claim": None}
    }
    params["backend_parity"] = {}
    for check in CHECKS:
        params[check]["models"] = [MODEL]
    params["mode_check"]["frozen"]["models"] = [MODEL]

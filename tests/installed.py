"""What a test needs that may not be installed."""

import importlib.util

import pytest


def needs(*packages: str) -> None:
    """Skip without one of them; unlike `pytest.importorskip` this imports none: a test may start processes that do.

    torchvision may need preparing before it is imported, and TensorFlow takes seconds.
    """
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")

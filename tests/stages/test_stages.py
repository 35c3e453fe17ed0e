"""What holds for the process of every stage."""

import os
import subprocess
import sys

import pytest

from tests.import_graph import ROOT

ASKED = 'import stages, os; print(os.environ["OPENBLAS_THREAD_TIMEOUT"], os.environ["PYDANTIC_DISABLE_PLUGINS"])'


@pytest.mark.parametrize("own", [{}, {"OPENBLAS_THREAD_TIMEOUT": "30", "PYDANTIC_DISABLE_PLUGINS": "some"}])
def test_idle_threads_sleep_and_plugins_stay_away_unless_the_user_said_otherwise(own: dict[str, str]) -> None:
    names = ("OPENBLAS_THREAD_TIMEOUT", "PYDANTIC_DISABLE_PLUGINS")
    environ = {name: value for name, value in os.environ.items() if name not in names} | own
    done = subprocess.run(
        [sys.executable, "-c", ASKED], cwd=ROOT, env=environ, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == (list(own.values()) or ["16", "1"])

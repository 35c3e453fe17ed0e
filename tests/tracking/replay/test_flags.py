"""Flags of a framework: set by the name under which they are recorded, and still set when the process ends."""

import json
import subprocess
import sys

import numpy as np
import pytest

from tests.import_graph import ROOT
from tests.installed import needs
from tracking.replay.errors import RefusedError
from tracking.replay.flags import FLAGS, flags_in, require_flags
from tracking.runs.outcomes import Outcome


def test_a_flag_that_the_code_sets_again_is_refused() -> None:
    outcome = Outcome(np.zeros(1, int), np.zeros(1, int), "0", {"torch.mkldnn": True})
    require_flags(outcome, {"torch.mkldnn": True})
    with pytest.raises(RefusedError, match=r"torch\.mkldnn: set to False, and to True by the code that ran"):
        require_flags(outcome, {"torch.mkldnn": False})


TURNED = """
import json, sys, torch
from tracking.replay.flags import FLAGS
from tracking.capture.process_settings import settings
now, read = settings(), {}
for name, how in FLAGS.items():
    if name.startswith("torch.") and isinstance(now.get(name), bool):
        exec(how, {"torch": torch, "v": not now[name]})
        read[name] = settings()[name] is not now[name]
        exec(how, {"torch": torch, "v": now[name]})
for precision in ("highest", "high"):
    torch.set_float32_matmul_precision(precision)
    whole = settings()
    torch.set_float32_matmul_precision("medium")
    for name, how in FLAGS.items():
        if name.startswith("torch.") and name in whole:
            exec(how, {"torch": torch, "v": whole[name]})
    read[f"all of {precision}"] = settings() == whole
print(json.dumps(read))
"""


def test_flags_of_torch_are_set_under_the_names_by_which_they_are_recorded() -> None:
    pytest.importorskip("torch")
    done = subprocess.run([sys.executable, "-c", TURNED], cwd=ROOT, capture_output=True, text=True)
    read = json.loads(done.stdout.splitlines()[-1])
    assert len(read) > 10
    assert [name for name, turned in read.items() if not turned] == []


def test_flags_of_another_backend_are_left_out() -> None:
    conditions = {"param.model.backend": "torch", "torch.mkldnn": False, "tensorflow.deterministic": True}
    assert flags_in(conditions) == {"torch.mkldnn": False}


OF_OTHERS = """
import json, sys
import jax, tensorflow
from tracking.replay.flags import FLAGS
from tracking.capture.process_settings import settings
jax.numpy.ones(1) + 1
wanted, read = json.loads(sys.argv[1]), []
for name, value in wanted:
    exec(FLAGS[name], {"jax": jax, "tensorflow": tensorflow, "v": value})
    read.append([name, settings().get(name)])
print(json.dumps(read))
"""
VALUES = {
    "tensorflow.allow_tf32": (False, True),
    "tensorflow.deterministic": (False, True),  # it cannot be taken back
    "tensorflow.jit": ("autoclustering", ""),
    "jax.x64": (True, False),
    "jax.matmul_precision": ("highest", "bfloat16"),
}


@pytest.mark.slow
def test_flags_of_tensorflow_and_jax_are_set_under_the_names_by_which_they_are_recorded() -> None:
    needs("tensorflow", "jax")
    assert VALUES.keys() == {name for name in FLAGS if name.startswith(("tensorflow.", "jax."))}
    wanted = [[name, value] for name, values in VALUES.items() for value in values]
    command = [sys.executable, "-c", OF_OTHERS, json.dumps(wanted)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == wanted

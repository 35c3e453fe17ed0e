"""Settings as a real process of each runtime has them after computing: one process per call, remembered by runtime."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from tests.project import UNSET

ROOT = Path(__file__).parents[3]
PACKAGES = {
    "torchvision-torch": ("torch",),
    "keras-tensorflow": ("keras", "tensorflow"),
    "keras-jax": ("keras", "jax"),
    "keras-torch": ("keras", "torch"),
    "onnx-onnxruntime": ("onnx", "onnxruntime"),
}
COMPUTE = {
    "torch": """
import torch
torch.set_num_threads(1)
network = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 3), torch.nn.BatchNorm2d(16)).eval()
with torch.no_grad():
    network(torch.ones(2, 3, 32, 32))
""",
    "keras": """
import keras, numpy
images = keras.Input((32, 32, 3))
network = keras.Model(images, keras.layers.BatchNormalization()(keras.layers.Conv2D(16, 3)(images)))
network(numpy.ones((2, 32, 32, 3), "float32"), training=False)
""",
    "onnx": """
import numpy, onnxruntime
from onnx import TensorProto, helper
ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 2]) for name in "ab"]
graph = helper.make_graph([helper.make_node("Relu", ["a"], ["b"])], "g", ends[:1], ends[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
session.run(None, {"a": numpy.ones((2, 2), "float32")})
network = session
""",
}
ASK = """
import json, random, sys
from tracking.capture.network_settings import network_settings
from tracking.capture.process_settings import random_states, randomness, settings
before = random_states()
first = settings()
assert settings() == first, "asked twice, two answers"
print("SETTINGS", json.dumps({**first, **network_settings(network), **randomness(before, random_states())}))
"""


@cache
def settings_of(runtime: str, *environ: tuple[str, str]) -> dict[str, Any]:
    """The settings of a fresh process that computed with `runtime`, with `environ` on top of what else is set here."""
    framework, _, backend = runtime.partition("-")
    compute = COMPUTE["torch" if framework == "torchvision" else framework]
    done = subprocess.run(
        [sys.executable, "-c", compute + ASK],
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith(UNSET)},
            "KERAS_BACKEND": backend,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "PYTHONPATH": str(ROOT),
            **dict(environ),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    answers = [line for line in done.stdout.splitlines() if line.startswith("SETTINGS ")]
    assert answers, done.stderr[-2000:]
    answer: dict[str, Any] = json.loads(answers[-1].removeprefix("SETTINGS "))
    return answer

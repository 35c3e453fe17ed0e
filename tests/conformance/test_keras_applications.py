"""A network of every family of Keras Applications is built by the adapter, which finds its last layer and no code in it."""

import json
import subprocess
import sys

import pytest

from tests.conformance.test_adapters import missing
from tests.import_graph import ROOT

# of each family the smallest, and further ones that are built by other code; NASNetMobile, Keras says, is not for torch
WIDTHS = {
    "ConvNeXtTiny": 768, "DenseNet121": 1024, "EfficientNetB0": 1280, "EfficientNetV2B0": 1280, "EfficientNetV2S": 1280,
    "InceptionResNetV2": 1536, "InceptionV3": 2048, "MobileNet": 1024, "MobileNetV2": 1280, "MobileNetV3Large": 1280,
    "MobileNetV3Small": 1024, "NASNetLarge": 4032, "ResNet50": 2048, "ResNet50V2": 2048, "VGG16": 4096, "VGG19": 4096,
    "Xception": 2048,
}  # fmt: skip
# torch's meta device has shapes and no memory
BUILD = """
import json, sys
from weighbridge.frameworks import Spec, load
from weighbridge.weights.keras_configs import code_in
load(Spec("keras", "torch", "MobileNet", {"alpha": 0.25}, 5, 224, None, 1, 0, "cpu"))
import keras
found = {}
with keras.device("meta"):
    for name in sys.argv[1:]:
        side = 331 if name == "NASNetLarge" else 224
        network = load(Spec("keras", "torch", name, {}, 5, side, None, 1, 0, "cpu"))
        saved = json.loads(json.dumps(keras.saving.serialize_keras_object(network.inside)))
        found[name] = [network.last_features().shape[-1], network.inside.output.shape[-1], code_in(saved)]
print(json.dumps(found))
"""


@pytest.mark.slow
def test_every_family_is_built_its_last_layer_found_and_its_configuration_holds_no_code() -> None:
    if absent := missing("keras", "torch"):
        pytest.skip(f"{absent} is not installed")
    command = [sys.executable, "-c", BUILD, *WIDTHS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {name: [width, 5, None] for name, width in WIDTHS.items()}

"""A model in one line: what it says of weights, preprocessing and published numbers."""

import hashlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from tracking.audit.claims import load_claims
from tracking.runs.errors import UserError
from weighbridge.params.complete import complete
from weighbridge.params.published_names import KERAS, TORCHVISION
from weighbridge.params.shorthand import model_key


def job(*, recipes: Any = None, downloads: Any = None, pretrain: Any = None, **models: Any) -> dict[str, Any]:
    asked = {"recipes": recipes or {}, "downloads": downloads or {}, "pretrain": pretrain or {}}
    return complete({"data": {"source": "images"}, "models": models, **asked})


def refused(said: Any, **sections: Any) -> str:
    with pytest.raises(UserError) as caught:
        job(m=said, **sections)
    assert "\n" not in str(caught.value)
    assert "models.m" in str(caught.value)
    return str(caught.value)


def test_of_torchvision_s_weights_the_name_says_all() -> None:
    found = job(r="torchvision/resnet50/IMAGENET1K_V2")
    assert found["downloads"]["r"] == {
        "name": "torchvision/ResNet50/IMAGENET1K_V2", "url": None, "arguments": {}, "file": "weights.pth", "sha256": None,
    }  # fmt: skip
    declared = {"framework": "torchvision", "architecture": "resnet50", "weights": "IMAGENET1K_V2"}
    assert found["recipes"]["r"] == {"published": declared}
    assert found["models"]["r"] == {
        "framework": "torchvision", "backend": "torch", "architecture": "resnet50", "arguments": {},
        "weights": "data/weights/r/weights.pth", "sha256": None, "recipe": "r", "batch_size": 32, "batch_order": "samples",
        "computing": None, "claim": None,
        "checkpoint": "torchvision/ResNet50/IMAGENET1K_V2", "classes": None,
    }  # fmt: skip


def test_what_is_written_out_stays_as_it_is() -> None:
    found = job(r="torchvision/resnet50/IMAGENET1K_V2", k="keras/VGG16")
    assert complete(found) == found


def test_of_timm_s_and_keras_weights_too() -> None:
    found = job(t="timm/resnet50.a1_in1k", k="keras/mobilenet")
    assert found["models"]["t"]["checkpoint"] == "timm/resnet50/a1_in1k"
    assert found["models"]["t"]["weights"] == "data/weights/t/model.safetensors"
    assert found["downloads"]["t"]["name"] == "timm/resnet50.a1_in1k"
    assert found["recipes"]["t"]["published"] == {"framework": "timm", "architecture": "resnet50", "weights": "a1_in1k"}
    assert found["models"]["k"]["architecture"] == "MobileNet"
    assert found["models"]["k"]["backend"] == "tensorflow"
    assert found["downloads"]["k"]["name"] == found["models"]["k"]["checkpoint"] == "keras/MobileNet/imagenet"


def test_a_torchvision_checkpoint_has_the_name_under_which_numbers_are_published() -> None:
    known = {claim.checkpoint for claim in load_claims()}
    found = job(
        i="torchvision/inception_v3/IMAGENET1K_V1", x="torchvision/resnext50_32x4d/IMAGENET1K_V2", k="keras/NASNetLarge"
    )
    assert {model["checkpoint"] for model in found["models"].values()} <= known
    assert found["models"]["i"]["arguments"] == {"transform_input": True}


def test_other_keys_go_on_top() -> None:
    said = {"published": "torchvision/resnet50/IMAGENET1K_V2", "batch_size": 16, "checkpoint": None, "sha256": "0" * 64}
    found = job(r=said)
    assert (found["models"]["r"]["batch_size"], found["models"]["r"]["checkpoint"]) == (16, None)
    assert found["models"]["r"]["sha256"] == found["downloads"]["r"]["sha256"] == "0" * 64


def test_weights_at_hand_are_not_downloaded() -> None:
    found = job(k={"published": "keras/MobileNet", "arguments": {"alpha": 0.25}, "weights": "/models/mobilenet.h5"})
    assert found["downloads"] == {}
    assert found["models"]["k"]["weights"] == "/models/mobilenet.h5"
    assert found["recipes"]["k"]["published"]["architecture"] == "MobileNet"


def test_another_width_is_another_file_and_not_held_against_numbers_of_the_full_one() -> None:
    found = job(full="keras/MobileNet", thin={"published": "keras/MobileNet", "arguments": {"alpha": 0.25}})
    assert found["downloads"]["thin"]["arguments"] == {"alpha": 0.25}
    assert found["downloads"]["full"]["arguments"] == {}
    assert found["models"]["thin"]["checkpoint"] is None


def test_the_same_weights_on_three_backends_are_downloaded_and_prepared_for_once() -> None:
    said = {backend: {"published": "keras/VGG16", "backend": backend} for backend in ("tensorflow", "jax", "torch")}
    found = job(**said)
    assert list(found["downloads"]) == list(found["recipes"]) == ["tensorflow"]
    assert {model["weights"] for model in found["models"].values()} == {"data/weights/tensorflow/weights.h5"}


def test_a_download_and_a_recipe_of_one_s_own_are_used() -> None:
    pinned = {"mine": {"name": "keras/VGG16/imagenet", "file": "vgg.h5", "sha256": "0" * 64}}
    found = job(downloads=pinned, recipes={"plain": {}}, k={"published": "keras/VGG16", "recipe": "plain"})
    assert found["models"]["k"]["weights"] == "data/weights/mine/vgg.h5"
    assert list(found["recipes"]) == ["plain"]


def test_what_a_model_needs_never_takes_the_place_of_another_entry() -> None:
    source = {"k": {"framework": "keras", "architecture": "VGG16"}}
    found = job(pretrain=source, recipes={"k": {}}, k="keras/VGG16")
    assert found["recipes"]["k"]["decode"] == "pillow"
    assert found["models"]["k"]["recipe"] == "k-published"
    assert found["models"]["k"]["weights"] == "data/weights/k-published/weights.h5"
    assert found["pretrain"]["k"]["recipe"] == "k"


@pytest.mark.parametrize(
    ("said", "framework"),
    [("onnx:m/net.onnx", "onnx"), ("tflite:m/net.tflite", "tflite"), ("kerasfile:m/net.keras", "kerasfile"),
     ("savedmodel:m/net", "savedmodel")],
)  # fmt: skip
def test_a_file_is_opened_by_what_is_said_and_prepared_for_by_the_only_recipe(said: str, framework: str) -> None:
    found = job(recipes={"plain": {}}, m=said)["models"]["m"]
    assert (found["framework"], found["architecture"], found["recipe"]) == (framework, "net", "plain")
    assert found["weights"] == said.partition(":")[2]


def test_without_a_recipe_or_with_two_a_file_must_name_one() -> None:
    assert "give `recipe:`" in refused("onnx:net.onnx")
    assert "one of plain, other" in refused("onnx:net.onnx", recipes={"plain": {}, "other": {}})
    both = {"plain": {}, "other": {"scale": "-1..1"}}
    named = {"framework": "onnx", "weights": "net.onnx", "recipe": "other"}
    assert job(recipes=both, m=named)["models"]["m"]["recipe"] == "other"


def test_a_recipe_may_be_the_name_of_the_weights_that_declare_it() -> None:
    found = job(recipes={"theirs": "timm/resnet50.a1_in1k"}, m="onnx:net.onnx")
    assert found["recipes"]["theirs"]["published"]["architecture"] == "resnet50"


def test_a_torch_program_is_pinned_to_the_file_that_is_there(tmp_path: Path) -> None:
    program = tmp_path / "net.pt2"
    program.write_bytes(b"program")
    found = job(recipes={"plain": {}}, m=f"torch:{program}")["models"]["m"]
    assert found["framework"] == "torchfile"
    assert found["sha256"] == hashlib.sha256(b"program").hexdigest()
    pinned = {"framework": "torchfile", "weights": "absent.pt2", "sha256": "0" * 64}
    assert job(recipes={"plain": {}}, m=pinned)["models"]["m"]["sha256"] == "0" * 64


def test_a_torch_program_that_is_not_there_or_no_program_says_what_is_missing() -> None:
    assert "give its `sha256:`" in refused("torch:absent.pt2", recipes={"plain": {}})
    said = refused("torch:net.pth", recipes={"plain": {}})
    assert "of a state dict say what it belongs to" in said
    assert "or framework: factory with the function that builds your own network" in said


def saved(folder: Path, architecture: str) -> Path:
    (folder / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    return folder


def test_a_transformers_folder_says_its_class_and_how_its_inputs_are_prepared(tmp_path: Path) -> None:
    found = job(m=f"transformers/{saved(tmp_path, 'ViTForImageClassification')}")
    assert found["downloads"] == {}
    assert found["models"]["m"]["architecture"] == "ViTForImageClassification"
    assert found["models"]["m"]["weights"] == str(tmp_path)
    assert found["recipes"]["m"]["published"]["weights"] == str(tmp_path)
    words = job(m=f"transformers/{saved(tmp_path, 'GPT2LMHeadModel')}")["recipes"]["m"]
    assert [words[name] for name in ("tokenizer", "length", "target")] == [str(tmp_path), 128, "last-token"]


def test_of_a_transformers_repository_what_is_not_known_must_be_said() -> None:
    assert "give `architecture:`" in refused("transformers/google/vit-base")
    known = {"published": "transformers/google/vit-base", "architecture": "ViTForImageClassification"}
    assert "give `recipe:`" in refused(known)
    found = job(recipes={"plain": {}}, m={**known, "recipe": "plain"})
    assert found["models"]["m"]["weights"] == "data/weights/m"
    assert found["downloads"]["m"]["name"] == "transformers/google/vit-base"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("torchvision/resnet51/IMAGENET1K_V1", "did you mean 'ResNet50'?"),
        ("torchvision/resnet50", "which weights? for example torchvision/resnet50/IMAGENET1K_V1"),
        ("timm/resnet50", "which weights? their tag follows a dot"),
        ("keras/MobilNet", "did you mean 'MobileNet'?"),
        ("keras/MobileNet/places", "publishes imagenet only"),
        ("touchvision/resnet50/V1", "names no model; did you mean 'torchvision'?"),
        ("onyx:net.onnx", "names no model; did you mean 'onnx'?"),
        ("onnx:", "which file?"),
        ("resnet50", "write torchvision/<model>/<WEIGHTS>"),
        (3, "models.m"),
        ({"published": 3}, "names no model"),
        ({"published": "keras/VGG16", "batch_sice": 3}, "unknown key 'models.m.batch_sice'; did you mean 'batch_size'?"),
        ({"published": "keras/VGG16", "arguments": 3}, "models.m.arguments"),
    ],
)  # fmt: skip
def test_a_line_that_names_nothing_known_is_refused_with_the_nearest_name(said: Any, words: str) -> None:
    assert words in refused(said)


def test_a_section_of_the_wrong_kind_is_named() -> None:
    with pytest.raises(UserError, match="models: Input should be a valid dictionary"):
        complete({"models": ["keras/VGG16"]})


@pytest.mark.parametrize(
    ("line", "key"),
    [("torchvision/resnet50/IMAGENET1K_V2", "torchvision-resnet50-IMAGENET1K_V2"), ("timm/resnet50.a1_in1k",
      "timm-resnet50-a1_in1k"), ("onnx:../models/my net.onnx", "onnx-my-net"), ("keras/VGG16", "keras-VGG16")],
)  # fmt: skip
def test_a_line_gives_its_model_a_name(line: str, key: str) -> None:
    assert model_key(line) == key


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="torchvision is not installed")
def test_the_names_known_here_are_torchvision_s() -> None:
    from weighbridge.process.torchvision_operators import define_missing_operators

    define_missing_operators()
    from torchvision import models

    names = {name: models.get_model_weights(name).__name__ for name in models.list_models(module=models)}
    assert {f"{name}_Weights": name.lower() for name in TORCHVISION} == {enum: name for name, enum in names.items()}


@pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="keras is not installed")
def test_the_names_known_here_are_those_of_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    from subprocess import run
    from sys import executable

    code = "from keras import applications as a; print(*[name for name in dir(a) if name[0].isupper()])"
    said = run(
        [executable, "-c", code], env={"KERAS_BACKEND": "numpy"}, capture_output=True, text=True, check=True
    ).stdout
    assert said.split() == KERAS

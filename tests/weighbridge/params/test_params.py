"""`params.yaml` and suites are read strictly; what `params.yaml` holds is complete."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.import_graph import ROOT
from tracking.runs.errors import UserError
from weighbridge.params.checks import CHECKS
from weighbridge.params.complete import UNSEEN, complete
from weighbridge.params.section import load_yaml, nearest
from weighbridge.params.whole import load_completed, load_params, load_suite
from weighbridge.params.written import plain_yaml

DEFAULT = (ROOT / "params.yaml").read_text(encoding="utf-8")
SUITES = sorted((ROOT / "suites").glob("*.yaml"))


def broken(tmp_path: Path, old: str, new: str) -> Path:
    assert old in DEFAULT
    path = tmp_path / "params.yaml"
    path.write_text(DEFAULT.replace(old, new, 1), encoding="utf-8")
    return path


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_params(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


def digits(**changed: Any) -> dict[str, Any]:
    return {**load_yaml(ROOT / "suites/digits.yaml"), **changed}


def model(**changed: Any) -> dict[str, Any]:
    return {"framework": "onnx", "architecture": "net", "weights": "net.onnx", "recipe": "plain", **changed}


def small(**sections: Any) -> dict[str, Any]:
    """A suite of two models that says as little as can be said."""
    said = {"data": {"source": "images"}, "recipes": {"plain": {}}, "models": {"a": model(), "b": model()}}
    return {**said, **sections}


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_the_shipped_suites_are_valid(path: Path) -> None:
    assert load_completed(path).run_names


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_a_shipped_suite_is_a_screen_long(path: Path) -> None:
    longest = 130 if path.stem == "published-2019" else 40  # that one lists the files of fifteen models
    assert len(path.read_text(encoding="utf-8").splitlines()) <= longest


def test_the_committed_params_are_what_the_default_suite_comes_to() -> None:
    assert load_params(ROOT / "params.yaml").suite == "suites/digits.yaml"
    rest = plain_yaml(load_yaml(ROOT / "params.yaml"))
    assert rest == plain_yaml(complete(digits(suite="suites/digits.yaml")))  # the order of the keys too


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_what_is_complete_stays_as_it_is(path: Path) -> None:
    job = complete(load_yaml(path))
    assert complete(job) == job


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("corrupt: fail", "corrupt: fail\n  xyz: red", "unknown key 'data.xyz'; known: task, source"),
        ("  corrupt: fail\n", "  corupt: fail\n", "unknown key 'data.corupt'; did you mean 'corrupt'?"),
        ("claims:\n", "claim:\n", "unknown key 'claim'; did you mean 'claims'?"),
        ("classes: 10", "classes: ten", "data.classes"),
        ("backend: onnxruntime", "backend: torch", "onnx has no backend 'torch'; known: onnxruntime"),
        ("framework: onnx\n", "framework: onyx\n", "unknown framework 'onyx'; did you mean 'onnx'? known: factory, keras"),
        ("recipe: digits-64\n    batch_size", "recipe: digits-65\n    batch_size", "no 'digits-65'; did you mean 'digits-64'?"),
        ("reference: resnet18-torchvision", "reference: resnet19", "backend_parity.resnet18-onnx.reference"),
        ("antialias: true", "antialias: false", "antialias"),
        ("resnet18-onnx:\n    framework", "resnet18.onnx:\n    framework", "models.resnet18.onnx"),
        ("models:\n", "models: [\n", "not YAML"),
        ("sha256: null", "sha256: abc", "sha256"),
        ("- layers\n", "- layer\n", "checks: there is no 'layer'; did you mean 'layers'?"),
        ("- layers\n", "", "checks: backend_parity compares layer by layer"),
        ("mode_check:\n  models:\n  - resnet18-torchvision\n", "mode_check:\n  models:\n",
         "frozen.models: resnet18-torchvision is not among"),
        ("source: weighbridge/images/digits.py", "source: weighbridge/images/no_images.py", "models need images"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_names_the_key(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert words in refusal(broken(tmp_path, old, new))


@pytest.mark.parametrize("name", UNSEEN)
def test_a_key_that_dvcs_run_cache_does_not_see_is_refused_with_its_place(name: str) -> None:
    suite = YAML(typ="safe").load((ROOT / "suites/digits.yaml").read_text())
    suite["models"]["resnet18-onnx"]["arguments"] = {"inner": {name: 3}}
    with pytest.raises(UserError, match=rf"models\.resnet18-onnx\.arguments\.inner\.{name}: DVC's run cache"):
        complete(suite)


def test_dvcs_run_cache_still_does_not_see_these_keys() -> None:
    """Where this fails, DVC is mended: the refusal and the digest of recipes in `stages.capture` can go."""
    from dvc.stage.cache import _get_cache_hash

    hashes = [_get_cache_hash({"cmd": "x", "params": {"params.yaml": {"a": {n: v}}}}) for n in UNSEEN for v in (1, 2)]
    assert len(set(hashes)) == 1


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("  corrupt: fail\n", "", "data.corrupt is missing"),
        ("claims:\n  file: tracking/audit/claims.csv\n", "", "claims is missing"),
        ("recipe: digits-64\n    batch_size", "recipe: digits-32\n    batch_size",
         "pipeline.infer.mobilenet-keras-tensorflow.recipe does not follow from the rest"),
        ("- mode_check\n", "", "pipeline.mode_check.resnet18-torchvision does not follow from the rest"),
        ("- layers\n- backend_parity\n", "- backend_parity\n- layers\n", "checks does not follow from the rest"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_complete_is_refused_with_what_completes_it(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    path = broken(tmp_path, old, new)
    assert f"{words}; `weighbridge use {path}` completes the file anew" in refusal(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "absent.yaml: cannot be read" in refusal(tmp_path / "absent.yaml")


def test_a_file_that_is_no_mapping_is_named(tmp_path: Path) -> None:
    (tmp_path / "words.yaml").write_text("just words\n")
    assert "words.yaml: no suite" in refusal(tmp_path / "words.yaml")


def test_numbers_are_read_as_dvc_reads_them(tmp_path: Path) -> None:
    params = load_params(broken(tmp_path, "learning_rates:\n  - 0.001", "learning_rates:\n  - 1e-3"))
    assert params.transfer_check.learning_rates[0] == 0.001


def test_a_suite_says_only_what_is_special_about_it() -> None:
    job = complete(small())
    assert job["checks"] == list(CHECKS)
    assert job["models"]["a"]["backend"] == "onnxruntime"
    assert job["models"]["a"]["batch_size"] == 32
    assert job["data"]["classes"] == 1000
    assert job["publish"]["trackers"] == ["mlflow", "comet"]


def test_one_file_of_predictions_holds_scores_and_labels_unless_it_is_said_where_they_are() -> None:
    said = {"framework": "keras", "architecture": "VGG16", "predictions": "p.csv", "labels": "l.csv"}
    theirs = complete({"imports": {"theirs": said}})["imports"]["theirs"]
    assert (theirs["scores"], theirs["labels"]) == ("p.csv", "l.csv")


def test_a_download_is_called_as_its_publisher_would() -> None:
    named = {"a": {"name": "keras/VGG16/imagenet"}, "b": {"name": "timm/resnet50.a1_in1k"}}
    url = {"c": {"url": "https://x.example/w/net.safetensors?download=1", "sha256": "0" * 64}}
    files = {key: each["file"] for key, each in complete({"downloads": {**named, **url}})["downloads"].items()}
    assert files == {"a": "weights.h5", "b": "model.safetensors", "c": "net.safetensors"}


@pytest.mark.parametrize(
    ("name", "known", "words"),
    [
        ("lyers", ["layers", "other"], "; did you mean 'layers'? known: layers, other"),
        ("x", ["layers", "other"], "; known: layers, other"),
        ("x", [], "; known: none"),
        ("n7x", [f"n{number}" for number in range(40)], "; did you mean 'n7'?"),
        ("other", [f"n{number}" for number in range(400)], ""),
    ],
)
def test_the_nearest_name_is_said_and_all_unless_they_are_many(name: str, known: list[str], words: str) -> None:
    assert nearest(name, known) == words


# ---- stages


ALWAYS = ("preprocess", "pretrain", "infer")


def stages(**sections: Any) -> dict[str, list[str]]:
    """What each optional stage runs for."""
    pipeline = complete(small(**sections))["pipeline"]
    return {name: list(entries) for name, entries in pipeline.items() if name not in ALWAYS}


def test_every_section_of_a_check_is_found_and_has_its_stage() -> None:
    entries = load_yaml(ROOT / "dvc.yaml")["stages"]
    asked = [name for name, entry in entries.items() if entry.get("foreach") == f"${{pipeline.{name}}}"]
    assert sorted([*ALWAYS, *stages()]) == sorted(asked) == sorted([*ALWAYS, *CHECKS, "transfer_ranking"])


def test_by_default_every_check_looks_at_every_model_but_transfer_which_names_its_own() -> None:
    found = stages()
    for check in ("layers", "mode_check", "isolation_check", "preprocess_check"):
        assert found.pop(check) == ["a", "b"]
    assert not any(found.values())


def test_a_stage_is_told_what_its_command_line_names() -> None:
    network = {"weights": "net.onnx", "recipe": "plain", "framework": "onnx", "backend": "onnxruntime"}
    item = {**network, "folder": "data", "data": "data"}
    asked = {
        "backend_parity": {"p": {"reference": "a", "candidate": "b"}},
        "backend_check": {"c": {"model": "a"}},
        "fingerprint": {"f": {"model": "a", "predictions": "theirs.csv"}},
    }
    pipeline = complete(small(**asked))["pipeline"]
    assert pipeline["mode_check"]["a"] == pipeline["infer"]["a"] == item
    assert pipeline["backend_parity"] == {"p": {"reference": "a", "candidate": "b"}}
    assert pipeline["backend_check"] == {"c": {"model": "a", **item}}
    assert pipeline["fingerprint"] == {"f": {"model": "a", "predictions": "theirs.csv", **item}}


@pytest.mark.parametrize("check", ["mode_check", "isolation_check", "preprocess_check", "transfer_check"])
def test_a_model_that_is_not_asked_for_has_no_stage(check: str) -> None:
    assert stages(**{check: {"models": ["b"]}})[check] == ["b"]


def test_without_checks_no_optional_stage_runs() -> None:
    asked = {"fingerprint": {"f": {"model": "a", "predictions": "theirs.csv"}}, "backend_check": {"c": {"model": "a"}}}
    assert not any(stages(checks="none", **asked).values())


def test_only_the_checks_that_are_named_run() -> None:
    found = stages(checks=["mode_check", "layers"])
    assert [name for name, models in found.items() if models] == ["layers", "mode_check"]


@pytest.mark.parametrize("checks", ["some", 3, None])
def test_checks_are_all_none_or_a_list(checks: Any) -> None:
    with pytest.raises(UserError, match=f"checks: give all, none, or a list of names, not {checks!r}"):
        complete(small(checks=checks))


def test_a_pair_without_layers_is_refused() -> None:
    pair = {"p": {"reference": "a", "candidate": "b"}}
    with pytest.raises(UserError, match="checks: backend_parity compares layer by layer"):
        complete(small(checks=["backend_parity"], backend_parity=pair))
    assert stages(checks=["mode_check"], backend_parity=pair)["backend_parity"] == []


def test_a_ranking_needs_two_models_that_are_transferred() -> None:
    assert stages(transfer_check={"models": ["a"]})["transfer_ranking"] == []
    assert stages(transfer_check={"models": ["a", "b"]})["transfer_ranking"] == ["all"]
    assert stages(transfer_check={"models": ["a", "b"]}, checks="none")["transfer_ranking"] == []


def test_preprocessing_is_not_looked_at_where_a_model_reads_texts_or_no_sample_is_asked_for() -> None:
    texts = {"plain": {}, "words": {"tokenizer": "tokenizer.json"}}
    models = {"a": model(), "b": model(recipe="words")}
    found = stages(recipes=texts, models=models)
    assert (found["preprocess_check"], found["mode_check"]) == (["a"], ["a", "b"])
    assert stages(preprocess_check={"samples": 0})["preprocess_check"] == []


@pytest.mark.parametrize(
    ("sections", "place"),
    [
        ({"isolation_check": {"models": ["c"]}}, "isolation_check.models"),
        ({"mode_check": {"models": None, "frozen": {"models": ["c"]}}}, "mode_check.frozen.models"),
        ({"backend_parity": {"p": {"reference": "a", "candidate": "c"}}}, "backend_parity.p.candidate"),
        ({"backend_check": {"k": {"model": "c"}}}, "backend_check.k.model"),
        ({"fingerprint": {"f": {"model": "c", "predictions": "x.csv"}}}, "fingerprint.f.model"),
    ],
)
def test_a_check_of_a_model_that_there_is_not_is_refused(sections: dict[str, Any], place: str) -> None:
    with pytest.raises(UserError, match=f"{place}: there is no 'c'; known: a, b"):
        complete(small(**sections))


def test_one_class_alone_is_refused_as_every_model_is_right_then() -> None:
    suite = dict(load_suite(ROOT / "suites/digits.yaml"))
    with pytest.raises(UserError, match=r"data\.classes: of one class every model is right"):
        complete({**suite, "data": {**suite["data"], "classes": 1}})

"""The stage that writes down the environment: one file per runtime, the same bytes when nothing changed."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stages.capture import capture, factory_code, forget_failures, made_here, main, recipe_facts, remove_others
from tests.import_graph import ROOT
from tests.tracking.capture.runtimes import RUNTIMES
from tracking.audit.audit import audit
from tracking.capture.environment import Environment
from tracking.capture.machine import this_machine
from tracking.runs.errors import UserError
from tracking.runs.run import Run
from weighbridge.params.recipes import Declaration, Published, TextRecipe
from weighbridge.params.whole import load_params

ON_TENSORFLOW = {f"{framework}-tensorflow.json" for framework in ("keras", "keras_hub", "kerasfile", "savedmodel")}
SECRET = "Zk3v9QwXy7Lm2NpR5tBd8Hs1"  # planted: no such account exists


def written(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*.json"))}


def command(folder: Path) -> list[str]:
    paths = [
        "--environment",
        str(folder / "environment"),
        "--code",
        str(folder / "code"),
        "--factories",
        str(folder / "factories"),
        "--trackers",
        str(folder / "trackers.json"),
    ]
    paths += ["--context", str(folder / "context"), "--results", str(folder / "results")]
    return [sys.executable, "-m", "stages.capture", *paths]


def capture_into(folder: Path, trackers: str = "trackers.json") -> None:
    main(
        folder / "environment",
        folder / "code",
        folder / "factories",
        folder / trackers,
        folder / "context",
        folder / "results",
    )


def run(folder: Path, **environ: str) -> dict[str, bytes]:
    subprocess.run(command(folder), cwd=ROOT, env={**os.environ, **environ}, check=True, timeout=120)
    return written(folder)


def test_every_runtime_has_a_file_and_trackers_have_one(tmp_path: Path) -> None:
    capture_into(tmp_path)
    recipes = {f"{recipe}.json" for recipe in load_params().recipes}
    assert set(written(tmp_path / "environment")) == {f"{runtime}.json" for runtime in RUNTIMES} | recipes
    assert (tmp_path / "trackers.json").is_file()
    loaded = [Environment.load(tmp_path / "environment" / f"{runtime}.json") for runtime in RUNTIMES]
    assert tuple(loaded) == capture(this_machine())


def test_again_the_same_bytes(tmp_path: Path) -> None:
    assert run(tmp_path / "one") == run(tmp_path / "two", SOMETHING="1", PYTHONHASHSEED="7")


def test_a_variable_touches_only_the_files_of_the_runtimes_that_read_it(tmp_path: Path) -> None:
    before, after = run(tmp_path / "one"), run(tmp_path / "two", TF_ENABLE_ONEDNN_OPTS="0")
    assert {name for name in before if before[name] != after[name]} == ON_TENSORFLOW | {"images.json"}


def test_no_secret_reaches_a_file(tmp_path: Path) -> None:
    files = run(
        tmp_path,
        COMET_API_KEY=SECRET,
        MLFLOW_TRACKING_URI=f"https://someone:{SECRET}@host",
        MLFLOW_TRACKING_PASSWORD=SECRET,
        PIP_INDEX_URL=f"https://someone:{SECRET}@host/simple",
        XLA_FLAGS=f"--xla_dump_to=https://someone:{SECRET}@host",
    )
    assert all(SECRET.encode() not in content for content in files.values())
    assert b"xla_dump_to" in files["keras-jax.json"]


def test_every_runtime_of_the_pipelines_models_is_captured() -> None:
    models = YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8"))["models"]
    assert {f"{model['framework']}-{model['backend']}" for model in models.values()} <= set(RUNTIMES)


def test_trackers_are_written_as_json(tmp_path: Path) -> None:
    capture_into(tmp_path, "deep/trackers.json")
    assert "mlflow" in json.loads((tmp_path / "deep" / "trackers.json").read_text())


def test_a_folder_that_cannot_be_written_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "environment").write_text("a file where a folder should be")
    done = subprocess.run(command(tmp_path), cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, "Traceback" in done.stderr, str(tmp_path) in done.stderr) == (2, False, True)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_file_names_its_runtime(tmp_path: Path, runtime: str) -> None:
    capture_into(tmp_path)
    assert Environment.load(tmp_path / "environment" / f"{runtime}.json").runtime == runtime


def test_every_model_has_a_note_of_the_file_that_builds_it(tmp_path: Path) -> None:
    capture_into(tmp_path)
    params = load_params(ROOT / "params.yaml")
    assert set(written(tmp_path / "factories")) == {f"{name}.json" for name in (*params.models, *params.pretrain)}


def test_an_edit_of_a_factory_changes_its_hash_and_a_published_architecture_has_none(tmp_path: Path) -> None:
    assert factory_code("resnet18") == {}
    file = tmp_path / "net.py"
    file.write_text("def network(): ...\n")
    before = factory_code(f"{file}:network")
    file.write_text("def network(): return 1\n")
    assert before.keys() == factory_code(f"{file}:network").keys() == {str(file)}
    assert before != factory_code(f"{file}:network")


def test_a_factory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.py: cannot be read"):
        factory_code(f"{tmp_path}/absent.py:network")


def recipes(folder: Path) -> dict[str, Any]:
    """One recipe that names a tokenizer's folder, and one read from a file beside weights."""
    (folder / "tokenizer.json").write_text("{}")
    (folder / "preprocessor_config.json").write_text("{}")
    text = TextRecipe(tokenizer=str(folder), length=2, target="label")
    declared = Declaration(framework="transformers", architecture="-", weights=str(folder))
    return {"tokenizer": text, "preprocessor_config": Published(published=declared)}


@pytest.mark.parametrize("kind", ["tokenizer", "preprocessor_config"])
def test_the_file_that_a_recipe_is_read_from_is_a_fact_that_an_audit_names(kind: str, tmp_path: Path) -> None:
    recipe = recipes(tmp_path)[kind]
    before = recipe_facts(recipe)
    (tmp_path / f"{kind}.json").write_text('{"changed": 1}')
    after = recipe_facts(recipe)
    assert before.keys() == after.keys() == {f"recipe.{kind}.sha256"}
    run = Run("m", "", {}, {}, {}, {}, {}, ())
    ends = [
        replace(run, environment={**facts}, results={"scores.sha256": str(number)})
        for number, facts in enumerate((before, after))
    ]
    (suspect,) = audit(*ends).suspects
    assert (suspect.name, "how samples are prepared" in suspect.reason) == (f"recipe.{kind}.sha256", True)
    (tmp_path / f"{kind}.json").unlink()
    assert recipe_facts(recipe) == {}


def test_the_hash_of_a_recipes_file_is_written_beside_its_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = load_params(ROOT / "params.yaml")
    monkeypatch.setattr("stages.capture.load_params", lambda: params.model_copy(update={"recipes": recipes(tmp_path)}))
    capture_into(tmp_path)
    facts = Environment.load(tmp_path / "environment/recipes/tokenizer.json").facts
    assert facts["recipe.tokenizer.sha256"] == hashlib.sha256(b"{}").hexdigest()
    assert recipe_facts(params.recipes["digits-32"]) == {}


def test_findings_and_runs_of_another_job_are_removed_and_those_of_this_one_stay(tmp_path: Path) -> None:
    params = load_params(ROOT / "params.yaml")
    made = made_here(params)
    assert {"runs/resnet18-onnx.json", "findings/resnet18-onnx/backend_parity-resnet18-onnx.json"} <= made
    gone = {"runs/gone.json", "findings/resnet18-onnx/backend_parity-gone.json", "findings/gone/mode_check.json"}
    gone |= {"findings/resnet18-torchvision/backend_parity-resnet18-onnx.json"}  # the candidate is another now
    for name in made | gone:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("[]")
    remove_others(tmp_path, made)
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.json")} == made


def test_the_folder_of_failures_is_never_empty_of_which_dvc_would_warn(tmp_path: Path) -> None:
    (tmp_path / "failures").mkdir()
    (tmp_path / "failures/infer@bad.json").write_text("{}")
    forget_failures(tmp_path / "failures")
    assert [path.suffix for path in (tmp_path / "failures").iterdir()] == [".txt"]

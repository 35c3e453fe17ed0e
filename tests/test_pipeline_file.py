"""dvc.yaml holds what stages really read: their code, what they compute with, the paths on their command lines."""

import ast
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stages.capture import stage_code, stage_files
from tests.import_graph import ROOT

TEXT = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
PIPELINE: Mapping[str, Any] = YAML(typ="safe").load(TEXT)["stages"]
FILES = stage_files()
CODE = dict(stage_code({"torchvision", "keras", "onnx"}, {}))
MODEL = "data/environment/${item.framework}-${item.backend}.json"
ANY_IMAGES, RECIPE = "data/environment/images.json", "data/environment/recipes/"
LONGEST_FILE, LONGEST_ENTRY = 400, 24

# What a stage's code imports, and the environments of which the stage depends on one at least.
ENVIRONMENTS: Mapping[str, tuple[str, ...]] = {
    "weighbridge/frameworks/__init__.py": (MODEL, "data/environment/keras-"),
    "weighbridge/images/decoders.py": (ANY_IMAGES, RECIPE),
    "sklearn": ("data/environment/checks.json", "data/environment/fetch.json"),
    "scipy": ("data/environment/checks.json",),
    "mlflow": ("data/environment/checks.json",),
}
# `publish` needs MLflow to write and not to compute; what was trained here is not a function of the environment, on purpose.
NO_ENVIRONMENT = {
    ("publish", "mlflow"),
    ("pretrain", "weighbridge/frameworks/__init__.py"),
}


def entry(name: str) -> Mapping[str, Any]:
    return PIPELINE[name].get("do", PIPELINE[name])


def code_of(stage: str) -> dict[str, str]:
    """The files that a stage can reach, with every adapter that a model may bring in."""
    return {
        file: each for name, found in CODE.items() if name.partition("/")[0] == stage for file, each in found.items()
    }


def test_every_stage_is_an_entry_and_every_entry_a_stage() -> None:
    assert {*FILES, "capture", "fetch_set"} == set(
        PIPELINE
    )  # fetch_set: the module `fetch`, for each of several test sets
    assert {entry(name)["cmd"].split()[2] for name in PIPELINE} == {f"stages.{name}" for name in (*FILES, "capture")}


def test_the_file_reads_like_the_pipeline() -> None:
    assert TEXT.count("\n") <= LONGEST_FILE
    starts = [number for number, line in enumerate(TEXT.splitlines()) if line.startswith("  ") and line[2:3].strip()]
    lengths = {TEXT.splitlines()[start]: end - start for start, end in pairwise(starts)}
    assert {name: length for name, length in lengths.items() if length > LONGEST_ENTRY} == {"  record:": 28}


@pytest.mark.parametrize("stage", FILES)
def test_a_stage_depends_on_its_own_code_and_names_no_file_of_it(stage: str) -> None:
    deps = entry(stage)["deps"]
    loads_models = f"{stage}/keras" in CODE
    own = f"data/code/{stage}/${{item.framework}}.json" if loads_models else f"data/code/{stage}.json"
    assert own in deps
    assert [dep for dep in deps if dep.endswith((".py", ".jinja"))] == []


@pytest.mark.parametrize("stage", FILES)
def test_a_stage_that_builds_a_users_architecture_depends_on_its_code(stage: str) -> None:
    builds = "weighbridge/frameworks/_factories.py" in dict(stage_code({"factory"}, {})).get(f"{stage}/factory", {})
    named = [dep for dep in entry(stage)["deps"] if dep.startswith("data/factories/")]
    assert bool(named) == (builds and stage != "backend_check")  # its networks are Keras' own


@pytest.mark.parametrize("stage", FILES)
def test_a_stage_depends_on_what_it_computes_with(stage: str) -> None:
    assert missing_environments(stage, code_of(stage), entry(stage)["deps"]) == []


def missing_environments(stage: str, files: Mapping[str, str], deps: list[str], root: Path = ROOT) -> list[str]:
    """What the stage's code imports and none of its deps records."""
    used = {*files, *(library for file in files if file.endswith(".py") for library in libraries(root / file))}
    wanted = {
        name: places for name, places in ENVIRONMENTS.items() if name in used and (stage, name) not in NO_ENVIRONMENT
    }
    return [name for name, places in wanted.items() if not any(dep.startswith(places) for dep in deps)]


def libraries(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def test_the_environment_test_can_fail(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text("def f():\n    from sklearn.svm import SVC\n")
    assert missing_environments("probe", {"probe.py": ""}, ["data/environment/images.json"], tmp_path) == ["sklearn"]


@pytest.mark.parametrize("stage", [*FILES, "capture"])
def test_a_stage_says_what_it_reads_and_writes_and_has_a_short_main(stage: str) -> None:
    path = FILES.get(stage, ROOT / "stages/capture.py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    doc = ast.get_docstring(tree) or ""
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert "writes" in doc
    assert stage in functions
    assert len(functions["main"].body) <= 15


@pytest.mark.parametrize("stage", FILES)
def test_who_opens_samples_depends_on_them_and_they_on_what_decodes_images_that_were_not_kept(stage: str) -> None:
    opens = "open_samples" in FILES[stage].read_text(encoding="utf-8")
    assert not opens or "data/prepared/${item.recipe}" in entry(stage)["deps"]
    assert '--conditions "data/code/preprocess.json data/environment/recipes/${key}.json"' in entry("preprocess")["cmd"]


@pytest.mark.parametrize("name", sorted(PIPELINE))
def test_a_path_given_on_a_command_line_is_declared_to_dvc(name: str) -> None:
    assert undeclared_paths(entry(name)) == set()


def test_the_declared_path_test_can_fail() -> None:
    assert undeclared_paths({"cmd": "python -m x --a data/a --b data/b", "deps": ["data/a"]}) == {"data/b"}


def undeclared_paths(stage: dict) -> set[str]:
    declared = {name for key in ("deps", "outs", "metrics") for item in stage.get(key, []) for name in _paths(item)}
    given = {word.strip('"') for word in stage["cmd"].split() if word.startswith(("data/", '"${'))}
    return {path for path in given if path not in declared and not path.startswith("data/timings/")}  # context


def _paths(item: str | dict) -> list[str]:
    return [item] if isinstance(item, str) else list(item)

"""The rules that hold the project together, read from its own source. Each guard is shown to be able to fail."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.closure import ROOT, closure, imported, modules_named
from tests.import_graph import against_the_order, circle, import_graph, lines, long_functions, modules

FRAMEWORKS = {"torch", "torchvision", "tensorflow", "keras", "jax", "onnx", "onnxruntime", "timm", "transformers"}
STAGES = sorted(path for path in (ROOT / "stages").glob("*.py") if not path.stem.startswith("_"))
PIPELINE = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
ADAPTERS = sorted(path for path in (ROOT / "weighbridge/frameworks").glob("*.py") if not path.stem.startswith("_"))
ALLOWED_IN_TRACKING = {"numpy", "pandas", "git", "filelock", "jinja2", "pynvml", "rich", "tracking"} | set(
    sys.stdlib_module_names
)

LONGEST_FUNCTION, LONGEST_MODULE = 50, 350  # lines; neither is reached


def stage_deps(name: str) -> set[str]:
    entry = PIPELINE[name]
    return set(entry.get("do", entry).get("deps", []))


def missing_deps(path: Path, deps: set[str], root: Path = ROOT) -> set[str]:
    """What a stage imports and its entry in dvc.yaml does not list. A stage that always runs need list nothing."""
    wanted = {file.relative_to(root).as_posix() for file in closure(path, root)}
    if "weighbridge/frameworks/__init__.py" in wanted:
        wanted |= {"weighbridge/frameworks/${item.framework}.py"}
        wanted |= {f"weighbridge/frameworks/{name}.py" for name in ("_keras", "_torch")}
        own = {file.relative_to(root).as_posix() for adapter in ADAPTERS for file in closure(adapter, root)}
        wanted |= {file for file in own if not file.startswith("weighbridge/frameworks/")}
    if "tracking/trackers/__init__.py" in wanted:
        wanted |= {file.relative_to(root).as_posix() for file in (root / "tracking/trackers").glob("*.py")}
    return {file for file in wanted - deps if Path(file).parent.as_posix() not in deps}


def test_every_public_module_is_a_stage_and_every_stage_a_module() -> None:
    assert {path.stem for path in STAGES} == set(PIPELINE)


@pytest.mark.parametrize("path", STAGES, ids=lambda path: path.stem)
def test_a_stage_lists_its_import_closure_as_deps(path: Path) -> None:
    if not PIPELINE[path.stem].get("always_changed"):
        assert missing_deps(path, stage_deps(path.stem)) == set()


@pytest.mark.parametrize("name", sorted(PIPELINE))
def test_a_stage_that_loads_a_model_runs_again_when_the_file_that_builds_it_changes(name: str) -> None:
    loads = "weighbridge/frameworks/_factories.py" in stage_deps(name)
    assert loads == any(dep.startswith("data/factories/") for dep in stage_deps(name))


def test_the_closure_test_can_fail(tmp_path: Path) -> None:
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/__init__.py").write_text('"""Doc."""\n')
    (tmp_path / "stages/_other.py").write_text("x = 1\n")
    stage = tmp_path / "stages/check.py"
    stage.write_text("def f():\n    from stages._other import x\n")
    assert missing_deps(stage, {"stages/check.py"}, tmp_path) == {"stages/_other.py"}


@pytest.mark.parametrize("path", STAGES, ids=lambda path: path.stem)
def test_no_stage_imports_a_stage(path: Path) -> None:
    assert set(imported(path)) & set(STAGES) == set()


@pytest.mark.parametrize("path", ADAPTERS, ids=lambda path: path.stem)
def test_no_adapter_imports_an_adapter(path: Path) -> None:
    assert set(imported(path)) & set(ADAPTERS) - {path} == set()


@pytest.mark.parametrize("path", sorted((ROOT / "tracking").rglob("*.py")), ids=lambda path: path.stem)
def test_tracking_never_imports_stages_and_little_else(path: Path) -> None:
    assert not [file for file in imported(path) if "stages" in file.relative_to(ROOT).parts]
    assert modules_named(path) - ALLOWED_IN_TRACKING == set()


def test_importing_every_stage_imports_no_framework() -> None:
    assert frameworks_imported_by([f"stages.{path.stem}" for path in STAGES]) == set()


def test_the_framework_test_can_fail() -> None:
    assert "onnxruntime" in frameworks_imported_by(["onnxruntime"])


def frameworks_imported_by(modules: list[str]) -> set[str]:
    code = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    seen = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return FRAMEWORKS & {name.partition(".")[0] for name in seen.split()}


@pytest.mark.parametrize("path", STAGES, ids=lambda path: path.stem)
def test_a_stage_says_what_it_reads_and_writes_and_has_a_short_main(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    doc = ast.get_docstring(tree) or ""
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert "writes" in doc
    assert path.stem in functions or path.stem == "capture"
    assert len(functions["main"].body) <= 15


@pytest.mark.parametrize("name", sorted(PIPELINE))
def test_a_path_given_on_a_command_line_is_declared_to_dvc(name: str) -> None:
    assert undeclared_paths(PIPELINE[name]) == set()


def test_the_declared_path_test_can_fail() -> None:
    assert undeclared_paths({"cmd": "python -m x --a data/a --b data/b", "deps": ["data/a"]}) == {"data/b"}


def undeclared_paths(stage: dict) -> set[str]:
    entry = stage.get("do", stage)
    declared = {name for key in ("deps", "outs", "metrics") for item in entry.get(key, []) for name in _paths(item)}
    given = {word.strip('"') for word in entry["cmd"].split() if word.startswith(("data/", '"${'))}
    return {path for path in given if path not in declared and not path.startswith("data/timings/")}  # context


def _paths(item: str | dict) -> list[str]:
    return [item] if isinstance(item, str) else list(item)


def project(root: Path, **files: str) -> Path:
    """A project whose modules, `package__room__name=source`, hold these sources."""
    for name, source in files.items():
        path = root.joinpath(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return root


def test_packages_and_their_rooms_import_in_one_direction() -> None:
    assert against_the_order(import_graph()) == []


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (
            {"tracking__runs__run": "def f():\n    from tracking.pages import text\n", "tracking__pages__text": ""},
            "tracking.runs.run -> tracking.pages.text",
        ),
        (
            {"tracking__runs__run": "import weighbridge.params.data\n", "weighbridge__params__data": ""},
            "tracking.runs.run -> weighbridge.params.data",
        ),
        (
            {"weighbridge__weights__files": "from stages import infer\n", "stages__infer": ""},
            "weighbridge.weights.files -> stages.infer",
        ),
        ({"tracking__helpers__misc": ""}, "tracking.helpers.misc"),
    ],
    ids=["between rooms", "from the last package", "to the first package", "room without a place"],
)
def test_the_order_test_can_fail(files: dict[str, str], found: str, tmp_path: Path) -> None:
    assert against_the_order(import_graph(project(tmp_path, **files))) == [found]


def test_an_import_for_types_alone_is_no_import(tmp_path: Path) -> None:
    source = "if TYPE_CHECKING:\n    from tracking.pages import text\n"
    files = {"tracking__runs__run": source, "tracking__pages__text": ""}
    assert import_graph(project(tmp_path, **files))["tracking.runs.run"] == set()


def test_no_modules_import_one_another_in_a_circle() -> None:
    assert circle(import_graph()) == []


def test_the_circle_test_can_fail(tmp_path: Path) -> None:
    deferred = "def f():\n    from tracking.runs.run import Run\n"
    files = {"tracking__runs__run": "from tracking.runs.words import counted\n", "tracking__runs__words": deferred}
    assert set(circle(import_graph(project(tmp_path, **files)))) == {"tracking.runs.run", "tracking.runs.words"}


def test_no_function_is_long() -> None:
    found = {name: long_functions(path, LONGEST_FUNCTION) for name, path in modules().items()}
    assert {name: long for name, long in found.items() if long} == {}


def test_the_function_length_test_can_fail(tmp_path: Path) -> None:
    path = tmp_path / "long.py"
    path.write_text("def short():\n    pass\n\n\ndef long():\n" + 49 * "    x = 1\n")
    assert long_functions(path, LONGEST_FUNCTION) == ["5 long"]


def test_no_module_is_long() -> None:
    assert {name for name, path in modules().items() if lines(path) >= LONGEST_MODULE} == set()


def test_the_module_length_test_can_fail(tmp_path: Path) -> None:
    files = {"tracking__runs__run": 350 * "x = 1\n", "tracking__runs__words": 349 * "x = 1\n"}
    found = modules(project(tmp_path, **files))
    assert {name for name, path in found.items() if lines(path) >= LONGEST_MODULE} == {"tracking.runs.run"}

"""The rules that hold the project together, read from its own source. Each guard is shown to be able to fail."""

import subprocess
import sys
from pathlib import Path

import pytest

from stages.capture import stage_files
from tests.import_graph import (
    ROOT,
    Graph,
    against_the_order,
    circle,
    import_graph,
    lines,
    long_functions,
    modules,
    top_modules,
)

FRAMEWORKS = {"torch", "torchvision", "tensorflow", "keras", "jax", "onnx", "onnxruntime", "timm", "transformers"}
OF_EVERY_JOB = ("capture", "fetch", "preprocess", "infer", "layers", "accuracy_check.__main__", "record")
ADAPTERS = sorted(path for path in (ROOT / "weighbridge/frameworks").glob("*.py") if not path.stem.startswith("_"))
ALLOWED_IN_TRACKING = {
    "detect_secrets",
    "numpy",
    "pandas",
    "git",
    "ruamel",
    "filelock",
    "jinja2",
    "markupsafe",
    "pyarrow",
    "pydantic",
    "pynvml",
    "rich",
    "tracking",
} | set(sys.stdlib_module_names)

LONGEST_FUNCTION, LONGEST_MODULE = 50, 350  # lines; neither is reached


@pytest.fixture(scope="module")
def graph() -> Graph:
    """Of this project, which takes a second to read."""
    return import_graph()


def other_stages(graph: Graph) -> list[str]:
    """Every import of one stage by another."""
    edges = [(name, found) for name, imported in graph.items() for found in imported]
    return [f"{name} -> {found}" for name, found in edges if _stage(name) and _stage(found) not in ("", _stage(name))]


def _stage(module: str) -> str:
    package, _, rest = module.partition(".")
    return rest.partition(".")[0] if package == "stages" else ""


def test_no_stage_imports_a_stage(graph: Graph) -> None:
    assert other_stages(graph) == []


def test_the_stage_import_test_can_fail() -> None:
    graph = {"stages.infer": {"stages.mode_check.passes"}, "stages.mode_check.__main__": {"stages.mode_check.passes"}}
    assert other_stages(graph) == ["stages.infer -> stages.mode_check.passes"]


@pytest.mark.parametrize("path", ADAPTERS, ids=lambda path: path.stem)
def test_no_adapter_imports_an_adapter(path: Path, graph: Graph) -> None:
    adapters = {f"weighbridge.frameworks.{each.stem}" for each in ADAPTERS}
    assert graph[f"weighbridge.frameworks.{path.stem}"] & adapters == set()


@pytest.mark.parametrize("path", sorted((ROOT / "tracking").rglob("*.py")), ids=lambda path: path.stem)
def test_tracking_never_imports_stages_and_little_else(path: Path) -> None:
    there = {"comet_ml"} if path.parent.name == "panels" else set()  # panels run in Comet's process, not in ours
    assert top_modules(path) - ALLOWED_IN_TRACKING - there == set()


def test_importing_every_stage_imports_no_framework() -> None:
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in stage_files().values()]
    assert FRAMEWORKS & imported_by(names) == set()


def test_the_stages_of_every_job_import_no_tables() -> None:
    """They are most of the processes of a small job, and pandas costs each of them as much as all else."""
    assert {"pandas", "pyarrow"} & imported_by([f"stages.{name}" for name in OF_EVERY_JOB]) == set()


def test_the_import_tests_can_fail() -> None:
    assert {"onnxruntime", "pandas"} <= imported_by(["onnxruntime", "pandas"])


def imported_by(modules: list[str]) -> set[str]:
    code = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    seen = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {name.partition(".")[0] for name in seen.split()}


def project(root: Path, **files: str) -> Path:
    """A project whose modules, `package__room__name=source`, hold these sources."""
    for name, source in files.items():
        path = root.joinpath(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return root


def test_packages_and_their_rooms_import_in_one_direction(graph: Graph) -> None:
    assert against_the_order(graph) == []


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


def test_no_modules_import_one_another_in_a_circle(graph: Graph) -> None:
    assert circle(graph) == []


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

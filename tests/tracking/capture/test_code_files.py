"""Which files a program can reach, and digests of them that no comment changes."""

import json
from collections.abc import Collection
from pathlib import Path

import pytest

from tests.import_graph import ROOT
from tracking.capture import code_files
from tracking.capture.code_files import code_digests, digest_of


def project(root: Path, **files: str) -> Path:
    """A project of packages, `package__module=source`, with an `__init__` that holds nothing in each."""
    for name, source in files.items():
        path = root.joinpath(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").write_text('"""Nothing."""\n')
        path.write_text(source)
    return root


def reached(root: Path, start: str, **chosen: Collection[str]) -> set[str]:
    return {Path(name).stem for name in code_digests([Path(start)], root, chosen)}


@pytest.mark.parametrize(
    "source",
    [
        "from room.part import f",
        "from room import part",
        "import room.part",
        "def f():\n    from room.part import g",
        "class A:\n    def f(self):\n        import room.part",
        "COMMAND = ['python', '-m', 'room.part']",
        "from importlib import import_module\nimport_module(f'room.{name}')",
        "import importlib\nimportlib.import_module(f'{__package__ or 1}.x'); from room import part as p",
    ],
)
def test_what_a_module_names_is_reached(source: str, tmp_path: Path) -> None:
    assert reached(project(tmp_path, stage__a=source, room__part="x = 1"), "stage/a.py") == {"a", "part"}


def test_what_only_a_type_checker_sees_is_not_reached(tmp_path: Path) -> None:
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from room.part import X\n"
    assert reached(project(tmp_path, stage__a=source, room__part="x = 1"), "stage/a.py") == {"a"}


def test_of_modules_imported_by_name_only_the_chosen_are_reached(tmp_path: Path) -> None:
    by_name = "import importlib\ndef load(name): return importlib.import_module(f'{__name__}.{name}')\n"
    root = project(tmp_path, stage__a="import room", room__torch="x = 1", room__keras="x = 2", room___own="x = 3")
    (root / "room/__init__.py").write_text(by_name)
    assert reached(root, "stage/a.py") == {"a", "__init__", "torch", "keras"}
    assert reached(root, "stage/a.py", room=["keras"]) == {"a", "__init__", "keras"}


def test_templates_and_tables_beside_a_module_are_reached_where_it_names_them(tmp_path: Path) -> None:
    root = project(tmp_path, stage__a="from pathlib import Path\nTABLE = Path(__file__).with_name('claims.csv')\n")
    for name in ("claims.csv", "other.csv"):
        (root / "stage" / name).write_text("1")
    assert reached(root, "stage/a.py") == {"a", "claims"}


def test_a_users_file_reaches_what_lies_beside_it(tmp_path: Path) -> None:
    root = project(tmp_path, stage__a="x = 1")
    (root / "nets").mkdir()
    (root / "nets/net.py").write_text("import blocks, torch\n")
    (root / "nets/blocks.py").write_text("x = 1\n")
    assert reached(root, "nets/net.py") == {"net", "blocks"}
    outside = tmp_path.parent / f"{tmp_path.name}-net.py"
    outside.write_text("x = 1\n")
    assert list(code_digests([outside], root)) == [outside.as_posix()]


@pytest.mark.parametrize(
    ("moved", "folder"),
    [
        ("sys.path.insert(0, str(Path(__file__).parent / 'lib'))", "nets/lib"),
        ("sys.path.append('nets/lib')", "nets/lib"),
        ("sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'shared'))", "shared"),
        ("sys.path += [str(Path(__file__).parents[1] / 'src/lib')]", "src/lib"),
        ("sys.path.insert(0, str(Path(__file__).parent.parent))", "nets/.."),
    ],
)
def test_what_a_users_file_puts_on_the_path_is_followed_with_all_its_package(
    moved: str, folder: str, tmp_path: Path
) -> None:
    root = project(tmp_path / "root", stage__a="x = 1")
    package = (root / folder / "zoo").resolve() if "nets" in folder else root / folder / "zoo"
    package.mkdir(parents=True)
    (root / "nets").mkdir(exist_ok=True)
    (root / "nets/net.py").write_text(
        f"import os, sys\nfrom pathlib import Path\n{moved}\nfrom zoo.model import build\n"
    )
    (package / "__init__.py").write_text("from . import heads\n")
    (package / "model.py").write_text("from zoo.blocks import a\nfrom .stems import b\nfrom .parts.deep import c\n")
    for name in ("heads", "blocks", "stems", "parts/deep", "unused"):
        (package / f"{name}.py").parent.mkdir(exist_ok=True)
        (package / f"{name}.py").write_text("x = 1\n")
    assert reached(root, "nets/net.py") == {"net", "__init__", "model", "heads", "blocks", "stems", "deep"}


CODE = b'"""Says."""\n\n\ndef f(x):\n    """Doc."""\n    return x + 1  # a comment\n'


@pytest.mark.parametrize(
    "other",
    [
        b"def f(x):\n    return x + 1\n",
        b"# first\n\n\ndef f(x):\n    '''Another.'''\n    return (x\n      + 1)\n",
    ],
)
def test_comments_docstrings_and_layout_change_no_digest(other: bytes) -> None:
    assert digest_of(CODE, python=True) == digest_of(other, python=True)


@pytest.mark.parametrize(
    "other",
    [
        CODE.replace(b"+ 1", b"+ 2"),
        CODE.replace(b"+ 1", b"+ 1.0"),
        CODE.replace(b"(x)", b"(x=None)"),
        CODE + b"g = '1'\n",
    ],
)
def test_code_changes_the_digest(other: bytes) -> None:
    assert digest_of(CODE, python=True) != digest_of(other, python=True)


def test_the_digest_is_the_same_on_every_python() -> None:
    """It is recorded in runs, which are compared across versions: this value is from CPython 3.11."""
    assert digest_of(CODE, python=True) == "8a3e4757247911fc3b39c698387f3a46095db1b3db1a36de9e7d2c3654378f52"


def test_every_byte_of_a_table_counts() -> None:
    assert digest_of(b"a,b\n", python=False) != digest_of(b"a,b\n\n", python=False)


# ---- this project


def stages_reaching(file: str) -> set[str]:
    from stages.capture import stage_code

    return {name.partition("/")[0] for name, digests in stage_code({"torchvision"}, {}) if file in digests}


LOADING = {
    "backend_check", "fingerprint", "infer", "isolation_check", "layers", "mode_check", "preprocess_check", "pretrain",
    "transfer_check",
}  # fmt: skip


# those that decode whatever was kept; of sets that were not kept, the samples say what decodes them
DECODING = {
    "fingerprint", "isolation_check", "layers", "preprocess", "preprocess_check", "report", "transfer_check",
}  # fmt: skip


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("weighbridge/frameworks/torchvision.py", LOADING),
        ("weighbridge/frameworks/timm.py", set()),
        ("stages/report/report.jinja", {"report"}),
        ("weighbridge/images/decoders.py", DECODING),
        ("weighbridge/images/decoding.py", {"preprocess"}),
        ("tracking/audit/claims.csv", {"accuracy_check", "published_check", "record_import"}),
        ("tracking/trackers/comet.py", {"publish"}),
        ("stages/mode_check/forecast.py", {"mode_check"}),
        ("weighbridge/params/transfer_check.py", {"transfer_check"}),
    ],
)
def test_a_file_is_code_of_the_stages_that_can_reach_it_and_of_no_other(file: str, stages: set[str]) -> None:
    assert (ROOT / file).is_file()
    assert stages_reaching(file) == stages


def test_no_file_of_the_project_is_out_of_reach() -> None:
    """But what only the command line and `capture` use."""
    from stages.capture import stage_code

    frameworks = {path.stem for path in (ROOT / "weighbridge/frameworks").glob("*.py") if not path.stem.startswith("_")}
    known = {file for _, digests in stage_code(frameworks, {}) for file in digests}
    own = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "stages").rglob("*.py")
        if digest_of(path.read_bytes(), python=True)
    }
    assert own - known == {"stages/capture.py"}


def test_what_was_read_before_is_not_read_again_and_what_somebody_broke_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_known", "_before"):
        monkeypatch.setattr(code_files, name, {})
    (tmp_path / "a.py").write_text("import b\n")
    (tmp_path / "b.py").write_text("x = 1\n")
    kept = tmp_path / "kept/code.json"
    with code_files.remembered(kept):
        found = code_digests([tmp_path / "a.py"], tmp_path)
    assert {*found} == {"a.py", "b.py"}

    def again() -> dict[str, str]:
        code_files._known.clear()
        code_files._before.clear()
        with code_files.remembered(kept):
            return code_digests([tmp_path / "a.py"], tmp_path)

    with monkeypatch.context() as patch:
        patch.setattr(code_files, "_parsed", lambda *_: pytest.fail("read again"))
        assert again() == found
    text = kept.read_text()
    for broken in ("", "{}", text[:50], text.replace('"version": "', '"version": "0'), text.replace('"b"', "7")):
        kept.write_text(broken)
        assert again() == found
    (tmp_path / "b.py").write_text("x = 2\n")
    assert again()["b.py"] != found["b.py"]
    assert len(json.loads(kept.read_text())["files"]) == 2

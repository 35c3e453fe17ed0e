"""What a replay is told and how it is kept apart: conditions, contents by hash, environments. Nothing is run here."""

import hashlib
import json
from pathlib import Path

import pytest

from stages._params import Recipe
from stages._recording import flat
from tests.stages.pictures import recipe
from tracking.holdings import NotHereError, content_hash, hold
from tracking.isolated import others, python_with
from tracking.replay import Replayer, Scratch, digest, nested, settable


def test_a_recipe_comes_back_from_flat_conditions() -> None:
    steps = recipe(normalise={"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]})
    conditions = {f"param.recipe.{name}": value for name, value in flat(steps.model_dump()).items()}
    tree = {"resize": None, "crop": None, "normalise": None, **nested(conditions, "param.recipe.")}
    assert Recipe.model_validate(tree) == steps


def test_only_what_can_be_set_is_kept_and_names_are_left_out() -> None:
    conditions = {
        "param.model.batch_size": 64,
        "param.model.recipe": "a name",
        "param.data.source": "a place",
        "input.weights": "0" * 32,
        "input.samples": "0" * 32,
        "package.torch": "2.13.0",
        "package.something": "1",
        "variable.OMP_DYNAMIC": "TRUE",
        "cpu.model": "a model",
    }
    kept = settable(conditions)
    assert set(kept) == {"param.model.batch_size", "input.weights", "package.torch", "variable.OMP_DYNAMIC"}
    assert digest(kept) == digest(dict(reversed(kept.items()))) != digest({**kept, "param.model.batch_size": 65})


# ---- contents


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project whose file changed after DVC kept it."""
    root = tmp_path / "project"
    (root / ".dvc").mkdir(parents=True)
    keep(root, b"old")
    (root / "weights.bin").write_bytes(b"new")
    return root


def keep(root: Path, content: bytes, suffix: str = "") -> str:
    name = md5(content) + suffix
    path = root / ".dvc/cache/files/md5" / name[:2] / name[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return name


def test_the_working_copy_is_taken_where_it_fits_and_the_cache_where_not(root: Path, tmp_path: Path) -> None:
    working = Path("weights.bin")
    assert hold(md5(b"new"), working, root, tmp_path / "links") == (root / working).resolve()
    link = hold(md5(b"old"), working, root, tmp_path / "links")
    assert (link.name, link.read_bytes()) == ("weights.bin", b"old")
    with pytest.raises(NotHereError, match=r"weights\.bin: the content with md5 .* is not here"):
        hold(md5(b"other"), working, root, tmp_path / "more")


def test_a_folder_is_laid_out_from_the_cache_and_has_the_hash_that_dvc_gives_it(root: Path, tmp_path: Path) -> None:
    listing = [{"md5": keep(root, content), "relpath": name} for name, content in (("a", b"1"), ("b/c", b"2"))]
    name = keep(root, json.dumps(listing, sort_keys=True).encode(), ".dir")
    link = hold(name, Path("images"), root, tmp_path / "links")
    assert (link / "b/c").read_bytes() == b"2"
    assert content_hash(link) == name


def test_a_listing_that_leads_out_of_its_folder_is_refused(root: Path, tmp_path: Path) -> None:
    listing = [{"md5": keep(root, b"1"), "relpath": "../outside"}]
    name = keep(root, json.dumps(listing, sort_keys=True).encode(), ".dir")
    with pytest.raises(NotHereError):
        hold(name, Path("images"), root, tmp_path / "links")
    assert not (tmp_path / "outside").exists()


# ---- environments and processes


def test_an_environment_is_built_only_for_what_differs(tmp_path: Path) -> None:
    from importlib.metadata import version
    from sys import executable

    assert others({"numpy": version("numpy")}) == {}
    assert python_with({"numpy": version("numpy")}, tmp_path) == Path(executable)


@pytest.mark.parametrize(
    ("name", "number"), [("unheard-of", "1.0"), ("pillow", "1.0 @ https://x"), ("pillow", "--index-url=x")]
)
def test_what_a_run_file_says_is_no_argument_of_an_installer(name: str, number: str, tmp_path: Path) -> None:
    with pytest.raises(NotHereError, match=f"package.{name}"):
        python_with({name: number}, tmp_path)
    assert list(tmp_path.iterdir()) == []


def scratch(monkeypatch: pytest.MonkeyPatch, conditions: dict, root: Path) -> Scratch:
    made = Scratch.__new__(Scratch)
    made.conditions, made.code, made.root = conditions, root, root
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("UNRELATED", "kept")
    return made


def test_recorded_variables_are_set_and_others_that_matter_are_unset(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environ = scratch(monkeypatch, {"variable.ONEDNN_MAX_CPU_ISA": "AVX2"}, tmp_path)._environ()
    assert (environ["ONEDNN_MAX_CPU_ISA"], environ["UNRELATED"]) == ("AVX2", "kept")
    assert "OMP_NUM_THREADS" not in environ


def test_a_run_file_sets_no_variable_that_is_not_recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PYTHONSTARTUP", "LD_PRELOAD"):
        with pytest.raises(NotHereError, match=name):
            scratch(monkeypatch, {f"variable.{name}": "x"}, tmp_path)._environ()


def test_a_commit_that_is_not_in_the_repository_is_named(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text("")
    wanted = {"input.code/stages/infer.py": "0" * 32, "code.commit": "1" * 40}
    with pytest.raises(NotHereError, match="code: commit 111111111111 is not in this repository"):
        Replayer(tmp_path).code(wanted)


def test_predictions_that_others_made_cannot_be_run_again(tmp_path: Path) -> None:
    with pytest.raises(NotHereError, match="not made by a model of this pipeline"):
        Replayer(tmp_path).replay({"param.import.predictions": "theirs.npy"})

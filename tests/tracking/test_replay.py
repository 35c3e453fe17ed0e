"""What a replay is told and how it is kept apart: conditions, contents by hash, environments. Nothing is run here."""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import git
import numpy as np
import pytest

from stages._params import Recipe
from stages._recording import flat
from tests.closure import ROOT
from tests.stages.pictures import recipe
from tracking.environment import Environment
from tracking.holdings import NotHereError, content_hash, hold
from tracking.isolated import others, python_with
from tracking.outcomes import Outcome
from tracking.replay import (
    FLAGS,
    RefusedError,
    Replayer,
    Scratch,
    StoppedError,
    _as_set,
    _require_tokenizer,
    digest,
    nested,
    settable,
)
from tracking.secrets import redact


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


def test_a_listing_with_a_place_of_its_own_is_refused(root: Path, tmp_path: Path) -> None:
    listing = [{"md5": keep(root, b"1"), "relpath": str(tmp_path / "outside")}]
    with pytest.raises(NotHereError):
        hold(keep(root, json.dumps(listing).encode(), ".dir"), Path("images"), root, tmp_path / "links")
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("digest", ["aa/absolute", "../../etc/passwd", "a" * 31, "a" * 32 + ".file"])
def test_what_is_no_hash_leads_to_no_file(digest: str, root: Path, tmp_path: Path) -> None:
    with pytest.raises(NotHereError, match="is not how DVC names content"):
        hold(digest, Path("weights.bin"), root, tmp_path / "links")


@pytest.mark.parametrize(
    ("content", "later"), [(b"new", 1), (b"longer", 0)], ids=["of the same size, later", "longer, at the same time"]
)
def test_a_file_that_was_changed_has_another_hash(content: bytes, later: int, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    was, seen = content_hash(tmp_path / "file"), (tmp_path / "file").stat()
    folder = content_hash(tmp_path)
    (tmp_path / "file").write_bytes(content)
    os.utime(tmp_path / "file", ns=(seen.st_atime_ns, seen.st_mtime_ns + later))
    assert was == md5(b"old")
    assert content_hash(tmp_path / "file") == md5(content)
    assert content_hash(tmp_path) != folder


def test_content_that_is_damaged_in_the_cache_is_not_taken(root: Path, tmp_path: Path) -> None:
    name = keep(root, b"old")
    (root / ".dvc/cache/files/md5" / name[:2] / name[2:]).write_bytes(b"odd")
    with pytest.raises(NotHereError, match="cache holds it damaged"):
        hold(name, Path("weights.bin"), root, tmp_path / "links")


# ---- environments and processes


def test_an_environment_is_built_only_for_what_differs(tmp_path: Path) -> None:
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


def wheel(folder: Path, name: str, number: str, needs: str) -> None:
    """A package with nothing in it, that says what it needs."""
    about = f"{name}-{number}.dist-info"
    texts = {
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\nRequires-Dist: {needs}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    texts[f"{about}/RECORD"] = "".join(f"{path},,\n" for path in (*texts, f"{about}/RECORD"))
    with zipfile.ZipFile(folder / f"{name}-{number}-py3-none-any.whl", "w") as file:
        for path, text in texts.items():
            file.writestr(path, text)


def test_an_environment_has_the_package_that_was_asked_for_and_nothing_that_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wheels").mkdir()
    wheel(tmp_path / "wheels", "timm", "99.0", needs="safetensors==99.0")
    wheel(tmp_path / "wheels", "safetensors", "99.0", needs="timm")
    for installer in ("PIP", "UV"):
        monkeypatch.setenv(f"{installer}_NO_INDEX", "1")
        monkeypatch.setenv(f"{installer}_FIND_LINKS", str(tmp_path / "wheels"))
    python = python_with({"timm": "99.0"}, tmp_path / "environments")
    asked = "from importlib.metadata import version; print(version('timm'), version('safetensors'))"
    said = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True).stdout.split()
    assert said == ["99.0", version("safetensors")]


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


def test_conditions_of_which_a_value_was_taken_out_as_a_secret_are_not_run(tmp_path: Path) -> None:
    conditions = {"param.model.weights": "weights.bin", "param.model.arguments.token": redact("token=hf_abcdefghijkl")}
    with pytest.raises(NotHereError, match=r"param\.model\.arguments\.token: its value was taken out .* as a secret"):
        Replayer(tmp_path).replay(conditions)


ON_TORCH = {"param.model.framework": "torchvision", "param.model.backend": "torch"}


def on(root: Path, monkeypatch: pytest.MonkeyPatch, **facts: str) -> Replayer:
    """A replayer on a machine with these facts."""
    replayer = Replayer(root)
    captured = Environment("torchvision-torch", {"cpu.model": "this one", "os.libc": "this one", **facts})
    with monkeypatch.context() as other:
        other.setattr(sys.modules[Replayer.__module__], "capture", lambda _: captured)
        replayer._this_machine(ON_TORCH)
    return replayer


@pytest.mark.parametrize("fact", ["cpu.model", "os.libc", "package.numpy"])
def test_answers_of_another_machine_are_not_taken_for_answers_of_this_one(
    fact: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, again = (on(tmp_path, monkeypatch, **{"variable.X": value}) for value in "01")
    there = on(tmp_path, monkeypatch, **{fact: "another"})
    assert here._place(ON_TORCH, 0) == again._place(ON_TORCH, 0) != there._place(ON_TORCH, 0)
    prepared = [each._prepared(Preparing(ON_TORCH, tmp_path)) for each in (here, again, there)]
    assert prepared[0] == prepared[1] != prepared[2]


class Preparing(Scratch):
    """Prepares nothing."""

    def __init__(self, conditions: dict, folder: Path) -> None:
        self.conditions, self.folder = conditions, folder

    def preprocess(self, prepared: Path) -> None:
        prepared.mkdir()


def test_predictions_that_others_made_cannot_be_run_again(tmp_path: Path) -> None:
    with pytest.raises(NotHereError, match="not made by a model of this pipeline"):
        Replayer(tmp_path).replay({"param.import.predictions": "theirs.npy"})


# ---- programs that conditions name


def built_by(file: Path, content: bytes) -> dict:
    """Conditions of a model whose architecture that file was."""
    written = json.dumps({file.as_posix(): hashlib.sha256(content).hexdigest()}, indent=1) + "\n"
    return {"param.model.architecture": f"{file}:network", "input.factory": md5(written.encode())}


@pytest.fixture
def edited(tmp_path: Path) -> git.Repo:
    """A project in a folder of its repository, whose user edited the architecture."""
    repository = git.Repo.init(tmp_path / "repository")
    project = tmp_path / "repository/project"
    project.mkdir()
    for content in (b"old", b"new"):
        (project / "mine.py").write_bytes(content)
        repository.git.add("-A")
        repository.git.execute(["git", "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x"])
    return repository


def test_a_users_architecture_is_the_recorded_one_here_or_out_of_a_commit(edited: git.Repo) -> None:
    project = Path(edited.working_dir) / "project"
    replayer = Replayer(project)
    assert replayer.architecture(built_by(Path("mine.py"), b"new")) == f"{project / 'mine.py'}:network"
    older = replayer.architecture(built_by(Path("mine.py"), b"old"))
    assert Path(older.removesuffix(":network")).read_bytes() == b"old"
    with pytest.raises(NotHereError, match="neither here nor in a commit"):
        replayer.architecture(built_by(Path("mine.py"), b"another"))


def test_an_edit_of_a_users_architecture_is_another_run(edited: git.Repo) -> None:
    replayer = Replayer(Path(edited.working_dir) / "project")
    one, other = (settable(built_by(Path("mine.py"), content)) for content in (b"old", b"new"))
    assert replayer._place(one, 0) != replayer._place(other, 0)


def test_code_of_a_project_in_a_folder_of_its_repository_is_found(edited: git.Repo) -> None:
    commit = edited.commit("HEAD~1").hexsha
    place = Replayer(Path(edited.working_dir) / "project").code(
        {"code.commit": commit, "input.code/mine.py": md5(b"old")}
    )
    assert (place / "mine.py").read_bytes() == b"old"


@pytest.mark.parametrize("outside", ["../mine.py", "/mine.py"])
def test_programs_outside_the_project_are_run_only_where_they_are_trusted(outside: str, tmp_path: Path) -> None:
    conditions = {"param.model.architecture": f"{outside}:network"}
    with pytest.raises(NotHereError, match="named by a run of unknown origin: --trust"):
        Replayer(tmp_path).architecture(conditions)
    with pytest.raises(NotHereError, match="neither here nor in a commit"):
        Replayer(tmp_path / "x", trusted=True).architecture({**conditions, "input.factory": "0" * 32})


# ---- processes that end


@pytest.mark.parametrize(
    ("script", "error", "words"),
    [
        ("kill -9 $$", StoppedError, "infer was stopped by signal 9"),
        ("echo 'OSError: No space left on device' >&2; exit 2", StoppedError, "make room"),
        ("echo 'gives 10 scores per image' >&2; exit 2", RefusedError, "gives 10 scores per image"),
    ],
)
def test_a_process_that_was_stopped_says_nothing_about_its_conditions(
    script: str, error: type[Exception], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = scratch(monkeypatch, {}, tmp_path)
    made.folder, made.python = tmp_path, tmp_path / "python"
    made.python.write_text(f"#!/bin/sh\n{script}\n")
    made.python.chmod(0o755)
    (tmp_path / "dvc.yaml").write_text("stages:\n  infer:\n    cmd: python -m stages.infer --model x\n")
    with pytest.raises(error, match=words):
        made._start("infer", model="x")


def test_a_flag_that_the_code_sets_again_is_refused() -> None:
    outcome = Outcome(np.zeros(1, int), np.zeros(1, int), "0", {"torch.mkldnn": True})
    assert _as_set(outcome, {"torch.mkldnn": True}) is outcome
    with pytest.raises(RefusedError, match=r"torch\.mkldnn: set to False, and to True by the code that ran"):
        _as_set(outcome, {"torch.mkldnn": False})


TURNED = """
import json, sys, torch
from tracking.replay import FLAGS
from tracking.runtimes import settings
now, read = settings(), {}
for name, how in FLAGS.items():
    if name.startswith("torch.") and isinstance(now.get(name), bool):
        exec(how, {"torch": torch, "v": not now[name]})
        read[name] = settings()[name] is not now[name]
        exec(how, {"torch": torch, "v": now[name]})
for precision in ("highest", "high"):
    torch.set_float32_matmul_precision(precision)
    whole = settings()
    torch.set_float32_matmul_precision("medium")
    for name, how in FLAGS.items():
        if name.startswith("torch.") and name in whole:
            exec(how, {"torch": torch, "v": whole[name]})
    read[f"all of {precision}"] = settings() == whole
print(json.dumps(read))
"""


def test_flags_of_torch_are_set_under_the_names_by_which_they_are_recorded() -> None:
    pytest.importorskip("torch")
    done = subprocess.run([sys.executable, "-c", TURNED], cwd=ROOT, capture_output=True, text=True)
    read = json.loads(done.stdout.splitlines()[-1])
    assert len(read) > 10
    assert [name for name, turned in read.items() if not turned] == []


OF_OTHERS = """
import json, sys
import jax, tensorflow
from tracking.replay import FLAGS
from tracking.runtimes import settings
jax.numpy.ones(1) + 1
wanted, read = json.loads(sys.argv[1]), []
for name, value in wanted:
    exec(FLAGS[name], {"jax": jax, "tensorflow": tensorflow, "v": value})
    read.append([name, settings().get(name)])
print(json.dumps(read))
"""
VALUES = {
    "tensorflow.allow_tf32": (False, True),
    "tensorflow.deterministic": (False, True),  # it cannot be taken back
    "tensorflow.jit": ("autoclustering", ""),
    "jax.x64": (True, False),
    "jax.matmul_precision": ("highest", "bfloat16"),
}


@pytest.mark.slow
def test_flags_of_tensorflow_and_jax_are_set_under_the_names_by_which_they_are_recorded() -> None:
    pytest.importorskip("tensorflow")
    pytest.importorskip("jax")
    assert VALUES.keys() == {name for name in FLAGS if name.startswith(("tensorflow.", "jax."))}
    wanted = [[name, value] for name, values in VALUES.items() for value in values]
    command = [sys.executable, "-c", OF_OTHERS, json.dumps(wanted)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == wanted


def test_flags_of_another_backend_are_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    conditions = {"param.model.backend": "torch", "torch.mkldnn": False, "tensorflow.deterministic": True}
    assert scratch(monkeypatch, conditions, tmp_path)._flags() == {"torch.mkldnn": False}


def test_another_tokenizer_is_another_run_and_not_taken_for_the_recorded_one(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes(b"{}")
    recorded = {
        "param.recipe.tokenizer": "tokenizer.json",
        "recipe.tokenizer.sha256": hashlib.sha256(b"{}").hexdigest(),
    }
    other = {**recorded, "recipe.tokenizer.sha256": "0" * 64}
    assert digest(settable(recorded)) != digest(settable(other))
    _require_tokenizer(recorded, tmp_path)
    with pytest.raises(NotHereError, match=r"tokenizer\.json: is not the tokenizer that was recorded"):
        _require_tokenizer(other, tmp_path)

"""Environments that differ from this one: built only where something differs, of nothing but known packages."""

import subprocess
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from tracking.replay.environments import others, python_with
from tracking.replay.errors import UnavailableError


def test_an_environment_is_built_only_for_what_differs(tmp_path: Path) -> None:
    from sys import executable

    assert others({"numpy": version("numpy")}) == {}
    assert python_with({"numpy": version("numpy")}, tmp_path) == Path(executable)


@pytest.mark.parametrize(
    ("name", "number"), [("unheard-of", "1.0"), ("pillow", "1.0 @ https://x"), ("pillow", "--index-url=x")]
)
def test_what_a_run_file_says_is_no_argument_of_an_installer(name: str, number: str, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=f"package.{name}"):
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

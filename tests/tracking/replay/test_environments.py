"""Environments that differ from this one: built only where something differs, of nothing but known packages."""

from pathlib import Path

import pytest

from tracking.replay.environments import others, python_with
from tracking.replay.errors import UnavailableError


def test_an_environment_is_built_only_for_what_differs(tmp_path: Path) -> None:
    from importlib.metadata import version
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

"""What is said where a package of an extra is missing."""

from collections.abc import Iterator

import pytest

from tracking.runs import extras
from tracking.runs.errors import UserError

ASKED = ["numpy>=2", 'pillow>=11; extra == "pipeline"', "comet-ml>=3 ; extra == 'comet'", 'comet-ml>=3; extra == "all"']


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    extras.extras.cache_clear()
    monkeypatch.setattr(extras.metadata, "requires", lambda _: ASKED)
    yield
    extras.extras.cache_clear()


@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("PIL.Image", "pip install 'weighbridge[pipeline]'"),
        ("comet_ml", "pip install 'weighbridge[comet]'"),
        ("numpy", "pip install numpy"),
        ("unheard_of", "pip install unheard_of"),
    ],
)
def test_the_extra_that_brings_a_module_is_named(module: str, command: str) -> None:
    assert extras.installing(module) == command


def test_a_module_that_is_not_there_is_one_line() -> None:
    with pytest.raises(UserError, match=r"^the package 'no_such_module' is not installed: pip install no_such_module$"):
        extras.needed("no_such_module.part")
    assert extras.needed("json").dumps([]) == "[]"

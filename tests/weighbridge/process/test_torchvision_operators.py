"""torchvision is imported without torch's compiler, which takes as long as torch itself."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.import_graph import ROOT
from weighbridge.process.torchvision_operators import _imported_when_used

PROGRAM = """
import sys
from weighbridge.process.torchvision_operators import define_missing_operators
define_missing_operators()
print("torchvision" in sys.modules, "torch._dynamo" in sys.modules, "torch._dynamo.utils" in sys.modules)
"""


def test_importing_torchvision_imports_no_compiler() -> None:
    if find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", "False"]


@pytest.mark.parametrize("use", ["called", "another name"])
def test_what_stands_in_for_a_module_gives_way_to_it_when_used(
    use: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow_module.py").write_text("OTHER = 2\ndef called(value): return value + 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "slow_module", _imported_when_used("slow_module", "called"))
    from slow_module import called

    assert not hasattr(sys.modules["slow_module"], "__file__")
    assert (called(1) if use == "called" else sys.modules["slow_module"].OTHER) == 2
    assert sys.modules["slow_module"].__file__ == str(tmp_path / "slow_module.py")

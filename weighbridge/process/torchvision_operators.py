"""torchvision imported: where its compiled operators cannot load, and without torch's compiler."""

import functools
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from tracking.runs.errors import UserError
from tracking.runs.stand_ins import standing_in

COMPILER = "torch._dynamo.utils"
_stand_ins: list[Any] = []


@functools.cache
def define_missing_operators() -> None:
    """Let torchvision be imported where its compiled operators cannot load (a CUDA build of it beside a CPU torch).

    torchvision registers `nms` and `qnms` for tracing at import and fails when they do not exist. Classification needs
    neither, so they are declared, without an implementation. Only when the library really cannot load: where it can, a
    second declaration would abort the process.

    torchvision is imported here, since `torchvision.ops` takes one function of torch's compiler that only the pooling of
    regions calls, and importing the compiler takes as long as importing torch.
    """
    import torch

    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None:
        raise UserError("torchvision is not installed: pip install 'weighbridge[torch]'")
    libraries = sorted(Path(found.origin).parent.glob("_C*"))
    try:
        for library in libraries:
            torch.ops.load_library(str(library))
    except OSError:
        declared = torch.library.Library("torchvision", "FRAGMENT")
        declared.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        declared.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _stand_ins.append(declared)  # when the object is collected, so are its operators
    with standing_in({COMPILER: _imported_when_used(COMPILER, "is_compile_supported")}):
        importlib.import_module("torchvision")


def _imported_when_used(name: str, function: str) -> ModuleType:
    """Stands in for the module `name`, which is imported when `function` is called or when anything else of it is read."""
    stand_in = ModuleType(name)

    def imported() -> ModuleType:
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]
        return importlib.import_module(name)

    def read(attribute: str) -> Any:
        if attribute.startswith("__"):  # the import system asks for __path__
            raise AttributeError(attribute)
        return getattr(imported(), attribute)

    vars(stand_in).update({"__getattr__": read, function: lambda *given: getattr(imported(), function)(*given)})
    return stand_in

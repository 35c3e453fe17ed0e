"""torchvision's compiled operators, where they cannot load."""

import functools
import importlib.util
from pathlib import Path
from typing import Any

from tracking.runs.errors import UserError

_stand_ins: list[Any] = []


@functools.cache
def define_missing_operators() -> None:
    """Let torchvision be imported where its compiled operators cannot load (a CUDA build of it beside a CPU torch).

    torchvision registers `nms` and `qnms` for tracing at import and fails when they do not exist. Classification needs
    neither, so they are declared, without an implementation. Only when the library really cannot load: where it can, a
    second declaration would abort the process.
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

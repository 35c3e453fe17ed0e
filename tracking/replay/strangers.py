"""What conditions of unknown origin may set: values that name no program, no path and no file format that can hold code.

Certificates and run files may come from anybody. What passes here is run with the code of this project alone; all else
needs `--trust`. Whatever is not known to be harmless is refused, so that a new adapter or setting starts out refused.
"""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from tracking.capture.variables import READ_BY, variables
from tracking.replay.conditions import CODE, INPUTS, NAMED, TOKENIZER, Conditions, settable
from tracking.replay.errors import UntrustedError
from tracking.replay.flags import FLAGS
from tracking.runs.run import Scalar

FRAMEWORKS = ("torchvision", "timm", "keras", "onnx", "tflite")  # an architecture by its name, a graph without code
FORMATS = (".safetensors", ".npz", ".h5", ".onnx", ".tflite", "")  # of weights that hold numbers; "": a folder of them
NAME = re.compile(r"[A-Za-z0-9_.-]+")
NUMBERS = re.compile(r"\[[-+0-9.eE, ]*\]")
FLAG_VALUE = re.compile(r"-?\d+(\.\d+)?|true|false|torch\.\w+|\w+", re.IGNORECASE)
VALUE = re.compile(r"(?:[A-Za-z0-9_.,+\- ]|:(?=\d)){0,80}")  # of a variable: no slash, and no colon but `:4096`
XLA_FLAG = re.compile(
    r"--xla_(?!\w*(?:dump|path|dir|file|lib|load|cache|plugin))\w+=(?:true|false|\d+|[A-Z][A-Z0-9_]*)"
)
FLAGS_IN_A_VARIABLE = ("XLA_FLAGS", "TF_XLA_FLAGS")
# Families of variables, some of which name files or folders, start compilers or load libraries.
FAMILIES = ("rocm", "libc")
NAMED_PATHS = re.compile(
    r"(?:TORCHINDUCTOR|ORT_TENSORRT|ORT_LOAD|LIBTPU|MIOPEN|USE_HUB|KMP_)\w*|\w*(?:PATH|DIR|FILE|CACHE)\w*"
)


def require_harmless(conditions: Conditions) -> None:
    """Refuse what could run somebody else's code, or read or write where he says.

    Raises:
        UntrustedError: a condition could; the message names it.
    """
    for problem in _problems(conditions):
        raise UntrustedError(f"{problem}: needs --trust, as this is of unknown origin")


def _problems(conditions: Conditions) -> Iterator[str]:
    framework = str(conditions.get("param.model.framework"))
    architecture = conditions.get("param.model.architecture")
    if framework not in FRAMEWORKS:
        yield f"param.model.framework: {framework} runs a program, or one of a kind that can hold a program"
    if architecture is not None and not NAME.fullmatch(str(architecture)):
        yield f"param.model.architecture: {architecture} names a program"
    suffix = PurePosixPath(str(conditions.get("param.model.weights"))).suffix
    if suffix not in FORMATS:
        yield f"param.model.weights: a file that ends in {suffix} can hold code"
    if "input.factory" in conditions:
        yield "input.factory: is a program"
    known = settable(conditions)
    for name, value in conditions.items():
        if name not in known and name not in FLAGS:
            yield f"{name}: is no condition that a replay sets"
        elif why := harm(name, value):
            yield f"{name}: {why}"


def harm(name: str, value: Scalar) -> str:
    """Why this value may do harm; empty where it cannot."""
    if name.startswith("variable."):
        return "" if _is_plain_variable(name.removeprefix("variable."), str(value)) else "can name a path or load code"
    if name.startswith("param.model.arguments"):
        return "" if _is_number(value) else "is handed to a program, and is no number"
    if name.startswith("param.data."):
        return "" if isinstance(value, bool | int | float) or NAME.fullmatch(str(value)) else "can name a program"
    if name in FLAGS:
        return "" if FLAG_VALUE.fullmatch(str(value)) else "is no value of a setting"
    if name in (*INPUTS, *NAMED, TOKENIZER) or name.startswith(CODE):
        return "" if isinstance(value, str) else "is no hash"
    if name.startswith("param.") and _leaves_the_project(value):
        return "names a path outside this project"
    return ""


def _is_number(value: Scalar) -> bool:
    if isinstance(value, bool):
        return False  # `trust_remote_code: true`
    return value is None or isinstance(value, int | float) or bool(NUMBERS.fullmatch(value))


def _is_plain_variable(name: str, value: str) -> bool:
    if name in FLAGS_IN_A_VARIABLE:
        return all(XLA_FLAG.fullmatch(word) for word in value.split())
    if NAMED_PATHS.fullmatch(name) or variables({name: value}, FAMILIES):
        return False
    return bool(variables({name: value}, READ_BY)) and bool(VALUE.fullmatch(value))


def _leaves_the_project(value: Scalar) -> bool:
    path = PurePosixPath(str(value).replace("\\", "/"))
    return isinstance(value, str) and (path.is_absolute() or ".." in path.parts or "~" in value or ":" in value)

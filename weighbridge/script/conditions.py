"""Every condition of this process: versions, hardware, threads, precision, seeds, code. Trackers get them as parameters."""

import sys
from collections.abc import Mapping
from typing import Any

from tracking.capture.environment import COMPUTING, PREPARING, Environment, Runtime
from tracking.capture.environment import capture as captured
from tracking.capture.git_state import code_state
from tracking.capture.process_settings import settings
from tracking.capture.seeds import seeds
from tracking.runs.errors import UserError
from tracking.runs.flat import flat
from tracking.runs.run import Scalar
from weighbridge.script.active import active_trackers

RUNTIME = "script"
# An imported module -> the names of `packages.INSTALLED_AS` and `variables.READ_BY` that it computes with.
LIBRARIES: Mapping[str, tuple[str, ...]] = {
    **{module: COMPUTING[module] for module in ("torch", "tensorflow", "jax", "onnxruntime")},
    "ai_edge_litert": COMPUTING["litert"],
    "keras": ("keras",),
    "PIL": PREPARING["pillow"],
    "cv2": PREPARING["opencv"],
    "torchvision": ("torchvision",),
    "timm": ("timm",),
    "transformers": ("transformers",),
    "tokenizers": ("tokenizers",),
    "sklearn": ("scikit-learn",),
}
# Further libraries that make numbers in people's scripts: the module, then the name under which it is installed.
FURTHER = {
    "accelerate": "accelerate",
    "albumentations": "albumentations",
    "bitsandbytes": "bitsandbytes",
    "datasets": "datasets",
    "flash_attn": "flash-attn",
    "kornia": "kornia",
    "lightning": "lightning",
    "lm_eval": "lm-eval",
    "pandas": "pandas",
    "peft": "peft",
    "pytorch_lightning": "pytorch-lightning",
    "scipy": "scipy",
    "vllm": "vllm",
    "xformers": "xformers",
    "xgboost": "xgboost",
}
# In the pipeline these only check; in a script they may make the number, so they go by other names.
NUMBERS = {f"package.{name}": f"script.package.{name}" for name in ("scikit-learn", "scipy")}


def capture() -> Environment:
    """What could change a number of this process, as it is now: call it after the work, when settings are in force.

    Packages are those that were imported. Seeds are those that can be read back: of torch, Keras and TensorFlow, not of
    Python and NumPy. Nothing is imported and no GPU is started.
    """
    parts = dict.fromkeys(part for module, names in LIBRARIES.items() if _used(module) for part in names)
    further = tuple(name for module, name in FURTHER.items() if _used(module))
    found = captured(Runtime(RUNTIME, tuple(parts), further))
    facts = {NUMBERS.get(name, name): value for name, value in found.facts.items()}
    return Environment(RUNTIME, dict(sorted({**facts, **settings(), **seeds()}.items())))


def log_conditions(params: Mapping[str, Any] | None = None) -> dict[str, Scalar]:
    """Put every condition into each active run of MLflow, Comet and W&B, as parameters, which their compare views diff.

    Args:
        params: what the script was asked for, nested or flat; logged under its own names.

    Returns:
        what was logged, by name.

    Raises:
        UserError: no run of any of them is active in this process, or the tracker refused a value.
    """
    active = active_trackers()
    if not active:
        raise UserError("log_conditions: no run of MLflow, Comet or W&B is active here; start one first")
    found = {**flat(params or {}), **conditions()}
    for each in active:
        each.log_params(found)
    return found


def conditions() -> dict[str, Scalar]:
    """`capture` and the state of the code, in one flat namespace."""
    code = {f"code.{name}": value for name, value in code_state().items()}
    return {**capture().facts, **code}


def _used(module: str) -> bool:
    """JAX is imported by TensorFlow and Keras too: it counts where it computes."""
    if module == "jax":
        bridge = sys.modules.get("jax._src.xla_bridge")
        return bridge is not None and bool(bridge.backends_are_initialized())
    return module in sys.modules

"""What names one architecture: shared by `models` and `pretrain` in `params.yaml`."""

from collections.abc import Mapping
from typing import Any

from pydantic import model_validator

from weighbridge.params.section import Section, nearest

_KERAS = ("tensorflow", "jax", "torch")


BACKENDS = {
    "torchvision": ("torch",),
    "timm": ("torch",),
    "transformers": ("torch",),
    "factory": ("torch",),
    "torchfile": ("torch",),
    "keras": _KERAS,
    "kerasfile": _KERAS,
    "savedmodel": ("tensorflow",),
    "tflite": ("litert",),
    "onnx": ("onnxruntime",),
}


class Network(Section):
    """What names one architecture in one framework on one backend."""

    framework: str
    backend: str
    architecture: str
    arguments: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _first_backend(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or "backend" in value:
            return value
        known = BACKENDS.get(str(value.get("framework")))
        return {**value, "backend": known[0]} if known else value

    @model_validator(mode="after")
    def _backend_belongs_to_framework(self) -> "Network":
        if self.framework not in BACKENDS:
            raise ValueError(f"unknown framework {self.framework!r}{nearest(self.framework, BACKENDS)}")
        if self.backend not in BACKENDS[self.framework]:
            known = ", ".join(BACKENDS[self.framework])
            raise ValueError(f"{self.framework} has no backend {self.backend!r}; known: {known}")
        return self

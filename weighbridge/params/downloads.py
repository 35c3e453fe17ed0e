"""Published weights by name or URL: `downloads` in `params.yaml`."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, model_validator

from weighbridge.params.section import Section, Sha256


class Download(Section):
    """Weights by the name under which they are published, or by URL; written to `data/weights/<key>/<file>`.

    Attributes:
        name: `torchvision/<Model>/<WEIGHTS>`, `timm/<model>.<tag>`, `keras/<Model>/imagenet`, `transformers/<repository>`.
        arguments: of Keras' builder, when they choose among its files (`alpha: 0.25`).
        file: a plain name; of a transformers repository, which brings several files, the one that must be among them.
    """

    name: Annotated[str, Field(pattern=r"^(torchvision|timm|keras|transformers)/[\w.-]+(/[\w.-]+)?$")] | None = None
    url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    arguments: dict[str, Any] = {}
    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$")]
    sha256: Sha256 | None = None

    @model_validator(mode="before")
    @classmethod
    def _file_has_a_usual_name(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or "file" in value:
            return value
        usual = usual_file(str(value.get("name") or ""), str(value.get("url") or ""))
        return {**value, "file": usual} if usual else value

    @model_validator(mode="after")
    def _has_one_source(self) -> "Download":
        if (self.name is None) == (self.url is None):
            raise ValueError("give either `name` or `url`, and null for the other")
        if self.url is not None and self.sha256 is None:
            raise ValueError("a URL promises nothing about its content: give its sha256")
        return self


def usual_file(name: str, url: str) -> str:
    """What the file of a download is called when nothing else is said; empty where that cannot be told."""
    usual = {"torchvision": "weights.pth", "keras": "weights.h5"}
    files = usual | dict.fromkeys(("timm", "transformers"), "model.safetensors")
    return files.get(name.partition("/")[0], url.partition("?")[0].rpartition("/")[2])

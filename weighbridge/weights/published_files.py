"""Where published weights lie: a published name -> the file that its library would fetch, by the library's own tables.

No network is asked here. Libraries are imported inside functions, and only the one that is named.
"""

import importlib
import os
import re
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracking.runs.errors import UserError
from weighbridge.params.section import nearest

TRANSFORMERS_FILES = ("*.json", "*.safetensors", "vocab.txt", "merges.txt")


@dataclass(frozen=True)
class Remote:
    """One file to be fetched.

    Attributes:
        url: where it is.
        checksum: what its publisher says of it: the (first digits of the) hexadecimal sha256 or md5, by its length; or None.
        cached: where the library that publishes it may have put it already.
    """

    url: str
    checksum: str | None
    cached: tuple[Path, ...] = ()

    def algorithm(self) -> str:
        """Of `checksum`: 32 digits are Keras' md5, all else is (the beginning of) a sha256."""
        return "md5" if self.checksum and len(self.checksum) == 32 else "sha256"


@dataclass(frozen=True)
class Repository:
    """Files of a repository on the Hugging Face hub; `huggingface_hub` checks them against what the hub says."""

    name: str
    patterns: tuple[str, ...]


class _StoppedError(Exception):
    """What Keras wanted to fetch."""

    def __init__(self, name: str, url: str, checksum: str | None) -> None:
        super().__init__(url)
        self.name, self.url, self.checksum = name, url, checksum


def find_remote(name: str, arguments: Mapping[str, Any]) -> Remote | Repository:
    """What the library named first in `name` would fetch.

    Raises:
        UserError: the library is not installed, or publishes nothing by this name.
    """
    publisher, _, rest = name.partition("/")
    finder = {"torchvision": _torchvision, "timm": _timm, "keras": _keras, "transformers": _transformers}[publisher]
    try:
        found = finder(rest, arguments)
    except ImportError as problem:
        raise UserError(f"params.yaml: {name}: {publisher} is not installed ({problem})") from problem
    if found is None:
        raise UserError(f"params.yaml: {name}: {publisher} publishes no such weights{_nearest(publisher, rest)}")
    return found


def _nearest(publisher: str, name: str) -> str:
    """What the library does publish that is called most like it."""
    if publisher == "timm":
        return nearest(name, importlib.import_module("timm").list_pretrained())
    family, _, member = name.partition("/")
    weights = getattr(importlib.import_module("torchvision.models"), f"{family}_Weights", None)
    return nearest(member, weights.__members__) if publisher == "torchvision" and weights else ""


def _torchvision(name: str, _arguments: Mapping[str, Any]) -> Remote | None:
    from weighbridge.process.torchvision_operators import define_missing_operators

    define_missing_operators()
    models = importlib.import_module("torchvision.models")
    model, _, member = name.partition("/")
    weights = getattr(getattr(models, f"{model}_Weights", None), member, None)
    if weights is None:
        return None
    return _in_torch_hub(weights.url)


def _in_torch_hub(url: str) -> Remote:
    """torch.hub's convention: the name ends in the first digits of the file's sha256."""
    file = url.rpartition("/")[2]
    digits = re.search(r"-([0-9a-f]{8,})\.", file)
    home = os.environ.get("TORCH_HOME", os.path.join(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "torch"))
    return Remote(url, digits[1] if digits else None, (Path(home).expanduser() / "hub/checkpoints" / file,))


def _timm(name: str, _arguments: Mapping[str, Any]) -> Remote | Repository | None:
    from weighbridge.process.torchvision_operators import define_missing_operators

    define_missing_operators()
    timm = importlib.import_module("timm")
    try:
        found = timm.get_pretrained_cfg(name, allow_unregistered=False)
    except RuntimeError:  # no such architecture, or no such tag
        return None
    if found.hf_hub_id:
        owner, _, repository = found.hf_hub_id.partition("/")
        return Repository(f"{owner}/{repository or name}", ("model.safetensors",))
    return _in_torch_hub(found.url) if found.url else None


def _keras(name: str, arguments: Mapping[str, Any]) -> Remote | None:
    """Ask the builder for the weights, and stop it where it would fetch them: Keras has no table of all of them."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    applications = importlib.import_module("keras").applications
    model, _, weights = name.partition("/")
    builder = getattr(applications, model, None)
    if builder is None or weights != "imagenet":
        return None
    try:
        with _stopped_download():
            builder(weights=weights, **arguments)
    except _StoppedError as asked:
        home = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
        return Remote(asked.url, asked.checksum, (home / "models" / asked.name,))
    except (TypeError, ValueError) as problem:
        raise UserError(f"params.yaml: keras/{name}: {' '.join(str(problem).split())}; check `arguments`") from problem
    return None


@contextmanager
def _stopped_download() -> Any:
    files: Any = importlib.import_module("keras.src.utils.file_utils")
    fetch = files.get_file

    def stop(fname: str, origin: str, *_args: Any, **more: Any) -> None:
        raise _StoppedError(fname, origin, more.get("file_hash") or more.get("md5_hash"))

    files.get_file = stop
    try:
        yield
    finally:
        files.get_file = fetch


def _transformers(name: str, _arguments: Mapping[str, Any]) -> Repository:
    return Repository(name, TRANSFORMERS_FILES)

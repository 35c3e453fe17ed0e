"""Models in one line: `torchvision/resnet50/IMAGENET1K_V2`, `onnx:net.onnx`; written out as `params.yaml` has them.

The name under which weights are published says everything: where they are had (`downloads`), how images are prepared for them
(`recipes`, as they declare it) and against which numbers they are held (`checkpoint`). A file says what opens it, and no more.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tracking.runs.errors import UserError
from weighbridge.params.downloads import usual_file
from weighbridge.params.published_names import KERAS, TORCHVISION
from weighbridge.params.section import nearest

Values = dict[str, Any]
FILES = {"onnx": "onnx", "tflite": "tflite", "kerasfile": "kerasfile", "savedmodel": "savedmodel", "torch": "torchfile"}
FORMS = (
    "torchvision/<model>/<WEIGHTS>, timm/<model>.<tag>, keras/<Model>, transformers/<repository or folder>, "
    f"or {', '.join(f'{kind}:<file>' for kind in FILES)}"
)


class ShorthandError(UserError):
    """What is wrong with one line; who expands it says where it stands."""


@dataclass(frozen=True)
class Published:
    """What the name of published weights says.

    Attributes:
        model: keys of an entry of `models`.
        recipe: an entry of `recipes`; None where nothing declares it.
        download: the name of an entry of `downloads`; None where the weights are here.
    """

    model: Values
    recipe: Values | None
    download: str | None = None
    arguments: Values = field(default_factory=dict)


def expand(suite: Mapping[str, Any]) -> Values:
    """`suite` with every model written out, and with the downloads and recipes that they need.

    Raises:
        ShorthandError: a line names nothing known, or says too little.
    """
    sections = {name: suite.get(name, {}) for name in ("recipes", "downloads", "models", "pretrain")}
    if not all(isinstance(section, Mapping) for section in sections.values()):
        return {**suite}  # the schema says what is wrong
    found: Values = {**suite, **{name: dict(section) for name, section in sections.items()}}
    for key, said in found["recipes"].items():
        if isinstance(said, str):
            found["recipes"][key] = _at(f"recipes.{key}", _declared, said)
    own = list(found["recipes"])
    for key, said in found["models"].items():
        found["models"][key] = _at(f"models.{key}", _model, key, said, found)
    for section in ("models", "pretrain"):
        for key, entry in found[section].items():
            if isinstance(entry, Mapping) and "recipe" not in entry:
                found[section][key] = {**entry, "recipe": _at(f"{section}.{key}", _only, own)}
    return found


def model_key(text: str) -> str:
    """A name for the model that one line describes: `torchvision-resnet50-IMAGENET1K_V2`, `onnx-net`."""
    kind, colon, path = text.partition(":")
    plain = f"{kind}-{Path(path).stem}" if colon and kind in FILES else text
    return re.sub(r"[^A-Za-z0-9_-]+", "-", plain).strip("-_")


def _at(place: str, function: Callable[..., Any], *values: Any) -> Any:
    try:
        return function(*values)
    except ShorthandError as problem:
        raise ShorthandError(f"{place}: {problem}") from None


def _only(recipes: Iterable[str]) -> str:
    names = list(recipes)
    if len(names) != 1:
        raise ShorthandError(
            f"how are its images prepared? give `recipe:`, one of {', '.join(names) or 'recipes (none yet)'}"
        )
    return names[0]


def _model(key: str, said: Any, suite: Values) -> Any:
    """One entry of `models`; what it needs is added to the recipes and downloads of `suite`."""
    entry = {"published": said} if isinstance(said, str) else said
    if not isinstance(entry, Mapping):
        return said
    text = entry.get("published")
    own = {name: value for name, value in entry.items() if name != "published"}
    if isinstance(text, str) and ":" in text:
        return _file({**read_file(text), **own})
    if "published" not in entry:
        return _file(own)
    return _published_model(key, read_name(text, own), own, suite)


def _published_model(key: str, found: Published, own: Values, suite: Values) -> Values:
    entry = {**found.model, **own}
    if "weights" not in entry and found.download:
        wanted = {"name": found.download, "arguments": found.arguments, "sha256": own.get("sha256")}
        name = _kept(suite["downloads"], key, wanted, suite["pretrain"])
        folder = f"data/weights/{name}"
        whole = found.download.startswith("transformers/")
        entry["weights"] = folder if whole else f"{folder}/{_file_of(suite['downloads'][name])}"
    if "recipe" not in entry and found.recipe:
        entry["recipe"] = _kept(suite["recipes"], key, found.recipe, {})
    return entry


def _file_of(download: Mapping[str, Any]) -> str:
    return str(download.get("file") or usual_file(str(download.get("name")), ""))


def _kept(section: Values, key: str, value: Values, taken: Mapping[str, Any]) -> str:
    """The name of an entry that says `value`: one that is there, or a new one called like the model."""
    for name, there in section.items():
        if isinstance(there, Mapping) and _says(there, value):
            return str(name)
    name = f"{key}-published" if key in section or key in taken else key
    section[name] = value
    return name


def _says(there: Mapping[str, Any], value: Values) -> bool:
    """Whether an entry asks for the same; one that has a pin may serve those who ask for none."""
    asked = {name: said for name, said in value.items() if said or name != "sha256"}
    return all((there.get(name) or None) == (said or None) for name, said in asked.items())


# ---- published names


def read_name(text: Any, said: Mapping[str, Any]) -> Published:
    """What a published name says; `said` are the keys that stand beside it.

    Raises:
        ShorthandError: nothing is published by this name, or it says too little.
    """
    publisher, slash, rest = str(text).partition("/")
    if publisher not in _READERS or not slash or not rest:
        known = [*_READERS, *FILES]
        raise ShorthandError(f"{text!r} names no model{nearest(publisher.partition(':')[0], known)}; write {FORMS}")
    return _READERS[publisher](rest, said)


def _declared(text: str) -> Values:
    """The recipe that weights declare, by their name alone."""
    found = read_name(text, {}).recipe
    if found is None:
        raise ShorthandError(f"{text!r} declares no preprocessing here; write the steps down")
    return found


def _torchvision(rest: str, said: Mapping[str, Any]) -> Published:
    name, _, weights = rest.partition("/")
    model = _known("torchvision", name, TORCHVISION)
    if not weights:
        raise ShorthandError(
            f"torchvision/{rest}: which weights? for example torchvision/{model.lower()}/IMAGENET1K_V1"
        )
    checkpoint, architecture = f"torchvision/{model}/{weights}", model.lower()
    entry: Values = {"framework": "torchvision", "architecture": architecture, "checkpoint": checkpoint}
    if architecture in ("inception_v3", "googlenet"):  # their published weights want it, and no file says so
        entry["arguments"] = {"transform_input": True, **_arguments(said)}
    return Published(entry, _recipe("torchvision", architecture, weights), checkpoint)


def _timm(rest: str, said: Mapping[str, Any]) -> Published:
    architecture, _, tag = rest.replace("/", ".", 1).partition(".")
    if not tag:
        raise ShorthandError(f"timm/{rest}: which weights? their tag follows a dot: timm/resnet50.a1_in1k")
    entry = {"framework": "timm", "architecture": architecture, "checkpoint": f"timm/{architecture}/{tag}"}
    return Published(entry, _recipe("timm", architecture, tag), f"timm/{architecture}.{tag}")


def _keras(rest: str, said: Mapping[str, Any]) -> Published:
    name, _, weights = rest.partition("/")
    if weights not in ("", "imagenet"):
        raise ShorthandError(f"keras/{rest}: Keras Applications publishes imagenet only")
    model = _known("keras", name, KERAS)
    arguments = _arguments(said)
    checkpoint = None if arguments else f"keras/{model}/imagenet"  # another width is another set of weights
    entry = {"framework": "keras", "architecture": model, "checkpoint": checkpoint}
    return Published(entry, _recipe("keras", model, "imagenet"), f"keras/{model}/imagenet", arguments)


def _transformers(rest: str, said: Mapping[str, Any]) -> Published:
    """A folder that `save_pretrained` wrote, or a repository of the hub, whose `config.json` must be had or its class be said."""
    folder = Path(rest)
    local = folder.is_dir()
    architecture = said.get("architecture") or (_class_of(folder) if local else None)
    if architecture is None:
        raise ShorthandError(
            f"transformers/{rest}: no such folder, and of a repository the class is not known before it is here: "
            "give `architecture:`, for example ViTForImageClassification"
        )
    entry = {"framework": "transformers", "architecture": architecture}
    if local:
        recipe = _transformers_recipe(folder, architecture)
        return Published({**entry, "weights": folder.as_posix()}, recipe)
    if "recipe" not in said:
        raise ShorthandError(
            f"transformers/{rest}: how its inputs are prepared is not known before it is here: give `recipe:`, or download it "
            "and name the folder"
        )
    return Published({**entry, "checkpoint": f"transformers/{rest}"}, None, f"transformers/{rest}")


def _class_of(folder: Path) -> str | None:
    try:
        named = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("architectures")
    except (OSError, ValueError, AttributeError):
        raise ShorthandError(f"{folder}: has no config.json that names a class; give `architecture:`") from None
    return str(named[0]) if isinstance(named, list) and named else None


def _transformers_recipe(folder: Path, architecture: str) -> Values:
    """Of images what `preprocessor_config.json` declares; of texts the tokenizer."""
    if "ImageClassification" in architecture:
        return _recipe("transformers", architecture, folder.as_posix())
    target = "last-token" if architecture.endswith(("CausalLM", "LMHeadModel")) else "label"
    return {"tokenizer": folder.as_posix(), "target": target}


_READERS: dict[str, Callable[[str, Mapping[str, Any]], Published]] = {
    "torchvision": _torchvision,
    "timm": _timm,
    "keras": _keras,
    "transformers": _transformers,
}


def _arguments(said: Mapping[str, Any]) -> Values:
    arguments = said.get("arguments")
    return dict(arguments) if isinstance(arguments, Mapping) else {}


def _recipe(framework: str, architecture: str, weights: str) -> Values:
    return {"published": {"framework": framework, "architecture": architecture, "weights": weights}}


def _known(publisher: str, name: str, names: Iterable[str]) -> str:
    """The name as its publisher writes it; capitals do not matter."""
    written = {known.casefold(): known for known in names}
    if name.casefold() not in written:
        raise ShorthandError(f"{publisher}/{name}: {publisher} has no such classification model{nearest(name, names)}")
    return written[name.casefold()]


# ---- files


def read_file(text: str) -> Values:
    """What `onnx:net.onnx` says.

    Raises:
        ShorthandError: nothing here opens such files.
    """
    kind, _, path = text.partition(":")
    if kind not in FILES:
        raise ShorthandError(f"{text!r} names no model{nearest(kind, FILES)}; write {FORMS}")
    if not path:
        raise ShorthandError(f"{text!r}: which file?")
    return {"framework": FILES[kind], "weights": path}


def _file(entry: Values) -> Values:
    """A file that holds its network needs no architecture but a name for people; a torch program, which is code, a pin."""
    weights = entry.get("weights")
    if entry.get("framework") not in FILES.values() or not isinstance(weights, str):
        return entry
    named = {"architecture": Path(weights).stem, **entry}
    if entry["framework"] != "torchfile" or entry.get("sha256"):
        return named
    if not weights.endswith((".pt", ".pt2")):
        raise ShorthandError(
            f"{weights}: a torch program's name ends in .pt or .pt2; of a state dict say what it belongs to: "
            "{framework: torchvision, architecture: resnet50, weights: " + weights + "}, "
            "or framework: factory with the function that builds your own network (architecture: net.py:build)"
        )
    return {**named, "sha256": _sha256(Path(weights))}


def _sha256(path: Path) -> str:
    """Whoever writes the path down trusts the file that is there now."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as problem:
        raise ShorthandError(
            f"{path}: cannot be read ({problem.strerror}); a torch program is code: put it there, or give its `sha256:`"
        ) from None

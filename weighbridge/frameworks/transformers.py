"""Hugging Face transformers: image classifiers, text classifiers and causal language models, from local files only.

`architecture` is the class (`ViTForImageClassification`, `BertForSequenceClassification`, `GPT2LMHeadModel`), `weights` the
folder that `save_pretrained` wrote; or the weights file in it, but then DVC does not see its `config.json` change. Nothing
is asked of the hub, and code that a model's folder brings along is never run: the class is the library's own
(https://huggingface.co/docs/transformers/main_classes/model).

Of `arguments` these say how the model computes, under transformers' own names; the others go on top of its configuration:
`dtype` (float32, float16, bfloat16), `attn_implementation` (eager, sdpa), and of a language model `padding_side` (right,
left) and `use_cache`.
"""

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tracking.runs.errors import UserError
from weighbridge.frameworks import Adapter, Classifier, Spec, save_weights
from weighbridge.process.torchvision_operators import define_missing_operators
from weighbridge.weights.adjustments import Adjustment
from weighbridge.weights.files import Tensors, Weights, read_weights
from weighbridge.weights.parts import INDEX
from weighbridge.weights.prefixes import without_prefix

_TASKS = {
    "image": "MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES",
    "text": "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES",
    "next token": "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES",
}
_COMPUTING: dict[str, tuple[Any, ...]] = {  # what each may be, the default first
    "dtype": ("float32", "float16", "bfloat16"),
    "attn_implementation": (None, "eager", "sdpa"),
    "padding_side": ("right", "left"),
    "use_cache": (False, True),
}


def _save(classifier: Classifier, spec: Spec, folder: Path) -> Spec:
    """With the `config.json` by which the class is built."""
    if spec.weights is not None and (config := _folder(spec.weights) / "config.json").is_file():
        (folder / "config.json").write_bytes(config.read_bytes())
    return save_weights(classifier, spec, folder)


ADAPTER = Adapter(
    backends=("torch",),
    computing=("precision", "quantisation", "compile"),
    libraries=("transformers",),
    packages=("safetensors",),
    save=_save,
)


def load(spec: Spec) -> Any:
    """Build the class for its configuration (`config.json` beside the weights; `arguments` go on top) and load the weights.

    A text's attention mask is 1 where its ids are, and 0 where they have ended (-1). A classifier that knows no padding
    token is asked text by text. A causal language model gives the scores of the token after each text's last, or of requests
    (`weighbridge.texts.requests`) their log-likelihoods.
    """
    import torch

    from weighbridge.frameworks import _torch, _torch_devices, _torch_language

    device = _torch_devices.configure(spec.threads, spec.seed, spec.device)
    transformers = _import_transformers()
    task, network = _task(transformers, spec.architecture)
    computing = _computing(spec.arguments)
    if spec.computing.get("precision") and "dtype" in spec.arguments:
        raise UserError("params.yaml: arguments.dtype and computing.precision both say the precision; leave one out")
    config = _config(network, spec, task)
    if computing["attn_implementation"]:
        config._attn_implementation = computing["attn_implementation"]
    module, done = (network(config), ()) if spec.weights is None else _loaded(network, config, spec.weights)
    module = module.to(getattr(torch, computing["dtype"]))
    categories, ask = _categories(config, task), _ASK[task]
    if task == "next token":
        asking = _torch_language.Asking(computing["padding_side"], use_cache=computing["use_cache"])
        return _torch_language.LanguageNetwork(module, device, asking, done)
    kind = _torch_language.TextNetwork if task == "text" else _torch.TorchNetwork
    return kind(module, device, categories=categories, ask=ask, adjustments=done)


def _computing(arguments: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: arguments.get(name, known[0]) for name, known in _COMPUTING.items()}
    for name, value in found.items():
        if (type(value), value) not in {(type(each), each) for each in _COMPUTING[name]}:
            raise UserError(f"params.yaml: arguments.{name}: is one of {_COMPUTING[name]}, not {value!r}")
    return found


def _import_transformers() -> Any:
    """Offline and quiet; transformers imports torchvision wherever it is installed."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    if importlib.util.find_spec("torchvision"):
        define_missing_operators()
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def _task(transformers: Any, architecture: str) -> tuple[str, Any]:
    from transformers.models.auto import modeling_auto

    for task, names in _TASKS.items():
        if architecture in getattr(modeling_auto, names).values():
            return task, getattr(transformers, architecture)
    raise UserError(
        f"params.yaml: transformers has no image classifier, text classifier or causal language model {architecture!r}"
    )


def _config(network: Any, spec: Spec, task: str) -> Any:
    """Of `config.json` beside the weights; without such a file `arguments` are the whole configuration."""
    path = _folder(spec.weights) / "config.json" if spec.weights is not None else None
    values = {"vocab_size" if task == "next token" else "num_labels": spec.classes}
    if path is not None and not path.is_file() and not spec.arguments:
        raise UserError(f"{path}: not found; {spec.architecture} is built as it says")
    arguments = {name: value for name, value in spec.arguments.items() if name not in _COMPUTING}
    try:
        if path is not None and path.is_file():
            values, _ = network.config_class.get_config_dict(path.parent)
        config, unknown = network.config_class.from_dict(values, **arguments, return_unused_kwargs=True)
    except Exception as problem:
        said = " ".join(str(problem).split())
        raise UserError(f"{path or 'params.yaml'}: not a configuration of {spec.architecture} ({said})") from problem
    if unknown:
        raise UserError(f"params.yaml: {spec.architecture} has no setting {', '.join(unknown)}; check `arguments`")
    return config


def _folder(weights: Path) -> Path:
    return weights if weights.is_dir() else weights.parent


def _loaded(network: Any, config: Any, weights: Path) -> tuple[Any, tuple[Adjustment, ...]]:
    """The class with these weights, as they are named or without what wrappers put into all names; and what was done for it."""
    stored, first = _stored(weights), ""
    for removed, tensors in without_prefix(stored.tensors):
        module, complaints = _from_pretrained(network, config, tensors)
        if not complaints:
            said = f"{stored.path}: {removed!r} was taken off the names of its tensors"
            prefix = (Adjustment("model.weights.prefix", removed, said),) if removed else ()
            return module, (*stored.adjustments, *prefix)
        first = first or "; ".join(complaints)
    raise UserError(f"{weights}: weights of another architecture; {first}")


def _from_pretrained(network: Any, config: Any, tensors: Tensors) -> tuple[Any, list[str]]:
    import torch

    module, info = network.from_pretrained(
        None,
        config=config,
        state_dict={name: torch.from_numpy(value) for name, value in tensors.items()},
        dtype=torch.float32,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    return module, [
        f"{kind.removesuffix('_keys')}: {', '.join(sorted(map(str, info[kind]))[:4])}"
        for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")
        if info[kind]
    ]


def _stored(weights: Path) -> Weights:
    """Of the file, or of the folder's: by its index where there is one, else of the one file."""
    if not weights.is_dir():
        return read_weights(weights)
    for name in ("model.safetensors", "pytorch_model.bin"):
        found = next((path for path in (weights / f"{name}{INDEX}", weights / name) if path.is_file()), None)
        if found is not None:
            return read_weights(found)
    raise UserError(f"{weights}: holds no model.safetensors and no pytorch_model.bin")


def _categories(config: Any, task: str) -> tuple[str, ...] | None:
    names = tuple(str(config.id2label[index]) for index in sorted(config.id2label)) if task != "next token" else ()
    return None if all(name == f"LABEL_{index}" for index, name in enumerate(names)) else names


def _ask_images(module: Any, images: Any) -> Any:
    return module(pixel_values=images).logits


def _ask_texts(module: Any, ids: Any) -> Any:
    import torch

    padding = module.config.get_text_config().pad_token_id
    if padding is None:
        return torch.cat([module(input_ids=each[each >= 0][None]).logits for each in ids])
    return module(input_ids=ids.masked_fill(ids < 0, padding), attention_mask=(ids >= 0).long()).logits


_ASK = {"image": _ask_images, "text": _ask_texts, "next token": _ask_texts}

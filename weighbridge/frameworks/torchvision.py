"""torchvision classification models by their builder's name (https://docs.pytorch.org/vision/stable/models.html)."""

import re
from typing import Any

from tracking.runs.errors import UserError
from weighbridge.frameworks import Adapter, Spec
from weighbridge.process.torchvision_operators import define_missing_operators
from weighbridge.weights.files import Tensors

ADAPTER = Adapter(backends=("torch",), libraries=("torchvision",), packages=("safetensors",))
_AUXILIARY = {"Inception3": ("AuxLogits",), "GoogLeNet": ("aux1", "aux2")}
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")  # as in torchvision.models.densenet


def load(spec: Spec) -> Any:
    """Build `torchvision.models.<architecture>` and load its state dict.

    Of Inception v3's and GoogLeNet's auxiliary heads, which only training uses, a weights file may hold all or none. The
    published weights of both want their input transformed once more, which is not in the weights file: when
    `spec.checkpoint` names them, `arguments` must say so.
    """
    from weighbridge.frameworks import _torch

    device = _torch.configure(spec.threads, spec.seed, spec.device)
    models = _import_models()
    published = _published(models, spec)
    module = build(models, spec)
    if spec.weights is not None:
        tensors = {_OLD_DENSENET.sub(r"\1\2", name): value for name, value in _torch.read_state(spec.weights).items()}
        _torch.set_state(module, _with_or_without_auxiliary(module, tensors), str(spec.weights))
    return _torch.TorchNetwork(module, device, categories=published and tuple(published.meta["categories"]))


def _import_models() -> Any:
    define_missing_operators()
    import torchvision.models

    return torchvision.models


def build(models: Any, spec: Spec) -> Any:
    """The module with random weights; those that a file will replace anyway are not drawn where that takes seconds."""
    if spec.architecture not in models.list_models(module=models):
        raise UserError(
            f"torchvision has no classification model {spec.architecture!r}; see torchvision.models.list_models()"
        )
    slow = spec.architecture in ("inception_v3", "googlenet")
    arguments = {**({"init_weights": spec.weights is None} if slow else {}), **spec.arguments}
    try:
        return models.get_model(spec.architecture, weights=None, num_classes=spec.classes, **arguments)
    except (TypeError, ValueError) as problem:
        raise UserError(
            f"torchvision.models.{spec.architecture}: {problem}; check `arguments` in params.yaml"
        ) from problem


def _published(models: Any, spec: Spec) -> Any:
    """The member of torchvision's weights enum that `spec.checkpoint` names, `torchvision/<Model>/<WEIGHTS>`, or None."""
    publisher, *name = (spec.checkpoint or "").split("/")
    if publisher != "torchvision" or len(name) != 2:
        return None
    weights = getattr(getattr(models, f"{name[0]}_Weights", None), name[1], None)
    if weights is None:
        raise UserError(f"params.yaml: checkpoint {spec.checkpoint!r}: torchvision publishes no such weights")
    if spec.architecture in ("inception_v3", "googlenet") and not spec.arguments.get("transform_input"):
        raise UserError(
            f"params.yaml: {spec.checkpoint} was trained on inputs of another scale; "
            "give it `arguments: {transform_input: true}`, as torchvision's own builder does"
        )
    return weights


def _with_or_without_auxiliary(module: Any, tensors: Tensors) -> Tensors:
    """Take the auxiliary heads from the module when the file has none, and from the file when the module has none."""
    names = _AUXILIARY.get(type(module).__name__, ())
    heads = tuple(f"{name}." for name in names)
    own = {name: value for name, value in tensors.items() if not name.startswith(heads)} if heads else tensors
    if not names or not module.aux_logits:
        return own
    if len(own) == len(tensors):
        module.aux_logits = False
        for name in names:
            setattr(module, name, None)
    return tensors

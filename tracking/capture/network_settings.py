"""What a network in this process is like: modes, normalisation, dropout. It is asked, not imported.

A torch module is known by `named_modules`, a Keras model by `layers`; anything else (a compiled file) has no inside.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from tracking.runs.facts import Fact, Facts


def network_settings(network: Any) -> Facts:
    """Facts ``model.training*``, ``model.trainable``, ``model.batchnorm.*``, ``model.dropout.*``, ``model.attention`` and
    ``model.dtype``; empty where unknown."""
    layers = list(_layers(network))
    if not layers:
        return {}
    norms = [layer for layer in layers if "batchnorm" in _kind(layer)]
    dropouts = [layer for layer in layers if "dropout" in _kind(layer)]
    return {
        **_training(network, layers),
        **_distinct("model.batchnorm.momentum", norms, "momentum"),
        **_distinct("model.batchnorm.epsilon", norms, "epsilon", "eps"),
        **_counts("model.batchnorm", norms),
        **_distinct("model.dropout.rate", dropouts, "rate", "p"),
        **_counts("model.dropout", dropouts),
        **_computing(network),
    }


def _computing(network: Any) -> Facts:
    """Of a module of transformers: which attention it came to, where nothing was asked for, and in what precision."""
    attention = getattr(getattr(network, "config", None), "_attn_implementation", None)
    if attention is None or not _is_torch(network):
        return {}
    kinds = sorted({str(each.dtype).removeprefix("torch.") for each in network.parameters()})
    return {"model.attention": str(attention), "model.dtype": " ".join(kinds)}


def _layers(network: Any) -> Iterator[Any]:
    if _is_torch(network):
        yield from (module for _, module in network.named_modules())
        return
    for layer in getattr(network, "layers", ()):
        yield layer
        yield from _layers(layer)


def _is_torch(network: Any) -> bool:
    """Keras' models on its torch backend are torch modules too, but keep their layers as Keras does."""
    return hasattr(network, "named_modules") and not hasattr(network, "trainable_weights")


def _kind(layer: Any) -> str:
    names = (base.__name__ for base in type(layer).__mro__)
    return " ".join(names).lower().replace("batchnormalization", "batchnorm")


def _training(network: Any, layers: list[Any]) -> Facts:
    """torch keeps a flag in each module; in Keras the call decides, and `trainable` is what is kept."""
    if not _is_torch(network):
        frozen = sum(not getattr(layer, "trainable", True) for layer in layers)
        return {"model.layers": len(layers), "model.layers.frozen": frozen}
    training = [name or "(whole)" for name, module in network.named_modules() if module.training]
    facts: Facts = {"model.layers": len(layers), "model.training": len(training)}
    if 0 < len(training) < len(layers):
        facts["model.training.names"] = " ".join(training)
    return facts


def _counts(name: str, layers: list[Any]) -> Facts:
    return {f"{name}.layers": len(layers)} if layers else {}


def _distinct(name: str, layers: Iterable[Any], *attributes: str) -> Facts:
    """The values that the layers have, in ascending order."""
    values = {value for layer in layers for value in _values(layer, attributes)}
    if len(values) == 1:
        return {name: values.pop()}
    return {name: " ".join(str(value) for value in sorted(values, key=str))} if values else {}


def _values(layer: Any, attributes: tuple[str, ...]) -> Iterator[Fact]:
    found = (getattr(layer, attribute, None) for attribute in attributes)
    yield from (value for value in found if isinstance(value, int | float))

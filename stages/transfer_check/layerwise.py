"""How transferable each layer is: AnB and BnB of Yosinski et al. 2014, https://arxiv.org/abs/1411.1792.

A is the source, B the target. The first n layers are those of A (or of a network trained on B), the rest starts at random,
and all is trained on B with those n layers held (AnB, BnB) or not (AnB+, BnB+). The null, RnB, holds n random layers.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from stages.transfer_check.finetuning import NetworkSource, SeedData, accuracy, fit
from stages.transfer_check.layers import Layers, backbone_layers, cuts_of, first
from weighbridge.networks.kept_parts import Part, Parts
from weighbridge.params.transfer_check import Transfer

KINDS = ("AnB", "AnB+", "BnB", "BnB+", "RnB")
_ANOTHER = 1000  # added to a seed: a random start that is not the base's


@dataclass(frozen=True)
class Cut:
    """Accuracy on the target (a fraction) of one such network, whose first `layers` of `of` came from elsewhere."""

    kind: str
    layers: int
    of: int
    seed: int
    target: float


def layerwise(
    networks: NetworkSource,
    task: Transfer,
    data: SeedData,
    base: Callable[[], Mapping[str, np.ndarray]],
    parts: Parts,
) -> Iterator[Cut]:
    """Every kind at every cut, for one seed. `base` gives the weights of the network trained on B from scratch."""
    source = networks.pretrained()
    own = source.weights()
    weights: dict[str, Callable[[], Mapping[str, np.ndarray]]] = {"A": lambda: own, "B": base, "R": dict}
    layers = backbone_layers(source, source.retarget(data.classes, data.seed))

    def cut(name: str, kind: str, count: int) -> Cut:
        return _transplanted(networks, task, data, kind, weights[kind[0]](), layers, count, parts.part(name))

    for count in cuts_of(layers, task.cuts):
        for kind in KINDS:
            name = f"{kind}, {count} layers, seed {data.seed}"
            yield parts.value(name, Cut, partial(cut, name, kind, count))
            parts.forget_part(name)


def _transplanted(
    networks: NetworkSource,
    task: Transfer,
    data: SeedData,
    kind: str,
    weights: Mapping[str, np.ndarray],
    layers: Layers,
    count: int,
    part: Part,
) -> Cut:
    network = networks.random(data.seed + _ANOTHER).retarget(data.classes, data.seed + _ANOTHER)
    lower = first(layers, count)
    network.set_weights({name: weights[name] for name in lower} if weights else {})
    if not kind.endswith("+"):
        network.hold(set(lower))
    fit(network, task, data, task.scratch_rates[0], f"{kind}, {count} layers,", part.training("whole"))
    kept = part.passing("target", len(data.test), network)
    return Cut(kind, count, len(layers), data.seed, accuracy(network, data.test, data.batch_size, kept))

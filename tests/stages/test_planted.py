"""Ten planted faults among healthy runs of three checks, in a shuffled order: all ten are named, and nothing else is accused."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest

pytest.importorskip("torch")
import torch
from torch import nn

from stages.backend_parity.__main__ import backend_parity, layer_parity
from tests.stages import small_networks as small
from tests.stages.isolation_check import leaking_networks as leaking
from tests.stages.mode_check import moving_networks as moving
from tracking.runs.findings import Finding, Verdict
from weighbridge.frameworks._torch import TorchNetwork
from weighbridge.networks.predictions import PredictionSet
from weighbridge.params.backend_parity import Parity

FEW = moving.PARAMS.model_copy(update={"behaviours": "passes", "black_batches": 30})
Layers = Callable[[], list[nn.Module]]
PAIR = Parity(reference="a", candidate="b", max_score_difference=1e-3, max_flips=0, layer_tolerance=1e-5)

# What a healthy network of each kind is warned of, by finding, and what it may be: it hangs on its weights.
NOTHING: frozenset[str] = frozenset()
SAME_BITS = frozenset({"scores"})  # two scores that never differ are suspicious, and a port may be as exact as that


@dataclass(frozen=True)
class Run:
    """One run of a check.

    Attributes:
        ask: gives its findings by name.
        warned: findings that warn of a healthy network of this kind; any of the others is an accusation.
        perhaps: those that may warn of it.
        fault: the finding that has to fail or warn, and what it has to name; None for a healthy run.
    """

    ask: Callable[[], Mapping[str, Finding]]
    warned: frozenset[str] = NOTHING
    perhaps: frozenset[str] = NOTHING
    fault: tuple[str, str] | None = None


def accused(found: Mapping[str, Finding], run: Run) -> dict[str, Finding]:
    """The findings that are worse than those of a healthy network of this kind."""
    allowed = {Verdict.WARN: run.warned | run.perhaps, Verdict.FAIL: NOTHING}
    return {name: each for name, each in found.items() if name not in allowed.get(each.verdict, found)}


def named(finding: Finding) -> list[str]:
    """The cause, or the layers, that a finding names."""
    evidence = finding.evidence
    if "statistics" in evidence:
        return [max(evidence["statistics"], key=lambda gap: gap["distance"])["layer"]]
    if "batch_flips" in evidence:
        return ["companions"] if evidence["batch_flips"] else []
    return [evidence["cause"]] if "cause" in evidence else evidence.get("parts_at") or evidence.get("layers", [])


# ---- mode_check


def mode(net: Callable[[], TorchNetwork], warned: frozenset[str] = NOTHING, **more: object) -> Run:
    return Run(lambda: moving.check(net(), FEW), warned, **more)


PLAIN: list[Layers] = [
    list,
    lambda: [nn.Conv2d(3, 3, 3, padding=1), nn.ReLU()],
    lambda: [nn.GroupNorm(3, 3)],
    lambda: [nn.LayerNorm([3, 4, 4])],
]


def healthy_modes() -> Iterator[Run]:
    for seed in range(3):
        for layers in PLAIN:
            yield mode(partial(_trained, layers, seed))
        for layers in (normed, lambda: [nn.BatchNorm2d(3)]):
            yield mode(partial(_trained, layers, seed))
        for rate in (0.25, 0.5):
            yield mode(partial(_trained, lambda rate=rate: [nn.Dropout(rate)], seed))
        yield mode(partial(_trained, lambda: [nn.BatchNorm2d(3), nn.Dropout(0.5)], seed))


def _trained(layers: Layers, seed: int) -> TorchNetwork:
    torch.manual_seed(seed)
    return moving.trained(*layers(), seed=seed)


def normed() -> list[nn.Module]:
    return [nn.BatchNorm2d(3), nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)]


def lagging() -> TorchNetwork:
    """Trained, but the statistics of the second BatchNorm are those of other data."""
    net = _trained(normed, 0)
    own = net.weights()
    net.restore(own | {"2.running_mean": own["2.running_mean"] + 3, "2.running_var": 9 * own["2.running_var"]})
    return net


def spoilt_modes() -> Iterator[Run]:
    yield mode(
        lambda: moving.network(nn.ReLU(), moving.Counting()),
        fault=("pass, inference", "1"),
    )
    companions = nn.BatchNorm2d(3, track_running_stats=False)
    yield mode(lambda: moving.trained(companions), fault=("batches", "companions"))
    yield mode(lagging, fault=("statistics", "2"))


# ---- isolation_check


def isolated(net: Callable[[], TorchNetwork], fault: tuple[str, str] | None = None, **more: object) -> Run:
    """Asked in this process, and exported and served by itself where `more` does not say otherwise."""
    ways = {name: leaking.over_http(lambda images: net().predict(images)) for name in ("export", "serve")}
    return Run(lambda: leaking.found(net, [*leaking.HERE, *ways], alone=net, **ways | more), fault=fault)


def used(seed: int) -> TorchNetwork:
    """BatchNorm, dropout and others in many orders, with statistics that some data have left."""
    torch.manual_seed(seed)
    layers = [nn.Dropout(0.5), nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.GELU(), nn.Identity()]
    order = np.random.default_rng(seed).permutation(5)[: seed % 5 + 1]
    net = leaking.network(seed, *(layers[place] for place in order))
    for _ in range(20):
        net.forward(leaking.samples().images(), training=True)
    return net


def healthy_isolated() -> Iterator[Run]:
    yield from (isolated(partial(used, seed)) for seed in range(15))


def in_training_mode(_classifier: object, batches: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([leaking.network().forward(images, training=True) for images in batches])


def from_a_client_that_scales_otherwise(_classifier: object, batches: list[np.ndarray]) -> np.ndarray:
    raw = leaking.RECIPE.model_copy(update={"scale": "0..255", "normalise": None})
    images = replace(leaking.samples(), recipe=raw).images()
    return leaking.network().predict(images[: sum(map(len, batches))])


def spoilt_isolated() -> Iterator[Run]:
    def net() -> TorchNetwork:
        return leaking.network()

    yield isolated(lambda: leaking.InPlace(net().module, "cpu"), ("repeated", "in-place"))
    scaled = partial(lambda scale: leaking.SharedGlobal(leaking.network(int(scale)).module, scale))
    yield isolated(partial(scaled, 1.0), ("interleaved", "shared-state"), other=partial(scaled, 3.0))
    yield isolated(net, ("export", "training-mode"), export=in_training_mode)
    yield isolated(net, ("serve", "inputs"), serve=from_a_client_that_scales_otherwise)


# ---- backend_parity


def ported(seed: int, rewrite: Callable[[nn.Sequential], nn.Module]) -> dict[str, Finding]:
    module, pixels = small.network(seed), small.images(seed, samples=16)
    pair = [module, rewrite(module)]
    names = tuple(map(str, range(len(pixels))))
    said = [
        PredictionSet(names, np.zeros(len(pixels), np.int64), TorchNetwork(each, "cpu").predict(pixels), {})
        for each in pair
    ]
    scores, decisions = backend_parity(PAIR, *said)
    layers = layer_parity(PAIR, *(small.layers_of(each, pixels) for each in pair))
    return {"scores": scores, "decisions": decisions, "layers": layers}


def healthy_ports() -> Iterator[Run]:
    for rewrite in small.REWRITINGS:
        yield from (Run(partial(ported, seed, rewrite), perhaps=SAME_BITS) for seed in range(4))


def spoilt_ports() -> Iterator[Run]:
    for seed, wanted in enumerate(("epsilon", "padding", "height and width")):
        mistakes = {mistake: (layer, port) for mistake, layer, port in small.faults(small.network(seed), seed)}
        layer, port = mistakes[wanted]
        yield Run(partial(ported, seed, lambda _module, port=port: port), SAME_BITS, fault=("layers", layer))


def test_ten_planted_faults_are_found_among_healthy_runs_and_none_is_invented() -> None:
    healthy = [*healthy_modes(), *healthy_isolated(), *healthy_ports()]
    planted = [*spoilt_modes(), *spoilt_isolated(), *spoilt_ports()]
    assert len(healthy) >= 50
    assert len(planted) == 10
    runs = healthy + planted
    named_right, wrong = [], []
    for place in np.random.default_rng(2019).permutation(len(runs)):
        run = runs[place]
        found = run.ask()
        blamed = accused(found, run)
        if run.fault is None:
            wrong += [finding.sentence for finding in blamed.values()]
            wrong += [found[name].sentence for name in run.warned if found[name].verdict != Verdict.WARN]
        elif run.fault[0] in blamed and run.fault[1] in named(blamed[run.fault[0]]):
            named_right.append(run.fault)
    assert wrong == []
    assert sorted(named_right) == sorted(run.fault for run in planted if run.fault)

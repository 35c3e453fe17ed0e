"""What a forward pass moves, and what the mode costs: inference, training, frozen.

reads   <samples>/test, the weights file, environment/<framework>-<backend>.json
writes  findings: tensors moved by a pass in inference mode, in training mode, in training mode when frozen (sha256 of every
        tensor before and after); accuracy in either mode, in training mode with mixed and with class-sorted batches;
        dropout
params  models.<model>, inference, data.classes, mode_check

In training mode BatchNorm uses the statistics of the batch and moves its running ones, gradient or not (Ioffe and Szegedy
2015, https://arxiv.org/abs/1502.03167); in PyTorch `requires_grad=False` does not stop it, in Keras `trainable=False` does.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stages._models import in_batches, load_network
from stages._params import ModeCheck, load_params
from stages._predictions import SampleSet
from stages._stage import run
from stages.frameworks import Network
from tracking.findings import Finding, Verdict, save_findings
from tracking.networks import network_settings
from tracking.statistics import mcnemar_exact

CHECK = "mode_check"
SIGNIFICANT = 0.01
LARGE_GAP = 0.02


def mode_check(
    model: str, fresh: Callable[[], Network | None], samples: SampleSet, params: ModeCheck
) -> Iterator[Finding]:
    """Findings for one model; `fresh` gives it anew, since passes in training mode change it."""
    network = fresh()
    if network is None:
        yield Finding(CHECK, model, Verdict.SKIP, "An exported file has no training mode: nothing to check.")
        return
    mixed = samples.shuffled(params.samples)
    inference = _pass(network, mixed, params, training=False)
    yield _moved(model, "inference", "A pass in inference mode", *inference[1:], worst=Verdict.FAIL)
    first = _pass(network, mixed, params, training=True)
    yield _moved(model, "training", "A pass in training mode without a gradient", *first[1:], worst=Verdict.WARN)
    second = _pass(network, mixed, params, training=True)
    by_class = mixed.sorted_by_class()
    together = _pass(network, by_class, params, training=True)
    yield _accuracies(model, mixed.labels, inference[0], first[0], _share_right(together[0], by_class.labels))
    yield _dropout(model, network_settings(network.inside), first[0], second[0])
    frozen = fresh()
    assert frozen is not None
    frozen.freeze()
    passed = _pass(frozen, mixed, params, training=True)
    yield _moved(model, "frozen", "A pass in training mode with every weight frozen", *passed[1:], worst=Verdict.WARN)


def _pass(
    network: Network, samples: SampleSet, params: ModeCheck, *, training: bool
) -> tuple[np.ndarray, list[str], int]:
    """Scores, the names of the tensors that the pass moved, and the number of tensors."""
    before = _digests(network)
    label = f"mode_check: {'training' if training else 'inference'} mode"
    scores = in_batches(lambda images: network.forward(images, training=training), samples, params.batch_size, label)
    after = _digests(network)
    return scores, sorted(name for name in before if before[name] != after[name]), len(before)


def _digests(network: Network) -> dict[str, str]:
    return {name: hashlib.sha256(value.tobytes()).hexdigest() for name, value in network.weights().items()}


def _moved(model: str, mode: str, what: str, names: list[str], tensors: int, *, worst: Verdict) -> Finding:
    verdict = worst if names else Verdict.PASS
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    some = f": {', '.join(names[:2])}{more}" if names else ""
    sentence = f"{what} moves {len(names)} of {tensors} weights and buffers{some}."
    return Finding(CHECK, model, verdict, sentence, {f"{mode}_moved": len(names), "tensors": tensors, "moved": names})


def _share_right(scores: np.ndarray, labels: np.ndarray) -> float:
    return float((scores.argmax(axis=1) == labels).mean())


def _accuracies(
    model: str, labels: np.ndarray, inference: np.ndarray, training: np.ndarray, training_by_class: float
) -> Finding:
    right, right_training = inference.argmax(axis=1) == labels, training.argmax(axis=1) == labels
    only_inference, only_training = int((right & ~right_training).sum()), int((right_training & ~right).sum())
    p_value = mcnemar_exact(only_inference, only_training)
    sentence = (
        f"Accuracy is {right.mean():.2%} in inference mode and {right_training.mean():.2%} in training mode on the same "
        f"{len(labels)} images (exact McNemar p = {p_value:.2g}); {training_by_class:.2%} in training mode when each batch "
        "holds images of one class."
    )
    evidence = {
        "top1_inference": float(right.mean()),
        "top1_training": float(right_training.mean()),
        "top1_training_by_class": training_by_class,
        "only_inference_right": only_inference,
        "only_training_right": only_training,
        "p_value": p_value,
    }
    depends = p_value < SIGNIFICANT or abs(training_by_class - float(right.mean())) > LARGE_GAP
    return Finding(CHECK, model, Verdict.WARN if depends else Verdict.PASS, sentence, evidence)


def _dropout(model: str, inside: Mapping[str, Any], first: np.ndarray, second: np.ndarray) -> Finding:
    flips = int((first.argmax(1) != second.argmax(1)).sum())
    layers = {kind: inside.get(f"model.{kind}.layers", 0) for kind in ("dropout", "batchnorm")}
    evidence = {"dropout_layers": layers["dropout"], "batchnorm_layers": layers["batchnorm"], "repeat_flips": flips}
    if np.array_equal(first, second):
        sentence = "Two passes in training mode give the same bits: no dropout acts."
        return Finding(CHECK, model, Verdict.PASS, sentence, evidence)
    sentence = (
        f"Two passes in training mode differ in {flips} of {len(first)} decisions, by chance "
        f"(dropout layers: {layers['dropout']}): a model left in this mode has no one accuracy."
    )
    return Finding(CHECK, model, Verdict.WARN, sentence, evidence)


def main(model: str, samples: Path, weights: Path, findings: Path) -> None:
    """Load the model twice, pass the images through it in every mode, write."""
    params = load_params()
    chosen = params.models[model].model_copy(update={"weights": str(weights)})
    test = SampleSet.load(samples / "test")
    found = mode_check(
        model, lambda: load_network(chosen, params.inference, params.data.classes, test), test, params.mode_check
    )
    save_findings(found, findings)


if __name__ == "__main__":
    run(main)

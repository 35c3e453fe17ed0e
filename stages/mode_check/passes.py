"""Accuracy in either mode, what the companions in a batch change, what chance changes: a model's passes compared."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from tracking.audit.statistics import mcnemar_exact
from tracking.capture.network_settings import network_settings
from tracking.runs.errors import UserError
from tracking.runs.findings import Finding, Verdict
from weighbridge.frameworks import Network
from weighbridge.images.recipes import scale_and_normalise
from weighbridge.images.samples import SampleSet
from weighbridge.networks.kept_parts import NO_PART, Part, Parts
from weighbridge.networks.score_differences import distance
from weighbridge.networks.state import generators, moves, scores_in, share_right, statistics, whole_batches
from weighbridge.params.mode_check import ModeCheck
from weighbridge.params.recipes import TextRecipe

CHECK = "mode_check"
SIGNIFICANT = 0.01
ROUNDING = 1e-3  # scores that differ by less may have been summed in another order


def passes(model: str, network: Network, samples: SampleSet, params: ModeCheck, parts: Parts) -> Iterator[Finding]:
    """One finding for each way of passing; one that the network cannot go through is skipped with the reason.

    The network is as it was afterwards.
    """
    looks: dict[str, Callable[[str, Network, SampleSet, ModeCheck, Part], Finding]] = {
        "Accuracy in either mode": accuracies,
        "What other batches change": batches,
        "Dropout": dropout,
        "Randomness in inference mode": randomness,
        "What black images in training mode leave": black,
    }

    def looked(words: str) -> Finding:
        own = network.weights()
        try:
            return looks[words](model, network, samples, params, parts.part(words))
        except UserError as problem:  # such as a batch too small for training mode
            network.restore(own)
            return _skipped(model, f"{words} cannot be seen: {problem}.")

    for words in looks:
        yield parts.value(words, Finding, partial(looked, words))


def _skipped(model: str, reason: str) -> Finding:
    return Finding(CHECK, model, Verdict.SKIP, reason)


def no_numbers(model: str, network: Network, samples: SampleSet, size: int, part: Part = NO_PART) -> Finding | None:
    """What is wrong where scores in inference mode are no numbers: no pass can be compared then. None where they all are."""
    scores = scores_in(network, samples, size, training=False, kept=part.passing("inference", len(samples)))
    count = int((np.isnan(scores) | np.isposinf(scores)).sum())  # minus infinity rules a class out
    if not count:
        return None
    sentence = f"{count} of {scores.size} scores in inference mode are NaN or infinite: its passes were not compared."
    return Finding(CHECK, model, Verdict.FAIL, sentence, {"no_numbers": count})


def accuracies(model: str, network: Network, samples: SampleSet, params: ModeCheck, part: Part = NO_PART) -> Finding:
    """Inference against training mode on the same images; then with every batch of one class; then repaired."""
    own, labels, size, count = network.weights(), samples.labels, params.batch_size, len(samples)
    inference = scores_in(network, samples, size, training=False, kept=part.passing("inference", count))
    training = scores_in(network, samples, size, training=True, kept=part.passing("training", count))
    by_class = samples.sorted_by_class()
    of_classes = scores_in(network, by_class, size, training=True, kept=part.passing("by class", count))
    together = share_right(of_classes, by_class.labels)
    network.restore(own)
    right, right_training = inference.argmax(axis=1) == labels, training.argmax(axis=1) == labels
    undefined = int((~np.isfinite(training)).sum())
    counts = int((right & ~right_training).sum()), int((right_training & ~right).sum())
    p_value = mcnemar_exact(*counts)
    evidence = {
        "top1_inference": float(right.mean()),
        "top1_training": float(right_training.mean()),
        "top1_training_by_class": together,
        "only_inference_right": counts[0],
        "only_training_right": counts[1],
        "p_value": p_value,
        "images": len(labels),
    }
    stored = bool(statistics(own))
    # the stored statistics are not the weights'
    lags = stored and p_value < SIGNIFICANT and bool(right_training.mean() > right.mean())
    sentence = (_lagging(evidence) if lags else _forgetting(evidence, by_class=stored)) + (
        f" {undefined} of {training.size} scores in training mode are NaN or infinite." if undefined else ""
    )
    return Finding(CHECK, model, Verdict.WARN if undefined or lags else Verdict.PASS, sentence, evidence)


def _lagging(seen: Mapping[str, float]) -> str:
    return (
        f"With each batch's own statistics (training mode) {seen['top1_training']:.2%} of {seen['images']} images are right, "
        f"with those stored in the file (inference mode) {seen['top1_inference']:.2%} (exact McNemar p = {seen['p_value']:.2g})."
    )


def _forgetting(seen: Mapping[str, float], *, by_class: bool) -> str:
    """`by_class`: whether there is BatchNorm, to which the companions in a batch matter."""
    mixed, together = (seen[name] - seen["top1_inference"] for name in ("top1_training", "top1_training_by_class"))
    sorted_too = (
        f" and by {100 * together:+.1f} points on batches of one class each ({seen['top1_training_by_class']:.2%})"
    )
    return (
        f"Forgetting eval() changes accuracy by {100 * mixed:+.1f} points{' on mixed batches' * by_class} "
        f"({seen['top1_inference']:.2%} in inference mode, {seen['top1_training']:.2%} in training mode on the same "
        f"{seen['images']} images, exact McNemar p = {seen['p_value']:.2g}){sorted_too * by_class}."
    )


def batches(model: str, network: Network, samples: SampleSet, params: ModeCheck, part: Part = NO_PART) -> Finding:
    """Whether a sample's companions change its answer: other sizes, another order, in either mode."""
    if not params.batch_sizes:
        return _skipped(model, "Other batches were not asked for: mode_check.batch_sizes in params.yaml is empty.")
    own = part.passing("inference", len(samples))
    known = scores_in(network, samples, params.batch_size, training=False, kept=own)
    asked = enumerate((1, params.batch_size, *params.batch_sizes))
    rows = [_of_size(network, samples, known, size, part.within(str(place))) for place, size in asked]
    flips, apart = max(row["flips"] for row in rows), max(row["max_score_difference"] for row in rows)
    trained = [row for row in rows if row["batch_size"] > 1]
    spread = [row[name] for row in trained for name in ("top1_training", "top1_training_by_class")]
    sizes = ", ".join(str(row["batch_size"]) for row in rows)
    sentence = (
        f"In inference mode, batches of {sizes} and another order change {flips} decisions (scores by {apart:.2g} at most); "
        f"in training mode accuracy lies between {min(spread):.2%} and {max(spread):.2%} with size and order of the batches."
    )
    curves = {
        name: [[row["batch_size"], row[name]] for row in sorted(trained, key=lambda row: row["batch_size"])]
        for name in ("top1_training", "top1_training_by_class")
    }
    evidence = {"batch_flips": flips, "batch_max_score_difference": apart, "batches": rows, "curves": curves}
    verdict = Verdict.FAIL if flips and apart > ROUNDING else Verdict.WARN if flips else Verdict.PASS
    return Finding(CHECK, model, verdict, sentence, evidence)


def _of_size(network: Network, samples: SampleSet, known: np.ndarray, size: int, part: Part) -> dict[str, Any]:
    """In inference mode class after class, against `known`; in training mode mixed and class after class."""
    few = (
        samples.shuffled(min(len(samples), ALONE)) if size == 1 else samples.shuffled(whole_batches(len(samples), size))
    )
    by_class = few.sorted_by_class()
    of_known = {name: row for row, name in enumerate(samples.names)}
    expected = known[[of_known[name] for name in by_class.names]]
    scores = scores_in(network, by_class, size, training=False, kept=part.passing("by class", len(few)))
    row: dict[str, Any] = {
        "batch_size": size,
        "flips": int((scores.argmax(1) != expected.argmax(1)).sum()),
        "max_score_difference": distance(scores, expected),
    }
    if size == 1:
        return row
    own = network.weights()
    for name, taken in (("top1_training", few), ("top1_training_by_class", by_class)):
        kept = part.passing(name, len(taken))
        row[name] = share_right(scores_in(network, taken, size, training=True, kept=kept), taken.labels)
    network.restore(own)
    return row


ALONE = 32  # samples that are asked one by one


def dropout(model: str, network: Network, samples: SampleSet, params: ModeCheck, part: Part = NO_PART) -> Finding:
    """What a dropout left on costs, by repeated passes in training mode with BatchNorm in inference mode."""
    if params.repeats < 2:
        reason = "Dropout was not looked for: mode_check.repeats in params.yaml is 1, and one pass shows no spread."
        return _skipped(model, reason)
    layers = {
        kind: network_settings(network.inside).get(f"model.{kind}.layers", 0) for kind in ("dropout", "batchnorm")
    }
    size, count = params.batch_size, len(samples)
    still = scores_in(network, samples, size, training=False, kept=part.passing("inference", count))
    every = (part.passing(f"dropout {number}", count) for number in range(params.repeats))
    drawn = [scores_in(network, samples, size, training=True, batchnorm=False, kept=kept) for kept in every]
    if not np.isfinite(drawn).all():
        return _skipped(
            model, "Dropout was not looked for: scores in training mode, BatchNorm apart, are NaN or infinite."
        )
    right = [share_right(scores, samples.labels) for scores in drawn]
    flips = [int((scores.argmax(1) != still.argmax(1)).sum()) for scores in drawn]
    cost, spread = share_right(still, samples.labels) - float(np.mean(right)), float(np.std(right, ddof=1))
    evidence = {
        "dropout_layers": layers["dropout"],
        "batchnorm_layers": layers["batchnorm"],
        "dropout_top1": float(np.mean(right)),
        "dropout_top1_sd": spread,
        "dropout_cost": cost,
        "dropout_flips": max(flips),
        "curves": {"dropout_top1": [[number, share] for number, share in enumerate(right)]},
    }
    if all(np.array_equal(scores, drawn[0]) for scores in drawn):
        apart = ", BatchNorm apart," if layers["batchnorm"] else ""
        sentence = f"The model has no active dropout: repeated passes in training mode{apart} give the same bits."
        return Finding(CHECK, model, Verdict.PASS, sentence, evidence)
    sentence = (
        f"Dropout left on ({layers['dropout']} layers) costs {100 * cost:.2f} points, with a standard "
        f"deviation of {100 * spread:.2f} over {len(right)} passes, and changes up to {max(flips)} of "
        f"{len(still)} decisions, by chance."
    )
    return Finding(CHECK, model, Verdict.PASS, sentence, evidence)


def randomness(model: str, network: Network, samples: SampleSet, params: ModeCheck, _part: Part = NO_PART) -> Finding:
    """Whether a pass in inference mode draws random numbers, and whether it says the same twice."""
    size = params.batch_size
    batch = samples.shuffled(whole_batches(min(len(samples), size), size))
    before, first = generators(network), scores_in(network, batch, size, training=False)
    after, second = generators(network), scores_in(network, batch, size, training=False)
    drawn = sorted(name for name in before if before[name] != after[name])
    same = np.array_equal(first, second)
    said = f"draws from {', '.join(drawn)}" if drawn else "draws no random number"
    sentence = f"A pass in inference mode {said}, and repeated it gives {'the same bits' if same else 'other scores'}."
    evidence = {"generators": sorted(before), "drawn": drawn, "repeated_equal": same}
    verdict = Verdict.PASS if same and not drawn else Verdict.FAIL if drawn and not same else Verdict.WARN
    return Finding(CHECK, model, verdict, sentence, evidence)


def black_images(samples: SampleSet, size: int) -> np.ndarray:
    """A batch of images (at most as many as there are samples) whose every pixel is 0 before the recipe's arithmetic."""
    pixels = np.zeros((min(size, len(samples)), *samples.inputs.shape[1:]), samples.inputs.dtype)
    return scale_and_normalise(pixels, samples.image_recipe)


def black(model: str, network: Network, samples: SampleSet, params: ModeCheck, part: Part = NO_PART) -> Finding:
    """What a server left in training mode comes to: black images pass, and the accuracy afterwards in inference mode."""
    if not params.black_batches:
        return _skipped(model, "Black images were not asked for: mode_check.black_batches in params.yaml is 0.")
    if isinstance(samples.recipe, TextRecipe):
        return _skipped(model, "Black images were not passed: its samples are texts.")
    own, size, count = network.weights(), params.batch_size, len(samples)
    kept = part.passing("before", count)
    before = share_right(scores_in(network, samples, size, training=False, kept=kept), samples.labels)
    images = black_images(samples, size)
    for _ in range(params.black_batches):
        network.forward(images, training=True)
    moved = moves(own, network.weights(), network.trainable())
    kept = part.passing("after", count, network)
    after = share_right(scores_in(network, samples, size, training=False, kept=kept), samples.labels)
    network.restore(own)
    sentence = (
        f"After {params.black_batches} batches of {len(images)} black images in training mode, without a gradient, "
        f"the accuracy in inference mode is {after:.2%} instead of {before:.2%} of {len(samples)} images."
    )
    evidence = {"black_top1_before": before, "black_top1": after, "black_moved": len(moved)}
    return Finding(CHECK, model, Verdict.PASS, sentence, evidence)

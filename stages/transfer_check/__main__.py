"""What a model's features are worth on a second task, what fine-tuning gains there, and what it destroys of the first.

reads   <samples>/test (the source task), the weights file, environment/<framework>-<backend>.json; the target's images: a
        folder with train/ and test/, one folder per class in each, or a Python file with `write_images(folder)`
writes  findings: linear head and nearest neighbours on frozen features beside raw pixels; linear heads on earlier layers;
        fine-tuning of everything at each learning rate, with and without a trained head to begin with, and from scratch:
        accuracy on the target, accuracy left on the source task (its own head put back), drift of the weights by layer; AnB
        and BnB; transfer scores beside the number of parameters; similarity of target and source, and the advice that is
        given for such targets
        sweep (CSV): method, learning_rate, seed, target, source, drift
        scores (JSON): transfer scores, parameters and the best accuracy on the target, for `transfer_ranking`
params  models.<model>, inference, data.classes, transfer_check
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from stages.transfer_check.earlier_layers import Earlier, earlier_heads, pooled_layers, spread_out
from stages.transfer_check.finetuning import Bout, Doors, Outcome, accuracy, fine_tuned, from_scratch
from stages.transfer_check.layerwise import Cut, layerwise
from stages.transfer_check.probes import linear_probe, neighbour_probe, small_pixels
from stages.transfer_check.scores import transfer_scores
from stages.transfer_check.similarity import MIN_CLASSES, MIN_SAMPLES, Similarity, similarity
from stages.transfer_check.study import COLUMNS, Probes, Study
from stages.transfer_check.targets import Draws, load_target
from stages.transfer_check.verdicts import CHECK, judge, skipped
from tracking.runs.errors import UserError
from tracking.runs.findings import save_findings
from weighbridge.frameworks import Network
from weighbridge.images.samples import SampleSet
from weighbridge.networks.loading import asked_model, in_batches, load_network, random_network
from weighbridge.params.inference import Inference
from weighbridge.params.models import Model
from weighbridge.params.recipes import Recipe
from weighbridge.params.section import read
from weighbridge.params.transfer_check import Transfer
from weighbridge.process.files import write_json
from weighbridge.process.stage import replacing, run


def transfer_check(task: Transfer, doors: Doors, target: Draws, source: SampleSet, batch_size: int) -> Study:
    """Everything that `task` asks for, each training from fresh weights."""
    bouts = [Bout(train, target.test, source, batch_size, seed) for seed, train in target.train.items()]
    network = doors.pretrained()
    features = [_features(network, bout.train, batch_size) for bout in bouts]
    scratch, cuts, unbuilt = _from_random_starts(task, doors, bouts)
    return Study(
        parameters=sum(value.size for name, value in network.weights().items() if name in network.trainable()),
        width=network.features(source.images(slice(0, 1))).shape[1],
        drawn=len(bouts[0].train),
        available=target.available,
        probes=[_probed(network, task, bout, train) for bout, train in zip(bouts, features, strict=True)],
        source=accuracy(network, source, batch_size),
        tested=(len(target.test), len(source)),
        outcomes=list(_fine_tunings(task, doors, bouts)) + scratch,
        cuts=cuts,
        unbuilt=unbuilt,
        earlier=_earlier(network, task, bouts),
        scores=_scores(network, bouts[0], features[0]),
        similarity=_similarity(network, bouts[0], features[0]),
    )


def _features(network: Network, samples: SampleSet, batch_size: int) -> np.ndarray:
    return in_batches(network.features, samples, batch_size, f"{CHECK}: features")


def _probed(network: Network, task: Transfer, bout: Bout, train: np.ndarray) -> Probes:
    test = _features(network, bout.test, bout.batch_size)
    pixels = [in_batches(small_pixels, part, bout.batch_size, f"{CHECK}: pixels") for part in (bout.train, bout.test)]
    return Probes(
        bout.seed,
        linear_probe(train, bout.train.labels, test) == bout.test.labels,
        neighbour_probe(train, bout.train.labels, test, task.neighbours) == bout.test.labels,
        linear_probe(pixels[0], bout.train.labels, pixels[1]) == bout.test.labels,
    )


def _earlier(network: Network, task: Transfer, bouts: list[Bout]) -> list[Earlier] | str:
    """Heads on earlier layers, or why there are none."""
    if task.earlier_layers == 0:
        return "transfer_check.earlier_layers in params.yaml is 0"

    def pooled(samples: SampleSet) -> dict[str, np.ndarray]:
        return pooled_layers(network, samples, bouts[0].batch_size, f"{CHECK}: earlier layers")

    try:
        test, *trains = [pooled(samples) for samples in (bouts[0].test, *(bout.train for bout in bouts))]
    except UserError as problem:
        return str(problem)
    layers = spread_out([name for name in test if all(name in train for train in trains)], task.earlier_layers)
    if not layers:
        return "this network has no earlier layer to be told apart"
    return [
        earlier_heads(layers, bout.seed, (train, bout.train.labels), (test, bout.test.labels))
        for bout, train in zip(bouts, trains, strict=True)
    ]


def _fine_tunings(task: Transfer, doors: Doors, bouts: list[Bout]) -> Iterator[Outcome]:
    for bout in bouts:
        for rate in task.learning_rates:
            yield fine_tuned(doors.pretrained(), task, bout, rate)
        for rate in task.probed_rates:
            yield fine_tuned(doors.pretrained(), task, bout, rate, probed=True)


def _from_random_starts(task: Transfer, doors: Doors, bouts: list[Bout]) -> tuple[list[Outcome], list[Cut], str]:
    """Networks from scratch, and those cut from them; or the reason why this architecture has no random start."""
    outcomes: list[Outcome] = []
    cuts: list[Cut] = []
    for bout in bouts:
        for rate in task.scratch_rates:
            try:
                fresh = doors.random(bout.seed)
            except UserError as problem:
                return [], [], str(problem)
            outcome, weights = from_scratch(fresh, task, bout, rate)
            outcomes.append(outcome)
            if task.cuts and rate == task.scratch_rates[0]:
                cuts += layerwise(doors, task, bout, weights)
    return outcomes, cuts, ""


def _scores(network: Network, bout: Bout, features: np.ndarray) -> dict[str, float]:
    said = in_batches(network.predict, bout.train, bout.batch_size, f"{CHECK}: scores")
    return transfer_scores(features, said, bout.train.labels)


def _similarity(network: Network, bout: Bout, target: np.ndarray) -> Similarity | str:
    """Of the target's training images to the source's test images, or why it cannot be told."""
    resize = bout.source.image_recipe.resize
    if resize is not None and not resize.antialias:
        return "the recipe resizes without antialiasing, which moves features by itself (Parmar et al. 2022)"
    fewest = min(len(bout.train), len(bout.source))
    if fewest < MIN_SAMPLES:
        return f"there are {fewest} images, and {MIN_SAMPLES} of target and source each are needed"
    classes = len(np.unique(bout.source.labels))
    if classes < MIN_CLASSES:
        return f"the source has {classes} classes, and {MIN_CLASSES} are needed to give distances a scale"
    source = _features(network, bout.source, bout.batch_size)
    return similarity(source, bout.source.labels, target, bout.seed)


def _doors(model: Model, inference: Inference, classes: int, samples: SampleSet) -> Doors | None:
    """None for an exported file."""

    def pretrained() -> Network:
        network = load_network(model, inference, classes, samples)
        assert network is not None
        return network

    if load_network(model, inference, classes, samples) is None:
        return None
    return Doors(pretrained, lambda seed: random_network(model, inference, classes, samples, seed))


def _study(
    task: Transfer, model: Model, inference: Inference, classes: int, source: SampleSet, target: Path
) -> Study | str:
    """What was seen, or why this model cannot be looked at."""
    if not isinstance(source.recipe, Recipe):
        return "Its samples are texts, and the target is a folder of images."
    doors = _doors(model, inference, classes, source)
    if doors is None:
        return "An exported file cannot be trained."
    sizes = task.samples, task.test_samples
    drawn = load_target(target, task.target, source.recipe, sizes, task.seeds)
    return transfer_check(task, doors, drawn, source.shuffled(task.test_samples), model.batch_size)


def main(model: str, samples: Path, weights: Path, target: Path, findings: Path, sweep: Path, scores: Path) -> None:
    """Transfer in every way, judge, write."""
    task = read(Transfer, "transfer_check")
    study = _study(task, *asked_model(model, weights), SampleSet.load(samples / "test"), target)
    found = [skipped(model, study)] if isinstance(study, str) else judge(model, task, study)
    table = pd.DataFrame(columns=list(COLUMNS)) if isinstance(study, str) else study.sweep()
    save_findings(found, findings)
    with replacing(sweep) as partial:
        table.to_csv(partial, index=False, lineterminator="\n")
    write_json(scores, {} if isinstance(study, str) else study.foretold())


if __name__ == "__main__":
    run(main)

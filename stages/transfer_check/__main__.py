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
keeps   data/partial/transfer_check-<model> until it is done: what a killed one had come to, trainings and
        passes included; nothing of another time if a file that <conditions> names has changed
params  models.<model>, inference, data.classes, transfer_check
"""

import hashlib
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd

from stages.transfer_check.earlier_layers import Earlier, earlier_heads, pooled_layers, spread_out
from stages.transfer_check.finetuning import (
    Curve,
    NetworkSource,
    Outcome,
    SeedData,
    accuracy,
    fine_tuned,
    from_scratch,
    trained_from_scratch,
)
from stages.transfer_check.layerwise import Cut, layerwise
from stages.transfer_check.probes import linear_probe, neighbour_probe, small_pixels, token_counts
from stages.transfer_check.scores import transfer_scores
from stages.transfer_check.similarity import MIN_CLASSES, MIN_SAMPLES, Similarity, similarity
from stages.transfer_check.study import COLUMNS, Probes, Study
from stages.transfer_check.targets import Draws, load_target
from stages.transfer_check.text_target import load_texts
from stages.transfer_check.verdicts import CHECK, judge, skipped
from tracking.runs.errors import UserError
from tracking.runs.findings import save_findings
from weighbridge.frameworks import Network
from weighbridge.images.decoding import open_samples
from weighbridge.images.samples import SampleSet
from weighbridge.images.tasks import CLASSES
from weighbridge.networks.batches import in_batches
from weighbridge.networks.conditions import asked_of, conditions_of
from weighbridge.networks.kept_parts import NOWHERE, Part, Parts
from weighbridge.networks.left_out import computing_left_out
from weighbridge.networks.loading import asked_model, load_network, random_network
from weighbridge.params.inference import Inference
from weighbridge.params.models import Model
from weighbridge.params.recipes import Recipe, TextRecipe
from weighbridge.params.section import read
from weighbridge.params.transfer_check import Transfer
from weighbridge.process.files import write_json
from weighbridge.process.partial import PARTIAL
from weighbridge.process.stage import replacing, run


def transfer_check(
    task: Transfer,
    networks: NetworkSource,
    target: Draws,
    source: SampleSet,
    batch_size: int,
    keeping: Callable[[Network], Parts] = lambda _: NOWHERE,
) -> Study:
    """Everything that `task` asks for, each training from fresh weights; `keeping` says where its parts are kept."""
    seeds = [SeedData(train, target.test, source, batch_size, seed) for seed, train in target.train.items()]
    network = networks.pretrained()
    parts = keeping(network)
    parts.begin(lambda: network.predict(source.images(slice(0, batch_size))))
    features = [
        parts.array(part.name, partial(_features, network, data.train, batch_size, part))
        for data, part in ((data, parts.part(f"features, seed {data.seed}")) for data in seeds)
    ]
    tuned = list(_fine_tunings(task, networks, seeds, parts))
    scratch, cuts, unbuilt = _from_random_starts(task, networks, seeds, parts)
    study = Study(
        parameters=sum(value.size for name, value in network.weights().items() if name in network.trainable()),
        width=network.features(source.images(slice(0, 1))).shape[1],
        drawn=len(seeds[0].train),
        available=target.available,
        probes=[
            Probes(
                data.seed,
                *parts.array(f"probes, seed {data.seed}", partial(_probed, network, task, data, train, parts)),
            )
            for data, train in zip(seeds, features, strict=True)
        ],
        source=parts.value("source", float, lambda: _own_accuracy(network, source, batch_size, parts.part("source"))),
        tested=(len(target.test), len(source)),
        outcomes=tuned + scratch,
        cuts=cuts,
        unbuilt=unbuilt,
        earlier=parts.value("earlier layers", list[Earlier] | str, lambda: _earlier(network, task, seeds, parts)),
        raw="counts of tokens" if isinstance(source.recipe, TextRecipe) else "raw pixels",
        scores=parts.value("scores", dict[str, float], lambda: _scores(network, seeds[0], features[0], parts)),
        similarity=parts.value(
            "similarity", Similarity | str, lambda: _similarity(network, seeds[0], features[0], parts)
        ),
        notes=target.notes,
        classes=target.test.classes,
    )
    parts.forget()
    return study


def _features(network: Network, samples: SampleSet, batch_size: int, part: Part) -> np.ndarray:
    kept = part.passing("features", len(samples))
    return in_batches(network.features, samples, batch_size, f"{CHECK}: features", kept)


def _own_accuracy(network: Network, source: SampleSet, batch_size: int, part: Part) -> float:
    return accuracy(network, source, batch_size, part.passing("source", len(source)))


def _probed(network: Network, task: Transfer, data: SeedData, train: np.ndarray, parts: Parts = NOWHERE) -> np.ndarray:
    """What `Probes` holds, a row each."""
    test = _features(network, data.test, data.batch_size, parts.part(f"probes, seed {data.seed}"))
    raw = _unlearned(data)
    pixels = [in_batches(raw, part, data.batch_size, f"{CHECK}: pixels") for part in (data.train, data.test)]
    decided = (
        linear_probe(train, data.train.labels, test),
        neighbour_probe(train, data.train.labels, test, task.neighbours),
        linear_probe(pixels[0], data.train.labels, pixels[1]),
    )
    return np.stack([each == data.test.labels for each in decided])


def _unlearned(data: SeedData) -> Callable[[np.ndarray], np.ndarray]:
    """What features are held against: the pixels, or the tokens, themselves."""
    if not isinstance(data.test.recipe, TextRecipe):
        return small_pixels
    largest = max(int(ids.max()) for part in (data.train, data.test) for ids in part.batches(data.batch_size))
    return partial(token_counts, vocabulary=largest + 1)


def _earlier(network: Network, task: Transfer, seeds: list[SeedData], parts: Parts) -> list[Earlier] | str:
    """Heads on earlier layers, or why there are none."""
    if task.earlier_layers == 0:
        return "transfer_check.earlier_layers in params.yaml is 0"
    if isinstance(seeds[0].test.recipe, TextRecipe):
        return "earlier layers are looked at for images alone"

    def pooled(name: str, samples: SampleSet) -> dict[str, np.ndarray]:
        kept = parts.part("earlier layers").passing(name, len(samples), proved=False)
        return pooled_layers(network, samples, seeds[0].batch_size, f"{CHECK}: earlier layers", kept)

    try:
        test, *trains = [pooled("test", seeds[0].test), *(pooled(f"seed {data.seed}", data.train) for data in seeds)]
    except UserError as problem:
        return str(problem)
    layers = spread_out([name for name in test if all(name in train for train in trains)], task.earlier_layers)
    if not layers:
        return "this network has no earlier layer to be told apart"
    return [
        earlier_heads(layers, data.seed, (train, data.train.labels), (test, data.test.labels))
        for data, train in zip(seeds, trains, strict=True)
    ]


def _fine_tunings(task: Transfer, networks: NetworkSource, seeds: list[SeedData], parts: Parts) -> Iterator[Outcome]:
    def tuned(name: str, data: SeedData, rate: float, probed: bool) -> Outcome:
        return fine_tuned(networks.pretrained(), task, data, rate, parts.part(name), probed=probed)

    for data in seeds:
        asked = [(rate, False) for rate in task.learning_rates] + [(rate, True) for rate in task.probed_rates]
        for rate, probed in asked:
            name = f"{'probed' if probed else 'fine-tuned'} {rate:g}, seed {data.seed}"
            yield parts.value(name, Outcome, partial(tuned, name, data, rate, probed))
            parts.forget_part(name)


def _from_random_starts(
    task: Transfer, networks: NetworkSource, seeds: list[SeedData], parts: Parts
) -> tuple[list[Outcome], list[Cut], str]:
    """Networks from scratch, and those cut from them; or the reason why this architecture has no random start."""
    outcomes: list[Outcome] = []
    cuts: list[Cut] = []
    for data in seeds:
        for rate in task.scratch_rates:
            try:
                outcome, more = _scratch(task, networks, data, rate, parts)
            except NoRandomStartError as problem:
                return [], [], str(problem)
            outcomes.append(outcome)
            cuts += more
    return outcomes, cuts, ""


class NoRandomStartError(Exception):
    """An architecture that can only be had with its weights."""


def _scratch(
    task: Transfer, networks: NetworkSource, data: SeedData, rate: float, parts: Parts
) -> tuple[Outcome, list[Cut]]:
    part = parts.part(name := f"scratch {rate:g}, seed {data.seed}")

    @cache
    def trained() -> tuple[Network, Curve]:
        try:
            fresh = networks.random(data.seed)
        except UserError as problem:
            raise NoRandomStartError(str(problem)) from problem
        return trained_from_scratch(fresh, task, data, rate, part)

    outcome = parts.value(name, Outcome, lambda: from_scratch(*trained(), data, rate, part))
    cut = bool(task.cuts) and rate == task.scratch_rates[0]
    cuts = list(layerwise(networks, task, data, lambda: trained()[0].weights(), parts)) if cut else []
    parts.forget_part(name)
    return outcome, cuts


def _scores(network: Network, data: SeedData, features: np.ndarray, parts: Parts) -> dict[str, float]:
    kept = parts.part("scores").passing("scores", len(data.train))
    said = in_batches(network.predict, data.train, data.batch_size, f"{CHECK}: scores", kept)
    return transfer_scores(features, said, data.train.labels)


def _similarity(network: Network, data: SeedData, target: np.ndarray, parts: Parts) -> Similarity | str:
    """Of the target's training images to the source's test images, or why it cannot be told."""
    resize = data.source.recipe.resize if isinstance(data.source.recipe, Recipe) else None
    if resize is not None and not resize.antialias:
        return "the recipe resizes without antialiasing, which moves features by itself (Parmar et al. 2022)"
    fewest = min(len(data.train), len(data.source))
    if fewest < MIN_SAMPLES:
        return f"there are {fewest} images, and {MIN_SAMPLES} of target and source each are needed"
    classes = len(np.unique(data.source.labels))
    if classes < MIN_CLASSES:
        return f"the source has {classes} classes, and {MIN_CLASSES} are needed to give distances a scale"
    source = _features(network, data.source, data.batch_size, parts.part("similarity"))
    return similarity(source, data.source.labels, target, data.seed)


def _doors(model: Model, inference: Inference, classes: int, samples: SampleSet) -> NetworkSource | None:
    """None for what can only be asked, as an exported file."""

    def pretrained() -> Network:
        network = load_network(model, inference, classes, samples)
        assert network is not None
        return network

    if load_network(model, inference, classes, samples) is None:
        return None
    return NetworkSource(pretrained, lambda seed: random_network(model, inference, classes, samples, seed))


def _study(
    task: Transfer,
    model: Model,
    inference: Inference,
    classes: int,
    source: SampleSet,
    target: Path,
    keeping: Callable[[list[object], Network], Parts] = lambda *_: NOWHERE,
) -> Study | str:
    """What was seen, or why this model cannot be looked at."""
    if isinstance(source.recipe, TextRecipe) and (task.target.prompts is None or source.recipe.target != "label"):
        return "It is no classifier of texts, or the target is no task file (transfer_check.target.prompts)."
    if isinstance(source.recipe, Recipe) and task.target.prompts is not None:
        return "Its samples are images, and the target is a task file."
    if source.task != CLASSES:
        return f"Its accuracy on the source task is measured, which labels of {source.task} do not have."
    networks = _doors(model, inference, classes, source)
    if networks is None:
        return f"A model of {model.framework} is only asked here, not trained."
    sizes = task.samples, task.test_samples
    if isinstance(source.recipe, TextRecipe):
        drawn = load_texts(target, str(task.target.prompts), source.recipe, sizes, task.seeds)
    else:
        drawn = load_target(target, task.target, source.recipe, sizes, task.seeds)
    every = [_digest(part) for part in (*drawn.train.values(), drawn.test)]
    told = [task.model_dump(), *asked_of(model, inference, classes), every]
    few = source.shuffled(task.test_samples)
    return transfer_check(task, networks, drawn, few, model.batch, partial(keeping, told))


def _digest(samples: SampleSet) -> str:
    found = hashlib.sha256(np.ascontiguousarray(samples.labels).data)
    found.update(np.ascontiguousarray(samples.inputs).data)
    return found.hexdigest()


def main(
    model: str,
    samples: Path,
    images: Path,
    weights: Path,
    target: Path,
    findings: Path,
    sweep: Path,
    scores: Path,
    conditions: str = "",
) -> None:
    """Transfer in every way, judge, write."""
    task = read(Transfer, "transfer_check")

    def keeping(told: list[object], network: Network) -> Parts:
        every = conditions_of(told, weights, samples / "test", conditions)
        return Parts(PARTIAL / f"{CHECK}-{model}", every, network)

    asked = asked_model(model, weights)
    study = _study(task, *asked, open_samples(samples / "test", images), target, keeping)
    found = [skipped(model, study)] if isinstance(study, str) else judge(model, task, study)
    table = pd.DataFrame(columns=list(COLUMNS)) if isinstance(study, str) else study.sweep()
    save_findings([*found, *computing_left_out(CHECK, model, asked[0])], findings)
    with replacing(sweep) as unfinished:
        table.to_csv(unfinished, index=False, lineterminator="\n")
    write_json(scores, {} if isinstance(study, str) else study.foretold())


if __name__ == "__main__":
    run(main)

"""Train a source model from a seed, where no published weights can be had.

reads   <samples>/train and /test, <images> where no pixels are kept there; and, so that nothing of before is gone on with after a
        change of theirs, what <conditions> names
writes  <weights>/  weights.safetensors, model.onnx (when `export` asks for it), card.json (what was trained, on what, and
        how well it did), curve.csv (epoch, loss, train, test: mean loss and accuracies as fractions), findings.json (how
        well it did, with the curve)
keeps   data/partial/pretrain-<source> until it is done: what a killed one had come to (`weighbridge.process.partial`)
params  pretrain.<source>, data.classes; loading.workers, which changes nothing and is none for DVC

It does not depend on the environment, on purpose: its weights stand in for a published file, and such a file does not
change when a reader's machine does (DECISIONS.md, 3).
"""

import math
import platform
from contextlib import suppress
from dataclasses import replace as with_other
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tracking.capture.process_settings import settings
from tracking.runs.errors import UserError
from tracking.runs.findings import Finding, Verdict, save_findings
from weighbridge.frameworks import Exportable, Network, Training
from weighbridge.images.decoding import open_samples
from weighbridge.images.samples import SampleSet
from weighbridge.images.tasks import CLASSES, REGRESSION
from weighbridge.networks.batches import Kept, in_batches
from weighbridge.networks.conditions import conditions_of
from weighbridge.networks.loading import new_network
from weighbridge.networks.moving import checksums, state_of
from weighbridge.params.loading import Loading
from weighbridge.params.pretrain import Pretrain
from weighbridge.params.recipes import TextRecipe
from weighbridge.params.section import read
from weighbridge.params.which_data import data_keys
from weighbridge.process.files import write_json
from weighbridge.process.partial import PARTIAL, PartialState, WithCurve
from weighbridge.process.stage import replacing, run
from weighbridge.weights.files import save_tensors


def pretrain(
    network: Network, train: SampleSet, test: SampleSet, source: Pretrain, kept: PartialState | None = None
) -> pd.DataFrame:
    """Fit `network` to the training images; one row an epoch: epoch, loss, train, test. What is `kept` is not done again."""
    going_on = WithCurve.of(kept) if kept else None
    rows = going_on.rows if going_on else []

    def after_epoch(epoch: int, loss: float, accuracy: float) -> None:
        there = kept.rows("test", lambda: f"{epoch} {checksums(network)}", len(test)) if kept else None
        asked = Kept(there, partial(state_of, network)) if there else None
        scores = in_batches(network.predict, test, source.batch_size, "pretrain: test", asked)
        held_out = likelihood_of_token(scores, test.labels) if test.task == REGRESSION else _right(scores, test.labels)
        rows.append((epoch, loss, accuracy, held_out))

    if source.batchnorm_momentum is not None:
        network.set_batchnorm_momentum(source.batchnorm_momentum)
    training = with_other(_training(source, after_epoch), kept=going_on)
    network.fit(train, train.labels, training)
    return pd.DataFrame(rows, columns=["epoch", "loss", "train", "test"]).astype({"epoch": int})


def _right(scores: np.ndarray, labels: np.ndarray) -> float:
    return float((scores.argmax(axis=1) == labels).mean())


def likelihood_of_token(scores: np.ndarray, sizes: np.ndarray) -> float:
    """The inverse of the perplexity: of log-likelihoods (texts, windows), and of texts of so many tokens, the first column."""
    return math.exp(float(scores[np.isfinite(scores)].sum(dtype=np.float64) / sizes[:, 0].sum()))


def _training(source: Pretrain, after_epoch: Any) -> Training:
    return Training(
        optimiser=source.optimiser.name,
        learning_rate=source.optimiser.learning_rate,
        momentum=source.optimiser.momentum or 0.0,
        epochs=source.epochs,
        batch_size=source.batch_size,
        shift_pixels=source.shift_pixels,
        seed=source.seed,
        label="pretrain",
        after_epoch=after_epoch,
    )


def _versions(source: Pretrain) -> dict[str, str]:
    """Of framework and backend; a framework that is only a way of loading (`factory`) has no version."""
    installed: dict[str, str] = {}
    for name in sorted({source.framework, source.backend}):
        with suppress(PackageNotFoundError):
            installed[name] = version(name)
    return installed


def _export(network: Network, source: Pretrain, path: Path, sample: tuple[int, ...]) -> None:
    if source.export is None:
        return
    exported = network.export(path.parent, sample) if isinstance(network, Exportable) else None
    if exported is None or exported.framework != source.export:
        raise UserError(f"params.yaml: pretrain: {source.framework} cannot be exported to ONNX; set export to null")


def _finding(name: str, source: Pretrain, curve: pd.DataFrame, test: SampleSet) -> Finding:
    last = curve.iloc[-1]
    came = f"{last['test']:.1%} of {len(test)} held-out images, {last['train']:.1%} of its training images"
    if test.task == REGRESSION:
        held_out, seen = (f"{1 / last[part]:.1f}" for part in ("test", "train"))
        came = f"perplexity {held_out} by token of {len(test)} held-out texts, {seen} of its training texts"
    trained = f"{source.architecture} trained here for {source.epochs} epochs on {source.framework} ({source.backend})"
    sentence = f"{trained}: {came}."
    curves = {column: curve[["epoch", column]].to_numpy(float).tolist() for column in ("loss", "train", "test")}
    evidence = {_number(test): float(last["test"]), "train": float(last["train"]), "curves": curves}
    return Finding("pretrain", name, Verdict.PASS, sentence, evidence)


def _number(test: SampleSet) -> str:
    """What the curve's fractions are of."""
    return "token_likelihood" if test.task == REGRESSION else "top1"


def _require_training_images(source: str, samples: Path) -> None:
    if not (samples / "train").is_dir():
        raise UserError(
            f"params.yaml: pretrain.{source}: there are no images to train on; data.source needs a folder train/ beside test/"
        )


def main(source: str, samples: Path, images: Path, conditions: str, weights: Path) -> None:
    """Build, train, write the weights with their card."""
    chosen, workers = read(Pretrain, "pretrain", source), read(Loading, "loading").workers
    _require_training_images(source, samples)
    train, test = (open_samples(samples / split, images, workers) for split in ("train", "test"))
    if test.task != CLASSES and not (isinstance(test.recipe, TextRecipe) and test.recipe.asks):
        raise UserError(
            f"params.yaml: pretrain.{source}: networks are trained here on classes, but data.task is {test.task}"
        )
    classes = read(int, *data_keys(chosen.recipe), "classes")
    network = new_network(chosen, classes, test)
    here = [settings(), _versions(chosen), platform.processor()]
    asked = conditions_of([chosen.model_dump(), classes, here], None, samples, conditions)
    kept = PartialState(PARTIAL / f"pretrain-{source}", asked)
    curve = pretrain(network, train, test, chosen, kept)
    with replacing(weights) as made:
        made.mkdir()
        save_tensors(network.weights(), made / "weights.safetensors")
        _export(network, chosen, made / "model.onnx", test.inputs.shape[1:])
        save_findings([_finding(source, chosen, curve, test)], made / "findings.json")
        curve.to_csv(made / "curve.csv", index=False, lineterminator="\n")
        card = {_number(test): float(curve["test"].iloc[-1]), "samples": len(test), **chosen.model_dump()}
        write_json(made / "card.json", {**card, "versions": _versions(chosen)})
    kept.forget()


if __name__ == "__main__":
    run(main)

"""What a forward pass moves, and what the mode costs: inference, training, frozen, and every way between them.

reads   <samples>/test (and /train, for the heads), the weights file, environment/<framework>-<backend>.json
writes  findings: for every situation into which users bring a network the weights and buffers that move, by name and size;
        accuracy in either mode; dependence on size and order of the batches; dropout's spread; random numbers drawn; black
        images in training mode; the data's statistics against the stored ones, with the fall that they foretell; new heads
        over the frozen network, on shifted images, by every meaning that freezing has had
        situations (CSV): situation, framework, version, outcome, what moved
        heads (CSV): shift, semantics, seed, accuracies in training and in inference mode
params  models.<model>, inference, data.classes, mode_check

In training mode BatchNorm uses the statistics of the batch and moves its running ones, gradient or not (Ioffe and Szegedy
2015, https://arxiv.org/abs/1502.03167); in PyTorch `requires_grad=False` does not stop it, in Keras `trainable=False` does.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pandas as pd

from stages.mode_check.behaviours import COLUMNS, behaviour_findings
from stages.mode_check.forecast import HEADS_COLUMNS, data_findings, head_findings
from stages.mode_check.passes import no_numbers, passes
from tracking.runs.findings import Finding, Verdict, save_findings
from weighbridge.frameworks import Network
from weighbridge.images.decoding import open_samples
from weighbridge.images.samples import SampleSet
from weighbridge.images.tasks import CLASSES
from weighbridge.networks.loading import asked_model, load_network
from weighbridge.networks.state import whole_batches
from weighbridge.params.mode_check import ModeCheck
from weighbridge.params.section import read
from weighbridge.process.stage import replacing, run

CHECK = "mode_check"


def mode_check(
    model: str,
    fresh: Callable[[], Network | None],
    samples: SampleSet,
    params: ModeCheck,
    *,
    framework: str,
    train: SampleSet | None = None,
) -> Iterator[Finding]:
    """Findings for one model; `fresh` gives it. `train` is what new heads are trained on, None where there is nothing."""
    if samples.task != CLASSES:
        yield Finding(
            CHECK, model, Verdict.SKIP, f"Modes are compared by accuracy, which labels of {samples.task} do not have."
        )
        return
    network = fresh()
    if network is None:
        yield Finding(CHECK, model, Verdict.SKIP, "An exported file has no training mode: nothing to check.")
        return
    mixed = samples.shuffled(whole_batches(min(params.samples, len(samples)), params.batch_size))
    first = next(mixed.batches(params.batch_size))
    if params.behaviours == "none":
        yield Finding(
            CHECK, model, Verdict.SKIP, "Situations were not tried: mode_check.behaviours in params.yaml is none."
        )
    else:
        yield from behaviour_findings(model, network, framework, first, mixed.labels[: len(first)], params.behaviours)
    if wrong := no_numbers(model, network, mixed, params.batch_size):
        yield wrong
        return
    yield from passes(model, network, mixed, params)
    yield from data_findings(model, network, mixed, params.batch_size)
    yield from _heads(model, network, train, samples, params)


def _heads(
    model: str, network: Network, train: SampleSet | None, test: SampleSet, params: ModeCheck
) -> Iterator[Finding]:
    if model not in params.frozen.models:
        sentence = "New heads were not asked for: mode_check.frozen.models in params.yaml leaves this model out."
        yield Finding(CHECK, model, Verdict.SKIP, sentence)
    elif train is None:
        yield Finding(CHECK, model, Verdict.SKIP, "There are no training images: no new head can be trained.")
    else:
        yield from head_findings(model, network, train, test, params.frozen)


def _write(rows: Sequence[dict], columns: list[str], path: Path) -> None:
    with replacing(path) as partial:
        pd.DataFrame(rows, columns=columns).to_csv(partial, index=False, lineterminator="\n")


def main(model: str, samples: Path, images: Path, weights: Path, findings: Path, situations: Path, heads: Path) -> None:
    """Load the model, pass the samples through it in every mode, write."""
    chosen, inference, classes = asked_model(model, weights)
    test, training = open_samples(samples / "test", images), samples / "train"
    train = open_samples(training, images) if training.is_dir() else None

    def fresh() -> Network | None:
        return load_network(chosen, inference, classes, test)

    asked = read(ModeCheck, "mode_check")
    found = list(mode_check(model, fresh, test, asked, framework=chosen.framework, train=train))
    _save(found, findings, situations, heads)


def _save(found: Sequence[Finding], findings: Path, situations: Path, heads: Path) -> None:
    save_findings(found, findings)
    _write([each.evidence["row"] for each in found if "row" in each.evidence], COLUMNS, situations)
    rows = [dict(zip(HEADS_COLUMNS, row, strict=True)) for each in found for row in each.evidence.get("heads", ())]
    _write(rows, HEADS_COLUMNS, heads)


if __name__ == "__main__":
    run(main)

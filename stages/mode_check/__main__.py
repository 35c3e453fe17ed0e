"""What a forward pass moves, and what the mode costs: inference, training, frozen, and every way between them.

reads   <samples>/test (and /train, for the heads), the weights file, environment/<framework>-<backend>.json
writes  findings: for every situation into which users bring a network the weights and buffers that move, by name and size;
        accuracy in either mode; dependence on size and order of the batches; dropout's spread; random numbers drawn; black
        images in training mode; the data's statistics against the stored ones, with the fall that they foretell; new heads
        over the frozen network, on shifted images, by every meaning that freezing has had
        situations (CSV): situation, framework, version, outcome, what moved
        heads (CSV): shift, semantics, seed, accuracies in training and in inference mode
keeps   data/partial/mode_check-<model> until it is done: the findings that a killed one had; none of another time if a file that
        <conditions> names has changed
params  models.<model>, inference, data.classes, mode_check

In training mode BatchNorm uses the statistics of the batch and moves its running ones, gradient or not (Ioffe and Szegedy
2015, https://arxiv.org/abs/1502.03167); in PyTorch `requires_grad=False` does not stop it, in Keras `trainable=False` does.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pandas as pd

from stages.mode_check.behaviours import COLUMNS, behaviour_findings
from stages.mode_check.forecast import data_findings
from stages.mode_check.passes import no_numbers, passes
from stages.mode_check.shifted_heads import HEADS_COLUMNS, head_findings
from tracking.runs.findings import Finding, Verdict, save_findings
from weighbridge.frameworks import Network, find_adapter
from weighbridge.images.decoding import open_samples
from weighbridge.images.samples import SampleSet
from weighbridge.images.tasks import CLASSES
from weighbridge.networks.conditions import asked_of, conditions_of
from weighbridge.networks.kept_parts import NOWHERE, Parts
from weighbridge.networks.left_out import computing_left_out
from weighbridge.networks.loading import asked_model, load_network
from weighbridge.networks.state import statistics, whole_batches
from weighbridge.params.mode_check import ModeCheck
from weighbridge.params.section import read
from weighbridge.process.partial import PARTIAL
from weighbridge.process.stage import replacing, run

CHECK = "mode_check"
NO_BATCHNORM = "There is no BatchNorm with stored statistics: what concerns it alone, as freezing it, was not tried."


def mode_check(
    model: str,
    fresh: Callable[[], Network | None],
    samples: SampleSet,
    params: ModeCheck,
    *,
    framework: str,
    train: SampleSet | None = None,
    keeping: Callable[[Network], Parts] = lambda _: NOWHERE,
) -> Iterator[Finding]:
    """Findings for one model; `fresh` gives it. `train` is what new heads are trained on, None where there is nothing.

    `keeping` says where its parts are kept.
    """
    if samples.task != CLASSES:
        yield Finding(
            CHECK, model, Verdict.SKIP, f"Modes are compared by accuracy, which labels of {samples.task} do not have."
        )
        return
    network = fresh()
    if network is None:
        what = "An exported file" if find_adapter(framework).program else f"A model of {framework}"
        yield Finding(CHECK, model, Verdict.SKIP, f"{what} has no training mode here: nothing to check.")
        return
    mixed = samples.shuffled(whole_batches(min(params.samples, len(samples)), params.batch_size))
    first = next(mixed.batches(params.batch_size))
    parts = keeping(network)
    parts.begin(lambda: network.forward(first, training=False))
    if params.behaviours == "none":
        yield Finding(
            CHECK, model, Verdict.SKIP, "Situations were not tried: mode_check.behaviours in params.yaml is none."
        )
    else:
        labels = mixed.labels[: len(first)]
        yield from behaviour_findings(model, network, framework, first, labels, params.behaviours, parts)
    size = params.batch_size
    if wrong := parts.value(
        "numbers", Finding | None, lambda: no_numbers(model, network, mixed, size, parts.part("numbers"))
    ):
        parts.forget()
        yield wrong
        return
    yield from passes(model, network, mixed, params, parts)
    if statistics(network.weights()):
        yield from _statistics(model, network, mixed, size, parts)
        yield from _heads(model, network, train, samples, params, parts)
    else:
        yield Finding(CHECK, model, Verdict.SKIP, NO_BATCHNORM)
    parts.forget()


def _statistics(model: str, network: Network, samples: SampleSet, size: int, parts: Parts) -> list[Finding]:
    part = parts.part("statistics")
    return parts.value(part.name, list[Finding], lambda: [*data_findings(model, network, samples, size, part)])


def _heads(
    model: str, network: Network, train: SampleSet | None, test: SampleSet, params: ModeCheck, parts: Parts
) -> Iterator[Finding]:
    if model not in params.frozen.models:
        sentence = "New heads were not asked for: mode_check.frozen.models in params.yaml leaves this model out."
        yield Finding(CHECK, model, Verdict.SKIP, sentence)
    elif train is None:
        yield Finding(CHECK, model, Verdict.SKIP, "There are no training images: no new head can be trained.")
    else:
        yield from head_findings(model, network, train, test, params.frozen, parts)


def _write(rows: Sequence[dict], columns: list[str], path: Path) -> None:
    with replacing(path) as partial:
        pd.DataFrame(rows, columns=columns).to_csv(partial, index=False, lineterminator="\n")


def main(
    model: str,
    samples: Path,
    images: Path,
    weights: Path,
    findings: Path,
    situations: Path,
    heads: Path,
    conditions: str = "",
) -> None:
    """Load the model, pass the samples through it in every mode, write."""
    chosen, inference, classes = asked_model(model, weights)
    test, training = open_samples(samples / "test", images), samples / "train"
    train = open_samples(training, images) if training.is_dir() else None

    def fresh() -> Network | None:
        return load_network(chosen, inference, classes, test)

    asked = read(ModeCheck, "mode_check")

    def keeping(network: Network) -> Parts:
        told = [*asked_of(chosen, inference, classes), asked.model_dump()]
        return Parts(PARTIAL / f"{CHECK}-{model}", conditions_of(told, weights, samples, conditions), network)

    found = list(mode_check(model, fresh, test, asked, framework=chosen.framework, train=train, keeping=keeping))
    _save([*found, *computing_left_out(CHECK, model, chosen)], findings, situations, heads)


def _save(found: Sequence[Finding], findings: Path, situations: Path, heads: Path) -> None:
    save_findings(found, findings)
    _write([each.evidence["row"] for each in found if "row" in each.evidence], COLUMNS, situations)
    rows = [dict(zip(HEADS_COLUMNS, row, strict=True)) for each in found for row in each.evidence.get("heads", ())]
    _write(rows, HEADS_COLUMNS, heads)


if __name__ == "__main__":
    run(main)

"""Falls that `forecast` foresees, held against those of new heads that are trained on shifted images."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from stages.mode_check.forecast import CHECK, Prediction, predict
from stages.mode_check.frozen_heads import (
    HELD,
    INFERENCE,
    NAIVE,
    OLD,
    SEMANTICS,
    Data,
    Outcome,
    Task,
    frozen_heads,
    see,
    shifted,
)
from tracking.runs.errors import UserError
from tracking.runs.findings import Finding, Verdict
from weighbridge.frameworks import Network
from weighbridge.images.samples import SampleSet
from weighbridge.networks.batches import Finished, in_batches
from weighbridge.networks.kept_parts import NOWHERE, Part, Parts
from weighbridge.networks.state import share_right, whole_batches
from weighbridge.params.mode_check import Frozen, Shift

HEADS_COLUMNS = [field.name for field in fields(Outcome)]
FAR = 0.1  # a prediction that misses by more on average is no guide
LARGEST = 2**31  # bytes of finished images, at most
COPIES = (
    7  # float32 images held at once of each sample: seen and unseen, both shifted, and a shift on its way (float64)
)


@dataclass(frozen=True)
class Shifted:
    """What was seen on images of one shift: a finding, and where heads were trained what was foreseen, and the fall."""

    finding: Finding
    prediction: Prediction | None = None
    fall: float = 0.0


def head_findings(
    model: str, network: Network, train: SampleSet, test: SampleSet, params: Frozen, parts: Parts = NOWHERE
) -> Iterator[Finding]:
    """One finding for each shift of a network with BatchNorm, and one for how well the falls were foreseen."""
    params, taken = _that_fit(params, train)
    seen, unseen = (_part(samples, params) for samples in (train, test))

    def under(name: str) -> Shifted:
        shift = params.shifts[name]
        both = [Data(shifted(part.images, train.image_recipe, shift), part.labels) for part in (seen, unseen)]
        task, part = Task(both[0], both[1], params.epochs, params.batch_size), parts.part(f"shift {name}")
        return _under_shift(model, network, (name, shift), task, _chosen(test, params), params.seeds, taken, part)

    known = []
    for name in params.shifts:
        found = parts.value(f"shift {name}", Shifted, partial(under, name))
        yield found.finding
        if found.prediction is not None:
            known.append((name, found.prediction, found.fall))
    yield from _validated(model, known)


def _under_shift(
    model: str,
    network: Network,
    named: tuple[str, Shift],
    task: Task,
    test: SampleSet,
    seeds: list[int],
    taken: str,
    part: Part,
) -> Shifted:
    name, shift = named
    own, views = network.weights(), see(network, task, part)
    if not all(
        np.isfinite(part).all() for view in (views.own, views.batch, views.held, views.repaired) for part in view
    ):
        sentence = f"Shift '{name}': some of the features are NaN or infinite, so no head was trained on them."
        return Shifted(Finding(CHECK, model, Verdict.SKIP, sentence))
    prediction = predict(own, views.statistics, views.own[0], views.batch[0], task.seen.labels)
    outcomes = list(frozen_heads(network, task, views, name, seeds, part))
    source = _source(network, test, task.unseen.images, views.statistics, task.batch_size, part.within("source"))
    return Shifted(
        _head_finding(model, name, shift, outcomes, prediction, source, taken),
        prediction,
        _mean(outcomes, OLD, "training") - _mean(outcomes, OLD, "inference"),
    )


def _that_fit(params: Frozen, samples: SampleSet) -> tuple[Frozen, str]:
    """The params with no more samples than memory should hold, and a sentence where those are fewer than asked for."""
    most = max(4, LARGEST // (COPIES * 4 * int(np.prod(samples.inputs.shape[1:]))))
    if min(params.samples, len(samples)) <= most:
        return params, ""
    taken = f" Of {params.samples} images asked for {most} were taken, the first of a fixed shuffle: more would need over 2 GiB."
    return params.model_copy(update={"samples": most}), taken


def _part(samples: SampleSet, params: Frozen) -> Data:
    chosen = _chosen(samples, params)
    return Data(chosen.images(), _relabelled(chosen.labels, params.target))


def _chosen(samples: SampleSet, params: Frozen) -> SampleSet:
    return samples.shuffled(whole_batches(min(params.samples, len(samples)), params.batch_size))


@dataclass(frozen=True)
class Source:
    """Top-1 accuracy, as a fraction, on the network's own task with its own head.

    Attributes:
        stored: on the shifted images, with the stored statistics.
        repaired: on these with statistics estimated again on shifted images.
        clean: with the same statistics on the images as they were.
    """

    stored: float
    repaired: float
    clean: float


def _source(
    network: Network, samples: SampleSet, moved: np.ndarray, again: Mapping[str, np.ndarray], size: int, part: Part
) -> Source:
    """What new statistics do for the network's own task; the network is as it was afterwards."""
    own = network.weights()

    def right(name: str, images: np.ndarray) -> float:
        kept = part.passing(name, len(images), network)
        scores = in_batches(network.predict, Finished(images), size, "mode_check: source", kept)
        return share_right(scores, samples.labels)

    stored = right("stored", moved)
    network.restore({**own, **again})
    source = Source(stored, right("repaired", moved), right("clean", samples.images()))
    network.restore(own)
    return source


def _relabelled(labels: np.ndarray, target: Mapping[str, Sequence[int]]) -> np.ndarray:
    of_class = {source: index for index, classes in enumerate(target.values()) for source in classes}
    missing = sorted(set(labels.tolist()) - of_class.keys()) if target else []
    if missing:
        raise UserError(f"params.yaml: mode_check: frozen.target names no class for the source classes {missing[:5]}")
    return np.asarray([of_class[label] for label in labels.tolist()]) if target else labels


def _mean(outcomes: Sequence[Outcome], semantics: str, name: str) -> float:
    return float(np.mean(_values(outcomes, semantics, name)))


def _values(outcomes: Sequence[Outcome], semantics: str, name: str) -> list[float]:
    return [getattr(outcome, name) for outcome in outcomes if outcome.semantics == semantics]


_SHORT = {OLD: "batch_never_updated", NAIVE: "batch_updated", INFERENCE: "inference", HELD: "batchnorm_held"}


def _head_finding(
    model: str, name: str, shift: Shift, outcomes: list[Outcome], prediction: Prediction, source: Source, taken: str
) -> Finding:
    gap = {each: _mean(outcomes, each, "training") - _mean(outcomes, each, "inference") for each in SEMANTICS}
    served = _values(outcomes, OLD, "inference")
    sentence = (
        f"On {_shifted(name, shift)}, a new last layer trained in training mode with statistics that are never updated (as Keras "
        f"2.1.3 to 2.2.4 did; {len(outcomes) // len(SEMANTICS)} seeds) scores {_mean(outcomes, OLD, 'training'):.1%} while "
        f"training and {_mean(outcomes, OLD, 'inference'):.1%} ({min(served):.1%} to {max(served):.1%}) in inference mode, "
        f"{_mean(outcomes, OLD, 'repaired'):.1%} with statistics estimated again. Points lost between training and inference: "
        f"{100 * gap[OLD]:.1f} with statistics never updated, {100 * gap[NAIVE]:.1f} with updated ones, "
        f"{100 * gap[INFERENCE]:.1f} with the whole base in inference mode, {100 * gap[HELD]:.1f} with BatchNorm in inference "
        f"mode. The original model gets {source.stored:.1%} of these images, {source.repaired:.1%} with statistics "
        f"estimated again, which give it {source.clean:.1%} of the images as they are.{taken}"
    )
    evidence = {
        **{f"heads.{name}.{each}": value for each, value in _numbers(outcomes).items()},
        **({} if prediction.forecast_drop is None else {f"heads.{name}.predicted_gap": prediction.forecast_drop}),
        **{f"heads.{name}.source_{each}": value for each, value in asdict(source).items()},
        "heads": [list(asdict(outcome).values()) for outcome in outcomes],
        "heads_columns": HEADS_COLUMNS,
        "curves": {f"heads.{name}.{_SHORT[each]}.{mode}": _by_seed(outcomes, each, mode) for each, mode in _shown()},
    }
    return Finding(CHECK, model, Verdict.PASS, sentence, evidence)


def _shifted(name: str, shift: Shift) -> str:
    if shift == Shift():
        return "the images as they are"
    offset = f" plus {shift.offset:g}" if shift.offset else ""
    return f"images shifted by '{name}' (pixel values times {shift.scale:g}{offset})"


def _numbers(outcomes: list[Outcome]) -> dict[str, float]:
    names = ("training", "inference", "unseen_training", "unseen_inference", "repaired", "unseen_repaired")
    return {f"{_SHORT[each]}.{name}": _mean(outcomes, each, name) for each in SEMANTICS for name in names}


def _shown() -> list[tuple[str, str]]:
    return [(each, mode) for each in SEMANTICS for mode in ("training", "inference")]


def _by_seed(outcomes: list[Outcome], semantics: str, mode: str) -> list[list[float]]:
    return [[outcome.seed, getattr(outcome, mode)] for outcome in outcomes if outcome.semantics == semantics]


_RANKED = {"predicted": ("prediction", "prediction"), "widest_distance": ("distance", "widest distance alone")}


def _validated(model: str, known: list[tuple[str, Prediction, float]]) -> Iterator[Finding]:
    """How the falls foreseen agree with those measured; a correlation with what never varies is left out."""
    table = pd.DataFrame(
        [
            (name, each.forecast_drop, each.widest.distance, gap)
            for name, each, gap in known
            if each.forecast_drop is not None
        ],
        columns=["shift", "predicted", "widest_distance", "measured"],
    )
    if len(table) < 3:
        sentence = (
            f"The forecast of drops was not rated: that needs 3 shifts that can be forecast and measured; of those in "
            f"mode_check.frozen.shifts, {len(table)} could be."
        )
        yield Finding(CHECK, model, Verdict.SKIP, sentence)
        return
    error = float((table["predicted"] - table["measured"]).abs().mean())
    varied = [name for name in ("predicted", "widest_distance") if table[[name, "measured"]].nunique().min() > 1]
    ranks = {name: float(table[name].corr(table["measured"], "spearman")) for name in varied}
    said = "; ".join(f"of the {_RANKED[name][1]} {rank:.2f}" for name, rank in ranks.items())
    sentence = (
        f"Over {len(table)} shifts the drops forecast before training differ from those measured by {100 * error:.1f} points on "
        f"average ({f'rank correlation {said}' if said else 'no rank correlation: they do not vary'})."
    )
    evidence: dict[str, Any] = {
        "prediction_error": error,
        **{f"{_RANKED[name][0]}_rank_correlation": rank for name, rank in ranks.items()},
        "predictions": table.to_numpy().tolist(),
        "predictions_columns": list(table.columns),
    }
    yield Finding(CHECK, model, Verdict.PASS if error < FAR else Verdict.WARN, sentence, evidence)

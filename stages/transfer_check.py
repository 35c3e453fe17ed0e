"""What fine-tuning gains on a second task, and what it destroys of the first.

reads   <samples>/train and /test, the weights file, environment/<framework>-<backend>.json
writes  findings: a linear head on frozen features, and fine-tuning of everything at each learning rate: accuracy on the
        target, accuracy left on the source task (its own head put back), drift of the pre-trained weights
        sweep (CSV): method, learning_rate, target, source, drift
params  models.<model>, inference, data.classes, transfer_check

Drift is the Euclidean length of the change of all pre-trained weights (moving statistics apart), as a share of their length
before. The linear head is scikit-learn's logistic regression on standardised features.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np
import pandas as pd

from stages._models import in_batches, load_network
from stages._params import Model, Params, Transfer, load_params
from stages._predictions import SampleSet
from stages._stage import replacing, run
from stages.frameworks import Network, Training
from tracking.errors import UserError
from tracking.findings import Finding, Verdict, save_findings

CHECK = "transfer_check"
LOST = 0.05


@dataclass(frozen=True)
class Outcome:
    """One way of transferring. Accuracies and drift are fractions."""

    method: str
    learning_rate: float
    target: float
    source: float
    drift: float
    curve: tuple[tuple[float, float], ...] = field(default=())


def transfer_check(
    params: Params, task: Transfer, model: Model, train: SampleSet, test: SampleSet
) -> Iterator[Outcome]:
    """The linear head first, then one outcome per learning rate, each from fresh pre-trained weights."""
    train = train.shuffled(task.samples)
    labels = _relabel(train, task), _relabel(test, task)
    network = load_network(model, params.inference, params.data.classes, test)
    if network is None:
        raise UserError(f"{model.weights}: an exported file cannot be fine-tuned; take it out of transfer_check.models")
    yield _linear_head(network, model, train, test, labels)
    for rate in task.learning_rates:
        again = load_network(model, params.inference, params.data.classes, test)
        assert again is not None
        yield _fine_tuned(again, model, task, rate, train, test, labels)


def _relabel(samples: SampleSet, task: Transfer) -> np.ndarray:
    """Labels of the target task, int64, shape (samples,)."""
    of_class = {source: index for index, classes in enumerate(task.target.values()) for source in classes}
    missing = sorted(set(samples.labels.tolist()) - of_class.keys())
    if missing:
        raise UserError(f"params.yaml: transfer_check: target names no class for the source classes {missing[:5]}")
    return np.asarray([of_class[label] for label in samples.labels.tolist()], dtype=np.int64)


def _linear_head(
    network: Network, model: Model, train: SampleSet, test: SampleSet, labels: tuple[np.ndarray, np.ndarray]
) -> Outcome:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features = [in_batches(network.features, part, model.batch_size, f"{CHECK}: features") for part in (train, test)]
    head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(features[0], labels[0])
    return Outcome("linear head", 0.0, float(head.score(features[1], labels[1])), _accuracy(network, model, test), 0.0)


def _fine_tuned(
    network: Network,
    model: Model,
    task: Transfer,
    rate: float,
    train: SampleSet,
    test: SampleSet,
    labels: tuple[np.ndarray, np.ndarray],
) -> Outcome:
    before = _trainable_weights(network)
    retargeted = network.retarget(len(task.target), task.seed)
    curve: list[tuple[float, float]] = []
    training = Training(
        optimiser="sgd",
        learning_rate=rate,
        momentum=task.momentum,
        epochs=task.epochs,
        batch_size=task.batch_size,
        shift_pixels=0,
        seed=task.seed,
        label=f"{CHECK}: learning rate {rate:g}",
        after_epoch=lambda epoch, _loss, accuracy: curve.append((float(epoch), accuracy)),
    )
    retargeted.fit(train.images(), labels[0], training)
    scores = in_batches(retargeted.predict, test, model.batch_size, f"{CHECK}: learning rate {rate:g}")
    target = float((scores.argmax(axis=1) == labels[1]).mean())
    source = _accuracy(network, model, test)
    return Outcome("fine-tuned", rate, target, source, _drift(before, _trainable_weights(network)), tuple(curve))


def _accuracy(network: Network, model: Model, test: SampleSet) -> float:
    scores = in_batches(network.predict, test, model.batch_size, f"{CHECK}: source task")
    return float((scores.argmax(axis=1) == test.labels).mean())


def _trainable_weights(network: Network) -> dict[str, np.ndarray]:
    names = network.trainable()
    return {name: value.astype(np.float64) for name, value in network.weights().items() if name in names}


def _drift(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> float:
    change = sum(float(np.square(after[name] - before[name]).sum()) for name in before)
    return float(np.sqrt(change / sum(float(np.square(value).sum()) for value in before.values())))


def judge(model: str, task: Transfer, outcomes: list[Outcome]) -> Iterator[Finding]:
    """One sentence for the frozen features, one for every learning rate."""
    frozen, *tuned = outcomes
    yield Finding(
        CHECK,
        model,
        Verdict.PASS,
        f"A linear head on frozen features reaches {frozen.target:.1%} on the target ({' / '.join(task.target)}); the source "
        f"task stays at {frozen.source:.1%}.",
        {"frozen_target": frozen.target, "frozen_source": frozen.source},
    )
    for outcome in tuned:
        lost = frozen.source - outcome.source
        name = f"lr_{outcome.learning_rate:g}"
        yield Finding(
            CHECK,
            model,
            Verdict.WARN if lost > LOST else Verdict.PASS,
            f"Fine-tuning at learning rate {outcome.learning_rate:g} reaches {outcome.target:.1%} on the target, leaves "
            f"{outcome.source:.1%} on the source task ({-100 * lost:+.1f} points) and moves the weights by {outcome.drift:.1%}.",
            {
                f"{name}.target": outcome.target,
                f"{name}.source": outcome.source,
                f"{name}.drift": outcome.drift,
                "curves": {f"{name}.train": [list(point) for point in outcome.curve]},
            },
        )


def main(model: str, samples: Path, weights: Path, findings: Path, sweep: Path) -> None:
    """Transfer in every way, judge, write."""
    params = load_params()
    task = params.transfer_check
    outcomes: list[Outcome] = []
    found = [Finding(CHECK, model, Verdict.SKIP, "Not asked for: transfer_check.models in params.yaml leaves it out.")]
    if model in task.models:
        chosen = params.models[model].model_copy(update={"weights": str(weights)})
        train, test = SampleSet.load(samples / "train"), SampleSet.load(samples / "test")
        outcomes = list(transfer_check(params, task, chosen, train, test))
        found = list(judge(model, task, outcomes))
    save_findings(found, findings)
    columns = [field.name for field in fields(Outcome) if field.name != "curve"]
    with replacing(sweep) as partial:
        pd.DataFrame([asdict(outcome) for outcome in outcomes], columns=columns).to_csv(
            partial, index=False, lineterminator="\n"
        )


if __name__ == "__main__":
    run(main)

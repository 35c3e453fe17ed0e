"""What language models are measured by where they are asked about documents: choices, last words, perplexity, answers.

| metric | what | interval |
|---|---|---|
| top1 | right choices by the recipe's `normalise`; last words whose every token is the likeliest; right answers | Wilson |
| acc, acc_norm, acc_bytes, acc_tokens | right choices by log-likelihood: as it is, by characters, by bytes, by tokens | Wilson |
| perplexity | of last words: exp of their mean negative log-likelihood | normal, of the mean |
| word_perplexity, byte_perplexity, token_perplexity, bits_per_byte | of whole texts, of all sums together | bootstrap of texts |

Names and sums are lm-evaluation-harness's (https://github.com/EleutherAI/lm-evaluation-harness): documents in order, in double
precision, out of log-likelihoods in single precision.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from stages.accuracy_check.renaming import renaming
from tracking.runs.findings import Finding, Verdict
from weighbridge.images.samples import SampleSet
from weighbridge.networks.accuracy import share
from weighbridge.networks.claimed import CHECK, held_against_claim
from weighbridge.networks.metrics import Z, drawn_again, percentiles, with_ends
from weighbridge.networks.predictions import PredictionSet
from weighbridge.networks.unanswered import unanswered
from weighbridge.params.metrics import Metrics
from weighbridge.params.models import Claim
from weighbridge.texts.marks import HEAD
from weighbridge.texts.requests import scored_counts

OF_CHOICES = {"acc": "as it is", "acc_norm": "by characters", "acc_bytes": "by bytes", "acc_tokens": "by tokens"}
AT_ONCE = 1000  # documents whose tokens are counted at once
OF_TEXTS = {"token": 0, "word": 1, "byte": 2}  # columns of the labels


def measure_documents(predicted: PredictionSet, samples: SampleSet, target: str, asked: Metrics) -> dict[str, float]:
    """The metrics of one target."""
    if target == "perplexity":
        return {"samples": len(predicted.names), **with_ends(_perplexities(predicted, asked))}
    count, right = len(predicted.labels), int(predicted.correct().sum())
    measured: dict[str, float] = {"samples": count, **share("top1", right, count)}
    if target == "choices":
        return measured | _choices(predicted, samples)
    if target == "last-word":
        return measured | with_ends([("perplexity", _of_words(_scores(predicted)[:, 0]))])
    return measured


def _scores(predicted: PredictionSet) -> np.ndarray:
    assert predicted.scores is not None
    return predicted.scores.astype(np.float64)


def _choices(predicted: PredictionSet, samples: SampleSet) -> dict[str, float]:
    parts = [(each[..., :HEAD].astype(np.float64), scored_counts(each)) for each in samples.batches(AT_ONCE)]
    heads, counts = (np.concatenate(each) for each in zip(*parts, strict=True))
    raw = _scores(predicted) * heads[..., 0]
    divisors = (np.ones_like(raw), heads[..., 1], heads[..., 2], counts)
    found: dict[str, float] = {}
    for name, divisor in zip(OF_CHOICES, divisors, strict=True):
        chosen = (raw / np.maximum(divisor, 1)).argmax(axis=1)
        found |= share(name, int((chosen == predicted.labels).sum()), len(chosen))
    return found


def _of_words(likely: np.ndarray) -> tuple[float, float, float]:
    mean = sum(likely.tolist()) / len(likely)
    spread = Z * float(likely.std(ddof=1)) / math.sqrt(len(likely)) if len(likely) > 1 else 0.0
    return math.exp(-mean), math.exp(-mean - spread), math.exp(-mean + spread)


def _perplexities(predicted: PredictionSet, asked: Metrics) -> Iterator[tuple[str, tuple[float, float, float]]]:
    likely = np.array([sum(row[np.isfinite(row)].tolist()) for row in _scores(predicted)])
    weights = list(drawn_again(len(likely), asked))
    for name, column in OF_TEXTS.items():
        sizes = predicted.labels[:, column]
        own = sum(likely.tolist()) / sum(sizes.tolist())
        drawn = [float(likely @ each / (sizes @ each)) for each in weights]
        low, high = percentiles([-each for each in drawn])
        yield f"{name}_perplexity", (math.exp(-own), math.exp(low), math.exp(high))
        if name == "byte":
            yield "bits_per_byte", (-own / math.log(2), low / math.log(2), high / math.log(2))


def judge_documents(
    model: str,
    predicted: PredictionSet,
    samples: SampleSet,
    target: str,
    measured: Mapping[str, float],
    claim: Claim | None,
) -> Iterator[Finding]:
    """The claim, samples without an answer, and the metrics in a sentence; of choices whether another order would be better."""
    yield from held_against_claim(model, measured, claim)
    if target == "perplexity":
        yield _said(model, measured, [name for name in measured if name.endswith(("perplexity", "per_byte"))], "Texts")
        return
    yield from unanswered(model, predicted)
    yield _said(model, measured, _SAID[target], "Documents")
    if target == "choices":
        chance = measured["top1_low"] <= 1 / max(2, samples.inputs.shape[1])
        yield from renaming(model, predicted, samples.classes, suspicious=chance)


_SAID: Mapping[str, Sequence[str]] = {
    "choices": ["top1", *OF_CHOICES],
    "last-word": ["top1", "perplexity"],
    "answer": ["top1"],
}
_WORDS = {"top1": "right", **{name: f"{name} ({how})" for name, how in OF_CHOICES.items()}}


def _said(model: str, measured: Mapping[str, float], names: Sequence[str], what: str) -> Finding:
    told = [
        f"{_WORDS.get(name, name.replace('_', ' '))} {_number(name, measured[name])} ({_number(name, measured[name + '_low'])} "
        f"to {_number(name, measured[name + '_high'])})"
        for name in names
        if f"{name}_low" in measured
    ]
    sentence = f"{what}, {measured['samples']:.0f} of them: {', '.join(told)}."
    return Finding(CHECK, model, Verdict.PASS, sentence, {name: measured[name] for name in names if name in measured})


def _number(name: str, value: float) -> str:
    return f"{value:.2%}" if name in ("top1", *OF_CHOICES) else f"{value:.4g}"

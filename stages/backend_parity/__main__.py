"""Compare two models' predictions of the same images: the same weights on two backends, or a model and its export.

reads   <reference>, <candidate>: two folders of predictions (never two live models); <reference_layers>,
        <candidate_layers>: two folders of activations
writes  findings about the candidate: scores (largest and median difference), decisions (top-1 flips, by sample), layers (how
        the difference grows, and the first layer at which the two part)
params  backend_parity.<pair>, models.<reference>.backend, models.<candidate>.backend
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from stages.backend_parity.layer_matching import Comparison, compare_layers
from tracking.runs.errors import UserError
from tracking.runs.findings import Finding, Verdict, save_findings
from weighbridge.images.tasks import CLASSES, MULTILABEL, REGRESSION
from weighbridge.networks.layer_outputs import SCORES, LayerSet
from weighbridge.networks.predictions import PredictionSet
from weighbridge.networks.score_kinds import ROWS, Rows, among_classes, kind_of, label_probabilities, one_scale
from weighbridge.params.backend_parity import Parity
from weighbridge.params.section import read
from weighbridge.process.stage import run

CHECK = "backend_parity"
FLIPS_LISTED = 50
AMONG = "log-probabilities among shared classes"


def backend_parity(
    pair: Parity, reference: PredictionSet, candidate: PredictionSet, *, same_backend: bool = False
) -> Iterator[Finding]:
    """Two findings: how far the scores are apart, and which decisions flip.

    Where one gives logits and the other probabilities, log-probabilities are compared. `same_backend`: both are computed by one
    backend, so that equal bits are what should come out.

    Raises:
        UserError: the two did not predict the same images, or give different numbers of scores, or not all of them.
    """
    ours, theirs = candidate.scores, reference.scores
    if ours is None or theirs is None:
        raise UserError(f"{pair.candidate} and {pair.reference}: the scores of every class are needed to compare them")
    if reference.names != candidate.names or reference.classes != candidate.classes:
        raise UserError(
            f"{pair.candidate} and {pair.reference} did not predict the same images and classes: "
            f"{ours.shape} and {theirs.shape} scores"
        )
    yield _scores(pair, reference, candidate, same_backend=same_backend)
    if reference.task != REGRESSION:
        yield _decisions(pair, reference, candidate)


def _scales(reference: PredictionSet, candidate: PredictionSet) -> tuple[Rows, Rows, str]:
    """What makes rows of scores of the two what can be subtracted, and what they are then."""
    theirs, ours, classes = reference.scores, candidate.scores, reference.classes
    assert theirs is not None
    assert ours is not None
    alike, kinds = theirs.shape == ours.shape, (reference.kind, candidate.kind)
    if reference.task == CLASSES and alike:
        return one_scale(kind_of(theirs), kind_of(ours))
    if reference.task == CLASSES:  # one of them knows other classes beside the data's
        of_theirs, of_ours = (partial(among_classes, kind=kind, classes=classes) for kind in kinds)
        return of_theirs, of_ours, AMONG
    if reference.task == MULTILABEL and kinds[0] != kinds[1]:
        of_theirs, of_ours = (partial(_labels, kind=kind, classes=classes) for kind in kinds)
        return of_theirs, of_ours, "probabilities"
    return *(lambda rows: rows if alike else rows[:, :classes],) * 2, "scores"


def _labels(scores: np.ndarray, kind: str, classes: int) -> np.ndarray:
    return label_probabilities(scores[:, :classes], kind)


@dataclass(frozen=True)
class _Apart:
    """Scores of two models held against each other.

    Attributes:
        differences: absolute, of all that are numbers in both: float64, shape (scores,).
        scores: how many the candidate has; `bad`, `of_reference`: how many of its own, and of the reference's, are no numbers.
        alike: whether all are numbers in both, but for classes that both rule out.
    """

    differences: np.ndarray
    scores: int
    bad: int
    of_reference: int
    alike: bool

    @property
    def largest(self) -> float:
        return float(self.differences.max(initial=0.0))

    @property
    def median(self) -> float:
        """Without a copy: the differences are in another order afterwards."""
        return float(np.median(self.differences, overwrite_input=True)) if self.differences.size else 0.0


def _apart(theirs: np.ndarray, ours: np.ndarray, of_theirs: Rows, of_ours: Rows) -> _Apart:
    """Some rows after others: of 50,000 images in 1,000 classes the differences alone are 400 MB."""
    differences, count, scores, bad, alike = np.empty(min(theirs.size, ours.size)), 0, 0, [0, 0], True
    for start in range(0, len(theirs), ROWS):
        own, other = of_ours(ours[start : start + ROWS]), of_theirs(theirs[start : start + ROWS])
        fine = np.isfinite(own) & np.isfinite(other)
        apart = np.abs(own[fine].astype(float) - other[fine].astype(float))
        differences[count : count + apart.size] = apart
        count, scores = count + apart.size, scores + own.size
        bad = [known + int((~np.isfinite(each)).sum()) for known, each in zip(bad, (own, other), strict=True)]
        alike = alike and np.array_equal(fine, ~(np.isneginf(own) & np.isneginf(other)))
    return _Apart(differences[:count], scores, bad[0], bad[1], alike)


def _scores(pair: Parity, reference: PredictionSet, candidate: PredictionSet, *, same_backend: bool) -> Finding:
    assert reference.scores is not None
    assert candidate.scores is not None
    of_theirs, of_ours, scale = _scales(reference, candidate)
    apart = _apart(reference.scores, candidate.scores, of_theirs, of_ours)
    if not apart.alike:
        return _no_numbers(pair, apart)
    largest, median = apart.largest, apart.median
    evidence = {
        "max_score_difference": largest,
        "median_score_difference": median,
        "reference": pair.reference,
        "compared": scale,
    }
    words = f"{_compared_as(pair, scale)} by at most {largest:.2g} (median {median:.2g})"
    if largest == 0 and not same_backend:
        verdict, end = Verdict.WARN, ": no difference at all is suspicious; did the other backend really compute?"
    elif largest <= pair.max_score_difference:
        verdict, end = Verdict.PASS, f", within the tolerance of {pair.max_score_difference:g}."
    else:
        verdict, end = Verdict.FAIL, f", beyond the tolerance of {pair.max_score_difference:g}."
    return Finding(CHECK, pair.candidate, verdict, words + end, evidence)


def _compared_as(pair: Parity, scale: str) -> str:
    if scale == "scores":
        return f"Scores differ from those of {pair.reference}"
    if scale == AMONG:
        return f"Among the classes of the data alone log-probabilities differ from those of {pair.reference}"
    return (
        f"One of the two gives probabilities and the other logits: their {scale} differ from those of {pair.reference}"
    )


def _no_numbers(pair: Parity, apart: _Apart) -> Finding:
    sentence = (
        f"{apart.bad} of its {apart.scores} scores are no numbers, and {apart.of_reference} of those of {pair.reference}; "
        f"the others differ by at most {apart.largest:.2g}."
    )
    evidence = {
        "no_numbers": apart.bad,
        "reference_no_numbers": apart.of_reference,
        "max_score_difference": apart.largest,
        "reference": pair.reference,
    }
    return Finding(CHECK, pair.candidate, Verdict.FAIL, sentence, evidence)


def _decisions(pair: Parity, reference: PredictionSet, candidate: PredictionSet) -> Finding:
    flipped = np.flatnonzero(reference.top1 != candidate.top1)
    flips = [
        [reference.names[i], int(reference.wanted[i]), int(reference.top1[i]), int(candidate.top1[i])]
        for i in flipped[:FLIPS_LISTED]
    ]
    verdict = Verdict.PASS if len(flipped) <= pair.max_flips else Verdict.FAIL
    what = "sets of labels" if reference.task == MULTILABEL else "top-1 decisions"
    named = f" First: {', '.join(flip[0] for flip in flips[:3])}." if flips else ""
    sentence = (
        f"{len(flipped)} of {len(reference.names)} {what} flip against {pair.reference} "
        f"({pair.max_flips} allowed).{named}"
    )
    columns = ["sample", "label", "reference", "candidate"]
    evidence = {"flips": len(flipped), "flipped": flips, "flipped_columns": columns, "reference": pair.reference}
    return Finding(CHECK, pair.candidate, verdict, sentence, evidence)


def layer_parity(pair: Parity, reference: LayerSet, candidate: LayerSet, *, same_kind: bool = True) -> Finding:
    """Where the two first part, layer by layer, or how the difference grows while rounding explains it.

    The scores are the last of the layers where both are of one kind; logits and probabilities are compared by `backend_parity`.

    Raises:
        UserError: the layers are of other images.
    """
    if reason := reference.reason or candidate.reason:
        return Finding(CHECK, pair.candidate, Verdict.SKIP, f"Layers were not compared: {reason}.")
    if reference.samples != candidate.samples:
        raise UserError(f"the layers of {pair.candidate} and {pair.reference} are of other images; run `dvc repro`")
    ours, theirs = (
        [layer for layer in each.layers if same_kind or layer.kind != SCORES] for each in (reference, candidate)
    )
    compared = compare_layers(ours, theirs, pair.layer_tolerance)
    if not compared.pairs:
        return Finding(CHECK, pair.candidate, Verdict.SKIP, "Layers were not compared: no two have one shape.")
    words = _agreement(pair, compared) if compared.divergence is None else _divergence(pair, compared)
    verdict = Verdict.PASS if compared.divergence is None else Verdict.FAIL
    return Finding(CHECK, pair.candidate, verdict, words, _layer_evidence(pair, compared))


def _agreement(pair: Parity, compared: Comparison) -> str:
    last = compared.pairs[-1]
    worst = max(compared.pairs, key=lambda each: each.relative if each.agrees else 0)
    return (
        f"{pair.candidate} equals {pair.reference} in all comparable layers: the relative difference is at most "
        f"{worst.relative:.2g} ({worst.reference.name}) and {last.relative:.2g} in the {_last(compared)} (rounding allows "
        f"{last.allowed:.2g}). "
        f"{_compared(compared)}."
    )


def _divergence(pair: Parity, compared: Comparison) -> str:
    divergence, before = compared.divergence, compared.last_agreeing
    assert divergence is not None
    until = (
        f"until {before.reference.name} they agree to {before.relative:.2g}" if before else "it is the first compared"
    )
    name, other = divergence.reference.name, divergence.candidate.name
    also = f" Without a counterpart beside it: {', '.join(compared.beside)}." if compared.beside else ""
    return (
        f"First differs from {pair.reference} at layer {name}{f' ({other})' if other != name else ''}: relative difference "
        f"{divergence.relative:.2g} (rounding allows {divergence.allowed:.2g}); {until}. {_compared(compared)}, "
        f"and the {_last(compared)} are {compared.pairs[-1].relative:.2g} apart.{also}"
    )


def _last(compared: Comparison) -> str:
    name = compared.pairs[-1].reference.name
    return "scores" if name == SCORES else f"outputs of {name}, the last layer compared"


def _compared(compared: Comparison) -> str:
    alone = len(compared.only_reference) + len(compared.only_candidate)
    return f"{len(compared.pairs)} layers were compared, {alone} have no counterpart (merged or left out by one of the two)"


def _layer_evidence(pair: Parity, compared: Comparison) -> dict[str, Any]:
    divergence = compared.divergence
    rows = [
        [each.depth, each.reference.name, each.candidate.name, each.relative, each.allowed, each.largest]
        for each in compared.pairs
    ]
    return {
        "reference": pair.reference,
        "layers_compared": len(compared.pairs),
        "layers_worst_share_of_allowed": max(each.relative / each.allowed for each in compared.pairs),
        "parts_at": divergence and [divergence.reference.name, divergence.candidate.name],
        "beside": list(compared.beside),
        "only_reference": list(compared.only_reference),
        "only_candidate": list(compared.only_candidate),
        "layers": rows,
        "layers_columns": ["depth", "reference", "candidate", "relative", "allowed", "max_absolute"],
        "curves": {f"layers.{pair.reference}": [[each.depth, each.relative] for each in compared.pairs]},
    }


def main(
    pair: str, reference: Path, candidate: Path, reference_layers: Path, candidate_layers: Path, findings: Path
) -> None:
    """Load the folders, compare, write."""
    chosen = read(Parity, "backend_parity", pair)
    backends = {read(str, "models", name, "backend") for name in (chosen.reference, chosen.candidate)}
    theirs, ours = PredictionSet.load(reference), PredictionSet.load(candidate)
    scores = backend_parity(chosen, theirs, ours, same_backend=len(backends) == 1)
    known = LayerSet.load(reference_layers), LayerSet.load(candidate_layers)
    save_findings([*scores, layer_parity(chosen, *known, same_kind=theirs.kind == ours.kind)], findings)


if __name__ == "__main__":
    run(main)

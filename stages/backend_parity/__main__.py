"""Compare two models' predictions of the same images: the same weights on two backends, or a model and its export.

reads   <reference>, <candidate>: two folders of predictions (never two live models); <reference_layers>,
        <candidate_layers>: two folders of activations
writes  findings about the candidate: scores (largest and median difference), decisions (top-1 flips, by sample), layers (how
        the difference grows, and the first layer at which the two part)
params  backend_parity.<pair>, models.<reference>.backend, models.<candidate>.backend
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from stages.backend_parity.layer_matching import Comparison, compare_layers
from tracking.runs.errors import UserError
from tracking.runs.findings import Finding, Verdict, save_findings
from weighbridge.images.tasks import CLASSES, MULTILABEL, REGRESSION
from weighbridge.networks.layer_outputs import SCORES, LayerSet
from weighbridge.networks.predictions import PredictionSet
from weighbridge.networks.score_kinds import among_classes, label_probabilities, on_one_scale
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


def _scores(pair: Parity, reference: PredictionSet, candidate: PredictionSet, *, same_backend: bool) -> Finding:
    assert reference.scores is not None
    assert candidate.scores is not None
    if reference.task == MULTILABEL and reference.kind != candidate.kind:
        theirs, ours = (
            label_probabilities(each.scores[:, : each.classes], each.kind)
            for each in (reference, candidate)
            if each.scores is not None
        )
        scale = "probabilities"
    elif reference.scores.shape == candidate.scores.shape and reference.task != CLASSES:
        theirs, ours, scale = reference.scores, candidate.scores, "scores"
    elif reference.task != CLASSES:
        theirs, ours = reference.scores[:, : reference.classes], candidate.scores[:, : candidate.classes]
        scale = "scores"
    elif reference.scores.shape == candidate.scores.shape:
        theirs, ours, scale = on_one_scale(reference.scores, candidate.scores)
    else:  # one of them knows other classes beside the data's
        theirs, ours = (
            among_classes(each.scores, each.kind, each.classes)
            for each in (reference, candidate)
            if each.scores is not None
        )
        scale = AMONG
    fine = np.isfinite(theirs) & np.isfinite(ours)
    difference = np.abs(ours[fine].astype(float) - theirs[fine].astype(float))
    if not np.array_equal(fine, ~(np.isneginf(theirs) & np.isneginf(ours))):
        return _no_numbers(pair, theirs, ours, difference)
    largest, median = float(difference.max(initial=0.0)), float(np.median(difference)) if difference.size else 0.0
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


def _no_numbers(pair: Parity, theirs: np.ndarray, ours: np.ndarray, difference: np.ndarray) -> Finding:
    bad, of_reference = (int((~np.isfinite(scores)).sum()) for scores in (ours, theirs))
    largest = float(difference.max(initial=0.0))
    sentence = (
        f"{bad} of its {ours.size} scores are no numbers, and {of_reference} of those of {pair.reference}; the others differ "
        f"by at most {largest:.2g}."
    )
    evidence = {
        "no_numbers": bad,
        "reference_no_numbers": of_reference,
        "max_score_difference": largest,
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

"""Compare two models' predictions of the same images: the same weights on two backends, or a model and its export.

reads   <reference>, <candidate>: two folders of predictions (never two live models)
writes  findings about the candidate: scores (largest and median difference), decisions (top-1 flips, by sample)
params  backend_parity.<pair>
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from stages._params import Parity, load_params
from stages._predictions import PredictionSet
from stages._stage import run
from tracking.errors import UserError
from tracking.findings import Finding, Verdict, save_findings

FLIPS_LISTED = 50


def backend_parity(pair: Parity, reference: PredictionSet, candidate: PredictionSet) -> Iterator[Finding]:
    """Two findings: how far the scores are apart, and which decisions flip.

    Raises:
        UserError: the two did not predict the same images, or give different numbers of scores, or not all of them.
    """
    ours, theirs = candidate.scores, reference.scores
    if ours is None or theirs is None:
        raise UserError(f"{pair.candidate} and {pair.reference}: the scores of every class are needed to compare them")
    if reference.names != candidate.names or theirs.shape != ours.shape:
        raise UserError(
            f"{pair.candidate} and {pair.reference} did not predict the same images and classes: "
            f"{ours.shape} and {theirs.shape} scores"
        )
    yield _scores(pair, np.abs(ours.astype(float) - theirs.astype(float)))
    yield _decisions(pair, reference, candidate)


def _scores(pair: Parity, difference: np.ndarray) -> Finding:
    largest, median = float(difference.max()), float(np.median(difference))
    evidence = {"max_score_difference": largest, "median_score_difference": median, "reference": pair.reference}
    words = f"Scores differ from those of {pair.reference} by at most {largest:.2g} (median {median:.2g})"
    if largest == 0:
        verdict, end = Verdict.WARN, ": no difference at all is suspicious; did the other backend really compute?"
    elif largest <= pair.max_score_difference:
        verdict, end = Verdict.PASS, f", within the tolerance of {pair.max_score_difference:g}."
    else:
        verdict, end = Verdict.FAIL, f", beyond the tolerance of {pair.max_score_difference:g}."
    return Finding("backend_parity", pair.candidate, verdict, words + end, evidence)


def _decisions(pair: Parity, reference: PredictionSet, candidate: PredictionSet) -> Finding:
    flipped = np.flatnonzero(reference.top1 != candidate.top1)
    flips = [
        [reference.names[i], int(reference.labels[i]), int(reference.top1[i]), int(candidate.top1[i])]
        for i in flipped[:FLIPS_LISTED]
    ]
    verdict = Verdict.PASS if len(flipped) <= pair.max_flips else Verdict.FAIL
    named = f" First: {', '.join(flip[0] for flip in flips[:3])}." if flips else ""
    sentence = (
        f"{len(flipped)} of {len(reference.names)} top-1 decisions flip against {pair.reference} "
        f"({pair.max_flips} allowed).{named}"
    )
    columns = ["sample", "label", "reference", "candidate"]
    evidence = {"flips": len(flipped), "flipped": flips, "flipped_columns": columns, "reference": pair.reference}
    return Finding("backend_parity", pair.candidate, verdict, sentence, evidence)


def main(pair: str, reference: Path, candidate: Path, findings: Path) -> None:
    """Load both folders, compare, write."""
    chosen = load_params().backend_parity[pair]
    compared = backend_parity(chosen, PredictionSet.load(reference), PredictionSet.load(candidate))
    save_findings(compared, findings)


if __name__ == "__main__":
    run(main)

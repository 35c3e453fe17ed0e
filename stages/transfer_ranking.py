"""Whether transfer scores order several models as transferring does, and whether their number of parameters does it better.

reads   transfer_scores/*.json: what `transfer_check` foretold of every model, and what it then reached
writes  findings: the order by each score, correlated with the accuracy reached, beside that by the number of parameters
params  pipeline.transfer_check

Correlations are weighted Kendall's tau, which minds the top of the list more (Vigna 2015, https://arxiv.org/abs/1404.3325),
and Pearson's r, with the logarithm of the number of parameters.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from tracking.runs.findings import Finding, Verdict, save_findings
from weighbridge.params.section import read
from weighbridge.process.stage import run

CHECK = "transfer_ranking"
FEWEST = 3
SUBJECT = "all transferred models"
SCORES = ("logme", "h_score", "leep", "nce", "transrate")
NULL = "parameters"

Foretold = Mapping[str, Mapping[str, float]]


def transfer_ranking(foretold: Foretold) -> Iterator[Finding]:
    """One finding about all models together; `foretold` holds scores, `parameters` and `target` of each of them."""
    if len(foretold) < FEWEST:
        sentence = (
            f"Models transferred: {len(foretold)}. Scores can be held against what models reached from {FEWEST} on."
        )
        yield Finding(CHECK, SUBJECT, Verdict.SKIP, sentence)
        return
    taus, correlations = _correlations(foretold)
    better = [name for name in SCORES if taus.get(name, -1.0) > taus.get(NULL, -1.0)]
    sentence = (
        f"Over {len(foretold)} models on this target, weighted Kendall's tau of score and accuracy reached is "
        f"{', '.join(f'{name} {_said(taus.get(name))}' for name in SCORES)}; of the number of parameters alone "
        f"{_said(taus.get(NULL))}: {', '.join(better) or 'no score'} ordered them better than size. That is no rule for others."
    )
    columns = ("target", NULL, *SCORES)
    evidence = {
        "models": [[name, *(values[column] for column in columns)] for name, values in sorted(foretold.items())],
        "models_columns": ["model", *columns],
        **{f"tau.{name}": value for name, value in taus.items()},
        **{f"r.{name}": value for name, value in correlations.items()},
    }
    yield Finding(CHECK, SUBJECT, Verdict.PASS if better else Verdict.WARN, sentence, evidence)


def _correlations(foretold: Foretold) -> tuple[dict[str, float], dict[str, float]]:
    """Weighted tau and r of each score with the accuracy, where the values are not all the same."""
    from scipy.stats import pearsonr, weightedtau

    rows = [foretold[name] for name in sorted(foretold)]
    reached = np.asarray([row["target"] for row in rows])
    taus: dict[str, float] = {}
    correlations: dict[str, float] = {}
    for name in (*SCORES, NULL):
        values = np.asarray([row[name] for row in rows], dtype=float)
        if np.ptp(values) > 0 and np.ptp(reached) > 0:
            taus[name] = float(weightedtau(values, reached).statistic)
            correlations[name] = float(pearsonr(np.log(values) if name == NULL else values, reached).statistic)
    return taus, correlations


def _said(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"


def main(scores: Path, findings: Path) -> None:
    """Read what was foretold of every model of this job, write what it is worth."""
    chosen = read(dict, "pipeline", "transfer_check")
    known = {name: json.loads((scores / f"{name}.json").read_text(encoding="utf-8")) for name in chosen}
    save_findings(transfer_ranking({name: values for name, values in known.items() if values}), findings)


if __name__ == "__main__":
    run(main)

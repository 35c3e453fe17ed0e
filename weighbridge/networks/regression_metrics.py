"""Metrics where numbers are predicted, each with its 95 % interval: percentiles over images drawn again with a fixed seed.

| metric | what |
|---|---|
| mae, rmse | mean absolute error, and root of the mean squared error, in the unit of the labels |
| r2 | 1 - squared error / squared distance of the labels to their mean |
| pearson | the coefficient of correlation |

Of several outputs each has its own (`mae.OUTPUT`), and the one without a name is their mean. Images without an answer are left
out. The values are those of scikit-learn and SciPy.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from weighbridge.networks.label_metrics import metric_names
from weighbridge.networks.metrics import drawn_again, percentiles, with_ends
from weighbridge.networks.predictions import PredictionSet
from weighbridge.params.metrics import Metrics

NAMES = ("mae", "rmse", "r2", "pearson")


def regression_metrics(predictions: PredictionSet, asked: Metrics, names: Sequence[str]) -> dict[str, float]:
    """Every metric of the table above: `name`, `name_low`, `name_high`; the numbers of samples and outputs."""
    assert predictions.scores is not None
    rows = predictions.answered
    wanted = predictions.labels[rows]
    said = predictions.scores[rows, : wanted.shape[1]].astype(np.float64)
    counted = {"samples": len(rows), "answered": len(wanted), "outputs": wanted.shape[1]}
    if not len(wanted):
        return counted
    own = _named(by_output(wanted, said), names)
    drawn = [_named(_weighted(wanted, said, weights), names) for weights in drawn_again(len(wanted), asked)]
    return counted | with_ends(
        (name, (value, *percentiles([each[name] for each in drawn if np.isfinite(each[name])])))
        for name, value in own.items()
    )


def by_output(wanted: np.ndarray, said: np.ndarray) -> np.ndarray:
    """The four metrics of each output, shape (4, outputs); NaN where one is not defined (labels all equal, one image)."""
    return np.array([[*_of_one(*pair)] for pair in zip(wanted.T, said.T, strict=True)]).T


def _of_one(wanted: np.ndarray, said: np.ndarray) -> Iterator[float]:
    from scipy.stats import pearsonr
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

    yield float(mean_absolute_error(wanted, said))
    yield float(root_mean_squared_error(wanted, said))
    varied = len(wanted) > 1 and np.ptp(wanted) > 0
    yield float(r2_score(wanted, said)) if varied else np.nan
    yield float(pearsonr(wanted, said).statistic) if varied and np.ptp(said) > 0 else np.nan


def _weighted(wanted: np.ndarray, said: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The same where each image counts as often as `weights` says, by the formulas."""
    total, away = weights.sum(), said - wanted
    squared = weights @ away**2
    of_wanted, of_said = (each - weights @ each / total for each in (wanted, said))
    spread, other = weights @ of_wanted**2, weights @ of_said**2
    with np.errstate(invalid="ignore", divide="ignore"):
        r2, pearson = 1 - squared / spread, weights @ (of_wanted * of_said) / np.sqrt(spread * other)
    return np.array([weights @ np.abs(away) / total, np.sqrt(squared / total), r2, pearson])


def _named(values: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """By name: the mean over outputs, and of several each output's."""
    means = dict(zip(NAMES, map(float, values.mean(axis=1)), strict=True))
    if values.shape[1] == 1:
        return means
    each = metric_names(names, values.shape[1])
    rows = zip(NAMES, values, strict=True)
    return means | {f"{name}.{output}": float(v) for name, row in rows for output, v in zip(each, row, strict=True)}

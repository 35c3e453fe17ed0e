"""How far apart two sets of images lie in a model's features: Fréchet and kernel distance, and what to hold them against.

A distance has no scale of its own. It is held against the distance between two halves of the source's own classes, as
unlike as they can be halved: other things, photographed or drawn alike.
"""

from dataclasses import dataclass

import numpy as np

MIN_SAMPLES = 50
MIN_CLASSES = 4
_SPLITS = 10
_INTERVAL = (5, 95)
_ROUNDING = 1e-9  # of kernel distances, whose kernels are near 1


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """The Fréchet distance of two normal distributions with these samples' means and covariances (squared length).

    Dowson and Landau 1982, https://doi.org/10.1016/0047-259X(82)90077-X; Heusel et al. 2017,
    https://arxiv.org/abs/1706.08500. The trace of the root of the covariances' product is the sum of the singular values of
    one set's centred rows times the other's, which needs no matrix root.

    Args:
        first, second: features, shapes (samples, width).
    """
    a, b = (each.astype(np.float64) for each in (first, second))
    shift = a.mean(axis=0) - b.mean(axis=0)
    centred = [(each - each.mean(axis=0)) / np.sqrt(len(each) - 1) for each in (a, b)]
    spread = [
        np.asarray(np.linalg.qr(each, mode="r")) for each in centred
    ]  # the same singular values, of no more rows than columns
    shared = np.linalg.svd(spread[0] @ spread[1].T, compute_uv=False).sum()
    return float(shift @ shift + sum(np.square(each).sum() for each in spread) - 2 * shared)


def kernel_distance(first: np.ndarray, second: np.ndarray) -> float:
    """The unbiased squared maximum mean discrepancy under the cubic kernel (x y / width + 1)^3; it can fall below 0.

    Bińkowski et al. 2018, "KID", https://arxiv.org/abs/1801.01401. Arguments as `frechet_distance`.
    """
    a, b = (each.astype(np.float64) for each in (first, second))
    return _own(a) + _own(b) - 2 * float(_kernel(a, b).mean())


def _own(rows: np.ndarray) -> float:
    kernel = _kernel(rows, rows)
    return float((kernel.sum() - np.trace(kernel)) / (len(rows) * (len(rows) - 1)))


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray((a @ b.T / a.shape[1] + 1) ** 3)


@dataclass(frozen=True)
class Similarity:
    """The distance of target and source, beside those that the source has inside.

    Attributes:
        frechet, kernel: of target and source.
        within: the kernel distance between two halves of the source's classes, parted along the main axis of their means.
        noise: the median kernel distance between two halves of the source's samples: what nothing looks like.
        ratio: kernel / within, with the interval (5 % to 95 %) over random halves of the samples.
    """

    frechet: float
    kernel: float
    within: float
    noise: float
    ratio: float
    low: float
    high: float


def similarity(source: np.ndarray, classes: np.ndarray, target: np.ndarray, seed: int) -> Similarity | str:
    """Compare features, shapes (samples, width), of source (of these classes) and target; or why that is not possible.

    Features are divided by the root mean square of the source's, so that models of any scale are told alike.
    """
    if not (np.isfinite(source).all() and np.isfinite(target).all()):
        return "some of the features are no numbers"
    rng = np.random.default_rng(seed)
    scale = float(np.sqrt(np.square(source, dtype=np.float64).mean())) or 1.0
    source, target = source / scale, target / scale
    lower = _lower_half(source, classes)
    by_sample = [rng.permutation(len(source)) < len(source) // 2 for _ in range(_SPLITS)]
    within = kernel_distance(source[lower], source[~lower])
    if abs(within) <= _ROUNDING:
        return "the features of the source do not differ between its classes, so distances have no scale"
    noise = float(np.median([kernel_distance(source[half], source[~half]) for half in by_sample]))
    parts = [kernel_distance(_half(target, rng), _half(source, rng)) for _ in range(_SPLITS)]
    kernel = kernel_distance(target, source)
    low, high = np.percentile(parts, _INTERVAL) / within
    return Similarity(frechet_distance(target, source), kernel, within, noise, kernel / within, float(low), float(high))


def _lower_half(features: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Which samples are of the classes whose means lie lower on the first principal axis of all class means."""
    known = np.unique(classes)
    means = np.stack([features[classes == label].mean(axis=0) for label in known])
    axis = np.linalg.svd(means - means.mean(axis=0), full_matrices=False)[2][0]
    return np.isin(classes, known[np.argsort(means @ axis)[: len(known) // 2]])


def _half(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rows[rng.permutation(len(rows))[: len(rows) // 2]]

"""Scores that are said to foretell how well a model transfers, from one pass over the target's training data.

They are shown, never obeyed: a list of models sorted by their number of parameters has been reported to foretell better
than LogME does, so each stands beside that null.
"""

import numpy as np
from scipy.special import softmax

_ROUNDS = 100
_CONVERGED = 1e-6
_LEAST_NOISE = 1e-12  # the variance below which noise is none


def logme(features: np.ndarray, labels: np.ndarray) -> float:
    """Logarithm of the maximum evidence of a linear model of each class on the features, a sample and class.

    You et al. 2021, https://arxiv.org/abs/2102.11005, by the fixed point of their algorithm 1: prior precision alpha and
    noise precision beta of each one-against-the-rest regression are those of the greatest evidence.

    Args:
        features: shape (samples, width).
        labels: class indices, shape (samples,).
    """
    centre = features.astype(np.float64)
    left, singular, _ = np.linalg.svd(centre, full_matrices=False)
    targets = [(labels == label).astype(np.float64) for label in np.unique(labels)]
    return float(np.mean([_evidence(left, singular**2, centre.shape[1], target) for target in targets]))


def _evidence(left: np.ndarray, squares: np.ndarray, width: int, target: np.ndarray) -> float:
    """The greatest log evidence, divided by the samples. `squares` are the eigenvalues of the features' Gram matrix."""
    samples, projected = len(target), (left.T @ target) ** 2
    outside = max(float(target @ target - projected.sum()), 0.0)
    alpha, beta = 1.0, 1.0
    for _ in range(_ROUNDS):
        precision = alpha + beta * squares
        effective = float((beta * squares / precision).sum())
        if not _CONVERGED * samples < effective < (1 - _CONVERGED) * samples:
            break  # the features tell nothing of the target, or all of it: alpha or beta grows without end
        length = float((beta**2 * squares * projected / precision**2).sum())
        residual = max(outside + float((alpha**2 * projected / precision**2).sum()), _LEAST_NOISE * samples)
        before, alpha = alpha / beta, effective / length
        beta = (samples - effective) / residual
        if abs(alpha / beta - before) <= _CONVERGED * before:
            break
    precision = alpha + beta * squares
    length = float((beta**2 * squares * projected / precision**2).sum())
    residual = outside + float((alpha**2 * projected / precision**2).sum())
    evidence = width * np.log(alpha) + samples * np.log(beta / (2 * np.pi)) - beta * residual - alpha * length
    determinant = np.log(precision).sum() + (width - len(squares)) * np.log(alpha)
    return float((evidence - determinant) / (2 * samples))


def h_score(features: np.ndarray, labels: np.ndarray) -> float:
    """How much of the features' variance lies between classes, in the metric of the whole: tr(cov(f)^-1 cov(E[f | y])).

    Bao et al. 2019, https://doi.org/10.1109/ICIP.2019.8803726. It is the sum of the squared canonical correlations of
    features and classes, so it lies between 0 and classes - 1. Arguments as `logme`.
    """
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    classes, index = np.unique(labels, return_inverse=True)
    means = np.stack([centred[labels == label].mean(axis=0) for label in classes])[index]
    return float(np.trace(np.linalg.pinv(centred.T @ centred, hermitian=True) @ (means.T @ means)))


def leep(scores: np.ndarray, labels: np.ndarray) -> float:
    """The mean log likelihood of the labels, by what each source class makes one expect of them; at most 0.

    Nguyen et al. 2020, https://arxiv.org/abs/2002.12462. A source class whose probability is zero in every sample (as float64
    has it) makes one expect nothing and is left out.

    Args:
        scores: the source model's logits of the target's samples, shape (samples, source classes).
        labels: class indices of the target, shape (samples,).
    """
    source = softmax(scores.astype(np.float64), axis=1)
    classes, index = np.unique(labels, return_inverse=True)
    joint = np.stack([source[index == label].sum(axis=0) for label in range(len(classes))])
    seen = joint.sum(axis=0) > 0
    expected = source[:, seen] @ (joint[:, seen] / joint[:, seen].sum(axis=0)).T
    return float(np.log(expected[np.arange(len(index)), index]).mean())


def nce(decisions: np.ndarray, labels: np.ndarray) -> float:
    """Minus the conditional entropy of the target's labels given the source model's decisions, in nats; at most 0.

    Tran et al. 2019, https://arxiv.org/abs/1908.08142, with the decisions in the place of source labels.

    Args:
        decisions: source class indices, shape (samples,).
        labels: target class indices, shape (samples,).
    """
    _, rows = np.unique(decisions, return_inverse=True)
    _, columns = np.unique(labels, return_inverse=True)
    counts = np.zeros((rows.max() + 1, columns.max() + 1))
    np.add.at(counts, (rows, columns), 1)
    given = counts / counts.sum(axis=1, keepdims=True)
    return float((counts[counts > 0] * np.log(given[counts > 0])).sum() / len(labels))


def transrate(features: np.ndarray, labels: np.ndarray, distortion: float = 1e-4) -> float:
    """How many more nats it takes to code the features than to code them class by class, up to a distortion.

    Huang et al. 2022, https://arxiv.org/abs/2106.09362, with the coding rate of their listing 1; classes are weighted by
    their share of the samples, which for balanced classes is the listing's mean. Arguments as `logme`.
    """
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    parts = [centred[labels == label] for label in np.unique(labels)]
    within = sum(len(part) / len(centred) * _coding_rate(part, distortion) for part in parts)
    return float(_coding_rate(centred, distortion) - within)


def _coding_rate(rows: np.ndarray, distortion: float) -> float:
    """Half the log determinant of 1 + rows' rows / (n distortion), through the smaller of the two Gram matrices."""
    gram = rows.T @ rows if rows.shape[1] <= len(rows) else rows @ rows.T
    return float(np.linalg.slogdet(np.eye(len(gram)) + gram / (len(rows) * distortion))[1] / 2)


def transfer_scores(features: np.ndarray, scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """All five by name, of the target's samples; of each, more is said to be better."""
    return {
        "logme": logme(features, labels),
        "h_score": h_score(features, labels),
        "leep": leep(scores, labels),
        "nce": nce(scores.argmax(axis=1), labels),
        "transrate": transrate(features, labels),
    }

"""What frozen features are worth, without training the network: a linear head and nearest neighbours, beside raw pixels.

Raw pixels, or counts of tokens, are the null of features: where a linear head on them does as well, the pre-trained features are
worth nothing.
"""

from typing import Any

import numpy as np

PIXELS = 16


def linear_probe(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Decisions of scikit-learn's logistic regression on standardised features.

    Args:
        train, test: features, shapes (samples, width).
        labels: of `train`, shape (samples,).
    """
    return np.asarray(fitting().fit(train, labels).predict(test))


def fitting() -> Any:
    """That head, before it is fitted."""
    from sklearn.linear_model import LogisticRegression

    return _standardised(LogisticRegression(max_iter=2000))


def neighbour_probe(train: np.ndarray, labels: np.ndarray, test: np.ndarray, neighbours: int) -> np.ndarray:
    """Decisions of the `neighbours` nearest of standardised features, all of one weight. Other arguments as `linear_probe`."""
    from sklearn.neighbors import KNeighborsClassifier

    classifier = _standardised(KNeighborsClassifier(min(neighbours, len(train))))
    return np.asarray(classifier.fit(train, labels).predict(test))


def _standardised(classifier: Any) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), classifier)


def token_counts(ids: np.ndarray, vocabulary: int) -> np.ndarray:
    """How often each token stands in each text: float32, shape (texts, vocabulary)."""
    return np.stack([np.bincount(row[row >= 0], minlength=vocabulary) for row in ids]).astype(np.float32)


def small_pixels(images: np.ndarray) -> np.ndarray:
    """Images (float32, NHWC) averaged to at most 16 x 16 places (antialiased), shape (samples, values)."""
    height, width = images.shape[1:3]
    rows, columns = (np.linspace(0, size, min(size, PIXELS) + 1).astype(int) for size in (height, width))
    summed = np.add.reduceat(np.add.reduceat(images, rows[:-1], axis=1), columns[:-1], axis=2)
    areas = np.diff(rows)[:, None, None] * np.diff(columns)[None, :, None]
    return np.asarray((summed / areas).reshape(len(images), -1), np.float32)

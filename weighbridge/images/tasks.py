"""What the labels of samples are, by their shape: one class, several labels at once, or numbers."""

import numpy as np

CLASSES, MULTILABEL, REGRESSION = "classes", "multilabel", "regression"  # as `data.task` in params.yaml calls them


def task_of(labels: np.ndarray) -> str:
    """What labels are: `classes` of shape (samples,); of shape (samples, outputs) `multilabel` (0 or 1), or `regression`."""
    if labels.ndim == 1:
        return CLASSES
    return REGRESSION if labels.dtype.kind == "f" else MULTILABEL


def as_kept(labels: np.ndarray) -> np.ndarray:
    """Labels as a file holds them: int64, or float64 for numbers."""
    return labels.astype(np.float64 if task_of(labels) == REGRESSION else np.int64)

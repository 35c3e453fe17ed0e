"""Per-sample decisions as short text: `<type>:<base64>` of one integer a sample."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

PACKED = {"u1": 1, "u2": 2, "i4": 4}  # bytes of one decision


def pack_decisions(names: Sequence[str], labels: "np.ndarray", top1: "np.ndarray") -> dict[str, str]:
    """Pack labels and top-1 classes (both int, shape (samples,)) into short text; names by digest only."""
    return {
        "names.sha256": names_digest(names),
        "labels": pack(labels),
        "top1": pack(top1),
    }


def names_digest(names: Sequence[str]) -> str:
    """By which samples are known: the sha256 of their names, in order."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def unpack_decisions(packed: str) -> "np.ndarray":
    """The int32 array of shape (samples,) that `pack_decisions` packed."""
    import numpy as np

    dtype, _, text = packed.partition(":")
    return np.frombuffer(base64.b64decode(text), dtype=f"<{dtype}").astype(np.int32)


def confusion(decisions: Mapping[str, str], most: int) -> list[list[int]] | None:
    """How many samples of each class (rows) were taken for each class (columns), both by index.

    None where there are no decisions, or more than `most` classes. Samples without a label or an answer are left out.
    """
    import numpy as np

    if not {"labels", "top1"} <= decisions.keys():
        return None
    labels, top1 = (unpack_decisions(decisions[name]) for name in ("labels", "top1"))
    kept = (labels >= 0) & (top1 >= 0)
    classes = int(max(labels.max(initial=-1), top1.max(initial=-1))) + 1
    if labels.shape != top1.shape or not kept.any() or not 2 <= classes <= most:
        return None
    counts = np.bincount(labels[kept] * classes + top1[kept], minlength=classes**2)
    return [[int(count) for count in row] for row in counts.reshape(classes, classes)]


def pack(values: "np.ndarray") -> str:
    """Classes (int, shape (samples,); -1 where there is none) as short text."""
    largest = values.max(initial=0) if values.min(initial=0) >= 0 else 65536  # -1 stands for no decision
    dtype = "u1" if largest < 256 else "u2" if largest < 65536 else "i4"
    return f"{dtype}:{base64.b64encode(values.astype('<' + dtype).tobytes()).decode()}"


def packed_count(packed: str) -> int | None:
    """How many decisions were packed into a text; None where it is none that `unpack_decisions` reads."""
    dtype, _, text = packed.partition(":")
    try:
        size = len(base64.b64decode(text, validate=True))
    except ValueError:
        return None
    return size // PACKED[dtype] if dtype in PACKED and size % PACKED[dtype] == 0 else None

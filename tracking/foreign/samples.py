"""What became of every sample of a task, packed as a run keeps it, so that two runs are paired by what was asked."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tracking.runs.decisions import pack, pack_decisions
from tracking.runs.run import Scalar

UNDECIDED = -1


@dataclass(frozen=True)
class Sample:
    """One sample; what the tool did not log is None.

    Attributes:
        document: what tells it from the others, in any run: the hash of the document, its id.
        prompt, target: what was asked, what was wanted.
        output: what came out, filtered.
        right: whether that was right.
    """

    document: str
    prompt: Any = None
    target: Any = None
    output: Any = None
    right: bool | None = None


def packed(samples: Sequence[Sample]) -> dict[str, str]:
    """As `Run.decisions`: a right sample is decided for its label, 1. Digests of 32 bits stand for texts.

    Samples without a verdict (UNDECIDED) are neither right nor wrong; a kind of text that no sample has is left out. Of several
    with one document the first is paired with the other run's first, and so on.
    """
    ordered = sorted(_numbered(samples), key=lambda each: each.document)
    decided = np.array([UNDECIDED if each.right is None else int(each.right) for each in ordered])
    found = pack_decisions([each.document for each in ordered], np.ones(len(ordered), int), decided)
    found["documents"] = _digests([each.document for each in ordered])
    for name in ("prompts", "targets", "outputs"):
        values = [getattr(each, name.removesuffix("s")) for each in ordered]
        if any(value is not None for value in values):
            found[name] = _digests(values)
    return found


def _numbered(samples: Sequence[Sample]) -> Iterator[Sample]:
    seen: Counter[str] = Counter()
    for each in samples:
        seen[each.document] += 1
        count = seen[each.document]
        yield each if count == 1 else replace(each, document=f"{each.document} #{count}")


def share_right(samples: Sequence[Sample]) -> dict[str, Scalar]:
    """As `Run.results`: `top1`, the share of the samples with a verdict that are right; empty where none has one."""
    right = [each.right for each in samples if each.right is not None]
    return {"top1": sum(right) / len(right)} if right else {}


def results_of(samples: Sequence[Sample]) -> dict[str, Scalar]:
    """As `Run.results`: `share_right`, and how many samples there are; empty where none was logged."""
    return {**share_right(samples), "samples": len(samples)} if samples else {}


def verdict(metrics: Mapping[str, Any], preferred: Sequence[str] = ()) -> bool | None:
    """Whether a sample is right, by the first of its metrics that is 0 or 1: of `preferred`, then by name."""
    for name in (*preferred, *sorted(set(metrics) - set(preferred))):
        value = metrics.get(name)
        if isinstance(value, bool | int | float) and value in (0, 1):
            return bool(value)
    return None


def documents_of(decisions: Mapping[str, str]) -> dict[str, str]:
    """The set of documents as an input of the run, by its digest."""
    return {"documents": decisions["names.sha256"]} if decisions else {}


def _digests(values: Sequence[Any]) -> str:
    texts = [value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str) for value in values]
    digests = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little", signed=True) for text in texts]
    return pack(np.array(digests, dtype=np.int64))

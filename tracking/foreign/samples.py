"""What became of every sample of a task, packed as a run keeps it, so that two runs are paired by what was asked."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracking.runs.decisions import pack, pack_decisions

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

    Samples without a verdict (UNDECIDED) are neither right nor wrong; a kind of text that no sample has is left out.
    """
    ordered = sorted(samples, key=lambda each: each.document)
    decided = np.array([UNDECIDED if each.right is None else int(each.right) for each in ordered])
    found = pack_decisions([each.document for each in ordered], np.ones(len(ordered), int), decided)
    found["documents"] = _digests([each.document for each in ordered])
    for name in ("prompts", "targets", "outputs"):
        values = [getattr(each, name.removesuffix("s")) for each in ordered]
        if any(value is not None for value in values):
            found[name] = _digests(values)
    return found


def documents_of(decisions: Mapping[str, str]) -> dict[str, str]:
    """The set of documents as an input of the run, by its digest."""
    return {"documents": decisions["names.sha256"]} if decisions else {}


def _digests(values: Sequence[Any]) -> str:
    texts = [value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str) for value in values]
    digests = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little", signed=True) for text in texts]
    return pack(np.array(digests, dtype=np.int64))

"""What two language models said to the same documents: the texts that they generated, from the folders of their predictions."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tracking.lookup.find import FOLDER, sample_names
from tracking.runs.run import Run


@dataclass(frozen=True)
class Said:
    """Texts that differ.

    Attributes:
        samples: of how many both texts are known.
        apart: name, the first's text, the second's; in the order of the samples.
    """

    samples: int
    apart: tuple[tuple[str, str, str], ...]


def said_by_both(first: Run, second: Run, folder: Path = FOLDER) -> Said | None:
    """None where what either generated is not there, or no longer that of the run."""
    texts = [_said(run, folder) for run in (first, second)]
    names = sample_names(first, folder)
    if names is None or texts[0] is None or texts[1] is None or not len(texts[0]) == len(texts[1]) == len(names):
        return None
    if first.decisions.get("names.sha256") != second.decisions.get("names.sha256"):
        return None
    pairs = zip(names, texts[0], texts[1], strict=True)
    return Said(len(names), tuple(each for each in pairs if each[1] != each[2]))


def _said(run: Run, folder: Path) -> list[str] | None:
    """It lies beside the scores, by which it is known whose it is."""
    place = folder / "predictions" / run.subject
    try:
        scores = np.load(place / "scores.npy", mmap_mode="r", allow_pickle=False)
        texts = json.loads((place / "said.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    same = hashlib.sha256(np.ascontiguousarray(scores).data).hexdigest() == run.results.get("scores.sha256")
    return [str(text) for text in texts] if same and isinstance(texts, list) else None

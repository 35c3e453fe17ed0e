"""What `transfer_check` saw of one model, before it is judged."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from stages.transfer_check.earlier_layers import Earlier
from stages.transfer_check.finetuning import Outcome
from stages.transfer_check.layerwise import Cut
from stages.transfer_check.seeds import MeanOverSeeds, mean_over_seeds
from stages.transfer_check.similarity import Similarity

EARLIER = "a linear head on an earlier layer"
COLUMNS = ("method", "learning_rate", "seed", "target", "source", "drift")


@dataclass(frozen=True)
class Probes:
    """Which test images the heads on frozen features get right, and a linear head on raw pixels (bool, shape (samples,))."""

    seed: int
    linear: np.ndarray
    neighbours: np.ndarray
    pixels: np.ndarray


@dataclass(frozen=True)
class Study:
    """One model and one target, over all seeds.

    Attributes:
        parameters: of the model, those that training changes.
        width: of its features.
        drawn, available: training images of the target, used and there.
        tested: test images of target and source.
        source: accuracy on the source task before anything was trained.
        unbuilt: why no network could be trained from scratch, or nothing.
        earlier: linear heads on earlier layers, by seed; or why there are none.
        scores: transfer scores by name.
        similarity: or why it cannot be told.
        notes: what is wrong with the target's images.
        raw: what features are held against.
        classes: the target's, by name.
    """

    parameters: int
    width: int
    drawn: int
    available: int
    tested: tuple[int, int]
    source: float
    probes: list[Probes]
    outcomes: list[Outcome]
    cuts: list[Cut]
    unbuilt: str
    earlier: list[Earlier] | str
    scores: dict[str, float]
    similarity: Similarity | str
    notes: tuple[str, ...] = ()
    raw: str = "raw pixels"
    classes: tuple[str, ...] = ()

    def probed(self, name: str) -> MeanOverSeeds:
        """Accuracy on the target of the heads called `linear`, `neighbours` or `pixels`."""
        return self._target([float(getattr(each, name).mean()) for each in self.probes])

    def trainings(self) -> dict[tuple[str, float], list[Outcome]]:
        """All seeds of each method and learning rate, in the order in which they were asked for."""
        groups: dict[tuple[str, float], list[Outcome]] = {}
        for outcome in self.outcomes:
            groups.setdefault((outcome.method, outcome.learning_rate), []).append(outcome)
        return groups

    def target(self, outcomes: list[Outcome] | list[Cut]) -> MeanOverSeeds:
        """Accuracy on the target, over the seeds."""
        return self._target([each.target for each in outcomes])

    def left(self, outcomes: list[Outcome]) -> MeanOverSeeds:
        """Accuracy on the source task, over the seeds."""
        return mean_over_seeds([each.source for each in outcomes if each.source is not None], self.tested[1])

    def _target(self, shares: list[float]) -> MeanOverSeeds:
        return mean_over_seeds(shares, self.tested[0])

    def transfers(self) -> dict[str, MeanOverSeeds]:
        """Accuracy on the target by every way that uses the pre-trained weights and did not diverge."""
        heads = {"a linear head": self.probed("linear"), "nearest neighbours": self.probed("neighbours")}
        earlier = {} if isinstance(self.earlier, str) else {EARLIER: self.chosen_earlier(self.earlier)}
        tuned = {
            way_named(*key): self.target(each)
            for key, each in self.trainings().items()
            if key[0] != "scratch" and not diverged(each)
        }
        return heads | earlier | tuned

    def chosen_earlier(self, heads: list[Earlier]) -> MeanOverSeeds:
        """Accuracy on the target of each seed's chosen one."""
        return self._target([float(each.right[each.chosen].mean()) for each in heads])

    def at_layer(self, heads: list[Earlier], layer: str) -> MeanOverSeeds:
        """Accuracy on the target of the heads on this layer."""
        return self._target([float(each.right[layer].mean()) for each in heads])

    def others(self) -> dict[str, MeanOverSeeds]:
        """The same by the ways that do not use them."""
        scratch = {
            way_named(*key): self.target(each)
            for key, each in self.trainings().items()
            if key[0] == "scratch" and not diverged(each)
        }
        return {f"a linear head on {self.raw}": self.probed("pixels")} | scratch

    def sweep(self) -> pd.DataFrame:
        """A row for every training, and for the linear head of every seed."""
        heads = [("linear head", 0.0, each.seed, float(each.linear.mean()), self.source, 0.0) for each in self.probes]
        rows = [tuple(getattr(outcome, name) for name in COLUMNS) for outcome in self.outcomes]
        return pd.DataFrame(heads + rows, columns=list(COLUMNS))

    def foretold(self) -> dict[str, Any]:
        """The transfer scores, their null, and what they are about."""
        return {**self.scores, "parameters": self.parameters, "target": best(self.transfers())[1].mean}


def diverged(outcomes: Sequence[Outcome]) -> str:
    """Which seeds diverged and when, in words; empty where none did."""
    epochs = [each.diverged for each in outcomes if each.diverged is not None]
    of = f" in {len(epochs)} of {len(outcomes)} seeds" if len(outcomes) > 1 else ""
    return f"diverged at epoch {min(epochs)}{of}" if epochs else ""


def way_named(method: str, rate: float) -> str:
    """In words."""
    words = {"fine-tuned": "fine-tuning", "probed": "fine-tuning after a trained head", "scratch": "from scratch"}
    return f"{words[method]} at {rate:g}"


def best(ways: dict[str, MeanOverSeeds]) -> tuple[str, MeanOverSeeds]:
    """The way of the greatest mean."""
    return max(ways.items(), key=lambda way: way[1].mean)


def cuts_by_layers(cuts: list[Cut]) -> Iterator[tuple[int, dict[str, list[Cut]]]]:
    """The cuts of every number of layers, by kind."""
    for layers in sorted({cut.layers for cut in cuts}):
        kinds: dict[str, list[Cut]] = {}
        for cut in cuts:
            if cut.layers == layers:
                kinds.setdefault(cut.kind, []).append(cut)
        yield layers, kinds

"""What modes and freezing change: `mode_check` in `params.yaml`."""

from typing import Annotated, Literal

from pydantic import Field

from weighbridge.params.section import Count, Name, Section


class Shift(Section):
    """Pixel values (in 0..1) times `scale` plus `offset`, as a mistake in preprocessing or another camera would have it."""

    scale: float = 1.0
    offset: float = 0.0


class Frozen(Section):
    """New heads over a frozen network, for these models, by every meaning that freezing has had.

    Attributes:
        target: the new task, classes of the source renamed; empty: the source's own classes.
        samples: of the training images, and of the test images, at most.
        epochs: passes through the network for each head.
    """

    models: list[Name] = []
    target: dict[str, list[int]] = {}
    shifts: dict[Name, Shift] = {"none": Shift(), "times_16": Shift(scale=16.0)}
    samples: Annotated[int, Field(ge=4)] = 192
    batch_size: Annotated[int, Field(ge=2)] = 64
    epochs: Count = 2
    seeds: Annotated[list[int], Field(min_length=1)] = [0, 1]


class ModeCheck(Section):
    """What the passes through a model in its modes may cost.

    Attributes:
        models: which; null: all.
        samples: of the test images, at most.
        batch_size: in training mode the companions in a batch matter.
        batch_sizes: further sizes, each with mixed and with class-sorted batches; empty: batches are not looked at.
        repeats: passes whose spread is dropout's; 1: not, as one pass has no spread.
        black_batches: batches of black images passed in training mode before the accuracy is taken again; 0: not.
        behaviours: which situations of `stages.mode_check.behaviours` are tried: with `all` those with a training step too.
    """

    models: list[Name] | None = None
    samples: Count = 192
    batch_size: Annotated[int, Field(ge=2)] = 32
    batch_sizes: list[Annotated[int, Field(ge=2)]] = []
    repeats: Count = 2
    black_batches: Annotated[int, Field(ge=0)] = 5
    behaviours: Literal["none", "passes", "all"] = "passes"
    frozen: Frozen = Frozen()


CHECK = ModeCheck

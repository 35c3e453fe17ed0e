"""A second task: `transfer_check` in `params.yaml`."""

from typing import Annotated

from pydantic import Field, model_validator

from weighbridge.params.section import Count, Fraction, Name, Rate, Section


class Target(Section):
    """What is transferred to.

    Attributes:
        images: a folder with train/ and test/, one folder per class in each, or a Python file with `write_images(folder)`.
        prompts: a task file in that folder, of texts with a label, in place of class folders.
        classes: target classes, each a list of class folders (those not named are left out); null: each folder is a class.
    """

    images: str = "data/images"
    prompts: str | None = None
    classes: dict[str, Annotated[list[str], Field(min_length=1)]] | None = None

    @model_validator(mode="after")
    def _no_folder_is_in_two_classes(self) -> "Target":
        folders = [folder for group in (self.classes or {}).values() for folder in group]
        twice = sorted({folder for folder in folders if folders.count(folder) > 1})
        if twice:
            raise ValueError(f"class folders in more than one target class: {', '.join(twice)}")
        return self


class Transfer(Section):
    """A second task for these models.

    Attributes:
        samples, test_samples: of the target's images (and of the source's test images), at most.
        neighbours: of the k-NN on frozen features.
        earlier_layers: on so many layers before the last features a linear head is tried too. 0: not.
        learning_rates: fine-tuning everything; one training for each of them and each seed.
        probed_rates: the same after training the head alone, by Adam at `head_rate`.
        scratch_rates: the same architecture from random weights.
        cuts: at how many places AnB and BnB cut the network; each is five trainings a seed. 0: not.
        warmup: the share of the steps in which the learning rate first rises.
        few: of a target with fewer training images the advice for small ones is given.
    """

    models: list[Name] = []
    target: Target = Target()
    samples: Annotated[int, Field(ge=2)] = 400
    test_samples: Annotated[int, Field(ge=2)] = 540
    neighbours: Count = 5
    earlier_layers: Annotated[int, Field(ge=0)] = 3
    learning_rates: Annotated[list[Rate], Field(min_length=1)] = [0.001, 0.01, 0.1]
    probed_rates: list[Rate] = [0.001]
    head_rate: Rate = 0.01
    scratch_rates: list[Rate] = [0.05]
    cuts: Annotated[int, Field(ge=0)] = 0
    warmup: Fraction = 0.1
    momentum: Fraction = 0.9
    epochs: Count = 2
    batch_size: Annotated[int, Field(ge=2)] = 32
    seeds: Annotated[list[int], Field(min_length=1)] = [0]
    few: Count = 300

    @model_validator(mode="after")
    def _layers_need_a_base(self) -> "Transfer":
        if self.cuts and not self.scratch_rates:
            raise ValueError(
                "cuts needs scratch_rates: AnB is held against a network trained from scratch, at the first of them"
            )
        return self


CHECK = Transfer

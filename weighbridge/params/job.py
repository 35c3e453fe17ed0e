"""All that is asked at once: every section, and what sections say of one another."""

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import create_model, model_validator

from tracking.runs.test_sets import test_set_of
from weighbridge.params.checks import CHECKS, SECTIONS
from weighbridge.params.claims import Claims
from weighbridge.params.cluster import Cluster
from weighbridge.params.data import NO_IMAGES, Data
from weighbridge.params.downloads import Download
from weighbridge.params.imports import Import
from weighbridge.params.inference import Inference
from weighbridge.params.loading import Loading
from weighbridge.params.metrics import Metrics
from weighbridge.params.models import Model
from weighbridge.params.pretrain import Pretrain
from weighbridge.params.publish import Publish
from weighbridge.params.published_check import PublishedCheck
from weighbridge.params.recipes import AnyRecipe
from weighbridge.params.section import Count, Name, Section, nearest


class Subjects(Section):
    """What is looked at, and which checks look.

    Attributes:
        suite: the file that asks it.
        checks: the optional checks that run; accuracy, records, `published_check`, report and publishing always do.
        jobs: how many stages run at once, which moves no number; null: what cores and memory carry, one where there is a GPU.
        executor: where stages of single models run: here, or on the Ray cluster of `cluster`.
        test_sets: in place of `data`, where there are several; `model+set` is a model on one of them (`params.test_sets`).
    """

    suite: str | None = None
    checks: list[Name] = list(CHECKS)
    jobs: Count | None = None
    executor: Literal["local", "ray"] = "local"
    cluster: Cluster = Cluster()
    data: Data = Data()
    test_sets: dict[Name, Data] = {}
    recipes: dict[Name, AnyRecipe] = {}
    loading: Loading = Loading()
    inference: Inference = Inference()
    pretrain: dict[Name, Pretrain] = {}
    downloads: dict[Name, Download] = {}
    models: dict[Name, Model] = {}
    imports: dict[Name, Import] = {}
    metrics: Metrics = Metrics()
    claims: Claims = Claims()


if TYPE_CHECKING:
    from weighbridge.params.backend_parity import Parity
    from weighbridge.params.mode_check import ModeCheck
    from weighbridge.params.preprocess_check import PreprocessCheck
    from weighbridge.params.transfer_check import Transfer

    class Checked(Subjects):
        """`Subjects`, then the section of every optional check; these are spoken of by name."""

        backend_parity: dict[Name, Parity]
        mode_check: ModeCheck
        preprocess_check: PreprocessCheck
        transfer_check: Transfer

else:
    Checked = create_model("Checked", __base__=Subjects, **{name: (kind, kind()) for name, kind in SECTIONS.items()})


class Job(Checked):
    """What is asked, completed with every default."""

    published_check: PublishedCheck = PublishedCheck()
    publish: Publish = Publish()

    @property
    def run_names(self) -> tuple[str, ...]:
        """The subject of every run: the models, then the imported predictions."""
        return (*self.models, *self.imports)

    @model_validator(mode="after")
    def _a_cluster_has_a_store(self) -> "Job":
        if self.executor == "ray" and self.cluster.store is None:
            raise ValueError(
                "cluster.store: name a folder that this machine and all nodes reach, such as s3://bucket/folder"
            )
        return self

    @model_validator(mode="after")
    def _models_have_something_to_see(self) -> "Job":
        for where, data in self._seen():
            if data.source == NO_IMAGES:
                raise ValueError(
                    f"{where}.source: models need images or texts: name a folder, or a file with `write_images(folder)`"
                )
            if data.classes < 2 and data.task == "classes":
                raise ValueError(f"{where}.classes: of one class every model is right: at least two are needed")
        return self

    def _seen(self) -> Iterator[tuple[str, Data]]:
        """The data of the models; a test set that is not there is named by `_references`."""
        asked = dict.fromkeys(test_set_of(name) for name in self.models)
        if None in asked:
            yield "data", self.data
        yield from ((f"test_sets.{name}", self.test_sets[name]) for name in asked if name in self.test_sets)

    @model_validator(mode="after")
    def _recipes_are_of_the_same_set(self) -> "Job":
        for name, model in self.models.items():
            if test_set_of(model.recipe) != test_set_of(name):
                raise ValueError(f"models.{name}.recipe: {model.recipe!r} prepares the images of another test set")
        return self

    @model_validator(mode="after")
    def _layers_are_kept_for_pairs(self) -> "Job":
        if self.backend_parity and "backend_parity" in self.checks and "layers" not in self.checks:
            raise ValueError("checks: backend_parity compares layer by layer: add layers, or leave it out")
        return self

    @model_validator(mode="after")
    def _subjects_are_unique(self) -> "Job":
        if twice := self.models.keys() & self.imports.keys():
            raise ValueError(f"imports: {', '.join(sorted(twice))} is a model's name too")
        return self

    @model_validator(mode="after")
    def _folders_are_apart(self) -> "Job":
        if both := sorted(self.downloads.keys() & self.pretrain.keys()):
            raise ValueError(f"downloads.{both[0]} and pretrain.{both[0]} would write the same folder: rename one")
        return self

    @model_validator(mode="after")
    def _frozen_models_are_asked(self) -> "Job":
        asked, frozen = self.mode_check.models, self.mode_check.frozen.models
        if asked is not None and (left := [name for name in frozen if name not in asked]):
            raise ValueError(
                f"mode_check.frozen.models: {left[0]} is not among mode_check.models; take it out of one or into both"
            )
        return self

    @model_validator(mode="after")
    def _names_exist(self) -> "Job":
        for where, name, known in self._references():
            if name not in known:
                raise ValueError(f"{where}: there is no {name!r}{nearest(name, known)}")
        return self

    def _references(self) -> Iterator[tuple[str, str, Collection[str]]]:
        sections: dict[str, Mapping[str, Model | Pretrain]] = {"models": self.models, "pretrain": self.pretrain}
        for section, named in (("models", self.models), ("recipes", self.recipes)):
            on_sets = ((key, test_set) for key in named if (test_set := test_set_of(key)) is not None)
            yield from ((f"{section}.{key}", test_set, self.test_sets) for key, test_set in on_sets)
        for section, networks in sections.items():
            for key, network in networks.items():
                yield f"{section}.{key}.recipe", network.recipe, self.recipes
        for where, name in (each for check in CHECKS for each in self._models_of(check)):
            yield where, name, self.models
        yield from self._asked_of_the_suite()

    def _models_of(self, check: str) -> Iterator[tuple[str, str]]:
        """Every model that the section of a check names, after the place where it does."""
        section = getattr(self, check)
        if isinstance(section, Mapping):
            for key, entry in section.items():
                named = (role for role in ("model", "reference", "candidate") if hasattr(entry, role))
                yield from ((f"{check}.{key}.{role}", getattr(entry, role)) for role in named)
            return
        yield from ((f"{check}.models", name) for name in getattr(section, "models", None) or ())
        if check == "mode_check":
            yield from ((f"{check}.frozen.models", name) for name in section.frozen.models)

    def _asked_of_the_suite(self) -> Iterator[tuple[str, str, Collection[str]]]:
        asked = self.published_check
        for key, compared in asked.pairs.items():
            yield f"published_check.pairs.{key}.reference", compared.reference, self.run_names
            yield f"published_check.pairs.{key}.candidate", compared.candidate, self.run_names
        for key, statement in asked.statements.items():
            for pair in statement.pairs:
                yield f"published_check.statements.{key}.pairs", pair, asked.pairs
            for name in statement.runs:
                yield f"published_check.statements.{key}.runs", name, self.run_names
        for name in asked.known:
            yield "published_check.known", name, self.run_names

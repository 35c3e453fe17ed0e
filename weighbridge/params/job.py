"""All that is asked at once: every section, and what sections say of one another."""

from collections.abc import Collection, Iterator, Mapping
from typing import get_args

from pydantic import model_validator

from weighbridge.params.backend_check import BackendCheck
from weighbridge.params.backend_parity import Parity
from weighbridge.params.claims import Claims
from weighbridge.params.data import NO_IMAGES, Data
from weighbridge.params.downloads import Download
from weighbridge.params.fingerprint import Fingerprint
from weighbridge.params.imports import Import
from weighbridge.params.inference import Inference
from weighbridge.params.isolation_check import IsolationCheck
from weighbridge.params.layers import Layers
from weighbridge.params.mode_check import ModeCheck
from weighbridge.params.models import Model
from weighbridge.params.pipeline import Check
from weighbridge.params.preprocess_check import PreprocessCheck
from weighbridge.params.pretrain import Pretrain
from weighbridge.params.publish import Publish
from weighbridge.params.published_check import PublishedCheck
from weighbridge.params.recipes import AnyRecipe
from weighbridge.params.section import Name, Section, nearest
from weighbridge.params.transfer_check import Transfer


class Job(Section):
    """What is asked, completed with every default.

    Attributes:
        suite: the file that asks it.
        checks: the optional checks that run; accuracy, records, `published_check`, report and publishing always do.
    """

    suite: str | None = None
    checks: list[Check] = list(get_args(Check))
    data: Data = Data()
    recipes: dict[Name, AnyRecipe] = {}
    inference: Inference = Inference()
    pretrain: dict[Name, Pretrain] = {}
    downloads: dict[Name, Download] = {}
    models: dict[Name, Model] = {}
    imports: dict[Name, Import] = {}
    claims: Claims = Claims()
    layers: Layers = Layers()
    backend_parity: dict[Name, Parity] = {}
    backend_check: dict[Name, BackendCheck] = {}
    mode_check: ModeCheck = ModeCheck()
    isolation_check: IsolationCheck = IsolationCheck()
    transfer_check: Transfer = Transfer()
    preprocess_check: PreprocessCheck = PreprocessCheck()
    fingerprint: dict[Name, Fingerprint] = {}
    published_check: PublishedCheck = PublishedCheck()
    publish: Publish = Publish()

    @property
    def run_names(self) -> tuple[str, ...]:
        """The subject of every run: the models, then the imported predictions."""
        return (*self.models, *self.imports)

    @model_validator(mode="after")
    def _models_have_something_to_see(self) -> "Job":
        if self.models and self.data.source == NO_IMAGES:
            raise ValueError(
                "data.source: models need images or texts: name a folder, or a file with `write_images(folder)`"
            )
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
        for section, networks in sections.items():
            for key, network in networks.items():
                yield f"{section}.{key}.recipe", network.recipe, self.recipes
        for key, pair in self.backend_parity.items():
            yield f"backend_parity.{key}.reference", pair.reference, self.models
            yield f"backend_parity.{key}.candidate", pair.candidate, self.models
        for key, timed in self.backend_check.items():
            yield f"backend_check.{key}.model", timed.model, self.models
        for key, asked in self.fingerprint.items():
            yield f"fingerprint.{key}.model", asked.model, self.models
        chosen = {
            "mode_check.models": self.mode_check.models,
            "mode_check.frozen.models": self.mode_check.frozen.models,
            "transfer_check.models": self.transfer_check.models,
            "isolation_check.models": self.isolation_check.models,
            "preprocess_check.models": self.preprocess_check.models,
        }
        yield from ((where, name, self.models) for where, names in chosen.items() for name in names or ())
        yield from self._asked_of_the_suite()

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

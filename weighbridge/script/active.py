"""The runs that a script has open in MLflow, Comet and W&B. Each is found through `sys.modules`: nothing is imported."""

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tracking.foreign.flat_run import CONDITIONS
from tracking.runs.errors import UserError
from tracking.runs.run import Scalar
from tracking.trackers import flat_text, one_line

SCHEMA = "1"


class Active(Protocol):
    """A run that is open somewhere."""

    @property
    def address(self) -> str: ...

    def log_params(self, values: Mapping[str, Scalar]) -> None:
        """Add parameters, and the mark that conditions are among them."""
        ...

    def log_metrics(self, values: Mapping[str, float], step: int | None) -> None: ...


def active_trackers(modules: Mapping[str, Any] | None = None) -> Sequence[Active]:
    """Every run that is open in this process."""
    modules = sys.modules if modules is None else modules
    found = (opened(modules[name]) for name, opened in OPENED.items() if name in modules)
    return [each for each in found if each is not None]


@dataclass(frozen=True)
class MLflowRun:
    """The active run of MLflow's fluent interface."""

    run_id: str
    client: Any
    LONGEST = 6000
    BATCH = 100

    @property
    def address(self) -> str:
        return f"mlflow:{self.run_id}"

    def log_params(self, values: Mapping[str, Scalar]) -> None:
        entities = importlib.import_module("mlflow.entities")
        texts = [entities.Param(name, text) for name, text in flat_text(values, self.LONGEST).items()]
        for start in range(0, len(texts), self.BATCH):
            _asked("MLflow", self.client.log_batch, self.run_id, params=texts[start : start + self.BATCH])
        _asked("MLflow", self.client.set_tag, self.run_id, CONDITIONS, SCHEMA)

    def log_metrics(self, values: Mapping[str, float], step: int | None) -> None:
        import time

        entities, now_ms = importlib.import_module("mlflow.entities"), int(1000 * time.time())
        rows = [entities.Metric(name, value, now_ms, step or 0) for name, value in values.items()]
        _asked("MLflow", self.client.log_batch, self.run_id, metrics=rows)


@dataclass(frozen=True)
class CometExperiment:
    """The running experiment of Comet, online or offline."""

    experiment: Any
    LONGEST = 1000

    @property
    def address(self) -> str:
        return f"comet:{self.experiment.get_key()}"

    def log_params(self, values: Mapping[str, Scalar]) -> None:
        self.experiment.log_parameters(flat_text(values, self.LONGEST))
        self.experiment.log_other(CONDITIONS, SCHEMA)

    def log_metrics(self, values: Mapping[str, float], step: int | None) -> None:
        self.experiment.log_metrics(dict(values), step=step)


@dataclass(frozen=True)
class WandbRun:
    """The run of W&B, online or offline."""

    run: Any

    @property
    def address(self) -> str:
        return f"wandb:{self.run.id}"

    def log_params(self, values: Mapping[str, Scalar]) -> None:
        self.run.config.update({**values, CONDITIONS: SCHEMA}, allow_val_change=True)

    def log_metrics(self, values: Mapping[str, float], step: int | None) -> None:
        self.run.log(dict(values), step=step)


def _mlflow(module: Any) -> Active | None:
    run = module.active_run()
    return MLflowRun(run.info.run_id, module.MlflowClient()) if run else None


def _comet(module: Any) -> Active | None:
    asked = getattr(module, "get_running_experiment", None) or module.get_global_experiment
    experiment = asked()
    return CometExperiment(experiment) if experiment is not None else None


def _wandb(module: Any) -> Active | None:
    return WandbRun(module.run) if getattr(module, "run", None) is not None else None


OPENED: Mapping[str, Callable[[Any], Active | None]] = {"mlflow": _mlflow, "comet_ml": _comet, "wandb": _wandb}


def _asked(tracker: str, call: Callable[..., Any], *arguments: Any, **named: Any) -> None:
    try:
        call(*arguments, **named)
    except Exception as problem:
        if type(problem).__module__.startswith(("mlflow", "requests")) or isinstance(problem, OSError):
            raise UserError(f"{tracker}: {one_line(problem)}") from problem
        raise

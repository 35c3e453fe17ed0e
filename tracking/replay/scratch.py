"""One run's folder: its params, links to its inputs, and the stages' processes that run in it."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracking.capture.variables import READ_BY, variables
from tracking.replay.conditions import BESIDE, Conditions, nested
from tracking.replay.dvc_store import locate
from tracking.replay.elsewhere import Asked, Elsewhere
from tracking.replay.errors import RefusedError, StoppedError, UnavailableError
from tracking.replay.flags import flags_in, launcher
from tracking.replay.processes import SECONDS, TooLongError, allowed, run
from tracking.runs.secrets import redact
from tracking.runs.writing import write_json

KEY = "replayed"  # of model and recipe in the params written here
IMAGES, MANIFEST = Path("data/images"), Path("data/manifest.csv")
PARTIAL = Path("data/partial")  # where stages keep what they have computed so far
OUT_OF_RESOURCES = (  # what a process says last when the machine, not the conditions, ended it
    "No space left on device",
    "MemoryError",
    "annot allocate memory",
    "can't allocate memory",
    "Too many open files",
)


@dataclass(frozen=True)
class Scratch:
    """A folder in which stages run under stated conditions.

    Attributes:
        conditions: those to be set.
        folder: an empty one, for this run alone.
        root: the project's folder.
        code: the folder whose stages run.
        architecture: of the model, with the place of its file where it has one.
        python: the interpreter.
        seconds: each process is ended when it has run so long.
        elsewhere: runs what predicts on other machines.
    """

    conditions: Conditions
    folder: Path
    root: Path
    code: Path
    architecture: str
    python: Path
    seconds: float = SECONDS
    elsewhere: Elsewhere | None = None

    def go_on_in(self, kept: Path) -> None:
        """Have stages keep in that folder what they have computed so far, and go on from what is there."""
        kept.mkdir(parents=True, exist_ok=True)
        (self.folder / PARTIAL.parent).mkdir(exist_ok=True)
        (self.folder / PARTIAL).symlink_to(kept)

    def preprocess(self, prepared: Path) -> None:
        """Prepare the samples into the folder `prepared`."""
        images, manifest = (self._input(name) for name in (IMAGES, MANIFEST))
        self._start("preprocess", images=images, manifest=manifest, recipe=KEY, prepared=prepared, conditions="")

    def infer(self, samples: Path, predictions: Path) -> None:
        """Predict prepared samples into the folder `predictions`."""
        values = {"model": KEY, "samples": samples, "weights": self._weights(), "predictions": predictions}
        self._start("infer", **values, images=self._input(IMAGES), conditions="", canaries="")

    def canaries(self, samples: Path, written: Path) -> None:
        """Write what a run keeps of every step and layer to the file `written`."""
        values = {"model": KEY, "images": self._input(IMAGES), "samples": samples, "weights": self._weights()}
        if "layers" in self._pipeline():
            self._start("layers", **values, outputs=self.folder / "outputs", canaries=written, conditions="")
        else:  # code from before there was one stage for both
            self._start("canaries", **values, written=written)

    def _weights(self) -> Path:
        """The weights file, with the files that are read with it beside it."""
        working = Path(str(self._model()["weights"]))
        found = self._input(working)
        names = {name: name.removeprefix(BESIDE) for name in self.conditions if name.startswith(BESIDE)}
        if any(Path(name).name != name for name in names.values()):
            raise UnavailableError(f"{working}: the run names a file elsewhere that is read with it")
        beside = [
            locate(str(self.conditions[condition]), working.with_name(name), self.root, self.folder / BESIDE / name)
            for condition, name in names.items()
        ]
        if all(each.parent == found.parent for each in beside):
            return found
        together = self.folder / "weights"
        together.mkdir(exist_ok=True)
        for each in (found, *beside):
            (together / each.name).unlink(missing_ok=True)
            (together / each.name).symlink_to(each.resolve())
        return together / found.name

    def _input(self, working: Path) -> Path:
        role = {IMAGES: "input.images", MANIFEST: "input.manifest"}.get(working, "input.weights")
        md5 = self.conditions.get(role)
        if md5 is None:
            raise UnavailableError(f"{working}: the run did not record its hash")
        if (linked := self.folder / role / working.name).exists():
            return linked  # for the stage before
        return locate(str(md5), working, self.root, self.folder / role)

    # ---- params

    def write_params(self) -> None:
        """Write the params of the code that runs, with the recorded model, recipe, inference and data in their places."""
        write_json(self.folder / "params.yaml", self._params())

    def _params(self) -> dict[str, Any]:
        params = _yaml(self.code / "params.yaml")
        model = {**self._model(), "recipe": KEY}
        steps: dict[str, Any] = next((each for each in params["recipes"].values() if "decode" in each), {})
        recipe = nested(self.conditions, "param.recipe.")
        if "tokenizer" in recipe:
            recipe["tokenizer"] = str(self.root / recipe["tokenizer"])
        return {
            **params,
            "data": self._data(params),
            "inference": _filled(nested(self.conditions, "param.inference."), params["inference"]),
            "recipes": {**params["recipes"], KEY: recipe if "tokenizer" in recipe else _filled(recipe, steps)},
            "models": {**params["models"], KEY: self._absolute(model, params)},
        }

    def _data(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The data section; its source, where images may lie that were not copied, is named from here."""
        data = {**params["data"], "texts": None, **nested(self.conditions, "param.data.")}
        return {**data, "source": str(self.root / data.get("source", ""))}

    def _model(self) -> dict[str, Any]:
        return nested(self.conditions, "param.model.")

    def _absolute(self, model: dict[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
        """The model as params have it; what it names by a path is named from here."""
        keys: dict[str, Any] = next(iter(params["models"].values()), {})
        filled = {"arguments": {}, **_filled(model, keys), "claim": None, "architecture": self.architecture}
        filled["arguments"] = filled["arguments"] or {}
        return filled

    # ---- processes

    def _start(self, stage: str, **values: Any) -> None:
        """Start the stage as its entry in ``dvc.yaml`` does, with these values for its arguments."""
        arguments = self._arguments(stage, values)
        flags = flags_in(self.conditions)
        launched = flags and stage != "preprocess"
        command = ["-c", launcher(stage, flags), json.dumps(flags)] if launched else ["-m", f"stages.{stage}"]
        words = [str(self.python), *command, *(str(word) for pair in arguments for word in pair)]
        try:
            ended = self._elsewhere(stage, command, arguments)
            ended = ended or run(words, self._environ(), self.folder, self.seconds)
        except TooLongError:
            raise StoppedError(
                f"{stage} was ended after {self.seconds:,.0f} s; --timeout SECONDS allows it more"
            ) from None
        if ended.returncode != 0:
            raise _failure(stage, ended)

    def _elsewhere(
        self, stage: str, command: Sequence[str], arguments: Sequence[tuple[str, Any]]
    ) -> subprocess.CompletedProcess[str] | None:
        """How it ended on another machine; None: it has to run here, as it does in an environment that was made here."""
        if self.elsewhere is None or stage == "preprocess" or self.python != Path(sys.executable):
            return None
        weights = next((Path(value) for flag, value in arguments if flag == "--weights"), Path())
        names = [name.removeprefix(BESIDE) for name in self.conditions if name.startswith(BESIDE)]
        beside = [weights.with_name(name) for name in names]
        threads = self.conditions.get("param.inference.threads")
        params, variables = self.folder / "params.yaml", self._variables()
        threads = int(threads) if threads is not None else None
        return self.elsewhere.run(Asked(stage, self.code, command, arguments, beside, variables, params, threads))

    def _arguments(self, stage: str, values: Mapping[str, Any]) -> list[tuple[str, Any]]:
        stages = self._pipeline()
        if stage not in stages:
            raise UnavailableError(f"code: its dvc.yaml has no stage {stage}")
        entry = stages[stage]
        words = shlex.split(entry.get("do", entry)["cmd"])
        names = [word.removeprefix("--") for word in words if word.startswith("--")]
        if unknown := [name for name in names if name not in values]:
            raise UnavailableError(f"code: its {stage} takes --{unknown[0]}, which a replay does not know")
        return [(f"--{name}", values[name]) for name in names]

    def _pipeline(self) -> dict[str, Any]:
        return dict(_yaml(self.code / "dvc.yaml")["stages"])

    def _environ(self) -> dict[str, str]:
        seen = variables(os.environ, READ_BY)
        own = {name: value for name, value in allowed(os.environ).items() if f"variable.{name}" not in seen}
        return {**own, **self._variables(), "PYTHONPATH": str(self.code), "PYTHONDONTWRITEBYTECODE": "1"}

    def _variables(self) -> dict[str, str]:
        wanted = {
            name.removeprefix("variable."): str(value)
            for name, value in self.conditions.items()
            if name.startswith("variable.")
        }
        if unknown := set(wanted) - {name.removeprefix("variable.") for name in variables(wanted, READ_BY)}:
            raise UnavailableError(f"variable.{min(unknown)}: is none that Weighbridge records")
        if "LD_PRELOAD" in wanted:
            raise UnavailableError("variable.LD_PRELOAD: only the names of its files were recorded")
        return wanted


def canary_settings(code: Path) -> str:
    """What the params of this code say of canaries, as text: sizes and numbers that are no conditions of a run."""
    params = _yaml(code / "params.yaml")
    return json.dumps({name: params.get(name) for name in ("layers", "canaries")}, sort_keys=True)


def _yaml(path: Path) -> dict[str, Any]:
    from ruamel.yaml import YAML

    return dict(YAML(typ="safe").load(path.read_text(encoding="utf-8")))


def _failure(stage: str, ended: subprocess.CompletedProcess[str]) -> RefusedError | StoppedError:
    """What a process's last line says of why it ended."""
    last = redact((ended.stderr.strip() or f"{stage} ended with {ended.returncode}").splitlines()[-1])
    if ended.returncode < 0:
        return StoppedError(f"{stage} was stopped by signal {-ended.returncode}; run this again, perhaps with --jobs 1")
    if any(words in last for words in OUT_OF_RESOURCES):
        return StoppedError(f"{stage}: {last}; make room and run this again")
    return RefusedError(last)


def _filled(values: Mapping[str, Any], pattern: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with null for each key that only `pattern` has: flat conditions leave nulls out."""
    return {**dict.fromkeys(pattern), **values}

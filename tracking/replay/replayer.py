"""Running a recorded model again under stated conditions: as processes, in a scratch folder, each answer kept.

The interface, for everything that runs something again (`explain`, `verify`, and what is to come):

| | |
|---|---|
| `settable(run.conditions)` | the part of a run's flat conditions that can be set; change, add or delete entries at will |
| `Replayer(root).replay(conditions)` | the `Outcome` under these conditions: from `data/hybrids`, else run now |
| `Replayer(root).replay(conditions, repeat=1)` | once more, kept apart: what differs between repeats is nobody's doing |
| `NotHereError`, `RefusedError` | it cannot be run here, and why; it ran and a stage refused it |

How each condition is set:

| condition | how |
|---|---|
| ``param.*`` | a ``params.yaml`` in the scratch folder: the project's own with the one model and its recipe added |
| ``variable.*`` | environment variables of the new process; every other one that Weighbridge records is unset |
| ``package.*`` | an environment that differs in these packages only (`tracking.replay.environments`) |
| ``input.weights``, ``.images``, ``.manifest`` | by DVC's hash, here or in its cache (`tracking.replay.dvc_store`) |
| ``code.*``, ``input.code/*`` | the project's own files where their hashes fit, else a git worktree (`Replayer.code`) |
| ``torch.*`` of `FLAGS` | set in the new process before the stage starts |

Prepared samples are kept too (`data/hybrids/prepared`), by the conditions that could change them. The whole folder can be
deleted at any time; it only costs the runs again.
"""

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from tracking.capture.environment import RUNTIMES, capture
from tracking.capture.variables import READ_BY, variables
from tracking.replay.dvc_store import NotHereError, content_hash, hold
from tracking.replay.environments import KNOWN, others, python_with
from tracking.runs.errors import UserError
from tracking.runs.outcomes import Outcome
from tracking.runs.run import Scalar, kept_change
from tracking.runs.secrets import HIDDEN, redact

Conditions = Mapping[str, Scalar]
KEY = "replayed"  # of model and recipe in the params written here
IMAGES, MANIFEST = Path("data/images"), Path("data/manifest.csv")
CODE = "input.code/"
TOKENIZER = "recipe.tokenizer.sha256"
NAMED = ("code.commit", "code.patch")  # names of what the hashes in `CODE` say
INPUTS = ("input.weights", "input.images", "input.manifest", "input.factory")
READ = (
    "model.",
    "recipe.",
    "inference.",
    "data.classes",
    "data.texts",
)  # the params that `preprocess` and `infer` read
NAMES = (
    "model.recipe",
    "model.claim.top1",
    "model.claim.top5",
    "model.claim.source",
)  # of them, those that change nothing

# Settings that can be made in a process before a stage starts: how, given the value `v`. Their names are those of
# `tracking.capture.process_settings`. In this order: the first of the precisions set those after them too.
FLAGS: Mapping[str, str] = {
    "torch.mkldnn": "torch.backends.mkldnn.enabled = v",
    "torch.mkldnn.deterministic": "torch.backends.mkldnn.deterministic = v",
    "torch.matmul_precision": "torch.set_float32_matmul_precision(v)",
    "torch.cudnn.allow_tf32": "torch.backends.cudnn.allow_tf32 = v",
    "torch.allow_tf32": "torch.backends.cuda.matmul.allow_tf32 = v",
    "torch.fp32_precision.matmul": "torch.backends.cuda.matmul.fp32_precision = v",
    "torch.fp32_precision.cudnn.conv": "torch.backends.cudnn.conv.fp32_precision = v",
    "torch.fp32_precision.mkldnn.matmul": "torch.backends.mkldnn.matmul.fp32_precision = v",
    "torch.fp32_precision.mkldnn.conv": "torch.backends.mkldnn.conv.fp32_precision = v",
    "torch.default_dtype": "torch.set_default_dtype(getattr(torch, v.removeprefix('torch.')))",
    "torch.deterministic": "torch.use_deterministic_algorithms(v)",
    "torch.cudnn": "torch.backends.cudnn.enabled = v",
    "torch.cudnn.benchmark": "torch.backends.cudnn.benchmark = v",
    "torch.cudnn.deterministic": "torch.backends.cudnn.deterministic = v",
    "torch.sdp.flash": "torch.backends.cuda.enable_flash_sdp(v)",
    "torch.sdp.memory_efficient": "torch.backends.cuda.enable_mem_efficient_sdp(v)",
    "torch.sdp.math": "torch.backends.cuda.enable_math_sdp(v)",
    "torch.mha_fastpath": "torch.backends.mha.set_fastpath_enabled(v)",
    "torch.nnpack": "torch.backends.nnpack.set_flags(v)",
    "torch.autocast.cpu": "torch.set_autocast_enabled('cpu', v)",
    "torch.autocast.cpu.dtype": "torch.set_autocast_dtype('cpu', getattr(torch, v.removeprefix('torch.')))",
    "torch.autocast.cuda": "torch.set_autocast_enabled('cuda', v)",
    "torch.autocast.cuda.dtype": "torch.set_autocast_dtype('cuda', getattr(torch, v.removeprefix('torch.')))",
    "numerics.flush_to_zero": "torch.set_flush_denormal(v)",
    "tensorflow.allow_tf32": "tensorflow.config.experimental.enable_tensor_float_32_execution(v)",
    "tensorflow.deterministic": "v and tensorflow.config.experimental.enable_op_determinism()",
    "tensorflow.jit": "tensorflow.config.optimizer.set_jit(v)",
    "jax.x64": "jax.config.update('jax_enable_x64', v)",
    "jax.matmul_precision": "jax.config.update('jax_default_matmul_precision', v)",
}


AT_ITS_END = (
    "No space left on device",
    "MemoryError",
    "annot allocate memory",
    "can't allocate memory",
    "Too many open files",
)


class RefusedError(UserError):
    """A stage would not run under these conditions: they contradict one another, or it failed."""


class StoppedError(UserError):
    """A stage's process was killed, or had no memory or disk: run again it may well run."""


def settable(conditions: Conditions) -> dict[str, Scalar]:
    """The conditions that a replay sets, of a run's. Flags are left as they come: add those that matter."""
    return {name: value for name, value in sorted(conditions.items()) if _is_settable(name)}


def _is_settable(name: str) -> bool:
    head, _, rest = name.partition(".")
    if head == "package":
        return rest in KNOWN
    if head == "param":
        return rest.startswith(READ) and rest not in NAMES
    return head == "variable" or name in (*INPUTS, *NAMED, TOKENIZER) or name.startswith(CODE)


def digest(conditions: Conditions) -> str:
    """64 hexadecimal digits that name these conditions on any machine."""
    return hashlib.sha256(json.dumps(dict(conditions), sort_keys=True, allow_nan=False).encode()).hexdigest()


class Replayer:
    """Runs models again, and keeps what they gave under `folder`.

    Args:
        root: the project's folder.
        folder: where environments, code and answers are kept; `data/hybrids` by default.
        answers: where answers are kept instead: an empty folder has everything run anew.
        trusted: also run programs that conditions name outside this repository: a user's architecture, a torch program.
        say: called with a line on what is being done.
    """

    def __init__(
        self,
        root: Path = Path(),
        folder: Path | None = None,
        answers: Path | None = None,
        say: Callable[[str], None] = lambda _: None,
        *,
        trusted: bool = False,
    ) -> None:
        self.root = root.resolve()
        self.folder = (folder or root / "data/hybrids").resolve()
        self.answers = (answers or self.folder).resolve()
        self.say = say
        self.trusted = trusted
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()
        self._here: dict[str, str] = {}

    def replay(self, conditions: Conditions, repeat: int = 0) -> Outcome:
        """The outcome under these conditions. Safe to call from several threads.

        Raises:
            NotHereError: something that the conditions name cannot be had here.
            RefusedError: a stage refused to run so.
            StoppedError: a process was killed, or the machine was at its end: that says nothing about the conditions.
        """
        place = self._place(conditions, repeat)
        with self._lock(str(place)):
            if not (place / "conditions.json").is_file():
                self._run(conditions, place)
        return _as_set(_load(place), conditions)

    def canaries(self, conditions: Conditions) -> tuple[str, ...]:
        """What a run under these conditions keeps of every step and layer (`tracking.runs.canaries`); raises as `replay`."""
        place = self._place(conditions, 0) / "canaries.json"
        with self._lock(str(place)):
            if not place.is_file():
                with self._scratch(conditions) as scratch:
                    scratch.canaries(self._prepared(scratch), made := scratch.folder / "canaries.json")
                    place.parent.mkdir(parents=True, exist_ok=True)
                    made.rename(place)
        return tuple(json.loads(place.read_text(encoding="utf-8")))

    def known_canaries(self, conditions: Conditions) -> bool:
        """Whether `canaries` would answer without running anything."""
        return (self._place(conditions, 0) / "canaries.json").is_file()

    def known(self, conditions: Conditions, repeat: int = 0) -> bool:
        """Whether `replay` would answer without running anything."""
        return (self._place(conditions, repeat) / "conditions.json").is_file()

    def scores(self, conditions: Conditions, repeat: int = 0) -> np.ndarray:
        """The scores of an outcome that is `known`: float32, shape (samples, classes), memory-mapped."""
        return np.asarray(np.load(self._place(conditions, repeat) / "scores.npy", mmap_mode="r", allow_pickle=False))

    # ---- names of what is kept

    def _place(self, conditions: Conditions, repeat: int) -> Path:
        key = digest({**_identity(conditions), "here": self._this_machine(conditions)})
        return self.answers / "outcomes" / f"{key[:32]}-{repeat}"

    def _this_machine(self, conditions: Conditions) -> str:
        """A digest of what conditions do not set: processor, operating system, the packages installed here."""
        runtime = f"{conditions.get('param.model.framework')}-{conditions.get('param.model.backend')}"
        with self._lock("here"):
            if runtime not in self._here:
                found = capture(runtime if runtime in RUNTIMES else "images").facts
                facts = {**capture("images").facts, **found}
                own = {name: value for name, value in facts.items() if not name.startswith("variable.")}
                self._here[runtime] = digest(own)
        return self._here[runtime]

    def _lock(self, key: str) -> threading.Lock:
        with self._guard:
            return self._locks.setdefault(key, threading.Lock())

    # ---- running

    def _run(self, conditions: Conditions, place: Path) -> None:
        with self._scratch(conditions) as scratch:
            scratch.infer(self._prepared(scratch), made := scratch.folder / "predictions")
            shutil.rmtree(place, ignore_errors=True)
            place.parent.mkdir(parents=True, exist_ok=True)
            made.rename(place)
        _write(place / "conditions.json", dict(conditions))

    @contextmanager
    def _scratch(self, conditions: Conditions) -> Iterator["Scratch"]:
        if "param.model.weights" not in conditions:
            raise NotHereError("these predictions were not made by a model of this pipeline: nothing can run again")
        hidden = next((name for name, value in conditions.items() if HIDDEN in str(value)), None)
        if hidden:
            raise NotHereError(f"{hidden}: its value was taken out when it was recorded, as a secret")
        self.answers.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.answers, prefix="scratch-") as made:
            yield Scratch(self, conditions, Path(made))

    def _prepared(self, scratch: "Scratch") -> Path:
        """The samples, prepared once for all conditions that cannot change them."""
        model = ("param.model.", "param.inference.", "input.weights")
        kept = {name: value for name, value in _identity(scratch.conditions).items() if not name.startswith(model)}
        kept["here"] = self._this_machine(scratch.conditions)
        place = self.answers / "prepared" / digest(kept)[:32]
        with self._lock(str(place)):
            if not place.is_dir():
                made = scratch.folder / "prepared"
                scratch.preprocess(made)
                place.parent.mkdir(parents=True, exist_ok=True)
                made.rename(place)
        return place

    # ---- what conditions name

    def code(self, conditions: Conditions) -> Path:
        """The folder whose code is the recorded one: the project's own, else a worktree of the commit, with the changes
        that `record` kept where it was dirty.

        Raises:
            NotHereError: neither has the files that were recorded.
        """
        wanted = {name.removeprefix(CODE): str(value) for name, value in conditions.items() if name.startswith(CODE)}
        if not _differing(self.root, wanted):
            return self.root
        commit = str(conditions.get("code.commit") or "")
        if not re.fullmatch("[0-9a-f]{40,64}", commit):
            raise NotHereError(
                f"code: {_differing(self.root, wanted)[0]} is another one here, and no commit was recorded"
            )
        changes = str(conditions.get("code.patch") or "")
        place = self._worktree(self._kept(changes) or commit)
        if changed := _differing(place, wanted):
            raise NotHereError(f"code: {changed[0]} had uncommitted changes at {commit[:12]}, which are not here")
        return place

    def _kept(self, changes: str) -> str | None:
        """The commit in which `record` kept these uncommitted changes, where it is in this repository."""
        from git import GitError, Repo

        if not re.fullmatch("[0-9a-f]{64}", changes):
            return None
        try:
            found = Repo(self.root, search_parent_directories=True).git.rev_parse("--verify", kept_change(changes))
        except GitError:
            return None
        return str(found)

    def _worktree(self, commit: str) -> Path:
        from git import GitCommandError, InvalidGitRepositoryError, Repo

        place = self.folder / "code" / commit[:16]
        with self._lock(str(place)):
            if not (place / ".git").exists():
                shutil.rmtree(place, ignore_errors=True)
                try:
                    repo = Repo(self.root, search_parent_directories=True)
                    repo.git.worktree("prune")
                    repo.git.worktree("add", "--detach", "--force", str(place), commit)
                except (InvalidGitRepositoryError, GitCommandError) as problem:
                    raise NotHereError(
                        f"code: commit {commit[:12]} is not in this repository; `git fetch` it"
                    ) from problem
        return place / self._below()

    def _below(self) -> Path:
        """Where the project lies in its repository."""
        from git import GitError, Repo

        try:
            top = Repo(self.root, search_parent_directories=True).working_dir
        except GitError:
            return Path()
        return self.root.relative_to(Path(top).resolve())

    def architecture(self, conditions: Conditions) -> str:
        """The recorded architecture; where it is ``file.py:function``, with the file that has the recorded hash.

        Raises:
            NotHereError: neither the project nor any commit of its repository has that file.
        """
        written = str(conditions.get("param.model.architecture"))
        file, colon, function = written.partition(".py:")
        if not colon:
            return written
        path = Path(f"{file}.py")
        if not self.trusted and (path.is_absolute() or ".." in path.parts):
            raise NotHereError(
                f"{path}: a program outside this project, named by a run of unknown origin: --trust if you do"
            )
        wanted = conditions.get("input.factory")
        here = self.root / path
        if here.is_file() and wanted in (None, _factory_hash(path, here.read_bytes())):
            return f"{here}:{function}"
        return f"{self._worktree(self._commit_with(path, wanted)) / path}:{function}"

    def _commit_with(self, path: Path, wanted: Scalar) -> str:
        """The latest commit, of a branch or kept by `record`, in which a user's architecture has the recorded hash."""
        from git import GitError, Repo

        try:
            repo = Repo(self.root, search_parent_directories=True)
            name = (self._below() / path).as_posix()
            for commit in repo.iter_commits(all=True, paths=name):
                with suppress(KeyError):  # the commit that deleted it
                    if _factory_hash(path, (commit.tree / name).data_stream.read()) == wanted:
                        return str(commit.hexsha)
        except (GitError, ValueError):  # no repository, or a file outside it
            pass
        raise NotHereError(f"{path}: its recorded content is neither here nor in a commit of this repository")

    def python(self, conditions: Conditions) -> Path:
        """The interpreter whose environment has the recorded packages."""
        packages = {
            name.removeprefix("package."): str(value)
            for name, value in conditions.items()
            if name.startswith("package.")
        }
        with self._lock("environment"):
            if wanted := others(packages):
                self.say(f"an environment with {', '.join(f'{name} {number}' for name, number in wanted.items())}")
            return python_with(packages, self.folder / "environments")


def _identity(conditions: Conditions) -> dict[str, Scalar]:
    """The conditions that distinguish answers: where every file of the code is hashed, its commit is but a name."""
    hashed = any(name.startswith(CODE) for name in conditions)
    return {name: value for name, value in conditions.items() if not (hashed and name in NAMED)}


def _require_tokenizer(conditions: Conditions, root: Path) -> None:
    """A text recipe's file is the one that was recorded, which nothing here keeps."""
    wanted, named = conditions.get(TOKENIZER), conditions.get("param.recipe.tokenizer")
    if wanted is None or named is None:
        return
    path = root / str(named)
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != wanted:
        raise NotHereError(f"{named}: is not the tokenizer that was recorded (sha256 {wanted})")


def _factory_hash(path: Path, content: bytes) -> str:
    """The md5 of what `capture` writes of a user's architecture: the file's sha256 by its name."""
    written = {path.as_posix(): hashlib.sha256(content).hexdigest()}
    return hashlib.md5(_text(written).encode(), usedforsecurity=False).hexdigest()


def _differing(root: Path, files: Mapping[str, str]) -> list[str]:
    return [name for name, md5 in files.items() if not (root / name).is_file() or content_hash(root / name) != md5]


class Scratch:
    """One run's folder: its params, links to its inputs, the processes that run in it."""

    def __init__(self, replayer: Replayer, conditions: Conditions, folder: Path) -> None:
        self.conditions, self.folder, self.root = conditions, folder, replayer.root
        self.code = replayer.code(conditions)
        self.architecture = replayer.architecture(conditions)
        _require_tokenizer(conditions, self.root)
        if conditions.get("param.model.framework") == "torchfile" and not replayer.trusted:
            raise NotHereError("a torch program is code, named by a run of unknown origin: --trust if you do")
        self.python = replayer.python(conditions)
        _write(folder / "params.yaml", self._params())

    def preprocess(self, prepared: Path) -> None:
        images, manifest = (self._input(name) for name in (IMAGES, MANIFEST))
        self._start("preprocess", images=images, manifest=manifest, recipe=KEY, prepared=prepared)

    def infer(self, samples: Path, predictions: Path) -> None:
        self._start("infer", model=KEY, samples=samples, weights=self._weights(), predictions=predictions)

    def canaries(self, samples: Path, written: Path) -> None:
        images, weights = self._input(IMAGES), self._weights()
        self._start("canaries", model=KEY, images=images, samples=samples, weights=weights, written=written)

    def _weights(self) -> Path:
        return self._input(Path(str(self._model()["weights"])))

    def _input(self, working: Path) -> Path:
        role = {IMAGES: "input.images", MANIFEST: "input.manifest"}.get(working, "input.weights")
        md5 = self.conditions.get(role)
        if md5 is None:
            raise NotHereError(f"{working}: the run did not record its hash")
        return hold(str(md5), working, self.root, self.folder / role)

    # ---- params

    def _params(self) -> dict[str, Any]:
        """The params of the code that runs, with the recorded model, recipe, inference and data in their places."""
        from ruamel.yaml import YAML

        params = dict(YAML(typ="safe").load((self.code / "params.yaml").read_text(encoding="utf-8")))
        model = {**self._model(), "recipe": KEY}
        steps: dict[str, Any] = next((each for each in params["recipes"].values() if "decode" in each), {})
        recipe = nested(self.conditions, "param.recipe.")
        return {
            **params,
            "data": {**params["data"], "texts": None, **nested(self.conditions, "param.data.")},
            "inference": _filled(nested(self.conditions, "param.inference."), params["inference"]),
            "recipes": {**params["recipes"], KEY: recipe if "tokenizer" in recipe else _filled(recipe, steps)},
            "models": {**params["models"], KEY: self._absolute(model, params)},
        }

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
        arguments = [str(word) for pair in self._options(stage, values) for word in pair]
        flags = self._flags()
        launched = flags and stage != "preprocess"
        command = ["-c", _launcher(stage, flags), json.dumps(flags)] if launched else ["-m", f"stages.{stage}"]
        ended = subprocess.run(
            [str(self.python), *command, *arguments],
            cwd=self.folder,
            env=self._environ(),
            capture_output=True,
            text=True,
            errors="replace",
        )
        if ended.returncode == 0:
            return
        last = redact((ended.stderr.strip() or f"{stage} ended with {ended.returncode}").splitlines()[-1])
        if ended.returncode < 0:
            raise StoppedError(
                f"{stage} was stopped by signal {-ended.returncode}; run this again, perhaps with --jobs 1"
            )
        if any(words in last for words in AT_ITS_END):
            raise StoppedError(f"{stage}: {last}; make room and run this again")
        raise RefusedError(last)

    def _flags(self) -> dict[str, Scalar]:
        """Those of the frameworks that this model's process imports: a hybrid may have those of another backend too."""
        backend = str(self.conditions.get("param.model.backend"))
        heads = {backend, *(["numerics"] if backend == "torch" else [])}
        return {
            name: value
            for name, value in self.conditions.items()
            if name in FLAGS and name.partition(".")[0] in heads and value is not None
        }

    def _options(self, stage: str, values: Mapping[str, Any]) -> list[tuple[str, Any]]:
        from ruamel.yaml import YAML

        stages = YAML(typ="safe").load((self.code / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
        if stage not in stages:
            raise NotHereError(f"code: its dvc.yaml has no stage {stage}")
        entry = stages[stage]
        words = shlex.split(entry.get("do", entry)["cmd"])
        names = [word.removeprefix("--") for word in words if word.startswith("--")]
        if unknown := [name for name in names if name not in values]:
            raise NotHereError(f"code: its {stage} takes --{unknown[0]}, which a replay does not know")
        return [(f"--{name}", values[name]) for name in names]

    def _environ(self) -> dict[str, str]:
        seen = variables(os.environ, READ_BY)
        own = {name: value for name, value in os.environ.items() if f"variable.{name}" not in seen}
        wanted = {
            name.removeprefix("variable."): str(value)
            for name, value in self.conditions.items()
            if name.startswith("variable.")
        }
        if unknown := set(wanted) - {name.removeprefix("variable.") for name in variables(wanted, READ_BY)}:
            raise NotHereError(f"variable.{min(unknown)}: is none that Weighbridge records")
        if "LD_PRELOAD" in wanted:
            raise NotHereError("variable.LD_PRELOAD: only the names of its files were recorded")
        own.pop("DVC_STAGE", None)
        return {**own, **wanted, "PYTHONPATH": str(self.code), "PYTHONDONTWRITEBYTECODE": "1"}


def _launcher(stage: str, flags: Mapping[str, Scalar]) -> str:
    """A program that sets `flags`, then runs the stage with the arguments that follow."""
    heads = sorted({name.partition(".")[0].replace("numerics", "torch") for name in flags})
    return "\n".join(
        [
            f"import json, runpy, sys, {', '.join(heads)}",
            "flags = json.loads(sys.argv.pop(1))",
            *(f"v = flags[{name!r}]; {how}" for name, how in FLAGS.items() if name in flags),
            f"runpy.run_module('stages.{stage}', run_name='__main__')",
        ]
    )


def nested(conditions: Conditions, prefix: str) -> dict[str, Any]:
    """The flat values under `prefix` as the tree they were made from; absent means null."""
    tree: dict[str, Any] = {}
    for name, value in conditions.items():
        if name.startswith(prefix):
            *path, last = name.removeprefix(prefix).split(".")
            branch = tree
            for part in path:
                branch = branch.setdefault(part, {})
            branch[last] = _list_or_value(value)
    return tree


def _list_or_value(value: Scalar) -> Any:
    if isinstance(value, str) and value.startswith("["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _filled(values: Mapping[str, Any], pattern: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with null for each key that only `pattern` has: flat conditions leave nulls out."""
    return {**dict.fromkeys(pattern), **values}


def _text(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _write(path: Path, value: Any) -> None:
    path.write_text(_text(value), encoding="utf-8")


def _as_set(outcome: Outcome, conditions: Conditions) -> Outcome:
    """The outcome of a process in which every flag was as set when it ended; code of the run's own may set it once more."""
    for name in sorted(FLAGS.keys() & conditions.keys() & outcome.process.keys()):
        if outcome.process[name] != conditions[name]:
            raise RefusedError(
                f"{name}: set to {conditions[name]}, and to {outcome.process[name]} by the code that ran"
            )
    return outcome


def _load(place: Path) -> Outcome:
    scores = np.load(place / "scores.npy", allow_pickle=False)
    return Outcome(
        labels=np.load(place / "labels.npy", allow_pickle=False),
        top1=scores.argmax(axis=1),
        scores=hashlib.sha256(scores.tobytes()).hexdigest(),
        process=json.loads((place / "process.json").read_text(encoding="utf-8")),
    )

"""Running a recorded model again under stated conditions: as processes, in a scratch folder, each answer kept.

The interface, for everything that runs something again (`explain`, `verify`, `band`, `reproduce`):

| | |
|---|---|
| `settable(run.conditions)` | the part of a run's flat conditions that can be set; change, add or delete entries at will |
| `Replayer(root).replay(conditions)` | the `Outcome` under these conditions: from `data/hybrids`, else run now |
| `Replayer(root).replay(conditions, repeat=1)` | once more, kept separately: repeats show run-to-run variation |
| `UnavailableError`, `RefusedError` | it cannot be run here, and why; it ran and a stage refused it |

How each condition is set:

| condition | how |
|---|---|
| ``param.*`` | a ``params.yaml`` in the scratch folder: the project's own with the one model and its recipe added |
| ``variable.*`` | environment variables of the new process; every other one that Weighbridge records is unset |
| ``package.*`` | an environment that differs in these packages only (`tracking.replay.environments`) |
| ``input.weights``, ``.images``, ``.manifest`` | by DVC's hash, here or in its cache (`tracking.replay.dvc_store`) |
| ``code.*``, ``input.code/*`` | the project's own files where their hashes fit, else a git worktree (`tracking.replay.code`) |
| ``torch.*`` of `FLAGS` | set in the new process before the stage starts (`tracking.replay.flags`) |

Prepared samples are kept too (`data/hybrids/prepared`), by the conditions that could change them. `weighbridge gc` bounds the
folder; all of it can be deleted while nothing runs, for the time that it took. Several processes may share it: each answer is
made by one of them.
"""

import hashlib
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from tracking.capture.environment import PREPARATION, Runtime, capture, runtime_of
from tracking.replay.code import RecordedCode
from tracking.replay.conditions import TOKENIZER, Conditions, digest, identity, packages_in
from tracking.replay.elsewhere import Elsewhere
from tracking.replay.environments import others, python_with
from tracking.replay.errors import UnavailableError
from tracking.replay.flags import require_flags
from tracking.replay.folders import exclusive, own_folder, publish
from tracking.replay.processes import SECONDS
from tracking.replay.scratch import Scratch, canary_settings
from tracking.replay.strangers import require_harmless
from tracking.runs.label_sets import decided_sets, set_numbers
from tracking.runs.outcomes import Outcome
from tracking.runs.secrets import HIDDEN
from tracking.runs.writing import write_json

COMPLETE = "conditions.json"  # written last into an outcome's folder


class Replayer:
    """Runs models again, and keeps what they gave under `folder`.

    Args:
        root: the project's folder.
        folder: where environments, code and answers are kept; `data/hybrids` by default.
        answers: where answers are kept instead: an empty folder has everything run anew.
        seconds: a stage's process is ended when it has run so long.
        trusted: also run programs that conditions name, commits that no local branch holds, and whatever else
            `tracking.replay.strangers` refuses.
        say: called with a line on what is being done.
        elsewhere: other machines, like this one, that predict.
    """

    def __init__(
        self,
        root: Path = Path(),
        folder: Path | None = None,
        answers: Path | None = None,
        say: Callable[[str], None] = lambda _: None,
        *,
        seconds: float = SECONDS,
        trusted: bool = False,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self.root = root.resolve()
        self.folder = (folder or root / "data/hybrids").resolve()
        self.answers = (answers or self.folder).resolve()
        self.say = say
        self.seconds = seconds
        self.trusted = trusted
        self.elsewhere = elsewhere
        self.sources = RecordedCode(self.root, self.folder / "code", trusted=trusted)
        self._capturing = threading.Lock()
        self._here: dict[Runtime, str] = {}

    def replay(self, conditions: Conditions, repeat: int = 0) -> Outcome:
        """The outcome under these conditions. Safe to call from several threads, and from several processes on one folder.

        Raises:
            UnavailableError: something that the conditions name cannot be had here.
            RefusedError: a stage refused to run so.
            StoppedError: a process was killed, or the machine had no memory or disk: that says nothing about the conditions.
        """
        self._require(conditions)
        place = self._place(conditions, repeat)
        with exclusive(place, lambda: self.say("waiting: another process runs the same")):
            if not (place / COMPLETE).is_file():
                self._run(conditions, place)
            outcome = _load(place)
        require_flags(outcome, conditions)
        return outcome

    def canaries(self, conditions: Conditions) -> tuple[str, ...]:
        """What a run under these conditions keeps of every step and layer (`tracking.runs.canaries`); raises as `replay`."""
        self._require(conditions)
        place = self._canaries_place(conditions)
        with exclusive(place):
            if not place.is_file():
                with self._scratch(conditions) as scratch:
                    scratch.canaries(self._prepared(scratch), made := scratch.folder / "canaries.json")
                    publish(made, place)
            return tuple(json.loads(place.read_text(encoding="utf-8")))

    def known_canaries(self, conditions: Conditions) -> bool:
        """Whether `canaries` would answer without running anything."""
        with suppress(UnavailableError):
            return self._canaries_place(conditions).is_file()
        return False

    def known(self, conditions: Conditions, repeat: int = 0) -> bool:
        """Whether `replay` would answer without running anything."""
        return (self._place(conditions, repeat) / COMPLETE).is_file()

    def scores(self, conditions: Conditions, repeat: int = 0) -> np.ndarray:
        """The scores of an outcome that is `known`: float32, shape (samples, classes), memory-mapped."""
        return np.asarray(np.load(self._place(conditions, repeat) / "scores.npy", mmap_mode="r", allow_pickle=False))

    def code(self, conditions: Conditions) -> Path:
        """The folder whose code is the recorded one; raises UnavailableError where there is none."""
        return self.sources.code(conditions)

    def python(self, conditions: Conditions) -> Path:
        """The interpreter whose environment has the recorded packages; raises UnavailableError where one cannot be had."""
        packages = packages_in(conditions)
        if wanted := others(packages):
            self.say(f"an environment with {', '.join(f'{name} {number}' for name, number in wanted.items())}")
        return python_with(packages, self.folder / "environments", wheels_only=not self.trusted)

    # ---- names of what is kept

    def _place(self, conditions: Conditions, repeat: int) -> Path:
        return self.answers / "outcomes" / f"{self._key(conditions)}-{repeat}"

    def _canaries_place(self, conditions: Conditions) -> Path:
        asked = digest({"conditions": self._key(conditions), "settings": canary_settings(self.code(conditions))})
        return self.answers / "canaries" / f"{asked[:32]}.json"

    def _key(self, conditions: Conditions) -> str:
        return digest({**identity(conditions), "here": self._this_machine(conditions)})[:32]

    def _this_machine(self, conditions: Conditions) -> str:
        """A digest of what conditions do not set: processor, operating system, the packages installed here."""
        framework, backend = (str(conditions.get(f"param.model.{key}")) for key in ("framework", "backend"))
        runtime = runtime_of(framework, backend, conditions)
        with self._capturing:
            if runtime not in self._here:
                facts = {**capture(PREPARATION).facts, **capture(runtime).facts}
                own = {name: value for name, value in facts.items() if not name.startswith("variable.")}
                self._here[runtime] = digest(own)
        return self._here[runtime]

    # ---- running

    def _run(self, conditions: Conditions, place: Path) -> None:
        """Run it and put the outcome, complete, into its place; another one that lies there is not complete.

        What it computes is kept on the way, under the same name, and removed when it is done: if this is killed, it goes on.
        """
        kept = self.answers / "partial" / place.name
        with exclusive(kept), self._scratch(conditions) as scratch:
            scratch.go_on_in(kept)
            scratch.infer(self._prepared(scratch), made := scratch.folder / "predictions")
            write_json(made / COMPLETE, dict(conditions))
            if place.exists() and not (place / COMPLETE).is_file():
                shutil.rmtree(place)
            publish(made, place)
            shutil.rmtree(kept, ignore_errors=True)

    @contextmanager
    def _scratch(self, conditions: Conditions) -> Iterator[Scratch]:
        code, architecture = self.code(conditions), self.sources.architecture(conditions)
        python = self.python(conditions)
        with own_folder(self.answers, "scratch") as made:
            scratch = Scratch(conditions, made, self.root, code, architecture, python, self.seconds, self.elsewhere)
            scratch.write_params()
            yield scratch

    def _require(self, conditions: Conditions) -> None:
        """Refuse what cannot run again, before anything is built for it."""
        if "param.model.weights" not in conditions:
            raise UnavailableError("these predictions were not made by a model of this pipeline: nothing can run again")
        if hidden := next((name for name, value in conditions.items() if HIDDEN in str(value)), None):
            raise UnavailableError(f"{hidden}: its value was taken out when it was recorded, as a secret")
        if not self.trusted:
            require_harmless(conditions)
        require_tokenizer(conditions, self.root)

    def _prepared(self, scratch: Scratch) -> Path:
        """The samples, prepared once for all conditions that cannot change them."""
        model = ("param.model.", "param.inference.", "input.weights")
        kept = {name: value for name, value in identity(scratch.conditions).items() if not name.startswith(model)}
        kept["here"] = self._this_machine(scratch.conditions)
        place = self.answers / "prepared" / digest(kept)[:32]
        with exclusive(place):
            if not place.is_dir():
                scratch.preprocess(made := scratch.folder / "prepared")
                publish(made, place)
        return place


def require_tokenizer(conditions: Conditions, root: Path) -> None:
    """A text recipe's file must be the one that was recorded, which nothing here keeps; raises UnavailableError."""
    wanted, named = conditions.get(TOKENIZER), conditions.get("param.recipe.tokenizer")
    if wanted is None or named is None:
        return
    path = root / str(named)
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != wanted:
        raise UnavailableError(f"{named}: is not the tokenizer that was recorded (sha256 {wanted})")


def _load(place: Path) -> Outcome:
    scores, labels = (np.load(place / f"{name}.npy", allow_pickle=False) for name in ("scores", "labels"))
    process = json.loads((place / "process.json").read_text(encoding="utf-8"))
    top1 = scores.argmax(axis=1)
    if labels.ndim == 2:  # several labels an image: a set of them is one decision
        logits = process.get("scores.kind") != "probabilities"
        top1, labels = decided_sets(scores[:, : labels.shape[1]], logits=logits), set_numbers(labels)
    return Outcome(labels, top1, hashlib.sha256(scores.tobytes()).hexdigest(), process)

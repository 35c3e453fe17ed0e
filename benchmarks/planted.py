"""How often `explain` is exactly right: pairs of runs with planted causes, every hybrid a process of its own.

    python -m benchmarks.planted FOLDER [PAIRS]

The networks are the default's, as `dvc repro` left them. In a clone under FOLDER code is edited and committed, and the weights
are given a second version. Each change is first made alone: what changes a bit of some score is a cause, what changes none is
harmless, what cannot be run here is left out; nobody's expectation decides. Then n = 2..12 of them are made at once, k = 1..3 of
these causes, and the set that `explain` proves is held against the causes; left out is a pair in which a change matters only
beside these (a seed, in training mode). About four seconds a run on one core; answers are kept in FOLDER and belong to one
machine.
"""

import hashlib
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import log2
from pathlib import Path

import git
import numpy as np
from safetensors.numpy import load_file, save_file

from tracking.explain.explain import explain
from tracking.explain.limits import Limits
from tracking.lookup.find import cache_folder, find_run
from tracking.replay.conditions import settable
from tracking.replay.errors import RefusedError, UnavailableError
from tracking.replay.flags import FLAGS
from tracking.replay.replayer import Replayer
from tracking.runs.decisions import pack_decisions
from tracking.runs.outcomes import Outcome, same_at
from tracking.runs.run import Run, Scalar

Change = Mapping[str, Scalar]
PREDICT = "classifier.predict, asked"
EDITS = {  # of stages/infer.py
    "code: in training mode": "lambda images: classifier.forward(images, training=True), asked",
    "code: normalises in place, twice": "lambda images: classifier.predict((images - 0.5) / 0.5), asked",
    "code: another name for the same": "lambda images: classifier.predict(images), asked",
}
JOBS = 2  # side by side
RECIPE, INFER = "param.recipe.", "input.code/stages/infer.py"
ANY: dict[str, Change] = {
    "interpolation": {f"{RECIPE}resize.interpolation": "bicubic"},
    "dtype": {f"{RECIPE}dtype": "float16"},
    "exif": {f"{RECIPE}exif": "honour"},
    "cmyk": {f"{RECIPE}cmyk": "refuse"},
    "batch size": {"param.model.batch_size": 9},  # divides 540: BatchNorm trains on no single image
    "mode": {"param.inference.mode": "training"},
    "seed": {"param.inference.seed": 7},
    "threads": {"param.inference.threads": 2},
    "oneDNN's instruction set": {"variable.ONEDNN_MAX_CPU_ISA": "AVX2"},
    "OpenMP's variable": {"variable.OMP_DYNAMIC": "TRUE"},
    "MKL's variable": {"variable.MKL_DYNAMIC": "FALSE"},
    "Pillow": {"package.pillow": "11.3.0"},
    "safetensors": {"package.safetensors": "0.7.0"},
    "Keras": {"package.keras": "3.15.0"},
}
MODELS: dict[str, dict[str, Change]] = {
    "resnet18-torchvision": {
        "mean": {f"{RECIPE}normalise.mean": "[0.4, 0.4, 0.4]"},
        "oneDNN": {"torch.mkldnn": False},
        "ATen's instruction set": {"variable.ATEN_CPU_CAPABILITY": "default"},
        "layout": {"param.inference.layout": "channels_last"},
        "fused attention": {"torch.sdp.flash": False},
    },
    "mobilenet-keras-tensorflow": {
        "scale": {f"{RECIPE}scale": "times 1/255"},
        "backend": {"param.model.backend": "torch"},
        "oneDNN in TensorFlow": {"variable.TF_ENABLE_ONEDNN_OPTS": "0"},
    },
}


@dataclass(frozen=True)
class Planted:
    """A run as recorded, and the changes that were found to move its scores and not to."""

    own: Change
    causes: Mapping[str, Change]
    harmless: Mapping[str, Change]


def cloned(folder: Path) -> Path:
    """The project in FOLDER, with this one's DVC cache."""
    project = folder / "project"
    if not project.is_dir():
        git.Repo.clone_from(".", project)
        (project / ".dvc/config.local").write_text(f"[cache]\n    dir = {cache_folder(Path()).resolve()}\n")
    return project


def edited(project: Path, edits: Mapping[str, str]) -> Iterator[tuple[str, Change]]:
    """Commits that change `stages/infer.py`."""
    repo, file = git.Repo(project), project / "stages/infer.py"
    original = file.read_text()
    if PREDICT not in original:
        raise SystemExit(f"{file}: holds no {PREDICT!r} any more: say here what is to be edited")
    for name, code in edits.items():
        file.write_text(original.replace(PREDICT, code))
        repo.git.add(file)
        repo.git.execute(["git", "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", name])
        yield name, {"code.commit": repo.head.commit.hexsha, INFER: _md5(file.read_bytes())}
        repo.git.reset("--hard", "-q", "HEAD~1")


def other_weights(recorded: str) -> Change:
    """The recorded weights, one per cent larger, put into DVC's cache."""
    cache = cache_folder(Path()) / "files/md5"
    made = cache / "planted.safetensors"
    scaled = {
        name: np.asarray(value * value.dtype.type(1.01)) for name, value in load_file(_kept(cache, recorded)).items()
    }
    save_file(scaled, made)
    digest = _md5(made.read_bytes())
    _kept(cache, digest).parent.mkdir(exist_ok=True)
    shutil.move(made, _kept(cache, digest))
    return {"input.weights": digest}


def _kept(cache: Path, digest: str) -> Path:
    return cache / digest[:2] / digest[2:]


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def planted(run: Run, changes: Mapping[str, Change], replayer: Replayer) -> Planted:
    """Make every change alone and see what it does."""
    own = {**settable(run.conditions), **{name: run.environment[name] for name in FLAGS if name in run.environment}}
    before = replayer.replay(own)
    causes, harmless = {}, {}
    for name, change in changes.items():
        try:
            moved = not same_at(before, replayer.replay({**own, **change}), "bits")
        except (UnavailableError, RefusedError) as problem:
            print(f"    left out: {name}: {problem}")  # noqa: T201
            continue
        (causes if moved else harmless)[name] = change
    print(f"{run.subject}: causes: {', '.join(causes)}; harmless: {', '.join(harmless)}")  # noqa: T201
    return Planted(own, causes, harmless)


def as_run(subject: str, conditions: Change, outcome: Outcome) -> Run:
    """A run under these conditions, as it would be recorded."""

    def section(prefix: str) -> dict[str, Scalar]:
        return {name.removeprefix(prefix): value for name, value in conditions.items() if name.startswith(prefix)}

    return Run(
        subject=subject,
        command="",
        params=section("param."),
        inputs={name: str(value) for name, value in section("input.").items()},
        environment={n: v for n, v in conditions.items() if not n.startswith(("param.", "input.", "code."))},
        code=section("code."),
        results={"top1": outcome.accuracy, "samples": len(outcome.top1), "scores.sha256": outcome.scores},
        decisions=pack_decisions([str(index) for index in range(len(outcome.top1))], outcome.labels, outcome.top1),
    )


def chosen(known: Planted, seed: int) -> tuple[dict[str, Change], dict[str, Change]]:
    """n = 2..12 changes, k = 1..3 of them causes; of several edits of the same file one."""
    draw = np.random.default_rng(seed)
    count, causes = 2 + seed % 11, 1 + seed % 3
    names = draw.permutation(list(known.causes)).tolist()
    names = [name for name in names if not name.startswith("code") or name == next(n for n in names if n[:4] == "code")]
    names = names[: min(causes, count)]
    rest = [
        name for name in draw.permutation(list(known.harmless)).tolist() if not (_code(names) and name[:4] == "code")
    ]
    return {name: known.causes[name] for name in names}, {n: known.harmless[n] for n in rest[: count - len(names)]}


def _code(names: list[str]) -> bool:
    return any(name.startswith("code") for name in names)


def main(folder: str, pairs: str = "20") -> None:
    """Print for every pair what was planted and proven, then how often that was the same."""
    replayer = Replayer(cloned(Path(folder)), trusted=True)
    edits = dict(edited(replayer.root, EDITS))
    known = {}
    for subject, changes in MODELS.items():
        run = find_run(subject)
        weights = other_weights(str(run.inputs["weights"]))
        known[subject] = planted(run, {**ANY, **changes, **edits, "weights": weights}, replayer)
    right, runs, allowed, held = 0, 0, 0.0, 0
    for seed in range(int(pairs)):
        subject = list(known)[seed % len(known)]
        causes, harmless = chosen(known[subject], seed)
        ends = [known[subject].own, {**known[subject].own, **_merged(causes), **_merged(harmless)}]
        alone = replayer.replay({**known[subject].own, **_merged(causes)})
        if not same_at(alone, replayer.replay(ends[1]), "bits"):
            print(f"left out {seed}: beside {', '.join(causes)} a change matters that alone does not")  # noqa: T201
            continue
        held += 1
        found = explain(*(as_run(subject, end, replayer.replay(end)) for end in ends), replayer, Limits(jobs=JOBS))
        expected = {f.name for f in found.ends.factors if set(f.conditions) & _merged(causes).keys()}
        good = found.found.verdict == "proven" and set(found.found.minimal) == expected
        sums = sum(share.correct for share in found.shares) == Fraction(_correct(found.audit.before, found.audit.after))
        right, runs = right + (good and sums), runs + found.found.runs
        allowed += 2 * len(expected) * (log2(len(found.ends.factors)) + 2) + 4
        words = f"{len(found.ends.factors)} factors, {found.found.runs} runs, planted {', '.join(causes)}"
        print(f"{'right' if good and sums else 'WRONG'}  {seed} {subject}: {words}: {found.found.minimal}")  # noqa: T201
    average, bound = runs / max(held, 1), allowed / max(held, 1)
    print(f"{right} of {held} exactly right, {average:.1f} runs on average, {bound:.1f} allowed")  # noqa: T201


def _merged(changes: Mapping[str, Change]) -> dict[str, Scalar]:
    return {name: value for change in changes.values() for name, value in change.items()}


def _correct(before: Run, after: Run) -> int:
    return round(
        (float(str(after.results["top1"])) - float(str(before.results["top1"]))) * int(str(after.results["samples"]))
    )


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A GPU at work, or the processor where there is none: throughput against a bare loop, the facts that are read, and proofs.

    python -m benchmarks.gpu [--device auto] [--model resnet50] [--side 224] [--images N] [--batches 1 32 256] [--json FILE]

1. Facts of the GPU, as `capture` and `infer` record them.
2. Images per second of a network of torchvision with random weights: our loop (`in_batches` over finished images in memory,
   each batch sent ahead) against a bare one (torch's `DataLoader` with pinned memory, sent without waiting), in turn, medians
   and their ratio; of 2,048 images, or 256 on a processor, unless told otherwise. The verdict is of the batch size with the
   fastest bare loop, and withheld where repeats differ by a tenth.
3. TF32, cuDNN's benchmark mode, bf16 and the batch size: what each alone moves, then all at once between two runs, and what
   `explain` proves. Every hybrid loads the network anew under its conditions, in this process. On a processor the first two
   can move nothing, and are cleared.

The batch size that `batch_size: auto` comes to is printed too. No setting of the GPU is touched.
"""

import hashlib
import statistics
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.figures import is_noisy, machine, parser, report, table, verdict
from tracking.capture.gpus import graphics
from tracking.capture.machine import this_machine
from tracking.capture.process_settings import settings
from tracking.explain.explain import explain
from tracking.replay.conditions import nested, settable
from tracking.replay.flags import FLAGS, flags_in
from tracking.runs.decisions import pack_decisions
from tracking.runs.outcomes import Outcome
from tracking.runs.run import Run, Scalar
from weighbridge.frameworks import Classifier, Spec, load, save_weights
from weighbridge.images.samples import SampleSet
from weighbridge.networks.batch_sizes import found_batch_size
from weighbridge.networks.batches import in_batches
from weighbridge.params.inference import Inference
from weighbridge.params.models import Model
from weighbridge.params.recipes import Recipe

TARGET = 0.9
ASKED = 16  # images of which the scores are compared
FACTS = ("gpu.", "torch.cuda", "torch.cudnn", "torch.allow_tf32", "torch.matmul_precision", "torch.fp32_precision")
PLANTED: dict[str, Scalar] = {
    "torch.cudnn.allow_tf32": False,
    "torch.allow_tf32": True,
    "torch.cudnn.benchmark": True,
    "param.model.computing.precision": "bf16",
    "param.model.batch_size": 2,
}
OWN: dict[str, Scalar] = {
    "param.model.framework": "torchvision",
    "param.model.backend": "torch",
    "param.model.batch_size": ASKED,
    "param.inference.threads": 1,
    "input.weights": "a" * 32,
}


class Finished(SampleSet):
    """Images that need no more arithmetic, so that loops alone are timed."""

    def images(self, rows: Any = slice(None)) -> np.ndarray:
        return np.asarray(self.inputs[rows])


def finished(count: int, side: int) -> Finished:
    pixels = np.random.default_rng(0).normal(size=(count, side, side, 3)).astype(np.float32)
    return Finished(tuple(map(str, range(count))), np.zeros(count, np.int64), pixels, ("a",), Recipe())


def loaded(spec: Spec, **computing: Any) -> Classifier:
    return load(replace(spec, computing=computing))


def ours(classifier: Any, samples: SampleSet, size: int) -> np.ndarray:
    return in_batches(classifier.predict, samples, size, "gpu", send=getattr(classifier, "send", None))


def bare(classifier: Any, samples: SampleSet, size: int) -> np.ndarray:
    import torch

    on_gpu = classifier.device != "cpu"
    pixels = torch.from_numpy(samples.images()).permute(0, 3, 1, 2)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(pixels), size, pin_memory=on_gpu)
    with torch.inference_mode():
        scores = [classifier.module(each.to(classifier.device, non_blocking=True)) for (each,) in loader]
    return np.asarray(torch.cat(scores).float().cpu().numpy())


def throughput(classifier: Any, samples: SampleSet, size: int, repeats: int) -> dict[str, Any]:
    """Images per second of both loops, in turn, after one pass of each that is not counted."""
    rates: dict[str, list[float]] = {"ours": [], "bare": []}
    scores = {"ours": ours(classifier, samples, size), "bare": bare(classifier, samples, size)}
    for _ in range(repeats):
        for name, loop in (("ours", ours), ("bare", bare)):
            started = time.perf_counter()
            loop(classifier, samples, size)
            rates[name].append(len(samples) / (time.perf_counter() - started))
    same = bool((scores["ours"].argmax(1) == scores["bare"].argmax(1)).all())
    return {"batch": size, "rates": rates, "same_decisions": same}


def judged(rows: list[dict[str, Any]]) -> str:
    """A line a batch size, then the verdict of the one that fills the device."""
    cells = []
    for row in rows:
        own, other = (statistics.median(row["rates"][name]) for name in ("ours", "bare"))
        row |= {"ratio": own / other, "bare": other}
        same = "the same" if row["same_decisions"] else "OTHERS"
        cells.append((row["batch"], f"{own:.1f}", f"{other:.1f}", f"{own / other:.2f}", same))
    best = max(rows, key=lambda row: float(row["bare"]))
    said = verdict(best["ratio"] >= TARGET, is_noisy(*best["rates"].values()))
    speeds = table(("batch", "ours", "bare", "ratio", "decisions"), cells)
    return f"{speeds}\n\nat the batch that fills it ({best['batch']}): {best['ratio']:.2f}, {said}"


class Replaying:
    """Answers of a network that is loaded anew for every set of conditions; flags are set, and set back."""

    def __init__(self, spec: Spec) -> None:
        self.spec, self.samples = spec, finished(ASKED, spec.size)
        self.answers: dict[str, np.ndarray] = {}

    def known(self, conditions: Mapping[str, Scalar], repeat: int = 0) -> bool:
        return f"{repeat}{sorted(conditions.items())}" in self.answers

    def scores(self, conditions: Mapping[str, Scalar], repeat: int = 0) -> np.ndarray:
        key = f"{repeat}{sorted(conditions.items())}"
        if key not in self.answers:
            own = settings()
            wanted = flags_in(conditions)
            _set(wanted)
            try:
                model = nested(conditions, "param.model.")
                found = loaded(self.spec, **model.get("computing", {}))
                self.answers[key] = ours(found, self.samples, int(model["batch_size"]))
            finally:
                _set({name: own[name] for name in wanted})
        return self.answers[key]

    def replay(self, conditions: Mapping[str, Scalar], repeat: int = 0) -> Outcome:
        scores = self.scores(conditions, repeat)
        digest = hashlib.sha256(scores.tobytes()).hexdigest()
        return Outcome(np.zeros(len(scores), int), scores.argmax(axis=1), digest)

    def run(self, conditions: Mapping[str, Scalar]) -> Run:
        found = self.replay({**settable(conditions), **flags_in(conditions)})
        names = [str(place) for place in range(ASKED)]
        return Run(
            subject="gpu",
            command="",
            params={name.removeprefix("param."): each for name, each in conditions.items() if name[:6] == "param."},
            inputs={"weights": str(conditions["input.weights"])},
            environment={name: each for name, each in conditions.items() if name in FLAGS},
            code={},
            results={"top1": found.accuracy, "samples": ASKED, "scores.sha256": found.scores},
            decisions=pack_decisions(names, found.labels, found.top1),
        )


def _set(flags: Mapping[str, Scalar]) -> None:
    import torch

    for name, how in FLAGS.items():
        if name in flags:
            exec(how, {"torch": torch, "v": flags[name]})  # noqa: S102 -- our own table


def proofs(spec: Spec) -> dict[str, Any]:
    """What each planted change moves alone, and what is proven of all of them."""
    replaying = Replaying(spec)
    base = {**OWN, **{name: value for name, value in settings().items() if name in PLANTED}}
    changes = {name: value for name, value in PLANTED.items() if base.get(name) != value}
    usual = replaying.scores(base)
    alone = {name: replaying.scores({**base, name: value}) for name, value in changes.items()}
    moved = {
        name: {"scores": float(np.abs(each - usual).max()), "flips": int((each.argmax(1) != usual.argmax(1)).sum())}
        for name, each in alone.items()
    }
    found = explain(replaying.run(base), replaying.run({**base, **changes}), replaying)
    proven = {"verdict": str(found.found.verdict), "minimal": list(found.found.minimal), "runs": found.found.runs}
    return {"moved": moved, "factors": [factor.name for factor in found.ends.factors], **proven}


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--device", default="auto")
    options.add_argument("--model", default="resnet50")
    options.add_argument("--side", type=int, default=224, help="of the images, in pixels")
    options.add_argument("--images", type=int)
    options.add_argument("--batches", type=int, nargs="+", default=[1, 32, 256])
    options.add_argument("--repeats", type=int, default=3)
    asked, state = options.parse_args(), machine()
    with TemporaryDirectory() as made:
        spec = Spec("torchvision", "torch", asked.model, {}, 1000, asked.side, None, None, 0, asked.device)
        spec = save_weights(load(spec), spec, Path(made))
        classifier = load(spec)
        classifier.predict(finished(1, asked.side).images())  # what is asked of a GPU that was not used is not known
        facts = {
            name: value for name, value in {**graphics(this_machine()), **settings()}.items() if name.startswith(FACTS)
        }
        there = f"device: {classifier.device}\n\n{table(('fact', 'value'), facts.items())}"
        images = asked.images or (256 if classifier.device == "cpu" else 2048)
        samples = finished(max(images, *asked.batches), asked.side)
        rows = [throughput(classifier, samples, size, asked.repeats) for size in asked.batches]
        model = Model.model_validate(
            {
                "framework": "torchvision",
                "architecture": asked.model,
                "weights": "w",
                "recipe": "r",
                "batch_size": "auto",
            }
        )
        size = found_batch_size(model, Inference(device=asked.device), classifier, finished(1024, asked.side))
        found = proofs(spec)
    moved = (f"{name} {each['scores']:.2g} ({each['flips']})" for name, each in found["moved"].items())
    looked = f"{asked.model}, images per second\n\n{judged(rows)}"
    told = f"batch_size auto: {size}; largest move of a score alone (flips): {', '.join(moved)}"
    said = f"explain: {found['verdict']} {found['minimal']} of {found['factors']} in {found['runs']} runs"
    every = {"facts": facts, "rows": rows, "auto": size, **found}
    report(f"{there}\n\n{looked}\n\n{told}\n\n{said}", every, state, asked.json)


if __name__ == "__main__":
    main()

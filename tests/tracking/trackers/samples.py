"""Runs for the tests of trackers."""

from tracking.runs.findings import Finding, Verdict
from tracking.runs.run import Run, Scalar

LONG = "é" * 5000


def weighed(subject: str = "resnet18-torchvision", facts: int = 190, **results: Scalar) -> Run:
    """A run with everything in it: about `facts` conditions, a long one, other alphabets, curves, findings."""
    return Run(
        subject=subject,
        command="python -m stages.infer --model resnet18-torchvision",
        params={
            "model.architecture": "resnet18",
            "model.framework": "torchvision",
            "model.backend": "torch",
            "model.sha256": None,
            "recipe.resize.antialias": True,
        },
        inputs={"code/stages/infer.py": "0123abcd", "samples": "4567ef.dir"},
        environment={
            **{f"package.p{number}": f"1.{number}" for number in range(facts)},
            "variable.LONG": LONG,
            "cpu.model": "Größe 漢字 🙂",
            "torch.threads": 1,
        },
        code={"commit": "c" * 40, "dirty": False},
        results={"top1": 0.1 + 0.2, "parity.max": 4.76837158203125e-07, "samples": 540, "scores.sha256": "d" * 64}
        | results,
        findings=(
            Finding("accuracy_check", subject, Verdict.PASS, "0.95 [0.93, 0.97] — as claimed"),
            Finding("mode_check", subject, Verdict.WARN, "60 of 122 tensors moved"),
            Finding("mode_check", subject, Verdict.PASS, "nothing moved"),
        ),
        curves={
            "pretrain.accuracy": ((1.0, 0.1), (2.0, 1 / 3), (3.0, 0.9)),
            "transfer_check.source": ((0.001, 0.9), (0.01, 0.8)),
        },
    )

"""Put everything known of one model's benchmark into one file: conditions and outcome.

reads   <predictions>, <samples> (the recipe's steps), the manifest (how images are stored), metrics, the findings of every
        check (and those beside the weights), canaries, the environments of the model and of preprocessing, dvc.lock (the hashes
        that DVC took of what `preprocess` and `infer` read)
writes  <run>: a run file (`tracking.runs.run.Run`)
params  models.<model>, recipes.<recipe>, data, inference
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from tracking.capture.environment import Environment
from tracking.runs.findings import Finding, load_findings
from tracking.runs.run import Run, Scalar, pack_decisions
from tracking.runs.secrets import redact
from weighbridge.images.samples import resolved_recipe
from weighbridge.networks.predictions import PredictionSet
from weighbridge.networks.recording import code, digests, flat, inputs, locked, read_lock
from weighbridge.params.recipes import Recipe, TextRecipe
from weighbridge.params.whole import Params, load_params
from weighbridge.process.stage import replacing, run


def record(
    model: str,
    params: Params,
    recipe: Recipe | TextRecipe,
    predictions: PredictionSet,
    environment: Mapping[str, Scalar],
    lock: Mapping[str, Any],
    measured: Mapping[str, Scalar],
    findings: tuple[Finding, ...],
    canaries: tuple[str, ...] = (),
) -> Run:
    """The run of one model; what DVC hashed comes from its lock file's entries for `preprocess` and `infer`.

    `recipe` is the model's with its steps looked up, where params name published ones.
    """
    chosen = params.models[model]
    infer, preprocess = locked(lock, f"infer@{model}"), locked(lock, f"preprocess@{chosen.recipe}")

    def role(path: str) -> str:
        return _role(path, chosen.weights)

    return Run(
        subject=model,
        command=redact(infer["cmd"]),
        params=flat(
            {
                "model": chosen.model_dump(),
                "recipe": recipe.model_dump(),
                "inference": params.inference.model_dump(),
                "data": params.data.model_dump(),
            }
        ),
        inputs=dict(sorted({**inputs(preprocess, role), **inputs(infer, role)}.items())),
        environment={**environment, **predictions.process},
        code=code(),
        results={**_numbers(findings), **measured, **digests(predictions)},
        findings=tuple(_without_curves(finding) for finding in findings),
        curves=dict(_curves(findings)),
        decisions=pack_decisions(predictions.names, predictions.labels, predictions.top1),
        canaries=canaries,
    )


def _role(path: str, weights: str) -> str:
    if Path(path) == Path(weights):
        return "weights"
    if "factories" in Path(path).parts:
        return "factory"
    return "samples" if "prepared" in Path(path).parts else Path(path).stem


def stored_facts(manifest: pd.DataFrame) -> dict[str, Scalar]:
    """How the test images were stored: a copy that was compressed once more looks the same and is another test."""
    test = manifest[manifest["split"] == "test"]
    counts = sorted(test["format"].value_counts().items(), key=lambda pair: str(pair[0]))
    formats = ", ".join(f"{name} {count}" for name, count in counts)
    steps = test["jpeg_step"].dropna()
    return {"images.format": formats, **({"images.jpeg_step": round(float(steps.mean()), 3)} if len(steps) else {})}


def _numbers(findings: tuple[Finding, ...]) -> dict[str, Scalar]:
    """Every number in the findings' evidence, as `<check>.<name>`; those of `accuracy_check` are metrics already."""
    return {
        f"{finding.check}.{name}": value
        for finding in findings
        if finding.check != "accuracy_check"
        for name, value in finding.evidence.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _curves(findings: tuple[Finding, ...]) -> Iterator[tuple[str, tuple[tuple[float, float], ...]]]:
    for finding in findings:
        for name, points in finding.evidence.get("curves", {}).items():
            drawn = ((step, value) for step, value in points if not isinstance(value, str))  # "nan" and "inf" are words
            yield f"{finding.check}.{name}", tuple((float(step), float(value)) for step, value in drawn)


def _without_curves(finding: Finding) -> Finding:
    evidence = {name: value for name, value in finding.evidence.items() if name != "curves"}
    return Finding(finding.check, finding.subject, finding.verdict, finding.sentence, evidence)


def findings_about(params: Params, folder: Path, weights: Path) -> tuple[Finding, ...]:
    """What every check says of a model, and what `pretrain` wrote beside its weights if they were trained here.

    A check's file is `<folder>/<check>.json`, or `<folder>/<check>-<key>.json` for one entry of a section of params;
    files of entries that are no longer there are left out.
    """
    paths = [path for path in sorted(folder.glob("*.json")) if _is_current(path, params)]
    beside = weights.with_name("findings.json")
    return tuple(
        finding for path in [*paths, *([beside] if beside.is_file() else [])] for finding in load_findings(path)
    )


def _is_current(path: Path, params: Params) -> bool:
    check, _, key = path.stem.partition("-")
    return not key or key in getattr(params, check, {})


def main(
    model: str,
    weights: Path,
    manifest: Path,
    samples: Path,
    predictions: Path,
    metrics: Path,
    findings: Path,
    environment: Path,
    preparing: Path,
    skipped: Path,
    canaries: Path,
    written: Path,
) -> None:
    """Gather, build the run, write it."""
    params = load_params()
    stored = stored_facts(pd.read_csv(manifest))
    facts = {**Environment.load(preparing).facts, **Environment.load(environment).facts, **stored}
    lock = read_lock()
    measured = {**json.loads(metrics.read_text(encoding="utf-8")), "skipped": len(pd.read_csv(skipped))}
    about = findings_about(params, findings, weights)
    with replacing(written) as partial:
        recipe, predicted = resolved_recipe(samples / "test"), PredictionSet.load(predictions)
        kept = tuple(json.loads(canaries.read_text(encoding="utf-8")))
        record(model, params, recipe, predicted, facts, lock, measured, about, kept).save(partial)


if __name__ == "__main__":
    run(main)

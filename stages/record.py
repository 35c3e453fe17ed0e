"""Put everything known of one model's benchmark into one file: conditions and outcome.

reads   <predictions>, <samples> (the recipe's steps), the manifest (how images are stored), metrics, the findings and canaries
        of every check (and the findings beside the weights), the environments of the model, of
        preprocessing and of the checks, the digests of the code, dvc.lock (the hashes that DVC took of what `preprocess`
        and `infer` read)
writes  <run>: a run file (`tracking.runs.run.Run`)
params  models.<model>, inference, data (of a model on a test set: test_sets.<set>)
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from tracking.capture.dvc_lock import code_inputs, inputs, locked, read_lock
from tracking.capture.environment import Environment
from tracking.capture.git_state import code_state
from tracking.runs.decisions import pack_decisions
from tracking.runs.facts import is_number
from tracking.runs.findings import Finding, load_findings
from tracking.runs.flat import flat
from tracking.runs.run import Run, Scalar
from tracking.runs.secrets import redact
from tracking.runs.test_sets import without_test_set
from weighbridge.images.judging import judge_images, stored_facts
from weighbridge.images.manifest import not_weighed, read_left_out, read_manifest, refused
from weighbridge.images.samples import resolved_recipe
from weighbridge.images.tasks import REGRESSION
from weighbridge.networks.digests import digests
from weighbridge.networks.predictions import FOUND_BATCH, PredictionSet
from weighbridge.params.data import Data
from weighbridge.params.inference import Inference
from weighbridge.params.models import Model
from weighbridge.params.recipes import Recipe, TextRecipe
from weighbridge.params.section import read
from weighbridge.params.which_data import data_keys
from weighbridge.process.stage import replacing, run
from weighbridge.texts.words import said_of_texts

CANARIES = "canaries.json"
BESIDE = (
    "weights/"  # files that are read with the weights file: `infer` took their hashes, as DVC knows them by no name
)
KEY = "key"  # in the evidence of what one entry of a check's section found


@dataclass(frozen=True)
class Asked:
    """What params ask of one model; `recipe` with its steps looked up, where params name published ones."""

    model: Model
    recipe: Recipe | TextRecipe
    inference: Inference
    data: Data


def record(
    name: str,
    asked: Asked,
    predictions: PredictionSet,
    environment: Mapping[str, Scalar],
    command: str,
    inputs: Mapping[str, str],
    measured: Mapping[str, Scalar],
    findings: tuple[Finding, ...],
    canaries: tuple[str, ...] = (),
) -> Run:
    """The run of the model `name`: `inputs` are digests by role, `measured` its metrics, `command` that of `infer`."""
    params = {part.name: getattr(asked, part.name).model_dump() for part in fields(asked)}
    params["model"]["recipe"] = without_test_set(asked.model.recipe)  # the data say which images: no condition twice
    beside = {fact: str(value) for fact, value in predictions.process.items() if fact.startswith(BESIDE)}
    process = {fact: value for fact, value in predictions.process.items() if fact not in beside}
    params["model"]["batch_size"] = process.pop(FOUND_BATCH, params["model"]["batch_size"])
    return Run(
        subject=name,
        command=redact(command),
        params=flat(params),
        inputs=dict(sorted({**inputs, **beside}.items())),
        environment={fact: value for fact, value in {**environment, **process}.items() if value is not None},
        code=code_state(),
        results={**_numbers(findings), **measured, **digests(predictions)},
        findings=tuple(_without_curves(finding) for finding in findings),
        curves=dict(_curves(findings)),
        decisions=_decisions(predictions),
        canaries=canaries,
    )


def _decisions(predictions: PredictionSet) -> dict[str, str]:
    """Of several labels an image the sets of them; none where numbers are predicted."""
    if predictions.task == REGRESSION:
        return {}
    return pack_decisions(predictions.names, predictions.wanted, predictions.top1)


def hashed_inputs(lock: Mapping[str, Any], name: str, model: Model) -> dict[str, str]:
    """DVC's hashes of what `preprocess` and `infer` read, by role."""
    entries = (locked(lock, f"preprocess@{model.recipe}"), locked(lock, f"infer@{name}"))
    return {
        role: md5 for entry in entries for role, md5 in inputs(entry, lambda path: _role(path, model.weights)).items()
    }


def _role(path: str, weights: str) -> str:
    if Path(path) == Path(weights):
        return "weights"
    if "factories" in Path(path).parts:
        return "factory"
    return "samples" if "prepared" in Path(path).parts else Path(path).stem


def _numbers(findings: tuple[Finding, ...]) -> dict[str, Scalar]:
    """Every number in the findings' evidence, as `<check>.<name>`; those of `accuracy_check` are metrics already.

    What one entry of a check's section found, such as a pair of `backend_parity`, is `<check>.<key>.<name>`.
    """
    return {
        f"{_place(finding)}.{name}": value
        for finding in findings
        if finding.check != "accuracy_check"
        for name, value in finding.evidence.items()
        if is_number(value)
    }


def _place(finding: Finding) -> str:
    return f"{finding.check}.{finding.evidence[KEY]}" if KEY in finding.evidence else finding.check


def _curves(findings: tuple[Finding, ...]) -> Iterator[tuple[str, tuple[tuple[float, float], ...]]]:
    for finding in findings:
        for name, points in finding.evidence.get("curves", {}).items():
            drawn = ((step, value) for step, value in points if not isinstance(value, str))  # "nan" and "inf" are words
            yield f"{_place(finding)}.{name}", tuple((float(step), float(value)) for step, value in drawn)


def _without_curves(finding: Finding) -> Finding:
    evidence = {name: value for name, value in finding.evidence.items() if name != "curves"}
    return Finding(finding.check, finding.subject, finding.verdict, finding.sentence, evidence)


def read_findings(folder: Path, weights: Path) -> tuple[Finding, ...]:
    """What every check says of the model, and what `pretrain` wrote beside its weights if they were trained here.

    A check's file is `<folder>/<check>.json`, or `<folder>/<check>-<key>.json` for one entry of a section of params. `capture`
    removed the files that this job does not make.
    """
    own = [path for path in sorted(folder.glob("*.json")) if path.name != CANARIES]
    beside = weights.with_name("findings.json")
    every = [*own, *([beside] if beside.is_file() else [])]
    return tuple(_keyed(finding, path.stem) for path in every for finding in load_findings(path))


def _keyed(finding: Finding, file: str) -> Finding:
    """The finding with its entry's key in its evidence, where its file is named after one."""
    key = file.removeprefix(f"{finding.check}-")
    return finding if key == file else replace(finding, evidence={**finding.evidence, KEY: key})


def main(
    model: str,
    weights: Path,
    manifest: Path,
    samples: Path,
    predictions: Path,
    measured: Path,
    findings: Path,
    environments: str,
    code: str,
    skipped: Path,
    written: Path,
) -> None:
    """Gather, build the run, write it."""
    chosen = read(Model, "models", model)
    lock = read_lock(f"preprocess@{chosen.recipe}", f"infer@{model}")
    asked = Asked(
        chosen, resolved_recipe(samples / "test"), read(Inference, "inference"), read(Data, *data_keys(model))
    )
    facts: dict[str, Scalar] = {
        name: value for path in environments.split() for name, value in Environment.load(Path(path)).facts.items()
    }
    listed, left_out = read_manifest(manifest), [*read_left_out(skipped), *refused(samples / "test")]
    facts |= stored_facts(listed)
    hashes = {**hashed_inputs(lock, model, chosen), **code_inputs(*map(Path, code.split()))}
    numbers = {**json.loads(measured.read_text(encoding="utf-8")), "skipped": not_weighed(left_out)}
    judged = () if asked.data.texts or asked.data.prompts else judge_images(model, listed, left_out, asked.data.order)
    found = (*judged, *read_findings(findings, weights))
    if isinstance(asked.recipe, TextRecipe):
        found = (*said_of_texts(found),)
    canaries = tuple(row for path in findings.glob(CANARIES) for row in json.loads(path.read_text(encoding="utf-8")))
    predicted, command = PredictionSet.load(predictions), locked(lock, f"infer@{model}")["cmd"]
    with replacing(written) as partial:
        record(model, asked, predicted, facts, command, hashes, numbers, found, canaries).save(partial)


if __name__ == "__main__":
    run(main)

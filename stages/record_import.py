"""Make an ordinary run of predictions that somebody else made: measured, held against claims, with what is declared of them.

reads   <predictions>, <claims> (a table of published accuracies, added to the shipped one), <code> (digests of what read the
        predictions), dvc.lock (the hashes that DVC took of what `import_predictions` read)
writes  <written>: a run file (`tracking.runs.run.Run`); <metrics>: the few that DVC's tables show
params  imports.<key>, metrics

The run's environment is what `declared` says, and nothing that was captured here; `environment.origin` says so.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tracking.audit.claims import Claim, claims_about, load_claims
from tracking.capture.dvc_lock import code_inputs, inputs, locked, read_lock
from tracking.capture.git_state import code_state
from tracking.runs.decisions import pack_decisions
from tracking.runs.flat import flat
from tracking.runs.run import DECLARED, ORIGIN, Run
from tracking.runs.secrets import redact
from weighbridge.networks.accuracy import measure
from weighbridge.networks.claimed import held_against_claim, held_against_published
from weighbridge.networks.digests import digests
from weighbridge.networks.metrics import metrics as metrics_of
from weighbridge.networks.metrics import shown
from weighbridge.networks.predictions import PredictionSet
from weighbridge.networks.unanswered import unanswered
from weighbridge.params.imports import Import
from weighbridge.params.metrics import Metrics
from weighbridge.params.section import read
from weighbridge.process.files import write_json
from weighbridge.process.stage import replacing, run

MODEL = {"framework", "backend", "architecture", "checkpoint", "claim"}


def record_import(
    key: str,
    asked: Import,
    predictions: PredictionSet,
    measured: dict[str, float],
    published: Sequence[Claim],
    lock: Mapping[str, Any],
    code: Mapping[str, str],
) -> Run:
    """The run of one import; `published` are the claims about its checkpoint, `code` digests by `code/<file>`."""
    entry = locked(lock, f"import_predictions@{key}")
    against = (
        *unanswered(key, predictions),
        *held_against_claim(key, measured, asked.claim),
        *held_against_published(key, asked.checkpoint, measured, published),
    )
    own = {"model": asked.model_dump(include=MODEL), "recipe": asked.preprocessing, "data": {"classes": asked.classes}}
    return Run(
        subject=key,
        command=redact(entry["cmd"]),
        params=flat(own),
        inputs=dict(sorted({**inputs(entry, lambda path: _role(path, asked)), **code}.items())),
        environment={**flat(asked.declared), ORIGIN: DECLARED},
        code=code_state(),
        results={**{name: round(value, 6) for name, value in measured.items()}, **digests(predictions)},
        findings=against,
        decisions=pack_decisions(predictions.names, predictions.labels, predictions.top1),
    )


def _role(path: str, asked: Import) -> str:
    """What a file is to the import; one that holds several things is called by the first of them."""
    files = {"labels": asked.labels, "scores": asked.scores, "predictions": asked.predictions}
    by_path = {Path(file): name for name, file in files.items()}
    return by_path.get(Path(path), Path(path).stem)


def main(key: str, predictions: Path, claims: Path, code: Path, metrics: Path, written: Path) -> None:
    """Measure, build the run, write it."""
    asked = read(Import, "imports", key)
    imported = PredictionSet.load(predictions)
    chosen = read(Metrics, "metrics")
    measured = {**measure(imported, chosen.ranks, asked.classes), **metrics_of(imported, chosen)}
    published = claims_about(asked.checkpoint, load_claims(claims))
    lock = read_lock(f"import_predictions@{key}")
    with replacing(written) as partial:
        record_import(key, asked, imported, measured, published, lock, code_inputs(code)).save(partial)
    write_json(metrics, shown({name: round(value, 6) for name, value in measured.items()}))


if __name__ == "__main__":
    run(main)

"""`infer` over a large set, shared out: parts that nodes compute, and the job that finds them all computed."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tracking.runs.errors import UserError
from weighbridge.cluster import store
from weighbridge.cluster.node import Job
from weighbridge.params.models import AUTO
from weighbridge.params.section import PARAMS, load_yaml
from weighbridge.process.joined_rows import join, shares
from weighbridge.process.partial import PARTIAL

SAMPLES = "test/samples.json"  # in a folder of prepared samples


def parts_of(job: Job, project: Path, shards: int) -> list[Job]:
    """What is asked of nodes before `job`, which is `infer@<model>`; empty where one node does it all."""
    described = next((path for path in job.inputs if (project / path / SAMPLES).is_file()), None)
    if shards == 1 or described is None:
        return []
    samples = len(json.loads((project / described / SAMPLES).read_text(encoding="utf-8"))["names"])
    model = job.stage.partition("@")[2]
    batch = load_yaml(project / PARAMS)["models"][model]["batch_size"]
    if batch == AUTO:
        raise UserError(
            f"{PARAMS}: models.{model}.batch_size: parts (cluster.shards) are whole batches: give it a number"
        )
    made = [
        replace(
            job,
            key=f"{job.key}-{start}",
            command=f"{job.command} --rows {start}:{stop}",
            outputs=(f"{PARTIAL.as_posix()}/infer-{model}-{start}-{stop}",),
        )
        for start, stop in shares(samples, int(batch), shards)
    ]
    return made if len(made) > 1 else []


def joined(job: Job, parts: Sequence[Job], project: Path) -> Job:
    """`job` with every row come along, so that it computes the first batch only, to see that its bits are the same.

    Raises:
        UserError: the parts do not belong together.
    """
    folder = f"{PARTIAL.as_posix()}/infer-{job.stage.partition('@')[2]}"
    kept = [project / output for part in parts for output in part.outputs]
    shutil.rmtree(project / folder, ignore_errors=True)
    try:
        join(kept, project / folder)
        store.keep(job.store, f"{job.key}-rows/all", project / folder)
    finally:
        for path in (*kept, project / folder):
            shutil.rmtree(path, ignore_errors=True)
    return replace(job, inputs={**job.inputs, folder: f"{job.key}-rows/all"})

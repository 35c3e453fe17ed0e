"""What is special about a job: its params without what is the default anyway."""

from typing import Any

from weighbridge.params.downloads import usual_file
from weighbridge.params.job import Job
from weighbridge.params.networks import backends


def short(job: Job) -> dict[str, Any]:
    """A suite that comes to `job`; what its own suite said in one line is written out."""
    found = job.model_dump(exclude_defaults=True, include=set(Job.model_fields))
    if not job.checks:
        found["checks"] = "none"
    for section in ("models", "pretrain"):
        for entry in found.get(section, {}).values():
            _leave_out(entry, "backend", backends()[entry["framework"]][0])
    for entry in found.get("downloads", {}).values():
        _leave_out(entry, "file", usual_file(entry.get("name") or "", entry.get("url") or ""))
    for entry in found.get("imports", {}).values():
        for name in ("scores", "labels"):
            _leave_out(entry, name, entry["predictions"])
    return found


def _leave_out(entry: dict[str, Any], name: str, usual: Any) -> None:
    if entry[name] == usual:
        del entry[name]

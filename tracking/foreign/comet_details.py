"""What Comet notes of the machine beside an experiment: system, GPUs, packages, commit; offline archives and online."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from tracking.foreign.flat_run import CONDITIONS
from tracking.runs.facts import Facts
from tracking.runs.run import Run, Scalar

KINDS = ("system_details", "installed_packages", "gpu_static_info", "git_metadata")  # messages of an archive


def details_of_archive(messages: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """By kind, the last of each; the names inside are those that Comet gives online."""
    found: dict[str, Any] = {}
    for message in messages:
        if (kind := message["type"]) in KINDS:
            payload = message["payload"]
            found[kind] = payload if kind == "system_details" else payload.get(kind)
    return found


def details_online(experiment: Any) -> dict[str, Any]:
    """The same of an experiment as `comet_ml.API` gives it; what it does not have is left out."""
    asked = {
        "system_details": "get_system_details",
        "installed_packages": "get_installed_packages",
        "git_metadata": "get_git_metadata",
    }
    found = {kind: getattr(experiment, name)() for kind, name in asked.items() if hasattr(experiment, name)}
    system = found.get("system_details") or {}
    return {**found, "gpu_static_info": system.get("gpuStaticInfoList")}


def with_details(run: Run, details: Mapping[str, Any], others: Mapping[str, Scalar]) -> Run:
    """The run with Comet's facts beside its own; where a script logged its conditions they say more than a list of packages."""
    facts: Facts = dict(_system(details.get("system_details") or {}))
    for gpu in details.get("gpu_static_info") or ():
        if gpu.get("name"):
            facts[f"gpu.{int(gpu.get('gpuIndex', 0))}.name"] = str(gpu["name"])
    if CONDITIONS not in others:
        for line in details.get("installed_packages") or ():
            name, pinned, version = str(line).partition("==")
            if pinned:
                facts[f"package.{name.strip().lower().replace('_', '-')}"] = version.strip()
    commit = (details.get("git_metadata") or {}).get("parent")
    code = {"commit": str(commit), **run.code} if commit else run.code
    return replace(run, environment={**dict(sorted(facts.items())), **run.environment}, code=code)


def _system(told: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for fact, names in (("os.platform", ("os",)), ("python.version", ("python_version", "pythonVersion"))):
        value = next((told[name] for name in names if told.get(name)), None)
        if value:
            yield fact, str(value)

"""What DVC hashed: the inputs of a run, out of `dvc.lock` and the files that `capture` wrote."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tracking.runs.errors import UserError

LOCK = Path("dvc.lock")
_STAGE = re.compile(r"^  (?P<quote>['\"]?)(?P<name>[^\s'\"][^'\"\n]*)(?P=quote):[ ]*\n", re.MULTILINE)


def read_lock(*stages: str) -> Mapping[str, Any]:
    """DVC's record of what these stages read; the others are not parsed, for every model would parse those of all models.

    Raises:
        UserError: there is none.
    """
    if not LOCK.is_file():
        raise UserError(f"{LOCK}: not found; make runs with `dvc repro`")
    text = LOCK.read_text(encoding="utf-8")
    places = entries(text)
    known = "".join(text[slice(*places[stage])] for stage in stages if stage in places)
    return dict(YAML(typ="safe").load(f"stages:\n{known}"))


def entries(text: str) -> dict[str, tuple[int, int]]:
    """Where in the text of a lock file the entry of each stage begins and ends."""
    starts = list(_STAGE.finditer(text))
    ends = [*(found.start() for found in starts), len(text)][1:]
    return {found["name"]: (found.start(), end) for found, end in zip(starts, ends, strict=True)}


def locked(lock: Mapping[str, Any], stage: str) -> Mapping[str, Any]:
    """The lock file's entry for one stage."""
    try:
        return dict(lock["stages"][stage])
    except (KeyError, TypeError):
        raise UserError(f"{LOCK}: knows no stage {stage!r}; make runs with `dvc repro`") from None


def inputs(entry: Mapping[str, Any], role: Callable[[str], str]) -> dict[str, str]:
    """DVC's hashes of what a stage read, by role; environments are recorded as facts, and code file by file."""
    return {
        role(dep["path"]): dep[dep.get("hash", "md5")]
        for dep in entry["deps"]
        if not {"environment", "code"} & set(Path(dep["path"]).parts)
    }


def code_inputs(*files: Path) -> dict[str, str]:
    """The digest of every file of code, as `capture` wrote them for a stage each."""
    found = {name: digest for file in files for name, digest in json.loads(file.read_text(encoding="utf-8")).items()}
    return {f"code/{name}": digest for name, digest in found.items()}

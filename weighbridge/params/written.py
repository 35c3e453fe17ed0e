"""The text of `params.yaml`: a job complete in every key, below comments that say who wrote it.

The comments end with a digest of the rest. Where it fits, the file says what its suite said when it was used, and nothing is
lost by writing another one over it.
"""

import hashlib
import re
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

_DIGEST = re.compile(r"# sha256 of the rest: ([0-9a-f]{64})\n")
_WRITTEN = """\
# Written by `weighbridge use {suite}`: what it says, completed with the defaults. To change something, edit that file and
# use it again; after an edit in here `weighbridge use params.yaml` completes this one. `weighbridge params`: what is special.
"""
_EDITED = """\
# Edited by hand (it began as {suite}), and completed by `weighbridge use params.yaml`, which does it again after the next edit.
# To keep it, commit it or copy it to suites/. `weighbridge params` prints what is special about it.
"""
_WEIGHED = """\
# Written by `weighbridge weigh`, each time anew. To change it, copy it to another name and `weighbridge use` that.
"""


def written_text(job: Mapping[str, Any], suite: Path) -> str:
    """The params file that the suite `suite` comes to."""
    rest = _yaml(job)
    return f"{_WRITTEN.format(suite=suite.as_posix())}# sha256 of the rest: {_sha256(rest)}\n{rest}"


def edited_text(job: Mapping[str, Any]) -> str:
    """The same of a params file that was edited by hand and kept nowhere else."""
    return f"{_EDITED.format(suite=job['suite'] or 'another file')}{_yaml(job)}"


def weighed_text(suite: Mapping[str, Any]) -> str:
    """The suite that `weighbridge weigh` writes."""
    rest = plain_yaml(suite, compact=True)
    return f"{_WEIGHED}# sha256 of the rest: {_sha256(rest)}\n{rest}"


def is_weighed(text: str) -> bool:
    """Whether `weighbridge weigh` wrote a suite that was not touched since."""
    return text.startswith(_WEIGHED) and is_as_written(text)


def is_as_written(text: str) -> bool:
    """Whether a params file was written from a suite and not touched since."""
    found = _DIGEST.search(text)
    return found is not None and _sha256(text[found.end() :]) == found[1]


def plain_yaml(value: Mapping[str, Any], *, compact: bool = False) -> str:
    """Keys as they come, no aliases; one value a line, or lists and mappings that hold no others on one line."""
    yaml = YAML()
    yaml.width = 120 if compact else 4096
    yaml.default_flow_style = None if compact else False
    yaml.representer.ignore_aliases = lambda *_: True
    stream = StringIO()
    yaml.dump(dict(value), stream)
    return stream.getvalue()


def _yaml(job: Mapping[str, Any]) -> str:
    """A blank line between sections."""
    return "\n".join(plain_yaml({key: value}) for key, value in job.items())


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

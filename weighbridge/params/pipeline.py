"""Which optional stage runs for what: `pipeline` in `params.yaml`. `weighbridge use` works it out; dvc.yaml goes through it."""

from typing import Literal, get_args

from weighbridge.params.section import Name, Section

Check = Literal[
    "layers",
    "backend_parity",
    "backend_check",
    "mode_check",
    "isolation_check",
    "preprocess_check",
    "fingerprint",
    "transfer_check",
]
CHECKS: tuple[str, ...] = get_args(Check)


class Pipeline(Section):
    """By stage, what it runs for: a model, or an entry of the check's section, with what its command line names."""

    layers: dict[Name, dict[str, str]]
    backend_parity: dict[Name, dict[str, str]]
    backend_check: dict[Name, dict[str, str]]
    mode_check: dict[Name, dict[str, str]]
    isolation_check: dict[Name, dict[str, str]]
    preprocess_check: dict[Name, dict[str, str]]
    fingerprint: dict[Name, dict[str, str]]
    transfer_check: dict[Name, dict[str, str]]
    transfer_ranking: dict[Name, dict[str, str]]

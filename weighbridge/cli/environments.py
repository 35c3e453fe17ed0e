"""Commands about environments and single runs: show, diff."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracking.lookup.find import find_run
from tracking.runs.errors import UserError
from weighbridge.cli.options import RUN, Command, add_folder, add_json
from weighbridge.cli.output import print_json, screen

if TYPE_CHECKING:
    from tracking.runs.run import Run, Scalar

HERE = "here"
ENVIRONMENT = f"{RUN}; a file that `weighbridge show --json` wrote; or here"


# ---- show


def show_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", nargs="?", help=f"{RUN}; without one, this machine's environment")
    parser.add_argument("--runtime", metavar="NAME", help="only this runtime, for example torchvision-torch")
    add_folder(parser)
    add_json(parser)


def show(options: argparse.Namespace) -> int:
    """Print a run, or the conditions of this machine."""
    if options.run:
        return _show_run(find_run(options.run, options.folder), options)
    facts = _facts_here(options.runtime)
    if options.json:
        print_json({"runtimes": facts})
    else:
        from tracking.pages.text_environment import environment_text

        print(environment_text(facts), end="")
    return 0


def _show_run(run: "Run", options: argparse.Namespace) -> int:
    if options.json:
        print_json({"run": {"id": run.id, **run.to_dict()}})
    else:
        from tracking.pages.text_environment import run_text

        print(run_text(run), end="")
    return 0


def _facts_here(runtime: str | None) -> "dict[str, dict[str, Scalar]]":
    from tracking.capture.environment import capture
    from weighbridge.networks.adapters import runtimes

    known = runtimes()
    if runtime and runtime not in known:
        raise UserError(f"--runtime: unknown runtime {runtime!r}; known: {', '.join(known)}")
    return {name: dict(capture(known[name]).facts) for name in ([runtime] if runtime else known)}


# ---- diff


def diff_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("first", metavar="A", help=ENVIRONMENT)
    parser.add_argument("second", metavar="B", help="the same")
    parser.add_argument("--runtime", metavar="NAME", help="of files and of here, only this runtime (torchvision-torch)")
    parser.add_argument(
        "--strict", action="store_true", help="exit with 1 where something differs that can move a number"
    )
    add_folder(parser)
    add_json(parser)


def diff(options: argparse.Namespace) -> int:
    """Print what differs between two environments, what matters most first."""
    from tracking.audit.environments import environment_diff

    references = (options.first, options.second)
    runtime = options.runtime or next(
        (name for each in references if (name := _runtime_of(each, options.folder))), None
    )
    sides = [_environment(each, runtime, options.folder) for each in references]
    found = environment_diff(*sides)
    if options.json:
        print_json(found.to_dict())
    else:
        from tracking.pages.text_environment import diff_text

        print(diff_text(found, screen()), end="")
    return 1 if options.strict and found.matters else 0


def _runtime_of(written: str, folder: Path) -> str | None:
    """The runtime of a run of ours; None for what is none."""
    if written == HERE or _shown(written) is not None:
        return None
    params = find_run(written, folder).params
    named = [params.get(f"model.{part}") for part in ("framework", "backend")]
    return "-".join(map(str, named)) if all(named) else None


def _environment(written: str, runtime: str | None, folder: Path) -> "Mapping[str, Scalar]":
    if written == HERE:
        return _merged(_facts_here(runtime))
    shown = _shown(written)
    if shown is None:
        return find_run(written, folder).environment
    if runtime is not None and runtime not in shown:
        raise UserError(f"{written}: has no runtime {runtime!r}; it has: {', '.join(shown)}")
    return _merged({runtime: shown[runtime]} if runtime else shown)


def _merged(facts: "Mapping[str, Mapping[str, Scalar]]") -> "dict[str, Scalar]":
    return {name: value for own in facts.values() for name, value in own.items()}


def _shown(written: str) -> dict[str, Any] | None:
    """The runtimes in a file of `weighbridge show --json`; None for any other reference."""
    path = Path(written)
    if not path.is_file() or path.suffix != ".json":
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    found = values.get("runtimes") if isinstance(values, dict) else None
    whole = isinstance(found, dict) and all(isinstance(each, dict) for each in found.values())
    return found if whole else None


COMMANDS = {
    "show": Command("print a run, or this environment: everything here that could move a number", show_options, show),
    "diff": Command("print what differs between two environments, of runs, files or this machine", diff_options, diff),
}

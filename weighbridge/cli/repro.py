"""`weighbridge repro`: what `dvc repro` does, in less time.

`weighbridge.cli.dvc_shortcuts` says where the time is saved.

One model that cannot be weighed ends nothing: what does not need it runs, and so do the report and publishing, with what is
there. The failed stages run again the next time.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracking.runs.errors import UserError
from weighbridge.cli.options import Command
from weighbridge.cli.output import screen
from weighbridge.cli.replaying import require_project
from weighbridge.process.exit_codes import INTERRUPTED

if TYPE_CHECKING:
    from weighbridge.process.failures import Failure

FLAGS = ("force", "single_item", "dry")
RUNS, REPORT = Path("data/runs"), Path("data/report.html")
DVC_INTERRUPTED = 252  # an exit code
STOPPED_BY_USER = (INTERRUPTED, 128 + signal.SIGTERM, -signal.SIGINT, -signal.SIGTERM)


def repro_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("targets", metavar="STAGE", nargs="*", help="only these, with what they need (default: all)")
    parser.add_argument("-f", "--force", action="store_true", help="also run what has nothing new")
    parser.add_argument("--fail-fast", action="store_true", help="run nothing more after a failure")
    parser.add_argument("-s", "--single-item", action="store_true", help="without what they need")
    parser.add_argument(
        "-j", "--jobs", metavar="N", type=int, help="run N stages at once (default: `jobs` of params.yaml)"
    )
    parser.add_argument("--dry", action="store_true", help="only say what would run")


def repro(options: argparse.Namespace) -> int:
    """Run the stages of the job that have something to do."""
    require_project()
    os.environ.setdefault("DVC_NO_ANALYTICS", "true")
    # the stages are started through a shell, which must find this environment's python
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    from dvc.cli import main

    from weighbridge.cli import dvc_shortcuts

    _say_where_there_is_no_git()
    dvc_shortcuts.write_entries_alone()
    dvc_shortcuts.read_params_once()
    dvc_shortcuts.hash_dependencies_once()
    if options.dry:
        dvc_shortcuts.look_past_missing_inputs()
    run_jobs_at_once(options.jobs, dry=options.dry)
    failed, skipped = watch_failures()
    flags = [f"--{name.replace('_', '-')}" for name in FLAGS if getattr(options, name)]
    code = int(main(["repro", *flags, *([] if options.fail_fast else ["--keep-going"]), *options.targets]))
    if code == DVC_INTERRUPTED:
        return INTERRUPTED
    if not failed or options.dry:
        say_job(options)
        return code
    noted = noted_failures(failed)
    gather_without(failed, skipped, lambda stages: main(["repro", "--single-item", "--keep-going", *stages]))
    say_job(options)
    return say_failures(noted)


def run_jobs_at_once(option: int | None, *, dry: bool = False) -> None:
    """Let DVC, in this process, run as many stages at once as `--jobs`, the params or the machine say; a dry run asks no cluster.

    Raises:
        UserError: `--jobs` is less than 1, or params.yaml cannot be read or holds no sections.
    """
    from tracking.capture import nvml
    from tracking.capture.cpus import usable_cpus
    from weighbridge.cli.gpus_apart import CHOSEN, alike
    from weighbridge.cli.side_by_side import places, run_side_by_side, side_by_side, threads_of
    from weighbridge.params.cluster import cluster_of
    from weighbridge.params.inference import Inference
    from weighbridge.params.section import PARAMS, Count, check
    from weighbridge.params.whole import load_suite
    from weighbridge.process.at_once import SHARE

    if option is not None and option < 1:
        raise UserError(f"--jobs {option}: at least 1")
    params = load_suite(PARAMS) if PARAMS.is_file() else {}
    asked = check(Count | None, params.get("jobs"), PARAMS, "jobs") if option is None else option  # type: ignore[arg-type]
    inference = check(Inference, params.get("inference", {}), PARAMS, "inference")
    gpus = alike(nvml.gpus(), os.environ.get(CHOSEN)) if inference.device in ("auto", "cuda") else []
    here = side_by_side(asked, inference.threads, inference.device, len(gpus))
    os.environ.setdefault(SHARE, str(max(1, (usable_cpus() or 1) // here)))
    cluster = None if dry else cluster_of(params)
    if cluster is None:
        run_side_by_side(here, places(params, here), gpus)
        return
    from weighbridge.cluster.on_ray import OnRay, connect

    say = lambda line: print(f"weighbridge: {line}", flush=True)  # noqa: E731
    far = OnRay(connect(), cluster, threads_of(params), Path().resolve(), say)
    jobs = asked or max(1, far.cpus // (inference.threads or 1))
    run_side_by_side(jobs, {}, far=far, here=side_by_side(None, 1, "cpu", 0))


def say_job(options: argparse.Namespace) -> None:
    """Say what the whole job came to, where that is what was asked for."""
    from tracking.pages.text_job import job_text
    from tracking.runs.run import readable

    runs = [run for _, run in readable(sorted(RUNS.glob("*.json")))]
    if runs and not (options.targets or options.dry):
        print(f"\n{job_text(runs, REPORT.as_posix(), screen())}")


def _say_where_there_is_no_git() -> None:
    """DVC wants to be told that a project lies outside a git repository."""
    from tracking.capture.repository import find_repository

    if find_repository(Path()) is None:
        from dvc.cli import main

        main(["config", "--local", "core.no_scm", "true"])


def watch_failures() -> tuple[dict[str, Exception], list[str]]:
    """What DVC, in this process, will fail to run, with its reason, and what it skips because of that; filled as it goes on."""
    from dvc.repo import reproduce

    failed: dict[str, Exception] = {}
    skipped: list[str] = []
    handle = reproduce.handle_error

    def handle_error(graph: Any, on_error: str, problem: Exception, stage: Any) -> Any:
        if str(problem).endswith(tuple(f", exited with {code}" for code in STOPPED_BY_USER)):
            raise KeyboardInterrupt  # DVC would go on with the next stage
        failed[stage.addressing] = problem
        dependents = handle(graph, on_error, problem, stage)
        skipped.extend(each.addressing for each in dependents if each.addressing not in skipped)
        return dependents

    reproduce.handle_error = handle_error
    return failed, skipped


def gather_without(failed: Collection[str], skipped: Collection[str], repro: Callable[[list[str]], object]) -> None:
    """Run what was skipped and can do without what failed: records of weighed models, and the stages about all runs.

    A run of a model that was not weighed now is removed: it would be taken for one of today.
    """
    missing = {*failed, *skipped}
    needed = ("infer", "accuracy_check", "import_predictions")
    records = []
    for stage in (name for name in missing if name.startswith("record")):
        subject = stage.rpartition("@")[2]
        if stage in failed or missing & {f"{each}@{subject}" for each in needed}:
            (RUNS / f"{subject}.json").unlink(missing_ok=True)
        else:
            records.append(stage)
    about_all = [name for name in _about_all() if name in skipped]
    if records:
        repro(sorted(records))
    if about_all and any(RUNS.glob("*.json")):
        repro(about_all)


def _about_all() -> list[str]:
    """The stages that read the runs, in the pipeline's order."""
    from weighbridge.params.section import load_yaml

    stages = load_yaml(Path("dvc.yaml"))["stages"]
    return [name for name, entry in stages.items() if RUNS.as_posix() in entry.get("deps", [])]


def noted_failures(failed: Mapping[str, Exception]) -> list["Failure"]:
    """The note of every stage that failed, made here for one that never started or was killed."""
    from weighbridge.process.failures import Failure, failures, note_failure

    noted = {each.stage: each for each in failures()}
    for stage in failed.keys() - noted.keys():
        reason = str(failed[stage])
        noted[stage] = Failure(stage, "stopped" if "exited with" in reason else "input", reason)
        note_failure(noted[stage])
    return [noted[stage] for stage in failed]


def say_failures(noted: Sequence["Failure"]) -> int:
    """Say what could not be done and why; the exit code: 2 where only input was wrong, else 70."""
    from weighbridge.process.exit_codes import BUG, MISTAKE

    print(f"\nweighbridge: {len(noted)} stages could not run; the next repro tries them again:", file=sys.stderr)
    for failure in noted:
        print(f"  {failure.stage}: {failure.reason}", file=sys.stderr)
    return BUG if any(failure.kind == "bug" for failure in noted) else MISTAKE


COMMANDS = {
    "repro": Command("run the stages of the job that have something to do, as `dvc repro` does", repro_options, repro)
}

"""Making a suite the job that `dvc repro` runs: completed, it becomes `params.yaml`."""

from pathlib import Path

from tracking.capture.repository import NoRepositoryError, repository
from tracking.runs.errors import UserError
from tracking.runs.writing import write_text
from weighbridge.params.complete import complete
from weighbridge.params.lock import prune
from weighbridge.params.section import PARAMS
from weighbridge.params.whole import load_suite
from weighbridge.params.written import edited_text, is_as_written, written_text


def use(suite: Path, params: Path = PARAMS) -> str:
    """Complete the file `suite` into `params`, take other jobs' stages out of dvc.lock; a sentence that says so.

    `params` itself is completed in place. Nobody's own words are lost: what was edited in `params` by hand must be committed
    to git, be what its suite comes to, or be a file beside the suite.

    Raises:
        UserError: the suite cannot be read or breaks the schema, this is no project folder, or `params` holds changes found
            nowhere else.
    """
    if not params.is_file():
        raise UserError(f"{params}: not found; run this in the project's folder")
    in_place = suite.resolve() == params.resolve()
    asked = load_suite(suite)
    suite = _seen_from(params, suite)
    job = complete(asked if in_place else {**asked, "suite": suite.as_posix()}, suite)
    present = _read(params)
    if in_place and job == asked:
        said = f"{params} is complete already"
    elif not in_place and present == written_text(job, suite):
        said = f"{params} is {suite} already"
    else:
        if not in_place and not _is_kept(params, present, suite.parent):
            raise UserError(f"{params}: holds changes that are kept nowhere else; commit them, or copy them to a suite")
        write_text(params, edited_text(job) if in_place else written_text(job, suite))
        back = f"`git checkout {params}` brings back the committed one"
        said = f"{params} is complete" if in_place else f"{params} is now {suite}; {back}"
    pruned = prune(params.with_name("dvc.yaml"), params.with_name("dvc.lock"), job)
    return f"{said}; dvc.lock: {len(pruned)} stages of other jobs taken out" if pruned else said


def _seen_from(params: Path, suite: Path) -> Path:
    """A suite of the project, which others have elsewhere, by its path in there."""
    try:
        return suite.resolve().relative_to(params.resolve().parent)
    except ValueError:
        return suite


def _is_kept(params: Path, present: str, suites: Path) -> bool:
    """Whether what `params` holds can be had again."""
    if is_as_written(present) or present == _committed(params):
        return True
    beside = (path for path in suites.glob("*.yaml") if path.resolve() != params.resolve())
    return present in map(_read, beside) or _is_what_its_suite_says(params)


def _is_what_its_suite_says(params: Path) -> bool:
    try:
        present = load_suite(params)
        suite = str(present.get("suite"))
        return complete({**load_suite(params.parent / suite), "suite": suite}, params) == present
    except UserError:
        return False


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise UserError(f"{path}: cannot be read ({problem})") from problem


def _committed(path: Path) -> str | None:
    """The file as the last commit has it; None outside git."""
    try:
        repo = repository(path.absolute().parent)
        inside = path.absolute().relative_to(Path(repo.working_dir)).as_posix()
        return bytes((repo.head.commit.tree / inside).data_stream.read()).decode()
    except (NoRepositoryError, KeyError, ValueError):
        return None

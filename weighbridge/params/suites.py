"""Making a suite the job that `dvc repro` runs: its file becomes `params.yaml`."""

from pathlib import Path

from tracking.runs.errors import UserError

PARAMS = Path("params.yaml")


def use(suite: Path, params: Path = PARAMS) -> str:
    """Copy the file `suite` over `params` and return a sentence that says so.

    Nobody's own words are lost: what `params` holds must be committed to git, or be a file beside the suite.

    Raises:
        UserError: the suite cannot be read, this is no project folder, or `params` holds changes found nowhere else.
    """
    chosen = _read(suite)
    if not params.is_file():
        raise UserError(f"{params}: not found; run this in the project's folder")
    present = _read(params)
    if present == chosen:
        return f"{params} is {suite} already"
    if present not in (_read(path) for path in suite.parent.glob("*.yaml")) and present != _committed(params):
        raise UserError(f"{params}: holds changes that are kept nowhere else; commit them, or copy them to a suite")
    params.write_bytes(chosen)
    return f"{params} is now {suite}; `git checkout {params}` brings back the committed one"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise UserError(f"{path}: cannot be read ({problem.strerror})") from problem


def _committed(path: Path) -> bytes | None:
    """The file as the last commit has it; None outside git."""
    from git import Repo
    from git.exc import GitError

    try:
        repo = Repo(path.absolute().parent, search_parent_directories=True)
        inside = path.absolute().relative_to(Path(repo.working_dir)).as_posix()
        return bytes((repo.head.commit.tree / inside).data_stream.read())
    except (GitError, KeyError, ValueError):
        return None

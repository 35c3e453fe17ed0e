"""Audits, comparisons and matrices of runs as values, which print as the command line does and which notebooks show as pages."""

import html
from collections.abc import Iterable
from pathlib import Path

from tracking.audit.audit import Audit
from tracking.audit.audit import audit as audited
from tracking.audit.claims import load_claims
from tracking.audit.compare import Comparison
from tracking.audit.compare import compare as compared
from tracking.audit.matrix import Matrix
from tracking.audit.matrix import matrix as side_by_side
from tracking.lookup.find import FOLDER, find_run, find_runs
from tracking.runs.run import Run

Reference = Run | str | Path  # a run, or what `weighbridge audit` takes: a file, an id, `mlflow:<id>`, `comet:<key>`


class AuditShown(Audit):
    """An `Audit` that shows itself."""

    def __str__(self) -> str:
        from tracking.pages.text_audit import audit_text

        return audit_text(self)

    def _repr_html_(self) -> str:
        from tracking.pages.html_audit import audit_page

        return _framed(audit_page([self]))


class ComparisonShown(Comparison):
    """A `Comparison` that shows itself."""

    def __str__(self) -> str:
        from tracking.pages.text_compare import comparison_text

        return comparison_text(self, None, 5)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


class MatrixShown(Matrix):
    """A `Matrix` that shows itself."""

    def __str__(self) -> str:
        from tracking.pages.text_matrix import matrix_text

        return matrix_text(self)

    def _repr_html_(self) -> str:
        from tracking.pages.html_matrix import matrix_page

        return _framed(matrix_page(self))


def audit(before: Reference, after: Reference, folder: Path | str = FOLDER, metrics: Iterable[str] = ()) -> AuditShown:
    """Whether two results are the same, and if not, what could have changed them.

    Args:
        folder: where names and ids of runs are looked up.
        metrics: which results decide; by default decisions and accuracy, or all metrics that both runs have.

    Raises:
        UserError: there is no such run, or the two recorded no result in common.
    """
    return AuditShown(**vars(audited(_run(before, folder), _run(after, folder), tuple(metrics))))


def compare(first: Reference, second: Reference, folder: Path | str = FOLDER) -> ComparisonShown:
    """Two runs on the same samples, sample by sample; arguments and errors as those of `audit`."""
    return ComparisonShown(**vars(compared(_run(first, folder), _run(second, folder), load_claims(None))))


def matrix(
    runs: Iterable[Reference], folder: Path | str = FOLDER, metric: str | None = None, *, lower: bool = False
) -> MatrixShown:
    """Many runs side by side, by `metric` (top-1 accuracy), of which `lower` says whether less is better.

    One of `runs` may be a folder of run files. Errors as those of `audit`.
    """
    found = [each for written in runs for each in _runs(written, Path(folder))]
    return MatrixShown(**vars(side_by_side(found, metric, lower=lower)))


def _run(written: Reference, folder: Path | str) -> Run:
    return written if isinstance(written, Run) else find_run(str(written), Path(folder))


def _runs(written: Reference, folder: Path) -> list[Run]:
    return [written] if isinstance(written, Run) else find_runs(str(written), folder)


def _framed(page: str) -> str:
    """A page inside a notebook's page: in a frame that runs no script."""
    return (
        f'<iframe sandbox srcdoc="{html.escape(page)}" style="width:100%;height:40em;border:1px solid #8888"></iframe>'
    )

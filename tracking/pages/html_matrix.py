"""Many runs side by side as one self-contained HTML page."""

from typing import TYPE_CHECKING

from tracking.pages.templates import Site, environment
from tracking.pages.text_matrix import NO_SHARE, accuracy_range, matrix_line, number_text, percent

if TYPE_CHECKING:
    from tracking.audit.matrix import Matrix

UNFOLDED = 5  # conditions that are listed; of more there is a count that opens


def matrix_page(found: "Matrix", site: Site = ()) -> str:
    """Conditions down, runs across, best first; those that go with the result are ranked above."""
    templates = environment()
    templates.filters |= {
        "accuracy_range": accuracy_range,
        "percent": percent,
        "top1": lambda run: number_text(found.value(run)),
    }
    return templates.get_template("matrix.jinja").render(
        found=found,
        line=matrix_line(found),
        no_share=NO_SHARE,
        site=site,
        unfolded=UNFOLDED,
        with_share=[group for group in found.groups if group.share is not None],
    )

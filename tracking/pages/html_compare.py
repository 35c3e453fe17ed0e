"""Two runs compared image by image, as one self-contained HTML page."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tracking.audit.grades import task_of_run
from tracking.pages.templates import Site, environment
from tracking.pages.text_audit import document_rows
from tracking.pages.text_compare import (
    accuracy_text,
    beginning,
    comparison_line,
    paired_rows,
    published_rows,
    with_interval,
)

if TYPE_CHECKING:
    from tracking.audit.compare import Comparison
    from tracking.lookup.said import Said

FEW = 10  # classes in the open; the rest is folded
MOST = 1000  # flips and texts on a page
LETTERS = 2000  # of a generated text


def compare_page(
    found: "Comparison", names: Sequence[str] | None = None, said: "Said | None" = None, site: Site = ()
) -> str:
    """Who is right where, the paired difference, the classes in which they differ, and every image on which they do."""
    return (
        environment()
        .get_template("compare.jinja")
        .render(
            accuracy=accuracy_text,
            classes=_classes(found),
            documents=document_rows(found.pair.counts, found.pair.differing) if found.pair else [],
            few=FEW,
            flips=found.flips(names)[:MOST],
            found=found,
            line=comparison_line(found),
            metrics=[(name, *map(with_interval, both)) for name, *both in found.metrics],
            outcomes=_outcomes(found),
            paired=paired_rows(found),
            published=list(published_rows(found)),
            said=[(name, *(beginning(text, LETTERS) for text in texts)) for name, *texts in said.apart[:MOST]]
            if said
            else [],
            site=site,
        )
    )


def _outcomes(found: "Comparison") -> tuple[tuple[int, int], tuple[int, int]]:
    """How many samples both get right, A alone; B alone, neither."""
    both = found.accuracies[0].right - found.only_first
    neither = found.accuracies[0].samples - both - found.only_first - found.only_second
    return (both, found.only_first), (found.only_second, neither)


def _classes(found: "Comparison") -> list[tuple[int, int, int, int]]:
    """Of each class in which one is right more often: label, images, and how many of them either gets right; most apart first."""
    import numpy as np

    if found.pair or task_of_run(found.first) != "classes" or found.labels.min() < 0:
        return []
    right = [found.labels[each == found.labels] for each in found.decisions]
    counts = [np.bincount(each, minlength=found.labels.max() + 1) for each in (found.labels, *right)]
    rows = [
        (label, int(images), int(first), int(second))
        for label, (images, first, second) in enumerate(zip(*counts, strict=True))
        if first != second
    ]
    return sorted(rows, key=lambda row: (-abs(row[3] - row[2]), row[0]))

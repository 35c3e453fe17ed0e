"""Audits as one self-contained HTML page."""

from collections.abc import Sequence

from tracking.audit.audit import Audit
from tracking.pages.templates import Site, environment
from tracking.pages.text_audit import headline, result_rows, same_line, suspects_title, unrecorded_lines
from tracking.runs.run import Scalar
from tracking.runs.words import change_text, value_text

FEW = 5  # suspects in the open; the rest is folded


def audit_page(audits: Sequence[Audit], site: Site = ()) -> str:
    """One or more audits as one page."""
    templates = environment()
    templates.filters |= {"change": change_text, "value": value_text}
    return templates.get_template("audit.jinja").render(
        audits=audits,
        few=FEW,
        headline=headline,
        result_rows=result_rows,
        same_conditions=_same_conditions,
        same_line=same_line,
        site=site,
        suspects_title=suspects_title,
        unrecorded_lines=unrecorded_lines,
    )


def _same_conditions(audit: Audit) -> list[tuple[str, Scalar]]:
    """Every condition that both recorded and that is the same."""
    old, new = audit.before.conditions, audit.after.conditions
    differing = {each.name for each in audit.differences}
    return [(name, old[name]) for name in sorted((old.keys() & new.keys()) - differing)]

"""A run in few words for trackers: a description in Markdown, its findings as a table, and both as a page."""

import html
import json
from collections.abc import Iterable

from tracking.audit.meanings import meaning_of
from tracking.audit.trust import judged, tally
from tracking.runs.decisions import confusion
from tracking.runs.facts import is_number
from tracking.runs.run import Run
from tracking.runs.words import markdown_text

PAGE, CONFUSION = "model.html", "confusion-matrix.json"
MOST_CLASSES = 100  # of a confusion matrix
FINDINGS_COLUMNS = ("verdict", "check", "finding", "what it means", "what to do")


def findings_table(run: Run) -> list[tuple[str, ...]]:
    """Every finding as a row of `FINDINGS_COLUMNS`, what needs somebody first; nothing to do is left empty."""
    wanting = [need.finding for need in judged(run).needs]
    others = [finding for finding in run.findings if finding not in wanting]
    rows = ((each, meaning_of(each)) for each in (*wanting, *others))
    return [(each.verdict.value, each.check, each.sentence, told.means, told.advice(each)) for each, told in rows]


def files(run: Run) -> dict[str, str]:
    """What a tracker may show beside the numbers: the page, and which class was taken for which (a list of rows, as JSON)."""
    counts = confusion(run.decisions, MOST_CLASSES)
    return {PAGE: page(run)} | ({CONFUSION: json.dumps(counts)} if counts else {})


def dataset(run: Run) -> str:
    """Source and DVC's hash of the images that were weighed, as far as they are recorded."""
    return f"{run.params.get('data.source', 'not recorded')} {run.inputs.get('samples', '')}".strip()


def page(run: Run) -> str:
    """The same for a tab of HTML: the verdict, the number, and every finding, what needs somebody first."""
    found, top1 = judged(run), run.results.get("top1")
    number = f", top-1 {top1:.2%} of {run.results.get('samples')} images" if is_number(top1) else ""
    heads = "".join(f"<th align=left>{each}</th>" for each in FINDINGS_COLUMNS)
    return (
        f"<!doctype html><meta charset=utf-8><title>{html.escape(run.subject)}</title>"
        f"<h1>{html.escape(run.subject)}: {found.words}{number}</h1><p>What to do: {html.escape(found.do)}</p>"
        f"<p>{tally(run.findings)}</p><table border=1 cellpadding=6 style='border-collapse: collapse'><tr>{heads}</tr>"
        f"{''.join(map(_row, findings_table(run)))}</table><p>Run {run.id}</p>\n"
    )


def _row(cells: Iterable[str]) -> str:
    return f"<tr valign=top>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>"


def description(run: Run) -> str:
    """The run in a few lines of Markdown: the verdict, the number, what needs somebody and what to do."""
    found = judged(run)
    top1, low, high, samples = (run.results.get(name) for name in ("top1", "top1_low", "top1_high", "samples"))
    said = [f"**{found.words}**"]
    if is_number(top1):
        ends = f" ({low:.2%} to {high:.2%})" if is_number(low) and is_number(high) else ""
        said.append(f"top-1 {top1:.2%}{ends} of {samples} images")
    if is_number(claim := run.params.get("model.claim.top1")):
        said.append(f"published {claim:.2%}")
    lines = [f"{', '.join(said)}.", ""]
    for need in found.needs:
        lines.append(f"- **{markdown_text(need.meaning.title)}**: {markdown_text(need.finding.sentence)}")
        lines.append(f"  What to do: {need.meaning.do}")
    return "\n".join([*lines, "", tally(run.findings)]).strip() + "\n"

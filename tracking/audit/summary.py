"""A run in few words for trackers: a description in Markdown, its findings as a table, and both as a page."""

import html
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tracking.audit.cases import case_of
from tracking.audit.meanings import meaning_of
from tracking.audit.trust import judged, tally
from tracking.runs.decisions import confusion
from tracking.runs.facts import is_number
from tracking.runs.run import Run
from tracking.runs.words import markdown_text, samples_word

PAGE, CONFUSION, HISTOGRAM = "model.html", "confusion-matrix.json", "confidence.json"
MOST_CLASSES = 100  # of a confusion matrix
MOST_ANSWERS = 1_000_000  # of a histogram, which Comet's SDK is given one by one
FINDINGS_COLUMNS = ("finding", "verdict", "what was seen", "what it means", "what to do", "check")


def findings_table(run: Run) -> list[tuple[str, ...]]:
    """Every finding as a row of `FINDINGS_COLUMNS`, what needs somebody first; nothing to do is left empty.

    The first cell is another one in each row, and the same in every run that was asked the same: MLflow lines runs up by it.
    """
    wanting = [need.finding for need in judged(run).needs]
    others = [finding for finding in run.findings if finding not in wanting]
    rows = [(each, meaning_of(each)) for each in (*wanting, *others)]
    names = _numbered([told.title for _, told in rows])
    return [
        (name, each.verdict.value, each.sentence, told.means, told.advice(each), each.check)
        for name, (each, told) in zip(names, rows, strict=True)
    ]


def _numbered(titles: Sequence[str]) -> Iterator[str]:
    """The titles, those that come again with their number."""
    seen: Counter[str] = Counter()
    for title in titles:
        seen[title] += 1
        yield title if seen[title] == 1 else f"{title} ({seen[title]})"


def files(run: Run) -> dict[str, str]:
    """What a tracker may show beside the numbers: the page, which class was taken for which (a list of rows, as JSON), and

    how many answers were how sure (pairs of confidence and count, as JSON).
    """
    counts, bins = confusion(run.decisions, MOST_CLASSES), confidences(run)
    return (
        {PAGE: page(run)}
        | ({CONFUSION: json.dumps(counts)} if counts else {})
        | ({HISTOGRAM: json.dumps(bins)} if bins else {})
    )


def confidences(run: Run) -> list[tuple[float, int]]:
    """Mean confidence and number of answers in each bin of the reliability diagram; odd rows of a stranger are left out."""
    pairs = (
        (each.get("confidence"), each.get("images")) for each in table_of(run, "reliability", ("confidence", "images"))
    )
    known = [(x, count) for x, count in pairs if is_number(x) and 0 <= x <= 1 and type(count) is int and count > 0]
    return known if sum(count for _, count in known) <= MOST_ANSWERS else []


def table_of(run: Run, name: str, columns: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of a table in the evidence of the first finding that has one with these columns, but for what is no row."""
    for finding in run.findings:
        table, heads = finding.evidence.get(name), finding.evidence.get(f"{name}_columns")
        if isinstance(table, list) and isinstance(heads, list) and all(column in heads for column in columns):
            return [dict(zip(map(str, heads), row, strict=False)) for row in table if isinstance(row, list)]
    return []


def dataset(run: Run) -> str:
    """Source and DVC's hash of the images that were weighed, as far as they are recorded."""
    return f"{run.params.get('data.source', 'not recorded')} {run.inputs.get('samples', '')}".strip()


def page(run: Run) -> str:
    """The same for a tab of HTML: the verdict, the number, and every finding, what needs somebody first."""
    found, top1, case = judged(run), run.results.get("top1"), case_of(run)
    said = f"<p>{html.escape(f'{case.headline}. {case.remedied}')}</p>" if case else ""
    steps = "".join(f"<li>{html.escape(step)}</li>" for step in (case.steps if case else (found.do,)))
    number = f", top-1 {top1:.2%} of {run.results.get('samples')} {samples_word(run.params)}" if is_number(top1) else ""
    heads = "".join(f"<th align=left>{each}</th>" for each in FINDINGS_COLUMNS)
    return (
        f"<!doctype html><meta charset=utf-8><title>{html.escape(run.subject)}</title>"
        f"<h1>{html.escape(run.subject)}: {found.words}{number}</h1>{said}<p>What to do:</p><ol>{steps}</ol>"
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
        said.append(f"top-1 {top1:.2%}{ends} of {samples} {samples_word(run.params)}")
    if is_number(claim := run.params.get("model.claim.top1")):
        said.append(f"claimed {claim:.2%}")
    lines = [f"{', '.join(said)}.", ""]
    if case := case_of(run):
        lines += [markdown_text(f"{case.headline}. {case.remedied}".strip()), ""]
        lines += [
            f"- **{markdown_text(need.meaning.title)}**: {markdown_text(need.finding.sentence)}" for need in case.needs
        ]
        lines += ["", "What to do:", "", *(f"{place}. {step}" for place, step in enumerate(case.steps, 1))]
    return "\n".join([*lines, "", tally(run.findings)]).strip() + "\n"

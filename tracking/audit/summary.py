"""A run in few words for trackers: a description in Markdown, and its findings as a table."""

from tracking.audit.meanings import meaning_of
from tracking.audit.trust import judged, tally
from tracking.runs.facts import is_number
from tracking.runs.run import Run
from tracking.runs.words import markdown_text

FINDINGS_COLUMNS = ("verdict", "check", "finding", "what it means", "what to do")


def findings_table(run: Run) -> list[tuple[str, ...]]:
    """Every finding as a row of `FINDINGS_COLUMNS`, what needs somebody first; nothing to do is left empty."""
    wanting = [need.finding for need in judged(run).needs]
    others = [finding for finding in run.findings if finding not in wanting]
    rows = ((each, meaning_of(each)) for each in (*wanting, *others))
    return [(each.verdict.value, each.check, each.sentence, told.means, told.advice(each)) for each, told in rows]


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

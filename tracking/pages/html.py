"""Audits and matrices as self-contained HTML pages: no script, no font, no picture from anywhere else."""

from collections.abc import Iterable, Sequence
from html import escape
from string import Template
from typing import TYPE_CHECKING

from tracking.audit.audit import Audit, AuditOutcome, Difference
from tracking.pages.text import (
    UNTOLD,
    headline,
    matrix_line,
    percent,
    result_rows,
    same_line,
    suspects_title,
    tops_text,
    unrecorded_lines,
)
from tracking.runs.run import Run
from tracking.runs.words import change_text, value_text

if TYPE_CHECKING:
    from tracking.audit.matrix import Group, Matrix

PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { --ink: #1d2530; --soft: #5d6876; --line: #dfe3e8; --page: #fbfbf9; --card: #fff;
  --good: #1b7f4d; --warm: #a86400; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #9aa5b3; --line: #343c47; --page: #14181d;
  --card: #1b2027; --good: #5cc78f; --warm: #e0a552; --bad: #f28b82; } }
body { margin: 0 auto; max-width: 62rem; padding: 2.5rem 1.5rem 4rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
section { border-top: 1px solid var(--line); margin-top: 3rem; padding-top: 2rem; }
section:first-of-type { border: 0; margin: 0; padding: 0; }
p { margin: .25rem 0; } .soft { color: var(--soft); }
code, .mono { font-family: ui-monospace, monospace; font-size: .88em; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .4rem .8rem .4rem 0; }
tr + tr > * { border-top: 1px solid var(--line); } th { font-weight: 600; }
td.value { overflow-wrap: anywhere; } td.value:first-child { min-width: 9rem; } .wide { overflow-x: auto; }
.wide td.value { min-width: 7.5rem; } .wide th:first-child, .wide td.value:first-child { min-width: 11rem; position: sticky;
  left: 0; background: var(--page); }
.grid { width: auto; }
.grid td, .grid th { border: 1px solid var(--line); padding: .35rem .9rem; color: var(--soft); font-weight: 400; }
.grid td.here { color: var(--card); font-weight: 600; }
ol { padding-left: 1.4rem; } li { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  margin: .6rem 0; padding: .7rem 1rem; } li::marker { font-weight: 600; color: var(--soft); }
li ul { padding-left: 1rem; margin: .3rem 0 0; } li li { border: 0; background: none; margin: 0; padding: 0; }
.reproduced, .robust { color: var(--good); } .explained { color: var(--warm); } .unexplained { color: var(--bad); }
.here.reproduced, .here.robust { background: var(--good); } .here.explained { background: var(--warm); }
.here.unexplained { background: var(--bad); }
details { margin-top: 2rem; } td details { margin: 0; } summary { cursor: pointer; color: var(--soft); }
.bar { background:
  linear-gradient(90deg, color-mix(in srgb, var(--warm) 35%, transparent) var(--share), transparent 0); }
</style></head><body>
$body
</body></html>
""")


def audit_page(audits: Sequence[Audit]) -> str:
    """One or more audits as one page."""
    overview = _overview(audits) if len(audits) > 1 else ""
    sections = [f'<section id="audit-{place}">{_audit(each)}</section>' for place, each in enumerate(audits, 1)]
    return PAGE.substitute(title="Weighbridge audit", body="\n".join([overview, *sections]))


def matrix_page(found: "Matrix") -> str:
    """Many runs side by side as one page."""
    told = [group for group in found.groups if group.share is not None]
    body = [
        f"<h1>{len(found.runs)} runs side by side</h1><p>{escape(matrix_line(found))}</p>",
        f"<h2>What goes with <code>{escape(found.result)}</code></h2>{_ranking(found, told)}{CAUTION}" if told else "",
        f"<h2>Every condition that varies</h2>{_runs(found)}",
        f'<p class="soft">A dash in the column <em>goes with it</em>: {escape(UNTOLD)}.</p>',
    ]
    return PAGE.substitute(title="Weighbridge matrix", body="\n".join(body))


CAUTION = (
    '<p class="soft">Going together is not causing. <em>By chance</em>: how often shuffled results go with any of '
    "these conditions at least as well.</p>"
)


# ---- audits


def _overview(audits: Sequence[Audit]) -> str:
    rows = [
        [
            f'<a href="#audit-{place}" class="{each.outcome.value}">{each.outcome.value}</a>',
            _named(each.before),
            _named(each.after),
            escape(each.suspects[0].name) if each.suspects else "",
        ]
        for place, each in enumerate(audits, 1)
    ]
    return f"<h1>{len(audits)} audits</h1>{_table(['outcome', 'before', 'after', 'likeliest'], rows)}"


def _audit(audit: Audit) -> str:
    word = audit.outcome.value
    parts = [
        f'<h1 class="{word}">{word}</h1><p>{escape(headline(audit))}</p>',
        f'<p class="soft">before {_named(audit.before)} &nbsp; after {_named(audit.after)}</p>',
        _grid(audit.outcome),
        _results(audit),
        _suspects(audit),
        _harmless(audit),
        "<h2>The same</h2>",
        *(f"<p>{escape(line)}</p>" for line in [same_line(audit), *unrecorded_lines(audit)]),
        _conditions(audit),
    ]
    return "\n".join(part for part in parts if part)


def _results(audit: Audit) -> str:
    rows = [[f"<b>{escape(level)}</b>", escape(words)] for level, words in result_rows(audit.grades)]
    return f"<h2>Results</h2>{_table([], rows)}"


def _grid(outcome: AuditOutcome) -> str:
    same_same, same_differ, differ_same, differ_differ = (
        f'<td class="{each.value}{" here" if each is outcome else ""}">{each.value}</td>'
        for each in (AuditOutcome.REPRODUCED, AuditOutcome.ROBUST, AuditOutcome.UNEXPLAINED, AuditOutcome.EXPLAINED)
    )
    return (
        '<h2>Outcome</h2><table class="grid"><tr><th></th><th>conditions same</th><th>conditions differ</th></tr>'
        f"<tr><th>results same</th>{same_same}{same_differ}</tr>"
        f"<tr><th>results differ</th>{differ_same}{differ_differ}</tr></table>"
    )


def _suspects(audit: Audit) -> str:
    if not audit.suspects:
        return ""
    title = suspects_title(audit).capitalize()
    items = "".join(f"<li>{_suspect(each, audit.consequences(each.name))}</li>" for each in audit.suspects)
    return f"<h2>{title}</h2><ol>{items}</ol>"


def _suspect(suspect: Difference, consequences: Sequence[Difference]) -> str:
    followers = "".join(f"<li>{_changed(each)}</li>" for each in consequences)
    with_it = f'<p class="soft">may follow from it</p><ul>{followers}</ul>' if followers else ""
    seen = f'<p class="soft">seen: {escape(suspect.effect)}</p>' if suspect.effect else ""
    return f"<b>{_changed(suspect)}</b><p>{escape(suspect.reason)}</p>{seen}{with_it}"


def _harmless(audit: Audit) -> str:
    rows = [
        [f"<code>{escape(each.name)}</code>", escape(change_text(each)), escape(each.reason)] for each in audit.harmless
    ]
    return f"<h2>Differ too, and cannot change a prediction</h2>{_table([], rows)}" if rows else ""


def _conditions(audit: Audit) -> str:
    """All that is the same, folded away."""
    old, new = audit.before.conditions, audit.after.conditions
    differing = {each.name for each in audit.differences}
    names = sorted((old.keys() & new.keys()) - differing)
    rows = [[f"<code>{escape(name)}</code>", escape(value_text(old[name]))] for name in names]
    return f"<details><summary>every condition that is the same</summary>{_table([], rows)}</details>" if rows else ""


def _changed(difference: Difference) -> str:
    return f"<code>{escape(difference.name)}</code> {escape(change_text(difference))}"


# ---- matrices

UNFOLDED = 5


def _ranking(found: "Matrix", told: Sequence["Group"]) -> str:
    rows = []
    for group in told:
        also = _in_step(group.names[1:])
        values = [f"{escape(value)}: {escape(tops_text(tops))}" for value, tops in found.by_value(group).items()]
        rows.append(
            [
                f"<code>{escape(group.names[0])}</code>{also}",
                f'<div class="bar" style="--share: {100 * (group.share or 0):.0f}%">{percent(group.share)}</div>',
                percent(group.chance),
                escape(group.can_change),
                "<br>".join(values),
            ]
        )
    return _table(["condition", "goes with it", "by chance", "can change", "values"], rows)


def _in_step(names: Sequence[str]) -> str:
    """Conditions that vary together with another one; many are folded away."""
    listed = "".join(f"<br><code>{escape(name)}</code>" for name in names)
    if len(names) <= UNFOLDED:
        return f'<div class="soft">in step{listed}</div>' if names else ""
    return f'<details class="soft"><summary>in step: {len(names)}</summary>{listed.removeprefix("<br>")}</details>'


def _runs(found: "Matrix") -> str:
    """Conditions down, runs across, best first."""
    heads = ["", "goes with it", *(f"{_named(run)}<br>{_top1(run)}" for run in found.runs)]
    rows = [
        [
            f"<code>{escape(group.names[0])}</code>{_more(group)}",
            percent(group.share),
            *("" if value is None else escape(value) for value in group.values),
        ]
        for group in found.groups
    ]
    return f'<div class="wide">{_table(heads, rows)}</div>'


def _top1(run: Run) -> str:
    top1 = run.results.get("top1")
    return f"{top1:.4f}" if isinstance(top1, int | float) else ""


def _more(group: "Group") -> str:
    return f' <span class="soft">and {len(group.names) - 1} more</span>' if group.names[1:] else ""


# ---- both


def _named(run: Run) -> str:
    return f'{escape(run.subject)} <span class="mono">{run.id[:12]}</span>'


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are HTML already."""
    top = f"<tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>" if heads else ""
    return f"<table>{top}{''.join(f'<tr>{_cells(row)}</tr>' for row in rows)}</table>"


def _cells(row: Sequence[str]) -> str:
    return "".join(f'<td class="value">{cell}</td>' for cell in row)

"""A Python Panel for Comet: verdicts, audits and explanations of the selected experiments. docs/comet.md says how to install it.

It runs on Comet's machines (CPython 3.9), where this project is not, and reads the `run.json` that each record holds; that of an
explanation holds the audit of its two ends.
https://www.comet.com/docs/v2/guides/comet-ui/experiment-management/visualizations/python-panel/
"""

from __future__ import annotations

import html
import json
from itertools import combinations
from typing import Any

from comet_ml import API, ui

RUN = "run.json"
LARGEST = 20_000_000  # bytes of a record that is read
MOST_PAIRS, MOST_ROWS = 3, 30
SHAPE = {
    "id": str,
    "subject": str,
    "params": dict,
    "inputs": dict,
    "environment": dict,
    "results": dict,
    "findings": list,
}
SECTIONS = (("params", "param."), ("inputs", "input."), ("environment", ""))


def escaped(value: object) -> str:
    """Text for the page: what a record says is shown and never run; neither is it Markdown, which the panel would read."""
    text = "absent" if value is None else value if isinstance(value, str) else json.dumps(value)
    return "".join(each if each.isalnum() or each in " .,:;+%/=-" else f"&#{ord(each)};" for each in str(text))


def run_of(experiment: Any) -> dict | None:
    """The record's run; None where there is none of Weighbridge, or its file is damaged, of another shape or too large."""
    for asset in experiment.get_asset_list() or []:
        if asset.get("fileName") == RUN and int(asset.get("fileSize") or 0) <= LARGEST:
            try:
                found = json.loads(experiment.get_asset(asset["assetId"]))
            except ValueError:
                return None
            shaped = isinstance(found, dict) and all(isinstance(found.get(key), kind) for key, kind in SHAPE.items())
            return found if shaped else None
    return None


def table(heads: tuple[str, ...], rows: list[list[object]]) -> str:
    """An HTML table; more rows than fit are counted."""
    lines = ["<tr>" + "".join(f"<td>{escaped(cell)}</td>" for cell in row) + "</tr>" for row in rows[:MOST_ROWS]]
    more = f"<p>and {len(rows) - MOST_ROWS} more</p>" if len(rows) > MOST_ROWS else ""
    return f"<table><tr>{''.join(f'<th>{html.escape(head)}</th>' for head in heads)}</tr>{''.join(lines)}</table>{more}"


def finding_of_explanation(run: dict) -> dict | None:
    """What `weighbridge explain` found, with the audit of its two ends; None of any other run."""
    for each in run["findings"]:
        evidence = each.get("evidence")
        if each["check"] == "explain" and isinstance(evidence, dict) and "audit" in evidence:
            return each
    return None


def audit_html(audit: dict) -> str:
    """The outcome, then the suspects, the likeliest first."""
    before, after = audit["before"], audit["after"]
    named = f"{before['subject']} {before['id'][:12]} and {after['subject']} {after['id'][:12]}"
    rows = [
        [each["name"], each["before"], each["after"], each["reason"]]
        for each in audit["differences"]
        if each["name"] in audit["suspects"]
    ]
    title = f"<h4>{escaped(audit['outcome'])}</h4><p>{escaped(named)}</p>"
    if not rows:
        return title
    return title + table(("could have changed it, likeliest first", "before", "after", "why"), rows)


def explanation_html(run: dict, found: dict) -> str:
    """What was proven, each factor's share, and the audit that it began with."""
    shares = [
        [name[len("share.") : -len(".points")], f"{value:+.2f}"]
        for name, value in run["results"].items()
        if name.startswith("share.") and name.endswith(".points") and value is not None
    ]
    told = f"<h4>{escaped(found['sentence'])}</h4>"
    return (
        told + (table(("factor", "points of top-1"), shares) if shares else "") + audit_html(found["evidence"]["audit"])
    )


def conditions(run: dict) -> dict[str, object]:
    """What was recorded, under the names that audits use."""
    return {f"{prefix}{name}": value for part, prefix in SECTIONS for name, value in run[part].items()}


def difference_html(before: dict, after: dict) -> str:
    """The conditions that differ between two runs of which no explanation was selected: unranked, and no audit."""
    old, new = conditions(before), conditions(after)
    rows = [[name, old.get(name), new.get(name)] for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    ids = f"{before['id'][:12]} {after['id'][:12]}"
    return (
        f"<h4>{escaped(before['subject'])} and {escaped(after['subject'])}: {len(rows)} conditions differ</h4>"
        + table(("condition", "before", "after"), rows)
        + f"<p>Not ranked. For the audit: <code>weighbridge audit {escaped(ids)}</code>; to prove the cause and have both here: "
        f"<code>weighbridge explain {escaped(ids)} --log comet</code></p>"
    )


def verdicts_html(runs: list[dict]) -> str:
    """A line for each run: accuracy, and how many of its findings fail or warn."""
    rows = []
    for run in runs:
        told = [each["verdict"] for each in run["findings"]]
        top1 = run["results"].get("top1")
        rows.append(
            [
                run["subject"],
                "" if top1 is None else f"{top1:.2%}",
                told.count("fail"),
                told.count("warn"),
                run["id"][:12],
            ]
        )
    return table(("model", "top-1", "fail", "warn", "id"), rows)


def piece(show: Any, *of: Any) -> str:
    """What `show` makes; a line instead where a record is of another shape inside than Weighbridge writes it."""
    try:
        return show(*of)
    except (AttributeError, KeyError, TypeError, ValueError) as problem:
        return f"<p>Left out: a record is of another shape than Weighbridge writes it ({type(problem).__name__}).</p>"


def pages(experiments: list[Any]) -> list[str]:
    """What is shown, piece by piece; what cannot be read is counted."""
    found = [run for run in map(run_of, experiments) if run is not None]
    sound = [run for run in found if all(isinstance(each, dict) and "check" in each for each in run["findings"])]
    strange = len(experiments) - len(sound)
    left_out = [f"<p>{strange} of {len(experiments)} selected: no record of Weighbridge, or damaged.</p>"]
    return [*_pages(sound), *(left_out if strange and sound else [])]


def _pages(found: list[dict]) -> list[str]:
    explained = [(run, told) for run in found if (told := finding_of_explanation(run))]
    weighed = [run for run in found if not finding_of_explanation(run)]
    if not found:
        return ["<p>None of the selected experiments is a record of Weighbridge: select two, or an explanation.</p>"]
    known = {frozenset((str(run["params"].get("A")), str(run["params"].get("B")))) for run, _ in explained}
    pairs = [pair for pair in combinations(weighed, 2) if frozenset(each["id"] for each in pair) not in known]
    shown = [piece(verdicts_html, weighed)] if weighed else []
    shown += [piece(explanation_html, run, told) for run, told in explained]
    shown += [piece(difference_html, *pair) for pair in pairs[:MOST_PAIRS]]
    if len(pairs) > MOST_PAIRS:
        shown.append(f"<p>{len(pairs) - MOST_PAIRS} more pairs: select fewer experiments.</p>")
    return shown


if __name__ == "__main__":
    for part in pages(API().get_panel_experiments()):
        ui.display(part)

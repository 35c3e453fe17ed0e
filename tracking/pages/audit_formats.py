"""Audits as other programs show them: Markdown for a pull request, JUnit for a CI server, annotations of GitHub Actions,

and the bare list that the compare pages of MLflow and Comet show.
"""

from collections.abc import Callable, Mapping, Sequence
from xml.etree import ElementTree

from tracking.audit.audit import Audit, Difference
from tracking.pages.text_audit import headline, result_rows, same_line, short, unrecorded_lines
from tracking.runs.words import change_text, markdown_text, printable

SHOWN = 10  # suspects that stand in the open; more are folded away


def audit_markdown(audits: Sequence[Audit]) -> str:
    """GitHub's and GitLab's Markdown: a line for each audit where there are several, then each in turn, folded."""
    if len(audits) == 1:
        return "\n".join(_whole(audits[0])) + "\n"
    head = ["| | before | after | could have changed it |", "|---|---|---|---|"]
    rows = [
        f"| {_outcome(each)} | {markdown_text(short(each.before))} | {markdown_text(short(each.after))} | {_names(each)} |"
        for each in audits
    ]
    folded = [line for each in audits for line in _folded(markdown_text(short(each.after)), _whole(each))]
    return "\n".join([*head, *rows, "", *folded]) + "\n"


def _whole(audit: Audit) -> list[str]:
    results = [f"| {markdown_text(name)} | {markdown_text(words)} |" for name, words in result_rows(audit.grades)]
    lines = [
        f"{_outcome(audit)}: {markdown_text(headline(audit))}",
        "",
        f"| result | {markdown_text(short(audit.before))} → {markdown_text(short(audit.after))} |",
        "|---|---|",
        *results,
        "",
    ]
    suspects = [
        f"| `{_code(each.name)}` | {markdown_text(change_text(each))} | {markdown_text(each.reason)} |"
        for each in audit.suspects
    ]
    if suspects:
        table = ["| could have changed it, likeliest first | before → after | why |", "|---|---|---|"]
        lines += [*table, *suspects[:SHOWN], ""]
        if suspects[SHOWN:]:
            lines += _folded(f"and {len(suspects) - SHOWN} more", [*table, *suspects[SHOWN:]])
    harmless = [f"- `{_code(each.name)}`: {markdown_text(change_text(each))}" for each in audit.harmless]
    if harmless:
        lines += _folded(f"{len(harmless)} more differ and cannot change a prediction", harmless)
    return [*lines, *(markdown_text(line) for line in (same_line(audit), *unrecorded_lines(audit)))]


def _folded(summary: str, lines: Sequence[str]) -> list[str]:
    return [f"<details><summary>{summary}</summary>", "", *lines, "", "</details>", ""]


def _outcome(audit: Audit) -> str:
    return f"**{audit.outcome.value}**"


def _names(audit: Audit) -> str:
    names = [f"`{_code(each.name)}`" for each in audit.suspects[:3]]
    more = len(audit.suspects) - len(names)
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def _code(name: str) -> str:
    """Within backticks, where nothing can be escaped."""
    return _line(name).replace("`", "'").replace("|", "\\|")


def audit_junit(audits: Sequence[Audit]) -> str:
    """A JUnit report: a test case for each audit, which fails unless the result is reproduced or robust."""
    bad = [each for each in audits if not each.outcome.holds]
    suite = ElementTree.Element(
        "testsuite", name="weighbridge audit", tests=str(len(audits)), failures=str(len(bad)), errors="0"
    )
    for each in audits:
        name = f"{short(each.before)} against {short(each.after)}"
        case = ElementTree.SubElement(suite, "testcase", classname="weighbridge.audit", name=printable(name))
        if each in bad:
            failure = ElementTree.SubElement(
                case, "failure", type=each.outcome.value, message=printable(headline(each))
            )
            failure.text = "\n".join(printable(line) for line in _plain(each))
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def audit_annotations(audits: Sequence[Audit]) -> str:
    """Commands of GitHub Actions: an error for another result, a notice for the same one.

    https://docs.github.com/actions/reference/workflow-commands-for-github-actions
    """
    return "".join(
        f"::{'notice' if each.outcome.holds else 'error'} title={_property(f'{short(each.after)}: {each.outcome.value}')}"
        f"::{_data(chr(10).join(_plain(each)))}\n"
        for each in audits
    )


def by_name(audit: Audit) -> list[Difference]:
    """Every condition that differs, in the order of MLflow's compare page: by name, and so by no likelihood."""
    return sorted(audit.differences, key=lambda each: each.name)


def audit_by_name(audits: Sequence[Audit]) -> str:
    """A line for each condition that differs; a line of ids before those of each audit where there are several."""
    lines = []
    for each in audits:
        lines += [f"{_line(short(each.before))} -> {_line(short(each.after))}"] if len(audits) > 1 else []
        lines += [f"{_line(found.name)}: {_line(change_text(found))}" for found in by_name(each)]
    return "".join(f"{line}\n" for line in lines)


def _plain(audit: Audit) -> list[str]:
    results = [f"{name}: {words}" for name, words in result_rows(audit.grades)]
    return [headline(audit), *results, *(f"{_line(each.name)}: {change_text(each)}" for each in audit.suspects)]


def _line(text: str) -> str:
    """Text of strangers on one line, with nothing that a terminal would obey."""
    return printable(" ".join(text.split()))


def _data(text: str) -> str:
    lines = [printable(line) for line in text.split("\n")]
    return "%0A".join(line.replace("%", "%25").replace("\r", "%0D") for line in lines)


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


FORMATS: Mapping[str, Callable[[Sequence[Audit]], str]] = {
    "markdown": audit_markdown,
    "junit": audit_junit,
    "github": audit_annotations,
    "by-name": audit_by_name,
}

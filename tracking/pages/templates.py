"""Pages out of Jinja templates: every value is escaped, a name that a template does not know is an error, and a browser runs no
script and takes no style but ours, whatever a value says: each page names the hashes of the two files that it may hold.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from tracking.audit.meanings import badge

HERE = Path(__file__).parent
OURS = ("base.jinja", "parts.jinja", "style.css", "page.js")  # what pages are made of beside their own template


def environment(*folders: Path) -> Environment:
    """Templates of these folders, which may extend ``base.jinja``, and those that lie here."""
    templates = Environment(
        loader=FileSystemLoader([*folders, HERE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters |= {"worded": worded, "badge": badge}
    style, script = ((HERE / name).read_text(encoding="utf-8") for name in OURS[-2:])
    templates.globals |= {"style": Markup(style), "script": Markup(script), "policy": policy(style, script), "site": ()}  # noqa: S704 -- our own files
    return templates


Site = Sequence[tuple[str, str]]  # address and name of each page that a page's head leads to


def worded(text: str) -> Markup:
    """A text of ours with its `pieces of code` shown as such; everything else in it is escaped."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 -- escaped before


def policy(style: str, script: str) -> str:
    """The Content-Security-Policy of a page that holds this style and this script, and images within itself."""
    return (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; img-src data:; base-uri 'none'; "
        "form-action 'self'"
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"

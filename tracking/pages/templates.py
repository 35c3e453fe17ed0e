"""Pages out of Jinja templates: every value is escaped, and a name that a template does not know is an error."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

HERE = Path(__file__).parent


def environment(*folders: Path) -> Environment:
    """Templates of these folders, which may extend ``base.jinja``, and those that lie here."""
    return Environment(
        loader=FileSystemLoader([*folders, HERE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )

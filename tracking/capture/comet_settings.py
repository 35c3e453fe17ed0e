"""What Comet's SDK would be told, without importing it: by environment variables, else by the files that it reads."""

import os
from collections.abc import Iterator
from configparser import ConfigParser
from configparser import Error as ConfigError
from contextlib import suppress
from pathlib import Path


def comet_setting(name: str) -> str:
    """A setting such as ``api_key``; empty where nothing says it, or where the first place that does says nothing.

    The places are `COMET_API_KEY`, ``.env``, the file or folder that `COMET_CONFIG` names, and ``.comet.config`` here and in the
    home folder, which `comet login` writes.
    """
    variable = f"COMET_{name.upper()}"
    return next((value.strip() for value in (*_variables(variable), *_options(name))), "")


def _variables(variable: str) -> Iterator[str]:
    if variable in os.environ:
        yield os.environ[variable]
    with suppress(OSError, UnicodeDecodeError):
        for line in Path(".env").read_text(encoding="utf-8").splitlines():
            named, found, value = line.partition("=")
            if found and named.strip() == variable:
                yield value.strip().strip("'\"")


def _options(name: str) -> Iterator[str]:
    named = Path(os.environ.get("COMET_CONFIG") or ".comet.config").expanduser()
    beside = named / ".comet.config" if named.is_dir() else named
    for path in (beside, Path(".comet.config"), Path("~/.comet.config").expanduser()):
        config = ConfigParser(interpolation=None)
        with suppress(OSError, ConfigError, UnicodeDecodeError):
            config.read(path, encoding="utf-8")
            if config.has_option("comet", name):
                yield config["comet"][name]

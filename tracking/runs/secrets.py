"""Taking keys, tokens, passwords and credentials out of values before they reach a file, a log, a tracker or a page.

Three ways lead to a secret: the name of its value (`tracking.runs.secret_names`), its own form (`tracking.runs.secret_forms`),
and the notation around it (`tracking.runs.secret_notations`: headers, URLs, .netrc, commands). What is hidden becomes ``***``;
its name stays.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tracking.runs.secret_forms import formed, looks_random
from tracking.runs.secret_names import Level, level_of
from tracking.runs.secret_notations import HIDDEN, assigned, noted

__all__ = ["HIDDEN", "is_hidden", "is_secret", "redact", "redact_url", "redacted"]

_REFERENCE = re.compile(  # names of variables, placeholders, calls, addresses (whose own parts are looked at)
    r"\$\w+|\$\{[^}]*\}|%\(\w+\)s|\{\{?\s*[\w.]+\s*\}?\}|<[\w ./-]*>|\*{3,}|x{3,}|\.{3}"
    r"|[A-Za-z_]\w*(?:\.\w+)+\(.*|[a-z_]+\($|[a-z][a-z0-9+.-]*://.*",
    re.IGNORECASE | re.DOTALL,
)
_NOTHING = {"", "true", "false", "none", "null", "nil", "yes", "no", "~", "undefined"}
_QUOTED_PAIR = re.compile(r"[\w.@+-]+[\"']\s*,\s*[\"'][^\"']+")
_PASSWORD_LIKE = re.compile(r"(?=\S*\d)(?=\S*[A-Za-z])\S{6,}")
_WORDS = re.compile(r"[A-Za-z_]+")
_OPTION = re.compile(r"--?[A-Za-z][\w.-]*")


def redact(text: str, name: str = "") -> str:
    """`text`, the value called `name`, with every credential in it replaced by ``***``.

    Covered: values whose name says secret, as ``name=value``, ``"name": "value"``, ``--name value``, in JSON within JSON too;
    headers; user and password in URLs of every scheme; .netrc, ODBC, private keys; tokens whose form is public. A secret without
    any of these marks cannot be told from other text.
    """
    if name and is_secret(name, text):
        return HIDDEN
    spans = [*noted(text), *assigned(text, is_secret), *formed(text)]
    return _without(text, spans) if spans else text


def redacted(value: Any, name: str = "") -> Any:
    """`value`, of JSON's kinds, without credentials at any depth; `name` is what it is called.

    Everything below a secret name is hidden, and in lists also what follows a secret option (``["--token", "..."]``).
    """
    if isinstance(value, Mapping):
        inner = _named_value(value)
        below = {key: name if level_of(name) == Level.SECRET else key for key in map(str, value)}
        return {key: HIDDEN if key == inner else redacted(each, below[str(key)]) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return _redacted_list(value, name)
    if isinstance(value, str):
        return redact(value, name)
    is_pin = isinstance(value, int) and not isinstance(value, bool) and level_of(name) == Level.SECRET
    return HIDDEN if is_pin else value


def is_secret(name: str, value: str) -> bool:
    """Whether the value of this name must not be shown."""
    level, bare = level_of(name.lstrip("-")), value.strip().strip("\"'\\")
    if level == Level.HARMLESS or bare.lower() in _NOTHING or _REFERENCE.fullmatch(bare):
        return False
    if name in ("PWD", "pwd"):  # in ODBC a password, elsewhere the working folder
        return not bare.startswith(("/", "~", "\\", ".")) and bare[1:2] != ":"
    if re.search(r"(?:^|[_.-])(?:pass|pw)$", name, re.IGNORECASE) and _PASSWORD_LIKE.fullmatch(bare):
        return True
    return level == Level.SECRET or looks_random(bare) or _is_pair(name, bare)


def redact_url(url: str) -> str:
    """A URL without user, password, query and fragment; ``git@host:path`` and plain paths keep their form."""
    if "://" in url:
        url = re.sub(
            r"^([a-z][a-z0-9+.-]*://)[^/?#]*@", r"\g<1>", re.split(r"[?#]", url, maxsplit=1)[0], flags=re.IGNORECASE
        )
    else:
        url = re.sub(r"^([^/@\s:]+):[^/@\s]*@", r"\g<1>@", url)
    return redact(url)


def is_hidden(one: object, other: object) -> bool:
    """Whether a secret was taken out of either value and what is left does not differ: nobody can say if they were equal."""
    first, second = str(one), str(other)
    if HIDDEN not in first and HIDDEN not in second:
        return False
    starts = first.partition(HIDDEN)[0], second.partition(HIDDEN)[0]
    ends = first.rpartition(HIDDEN)[2][::-1], second.rpartition(HIDDEN)[2][::-1]
    return all(a.startswith(b) or b.startswith(a) for a, b in (starts, ends))


def _redacted_list(values: Sequence[Any], name: str) -> list[Any]:
    hidden: list[Any] = []
    option = ""
    for value in values:
        if option and isinstance(value, str) and not value.startswith("--") and _follows(option, value):
            hidden.append(HIDDEN)
        else:
            hidden.append(redacted(value, name))
        option = value if isinstance(value, str) and _names_next(value, len(values)) else ""
    return hidden


def _names_next(value: str, count: int) -> bool:
    """Whether a list's item says what the next is: an option, or the first of a pair."""
    return bool(_OPTION.fullmatch(value)) or (count == 2 and value.isprintable() and " " not in value)


def _follows(option: str, value: str) -> bool:
    """Whether the value after this option, or this first of a pair, is secret."""
    if option.startswith("-") or level_of(option) == Level.MAYBE or option.lower().endswith("authorization"):
        return is_secret(option, value)
    return level_of(option) == Level.SECRET and not _WORDS.fullmatch(value)


def _named_value(value: Mapping[Any, Any]) -> str:
    """The key of the secret in ``{"name": "API_KEY", "value": "..."}``, as containers list their variables; else empty."""
    for name, key in (("name", "value"), ("key", "value"), ("Name", "Value"), ("Key", "Value")):
        if isinstance(value.get(name), str) and isinstance(value.get(key), str) and is_secret(value[name], value[key]):
            return key
    return ""


def _is_pair(name: str, value: str) -> bool:
    """Whether it is ``user:password`` of an `auth`."""
    user, _, password = value.partition(":")
    if "auth" not in name.lower():
        return False
    return bool(user and password and not {" ", "/"} & set(value)) or bool(_QUOTED_PAIR.fullmatch(value))


def _without(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """`text` with one mark in place of each stretch that spans cover together."""
    parts, end = [], 0
    for start, stop in sorted(spans):
        if stop <= end:
            continue
        if start >= end:
            parts += [text[end:start], HIDDEN]
        end = stop
    return "".join([*parts, text[end:]])

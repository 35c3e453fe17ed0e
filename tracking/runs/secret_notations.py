"""Where secrets stand in text: after their names, in headers, URLs, .netrc and ODBC, after options of commands.

A mark that stands there already is passed over, so that hiding twice is the same as hiding once.
"""

import re
from collections.abc import Callable, Iterator

from tracking.runs.secret_names import level_of

HIDDEN = "***"

Span = tuple[int, int]
_QUOTE = r"\\{0,9}[\"']"
_URL_END = r"\s\"'<>\\`"

# ---- notations of their own: the group `secret` is what goes

_PRIVATE_KEY = r"[A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?"
_HEADER_NAME = r"(?:proxy-)?authorization|(?:set-)?cookie"
_CLIENTS = (
    r"mysql(?:dump|admin)?|mariadb|sshpass|(?:docker|podman|buildah|helm registry|az|twine|cf|oc) login|twine upload"
    r"|sqlcmd|bcp|osql"
)
_NOTATIONS = tuple(
    re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    for pattern in (
        rf"(?P<secret>-----BEGIN {_PRIVATE_KEY}-----[\s\S]*?(?:-----END {_PRIVATE_KEY}-----|\Z))",
        # Authorization: SCHEME SECRET, to the end of the header
        rf"(?<![\w-])(?:{_HEADER_NAME})(?:{_QUOTE})?\s*[:=,]\s*(?P<quote>{_QUOTE})(?P<secret>(?!\*\*\*)[\s\S]*?)(?P=quote)",
        rf"(?P<quote>{_QUOTE})(?:{_HEADER_NAME})\s*[:=]\s*(?!\\{{0,9}}[\"'])(?P<secret>(?!\*\*\*)[\s\S]*?)(?P=quote)",
        rf"(?<![\w\"'-])(?:{_HEADER_NAME})\s*[:=]\s*(?!\*\*\*|\\{{0,9}}[\"'\s])(?P<secret>(?:(?<==)\\{{0,9}}\"[^\"]*\"|(?!\\+[rn\"'])[^\"'\n\r])*)",
        r"\b(?:bearer|basic|apikey|negotiate|ntlm)\s+(?P<secret>(?-i:(?=[\w.~+/=-]*(?:\d|=|[a-z][A-Z])))[\w.~+/=-]{8,})",
        # .netrc in any order, .pgpass
        r"\b(?:machine\s+\S+|default)\s[\s\S]{0,400}?(?<!\S)(?:password|account)\s+(?P<secret>(?!\*\*\*)\S+)",
        r"(?<!\S)login\s+\S+\s+password\s+(?P<secret>(?!\*\*\*)\S+)",
        r"^[^:\s/\"'{]+:(?:\d{3,5}|\*):[^:\s]+:[^:\s]+:(?P<secret>(?!\*\*\*)\S+)$",
        # commands: curl -u name:password, mysql -psecret
        r"(?<!\S)(?:-u|--(?:proxy-)?user)[\s=]*[^\s:=-][^\s:]*:(?P<secret>(?!\*\*\*|//)[^\s\"']+)",
        rf"(?<![\w-])(?:{_CLIENTS})\b[^\n|;&]*?\s-(?:p|P)[ =]?(?P<secret>(?!\*\*\*)[^\s\"']+|\"[^\"]*\"|'[^']*')",
        r"(?<![\w-])(?:redis-cli|valkey-cli)\b[^\n|;&]*?\s-a\s+(?P<secret>(?!\*\*\*)\S+)",
        r"(?<!\S)-pass(?:in|out)?\s+pass:(?P<secret>(?!\*\*\*)\S+)",
        r"\b(?:password|passphrase)\s+for\s+[^\s:]+:\s*(?P<secret>(?!\*\*\*)[^\s\"']+)",
        r"\blogin\s+(?P<secret>(?-i:(?=[a-z]*\d)(?=\d*[a-z])[\da-z]{32,}|(?=\w*\d)(?=\w*[A-Z])(?=\w*[a-z])\w{20,}))\b",
        # addresses that are secrets themselves
        r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<secret>(?!\*\*\*)[\w/-]+)",
        r"discord(?:app)?\.com/api/webhooks/\d+/(?P<secret>(?!\*\*\*)[\w-]+)",
        r"api\.telegram\.org/(?:file/)?bot(?P<secret>(?!\*\*\*)\d+:[\w-]+)",
        r"\.(?:webhook\.office\.com|logic\.azure\.com)[\w.:]*/(?P<secret>(?!\*\*\*)[^\s\"'<>]+)",
        r"maker\.ifttt\.com/trigger/[^\s/]+/(?:json/)?with/key/(?P<secret>(?!\*\*\*)[\w-]+)",
        r"://[^\s\"'/]+/t/(?P<secret>(?!\*\*\*)(?=[\w-]*\d)[\w-]{8,})/",  # conda channels
        # XML
        r"<(?P<name>[\w.:-]*(?:password|passwd|secret|token|api_?key)[\w.:-]*)>(?P<secret>(?!\*\*\*)[^<]+)</(?P=name)>",
        # user/password@ of Oracle, user:password@tcp() of Go
        r"\bjdbc:oracle:\w+:[^\s/@]+/(?P<secret>(?!\*\*\*)[^\s@]+)@",
        r"(?<![\w/])[\w.-]+:(?P<secret>(?!\*\*\*)[^\s:@/]+)@(?:tcp|udp|unix)\(",
        r"(?<![\w/:@.-])(?!mailto:)[\w.+-]+:(?P<secret>(?!\*\*\*)(?!v?[\d.]+@)(?=[^\s:@/\"']*[^\sa-zA-Z_.:@/\"'-])[^\s:@/\"']{3,})@(?!sha\d)[a-z]",
    )
)
_URL = re.compile(rf"(?<![A-Za-z0-9+.-])[a-z][a-z0-9+.-]*(?:://|%3A%2F%2F)(?P<rest>[^{_URL_END}]+)", re.IGNORECASE)
_HOST = re.compile(r"(?!sha\d+:)(?:[\w-]+(?:\.[\w-]+)+(?=[:/?#%,;)\]}]|$)|localhost\b|[\w-]+:\d+|\[[0-9a-fA-F:]+\])")


def noted(text: str) -> Iterator[Span]:
    """Where in `text` secrets stand whose notation says that they are."""
    for pattern in _NOTATIONS:
        yield from (
            found.span("secret") for found in pattern.finditer(text) if found["secret"].strip() not in ("", HIDDEN)
        )
    for found in _URL.finditer(text):
        end = _user_end(found["rest"])
        if end and found["rest"][:end] != HIDDEN:
            yield found.start("rest"), found.start("rest") + end


def _user_end(rest: str) -> int:
    """Where user and password end in what follows ``://``; 0 where there are none."""
    ats = [found.start() for found in re.finditer("@|%40", rest)]
    first = re.split(r"[/?#]|%2F", rest, maxsplit=1)[0]
    within = [at for at in ats if at < len(first)]
    if within:
        end = within[-1]
        later = [at for at in ats if at > end]
        return end if _HOST.match(rest, end + 1) or not later else later[-1]
    user, colon, tail = first.partition(":")  # a slash in the password
    if not (ats and colon):
        return 0
    is_port = tail.isdigit() and ("." in user or user == "localhost" or not _HOST.match(rest, ats[-1] + 1))
    return 0 if is_port or not tail else ats[-1]


# ---- name and value

_BLOCK = r"(?:[ \t]*[|>][-+]?[ \t]*\n[ \t]+)?"  # of YAML: the value begins on the next line
_ASSIGNMENT = re.compile(
    rf"(?<!\w)(?P<name>[\w.-]{{1,200}})(?:\[[\w\"']*\])?"
    rf"(?P<sep>(?:{_QUOTE})?\s*(?:=>|:=|==?|:{_BLOCK}|%3D|\bis\b)[ \t]*|(?:{_QUOTE})\s*,\s*(?={_QUOTE}))",
    re.IGNORECASE,
)
_OPTION = re.compile(r"(?<![\w-])(?P<name>--?[A-Za-z][\w.-]*)(?:,?[ \t]+|\s*\n\s*-[ \t]+)(?![-*])")
_SPOKEN = re.compile(r"(?<![\w-])(?P<name>[A-Za-z][\w-]*)(?P<sep>:?\s+(?:-[ \t]+)?)(?=[\"'\w])")
_LISTED = re.compile(  # {"name": "API_KEY", "value": "..."}
    rf"\b(?:name|key){_QUOTE}?\s*[:=]\s*(?:{_QUOTE})?(?P<name>[\w.-]+)(?:{_QUOTE})?[\s,]*(?:{_QUOTE})?value(?:{_QUOTE})?\s*[:=]\s*",
    re.IGNORECASE,
)
_NEXT = r"(?:[\w.\[\]-]+(?:\\{0,9}[\"'])?\s*[=:]|\\{0,9}[\"'])"  # the next name, or a quote
_BARE = re.compile(
    rf"(?:\$\{{[^}}\s]*\}}|(?!\*\*\*)[^\s\"'\\,;&)\]}}]|(?!,\s*{_NEXT})(?!&[\w.-]+=)[,;&](?=[^\s,;&\"'\\])(?!{_NEXT})|[)\]}}](?=[^\s,;)\]}}\"'\\])"
    rf"|[\"'](?=[\w!$%&/])|\\(?![nrt]?[\w.-]+\s*[=:]|[\"']|[nrt](?:\W|$))){{1,9999}}"
)
_SCHEMES = re.compile(r"(?:bearer|basic|token|apikey|api-key|negotiate|digest|ntlm|key)[ \t]+(?=\S)", re.IGNORECASE)
_TAIL = re.compile(r"(?:[ \t,]+(?!--?[A-Za-z])(?![\w.\[\]\"'-]+\s*[=:])[^\s\"'\\)\]}]+)+")
_COMMANDS = re.compile(r"[/=|]|--|\.py\b|\bpython|\bdocker\b|\bbash\b|\bdvc\b")
_PAIRED = {"{": "}", "[": "]", "(": ")"}


def assigned(text: str, is_secret: Callable[[str, str], bool]) -> Iterator[Span]:
    """Where in `text` the values stand that `is_secret` of their names and themselves."""
    for pattern in (_ASSIGNMENT, _OPTION, _LISTED, _SPOKEN):
        at = 0
        while found := pattern.search(text, at):
            at = found.end()
            if not level_of(found["name"].lstrip("-")) or text.startswith(HIDDEN, at) or _is_place(found):
                continue
            start, end = _value(text, found)
            if (
                start < end
                and is_secret(found["name"], text[start:end])
                and _is_said(found, text[start:end], is_secret)
            ):
                yield start, end
                at = end


def _is_place(found: re.Match[str]) -> bool:
    """Whether the colon belongs to a path, ``module.py:function``, to ``scheme://`` or to ``a::b``."""
    after = found.string[found.end() : found.end() + 2]
    return found.groupdict().get("sep", "").strip() == ":" and (after == "//" or after[:1] == ":")


def _is_said(found: re.Match[str], value: str, is_secret: Callable[[str, str], bool]) -> bool:
    """Prose, ``the password is wrong``, and lists of names, ``"password", "user"``, count where the value looks like a secret."""
    separator = found.groupdict().get("sep", "-")
    if not separator.strip(" \t\n-:"):
        return separator == "-" or ":" in separator.strip() or is_secret("key", value)
    if separator.strip().lower() == "is" or ("," in separator and not found["name"].startswith("-")):
        return is_secret("key", value) or any(map(str.isdigit, value))
    return True


def _value(text: str, found: re.Match[str]) -> Span:
    """The value that follows a name: quoted, in brackets, or as far as it goes."""
    start = found.end()
    if scheme := _SCHEMES.match(text, start):
        start = scheme.end()
    if quote := re.compile(rf"[bBrRuUfF]{{0,2}}(?P<mark>{_QUOTE})").match(text, start):
        return quote.end(), _quoted_end(text, quote.end(), quote["mark"])
    if close := _PAIRED.get(text[start : start + 1]):
        end = text.find(close, start + 1)
        if end > 0:
            return start + 1, end
    bare = _BARE.match(text, start)
    if not bare:
        return start, start
    return start, _with_tail(text, found, bare.end())


def _quoted_end(text: str, start: int, mark: str) -> int:
    at = start
    while (at := text.find(mark, at)) >= 0:
        if text[at - 1] != "\\" or len(mark) > 1:
            return at
        at += 1
    line = text.find("\n", start)
    return line if line >= 0 else len(text)


def _with_tail(text: str, found: re.Match[str], end: int) -> int:
    """A value may hold blanks where nothing else can follow it on its line: after ``name: ``, and in files of settings."""
    separator = found.groupdict().get("sep", "")
    if (
        separator.endswith(":")
        or not separator
        or (not separator.strip().startswith(":") and not _is_line(text, found.start()))
    ):
        return end
    tail = _TAIL.match(text, end)
    if not tail or (separator.strip() != ":" and _COMMANDS.search(tail[0])):
        return end
    return tail.end()


def _is_line(text: str, start: int) -> bool:
    """Whether the line begins with this name, as in ``export NAME=value``."""
    return text[text.rfind("\n", 0, start) + 1 : start].strip() in ("", "export", "set", "-", "ENV")

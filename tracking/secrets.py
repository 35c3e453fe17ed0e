"""Taking keys, tokens, passwords and credentials out of text before it reaches a file, a log or a tracker.

It errs on the side of hiding: what looks like a credential is replaced, its name stays.
"""

import re
from urllib.parse import urlsplit

HIDDEN = "***"

_NAME = r"[\w.-]*(?:api[_-]?key|access[_-]?key|secret|token|passw(?:or)?d|passwd|passphrase|credential|private[_-]?key|auth)[\w.-]*"
_VALUE = r"\"[^\"]*\"|'[^']*'|[^\s,;&\"']+"
_URL_USER = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)[^/\s?#]*@", re.IGNORECASE)
_ASSIGNED = re.compile(rf"(?P<name>(?<![\w.-]){_NAME})(?P<sign>[\"']?\s*[=:]\s*)(?:{_VALUE})", re.IGNORECASE)
_OPTION = re.compile(rf"(?P<name>(?<!\S)--?{_NAME})(?P<sign>\s+)(?!-)(?:{_VALUE})", re.IGNORECASE)
_HEADER = re.compile(r"\b(?P<name>bearer|basic)(?P<sign>\s+)[\w.~+/=-]{8,}", re.IGNORECASE)
_KNOWN = re.compile(
    r"\b(?:gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|sk-[\w-]{16,}|hf_\w{16,}|xox[abprs]-[\w-]{10,}"
    r"|pypi-[\w-]{16,}|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\w-]{30,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)"
)
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)


def redact(text: str) -> str:
    """`text` with every credential in it replaced by ``***``.

    Covered: user and password in URLs, `name=value` and `--name value` where the name says secret, HTTP authorisation,
    private keys, and tokens whose form is public (GitHub, GitLab, OpenAI, Hugging Face, Slack, PyPI, AWS, Google, JWT).
    """
    text = _PEM.sub(HIDDEN, text)
    text = _URL_USER.sub(rf"\g<scheme>{HIDDEN}@", text)
    text = _HEADER.sub(rf"\g<name>\g<sign>{HIDDEN}", text)
    text = _ASSIGNED.sub(rf"\g<name>\g<sign>{HIDDEN}", text)
    text = _OPTION.sub(rf"\g<name>\g<sign>{HIDDEN}", text)
    return _KNOWN.sub(HIDDEN, text)


def redact_url(url: str) -> str:
    """A URL without user, password, query and fragment; `git@host:path` and plain paths keep their form."""
    if "://" not in url:
        return redact(re.sub(r"^(?P<user>[^/@\s:]+):[^/@\s]*@", r"\g<user>@", url))
    parts = urlsplit(url)
    return redact(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl())

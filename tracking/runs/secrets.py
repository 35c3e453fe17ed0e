"""Taking keys, tokens, passwords and credentials out of text before it reaches a file, a log or a tracker.

It errs on the side of hiding: what looks like a credential is replaced, its name stays.
"""

import re

HIDDEN = "***"

# Words in a name that say its value is secret; `tokenizer`, `max_tokens`, `PWD` and `author` say nothing of the kind.
_SAYS_SECRET = (
    r"(?:api[_-]?key|access[_-]?key|private[_-]?key|account[_-]?key|secret|password|passwd|passphrase|credential"
    r"|token(?!s|i[sz])|signature|authorization|(?<![a-z])auth(?![a-z])|(?<![a-z])pass(?![a-z])|(?<=[_-])pwd|(?<=[?&])sig)"
)
_NAME = rf"[\w.-]*{_SAYS_SECRET}[\w.-]*"
_VALUE = r"(?!\*\*\*)(?:\"[^\"]*\"|'[^']*'|[^\s,;&\"']+)"
_SCHEME = r"(?:(?:bearer|basic|token)\s+)?"

_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_RULES = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        (r"(\b[a-z][a-z0-9+.-]*://)[^/\s?#]*@", rf"\g<1>{HIDDEN}@"),  # user:password@ in a URL
        (
            rf"({_NAME}[\"']?\s*[=:]\s*){_SCHEME}{_VALUE}",
            rf"\g<1>{HIDDEN}",
        ),  # name=value, "name": "value", Header: value
        (rf"((?<!\S)--?{_NAME}\s+)(?!-){_VALUE}", rf"\g<1>{HIDDEN}"),  # --name value
        (r"((?<!\S)(?:-u|--user)[\s=]+[^\s:]+:)\S+", rf"\g<1>{HIDDEN}"),  # curl -u name:password
        (r"(\blogin\s+\S+\s+password\s+)\S+", rf"\g<1>{HIDDEN}"),  # .netrc
        (r"(\b(?:bearer|basic)\s+)[\w.~+/=-]{8,}", rf"\g<1>{HIDDEN}"),
    )
)
# Tokens whose form is public: GitHub, GitLab, OpenAI, Hugging Face, Slack, PyPI, AWS, Google, Databricks, JSON Web Tokens.
_KNOWN = re.compile(
    r"\b(?:gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|sk-[\w-]{16,}|hf_\w{16,}|xox[abprs]-[\w-]{10,}"
    r"|pypi-[\w-]{16,}|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\w-]{30,}|dapi[0-9a-f]{32}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)"
)


def redact(text: str) -> str:
    """`text` with every credential in it replaced by ``***``.

    Covered: user and password in URLs, ``name=value``, ``"name": "value"`` and ``--name value`` where the name says
    secret, HTTP authorisation, .netrc, private keys, and tokens whose form is public. A secret without any of these marks
    cannot be told from other text.
    """
    text = _PEM.sub(HIDDEN, text)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return _KNOWN.sub(HIDDEN, text)


def redact_url(url: str) -> str:
    """A URL without user, password, query and fragment; ``git@host:path`` and plain paths keep their form."""
    if "://" in url:
        url = re.sub(
            r"^([a-z][a-z0-9+.-]*://)[^/?#]*@", r"\g<1>", re.split(r"[?#]", url, maxsplit=1)[0], flags=re.IGNORECASE
        )
    else:
        url = re.sub(r"^([^/@\s:]+):[^/@\s]*@", r"\g<1>@", url)
    return redact(url)

"""Tokens that are known by their form, whatever stands before them, and values that look drawn at random.

The forms are those of detect-secrets, which follows what the services publish, and of services that it does not know. Its
detectors are used as patterns only: nothing is ever verified, so nothing leaves this process.
"""

import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from itertools import pairwise
from types import ModuleType

from tracking.runs.stand_ins import standing_in

# Detectors that need no keyword beside the token. Left out: entropy (it takes every digest for a secret), addresses, keywords.
_DETECTORS = {
    "artifactory": "ArtifactoryDetector",
    "aws": "AWSKeyDetector",
    "azure_storage_key": "AzureStorageKeyDetector",
    "discord": "DiscordBotTokenDetector",
    "github_token": "GitHubTokenDetector",
    "gitlab_token": "GitLabTokenDetector",
    "mailchimp": "MailchimpDetector",
    "npm": "NpmDetector",
    "openai": "OpenAIDetector",
    "pypi_token": "PypiTokenDetector",
    "sendgrid": "SendGridDetector",
    "slack": "SlackDetector",
    "square_oauth": "SquareOAuthDetector",
    "stripe": "StripeDetector",
    "telegram_token": "TelegramBotTokenDetector",
    "twilio": "TwilioKeyDetector",
}
# Prefixes that a service gives its tokens, with what follows. Shorter than the services' own, so that cut tokens are found too.
_PREFIXED = (
    r"gh[pousr]_\w{16,}|github_pat_\w{16,}|gl[a-z]{2,6}-[\w-]{16,}|sk-[\w-]{16,}|hf_\w{16,}|api_org_\w{16,}|xox[a-z]-[\w-]{10,}",
    r"xapp-[\w-]{10,}|pypi-[\w-]{16,}|npm_\w{16,}|(?:AKIA|ASIA|ABIA|ACCA|LTAI)[A-Za-z0-9]{12,}|AIza[\w-]{30,}|ya29\.[\w.-]{10,}",
    r"GOCSPX-[\w-]{16,}|1//0[\w-]{20,}|dapi[0-9a-f]{32}|dop_v1_\w{16,}|dckr_(?:pat|oat)_[\w-]{10,}|gsk_\w{16,}|nvapi-[\w-]{16,}",
    r"r8_\w{16,}|(?:sk|rk|pk)_(?:live|test)_\w{10,}|whsec_\w{16,}|SG\.[\w-]{10,}(?:\.[\w-]{10,})?|hv[sbr]\.[\w-]{16,}|pul-\w{20,}",
    r"shp(?:at|ca|pa|ss)_\w{16,}|lin_api_\w{16,}|figd_[\w-]{16,}|ntn_\w{16,}|secret_[A-Za-z0-9]{40,}|xai-\w{16,}|pplx-\w{16,}",
    r"tvly-[\w-]{16,}|lsv2_\w{16,}|pcsk_\w{16,}|sntrys_[\w=+/.-]{16,}|sbp_\w{16,}|rubygems_\w{16,}|NRAK-\w{16,}|PMAK-[\w-]{16,}",
    r"dp\.(?:pt|st|sa|ct|scim|audit)\.[\w.-]{16,}|AGE-SECRET-KEY-1\w{16,}|EAA[A-Za-z0-9]{24,}|wandb_v1_\w{16,}|tfp_\w{20,}",
    r"\w{10,}\.atlasv1\.[\w=-]{16,}|fw_\w{20,}|tgp_v1_[\w-]{16,}|ops_eyJ[\w-]{16,}|key-[0-9a-f]{32}|CCIPAT_\w{16,}|ATATT3[\w=-]{16,}",
    r"eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)*",  # JSON Web Tokens
)
_OWN = re.compile(rf"(?<![A-Za-z0-9_])(?:{'|'.join(_PREFIXED)})")
_TOKEN_LIKE = re.compile(r"[\w/+=.:-]{18}")
_CRYPT = re.compile(r"\$(?:2[abxy]|apr1|argon2\w*|y|[156])\$[\w./$+=,-]{16,}")  # hashes of passwords


def formed(text: str) -> Iterator[tuple[int, int]]:
    """Where in `text` tokens stand whose form is known; the places may overlap."""
    for pattern in (_OWN, _CRYPT):
        yield from (found.span() for found in pattern.finditer(text) if _is_token(found[0]))
    if _TOKEN_LIKE.search(text):
        for pattern in _patterns():
            yield from (span for found in pattern.finditer(text) if (span := _within(found)))


@cache
def _patterns() -> tuple[re.Pattern[str], ...]:
    # `requests`, with which the detectors would verify tokens, takes nearly all of the time that importing them takes
    with standing_in({"requests": ModuleType("requests")}):
        modules = [(import_module(f"detect_secrets.plugins.{module}"), name) for module, name in _DETECTORS.items()]
    return tuple(pattern for module, name in modules for pattern in getattr(module, name).denylist)


def _within(found: re.Match[str]) -> tuple[int, int] | None:
    """The token without the quotes, blanks and signs that its pattern takes in; None for a word that only looks like one."""
    token = found[0].strip(" \t\r\n\"'=:")
    start = found.start() + found[0].index(token)
    return (start, start + len(token)) if _is_token(token) else None


def _is_token(text: str) -> bool:
    return any(map(str.isdigit, text)) and len(set(text)) > 6


def looks_random(value: str) -> bool:
    """Whether nobody would give this as a name: letters, digits and cases change too often for words.

    ``vit_base_patch16_224`` and ``state_dict_ema`` are names, ``Zk3v9QwXy7Lm`` is none.
    """
    if len(value) < 8 or value.startswith(("/", "./", "../", "~/", "<", "[", "$")) or "://" in value:
        return False
    letters = [letter for letter in value if letter.isalnum()]
    changes = sum(_kind(a) != _kind(b) and not (a.isupper() and b.islower()) for a, b in pairwise(letters))
    return len(letters) >= 8 and changes / (len(letters) - 1) >= (0.25 if len(letters) >= 12 else 0.4)


def _kind(letter: str) -> int:
    return 0 if letter.isdigit() else 1 if letter.isupper() else 2

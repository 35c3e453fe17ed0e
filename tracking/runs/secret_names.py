"""What the name of a value says about it: that it is secret, that it may be, or nothing of the kind."""

import re
from enum import IntEnum
from functools import cache
from itertools import pairwise


class Level(IntEnum):
    """How sure a name is that its value is a secret."""

    HARMLESS = 0
    MAYBE = 1  # hidden where the value looks like a secret
    SECRET = 2  # hidden whatever the value


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_FILE = re.compile(
    r"\.(?:py|pyc|ipynb|json|ya?ml|toml|txt|csv|tsv|onnx|pt|pth|th|bin|h5|hdf5|keras|ckpt|npy|npz|pkl|safetensors"
    r"|tflite|pb|md|html?|jpe?g|png|cfg|ini|sh|c|cc|cpp|rs|js|ts|go|java|so|whl|zip|tar|gz|lock|xml|svg)$",
    re.IGNORECASE,
)
# Words at the end of a name that leave its meaning as it is: PASSWORD_PROD, AWS_ACCESS_KEY_ID.
_QUALIFIERS = _set(
    "id value string str text raw b64 base64 plain plaintext old new prod production staging dev test ci main default base"
    " secondary env var"
)
_PASSWORDS = _set("password passwords passwd passphrase passcode pwd")
_HEADS = _PASSWORDS | _set(
    "secret secrets credential credentials creds authorization userpass dbpass rootpw adminpw sshpass pgpass"
)
_GLUED = re.compile(
    r"(?:password|passwd|passphrase|pwd|api_?keys?|(?:secret|access|private|account|auth)keys?"
    r"|(?:auth|access|api|refresh|bearer|session)tokens?|secret)$"
)
# What makes a key, or a token, one that opens something.
_KEYS = _set(
    "api access private secret account auth signing sign encryption encrypt decryption master ssh hmac shared session deploy"
    " license subscription storage service client admin consumer app application wrapping aes rsa gpg pgp tls ssl crypto"
)
_TOKENS = _set(
    "access auth api refresh bearer session security personal bot oauth csrf xsrf jwt hf hub huggingface github gh gitlab"
    " slack user private secret deploy pypi npm wandb neptune vault registry login sas admin service device upload"
)
# Keys of tables and tokens of texts.
_ORDINARY_KEYS = _set(
    "primary foreign sort cache partition index group join lookup dict param config public pub checkpoint column row state"
    " image label feature input output batch query hot host order class data dataset metric monitor model layer object unique"
)
_ORDINARY_TOKENS = _set(
    "pad eos bos unk cls sep mask start end stop next special image class first last prefix suffix sot eot dist register num"
    " word text decoder patch max min per prompt visual video audio query forced begin added additional"
)
_MAYBE = _set(
    "token key keys pass pw auth sig signature cookie cookies bearer sas otp totp jwt pat webhook nonce psk passkey sid"
    " pin tokens sessionid jsessionid phpsessid"
)
# Words at the end of a name that make it the name of something else: password_file, token_url.
_OTHER = _set(
    "file files path paths dir folder url uri endpoint name names type kind count length len size dim policy field fields column"
    " required enabled method provider scope scopes expiry expires ttl manager model strength detector hint prompt issuer index"
)


@cache
def level_of(name: str) -> Level:
    """What `name` says: ``HF_TOKEN`` and ``db.password`` are secret, ``key`` may be, ``tokenizer`` and ``auth.py`` are not."""
    if _FILE.search(name) or name.startswith(("/", "./", "../")):
        return Level.HARMLESS
    if name in ("PWD", "pwd"):  # the working folder, or a password in ODBC
        return Level.MAYBE
    last = re.split(r"[.\[\]:/]", name.strip(".]:/["))[-1]
    words = [word.lower() for word in _WORD.findall(last)]
    while len(words) > 1 and (words[-1] in _QUALIFIERS or words[-1].isdigit()):
        words.pop()
    return _level(words, is_variable=last == last.upper()) if words and name != "OLDPWD" else Level.HARMLESS


def _level(words: list[str], *, is_variable: bool) -> Level:
    head, before = words[-1], words[-2] if len(words) > 1 else ""
    if head in _HEADS or _GLUED.search(head):
        return Level.SECRET
    if head in ("key", "keys"):
        return Level.SECRET if before in _KEYS else Level.HARMLESS if before in _ORDINARY_KEYS else Level.MAYBE
    if head in ("token", "tokens"):
        return _level_of_token(head, before, is_variable=is_variable)
    if head in ("pass", "pw", "auth") and before and is_variable:
        return Level.SECRET
    return Level.MAYBE if head in _MAYBE or head.endswith(("key", "token")) else _level_within(words)


def _level_of_token(head: str, before: str, *, is_variable: bool) -> Level:
    if before in _ORDINARY_TOKENS:
        return Level.HARMLESS
    if before in _TOKENS or (is_variable and before and head == "token"):
        return Level.SECRET
    return Level.MAYBE


def _level_within(words: list[str]) -> Level:
    """For names whose last word says nothing: PASSWORD_OF_BOB, API_KEY_OPENAI, token_mixer."""
    if set(words) & _PASSWORDS and words[-1] not in _OTHER:
        return Level.SECRET
    named = set(words) & (_HEADS | {"token"})
    keys = any(first in _KEYS and then == "key" for first, then in pairwise(words))
    return Level.MAYBE if named or keys else Level.HARMLESS

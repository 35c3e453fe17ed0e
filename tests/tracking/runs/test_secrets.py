"""Planted credentials never come through, and ordinary text does."""

import pytest

from tracking.runs.secrets import HIDDEN, redact, redact_url

SECRET = "Zk3v9QwXy7Lm2NpR5tBd8Hs1"  # planted: no such account exists

WITH_SECRET = (
    f"COMET_API_KEY={SECRET}",
    f"export MLFLOW_TRACKING_PASSWORD='{SECRET}'",
    f"MLFLOW_TRACKING_TOKEN: {SECRET}",
    f"AWS_SECRET_ACCESS_KEY={SECRET}",
    f"AWS_ACCESS_KEY_ID={SECRET}",
    f"PGPASSWORD={SECRET}",
    f"DB_PASS={SECRET}",
    f"MY_DB_PWD={SECRET}",
    f"HF_TOKEN={SECRET}",
    f"AccountKey={SECRET};EndpointSuffix=core.windows.net",
    f'{{"api_key": "{SECRET}", "workspace": "team"}}',
    f"{{'accessToken': '{SECRET}'}}",
    f"client_secret = {SECRET}",
    f"python train.py --api-key {SECRET} --epochs 3",
    f"python train.py --token={SECRET}",
    f"curl -u someone:{SECRET} https://host/x",
    f"curl -H 'Authorization: Bearer {SECRET}' https://host/x",
    f"X-Api-Key: {SECRET}",
    f"Authorization: Basic {SECRET}==",
    f"machine host login someone password {SECRET}",
    f"pip install --index-url https://someone:{SECRET}@host/simple package",
    f"PIP_EXTRA_INDEX_URL=https://{SECRET}@host/simple",
    f"[global]\nindex-url = https://__token__:{SECRET}@host/simple",
    f"https://someone:{SECRET}@ss@host/repo.git",
    f"https://oauth2:{SECRET}@gitlab.com/team/repo.git",
    f"postgresql+psycopg://mlflow:{SECRET}@db:5432/runs",
    f"redis://:{SECRET}@cache:6379/0",
    f"https://bucket/x?X-Amz-Credential={SECRET}&X-Amz-Signature={SECRET}",
    f"https://account.blob/x?sv=2024&sig={SECRET}",
    f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----",
    f"-----BEGIN PRIVATE KEY-----\n{SECRET}",
    f"cloned with ghp_{SECRET}",
    f"cloned with glpat-{SECRET}",
    f"called sk-proj-{SECRET}",
    f"logged in as hf_{SECRET}",
    f"uploaded with pypi-{SECRET}",
    f"session eyJhbGciOiJIUzI1NiJ9.{SECRET}.{SECRET}",
)

ORDINARY = (
    "--xla_cpu_multi_thread_eigen=false --xla_dump_to=dump",
    "granularity=fine,compact,1,0",
    "AVX512_CORE",
    "python -m stages.infer --model resnet18-torchvision --samples data/prepared/digits-32",
    "tokenizer=bert-base max_tokens=50 tokens: 7",
    "author=Bob authority=x",
    "PWD=/home/user/project",
    "bypass=1 compass: north pass",
    "https://host/simple",
    "git@github.com:team/repo.git",
    "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "basic block",
    ":4096:8",
)


@pytest.mark.parametrize("text", WITH_SECRET)
def test_no_credential_comes_through(text: str) -> None:
    assert SECRET not in redact(text)
    assert HIDDEN in redact(text)


@pytest.mark.parametrize("text", WITH_SECRET)
def test_taking_out_twice_is_the_same_as_once(text: str) -> None:
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_the_name_of_a_credential_stays() -> None:
    assert redact(f"COMET_API_KEY={SECRET} EPOCHS=3") == "COMET_API_KEY=*** EPOCHS=3"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"https://someone:{SECRET}@github.com/team/repo.git", "https://github.com/team/repo.git"),
        (f"https://{SECRET}@github.com/team/repo.git", "https://github.com/team/repo.git"),
        (f"https://host/path?token={SECRET}#{SECRET}", "https://host/path"),
        (f"ssh://git:{SECRET}@host:2222/team/repo", "ssh://host:2222/team/repo"),
        (f"someone:{SECRET}@host:team/repo.git", "someone@host:team/repo.git"),
        ("git@github.com:team/repo.git", "git@github.com:team/repo.git"),
        ("../elsewhere/repo", "../elsewhere/repo"),
        ("sqlite:///data/mlflow.db", "sqlite:///data/mlflow.db"),
    ],
)
def test_a_remote_is_shown_without_its_credentials(url: str, shown: str) -> None:
    assert redact_url(url) == shown

"""Planted credentials never come through, at any depth, and ordinary text stays as it is; both rates are measured."""

import json
import subprocess
import sys
import time
from typing import Any

import pytest

from tests.tracking.runs.secret_corpus import HARMLESS, RANDOM, leaks, planted
from tracking.runs.findings import Finding, Verdict, load_findings, save_findings
from tracking.runs.flat import flat
from tracking.runs.secret_forms import looks_random
from tracking.runs.secret_names import Level, level_of
from tracking.runs.secrets import HIDDEN, is_hidden, redact, redact_url, redacted

SECRET = RANDOM[0]


def test_no_planted_secret_of_the_corpus_comes_through() -> None:
    corpus = list(planted())
    assert len(corpus) > 900
    assert [text for text, secret in corpus if leaks(text, secret)] == []


def test_no_harmless_text_of_the_corpus_is_changed() -> None:
    assert len(HARMLESS) > 130
    assert [(text, redact(text)) for text in HARMLESS if redact(text) != text] == []


def test_hiding_twice_is_the_same_as_once() -> None:
    once = [redact(text) for text, _ in planted()]
    assert [(text, redact(text)) for text in once if redact(text) != text] == []


def test_the_corpus_test_can_fail() -> None:
    assert leaks(f"nothing says what this is: {SECRET}", SECRET)


def test_the_name_of_a_credential_and_what_stands_beside_it_stay() -> None:
    assert redact(f"COMET_API_KEY={SECRET} EPOCHS=3") == "COMET_API_KEY=*** EPOCHS=3"
    assert redact(f"train.py --token {SECRET} --epochs 3") == "train.py --token *** --epochs 3"
    assert redact(f"UID=sa;PWD={SECRET};Server=db") == "UID=sa;PWD=***;Server=db"
    assert redact(f"https://bob:{SECRET}@host.org/x") == "https://***@host.org/x"
    assert redact(f"https://host/x?token={SECRET}&page=2") == "https://host/x?token=***&page=2"


@pytest.mark.parametrize(
    "value",
    [
        {"token": SECRET},
        {"a": {"b": {"c": {"api_key": SECRET}}}},
        {"args": ["--token", SECRET]},
        {"args": ["train.py", "--api-key", SECRET, "--epochs", "3"]},
        {"args": [f"--token={SECRET}"]},
        {"headers": {"X-Api-Key": SECRET}},
        {"headers": {"Authorization": f"ApiKey {SECRET}"}},
        {"headers": [["Authorization", f"ApiKey {SECRET}"]]},
        {"headers": [["X-Api-Key", SECRET]]},
        {"credentials": {"user": "bob", "value": SECRET}},
        {"passwords": [SECRET, SECRET]},
        {"api_keys": {"one": [SECRET]}},
        {"env": [{"name": "DB_PASSWORD", "value": "hunter2 " + SECRET}]},
        {"note": json.dumps({"api_key": SECRET})},
        {"note": json.dumps({"inner": json.dumps({"api_key": SECRET})})},
        {"url": f"s3://AK:{SECRET}@bucket/x"},
        {"key": SECRET, "username": "bob"},
        {"auth": ["bob", SECRET]},
        [{"deep": [[{"password": SECRET}]]}],
    ],
)
def test_nothing_comes_through_at_any_depth(value: Any) -> None:
    assert SECRET not in json.dumps(redacted(value))


def test_arguments_that_only_look_secret_stay_as_they_are() -> None:
    value = {
        "token_mixer": "pool",
        "pad_token": "[PAD]",
        "class_token": True,
        "num_tokens": 77,
        "tokens": [1, 2],
        "key": "state_dict",
        "pass_through": ["--pass", "yes"],
        "architecture": "models/token_mixer.py:build",
        "secret_token": None,
        "use_auth_token": False,
        "mean": [0.485, 0.456],
    }
    assert redacted(value) == value


def test_a_number_that_is_a_password_is_hidden() -> None:
    assert redacted({"password": 271828, "max_tokens": 50}) == {"password": HIDDEN, "max_tokens": 50}


def test_params_are_flattened_without_secrets() -> None:
    arguments = {"token": SECRET, "args": ["--token", f"hf_{SECRET}"], "depth": 3}
    assert flat({"model": {"architecture": "auth.py:network", "arguments": arguments}}) == {
        "model.architecture": "auth.py:network",
        "model.arguments.token": HIDDEN,
        "model.arguments.args": '["--token", "***"]',
        "model.arguments.depth": 3,
    }


def test_findings_hold_no_secret_in_sentence_or_evidence(tmp_path: Any) -> None:
    evidence = {"answer": {"headers": [f"X-Api-Key: {SECRET}"]}, "top1": 0.5}
    found = Finding("isolation_check", "net", Verdict.FAIL, f"asked https://bob:{SECRET}@host/x", evidence)
    save_findings([found], tmp_path / "f.json")
    assert SECRET not in (tmp_path / "f.json").read_text()
    assert load_findings(tmp_path / "f.json")[0].evidence["top1"] == 0.5


@pytest.mark.parametrize(
    ("one", "other", "hidden"),
    [
        (HIDDEN, HIDDEN, True),
        (HIDDEN, "anything", True),
        ("--token *** --epochs 3", "--token *** --epochs 3", True),
        ("--token *** --epochs 3", "--token *** --epochs 4", False),
        ("a.py", "a.py", False),
        ("a", "b", False),
    ],
)
def test_what_is_hidden_is_neither_equal_nor_different(one: str, other: str, hidden: bool) -> None:
    assert is_hidden(one, other) is hidden
    assert is_hidden(other, one) is hidden


@pytest.mark.parametrize(
    "name", ["HF_TOKEN", "db.password", "apiKey", "AWS_ACCESS_KEY_ID", "client-secret", "DB_PASSWORD_PROD"]
)
def test_names_that_say_secret(name: str) -> None:
    assert level_of(name) == Level.SECRET


@pytest.mark.parametrize(
    "name", ["tokenizer", "auth.py", "token_mixer.py", "pad_token", "author", "monkey_patch", "primary_key"]
)
def test_names_that_say_nothing(name: str) -> None:
    assert level_of(name) == Level.HARMLESS


@pytest.mark.parametrize(
    "name", ["vit_base_patch16_224", "state_dict_ema", "tf_efficientnetv2_s.in21k_ft_in1k", "serving_default"]
)
def test_names_of_networks_do_not_look_random(name: str) -> None:
    assert not looks_random(name)


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


@pytest.mark.parametrize(
    "text", ["\\" * 20_000, "default " * 4_000, "a:" * 20_000, "password: " + "a " * 20_000, "x" * 50_000]
)
def test_long_text_takes_no_long_time(text: str) -> None:
    started = time.process_time()
    redact(text)
    assert time.process_time() - started < 5


def test_no_detector_opens_a_connection_nor_imports_what_would() -> None:
    code = (
        "import socket, sys\n"
        "def refuse(*_, **__): raise AssertionError('a connection was opened')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from tests.tracking.runs.test_secrets import planted\n"
        "from tracking.runs.secrets import redact\n"
        "print(sum(redact(text) != text for text, _ in planted()))\n"
        "assert 'requests' not in sys.modules"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(ended.stdout) > 900

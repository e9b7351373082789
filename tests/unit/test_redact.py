"""Secrets are masked wherever they stand."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebake import redact
from rebake.redact import MASK, Redactor
from strategies import CHARACTERS

CANARY = "s3cr3t-canary"


@pytest.mark.parametrize(
    "text",
    [
        f"https://user:{CANARY}@example.test/x",
        f"Authorization: Bearer {CANARY}",
        f"authorization: {CANARY}",
        f"//registry.example/:_authToken={CANARY}",
        f"token={CANARY}",
        f"https://example.test/?a=1&token={CANARY}&b=2",
        f"https://example.test/?access_token={CANARY}",
        f"PASSWORD={CANARY}",
        f"ARG API_KEY={CANARY}",
        f"aws_secret_access_key={CANARY}",
        f"DB_PASSWORD={CANARY}",
        f"--password={CANARY}",
        f"https://{CANARY}@github.com/o/r",
        f"redis://:{CANARY}@cache:6379",
        f'{{"password": "{CANARY}"}}',
    ],
)
def test_secret_looking_text_is_masked(text: str) -> None:
    shown = Redactor().text(text)
    assert CANARY not in shown
    assert MASK in shown


@pytest.mark.parametrize(
    "text",
    [
        "https://example.test:8080/a@b",
        "user@example.test",
        "tokenizer=fast",
        "12 tokens read",
        "sha256:0123456789abcdef",
        "oven/bun:1.4.5-slim@sha256:0123",
        "http://localhost:3000/items?next=a@b",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert Redactor().text(text) == text


@pytest.mark.parametrize(
    "name", ["GH_TOKEN", "my_secret", "DB_PASSWORD", "API_KEY", "APIKEY", "NPM_AUTH"]
)
def test_values_of_secret_sounding_variables_are_masked(name: str) -> None:
    assert Redactor.from_environment({name: CANARY}).text(f"a {CANARY} b") == f"a {MASK} b"


def test_paths_and_short_values_stay() -> None:
    env = {"SECRET_FILE": "/run/secrets/x", "TOKEN": "dev"}
    assert Redactor.from_environment(env).text("/run/secrets/x dev") == "/run/secrets/x dev"


def test_a_secret_that_holds_another_is_masked_whole() -> None:
    assert Redactor(["abcdef", "abcdefghi"]).text("abcdefghi") == MASK


def test_a_secret_is_masked_in_its_json_form_too() -> None:
    secret = 'quo"te\\back'
    assert "back" not in Redactor([secret]).text(json.dumps({"x": secret}))


def test_argv_is_masked_word_by_word() -> None:
    argv = ["docker", "login", "-p", CANARY, f"--password={CANARY}"]
    assert Redactor([CANARY]).argv(argv) == ["docker", "login", "-p", MASK, f"--password={MASK}"]


@given(
    st.text(CHARACTERS.filter(str.isalnum), min_size=6), st.text(CHARACTERS), st.text(CHARACTERS)
)
def test_no_known_secret_survives(secret: str, before: str, after: str) -> None:
    assert secret not in Redactor([secret]).text(before + secret + after).replace(MASK, "\0")


def test_what_is_learned_is_masked_by_those_that_were_there_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redact, "_learned", set())
    before, own = Redactor.from_environment({}), Redactor(["other"])
    assert before.text(CANARY) == CANARY
    redact.learn([f"{CANARY}\nanother line", "x"])
    assert before.text(f"{CANARY}, another line, x") == f"{MASK}, {MASK}, x"
    assert own.text(CANARY) == CANARY


@pytest.mark.parametrize(
    "text",
    ["--mount=type=secret,id=key", "SECRET_FILE=/run/secrets/x", "*.secrets+=id=key,env=KEY"],
)
def test_names_and_places_of_secrets_are_none(text: str) -> None:
    assert Redactor().text(text) == text

"""Masks secrets in everything that is printed, stored or raised.

What counts as a secret: the values of environment variables whose names say so, and what
stands behind well-known markers (`user:password@`, `token=`, `Authorization:`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence

MASK = "***"
_SHORTEST = 6  # a shorter value would mask ordinary words

_SECRET_NAME = re.compile(
    r"(TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|PRIVATE_KEY|CREDENTIAL|_AUTH$|ACCESS_KEY)",
    re.IGNORECASE,
)
_PATTERNS = (
    # A URL's user part, alone too: a token often stands there. `git@` says nothing.
    re.compile(r"(?<=://)(?!git@)[^/\s@?#]+(?=@)"),
    re.compile(r"(?i)(?<=authorization: )(?:\S+ )?\S+"),
    re.compile(r"(?i)(?<=_authtoken=)\S+"),
    re.compile(r"(?i)\b(?<=token=)[^\s&'\"]+"),
    re.compile(r"(?i)\b(?<=password=)[^\s&'\"]+"),
    # JSON: "password": "..."
    re.compile(r"(?i)(?<=token\": \")[^\"]+|(?<=token\":\")[^\"]+"),
    re.compile(r"(?i)(?<=password\": \")[^\"]+|(?<=password\":\")[^\"]+"),
)


# `NAME=value`, as `env` prints it and a Dockerfile says it; a name that ends so tells of a file.
_ASSIGNED = re.compile(
    r"(?i)((?:SECRET|PASSWD|API_?KEY|PRIVATE_?KEY|ACCESS_?KEY|CREDENTIAL)\w*"
    r"(?<!_FILE)(?<!_PATH)=)[^\s&'\"]+"
)

# Secrets that no variable's name tells of: those that a project declares, and a key's password. For
# the whole process, as the environment is: whatever is printed by whomever must not hold them.
_learned: set[str] = set()


def learn(secrets: Iterable[str]) -> None:
    """Mask these from now on, wherever they turn up; of one with several lines, each line."""
    for secret in secrets:
        _learned.add(secret)
        _learned.update(line.strip() for line in secret.splitlines())


class Redactor:
    """Replaces known secret values and secret-looking text by `***`."""

    def __init__(self, secrets: Iterable[str] = (), *, learning: bool = False) -> None:
        self._given = frozenset(secrets)
        self._learning = learning
        self._learned = 0
        self._secrets = _ordered(self._given)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Redactor:
        """Make one that knows all secret-sounding environment variables, and what it was taught."""
        env = os.environ if environ is None else environ
        named = (
            value
            for name, value in env.items()
            if _SECRET_NAME.search(name) and not _is_path(value)
        )
        return cls(named, learning=True)

    def text(self, text: str) -> str:
        """Return `text` with secrets masked."""
        if self._learning and len(_learned) != self._learned:
            self._learned = len(_learned)
            self._secrets = _ordered(self._given | _learned)
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        for pattern in _PATTERNS:
            text = pattern.sub(MASK, text)
        # Most texts have none: a search is a good part of the time that they take here.
        return _ASSIGNED.sub(rf"\1{MASK}", text) if "=" in text else text

    def argv(self, argv: Sequence[str]) -> list[str]:
        """Return the command line with secrets masked."""
        return [self.text(word) for word in argv]


def _ordered(secrets: Iterable[str]) -> list[str]:
    known = {secret for secret in secrets if len(secret) >= _SHORTEST}
    known |= {_in_json(secret) for secret in known}
    # The longest first, so that a secret that holds another one is masked whole.
    return sorted(known, key=len, reverse=True)


def _in_json(secret: str) -> str:
    return secret.replace("\\", "\\\\").replace('"', '\\"')


def _is_path(value: str) -> bool:
    # SECRET_FILE=/run/secrets/x names a file: the path itself is no secret.
    return value.startswith(("/", "./", "~"))

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from rebake.redact import Redactor
from rebake.report.json import write_document


def written(document: dict[str, object]) -> str:
    stream = io.StringIO()
    write_document(document, stream, redactor=Redactor(['quo"ted-secret']))
    return stream.getvalue()


def test_the_same_document_is_the_same_text() -> None:
    text = written({"b": 1, "a": {"d": (1, 2), "c": {"y", "x"}}})
    assert text == written({"a": {"c": {"x", "y"}, "d": [1, 2]}, "b": 1})
    assert json.loads(text) == {"a": {"c": ["x", "y"], "d": [1, 2]}, "b": 1}
    assert text.endswith("}\n")


def test_secrets_are_masked_before_they_are_quoted() -> None:
    text = written({"a": ['x quo"ted-secret y'], "url": "https://me:pw@example.org"})
    assert json.loads(text) == {"a": ["x *** y"], "url": "https://***@example.org"}


def test_ascii_only_and_odd_names() -> None:
    text = written({"path": Path("ü/日\udcff")})
    assert text.isascii()


def test_what_json_does_not_know_is_a_fault() -> None:
    with pytest.raises(TypeError):
        written({"a": object()})

"""A scan in words, as JSON, SARIF and HTML."""

from __future__ import annotations

import json
import re
from datetime import date
from html.parser import HTMLParser

from msgspec.structs import replace

from rebake.scan.document import json_of, sarif_of
from rebake.scan.findings import Finding, Ignore, PartResult, Policy, ScanResult
from rebake.scan.page import render
from rebake.scan.words import text_of

IGNORE = Ignore("CVE-2", "not <reached>", date(2026, 9, 1))
POLICY = Policy(ignores=(IGNORE, Ignore("CVE-9", "gone", date(2026, 9, 1))), today=date(2026, 6, 1))
FOUND = (
    Finding("vulnerability", "CVE-1", "critical", "api:prod", 'a <script>"hole"</script>',
            "update lodash to 4.17.12", "lodash", "4.17.0", "4.17.12", "ui/bun.lock",
            url="https://example.org/CVE-1", scanner="trivy"),
    Finding("vulnerability", "CVE-2", "high", "api:prod", "another", package="x", version="1",
            fixed="2", scanner="trivy"),
    Finding("vulnerability", "CVE-3", "high", "api:prod", "a third", package="y", version="1"),
    Finding("dockerfile", "dockerfile-add", "high", "ui/Dockerfile", "ADD x", "COPY", line=7),
    Finding("dependency", "cargo-deny-duplicate", "low", "backend/Cargo.lock", "twice"),
)  # fmt: skip
RESULT = ScanResult(
    (
        PartResult("image api:prod", "failed", tuple(POLICY.judge(one) for one in FOUND[:3]), 1.25),
        PartResult("dockerfile rules", "failed", (POLICY.judge(FOUND[3]),), 0.01),
        PartResult("cargo deny", "ok", (POLICY.judge(FOUND[4]),), 2.0),
        PartResult("advisories", "missing", note="cargo-deny"),
    ),
    POLICY, ("api:prod",), 3.5, 0.0, facts={"scanner": "0.74.0, PATH"},
)  # fmt: skip


def test_in_words() -> None:
    lines = text_of(RESULT).splitlines()
    assert lines == [
        "part              result            findings  seconds",
        "image api:prod    failed            1 (+2)        1.2",
        "dockerfile rules  failed            1             0.0",
        "cargo deny        ok                0 (+1)        2.0",
        "advisories        skipped: missing  -             0.0  cargo-deny",
        "",
        "CRITICAL CVE-1: api:prod, ui/bun.lock, lodash 4.17.0",
        '  a <script>"hole"</script>',
        "  next: update lodash to 4.17.12",
        "HIGH dockerfile-add: ui/Dockerfile:7",
        "  ADD x",
        "  next: COPY",
        "",
        "let through               severity  id                    where               what",
        "no fix yet                high      CVE-3                 api:prod, y 1       a third",
        "below limit               low       cargo-deny-duplicate  backend/Cargo.lock  twice",
        "ignored until 2026-09-01  high      CVE-2                 api:prod, x 1       another",
        "",
        "ignore of CVE-9: nothing is found any more",
        "",
        "scan: 1 critical, 1 high (1 image, limit high, 3.5 s); not looked at: advisories",
    ]


def test_a_scan_that_could_not_be_done_in_words() -> None:
    broken = replace(RESULT, parts=(PartResult("database", "broken", note="is cut off"),))
    assert text_of(broken).splitlines()[-2:] == [
        "NOT PASSED: database: is cut off",
        "scan: could not be done (1 image, limit high)",
    ]


def test_as_json() -> None:
    document = json_of(RESULT)
    assert json.loads(json.dumps(document)) == document
    assert {name: document[name] for name in ("schema_version", "passed", "exit_code")} == {
        "schema_version": 1, "passed": False, "exit_code": 14,
    }  # fmt: skip
    assert document["parts"]["image api:prod"] == {
        "state": "failed", "findings": 3, "failing": 1, "seconds": 1.25,
    }  # fmt: skip
    assert document["parts"]["advisories"]["note"] == "cargo-deny"
    first, last = document["findings"][0], document["findings"][-1]
    assert first == {
        "id": "CVE-1", "kind": "vulnerability", "severity": "critical", "standing": "fails",
        "target": "api:prod", "message": 'a <script>"hole"</script>', "scanner": "trivy",
        "place": "ui/bun.lock", "package": "lodash", "version": "4.17.0", "fixed": "4.17.12",
        "fix": "update lodash to 4.17.12", "url": "https://example.org/CVE-1",
    }  # fmt: skip
    assert last["ignored"] == {"reason": "not <reached>", "expires": "2026-09-01"}
    assert document["unused_ignores"] == ["CVE-9"]


def test_as_sarif() -> None:
    log = sarif_of(RESULT, "0.1.0")
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules) == 5
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in {"error", "warning", "note"}
        assert result["message"]["text"]
        (location,) = result["locations"]
        uri = location["physicalLocation"]["artifactLocation"]["uri"]
        assert re.fullmatch(r"[A-Za-z0-9_.~/%@-]+", uri)
        assert location["physicalLocation"]["region"]["startLine"] >= 1
    by_id = {result["ruleId"]: result for result in run["results"]}
    added = by_id["dockerfile-add"]["locations"][0]["physicalLocation"]
    assert added == {"artifactLocation": {"uri": "ui/Dockerfile"}, "region": {"startLine": 7}}
    image = by_id["CVE-1"]["locations"][0]
    assert image["physicalLocation"]["artifactLocation"]["uri"] == "image/api%3Aprod"
    assert image["logicalLocations"][0]["fullyQualifiedName"] == "api:prod/ui/bun.lock/lodash"
    assert by_id["CVE-2"]["suppressions"] == [
        {"kind": "external", "status": "accepted", "justification": "not <reached>"}
    ]
    assert "suppressions" not in by_id["CVE-1"]
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is True
    assert invocation["exitCode"] == 14


def test_a_broken_scan_as_sarif() -> None:
    broken = replace(RESULT, parts=(PartResult("database", "broken", note="is cut off"),))
    (invocation,) = sarif_of(broken, "0.1.0")["runs"][0]["invocations"]
    assert invocation["executionSuccessful"] is False
    (told,) = invocation["toolExecutionNotifications"]
    assert told["message"]["text"] == "database: is cut off"


def test_fingerprints_tell_findings_apart_and_stay() -> None:
    prints = [
        [r["partialFingerprints"]["rebake/v1"] for r in sarif_of(one, "1")["runs"][0]["results"]]
        for one in (RESULT, replace(RESULT, seconds=9.0, made_at=5.0))
    ]
    assert prints[0] == prints[1]
    assert len(set(prints[0])) == 5


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_as_html() -> None:
    text = render(RESULT, "shop", "0.1.0")
    page = _Page()
    page.feed(text)
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "img", "link", "iframe", "object", "base"}
    assert not [attrs for _, attrs in page.tags if attrs.get("src") or attrs.get("href")]
    assert "url(" not in text
    assert "@import" not in text
    assert 'a <script>"hole"</script>' in page.text  # escaped, so it is text
    for words in ("1 critical, 1 high", "Ignored until 2026-09-01: not <reached>", "CVE-3",
                  "No version has it mended yet", "Below the limit"):  # fmt: skip
        assert words in page.text
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    policy = next(a for t, a in page.tags if t == "meta" and "http-equiv" in a)
    assert str(policy["content"]).startswith("default-src 'none'")


def test_a_clean_page_says_so() -> None:
    clean = ScanResult((PartResult("image x", "ok"),), Policy(), ("x",))
    assert "scan: passed (1 image" in render(clean, "x", "0.1.0")

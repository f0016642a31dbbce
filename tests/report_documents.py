"""Documents that the tests of reports share: the incident, its clean twin, an empty one, a poisoned one."""

from __future__ import annotations

import copy
import re
import unicodedata
from pathlib import Path

from reports import document as doc

ROOT = Path(__file__).parent.parent
FIXTURE = ROOT / "corpus" / "reports" / "incident" / "document.json"

ESC = "\x1b"
PAYLOADS = {
    "clear": f"{ESC}[2J{ESC}]0;owned\x07",
    "c1": "\x9b31m\x90q\x9c",
    "bidi": "\u202eevil\u2066\u2069\u200b\ufeff",
    "script": "<script>alert(1)</script>",
    "attribute": "\"' onmouseover=alert(1) x='",
    "image": "<img src=http://192.0.2.1/x onerror=alert(1)>",
    "entity": "&lt;b&gt;&#x202e;",
    "jinja": "{{ 7*7 }}{% raw %}",
    "comment": "<!-- ]]> -->",
    "fence": "```` ``` ~~~~ `",
    "pipe": "a | b || c \\| d",
    "link": "[x](javascript:alert(1)) ![y](http://192.0.2.1/z) <http://192.0.2.1/>",
    "emphasis": "**b** __u__ ~~s~~ *i* _j_",
    "heading": "# h ",
    "list": "- ",
    "ordered": "1. ",
    "quote": "> ",
    "code": "        ",
    "rule": "--- ",
    "rich": "[/foo][link=http://192.0.2.1/]",
    "formula": "=cmd|' /C calc'!A0",
    "percent": "%s%n%(x)s{0}",
}
# What a validated document cannot hold a payload in: enumerations and patterns.
FIXED = {"schema_version", "severity", "worst", "confidence", "outcome", "status", "defect", "direction", "tier"}
FIXED |= {"sha256", "key_hex", "value_hex", "hex"}
FREE_KEYS = {"detectors", "outcomes"}


def poisoned(value, payload, keep=frozenset(), key=""):
    """The document with `payload` before every string that may be anything, detector names used as keys included."""
    if isinstance(value, dict) and key in FREE_KEYS:
        return {payload + name: poisoned(item, payload, keep, "outcome") for name, item in value.items()}
    if isinstance(value, dict):
        # the kinds of differences are an enumeration, those of trailing bytes are not
        fixed = {"kind"} if value.keys() & {"shortfall", "addresses"} else set()
        return {name: item if name in fixed else poisoned(item, payload, keep, name) for name, item in value.items()}
    if isinstance(value, list):
        return [poisoned(item, payload, keep, "" if isinstance(item, dict) else key) for item in value]
    return payload + value if isinstance(value, str) and key not in FIXED | keep else value


def meaningful(payload):
    """Where a payload is no attack but says something: blanks before a remedy's line make it a command."""
    return frozenset({"remedy"}) if payload.isspace() else frozenset()


def without_findings(document):
    """A clean twin: every answer clean but those that could not be given."""
    clean = copy.deepcopy(document)
    clean["findings"] = []
    clean["summary"] |= {"worst": None, "pods_affected": 0, "headline": "No finding."}
    clean["summary"]["findings"] = dict.fromkeys(doc.SEVERITIES, 0)
    for outcome in clean["outcomes"]:
        if outcome["outcome"] == "found":
            outcome |= {"outcome": "clean", "findings": []}
    for pod in clean["pods"]:
        pod["outcomes"] = {name: "clean" if said == "found" else said for name, said in pod["outcomes"].items()}
    return clean


def empty():
    """What an unreadable input gives: no node, no pod, one problem."""
    return {
        "schema_version": "1",
        "tool": {"name": "npforensics", "version": "0"},
        "inputs": [{"name": None, "members": 0, "bytes": 3, "sha256": None}],
        "assumptions": [],
        "summary": {
            "worst": None,
            "findings": dict.fromkeys(doc.SEVERITIES, 0),
            "pods": 0,
            "pods_affected": 0,
            "nodes": 0,
            "headline": "",
            "suspected": [],
            "detectors": {},
        },
        **{name: [] for name in ("nodes", "artifacts", "pods", "findings", "outcomes", "timeline", "questions")},
        "coverage": {"artifacts": 0, "by_status": {}, "bytes": 0, "parsed_bytes": 0, "unread_bytes": 0},
        "problems": [
            {
                "what": "no archive",
                "artifact": None,
                "path": None,
                "lines": None,
                "bytes": None,
                "done": "",
                "lost": "all",
                "hint": "",
            }
        ],
    }


def plain(colored: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", colored)


def unsafe(shown: str) -> set[str]:
    """Characters of a rendering that act on a terminal or cannot be seen."""
    return {char for char in shown if char != "\n" and unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")}

"""What the log readers give, in plain shapes for tests."""

from __future__ import annotations

from formats.base import EventBatch, FlowBatch, Problem, Record
from formats.source import Source

# 2026-11-21T03:22:18.164Z: `date -u -d 2026-11-21T03:22:18 +%s` is 1795231338.
TS_NS = 1795231338_164_000_000
ROW = {
    "src": "10.0.1.20",
    "sport": 40222,
    "dst": "10.0.2.30",
    "dport": 8080,
    "protocol": "TCP",
    "verdict": "DENY",
    "direction": "ingress",
    "tier": "NETWORK_POLICY",
}
ROW6 = {**ROW, "src": "2001:db8::1", "dst": "2001:db8:0:1::2"}


def items(form, text: str | bytes, path: str = "network-policy-agent.log"):
    data = text.encode() if isinstance(text, str) else text
    read = form.read(Source(path, data))
    return [
        each
        for item in read
        for each in (map(item.record, range(len(item))) if isinstance(item, EventBatch) else [item])
    ]


def events(form, text: str | bytes, path: str = "network-policy-agent.log") -> list[dict]:
    return [item.data for item in items(form, text, path) if isinstance(item, Record) and item.kind == "log_event"]


def flows(form, text: str | bytes) -> list[dict]:
    out = []
    for batch in items(form, text):
        if isinstance(batch, FlowBatch):
            names = list(batch.columns)
            out += [dict(zip(names, row, strict=True)) for row in zip(*batch.columns.values(), strict=True)]
    return out


def summary(form, text: str | bytes, path: str = "network-policy-agent.log") -> dict:
    last = items(form, text, path)[-1]
    assert isinstance(last, Record) and last.kind == "log_summary"
    return last.data


def problems(form, text: str | bytes) -> list[Problem]:
    return [item for item in items(form, text) if isinstance(item, Problem)]

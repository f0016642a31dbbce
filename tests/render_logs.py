"""Log lines as each encoder generation of the agent writes them, for tests."""

from __future__ import annotations

import json

#: Generation -> (time key, has a logger, has a caller, prints its values into the message).
GENERATIONS = {
    "v1.0.1": ("timestamp", True, False, False),
    "v1.0.4": ("ts", True, True, False),
    "v1.2.2": ("ts", False, True, True),
}
TS = "2026-11-21T03:22:18.164Z"


def line(generation: str, level: str, message: str, fields=(), ts: str = TS, logger: str = "ebpf-client") -> str:
    """One record without its line feed. `fields` are (key, value) pairs and stand behind the message."""
    key, logged, called, _ = GENERATIONS[generation]
    pairs = [("level", level), (key, ts)]
    if logged:
        pairs.append(("logger", logger))
    if called:
        pairs.append(("caller", "ebpf/bpf_client.go:725"))
    pairs.append(("msg", message))
    pairs.extend(fields)
    return "{" + ",".join(f"{json.dumps(k)}:{json.dumps(v, separators=(',', ':'))}" for k, v in pairs) + "}"


def flow(generation: str, row: dict, *, tier: bool = False, level: str = "info", ts: str = TS) -> str:
    """A flow line: `row` has src, sport, dst, dport, protocol, verdict, direction, tier; IPv6 by its addresses."""
    if generation in ("v1.0.1", "v1.0.4"):
        fields = [
            ("Src IP", row["src"]),
            ("Src Port", row["sport"]),
            ("Dest IP", row["dst"]),
            ("Dest Port", row["dport"]),
            ("Proto", row["protocol"]),
            ("Verdict", row["verdict"]),
        ]
        return line(generation, level, "Flow Info:  ", fields, ts)
    six = ":" if ":" in row["src"] else ""
    text = (
        f"Flow Info: Src IP: {row['src']} Src Port: {row['sport']} Dest IP: {row['dst']} Dest Port: {row['dport']} "
        f"Proto{six} {row['protocol']} Verdict{six} {row['verdict']} Direction{six} {row['direction']}"
    )
    if tier:
        text += f" Tier: {row['tier']}" if six else f", Tier {row['tier']}"
    return line(generation, level, text, ts=ts)

"""Measured states of the incident as people send them: found with the effect that was measured, or open, never clean."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import render_bpftool
import render_nacli
from vector_files import THIN, pairs, records

from forensics.analysis import run
from forensics.case import Overrides
from formats.address import canonical

POD = "till-86c9d7f5b-store"
STATES = records(THIN, "seed_incident")[::8]
TRANSPORTS = {6: "TCP", 17: "UDP", 132: "SCTP"}
TIERS = {0: "ERROR", 1: "ADMIN", 2: "NETWORK_POLICY", 3: "BASELINE", 4: "DEFAULT"}
HIDDEN = "the dump does not show every rule"


def as_hex(entries: dict[bytes, bytes], *, cluster: bool) -> str:
    return render_bpftool.plain(list(entries.items()))


def as_text(entries: dict[bytes, bytes], *, cluster: bool) -> str:
    return render_nacli.rules(list(entries.items()), "v1.3.0-cp" if cluster else "v1.3.0")


def analysed(folder: Path, state: dict, render) -> dict:
    for name, entries in state["maps"].items():
        text = render(pairs(entries), cluster=name.startswith("cp_"))
        (folder / f"{POD}_{name}.txt").write_text(text)
    states = [(int(key).to_bytes(4, "little"), bytes([value])) for key, value in state["pod_state"].items()]
    (folder / f"{POD}_{state['direction']}_pod_state_map.txt").write_text(render_bpftool.plain(states))
    return run([str(folder)], overrides=Overrides(state["agent_version"])).document


def reads_as_cluster_rule(state: dict) -> bool:
    """A lone slot without further words, with zeros behind the buffer, that could be a cluster policy's."""
    words = [int.from_bytes(bytes.fromhex(state["ns_buffer_hex"])[at : at + 4], "little") for at in range(0, 288, 4)]
    protocol, raw, _ = words[:3]
    number, action = divmod(raw, 10)
    lone = not any(words[3:]) and not any(bytes.fromhex(state["trailing_hex"]))
    possible = action <= 2 and (number <= 1000 or 2000 <= number <= 3000)
    return lone and protocol in (6, 17, 132, 254) and possible


def answered(verdict: str, tier: int | None) -> str:
    return ("allowed" if verdict == "OK" else "denied") + (f" in tier {TIERS[tier]}" if tier is not None else "")


def covers(traffic: str, protocol: int, port: int) -> bool:
    name = TRANSPORTS.get(protocol)
    if traffic == "other protocols":
        return name is None
    match = re.fullmatch(r"(TCP|UDP|SCTP)(?: (\d+)(?:-(\d+))?)?", traffic)
    if match is None or match[1] != name:
        return False
    return match[2] is None or int(match[2]) <= port <= int(match[3] or match[2])


def said(effect: str, protocol: int, port: int) -> str | None:
    """What an effect text says of one packet."""
    for part in effect.partition(HIDDEN)[0].split("; "):
        traffic, _, answer = part.partition(": ")
        if any(covers(each, protocol, port) for each in traffic.split(", ")):
            return answer
    return None


@pytest.mark.parametrize("render", [as_hex, as_text], ids=["hex", "text"])
@pytest.mark.parametrize("state", STATES, ids=lambda state: state["id"])
def test_a_state_is_found_with_its_measured_effect_or_stays_open(state: dict, render, tmp_path: Path) -> None:
    document = analysed(tmp_path, state, render)

    outcomes = {row["detector"]: row["outcome"] for row in document["outcomes"]}
    findings = {row["detector"]: row for row in document["findings"]}
    both = ("misplaced-tier-entry", "oversized-value-write")
    if "misplaced-tier-entry" not in findings:
        assert reads_as_cluster_rule(state)
        assert {outcomes[name] for name in both} == {"cannot-tell"}
        return
    assert [findings[name]["entries"] for name in both] == [[canonical(state["new_pod_ip"])]] * 2
    effect = findings["misplaced-tier-entry"]["details"]["entries"][0]["effect"]
    asked = 0
    for packet in state["packets"]:
        peer = packet["src"] if state["direction"] == "ingress" else packet["dst"]
        if peer != state["new_pod_ip"] or packet["proto"] in (0, 58, 254, 255):
            continue
        kernel, meant = answered(packet["verdict"], packet["tier"]), answered(*packet["if_written_to_ns_map"])
        expected = None if kernel == meant else f"{kernel}, should be {meant}"
        got = said(effect, packet["proto"], packet["dport"])
        asked += 1
        assert got == expected or (got is None and HIDDEN in effect), (packet, effect)
    assert asked


def test_text_never_claims_more_than_it_shows(tmp_path: Path) -> None:
    """tcp/443 and tcp/80: the second port is in a slot that the text prints as UNKNOWN, so it may be any port."""
    state = next(s for s in records(THIN, "seed_incident") if s["rules"] == "tcp/80+tcp/443" and s["cover"] is None)

    finding = next(f for f in analysed(tmp_path, state, as_text)["findings"] if f["detector"] == "misplaced-tier-entry")

    assert HIDDEN in finding["details"]["entries"][0]["effect"]
    assert "more may be denied or allowed wrongly" in finding["summary"]

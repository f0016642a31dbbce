"""Which program's log is this? All of them write the same JSON, so the messages decide; the file name only helps."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from formats.base import NO, Score

# Every program but the agent starts its log with it.
_START = b"Constructed new logger instance"
#: Text only one program writes (messages, callers, loggers). No quotes: wrapped logs escape
#: them. The first of equals wins: the SDK's log has the agent's callers too.
MARKS: dict[str, tuple[bytes, ...]] = {
    "sdk": (
        _START,
        b"elfparser/elf.go",
        b"maps/loader.go",
        b"progs/loader.go",
        b"tc/tc.go",
        b"filepath/path.go",
        b"Initialized new SDK cache",
        b"Initialized new logger as an existing instance",
        b"Calling BPFsys",
        b"Dumping pinpaths",
        b"Relocation section entry",
        b"map entry and ret",
        b"Create map done with fd",
        b"Found Identified - ",
        b"ebpf-sdk.log",
    ),
    "agent": (
        b"Flow Info:",
        b"Logger.check error",
        b"ebpf-client",
        b"cp-util",
        b"controllers.policyEndpoints",
        b"controllers/policyendpoints_controller",
        b"rpc/rpc_handler.go",
        b"bpf_client.go:",
        b"workspace/main.go",
        b"Starting network policy agent",
        b"Network Policy is enabled",
        b"Received Enforce Network Policy",
        b"Received Delete Network Policy",
        b"Received a new reconcile request",
        b"Pod State Map update failed",
        b"Prog Load Succeeded",
        b"Load the eBPF program",
        b"AttacheBPFProbes",
        b"ID of map to update",
        b"Updating Map with",
        b"hook attached. Update the corresponding map",
        b"Bulk refresh",
        b"kernel map during bulk refresh",
        b"global maps recovered",
        b"probes/maps recovered",
        b"stale entries in the conntrack map",
        b"cleanup of conntrack map",
        b"starting manager",
    ),
    "ipamd": (
        _START,
        b"ipamd/ipamd.go",
        b"ipamd/rpc_handler.go",
        b"L-IPAMD",
        b"awsutils/awsutils.go",
        b"datastore/data_store.go",
        b"DelNetworkRequest",
        b"AddNetworkRequest",
        b"IP address pool stats",
        b"ipam state recovery",
        b"ipamd.log",
    ),
    "plugin": (
        _START,
        b"Received CNI add request",
        b"Received CNI del request",
        b"routed-eni-cni-plugin",
        b"network response from ipamd",
        b"for EnforceNpToPod returned",
        b"for DeletePodNp returned",
        b"driver/driver.go",
        b"NETWORK_POLICY_ENFORCING_MODE is not set",
        b"setup default network policy for Pod",
    ),
}
_NAMES = {
    "agent": re.compile(r"network-policy-agent|aws-eks-nodeagent|aws-network-policy-agent"),
    "sdk": re.compile(r"ebpf-sdk"),
    "ipamd": re.compile(r"ipamd"),
    "plugin": re.compile(r"(?:^|[/_])plugin(?:-\d{4}[^/]*)?\.log"),
}
_FILES = {"agent": b"network-policy-agent", "sdk": b"ebpf-sdk", "ipamd": b"ipamd", "plugin": b"plugin.log"}
_NAME_WORTH = 3
_MSG = re.compile(r'"msg"\s*:')
_BESIDE = re.compile(r'"(?:level|ts|timestamp|caller)"\s*:')
#: A record's `msg` stands this near its other keys, whatever the message's length.
_NEAR = 4000
_TRIES = 20
_PANIC = re.compile(rb"^(?:panic: |fatal error: )", re.MULTILINE)
_WRAPPED = re.compile(rb"^\s*\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d) (?:stdout|stderr) [FP] ", re.MULTILINE)
_DOCKER = re.compile(rb'^\{"log":"(?:[^"\\]|\\.)*","stream":"(?:stdout|stderr)"', re.MULTILINE)
_LOOK = 64 * 1024


class Kind(NamedTuple):
    """A log's program (None when it is no log of ours), how many of its marks stand in the head, and its wrapping."""

    log: str | None
    marks: int
    records: bool
    wrapped: bool


@lru_cache(maxsize=8)
def kind_of(head: bytes, path: str) -> Kind:
    """The program whose marks are most in the head; the file's name counts for three marks and settles ties."""
    text = head[:_LOOK].decode("utf-8", "replace").replace('\\"', '"').replace("\u201c", '"').replace("\u201d", '"')
    records = _has_record(text)
    wrapped = _WRAPPED.search(head[:_LOOK]) is not None or _DOCKER.search(head[:_LOOK]) is not None
    base = path.replace("\\", "/").rsplit("/", 1)[-1]
    best, score, count = None, 0, 0
    for log, marks in MARKS.items():
        found = sum(mark in head for mark in marks)
        named = _NAMES[log].search(path) if wrapped else _NAMES[log].search(base)
        worth = found + (_NAME_WORTH if named else 0)
        if worth > score:
            best, score, count = log, worth, found
    if records:
        return Kind(best or "agent", count, True, wrapped)
    panic = _PANIC.search(head) is not None and b"goroutine " in head
    if panic and (b"aws-network-policy-agent" in head or b"controller-runtime" in head):
        return Kind("agent", max(count, 2), False, wrapped)
    return Kind(best if count > 1 else None, count, False, wrapped)


def _has_record(text: str) -> bool:
    """Some `msg` key has a level, time or caller key beside it."""
    for tried, found in enumerate(_MSG.finditer(text)):
        if tried == _TRIES:
            break
        if _BESIDE.search(text, max(0, found.start() - _NEAR), found.end() + _NEAR):
            return True
    return False


def score_of(log: str, head: bytes, path: str) -> Score:
    """The sniffers of the four logs: only the likeliest program claims a file, and never a wrapped one."""
    if b"msg" not in head and b"goroutine " not in head and b".go:" not in head:
        return NO
    kind = kind_of(head, path)
    if kind.log != log or kind.wrapped:
        return NO
    if kind.records and kind.marks:
        return Score(min(95, 60 + 5 * kind.marks), f"JSON log lines with {kind.marks} marks of the {log} log")
    if kind.records:
        named = _FILES[log].decode() in path
        return Score(
            55 if named else 31, "JSON log lines" + (" in a file of this name" if named else " of an unknown program")
        )
    return Score(min(70, 35 + 5 * kind.marks), f"text with {kind.marks} marks of the {log} log")

"""Message catalogues of the logs beside the agent's: ebpf-sdk.log, ipamd.log, plugin.log.

Sources: aws-ebpf-sdk-go pkg/maps/loader.go and pkg/logger/logger.go (v1.0.2 .. v1.0.15); amazon-vpc-cni-k8s
pkg/ipamd/datastore/data_store.go, pkg/ipamd/rpc_handler.go and cmd/routed-eni-cni-plugin/cni.go (v1.14 .. v1.23).
"""

from __future__ import annotations

from typing import Any

from formats.log_events import Event, event


def _success(fields: dict[str, Any]) -> None:
    fields["success"] = fields["success"] == "true"


#: Level-error lines of ebpf-sdk.log that mean nothing: every map walk ends with the first, every start meets the other.
SDK_NOISE = ("last entry read done", "expected prefix - ")

SDK: tuple[Event, ...] = (
    event(
        "map-created",
        "Calling",
        r"Calling BPFsys for name (?P<name>[^\s\x00]*)\x00* mapType (?P<map_type>\d+) keysize (?P<key_size>\d+) "
        r"valuesize (?P<value_size>\d+) max entries (?P<max_entries>\d+)",
        numbers="map_type key_size value_size max_entries",
    ),
    event("pin", "Dumping", r"Dumping pinpaths - (?:%!\(EXTRA string=)?(?P<path>/sys/fs/bpf/[^\s)]+)"),
    event("pin-id", "Got", r"Got ID (?P<map_id>\d+)$", numbers="map_id"),
    event("process-start", "Constructed", r"Constructed new logger instance", run=None),
)

IPAMD: tuple[Event, ...] = (
    event(
        "pod-ip",
        "assignPodIPAddressUnsafe: AssignPodIPv4Address: AssignPodIPv6Address: AssignIPv4Address: AssignIPv6Address:",
        r"[aA]ssign\w*: Assign IP (?P<ip>[0-9a-fA-F.:]+) to sandbox (?P<sandbox>\S+)"
        r"(?: with metadata \{K8SPodNamespace:(?P<namespace>\S*) K8SPodName:(?P<pod>[^\s}]*).*\})?",
    ),
    event(
        "pod-ip-released",
        "UnassignPodIPAddress:",
        r"UnassignPodIPAddress: [sS]andbox (?P<sandbox>\S+)'s ipAddr (?P<ip>[0-9a-fA-F.:]+),? DeviceNumber "
        r"(?P<device>-?\d+)",
        numbers="device",
    ),
    event(
        "pool-stats",
        "UnassignPodIPAddress: AssignPodIPv4Address:",
        r"\w+: IP address pool stats: total:? (?P<total>\d+), assigned:? (?P<assigned>\d+)(?:, sandbox "
        r"(?P<sandbox>\S+))?",
        numbers="total assigned",
    ),
    event(
        "del-network",
        "DelNetworkRequest:",
        r'DelNetworkRequest: .*?K8S_POD_NAME:"(?P<pod>[^"]*)" K8S_POD_NAMESPACE:"(?P<namespace>[^"]*)"'
        r'(?: K8S_POD_INFRA_CONTAINER_ID:"(?P<sandbox>[^"]*)")?(?: Reason:"(?P<reason>[^"]*)")?',
    ),
    event("ipamd-start", "Starting", r"Starting L-IPAMD (?P<cni_version>\S+)"),
    event("ipam-bootstrap", "backing", r"backing store doesn't exists, assuming bootstrap on a new node"),
    event(
        "eni-found",
        "Found",
        r"Found ENI: (?P<eni>eni-[0-9a-f]+), MAC (?P<mac>[0-9a-f:]+), device (?P<device>\d+)",
        numbers="device",
    ),
)

PLUGIN: tuple[Event, ...] = (
    event(
        "cni-add",
        "Received",
        r"Received CNI add request: ContainerID\((?P<container>[^)]*)\).*?Args\((?P<args>[^)]*)\)",
    ),
    event(
        "cni-del",
        "Received",
        r"Received CNI del request: ContainerID\((?P<container>[^)]*)\).*?Args\((?P<args>[^)]*)\)",
    ),
    event(
        "pod-ip",
        "Received",
        r"Received add network response from ipamd for container (?P<container>\S+)(?: interface \S+)?: (?P<reply>.*)$",
    ),
    event(
        "enforce-result",
        "Network",
        r"Network Policy agent for (?P<call>EnforceNpToPod|DeletePodNp) returned Success : (?P<success>true|false)",
        finish=_success,
    ),
    event(
        "enforce-failed",
        "Failed",
        r"Failed to (?P<call>setup default|delete pod) network policy for Pod Name (?P<pod>\S+) and NameSpace "
        r"(?P<namespace>[^\s:]+): GRPC returned - (?P<error>.*?) Network policy agent returned - (?P<reply>.*)$",
    ),
    event("agent-unreachable", "Failed", r"Failed to connect to network policy agent: (?P<error>.*)$"),
    event("mode-unset", "NETWORK_POLICY_ENFORCING_MODE", r"NETWORK_POLICY_ENFORCING_MODE is not set"),
)

"""The message catalogue of network-policy-agent.log: which messages are events, and what they carry.

From aws-network-policy-agent at every tag v1.0.1 .. v1.4.1 and main after it: main.go, controllers/*.go,
pkg/ebpf/bpf_client.go, bpf_mem_map.go, conntrack/conntrack_client.go, pkg/fwruleprocessor, pkg/rpc/rpc_handler.go,
pkg/utils/utils.go, pkg/ebpf/legacy_pin_migration.go. The most frequent messages come first: the first match counts.
Slugs and fields are in docs/records.md.
"""

from __future__ import annotations

import re
from typing import Any

from formats.log_catalogue_pods import PODS
from formats.log_events import Event, errno_of, event, finish_error, finish_key

_MAP = (
    r"&?\{MapFD:\d+ MapID:(?P<map_id>\d+) MapMetaData:\{Type:(?P<map_type>\d+) KeySize:(?P<key_size>\d+) "
    r"ValueSize:(?P<value_size>\d+) MaxEntries:(?P<max_entries>\d+) .*?Name:(?P<map_name>\w+)\}\}$"
)
_MAP_NUMBERS = "map_id map_type key_size value_size max_entries"
_STATES = {"default_allow": 1, "default_deny": 2}


def _which(fields: dict[str, Any]) -> None:
    fields["which"] = "events" if fields["which"] == "event" else fields["which"]


def _family(fields: dict[str, Any]) -> None:
    fields["family"] = 6 if "v6" in fields["probe"] else 4


def _tier(fields: dict[str, Any]) -> None:
    fields["tier"] = "cluster" if fields["tier"] else "namespace"


def _cluster(fields: dict[str, Any]) -> None:
    fields["cluster"] = fields["cluster"] is not None


def _enabled(fields: dict[str, Any]) -> None:
    fields["enabled"] = fields["enabled"] in ("Configured", "enabled")


def _version(fields: dict[str, Any]) -> None:
    for name in ("agent_version", "ebpf_sdk", "built"):
        if fields.get(name) in ("unknown", ""):
            fields[name] = None


def _state(fields: dict[str, Any]) -> None:
    named = _STATES.get(fields.pop("named") or "")
    fields["state"] = fields["state"] if fields["state"] is not None else named
    fields["tier"] = "cluster" if fields["tier"] else "namespace"


def _mode(fields: dict[str, Any]) -> None:
    fields["multi_nic"] = {"true": True, "false": False}.get(fields["multi_nic"] or "")


def _pins(fields: dict[str, Any]) -> None:
    fields["pins"] = [word for word in fields["pins"].split() if word.startswith("/")]


def _tier_error(fields: dict[str, Any]) -> None:
    _tier(fields)
    finish_error(fields)


def _map_error(fields: dict[str, Any]) -> None:
    found = re.search(r"\b(ingress|egress)\b", fields["error"])
    fields["direction"] = found[1] if found else None
    fields["errno"] = errno_of(fields["error"])
    _tier(fields)


AGENT: tuple[Event, ...] = (
    event("rule-cidr", "Updating", r"Updating Map with IP Key: ?(?P<cidr>\S+)$"),
    event(
        "rule-l4",
        "L4",
        r"L4 values: protocol: (?P<protocol>\d+) startPort: (?P<start_port>\d+) endPort: (?P<end_port>\d+)"
        r"(?: action: (?P<action>\w+), priority: (?P<priority>\d+))?$",
        numbers="protocol start_port end_port priority",
    ),
    event("rule-any", "No", r"No L4 specified\. Add Catch all entry:? CIDR: (?P<cidr>\S+)$"),
    event(
        "rule-except",
        "Parsed",
        r"Parsed Except CIDR:? (?:IP Key: )?(?P<cidr>[0-9a-fA-F.:/]+)(?: \(canonical: (?P<canonical>[^)]+)\))?$",
    ),
    event(
        "rule-skipped",
        "Skipping",
        r"Skipping (?P<family>ipv[46]) rule in (?P<cluster_family>ipv[46]) cluster:? (?:CIDR: )?(?P<cidr>\S+)$",
    ),
    event(
        "bulk-refresh",
        "Bulk",
        r"Bulk refresh: added/updated (?P<updated>\d+) entries, deleted (?P<deleted>\d+) entries",
        numbers="updated deleted",
    ),
    event(
        "reconcile",
        "Received",
        r"Received a new reconcile request(?: req(?:uest)?)?(?P<cluster> for ClusterPolicyEndpoint)? "
        r"(?P<namespace>[^/\s]*)/(?P<name>\S+)$",
        finish=_cluster,
    ),
    event("conntrack-cleanup-check", "Check", r"Check for any stale entries in the conntrack map"),
    event(
        "conntrack-cleanup-delete",
        "Conntrack",
        r"Conntrack cleanup Delete - (?:Conntrack Key : )?Source IP - (?P<src>\S+) Source port - (?P<sport>\d+) "
        r"Dest IP - (?P<dst>\S+) Dest port - (?P<dport>\d+) Protocol - (?P<protocol>\d+)"
        r"(?: Owner IP - (?P<owner>\S+))?(?: Ifindex - (?P<ifindex>\d+))?",
        numbers="sport dport protocol ifindex",
    ),
    event("conntrack-hydrated", "hydrated", r"hydrated local conntrack cache"),
    event("conntrack-cleanup-done", "Done", r"Done cleanup of conntrack map"),
    event(
        "pod-state-write",
        "Pod",
        r"Pod has an? (?P<direction>Ingress|Egress) hook attached\. Update the corresponding map "
        r"progFD: (?P<prog_fd>-?\d+),? mapName: (?P<map_name>\w*pod_state_map)"
        r"(?:, key: (?P<key>\d+), value: \{?(?P<value>\d+)\}?)?",
        numbers="prog_fd key value",
        lower="direction",
    ),
    event(
        "map-update-begin",
        "Pod",
        r"Pod has an? (?:ClusterPolicy)?(?P<direction>Ingress|Egress) hook attached\. Update the corresponding map "
        r"progFD: (?P<prog_fd>-?\d+),? mapName: (?P<map_name>\w+)$",
        numbers="prog_fd",
        lower="direction",
    ),
    event("map-write", "ID", r"ID of map to update: ID: (?P<map_id>\d+)$", numbers="map_id"),
    event(
        "map-found",
        "found",
        r"found (?P<tier>cluster policy )?(?P<direction>ingress|egress) ebpf map for (?P<pod_identifier>\S+), map "
        + _MAP,
        numbers=_MAP_NUMBERS,
        finish=_tier,
    ),
    event(
        "inmem-created",
        "creating",
        r"creating new In memory map via loading bpfmap: " + _MAP,
        numbers=_MAP_NUMBERS,
    ),
    event("kernel-loaded", "Loaded", r"Loaded (?P<entries>\d+) entries from kernel map", numbers="entries"),
    event(
        "inmem-missing",
        "Ingress Cluster didn't",
        r"(?:didn't find )?(?P<tier>[Cc]luster [Pp]olicy )?(?P<direction>[Ii]ngress|[Ee]gress) in-mem map "
        r"(?:not found )?for "
        r"(?P<pod_identifier>\S+)$",
        lower="direction",
        finish=_tier,
    ),
    event(
        "kernel-delete-failed",
        "Failed",
        r"Failed to delete from kernel map for key (?P<key>.*?): (?P<error>(?:unable|invalid|map|bpf)\b.*)$",
        finish=finish_key,
        raw=True,
    ),
    event(
        "kernel-update-failed",
        "Failed",
        r"Failed to update kernel map during bulk refresh for key (?P<key>.*?): "
        r"(?P<error>(?:unable|invalid|map|bpf)\b.*)$",
        finish=finish_key,
        raw=True,
    ),
    event(
        "kernel-update-failed",
        "BPF",
        r"BPF map update failed:? (?:error:? )?(?P<error>.*)$",
        finish=finish_error,
        direction=None,
        map_name=None,
    ),
    event(
        "kernel-update-failed",
        "Ingress Egress Pod",
        r"(?:(?P<direction>Ingress|Egress) )?Pod State Map update failed: (?:error: )?(?P<error>.*)$",
        lower="direction",
        finish=finish_error,
        map_name="pod_state_map",
    ),
    event(
        "kernel-update-failed",
        "Ingress Egress Cluster",
        r"(?P<tier>Cluster Policy )?(?P<direction>Ingress|Egress) Map update failed: (?:error: )?(?P<error>.*)$",
        lower="direction",
        finish=_tier_error,
        map_name=None,
    ),
    event(
        "error",
        "Map Cluster cluster Network",
        r"(?P<tier>[Cc]luster [Pp]olicy )?(?:Network Policy )?[Mm]ap update(?:\(s\)|s)? failed for,? podIdentifier:? "
        r"(?P<pod_identifier>\S+?)[:,]?(?: error:?)? (?P<error>.*)$",
        finish=_map_error,
    ),
    event(
        "slot-overflow",
        "No.of",
        r"No\.of unique port/protocol combinations supported .*exceeded the supported maximum of (?P<limit>\d+)",
        numbers="limit",
    ),
    event(
        "pe-cleanup",
        "Clean",
        r"Clean Up (?P<cluster>Cluster)?PolicyEndpoint resources for name: (?P<name>\S+)",
        finish=_cluster,
    ),
    event(
        "parent-policy",
        "Parent",
        r"Parent (?:NP resource:|(?P<cluster>Cluster Network Policy) resource) Name: (?P<name>\S+)"
        r"(?: Total (?:PEs|Cluster Policy Endpoints) for Parent C?NP: Count: (?P<count>\d+))?",
        numbers="count",
        finish=_cluster,
    ),
    event(
        "matching-pod",
        "Found Processing",
        r"(?:Found a matching|Processing) Pod: name: (?P<pod>\S+) namespace: (?P<namespace>\S+)"
        r"(?: podIdentifier: (?P<pod_identifier>\S+))?",
    ),
    event(
        "policies-for-identifier",
        "Total",
        r"Total number of (?P<cluster>Cluster)?PolicyEndpoint resources for podIdentifier "
        r"(?P<pod_identifier>\S+) are (?P<count>\d+)",
        numbers="count",
        finish=_cluster,
    ),
    event(
        "rule-count",
        "Total",
        r"Total no\.of (?:- |(?P<cluster>clusterPolicy) )ingressRules (?P<ingress>\d+) egressRules (?P<egress>\d+)",
        numbers="ingress egress",
        finish=_cluster,
    ),
    event("default-deny", "Default", r"Default Deny enabled on (?P<direction>Ingress|Egress)", lower="direction"),
    event(
        "catch-all",
        "No",
        r"No (?P<direction>Ingress|Egress) rules and no (?:ingress|egress) isolation - Appending catch all entry",
        lower="direction",
    ),
    event(
        "no-active-policies",
        "No",
        r"No active policies(?: present for|\. Updating pod_state map for) podIdentifier: (?P<pod_identifier>\S+)"
        r"(?: networkPolicyMode: (?P<mode>\S+))?",
    ),
    event(
        "default-state",
        "Updating",
        r"Updating pod_state map to (?P<named>default_allow|default_deny)?(?:default allow(?:/default deny)?)? ?for "
        r"podIdentifier: (?P<pod_identifier>[^\s,]+),?(?: for (?P<tier>cluster )?network policy state,)?"
        r"(?: (?:state|value): (?P<state>\d+))?",
        numbers="state",
        finish=_state,
    ),
    event(
        "state-restored",
        "Updating",
        r"Updating (?P<direction>ingress|egress)_pod_state map for podIdentifier: (?P<pod_identifier>[^\s,]+),? "
        r"networkPolicyMode: (?P<mode>\S+)",
    ),
    event(
        "agent-start",
        "Starting",
        r"Starting network policy agent(?:: (?P<agent_version>\S+)(?: \(built: (?P<built>[^,)]*), ebpf-sdk: "
        r"(?P<ebpf_sdk>[^)]*)\))?,)? (?:with )?log level: (?P<log_level>\S+)",
        finish=_version,
    ),
    event(
        "agent-start",
        "version",
        r"version GitVersion ?(?P<agent_version>v?\d\S*)? ?GitCommit",
        log_level=None,
    ),
    event("manager-start", "starting", r"starting manager$"),
    event(
        "policy-enabled",
        "Network",
        r"Network Policy is (?P<enabled>enabled|disabled), (?P<what>registering|skip)",
        finish=_enabled,
    ),
    event("crd-check", "Network", r"Network Policy is enabled, (?P<result>checking) CRDs"),
    event(
        "crd-check",
        "CRD ClusterPolicyEndpoint",
        r"(?:ClusterPolicyEndpoint )?CRD (?P<result>found|not found|now available|still not available)",
    ),
    event(
        "probe-change", "change", r"change detected in (?P<which>event|ingress|egress) probe binaries", finish=_which
    ),
    event("probe-validate", "Validating", r"Validating (?:Probe: )?(?P<probe>\S+\.o)$", finish=_family),
    event("probe-missing", "error", r"error opening (?:Probe: )?(?P<probe>\S+) error:? (?P<error>.*)$"),
    event("event-logging", "Configured Disabled", r"(?P<enabled>Configured|Disabled) event logging", finish=_enabled),
    event(
        "ipamd-mode",
        "Connected",
        r"Connected to ipamd .*NetworkPolicyMode:? (?P<mode>\S+)(?: MultiNICEnabled: (?P<multi_nic>true|false))?$",
        finish=_mode,
    ),
    event(
        "global-maps-recovered",
        "Total",
        r"Total no\.? ?of global maps recovered(?:\.\.\.)? count: (?P<count>\d+)",
        numbers="count",
    ),
    event("probes-recovered", "Number", r"Number of probes/maps recovered - count: (?P<count>\d+)", numbers="count"),
    event(
        "program-recovered",
        "Recovered",
        r"Recovered program Identifier: Pin Path: (?P<pin_path>\S+)"
        r"(?: PodIdentifier: (?P<pod_identifier>\S+) direction: (?P<direction>\S+))?",
    ),
    event(
        "recovery-failed",
        "BPF Failed failed Unable GetAllBpfProgramsAndMaps",
        r"(?:BPF State Recovery failed|Failed to recover the BPF state|failed to recover global maps|"
        r"Unable to get conntrackMap post recovery|GetAllBpfProgramsAndMaps failed)[:. ]*(?:error ?:? )?(?P<error>.*)$",
        count=None,
    ),
    event(
        "events-map-recovered",
        "Policy",
        r"Policy event Map is already present on the node Recovered FD:? (?P<fd>\d+)",
        numbers="fd",
    ),
    event(
        "conntrack-recovered",
        "Conntrack Derived",
        r"(?:Conntrack Map is already present on the node|Derived existing ConntrackMap identifier)",
    ),
    event("global-maps-installed", "Install", r"Install the default global maps"),
    event(
        "conntrack-size",
        "Setting",
        r"Setting conntrack cache map size: max entries:? (?P<max_entries>\d+)",
        numbers="max_entries",
    ),
    event(
        "pin-migrated",
        "migrated",
        r"migrated (?P<count>\d+) bpffs pin file\(s\) for (?P<namespace>[^/\s]+)/(?P<pod>\S+): (?P<old>\S+) "
        r"-> (?P<new>\S+)$",
        numbers="count",
    ),
    event(
        "pin-shared",
        "legacy",
        r"legacy pin (?P<identifier>\S+) shared by (?P<count>\d+) local pods; inheriting to first pod "
        r"(?P<namespace>[^/\s]+)/(?P<pod>\S+)",
        numbers="count",
    ),
    event("pin-migration-done", "legacy", r"legacy pin migration complete"),
    event("program-deleted", "Deleting:", r"Deleting: (?P<pins>.*)$", finish=_pins, found=False),
    event("program-deleted", "Found", r"Found the Program and Map to delete - (?P<pins>.*)$", finish=_pins, found=True),
    event(
        "host-network-skipped",
        "Skipping",
        r"Skipping hostNetwork pod: name: (?P<pod>\S+) namespace: (?P<namespace>\S+) \(PodIP == HostIP: "
        r"(?P<node_ip>[^)]+)\)",
    ),
    event(
        "pod-cleanup",
        "Pod Updating",
        r"(?P<what>Pod to cleanup|Updating Pod): [nN]ame: (?P<pod>\S+) [nN]amespace: (?P<namespace>\S+)"
        r"(?: PodIdentifier: (?P<pod_identifier>\S+))?",
    ),
    event(
        "policy-latency",
        "E2E",
        r"E2E (?P<cluster>cluster )?policy programming latency: (?P<seconds>[\d.]+)s for C?PE "
        r"(?:(?P<namespace>[^/\s]+)/)?(?P<name>\S+)$",
        finish=_cluster,
    ),
    event(
        "health-failed",
        "bpf-fs bpf-maps grpc-socket",
        r"(?P<check>bpf-fs|bpf-maps|grpc-socket) check failed: (?P<error>.*)$",
    ),
    *PODS,
)

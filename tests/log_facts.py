"""Messages of the agent and what they mean: the same facts in fields and in print, and messages of later versions."""

from __future__ import annotations

# The same facts in the three generations: fields first, then the printf text of the same message.
FACTS = [
    (
        "rule-cidr",
        {"cidr": "10.0.0.0/8"},
        "Updating Map with ",
        [("IP Key:", "10.0.0.0/8")],
        "Updating Map with IP Key: 10.0.0.0/8",
    ),
    (
        "rule-l4",
        {"protocol": 6, "start_port": 80, "end_port": 0, "action": None, "priority": None},
        "L4 values: ",
        [("protocol: ", 6), ("startPort: ", 80), ("endPort: ", 0)],
        "L4 values: protocol: 6 startPort: 80 endPort: 0",
    ),
    (
        "rule-any",
        {"cidr": "10.0.1.9/32"},
        "No L4 specified. Add Catch all entry: ",
        [("CIDR: ", "10.0.1.9/32")],
        "No L4 specified. Add Catch all entry CIDR: 10.0.1.9/32",
    ),
    (
        "rule-except",
        {"cidr": "10.1.0.0/16"},
        "Parsed Except CIDR",
        [("IP Key: ", {"IP": "10.1.0.0", "Mask": "//8AAA=="})],
        "Parsed Except CIDR: 10.1.0.0/16",
    ),
    ("map-write", {"map_id": 233}, "ID of map to update: ", [("ID: ", 233)], "ID of map to update: ID: 233"),
    (
        "map-update-begin",
        {"direction": "egress", "map_name": "egress_map", "prog_fd": 14},
        "Pod has an Egress hook attached. Update the corresponding map",
        [("progFD: ", 14), ("mapName: ", "egress_map")],
        "Pod has an Egress hook attached. Update the corresponding map progFD: 14, mapName: egress_map",
    ),
    (
        "pod-state-write",
        {"direction": "ingress", "map_name": "ingress_pod_state_map", "key": None, "value": None},
        "Pod has an Ingress hook attached. Update the corresponding map",
        [("progFD: ", 14), ("mapName: ", "ingress_pod_state_map")],
        "Pod has an Ingress hook attached. Update the corresponding map progFD: 14, mapName: ingress_pod_state_map",
    ),
    (
        "enforce-request",
        {"pod": "web-5d9c-abcde", "namespace": "prod", "mode": "strict"},
        "Received Enforce Network Policy Request for Pod",
        [("Name", "web-5d9c-abcde"), ("Namespace", "prod"), ("Mode", "strict")],
        "Received Enforce Network Policy Request for Pod: web-5d9c-abcde Namespace: prod Mode: strict",
    ),
    (
        "delete-request",
        {"pod": "web-5d9c-abcde", "namespace": "prod", "mode": None},
        "Received Delete Network Policy Request for Pod",
        [("Name", "web-5d9c-abcde"), ("Namespace", "prod")],
        "Received Delete Network Policy Request for Pod: web-5d9c-abcde Namespace: prod",
    ),
    (
        "attach",
        {"pod": "web-5d9c-abcde", "namespace": "prod", "veth": "eni12", "interface": None},
        "AttacheBPFProbes for",
        [("pod", "web-5d9c-abcde"), (" in namespace", "prod"), (" with hostVethName", "eni12")],
        "AttacheBPFProbes for pod web-5d9c-abcde in namespace prod with hostVethName eni12",
    ),
    (
        "attached",
        {"direction": "ingress", "pod": "web-5d9c-abcde", "namespace": "prod"},
        "Successfully attached Ingress TC probe for",
        [("pod: ", "web-5d9c-abcde"), (" in namespace", "prod")],
        "Successfully attached Ingress TC probe for pod: web-5d9c-abcde in namespace prod",
    ),
    (
        "reconcile",
        {"namespace": "prod", "name": "allow-web-x7k2p", "cluster": False},
        "Received a new reconcile request",
        [("req", {"name": "allow-web-x7k2p", "namespace": "prod"})],
        "Received a new reconcile request request prod/allow-web-x7k2p",
    ),
    (
        "policies-for-identifier",
        {"pod_identifier": "web-5d9c-prod", "count": 2, "cluster": False},
        "Total number of PolicyEndpoint resources for",
        [("podIdentifier ", "web-5d9c-prod"), (" are ", 2)],
        "Total number of PolicyEndpoint resources for podIdentifier web-5d9c-prod are 2",
    ),
    (
        "rule-count",
        {"ingress": 3, "egress": 1, "cluster": False},
        "Total no.of - ",
        [("ingressRules", 3), ("egressRules", 1)],
        "Total no.of - ingressRules 3 egressRules 1",
    ),
    (
        "global-maps-recovered",
        {"count": 2},
        "Total no.of  global maps recovered...",
        [("count: ", 2)],
        "Total no of  global maps recovered count: 2",
    ),
    (
        "probes-recovered",
        {"count": 4},
        "Number of probes/maps recovered - ",
        [("count: ", 4)],
        "Number of probes/maps recovered - count: 4",
    ),
    (
        "probe-validate",
        {"probe": "tc.v6ingress.bpf.o", "family": 6},
        "Validating ",
        [("Probe: ", "tc.v6ingress.bpf.o")],
        "Validating Probe: tc.v6ingress.bpf.o",
    ),
    (
        "kernel-update-failed",
        {"error": "unable to update map: invalid argument", "errno": "EINVAL", "key_hex": None},
        "BPF map update failed",
        [("error: ", "unable to update map: invalid argument")],
        "BPF map update failed unable to update map: invalid argument",
    ),
    (
        "conntrack-cleanup-delete",
        {"src": "10.0.0.1", "sport": 1, "dst": "10.0.0.2", "dport": 443, "protocol": 6, "owner": "10.0.0.1"},
        "Conntrack cleanup",
        [
            (
                "Delete - ",
                "Conntrack Key : Source IP - 10.0.0.1 Source port - 1 Dest IP - 10.0.0.2 Dest port - 443 Protocol - 6 "
                "Owner IP - 10.0.0.1",
            )
        ],
        "Conntrack cleanup Delete - Conntrack Key : Source IP - 10.0.0.1 Source port - 1 Dest IP - 10.0.0.2 "
        "Dest port - 443 Protocol - 6 Owner IP - 10.0.0.1 Ifindex - 7",
    ),
    ("manager-start", {}, "starting manager", [], "starting manager"),
    ("event-logging", {"enabled": True}, "Configured event logging", [], "Configured event logging"),
    (
        "probe-change",
        {"which": "events"},
        "change detected in event probe binaries..",
        [],
        "change detected in event probe binaries..",
    ),
    ("default-deny", {"direction": "egress"}, "Default Deny enabled on Egress", [], "Default Deny enabled on Egress"),
    (
        "program-deleted",
        {"pins": ["/p/a_handle_ingress", "/m/a_ingress_map", "/m/a_ingress_pod_state_map"]},
        "Deleting: ",
        [("Program: ", "/p/a_handle_ingress"), ("Map: ", "/m/a_ingress_map"), ("Map: ", "/m/a_ingress_pod_state_map")],
        "Deleting: Program: /p/a_handle_ingress Map: /m/a_ingress_map Map: /m/a_ingress_pod_state_map",
    ),
]

PRINTED = [
    (
        "Starting network policy agent: v1.4.1 (built: 2026-05-01T00:00:00Z, ebpf-sdk: v1.0.15), log level: debug",
        "agent-start",
        {"agent_version": "v1.4.1", "log_level": "debug", "ebpf_sdk": "v1.0.15"},
    ),
    (
        "Starting network policy agent with log level: info",
        "agent-start",
        {"agent_version": None, "log_level": "info"},
    ),
    (
        "Connected to ipamd at unix:///var/run/aws-node/ipamd.sock. NetworkPolicyMode: strict MultiNICEnabled: true",
        "ipamd-mode",
        {"mode": "strict", "multi_nic": True},
    ),
    (
        "Connected to ipamd grpc endpoint and got response for NetworkPolicyMode standard",
        "ipamd-mode",
        {"mode": "standard", "multi_nic": None},
    ),
    (
        "found cluster policy ingress ebpf map for web-5d9c-prod, map {MapFD:15 MapID:222 "
        "MapMetaData:{Type:11 KeySize:8 "
        "ValueSize:384 MaxEntries:65536 Flags:1 InnerMapFd:0 PinOptions:<nil> NumaNode:0 Name:cp_ingress_map}}",
        "map-found",
        {
            "pod_identifier": "web-5d9c-prod",
            "direction": "ingress",
            "tier": "cluster",
            "map_id": 222,
            "key_size": 8,
            "value_size": 384,
            "map_name": "cp_ingress_map",
            "map_type": 11,
            "max_entries": 65536,
        },
    ),
    (
        "creating new In memory map via loading bpfmap: &{MapFD:12 MapID:7 MapMetaData:{Type:11 "
        "KeySize:20 ValueSize:288 "
        "MaxEntries:65536 Flags:1 InnerMapFd:0 PinOptions:0xc00009 NumaNode:0 Name:ingress_map}}",
        "inmem-created",
        {"map_id": 7, "key_size": 20, "value_size": 288, "map_name": "ingress_map"},
    ),
    (
        "Pod has an Egress hook attached. Update the corresponding map progFD: 16, mapName: "
        "egress_pod_state_map, key: 1, value: {2}",
        "pod-state-write",
        {"direction": "egress", "key": 1, "value": 2},
    ),
    (
        "Pod has a ClusterPolicyIngress hook attached. Update the corresponding map progFD: 13, mapName: "
        "cp_ingress_map",
        "map-update-begin",
        {"direction": "ingress", "map_name": "cp_ingress_map"},
    ),
    (
        "L4 values: protocol: 254 startPort: 0 endPort: 0 action: Deny, priority: 1000",
        "rule-l4",
        {"protocol": 254, "action": "Deny", "priority": 1000},
    ),
    (
        "Parsed Except CIDR: 10.1.2.3/16 (canonical: 10.1.0.0/16)",
        "rule-except",
        {"cidr": "10.1.2.3/16", "canonical": "10.1.0.0/16"},
    ),
    ("Bulk refresh: added/updated 3 entries, deleted 1 entries", "bulk-refresh", {"updated": 3, "deleted": 1}),
    (
        "didn't find cluster policy egress in-mem map for a@b",
        "inmem-missing",
        {"pod_identifier": "a@b", "direction": "egress", "tier": "cluster"},
    ),
    (
        "Ingress in-mem map not found for a-b",
        "inmem-missing",
        {"pod_identifier": "a-b", "direction": "ingress", "tier": "namespace"},
    ),
    ("Received a new reconcile request prod/x", "reconcile", {"namespace": "prod", "name": "x", "cluster": False}),
    (
        "Received a new reconcile request for ClusterPolicyEndpoint /cnp-1",
        "reconcile",
        {"namespace": "", "name": "cnp-1", "cluster": True},
    ),
    (
        "Parent Cluster Network Policy resource Name: cnp Total Cluster Policy Endpoints for Parent CNP: Count: 2",
        "parent-policy",
        {"name": "cnp", "count": 2, "cluster": True},
    ),
    (
        "Prog Load Succeeded for ingress, progFD: 13, pinpath: /sys/fs/bpf/x_handle_ingress, maps: 5",
        "prog-loaded",
        {"direction": "ingress", "prog_fd": 13, "pin_path": "/sys/fs/bpf/x_handle_ingress", "maps": 5},
    ),
    (
        "Updating pod_state map to default allow/default deny for podIdentifier: a@b for network policy "
        "state, value: 2",
        "default-state",
        {"pod_identifier": "a@b", "state": 2, "tier": "namespace"},
    ),
    (
        "Updating pod_state map to default allow for podIdentifier: a@b, for cluster network policy state, value: 1",
        "default-state",
        {"pod_identifier": "a@b", "state": 1, "tier": "cluster"},
    ),
    (
        "Updating pod_state map to default_deny for podIdentifier: a-b",
        "default-state",
        {"pod_identifier": "a-b", "state": 2},
    ),
    (
        "Updating pod_state map to default allow/default deny for podIdentifier: a-b, state: 1",
        "default-state",
        {"pod_identifier": "a-b", "state": 1},
    ),
    (
        "migrated 3 bpffs pin file(s) for prod/web-1: web-prod -> web@prod",
        "pin-migrated",
        {"old": "web-prod", "new": "web@prod", "pod": "web-1", "count": 3},
    ),
    (
        "legacy pin web-prod shared by 2 local pods; inheriting to first pod prod/web-1 (web@prod); other "
        "pods get fresh pins via reconcile",
        "pin-shared",
        {"identifier": "web-prod", "count": 2},
    ),
    ("Stale ingress TC filter on eni12; detaching before re-attach", "stale-filter", {"veth": "eni12"}),
    (
        "Skipping ipv4 rule in ipv6 cluster CIDR: 2001:db8:0:1:2:3:4:5/128",
        "rule-skipped",
        {"cidr": "2001:db8:0:1:2:3:4:5/128"},
    ),
    ("CRD now available, restarting agent: clusterpolicyendpoints", "crd-check", {"result": "now available"}),
    (
        "Skipping hostNetwork pod: name: p namespace: n (PodIP == HostIP: 10.0.1.10)",
        "host-network-skipped",
        {"node_ip": "10.0.1.10"},
    ),
]

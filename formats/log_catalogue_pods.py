"""The part of the agent's message catalogue that is about pods: requests, attaching and detaching of probes.

Sources as in log_catalogue.py.
"""

from __future__ import annotations

from typing import Any

from formats.log_events import Event, event, finish_error


def _cleanup_pin(fields: dict[str, Any]) -> None:
    fields["cleanup_pin"] = {"true": True, "false": False}.get(fields["cleanup_pin"] or "")


def _shared(fields: dict[str, Any]) -> None:
    fields["shared"] = fields["shared"] == "true"


PODS: tuple[Event, ...] = (
    event(
        "enforce-request",
        "Received",
        r"Received Enforce Network Policy Request for Pod:? (?:Name )?(?P<pod>\S+) Namespace:? (?P<namespace>\S+)"
        r"(?: Mode:? (?P<mode>\S+))?",
    ),
    event(
        "delete-request",
        "Received",
        r"Received Delete Network Policy Request for Pod:? (?:Name )?(?P<pod>\S+) Namespace:? (?P<namespace>\S+)"
        r"(?: Mode:? (?P<mode>\S+))?",
    ),
    event(
        "pod-identifier",
        "Got",
        r"Got the (?:attachProbesLock|podIdentifierLock|deletePodIdentifierLock) for (?:Pod: |pod )(?P<pod>\S+?),? "
        r"(?:Namespace: |in namespace )(?P<namespace>[^\s,]+),?(?: PodIdentifier: (?P<pod_identifier>\S+))?$",
    ),
    event(
        "attach",
        "AttacheBPFProbes",
        r"AttacheBPFProbes for pod (?P<pod>\S+) in namespace (?P<namespace>\S+) with hostVethName (?P<veth>\S+)"
        r"(?: at interface (?P<interface>\d+))?",
        numbers="interface",
    ),
    event("veth-found", "host", r"host veth interface found (?:interface name )?(?P<veth>\S+)$"),
    event(
        "detach",
        "DetacheBPFProbes",
        r"DetacheBPFProbes for pod (?P<pod>\S+) in namespace (?P<namespace>\S+) with hostVethName (?P<veth>\S+)"
        r"(?: cleanup pinPath (?P<cleanup_pin>true|false))?",
        finish=_cleanup_pin,
    ),
    event(
        "attach-failed",
        "Failed",
        r"Failed to Attach (?P<direction>Ingress|Egress) TC probe for (?:pod: (?P<pod>\S+) in namespace "
        r"(?P<namespace>\S+))?"
        r"(?:interface: (?P<veth>\S+) pod[iI]dentifier:? (?P<pod_identifier>\S+))?"
        r"(?: at interface \d+)?(?: error: (?P<error>.*))?$",
        lower="direction",
        finish=finish_error,
    ),
    event(
        "attach-failed",
        "Failed",
        r"Failed to attach e[bB][pP][fF] probes for pod (?P<pod>\S+) (?:in )?namespace (?P<namespace>[^\s.]+)"
        r"(?: :|\.) (?P<error>.*)$",
        finish=finish_error,
        direction=None,
    ),
    event(
        "attach-failed",
        "Attaching",
        r"Attaching eBPF probe failed for pod:? (?P<pod>\S+) namespace:? (?P<namespace>[^\s,]+),?"
        r"(?: (?:error:? |: )?(?P<error>.*))?$",
        finish=finish_error,
        direction=None,
    ),
    event(
        "attach-failed",
        "Ingress Egress",
        r"(?P<direction>Ingress|Egress) Attach failed:? (?:error )?(?P<error>.*)$",
        lower="direction",
        finish=finish_error,
        pod=None,
        namespace=None,
    ),
    event(
        "attached",
        "Successfully",
        r"Successfully attached (?P<direction>Ingress|Egress) TC probe for pod: (?P<pod>\S+) in namespace "
        r"(?P<namespace>\S+)",
        lower="direction",
    ),
    event("stale-filter", "Stale", r"Stale (?P<direction>ingress|egress) TC filter on (?P<veth>\S+?);"),
    event(
        "reattach",
        "ReattachEbpfProbes",
        r"ReattachEbpfProbes attaching (?P<direction>ingress|egress) for (?P<pod_identifier>\S+) interface "
        r"(?P<veth>\S+)$",
    ),
    event(
        "prog-loaded",
        "Prog",
        r"Prog Load Succeeded for (?P<direction>ingress|egress),? progFD: (?P<prog_fd>[^\s,]+)"
        r"(?:, pinpath: (?P<pin_path>[^\s,]+))?(?:, maps: (?P<maps>\d+))?",
        numbers="prog_fd maps",
    ),
    event("prog-load-failed", "Load", r"Load BPF failed (?:err:? )?(?P<error>.*)$", finish=finish_error),
    event(
        "pods-share-maps",
        "Pod",
        r"Pod (?:either has no active policies or )?shares the eBPF firewall maps with other local pods",
    ),
    event("no-map-instance", "No", r"No map instance found"),
    event(
        "pin-path-shared",
        "PodIdentifier ProgFD",
        r"(?:PodIdentifier|ProgFD) pinpath shared: (?P<shared>true|false)",
        finish=_shared,
    ),
)

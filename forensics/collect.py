"""The commands that collect what is missing. One place, so that every answer asks for the same thing the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forensics.finding import Missing

if TYPE_CHECKING:
    from forensics.context import Context

PINS = "/sys/fs/bpf/globals/aws/maps"

POLICIES = Missing(
    "the PolicyEndpoints of the cluster", "kubectl get policyendpoints -A -o yaml > policyendpoints.yaml"
)
CLUSTER_POLICIES = Missing(
    "the ClusterPolicyEndpoints of the cluster",
    "kubectl get clusterpolicyendpoints -o yaml > clusterpolicyendpoints.yaml",
)
PODS = Missing("the pods of the node with their addresses", "cp /var/run/aws-node/ipam.json .")
AGENT_LOG = Missing(
    "the agent's log from before its last restart", "cp /var/log/aws-routed-eni/network-policy-agent*.log* ."
)


def map_dump(context: Context, name: str) -> Missing:
    """A raw dump of one map of the pod identifier, on the node."""
    pin = f"{context.pod.identifier}_{name}"
    return Missing(f"a raw dump of {pin}", f"sudo bpftool -j map dump pinned {PINS}/{pin} > {pin}.json")

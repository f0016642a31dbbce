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
NETWORK_POLICIES = Missing(
    "the NetworkPolicies of the cluster", "kubectl get networkpolicies -A -o yaml > networkpolicies.yaml"
)
CLUSTER_PODS = Missing("the pods of the cluster with their labels", "kubectl get pods -A -o yaml > pods.yaml")
NAMESPACES = Missing("the namespaces with their labels", "kubectl get namespaces -o yaml > namespaces.yaml")
SERVICES = Missing("the services of the cluster", "kubectl get services -A -o yaml > services.yaml")
PODS = Missing("the pods of the node with their addresses", "cp /var/run/aws-node/ipam.json .")
POD_STATES = Missing(
    "dumps of the pod state maps",
    f'for m in {PINS}/*_pod_state_map; do sudo bpftool map dump pinned "$m" > "${{m##*/}}.txt"; done',
)
VERSION = Missing("the agent's version", "kubectl get pods -n kube-system -l k8s-app=aws-node -o yaml | grep image:")
#: Where every pod of the cluster runs and which address it has.
ALL_PODS = "kubectl get pods -A -o wide"
#: The EKS log collector, on the node in question.
BUNDLE = "sudo bash eks-log-collector.sh"
#: Every map of every pod of a node, one file each.
ALL_MAPS = f'for m in {PINS}/*; do sudo bpftool map dump pinned "$m" > "${{m##*/}}.txt"; done'
FLOW_LOGS = Missing(
    "flow lines of the agent: policy event logging is off by default",
    "aws eks update-addon --cluster-name <cluster> --addon-name vpc-cni --configuration-values "
    """'{"nodeAgent": {"enablePolicyEventLogs": "true"}}'""",
)
AGENT_LOG = Missing(
    "the agent's log from before its last restart", "cp /var/log/aws-routed-eni/network-policy-agent*.log* ."
)


_RAW_DUMP = "a raw dump of "


def map_dump(context: Context, name: str) -> Missing:
    """A raw dump of one map of the pod identifier, on the node."""
    pin = f"{context.pod.identifier}_{name}"
    return Missing(f"{_RAW_DUMP}{pin}", f"sudo bpftool map dump pinned {PINS}/{pin} > {pin}.txt")


def is_map_dump(missing: Missing) -> bool:
    """Whether it asks for the dump of one map."""
    return missing.what.startswith(_RAW_DUMP)


EVERY_MAP = Missing("raw dumps of the pods' maps", ALL_MAPS)

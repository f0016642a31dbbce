"""Members of the EKS log collector that are known and not used: named, so that coverage can say what they are.

Names and contents: awslabs/amazon-eks-ami log-collector-script/linux/eks-log-collector.sh, versions 0.5.2 to 0.7.9. The
name of the file chooses the row, the content must agree: another text under such a name is not recognised.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from formats.base import NO, Format, Score
from formats.hints import basename
from formats.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.source import Source

_JOURNAL = (
    rb"-- (?:No entries|Logs begin|Journal begins|Boot) |^(?:[A-Z][a-z]{2} +\d+|\d{4}-\d\d-\d\dT)[^\n]* \S+\[\d+\]: "
)

#: Pattern of the file's name -> what it is, pattern of its content.
TABLE: tuple[tuple[str, str, bytes], ...] = (
    (r"script-params\.txt", "parameters of the collector run", rb"^ignore_(?:introspection|metrics): "),
    (r"last_reboot\.txt", "reboots (last)", rb"wtmp begins|^reboot +system boot"),
    (r"selinux\.txt", "SELinux mode", rb"^SELinux mode:"),
    (r"io_throttling\.txt", "processes throttled on I/O", rb"^PID Name Block IO Delay"),
    (r"cpu_throttling\.txt", "processes throttled on CPU", rb"No CPU Throttling Found|nr_throttled"),
    (r"large_environments\.txt", "processes with large environments", rb"^PID[ \t]+Count"),
    (r"netstat\.txt|ss\.txt", "sockets (netstat)", rb"^Active Internet connections|^Netid +State"),
    (r"procstat\.txt", "/proc/stat", rb"^cpu +\d+ \d+"),
    (r"allprocstat\.txt", "/proc/<pid>/stat", rb"^\d+ \([^)]*\) [A-Z] "),
    (r"services\.txt", "system services", rb"^ *UNIT +LOAD +ACTIVE|^[^\n]*\.service +loaded"),
    (r"top\.txt", "top", rb"^top - \d"),
    (r"dmesg\.(?:current|boot|human\.current)", "kernel messages (dmesg)", rb"^\[ *(?:\d+\.\d+|[A-Z][a-z]{2} [A-Z])"),
    (r"modinfo[\w.-]*", "kernel modules (modinfo)", rb"^filename: +"),
    (r"mounts\.txt", "mounts and disk space", rb"^\S+ on \S+ type |^Filesystem +Size"),
    (r"inodes\.txt", "inodes (df)", rb"^Filesystem +Inodes"),
    (r"lsblk\.txt", "block devices", rb"^NAME +MAJ:MIN"),
    (r"(?:lvs|pvs|vgs)\.txt", "LVM volumes", rb"^ *(?:LV|PV|VG) +"),
    (r"xfs\.txt", "XFS file systems", rb"^meta-data=|^ +from +to extents"),
    (r"pod_local_storage\.txt", "local storage of pods (du)", rb"^[\d.]+[KMGT]?[ \t]+/"),
    (r"ifconfig\.txt", "interfaces (ifconfig)", rb"^\S+: flags=\d+<|^\S+ +Link encap"),
    (r"ethtool\.txt", "interface statistics (ethtool)", rb"^Interface \S+"),
    (r"ip6?rule\.txt", "routing rules (ip rule)", rb"^\d+:[ \t]+(?:not )?from "),
    (r"ip6?tables(?:-(?:mangle|filter|nat))?\.txt", "rule listing (iptables -L)", rb"^Chain \S+ \("),
    (r"resolv\.conf", "resolver configuration", rb"^(?:nameserver|search|options) "),
    (r"ping_[\w.]+\.txt", "connectivity test (ping)", rb"^PING "),
    (r"curl_api_server\.txt", "connectivity test (curl)", rb"^curling "),
    (r"configure-multicard-interfaces\.txt", "journal of configure-multicard-interfaces", _JOURNAL),
    (r"sandbox-image-log\.txt", "journal of sandbox-image", _JOURNAL),
    (r"nodeadm[\w-]*\.log", "journal of nodeadm", _JOURNAL + rb'|^\{"level"'),
    (r"containerd-log\.txt|docker\.log|soci[\w-]*\.(?:log|txt)", "journal of the container runtime", _JOURNAL),
    (r"sysctl_all\.txt", "kernel settings (sysctl)", rb"^[a-z0-9_.]+\.[\w.-]+ = "),
    (r"kubeconfig\.yaml|kubeconfig", "kubeconfig of the node", rb"^kind: Config\b|^current-context:"),
    (r"(?:containerd|docker)-version\.txt", "version of the container runtime", rb"^Client:"),
    (r"containerd-namespaces\.txt", "containerd namespaces", rb"^NAME +LABELS"),
    (r"containerd-tasks\.txt", "containerd tasks", rb"^TASK +PID +STATUS"),
    (r"containerd-plugins\.txt", "containerd plugins", rb"^TYPE +ID +PLATFORMS"),
    (r"containerd-config\.txt", "containerd configuration", rb"^version = \d"),
    (r"containerd\.[\w.-]*stacks\.log|docker-trace\.txt", "stacks of the container runtime", rb"goroutine \d+"),
    (r"docker-info\.txt", "docker info", rb"Server Version:|Storage Driver:"),
    (r"nvidia[\w.-]*|gpu[\w.-]*", "GPU state", rb"NVIDIA-SMI|nvidia"),
    (r"eni-configs\.json", "ENIConfigs of custom networking", rb"^\s*(?:Not Found|404 page not found|\{)"),
    (r"pods\.json", "introspection's list of commands", rb'"AvailableCommands"'),
    (r"cloud-init(?:-output)?\.log", "cloud-init log", rb"(?i)cloud-init"),
    (r"messages|syslog", "system log", _JOURNAL + rb"|^[A-Z][a-z]{2} +\d+ [\d:]{8} \S+ (?:kernel|systemd)"),
    (r"ipam_(?:introspection|metrics)_ignore\.txt", "note of the collector", rb"^Ignoring "),
    (r".*\.(?:txt|log)", "an empty journal", rb"\A\s*-- No entries --\s*\Z"),
    (r".*\.(?:txt|log|json)", "a note of the collector: the command timed out", rb"\A\s*Timed out, ignoring "),
    (r".*", "introspection's list of commands", rb'\A\s*\{"AvailableCommands":\['),
)
_ROWS = tuple((lazy(name), what, lazy(content, re.M)) for name, what, content in TABLE)


def name_of(head: bytes, path: str) -> str | None:
    """What a member is, None when no row fits."""
    name = basename(path)
    start = head[:65536]
    return next((what for pattern, what, content in _ROWS if pattern.fullmatch(name) and content.search(start)), None)


def sniff(head: bytes, path: str) -> Score:
    """A row of the table."""
    what = name_of(head, path)
    return Score(45, what) if what is not None else NO


def read(source: Source) -> Iterator[Item]:
    """Nothing: these members are named, not used."""
    yield from ()


FORMAT = Format(
    name="collector-misc",
    title="Other members of the log collector",
    sniff=sniff,
    read=read,
    quiet=True,
    versions="eks-log-collector 0.5.2 to 0.7.9",
    about="Known members that this tool does not use; the reason of the recognition names them.",
    limits=("known by the member's name and its first lines, no more",),
    loses=("everything",),
)

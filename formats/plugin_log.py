"""plugin.log: the CNI plugin: pods added and deleted, their addresses, and what the agent answered."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from formats.base import Format, Record, Score
from formats.log_catalogue_node import PLUGIN
from formats.log_kind import score_of
from formats.log_reader import LogReader
from formats.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.source import Source

_ARGUMENT = lazy(r"(K8S_POD_NAMESPACE|K8S_POD_NAME)=([^;)]*)")
_ADDRESS = lazy(r'IPv[46]Addr:"([0-9a-fA-F.:]+)"')
#: Adds waiting for their answer; the plugin handles a handful at a time.
_WAITING = 4096


def sniff(head: bytes, path: str) -> Score:
    """Log lines with the CNI plugin's messages."""
    return score_of("plugin", head, path)


def read(source: Source) -> Iterator[Item]:
    """log_event records (cni-add, pod-ip, enforce-result, enforce-failed ...), problems, and the log_summary last."""
    yield from _PluginReader(source, "plugin", PLUGIN).read()


class _PluginReader(LogReader):
    """Ties the address in ipamd's answer to the pod named in the request, by container id."""

    def made(self, record: Record) -> Record | None:
        data = dict(record.data)
        if data["event"] in ("cni-add", "cni-del"):
            named = dict(_ARGUMENT.findall(data.pop("args")))
            data["namespace"], data["pod"] = named.get("K8S_POD_NAMESPACE"), named.get("K8S_POD_NAME")
            if len(self._pods) >= _WAITING:
                self._pods.pop(next(iter(self._pods)))
            self._pods[data["container"]] = (data["namespace"], data["pod"])
        elif data["event"] == "pod-ip":
            found = _ADDRESS.search(data.pop("reply"))
            if found is None:
                return None
            data["namespace"], data["pod"] = self._pods.get(data["container"], (None, None))
            data["ip"] = found[1]
        return replace(record, data=data)

    @property
    def _pods(self) -> dict[str, tuple[str | None, str | None]]:
        pods: dict[str, tuple[str | None, str | None]] = self.__dict__.setdefault("pods", {})
        return pods


FORMAT = Format(
    name="plugin-log",
    title="plugin.log",
    sniff=sniff,
    read=read,
    quiet=True,
    versions="VPC CNI v1.14 to v1.23",
    about=(
        "The CNI plugin's log: pods added and deleted with their addresses, the agent's answers to enforce and delete "
        "requests, failures that kept pods from starting."
    ),
    limits=("An address belongs to a pod only when the request with the same container id is in the file.",),
    loses=("Lines of the CNI that name no pod, address or failure: counted, not listed.",),
)

"""FORMATS: every external format this project reads, in priority order. Adding one: a file, a line, a corpus folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from formats import (
    bpffs_listing,
    bpftool_map_hex,
    bpftool_map_json,
    bpftool_net,
    bpftool_show,
    calico,
    cilium,
    collector_misc,
    conntrack_list,
    container_info,
    containers_list,
    enis_json,
    env_settings,
    ipam_checkpoint,
    iproute,
    iptables_save,
    kubelet_config,
    kubelet_files,
    metrics_text,
    ps_list,
    system_files,
    tc_filter,
    uname,
)

if TYPE_CHECKING:
    from formats.base import Format

FORMATS: tuple[Format, ...] = (
    bpftool_map_hex.FORMAT,
    bpftool_map_json.FORMAT,
    bpftool_show.FORMAT,
    bpftool_net.FORMAT,
    tc_filter.FORMAT,
    bpffs_listing.FORMAT,
    ipam_checkpoint.FORMAT,
    enis_json.FORMAT,
    container_info.FORMAT,
    containers_list.FORMAT,
    ps_list.FORMAT,
    env_settings.FORMAT,
    kubelet_config.FORMAT,
    kubelet_files.FORMAT,
    iproute.FORMAT,
    iptables_save.FORMAT,
    conntrack_list.FORMAT,
    uname.FORMAT,
    system_files.FORMAT,
    metrics_text.FORMAT,
    cilium.FORMAT,
    cilium.JSON_FORMAT,
    calico.FORMAT,
    collector_misc.FORMAT,
)

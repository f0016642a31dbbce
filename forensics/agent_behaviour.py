"""Which rules an agent version follows when it turns PolicyEndpoints into map entries.

Source: aws-network-policy-agent, pkg/ebpf/bpf_client.go (to v1.2.2), pkg/fwruleprocessor/fw_rule_processor.go (from
v1.2.3) and pkg/utils/utils.go at every tag, and the main branch after v1.4.1.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from forensics.versions import at_least, between
from formats.layouts import SLOTS, SLOTS_BEFORE_V105


class Behaviour(NamedTuple):
    """One agent version. Every field is a difference between two tags; the comment at its value names the first."""

    all_slices: bool
    rows_of_any_node: bool
    skips_host_network: bool
    slots: int | None
    late_excepts: bool
    filters_family: bool
    family_by_text: bool
    canonical: bool
    skips_node_rule: bool
    drops_node_networks: bool
    sorts: bool
    bare_addresses_first: bool
    merges_ports: bool
    carries_start_port: bool
    catch_all_excepts: bool
    unknown_protocol: int
    catch_all_is_v4: bool
    v6_32_is_host: bool
    writes_foreign_excepts: bool
    except_beats_node: bool
    skips_empty_cidr: bool
    cluster: bool
    cluster_node_entry: bool
    pod_state: bool


@lru_cache(maxsize=256)
def behaviour(agent_version: str, *, ideal: bool = False) -> Behaviour:
    """What a version does; `ideal` is the newest algorithm without the defects that any version has.

    Raises ValueError when agent_version is no version.
    """
    since = {tag: at_least(agent_version, tag) for tag in _TAGS}
    return Behaviour(
        all_slices=since["v1.0.5"] or ideal,
        rows_of_any_node=since["v1.1.0"] or ideal,
        skips_host_network=since["v1.3.2"] or ideal,
        slots=None if ideal else SLOTS if since["v1.0.5"] else SLOTS_BEFORE_V105,
        late_excepts=since["v1.2.4"] or ideal,
        filters_family=since["v1.1.4"] or ideal,
        family_by_text=not since["v1.3.2"] and not ideal,
        canonical=since["v1.4.2"] or ideal,
        skips_node_rule=since["v1.0.4"] or ideal,
        drops_node_networks=not ideal,
        sorts=since["v1.0.5"] or ideal,
        bare_addresses_first=between(agent_version, "v1.0.5", "v1.1.2") and not ideal,
        merges_ports=since["v1.0.8"] or ideal,
        carries_start_port=not since["v1.0.8"] and not ideal,
        catch_all_excepts=since["v1.0.4"] or ideal,
        unknown_protocol=254 if since["v1.2.4"] else 6,
        catch_all_is_v4=not since["v1.2.6"] and not ideal,
        v6_32_is_host=not ideal,
        writes_foreign_excepts=not ideal,
        except_beats_node=not ideal,
        skips_empty_cidr=since["v1.3.0"] or ideal,
        cluster=since["v1.3.0"],
        cluster_node_entry=since["v1.4.2"],
        pod_state=since["v1.2.0"],
    )


_TAGS = (
    "v1.0.4", "v1.0.5", "v1.0.8", "v1.1.0", "v1.1.4", "v1.2.0", "v1.2.4", "v1.2.6", "v1.3.0", "v1.3.2", "v1.4.2",
)  # fmt: skip

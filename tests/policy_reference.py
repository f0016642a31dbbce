"""The published algorithms, restated naively: every pair is compared, one order of the rules at a time.

Written from the description of the algorithms and not from forensics.policy_*; it answers for one given order and
lists every value that may survive on a key, so that the union over all orders is the whole set of outcomes.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_interface

ANY, DENY = ("ANY_IP_PROTOCOL", 0, 0), ("RESERVED_IP_PROTOCOL_NUMBER", 0, 0)
NUMBERS = {"TCP": 6, "UDP": 17, "SCTP": 132, "ANY_IP_PROTOCOL": 254, "RESERVED_IP_PROTOCOL_NUMBER": 255}


def version(text):
    return tuple(map(int, text.lstrip("v").split(".")))


def masked(text, v6):
    return text if "/" in text else text + ("/128" if v6 else "/32")


def length(text):
    return int(text.split("/")[1])


def lies_in(text, other):
    inner, outer = ip_interface(text).network, ip_interface(other).network
    return inner.version == outer.version and inner.network_address in outer


def lpm_key(text, v6):
    """Prefix length and as many address bytes as the key has; None when the kernel refuses it."""
    net = ip_interface(text).network
    raw = (net.network_address.packed + bytes(16))[: 16 if v6 else 4]
    if net.prefixlen > len(raw) * 8:
        return None
    return f"{ip_address(raw)}/{net.prefixlen}"


def left_out(text, node, v6, agent):
    if ip_interface(text).ip == ip_address(node):
        return True
    if agent < (1, 1, 4):
        return False
    looks_v6 = "::" in text if agent < (1, 3, 2) else ip_interface(text).version == 6
    return looks_v6 != v6


def port_of(port):
    return port.get("protocol", ""), port.get("port", 0), port.get("endPort", 0)


def slots(ports, agent, forced=None):
    default = 254 if agent >= (1, 2, 4) else 6
    out = [(forced, 0, 0)] if forced else []
    return tuple(sorted(out + [(forced or NUMBERS.get(name, default), a, b) for name, a, b in ports]))


def algorithm_a(rules, node, v6, agent):
    """{key: set of values}, for the rules (cidr, ports, excepts) in this order; v1.2.4 and later."""
    head = agent >= (1, 4, 2)
    gathered, wide, excepts = {}, {}, []
    for cidr, own, out in sorted(rules, key=lambda rule: length(masked(rule[0], v6))):
        excepts.extend(out)
        text = masked(cidr, v6)
        if head:
            text = str(ip_interface(text).network)
        if left_out(text, node, v6, agent):
            continue
        ports = {port_of(port) for port in own} or {ANY}
        out = list(out)
        if text in gathered:
            ports |= gathered[text][0]
            out += gathered[text][1]
        else:
            for other, (theirs, theirs_out) in wide.items():
                net = f"{ip_interface(text).network.network_address}/{length(text)}"
                if lies_in(net, other) and not any(lies_in(net, each) for each in theirs_out):
                    ports |= theirs
        gathered[text] = (ports, out)
        if text.split("/")[1] not in ("32", "128"):
            wide[text] = gathered[text]
    for text in excepts:
        name = str(ip_interface(text).network) if head else text
        gathered.setdefault(name, ({DENY}, []))
    values = {}
    for text, (ports, _) in gathered.items():
        key = lpm_key(text, v6)
        if key is not None:
            values.setdefault(key, set()).add(slots(ports, agent))
    return {lpm_key(masked(node, v6), v6): {((254, 0, 0),)}} | values


def algorithm_b(rules, node, v6, agent):
    """{key: set of one value}, for the rules in this order; v1.0.8 to v1.2.3."""

    def place(rule):
        if agent <= (1, 1, 2) and "/" not in rule[0]:
            return 0
        return length(masked(rule[0], v6))

    values = {lpm_key(masked(node, v6), v6): {((254, 0, 0),)}}
    ordered = sorted(rules, key=place)
    zeros = [r for r in ordered if masked(r[0], v6).endswith("/0") and (v6 or "::" not in r[0])]
    common = [port_of(port) for _, own, _ in zeros for port in own]
    all_open = any(not own for _, own, _ in zeros)
    forced = 254 if all_open else None
    if zeros:
        values["::/0" if v6 else "0.0.0.0/0"] = {slots(common, agent, 254 if all_open or not common else None)}
    hosts, wide = {}, {}
    for cidr, own, out in ordered:
        text = masked(cidr, v6)
        if left_out(text, node, v6, agent):
            continue
        ports = [port_of(port) for port in own]
        if not text.endswith("/0"):
            ports = ports or [ANY]
            net = f"{ip_interface(text).network.network_address}/{length(text)}"
            inherited = [port for other, theirs in wide.items() if lies_in(net, other) for port in theirs]
            if text.split("/")[1] in ("32", "128"):
                ports = hosts[text] = ports + hosts.get(text, []) + inherited
            elif text in wide:
                ports = wide[text] = ports + wide[text]
            else:
                ports = wide[text] = ports + inherited
            ports = ports + common
            key = lpm_key(text, v6)
            if key is not None:
                values[key] = {slots(set(ports), agent, forced)}
        for each in out:
            key = lpm_key(each, v6)
            if key is not None:
                values[key] = {slots(set(ports), agent, 255)}
    return values


def cluster(rules, node, v6, agent):
    """{key: set of values}, for the rules (cidr, ports, action, priority) in this order; v1.3.0 and later."""
    head = agent >= (1, 4, 2)
    held, seen = {}, []
    for cidr, own, action, priority in sorted(rules, key=lambda rule: length(masked(rule[0], v6))):
        text = masked(cidr, v6)
        if head:
            text = str(ip_interface(text).network)
        if left_out(text, node, v6, agent):
            continue
        net = f"{ip_interface(text).network.network_address}/{length(text)}"
        closest = next((other for other in reversed(seen) if lies_in(net, other)), None)
        mine = held.setdefault(text, [])
        if closest is not None:
            mine += list(held[closest])
        mine += [(port, action, priority) for port in own or [{}]]
        seen.append(text)
    values = {}
    for text, listed in held.items():
        unique = {}
        for port, action, priority in listed:
            name, start, end = port_of(port)
            who = id(port) if "protocol" in port else "TCP"
            raw = priority * 10 + {"Deny": 0, "Accept": 1, "Pass": 2}[action]
            number = 254 if not port else {"UDP": 17, "SCTP": 132}.get(name, 6)
            unique.setdefault((who, start, end, priority, action), (number, raw, start, end))
        key = lpm_key(text, v6)
        if key is not None:
            values.setdefault(key, set()).add(tuple(sorted(unique.values())))
    start = {lpm_key(masked(node, v6), v6): {((254, 1, 0, 0),)}} if head else {}
    return start | values

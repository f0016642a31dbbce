"""`verdict --matrix` for people: to each destination, who reaches it on which TCP ports; differences are marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reports.escape import visible
from reports.text import wrap

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHOWN = 6
_MARK = {True: "!", False: " "}


def render(told: dict[str, Any], *, width: int = 100) -> str:
    """The table of forensics.reach as text."""
    lines: list[str] = []
    for node in told["nodes"]:
        lines += [*_node(node, width), ""]
    return "\n".join(line.rstrip() for line in lines).rstrip("\n") + "\n"


def _node(node: dict[str, Any], width: int) -> Iterator[str]:
    ports = ", ".join(_runs(node["ports"])) or "none"
    yield from wrap(f"{node['node']}, {node['agent_version'] or 'agent version unknown'}: TCP ports {ports}", width)
    yield from wrap(f"`other` stands for every port that no slot names ({node['other_port']} was asked)", width)
    by_target: dict[str, list[dict[str, Any]]] = {}
    for pair in node["pairs"]:
        by_target.setdefault(pair["to"], []).append(pair)
    for target, pairs in by_target.items():
        yield ""
        yield f"to {visible(target)}"
        for pair in pairs:
            yield from _pair(pair, node, width)
    for identifier in node["cannot_tell"]:
        yield f"cannot tell: {visible(identifier)}"
    for missing in node["missing"]:
        yield from wrap(f"missing: {missing['what']}", width)
        yield f"  $ {visible(missing['command'])}"
    for note in node["notes"]:
        yield from wrap(f"note: {note}", width)


def _pair(pair: dict[str, Any], node: dict[str, Any], width: int) -> Iterator[str]:
    sources = pair["from"][:_SHOWN]
    rest = len(pair["from"]) - len(sources)
    who = ", ".join(sources) + (f" and {rest} more" if rest else "")
    text = f"{_ports(pair['kernel'], node)} from {who}"
    if pair["differs"]:
        text += f". The policies ask for {_ports(pair['policy'], node)}: {_ports(pair['differs'], node)} differ"
    head = f"  {_MARK[bool(pair['differs'])]} "
    for line in wrap(text, max(width - len(head), 30)):
        yield head + line
        head = " " * len(head)


def _ports(ports: list[int], node: dict[str, Any]) -> str:
    named = [port for port in ports if port != node["other_port"]]
    whole = node["other_port"] in ports
    if whole and len(named) == len(node["ports"]):
        return "every port"
    return ", ".join([*_runs(named), *(["other"] if whole else [])]) or "no port"


def _runs(ports: list[int]) -> list[str]:
    """Ports as text, neighbours as one run: 80, 5000-5023."""
    runs: list[list[int]] = []
    for port in ports:
        if runs and port == runs[-1][-1] + 1:
            runs[-1].append(port)
        else:
            runs.append([port])
    return [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]

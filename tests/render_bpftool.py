"""Maps as bpftool prints them: written from its sources (map.c, main.c, json_writer.c), not from our readers."""

from __future__ import annotations

import re


def rows(data: bytes) -> list[str]:
    """fprint_hex: 16 bytes a row, two blanks in the middle."""
    out = []
    for at in range(0, len(data), 16):
        part = data[at : at + 16]
        left, right = part[:8].hex(" "), part[8:].hex(" ")
        out.append(f"{left}  {right}" if right else left)
    return out


def entry(key: bytes, value: bytes | str) -> str:
    """print_entry_plain; a str is the message of a lookup that failed."""
    size = len(value)
    broken = len(key) > 16 or size > 16
    one_line = len(key) + size <= 24 and not broken
    first = "\n" if broken else " "
    between = "  " if one_line else "\n"
    shown = value if isinstance(value, str) else "\n".join(rows(value))
    return f"key:{first}" + "\n".join(rows(key)) + f"{between}value:{first}{shown}\n"


def trailer(count: int) -> str:
    """The last line of a plain dump."""
    return f"Found {count} element{'' if count == 1 else 's'}\n"


def plain(pairs: list[tuple[bytes, bytes]]) -> str:
    """`bpftool map dump`."""
    return "".join(entry(key, value) for key, value in pairs) + trailer(len(pairs))


def array(data: bytes, close: str = "") -> str:
    """print_hex_data_json."""
    return "[" + ",".join(f'"0x{byte:02x}"' for byte in data) + close + "]"


def compact(pairs: list[tuple[bytes, bytes]]) -> str:
    """`bpftool -j map dump`; no line end follows."""
    return "[" + ",".join(f'{{"key":{array(key)},"value":{array(value)}}}' for key, value in pairs) + "]"


def pretty(pairs: list[tuple[bytes, bytes]]) -> str:
    """`bpftool -p map dump`."""
    inner = "\n" + 8 * " "
    items = [
        f'{{{inner}"key": {array(key, inner)},{inner}"value": {array(value, inner)}\n    }}' for key, value in pairs
    ]
    return "[" + ",".join(items) + "\n]\n" if items else "[]\n"


def typed_rules(pairs: list[tuple[bytes, bytes]], *, cluster: bool) -> str:
    """Typed plain output of an IPv4 rule map whose BTF names the fields as the agent's sources do."""
    names = ("protocol", "priority", "start_port", "end_port") if cluster else ("protocol", "start_port", "end_port")
    out = []
    for key, value in pairs:
        prefix, address = (int.from_bytes(key[at : at + 4], "little") for at in (0, 4))
        numbers = [int.from_bytes(value[at : at + 4], "little") for at in range(0, len(value), 4)]
        slots = [dict(zip(names, numbers[at:], strict=False)) for at in range(0, len(numbers), len(names))]
        inside = "},{".join(",".join(f'\n   "{name}": {slot[name]}' for name in names) for slot in slots)
        out.append(f'{{"key": {{"prefixlen": {prefix},\n "ip": {address}}},\n "value": [{{{inside}}}]\n}}')
    return "[" + ",".join(out) + "\n]\n"


def crlf(text: str) -> str:
    """Through a Windows editor."""
    return text.replace("\n", "\r\n")


def indented(text: str) -> str:
    """A code block by indentation."""
    return re.sub(r"(?m)^(?=.)", "    ", text)


def quoted(text: str) -> str:
    """A mail reply."""
    return re.sub(r"(?m)^", "> ", text.removesuffix("\n")) + "\n"


def collapsed(text: str) -> str:
    """Double blanks lost, as HTML does."""
    return re.sub(r"(?<=\S)  (?=\S)", " ", text)


def tabbed(text: str) -> str:
    """Blanks between bytes turned to tabs."""
    return re.sub(r"(?<=[0-9a-f]{2}) +(?=[0-9a-f]{2})", "\t", text)


def coloured(text: str) -> str:
    """Labels coloured by a terminal."""
    return re.sub(r"(?m)^(key|value):", "\x1b[1;32m\\1\x1b[0m:", text)


def fenced(text: str) -> str:
    """A markdown fence with a prompt."""
    return f"```console\n{text}```\n"


def upper(text: str) -> str:
    """Hex in capitals."""
    return re.sub(r"(?m)^[0-9a-f ]+$", lambda match: match.group().upper(), text)


def wrapped(text: str) -> str:
    """Rows of 16 broken after twelve bytes by a narrow mail client."""
    return re.sub(r"(?m)^((?:[0-9a-f]{2} {1,2}){12})(?=[0-9a-f])", lambda match: match.group().rstrip() + "\n", text)


def spaced(text: str) -> str:
    """An empty line after every line."""
    return text.replace("\n", "\n\n")


def elided(text: str) -> str:
    """Runs of two or more zero rows written as people write them."""
    zero = r"(?:(?:00 ){7}00  (?:00 ){7}00\n)"
    return re.sub(rf"{zero}{{2,}}", lambda match: f"[... {match.group().count(chr(10))} rows of zeros ...]\n", text)


LOSSLESS = (crlf, indented, quoted, collapsed, tabbed, coloured, fenced, upper, wrapped, spaced, elided)

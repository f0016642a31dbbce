"""A YAML document that libyaml refuses: the list element around the break is left out, and the rest is read."""

from __future__ import annotations

from formats.k8s_events import Built, Fault, build

#: Breaks that one document may have before the reading ends at the next.
TRIES = 20
#: Lines that an unclosed quote may swallow before the next quote ends it.
REACH = 60
_BUDGET_BYTES = 4 * 1024 * 1024


def recover(data: bytes) -> Built:
    """The document without its broken elements; each one is a fault. Elements are whole rules, never a part of one:

    a rule whose ports are left out would read as a rule for all ports.
    """
    built = build(data)
    if len(data) > _BUDGET_BYTES:
        return built
    rows = data.split(b"\n")
    faults: list[Fault] = []
    for _ in range(min(TRIES, max(1, _BUDGET_BYTES // max(1, len(data))))):
        broken = built.broken
        if broken is None:
            break
        spot = _blame(rows, min(broken.line, len(rows)) - 1)
        first, after = _element(rows, spot)
        if not any(row.strip() for row in rows[first:after]) or (first == 0 and after >= len(rows)):
            break
        rows[first:after] = [b""] * (after - first)
        lost = f"line {first + 1}" if after - first == 1 else f"lines {first + 1} to {after}"
        faults.append(Fault(broken.message, spot + 1, lost=lost))
        built = build(b"\n".join(rows))
    built.faults = faults + built.faults
    return built


def _blame(rows: list[bytes], spot: int) -> int:
    """The line at fault: a near one before the break that opens a quote and does not close it, else the break's."""
    while spot > 0 and not rows[spot].strip():
        spot -= 1
    for index in range(spot, max(-1, spot - REACH), -1):
        value = rows[index].partition(b": ")[2].strip() or rows[index].strip(b" -")
        for quote in (b'"', b"'"):
            if value.startswith(quote) and value.count(quote) % 2:
                return index
    return spot


def _element(rows: list[bytes], spot: int) -> tuple[int, int]:
    """[first, after) of the outermost list element around a line, the document's own leading dash not counted.

    Outside a list it is the line and what is indented below it.
    """
    level = _level(rows[spot])
    first = spot
    within = level
    for index in range(spot - 1, 0, -1):
        above = _level(rows[index])
        if rows[index].strip() and above < within:
            within = above
            if above & 1:
                first = index
    depth = _level(rows[first])
    after = first + 1
    while after < len(rows) and (not rows[after].strip() or _level(rows[after]) > depth):
        after += 1
    return first, after


def _level(row: bytes) -> int:
    """2i for a key at indentation i, 2i+1 for a dash there: a list nests inside the mapping of its own indentation."""
    body = row.lstrip(b" ")
    return 2 * (len(row) - len(body)) + (body.startswith(b"- ") or body == b"-")

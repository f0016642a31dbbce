"""Logs: flow lines to typed rows beside DuckDB, and the search for diagnostic lines beside ripgrep."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench import generate
from tests.bench.pairs import Row, clock, run, side, tell

if TYPE_CHECKING:
    from tests.bench.__main__ import Asked

#: What a person looks for first in an agent's log.
PATTERNS = (
    '"level":"error"',
    '"level":"panic"',
    '"level":"fatal"',
    "Starting manager",
    "Total no.of  PinPath",
    "Couldn't find associated",
    "failed to",
)
_QUERY = r"""
with lines as (
  select ts, level, regexp_extract(msg, 'Src IP: (\S+) Src Port: (\d+) Dest IP: (\S+) Dest Port: (\d+) '
    'Proto (\S+) Verdict (\S+) Direction (\w+), Tier (\w+)',
    ['src', 'sport', 'dst', 'dport', 'proto', 'verdict', 'direction', 'tier']) as f
  from read_json(?, format='newline_delimited', columns={ts: 'VARCHAR', level: 'VARCHAR', msg: 'VARCHAR'})
  where starts_with(msg, 'Flow Info:'))
select ts::TIMESTAMP as ts, f.src as src, f.sport::INTEGER as sport, f.dst as dst, f.dport::INTEGER as dport,
  f.proto as proto, f.verdict as verdict, f.direction as direction, f.tier as tier from lines
"""


def rows(asked: Asked) -> list[Row]:
    path, long = asked.folder / "network-policy-agent.log", asked.folder / "long.log"
    pods = [{"name": f"app{number:03d}-x", "ip": f"10.100.4.{2 + number}"} for number in range(60)]
    with path.open("wb") as file:
        told = generate.write_log(file, random.Random(5), int((1 << 28) * asked.scale), pods)
        file.write(
            b'{"level":"error","ts":"2026-11-21T01:00:00.000Z","caller":"a.go:1","msg":"failed to attach"}\n' * 9
        )
    with long.open("wb") as file:
        for _ in range(4):
            file.write(path.read_bytes())
    made = [_flows(asked, path, told), _search(asked, long)]
    long.unlink()
    return made


def _flows(asked: Asked, path: Path, told: dict[str, int]) -> Row:
    row = Row(f"flow lines of {path.stat().st_size / 1e6:.0f} MB", "DuckDB `read_json` + `regexp_extract`", 1.0)
    if subprocess.run([asked.duckdb, "-c", "import duckdb"], capture_output=True).returncode:
        row.note = "duckdb is not installed"
        return row
    for _ in range(asked.pairs):
        mine, theirs = side("logs", "ours", path), side("logs", "duckdb", path, python=asked.duckdb)
        row.ours.append(mine["seconds"])
        row.theirs.append(theirs["seconds"])
        row.same &= mine["found"] == theirs["found"] and mine["found"][0] == told["accept"] + told["deny"]
    return row


def _search(asked: Asked, path: Path) -> Row:
    row = Row(f"diagnostic lines of {path.stat().st_size / 1e6:.0f} MB", "`rg -c`, same patterns", 3.0)
    if shutil.which("rg") is None:
        row.note = "rg is not installed"
        return row
    for _ in range(asked.pairs):
        mine = side("logs", "search", path)
        theirs = run(["rg", "-c", "-F", *(part for each in PATTERNS for part in ("-e", each)), path])
        row.ours.append(mine["seconds"])
        row.theirs.append(theirs.wall)
        row.same &= mine["found"] == int(theirs.said)
    return row


def ours(path: str) -> int:
    import numpy as np

    from formats import agent_log
    from formats.base import FlowBatch
    from formats.source import Source

    start = clock()
    count = ports = 0
    kinds: dict[str, int] = {}
    with open(path, "rb") as stream:
        for item in agent_log.read(Source(path, stream)):
            if isinstance(item, FlowBatch):
                count += len(item)
                ports += int(item.columns["sport"].array.sum()) + int(item.columns["dport"].array.sum())
                verdicts = item.columns["verdict"]
                for code, number in enumerate(np.bincount(verdicts.array).tolist()):
                    kinds[verdicts.words[code]] = kinds.get(verdicts.words[code], 0) + number
    return tell(start, clock(), found=[count, ports, kinds["ACCEPT"], kinds["DENY"]])


def search(path: str) -> int:
    from formats.line_search import lines_with
    from formats.source import Source

    start = clock()
    literals = tuple(each.encode() for each in PATTERNS)
    anchor = re.compile(b"|".join(map(re.escape, literals)))
    with open(path, "rb") as stream:
        found = sum(1 for _ in lines_with(Source(path, stream), anchor, literals))
    return tell(start, clock(), found=found)


def duckdb(path: str) -> int:
    import duckdb as database

    start = clock()
    link = database.connect()
    link.execute("set preserve_insertion_order = true")
    link.execute(f"create table flows as {_QUERY}", [path])
    count, ports, accepted, denied = link.execute(
        "select count(*), sum(sport) + sum(dport), count(*) filter (verdict = 'ACCEPT'), "
        "count(*) filter (verdict = 'DENY') from flows"
    ).fetchone()
    return tell(start, clock(), found=[count, int(ports), accepted, denied])


if __name__ == "__main__":
    sys.exit({"ours": ours, "search": search, "duckdb": duckdb}[sys.argv[1]](sys.argv[2]))

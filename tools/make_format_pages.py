"""Writes docs/formats/*.md and forensics/knowledge/format_samples.json from the registry and the corpus.

Run after a change of a Format, of corpus/formats/versions.toml or of a sample: `python tools/make_format_pages.py`.
"""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from forensics.format_page import SAMPLES, page  # noqa: E402
from formats import FORMATS  # noqa: E402

CORPUS = ROOT / "corpus" / "formats"
#: A sample shows the shape of a text; a page is no place for a whole dump.
LINES, COLUMNS = 24, 140


def sample_of(name: str, declared: dict[str, Any]) -> dict[str, Any]:
    """The sample of a format: the case that versions.toml names, else its first one."""
    cases = sorted(path.parent for path in (CORPUS / name).glob("*/expected.json"))
    wanted = [json.loads((case / "expected.json").read_text()) for case in cases]
    chosen = declared.get("sample", cases[0].name)
    source = next(path for path in sorted((CORPUS / name / chosen).iterdir()) if path.name.startswith("input"))
    return {
        "case": f"corpus/formats/{name}/{chosen}",
        "text": shortened(source.read_bytes().decode("utf-8", "replace")),
        "kinds": sorted({record["kind"] for one in wanted for record in one["records"] if "kind" in record}),
        "versions": list(declared["labels"]),
    }


def shortened(text: str) -> str:
    """The first lines, cut at the right; what a page cannot show is made visible."""
    lines = text.splitlines()
    shown = [line if len(line) <= COLUMNS else line[:COLUMNS] + " ..." for line in lines[:LINES]]
    safe = ["".join(char if char.isprintable() or char == "\t" else "\ufffd" for char in line) for line in shown]
    more = [f"... {len(lines) - LINES} more lines"] if len(lines) > LINES else []
    return "\n".join(line.replace("```", "'''") for line in safe + more)


def pages() -> dict[Path, str]:
    """Every file this tool writes, with its text."""
    declared = tomllib.loads((CORPUS / "versions.toml").read_text())
    samples = {form.name: sample_of(form.name, declared[form.name]) for form in FORMATS}
    out = {ROOT / "docs" / "formats" / f"{form.name}.md": page(form, samples[form.name]) for form in FORMATS}
    table = ["# Formats", "", "Made by tools/make_format_pages.py from the registry and the corpus.", ""]
    table += ["| format | what it is | versions |", "| --- | --- | --- |"]
    table += [f"| [{form.name}]({form.name}.md) | {form.title} | {form.versions} |" for form in FORMATS]
    out[ROOT / "docs" / "formats" / "README.md"] = "\n".join(table) + "\n"
    out[ROOT / "forensics" / "knowledge" / SAMPLES] = json.dumps(samples, indent=1, ensure_ascii=False) + "\n"
    return out


def main() -> int:
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

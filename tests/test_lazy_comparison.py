"""What compares maps with policies is imported where there is something to compare, and nowhere else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).parent.parent / "corpus" / "cases"
HEAVY = ("compare", "alike", "entrydiff", "fold", "partition", "semantics", "classes", "traffic", "sides")
SCRIPT = """
import sys
from forensics import cli
sys.argv = ["npforensics", *{arguments!r}]
try:
    cli.main()
except SystemExit:
    pass
names = {heavy!r}
print("\\nheld:", *(name for name in names if "forensics." + name in sys.modules))
"""


def held(*arguments):
    script = SCRIPT.format(arguments=list(arguments), heavy=HEAVY)
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return ran.stdout.rpartition("held:")[2].split()


@pytest.mark.parametrize("arguments", [["--help"], ["formats"], ["detectors"]])
def test_nothing_of_it_for_a_command_that_compares_nothing(arguments):
    assert held(*arguments) == []


def test_nothing_of_it_without_policies():
    assert held("analyze", str(CASES / "incident-bare-tarball" / "input")) == []


def test_neither_rows_nor_classes_where_maps_are_as_asked():
    loaded = held("analyze", str(CASES / "healthy-cluster-policies" / "input"))

    assert "compare" in loaded
    assert "fold" not in loaded

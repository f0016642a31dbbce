"""The command line. No logic: it reads options, calls the pipeline, writes what a renderer makes of the document.

Imports stand inside the commands, so that `--help` costs no more than the option parser.
"""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

_GC_OBJECTS = 100_000
EXIT_FINDINGS = 1
EXIT_USAGE = 2
EXIT_INTERNAL = 3
EXIT_INTERRUPTED = 130
LEVELS = ("critical", "high", "medium", "low", "info", "never")
FORMATS = ("text", "json", "html", "markdown", "sarif")

app = typer.Typer(
    name="npforensics",
    help="Offline forensics for EKS network policy: what the policy asked, what the kernel enforces, and the bytes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Inputs = Annotated[list[str], typer.Argument(help="Tarballs, folders, zips, files, or - for standard input: one case.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write here instead of standard output.")]
AgentVersion = Annotated[str | None, typer.Option(help="Agent version, where the input does not say it.")]
NodeIp = Annotated[str | None, typer.Option(help="Node IP, where the input does not say it.")]


@app.command()
def analyze(
    inputs: Inputs,
    form: Annotated[str, typer.Option("--format", "-f", help="text, json, html, markdown or sarif.")] = "text",
    output: Output = None,
    fail_on: Annotated[str, typer.Option(help="Exit with 1 at a finding of this level or above.")] = "never",
    agent_version: AgentVersion = None,
    node_ip: NodeIp = None,
) -> None:
    """Analyse one case: what is wrong, who is hit, since when, what to do."""
    _choice("--format", form, FORMATS)
    _choice("--fail-on", fail_on, LEVELS)
    from forensics.analysis import read_case, report_of
    from forensics.case import Overrides
    from reports import render

    with _progress() as progress:
        case = read_case(inputs, overrides=Overrides(_version(agent_version), _address(node_ip)), progress=progress)
    report = report_of(case)
    color, width = _terminal(output)
    _write(render(form, report.document, color=color, width=width), output)
    if fail_on != "never" and report.at_least(fail_on):
        raise typer.Exit(EXIT_FINDINGS)


@app.command()
def verdict(
    inputs: Inputs,
    pod: Annotated[str, typer.Option(help="The pod: NAMESPACE/NAME, its address, or the identifier in its pins.")] = "",
    direction: Annotated[str, typer.Option(help="ingress or egress, as the pod sees it.")] = "",
    peer: Annotated[str, typer.Option(help="The other end: an address, or NAMESPACE/NAME of a pod or service.")] = "",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Destination port.")] = 0,
    protocol: Annotated[str, typer.Option(help="tcp, udp, sctp, icmp or a number.")] = "tcp",
    sport: Annotated[int | None, typer.Option(min=0, max=65535, help="Source port: conntrack is asked too.")] = None,
    matrix: Annotated[bool, typer.Option("--matrix", help="Instead of one flow: which pods can reach which.")] = False,
    form: Annotated[str, typer.Option("--format", "-f", help="text or json.")] = "text",
    output: Output = None,
    agent_version: AgentVersion = None,
    node_ip: NodeIp = None,
) -> None:
    """One flow: what the kernel does to it, what the policies ask, and why the two differ."""
    _choice("--format", form, ("text", "json"))
    from forensics.analysis import read_case
    from forensics.case import Overrides
    from forensics.flow_question import asked
    from reports import reach_text, verdict_text
    from reports.json_ import dumps

    question = None if matrix else asked(pod, direction, peer, port, protocol, sport)
    with _progress() as progress:
        case = read_case(inputs, overrides=Overrides(_version(agent_version), _address(node_ip)), progress=progress)
    if question is None:
        from forensics.reach import reach

        told, render = reach(case), reach_text.render
    else:
        from forensics.explain import explain

        told, render = explain(case, question), verdict_text.render
    _, width = _terminal(output)
    _write(dumps(told) if form == "json" else render(told, width=width), output)


@app.command()
def decode(
    file: Annotated[str, typer.Argument(help="A dump, a log, a manifest or a paste; - for standard input.")],
    form: Annotated[str, typer.Option("--format", "-f", help="text or json.")] = "text",
    output: Output = None,
) -> None:
    """Decode single files and pastes: a table, or records as JSON."""
    _choice("--format", form, ("text", "json"))
    from forensics.decode import decode_inputs
    from reports.decode_text import table
    from reports.json_ import dumps

    decoded = decode_inputs(file)
    if form == "json":
        _write(dumps(decoded), output)
    else:
        _, width = _terminal(output)
        _write(table(decoded, width=width), output)


@app.command()
def diff(
    before: Annotated[str, typer.Argument(help="One case: an earlier moment, a node, a replica.")],
    after: Annotated[str, typer.Argument(help="The other: a later moment, another node, another replica.")],
    form: Annotated[str, typer.Option("--format", "-f", help="text or json.")] = "text",
    output: Output = None,
    pod: Annotated[str | None, typer.Option(help="One pod only: NS/NAME, or its pod identifier.")] = None,
    against: Annotated[str | None, typer.Option(help="With --pod: its partner in AFTER.")] = None,
) -> None:
    """Compare two cases: what the kernel now treats differently, which entries and findings came and went."""
    _choice("--format", form, ("text", "json"))
    from forensics.diff import run as compare
    from reports.diff_text import render
    from reports.json_ import dumps

    with _progress() as progress:
        document = compare(before, after, pod=pod, other=against, progress=progress)
    color, width = _terminal(output)
    _write(dumps(document) if form == "json" else render(document, color=color, width=width), output)


@app.command()
def scan(
    folder: Annotated[str, typer.Argument(help="A folder of bundles: each archive and each collector tree is a case.")],
    out: Annotated[Path, typer.Option("--out", help="Where findings.parquet and bundles.parquet go.")],
    workers: Annotated[int, typer.Option(help="Worker processes; 0 means one for each processor.")] = 0,
) -> None:
    """Analyse every bundle below a folder; findings and bundles as Parquet."""
    from forensics.scan import scan_folder

    with _progress() as progress:
        totals = scan_folder(folder, out, workers=workers, progress=progress)
    _write(totals.text() + "\n", None)


@app.command()
def verify(
    report: Annotated[Path, typer.Argument(help="A report written with --format json.")],
    inputs: Annotated[list[str], typer.Argument(help="What it was made from.")],
) -> None:
    """Re-read every citation of a report: do the bytes still say what it quotes?"""
    from forensics.verify import verify as check

    verified = check(report, inputs)
    _write(verified.text(), None)
    if verified.failures:
        raise typer.Exit(EXIT_FINDINGS)


@app.command()
def formats(
    name: Annotated[str | None, typer.Argument(help="One format's name, for its page.")] = None,
    form: Annotated[str, typer.Option("--format", "-f", help="text or json.")] = "text",
) -> None:
    """List what is read: every format, its versions, its limits, what it loses; or the page of one."""
    _choice("--format", form, ("text", "json"))
    from forensics.listing import formats_json, formats_text

    _write(formats_json() if form == "json" and name is None else formats_text(name), None)


@app.command()
def detectors(
    detector: Annotated[str | None, typer.Argument(help="One detector's id, for its page.")] = None,
) -> None:
    """List the detectors, or explain one."""
    from forensics.listing import detectors_text

    _write(detectors_text(detector), None)


@app.command()
def schema(of: Annotated[str, typer.Option("--of", help="result, diff or verdict.")] = "result") -> None:
    """Print the JSON Schema of a document: the result's, or that of diff or verdict."""
    from reports.document import SCHEMAS
    from reports.document import schema as schema_of
    from reports.json_ import dumps

    _choice("--of", of, SCHEMAS)
    _write(dumps(schema_of(of)), None)


def _choice(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        from forensics.problem import UsageError

        raise UsageError(f"{option} {value}: not one of {', '.join(allowed)}")


def _version(text: str | None) -> str | None:
    if text is None:
        return None
    from forensics.problem import UsageError
    from forensics.versions import is_version

    if not is_version(text):
        raise UsageError(f"--agent-version {text}: not a version like v1.3.0")
    return text


def _address(text: str | None) -> str | None:
    if text is None:
        return None
    import ipaddress

    from forensics.problem import UsageError

    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise UsageError(f"--node-ip {text}: not an IP address") from None
    return text


def _terminal(output: Path | None) -> tuple[bool, int]:
    import os
    import shutil

    interactive = output is None and sys.stdout.isatty()
    return interactive and "NO_COLOR" not in os.environ, shutil.get_terminal_size(
        (100, 40)
    ).columns if interactive else 100


def _write(text: str, output: Path | None) -> None:
    data = text.encode("utf-8", "backslashreplace")
    if output is not None:
        from forensics.problem import UsageError

        try:
            output.write_bytes(data)
        except OSError as error:
            raise UsageError(f"cannot write {output}: {error.strerror}") from None
        return
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


class _progress:  # noqa: N801 - reads as a function at its call
    """A progress line on standard error, only on a terminal, only when the work takes longer than a moment."""

    def __init__(self) -> None:
        self._status: Any = None

    def __enter__(self) -> Callable[[str, int], None] | None:
        if not sys.stderr.isatty():
            return None

        def show(name: str, done: int) -> None:
            from rich.console import Console
            from rich.text import Text

            from reports.escape import visible

            if self._status is None:
                # the line has a thread, and forks that share the work must be made before there is one
                self._status = Console(stderr=True).status("reading")
                self._status.__enter__()
            self._status.update(Text(f"{done / 1e6:,.0f} MB  {visible(name)[-80:]}"))

        return show

    def __exit__(self, *exception: object) -> None:
        if self._status is not None:
            self._status.__exit__(*exception)


def main() -> None:
    """Runs a command and turns every failure into one line and the documented exit status."""
    from forensics.problem import NpforensicsError

    # A run makes much and throws little away: looking for cycles at every few hundred objects is a tenth of its time.
    gc.set_threshold(_GC_OBJECTS)
    # No matrix is multiplied here; the threads that numpy would start for it are in the way of forks.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        status = app(standalone_mode=False)
    except NpforensicsError as error:
        _fail(str(error), EXIT_USAGE)
    except typer.TyperException as error:
        _fail(error.format_message(), EXIT_USAGE)
    except BrokenPipeError:
        sys.stderr.close()
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted", EXIT_INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the last line of defence: a user never sees a traceback
        _fail(f"internal error: {type(error).__name__}: {error} (please report this)", EXIT_INTERNAL)
    else:
        sys.exit(status if isinstance(status, int) else 0)


def command() -> None:
    """The console script: main(), and an end at once. Millions of objects are not taken apart one by one before it."""
    status: object = 0
    try:
        main()
    except SystemExit as end:
        status = end.code
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status if isinstance(status, int) else 0)


def _fail(message: str, status: int) -> None:
    line = " ".join(message.split())
    sys.stderr.write("npforensics: " + line.encode("utf-8", "backslashreplace").decode() + "\n")
    sys.exit(status)


if __name__ == "__main__":
    command()

"""fastroute route LOGS."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from fastroute.cli import DONE, INCOMPLETE
from fastroute.cli.grouped import GroupedCommand, options_about
from fastroute.cli.memory import keep_memory_small
from fastroute.cli.terminal import announce_compilation, count, paint, print_arrow, print_json, print_table, progress, warn

if TYPE_CHECKING:
    from fastroute.api import Snapshot
    from fastroute.io.manifest import Manifest

NUM_CLASSES_SHOWN = 8
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


ABOUT_LOGS, ABOUT_FILES, ABOUT_RUNS, ABOUT_SUMS = "Snapshot and logs", "Routed files (--out)", "Runs (--out FOLDER)", "Sums (--by)"
_logs, _files, _runs, _sums = map(options_about, (ABOUT_LOGS, ABOUT_FILES, ABOUT_RUNS, ABOUT_SUMS))


@click.command("route", cls=GroupedCommand)
@click.argument("logs", nargs=-1, required=True, type=click.Path(allow_dash=True))
@_logs("--snapshot", "-s", required=True, type=click.Path(), help="Snapshot folder, a folder of several, or a file of `fastroute compile`.")
@_logs("--no-cache", "cache", flag_value=False, default=True, help="Read and compile the folder anew, and keep nothing of it.")
@_logs("--static", is_flag=True, help="The snapshot holds for all time: whoever has an address in it always had.")
@_logs("--format", "log_format", metavar="'${F} ...'", help="Fields of text logs without a header, as AWS shows a log's format.")
@_files("--out", metavar="FOLDER|-", help="New folder for the routed files; - writes one Arrow IPC stream to stdout.")
@_files("--columns", metavar="A,B,C", help="Columns to add instead of the default ones; `all` adds every one.")
@_files(
    "--write",
    type=click.Choice(["auto", "splice", "encode"]),
    default="auto",
    show_default=True,
    help="Copy the input's columns as bytes, or encode them anew; auto copies where it can.",
)
@_files(
    "--count",
    "counts",
    type=click.Choice(["records", "flows"]),
    default="records",
    show_default=True,
    help="Count every record, or each flow once: adds the columns leg and is_counted. Also of sums.",
)
@_runs("--overwrite", is_flag=True, help="Replace an earlier output in the same folder.")
@_runs("--resume", is_flag=True, help="Go on with a run that was killed; if this one is, the next can.")
@_runs("--incremental", is_flag=True, help="The same, and add new files to a finished output, change those that changed.")
@_runs(
    "--on-error",
    type=click.Choice(["stop", "skip"]),
    default="stop",
    show_default=True,
    help="What an unreadable file does: end the run, or be left out and named; then the exit code is 3.",
)
@_runs("--min-attributed", type=click.FloatRange(0, 1), metavar="SHARE", help="Exit with 3 where a smaller share of records is attributed.")
@_sums("--by", metavar="A,B", help="Print sums by these columns (added ones or the log's own) instead of writing files.")
@_sums("--top", type=click.IntRange(min=1), metavar="N", help="The N largest groups.")
@_sums(
    "--measure",
    "measures",
    default="bytes,records",
    show_default=True,
    metavar="M,...",
    help="bytes, packets, records, and with --count flows flows; sorted by the first.",
)
@click.option("--threads", type=click.IntRange(min=1), help="Processors to use; all by default.")
@click.option(
    "--output",
    "-o",
    default="table",
    show_default=True,
    metavar="FORM",
    help="Of what is printed: table, json; with --by also csv, parquet=PATH.",
)
@click.pass_context
def command(
    ctx: click.Context,
    logs: tuple[str, ...],
    snapshot: str,
    cache: bool,
    static: bool,
    log_format: str | None,
    out: str | None,
    columns: str | None,
    write: str,
    counts: str,
    overwrite: bool,
    resume: bool,
    incremental: bool,
    on_error: str,
    min_attributed: float | None,
    by: str | None,
    top: int | None,
    measures: str,
    threads: int | None,
    output: str,
) -> None:
    """Route and classify every flow of LOGS: files, folders or patterns of VPC flow logs in Parquet or text, or - for stdin.

    LOGS may also be tables of questions (Parquet, CSV, Arrow) with columns src and dst: addresses, namespace/pod, node, interface, instance
    or service names; optional protocol, src_port, dst_port, bytes, packets, start.

    One Parquet file is written for each input file, at the same place under --out, with every input column and row, in order, and the new
    columns. _manifest.json accounts for every record and byte; _paths/ decodes path_id into hops. Files appear whole or not at all.
    """
    keep_memory_small()
    from fastroute.api import Snapshot

    if (out is None) == (by is None):
        raise click.UsageError("say where the routed files go: --out FOLDER; or what to sum up: --by COLUMN,...")
    if output not in {"table", "json"} and (by is None or not (output == "csv" or output.startswith("parquet="))):
        raise click.UsageError(f"-o {output}: it is table or json; with --by also csv or parquet=PATH")
    _refuse_idle(ctx, "--by" if by is not None else "--out -" if out == "-" else "--out FOLDER")
    if out == "-" and output != "table":
        raise click.UsageError(f"-o {output}: nothing is printed with --out -, whose data goes to stdout")
    given: dict[str, Any] = {"static": static, "threads": threads}
    if log_format is not None:
        from fastroute.io.logformat import parse_format

        given["log_format"] = parse_format(log_format)
    announce_compilation()
    loaded = Snapshot.load(snapshot, cache=cache)
    for missing in loaded.missing:
        warn(f"the snapshot has no {missing.what}; lost: {missing.loses}")
    if by is not None:
        ctx.exit(_aggregate(logs, loaded, by, top=top, measures=measures, counts=counts, output=output, given=given))
    assert out is not None
    given["columns"] = _listed(columns) if columns else None
    if out == "-":
        ctx.exit(_stream(logs, loaded, given, min_attributed))
    given |= {"overwrite": overwrite, "resume": resume, "incremental": incremental, "on_error": on_error, "min_attributed": min_attributed}
    with terminable():
        ctx.exit(_write(logs, loaded, Path(out), {**given, "write": write, "count": counts}, output))


_IDLE: dict[str, tuple[set[str], set[str]]] = {
    "--by": ({ABOUT_FILES, ABOUT_RUNS}, {"counts", "out"}),
    "--out -": ({ABOUT_RUNS, ABOUT_SUMS}, {"min_attributed"}),
    "--out FOLDER": ({ABOUT_SUMS}, set()),
}
"""Groups of options that a form has no use for, and what it takes of them all the same."""
_IDLE_TOO = {"--out -": {"write", "counts"}}


def _refuse_idle(ctx: click.Context, form: str) -> None:
    """Refuse options that would do nothing."""
    groups, used = _IDLE[form]
    for parameter in ctx.command.params:
        name = str(parameter.name)
        is_idle = (getattr(parameter, "group", "") in groups and name not in used) or name in _IDLE_TOO.get(form, ())
        if is_idle and ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{parameter.opts[0]} does nothing with {form}")


@contextmanager
def terminable() -> Iterator[None]:
    """Take SIGTERM for Ctrl-C: the run leaves its folder as it should before it goes."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _write(logs: tuple[str, ...], snapshot: Snapshot, out: Path, given: dict[str, Any], output: str) -> int:
    from fastroute.jobs.route import route_files

    with progress() as report:
        manifest = route_files(logs, snapshot, out, **given, progress=report)
    for path in manifest.ignored:
        warn(f"{path} is no flow log and was left out")
    for each in manifest.skipped:
        warn(f"skipped: {each.reason}")
    for path in manifest.run["changed"]:
        warn(f"{path} has changed; its output was made anew")
    for path in manifest.run["vanished"]:
        warn(f"{path} is not there any more; its output was kept")
    if output == "json":
        print_json(manifest.to_dict())
    else:
        print_summary(manifest)
        kept = f", {count(manifest.run['files_kept'])} of them kept from an earlier run" if manifest.run["files_kept"] else ""
        files = f"{count(len(manifest.files))} file" + ("s" if len(manifest.files) != 1 else "")
        click.echo(f"\n{files} in {out}{kept}, with _manifest.json and _paths/ beside them")
    return INCOMPLETE if manifest.is_incomplete else DONE


def _stream(logs: tuple[str, ...], snapshot: Snapshot, given: dict[str, Any], min_attributed: float | None) -> int:
    from fastroute.jobs.stream import route_stream

    if sys.stdout.isatty():
        raise click.UsageError("--out -: stdout is a terminal; pipe it into a program that reads Arrow IPC, or into a file")
    try:
        with progress() as report:
            account = route_stream(logs, snapshot, sys.stdout.buffer, **given, progress=report)
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough; click would call it a failure.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    share = account.attributed_share
    warn(f"{count(account.records)} records, {count(account.excluded)} of them without traffic, {share:.1%} of the others attributed")
    return INCOMPLETE if min_attributed is not None and share < min_attributed else DONE


def _aggregate(
    logs: tuple[str, ...],
    snapshot: Snapshot,
    by: str,
    *,
    top: int | None,
    measures: str,
    counts: str,
    output: str,
    given: dict[str, Any],
) -> int:
    from fastroute.jobs.aggregate import aggregate_files

    with progress() as report:
        found = aggregate_files(logs, snapshot, _listed(by), top=top, measures=_listed(measures), count=counts, progress=report, **given)
    print_arrow(found.table, output, right=_listed(measures))
    account = found.account.to_dict()
    left_out = account["excluded"]["records"]
    note = f"{count(account['input']['records'])} records read"
    click.echo(f"fastroute: {note}" + (f", {count(left_out)} of them without traffic (NODATA, SKIPDATA)" if left_out else ""), err=True)
    return DONE


def _listed(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def print_summary(manifest: Manifest) -> None:
    """Print the account of a run and its most frequent path classes."""
    account, run = manifest.account, manifest.run
    rate = count(run["records_per_second"])
    click.echo(f"{count(manifest.records)} records in {run['seconds']:.1f} s, {rate} a second on {run['threads']} threads\n")
    flows = [("  counted, once a flow", "counted"), ("  seen again on their way", "duplicates")]
    rows = [
        _line("input", account["input"]),
        _line("  attributed: exact", account["attributed"]["exact"]),
        _line("  attributed: inferred", account["attributed"]["inferred"]),
        _line("  ambiguous", account["ambiguous"]),
        _line("  unknown", account["unknown"]),
        _line("  excluded (NODATA, SKIPDATA)", account["excluded"]),
    ]
    rows += [_line(name, account[key]) for name, key in flows if key in account]
    print_table(rows, ["account", "records", "volume"], right=["records", "volume"])
    parts = [
        account["attributed"]["exact"],
        account["attributed"]["inferred"],
        account["ambiguous"],
        account["unknown"],
        account["excluded"],
    ]
    whole = account["input"]
    for measure in ("records", "bytes"):
        total = sum(part[measure] for part in parts)
        if total != whole[measure]:
            raise AssertionError(f"the account does not add up: {total} of {whole[measure]} {measure}")
    click.echo(paint(f"adds up to the input; {count(account['rejected']['records'])} records were REJECTed\n", dim=True))
    for title, kinds in (("path class", account["path_classes"]), ("disposition", account["dispositions"])):
        lines = [{title: name, **_line(name, numbers)} for name, numbers in list(kinds.items())[:NUM_CLASSES_SHOWN]]
        print_table(lines, [title, "records", "volume"], right=["records", "volume"])
        click.echo()


def _line(name: str, numbers: dict[str, Any]) -> dict[str, object]:
    return {"account": name, "records": numbers["records"], "volume": volume(numbers["bytes"])}


def volume(num_bytes: int) -> str:
    """1234567 -> `1.2 MB`."""
    amount, unit = float(num_bytes), 0
    while amount >= 1000 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.0f} {_UNITS[unit]}" if unit == 0 else f"{amount:.1f} {_UNITS[unit]}"

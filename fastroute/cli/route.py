"""fastroute route LOGS."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastroute.cli import DONE, INCOMPLETE
from fastroute.cli.snapshots import cache_option, snapshot_option
from fastroute.cli.terminal import announce_compilation, count, paint, print_arrow, print_json, print_table, progress, warn

if TYPE_CHECKING:
    from fastroute.api import Snapshot
    from fastroute.io.manifest import Manifest

NUM_CLASSES_SHOWN = 8
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


@click.command("route")
@click.argument("logs", nargs=-1, required=True, type=click.Path())
@snapshot_option
@cache_option
@click.option("--out", type=click.Path(path_type=Path), help="New folder for the routed files.")
@click.option("--by", metavar="A,B", help="Print sums by these columns (added ones or the log's own) instead of writing files.")
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="With --by: the N largest groups.")
@click.option(
    "--measure",
    "measures",
    default="bytes,records",
    show_default=True,
    metavar="M,...",
    help="With --by: bytes, packets, records; sorted by the first.",
)
@click.option("--columns", metavar="A,B,C", help="Columns to add instead of the default ones; `all` adds every one.")
@click.option("--threads", type=click.IntRange(min=1), help="Processors to use; all by default.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier output in the same folder.")
@click.option(
    "--min-attributed", type=click.FloatRange(0, 1), metavar="SHARE", help="Exit with 3 where a smaller share of records is attributed."
)
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
    out: Path | None,
    by: str | None,
    top: int | None,
    measures: str,
    columns: str | None,
    threads: int | None,
    overwrite: bool,
    min_attributed: float | None,
    output: str,
) -> None:
    """Route and classify every flow of LOGS: files, folders or patterns of VPC flow logs in Parquet.

    LOGS may also be tables of questions (Parquet, CSV, Arrow) with columns src and dst: addresses, namespace/pod, node, interface, instance
    or service names; optional protocol, src_port, dst_port, bytes, packets, start.

    One Parquet file is written for each input file, at the same place under --out, with every input column and row, in order, and the new
    columns. _manifest.json accounts for every record and byte; _paths/ decodes path_id into hops.
    """
    from fastroute.api import Snapshot

    if (out is None) == (by is None):
        raise click.UsageError("say where the routed files go: --out FOLDER; or what to sum up: --by COLUMN,...")
    if output not in {"table", "json"} and (by is None or not (output == "csv" or output.startswith("parquet="))):
        raise click.UsageError(f"-o {output}: it is table or json; with --by also csv or parquet=PATH")
    announce_compilation()
    loaded = Snapshot.load(snapshot, cache=cache)
    for missing in loaded.missing:
        warn(f"the snapshot has no {missing.what}; lost: {missing.loses}")
    if by is not None:
        ctx.exit(_aggregate(logs, loaded, by, top=top, measures=measures, threads=threads, output=output))
    assert out is not None
    ctx.exit(_write(logs, loaded, out, columns=columns, threads=threads, overwrite=overwrite, min_attributed=min_attributed, output=output))


def _write(
    logs: tuple[str, ...],
    snapshot: Snapshot,
    out: Path,
    *,
    columns: str | None,
    threads: int | None,
    overwrite: bool,
    min_attributed: float | None,
    output: str,
) -> int:
    from fastroute.jobs.route import route_files

    with progress() as report:
        manifest = route_files(
            logs,
            snapshot,
            out,
            columns=_listed(columns) if columns else None,
            threads=threads,
            overwrite=overwrite,
            min_attributed=min_attributed,
            progress=report,
        )
    for path in manifest.ignored:
        warn(f"{path} is no flow log and was left out")
    if output == "json":
        print_json(manifest.to_dict())
    else:
        print_summary(manifest)
        click.echo(f"\n{count(len(manifest.files))} files in {out}, with _manifest.json and _paths/ beside them")
    return INCOMPLETE if manifest.run.get("is_below_min_attributed") else DONE


def _aggregate(
    logs: tuple[str, ...], snapshot: Snapshot, by: str, *, top: int | None, measures: str, threads: int | None, output: str
) -> int:
    from fastroute.jobs.aggregate import aggregate_files

    with progress() as report:
        found = aggregate_files(logs, snapshot, _listed(by), top=top, measures=_listed(measures), threads=threads, progress=report)
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
    seconds = run["seconds"]
    rate = manifest.records / seconds if seconds else 0.0
    click.echo(f"{count(manifest.records)} records in {seconds:.1f} s, {count(round(rate))} a second on {run['threads']} threads\n")
    rows = [
        _line("input", account["input"]),
        _line("  attributed: exact", account["attributed"]["exact"]),
        _line("  attributed: inferred", account["attributed"]["inferred"]),
        _line("  ambiguous", account["ambiguous"]),
        _line("  unknown", account["unknown"]),
        _line("  excluded (NODATA, SKIPDATA)", account["excluded"]),
    ]
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

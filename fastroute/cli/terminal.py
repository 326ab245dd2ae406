"""What a terminal shows: tables, progress, and the forms of printed data. Colour and bars only where a person looks."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import pyarrow as pa

Row = Mapping[str, object]
Report = Callable[[str, int, int], None]
"""Progress: what is being done, how much is done, of how much (0: not known)."""


def has_colour(stream: Any) -> bool:
    """Whether a stream is a terminal whose user has not asked for plain text."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str | None = None, *, bold: bool = False, dim: bool = False) -> str:
    """Colour a text for stdout, where it is a terminal."""
    if not has_colour(sys.stdout):
        return text
    return click.style(text, fg=colour, bold=bold, dim=dim)


def warn(text: str) -> None:
    """One line of warning on stderr."""
    click.echo(f"fastroute: {text}", err=True)


def announce_compilation() -> None:
    """Say on stderr why the first run on a machine takes longer."""
    from fastroute.datapath import is_compiled

    if not is_compiled():
        warn("first run on this machine: compiling, some 15 s, once")


@contextmanager
def progress() -> Iterator[Report]:
    """A bar on stderr if that is a terminal, else silence; yields the function to report to."""
    if not sys.stderr.isatty():
        yield lambda stage, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True, no_color=not has_colour(sys.stderr)), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total or None)
            bar.update(tasks[stage], completed=done, total=total or None)

        yield report


def print_table(rows: Sequence[Row], columns: Sequence[str], *, right: Sequence[str] = ()) -> None:
    """Print rows as a plain aligned table; columns in `right` are aligned there."""
    texts = [[_text(row.get(column)) for column in columns] for row in rows]
    widths = [max([len(column), *(len(line[i]) for line in texts)]) for i, column in enumerate(columns)]

    def line(cells: Sequence[str]) -> str:
        padded = (cell.rjust(w) if name in right else cell.ljust(w) for cell, w, name in zip(cells, widths, columns, strict=True))
        return "  ".join(padded).rstrip()

    click.echo(paint(line(columns), dim=True))
    for cells in texts:
        click.echo(line(cells))


def _text(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def print_csv(rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Print rows as CSV with a header; absent values are empty."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if row.get(column) is None else row.get(column) for column in columns])


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_arrow(table: pa.Table, output: str, *, right: Sequence[str] = ()) -> None:
    """Print a table in the form asked for: table, json, csv; `parquet=PATH` writes it there."""
    if output.startswith("parquet="):
        from fastroute.io.parquet import write_table

        write_table(table, output.removeprefix("parquet="))
        return
    rows = table.to_pylist()
    if output == "json":
        print_json(rows)
    elif output == "csv":
        print_csv(rows, table.column_names)
    elif output == "table":
        print_table(rows, table.column_names, right=right)
    else:
        raise click.UsageError(f"-o {output}: it is table, json, csv or parquet=PATH")


def count(number: int) -> str:
    """1234567 -> `1,234,567`."""
    return f"{number:,}"

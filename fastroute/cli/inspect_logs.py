"""What `inspect` prints of flow logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fastroute.cli.route import volume
from fastroute.cli.terminal import count, paint, print_table
from fastroute.jobs.inspect_logs import time_text

if TYPE_CHECKING:
    from fastroute.jobs.inspect_logs import LogInspection

NUM_SHOWN = 20
"""Findings, and files left out, that are printed; `-o json` has all."""


def print_logs(inspection: LogInspection) -> None:
    """Print what logs are."""
    version = f", fields up to version {inspection.version}" if inspection.version else ""
    click.echo(f"{paint(inspection.kind, bold=True)}{version}")
    about = "" if inspection.is_counted else "about "
    opened = f", {count(inspection.opened)} of them opened" if inspection.opened < inspection.files else ""
    click.echo(f"{about}{count(inspection.records)} records in {count(inspection.files)} files of {volume(inspection.num_bytes)}{opened}\n")
    rows = [
        {"form": form.kind, "layout": form.layout, "fields by": form.fields_told_by, "fields": len(form.columns), "files": form.files,
         "volume": volume(form.num_bytes)}
        for form in inspection.forms[:NUM_SHOWN]
    ]  # fmt: skip
    print_table(rows, ["form", "layout", "fields by", "fields", "files", "volume"], right=["fields", "files", "volume"])
    if inspection.unknown_columns:
        click.echo(f"\nFields that AWS's table does not have, passed through: {', '.join(inspection.unknown_columns)}")
    _print_seen(inspection)
    if inspection.answers:
        click.echo()
        print_table(
            [{**answer._asdict(), "add": " ".join(answer.add) or None} for answer in inspection.answers], ["what", "answered", "add"]
        )
    for answer in inspection.answers:
        if answer.loses:
            click.echo(f"  {answer.what}: without {', '.join(answer.add)}: {answer.loses}")
    _print_findings(inspection)


def _print_seen(inspection: LogInspection) -> None:
    seen = inspection.seen
    if not seen.records:
        click.echo("\nNo records.")
        return
    sampled = f", of {count(seen.records)} records read (--all reads every one)" if inspection.is_sampled else ""
    first, last = time_text(seen.first_start), time_text(seen.last_end)
    if first and last:
        click.echo(f"\nFrom {first} to {last}{sampled}; windows of up to {count(seen.longest_window)} s")
    elif sampled:
        click.echo(f"\nWhat follows is true{sampled}")
    rows = [
        {"log status": name, "records": number, "share": f"{inspection.share(name):.2%}"}
        for name, number in seen.statuses.items()
        if number
    ]
    if seen.rejected:
        rows.append({"log status": "  OK, but REJECT", "records": seen.rejected, "share": f"{seen.rejected / seen.records:.2%}"})
    if rows:
        click.echo()
        print_table(rows, ["log status", "records", "share"], right=["records", "share"])


def _print_findings(inspection: LogInspection) -> None:
    for title, is_fault in (("Cannot be read:", True), ("Worth knowing:", False)):
        found = [finding for finding in inspection.findings if finding.is_fault is is_fault]
        if found:
            click.echo(f"\n{paint(title, 'red' if is_fault else None, bold=True)}")
        for finding in found[:NUM_SHOWN]:
            click.echo(f"  {finding.subject}: {finding.text}")
        if len(found) > NUM_SHOWN:
            click.echo(f"  {count(len(found) - NUM_SHOWN)} more (-o json lists all)")
    if inspection.ignored:
        shown = ", ".join(inspection.ignored[:5]) + (", ..." if len(inspection.ignored) > 5 else "")
        click.echo(f"\nNo flow logs, left out: {shown}")

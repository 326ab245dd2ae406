"""fastroute drift PATH."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fastroute.cli import DONE, FINDINGS, INCOMPLETE
from fastroute.cli.terminal import count, paint, print_json, print_table, progress

if TYPE_CHECKING:
    from fastroute.jobs.drift import DriftReport, NodeDrift

COLOURS = {"error": "red", "warning": "yellow", "info": None}
NUM_SHOWN = 10
"""Findings of one kind that are printed of a node; `-o json` has all."""


@click.command("drift")
@click.argument("path", type=click.Path())
@click.option("--snapshot", "-s", type=click.Path(), help="Snapshot (folder or compiled file) whose nodes, pods and settings are expected.")
@click.option("--node", "nodes", multiple=True, metavar="NAME", help="Only this node; repeatable.")
@click.option("--output", "-o", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_context
def command(ctx: click.Context, path: str, snapshot: str | None, nodes: tuple[str, ...], output: str) -> None:
    """Say where nodes' rules, tables and marks differ from what the VPC CNI plugin should have programmed, and whom that hurts.

    PATH is a snapshot with nodes/, a folder of one node's dumps or of several, or a support bundle. Without a snapshot, what the dumps say
    of themselves is judged. Exit code 1 on findings; 3 where there are none, but something could not be judged.
    """
    from fastroute.jobs.drift import drift

    with progress() as report:
        found = drift(path, snapshot=snapshot, nodes=nodes, progress=lambda done, total: report("nodes", done, total))
    if output == "json":
        print_json(found.to_dict())
    else:
        print_drift(found)
    ctx.exit(FINDINGS if found.num_faults else DONE if found.is_complete else INCOMPLETE)


def print_drift(report: DriftReport) -> None:
    """Print each node's findings, then the summary by kind."""
    for node in report.nodes:
        if node.problem or node.findings or len(report.nodes) == 1:
            print_node(node)
    summary = report.summary()
    if summary:
        print_table(summary, ["severity", "kind", "findings", "nodes"], right=["findings", "nodes"])
    healthy = sum(not node.problem and not any(f.is_fault for f in node.findings) for node in report.nodes)
    click.echo(f"{count(healthy)} of {count(len(report.nodes))} nodes without drift" + _unjudged_text(report))


def _unjudged_text(report: DriftReport) -> str:
    """What could not be judged, on how many nodes."""
    nodes: dict[tuple[str, str], int] = {}
    for node in report.nodes:
        for each in node.unjudged:
            nodes[each.what, each.needs] = nodes.get((each.what, each.needs), 0) + 1
    if not nodes:
        return ""
    lines = [f"  {what}: needs {needs}" + (f" ({count(number)} nodes)" if number > 1 else "") for (what, needs), number in nodes.items()]
    return "\n\nNot judged:\n" + "\n".join(lines)


def print_node(node: NodeDrift) -> None:
    """Print one node's findings."""
    click.echo(paint(node.name, bold=True))
    if node.problem:
        click.echo(f"  {paint('not read', 'red')}: {node.problem}")
    shown: dict[str, int] = {}
    for finding in node.findings:
        shown[finding.kind] = shown.get(finding.kind, 0) + 1
        if shown[finding.kind] > NUM_SHOWN:
            continue
        place = node.place(finding)
        severity = paint(finding.severity.value, COLOURS[finding.severity.value], bold=finding.is_fault)
        click.echo(f"  {severity}  {finding.kind}: {finding.subject}: {finding.text}" + (f"  [{place}]" if place else ""))
        click.echo(f"    hurts: {finding.traffic}")
        click.echo(f"    fix: {finding.fix}")
    for kind, number in shown.items():
        if number > NUM_SHOWN:
            click.echo(f"  {kind}: {count(number - NUM_SHOWN)} more (-o json lists all)")
    click.echo("")

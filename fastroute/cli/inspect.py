"""fastroute inspect SNAPSHOT, and inspect LOGS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fastroute.cli import DONE, FINDINGS
from fastroute.cli.snapshots import cache_option
from fastroute.cli.terminal import count, paint, print_json, print_table, progress
from fastroute.cli.whois import print_interfaces

if TYPE_CHECKING:
    from fastroute.jobs.inspect import SnapshotInspection

NUM_SHOWN = 20
"""Findings of one kind that are printed; `-o json` has all."""


@click.command("inspect")
@click.argument("paths", metavar="SNAPSHOT|LOGS...", nargs=-1, required=True, type=click.Path())
@click.option("--node", "nodes", multiple=True, metavar="NAME", help="Also show this node's interfaces and pods; repeatable, or `all`.")
@click.option("--pod", "pods", multiple=True, metavar="NAMESPACE/NAME", help="Also show this pod's containers and ports; repeatable.")
@cache_option
@click.option("--format", "log_format", metavar="'${version} ...'", help="Fields of text logs without a header, as the flow log has them.")
@click.option("--all", "is_whole", is_flag=True, help="Read every record of the logs instead of some millions.")
@click.option("--output", "-o", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_context
def command(
    ctx: click.Context,
    paths: tuple[str, ...],
    nodes: tuple[str, ...],
    pods: tuple[str, ...],
    cache: bool,
    log_format: str | None,
    is_whole: bool,
    output: str,
) -> None:
    """Say what a snapshot holds, or what flow logs are.

    Of a snapshot: what was not understood, what is missing, and what does not fit together: a pod on no node, an address that no interface
    holds, a route to nowhere.

    Of logs (files, folders, patterns, `-`): their form, fields and time, what they answer, which fields to add for the rest, and what looks
    wrong.

    Exit code 1 where something does not fit together, or where a log cannot be read beside others that can.
    """
    from fastroute.jobs.inspect import is_snapshot

    if len(paths) > 1 or not is_snapshot(paths[0]):
        if nodes or pods:
            raise click.UsageError("--node and --pod show parts of a snapshot; these are logs")
        ctx.exit(_inspect_logs(paths, log_format, is_whole, output))
    if log_format is not None or is_whole:
        raise click.UsageError("--format and --all are for logs; this is a snapshot")
    ctx.exit(_inspect_snapshot(paths[0], nodes, pods, output, cache=cache))


def _inspect_logs(paths: tuple[str, ...], log_format: str | None, is_whole: bool, output: str) -> int:
    from fastroute.cli.inspect_logs import print_logs
    from fastroute.io.logformat import parse_format
    from fastroute.jobs.inspect_logs import inspect_logs

    with progress() as report:
        names = parse_format(log_format) if log_format is not None else None
        inspection = inspect_logs(paths, log_format=names, whole=is_whole, progress=report)
    if output == "json":
        print_json(inspection.to_dict())
    else:
        print_logs(inspection)
    return FINDINGS if inspection.num_faults else DONE


def _inspect_snapshot(path: str, nodes: tuple[str, ...], pods: tuple[str, ...], output: str, *, cache: bool) -> int:
    from fastroute.jobs.inspect import inspect_snapshot

    with progress() as report:
        inspection = inspect_snapshot(path, lambda done, total: report("reading", done, total), cache=cache)
    if output == "json":
        print_json(inspection.to_dict(pods=bool(pods)))
    else:
        _print(inspection, nodes, pods)
    return FINDINGS if inspection.num_faults else DONE


def _print(inspection: SnapshotInspection, nodes: tuple[str, ...], pods: tuple[str, ...]) -> None:
    click.echo(f"{paint(inspection.path, bold=True)}, captured at {inspection.topology.captured_at or 'an unknown time'}\n")
    rows = [{"what": name.replace("_", " "), "count": number} for name, number in inspection.counts.items() if number]
    print_table(rows, ["what", "count"], right=["count"])
    _print_report(inspection)
    for node in inspection.nodes:
        if node.name in nodes or "all" in nodes:
            click.echo(
                f"\n{paint(node.name, bold=True)}  {node.instance_type} {node.instance_id or ''} {node.az_id}  {count(len(node.pods))} pods"
            )
            print_interfaces(node.interfaces)
    unknown = set(nodes) - {node.name for node in inspection.nodes} - {"all"}
    if unknown:
        raise click.UsageError(f"no node {', '.join(sorted(unknown))} in the snapshot")
    for key in pods:
        pod = inspection.pod(key)
        click.echo(f"\n{paint(key, bold=True)}  {pod.phase}  {', '.join(pod.addrs)}  on {pod.node or 'no node'}")
        for container in pod.containers:
            ports = ", ".join(f"{port.number}/{port.protocol}" for port in container.ports) or "no ports declared"
            click.echo(f"  {container.name}: {ports}")


def _print_report(inspection: SnapshotInspection) -> None:
    unused = [kind for kind in inspection.report.totals() if kind.use.name != "READ"]
    if unused:
        click.echo("\nRead, but not used for paths:")
        for kind in unused:
            click.echo(f"  {kind.kind} ({count(kind.num_objects)}): {kind.use.value}" + (f", {kind.note}" if kind.note else ""))
    others = inspection.report
    for what, names in (
        ("node dumps (`get` and `drift` use them, `route` and `trace` not yet)", others.node_folders),
        ("support bundles (likewise)", others.bundles),
    ):
        if names:
            click.echo(f"\n{count(len(names))} {what}: {', '.join(names[:5])}" + (", ..." if len(names) > 5 else ""))
    if others.other_files:
        click.echo(
            f"\nFiles that are no part of a snapshot: {', '.join(others.other_files[:5])}"
            + (", ..." if len(others.other_files) > 5 else "")
        )
    if others.fields:
        click.echo("\nFields that were not understood and could matter:")
        for each in others.fields:
            click.echo(f"  {each.path} ({count(each.count)}), first in {each.first_file}")
    if inspection.missing:
        click.echo("\nMissing:")
        for missing in inspection.missing:
            click.echo(f"  {missing.what}: {missing.loses}")
    for title, is_fault in (("Does not fit together:", True), ("Worth knowing:", False)):
        found = [finding for finding in inspection.findings if finding.is_fault is is_fault]
        if found:
            click.echo(f"\n{paint(title, 'red' if is_fault else None, bold=True)}")
        by_kind: dict[str, int] = {}
        for finding in found:
            by_kind[finding.kind] = by_kind.get(finding.kind, 0) + 1
            if by_kind[finding.kind] <= NUM_SHOWN:
                click.echo(f"  {finding.kind}: {finding.subject}: {finding.text}")
        for slug, number in by_kind.items():
            if number > NUM_SHOWN:
                click.echo(f"  {slug}: {count(number - NUM_SHOWN)} more (-o json lists all)")
    if not any(finding.is_fault for finding in inspection.findings):
        click.echo("\nEverything fits together.")

"""fastroute whois ADDR|POD|NODE."""

from __future__ import annotations

import click

from fastroute.cli.terminal import paint, print_json, print_table


@click.command("whois")
@click.argument("name", metavar="ADDR|POD|NODE|ENI|INSTANCE")
@click.option("--snapshot", "-s", required=True, type=click.Path(), help="Snapshot folder.")
@click.option("--vpc", metavar="ID", help="VPC in whose address space the address is meant.")
@click.option("--output", "-o", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(name: str, snapshot: str, vpc: str | None, output: str) -> None:
    """Say who an address, a namespace/pod, a node, an interface or an instance is.

    A pod is shown with its containers, ports, veth and rules; a node with its interfaces, and what of each is in use or warm.
    """
    from fastroute.io.snapshot import read_snapshot
    from fastroute.jobs.whois import whois

    found = whois(read_snapshot(snapshot).topology, name, vpc)
    if output == "json":
        print_json(found.to_dict())
        return
    for key, value in found.found.items():
        if value is not None:
            click.echo(f"{key + ':':<16}{paint(value, bold=key == 'kind')}")
    if found.note:
        click.echo(f"{'note:':<16}{found.note}")
    if found.veth is not None:
        click.echo(f"{'veth:':<16}{found.veth}")
    for rule in found.rules:
        click.echo(f"{'rule:':<16}{rule.expandtabs(8)}")
    for container in found.containers:
        click.echo(f"{'container:':<16}{container}")
    if found.interfaces:
        click.echo()
        rows = [
            {
                "eni": each.eni,
                "device": each.device_number,
                "table": each.table,
                "primary": each.primary_addr,
                "prefixes": len(each.prefixes),
                "used": len(each.used),
                "warm": len(each.warm) + 16 * len(each.prefixes) - sum(1 for addr in each.used if each.prefixes and addr not in each.warm),
                "subnet": each.subnet_id,
            }
            for each in found.interfaces
        ]
        print_table(rows, ["eni", "device", "table", "primary", "prefixes", "used", "warm", "subnet"], right=["device", "prefixes", "used", "warm"])

"""fastroute whois ADDR|POD|NODE."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fastroute.cli.snapshots import at_option, cache_option, snapshot_option
from fastroute.cli.terminal import paint, print_json, print_table

if TYPE_CHECKING:
    from fastroute.topology.views import InterfaceView


@click.command("whois")
@click.argument("name", metavar="ADDR|POD|NODE|ENI|INSTANCE")
@snapshot_option
@cache_option
@at_option
@click.option("--vpc", metavar="ID", help="VPC in whose address space the address is meant.")
@click.option("--output", "-o", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(name: str, snapshot: str, cache: bool, at: str | None, vpc: str | None, output: str) -> None:
    """Say who an address, a namespace/pod, a node, an interface or an instance is.

    A pod is shown with its containers, ports, veth and rules; a node with its interfaces, and what of each is in use or warm; an address
    with the pods that held it, one after the other. --at asks who it was at a time.
    """
    from fastroute.api import Snapshot

    found = Snapshot.load(snapshot, cache=cache).whois(name, vpc_id=vpc, at=at)
    if output == "json":
        print_json(found.to_dict())
        return
    for key, value in found.found.items():
        if value is not None:
            click.echo(f"{key + ':':<16}{paint(value, bold=key == 'kind')}")
    lines = [("note", found.note), ("veth", found.veth or "")]
    lines += [("rule", rule.expandtabs(8)) for rule in found.rules] + [("container", text) for text in found.containers]
    for key, text in lines:
        if text:
            click.echo(f"{key + ':':<16}{text}")
    if found.history:
        click.echo()
        print_history(found.history)
    if found.node is not None:
        click.echo()
        print_interfaces(found.node.interfaces)


def print_history(history: tuple[dict[str, str | None], ...]) -> None:
    """A table of who held an address: possibly from the first to the last time, surely between the two inner ones."""
    print_table([{key: value or "" for key, value in each.items()} for each in history], list(history[0]))


def print_interfaces(interfaces: tuple[InterfaceView, ...]) -> None:
    """A table of a node's interfaces: what they hold, and how much of it pods use."""
    rows = [
        {
            "eni": each.id,
            "card": each.network_card,
            "device": each.device_number,
            "address": each.addr,
            "public": each.public_addr,
            "prefixes": len(each.prefixes),
            "used": each.num_used,
            "warm": each.num_warm,
            "subnet": each.subnet_id,
            "az": each.az_id,
        }
        for each in interfaces
    ]
    print_table(rows, list(rows[0]) if rows else ["eni"], right=["card", "device", "prefixes", "used", "warm"])

"""fastroute trace SRC DST[:PORT]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fastroute.cli import DONE, FINDINGS, INCOMPLETE
from fastroute.cli.snapshots import at_option, cache_option, snapshot_option
from fastroute.cli.terminal import paint, print_json

if TYPE_CHECKING:
    from fastroute.datapath import Explanation, Hop
    from fastroute.datapath.owners import End
    from fastroute.datapath.ways import Path


@click.command("trace")
@click.argument("src")
@click.argument("dst", metavar="DST[:PORT]")
@snapshot_option
@cache_option
@at_option
@click.option("--protocol", type=click.Choice(["tcp", "udp", "sctp", "icmp"]), default="tcp", show_default=True)
@click.option("--vpc", metavar="ID", help="VPC in whose address space the addresses are meant, where they do not tell.")
@click.option("--reply", is_flag=True, help="Walk the packets that answer as well.")
@click.option("--output", "-o", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_context
def command(
    ctx: click.Context,
    src: str,
    dst: str,
    snapshot: str,
    cache: bool,
    at: str | None,
    protocol: str,
    vpc: str | None,
    reply: bool,
    output: str,
) -> None:
    """Walk one flow and print each hop with the rule, table and route that decided it.

    SRC and DST are namespace/pod, a node, an interface or instance id, namespace/service, localhost, or an address. SRC opens the
    connection. Exit code 1 where the packet does not arrive, 3 where that cannot be decided; with --reply, where that holds of the answer.
    """
    from fastroute.api import Snapshot
    from fastroute.api.trace import to_dict

    explanation = Snapshot.load(snapshot, cache=cache).trace(src, dst, protocol=protocol, vpc_id=vpc, at=at)
    if output == "json":
        print_json(to_dict(explanation))
    else:
        print_trace(explanation)
        if reply:
            print_reply(explanation)
    answered = exit_code(explanation.reply) if reply and explanation.reply is not None else DONE
    ctx.exit(exit_code(explanation.path) or answered)


def exit_code(path: Path) -> int:
    """0 where the packet arrives, 1 where it does not, 3 where that is not decided."""
    from fastroute.vocab import ARRIVES, Disposition

    if path.disposition in ARRIVES:
        return DONE
    return INCOMPLETE if path.disposition is Disposition.UNDECIDED else FINDINGS


def print_trace(explanation: Explanation) -> None:
    """Print the ends, the hops and the outcome of one walk."""
    click.echo(f"{paint(end_text(explanation.src), bold=True)}  ->  {paint(end_text(explanation.dst), bold=True)}")
    print_hops(explanation.path, comes_in=explanation.src.is_outside)
    if explanation.path.wire_src is not None:
        click.echo(f"     source NAT: {explanation.src.addr} leaves as {explanation.path.wire_src}")
    form = explanation.form.name if explanation.form is not None else "form unknown"
    print_outcome(explanation.path, form)


def print_reply(explanation: Explanation) -> None:
    """Print the way of the answers, and whether they use the interfaces of the flow."""
    if explanation.reply is None:
        click.echo("  no answer: nobody is reached")
        return
    seen_as = explanation.path.wire_src or explanation.src.addr
    click.echo(f"{paint('answer', bold=True)}  {explanation.dst.addr}  ->  {seen_as}")
    print_hops(explanation.reply, comes_in=explanation.dst.is_outside)
    if explanation.path.wire_src is not None:
        click.echo(f"     source NAT undone: {seen_as} is {explanation.src.addr} again")
    symmetry = {True: "symmetric", False: "ASYMMETRIC", None: "symmetry not known"}[explanation.is_symmetric]
    print_outcome(explanation.reply, symmetry)


def print_hops(path: Path, *, comes_in: bool) -> None:
    """Print the hops of one way, numbered. Gateways by which a packet comes in are known by the way out: the last one is passed first."""
    entries = [hop for hop in path.hops if comes_in and hop.domain.startswith("vpc-")]
    texts = [*map(entry_text, reversed(entries)), *(hop_text(hop) for hop in path.hops if hop not in entries)]
    for i, text in enumerate(texts, 1):
        click.echo(f"  {i}. {text}")


def print_outcome(path: Path, remark: str) -> None:
    """Print how a way ends."""
    colour = {DONE: "green", FINDINGS: "red", INCOMPLETE: "yellow"}[exit_code(path)]
    reason = f"  ({path.reason})" if path.reason else ""
    click.echo(f"  {paint(path.disposition.name, colour, bold=True)}  {remark}  {path.path_class.name}{reason}")


def end_text(end: End) -> str:
    """One end in words: what it is, its address, where it sits."""
    name = end.pod.key if end.pod is not None else end.node.name if end.node is not None else ""
    if not name and end.service is not None:
        name = end.service.key
    if not name and end.eni is not None:
        name = end.eni.description or end.eni.id
    place = [
        part
        for part in (end.node.name if end.pod is not None and end.node is not None else "", end.subnet.az_id if end.subnet else "")
        if part
    ]
    words = [end.kind.name, name, str(end.addr)]
    return " ".join(word for word in words if word) + (f" ({', '.join(place)})" if place else "")


def entry_text(hop: Hop) -> str:
    """A gateway by which traffic comes into a VPC: that of the way back, by whose route it is known."""
    known_by = f" (return route {hop.prefix} in {hop.table})" if hop.table else ""
    return f"{paint(hop.domain, 'cyan')}: in by {hop.gateway or 'no gateway'}{known_by}"


def hop_text(hop: Hop) -> str:
    """One hop in words: where, what decided, the way out, what comes next."""
    decided = [f"rule {hop.rule_priority}" if hop.rule_priority is not None else "", f"table {hop.table}" if hop.table else "", hop.prefix]
    way = [f"dev {hop.device}" if hop.device else "", f"via {hop.gateway}" if hop.gateway else ""]
    if not any(decided) and not hop.gateway:
        return f"{paint(hop.domain, 'cyan')}: holds the destination"
    text = f"{paint(hop.domain or 'VPC', 'cyan')}: " + ", ".join(filter(None, decided))
    out = " ".join(filter(None, way))
    return text + (f" -> {out}" if out else "") + (f"  => {hop.next_domain}" if hop.next_domain and hop.next_domain != hop.domain else "")

"""fastroute verify."""

from __future__ import annotations

import time

import click

from fastroute.cli import DONE, FINDINGS, INCOMPLETE
from fastroute.cli.terminal import count, progress, warn

NUM_SHOWN = 3


@click.command("verify")
@click.option("--nodes", type=click.IntRange(min=1), default=100, show_default=True, help="Random nodes to build.")
@click.option("--questions", type=click.IntRange(min=1), default=250, show_default=True, help="Questions of each family to each node.")
@click.option("--seed", type=int, help="Nodes and questions follow from it; a new one by default.")
@click.pass_context
def command(ctx: click.Context, nodes: int, questions: int, seed: int | None) -> None:
    """Hold the rule walk against this machine's kernel: random nodes in network namespaces, each answer compared.

    Needs root and iproute2; makes and removes namespaces of its own, and sends no packet. Exit code 1 where walk and kernel differ (the
    smallest case found is printed), 3 where this machine does not permit it.
    """
    from fastroute.jobs.verify import verify_kernel

    chosen = int(time.time()) if seed is None else seed
    started = time.monotonic()
    with progress() as report:
        found = verify_kernel(chosen, nodes, questions, report)
    if found.skipped:
        warn(f"the kernel cannot be asked here: {found.skipped}")
        ctx.exit(INCOMPLETE)
    click.echo(
        f"{count(found.questions)} questions on {count(found.nodes)} random nodes, seed {chosen}, in {time.monotonic() - started:.0f} s"
    )
    for finding in found.findings[:NUM_SHOWN]:
        click.echo(finding.text())
    if found.findings:
        click.echo(f"walk and kernel differ on {count(len(found.findings))} nodes")
        ctx.exit(FINDINGS)
    click.echo("walk and kernel agree on all of them")
    ctx.exit(DONE)

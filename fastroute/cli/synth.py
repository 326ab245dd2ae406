"""fastroute synth OUT."""

from __future__ import annotations

from pathlib import Path

import click

from fastroute.cli.terminal import count, progress


@click.command("synth")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--nodes", type=click.IntRange(2, 5000), default=60, show_default=True)
@click.option("--pods", type=click.IntRange(12, 200_000), default=2000, show_default=True)
@click.option("--records", type=click.IntRange(min=1), default=1_000_000, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True, help="Same seed, same bytes.")
@click.option(
    "--mode",
    type=click.Choice(["secondary", "prefix", "custom", "external-snat"]),
    default="secondary",
    show_default=True,
    help="How the VPC CNI gives addresses to pods, or that it leaves source NAT to a gateway.",
)
@click.option("--exclude-snat-cidr", "exclude", multiple=True, metavar="CIDR", help="Range without source NAT; repeatable.")
@click.option("--default-format", is_flag=True, help="Logs of AWS's default format: 14 fields, no packet addresses.")
@click.option("--node-dumps", is_flag=True, help="Write ip rule and ip route dumps of every node into the snapshot.")
def command(
    out: Path, nodes: int, pods: int, records: int, seed: int, mode: str, exclude: tuple[str, ...], default_format: bool, node_dumps: bool
) -> None:
    """Generate an account with a cluster, its VPC flow logs, and the truth of every record, into the new folder OUT.

    OUT/snapshot is a snapshot, OUT/logs its flow logs, OUT/truth says of each log row what really happened.
    """
    from fastroute.synth import generate

    with progress() as report:
        made = generate(
            out,
            nodes=nodes,
            pods=pods,
            records=records,
            seed=seed,
            mode=mode,
            exclude_snat_cidrs=exclude,
            default_format=default_format,
            node_dumps=node_dumps,
            progress=report,
        )
    click.echo(f"{count(made.nodes)} nodes, {count(made.pods)} pods, {count(made.records)} records in {count(made.files)} files")
    click.echo(f"next: fastroute route {made.logs} --snapshot {made.snapshot} --out {out / 'routed'}")

"""fastroute demo."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from fastroute.cli.route import print_summary
from fastroute.cli.terminal import announce_compilation, count, paint, progress
from fastroute.cli.trace import print_trace
from fastroute.errors import OutputError


@click.command("demo")
@click.option("--out", type=click.Path(path_type=Path), default=Path("demo-output"), show_default=True)
@click.option("--nodes", type=click.IntRange(2, 5000), default=60, show_default=True)
@click.option("--pods", type=click.IntRange(12, 200_000), default=2000, show_default=True)
@click.option("--records", type=click.IntRange(min=1), default=1_000_000, show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace an earlier demonstration in the same folder.")
def command(out: Path, nodes: int, pods: int, records: int, overwrite: bool) -> None:
    """Make a synthetic cluster, route a sample of its flow logs, and explain one flow of each form."""
    from fastroute.api import Snapshot
    from fastroute.jobs.demo import examples
    from fastroute.jobs.route import route_files
    from fastroute.synth import generate

    if out.exists() and any(out.iterdir()):
        if not (overwrite and (out / "snapshot").is_dir() and (out / "logs").is_dir()):
            raise OutputError(f"{out}: the folder holds other files; name a new one with --out, or --overwrite an earlier demonstration")
        shutil.rmtree(out)
    click.echo(paint(f"1. A synthetic account: {count(nodes)} nodes, {count(pods)} pods, {count(records)} flow-log records", bold=True))
    with progress() as report:
        made = generate(out, nodes=nodes, pods=pods, records=records, progress=report)
    click.echo(f"   snapshot {made.snapshot}, logs {made.logs} ({count(made.files)} files)\n")

    click.echo(paint(f"2. fastroute route {made.logs} --snapshot {made.snapshot} --out {out / 'routed'}", bold=True))
    announce_compilation()
    snapshot = Snapshot.load(made.snapshot)
    with progress() as report:
        manifest = route_files([made.logs], snapshot, out / "routed", progress=report)
    print_summary(manifest)

    click.echo(paint("\n3. fastroute trace: one flow of each form", bold=True))
    for example in examples(snapshot.topology):
        question = example.question
        click.echo(f"\n   {example.form}: fastroute trace {question.src} {question.dst} -s {made.snapshot}")
        print_trace(snapshot.trace(question.src, question.dst))
    click.echo(f"\nThe routed records lie in {out / 'routed'}, one Parquet file a log file, with _manifest.json and _paths/ beside them.")

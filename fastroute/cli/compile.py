"""fastroute compile SNAPSHOT --out FILE."""

from __future__ import annotations

from pathlib import Path

import click

from fastroute.cli import DONE
from fastroute.cli.route import volume
from fastroute.cli.snapshots import cache_option
from fastroute.cli.terminal import announce_compilation, count, progress


@click.command("compile")
@click.argument("path", metavar="SNAPSHOT", type=click.Path())
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The compiled file; an earlier one is replaced.")
@cache_option
@click.pass_context
def command(ctx: click.Context, path: str, out: Path, cache: bool) -> None:
    """Compile a snapshot into one file, which every verb accepts as --snapshot and maps into memory at once.

    The file stands for the folder: names of pods, nodes and interfaces, traces and inspections are answered from it too. Give it to other
    machines. On one machine there is no need: what a folder was compiled to is kept in the user's cache folder.
    """
    from fastroute.jobs.compile import compile_snapshot

    announce_compilation()
    with progress() as report:
        made = compile_snapshot(path, out, cache=cache, progress=lambda done, total: report("reading", done, total))
    found = ", ".join(f"{count(made.about[key])} {word}" for key, word in (("nodes", "nodes"), ("pods", "pods"), ("enis", "interfaces")))
    click.echo(f"{made.path}: {found}, {volume(made.num_bytes)}")
    ctx.exit(DONE)

"""Options of every verb that asks a snapshot."""

from __future__ import annotations

import click

snapshot_option = click.option(
    "--snapshot", "-s", required=True, type=click.Path(), help="Snapshot folder, or a file that `fastroute compile` made."
)
cache_option = click.option(
    "--no-cache",
    "cache",
    flag_value=False,
    default=True,
    help="Read and compile the folder anew, and keep nothing in the user's cache folder.",
)

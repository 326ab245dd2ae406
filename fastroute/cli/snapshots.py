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
at_option = click.option(
    "--at",
    metavar="TIME",
    help="As it was at a moment: RFC 3339 (2026-01-31T12:00:00Z), or seconds since 1970. Without it, the (newest) snapshot.",
)

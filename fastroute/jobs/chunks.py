"""Reading and routing one chunk of a file, with no column read that nobody asks for."""

from __future__ import annotations

from collections.abc import Collection

import pyarrow as pa

from fastroute.errors import InputError
from fastroute.flows import Fields, Router, find_fields
from fastroute.flows.fields import field_name
from fastroute.flows.router import Routed
from fastroute.io.flowlogs import Chunk, FlowFile

_STAND_INS = frozenset({"srcaddr", "dstaddr"})
"""Read only where packet addresses are absent."""
_TIMES = frozenset({"start", "end"})
"""Read only where what an address was depends on them."""


def route_chunk(
    source: FlowFile, chunk: Chunk, router: Router, fields: Fields, *, reads_all: bool, also: Collection[str] = ()
) -> tuple[pa.Table, Routed]:
    """Read a chunk and route its records.

    Parameters
    ----------
    source : FlowFile
    chunk : one of the source's
    fields : where the source has what
    reads_all : whether all columns are wanted, or those that routing needs
    also : names of fields that are wanted besides, where the source has them

    Returns
    -------
    pyarrow.Table
        The columns that were read.
    Routed

    Raises
    ------
    InputError
        The chunk cannot be read, or holds an address that is none; names the file.
    """
    try:
        if reads_all:
            table = source.read(chunk)
            return table, router.route(table, fields, chunk.first_row)
        unneeded = frozenset() if router.depends_on_time else _TIMES
        has_packet_addresses = "pkt_srcaddr" in fields and "pkt_dstaddr" in fields
        stand_ins = _STAND_INS & set(fields.names) if has_packet_addresses and not fields.is_simulated else frozenset()
        wanted = {at for at, name in enumerate(source.schema.names) if field_name(name) in also}
        table, routed = _route_some(source, chunk, router, fields, unneeded | stand_ins, wanted)
        if routed.without_packet_addresses and stand_ins:
            table, routed = _route_some(source, chunk, router, fields, unneeded, wanted)
        return table, routed
    except InputError as error:
        path = str(source.file.path)
        raise error if path in str(error) else InputError(f"{path}: {error}") from None


def _route_some(
    source: FlowFile, chunk: Chunk, router: Router, fields: Fields, unneeded: frozenset[str], wanted: set[int]
) -> tuple[pa.Table, Routed]:
    needed = {at for field, at in fields.at.items() if field not in unneeded}
    table = source.read(chunk, sorted(needed | wanted))
    return table, router.route(table, find_fields(table.column_names, simulated=fields.is_simulated), chunk.first_row)

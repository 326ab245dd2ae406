"""Reading and routing one chunk of a file, with no column read that nobody asks for."""

from __future__ import annotations

import pyarrow as pa

from fastroute.errors import InputError
from fastroute.flows import Fields, Router, find_fields
from fastroute.flows.router import Routed
from fastroute.io.flowlogs import Chunk, FlowFile

_STAND_INS = frozenset({"srcaddr", "dstaddr"})
"""Read only where packet addresses are absent."""
_TIMES = frozenset({"start", "end"})
"""Read only where what an address was depends on them."""


def route_chunk(source: FlowFile, chunk: Chunk, router: Router, fields: Fields, *, reads_all: bool) -> tuple[pa.Table, Routed]:
    """Read a chunk and route its records.

    Parameters
    ----------
    source : FlowFile
    chunk : one of the source's
    fields : where the source has what
    reads_all : whether all columns are wanted, or those that routing needs

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
        table, routed = _route_some(source, chunk, router, fields, unneeded | stand_ins)
        if routed.without_packet_addresses and stand_ins:
            table, routed = _route_some(source, chunk, router, fields, unneeded)
        return table, routed
    except InputError as error:
        path = str(source.file.path)
        raise error if path in str(error) else InputError(f"{path}: {error}") from None


def _route_some(source: FlowFile, chunk: Chunk, router: Router, fields: Fields, unneeded: frozenset[str]) -> tuple[pa.Table, Routed]:
    needed = sorted(at for field, at in fields.at.items() if field not in unneeded)
    table = source.read(chunk, needed)
    return table, router.route(table, find_fields(table.column_names, simulated=fields.is_simulated), chunk.first_row)

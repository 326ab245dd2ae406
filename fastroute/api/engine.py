"""The engine: flows in, paths out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from fastroute.api.ahead import map_ahead, num_threads
from fastroute.api.moments import Moments
from fastroute.api.names import NoNames
from fastroute.api.pairs import Batch, Conversation, Pairs
from fastroute.api.stream import BATCH_ROWS, large_tables, reader_of
from fastroute.api.trace import Question, trace
from fastroute.api.whois import Whois, whois
from fastroute.datapath import Compiled, Explanation, path_tables
from fastroute.datapath.paths import PathTables
from fastroute.errors import EndpointError, InputError
from fastroute.flows import NameIndex, Router, choose_columns, find_fields, output_fields
from fastroute.flows.columns import PROTOCOL_NUMBERS
from fastroute.flows.outputs import DICTIONARY
from fastroute.topology.times import Moment

DEFAULT_SRC_PORT = 40_000
"""An ephemeral port, for pairs."""


class Engine:
    """A compiled snapshot, ready to route. Safe to share between threads."""

    def __init__(
        self,
        compiled: Compiled,
        names: NameIndex | None = None,
        about: Mapping[str, Any] | None = None,
        moments: Moments | None = None,
    ) -> None:
        self.compiled = compiled
        self._moments = moments
        self._names = names if names is not None else NoNames()
        self._about = dict(about or {})

    def describe(self) -> dict[str, Any]:
        """What the engine was made from, for manifests."""
        return dict(self._about)

    def trace(self, src: str, dst: str, *, protocol: str = "tcp", vpc_id: str | None = None, at: Moment | None = None) -> Explanation:
        """Walk one flow in plain Python; see `Snapshot.trace`."""
        return trace(self._any_moment().explainer_at(at), Question(src, dst, protocol, vpc_id))

    def whois(self, name: str, *, vpc_id: str | None = None, at: Moment | None = None) -> Whois:
        """Say who a name or an address is; see `Snapshot.whois`."""
        return whois(self._any_moment(), name, vpc_id, at)

    def _any_moment(self) -> Moments:
        if self._moments is None:
            raise EndpointError("an engine of compiled arrays alone cannot explain; load the snapshot")
        return self._moments

    def path_tables(self) -> PathTables:
        """What decodes `path_id`: every leg that the snapshot has."""
        return path_tables(self.compiled)

    def router(self, columns: Sequence[str]) -> Router:
        """The router that adds the given columns."""
        return Router(self.compiled, columns, self._names)

    def route(
        self, stream: Any, *, columns: Sequence[str] | None = None, simulated: bool | None = None, threads: int | None = None
    ) -> pa.RecordBatchReader:
        """Route a stream of flow records, or of questions.

        Parameters
        ----------
        stream : anything with `__arrow_c_stream__`
            A flow log (`pkt_srcaddr`, ...) or questions (`src`, `dst`, optional `protocol`, `src_port`, `dst_port`, `bytes`).
        columns : names of the columns to add
            The default ones, or `["all"]`.
        simulated : bool, optional
            Whether the table asks questions; by default its columns tell.
        threads : int, optional
            One for each processor by default; as many batches are computed ahead of the reader.

        Returns
        -------
        pyarrow.RecordBatchReader
            The stream's columns and the added ones, every record, in order; computed as it is read.

        Raises
        ------
        InputError
            No address column, or of another type; while reading: an address that is none, a name that the snapshot does not hold.
        """
        reader = reader_of(stream)
        router = self.router(choose_columns(columns))
        fields = find_fields(reader.schema.names, router.encoder.columns, simulated)
        schema = pa.schema([*reader.schema, *output_fields(router.encoder.columns)])

        def routed(part: tuple[int, pa.Table]) -> list[pa.RecordBatch]:
            first_row, table = part
            added = router.columns(router.route(table, fields, first_row))
            batches: list[pa.RecordBatch] = pa.Table.from_arrays([*table.columns, *added], schema=schema).to_batches()
            return batches

        parts = map_ahead(routed, large_tables(reader), num_threads(threads))
        return pa.RecordBatchReader.from_batches(schema, (batch for batches in parts for batch in batches))

    def pairs(
        self,
        sources: Iterable[str],
        destinations: Iterable[str],
        *,
        protocol: int | str = "tcp",
        src_port: int = DEFAULT_SRC_PORT,
        dst_port: int = -1,
        columns: Sequence[str] | None = None,
        threads: int | None = None,
    ) -> pa.RecordBatchReader:
        """Route a flow from every source to every destination.

        Parameters
        ----------
        sources, destinations : lists, or NumPy, Arrow, Polars or pandas columns of text
            Addresses, `namespace/pod`, `namespace/service`, nodes, interfaces, instances.
        protocol : number or name
        src_port, dst_port : int
            -1 where there is none.
        columns : names of the columns to add
            The default ones, or `["all"]`.
        threads : int, optional
            One for each processor by default.

        Returns
        -------
        pyarrow.RecordBatchReader
            `src`, `dst` and the output columns; all destinations of the first source, then of the next. Memory does not grow with
            their number.

        Raises
        ------
        InputError
            An end that the snapshot does not hold; names it and the nearest.
        """
        router = self.router(choose_columns(columns))
        pairs = Pairs(
            self.compiled, self._names, _names(sources), _names(destinations), Conversation(_protocol(protocol), src_port, dst_port)
        )
        schema = pa.schema([pa.field("src", DICTIONARY), pa.field("dst", DICTIONARY), *router.encoder.fields])

        def routed(batch: Batch) -> pa.RecordBatch:
            return pa.RecordBatch.from_arrays(pairs.route(batch, router), schema=schema)

        return pa.RecordBatchReader.from_batches(schema, map_ahead(routed, pairs.batches(BATCH_ROWS), num_threads(threads)))


def _names(ends: Any) -> list[str]:
    """Text in any form as a list."""
    for method in ("to_pylist", "tolist"):
        if hasattr(ends, method):
            return list(getattr(ends, method)())
    return list(ends)


def _protocol(protocol: int | str) -> int:
    number = PROTOCOL_NUMBERS.get(protocol.lower(), -1) if isinstance(protocol, str) else protocol
    if not 0 <= number <= 255:
        raise InputError(f"protocol {protocol!r} is no number from 0 to 255 and none of {', '.join(PROTOCOL_NUMBERS)}")
    return number

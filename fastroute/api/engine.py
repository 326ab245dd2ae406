"""The engine: flows in, paths out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from fastroute.api.names import NoNames
from fastroute.api.stream import large_batches, reader_of
from fastroute.datapath import Compiled
from fastroute.flows import NameIndex, Router, choose_columns, find_fields, output_fields


class Engine:
    """A compiled snapshot, ready to route. Safe to share between threads."""

    def __init__(self, compiled: Compiled, names: NameIndex | None = None, about: Mapping[str, Any] | None = None) -> None:
        self.compiled = compiled
        self._names = names if names is not None else NoNames()
        self._about = dict(about or {})

    def describe(self) -> dict[str, Any]:
        """What the engine was made from, for manifests."""
        return dict(self._about)

    def router(self, columns: Sequence[str]) -> Router:
        """The router that adds the given columns."""
        return Router(self.compiled, columns, self._names)

    def route(self, stream: Any, *, columns: Sequence[str] | None = None, simulated: bool | None = None) -> pa.RecordBatchReader:
        """Route a stream of flow records, or of questions.

        Parameters
        ----------
        stream : anything with `__arrow_c_stream__`
            A flow log (`pkt_srcaddr`, ...) or questions (`src`, `dst`, optional `protocol`, `src_port`, `dst_port`, `bytes`).
        columns : names of the columns to add
            The default ones, or `["all"]`.
        simulated : bool, optional
            Whether the table asks questions; by default its columns tell.

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

        def batches() -> Iterator[pa.RecordBatch]:
            first_row = 0
            for table in large_batches(reader):
                added = router.columns(router.route(table, fields, first_row))
                whole = pa.Table.from_arrays([*table.columns, *added], schema=schema)
                first_row += table.num_rows
                yield from whole.to_batches()

        return pa.RecordBatchReader.from_batches(schema, batches())

"""Arrow in and out through the C stream interface: tables, frames, relations and readers of any library."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from fastroute.errors import InputError

BATCH_ROWS = 1 << 19


def reader_of(stream: Any) -> pa.RecordBatchReader:
    """Open anything with `__arrow_c_stream__`: pyarrow tables and readers, Polars and pandas frames, DuckDB relations.

    Raises
    ------
    InputError
        It has no such method.
    """
    if isinstance(stream, pa.RecordBatchReader):
        return stream
    if isinstance(stream, pa.RecordBatch):
        return pa.RecordBatchReader.from_batches(stream.schema, [stream])
    if not hasattr(stream, "__arrow_c_stream__"):
        raise InputError(
            f"a {type(stream).__name__} is no Arrow stream; pass a pyarrow table or reader, a Polars or pandas frame, or a DuckDB relation"
        )
    return pa.RecordBatchReader.from_stream(stream)


def large_tables(reader: pa.RecordBatchReader) -> Iterator[tuple[int, pa.Table]]:
    """The stream's records in tables of BATCH_ROWS and more, the last less, each with the number of its first record.

    Each distinct address is handled once a table, so small batches are joined.
    """
    pending: list[pa.RecordBatch] = []
    first = rows = 0
    for batch in reader:
        for begin in range(0, batch.num_rows, 2 * BATCH_ROWS):
            pending.append(batch.slice(begin, 2 * BATCH_ROWS))
            rows += pending[-1].num_rows
            if rows >= BATCH_ROWS:
                yield first, pa.Table.from_batches(pending, reader.schema)
                pending, first, rows = [], first + rows, 0
    if pending:
        yield first, pa.Table.from_batches(pending, reader.schema)

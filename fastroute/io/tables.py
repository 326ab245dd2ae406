"""Flows and questions in Arrow IPC, and in CSV, which is read whole: handed out in chunks like a Parquet file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from fastroute.errors import InputError
from fastroute.io.content import open_stream
from fastroute.io.discover import InputFile
from fastroute.io.flowlogs import CHUNK_ROWS, Chunk, plan_chunks
from fastroute.io.inorder import InOrder

_FILE_MAGIC = b"ARROW1"


class TableFile:
    """A table in memory as a file of flows."""

    def __init__(self, file: InputFile, table: pa.Table) -> None:
        self.file = file
        self.schema: pa.Schema = table.schema
        self.num_rows: int = table.num_rows
        self.chunks: Sequence[Chunk] = [
            Chunk(begin, min(CHUNK_ROWS, table.num_rows - begin), ()) for begin in range(0, table.num_rows, CHUNK_ROWS)
        ]
        self._table = table

    def read(self, chunk: Chunk, columns: Sequence[int] | None = None) -> pa.Table:
        """The records of a chunk."""
        part = self._table.slice(chunk.first_row, chunk.num_rows)
        return part if columns is None else part.select(list(columns))

    def close(self) -> None:
        """Nothing to let go of: the table is read once."""


class ArrowFlows:
    """An Arrow IPC file or stream of flows, mapped into memory: what a chunk does not need is not read."""

    def __init__(self, file: InputFile) -> None:
        self.file = file
        self._batches: InOrder[list[pa.RecordBatch]] = InOrder()
        try:
            with pa.memory_map(str(file.path)) as source:
                self._is_file = source.read(len(_FILE_MAGIC)) == _FILE_MAGIC
                reader = self._reader(source)
                self.schema: pa.Schema = reader.schema
                counts = [batch.num_rows for batch in _all_batches(reader)]
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{file.path}: {_not_arrow(error)}") from error
        self.num_rows = sum(counts)
        self.chunks: Sequence[Chunk] = plan_chunks(counts)
        self._numbers = {(chunk.row_groups, chunk.part): number for number, chunk in enumerate(self.chunks)}

    def read(self, chunk: Chunk, columns: Sequence[int] | None = None) -> pa.Table:
        """The records of a chunk; a stream's are waited for in their order.

        Raises
        ------
        InputError
            The file is damaged.
        """
        try:
            batches = (
                self._some(chunk) if self._is_file else self._batches.part(self._numbers[chunk.row_groups, chunk.part], self._forwards)
            )
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{self.file.path}: rows from {chunk.first_row} on: {_not_arrow(error)}") from error
        if batches is None:
            raise InputError(f"{self.file.path}: rows from {chunk.first_row} on cannot be read after an earlier failure")
        table = pa.Table.from_batches(batches, self.schema)
        if chunk.part >= 0:
            table = table.slice(chunk.part * CHUNK_ROWS, chunk.num_rows)
        if columns is not None:
            table = table.select(list(columns))
        return table.combine_chunks() if len(batches) > 1 else table

    def close(self) -> None:
        """Let go of the stream."""
        self._batches.close()

    def _reader(self, source: pa.NativeFile) -> Any:
        source.seek(0)
        return pa.ipc.open_file(source) if self._is_file else pa.ipc.open_stream(source)

    def _some(self, chunk: Chunk) -> list[pa.RecordBatch]:
        with pa.memory_map(str(self.file.path)) as source:
            reader = self._reader(source)
            return [reader.get_batch(number) for number in chunk.row_groups]

    def _forwards(self) -> Iterator[list[pa.RecordBatch]]:
        with pa.memory_map(str(self.file.path)) as source:
            batches = enumerate(self._reader(source))
            taken: list[pa.RecordBatch] = []
            number = -1
            for chunk in self.chunks:
                if number not in chunk.row_groups:  # the next part of a large batch is of the same one
                    taken = []
                while number < chunk.row_groups[-1]:
                    number, batch = next(batches)
                    taken.append(batch)
                yield taken


def _all_batches(reader: Any) -> Iterator[pa.RecordBatch]:
    if isinstance(reader, pa.ipc.RecordBatchFileReader):
        return (reader.get_batch(number) for number in range(reader.num_record_batches))
    return iter(reader)


def _not_arrow(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"cannot be read as an Arrow IPC file or stream ({text}); write it again"


def read_arrow(path: Path) -> pa.Table:
    """Read an Arrow IPC file or stream as a whole.

    Raises
    ------
    InputError
        It is neither.
    """
    flows = ArrowFlows(InputFile(path, PurePosixPath(path.name)))
    return pa.concat_tables([flows.schema.empty_table(), *(flows.read(chunk) for chunk in flows.chunks)])


def read_csv(path: Path, codec: str | None = None) -> pa.Table:
    """Read a CSV file with a header; names and addresses stay text, numbers become int64, empty cells null. `codec`: gzip or zstd.

    Raises
    ------
    InputError
        It has no header, or rows of different lengths.
    """
    from pyarrow import csv

    texts = {name: pa.string() for name in ("src", "dst", "srcaddr", "dstaddr", "pkt_srcaddr", "pkt_dstaddr", "vpc_id", "protocol")}
    try:
        with open_stream(path, codec) as (_, stream):
            return csv.read_csv(stream, convert_options=csv.ConvertOptions(column_types=texts, strings_can_be_null=True))
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path}: cannot be read as CSV ({str(error).splitlines()[0]}); it needs a header line and rows of equal length"
        ) from error

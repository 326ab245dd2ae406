"""Flow logs and questions on disk: each file, whatever its form, as records in chunks of bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from fastroute.errors import InputError
from fastroute.io.content import Content, Head
from fastroute.io.discover import ARROW_SUFFIXES, CSV_SUFFIXES, PARQUET_SUFFIXES, Found, InputFile, discover
from fastroute.io.inorder import InOrder

__all__ = ["CHUNK_ROWS", "PARQUET_SUFFIXES", "Chunk", "FlowFile", "Found", "InputFile", "discover", "open_flows", "plan_chunks"]

CHUNK_ROWS = 1 << 19
"""Row groups of the output hold at least this many records where the input has them: each carries its own dictionaries."""
MAX_CHUNK_ROWS = 1 << 20
"""A larger row group is read in parts of CHUNK_ROWS."""
BATCH_ROWS = 1 << 17
"""Records that are decoded at a time within a part: the reader holds three times what it yields."""
MAX_CODED_BYTES = 6.0
"""Bytes a value, uncompressed, up to which a text column is taken for dictionary-encoded throughout. Indices need up to 2.5, and each row
group repeats its dictionary; a column that overflowed its dictionary holds whole texts, 11 bytes and more for addresses. The list of
encodings in the metadata does not tell: writers of format 2 name PLAIN for the dictionary itself."""


@dataclass(slots=True)
class Chunk:
    """Consecutive records of a file: whole row groups, or part `part` of one. A text log's numbers are estimates until it is read."""

    first_row: int
    num_rows: int
    row_groups: tuple[int, ...]
    part: int = -1


class FlowFile(Protocol):
    """An opened file of flows."""

    file: InputFile
    schema: pa.Schema
    """Names as in the file. Where it says string, a chunk may hold dictionaries."""
    num_rows: int
    """Of a text log an estimate, until every chunk was read."""
    chunks: Sequence[Chunk]

    def read(self, chunk: Chunk, columns: Sequence[int] | None = None) -> pa.Table:
        """Read the records of a chunk, from any thread; some columns of them by position."""
        ...

    def close(self) -> None:
        """Let go of what reading holds; the file may be read again."""
        ...


# --- opening --------------------------------------------------------------------------------------------------------------------------


def open_flows(file: InputFile, log_format: Sequence[str] | None = None) -> FlowFile:
    """Open a file by what it holds: Parquet, Arrow IPC (file or stream), CSV by its name or its first line, else a text log.

    Parameters
    ----------
    file : InputFile
    log_format : field names, optional
        Of a text log without a header; see `fastroute.io.logformat.parse_format`.

    Raises
    ------
    InputError
        It cannot be read as any of them.
    """
    from fastroute.io.tables import ArrowFlows, TableFile, read_csv

    head = Head(file.path)
    if not head.raw:
        raise InputError(f"{file.path}: the file is empty; copy it again, or leave it out")
    name = file.path.name.lower()
    content = Content.CSV if name.endswith(CSV_SUFFIXES) else head.content(log_format)
    if content is Content.PARQUET:
        return ParquetFlows(file)
    if content in {Content.ARROW_FILE, Content.ARROW_STREAM} or name.endswith(ARROW_SUFFIXES):
        return ArrowFlows(file)
    if name.endswith(PARQUET_SUFFIXES):
        raise InputError(f"{file.path}: not a Parquet file (it begins with {head.raw[:6]!r}); was it cut at its beginning, or misnamed?")
    if content is Content.CSV:
        return TableFile(file, read_csv(file.path, head.codec))
    from fastroute.io.textlogs import TextLog

    return TextLog(file, head, log_format)


class ParquetFlows:
    """A Parquet file of flows: text columns are read as dictionaries where the file holds them so."""

    def __init__(self, file: InputFile) -> None:
        self.file = file
        try:
            with pq.ParquetFile(file.path) as opened:
                metadata: pq.FileMetaData = opened.metadata
                self.schema: pa.Schema = opened.schema_arrow
        except (pa.ArrowInvalid, pa.ArrowException, OSError) as error:
            raise InputError(f"{file.path}: {_reason(error)}") from error
        self.num_rows: int = metadata.num_rows
        self.chunks: Sequence[Chunk] = plan_chunks([metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)])
        self._coded = coded_columns(metadata, self.schema)
        # Held from the first read to the last: the metadata of 100,000 files would be gigabytes.
        self._metadata: pq.FileMetaData | None = None
        self._large: dict[int, InOrder[pa.Table]] = {chunk.row_groups[0]: InOrder() for chunk in self.chunks if chunk.part >= 0}

    def read(self, chunk: Chunk, columns: Sequence[int] | None = None) -> pa.Table:
        """Read the records of a chunk; parts of one row group are waited for in their order."""
        names = None if columns is None else [self.schema.names[i] for i in columns]
        try:
            table = self._read_groups(chunk, names) if chunk.part < 0 else self._read_part(chunk, names)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            where = f"{self.file.path}: rows {chunk.first_row} to {chunk.first_row + chunk.num_rows - 1}"
            raise InputError(f"{where}: {_reason(error)}") from error
        if table.num_rows != chunk.num_rows:
            counted = f"row groups {chunk.row_groups} hold {table.num_rows} rows, the footer says {chunk.num_rows}"
            raise InputError(f"{self.file.path}: {counted}; copy it again")
        # Row groups have dictionaries of their own; joined, they are written as one.
        return table.combine_chunks() if any(column.num_chunks > 1 for column in table.columns) else table

    def close(self) -> None:
        """Let go of the file's metadata."""
        self._metadata = None
        for parts in self._large.values():
            parts.close()

    def _open(self) -> pq.ParquetFile:
        opened = pq.ParquetFile(self.file.path, metadata=self._metadata, read_dictionary=self._coded)
        self._metadata = opened.metadata
        return opened

    def _read_groups(self, chunk: Chunk, names: list[str] | None) -> pa.Table:
        from fastroute.io.columns import ColumnReader

        with self._open() as opened:
            table = None
            if names is not None:  # what passes through is Arrow's matter: it may have any form
                table = ColumnReader(self.file.path, opened.metadata, self.schema, self._coded).read(chunk.row_groups, names)
            return opened.read_row_groups(list(chunk.row_groups), columns=names, use_threads=False) if table is None else table

    def _read_part(self, chunk: Chunk, names: list[str] | None) -> pa.Table:
        part = self._large[chunk.row_groups[0]].part(chunk.part, lambda: self._parts(chunk, names))
        return self.schema.empty_table() if part is None else part

    def _parts(self, chunk: Chunk, names: list[str] | None) -> Iterator[pa.Table]:
        """A large row group in parts of CHUNK_ROWS, which are multiples of the batches' size, so that none crosses their border."""
        batches = self._open().iter_batches(
            min(BATCH_ROWS, CHUNK_ROWS), row_groups=list(chunk.row_groups), columns=names, use_threads=False
        )
        taken: list[pa.RecordBatch] = []
        for batch in batches:
            taken.append(batch)
            if sum(each.num_rows for each in taken) >= CHUNK_ROWS:
                yield pa.Table.from_batches(taken)
                taken = []
        if taken:
            yield pa.Table.from_batches(taken)


def coded_columns(metadata: pq.FileMetaData, schema: pa.Schema) -> list[str]:
    """The flat text columns that the file holds as dictionaries throughout: reading those as dictionaries copies indices only."""
    coded = []
    places = {metadata.schema.column(i).path: i for i in range(metadata.num_columns)}
    for column in schema:
        at = places.get(column.name)
        if at is None or not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            continue
        chunks = [metadata.row_group(i).column(at) for i in range(metadata.num_row_groups)]
        num_values = sum(chunk.num_values for chunk in chunks)
        num_bytes = sum(chunk.total_uncompressed_size for chunk in chunks)
        if all(chunk.has_dictionary_page for chunk in chunks) and num_bytes <= MAX_CODED_BYTES * num_values:
            coded.append(column.name)
    return coded


def plan_chunks(row_counts: Sequence[int]) -> list[Chunk]:
    """Join small row groups to chunks of CHUNK_ROWS and more; cut those beyond MAX_CHUNK_ROWS."""
    chunks: list[Chunk] = []
    pending: list[int] = []
    first = rows = 0

    def flush() -> None:
        nonlocal first, rows
        if pending:
            chunks.append(Chunk(first, rows, tuple(pending)))
            first, rows = first + rows, 0
            pending.clear()

    for i, count in enumerate(row_counts):
        if count > MAX_CHUNK_ROWS:
            flush()
            for part, begin in enumerate(range(0, count, CHUNK_ROWS)):
                chunks.append(Chunk(first + begin, min(CHUNK_ROWS, count - begin), (i,), part))
            first += count
            continue
        if rows + count > MAX_CHUNK_ROWS:
            flush()
        pending.append(i)
        rows += count
        if rows >= CHUNK_ROWS:
            flush()
    flush()
    return chunks


def _reason(error: BaseException) -> str:
    """What is wrong with a Parquet file, in words."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, PermissionError):
        return "cannot be read: permission denied"
    if "magic bytes not found" in text or "footer" in text.lower() or "smaller than the minimum" in text:
        return f"a truncated Parquet file ({text}); copy it again"
    return f"cannot be read as Parquet ({text}); copy it again"

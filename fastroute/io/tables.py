"""Questions in CSV and Arrow IPC: read whole, handed out in chunks like a Parquet file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from fastroute.errors import InputError
from fastroute.io.flowlogs import CHUNK_ROWS, Chunk, InputFile


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


def read_arrow(path: Path) -> pa.Table:
    """Read an Arrow IPC file or stream.

    Raises
    ------
    InputError
        It is neither.
    """
    try:
        with pa.OSFile(str(path), "rb") as source:
            try:
                return pa.ipc.open_file(source).read_all()
            except pa.ArrowInvalid:
                source.seek(0)
                return pa.ipc.open_stream(source).read_all()
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: cannot be read as an Arrow IPC file or stream ({str(error).splitlines()[0]}); write it again") from error


def read_csv(path: Path) -> pa.Table:
    """Read a CSV file with a header; names and addresses stay text, numbers become int64, empty cells null.

    Raises
    ------
    InputError
        It has no header, or rows of different lengths.
    """
    from pyarrow import csv

    texts = {name: pa.string() for name in ("src", "dst", "srcaddr", "dstaddr", "pkt_srcaddr", "pkt_dstaddr", "vpc_id", "protocol")}
    try:
        return csv.read_csv(path, convert_options=csv.ConvertOptions(column_types=texts, strings_can_be_null=True))
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path}: cannot be read as CSV ({str(error).splitlines()[0]}); it needs a header line and rows of equal length"
        ) from error

"""Routed files: all columns of the input as they were, and the added ones."""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fastroute.addr import text_buffers
from fastroute.datapath.paths import LegTable
from fastroute.errors import OutputError
from fastroute.io.flowlogs import Chunk

COMPRESSION = "snappy"
"""A record of 46 columns takes 350 ns and 39 bytes; with zstd 440 ns and 27 bytes, uncompressed 290 ns and 85 bytes, gzip 19 us and 27."""
DICTIONARY_BYTES = 1 << 26
"""Limit of a dictionary page: the columns written as dictionaries are those that the input has as such."""
_LEG_NUMBERS = frozenset({"leg", "hop", "rule_priority"})


class EncodeWriter:
    """Writes a routed file by encoding every column anew.

    Text statistics are off: they more than double the time of a write, and say little of names and addresses.

    Parameters
    ----------
    schema : the input's own schema
    added : fields of the added columns
    """

    mode = "encode"
    reads_all = True

    def __init__(self, schema: pa.Schema, added: Sequence[pa.Field]) -> None:
        self._logical = pa.schema([*schema, *added])
        self._added = list(added)
        self._path = Path()
        self._writer: pq.ParquetWriter | None = None
        self._schema: pa.Schema | None = None

    def begin(self, path: Path) -> None:
        """Note where to write; the first chunk tells which columns are dictionaries."""
        self._path = path

    def encode(self, _chunk: Chunk, table: pa.Table, added: Sequence[pa.Array]) -> pa.Table:
        """Put a part of the input and the columns added to it beside each other."""
        schema = pa.schema([*table.schema.remove_metadata(), *self._added])
        return pa.Table.from_arrays([*table.columns, *added], schema=schema)

    def write(self, part: pa.Table) -> None:
        """Append a row group."""
        self._opened(part.schema).write_table(part, row_group_size=max(part.num_rows, 1))

    def close(self) -> None:
        """Write the footer; of a file without records too."""
        writer = self._writer or self._opened(self._logical.remove_metadata())
        writer.close()
        self._writer = None

    def abandon(self) -> None:
        """Let go of the file, which stays incomplete."""
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.close()

    def _opened(self, schema: pa.Schema) -> pq.ParquetWriter:
        if self._writer is None:
            self._schema = schema
            self._writer = pq.ParquetWriter(
                self._path,
                schema,
                compression=COMPRESSION,
                use_dictionary=[field.name for field in schema if pa.types.is_dictionary(field.type)],
                write_statistics=[field.name for field in schema if pa.types.is_integer(field.type)],
                dictionary_pagesize_limit=DICTIONARY_BYTES,
                store_schema=False,
            )
            # Readers give each column the type that its input had, though it may be written from dictionaries.
            self._writer.add_key_value_metadata({"ARROW:schema": base64.b64encode(self._logical.serialize().to_pybytes()).decode()})
        elif schema != self._schema:
            raise AssertionError(f"{self._path}: row groups of two schemas: {schema} after {self._schema}")
        return self._writer


def write_legs(path: Path, table: LegTable) -> None:
    """Write the hops of all legs of one kind, one row a hop; empty texts and absent priorities become null."""
    arrays, fields = [], []
    texts = text_array(table.texts)
    for name in LegTable._fields[:-1]:
        values = getattr(table, name)
        is_number = name in _LEG_NUMBERS
        valid = np.packbits(values >= 0 if is_number else values != 0, bitorder="little")
        array = pa.Array.from_buffers(pa.int32(), len(values), [pa.py_buffer(valid), pa.py_buffer(values)])
        arrays.append(array if is_number else pa.DictionaryArray.from_arrays(array, texts))
        fields.append(pa.field(name, arrays[-1].type))
    pq.write_table(pa.Table.from_arrays(arrays, schema=pa.schema(fields)), path, compression="zstd")


def write_table(table: pa.Table, path: str | os.PathLike[str]) -> None:
    """Write one table as a Parquet file, which appears whole or not at all.

    Raises
    ------
    OutputError
        The folder is not there, not writable, or full.
    """
    target = Path(path)
    unfinished = target.with_name(f".{target.name}.unfinished")
    try:
        pq.write_table(table, unfinished, compression=COMPRESSION)
        unfinished.replace(target)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise OutputError(f"{target}: cannot be written: {error.strerror or error}") from error


def text_array(texts: Sequence[str]) -> pa.Array:
    """Texts as an Arrow array. `pa.array` would import pandas, where that is installed: 0.4 s."""
    buffers = text_buffers(texts)
    parts = [None, pa.py_buffer(buffers.offsets.astype(np.int32)), pa.py_buffer(buffers.data)]
    return pa.Array.from_buffers(pa.string(), len(texts), parts)

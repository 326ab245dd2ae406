"""Routed files by splicing: the source's column chunks copied as bytes, the added columns encoded beside them, one footer over both."""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from fastroute.arrays import CodedColumn, Column
from fastroute.errors import InputError, OutputError
from fastroute.io import footer
from fastroute.io.flowlogs import Chunk
from fastroute.io.pages import ColumnPart, Pages, parts_of

SCHEMA_NOTES = frozenset(
    {
        b"org.apache.spark.sql.parquet.row.metadata",
        b"parquet.avro.schema",
        b"avro.schema",
        b"parquet.proto.descriptor",
        b"parquet.thrift.descriptor",
        b"iceberg.schema",
    }
)
"""Notes of other writers on the schema, which do not know the added columns: their readers would go by them, and not see these."""
_ARROW_SCHEMA = b"ARROW:schema"
_COPY_BYTES = 1 << 23
_SAMPLE_ROWS = 64
"""Records of the first and the last row group that are read back."""


class CannotSplice(InputError):
    """A file whose columns cannot be copied as bytes; the text says why."""


class SpliceWriter:
    """Writes a routed file without decoding what passes through it.

    Row groups are those of the source, but for empty ones, which are left out. Page indices and Bloom filters lie elsewhere in the source
    and are left out too; statistics, sorting, codecs, notes and the writer's name stay as they are.

    Parameters
    ----------
    source : path of the input
    schema : the input's Arrow schema
    added : fields of the added columns: dictionaries of texts, or integers

    Raises
    ------
    CannotSplice
    """

    mode = "splice"
    reads_all = False

    def __init__(self, source: Path, schema: pa.Schema, added: Sequence[pa.Field]) -> None:
        self._source = source
        self._added = list(added)
        self._schema = pa.schema([*schema, *added])
        metadata = _spliceable(source)
        self._num_rows = [group.num_rows for group in metadata.row_groups]
        self._identity = _identity(source)
        self._metadata: Any = None
        self._path = Path()
        self._input: BinaryIO | None = None
        self._output: BinaryIO | None = None
        self._open_pages: list[Pages] | None = None
        self._open_rows = 0
        self._samples: dict[int, list[list[Any]]] = {}

    def begin(self, path: Path) -> None:
        """Create the file."""
        self._path = path
        try:
            self._metadata = _spliceable(self._source)
            self._input = self._source.open("rb", buffering=0)
        except (CannotSplice, OSError) as error:
            raise InputError(f"{self._source}: cannot be read any more: {error}; was it changed meanwhile?") from error
        if _identity(self._source) != self._identity:
            raise InputError(f"{self._source}: was changed while it was read; route it again")
        self._output = path.open("w+b")
        self._output.write(footer.MAGIC)

    def encode(self, chunk: Chunk, _table: pa.Table, added: Sequence[Column]) -> list[_Group]:
        """Encode the added columns of whole row groups; parts of one wait for their turn, as they share a dictionary."""
        if chunk.part >= 0:
            return [_Group(chunk.row_groups[0], chunk.num_rows, added, None)]
        groups = []
        first = 0
        for number in chunk.row_groups:
            end = first + self._num_rows[number]
            if end > first:
                columns = added if len(chunk.row_groups) == 1 else parts_of(added, first, end)
                pages = [Pages() for _ in columns]
                for column, page in zip(columns, pages, strict=True):
                    page.add(column)
                groups.append(_Group(number, end - first, [_head(column) for column in columns], [page.chunk() for page in pages]))
            first = end
        return groups

    def write(self, part: list[_Group]) -> None:
        """Append row groups, or a part of one."""
        for group in part:
            self._note_sample(group)
            if group.chunks is not None:
                self._write_group(group.number, group.chunks)
                continue
            if self._open_pages is None:
                self._open_pages = [Pages() for _ in group.columns]
            for pages, column in zip(self._open_pages, group.columns, strict=True):
                pages.add(column)
            self._open_rows += group.rows
            if self._open_rows == self._num_rows[group.number]:
                self._write_group(group.number, [pages.chunk() for pages in self._open_pages])
                self._open_pages, self._open_rows = None, 0

    def close(self) -> None:
        """Write the footer, and read the file back."""
        metadata, output = self._metadata, self._output
        assert output is not None
        metadata.row_groups = [group for group in metadata.row_groups if group.num_rows]
        _extend_schema(metadata, self._added, self._schema)
        output.write(footer.footer_bytes(metadata))
        self._let_go()
        self._read_back()

    def abandon(self) -> None:
        """Let go of the file, which stays incomplete."""
        with contextlib.suppress(OSError):
            self._let_go()

    # --- row groups

    def _write_group(self, number: int, chunks: Sequence[ColumnPart]) -> None:
        group = self._metadata.row_groups[number]
        assert self._output is not None
        for begin, end, columns in _ranges(group):
            position = self._output.tell()
            self._copy(begin, end)
            for column in columns:
                _move(column, position - begin)
        for field, chunk in zip(self._added, chunks, strict=True):
            group.columns.append(chunk.metadata(field.name, _physical_type(field.type), self._output.tell()))
            self._output.writelines(chunk.pieces)
            group.total_byte_size += chunk.uncompressed_bytes
            if group.total_compressed_size is not None:
                group.total_compressed_size += chunk.num_bytes
        if group.file_offset is not None:
            group.file_offset = min(_begin(column.meta_data) for column in group.columns)

    def _copy(self, begin: int, end: int) -> None:
        """Copy bytes of the source, within the kernel where it can."""
        assert self._input is not None
        assert self._output is not None
        self._output.flush()
        source, target = self._input.fileno(), self._output.fileno()
        position = self._output.tell()
        while begin < end:
            copied = _copy_some(source, target, begin, position, min(end - begin, _COPY_BYTES))
            if copied == 0:
                raise InputError(f"{self._source}: ends at byte {begin}, its footer says {end}; copy it again")
            begin, position = begin + copied, position + copied
        self._output.seek(position)

    def _let_go(self) -> None:
        for file in (self._input, self._output):
            if file is not None:
                file.close()
        self._input = self._output = self._metadata = self._open_pages = None

    # --- reading back

    def _note_sample(self, group: _Group) -> None:
        """Keep the first records of the first row group and of the latest."""
        if group.number in self._samples:
            return
        for number in list(self._samples)[1:]:
            del self._samples[number]
        self._samples[group.number] = [_values(column, _SAMPLE_ROWS) for column in group.columns]

    def _read_back(self) -> None:
        """Hold the file to what went into it: rows of each row group, names, and the first added values of the first and last one."""
        expected = [rows for rows in self._num_rows if rows]
        places = {number: place for place, number in enumerate(i for i, rows in enumerate(self._num_rows) if rows)}
        names = [field.name for field in self._added]
        try:
            with pq.ParquetFile(self._path) as file:
                found = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
                if found != expected or file.schema_arrow.names != self._schema.names:
                    raise AssertionError(f"{self._path}: spliced wrongly: row groups {found} of {file.schema_arrow.names}")
                for number, values in self._samples.items():
                    batches = file.iter_batches(_SAMPLE_ROWS, row_groups=[places[number]], columns=names, use_threads=False)
                    got = [column.to_pylist() for column in next(batches).columns] if names else []
                    if got != values:
                        raise AssertionError(f"{self._path}: spliced wrongly: row group {number} does not hold what was written")
        except (pa.ArrowException, OSError) as error:
            raise OutputError(f"{self._path}: cannot be read back ({error}); write with --write encode") from error


class _Group:
    """Records of a row group: its encoded columns; or of a part of one the columns, to be encoded in their order."""

    __slots__ = ("chunks", "columns", "number", "rows")

    def __init__(self, number: int, rows: int, columns: Sequence[Column], chunks: list[ColumnPart] | None) -> None:
        self.number = number
        self.rows = rows
        self.columns = columns
        self.chunks = chunks


# --- what can be spliced ----------------------------------------------------------------------------------------------------------------


def _spliceable(path: Path) -> Any:
    """The footer of a file, if its column chunks can be copied."""
    try:
        metadata, end = footer.read_footer(path)
    except footer.UnknownFooter as error:
        raise CannotSplice(str(error)) from error
    root, *leaves = metadata.schema
    if metadata.encryption_algorithm is not None or metadata.footer_signing_key_metadata is not None:
        raise CannotSplice("it is encrypted or signed")
    if root.num_children != len(leaves) or any(leaf.num_children or leaf.repetition_type == footer.REPEATED for leaf in leaves):
        raise CannotSplice("it has nested columns")
    if metadata.num_rows != sum(group.num_rows for group in metadata.row_groups):
        raise CannotSplice("its row groups do not add up to its rows")
    taken = []
    for group in metadata.row_groups:
        if not group.num_rows:  # left out; some writers note no place for its columns
            continue
        if len(group.columns) != len(leaves):
            raise CannotSplice("a row group lacks columns")
        for column in group.columns:
            if column.meta_data is None or column.crypto_metadata is not None or column.encrypted_column_metadata is not None:
                raise CannotSplice("it has encrypted columns")
            if column.file_path is not None:
                raise CannotSplice("its columns lie in other files")
            if column.meta_data.num_values != group.num_rows:
                raise CannotSplice("a column has not a value for each row")
            begin = _begin(column.meta_data)
            taken.append((begin, begin + column.meta_data.total_compressed_size))
    taken.sort()
    if taken and (taken[0][0] < len(footer.MAGIC) or taken[-1][1] > end):
        raise CannotSplice("its columns lie outside of its pages")
    if any(end > begin for (_, end), (begin, _) in pairwise(taken)):
        raise CannotSplice("its columns overlap")
    if _is_odd(metadata.created_by):
        raise CannotSplice("its writer understates the length of its columns")
    return metadata


def _is_odd(writer: bytes | None) -> bool:
    """Old parquet-mr left the header of the dictionary page out of a column's length. Source: PARQUET-816."""
    return writer is not None and writer.startswith(b"parquet-mr version 1.2.") and not writer.startswith(b"parquet-mr version 1.2.9")


def _begin(column: Any) -> int:
    """First byte of a column chunk. Some writers say 0 for a dictionary page that is not there."""
    dictionary, data = column.dictionary_page_offset, column.data_page_offset
    return int(dictionary if dictionary and dictionary < data else data)


def _ranges(group: Any) -> Iterator[tuple[int, int, list[Any]]]:
    """The bytes of a row group's columns, those that lie side by side as one."""
    spans = sorted((_begin(column.meta_data), i) for i, column in enumerate(group.columns))
    columns: list[Any] = []
    first = last = 0
    for begin, i in spans:
        if columns and begin != last:
            yield first, last, columns
            columns = []
        if not columns:
            first = begin
        columns.append(group.columns[i])
        last = begin + group.columns[i].meta_data.total_compressed_size
    if columns:
        yield first, last, columns


def _move(column: Any, distance: int) -> None:
    """Note that a column chunk has moved, and that nothing of it lies elsewhere any more."""
    data = column.meta_data
    data.data_page_offset += distance
    if data.dictionary_page_offset:
        data.dictionary_page_offset += distance
    column.file_offset = _begin(data) if column.file_offset else 0
    data.index_page_offset = data.bloom_filter_offset = data.bloom_filter_length = None
    column.offset_index_offset = column.offset_index_length = column.column_index_offset = column.column_index_length = None


def _identity(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _copy_some(source: int, target: int, begin: int, position: int, count: int) -> int:
    """Copy some bytes from one place to another; 0 at the end of the source."""
    try:
        copied = os.copy_file_range(source, target, count, begin, position)
        if copied:
            return copied
    except OSError:
        pass  # two file systems, or one that cannot; the plain way also tells what is wrong, if something is
    data = os.pread(source, count, begin)
    view = memoryview(data)
    while view:
        written = os.pwrite(target, view, position)
        view, position = view[written:], position + written
    return len(data)


# --- the footer -------------------------------------------------------------------------------------------------------------------------


def _extend_schema(metadata: Any, added: Sequence[pa.Field], schema: pa.Schema) -> None:
    metadata.schema[0].num_children += len(added)
    metadata.schema += [_element(field) for field in added]
    if metadata.column_orders is not None:
        metadata.column_orders += [footer.ColumnOrder(TYPE_ORDER=footer.Empty()) for _ in added]
    notes = [note for note in metadata.key_value_metadata or () if note.key not in SCHEMA_NOTES and note.key != _ARROW_SCHEMA]
    # Readers give each column the type that it has in the source, though another writer may have left no note of it.
    arrow = base64.b64encode(schema.serialize().to_pybytes())
    metadata.key_value_metadata = [*notes, footer.KeyValue(key=_ARROW_SCHEMA, value=arrow)]


def _element(field: pa.Field) -> Any:
    element = footer.SchemaElement(type=_physical_type(field.type), repetition_type=footer.OPTIONAL, name=field.name.encode())
    if element.type == footer.BYTE_ARRAY:
        element.converted_type = footer.UTF8
        element.logical_type = footer.LogicalType(STRING=footer.Empty())
    return element


def _physical_type(kind: pa.DataType) -> int:
    if pa.types.is_dictionary(kind):
        return footer.BYTE_ARRAY
    if kind == pa.bool_():
        return footer.BOOLEAN
    return footer.INT64 if kind == pa.int64() else footer.INT32


# --- samples ----------------------------------------------------------------------------------------------------------------------------


def _head(column: Column) -> Column:
    return column._replace(codes=column.codes[:_SAMPLE_ROWS].copy()) if isinstance(column, CodedColumn) else column[:_SAMPLE_ROWS].copy()


def _values(column: Column, count: int) -> list[Any]:
    """The first values of a column as Python has them."""
    if not isinstance(column, CodedColumn):
        return [None if value == -1 else value for value in column[:count].tolist()]
    positions = column.table[column.codes[:count].astype("int64") + column.shift].tolist()
    return [None if position < 0 else _text(column, int(column.chosen[position])) for position in positions]


def _text(column: CodedColumn, name: int) -> str:
    return column.data[int(column.offsets[name]) : int(column.offsets[name + 1])].tobytes().decode()

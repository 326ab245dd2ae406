"""Column chunks of added columns: a dictionary page and pages of indices, or pages of plain numbers, with what the footer says of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fastroute.arrays import CodedColumn, Column
from fastroute.io import footer
from fastroute.io.page_kernels import mark_codes, pack_indices, pack_numbers, put_texts, put_varint

_SAVING = 0.9
"""Compressed pages are kept where they take less than this share: whoever reads the others is spared a copy."""
_LENGTH_BYTES = 4
PAGE_VALUES = 1 << 16
"""Values of a data page: who reads a few rows inflates that much."""


class Page(NamedTuple):
    """One page, not compressed."""

    header: Any
    body: bytes


class Pages:
    """The pages of one column of one row group, as they come: one part of its records after another.

    Texts have one dictionary for all parts; it grows while they come, so that earlier pages hold. All parts are of the same names.
    """

    def __init__(self) -> None:
        self._pages: list[Page] = []
        self._names: CodedColumn | None = None
        self._chosen: list[NDArray[np.int64]] = []
        self._position: NDArray[np.int32] | None = None
        self._num_chosen = 0
        self._dtype: np.dtype[Any] | None = None
        self._limits: tuple[int, int] | None = None
        self.num_values = 0
        self.num_nulls = 0

    def add(self, column: Column) -> None:
        """Append the column's records."""
        if isinstance(column, CodedColumn):
            table = self._joined(column)
            for first in range(0, len(column.codes), PAGE_VALUES):
                self._add_indices(column.codes[first : first + PAGE_VALUES], column.shift, table)
        else:
            self._dtype = column.dtype
            for first in range(0, len(column), PAGE_VALUES):
                self._add_numbers(column[first : first + PAGE_VALUES])

    def chunk(self) -> ColumnPart:
        """The whole column chunk, compressed if that pays."""
        pages = self._pages
        if self._names is not None and self._num_chosen:
            pages = [self._dictionary(self._names), *pages]
        plain = sum(len(page.body) for page in pages)
        packed = [pa.compress(page.body, codec="snappy", asbytes=True) for page in pages]
        is_packed = sum(map(len, packed)) < _SAVING * plain
        bodies = packed if is_packed else [page.body for page in pages]
        pieces: list[bytes] = []
        uncompressed = 0
        for page, body in zip(pages, bodies, strict=True):
            page.header.compressed_page_size = len(body)
            head = footer.dumps(page.header)
            uncompressed += len(head) + len(page.body)
            pieces += (head, body)
        has_dictionary = len(pages) > len(self._pages)
        return ColumnPart(
            pieces=pieces,
            num_bytes=sum(map(len, pieces)),
            uncompressed_bytes=uncompressed,
            dictionary_bytes=len(pieces[0]) + len(pieces[1]) if has_dictionary else 0,
            codec=footer.SNAPPY if is_packed else footer.UNCOMPRESSED,
            num_data_pages=len(self._pages),
            num_values=self.num_values,
            statistics=self._statistics(),
        )

    # --- texts

    def _add_indices(self, codes: NDArray[Any], shift: int, table: NDArray[np.int32]) -> None:
        n = len(codes)
        width = max(1, (self._num_chosen - 1).bit_length())
        out = np.empty(packed_bound(n, width), np.uint8)
        levels = np.empty((n + 7) // 8, np.uint8)
        end, nulls = pack_indices(codes, shift, table, width, out, 0, levels)
        if self._num_chosen:
            self._add_page(n, int(nulls), levels, bytes([width]) + out[:end].tobytes(), footer.RLE_DICTIONARY)
        else:  # no text at all: no dictionary to take one from
            self._add_page(n, int(nulls), levels, b"", footer.PLAIN)

    def _joined(self, column: CodedColumn) -> NDArray[np.int32]:
        """The column's table with positions in the dictionary of all parts."""
        if self._names is None:
            self._names = column
            self._chosen.append(column.chosen)
            self._num_chosen = len(column.chosen)
            return column.table
        if self._position is None:
            self._position = np.full(len(column.offsets) - 1, -1, np.int32)
            self._position[self._chosen[0]] = np.arange(self._num_chosen, dtype=np.int32)
        new = column.chosen[self._position[column.chosen] < 0]
        self._position[new] = np.arange(self._num_chosen, self._num_chosen + len(new), dtype=np.int32)
        self._chosen.append(new)
        self._num_chosen += len(new)
        positions = np.append(self._position[column.chosen], np.int32(-1))
        return positions[column.table]

    def _dictionary(self, names: CodedColumn) -> Page:
        chosen = np.concatenate(self._chosen)
        lengths = names.offsets[chosen + 1] - names.offsets[chosen]
        out = np.empty(int(lengths.sum(dtype=np.int64)) + _LENGTH_BYTES * len(chosen), np.uint8)
        put_texts(names.data, names.offsets, chosen, out)
        told = footer.DictionaryPageHeader(num_values=len(chosen), encoding=footer.PLAIN)
        header = footer.PageHeader(type=footer.DICTIONARY_PAGE, uncompressed_page_size=len(out), dictionary_page_header=told)
        return Page(header, out.tobytes())

    # --- integers, and int8 for booleans

    def _add_numbers(self, values: NDArray[Any]) -> None:
        n = len(values)
        out, levels = np.empty(n, values.dtype), np.empty((n + 7) // 8, np.uint8)
        kept, least, greatest = pack_numbers(values, out, levels)
        if kept:
            before = self._limits or (least, greatest)
            self._limits = min(before[0], least), max(before[1], greatest)
        body = out[:kept] if values.dtype != np.int8 else np.packbits(out[:kept].view(np.uint8), bitorder="little")
        self._add_page(n, n - int(kept), levels, body.tobytes(), footer.PLAIN)

    def _statistics(self) -> Any:
        if self._dtype is None or self._limits is None:
            return footer.Statistics(null_count=self.num_nulls)
        least, greatest = (np.array(value, self._dtype).tobytes() for value in self._limits)
        return footer.Statistics(null_count=self.num_nulls, min=least, max=greatest, min_value=least, max_value=greatest)

    # --- both

    def _add_page(self, n: int, nulls: int, levels: NDArray[np.uint8], values: bytes, encoding: int) -> None:
        body = b"".join((definition_levels(n, nulls, levels), values))
        told = footer.DataPageHeader(
            num_values=n, encoding=encoding, definition_level_encoding=footer.RLE, repetition_level_encoding=footer.RLE
        )
        self._pages.append(Page(footer.PageHeader(type=footer.DATA_PAGE, uncompressed_page_size=len(body), data_page_header=told), body))
        self.num_values += n
        self.num_nulls += nulls


class ColumnPart(NamedTuple):
    """A column chunk, ready to be written, and what the footer says of it."""

    pieces: Sequence[bytes]
    num_bytes: int
    uncompressed_bytes: int
    dictionary_bytes: int
    codec: int
    num_data_pages: int
    num_values: int
    statistics: Any

    def metadata(self, name: str, physical_type: int, position: int) -> Any:
        """The footer's entry of the chunk that begins at a position of the file."""
        encoding = footer.RLE_DICTIONARY if self.dictionary_bytes else footer.PLAIN
        pages = [footer.PageEncodingStats(page_type=footer.DATA_PAGE, encoding=encoding, count=self.num_data_pages)]
        if self.dictionary_bytes:
            pages.insert(0, footer.PageEncodingStats(page_type=footer.DICTIONARY_PAGE, encoding=footer.PLAIN, count=1))
        told = footer.ColumnMetaData(
            type=physical_type,
            encodings=sorted({footer.PLAIN, footer.RLE, encoding}),
            path_in_schema=[name.encode()],
            codec=self.codec,
            num_values=self.num_values,
            total_uncompressed_size=self.uncompressed_bytes,
            total_compressed_size=self.num_bytes,
            data_page_offset=position + self.dictionary_bytes,
            dictionary_page_offset=position if self.dictionary_bytes else None,
            statistics=self.statistics,
            encoding_stats=pages,
        )
        return footer.ColumnChunk(file_offset=0, meta_data=told)


def definition_levels(n: int, nulls: int, levels: NDArray[np.uint8]) -> bytes:
    """Which of n values are there, with the length before; alike throughout, they are one run."""
    head = np.empty(12, np.uint8)
    if nulls in (0, n):
        end = put_varint(n << 1, head, 0)
        body = head[:end].tobytes() + bytes([int(nulls == 0)])
    else:
        end = put_varint((len(levels) << 1) | 1, head, 0)
        body = head[:end].tobytes() + levels.tobytes()
    return len(body).to_bytes(_LENGTH_BYTES, "little") + body


def packed_bound(n: int, width: int) -> int:
    """Bytes that n indices of a width take at most: headers of runs, up to 9 bytes, lie 8 values and more apart."""
    return (n + 15) // 8 * (width + 9) + 64


def parts_of(columns: Sequence[Column], first: int, end: int) -> list[Column]:
    """Records first .. end of columns; of their names those that they use."""
    seen: dict[tuple[int, int], NDArray[np.uint8]] = {}  # columns of one end have their codes in common
    return [_part_of(column, first, end, seen) if isinstance(column, CodedColumn) else column[first:end] for column in columns]


def _part_of(column: CodedColumn, first: int, end: int, seen: dict[tuple[int, int], NDArray[np.uint8]]) -> CodedColumn:
    codes = column.codes[first:end]
    marks = seen.get((id(column.codes), len(column.table)))
    if marks is None:
        marks = np.zeros(len(column.table), np.uint8)
        mark_codes(codes, column.shift, marks)
        seen[id(column.codes), len(column.table)] = marks
    positions = column.table[marks != 0]
    used = np.zeros(len(column.chosen), bool)
    used[positions[positions >= 0]] = True
    place = np.full(len(column.chosen) + 1, -1, np.int32)
    place[:-1][used] = np.arange(np.count_nonzero(used), dtype=np.int32)
    return column._replace(codes=codes, table=place[column.table], chosen=column.chosen[used])

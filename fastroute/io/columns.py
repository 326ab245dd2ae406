"""Columns of a Parquet file decoded here, where they have the form that flow logs have: texts by dictionary, plain integers.

Inflating is most of reading such a file. ISA-L, where it is installed, takes half of zlib's time for it; the rest is done without building
what nobody reads. Whatever has another form, and whatever is broken, is left to Arrow, which also says what is wrong with it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fastroute.io import footer
from fastroute.io.column_kernels import (
    BEGIN,
    ENCODING,
    HEADER_FIELDS,
    NUM_VALUES,
    PLAIN_SIZE,
    SIZE,
    TYPE,
    count_present,
    decode_indices,
    read_headers,
    split_texts,
    spread,
)

isal_zlib: Any
try:
    from isal import isal_zlib
except ImportError:
    isal_zlib = None

U8 = NDArray[np.uint8]

_INFLATE_ERRORS: tuple[type[Exception], ...] = () if isal_zlib is None else (isal_zlib.error,)
PLAIN_DICTIONARY = 2
"""What files of version 1 call RLE_DICTIONARY."""
_INDEX_ENCODINGS = (PLAIN_DICTIONARY, footer.RLE_DICTIONARY)
_ENCODINGS = frozenset({"PLAIN", "RLE", "RLE_DICTIONARY", "PLAIN_DICTIONARY", "BIT_PACKED"})
_CODECS = {"UNCOMPRESSED": None, "SNAPPY": "snappy", "GZIP": "gzip", "ZSTD": "zstd"}
_NUMBERS: dict[pa.DataType, tuple[str, np.dtype[Any] | None]] = {
    pa.int32(): ("INT32", np.dtype("<i4")),
    pa.int64(): ("INT64", np.dtype("<i8")),
}
_TEXT = ("BYTE_ARRAY", None)
_GZIP_WINDOW = 31
_PAGE_VALUES = 1 << 10
"""Headers are looked for in an array that is made larger where pages hold fewer values than this."""
_MAX_PAGES = 1 << 16


class _OtherForm(Exception):
    """Pages that are not decoded here."""


class _Place(NamedTuple):
    """A column of a file."""

    number: int
    field: pa.Field
    is_optional: bool
    dtype: np.dtype[Any] | None  # None: texts


class _Pages(NamedTuple):
    """Pages of a column chunk, as they lie in the file."""

    data: U8
    headers: NDArray[np.int64]
    inflate: Callable[[U8, int], U8]

    def body(self, i: int) -> U8:
        begin = int(self.headers[i, BEGIN])
        return self.inflate(self.data[begin : begin + int(self.headers[i, SIZE])], int(self.headers[i, PLAIN_SIZE]))


class ColumnReader:
    """Reads columns of one file.

    Parameters
    ----------
    path : of the file
    metadata : its footer
    schema : its Arrow schema
    coded : names of the text columns that it holds as dictionaries
    """

    def __init__(self, path: Path, metadata: pq.FileMetaData, schema: pa.Schema, coded: Sequence[str]) -> None:
        self._path = path
        self._metadata = metadata
        self._schema = schema
        self._coded = frozenset(coded)

    def read(self, row_groups: Sequence[int], names: Sequence[str]) -> pa.Table | None:
        """Read columns of row groups, in the file's order of columns.

        Returns
        -------
        pyarrow.Table
            One chunk a column; texts as dictionaries, those of several row groups one after another, with repetitions.
        None
            A column has a form that is not decoded here, or is not what it should be.
        """
        try:
            wanted = frozenset(names)
            places = [self._place(field) for field in self._schema if field.name in wanted]
            with self._path.open("rb", buffering=0) as file:
                arrays = [self._column(file.fileno(), place, row_groups) for place in places]
        except (_OtherForm, OSError, ValueError, pa.ArrowException, *_INFLATE_ERRORS):
            return None
        fields = [place.field.with_type(array.type) for place, array in zip(places, arrays, strict=True)]
        return pa.Table.from_arrays(arrays, schema=pa.schema(fields))

    def _place(self, field: pa.Field) -> _Place:
        """Where a column is, if its form is one of those that are decoded here."""
        for number in range(self._metadata.num_columns):
            column = self._metadata.schema.column(number)
            if column.path == field.name:
                break
        else:
            raise _OtherForm
        if field.type in _NUMBERS:
            physical, dtype = _NUMBERS[field.type]
        elif field.name in self._coded and pa.types.is_string(field.type):
            physical, dtype = _TEXT
        else:
            raise _OtherForm
        if column.physical_type != physical or column.max_repetition_level or column.max_definition_level > 1:
            raise _OtherForm
        return _Place(number, field, column.max_definition_level == 1, dtype)

    def _column(self, file: int, place: _Place, row_groups: Sequence[int]) -> pa.Array:
        counts = [self._metadata.row_group(group).num_rows for group in row_groups]
        reader = _Texts(place, sum(counts)) if place.dtype is None else _Numbers(place, sum(counts))
        for group, count in zip(row_groups, counts, strict=True):
            if count:
                reader.add(self._pages(file, self._metadata.row_group(group).column(place.number)), count)
        return reader.array()

    def _pages(self, file: int, chunk: pq.ColumnChunkMetaData) -> _Pages:
        if chunk.compression not in _CODECS or not _ENCODINGS.issuperset(chunk.encodings):
            raise _OtherForm
        dictionary, data = chunk.dictionary_page_offset, chunk.data_page_offset
        begin = dictionary if dictionary and dictionary < data else data
        raw = np.frombuffer(os.pread(file, chunk.total_compressed_size, begin), np.uint8)
        if len(raw) != chunk.total_compressed_size:
            raise _OtherForm
        headers = np.empty((min(chunk.num_values // _PAGE_VALUES + 16, _MAX_PAGES), HEADER_FIELDS), np.int64)
        count = read_headers(raw, 0, len(raw), headers)
        if count < 0:
            raise _OtherForm
        return _Pages(raw, headers[:count], _inflater(_CODECS[chunk.compression]))


class _Texts:
    """Codes of a text column, and its texts."""

    def __init__(self, place: _Place, num_rows: int) -> None:
        self._is_optional = place.is_optional
        self._codes = np.empty(num_rows, np.int32)
        self._at = self._num_nulls = self._num_texts = 0
        self._offsets = [np.zeros(1, np.int32)]
        self._data: list[U8] = []

    def add(self, pages: _Pages, num_rows: int) -> None:
        first_code, end = self._num_texts, self._at + num_rows
        for i, header in enumerate(pages.headers):
            if header[TYPE] == footer.DICTIONARY_PAGE and i == 0:
                self._add_texts(pages.body(i), int(header[NUM_VALUES]))
                continue
            if header[TYPE] != footer.DATA_PAGE or header[ENCODING] not in _INDEX_ENCODINGS or self._at + header[NUM_VALUES] > end:
                raise _OtherForm
            out = self._codes[self._at : self._at + int(header[NUM_VALUES])]
            levels, scratch = np.empty(len(out), np.uint8), np.empty(len(out), np.int32)
            num_codes = self._num_texts - first_code
            nulls = decode_indices(pages.body(i), self._is_optional, first_code, num_codes, out, levels, scratch)
            if nulls < 0:
                raise _OtherForm
            self._num_nulls += nulls
            self._at += len(out)
        if self._at != end:
            raise _OtherForm

    def _add_texts(self, page: U8, count: int) -> None:
        if count < 0 or 4 * count > len(page):
            raise _OtherForm
        data = np.empty(len(page) - 4 * count, np.uint8)
        offsets = np.zeros(count + 1, np.int32)
        if split_texts(page, count, offsets, data) < 0:
            raise _OtherForm
        self._offsets.append(offsets[1:] + self._offsets[-1][-1])
        self._data.append(data[: offsets[-1]])
        self._num_texts += count

    def array(self) -> pa.Array:
        offsets = np.concatenate(self._offsets)
        data = np.concatenate(self._data) if self._data else np.empty(0, np.uint8)
        texts = pa.Array.from_buffers(pa.string(), self._num_texts, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
        valid = pa.py_buffer(np.packbits(self._codes >= 0, bitorder="little")) if self._num_nulls else None
        indices = pa.Array.from_buffers(pa.int32(), self._at, [valid, pa.py_buffer(self._codes)], self._num_nulls)
        return pa.DictionaryArray.from_arrays(indices, texts)


class _Numbers:
    """Values of an integer column; where they are null they are -1."""

    def __init__(self, place: _Place, num_rows: int) -> None:
        assert place.dtype is not None
        self._kind = place.field.type
        self._is_optional = place.is_optional
        self._dtype = place.dtype
        self._values = np.empty(num_rows, place.dtype)
        self._valid: U8 | None = None
        self._at = self._num_nulls = 0

    def add(self, pages: _Pages, num_rows: int) -> None:
        end = self._at + num_rows
        dictionary = np.empty(0, self._dtype)
        for i, header in enumerate(pages.headers):
            if header[TYPE] == footer.DICTIONARY_PAGE and i == 0:
                dictionary = np.frombuffer(pages.body(i), self._dtype, int(header[NUM_VALUES]))
                continue
            if header[TYPE] != footer.DATA_PAGE or self._at + header[NUM_VALUES] > end:
                raise _OtherForm
            n = int(header[NUM_VALUES])
            if header[ENCODING] in _INDEX_ENCODINGS:
                self._add_indices(pages.body(i), n, dictionary)
            elif header[ENCODING] == footer.PLAIN:
                self._add_plain(pages.body(i), n)
            else:
                raise _OtherForm
            self._at += n
        if self._at != end:
            raise _OtherForm

    def _add_plain(self, page: U8, n: int) -> None:
        levels = np.empty(n, np.uint8)
        begin, count = count_present(page, self._is_optional, n, levels)
        if begin < 0:
            raise _OtherForm
        values = np.frombuffer(page, self._dtype, count, begin)
        if count == n:
            self._values[self._at : self._at + n] = values
        else:
            spread(levels, values, self._values[self._at : self._at + n])
            self._note_nulls(levels != 0)

    def _add_indices(self, page: U8, n: int, dictionary: NDArray[Any]) -> None:
        codes, levels = np.empty(n, np.int32), np.empty(n, np.uint8)
        nulls = decode_indices(page, self._is_optional, 0, len(dictionary), codes, levels, np.empty(n, np.int32))
        if nulls < 0:
            raise _OtherForm
        self._values[self._at : self._at + n] = np.append(dictionary, self._dtype.type(-1))[codes]
        if nulls:
            self._note_nulls(codes >= 0)

    def _note_nulls(self, present: NDArray[np.bool_]) -> None:
        if self._valid is None:
            self._valid = np.ones(len(self._values), np.uint8)
        self._valid[self._at : self._at + len(present)] = present
        self._num_nulls += len(present) - int(np.count_nonzero(present))

    def array(self) -> pa.Array:
        valid = None if self._valid is None else pa.py_buffer(np.packbits(self._valid, bitorder="little"))
        return pa.Array.from_buffers(self._kind, self._at, [valid, pa.py_buffer(self._values)], self._num_nulls)


def _inflater(codec: str | None) -> Callable[[U8, int], U8]:
    """A function of (page, its length when inflated)."""
    if codec is None:
        return lambda page, size: page if len(page) == size else _refuse()
    if codec == "gzip" and isal_zlib is not None:
        return lambda page, size: np.frombuffer(isal_zlib.decompress(page, _GZIP_WINDOW, size), np.uint8)
    return lambda page, size: np.frombuffer(pa.decompress(page, size, codec), np.uint8)


def _refuse() -> U8:
    raise _OtherForm

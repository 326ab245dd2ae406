"""Arrow columns of any text or number type as flat arrays: codes and distinct texts, integers with -1 for absent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fastroute.addr import TextBuffers
from fastroute.errors import InputError
from fastroute.flows.kernels import fill_nulls, gather
from fastroute.vocab import ICMP, ICMPV6, SCTP, TCP, UDP

I32 = NDArray[np.int32]

ABSENT_TEXTS = frozenset({"", "-"})
"""What flow logs write where a field does not apply, beside null."""
PROTOCOL_NUMBERS = {"tcp": TCP, "udp": UDP, "sctp": SCTP, "icmp": ICMP, "icmpv6": ICMPV6, "icmp6": ICMPV6}

_NO_BITS = np.empty(0, np.uint8)


class TextColumn(NamedTuple):
    """n texts: row i is `texts[codes[i]]`, absent where the code is -1. Without codes row i is `texts[i]`."""

    texts: TextBuffers
    codes: I32 | None

    @property
    def num_rows(self) -> int:
        return len(self.codes) if self.codes is not None else self.texts.num_rows


def one_array(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """A column as one array; chunks are joined, dictionaries unified."""
    if isinstance(column, pa.Array):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    if pa.types.is_dictionary(column.type) and any(chunk.dictionary.null_count for chunk in column.chunks):
        # Arrow does not unify dictionaries that hold a null; one that it makes itself holds none.
        column = pa.chunked_array([chunk.dictionary_decode() for chunk in column.chunks]).dictionary_encode()
    joined = column.combine_chunks()
    # Without any chunk, combine_chunks answers a chunked array in some versions, an array in others.
    return joined if isinstance(joined, pa.Array) else pa.concat_arrays(joined.chunks) if joined.num_chunks else _empty(column.type)


def _empty(kind: pa.DataType) -> pa.Array:
    return pa.nulls(0, kind)


def is_text(kind: pa.DataType) -> bool:
    """Whether a type is one of the text types, or a dictionary of one; binary counts, as old writers do not annotate text."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_null(kind)
    )


def text_column(column: pa.ChunkedArray | pa.Array, name: str) -> TextColumn:
    """Read a text column without copying its texts; dictionaries keep their codes.

    Raises
    ------
    InputError
        The column is not text.
    """
    array = one_array(column)
    if not is_text(array.type):
        raise InputError(f"column {name!r} is of type {array.type}; text is expected")
    if pa.types.is_null(array.type):
        return TextColumn(TextBuffers(_NO_BITS, np.zeros(1, np.int32)), np.full(len(array), -1, np.int32))
    if pa.types.is_dictionary(array.type):
        return TextColumn(_buffers(array.dictionary), _codes(array.indices))
    return TextColumn(_buffers(array), None)


def distinct_column(column: pa.ChunkedArray | pa.Array, name: str) -> TextColumn:
    """As `text_column`, but always with codes: for columns of few distinct values."""
    array = one_array(column)
    if is_text(array.type) and not pa.types.is_dictionary(array.type) and not pa.types.is_null(array.type):
        array = array.dictionary_encode()
    return text_column(array, name)


def texts_of(buffers: TextBuffers) -> list[str | None]:
    """Every text as Python has it; None where null."""
    data, bounds = buffers.data.tobytes(), buffers.offsets.tolist()
    found: list[str | None] = [data[bounds[i] : bounds[i + 1]].decode(errors="backslashreplace") for i in range(buffers.num_rows)]
    if buffers.valid.size:
        valid = np.unpackbits(buffers.valid, bitorder="little")[buffers.first_bit : buffers.first_bit + buffers.num_rows]
        found = [text if is_valid else None for text, is_valid in zip(found, valid.tolist(), strict=True)]
    return found


def lookup_texts(column: TextColumn, values: Mapping[str, int], *, unknown: int, absent: int) -> I32:
    """Replace each text by its number.

    Parameters
    ----------
    column : TextColumn with codes
    values : text -> number
    unknown, absent : numbers of texts that are not among the values, and of null, "" and "-"

    Returns
    -------
    (n,) int32
    """
    numbers = [absent if text is None or text in ABSENT_TEXTS else values.get(text, unknown) for text in texts_of(column.texts)]
    assert column.codes is not None
    return gathered(column.codes, np.array(numbers, np.int32), absent)


def gathered(codes: I32, table: NDArray[Any], absent: int) -> NDArray[Any]:
    """table[codes], `absent` where a code is -1."""
    out = np.empty(len(codes), table.dtype)
    gather(codes, table, absent, out)
    return out


def int_column(column: pa.ChunkedArray | pa.Array, name: str, dtype: type[np.int32] | type[np.int64] = np.int32) -> NDArray[Any]:
    """Read a number column of any width, or of text, with -1 for absent.

    Parameters
    ----------
    dtype : numpy.int32 or numpy.int64
        What the caller wants; AWS's own table definitions differ in width from its files.

    Returns
    -------
    (n,) dtype
        A view of the Arrow buffer where that has the width and no nulls.

    Raises
    ------
    InputError
        Not integers, or numbers beyond the width: names the first bad row.
    """
    array = one_array(column)
    if pa.types.is_null(array.type):
        return np.full(len(array), -1, dtype)
    if pa.types.is_integer(array.type):
        return _narrowed(_integers(array), name, dtype)
    if pa.types.is_floating(array.type):
        return _narrowed(_whole_numbers(array, name), name, dtype)
    if is_text(array.type):
        texts = distinct_column(array, name)
        assert texts.codes is not None
        numbers = np.array([_number(text, name) for text in texts_of(texts.texts)], np.int64)
        return _narrowed(gathered(texts.codes, numbers, -1), name, dtype)
    raise InputError(f"column {name!r} is of type {array.type}; integers are expected")


def _buffers(array: pa.Array) -> TextBuffers:
    """The buffers of a text array, uncopied, but for view types, which have no offsets."""
    kind = array.type
    if pa.types.is_string_view(kind):
        array = array.cast(pa.large_string())
    elif pa.types.is_binary_view(kind):
        array = array.cast(pa.large_binary())
    elif pa.types.is_null(kind):
        array = array.cast(pa.string())
    is_wide = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
    valid, offsets, data = array.buffers()
    if len(array) == 0:
        return TextBuffers(_NO_BITS, np.zeros(1, np.int32))
    bounds = np.frombuffer(offsets, np.int64 if is_wide else np.int32)[array.offset : array.offset + len(array) + 1]
    texts = np.frombuffer(data, np.uint8) if data is not None else _NO_BITS
    if valid is None or array.null_count == 0:
        return TextBuffers(texts, bounds)
    return TextBuffers(texts, bounds, np.frombuffer(valid, np.uint8), array.offset)


def _codes(indices: pa.Array) -> I32:
    return _integers(indices).astype(np.int32, copy=False)


def _integers(array: pa.Array) -> NDArray[Any]:
    """An integer array with -1 for null; a view where nothing is null."""
    valid, data = array.buffers()
    dtype = np.dtype(array.type.to_pandas_dtype())
    if len(array) == 0:
        return np.empty(0, dtype)
    values = np.frombuffer(data, dtype)[array.offset : array.offset + len(array)]
    if valid is None or array.null_count == 0:
        return values
    out = np.empty(len(values), np.int64 if dtype.itemsize == 8 or dtype.kind == "u" else np.int32)
    fill_nulls(values, np.frombuffer(valid, np.uint8), array.offset, out)
    return out


def _whole_numbers(array: pa.Array, name: str) -> NDArray[np.int64]:
    """Floats as integers: what pandas makes of integers when some are absent."""
    values = array.to_numpy(zero_copy_only=False).astype(np.float64)
    absent = np.isnan(values)
    whole = np.where(absent, -1, np.trunc(values))
    bad = np.flatnonzero(~absent & (whole != values) | (np.abs(whole) >= 2.0**63))
    if bad.size:
        raise InputError(f"row {bad[0]}: {name} {values[bad[0]]} is not an integer")
    return whole.astype(np.int64)


def _number(text: str | None, name: str) -> int:
    if text is None or text in ABSENT_TEXTS:
        return -1
    if name == "protocol" and text.lower() in PROTOCOL_NUMBERS:
        return PROTOCOL_NUMBERS[text.lower()]
    if text.isascii() and text.isdecimal():
        return int(text)
    raise InputError(f"{name} {text!r} is not a number")


def _narrowed(values: NDArray[Any], name: str, dtype: type[np.int32] | type[np.int64]) -> NDArray[Any]:
    if values.dtype == dtype:
        return values
    limits = np.iinfo(dtype)
    if np.iinfo(values.dtype).max > limits.max and values.size and (values.max() > limits.max or values.min() < limits.min):
        row = int(np.flatnonzero((values > limits.max) | (values < limits.min))[0])
        raise InputError(f"row {row}: {name} {values[row]} is beyond {limits.bits} bits")
    return values.astype(dtype)

"""Arrow columns of every type as flat arrays."""

import numpy as np
import pyarrow as pa
import pytest

from fastroute.errors import InputError
from fastroute.flows.columns import distinct_column, int_column, lookup_texts, one_array, text_column, texts_of

TEXTS = ["10.0.0.1", None, "-", "", "10.0.0.1", "fe80::1"]


def decoded(column: pa.Array) -> list[str | None]:
    found = text_column(column, "x")
    texts = texts_of(found.texts)
    return texts if found.codes is None else [texts[code] if code >= 0 else None for code in found.codes.tolist()]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view()])
@pytest.mark.parametrize("begin", [0, 1, 3, 6])
def test_text_of_any_type_and_slice(kind: pa.DataType, begin: int) -> None:
    array = pa.array(TEXTS).cast(kind)
    assert decoded(array[begin:]) == TEXTS[begin:]
    encoded = pa.array(TEXTS).dictionary_encode()
    for index in (pa.int8(), pa.uint8(), pa.int32(), pa.uint32(), pa.int64(), pa.uint64()):
        coded = pa.DictionaryArray.from_arrays(encoded.indices.cast(index), encoded.dictionary.cast(kind))
        assert decoded(coded[begin:]) == TEXTS[begin:]


def test_null_inside_a_dictionary_and_null_type() -> None:
    coded = pa.DictionaryArray.from_arrays(pa.array([0, 1, 1, None]), pa.array(["a", None]))
    assert decoded(coded) == ["a", None, None, None]
    assert decoded(pa.nulls(3)) == [None] * 3
    assert decoded(pa.array([None, None], pa.string())) == [None, None]


def test_chunks_are_joined() -> None:
    chunked = pa.chunked_array([pa.array(["a", "b"]).dictionary_encode(), pa.array(["b", "c"]).dictionary_encode()])
    assert one_array(chunked).to_pylist() == ["a", "b", "b", "c"]
    assert one_array(pa.chunked_array([], pa.string())).to_pylist() == []


def test_text_is_expected() -> None:
    with pytest.raises(InputError, match=r"column 'srcaddr' is of type int64; text is expected"):
        text_column(pa.array([1]), "srcaddr")


def test_lookup_of_distinct_texts() -> None:
    column = distinct_column(pa.array(["OK", "NODATA", None, "-", "OK"]), "log_status")
    assert lookup_texts(column, {"OK": 0}, unknown=1, absent=2).tolist() == [0, 1, 2, 2, 0]


@pytest.mark.parametrize(
    "kind", [pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32(), pa.uint32(), pa.int64(), pa.uint64(), pa.float64()]
)
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_numbers_of_any_width(kind: pa.DataType, dtype: type[np.int32] | type[np.int64]) -> None:
    array = pa.array([6, None, 17, 0], kind)
    got = int_column(array, "protocol", dtype)
    assert (got.dtype, got.tolist()) == (dtype, [6, -1, 17, 0])
    assert int_column(array[2:], "protocol", dtype).tolist() == [17, 0]


def test_numbers_without_nulls_are_not_copied() -> None:
    array = pa.array([1, 2, 3], pa.int32())
    assert int_column(array, "srcport").ctypes.data == array.buffers()[1].address


def test_numbers_as_text_and_protocols_by_name() -> None:
    assert int_column(pa.array(["443", "-", None, ""]), "dstport").tolist() == [443, -1, -1, -1]
    assert int_column(pa.array(["tcp", "17", "ICMP"]), "protocol").tolist() == [6, 17, 1]
    assert int_column(pa.nulls(2), "protocol").tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (pa.array([1, 2**40]), r"row 1: srcport 1099511627776 is beyond 32 bits"),
        (pa.array([1.0, 1.5]), r"row 1: srcport 1.5 is not an integer"),
        (pa.array(["80", "http"]), r"srcport 'http' is not a number"),
        (pa.array([True]), r"column 'srcport' is of type bool; integers are expected"),
    ],
)
def test_numbers_that_are_none(array: pa.Array, message: str) -> None:
    with pytest.raises(InputError, match=message):
        int_column(array, "srcport")

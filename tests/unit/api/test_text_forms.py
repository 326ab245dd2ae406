"""Text in every form that Arrow has for it, through every public call that takes text: the same answers as a list of str."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from fastroute import Namespace, PrefixTable
from fastroute.api import Engine, prefix_table
from fastroute.errors import AddressError
from tests.unit.api.test_namespace import GOLDEN

VALUES = (pa.string(), pa.large_string(), pa.string_view())
INDICES = (pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32(), pa.uint32(), pa.int64(), pa.uint64())
Form = Callable[[list[str | None]], pa.Array | pa.ChunkedArray]


def dictionary(texts: list[str | None], index: pa.DataType, value: pa.DataType) -> pa.DictionaryArray:
    """Each distinct text once, nulls by index; beside them a null and an address that no row has."""
    distinct = list(dict.fromkeys(text for text in texts if text is not None))
    codes = [None if text is None else distinct.index(text) + 2 for text in texts]
    return pa.DictionaryArray.from_arrays(pa.array(codes, index), pa.array(["192.0.2.1", None, *distinct], value))


def sliced(array: pa.Array) -> pa.Array:
    """The same rows, in the middle of a longer array."""
    return pa.concat_arrays([array[:1], array, array[:1]]).slice(1, len(array))


FORMS: dict[str, Form] = {
    **{str(value): lambda texts, value=value: sliced(pa.array(texts, value)) for value in VALUES},
    **{
        f"dictionary {index} {value}": lambda texts, index=index, value=value: sliced(dictionary(texts, index, value))
        for index in INDICES
        for value in VALUES
    },
    "chunks of dictionaries": lambda texts: pa.chunked_array(
        [dictionary(texts[:2], pa.int8(), pa.string()), dictionary(texts[2:], pa.int8(), pa.string())]
    ),
}
PREFIXES = ["0.0.0.0/0", "10.0.0.0/8", "10.0.1.7", "2001:db8::/32"]
ADDRESSES = ["10.0.1.7", None, "10.9.9.9", "-", "8.8.8.8", "", "2001:db8::1", "::1", "10.0.1.7"]
WANT = [2, -1, 1, -1, 0, -1, 3, -1, 2]


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> Form:
    return FORMS[request.param]


def test_prefixes_and_lookup(form: Form) -> None:
    table = PrefixTable(form(list(PREFIXES)), range(4))
    assert table.lookup(form(ADDRESSES)).tolist() == WANT
    out = np.empty(len(WANT), np.int32)
    assert table.lookup(form(ADDRESSES), out=out) is out
    assert out.tolist() == WANT


def test_malformed_rows_are_named(form: Form) -> None:
    table = PrefixTable(PREFIXES)
    with pytest.raises(AddressError, match=r"^row 1: '10.0.1.300' is not an IPv4 or IPv6 address$"):
        table.lookup(form(["10.0.1.7", "10.0.1.300", "10.0.1.7"]))
    with pytest.raises(AddressError, match=r"row 2: host bits set in '10.0.1.7/24'; did you mean '10.0.1.0/24'"):
        PrefixTable(form(["10.0.0.0/8", "11.0.0.0/8", "10.0.1.7/24"]))


def test_route(form: Form, engine: Engine) -> None:
    src, dst = ["10.0.5.5", "10.0.6.6", "10.0.5.5", None, "-"], ["10.0.40.3", "10.0.5.5", "8.8.8.8", "10.0.5.5", ""]
    rest = {"vpc_id": ["vpc-a"] * 5, "srcport": [40000] * 5, "dstport": [80] * 5, "protocol": [6] * 5, "tcp_flags": [2] * 5}
    table = engine.route(pa.table({"pkt_srcaddr": form(src), "pkt_dstaddr": form(dst), **rest})).read_all()
    assert table["src_k8s_pod"].to_pylist() == ["web-a", "web-b", "web-a", None, None]
    assert table["dst_k8s_pod"].to_pylist() == ["db-a", "web-a", None, "web-a", None]
    assert table["pkt_srcaddr"].to_pylist() == src


def test_route_get(form: Form) -> None:
    dst = ["8.8.8.8", "10.0.6.6", "8.8.8.8", "10.0.40.3"]
    node = Namespace.load(GOLDEN)
    assert node.route_get(form(list(dst))).to_pylist() == node.route_get(dst).to_pylist()


def test_what_no_row_says_is_no_error() -> None:
    """Filters leave dictionaries as they are."""
    texts = pa.DictionaryArray.from_arrays(pa.array([1, None, 1], pa.int8()), ["nonsense", "10.0.1.7/32", None])
    table = PrefixTable(texts.filter(pa.array([True, False, False])))
    assert len(table) == 1
    addresses = pa.DictionaryArray.from_arrays(pa.array([1, None, 1], pa.int8()), ["nonsense", "10.0.1.7", None])
    assert table.prefix_of(table.lookup(addresses)) == ["10.0.1.7/32", None, "10.0.1.7/32"]


def test_each_text_of_a_dictionary_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []
    real = prefix_table.try_parse
    monkeypatch.setattr(prefix_table, "try_parse", lambda texts: parsed.append(texts.num_rows) or real(texts))
    texts = pa.DictionaryArray.from_arrays(pa.array(np.arange(100_000, dtype=np.int32) % 2), ["10.0.1.7", "8.8.8.8"])
    found = PrefixTable(PREFIXES, range(4)).lookup(texts)
    assert parsed == [2]
    assert found.tolist() == [2, 0] * 50_000

"""The table that people hold: text of any library, both families, ids, changes, files and pickles."""

import pickle
import random
from ipaddress import ip_address, ip_network
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from fastroute import PrefixTable
from fastroute.addr import parse
from fastroute.errors import AddressError, InputError, TableError

PREFIXES = ["0.0.0.0/0", "10.0.0.0/8", "10.0.1.0/24", "10.0.1.7", "2001:db8::/32", "2001:db8:1::/48", "::/0"]
VALUES = [0, 1, 2, 3, 4, 5, 2**31 - 2]
ADDRESSES = ["10.0.1.7", "10.0.1.8", "10.200.0.1", "8.8.8.8", "2001:db8:1::9", "2001:db8:2::9", "fe80::1", None, "-", ""]
WANT = [3, 2, 1, 0, 5, 4, 2**31 - 2, -1, -1, -1]


@pytest.mark.parametrize(
    "form",
    [
        list,
        lambda texts: np.array(texts, object),
        pa.array,
        lambda texts: pa.array(texts, pa.large_string()),
        lambda texts: pa.array(texts, pa.string_view()),
        lambda texts: pa.array(texts).dictionary_encode(),
        lambda texts: pa.chunked_array([texts[:3], texts[3:]]),
        pl.Series,
        lambda texts: pl.Series(texts, dtype=pl.Categorical),
    ],
)
def test_text_of_any_form(form: object) -> None:
    table = PrefixTable(form(PREFIXES), VALUES)  # type: ignore[operator]
    assert table.lookup(form(ADDRESSES)).tolist() == WANT  # type: ignore[operator]
    assert len(table) == 7


def test_numbers_in_place_of_text() -> None:
    table4 = PrefixTable((np.array([0, 10 << 24], np.uint32), np.array([0, 8])), [7, 8])
    assert table4.lookup(np.array([10 << 24, 2**32 - 1, 0], np.uint32)).tolist() == [8, 7, 7]
    halves = np.array([[0x20010DB8 << 32, 0]], np.uint64)
    table6 = PrefixTable((halves, np.array([32])), [9])
    assert table6.lookup(np.array([[0x20010DB8 << 32, 5], [1, 1]], np.uint64)).tolist() == [9, -1]


def test_ids_are_dense_and_decode_to_their_prefixes() -> None:
    table = PrefixTable(PREFIXES)
    ids = table.lookup(ADDRESSES)
    assert (
        table.prefix_of(ids)
        == ["10.0.1.7/32", "10.0.1.0/24", "10.0.0.0/8", "0.0.0.0/0", "2001:db8:1::/48", "2001:db8::/32", "::/0"] + [None] * 3
    )
    pairs = parse([text for text in ADDRESSES[4:7] if text])
    assert table.lookup(np.column_stack((pairs.hi, pairs.lo))).tolist() == ids[4:7].tolist()
    with pytest.raises(TableError, match=r"is no id of this table; its ids are 0 to"):
        table.prefix_of([10_000])
    with pytest.raises(TableError, match=r"answers those, not ids"):
        PrefixTable(PREFIXES, VALUES).prefix_of([0])


def test_random_tables_against_ipaddress() -> None:
    rng = random.Random(5)
    for _ in range(20):
        networks = list(
            {ip_network((rng.getrandbits(32) & 0x0F0F00FF, rng.choice((0, 4, 8, 16, 24, 30, 32))), strict=False) for _ in range(40)}
        )
        texts = [str(network) for network in networks]
        asked = [str(ip_address(rng.getrandbits(32) & 0x0F0F00FF)) for _ in range(200)] + ["0.0.0.0", "255.255.255.255"]

        def longest(text: str, networks: list = networks) -> str | None:  # type: ignore[type-arg]
            covering = [network for network in networks if ip_address(text) in network]
            return str(max(covering, key=lambda network: network.prefixlen)) if covering else None

        want = [longest(text) for text in asked]
        assert PrefixTable(texts).prefix_of(PrefixTable(texts).lookup(asked)) == want
        values = PrefixTable(texts, range(len(texts))).lookup(asked).tolist()
        assert [texts[value] if value >= 0 else None for value in values] == want


def test_out_is_filled_and_returned() -> None:
    table, out = PrefixTable(PREFIXES, VALUES), np.empty(10, np.int32)
    assert table.lookup(ADDRESSES, out=out) is out
    assert out.tolist() == WANT
    with pytest.raises(AddressError, match=r"out: pass an int32 array of 10 rows"):
        table.lookup(ADDRESSES, out=np.empty(10, np.int64))  # type: ignore[arg-type]


def test_serial_and_parallel_agree() -> None:
    addrs = np.random.default_rng(3).integers(0, 2**32, 300_000, dtype=np.uint32)
    table = PrefixTable(PREFIXES, VALUES)
    assert np.array_equal(table.lookup(addrs), table.lookup(addrs, parallel=True))


def test_replace_makes_a_new_table() -> None:
    table = PrefixTable(PREFIXES, VALUES)
    other = table.replace({"10.0.1.0/24": 20, "10.0.1.7/32": None, "192.168.0.0/16": 30, "2001:db8:1::/48": None})
    asked = ["10.0.1.7", "192.168.1.1", "2001:db8:1::9"]
    assert other.lookup(asked).tolist() == [20, 30, 4]
    assert table.lookup(asked).tolist() == [3, 0, 5]
    without = PrefixTable(PREFIXES).replace({"10.0.0.0/8": None, "172.16.0.0/12": 0})
    assert without.prefix_of(without.lookup(["10.200.0.1", "172.16.0.1"])) == ["0.0.0.0/0", "172.16.0.0/12"]
    with pytest.raises(TableError, match=r"10.9.0.0/16 is not in the table and cannot be dropped"):
        table.replace({"10.9.0.0/16": None})


@pytest.mark.parametrize("values", [VALUES, None])
def test_files_and_pickles_bring_it_back(tmp_path: Path, values: list[int] | None) -> None:
    table = PrefixTable(PREFIXES, values)
    table.save(tmp_path / "table")
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(table, protocol=5, buffer_callback=buffers.append)
    assert buffers
    for again in (PrefixTable.load(tmp_path / "table"), pickle.loads(pickled, buffers=buffers), pickle.loads(pickle.dumps(table))):
        assert again.lookup(ADDRESSES).tolist() == table.lookup(ADDRESSES).tolist()
        assert (
            again.replace({"10.0.0.0/8": None}).lookup(["10.200.0.1"]).tolist()
            == table.replace({"10.0.0.0/8": None}).lookup(["10.200.0.1"]).tolist()
        )
        if values is None:
            assert again.prefix_of([0, -1]) == table.prefix_of([0, -1])


def test_empty_table_and_no_addresses() -> None:
    assert PrefixTable([]).lookup(["10.0.0.1", "::1", None]).tolist() == [-1, -1, -1]
    assert PrefixTable(PREFIXES, VALUES).lookup([]).tolist() == []


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AddressError, match=r"10.0.1.7/24.*did you mean '?10.0.1.0/24"):
        PrefixTable(["10.0.1.7/24"])
    with pytest.raises(TableError, match=r"values\[1\]: 2147483647 is not in 0 to 2147483646"):
        PrefixTable(["10.0.0.0/8", "11.0.0.0/8"], [0, 2**31 - 1])
    with pytest.raises(TableError, match=r"values of shape \(1,\)"):
        PrefixTable(["10.0.0.0/8", "11.0.0.0/8"], [0])
    with pytest.raises(TableError):
        PrefixTable(["10.0.0.0/8", "10.0.0.0/8"])
    with pytest.raises(TableError, match=r"bits behind its length"):
        PrefixTable((np.array([1], np.uint32), np.array([8])))
    with pytest.raises(TableError, match=r"prefix lengths go from 0 to 32; row 0 has another"):
        PrefixTable((np.array([0], np.uint32), np.array([33])))
    with pytest.raises(AddressError, match=r"row 1: '10.0.1.300' is not an IPv4 or IPv6 address"):
        PrefixTable(PREFIXES, VALUES).lookup(["10.0.0.1", "10.0.1.300"])
    (tmp_path / "other").write_bytes(b"FRBUNDL1")
    with pytest.raises(InputError):
        PrefixTable.load(tmp_path / "other")

"""Tables at their edges: layouts, inputs, refusals, threads, pickles, and reads that must stay inside."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

from fastroute import lpm
from fastroute.addr import parse_prefixes
from fastroute.addr.settings import has_avx512
from fastroute.arrays import read_bundle, write_bundle
from fastroute.errors import AddressError, FastrouteError, InputError, TableError
from fastroute.lpm import table4

FORMS = ["plain", "avx512"] if has_avx512() else ["plain"]
EDGES4 = np.array([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF], np.uint32)
ONES = 2**64 - 1
EDGES6 = np.array([(0, 0), (0, 1), (1 << 63, 0), (ONES, ONES - 1), (ONES, ONES)], np.uint64)


@pytest.fixture(params=FORMS, autouse=True)
def kernel_form(request):
    lpm.set_kernels(request.param)
    yield request.param
    lpm.set_kernels("auto")


@pytest.fixture(params=["rank", "record"])
def build4(request, monkeypatch):
    if request.param == "record":
        monkeypatch.setattr(table4, "MAX_RANK_BYTES", 0)
    return lambda *texts: lpm.build4(*columns4(texts))


def columns4(texts):
    rows = parse_prefixes(list(texts))
    return rows.v4, rows.prefix_len, np.arange(rows.num_rows, dtype=np.int32)


def columns6(texts):
    rows = parse_prefixes(list(texts))
    return np.column_stack((rows.hi, rows.lo)), rows.prefix_len, np.arange(rows.num_rows, dtype=np.int32)


def repeated(addrs):
    """So many that whole blocks and a rest are read."""
    return np.concatenate([addrs] * 40)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], [-1] * 6),
        (["0.0.0.0/0"], [0] * 6),
        (["0.0.0.0/32"], [0, -1, -1, -1, -1, -1]),
        (["255.255.255.255/32"], [-1, -1, -1, -1, -1, 0]),
        (["0.0.0.0/0", "255.255.255.255/32", "128.0.0.0/1"], [0, 0, 0, 2, 2, 1]),
    ],
)
def test_edges4(build4, texts, expected):
    assert lpm.lookup4(build4(*texts), repeated(EDGES4)).tolist() == expected * 40


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], [-1] * 5),
        (["::/0"], [0] * 5),
        (["::/128"], [0, -1, -1, -1, -1]),
        (["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"], [-1, -1, -1, -1, 0]),
        (["::/0", "8000::/1", "::1/128"], [0, 2, 1, 1, 1]),
    ],
)
def test_edges6(texts, expected):
    assert lpm.lookup6(lpm.build6(*columns6(texts)), repeated(EDGES6)).tolist() == expected * 40


def test_the_route_around_a_divided_24_goes_on_behind_it(build4):
    table = build4("10.0.0.0/16", "10.0.1.5/32")
    asked = parse_prefixes(["10.0.1.4", "10.0.1.5", "10.0.1.6", "10.0.2.0", "10.0.255.255", "10.1.0.0"]).v4
    assert lpm.lookup4(table, asked).tolist() == [0, 1, 0, 0, 0, -1]


def test_ids_are_dense_and_say_no_match_inside_a_word():
    """10.0.0.4/30 leaves addresses without a match in the same word of 32 slots as its own."""
    prefix, length, _ = columns4(["10.0.0.4/30", "10.1.0.0/16"])
    table, rows = lpm.build4_ids(prefix, length)
    asked = repeated(parse_prefixes(["10.0.0.3", "10.0.0.4", "10.0.0.7", "10.0.0.8", "10.1.2.3", "10.2.0.0"]).v4)
    ids = lpm.lookup4(table, asked)
    assert np.where(ids < 0, -1, rows[ids])[:6].tolist() == [-1, 0, 0, -1, 1, -1]
    assert ids.max() < rows.shape[0]


@pytest.mark.parametrize(("num_busy", "has_busy"), [(0, True), (20, True), (64, True), (65, False), (400, False)])
@pytest.mark.parametrize("is_neighbour", [True, False])
def test_the_root_in_registers(num_busy, has_busy, is_neighbour):
    """Busy sixteenths with a route around them that also comes back between them."""
    rng = np.random.default_rng(num_busy)
    high = 0x0A00 + np.arange(num_busy) if is_neighbour else rng.choice(1 << 16, num_busy, replace=False)
    prefix = np.concatenate(([0], high << 16, (high << 16) + 0x0102)).astype(np.uint32)
    length = np.repeat([0, 16, 32], [1, num_busy, num_busy])
    asked = np.concatenate((prefix, prefix + np.uint32(1), prefix - np.uint32(1), rng.integers(0, 1 << 32, 200, dtype=np.uint32)))
    expected = np.zeros(asked.shape[0], np.int64)
    for row in range(1, prefix.shape[0]):
        shift = np.uint32(32 - length[row])
        expected[asked >> shift == prefix[row] >> shift] = row
    table = lpm.build4(prefix, length, np.arange(prefix.shape[0]))
    by_id, rows = lpm.build4_ids(prefix, length)
    if is_neighbour or num_busy <= 20 or not has_busy:  # a hash without collisions is found for every 20, for few 64
        assert (table.busy.size > 0) == (by_id.busy.size > 0) == has_busy
    assert lpm.lookup4(table, asked).tolist() == expected.tolist()
    assert rows[lpm.lookup4(by_id, asked)].tolist() == expected.tolist()


@pytest.mark.parametrize("num_rows", [0, 1, 63, 64, 65, 200])
def test_lengths_around_a_block(build4, num_rows):
    addrs = np.arange(num_rows, dtype=np.uint32) + np.uint32(0x0A000000)
    assert lpm.lookup4(build4("10.0.0.0/26"), addrs).tolist() == [0 if i < 64 else -1 for i in range(num_rows)]


def test_strided_read_only_and_other_integers(build4):
    table = build4("10.0.0.0/8")
    addrs = np.arange(400, dtype=np.uint32) * np.uint32(1 << 23)
    expected = lpm.lookup4(table, addrs)
    fixed = addrs.copy()
    fixed.flags.writeable = False
    assert lpm.lookup4(table, fixed).tolist() == expected.tolist()
    assert lpm.lookup4(table, addrs[::3]).tolist() == expected[::3].tolist()
    assert lpm.lookup4(table, addrs.astype(np.int64)).tolist() == expected.tolist()
    assert lpm.lookup4(table, addrs.tolist()).tolist() == expected.tolist()


def test_output_is_used_and_checked(build4):
    table, addrs = build4("10.0.0.0/8"), np.zeros(3, np.uint32)
    out = np.empty(3, np.int32)
    assert lpm.lookup4(table, addrs, out=out) is out
    for bad in (np.empty(2, np.int32), np.empty(3, np.int64), np.empty(6, np.int32)[::2]):
        with pytest.raises(AddressError, match="out: pass a writable contiguous int32 array of 3 rows"):
            lpm.lookup4(table, addrs, out=bad)


@pytest.mark.parametrize("addrs", [[-1], [2**32], np.array([1.5]), np.zeros((2, 2), np.uint32)])
def test_numbers_that_are_no_address_are_refused(build4, addrs):
    with pytest.raises(AddressError):
        lpm.lookup4(build4(), addrs)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (([0x0A000001], [24], [0]), r"prefix\[0\] has bits set"),
        (([0], [33], [0]), r"length\[0\]: 33 is not in 0 to 32"),
        (([0], [0], [2**31 - 1]), r"value\[0\]: 2147483647"),
        (([0], [0], [-1]), r"value\[0\]: -1"),
        (([0, 1 << 31, 0], [0, 1, 0], [0, 1, 2]), "rows 0 and 2 are the same prefix"),
        (([0, 0], [0, 1], [0]), "must be equal"),
    ],
)
def test_tables_that_cannot_be_are_refused(columns, message):
    with pytest.raises(TableError, match=message):
        lpm.build4(*columns)


def test_parallel_is_serial():
    table = lpm.build4(*columns4(["10.0.0.0/8", "10.1.0.0/16", "192.168.0.0/16"]))
    addrs = np.random.default_rng(1).integers(0, 2**32, 300_001, dtype=np.uint32)
    assert np.array_equal(lpm.lookup4(table, addrs, parallel=True), lpm.lookup4(table, addrs))


def tables():
    prefix, length, value = columns4(["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3"])
    prefix6, length6, value6 = columns6(["2001:db8::/32", "2001:db8:1::/48", "2001:db8:1::5"])
    of = np.array([0, 1, 1])
    yield lpm.build4(prefix, length, value), lambda t: lpm.lookup4(t, prefix)
    yield lpm.build6(prefix6, length6, value6), lambda t: lpm.lookup6(t, prefix6)
    yield lpm.build_pool4(of, prefix, length, value, 2), lambda t: lpm.pool4_lookup(t, of, prefix)
    yield lpm.build_pool6(of, prefix6, length6, value6, 2), lambda t: lpm.pool6_lookup(t, of, prefix6)


def test_tables_travel_without_a_rebuild(tmp_path):
    for table, ask in tables():
        expected = ask(table).tolist()
        assert expected == [0, 1, 2]
        buffers = []
        text = pickle.dumps(table, protocol=5, buffer_callback=buffers.append)
        assert ask(pickle.loads(text, buffers=buffers)).tolist() == expected
        write_bundle(tmp_path / "table", *lpm.pack(table))
        assert ask(lpm.unpack(*read_bundle(tmp_path / "table"))).tolist() == expected
        assert lpm.num_bytes(table) == sum(array.nbytes for array in lpm.pack(table)[0].values())


def test_a_foreign_pack_is_refused():
    arrays, meta = lpm.pack(next(tables())[0])
    with pytest.raises(InputError, match="build it again"):
        lpm.unpack(arrays, meta | {"layout": 0})
    with pytest.raises(InputError, match="other arrays"):
        lpm.unpack({}, meta)


def test_equal_tables_of_a_pool_are_stored_once():
    prefix, length, value = columns4(["10.0.0.0/8", "10.1.0.0/16"])
    one = lpm.build_pool4([0, 0], prefix, length, value, 1)
    many = lpm.build_pool4(np.repeat(np.arange(50), 2), np.tile(prefix, 50), np.tile(length, 50), np.tile(value, 50), 50)
    assert many.lines.nbytes == one.lines.nbytes
    assert lpm.pool4_lookup(many, [0, 17, 49], np.full(3, 0x0A010203, np.uint32)).tolist() == [1, 1, 1]


@pytest.mark.parametrize("share_outside", [0, 0.1, 0.5, 1])
@pytest.mark.parametrize("num_far", [0, 5, 40])
def test_node_tables_inside_and_outside_their_regions(share_outside, num_far):
    """Pods in one /20 a table, and routes far from them: in one line, or in a tree of several."""
    rng = np.random.default_rng(num_far)
    far = (np.arange(num_far) * 5 + 20 << 24).astype(np.uint32)
    rows = []
    for table in range(3):
        pods = (0x0A000000 + (table << 12) + rng.choice(4096, 60, replace=False)).astype(np.uint32)
        prefix = np.concatenate(([0], far, pods)).astype(np.uint32)
        rows.append((np.full(prefix.size, table), prefix, np.repeat([0, 9, 32], [1, num_far, 60]), np.arange(prefix.size)))
    of, prefix, length, value = (np.concatenate(column) for column in zip(*rows, strict=True))
    pool = lpm.build_pool4(of, prefix, length, value, 3)
    tables = rng.integers(0, 3, 3000)
    inside = 0x0A000000 + (tables << 12) + rng.integers(0, 4096, 3000)
    asked = np.where(rng.random(3000) < share_outside, rng.integers(0, 1 << 32, 3000), inside).astype(np.uint32)
    for order in (np.arange(3000), np.argsort(tables, kind="stable")):
        found = lpm.pool4_lookup(pool, tables[order], asked[order])
        for table in range(3):
            alone = lpm.build4(*(column[of == table] for column in (prefix, length, value)))
            assert found[tables[order] == table].tolist() == lpm.lookup4(alone, asked[order][tables[order] == table]).tolist()


def test_a_large_table_in_a_pool():
    """20,000 host routes beside each other are one region."""
    hosts = np.arange(20_000, dtype=np.uint32) * np.uint32(2) + np.uint32(0x0A000000)
    pool = lpm.build_pool4(np.full(20_000, 1), hosts, np.full(20_000, 32), np.arange(20_000), 3)
    found = lpm.pool4_lookup(pool, np.full(40_000, 1), np.arange(40_000, dtype=np.uint32) + np.uint32(0x0A000000))
    assert found.tolist() == [i // 2 if i % 2 == 0 else -1 for i in range(40_000)]
    assert lpm.pool4_lookup(pool, [0, 2], hosts[:2]).tolist() == [-1, -1]


def test_a_deep_tree_in_a_pool():
    """20,000 host routes far from each other: hardly any fits a region, five levels of the tree hold the rest."""
    hosts = (np.arange(20_000, dtype=np.uint64) * np.uint64(200_003) + np.uint64(77)).astype(np.uint32)
    pool = lpm.build_pool4(np.zeros(20_000, np.int32), hosts, np.full(20_000, 32), np.arange(20_000), 1)
    asked = np.concatenate((hosts, hosts + np.uint32(1), hosts - np.uint32(1)))
    expected = list(range(20_000)) + [-1] * 40_000
    assert lpm.pool4_lookup(pool, np.zeros(60_000, np.int32), asked).tolist() == expected
    assert lpm.num_bytes(pool) < 20_000 * 80


def test_a_table_that_the_pool_does_not_hold():
    pool = lpm.build_pool4([], [], [], [], 2)
    for bad in (-1, 2):
        with pytest.raises(AddressError, match=rf"tables\[1\]: {bad} is not one of the pool's 2 tables"):
            lpm.pool4_lookup(pool, [0, bad], np.zeros(2, np.uint32))
    for at in (0, 300, 999):  # numbers that the kernels themselves check, in the first stretch, a later one, and the rest
        tables = np.zeros(1000, np.int32)
        tables[at] = 2
        with pytest.raises(AddressError, match=rf"tables\[{at}\]: 2 is not one of the pool's 2 tables"):
            lpm.pool4_lookup(pool, tables, np.zeros(1000, np.uint32))


def test_the_setting_is_checked():
    with pytest.raises(FastrouteError, match="kernels 'fast': not one of auto, avx512, plain"):
        lpm.set_kernels("fast")


@pytest.mark.parametrize("is_checked", [True, False])
def test_no_read_leaves_the_tables(is_checked, kernel_form, tmp_path):
    """Plain kernels under numba's bounds checks, and each form on tables whose arrays end where readable memory ends."""
    if is_checked and kernel_form != "plain":
        pytest.skip("bounds checks do not see raw gathers")
    # the cache does not tell checked kernels from others
    environment = {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)} if is_checked else {}
    child = subprocess.run(
        [sys.executable, "-m", "tests.unit.lpm.unreadable"],
        env={"PYTHONPATH": ":".join(filter(None, sys.path)), "FASTROUTE_KERNELS": kernel_form, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert child.returncode == 0, child.stderr[-2000:]
    assert child.stdout.split() == ["inside"]

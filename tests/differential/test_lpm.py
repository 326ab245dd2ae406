"""The compiled tables answer as a scan of the list of prefixes does."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config

from fastroute.addr import format4, format6, masks4, masks6, parse_prefixes
from fastroute.addr.settings import has_avx512
from fastroute.lpm import (
    build4,
    build4_ids,
    build6,
    build6_ids,
    build_pool4,
    build_pool6,
    lookup4,
    lookup4_one,
    lookup6,
    lookup6_one,
    pool4_lookup,
    pool4_one,
    pool6_lookup,
    set_kernels,
    table4,
)
from fastroute.lpm.kernels4 import RANK_IDS, RANK_VALUES, RECORD_NARROW, RECORD_WIDE
from tests.reference.lpm import border_addresses, longest_match
from tests.reference.prefixes import columns4, columns6, halves, prefix_tables

# interpreted kernels take seconds a table
FEW = settings(max_examples=2 if config.DISABLE_JIT else 60, deadline=None)
FORMS = ["plain", "avx512"] if has_avx512() else ["plain"]


@pytest.fixture(params=FORMS, scope="module", autouse=True)
def kernel_form(request):
    set_kernels(request.param)
    yield request.param
    set_kernels("auto")


@pytest.fixture(params=["rank", "record"], scope="module")
def layout(request):
    """Both layouts on the same small tables: the record is what grows beyond the rank table's limit."""
    limit = table4.MAX_RANK_BYTES
    if request.param == "record":
        table4.MAX_RANK_BYTES = 0
    yield request.param
    table4.MAX_RANK_BYTES = limit


def columns_of(rows):
    """(n, 2) tables and addresses -> the two columns in the pool's dtypes."""
    return rows[:, 0].astype(np.int32), rows[:, 1].astype(np.uint32)


def filled(addrs):
    """Repeated to more than two blocks of 64 and an odd rest, so that every address runs through the wide form."""
    return (addrs * (200 // len(addrs) + 1))[: max(len(addrs), 64) // 64 * 64 + 71]


@FEW
@given(prefix_tables(32))
def test_table4_answers_as_the_scan(layout, table):
    lpm = build4(*columns4(table))
    is_narrow = max((value for _, _, value in table), default=0) < 0x7FFF
    assert lpm.kind == (RANK_VALUES if layout == "rank" else RECORD_NARROW if is_narrow else RECORD_WIDE)
    addrs = filled(border_addresses(table, 32))
    expected = [longest_match(table, addr, 32) for addr in addrs]
    assert lookup4(lpm, np.array(addrs, np.uint32)).tolist() == expected
    assert [lookup4_one(lpm, np.uint32(addr)) for addr in addrs[:70]] == expected[:70]


@FEW
@given(prefix_tables(32))
def test_ids4_stand_for_the_longest_prefix(layout, table):
    lpm, rows = build4_ids(*columns4(table)[:2])
    assert layout == "record" or lpm.kind in {RANK_IDS, RANK_VALUES}
    numbered = [(base, length, row) for row, (base, length, _) in enumerate(table)]
    addrs = filled(border_addresses(table, 32))
    ids = lookup4(lpm, np.array(addrs, np.uint32))
    assert np.where(ids < 0, -1, rows[ids]).tolist() == [longest_match(numbered, addr, 32) for addr in addrs]


@FEW
@given(prefix_tables(128))
def test_table6_answers_as_the_scan(table):
    lpm = build6(*columns6(table))
    addrs = filled(border_addresses(table, 128))
    expected = [longest_match(table, addr, 128) for addr in addrs]
    assert lookup6(lpm, halves(addrs)).tolist() == expected
    assert [lookup6_one(lpm, hi, lo) for hi, lo in halves(addrs[:70])] == expected[:70]


@FEW
@given(prefix_tables(128))
def test_ids6_stand_for_the_longest_prefix(table):
    lpm, rows = build6_ids(*columns6(table)[:2])
    numbered = [(base, length, row) for row, (base, length, _) in enumerate(table)]
    addrs = filled(border_addresses(table, 128))
    ids = lookup6(lpm, halves(addrs))
    assert np.where(ids < 0, -1, rows[ids]).tolist() == [longest_match(numbered, addr, 128) for addr in addrs]


@FEW
@given(st.lists(prefix_tables(32, 30), max_size=5))
def test_pool4_answers_as_the_scan(tables):
    prefix, length, value = columns4([p for table in tables for p in table])
    of = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    pool = build_pool4(of, prefix, length, value, len(tables))
    asked, expected = [], []
    for t, table in enumerate(tables):
        addrs = filled(border_addresses(table, 32))
        expected.append([longest_match(table, addr, 32) for addr in addrs])
        asked.append(np.column_stack((np.full(len(addrs), t), addrs)))
        assert pool4_lookup(pool, *columns_of(asked[-1])).tolist() == expected[-1]
        assert [pool4_one(pool, t, np.uint32(addr)) for addr in addrs[:70]] == expected[-1][:70]
    if tables:  # and in one call, the tables in turns
        order = np.random.default_rng(0).permutation(sum(map(len, asked)))
        found = pool4_lookup(pool, *columns_of(np.concatenate(asked)[order]))
        assert found.tolist() == np.concatenate(expected)[order].tolist()


@FEW
@given(st.lists(prefix_tables(32, 12), min_size=2, max_size=4), st.lists(st.integers(1, 700), min_size=1, max_size=6), st.data())
def test_pool4_answers_alike_grouped_and_mixed(tables, run_lengths, data):
    """Runs of one table, mixed rows between them, and rests: stretches of either form, borders of runs anywhere in them."""
    prefix, length, value = columns4([p for table in tables for p in table])
    of = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    pool = build_pool4(of, prefix, length, value, len(tables))
    runs = [np.full(rows, data.draw(st.integers(0, len(tables) - 1)), np.int32) for rows in run_lengths]
    mixed = np.arange(data.draw(st.integers(0, 600)), dtype=np.int32) % len(tables)
    order = np.concatenate([*runs[: len(runs) // 2], mixed, *runs[len(runs) // 2 :]])
    addrs = np.resize(np.array([addr for table in tables for addr in border_addresses(table, 32)], np.uint32), order.shape[0])
    found = pool4_lookup(pool, order, addrs)
    assert found.tolist() == [pool4_one(pool, t, addr) for t, addr in zip(order, addrs, strict=True)]


@FEW
@given(st.lists(prefix_tables(128, 30), max_size=5))
def test_pool6_answers_as_the_scan(tables):
    prefix, length, value = columns6([p for table in tables for p in table])
    of = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    pool = build_pool6(of, prefix, length, value, len(tables))
    for t, table in enumerate(tables):
        addrs = border_addresses(table, 128)
        found = pool6_lookup(pool, np.full(len(addrs), t), halves(addrs))
        assert found.tolist() == [longest_match(table, addr, 128) for addr in addrs]


@FEW
@given(prefix_tables(64, 60), st.sampled_from([0, 1, 0x2001_0DB8_0001_0002, 2**64 - 2, 2**64 - 1]), st.integers(0, 64))
def test_pool6_of_routes_that_share_a_half(halves_table, shared, from_length):
    """Trees of several levels by the right half, at either end of the address space; some routes reach over it."""
    rights = {(addr & 2**64 - 1, length): value for addr, length, value in halves_table}
    table = [((shared << 64) + addr, 64 + length, value) for (addr, length), value in rights.items()]
    if from_length < 64:
        table.append((shared >> (64 - from_length) << (128 - from_length), from_length, 5))
    pool = build_pool6(np.zeros(len(table), np.int32), *columns6(table), 1)
    addrs = border_addresses(table, 128)
    found = pool6_lookup(pool, np.zeros(len(addrs), np.int32), halves(addrs))
    assert found.tolist() == [longest_match(table, addr, 128) for addr in addrs]


def internet():
    """The real table, which is not part of the project."""
    folder = Path(os.environ.get("FASTROUTE_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
    path = folder / "bgp" / "prefixes.txt.gz"
    if not path.exists():
        pytest.skip(f"{path} is not here; FASTROUTE_SHARED_DATA names its folder")
    if config.DISABLE_JIT:
        pytest.skip("a million prefixes need compiled kernels")
    with gzip.open(path, "rt") as file:
        return file.read().split()


def test_the_internet_table_as_pytricia():
    """100,000 random addresses and both borders of 100,000 prefixes of each family."""
    pytricia = pytest.importorskip("pytricia", reason="pytricia is not installed: the Internet's table has no peer here")
    texts = internet()
    rows = parse_prefixes(texts)
    rng = np.random.default_rng(20)
    for family, num_bits in ((4, 32), (6, 128)):
        picked = np.flatnonzero(rows.family == family)
        tree = pytricia.PyTricia(num_bits)
        for row in picked:
            tree.insert(texts[row], int(row))
        some = rng.choice(picked, 100_000, replace=False)
        if family == 4:
            ends = rows.v4[some] | ~masks4(rows.prefix_len[some])
            asked = np.concatenate((rng.integers(0, 1 << 32, 100_000, dtype=np.uint32), rows.v4[some], ends, ends + np.uint32(1)))
            found = lookup4(build4(rows.v4[picked], rows.prefix_len[picked], picked), asked)
            names = format4(asked)
        else:
            hi, lo = rows.hi[some], rows.lo[some]
            mask_hi, mask_lo = masks6(rows.prefix_len[some])
            inside = hi | (rng.integers(0, 1 << 64, 100_000, dtype=np.uint64) & ~mask_hi)
            halves6 = [np.concatenate((hi, hi | ~mask_hi, inside)), np.concatenate((lo, lo | ~mask_lo, lo))]
            table = build6(np.column_stack((rows.hi, rows.lo))[picked], rows.prefix_len[picked], picked)
            found = lookup6(table, np.column_stack(halves6))
            names = format6(*halves6)
        assert found.tolist() == [tree.get(name, -1) for name in names]

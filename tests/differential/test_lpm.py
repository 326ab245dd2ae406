"""The compiled tables answer as a scan of the list of prefixes does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    pool6_lookup,
    set_kernels,
    table4,
)
from fastroute.lpm.kernels4 import RANK_IDS, RANK_VALUES, RECORD_NARROW, RECORD_WIDE
from tests.reference.lpm import border_addresses, longest_match
from tests.reference.prefixes import columns4, columns6, halves, prefix_tables

FEW = settings(max_examples=60, deadline=None)
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
    for t, table in enumerate(tables):
        addrs = border_addresses(table, 32)
        found = pool4_lookup(pool, np.full(len(addrs), t), np.array(addrs, np.uint32))
        assert found.tolist() == [longest_match(table, addr, 32) for addr in addrs]


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

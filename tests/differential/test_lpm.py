"""The compiled tables answer as a scan of the list of prefixes does."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fastroute.lpm import build_pool4, build_pool6, pool4_lookup, pool6_lookup
from tests.reference.lpm import border_addresses, longest_match
from tests.reference.prefixes import columns4, columns6, halves, prefix_tables

FEW = settings(max_examples=60, deadline=None)


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

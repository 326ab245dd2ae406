"""Each kernel against NumPy and the obvious loop, compiled and plain."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastroute.flows import kernels

Kernel = Callable[..., Any]
PLAIN = [False, True]


def form_of(kernel: Any, plain: bool) -> Kernel:
    """The compiled kernel, or its plain Python; with the JIT off there is only the latter."""
    return getattr(kernel, "py_func", kernel) if plain else kernel  # type: ignore[no-any-return]


def bitmap(flags: list[bool], first_bit: int) -> NDArray[np.uint8]:
    return np.packbits(np.array([True] * first_bit + flags, bool), bitorder="little")


@pytest.mark.parametrize("plain", PLAIN)
@given(values=st.lists(st.tuples(st.integers(-5, 2**31 - 1), st.booleans()), max_size=40), first_bit=st.integers(0, 20))
@settings(max_examples=50, deadline=None)
def test_fill_nulls(plain: bool, values: list[tuple[int, bool]], first_bit: int) -> None:
    numbers, flags = np.array([v for v, _ in values], np.int32), [f for _, f in values]
    out = np.empty(len(values), np.int32)
    form_of(kernels.fill_nulls, plain)(numbers, bitmap(flags, first_bit), first_bit, out)
    assert out.tolist() == [v if f else -1 for v, f in values]


@pytest.mark.parametrize("plain", PLAIN)
@pytest.mark.parametrize("dtype", [np.int8, np.int32])
@given(codes=st.lists(st.integers(-2, 9), max_size=40))
@settings(max_examples=50, deadline=None)
def test_encode_is_the_table_with_a_bitmap(plain: bool, dtype: type, codes: list[int]) -> None:
    table = np.array([-1, -1, *(i if i % 3 else -1 for i in range(10))], np.int32)
    n = len(codes)
    indices, valid = np.full(n, 77, np.int32), np.full((n + 7) // 8, 0xAA, np.uint8)
    nulls = form_of(kernels.encode, plain)(np.array(codes, dtype), 2, table, indices, valid)
    want = [None if table[code + 2] < 0 else int(table[code + 2]) for code in codes]
    bits = np.unpackbits(valid, bitorder="little")[:n].tolist()
    assert [int(i) if bit else None for i, bit in zip(indices, bits, strict=True)] == want
    assert nulls == want.count(None)
    assert all(0 <= i < 10 for i in indices.tolist())


@pytest.mark.parametrize("plain", PLAIN)
@given(values=st.lists(st.integers(-1, 3), max_size=40))
@settings(max_examples=50, deadline=None)
def test_validity(plain: bool, values: list[int]) -> None:
    valid = np.full((len(values) + 7) // 8, 0xAA, np.uint8)
    nulls = form_of(kernels.validity, plain)(np.array(values, np.int64), valid)
    assert np.unpackbits(valid, bitorder="little")[: len(values)].tolist() == [int(v != -1) for v in values]
    assert nulls == values.count(-1)


@pytest.mark.parametrize("plain", PLAIN)
def test_gathers(plain: bool) -> None:
    codes, table = np.array([2, -1, 0, 1], np.int32), np.array([10, 20, 30], np.int32)
    out = np.empty(4, np.int32)
    form_of(kernels.gather, plain)(codes, table, -7, out)
    assert out.tolist() == [30, -7, 10, 20]
    slots = np.array([0, 1, 1, 0], np.int32)
    form_of(kernels.gather_by_slot, plain)(codes, slots, np.stack([table, table + 1]), out)
    assert out.tolist() == [30, -1, 11, 20]
    first_marked = form_of(kernels.first_marked, plain)
    assert [first_marked(codes, np.array(marks, np.uint8)) for marks in ([0, 0, 1], [1, 1, 0], [0, 0, 0])] == [0, 2, -1]


@pytest.mark.parametrize("plain", PLAIN)
def test_prefer_takes_the_second_only_where_the_first_is_not_recorded(plain: bool) -> None:
    first, second = np.array([-2, -2, -1, 3], np.int32), np.array([5, -2, 6, 7], np.int32)
    out = np.empty(4, np.int32)
    assert form_of(kernels.prefer, plain)(first, second, out) == 1
    assert out.tolist() == [5, -2, -1, 3]


@pytest.mark.parametrize("plain", PLAIN)
def test_take_texts(plain: bool) -> None:
    data, offsets = np.frombuffer(b"abcdef", np.uint8), np.array([0, 1, 1, 4, 6], np.int32)
    out, out_offsets = np.empty(5, np.uint8), np.empty(4, np.int32)
    form_of(kernels.take_texts, plain)(data, offsets, np.array([3, 1, 2]), out, out_offsets)
    assert (out.tobytes(), out_offsets.tolist()) == (b"efbcd", [0, 2, 2, 5])


@pytest.mark.parametrize("plain", PLAIN)
@given(rows=st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 2**50)), max_size=60), has_packets=st.booleans())
@settings(max_examples=50, deadline=None)
def test_tally(plain: bool, rows: list[tuple[int, int]], has_packets: bool) -> None:
    codes, num_bytes = np.array([c for c, _ in rows], np.int8), np.array([b for _, b in rows], np.int64)
    sums = np.zeros((5, 3), np.int64)
    form_of(kernels.tally, plain)(codes, 1, num_bytes, num_bytes if has_packets else np.empty(0, np.int64), sums)
    for code in range(-1, 4):
        volume = sum(b for c, b in rows if c == code and b > 0)
        assert sums[code + 1].tolist() == [sum(c == code for c, _ in rows), volume, volume if has_packets else 0]


@pytest.mark.parametrize("plain", PLAIN)
@given(rows=st.lists(st.tuples(st.integers(-1, 2), st.integers(-1, 4)), max_size=80))
@settings(max_examples=50, deadline=None)
def test_groups_number_distinct_keys_whatever_the_size_of_the_slots(plain: bool, rows: list[tuple[int, int]]) -> None:
    keys = np.array(rows, np.int32).reshape(-1, 2).T.copy()
    slots, groups, group_of = np.full(2, -1, np.int32), np.empty((2, 80), np.int32), np.empty(len(rows), np.int32)
    at = num_groups = 0
    while at < len(rows):
        at, num_groups = form_of(kernels.assign_groups, plain)(keys, at, slots, groups, num_groups, group_of)
        if at < len(rows):
            slots = np.full(2 * len(slots), -1, np.int32)
            form_of(kernels.insert_groups, plain)(groups, num_groups, slots)
    assert [tuple(groups[:, g].tolist()) for g in group_of] == rows
    assert num_groups == len(set(rows))
    assert Counter(group_of.tolist()).total() == len(rows)


@pytest.mark.parametrize("plain", PLAIN)
@pytest.mark.parametrize(("first", "n"), [(0, 12), (5, 7), (11, 1), (3, 0)])
def test_pair_ends(plain: bool, first: int, n: int) -> None:
    """Four sources, three destinations, two spaces: a pair is in its source's space, else its destination's, else nowhere."""
    src_slots, dst_slots = np.array([0, 1, -1, 0], np.int32), np.array([1, -1, 0], np.int32)
    src_rows, dst_rows = np.arange(12, dtype=np.int32).reshape(3, 4), 100 + np.arange(9, dtype=np.int32).reshape(3, 3)
    src, dst, src_row, dst_row = (np.empty(n, np.int32) for _ in range(4))
    form_of(kernels.pair_ends, plain)(kernels.EndSets(src_rows, dst_rows, src_slots, dst_slots), first, src, dst, src_row, dst_row)
    for i in range(n):
        s, d = divmod(first + i, 3)
        slot = next((slot for slot in (src_slots[s], dst_slots[d]) if slot >= 0), 2)
        assert (src[i], dst[i], src_row[i], dst_row[i]) == (s, d, src_rows[slot, s], dst_rows[slot, d])


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="this is the run without the JIT")
def test_all_of_this_without_the_jit() -> None:
    """As coverage and debuggers see the kernels, helpers included; whole batches too."""
    files = [Path(__file__), *(Path(__file__).with_name(f"test_{name}.py") for name in ("router", "times"))]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *map(str, files)]
    done = subprocess.run(command, env={**os.environ, "NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]

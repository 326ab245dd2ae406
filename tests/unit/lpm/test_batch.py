"""Slices for threads: every row once, and no error lost."""

import threading

import numpy as np
import pytest

from fastroute.lpm import batch

NUM_ROWS = 1_000_003


@pytest.fixture
def four_cores(monkeypatch):
    monkeypatch.setattr(batch, "_num_cores", lambda: 4)


@pytest.mark.usefixtures("four_cores")
def test_every_row_is_answered_once():
    threads, lock = set(), threading.Lock()

    def kernel(lpm, addrs, out):
        with lock:
            threads.add(threading.get_ident())
        out += addrs.view(np.int32) + lpm

    addrs, out = np.arange(NUM_ROWS, dtype=np.uint32), np.zeros(NUM_ROWS, np.int32)
    batch.run_batch(kernel, 7, addrs, out, parallel=True)
    assert np.array_equal(out, np.arange(7, NUM_ROWS + 7))
    assert len(threads) <= 4
    before = threading.active_count()
    batch.run_batch(kernel, 0, addrs[:10], out[:10], parallel=True)
    assert threading.active_count() == before


@pytest.mark.usefixtures("four_cores")
@pytest.mark.parametrize("parallel", [True, False])
def test_an_error_of_any_thread_is_raised(parallel):
    def kernel(lpm, addrs, out):
        if addrs[-1] == NUM_ROWS - 1:
            raise MemoryError("the last slice")

    addrs = np.arange(NUM_ROWS, dtype=np.uint32)
    with pytest.raises(MemoryError, match="the last slice"):
        batch.run_batch(kernel, None, addrs, np.empty(NUM_ROWS, np.int32), parallel)

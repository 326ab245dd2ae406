"""The door of every batch look-up: rows in the dtype that kernels are compiled for, room for the answers, slices for threads."""

import os
from collections.abc import Callable
from itertools import count
from threading import Thread
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastroute.addr.buffers import frozen
from fastroute.errors import AddressError

_MIN_SLICE = 1 << 16
"""Rows below which handing a slice to a thread costs more than it saves; slices are multiples of it, so that kernels have no rests."""

_SLICES_A_THREAD = 8
"""So that a thread that loses its core holds up little; more of them wait for the interpreter lock between slices."""


def rows4(addrs: ArrayLike) -> NDArray[np.uint32]:
    """(n,) uint32, uncopied where it is that already; other integers are range-checked, strided input is copied."""
    array = np.asarray(addrs)
    if array.ndim != 1:
        raise AddressError(f"addresses of shape {array.shape}: pass (n,) numbers")
    if array.dtype == np.uint32:
        return frozen(array)
    if array.size == 0:
        return frozen(np.empty(0, np.uint32))
    if array.dtype.kind not in "iu":
        raise AddressError(f"addresses of dtype {array.dtype}: pass integers in host byte order")
    bad = np.flatnonzero((array < 0) | (array > 0xFFFFFFFF))
    if bad.size:
        raise AddressError(f"addrs[{bad[0]}]: {array[bad[0]]} is not in 0 to 2**32 - 1")
    return frozen(array, np.uint32)


def rows6(addrs: ArrayLike) -> NDArray[np.uint64]:
    """(n, 2) uint64 as (hi, lo)."""
    array = np.asarray(addrs)
    if array.size == 0:
        return frozen(np.empty((0, 2), np.uint64))
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype != np.uint64:
        raise AddressError(f"IPv6 addresses of shape {array.shape} and dtype {array.dtype}: pass (n, 2) uint64 as (hi, lo)")
    return frozen(array)


def output_of(out: NDArray[np.int32] | None, num_rows: int, *others: int) -> NDArray[np.int32]:
    """`out`, checked, or new room."""
    if any(other != num_rows for other in others):
        raise AddressError(f"{num_rows} addresses beside {others[0]} tables; the lengths must be equal")
    if out is None:
        return np.empty(num_rows, np.int32)
    if out.shape != (num_rows,) or out.dtype != np.int32 or not out.flags.c_contiguous or not out.flags.writeable:
        raise AddressError(f"out: pass a writable contiguous int32 array of {num_rows} rows, not {out.dtype} {out.shape}")
    return out


def run_batch(kernel: Callable[..., Any], lpm: Any, addrs: NDArray[Any], out: NDArray[np.int32], parallel: bool) -> None:
    """Run `kernel(lpm, addrs, out)`, which holds no lock, whole or slice by slice on threads.

    Threads of our own rather than numba's: its default threading layer ends the process when two Python threads start parallel loops.
    They last as long as the call, so that a fork finds none, and the caller's thread is one of them: an executor, with futures to make
    and wait for, took a fifth of a look-up of a million addresses.
    """
    num_rows = addrs.shape[0]
    num_threads = min(_num_cores(), num_rows // _MIN_SLICE) if parallel else 1
    if num_threads < 2:
        kernel(lpm, addrs, out)
        return
    size = -(-num_rows // (num_threads * _SLICES_A_THREAD * _MIN_SLICE)) * _MIN_SLICE
    following = count()
    errors: list[BaseException] = []

    def work() -> None:
        """Take the next slice until none is left: whoever is held up takes fewer."""
        try:
            while (at := size * next(following)) < num_rows:
                kernel(lpm, addrs[at : at + size], out[at : at + size])
        except BaseException as error:  # raised again by the caller's thread
            errors.append(error)

    threads = [Thread(target=work, name=f"fastroute-lookup-{number}") for number in range(1, num_threads)]
    for thread in threads:
        thread.start()
    work()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def _num_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

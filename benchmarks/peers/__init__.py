"""Other people's look-ups beside ours. Each peer is built by `make bench-peers` or installed, or is named as missing."""

import ctypes
import os
from pathlib import Path

import numpy as np

LIBRARY = Path(__file__).parent / "build" / "libpeers.so"


class Dpdk:
    """DPDK's tables and the C library's address text, from `peers.c`; one environment a process."""

    def __init__(self, path=LIBRARY):
        self.library = ctypes.CDLL(str(path))
        self.library.pton_loop.restype = ctypes.c_int64
        cores = os.sched_getaffinity(0)
        if self.library.peers_start() != 0:
            raise OSError("DPDK's environment did not start")
        os.sched_setaffinity(0, cores)  # it pins its thread, which would be ours, to one core

    def build(self, kind, prefix, length, value, num_tbl8):
        """kind "lpm", "fib" or "fib6"; for fib6 prefix is (n, 16) uint8. Returns whether the AVX-512 look-up is in use."""
        prefix, length = np.ascontiguousarray(prefix), np.ascontiguousarray(length, np.uint8)
        value = np.ascontiguousarray(value, np.int32)
        build = getattr(self.library, f"{kind}_build")
        status = build(_at(prefix), _at(length), _at(value), ctypes.c_int64(len(length)), ctypes.c_uint32(num_tbl8))
        if status < 0:
            raise OSError(f"{kind}: the table of {len(length)} prefixes was refused with {status}")
        return status == 0

    def lookup(self, kind, addrs, out):
        getattr(self.library, f"{kind}_lookup")(_at(addrs), ctypes.c_int64(addrs.shape[0]), _at(out))

    def parse(self, text, out):
        """(n,) S16 -> (n,) uint32; returns the number of refused rows."""
        return self.library.pton_loop(_at(text), ctypes.c_int64(text.shape[0]), _at(out))

    def format(self, addrs, out):
        """(n,) uint32 -> (n,) S16."""
        self.library.ntop_loop(_at(addrs), ctypes.c_int64(addrs.shape[0]), _at(out))


def _at(array):
    if not array.flags.c_contiguous:
        raise ValueError("C reads contiguous arrays only")
    return ctypes.c_void_p(array.ctypes.data)


def dpdk():
    """The peer, or None and why."""
    if not LIBRARY.exists():
        return None, f"{LIBRARY.name} is not built (make bench-peers)"
    try:
        return Dpdk(), ""
    except OSError as error:
        return None, str(error)

"""Other people's look-ups beside ours. Each peer is built by `make bench-peers` or installed, or is named as missing."""

import ctypes
import os
from pathlib import Path

import numpy as np

from fastroute.addr import format4
from fastroute.lpm.prepare import intervals4

LIBRARY = Path(__file__).parent / "build" / "libpeers.so"


class Dpdk:
    """DPDK's tables and the C library's address text, from `peers.c`; one environment a process."""

    def __init__(self, path=LIBRARY):
        self.library = ctypes.CDLL(str(path))
        self.library.pton_loop.restype = ctypes.c_int64
        self.library.peers_version.restype = ctypes.c_char_p
        self.version = self.library.peers_version().decode().removeprefix("DPDK ")
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

    def first_hops(self, src, dst, snapshot, out):
        """The composition of DPDK's parts, over the tables last built as "fib" and "fib6"; `snapshot` and `out` are arrays in C's order."""
        arrays = (src, dst, *snapshot, *out)
        count = ctypes.c_int64(src.shape[0])
        self.library.first_hops(*map(_at, arrays[:2]), count, *map(_at, arrays[2:]))

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


def searchsorted_lookup(prefix, length, value):
    """NumPy's bisection in disjoint ranges, which somebody else has made: what a careful script does."""
    ranges = intervals4(prefix, length, value)

    def ask(addrs):
        return ranges.values[np.searchsorted(ranges.starts, addrs, side="right") - 1]

    return ask


def pytricia_lookup(prefix, length, value):
    """One Python call an address, or None where pytricia is not installed."""
    try:
        import pytricia
    except ImportError:
        return None
    tree = pytricia.PyTricia(32)
    for text, bits, hop in zip(format4(prefix), length.tolist(), value.tolist(), strict=True):
        tree.insert(f"{text}/{bits}", hop)

    def ask(addrs):
        get = tree.get
        return np.fromiter((get(addr, -1) for addr in addrs.tolist()), np.int32, addrs.shape[0])

    return ask


def text_column(buffers):
    """TextBuffers as a pyarrow string array."""
    import pyarrow as pa

    offsets, text = (pa.py_buffer(np.ascontiguousarray(part)) for part in (buffers.offsets, buffers.data))
    return pa.StringArray.from_buffers(buffers.num_rows, offsets, text)


def pyarrow_parse(strings):
    """Split at the dots, cast the parts, add them up."""
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = pc.split_pattern(strings, ".").flatten().cast(pa.uint32()).to_numpy().reshape(-1, 4)
    return parts[:, 0] << 24 | parts[:, 1] << 16 | parts[:, 2] << 8 | parts[:, 3]

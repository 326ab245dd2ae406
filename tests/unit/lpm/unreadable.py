"""Run as a child process: tables, inputs and outputs that end exactly where an unreadable page begins. A read beyond ends the process."""

import ctypes
import mmap

import numpy as np

from fastroute import addr, lpm
from fastroute.lpm import table4

_libc = ctypes.CDLL(None, use_errno=True)
_kept = []


def fenced(array):
    """A copy whose last byte is the last readable one."""
    num_pages = -(-max(array.nbytes, 1) // mmap.PAGESIZE)
    pages = mmap.mmap(-1, (num_pages + 1) * mmap.PAGESIZE)
    _kept.append(pages)
    start = ctypes.addressof(ctypes.c_char.from_buffer(pages))
    if _libc.mprotect(ctypes.c_void_p(start + num_pages * mmap.PAGESIZE), mmap.PAGESIZE, 0) != 0:
        raise OSError(ctypes.get_errno(), "mprotect")
    begin = num_pages * mmap.PAGESIZE - array.nbytes
    copy = np.frombuffer(pages, array.dtype, array.size, begin).reshape(array.shape)
    copy[...] = array
    copy.flags.writeable = False
    return copy


def fenced_table(table):
    arrays, meta = lpm.pack(table)
    return lpm.unpack({name: fenced(array) for name, array in arrays.items()}, meta)


def main():
    rng = np.random.default_rng(7)
    length = np.concatenate(([0, 32, 32], rng.integers(8, 33, 300))).astype(np.uint8)
    prefix = np.concatenate(([0, 0, 0xFFFFFFFF], rng.integers(0, 1 << 32, 300))).astype(np.uint32)
    prefix &= np.array([lpm_mask(n) for n in length], np.uint32)
    value = rng.integers(0, 1000, length.shape[0])
    rows = np.unique(np.column_stack((prefix, length)), axis=0, return_index=True)[1]
    wide = np.column_stack((prefix.astype(np.uint64) << np.uint64(32), np.zeros(prefix.shape[0], np.uint64)))
    deep = np.array([(0xFFFFFFFF_FFFFFFFF, 0xFFFFFFFF_FFFFFFFF), (0xFFFFFFFF_FFFFFFFF, 0)], np.uint64)
    addrs = fenced(np.concatenate((prefix, ~prefix, prefix - np.uint32(1), [0xFFFFFFFF] * 3)).astype(np.uint32))
    addrs6 = fenced(np.concatenate((wide, ~wide, deep)))
    for limit in (table4.MAX_RANK_BYTES, 0):
        table4.MAX_RANK_BYTES = limit
        for scale in (1, 100_000):  # narrow and wide codes
            lpm.lookup4(fenced_table(lpm.build4(prefix[rows], length[rows], value[rows] * scale)), addrs)
        lpm.lookup4(fenced_table(lpm.build4_ids(prefix[rows], length[rows])[0]), addrs)
        lpm.lookup4(fenced_table(lpm.build4([], [], [])), addrs)
        # four runs fill the last record's word of 16-bit codes: the last one ends with the array
        last = np.array([0xFFFFFD00, 0xFFFFFE00, 0xFFFFFF00], np.uint32)
        lpm.lookup4(fenced_table(lpm.build4(last, [24] * 3, [1, 2, 3])), addrs)
    prefixes6 = np.concatenate((wide[rows], deep))
    lengths6 = np.concatenate((length[rows], [128, 64]))
    lpm.lookup6(fenced_table(lpm.build6(prefixes6, lengths6, np.arange(lengths6.shape[0]))), addrs6)
    lpm.lookup6(fenced_table(lpm.build6(np.empty((0, 2), np.uint64), [], [])), addrs6)
    tables = np.arange(rows.shape[0]) % 5
    pool = fenced_table(lpm.build_pool4(tables, prefix[rows], length[rows], value[rows], 6))
    for order in (np.arange(addrs.shape[0]) % 6, np.sort(np.arange(addrs.shape[0]) % 6)):
        lpm.pool4_lookup(pool, order, addrs)
    texts = addr.format4_buffers(addrs)
    addr.parse4(addr.TextBuffers(fenced(texts.data), fenced(texts.offsets)))
    print("inside")


def lpm_mask(length):
    return (0xFFFFFFFF << (32 - int(length))) & 0xFFFFFFFF


if __name__ == "__main__":
    main()

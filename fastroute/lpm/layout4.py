"""The full-table layout of IPv4: index by the top 18 bits, then one record that says and holds everything down to /24.

A record is one uint64 of run starts over the block's 64 /24s, and the codes of the runs right behind it, 16 or 32 bits each, padded to
64: mostly one cache line, so one far miss a look-up. `root[addr >> 14]` is the record's first word. A code is 0 for no match, value + 1,
or, with its highest bit set, the number of a line (see `rank`) for a /24 that is divided further; the codes of lines are 32 bits wide.
"""
# mypy: ignore-errors

import numpy as np
from numba import njit

from fastroute.lpm.rank import append_line

BLOCK_BITS = 14
NUM_BLOCKS = 1 << 18
SHARED = 0x7FFF
"""The largest code of 16 bits that is no line; records of one run are shared up to it."""


@njit(cache=True, nogil=True)
def slot_codes_of(starts, values, begin, end, slot_codes):
    """Codes of the 256 addresses of a /24 in which starts[begin:end] lie; the interval before `begin` is there at first."""
    at = 0
    code = np.uint32(values[begin - 1] + 1)
    for i in range(begin, end):
        low = np.int64(starts[i]) & 255
        slot_codes[at:low] = code
        at, code = low, np.uint32(values[i] + 1)
    slot_codes[at:256] = code


@njit(cache=True, nogil=True)
def build_runs(starts, values, run_block, run_slot, run_code, lines, codes):
    """Cut the address space into runs of whole /24s with one code.

    The runs of one block follow each other, the first at slot 0; a line's code is 2**31 | line. Returns (runs, lines, codes).
    Precondition: room for 2 n + 2**18 runs, n lines and 3 n codes.
    """
    slot_codes = np.empty(256, np.uint32)
    num_runs, num_lines, num_codes, n = 0, 0, 0, starts.shape[0]
    i = 0
    for block in range(NUM_BLOCKS):
        first_run = num_runs
        slot = 0
        while slot < 64:
            begin_addr = (block << BLOCK_BITS) | (slot << 8)
            if i < n and np.int64(starts[i]) == begin_addr:
                i += 1
            j = i
            while j < n and np.int64(starts[j]) < begin_addr + 256:
                j += 1
            is_divided = j > i
            if is_divided:
                slot_codes_of(starts, values, i, j, slot_codes)
                num_codes = append_line(slot_codes, lines, num_lines, codes, num_codes)
                code = np.uint32(1 << 31 | num_lines)
                num_lines += 1
                i = j
            else:
                code = np.uint32(values[i - 1] + 1)
            if slot == 0 or code != run_code[num_runs - 1] or num_runs == first_run:
                run_block[num_runs], run_slot[num_runs], run_code[num_runs] = block, slot, code
                num_runs += 1
            slot += 1
            if not is_divided:  # nothing starts before starts[i]: go on at its /24
                following = np.int64(starts[i]) if i < n else np.int64(1) << 32
                slot = max(slot, min(64, (following - (block << BLOCK_BITS)) >> 8))
    return num_runs, num_lines, num_codes


@njit(cache=True, nogil=True)
def build_records(run_block, run_slot, run_code, is_wide, root, words):
    """Encode runs into `root` and `words` (zeroed; word 0 is the record of no match); returns the number of words.

    With words of size 0 it only counts. Codes of 16 bits have the line's bit at 15.
    """
    fill = words.shape[0] > 0
    a_word = 2 if is_wide else 4
    at, i, n = 2, 0, run_block.shape[0]
    shared = np.full(SHARED + 1, -1, np.int64)
    shared[0] = 0
    if fill:
        words[0] = np.uint64(1)
    while i < n:
        block, j = run_block[i], i
        while j < n and run_block[j] == block:
            j += 1
        code = np.int64(run_code[i])
        if j == i + 1 and code <= SHARED and shared[code] >= 0:
            root[block] = np.uint32(shared[code])
            i = j
            continue
        root[block] = np.uint32(at)
        if j == i + 1 and code <= SHARED:
            shared[code] = at
        if fill:
            for k in range(i, j):
                words[at] |= np.uint64(1) << np.uint64(run_slot[k])
                put_code(words, at + 1, k - i, run_code[k], is_wide)
        at += 1 + (j - i + a_word - 1) // a_word
        i = j
    return at + 1  # a gather of 32 bits at the last code of 16 may read 2 bytes on


@njit(cache=True, nogil=True)
def put_code(words, first, k, code, is_wide):
    """Write the k-th code behind word `first`."""
    if is_wide:
        words[first + (k >> 1)] |= np.uint64(code) << np.uint64(32 * (k & 1))
    else:
        narrow = (np.int64(code) & 0x7FFF) | (np.int64(code) >> 31 << 15)
        words[first + (k >> 2)] |= np.uint64(narrow) << np.uint64(16 * (k & 3))

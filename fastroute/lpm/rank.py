"""Rank words: where intervals start, and how many started before. The building block of every single-table layout.

A word stands for 32 slots of equal size::

    bits 0..31    slots in which a new interval starts
    bits 32..62   intervals that started before the word's first slot
    bit 63        the word mixes intervals with and without a match (used by `table4` where ranks are the answers)

so the interval of a slot is count + popcount(starts at or below the slot) - 1. A rank table finds the words of a 32-bit key by its top
16 bits: `root[key >> 16]` is first word << 5 | shift, where 2**shift is the coarsest alignment of the starts inside that sixteenth, so
a quiet /16 is one word and neighbouring quiet ones share it. A line is 8 words for the 256 values of one octet: one cache line.
"""
# mypy: ignore-errors

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from fastroute.lpm.lanes import gather32, gather64, popcount

ROOT_SIZE = 1 << 16
LINE_WORDS = 8
MIXED = 1 << 63
_COUNT = 0x7FFFFFFF


def popcount_one(word):
    """Set bits of a uint64, as int64."""
    return int(word).bit_count()


@intrinsic
def _popcount_one(typing_context, word):
    def generate(context, builder, signature, arguments):
        kind = ir.FunctionType(ir.IntType(64), [ir.IntType(64)])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.ctpop.i64"), arguments)

    return types.int64(types.uint64), generate


@overload(popcount_one)
def _popcount_one_compiled(word):
    return lambda word: _popcount_one(word)  # noqa: PLW0108 - numba wants a function


@njit(cache=True, nogil=True, forceinline=True)
def interval_of(word, slot):
    """0 <= slot < 32 -> interval, -1 before the first."""
    starts = word & (np.uint64(0xFFFFFFFF) >> np.uint64(31 - slot))
    return np.int64((word >> np.uint64(32)) & np.uint64(_COUNT)) + popcount_one(starts) - 1


@njit(cache=True, nogil=True, forceinline=True)
def rank_word(root, words, key):
    """uint32 key -> (its word, its slot in the word)."""
    entry = np.int64(root[np.uint64(np.int64(key) >> 16)])
    slot = (np.int64(key) & 0xFFFF) >> (entry & 31)
    return words[np.uint64((entry >> 5) + (slot >> 5))], slot & 31


@njit(cache=True, nogil=True, forceinline=True)
def rank_one(root, words, key):
    """uint32 key -> interval."""
    word, slot = rank_word(root, words, key)
    return interval_of(word, slot)


@njit(cache=True, nogil=True, forceinline=True)
def rank_lanes(root, words, key):
    """64 keys -> (interval + 1, with the MIXED bit on top)."""
    entry = gather32(root, key >> 16)
    slot = (key & 0xFFFF) >> (entry & 31)
    starts, count = gather64(words, (entry >> 5) + (slot >> 5))
    return count + popcount(starts & ((2 << (slot & 31)) - 1))


@njit(cache=True, nogil=True, forceinline=True)
def line_lanes(lines, codes, line, octet):
    """64 codes of one octet in 64 lines."""
    starts, count = gather64(lines, (line << 3) + (octet >> 5))
    return gather32(codes, count + popcount(starts & ((2 << (octet & 31)) - 1)) - 1)


@njit(cache=True, nogil=True, forceinline=True)
def line_one(lines, codes, line, octet):
    """Code of one octet in one line."""
    return np.int64(codes[np.uint64(interval_of(lines[np.uint64(line * LINE_WORDS + (octet >> 5))], octet & 31))])


@njit(cache=True, nogil=True)
def shift_of(keys, begin, end):
    """Coarsest alignment of keys[begin:end] inside their /16, at most 16."""
    bits = np.int64(1 << 16)
    for i in range(begin, end):
        bits |= np.int64(keys[i]) & 0xFFFF
    shift = 0
    while bits & 1 == 0:
        bits >>= 1
        shift += 1
    return shift


@njit(cache=True, nogil=True)
def build_rank(keys, answers, is_match, root, words):
    """Encode sorted starts `keys` (the first is 0) into `root` and `words`; returns the number of words.

    With words of size 0 it only counts them. `answers` (n,) is what each interval leads to: quiet sixteenths that lead where address 0
    leads share one word, and say the first of their intervals. `is_match` (n,) says which intervals have a match: words without any get
    count 0, which reads as interval -1; words with both get MIXED.
    """
    fill = words.shape[0] > 0
    at, i, n = 0, 0, keys.shape[0]
    first_at = -1  # word of the first quiet sixteenth that leads where address 0 leads
    quiet, quiet_at = -1, -1  # interval of the last other one, and its word
    for high in range(ROOT_SIZE):
        begin = i
        while i < n and np.int64(keys[i]) >> 16 == high:
            i += 1
        shift = shift_of(keys, begin, i)
        if shift == 16:
            interval = i - 1
            is_like_first = answers[interval] == answers[0]
            if (is_like_first and first_at < 0) or (not is_like_first and interval != quiet):
                if fill:
                    words[at] = np.uint64(i if is_match[interval] else 0) << np.uint64(32)
                if is_like_first:
                    first_at = at
                else:
                    quiet, quiet_at = interval, at
                at += 1
            root[high] = np.uint32((first_at if is_like_first else quiet_at) << 5 | 16)
            continue
        root[high] = np.uint32(at << 5 | shift)
        num_words = max((1 << (16 - shift)) // 32, 1)
        if fill:
            j = begin
            for w in range(num_words):
                num_before, bits = j, np.uint64(0)
                while j < i and ((np.int64(keys[j]) & 0xFFFF) >> shift) >> 5 == w:
                    bits |= np.uint64(1) << np.uint64(((np.int64(keys[j]) & 0xFFFF) >> shift) & 31)
                    j += 1
                words[at + w] = _rank_word(is_match, num_before, j, bits)
        at += num_words
    return at


@njit(cache=True, nogil=True)
def _rank_word(is_match, num_before, num_until, bits):
    """The word in which intervals num_before to num_until - 1 start."""
    first = num_before if bits & np.uint64(1) != 0 else num_before - 1
    num_matches = 0
    for k in range(first, num_until):
        num_matches += is_match[k]
    word = np.uint64(num_before) << np.uint64(32) | bits
    if num_matches == 0 and bits == 0:
        return np.uint64(0)
    return word | np.uint64(MIXED) if num_matches < num_until - first else word


@njit(cache=True, nogil=True)
def append_line(slot_codes, lines, line, codes, num_codes):
    """Encode the codes of 256 slots as one line, a start wherever the code changes; returns the new number of codes."""
    for w in range(LINE_WORDS):
        before, bits = num_codes, np.uint64(0)
        for k in range(32):
            slot = w * 32 + k
            if slot == 0 or slot_codes[slot] != slot_codes[slot - 1]:
                bits |= np.uint64(1) << np.uint64(k)
                codes[num_codes] = slot_codes[slot]
                num_codes += 1
        lines[line * LINE_WORDS + w] = np.uint64(before) << np.uint64(32) | bits
    return num_codes

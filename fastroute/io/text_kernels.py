"""Lines of space-separated fields as columns: where the fields lie, numbers, and texts as codes of their distinct values.

A block is whole lines. Its bytes are also seen as little-endian 64-bit words, with at least one word of padding behind the last line.
Separator s is the byte behind field s; field s begins behind separator s - 1, and `borders[s + 1]` is the place of separator s, so that
field s is `text[borders[s] + 1 : borders[s + 1]]`, with `borders[0]` = -1. No field is empty.

The small functions are inlined by numba: called with arrays they would count references, which took two thirds of the time.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, no-check-untyped-defs

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

_DASH = 45
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_LOW = np.uint64(0xFFFFFFFF)
_ODD, _OTHER_ODD = np.uint64(0x9E3779B9), np.uint64(0x85EBCA6B)  # 2**32 over the golden ratio; MurmurHash3's first finishing factor


class TextTable(NamedTuple):
    """Distinct texts, numbered as they were met. Open addressing, at most half full."""

    slots: NDArray[np.int32]  # (power of two,) code, or -1
    hashes: NDArray[np.uint64]  # (capacity,) by code
    begins: NDArray[np.int32]  # (capacity,) first word in `words`
    lengths: NDArray[np.int32]  # (capacity,) bytes
    words: NDArray[np.uint64]  # texts, each padded with zeros to whole words
    used: NDArray[np.int64]  # (2,) number of texts, of words


@njit(cache=True, nogil=True)
def find_borders(text, borders):
    """Places of all bytes up to the space, behind a first -1; borders (len(text) + 2,) int32. Returns how many separators there are."""
    borders[0] = -1
    count = 1
    for i in range(text.shape[0]):
        borders[count] = i
        count += np.int64(text[i] <= 32)  # no branch: a mispredicted one a field costs more than a store a byte
    return count - 1


@njit(cache=True, nogil=True)
def parse_ints(text, borders, fields, at, limit, out, valid):
    """Read field `at` of each line of `fields` as a number up to `limit` (uint64). out (n,); valid (n,) uint8: 0 where it reads `-`.

    Returns the first row that holds neither, or -1.
    """
    for row in range(out.shape[0]):
        begin, end = borders[row * fields + at] + 1, borders[row * fields + at + 1]
        if end - begin == 1 and text[begin] == _DASH:
            out[row] = 0
            valid[row] = 0
            continue
        if end - begin > 19:  # 19 digits fit into 64 bits without a sign
            return row
        value = np.uint64(0)
        for i in range(begin, end):
            digit = np.int64(text[i]) - 48
            if digit < 0 or digit > 9:
                return row
            value = value * np.uint64(10) + np.uint64(digit)
        if value > limit:
            return row
        out[row] = value
        valid[row] = 1
    return -1


@njit(inline="always")
def word_at(words, place):
    """The eight bytes from a place on, which may cross two words."""
    i, shift = place >> 3, np.uint64((place & 7) << 3)
    return (words[i] >> shift) | ((words[i + 1] << np.uint64(1)) << (np.uint64(63) - shift))


@njit(inline="always")
def last_mask(num_bytes):
    """Keeps the first 1 to 8 bytes of a word."""
    return _ALL >> np.uint64(64 - 8 * num_bytes)


@njit(inline="always")
def mix(key, word):
    """Take a word into a hash: 32-bit halves times 32-bit odd numbers, which cannot overflow."""
    key = key ^ word
    low, high = (key & _LOW) * _ODD, (key >> np.uint64(32)) * _OTHER_ODD
    return low ^ ((high >> np.uint64(29)) | (high << np.uint64(35)))


@njit(inline="always")
def hash_text(words, begin, length):
    """The hash of the text of `length` bytes from `begin` on."""
    key = np.uint64(length)
    for i in range(0, length - 7, 8):
        key = mix(key, word_at(words, begin + i))
    rest = length & 7
    if rest:
        key = mix(key, word_at(words, begin + length - rest) & last_mask(rest))
    return key ^ (key >> np.uint64(32))


@njit(inline="always")
def is_same(words, begin, length, texts, first):
    """Whether the text from `begin` on is the one of as many bytes that is kept from word `first` on."""
    last = (length - 1) >> 3
    differ = (word_at(words, begin + 8 * last) & last_mask(length - 8 * last)) ^ texts[first + last]
    for i in range(last):
        differ |= word_at(words, begin + 8 * i) ^ texts[first + i]
    return differ == 0


@njit(cache=True, nogil=True)
def encode_texts(words, borders, fields, at, first_row, table, codes):
    """Number field `at` of each line from `first_row` on by its text, -1 where it reads `-`. codes (n,) int32.

    Returns the number of rows, or the row at which the table had no room: it is asked again from there, with a larger one.
    """
    # Taken out once: a tuple of arrays that is passed on in the loop has its references counted, 100 ns a row.
    slots, hashes, begins, lengths, texts, used = table
    mask = slots.shape[0] - 1
    last, last_length, last_first = -1, -1, 0
    for row in range(first_row, codes.shape[0]):
        begin = borders[row * fields + at] + 1
        length = borders[row * fields + at + 1] - begin
        if length == 1 and word_at(words, begin) & np.uint64(0xFF) == np.uint64(_DASH):
            codes[row] = -1
            continue
        # Most columns say the same again and again; a comparison is cheaper than a hash.
        if length != last_length or not is_same(words, begin, length, texts, last_first):
            key = hash_text(words, begin, length)
            slot = np.int64(key & np.uint64(mask))
            last = np.int64(slots[slot])
            while last >= 0 and not (
                hashes[last] == key and lengths[last] == length and is_same(words, begin, length, texts, begins[last])
            ):
                slot = (slot + 1) & mask
                last = np.int64(slots[slot])
            if last < 0:
                last, first = used[0], used[1]
                if last == hashes.shape[0] or first + ((length + 7) >> 3) > texts.shape[0]:
                    return row
                for i in range((length + 7) >> 3):
                    texts[first + i] = word_at(words, begin + 8 * i) & last_mask(min(length - 8 * i, 8))
                hashes[last], begins[last], lengths[last], slots[slot] = key, first, length, last
                used[0], used[1] = last + 1, first + ((length + 7) >> 3)
            last_length, last_first = length, begins[last]
        codes[row] = last
    return codes.shape[0]


@njit(cache=True, nogil=True)
def fill_slots(hashes, num_texts, slots):
    """Put the first codes into empty slots."""
    mask = slots.shape[0] - 1
    for code in range(num_texts):
        slot = np.int64(hashes[code] & np.uint64(mask))
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = code


@njit(cache=True, nogil=True)
def pack_texts(source, begins, offsets, out):
    """Close the gaps between padded texts. source (bytes,) uint8, begins (n,) words, offsets (n + 1,) int32, out (offsets[-1],) uint8."""
    for code in range(offsets.shape[0] - 1):
        begin = 8 * np.int64(begins[code])
        for i in range(offsets[code + 1] - offsets[code]):
            out[offsets[code] + i] = source[begin + i]


# --- tables ---------------------------------------------------------------------------------------------------------------------------


def empty_table(num_texts: int = 256) -> TextTable:
    """A table with room for so many texts (a power of two) of 32 bytes on average."""
    return TextTable(
        np.full(2 * num_texts, -1, np.int32),
        np.empty(num_texts, np.uint64),
        np.empty(num_texts, np.int32),
        np.empty(num_texts, np.int32),
        np.empty(4 * num_texts, np.uint64),
        np.zeros(2, np.int64),
    )


def enlarged(table: TextTable, num_bytes: int) -> TextTable:
    """The same texts in a table of four times the room, and with room for one more of `num_bytes`."""
    num_texts, num_words = table.used.tolist()
    larger = empty_table(4 * len(table.hashes))
    words = np.empty(max(4 * len(table.words), num_words + num_bytes // 8 + 1), np.uint64)
    for old, new, count in (
        (table.hashes, larger.hashes, num_texts),
        (table.begins, larger.begins, num_texts),
        (table.lengths, larger.lengths, num_texts),
        (table.words, words, num_words),
    ):
        new[:count] = old[:count]
    larger.used[:] = table.used
    fill_slots(larger.hashes, num_texts, larger.slots)
    return larger._replace(words=words)


def table_texts(table: TextTable) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """The texts of a table by code, as Arrow has them: offsets (n + 1,) and bytes."""
    num_texts, num_words = table.used.tolist()
    offsets = np.zeros(num_texts + 1, np.int32)
    np.cumsum(table.lengths[:num_texts], out=offsets[1:])
    out = np.empty(offsets[-1], np.uint8)
    pack_texts(table.words[:num_words].view(np.uint8), table.begins[:num_texts], offsets, out)
    return offsets, out

"""Loops over records: codes, dictionaries, validity bits, sums. Plain functions of flat arrays; -1 is absent throughout."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fastroute.vocab import EPHEMERAL_PORT_MIN, TCP_ACK, TCP_SYN

NO_SPACE = -1
"""A record names an address space that the snapshot does not hold."""
NOT_RECORDED = -2
"""A record names no address space; also the row of an end that gets no columns at all."""


# --- reading ----------------------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def bit_is_set(bits, i):
    """Bit i of an Arrow bitmap: lowest bit of each byte first."""
    return (bits[i >> 3] >> np.uint8(i & 7)) & np.uint8(1) != 0


@njit(cache=True, nogil=True)
def fill_nulls(values, valid, first_bit, out):
    """values (n,) integers -> out (n,), with -1 where bit first_bit + i of `valid` is 0."""
    for i in range(values.shape[0]):
        # Every value is loaded, and or-ed with 0 or -1: a branch by random bits takes three times as long.
        at = first_bit + i
        out[i] = np.int64(values[i]) | (np.int64((valid[at >> 3] >> np.uint8(at & 7)) & np.uint8(1)) - 1)


@njit(cache=True, nogil=True)
def gather(codes, table, absent, out):
    """out[i] = table[codes[i]], or `absent` where the code is -1."""
    for i in range(codes.shape[0]):
        out[i] = table[codes[i]] if codes[i] >= 0 else absent


@njit(cache=True, nogil=True)
def gather_by_slot(codes, slots, table, out):
    """out[i] = table[slots[i], codes[i]], or -1 where the code is -1."""
    for i in range(codes.shape[0]):
        out[i] = table[slots[i], codes[i]] if codes[i] >= 0 else -1


@njit(cache=True, nogil=True)
def first_marked(codes, marks):
    """First i whose marks[codes[i]] is not 0, or -1."""
    for i in range(codes.shape[0]):
        if codes[i] >= 0 and marks[codes[i]] != 0:
            return i
    return -1


@njit(cache=True, nogil=True)
def prefer(first, second, out):
    """out[i] = first[i], or second[i] where the first is not recorded. Returns how many are not recorded in either."""
    missing = 0
    for i in range(out.shape[0]):
        out[i] = first[i] if first[i] != NOT_RECORDED else second[i]
        missing += out[i] == NOT_RECORDED
    return missing


# --- writing ----------------------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def mark(codes, shift, marks):
    """marks[codes[i] + shift] = 1."""
    for i in range(codes.shape[0]):
        marks[codes[i] + shift] = 1


@njit(cache=True, nogil=True)
def encode(codes, shift, table, indices, valid):
    """Dictionary indices of one column.

    codes (n,) any signed width; table maps codes[i] + shift to an index, -1 for null. Fills indices (n,) int32, 0 where null, and the
    bitmap valid ((n + 7) // 8,) uint8. Returns the number of nulls.
    """
    n = codes.shape[0]
    whole = n & ~7
    present = 0
    # A loop of constant length is unrolled: half the time.
    for first in range(0, whole, 8):
        bits = 0
        for j in range(8):
            index = table[codes[first + j] + shift]
            indices[first + j] = max(index, 0)
            bits |= (index >= 0) << j
            present += index >= 0
        valid[first >> 3] = bits
    bits = 0
    for i in range(whole, n):
        index = table[codes[i] + shift]
        indices[i] = max(index, 0)
        bits |= (index >= 0) << (i & 7)
        present += index >= 0
    if whole < n:
        valid[whole >> 3] = bits
    return n - present


@njit(cache=True, nogil=True)
def validity(values, valid):
    """Bitmap of values (n,) that are not -1. Returns the number of nulls."""
    n = values.shape[0]
    whole = n & ~7
    present = 0
    for first in range(0, whole, 8):
        bits = 0
        for j in range(8):
            bits |= (values[first + j] != -1) << j
            present += values[first + j] != -1
        valid[first >> 3] = bits
    bits = 0
    for i in range(whole, n):
        bits |= (values[i] != -1) << (i & 7)
        present += values[i] != -1
    if whole < n:
        valid[whole >> 3] = bits
    return n - present


@njit(cache=True, nogil=True)
def take_texts(data, offsets, chosen, out_data, out_offsets):
    """Copy the chosen texts one after another; out_data holds their bytes, out_offsets (len(chosen) + 1,)."""
    end = 0
    out_offsets[0] = 0
    for i in range(chosen.shape[0]):
        begin = offsets[chosen[i]]
        for j in range(offsets[chosen[i] + 1] - begin):
            out_data[end + j] = data[begin + j]
        end += offsets[chosen[i] + 1] - begin
        out_offsets[i + 1] = end


@njit(cache=True, nogil=True)
def blank(excluded, values, null):
    """values[i] = null where excluded."""
    for i in range(values.shape[0]):
        if excluded[i] != 0:
            values[i] = null


# --- accounts ---------------------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def tally(codes, shift, num_bytes, packets, sums):
    """Sum by code: sums[codes[i] + shift] += (1, bytes, packets); absent measures (-1) count as 0. sums (k, 3) int64."""
    for i in range(codes.shape[0]):
        at = codes[i] + shift
        sums[at, 0] += 1
        if num_bytes.shape[0] != 0 and num_bytes[i] > 0:
            sums[at, 1] += num_bytes[i]
        if packets.shape[0] != 0 and packets[i] > 0:
            sums[at, 2] += packets[i]


# --- groups -----------------------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def hash_key(keys, i):
    """Mix keys[:, i] into 64 bits: 32 bits times a 32-bit odd number (2**32 over the golden ratio) a step, which cannot overflow."""
    h = np.uint64(0)
    for k in range(keys.shape[0]):
        h = ((h ^ np.uint64(np.int64(keys[k, i]) & 0xFFFFFFFF)) & np.uint64(0xFFFFFFFF)) * np.uint64(0x9E3779B1)
        h ^= h >> np.uint64(32)
    return h


@njit(cache=True, nogil=True)
def same_key(keys, i, groups, g):
    same = True
    for k in range(keys.shape[0]):
        same &= keys[k, i] == groups[k, g]
    return same


@njit(cache=True, nogil=True)
def assign_groups(keys, first, slots, groups, num_groups, group_of):
    """Number the distinct columns of keys (k, n) int32, from record `first` on.

    slots: open addressing, a power of two, -1 is empty. groups (k, capacity) holds the keys of those numbered so far. Fills group_of (n,).
    Returns (next record, number of groups): it stops before a record that would fill more than half of the slots; the caller then
    doubles them and goes on.
    """
    mask = np.uint64(slots.shape[0] - 1)
    for i in range(first, keys.shape[1]):
        at = hash_key(keys, i) & mask
        while slots[at] >= 0 and not same_key(keys, i, groups, slots[at]):
            at = (at + np.uint64(1)) & mask
        if slots[at] < 0:
            if 2 * (num_groups + 1) > slots.shape[0]:
                return i, num_groups
            slots[at] = num_groups
            for k in range(keys.shape[0]):
                groups[k, num_groups] = keys[k, i]
            num_groups += 1
        group_of[i] = slots[at]
    return keys.shape[1], num_groups


@njit(cache=True, nogil=True)
def insert_groups(groups, num_groups, slots):
    """Enter groups 0 .. num_groups into empty slots."""
    mask = np.uint64(slots.shape[0] - 1)
    for g in range(num_groups):
        at = hash_key(groups, g) & mask
        while slots[at] >= 0:
            at = (at + np.uint64(1)) & mask
        slots[at] = g


# --- pairs of rows -----------------------------------------------------------------------------------------------------------------

OPEN_END = -3
"""Row of an end that the addresses alone do not decide."""
OPEN_PAIR = -4
"""Group of a pair whose records differ: ports and flags decide."""
ROW_BITS = 21
"""Of a row + 1 in a pair's key; the two of them and the pair's number fill 64 bits."""
MAX_PAIRS = (1 << 22) - 1
NO_ENTRY = 0xFFFFFFFFFFFFFFFF


@njit(cache=True, nogil=True)
def rows_of_codes(codes, slots, table, excluded, rows):
    """rows[i] = table[slots[i], codes[i]]; NOT_RECORDED where excluded, OPEN_END where code or slot is -1.

    slots, excluded: (n,) or (0,), then slot 0 and nothing. Without codes, (0,), the table has a column a record.
    """
    for i in range(rows.shape[0]):
        slot = slots[i] if slots.shape[0] else np.int32(0)
        code = codes[i] if codes.shape[0] else np.int32(i)
        if excluded.shape[0] != 0 and excluded[i] != 0:
            rows[i] = NOT_RECORDED
        elif slot < 0 or code < 0:
            rows[i] = OPEN_END
        else:
            rows[i] = table[slot, code]


@njit(cache=True, nogil=True)
def hash_pair(src, dst):
    """Rows + 1 mixed; products of 21 and 32 bits do not overflow. 2**32 over the golden ratio, and another odd number as even in bits."""
    h = (src * np.uint64(0x9E3779B1)) ^ (dst * np.uint64(0x85EBCA77))
    return h ^ (h >> np.uint64(27))


@njit(cache=True, nogil=True)
def number_pairs(src_rows, dst_rows, first, entries, pair_src, pair_dst, num_pairs, pair_of):
    """Number the distinct pairs of rows, from record `first` on.

    entries: open addressing, a power of two; one is (src row + 1) << 43 | (dst row + 1) << 22 | number, NO_ENTRY is empty. pair_src,
    pair_dst: rows by number, filled for new ones. Fills pair_of (n,): NOT_RECORDED for excluded records, OPEN_END for open ones.
    Returns (next record, number of pairs): it stops before a pair for which there is no room, as `assign_groups` does.
    """
    mask = np.uint64(entries.shape[0] - 1)
    for i in range(first, src_rows.shape[0]):
        s, d = src_rows[i], dst_rows[i]
        if s < -1 or d < -1:
            pair_of[i] = min(s, d)
            continue
        src, dst = np.uint64(np.int64(s) + 1), np.uint64(np.int64(d) + 1)
        key = (src << np.uint64(21)) | dst
        at = hash_pair(src, dst) & mask
        while entries[at] != np.uint64(NO_ENTRY) and (entries[at] >> np.uint64(22)) != key:
            at = (at + np.uint64(1)) & mask
        if entries[at] == np.uint64(NO_ENTRY):
            if num_pairs == pair_src.shape[0]:
                return i, num_pairs
            pair_src[num_pairs], pair_dst[num_pairs] = s, d
            entries[at] = (key << np.uint64(22)) | np.uint64(num_pairs)
            num_pairs += 1
        pair_of[i] = np.int32(np.int64(entries[at] & np.uint64(0x3FFFFF)))
    return src_rows.shape[0], num_pairs


@njit(cache=True, nogil=True)
def insert_pairs(pair_src, pair_dst, num_pairs, entries):
    """Enter pairs 0 .. num_pairs into empty entries."""
    mask = np.uint64(entries.shape[0] - 1)
    for number in range(num_pairs):
        src, dst = np.uint64(np.int64(pair_src[number]) + 1), np.uint64(np.int64(pair_dst[number]) + 1)
        at = hash_pair(src, dst) & mask
        while entries[at] != np.uint64(NO_ENTRY):
            at = (at + np.uint64(1)) & mask
        entries[at] = (((src << np.uint64(21)) | dst) << np.uint64(22)) | np.uint64(number)


@njit(cache=True, nogil=True)
def groups_of_pairs(pair_of, group_of_pair, groups):
    """groups[i] = group_of_pair[pair_of[i]]; negative pairs stay. Returns how many groups are OPEN_PAIR, and how many OPEN_END."""
    open_pairs, open_ends = 0, 0
    for i in range(pair_of.shape[0]):
        group = group_of_pair[pair_of[i]] if pair_of[i] >= 0 else pair_of[i]
        groups[i] = group
        open_pairs += group == OPEN_PAIR
        open_ends += group == OPEN_END
    return open_pairs, open_ends


@njit(cache=True, nogil=True)
def port_code(port, is_declared):
    """A port as far as it decides: those of clients, from EPHEMERAL_PORT_MIN on, are alike unless somebody declares them.

    is_declared (65536,); -1, absent, and what is no port are 0 and themselves. 17 bits.
    """
    if port < 0 or port > 0xFFFF:
        return np.int64(0)
    if port >= EPHEMERAL_PORT_MIN and is_declared[port] == 0:
        return np.int64(0xFFFF) + 1
    return np.int64(port) + 1


@njit(cache=True, nogil=True)
def is_marked(port, marks):
    """Whether a port, -1 for none, is among the marked ones of marks (65536,)."""
    return 0 <= port <= 0xFFFF and marks[port] != 0


@njit(cache=True, nogil=True)
def traffic_keys(groups, pair_of, group_without_port, traffic, is_declared, is_host_port, records, keys):
    """Keys of the records whose group is OPEN_PAIR: fills records (m,) and keys (3, m) int32 of pair, ports and the rest. Returns m.

    A record neither of whose ports is that of a host-network pod takes the group of its pair without one, where there is such a group.
    keys[1] is 16 bits of either port's code, keys[2] their uppermost bits, whether the flags show SYN and ACK, and protocol + 1.
    """
    protocol, src_port, dst_port, tcp_flags = traffic
    m = 0
    for i in range(groups.shape[0]):
        if groups[i] != OPEN_PAIR:
            continue
        group = group_without_port[pair_of[i]]
        if group >= 0 and not is_marked(src_port[i], is_host_port) and not is_marked(dst_port[i], is_host_port):
            groups[i] = group
            continue
        src, dst = port_code(np.int64(src_port[i]), is_declared), port_code(np.int64(dst_port[i]), is_declared)
        flags = np.int64(tcp_flags[i]) & (TCP_SYN | TCP_ACK) if tcp_flags[i] >= 0 else np.int64(0)
        keys[0, m] = pair_of[i]
        keys[1, m] = np.int32((((src & 0xFFFF) << 16) | (dst & 0xFFFF)) - 0x80000000)
        keys[2, m] = np.int32((((np.int64(protocol[i]) + 1) & 0x1FF) << 8) | flags | (src >> 16) | ((dst >> 16) << 2))
        records[m] = i
        m += 1
    return m


@njit(cache=True, nogil=True)
def sum_groups(groups, num_bytes, packets, is_counted, sums):
    """sums[groups[i]] += (1, bytes, packets), (k, 3) int64; records of a negative group, and those not counted, are left out."""
    for i in range(groups.shape[0]):
        at = groups[i]
        if at < 0 or (is_counted.shape[0] != 0 and is_counted[i] == 0):
            continue
        sums[at, 0] += 1
        if num_bytes.shape[0] != 0 and num_bytes[i] > 0:
            sums[at, 1] += num_bytes[i]
        if packets.shape[0] != 0 and packets[i] > 0:
            sums[at, 2] += packets[i]


@njit(cache=True, nogil=True)
def sum_classes(groups, class_of_group, num_bytes, packets, sums):
    """The same for all by the class of each group; the last row takes excluded records, other negative groups are left out."""
    last = sums.shape[0] - 1
    for i in range(groups.shape[0]):
        if groups[i] < 0 and groups[i] != NOT_RECORDED:
            continue
        at = class_of_group[groups[i]] if groups[i] >= 0 else last
        sums[at, 0] += 1
        if num_bytes.shape[0] != 0 and num_bytes[i] > 0:
            sums[at, 1] += num_bytes[i]
        if packets.shape[0] != 0 and packets[i] > 0:
            sums[at, 2] += packets[i]


@njit(cache=True, nogil=True)
def sum_marked(marks, groups, num_bytes, packets, sums):
    """sums[0] += (1, bytes, packets) of the records that are marked, those of a negative group left out."""
    for i in range(groups.shape[0]):
        if marks[i] == 0 or groups[i] < 0:
            continue
        sums[0, 0] += 1
        if num_bytes.shape[0] != 0 and num_bytes[i] > 0:
            sums[0, 1] += num_bytes[i]
        if packets.shape[0] != 0 and packets[i] > 0:
            sums[0, 2] += packets[i]


@njit(cache=True, nogil=True)
def sum_positive(values):
    """Sum of the values above 0."""
    total = np.int64(0)
    for i in range(values.shape[0]):
        if values[i] > 0:
            total += values[i]
    return total


# --- pairs ------------------------------------------------------------------------------------------------------------------------


class EndSets(NamedTuple):
    """Two sets of ends, located in every address space that one of them tells: a slot each, and a last one in which nothing is."""

    src_rows: NDArray[np.int32]  # (num_slots, num_sources)
    dst_rows: NDArray[np.int32]  # (num_slots, num_destinations)
    src_slots: NDArray[np.int32]  # (num_sources,) slot of the space that the source tells, -1 for none
    dst_slots: NDArray[np.int32]  # (num_destinations,)


@njit(cache=True, nogil=True)
def pair_ends(ends, first, src, dst, src_row, dst_row):
    """Pairs first, first + 1, ..., the sources outermost: positions and rows of their ends, (n,) each.

    A pair is in its source's address space, else in its destination's.
    """
    num_destinations = ends.dst_slots.shape[0]
    nowhere = ends.src_rows.shape[0] - 1
    s, d = first // num_destinations, first % num_destinations
    for i in range(src.shape[0]):
        slot = ends.src_slots[s]
        if slot < 0:
            slot = ends.dst_slots[d]
        if slot < 0:
            slot = nowhere
        src[i], dst[i] = s, d
        src_row[i], dst_row[i] = ends.src_rows[slot, s], ends.dst_rows[slot, d]
        d += 1
        if d == num_destinations:
            s, d = s + 1, 0

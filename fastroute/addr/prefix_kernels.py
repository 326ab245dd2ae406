"""Masks, containment, and the kernel that reads prefix text."""
# mypy: ignore-errors

import numpy as np
from numba import njit
from numba.extending import register_jitable

from fastroute.addr.v4 import HOST_BITS, MALFORMED, parse4_one
from fastroute.addr.v6 import parse6_one

_SLASH, _ZERO = 47, 48


@register_jitable
def mask4(prefix_len):
    """0 <= prefix_len <= 32, one number -> uint32 with so many leading ones. In 64 bits, where a shift by 32 is defined."""
    return np.uint32((np.uint64(0xFFFFFFFF) << np.uint64(32 - prefix_len)) & np.uint64(0xFFFFFFFF))


@register_jitable
def mask6(prefix_len):
    """0 <= prefix_len <= 128, one number -> (hi, lo) uint64 with so many leading ones."""
    ones = np.uint64(0xFFFFFFFFFFFFFFFF)
    if prefix_len == 0:
        return np.uint64(0), np.uint64(0)
    if prefix_len <= 64:
        return np.uint64(ones << np.uint64(64 - prefix_len)), np.uint64(0)
    return ones, np.uint64(ones << np.uint64(128 - prefix_len))


@register_jitable
def contains4(prefix, prefix_len, addr):
    """Whether one prefix covers one address."""
    return ((prefix ^ addr) & mask4(prefix_len)) == 0


@register_jitable
def contains6(prefix_hi, prefix_lo, prefix_len, addr_hi, addr_lo):
    """Whether one IPv6 prefix covers one address."""
    mask_hi, mask_lo = mask6(prefix_len)
    return ((prefix_hi ^ addr_hi) & mask_hi) == 0 and ((prefix_lo ^ addr_lo) & mask_lo) == 0


@njit(cache=True, nogil=True)
def parse_length(data, begin, end, longest):
    """Decimal digits -> 0 to `longest`, else -1; no leading zeros."""
    if end - begin < 1 or end - begin > 3 or (data[begin] == _ZERO and end - begin > 1):
        return -1
    length = 0
    for i in range(begin, end):
        digit = np.int64(data[i]) - _ZERO
        if digit < 0 or digit > 9:
            return -1
        length = length * 10 + digit
    return length if length <= longest else -1


@njit(cache=True, nogil=True)
def parse_prefixes_into(data, offsets, keep_host_bits, family, v4, hi, lo, prefix_len):
    """One row at a time: address, slash, length; without a slash the full length."""
    for i in range(family.shape[0]):
        begin, end = np.int64(offsets[i]), np.int64(offsets[i + 1])
        slash = begin
        while slash < end and data[slash] != _SLASH:
            slash += 1
        family[i] = MALFORMED
        addr = parse4_one(data, begin, slash)
        if addr >= 0:
            length = 32 if slash == end else parse_length(data, slash + 1, end, 32)
            if length < 0:
                continue
            host = np.uint32(addr) & ~mask4(length)
            v4[i], prefix_len[i] = np.uint32(addr), length
            family[i] = HOST_BITS if host != 0 and not keep_host_bits else 4
            continue
        ok, row_hi, row_lo = parse6_one(data, begin, slash)
        length = 128 if slash == end else parse_length(data, slash + 1, end, 128)
        if not ok or length < 0:
            continue
        mask_hi, mask_lo = mask6(length)
        host6 = (row_hi & ~mask_hi) | (row_lo & ~mask_lo)
        hi[i], lo[i], prefix_len[i] = row_hi, row_lo, length
        family[i] = HOST_BITS if host6 != 0 and not keep_host_bits else 6

"""IPv4 text: dotted quads to uint32 and back. As strict as Python's `ipaddress`: four octets, no leading zeros."""
# mypy: ignore-errors

import numpy as np
from numba import njit

ABSENT, MALFORMED, HOST_BITS = 0, 255, 254
"""Families beside 4 and 6: null, "" or "-"; not an address; a prefix with bits set behind its length."""

_DOT, _ZERO, _DASH = 46, 48, 45


@njit(cache=True, nogil=True)
def parse4_one(data, begin, end):
    """Bytes `begin` to `end` of `data` -> int64: the address, or -1 when they are no dotted quad."""
    addr = np.int64(0)
    octet = np.int64(0)
    num_digits = 0
    num_dots = 0
    if end - begin < 7 or end - begin > 15:
        return np.int64(-1)
    for i in range(begin, end):
        byte = np.int64(data[i])
        if byte == _DOT:
            if num_digits == 0 or num_dots == 3:
                return np.int64(-1)
            addr = addr * 256 + octet
            octet = np.int64(0)
            num_digits = 0
            num_dots += 1
        else:
            digit = byte - _ZERO
            if digit < 0 or digit > 9 or (num_digits > 0 and octet == 0):
                return np.int64(-1)
            octet = octet * 10 + digit
            num_digits += 1
            if octet > 255:
                return np.int64(-1)
    if num_digits == 0 or num_dots != 3:
        return np.int64(-1)
    return addr * 256 + octet


@njit(cache=True, nogil=True)
def is_present(valid, bit):
    """Whether the validity bit is set; an empty bitmap says that all are."""
    return valid.shape[0] == 0 or (valid[bit >> 3] >> np.uint8(bit & 7)) & np.uint8(1) != 0


@njit(cache=True, nogil=True)
def is_absent(data, offsets, valid, first_bit, i):
    """Null, empty, or the lone dash that flow logs write."""
    begin, end = offsets[i], offsets[i + 1]
    return not is_present(valid, first_bit + i) or begin == end or (end - begin == 1 and data[begin] == _DASH)


@njit(cache=True, nogil=True)
def parse4_into(data, offsets, valid, first_bit, addrs, family):
    """Fill `addrs` and `family` (4, 0 absent, 255 for all else, with addr 0); returns the number of 255s."""
    num_others = 0
    for i in range(addrs.shape[0]):
        if is_absent(data, offsets, valid, first_bit, i):
            addrs[i], family[i] = np.uint32(0), np.uint8(ABSENT)
            continue
        addr = parse4_one(data, np.int64(offsets[i]), np.int64(offsets[i + 1]))
        if addr >= 0:
            addrs[i], family[i] = np.uint32(addr), np.uint8(4)
        else:
            addrs[i], family[i] = np.uint32(0), np.uint8(MALFORMED)
            num_others += 1
    return num_others


@njit(cache=True, nogil=True)
def put_decimal(out, at, number):
    """Write 0 <= number <= 255 without padding; returns the position behind it."""
    if number >= 100:
        out[at] = _ZERO + number // 100
        at += 1
    if number >= 10:
        out[at] = _ZERO + number // 10 % 10
        at += 1
    out[at] = _ZERO + number % 10
    return at + 1


@njit(cache=True, nogil=True)
def put_quad(out, at, addr):
    """Write one dotted quad, at most 15 bytes; returns the position behind it."""
    number = np.int64(addr)
    for shift in (24, 16, 8):
        at = put_decimal(out, at, (number >> shift) & 255)
        out[at] = _DOT
        at += 1
    return put_decimal(out, at, number & 255)

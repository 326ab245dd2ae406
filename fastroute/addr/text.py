"""Address text to arrays and back, both families mixed: the calls that the rooms above use."""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastroute.addr.buffers import TextBuffers, Texts, frozen, text_buffers
from fastroute.addr.settings import kernels
from fastroute.addr.v4 import MALFORMED, parse4_into
from fastroute.addr.v4_wide import format4_into, octet_words, parse4_wide_into, quad_layouts
from fastroute.addr.v6 import format6_into, parse6_into
from fastroute.errors import AddressError

NUM_OFFENDERS_SHOWN = 5


class Addresses(NamedTuple):
    """n addresses of either family, as columns; a column is 0 where its family is not the row's."""

    family: NDArray[np.uint8]  # (n,) 4, 6, 0 absent, 255 malformed
    v4: NDArray[np.uint32]  # (n,) host order
    hi: NDArray[np.uint64]  # (n,) the left half of an IPv6 address
    lo: NDArray[np.uint64]  # (n,)

    @property
    def num_rows(self) -> int:
        return int(self.family.shape[0])


def parse(texts: Texts) -> Addresses:
    """Addresses from text.

    Parameters
    ----------
    texts : (n,) strings, buffers or arrays as `text_buffers` takes them
        Null, "" and "-" are absent, not errors.

    Returns
    -------
    Addresses
        family 4, 6 or 0.

    Raises
    ------
    AddressError
        Rows that are neither absent nor an address: how many, and the first five.

    Notes
    -----
    IPv4 as `ipaddress` reads it (no leading zeros); IPv6 all forms of RFC 4291 section 2.2, no zone ids.
    """
    buffers = text_buffers(texts)
    addresses = try_parse(buffers)
    check_none_malformed(addresses.family, buffers)
    return addresses


def try_parse(texts: Texts) -> Addresses:
    """As `parse`, but malformed rows get family 255 and nothing is raised about them."""
    buffers = text_buffers(texts)
    num_rows = buffers.num_rows
    family = np.empty(num_rows, np.uint8)
    v4 = np.empty(num_rows, np.uint32)
    # zeros are pages that the system has not touched yet: free where no row is IPv6
    hi, lo = np.zeros(num_rows, np.uint64), np.zeros(num_rows, np.uint64)
    if _parse4(buffers, v4, family):
        parse6_into(buffers.data, buffers.offsets, family, hi, lo)
    return Addresses(family, v4, hi, lo)


def parse4(texts: Texts, out: tuple[NDArray[np.uint32], NDArray[np.uint8]] | None = None) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """IPv4 only, for columns that hold nothing else: (n,) addresses and (n,) families 4, 0 absent or 255 all else, IPv6 included.

    `out`, contiguous arrays of these dtypes, is filled and returned when given: fresh pages cost as much as the parsing.
    """
    buffers = text_buffers(texts)
    addrs, family = out if out is not None else (np.empty(buffers.num_rows, np.uint32), np.empty(buffers.num_rows, np.uint8))
    if addrs.shape != (buffers.num_rows,) or family.shape != addrs.shape or addrs.dtype != np.uint32 or family.dtype != np.uint8:
        raise AddressError(f"out: pass uint32 and uint8 arrays of {buffers.num_rows} rows")
    _parse4(buffers, addrs, family)
    return addrs, family


def _parse4(buffers: TextBuffers, addrs: NDArray[np.uint32], family: NDArray[np.uint8]) -> int:
    """Fill both; returns the number of rows that are neither absent nor IPv4."""
    if kernels() == "avx512":
        return int(parse4_wide_into(*buffers, quad_layouts(), addrs, family))
    return int(parse4_into(*buffers, addrs, family))


def check_none_malformed(family: NDArray[np.uint8], texts: Texts) -> None:
    """Raise AddressError with row numbers and the first five offenders if any family is 255."""
    bad = np.flatnonzero(family == MALFORMED)
    if bad.size == 0:
        return
    buffers = text_buffers(texts)
    shown = "; ".join(f"row {i}: {buffers.row(i)!r}" for i in bad[:NUM_OFFENDERS_SHOWN])
    more = f" and {bad.size - NUM_OFFENDERS_SHOWN} more" if bad.size > NUM_OFFENDERS_SHOWN else ""
    noun = "is not an IPv4 or IPv6 address" if bad.size == 1 else f"{bad.size} rows are not IPv4 or IPv6 addresses"
    raise AddressError(f"{shown} {noun}" if bad.size == 1 else f"{noun}: {shown}{more}")


def format4_buffers(addrs: NDArray[np.uint32], out: NDArray[np.uint8] | None = None) -> TextBuffers:
    """(n,) uint32 -> dotted quads as buffers; offsets are int32 while the text is below 2 GiB.

    `out`, at least 16 n bytes, takes the text when given: fresh pages cost as much as the formatting.
    """
    addrs = frozen(addrs, np.uint32)
    room = 16 * addrs.shape[0]
    if out is None:
        out = np.empty(room, np.uint8)
    elif out.dtype != np.uint8 or out.ndim != 1 or out.shape[0] < room or not out.flags.c_contiguous:
        raise AddressError(f"out: pass a contiguous uint8 array of at least {room} bytes")
    offsets = np.empty(addrs.shape[0] + 1, np.int64 if room > np.iinfo(np.int32).max else np.int32)
    return TextBuffers(out[: format4_into(addrs, octet_words(), out, offsets)], offsets)


def format6_buffers(hi: NDArray[np.uint64], lo: NDArray[np.uint64]) -> TextBuffers:
    """(n,) and (n,) uint64 -> RFC 5952 text as buffers; offsets are int32 while the text is below 2 GiB."""
    hi, lo = frozen(hi, np.uint64), frozen(lo, np.uint64)
    wide = 39 * hi.shape[0] > np.iinfo(np.int32).max
    out = np.empty(39 * hi.shape[0], np.uint8)
    offsets = np.empty(hi.shape[0] + 1, np.int64 if wide else np.int32)
    return TextBuffers(out[: format6_into(hi, lo, out, offsets)], offsets)


def format4(addrs: Any) -> list[str]:
    """(n,) uint32 -> list of dotted quads."""
    return strings_of(format4_buffers(np.asarray(addrs, np.uint32)))


def format6(hi: Any, lo: Any) -> list[str]:
    """(n,) and (n,) uint64 -> list of RFC 5952 text: lower case, the longest run of zero groups as "::"."""
    return strings_of(format6_buffers(np.asarray(hi, np.uint64), np.asarray(lo, np.uint64)))


def format_addrs(addresses: Addresses) -> list[str | None]:
    """Text of either family; None where absent or malformed."""
    texts = np.full(addresses.num_rows, None, object)
    is4, is6 = addresses.family == 4, addresses.family == 6
    texts[is4] = format4(addresses.v4[is4])
    texts[is6] = format6(addresses.hi[is6], addresses.lo[is6])
    return texts.tolist()


def strings_of(buffers: TextBuffers) -> list[str]:
    """Buffers of ASCII text as a list; for what people read, not for the hot path."""
    text = buffers.data.tobytes().decode("ascii")
    ends = buffers.offsets.tolist()
    return [text[begin:end] for begin, end in pairwise(ends)]

"""Prefixes as columns: text in and out, masks, containment."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastroute.addr.buffers import TextBuffers, Texts, text_buffers
from fastroute.addr.prefix_kernels import mask4, mask6, parse_prefixes_into
from fastroute.addr.text import NUM_OFFENDERS_SHOWN, Addresses, format_addrs
from fastroute.addr.v4 import HOST_BITS, MALFORMED
from fastroute.errors import AddressError

_MASKS4 = np.fromiter(map(mask4, range(33)), np.uint32)
_MASKS6 = np.array(list(map(mask6, range(129))), np.uint64).T.copy()


class Prefixes(NamedTuple):
    """n prefixes of either family, as columns; an address column is 0 where its family is not the row's."""

    family: NDArray[np.uint8]  # (n,) 4 or 6; from try_parse_prefixes also 255 malformed, 254 host bits set
    v4: NDArray[np.uint32]  # (n,)
    hi: NDArray[np.uint64]  # (n,)
    lo: NDArray[np.uint64]  # (n,)
    prefix_len: NDArray[np.uint8]  # (n,) 0 to 32 or 128

    @property
    def num_rows(self) -> int:
        return int(self.family.shape[0])


def masks4(prefix_len: NDArray[Any]) -> NDArray[np.uint32]:
    """(n,) lengths -> (n,) masks."""
    masks: NDArray[np.uint32] = _MASKS4[prefix_len]
    return masks


def masks6(prefix_len: NDArray[Any]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """(n,) lengths -> (n,) hi and (n,) lo masks."""
    return _MASKS6[0][prefix_len], _MASKS6[1][prefix_len]


def parse_prefixes(texts: Texts, *, keep_host_bits: bool = False) -> Prefixes:
    """Prefixes from text: "10.0.0.0/8", "2001:db8::/32"; a bare address is a host prefix.

    Parameters
    ----------
    texts : (n,) strings, buffers or arrays as `text_buffers` takes them
    keep_host_bits : accept "10.0.1.7/24" and leave the address as written, for interface addresses

    Raises
    ------
    AddressError
        Absent or malformed rows, lengths out of range or with leading zeros, bits set behind the length: the first five, with
        the prefix that was probably meant.
    """
    buffers = text_buffers(texts)
    prefixes = try_parse_prefixes(buffers, keep_host_bits=keep_host_bits)
    bad = np.flatnonzero(prefixes.family >= HOST_BITS)
    if bad.size:
        shown = "; ".join(_complaint(prefixes, buffers, int(i)) for i in bad[:NUM_OFFENDERS_SHOWN])
        more = f"; and {bad.size - NUM_OFFENDERS_SHOWN} more" if bad.size > NUM_OFFENDERS_SHOWN else ""
        raise AddressError(shown + more)
    return prefixes


def try_parse_prefixes(texts: Texts, *, keep_host_bits: bool = False) -> Prefixes:
    """As `parse_prefixes`, but malformed rows get family 255, rows with host bits 254, and nothing is raised about them."""
    buffers = text_buffers(texts)
    num_rows = buffers.num_rows
    prefixes = Prefixes(
        np.empty(num_rows, np.uint8),
        np.zeros(num_rows, np.uint32),
        np.zeros(num_rows, np.uint64),
        np.zeros(num_rows, np.uint64),
        np.zeros(num_rows, np.uint8),
    )
    parse_prefixes_into(buffers.data, buffers.offsets, keep_host_bits, *prefixes)
    return prefixes


def _complaint(prefixes: Prefixes, buffers: TextBuffers, row: int) -> str:
    text = buffers.row(row)
    if prefixes.family[row] == MALFORMED:
        return f"row {row}: {text!r} is not an IPv4 or IPv6 prefix"
    family = 6 if ":" in text else 4
    here = slice(row, row + 1)
    one = Prefixes(np.array([family], np.uint8), prefixes.v4[here], prefixes.hi[here], prefixes.lo[here], prefixes.prefix_len[here])
    return f"row {row}: host bits set in {text!r}; did you mean {format_prefixes(without_host_bits(one))[0]!r}?"


def without_host_bits(prefixes: Prefixes) -> Prefixes:
    """The networks of interface addresses: 10.0.1.7/24 -> 10.0.1.0/24."""
    is4 = prefixes.family == 4
    mask_hi, mask_lo = masks6(np.where(is4, 0, prefixes.prefix_len))
    v4 = prefixes.v4 & masks4(np.where(is4, prefixes.prefix_len, 0))
    return prefixes._replace(v4=v4, hi=prefixes.hi & mask_hi, lo=prefixes.lo & mask_lo)


def format_prefixes(prefixes: Prefixes) -> list[str]:
    """Text with its length always written: "10.0.0.1/32"."""
    addrs = format_addrs(Addresses(*prefixes[:4]))
    return [f"{addr}/{length}" for addr, length in zip(addrs, prefixes.prefix_len.tolist(), strict=True)]

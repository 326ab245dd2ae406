"""From (address space, address) to the row of its owner."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastroute.datapath.state import Compiled, RowFlag
from fastroute.lpm import pool4_lookup, pool6_lookup
from fastroute.vocab import Kind

I32 = NDArray[np.int32]


def locate(
    compiled: Compiled,
    spaces: I32,
    family: NDArray[np.uint8],
    v4: NDArray[np.uint32],
    hi: NDArray[np.uint64],
    lo: NDArray[np.uint64],
) -> I32:
    """Find who owns each address.

    Parameters
    ----------
    spaces : (n,) int32
        Address space to look in, -1 where it is not known.
    family : (n,) uint8
        4 or 6; anything else has no address.
    v4 : (n,) uint32, host byte order
    hi, lo : (n,) uint64
        Halves of IPv6 addresses.

    Returns
    -------
    (n,) int32
        Row of `compiled.rows`; -1 without a space or an address. An address of a peered or attached VPC gives that VPC's own row.
    """
    rows = _locate_once(compiled, spaces, family, v4, hi, lo)
    link = np.where(rows >= 0, compiled.rows.link_space[rows], -1).astype(np.int32)
    if (link >= 0).any():
        linked = _locate_once(compiled, link, family, v4, hi, lo)
        rows = np.where(link >= 0, linked, rows)
    return rows


def _locate_once(
    compiled: Compiled,
    spaces: I32,
    family: NDArray[np.uint8],
    v4: NDArray[np.uint32],
    hi: NDArray[np.uint64],
    lo: NDArray[np.uint64],
) -> I32:
    rows = np.full(len(family), -1, np.int32)
    for number in (4, 6):
        asked = np.flatnonzero((family == number) & (spaces >= 0))
        if not len(asked):
            continue
        if number == 4:
            rows[asked] = pool4_lookup(compiled.pool4, spaces[asked], v4[asked])
        else:
            rows[asked] = pool6_lookup(compiled.pool6, spaces[asked], np.column_stack((hi[asked], lo[asked])))
    return rows


def guess_spaces(
    compiled: Compiled,
    first: tuple[NDArray[np.uint8], NDArray[np.uint32], NDArray[np.uint64], NDArray[np.uint64]],
    second: tuple[NDArray[np.uint8], NDArray[np.uint32], NDArray[np.uint64], NDArray[np.uint64]],
) -> I32:
    """Find the space of records that name neither a VPC nor an interface: the only VPC whose own ranges hold one of both ends.

    Parameters
    ----------
    first, second : (family, v4, hi, lo), (n,) each
        Both ends of each record, as for `locate`.

    Returns
    -------
    (n,) int32
        -1 where no VPC holds an end, or several do.
    """
    n = len(first[0])
    if compiled.only_space >= 0:
        return np.full(n, compiled.only_space, np.int32)
    found = np.full(n, -1, np.int32)
    count = np.zeros(n, np.int32)
    for space in compiled.spaces.values():
        spaces = np.full(n, space, np.int32)
        holds = np.zeros(n, bool)
        for family, v4, hi, lo in (first, second):
            rows = _locate_once(compiled, spaces, family, v4, hi, lo)
            public = compiled.rows.row_flags[rows] & np.uint16(RowFlag.PUBLIC) != 0
            own = (compiled.rows.space[rows] == space) & ~public & (compiled.rows.kind[rows] != Kind.UNKNOWN)
            holds |= (rows >= 0) & own
        found[holds] = space
        count += holds
    found[count != 1] = -1
    return found

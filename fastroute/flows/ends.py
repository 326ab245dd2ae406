"""The two ends of each record: whose address space, which address, which row of the compiled snapshot."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastroute.addr import MALFORMED, Addresses, try_parse
from fastroute.datapath import Compiled, guess_spaces, locate
from fastroute.errors import InputError
from fastroute.flows.columns import TextColumn, gathered, lookup_texts
from fastroute.flows.kernels import NO_SPACE, NOT_RECORDED, first_marked, gather_by_slot, prefer

I32 = NDArray[np.int32]


class EndColumn(NamedTuple):
    """The addresses of one end: distinct ones with a code a record (-1 absent), or without codes one a record."""

    addresses: Addresses
    codes: I32 | None

    @property
    def num_rows(self) -> int:
        return len(self.codes) if self.codes is not None else self.addresses.num_rows

    def of_records(self, records: NDArray[np.intp]) -> Addresses:
        """The addresses of some records; family 0 where absent."""
        family, v4, hi, lo = self.addresses
        if self.codes is None:
            return Addresses(family[records], v4[records], hi[records], lo[records])
        codes = self.codes[records]
        return Addresses(gathered(codes, family, 0), gathered(codes, v4, 0), gathered(codes, hi, 0), gathered(codes, lo, 0))


def parse_end(column: TextColumn, name: str, first_row: int = 0) -> EndColumn:
    """Parse an address column, each distinct text once.

    Raises
    ------
    InputError
        A record holds something that is no address; names the first such row, counted from `first_row`.
    """
    addresses = try_parse(column.texts)
    malformed = addresses.family == MALFORMED
    if malformed.any():
        # A dictionary may hold texts that no record uses.
        row = int(np.argmax(malformed)) if column.codes is None else first_marked(column.codes, malformed.astype(np.uint8))
        if row >= 0:
            text = column.texts.row(row if column.codes is None else int(column.codes[row]))
            raise InputError(
                f"row {first_row + row} (from 0): {name} {text!r} is not an IPv4 or IPv6 address; correct the record, or leave it out"
            )
    return EndColumn(addresses, column.codes)


def recorded_spaces(compiled: Compiled, vpc_ids: TextColumn | None, interface_ids: TextColumn | None, n: int) -> tuple[I32, int]:
    """Find the address space that each record names: that of its VPC, else of its interface.

    Returns
    -------
    (n,) int32
        NO_SPACE where the snapshot does not hold what is named, NOT_RECORDED where nothing is.
    int
        Number of the latter.
    """
    spaces = [
        lookup_texts(column, known, unknown=NO_SPACE, absent=NOT_RECORDED)
        for column, known in ((vpc_ids, compiled.spaces), (interface_ids, compiled.space_of_eni))
        if column is not None
    ]
    if not spaces:
        return np.full(n, NOT_RECORDED, np.int32), n
    out = np.empty(n, np.int32)
    return out, prefer(spaces[0], spaces[-1], out)


def fill_spaces(compiled: Compiled, spaces: I32, src: EndColumn, dst: EndColumn) -> None:
    """Where no space is recorded: the snapshot's only VPC, else the only one whose own ranges hold one of both ends. In place."""
    asked = np.flatnonzero(spaces == NOT_RECORDED)
    spaces[asked] = guess_spaces(compiled, src.of_records(asked), dst.of_records(asked))


def locate_end(compiled: Compiled, end: EndColumn, spaces: I32) -> I32:
    """Find the row of each record's end, -1 for none.

    Distinct addresses are located once a space, unless that were more look-ups than records.
    """
    n = end.num_rows
    if end.codes is None:
        return locate(compiled, spaces, *end.addresses)
    used = np.zeros(len(compiled.spaces) + 1, bool)
    used[spaces + 1] = True
    present = np.flatnonzero(used) - 1
    distinct = end.addresses.num_rows
    if len(present) * distinct > n:
        return locate(compiled, spaces, *end.of_records(np.arange(n)))
    tables = [locate(compiled, np.full(distinct, space, np.int32), *end.addresses) for space in present.tolist()]
    if len(tables) == 1:
        return gathered(end.codes, tables[0], -1)
    slots = np.searchsorted(present, spaces).astype(np.int32)
    rows = np.empty(n, np.int32)
    gather_by_slot(end.codes, slots, np.stack(tables) if tables else np.empty((0, distinct), np.int32), rows)
    return rows

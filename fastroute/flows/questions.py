"""Ends of simulated flows: addresses, or names that the snapshot resolves."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fastroute.addr import MALFORMED, parse, try_parse
from fastroute.datapath import Compiled, guess_spaces
from fastroute.errors import EndpointError, InputError
from fastroute.flows.columns import TextColumn, gathered
from fastroute.flows.ends import EndColumn
from fastroute.flows.kernels import NO_SPACE, NOT_RECORDED

I32 = NDArray[np.int32]


class NameIndex(Protocol):
    """Resolves the name of an end."""

    def address_of(self, name: str) -> tuple[str, str | None]:
        """Find the address of a name, and the VPC in whose space it is meant, if the name tells.

        Raises
        ------
        EndpointError
            Nothing of that name; names the nearest.
        """
        ...


class NamedEnds(NamedTuple):
    """One end of every question, and the address space that each tells."""

    ends: EndColumn
    spaces: I32  # (n,) NOT_RECORDED where the end does not tell


def resolve_ends(compiled: Compiled, column: TextColumn, name: str, index: NameIndex, first_row: int = 0) -> NamedEnds:
    """Resolve a column of addresses and names, each distinct text once.

    Parameters
    ----------
    column : TextColumn with codes
    first_row : number of the first record, for messages

    Raises
    ------
    InputError
        A record names nothing that the snapshot holds; names its row.
    """
    assert column.codes is not None
    addresses = try_parse(column.texts)
    spaces = guess_spaces(compiled, addresses, addresses)
    spaces[spaces == NO_SPACE] = NOT_RECORDED
    used = np.zeros(addresses.num_rows, bool)
    used[column.codes[column.codes >= 0]] = True
    for at in np.flatnonzero((addresses.family == MALFORMED) & used).tolist():
        try:
            addr, vpc_id = index.address_of(column.texts.row(at))
        except EndpointError as error:
            row = int(np.argmax(column.codes == at))
            raise InputError(f"row {first_row + row} (from 0): {name}: {error}") from None
        found = parse([addr])
        addresses.family[at], addresses.v4[at], addresses.hi[at], addresses.lo[at] = (column[0] for column in found)
        if vpc_id is not None:
            spaces[at] = compiled.spaces.get(vpc_id, NO_SPACE)
        else:
            own = guess_spaces(compiled, found, found)
            spaces[at] = own[0] if own[0] >= 0 else NOT_RECORDED
    return NamedEnds(EndColumn(addresses, column.codes), gathered(column.codes, spaces, NOT_RECORDED))

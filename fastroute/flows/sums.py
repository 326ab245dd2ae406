"""What is summed up so far: pairs of rows, the groups that they and other records belong to, and the sums of these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastroute.flows.account import NUM_MEASURES
from fastroute.flows.encode import EXCLUDED_END
from fastroute.flows.numbering import Numbering, PairNumbering
from fastroute.flows.pairs import NUM_CLASS_CODES

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]


class Groups(NamedTuple):
    """Distinct keys (k, n) int32 with their sums (n, 3) int64."""

    keys: I32
    sums: I64


class Sums:
    """What one thread at a time adds to: pairs of rows, the groups of output columns that they belong to, and sums.

    A group of output columns has the codes of these columns, then those of the account's class; a group of the run has the number of the
    former, then the codes of input columns.
    """

    def __init__(self, num_outputs: int, num_inputs: int) -> None:
        self.forget_pairs()
        self.outputs = Numbering(num_outputs + NUM_CLASS_CODES)
        self.classes = Numbering(NUM_CLASS_CODES)
        self.class_of_output = np.empty(0, np.int32)
        self.of_groups = np.zeros((0, NUM_MEASURES), np.int64)
        self._num_outputs = num_outputs
        self._groups = Numbering(1 + num_inputs) if num_inputs else None

    def forget_pairs(self) -> None:
        """Make room; groups and sums stay."""
        self.pairs = PairNumbering()
        self.output_of_pair = np.empty(0, np.int32)
        self.output_without_port = np.empty(0, np.int32)
        """Of records neither of whose ports is that of a host-network pod; OPEN_PAIR where these differ too."""
        self.conversations = Numbering(3)
        """Of open pairs: see `traffic_keys`."""
        self.output_of_conversation = np.empty(0, np.int32)

    def note_outputs(self) -> None:
        """The classes of new output groups."""
        if self.outputs.size > len(self.class_of_output):
            new = self.outputs.keys[self._num_outputs :, len(self.class_of_output) :]
            self.class_of_output = np.concatenate((self.class_of_output, self.classes.numbers(np.ascontiguousarray(new))))

    def groups_of(self, outputs: I32, input_codes: Sequence[I32]) -> I32:
        """The group of each record, negative where its output group is; there is room for its sums."""
        groups = outputs
        if self._groups is not None:
            groups = self._groups.numbers(np.stack([outputs, *input_codes]))
            groups[outputs < 0] = EXCLUDED_END
        size = self.outputs.size if self._groups is None else self._groups.size
        if size > len(self.of_groups):
            self.of_groups = np.concatenate((self.of_groups, np.zeros((max(size, 1024), NUM_MEASURES), np.int64)))
        return groups

    def groups(self) -> Groups:
        """Keys of output, then input columns, with their sums; keys may repeat."""
        keys = self.outputs.keys[: self._num_outputs]
        if self._groups is not None:
            known = self._groups.keys
            keys = np.concatenate((keys[:, np.maximum(known[0], 0)], known[1:]))
        sums = self.of_groups[: keys.shape[1]]
        used = np.flatnonzero(sums[:, 0])
        return Groups(np.ascontiguousarray(keys[:, used]), sums[used])


def joined_groups(parts: Sequence[Groups], num_columns: int) -> Groups:
    """Groups of several, equal keys taken together."""
    numbering = Numbering(num_columns)
    numbers = [numbering.numbers(part.keys) for part in parts]
    sums = np.zeros((numbering.size, NUM_MEASURES), np.int64)
    for at, part in zip(numbers, parts, strict=True):
        np.add.at(sums, at, part.sums)
    return Groups(numbering.keys, sums)

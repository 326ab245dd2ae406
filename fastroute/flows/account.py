"""The account of a run: every record and byte of the input is attributed, ambiguous, unknown or excluded, and they add up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastroute.flows.kernels import tally
from fastroute.flows.legs import Leg
from fastroute.vocab import Attribution, Disposition, Doubt, PathClass

I64 = NDArray[np.int64]
NUM_MEASURES = 3
"""Records, bytes, packets: the columns of every sum."""
MOST_REUSED = 20
"""Sets of candidates that an account lists."""
EXCLUDED_ROW = len(Attribution)
"""Row of `Account.by_attribution` behind those of Attribution."""


def _zeros(rows: int) -> I64:
    return np.zeros((rows, NUM_MEASURES), np.int64)


@dataclass(slots=True)
class Account:
    """Sums of records, bytes and packets, (k, 3) int64 each."""

    measured: I64 = field(default_factory=lambda: _zeros(1))
    """What was read: of the whole input, counted apart from the rest."""
    by_attribution: I64 = field(default_factory=lambda: _zeros(len(Attribution) + 1))
    """By Attribution, then excluded."""
    rejected: I64 = field(default_factory=lambda: _zeros(1))
    """Of the records that are not excluded: action REJECT."""
    by_path_class: I64 = field(default_factory=lambda: _zeros(len(PathClass)))
    by_disposition: I64 = field(default_factory=lambda: _zeros(len(Disposition)))
    legs: I64 | None = None
    """Where each flow is counted once, (len(Leg), 2, 3): by leg, the records that do not count, then those that do."""
    by_doubt: I64 = field(default_factory=lambda: _zeros(len(Doubt)))
    """AMBIGUOUS records by Doubt."""
    reused: dict[tuple[str, ...], I64] = field(default_factory=dict)
    """By the pods that may have held a reused address: (3,) sums of the records that are open between them."""
    is_full: bool = True
    """False: only what was read, excluded and counted was summed up; how records were attributed, and where they end, was not asked."""

    def add(self, other: Account) -> None:
        """Add another account to this one."""
        for name in self.__slots__:
            if name not in ("legs", "reused", "is_full"):
                getattr(self, name)[...] += getattr(other, name)
        self.is_full &= other.is_full
        if other.legs is not None:
            self.legs = other.legs + (0 if self.legs is None else self.legs)
        for pods, sums in other.reused.items():
            self.add_reused(pods, sums)

    def add_reused(self, pods: tuple[str, ...], sums: I64) -> None:
        """Add records that are open between some pods."""
        self.reused[pods] = self.reused.get(pods, 0) + sums

    def check(self) -> None:
        """Hold the parts to the whole.

        Raises
        ------
        AssertionError
            They do not add up: a defect of fastroute.
        """
        parts = {}
        if self.is_full:
            parts = {
                "attribution": self.by_attribution.sum(0),
                "path classes": self.by_path_class.sum(0) + self.by_attribution[EXCLUDED_ROW],
                "dispositions": self.by_disposition.sum(0) + self.by_attribution[EXCLUDED_ROW],
            }
        if not np.array_equal(self.by_doubt.sum(0), self.by_attribution[Attribution.AMBIGUOUS]):
            raise AssertionError(f"the account of doubts holds {self.by_doubt.sum(0).tolist()}, not the ambiguous records")
        if self.legs is not None:
            parts["legs"] = self.legs.sum((0, 1)) + self.by_attribution[EXCLUDED_ROW]
        for what, total in parts.items():
            if not np.array_equal(total, self.measured[0]):
                raise AssertionError(
                    f"the account of {what} holds {total.tolist()} records, bytes, packets; read were {self.measured[0].tolist()}"
                )

    @property
    def records(self) -> int:
        """Records read."""
        return int(self.measured[0, 0])

    @property
    def bytes(self) -> int:
        """Bytes of the records read."""
        return int(self.measured[0, 1])

    @property
    def excluded(self) -> int:
        """Records excluded."""
        return int(self.by_attribution[EXCLUDED_ROW, 0])

    @property
    def attributed_share(self) -> float:
        """EXACT and INFERRED records among those that are not excluded; 1 where there are none. Of a full account."""
        assert self.is_full
        asked = self.records - self.excluded
        found = int(self.by_attribution[[Attribution.EXACT, Attribution.INFERRED], 0].sum())
        return found / asked if asked else 1.0

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for the manifest and summaries."""
        rows = self.by_attribution
        flows = {} if self.legs is None else _flows(self.legs)
        if not self.is_full:
            return {"input": _measures(self.measured[0]), "excluded": _measures(rows[EXCLUDED_ROW]), **flows}
        return {
            "input": _measures(self.measured[0]),
            "attributed": {
                **_measures(rows[Attribution.EXACT] + rows[Attribution.INFERRED]),
                "exact": _measures(rows[Attribution.EXACT]),
                "inferred": _measures(rows[Attribution.INFERRED]),
            },
            "ambiguous": {
                **_measures(rows[Attribution.AMBIGUOUS]),
                "by_doubt": {Doubt(i).name: _measures(row) for i, row in _largest(self.by_doubt)},
                "reused": self._most_reused(),
            },
            "unknown": _measures(rows[Attribution.UNKNOWN]),
            "excluded": _measures(rows[EXCLUDED_ROW]),
            "rejected": _measures(self.rejected[0]),
            **flows,
            "path_classes": {PathClass(i).name: _measures(row) for i, row in _largest(self.by_path_class)},
            "dispositions": {Disposition(i).name: _measures(row) for i, row in _largest(self.by_disposition)},
        }

    def _most_reused(self) -> list[dict[str, Any]]:
        """The candidates of reused addresses with the most bytes."""
        most = sorted(self.reused.items(), key=lambda item: (-int(item[1][1]), -int(item[1][0]), item[0]))[:MOST_REUSED]
        return [{"candidates": list(pods), **_measures(sums)} for pods, sums in most]


def total_of(accounts: Iterable[Account]) -> Account:
    """Sum of several accounts."""
    total = Account()
    for account in accounts:
        total.add(account)
    return total


def make_account(
    attribution: NDArray[np.int8],
    path_class: NDArray[np.int8],
    disposition: NDArray[np.int8],
    is_rejected: NDArray[np.uint8] | None,
    num_bytes: I64,
    packets: I64,
    doubts: NDArray[np.int8] | None = None,
) -> Account:
    """Account for one batch.

    Parameters
    ----------
    attribution, path_class, disposition : (n,) int8, -1 for excluded records
    is_rejected : (n,) uint8, or None where the action is not recorded
    num_bytes, packets : (n,) int64, -1 where absent; or (0,) where not recorded
    doubts : (n,) int8, Doubt of AMBIGUOUS records, -1 for others; or None where there are none
    """
    account = Account()
    account.measured[0] = len(attribution), num_bytes[num_bytes > 0].sum(), packets[packets > 0].sum()
    for codes, sums in ((path_class, account.by_path_class), (disposition, account.by_disposition)):
        rows = _zeros(len(sums) + 1)
        tally(codes, 1, num_bytes, packets, rows)
        sums[...] = rows[1:]
    rows = _zeros(len(Attribution) + 1)
    tally(attribution, 1, num_bytes, packets, rows)
    account.by_attribution[...] = np.roll(rows, -1, axis=0)
    if is_rejected is not None:
        rows = _zeros(2)
        tally(is_rejected, 0, num_bytes, packets, rows)
        account.rejected[...] = rows[1:]
    if doubts is not None:
        rows = _zeros(len(Doubt) + 1)
        tally(doubts, 1, num_bytes, packets, rows)
        account.by_doubt[...] = rows[1:]
    account.check()
    return account


def _measures(row: NDArray[np.int64]) -> dict[str, int]:
    return dict(zip(("records", "bytes", "packets"), row.tolist(), strict=True))


def _flows(legs: I64) -> dict[str, Any]:
    """Each flow once: what counts, what is not the record of its flow that counts, and both by leg."""
    return {
        "counted": _measures(legs[:, 1].sum(0)),
        "duplicates": _measures(legs[:, 0].sum(0)),
        "legs": {leg.name: {"counted": _measures(legs[leg, 1]), "duplicates": _measures(legs[leg, 0])} for leg in Leg if legs[leg].any()},
    }


def _largest(sums: I64) -> list[tuple[int, NDArray[np.int64]]]:
    """The rows that hold records, most bytes first, then most records, then by code."""
    present = [(i, row) for i, row in enumerate(sums) if row[0]]
    return sorted(present, key=lambda item: (-int(item[1][1]), -int(item[1][0]), item[0]))

"""What all records between two rows have in common: walked once a pair of rows, kept from batch to batch.

Most of a log are records between few pairs of ends, and most of what is asked of them does not depend on ports, flags or time. Each pair is
walked as if either end had opened the connection; where both answers agree, they are those of every record of the pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastroute.datapath import Answers, Compiled, Questions, RowFlag, Rows, walk
from fastroute.flows.account import NUM_MEASURES, Account
from fastroute.flows.doubts import doubts_of
from fastroute.flows.outputs import SOURCES, Source
from fastroute.vocab import TCP, TCP_ACK, TCP_SYN, Kind

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

_CLASS = ("attribution", "path_class", "disposition")
NUM_CLASS_CODES = len(_CLASS) + 1
"""Columns of `PairAnswers.classes`: what the account sums by."""
_OF_NO_PORT = frozenset({"node", "eni", "subnet", "az", "vpc"})
"""Columns of rows in which a node and its host-network pods agree."""


def _compared(columns: set[str]) -> frozenset[str]:
    """Columns of the answers that must not depend on the opener, for these to depend on nothing but the pair.

    What either opener gives, an unknown one gives too, but for what `datapath.walk.merged` makes of ways that differ elsewhere.
    """
    found = columns & set(Answers._fields) - {"opener", "form"}
    if found & {"disposition", "path_id"}:
        found |= {"path_class", "disposition", "path_id", "wire_src"}
    if found & {"src_attribution", "dst_attribution", "attribution"}:
        found |= {"src_attribution", "dst_attribution"}
    return frozenset(found)


def _is_of_port(source: Source, side: str) -> bool:
    """Whether a column of an end tells a node's host-network pods apart: what they are, not where."""
    return source.side == side and source.column not in _OF_NO_PORT


class PairAnswers(NamedTuple):
    """Of (n,) pairs; where `is_open`, records differ, and the other columns mean nothing."""

    answers: Answers
    classes: I32
    """(NUM_CLASS_CODES, n): attribution, path class, disposition, doubt; -1 for none."""
    is_open: NDArray[np.bool_]
    is_open_without_ports: NDArray[np.bool_]
    """Also where no port is that of a host-network pod."""
    opened_by_dst: Answers
    """As `answers`, which are opened by the source."""


class PairWalker:
    """Walks pairs of rows for a choice of output columns.

    Parameters
    ----------
    columns : output columns that are asked for
    has_classes : whether the account is to sum by class
    """

    def __init__(self, compiled: Compiled, columns: Sequence[str], *, has_classes: bool) -> None:
        self.compiled = compiled
        self.has_classes = has_classes
        self._needs_opener, self._needs_form = "opener" in columns, "form" in columns
        sources = [SOURCES[name] for name in columns]
        self._row_columns = frozenset(source.column for source in sources if source.side)
        self._compared = _compared({source.column for source in sources if not source.side} | set(_CLASS if has_classes else ()))
        self._ports_matter = {side: any(_is_of_port(source, side) for source in sources) for side in ("src", "dst")}
        ports = compiled.tables.ports
        self.declared_ports = np.zeros(1 << 16, np.uint8)
        """(65536,) 1 for the ports that somebody declares as served."""
        for keys in (ports.keys, ports.node_ports, ports.host_keys):
            self.declared_ports[keys & 0xFFFF] = 1
        self.host_ports = np.zeros(1 << 16, np.uint8)
        """(65536,) 1 for the ports of host-network pods."""
        self.host_ports[ports.host_keys & 0xFFFF] = 1
        offsets = ports.host_offsets
        self._has_host_ports = np.append((np.diff(offsets) > 0) & (compiled.rows.kind[: len(offsets) - 1] == Kind.NODE), False)

    @property
    def reads_traffic(self) -> bool:
        """Whether ports or flags may decide of a record."""
        return self._needs_opener or self._needs_form or bool(self._compared) or any(self._ports_matter.values())

    @property
    def timed_columns(self) -> frozenset[str]:
        """The columns of rows that decide, of everyone who held an address."""
        answers_matter = self._needs_opener or self._needs_form or self._compared
        return frozenset(Rows._fields) if answers_matter else self._row_columns

    def walk(self, src_row: I32, dst_row: I32) -> PairAnswers:
        """Walk pairs, (n,) rows of either end, -1 for none."""
        absent = np.full(len(src_row), -1, np.int32)
        protocol = np.full(len(src_row), TCP, np.int32)

        def opened(flags: int) -> Answers:
            questions = Questions(src_row, dst_row, protocol, absent, absent, np.full(len(src_row), flags, np.int32))
            return walk(self.compiled, questions, recorded=True)

        by_src = opened(TCP_SYN)
        is_open = np.full(len(src_row), self._needs_opener)
        by_dst = opened(TCP_SYN | TCP_ACK) if self._compared else by_src
        for name in self._compared:
            is_open |= getattr(by_src, name) != getattr(by_dst, name)
        depends_on_ports = self._depends_on_ports(src_row, dst_row)
        return PairAnswers(by_src, self.classes(by_src), is_open | depends_on_ports, is_open, by_dst)

    def has_host_ports(self, rows: I32) -> NDArray[np.bool_]:
        """Which rows, -1 for none, are nodes whose ports may mean a host-network pod."""
        found: NDArray[np.bool_] = self._has_host_ports[rows]
        return found

    def classes(self, answers: Answers) -> I32:
        """(NUM_CLASS_CODES, n): what the account sums by; -1 where it does not."""
        if not self.has_classes:
            return np.full((NUM_CLASS_CODES, len(answers.src_row)), -1, np.int32)
        doubts = doubts_of(self.compiled, answers, packet_addresses=True)
        codes = [getattr(answers, name) for name in _CLASS]
        return np.stack([*codes, doubts if doubts is not None else np.full(len(answers.attribution), -1, np.int8)]).astype(np.int32)

    def _depends_on_ports(self, src_row: I32, dst_row: I32) -> NDArray[np.bool_]:
        """Pairs of which a port may make a host-network pod."""
        src, dst = self.has_host_ports(src_row), self.has_host_ports(dst_row)
        # Loopback means the other end.
        flags = np.append(self.compiled.rows.row_flags, np.uint16(0))
        src_loops, dst_loops = ((flags[rows] & RowFlag.LOOPBACK) != 0 for rows in (src_row, dst_row))
        src, dst = src | (src_loops & dst), dst | (dst_loops & src)
        node = np.append(self.compiled.rows.node, -1)
        is_one_node = (node[src_row] >= 0) & (node[src_row] == node[dst_row])
        found: NDArray[np.bool_] = (src & (self._ports_matter["src"] | is_one_node)) | (dst & (self._ports_matter["dst"] | is_one_node))
        return found


def add_classes(account: Account, classes: I32, sums: I64) -> None:
    """Add sums by class to an account.

    Parameters
    ----------
    classes : (NUM_CLASS_CODES, k) int32
    sums : (k, 3) int64
    """
    targets = (account.by_attribution, account.by_path_class, account.by_disposition, account.by_doubt)
    assert sums.shape == (classes.shape[1], NUM_MEASURES)
    for codes, target in zip(classes, targets, strict=True):
        present = codes >= 0
        np.add.at(target, codes[present], sums[present])

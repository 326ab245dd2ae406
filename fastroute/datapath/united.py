"""Several compiled snapshots of one account, with answers in common: one numbering of rows, names and legs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastroute.datapath.compile import names_of, texts
from fastroute.datapath.flows import Answers
from fastroute.datapath.paths import LegTable, PathTables, path_tables
from fastroute.datapath.state import (
    DESTINATION_LEG_BITS,
    NUM_DESTINATION_LEGS,
    NUM_SOURCE_LEGS,
    NUM_VPC_LEG_WAYS,
    SOURCE_LEG_BITS,
    SOURCE_LEG_SHIFT,
    VPC_LEG_BITS,
    VPC_LEG_SHIFT,
    Compiled,
    Rows,
)
from fastroute.errors import SnapshotError
from fastroute.topology.times import BEGINNING

I32 = NDArray[np.int32]
_NAMED_COLUMNS = ("namespace", "pod", "owner_kind", "owner", "node", "eni", "subnet", "az", "vpc", "service", "table")
_ANSWERED_NAMES = {"out_eni": "eni", "in_eni": "eni", "table": "table", "wire_src": "addr", "wire_dst": "addr"}


class Part(NamedTuple):
    """One of the snapshots, and what turns its numbers into those in common."""

    compiled: Compiled
    first_row: int
    codes: dict[str, I32]
    """By table of names: the common code of each of the part's; a last entry keeps -1 what it is."""
    legs: tuple[int, int, int]
    """Numbers of source, VPC and destination legs that come before the part's."""

    def in_common(self, answers: Answers) -> Answers:
        """The part's answers in common numbers."""
        if self.first_row == 0:
            return answers
        changed: dict[str, Any] = {name: self.codes[table][getattr(answers, name)] for name, table in _ANSWERED_NAMES.items()}
        for name in ("src_row", "dst_row"):
            rows = getattr(answers, name)
            changed[name] = np.where(rows >= 0, rows + np.int32(self.first_row), rows).astype(np.int32)
        return answers._replace(**changed, path_id=self._path_ids(answers.path_id))

    def _path_ids(self, path_id: NDArray[np.int64]) -> NDArray[np.int64]:
        found = path_id.copy()
        fields = ((SOURCE_LEG_SHIFT, SOURCE_LEG_BITS), (VPC_LEG_SHIFT, VPC_LEG_BITS), (0, DESTINATION_LEG_BITS))
        for (shift, bits), before in zip(fields, self.legs, strict=True):
            has_leg = (path_id >= 0) & ((path_id >> shift) & ((1 << bits) - 1) != 0)
            found[has_leg] += np.int64(before) << shift
        return found


class United(NamedTuple):
    """`compiled` decodes the answers of every part, and is the newest snapshot for whatever is asked without a time."""

    compiled: Compiled
    parts: tuple[Part, ...]

    def path_tables(self) -> PathTables:
        """The legs of all parts."""
        tables = [(path_tables(part.compiled), part.legs) for part in sorted(self.parts, key=lambda part: part.first_row)]
        return PathTables(*(_joined([(table[kind], legs[kind]) for table, legs in tables]) for kind in range(3)))


def unite(snapshots: Sequence[Compiled]) -> United:
    """Give compiled snapshots common numbers.

    Parameters
    ----------
    snapshots : in the order of their times

    Raises
    ------
    SnapshotError
        More legs than `path_id` can number.
    """
    newest_first = snapshots[::-1]
    # The newest snapshot's codes stay as they are.
    known = {name: texts(packed) for name, packed in newest_first[0].names.items()}
    number = {name: {text: code for code, text in reversed([*enumerate(listed)])} for name, listed in known.items()}
    codes = [_common_codes(compiled, known, number) for compiled in newest_first]
    first_rows = list(accumulate((len(compiled.rows.kind) for compiled in newest_first), initial=0))
    legs = list(accumulate(map(_num_legs, newest_first), lambda a, b: (a[0] + b[0], a[1] + b[1], a[2] + b[2]), initial=(0, 0, 0)))
    for what, used, bits in zip(
        ("source", "VPC", "destination"), legs[-1], (SOURCE_LEG_BITS, VPC_LEG_BITS, DESTINATION_LEG_BITS), strict=True
    ):
        if used >= 1 << bits:
            raise SnapshotError(
                f"{len(snapshots)} snapshots have {used:,} {what} legs, path_id can number {(1 << bits) - 1:,}; "
                f"route with at most {len(snapshots) * (1 << bits) // used} of them at a time, each with the logs of its time"
            )
    parts = [Part(*part) for part in zip(newest_first, first_rows[:-1], codes, legs[:-1], strict=True)]
    columns: dict[str, Any] = {name: np.concatenate([_row_column(part, name) for part in parts]) for name in Rows._fields}
    newest, others = newest_first[0], first_rows[-1] - first_rows[1]
    history = newest.history._replace(
        settled=np.concatenate((newest.history.settled, np.full(others, BEGINNING, np.int64))),
        of_row=np.concatenate((newest.history.of_row, np.full(others, -1, np.int32))),
    )
    names = {name: names_of(listed) for name, listed in known.items()}
    return United(newest._replace(rows=Rows(**columns), names=names, history=history), tuple(parts[::-1]))


def _common_codes(compiled: Compiled, known: dict[str, list[str]], number: dict[str, dict[str, int]]) -> dict[str, I32]:
    """Codes in common of each table of names; new names are added to `known`, and numbered."""
    codes = {}
    for name, packed in compiled.names.items():
        found = []
        for text in texts(packed):
            if text not in number[name]:
                number[name][text] = len(known[name])
                known[name].append(text)
            found.append(number[name][text])
        codes[name] = np.array([*found, -1], np.int32)
    return codes


def _num_legs(compiled: Compiled) -> tuple[int, int, int]:
    """How many numbers a snapshot's legs take, 0 among them."""
    rows = compiled.rows
    return (
        max(int(rows.source_leg.max(initial=0)), 0) + NUM_SOURCE_LEGS,
        len(compiled.tables.vpc_legs) * NUM_VPC_LEG_WAYS,
        max(int(rows.destination_leg.max(initial=0)), 0) + NUM_DESTINATION_LEGS,
    )


def _row_column(part: Part, name: str) -> NDArray[Any]:
    column: NDArray[Any] = getattr(part.compiled.rows, name)
    if part.first_row == 0 or name not in _NAMED_COLUMNS:
        return column
    common: I32 = part.codes[name][column]
    return common


def _joined(tables: Sequence[tuple[LegTable, int]]) -> LegTable:
    """One table of several, each with its legs behind those of the ones before."""
    number: dict[str, int] = {"": 0}
    columns: dict[str, list[NDArray[np.int32]]] = {name: [] for name in LegTable._fields if name != "texts"}
    for table, before in tables:
        code = np.array([number.setdefault(text, len(number)) for text in table.texts], np.int32)
        for name, parts in columns.items():
            column: I32 = getattr(table, name)
            if name == "leg":
                parts.append((column + before).astype(np.int32))
            else:
                parts.append(column if name in ("hop", "rule_priority") else code[column])
    return LegTable(**{name: np.concatenate(parts) for name, parts in columns.items()}, texts=list(number))

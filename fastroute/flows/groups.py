"""Sums by group: records, bytes and packets by any output or input columns, without writing enriched rows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fastroute.datapath import Answers, texts
from fastroute.errors import InputError
from fastroute.flows.account import NUM_MEASURES, Account
from fastroute.flows.batches import EndRows, Table, end_rows, measures_of, rejected_records
from fastroute.flows.columns import distinct_column, gathered, int_column, is_text, one_array, texts_of
from fastroute.flows.counting import COUNTED_FIELDS, Counted, FlowCounter
from fastroute.flows.encode import EXCLUDED_END
from fastroute.flows.fields import Fields, find_fields
from fastroute.flows.kernels import OPEN_END, groups_of_pairs, sum_classes, sum_groups
from fastroute.flows.legs import Leg
from fastroute.flows.numbering import Interner, Numbering, PairNumbering
from fastroute.flows.outputs import SOURCES
from fastroute.flows.pairs import NUM_CLASS_CODES, PairWalker, add_classes
from fastroute.flows.router import Router

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]

MEASURES = ("records", "bytes", "packets", "flows")
"""What a sum may be of; `flows` are the counted records, and asked for only where flows are counted."""
LEG = "leg"
"""Column to group by where flows are counted."""
_COLUMN_OF_MEASURE = {"records": 0, "bytes": 1, "packets": 2, "flows": 0}
_PAIR_FIELDS = frozenset({"pkt_srcaddr", "pkt_dstaddr", "vpc_id", "interface_id", "log_status", "action"})
_STAND_INS = frozenset({"srcaddr", "dstaddr"})
_NOT_COUNTING = np.empty(0, np.uint8)

Read = Callable[[Collection[str]], Table]
"""Reads columns of a batch by name, more than once if asked."""


class Groups(NamedTuple):
    """Distinct keys (k, n) int32 with their sums (n, 3) int64."""

    keys: I32
    sums: I64


class Aggregation:
    """Groups of a run, taken together batch by batch; safe to share between threads.

    Parameters
    ----------
    router : Router
    by : names of output columns, or of columns of the input; `leg` where flows are counted
    input_columns : names of the input's columns
    measures : of MEASURES; bytes and packets that are not asked for are not read, and 0 in the account
    counter : FlowCounter, optional
        Counts each flow once: sums are of the records that count.

    Raises
    ------
    InputError
        A name that is no column, a measure that is none.
    """

    def __init__(
        self, router: Router, by: Sequence[str], input_columns: Sequence[str], measures: Sequence[str], counter: FlowCounter | None = None
    ) -> None:
        self.router = router
        self.compiled = router.compiled
        self.by = tuple(by)
        self.measures = tuple(measures)
        self._counter = counter
        self._check(input_columns)
        self._outputs = tuple(name for name in self.by if name in SOURCES)
        self._inputs = tuple(name for name in self.by if name not in SOURCES)
        self._interners = {name: Interner() for name in self.by if not _has_names(name)}
        self._walker = PairWalker(self.compiled, self._outputs, depends_on_time=router.depends_on_time)
        self._can_pair = PairNumbering.can_hold(len(self.compiled.rows.kind))
        self._lock = threading.Lock()
        self._idle: list[_Sums] = []
        self._all: list[_Sums] = []

    def _check(self, input_columns: Sequence[str]) -> None:
        if not self.by:
            raise InputError("name at least one column to group by")
        known = {*SOURCES, *input_columns, *([LEG] if self._counter is not None else [])}
        for name in self.by:
            if name not in known:
                raise InputError(f"no column {name!r} to group by, in the output or in the input; the input has {', '.join(input_columns)}")
        for measure in self.measures:
            if measure not in MEASURES:
                raise InputError(f"no measure {measure!r}; the measures are {', '.join(MEASURES)}")
        if not self.measures:
            raise InputError(f"name at least one measure of {', '.join(MEASURES)}")
        if "flows" in self.measures and self._counter is None:
            raise InputError("the measure 'flows' is that of counting flows; ask for count='flows', or for records")

    @property
    def input_columns(self) -> tuple[str, ...]:
        """The columns of the input that are grouped by."""
        return tuple(name for name in self._inputs if not self._is_leg(name))

    def _is_leg(self, name: str) -> bool:
        return name == LEG and self._counter is not None

    # --- one batch

    def add(self, read: Read, fields: Fields, first_row: int = 0, settled_by: int | None = None) -> Account:
        """Sum up a batch.

        Parameters
        ----------
        read : reads columns of the batch; those that its records need, and further ones only if some records need them
        fields : where the batch's file has what
        first_row : number of its first record in the file, for messages
        settled_by : see `end_rows`

        Returns
        -------
        Account
            Of the batch, the groups and what is not counted included.
        """
        with self._sums() as sums:
            can_pair = self._can_pair and not fields.is_simulated and "pkt_srcaddr" in fields and "pkt_dstaddr" in fields
            return (self._add_pairs if can_pair else self._add_routed)(sums, read, fields, first_row, settled_by)

    def _add_pairs(self, sums: _Sums, read: Read, fields: Fields, first_row: int, settled_by: int | None) -> Account:
        """By pairs of rows; through the router those records of which more than the addresses decides."""
        unneeded = {"interface_id"} if "vpc_id" in fields and self._counter is None else set()
        table = read(self._names(fields, (_PAIR_FIELDS & set(fields.names)) - unneeded))
        here = find_fields(table.column_names, simulated=False)
        ends = end_rows(self.compiled, table, here, settled_by, first_row)
        outputs, is_open = self._outputs_of(sums, ends)
        if not is_open:
            return self._finish(sums, table, here, outputs, ends)
        records = np.flatnonzero(outputs == OPEN_END)
        found, account = self._routed_part(sums, read, fields, records, first_row)
        for column, part in zip((outputs, *ends), found, strict=True):
            column[records] = part
        # The router has accounted for these records.
        return self._finish(sums, table, here, outputs, ends, records, account)

    def _outputs_of(self, sums: _Sums, ends: EndRows) -> tuple[I32, bool]:
        """The output group of each record, and whether any is OPEN_END."""
        if not sums.pairs.has_room(len(ends.src)):
            sums.forget_pairs()
        first = sums.pairs.size
        pair_of = sums.pairs.numbers(*ends)
        if sums.pairs.size > first:
            pairs = sums.pairs.since(first)
            found = self._walker.walk(*pairs)
            keys = np.concatenate((self._output_keys(found.answers), found.classes))
            groups = sums.outputs.numbers(np.ascontiguousarray(keys))
            groups[found.is_open] = OPEN_END
            sums.note_pairs(groups)
        num_open = groups_of_pairs(pair_of, sums.output_of_pair, pair_of)
        return pair_of, num_open > 0

    def _routed_part(
        self, sums: _Sums, read: Read, fields: Fields, records: NDArray[np.intp], first_row: int
    ) -> tuple[tuple[I32, I32, I32], Account]:
        """Output groups and rows of some records, and their account."""
        stand_ins = _STAND_INS & set(fields.names)
        names = self._names(fields, set(fields.names) - stand_ins)
        whole = read(names)
        some, here = whole.take(records), find_fields(whole.column_names, simulated=False)
        try:
            routed = self.router.route(some, here)
        except InputError:
            self.router.route(whole, here, first_row)  # the same error, with the record's number
            raise
        if routed.without_packet_addresses and stand_ins:
            whole = read(self._names(fields, fields.names))
            here = find_fields(whole.column_names, simulated=False)
            routed = self.router.route(whole.take(records), here)
        answers = routed.answers
        return (self._routed_outputs(sums, answers), answers.src_row, answers.dst_row), routed.account

    def _add_routed(self, sums: _Sums, read: Read, fields: Fields, first_row: int, _settled_by: int | None) -> Account:
        """Every record through the router."""
        table = read(self._names(fields, fields.names))
        here = find_fields(table.column_names, simulated=fields.is_simulated)
        routed = self.router.route(table, here, first_row)
        outputs = self._routed_outputs(sums, routed.answers)
        ends = EndRows(routed.answers.src_row, routed.answers.dst_row)
        records = np.arange(table.num_rows, dtype=np.intp)
        return self._finish(sums, table, here, outputs, ends, records, routed.account)

    def _routed_outputs(self, sums: _Sums, answers: Answers) -> I32:
        keys = self._output_keys(answers)
        outputs = sums.outputs.numbers(np.concatenate((keys, np.full((NUM_CLASS_CODES, keys.shape[1]), -1, np.int32))))
        outputs[answers.src_row == EXCLUDED_END] = EXCLUDED_END
        return outputs

    def _finish(
        self,
        sums: _Sums,
        table: Table,
        fields: Fields,
        outputs: I32,
        ends: EndRows,
        routed: NDArray[np.intp] | None = None,
        account: Account | None = None,
    ) -> Account:
        """Add a batch to the sums, given each record's output group. `routed` are the records of `account`."""
        num_bytes, packets = measures_of(table, fields)
        counted = self._counter.count(table, ends.src, ends.dst) if self._counter is not None else None
        groups = sums.groups_of(outputs, [self._input_codes(name, table, counted) for name in self._inputs])
        sum_groups(groups, num_bytes, packets, counted.is_counted if counted is not None else _NOT_COUNTING, sums.of_groups)
        total = self._paired_account(sums, table, fields, outputs, routed, num_bytes, packets)
        if account is not None:
            total.add(account)
        if counted is not None:
            counted.enter(total, num_bytes, packets)
        total.check()
        return total

    def _paired_account(
        self, sums: _Sums, table: Table, fields: Fields, outputs: I32, routed: NDArray[np.intp] | None, num_bytes: I64, packets: I64
    ) -> Account:
        """The account of the records that did not go through the router."""
        account = Account()
        if routed is not None and len(routed) == len(outputs):
            return account
        rejected = rejected_records(table, fields)
        if routed is not None:
            kept = np.ones(len(outputs), bool)
            kept[routed] = False
            outputs, rejected = outputs[kept], rejected[kept] if len(rejected) else rejected
            num_bytes, packets = (column[kept] if len(column) else column for column in (num_bytes, packets))
        by_class = np.zeros((sums.classes.size + 1, NUM_MEASURES), np.int64)
        sum_classes(outputs, sums.class_of_output, num_bytes, packets, by_class)
        add_classes(account, sums.classes.keys, by_class[:-1])
        account.by_attribution[-1] += by_class[-1]
        account.measured[0] = len(outputs), _positive_sum(num_bytes), _positive_sum(packets)
        if len(rejected):
            marked = np.where(outputs >= 0, rejected - 1, -1).astype(np.int32)
            sum_groups(marked, num_bytes, packets, _NOT_COUNTING, account.rejected)
        return account

    # --- codes

    def _names(self, fields: Fields, wanted: Collection[str]) -> set[str]:
        """Names of fields to read, and of what grouping, measuring and counting need beside them."""
        measured = {"bytes", "packets"} & set(self.measures)
        names = (set(wanted) - {"bytes", "packets"}) | (measured & set(fields.names)) | set(self.input_columns)
        return names | set(COUNTED_FIELDS if self._counter is not None else ())

    def _output_keys(self, answers: Answers) -> I32:
        codes = [self._output_codes(name, answers) for name in self._outputs]
        return np.stack(codes) if codes else np.empty((0, len(answers.src_row)), np.int32)

    def _output_codes(self, name: str, answers: Answers) -> I32:
        source = SOURCES[name]
        if source.side:
            # An end without a row, -1, takes the last entry.
            codes = np.append(getattr(self.compiled.rows, source.column), source.unknown).astype(np.int32)
            found: I32 = codes[np.maximum(getattr(answers, f"{source.side}_row"), -1)]
            return found
        if not source.column:
            return np.full(len(answers.src_row), -1, np.int32)
        values = getattr(answers, source.column)
        return self._number_codes(name, values) if name in self._interners else values.astype(np.int32)

    def _number_codes(self, name: str, numbers: NDArray[Any]) -> I32:
        values, at = np.unique(numbers, return_inverse=True)
        codes: I32 = self._interners[name].codes([None if value == -1 else value for value in values.tolist()])[at]
        return codes

    def _input_codes(self, name: str, table: Table, counted: Counted | None) -> I32:
        if self._is_leg(name):
            assert counted is not None
            return counted.leg.astype(np.int32)
        array = one_array(table[name])
        if is_text(array.type):
            column = distinct_column(array, name)
            assert column.codes is not None
            return gathered(column.codes, self._interners[name].codes(texts_of(column.texts)), -1)
        return self._number_codes(name, int_column(array, name, np.int64))

    # --- the run

    @contextmanager
    def _sums(self) -> Iterator[_Sums]:
        """Sums that no other thread uses now."""
        with self._lock:
            if not self._idle:
                self._idle.append(_Sums(len(self._outputs), len(self._inputs)))
                self._all.append(self._idle[-1])
            sums = self._idle.pop()
        try:
            yield sums
        finally:
            with self._lock:
                self._idle.append(sums)

    def table(self, top: int | None) -> pa.Table:
        """The groups with the most of the first measure first; equal ones in the order of their names.

        Parameters
        ----------
        top : how many groups; all by default
        """
        joined = joined_groups([sums.groups() for sums in self._all], len(self.by))
        of_column = dict(zip((*self._outputs, *self._inputs), joined.keys, strict=True))
        names = [self._decoded(name, of_column[name]) for name in self.by]
        weights = joined.sums[:, _COLUMN_OF_MEASURE[self.measures[0]]].tolist()
        order = sorted(range(len(weights)), key=lambda i: (-weights[i], *((column[i] is None, column[i]) for column in names)))[:top]
        columns = {name: pa.array([column[i] for i in order], _type_of(column)) for name, column in zip(self.by, names, strict=True)}
        sums = joined.sums[np.array(order, np.int64)]
        return pa.table(columns | {name: pa.array(sums[:, _COLUMN_OF_MEASURE[name]]) for name in self.measures})

    def _decoded(self, name: str, keys: I32) -> list[Any]:
        if self._is_leg(name):
            values: list[Any] = [leg.name for leg in Leg]
        elif name in self._interners:
            values = self._interners[name].values
        else:
            source = SOURCES[name]
            values = [member.name for member in source.members] if source.members is not None else texts(self.compiled.names[source.names])
        return [values[key] if key >= 0 else None for key in keys.tolist()]


class _Sums:
    """What one thread at a time adds to: pairs of rows, the groups of output columns that they belong to, and sums.

    A group of output columns has the codes of these columns, then those of the account's class; a group of the run has the number of the
    former, then the codes of input columns.
    """

    def __init__(self, num_outputs: int, num_inputs: int) -> None:
        self.pairs = PairNumbering()
        self.outputs = Numbering(num_outputs + NUM_CLASS_CODES)
        self.output_of_pair = np.empty(0, np.int32)
        self.classes = Numbering(NUM_CLASS_CODES)
        self.class_of_output = np.empty(0, np.int32)
        self.of_groups = np.zeros((0, NUM_MEASURES), np.int64)
        self._num_outputs = num_outputs
        self._groups = Numbering(1 + num_inputs) if num_inputs else None

    def forget_pairs(self) -> None:
        """Make room; groups and sums stay."""
        self.pairs.clear()
        self.output_of_pair = np.empty(0, np.int32)

    def note_pairs(self, outputs: I32) -> None:
        """The output groups of the newest pairs."""
        size = self.pairs.size
        if size > len(self.output_of_pair):
            grown = np.empty(max(2 * len(self.output_of_pair), size), np.int32)
            grown[: size - len(outputs)] = self.output_of_pair[: size - len(outputs)]
            self.output_of_pair = grown
        self.output_of_pair[size - len(outputs) : size] = outputs

    def groups_of(self, outputs: I32, input_codes: Sequence[I32]) -> I32:
        """The group of each record, negative where its output group is; there is room for its sums."""
        groups = outputs
        if self._groups is not None:
            groups = self._groups.numbers(np.stack([outputs, *input_codes]))
            groups[outputs < 0] = EXCLUDED_END
        size = self.outputs.size if self._groups is None else self._groups.size
        if size > len(self.of_groups):
            self.of_groups = np.concatenate((self.of_groups, np.zeros((max(size, 1024), NUM_MEASURES), np.int64)))
        if self.outputs.size > len(self.class_of_output):
            new = self.outputs.keys[self._num_outputs :, len(self.class_of_output) :]
            self.class_of_output = np.concatenate((self.class_of_output, self.classes.numbers(np.ascontiguousarray(new))))
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


def _positive_sum(values: I64) -> int:
    return int(values[values > 0].sum())


def _has_names(name: str) -> bool:
    """Whether the codes of a column are known beforehand; numbers and input columns are numbered as they come."""
    return name in SOURCES and (SOURCES[name].members is not None or SOURCES[name].names != "")


def _type_of(values: Sequence[Any]) -> pa.DataType:
    return pa.int64() if any(isinstance(value, int) for value in values) else pa.string()

"""Sums by group: records, bytes and packets by any output or input columns, without writing enriched rows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fastroute.datapath import Answers, Questions, texts, walk
from fastroute.errors import InputError
from fastroute.flows.account import EXCLUDED_ROW, NUM_MEASURES, Account
from fastroute.flows.batches import EndRows, Table, end_rows, late_rows, measures_of, names_all, rejected_records, timed_rows
from fastroute.flows.columns import distinct_column, gathered, int_column, is_text, one_array, texts_of
from fastroute.flows.counting import COUNTED_FIELDS, Counted, FlowCounter
from fastroute.flows.encode import EXCLUDED_END
from fastroute.flows.fields import Fields, field_name, find_fields
from fastroute.flows.kernels import OPEN_END, OPEN_PAIR, groups_of_pairs, sum_classes, sum_groups, sum_marked, sum_positive, traffic_keys
from fastroute.flows.legs import Leg
from fastroute.flows.numbering import Interner, PairNumbering, appended
from fastroute.flows.outputs import SOURCES
from fastroute.flows.pairs import NUM_CLASS_CODES, PairWalker, add_classes
from fastroute.flows.router import Router
from fastroute.flows.sums import Sums, joined_groups

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]

MEASURES = ("records", "bytes", "packets", "flows")
"""What a sum may be of; `flows` are the counted records, and asked for only where flows are counted."""
LEG = "leg"
"""Column to group by where flows are counted."""
_COLUMN_OF_MEASURE = {"records": 0, "bytes": 1, "packets": 2, "flows": 0}
_PAIR_FIELDS = frozenset({"pkt_srcaddr", "pkt_dstaddr", "vpc_id", "interface_id", "log_status", "action"})
_TRAFFIC_FIELDS = ("protocol", "srcport", "dstport", "tcp_flags")
_STAND_INS = frozenset({"srcaddr", "dstaddr"})
_TIMES = frozenset({"start", "end"})
_NOT_COUNTING = np.empty(0, np.uint8)

Read = Callable[[Collection[str]], Table]
"""Reads columns of a batch by name, more than once if asked."""


class _Batch:
    """A batch with the output group and the rows of each record."""

    def __init__(self, table: Table, fields: Fields, outputs: I32, ends: EndRows) -> None:
        self.table = table
        self.fields = fields
        self.outputs = outputs
        self.ends = ends
        self.measures = measures_of(table, fields)
        """Bytes and packets."""


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
    full_account : bool
        Whether the account also says how records were attributed, where they end, and what was rejected.

    Raises
    ------
    InputError
        A name that is no column, a measure that is none.
    """

    def __init__(
        self,
        router: Router,
        by: Sequence[str],
        input_columns: Sequence[str],
        measures: Sequence[str],
        counter: FlowCounter | None = None,
        *,
        full_account: bool = False,
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
        self._is_full = full_account
        self._walker = PairWalker(self.compiled, self._outputs, has_classes=full_account)
        self._can_pair = router.has_one_topology and PairNumbering.can_hold(len(self.compiled.rows.kind))
        depends_on_time = self._can_pair and router.depends_on_time
        self._timed = timed_rows(self.compiled, self._walker.timed_columns) if depends_on_time else None
        self._lock = threading.Lock()
        self._idle: list[Sums] = []
        self._all: list[Sums] = []

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
        settled_by : earliest second at which a packet of the batch can have been seen; None where that is not known

        Returns
        -------
        Account
            Of the batch, the groups and what is not counted included.
        """
        with self._sums() as sums:
            can_pair = self._can_pair and not fields.is_simulated and "pkt_srcaddr" in fields and "pkt_dstaddr" in fields
            return (self._add_pairs if can_pair else self._add_routed)(sums, read, fields, first_row, settled_by)

    def _add_pairs(self, sums: Sums, read: Read, fields: Fields, first_row: int, settled_by: int | None) -> Account:
        """By pairs of rows; records of which ports decide walked by themselves, and those of which more decides through the router."""
        unneeded = {"interface_id"} if "vpc_id" in fields else set()
        unneeded |= set() if self._is_full else {"action"}
        table = read(self._names(fields, (_PAIR_FIELDS & set(fields.names)) - unneeded))
        here = find_fields(table.column_names, simulated=False)
        late = late_rows(self.compiled, self._timed, settled_by) if self._timed is not None else None
        ends = end_rows(self.compiled, table, here, late, first_row)
        outputs, num_open = self._outputs_of(sums, read, fields, ends)
        batch = _Batch(table, here, outputs, ends)
        if not num_open:
            return self._finish(sums, batch, self._paired_account(sums, batch))
        account = self._paired_account(sums, batch)
        records = np.flatnonzero(outputs == OPEN_END)
        found, routed = self._routed_part(sums, read, fields, records, first_row)
        for column, part in zip((outputs, *ends), found, strict=True):
            column[records] = part
        if self._is_full:
            account.add(routed)
        return self._finish(sums, batch, account)

    def _outputs_of(self, sums: Sums, read: Read, fields: Fields, ends: EndRows) -> tuple[I32, int]:
        """The output group of each record, and how many are OPEN_END."""
        if not sums.pairs.has_room(len(ends.src)):
            sums.forget_pairs()
        first = sums.pairs.size
        pair_of = sums.pairs.numbers(*ends)
        if sums.pairs.size > first:
            found = self._walker.walk(*sums.pairs.since(first))
            groups = self._output_groups(sums, found.answers, found.classes)
            without_port = np.where(found.is_open_without_ports, np.int32(OPEN_PAIR), groups)
            groups[found.is_open] = OPEN_PAIR
            sums.output_of_pair = appended(sums.output_of_pair, groups, first)
            sums.output_without_port = appended(sums.output_without_port, without_port, first)
        outputs = np.empty_like(pair_of)
        open_pairs, open_ends = groups_of_pairs(pair_of, sums.output_of_pair, outputs)
        if open_pairs:
            self._fill_walked(sums, read, fields, ends, pair_of, outputs, open_pairs)
        return outputs, open_ends

    def _fill_walked(self, sums: Sums, read: Read, fields: Fields, ends: EndRows, pair_of: I32, outputs: I32, num_open: int) -> None:
        """The output groups of the records of open pairs: by ports and flags, each distinct conversation walked once."""
        table = read(set(_TRAFFIC_FIELDS) & set(fields.names))
        at = {field_name(column): i for i, column in enumerate(table.column_names)}
        absent = np.full(len(outputs), -1, np.int32)
        traffic = [int_column(table[at[name]], name) if name in at else absent for name in _TRAFFIC_FIELDS]
        records, keys = np.empty(num_open, np.int64), np.empty((3, num_open), np.int32)
        marks = self._walker.declared_ports, self._walker.host_ports
        m = traffic_keys(outputs, pair_of, sums.output_without_port, tuple(traffic), *marks, records, keys)
        records, keys = records[:m], np.ascontiguousarray(keys[:, :m])
        first = sums.conversations.size
        conversations = sums.conversations.numbers(keys)
        if sums.conversations.size > first:
            is_new = conversations >= first
            one_of = np.empty(sums.conversations.size - first, np.int64)
            one_of[conversations[is_new] - first] = records[is_new]
            questions = Questions(ends.src[one_of], ends.dst[one_of], *(column[one_of] for column in traffic))
            answers = walk(self.compiled, questions, recorded=True)
            groups = self._output_groups(sums, answers, self._walker.classes(answers))
            sums.output_of_conversation = appended(sums.output_of_conversation, groups, first)
        outputs[records] = sums.output_of_conversation[conversations]

    def _routed_part(
        self, sums: Sums, read: Read, fields: Fields, records: NDArray[np.intp], first_row: int
    ) -> tuple[tuple[I32, I32, I32], Account]:
        """Output groups and rows of some records, and their account."""
        stand_ins = _STAND_INS & set(fields.names)
        unneeded = stand_ins | (set() if self._walker.reads_traffic else set(_TRAFFIC_FIELDS)) | (set() if self._is_full else {"action"})
        if "vpc_id" in fields and names_all(read({"vpc_id"})[0], "vpc_id", records):
            unneeded |= {"interface_id"}
        whole = read(self._names(fields, set(fields.names) - unneeded))
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
        return (self._output_groups(sums, answers), answers.src_row, answers.dst_row), routed.account

    def _add_routed(self, sums: Sums, read: Read, fields: Fields, first_row: int, _settled_by: int | None) -> Account:
        """Every record through the router."""
        table = read(self._names(fields, fields.names))
        here = find_fields(table.column_names, simulated=fields.is_simulated)
        routed = self.router.route(table, here, first_row)
        ends = EndRows(routed.answers.src_row, routed.answers.dst_row)
        routed.account.is_full = self._is_full
        return self._finish(sums, _Batch(table, here, self._output_groups(sums, routed.answers), ends), routed.account)

    def _output_groups(self, sums: Sums, answers: Answers, classes: I32 | None = None) -> I32:
        """Numbers of the output columns' values; without classes for records that are accounted for elsewhere."""
        n = len(answers.src_row)
        codes = [self._output_codes(name, answers) for name in self._outputs]
        keys = np.concatenate(
            [*(code[None] for code in codes), np.full((NUM_CLASS_CODES, n), -1, np.int32) if classes is None else classes]
        )
        outputs = sums.outputs.numbers(keys)
        outputs[answers.src_row == EXCLUDED_END] = EXCLUDED_END
        return outputs

    def _paired_account(self, sums: Sums, batch: _Batch) -> Account:
        """The account of the records that do not go through the router."""
        account = Account(is_full=self._is_full)
        sums.note_outputs()
        by_class = np.zeros((sums.classes.size + 1, NUM_MEASURES), np.int64)
        sum_classes(batch.outputs, sums.class_of_output, *batch.measures, by_class)
        add_classes(account, sums.classes.keys, by_class[:-1])
        account.by_attribution[EXCLUDED_ROW] += by_class[-1]
        rejected = rejected_records(batch.table, batch.fields)
        if self._is_full and len(rejected):
            sum_marked(rejected, batch.outputs, *batch.measures, account.rejected)
        return account

    def _finish(self, sums: Sums, batch: _Batch, account: Account) -> Account:
        """Add a batch to the sums, and what it was as a whole to its account."""
        num_bytes, packets = batch.measures
        counted = self._counter.count(batch.table, *batch.ends) if self._counter is not None else None
        groups = sums.groups_of(batch.outputs, [self._input_codes(name, batch.table, counted) for name in self._inputs])
        sum_groups(groups, num_bytes, packets, counted.is_counted if counted is not None else _NOT_COUNTING, sums.of_groups)
        account.measured[0] = len(batch.outputs), sum_positive(num_bytes), sum_positive(packets)
        if counted is not None:
            counted.enter(account, num_bytes, packets)
        account.check()
        return account

    # --- codes

    def _names(self, fields: Fields, wanted: Collection[str]) -> set[str]:
        """Names of fields to read, and of what grouping, measuring and counting need beside them."""
        measured = {"bytes", "packets"} & set(self.measures)
        unneeded = {"bytes", "packets"} | (set() if self.router.depends_on_time else _TIMES)
        names = (set(wanted) - unneeded) | (measured & set(fields.names)) | set(self.input_columns)
        return names | set(COUNTED_FIELDS if self._counter is not None else ())

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
    def _sums(self) -> Iterator[Sums]:
        """Sums that no other thread uses now."""
        with self._lock:
            if not self._idle:
                self._idle.append(Sums(len(self._outputs), len(self._inputs)))
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
        weights = joined.sums[:, _COLUMN_OF_MEASURE[self.measures[0]]]
        names = [self._decoded(name, of_column[name]) for name in self.by]
        order = np.lexsort([*(_ranks(column) for column in reversed(names)), -weights])[:top]
        columns = {name: column.take(pa.array(order)) for name, column in zip(self.by, names, strict=True)}
        return pa.table(columns | {name: pa.array(joined.sums[order, _COLUMN_OF_MEASURE[name]]) for name in self.measures})

    def _decoded(self, name: str, keys: I32) -> pa.Array:
        """Values of a column's codes, each distinct one decoded once."""
        if self._is_leg(name):
            values: list[Any] = [leg.name for leg in Leg]
        elif name in self._interners:
            values = self._interners[name].values
        else:
            source = SOURCES[name]
            values = [member.name for member in source.members] if source.members is not None else texts(self.compiled.names[source.names])
        present, at = np.unique(keys, return_inverse=True)
        distinct = [values[key] if key >= 0 else None for key in present.tolist()]
        return pa.array(distinct, _type_of(distinct)).take(pa.array(at.ravel()))


def _ranks(column: pa.Array) -> NDArray[np.int64]:
    """Place of each value in their order, null last."""
    coded = column.dictionary_encode()
    values = coded.dictionary.to_pylist()
    rank = np.empty(len(values) + 1, np.int64)
    rank[sorted(range(len(values)), key=values.__getitem__)] = np.arange(len(values))
    rank[len(values)] = len(values)
    ranks: NDArray[np.int64] = rank[coded.indices.fill_null(len(values)).to_numpy()]
    return ranks


def _has_names(name: str) -> bool:
    """Whether the codes of a column are known beforehand; numbers and input columns are numbered as they come."""
    return name in SOURCES and (SOURCES[name].members is not None or SOURCES[name].names != "")


def _type_of(values: Sequence[Any]) -> pa.DataType:
    return pa.int64() if any(isinstance(value, int) for value in values) else pa.string()

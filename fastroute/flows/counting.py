"""Each flow once: which of a flow's records counts, by a rule over the record and the snapshot, never by joining records.

A flow is written by every logged interface that it crosses. It is counted at its source's interface where that is logged, else at its
destination's; what gateways in between write of it is labelled, and counted only where neither end writes. MODEL.md has the rule.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fastroute.arrays import Column
from fastroute.datapath import Compiled, texts
from fastroute.errors import InputError
from fastroute.flows.account import NUM_MEASURES, Account
from fastroute.flows.columns import ABSENT_TEXTS, distinct_column, gathered, lookup_texts, texts_of
from fastroute.flows.counting_kernels import count_batch
from fastroute.flows.encode import coded_column, dictionary_array, member_names
from fastroute.flows.fields import field_name
from fastroute.flows.kernels import tally
from fastroute.flows.legs import Direction, Gate, Leg
from fastroute.flows.outputs import DICTIONARY
from fastroute.topology import Eni, Topology
from fastroute.topology.model import EniRole

I8 = NDArray[np.int8]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
Table: TypeAlias = "pa.Table | pa.RecordBatch"

COUNTS = ("records", "flows")
"""What may be counted: every record, or each flow once."""
COUNTED_FIELDS = ("interface_id", "flow_direction", "action")
"""Columns of a log that counting reads beside those of routing; the first is needed."""
NO_INTERFACES = "no column interface_id, without which flows cannot be counted once; count records, or add the field to the flow log"


_DIRECTIONS = {"egress": int(Direction.EGRESS), "ingress": int(Direction.INGRESS)}
_GATES = {
    EniRole.NAT_GATEWAY: Gate.NAT_GATEWAY,
    EniRole.LOAD_BALANCER: Gate.LOAD_BALANCER,
    EniRole.TRANSIT_GATEWAY: Gate.FORWARDS,
    EniRole.VPC_ENDPOINT: Gate.FORWARDS,
}


class Counted(NamedTuple):
    """(n,) each."""

    leg: I8
    """Leg; -1 for excluded records."""
    is_counted: U8
    """1 for the one record of its flow that counts."""

    def columns(self) -> list[pa.Array]:
        """The columns `COUNT_FIELDS`."""
        is_counted = pa.Array.from_buffers(pa.bool_(), len(self.leg), [None, pa.py_buffer(np.packbits(self.is_counted, bitorder="little"))])
        return [dictionary_array(self.leg, member_names(Leg)), is_counted]

    def coded(self) -> list[Column]:
        """The same for a writer that takes codes."""
        return [coded_column(self.leg, member_names(Leg)), self.is_counted.view(np.int8)]

    def enter(self, account: Account, num_bytes: I64, packets: I64) -> None:
        """Enter the sums of a batch into its account, by leg."""
        rows = np.zeros((2 * (len(Leg) + 1), NUM_MEASURES), np.int64)
        tally(2 * self.leg + self.is_counted.view(np.int8), 2, num_bytes, packets, rows)
        account.legs = rows[2:].reshape(len(Leg), 2, NUM_MEASURES)


COUNT_FIELDS = (pa.field("leg", DICTIONARY), pa.field("is_counted", pa.bool_()))


class FlowCounter:
    """Says of each record whether it is the one that counts; safe to share between threads.

    Parameters
    ----------
    compiled : Compiled
    topology : the same snapshot
    logged : ids of the interfaces whose accepted traffic is logged, in this log or one beside it
    """

    def __init__(self, compiled: Compiled, topology: Topology, logged: Collection[str]) -> None:
        ids = texts(compiled.names["eni"])
        self._row_eni = compiled.rows.eni
        self._eni_of_id = {eni_id: code for code, eni_id in enumerate(ids)}
        self._gate_of_id = {eni.id: _gate_of(eni) for eni in topology.enis.values()}
        # An end without a known interface, -1, takes the last entry.
        self._is_logged = np.array([*(eni_id in logged for eni_id in ids), False], np.uint8)

    def count(self, table: Table, src_row: I32, dst_row: I32) -> Counted:
        """Judge every record of a routed table.

        Parameters
        ----------
        table : with the columns of `COUNTED_FIELDS` that its log has
        src_row, dst_row : (n,) int32
            The answers' rows, EXCLUDED_END for excluded records.

        Raises
        ------
        InputError
            The log has no `interface_id`.
        """
        at = {field_name(column): i for i, column in enumerate(table.column_names)}
        if "interface_id" not in at:
            raise InputError(NO_INTERFACES)
        interfaces = distinct_column(table[at["interface_id"]], "interface_id")
        assert interfaces.codes is not None
        ids = texts_of(interfaces.texts)
        enis = np.array([*(self._eni_of_id.get(eni_id or "", -1) for eni_id in ids), -1], np.int32)
        # The last entry, like the lone dash, is a record that names no interface.
        gates = np.array([*(self._gate(eni_id) for eni_id in ids), Gate.REGIONAL_NAT_GATEWAY], np.uint8)
        out = Counted(np.empty(len(src_row), np.int8), np.empty(len(src_row), np.uint8))
        columns = _Columns(
            src_row,
            dst_row,
            gathered(interfaces.codes, np.arange(len(ids), dtype=np.int32), len(ids)),
            _codes(table, at, "flow_direction", _DIRECTIONS),
            _codes(table, at, "action", {"REJECT": 1}),
        )
        has_packet_addresses = "pkt_srcaddr" in at and "pkt_dstaddr" in at
        count_batch(columns, self._row_eni, enis, gates, self._is_logged, has_packet_addresses, out.leg, out.is_counted)
        return out

    def _gate(self, eni_id: str | None) -> Gate:
        if eni_id is None or eni_id in ABSENT_TEXTS:
            return Gate.REGIONAL_NAT_GATEWAY
        return self._gate_of_id.get(eni_id, Gate.NONE)


class _Columns(NamedTuple):
    """(n,) each, (0,) where not recorded. `interface`: position among those of the batch, behind them one for none."""

    src_row: I32
    dst_row: I32
    interface: I32
    direction: I32
    is_rejected: I32


def _gate_of(eni: Eni) -> Gate:
    if eni.role in _GATES:
        return _GATES[eni.role]
    return Gate.NONE if eni.source_dest_check else Gate.APPLIANCE


def _codes(table: Table, at: dict[str, int], name: str, codes: dict[str, int]) -> I32:
    """0 where the text is none of these, or absent."""
    if name not in at:
        return np.empty(0, np.int32)
    return lookup_texts(distinct_column(table[at[name]], name), codes, unknown=0, absent=0)

"""A batch answers each record as if it came alone, whatever the types, dictionaries and absent columns of its table."""

from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from fastroute.api import Snapshot
from fastroute.flows import Account, Router, find_fields, total_of
from fastroute.vocab import OUTPUT_COLUMNS
from tests.zoo import everything, interesting_addresses

ALL = [column.name for column in OUTPUT_COLUMNS]
SNAPSHOT = Snapshot(everything())
ROUTER: Router = SNAPSHOT.compile().router(ALL)

addresses = st.one_of(st.sampled_from(interesting_addresses(SNAPSHOT.topology)), st.sampled_from([None, "-", "", "fe80::1", "2001:db8::1"]))
ports = st.sampled_from([None, 53, 80, 443, 9100, 10250, 31000, 32768, 40000])
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "pkt_srcaddr": addresses,
    "pkt_dstaddr": addresses,
    "srcaddr": addresses,
    "dstaddr": addresses,
    "vpc_id": st.sampled_from(["vpc-a", "vpc-b", "vpc-c", "vpc-elsewhere", "-", None]),
    "interface_id": st.sampled_from(["eni-a0", "eni-x", "eni-y", "eni-gone", "-", None]),
    "log_status": st.sampled_from(["OK", "OK", "OK", "NODATA", "SKIPDATA", None]),
    "action": st.sampled_from(["ACCEPT", "REJECT", "-"]),
    "protocol": st.sampled_from([6, 6, 17, 1, None]),
    "srcport": ports,
    "dstport": ports,
    "tcp_flags": st.sampled_from([None, 0, 2, 3, 18]),
    "bytes": st.one_of(st.none(), st.integers(0, 2**40)),
    "packets": st.one_of(st.none(), st.integers(0, 2**20)),
}
TEXT_TYPES = [
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.dictionary(pa.int32(), pa.string()),
    pa.dictionary(pa.uint8(), pa.large_string()),
]
NUMBER_TYPES = [pa.int32(), pa.int64()]


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """A log of some of the fields, in any order, each of any type that it may have, cut into chunks."""
    names = draw(st.lists(st.sampled_from(sorted(FIELDS)), unique=True, min_size=1))
    if not {"pkt_srcaddr", "pkt_dstaddr", "srcaddr", "dstaddr"} & set(names):
        names.append("dstaddr")
    n = draw(st.integers(1, 12))
    columns = {}
    for name in names:
        values = draw(st.lists(FIELDS[name], min_size=n, max_size=n))
        is_wide = name in {"bytes", "packets"}
        kinds = [pa.int64()] if is_wide else NUMBER_TYPES if name in {"protocol", "srcport", "dstport", "tcp_flags"} else TEXT_TYPES
        columns[name] = pa.array(values, draw(st.sampled_from(kinds)))
    table = pa.table(columns)
    cut = draw(st.integers(0, n))
    return pa.concat_tables([table.slice(0, cut), table.slice(cut)])


def routed(table: pa.Table) -> tuple[list[dict[str, Any]], Account]:
    found = ROUTER.route(table, find_fields(table.column_names))
    return pa.Table.from_arrays(ROUTER.columns(found), ALL).to_pylist(), found.account


@given(table=tables())
@settings(max_examples=150, deadline=None)
def test_batch_is_record_by_record(table: pa.Table) -> None:
    together, account = routed(table)
    alone = [routed(table.slice(i, 1)) for i in range(table.num_rows)]
    assert together == [rows[0] for rows, _ in alone]
    total = total_of(part for _, part in alone)
    assert account.to_dict() == total.to_dict()
    total.check()
    assert total.records == table.num_rows
    assert total.bytes == sum(value or 0 for value in table["bytes"].to_pylist()) if "bytes" in table.column_names else total.bytes == 0


@given(table=tables())
@settings(max_examples=60, deadline=None)
def test_types_of_the_columns_do_not_matter(table: pa.Table) -> None:
    plain = pa.table(
        {name: pa.array(table[name].to_pylist(), pa.string() if is_text(table[name]) else pa.int64()) for name in table.column_names}
    )
    assert routed(plain)[0] == routed(table)[0]


def is_text(column: pa.ChunkedArray) -> bool:
    return not pa.types.is_integer(column.type)

"""Streams in and out: every library that speaks the Arrow C stream, questions, pairs."""

import itertools
import subprocess
import sys
from collections.abc import Iterator

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from fastroute.api import Engine, Snapshot
from fastroute.errors import EndpointError, InputError
from fastroute.vocab import DEFAULT_COLUMNS, OUTPUT_COLUMNS
from tests.zoo import everything

FLOWS = {
    "pkt_srcaddr": ["10.0.5.5", "10.0.6.6", "10.0.5.5", None, "-"],
    "pkt_dstaddr": ["10.0.40.3", "10.0.5.5", "8.8.8.8", "10.0.5.5", "-"],
    "vpc_id": ["vpc-a"] * 5,
    "srcport": [40000, 40001, 40002, 1, None],
    "dstport": [80, 80, 443, 2, None],
    "protocol": [6, 6, 6, 6, None],
    "tcp_flags": [2, 2, 2, 2, None],
    "bytes": [1, 10, 100, 1000, None],
    "log_status": ["OK", "OK", "OK", "OK", "NODATA"],
}
# By MODEL.md: a pod of node-a to one of node-b in another zone; to one of its own node; to the Internet behind the NAT gateway with
# source NAT; an end without an address; an excluded record.
WANT = {
    "src_k8s_pod": ["web-a", "web-b", "web-a", None, None],
    "dst_k8s_pod": ["db-a", "web-a", None, "web-a", None],
    "src_kind": ["POD", "POD", "POD", "UNKNOWN", None],
    "dst_kind": ["POD", "POD", "INTERNET", "POD", None],
    "form": ["INTER_HOST", "INTRA_HOST", "EGRESS", None, None],
    "path_class": ["INTER_AZ", "SAME_NODE", "NAT_GATEWAY", "UNCLASSIFIED", None],
    "disposition": ["DELIVERED", "DELIVERED", "EXITS_NETWORK", "UNDECIDED", None],
    "rule_priority": [32766, 512, 1024, None, None],
    "table": ["main", "main", "main", None, None],
    "wire_src": [None, None, None, None, None],
    "attribution": ["EXACT", "EXACT", "EXACT", "UNKNOWN", None],
}


def check(table: pa.Table) -> None:
    for name, want in WANT.items():
        if name != "wire_src":
            assert table[name].to_pylist() == want, name
    assert table["pkt_srcaddr"].to_pylist() == FLOWS["pkt_srcaddr"]


def test_pyarrow_table_in_and_out(engine: Engine) -> None:
    reader = engine.route(pa.table(FLOWS), columns=["all"])
    assert isinstance(reader, pa.RecordBatchReader)
    table = reader.read_all()
    assert table.column_names == [*FLOWS, *(column.name for column in OUTPUT_COLUMNS)]
    check(table)
    assert table["wire_src"].to_pylist()[2] == "10.0.0.10"


def test_reader_and_batch_in(engine: Engine) -> None:
    check(engine.route(pa.table(FLOWS).to_reader(max_chunksize=2), columns=["all"]).read_all())
    check(engine.route(pa.RecordBatch.from_pydict(FLOWS), columns=["all"]).read_all())


def test_polars_in_and_out(engine: Engine) -> None:
    frame = pl.DataFrame(FLOWS)
    check(engine.route(frame, columns=["all"]).read_all())
    out = pl.DataFrame(engine.route(frame, columns=["all"]))
    assert out["path_class"].cast(pl.String).to_list() == WANT["path_class"]
    assert out["bytes"].to_list() == FLOWS["bytes"]


def test_duckdb_in_and_out(engine: Engine) -> None:
    source = pa.table(FLOWS)
    connection = duckdb.connect()
    check(engine.route(connection.sql("select * from source"), columns=["all"]).read_all())
    routed = engine.route(source, columns=["all"])  # noqa: F841
    rows = connection.sql("select path_class, sum(bytes) from routed where bytes > 0 group by all order by all").fetchall()
    assert rows == [("INTER_AZ", 1), ("NAT_GATEWAY", 100), ("SAME_NODE", 10), ("UNCLASSIFIED", 1000)]


def test_pandas_in_and_out(engine: Engine) -> None:
    frame = pd.DataFrame(FLOWS)
    assert frame["srcport"].dtype == float
    check(engine.route(frame, columns=["all"]).read_all())
    out = engine.route(frame).read_pandas()
    assert [None if pd.isna(name) else name for name in out["dst_k8s_pod"]] == WANT["dst_k8s_pod"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), pa.binary()])
@pytest.mark.parametrize("index", [None, pa.int8(), pa.uint16(), pa.int64()])
def test_every_text_type(engine: Engine, kind: pa.DataType, index: pa.DataType | None) -> None:
    table = pa.table(FLOWS)
    for name in ("pkt_srcaddr", "pkt_dstaddr", "vpc_id", "log_status"):
        column = table[name].combine_chunks()
        if index is not None:
            encoded = column.dictionary_encode()
            column = pa.DictionaryArray.from_arrays(encoded.indices.cast(index), encoded.dictionary.cast(kind))
        else:
            column = column.cast(kind)
        table = table.set_column(table.column_names.index(name), name, column)
    routed = engine.route(table, columns=["all"]).read_all()
    assert routed.select(table.column_names).equals(table)
    for name in ("src_k8s_pod", "path_class", "attribution"):
        assert routed[name].to_pylist() == WANT[name]


def test_slices_and_hyphens_and_wide_numbers(engine: Engine) -> None:
    """A table that begins in the middle of its buffers, named as AWS's text logs name it, with the widths of AWS's Athena tables."""
    table = pa.table({name.replace("_", "-"): values for name, values in FLOWS.items()})
    wide = table.set_column(5, "protocol", table["protocol"].cast(pa.int64()))
    for begin in range(len(FLOWS["bytes"])):
        routed = engine.route(wide.slice(begin), columns=["path_class", "src_k8s_pod"]).read_all()
        assert routed["path_class"].to_pylist() == WANT["path_class"][begin:]
        assert routed["src_k8s_pod"].to_pylist() == WANT["src_k8s_pod"][begin:]


def test_empty_stream(engine: Engine) -> None:
    routed = engine.route(pa.table(FLOWS).slice(0, 0)).read_all()
    assert routed.num_rows == 0
    assert routed.column_names == [*FLOWS, *DEFAULT_COLUMNS]


def test_many_small_batches_keep_order_over_threads(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastroute.api.stream.BATCH_ROWS", 64)
    table = pa.table({"src": ["default/web-a"] * 3000, "dst": [f"10.0.{i // 200}.{i % 200}" for i in range(3000)]})
    one, three = (engine.route(table.to_reader(7), threads=threads).read_all() for threads in (1, 3))
    assert three["dst"].to_pylist() == table["dst"].to_pylist()
    assert one.to_pylist() == three.to_pylist()


def test_error_in_a_later_batch_names_the_row(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastroute.api.stream.BATCH_ROWS", 10)
    table = pa.table({"src": ["10.0.5.5"] * 40, "dst": ["10.0.5.5"] * 33 + ["default/nobody"] * 7})
    with pytest.raises(InputError, match=r"row 33 \(from 0\): dst: 'default/nobody' is no address"):
        engine.route(table.to_reader(5), threads=2).read_all()


def test_what_is_no_stream(engine: Engine) -> None:
    with pytest.raises(InputError, match=r"a dict is no Arrow stream; pass a pyarrow table"):
        engine.route(FLOWS)


# --- questions and pairs ----------------------------------------------------------------------------------------------------------

ENDS = ["default/web-a", "node-b", "eni-nat", "i-c", "10.0.32.10", "8.8.8.8", "default/web", "10.1.0.9", "169.254.169.254", "172.16.9.9"]


def test_questions_by_name_and_by_address_agree(engine: Engine) -> None:
    by_name = {"src": ["default/web-a", "node-a", "i-c"], "dst": ["default/db-a", "eni-nat", "8.8.8.8"]}
    by_address = {"src": ["10.0.5.5", "10.0.0.10", "10.0.96.30"], "dst": ["10.0.40.3", "10.0.96.20", "8.8.8.8"]}
    a, b = (engine.route(pa.table(table), columns=["all"]).read_all() for table in (by_name, by_address))
    names = [column.name for column in OUTPUT_COLUMNS]
    assert a.select(names).to_pylist() == b.select(names).to_pylist()
    assert a["opener"].to_pylist() == ["SRC"] * 3
    assert a["path_class"].to_pylist() == ["INTER_AZ", "INTRA_AZ", "INTERNET_GATEWAY"]


def test_questions_take_protocol_names_and_text_numbers(engine: Engine) -> None:
    named = pa.table({"src": ["default/web-a"] * 2, "dst": ["node-b"] * 2, "protocol": ["tcp", "17"], "dst_port": ["9200", "-"]})
    routed = engine.route(named, columns=["dst_kind", "dst_k8s_pod"]).read_all()
    assert routed["dst_kind"].to_pylist() == ["HOST_POD", "NODE"]
    with pytest.raises(InputError, match=r"protocol 'tpc' is not a number"):
        engine.route(named.set_column(2, "protocol", pa.array(["tcp", "tpc"]))).read_all()


def test_pairs_are_the_questions_of_every_pair(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastroute.api.engine.BATCH_ROWS", 7)
    got = engine.pairs(ENDS, ENDS, protocol="tcp", dst_port=80, columns=["all"]).read_all()
    both = list(itertools.product(ENDS, ENDS))
    asked = pa.table(
        {"src": [a for a, _ in both], "dst": [b for _, b in both], "protocol": [6] * 100, "src_port": [40000] * 100, "dst_port": [80] * 100}
    )
    want = engine.route(asked, columns=["all"]).read_all()
    names = [column.name for column in OUTPUT_COLUMNS]
    assert got.select(names).to_pylist() == want.select(names).to_pylist()
    assert list(zip(got["src"].to_pylist(), got["dst"].to_pylist(), strict=True)) == both
    assert len(set(want["path_class"].to_pylist())) > 5


def test_pairs_of_columns_of_any_library_and_of_nothing(engine: Engine) -> None:
    want = engine.pairs(ENDS[:3], ENDS[:2]).read_all()
    for form in (pa.array, pl.Series, pd.Series, np.array, tuple, iter):
        assert engine.pairs(form(ENDS[:3]), form(ENDS[:2])).read_all().to_pylist() == want.to_pylist()  # type: ignore[operator]
    assert engine.pairs([], ENDS).read_all().num_rows == engine.pairs(ENDS, []).read_all().num_rows == 0


def test_pairs_are_made_as_they_are_read(engine: Engine) -> None:
    """Ten thousand million pairs: the reader gives the first batches at once."""
    ends = [f"10.0.{i >> 8}.{i & 255}" for i in range(0, 65_536)] + [f"100.64.{i >> 8}.{i & 255}" for i in range(0, 34_464)]
    reader = engine.pairs(ends, ends, columns=["path_class"], threads=1)
    batches: Iterator[pa.RecordBatch] = iter(reader)
    assert sum(next(batches).num_rows for _ in range(2)) == 2 << 19


def test_pairs_refuse_unknown_names(engine: Engine) -> None:
    with pytest.raises(InputError, match=r"row 1 \(from 0\): destinations: 'default/web-q' is no address.*did you mean default/web"):
        engine.pairs(["8.8.8.8"], ["default/web-a", "default/web-q"])
    with pytest.raises(InputError, match=r"protocol 'carrier-pigeon' is no number"):
        engine.pairs(["8.8.8.8"], ["8.8.8.8"], protocol="carrier-pigeon")


def test_engine_of_arrays_alone_knows_addresses_only() -> None:
    engine = Engine(Snapshot(everything()).compile().compiled)
    assert engine.pairs(["10.0.5.5"], ["10.0.40.3"]).read_all()["dst_k8s_pod"].to_pylist() == ["db-a"]
    with pytest.raises(InputError, match=r"'node-a' is no address, and compiled arrays alone hold no names"):
        engine.pairs(["node-a"], ["10.0.40.3"])
    assert issubclass(EndpointError, LookupError)


# --- the package ------------------------------------------------------------------------------------------------------------------


def test_import_of_the_package_loads_nothing_heavy() -> None:
    code = "import sys, fastroute; fastroute.__dir__(); print([m for m in ('numpy', 'numba', 'pyarrow') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_public_names_are_there() -> None:
    import fastroute

    assert fastroute.Engine is Engine
    for name in fastroute.__all__:
        assert getattr(fastroute, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'rout'"):
        _ = fastroute.rout  # type: ignore[attr-defined]

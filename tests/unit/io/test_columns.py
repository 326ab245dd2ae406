"""Columns decoded here are what Arrow reads; what has another form, or is broken, is refused."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastroute.io import columns as columns_module
from fastroute.io.column_kernels import BAD, HEADER_FIELDS, get_hybrid, get_varint, read_headers
from fastroute.io.columns import ColumnReader
from fastroute.io.flowlogs import coded_columns
from fastroute.io.page_kernels import put_hybrid
from fastroute.io.pages import packed_bound

N = 3000


def table_of(n: int, nulls: bool) -> pa.Table:
    rng = np.random.default_rng(n)
    mask = rng.random(n) < 0.2 if nulls else None
    texts = pa.DictionaryArray.from_arrays(pa.array(rng.integers(0, 40, n).astype(np.int32), mask=mask), [f"ädr-{i}" for i in range(40)])
    return pa.table(
        {
            "srcaddr": texts.cast(pa.string()),
            "srcport": pa.array(rng.integers(-5, 2**31 - 1, n).astype(np.int32), mask=mask),
            "few": pa.array(rng.integers(0, 5, n).astype(np.int32), mask=mask),
            "bytes": pa.array(rng.integers(-(2**62), 2**62, n), mask=mask),
            "none": pa.array([None] * n, pa.int64()),
            "action": pa.array(["ACCEPT"] * n),
        }
    )


def reader_of(path: Path) -> tuple[ColumnReader, int]:
    metadata, schema = pq.read_metadata(path), pq.read_schema(path)
    return ColumnReader(path, metadata, schema, coded_columns(metadata, schema)), metadata.num_row_groups


def check(path: Path, names: list[str]) -> None:
    reader, num_groups = reader_of(path)
    got = reader.read(range(num_groups), names)
    assert got is not None
    got.validate(full=True)
    want = pq.read_table(path, columns=names)
    for name in names:
        assert got[name].num_chunks == 1
        assert got[name].cast(want[name].type).to_pylist() == want[name].to_pylist()
        assert got[name].null_count == want[name].null_count


@pytest.mark.parametrize("nulls", [False, True])
@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "zstd"])
@pytest.mark.parametrize("options", [{}, {"use_dictionary": ["srcaddr", "action"]}, {"version": "1.0", "write_page_index": True}], ids=str)
def test_reads_what_arrow_reads(tmp_path: Path, nulls: bool, codec: str, options: dict[str, object]) -> None:
    table = table_of(N, nulls)
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=1100, data_page_size=700, compression=codec, **options)
    check(tmp_path / "a.parquet", table.column_names)
    check(tmp_path / "a.parquet", ["bytes", "srcaddr"])


def test_reads_without_isal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns_module, "isal_zlib", None)
    pq.write_table(table_of(N, True), tmp_path / "a.parquet", compression="gzip")
    check(tmp_path / "a.parquet", table_of(1, True).column_names)


def test_required_columns_have_no_levels(tmp_path: Path) -> None:
    table = table_of(N, False)
    schema = pa.schema([field.with_nullable(field.name == "none") for field in table.schema])
    pq.write_table(table.cast(schema), tmp_path / "a.parquet")
    check(tmp_path / "a.parquet", table.column_names)


@pytest.mark.parametrize("writer", ["duckdb", "polars"])
def test_reads_files_of_other_writers_or_leaves_them(tmp_path: Path, writer: str) -> None:
    table = table_of(N, True).select(["srcaddr", "few", "bytes"])
    if writer == "duckdb":
        import duckdb

        connection = duckdb.connect()
        connection.register("t", table)
        connection.execute(f"copy t to '{tmp_path / 'a.parquet'}' (format parquet, compression gzip)")
    else:
        import polars

        polars.from_arrow(table).write_parquet(tmp_path / "a.parquet")  # type: ignore[union-attr]
    reader, num_groups = reader_of(tmp_path / "a.parquet")
    for name in table.column_names:
        got = reader.read(range(num_groups), [name])
        assert got is None or got[name].to_pylist() == table[name].to_pylist()


def test_files_without_records(tmp_path: Path) -> None:
    pq.write_table(table_of(0, False), tmp_path / "a.parquet")
    reader, num_groups = reader_of(tmp_path / "a.parquet")
    got = reader.read(range(num_groups), ["bytes", "few"])
    assert got is not None
    assert (got.num_rows, got.column_names) == (0, ["few", "bytes"])


@pytest.mark.parametrize(
    ("table", "options"),
    [
        (pa.table({"c": [f"{i}" * 9 for i in range(N)]}), {"use_dictionary": False}),
        (pa.table({"c": [f"{i}" for i in range(N)]}), {"dictionary_pagesize_limit": 2000}),
        (pa.table({"c": list(range(N))}), {"use_dictionary": False, "column_encoding": {"c": "DELTA_BINARY_PACKED"}}),
        (pa.table({"c": list(range(N))}), {"data_page_version": "2.0"}),
        (pa.table({"c": list(range(N))}), {"compression": "brotli"}),
        (pa.table({"c": pa.array(range(N), pa.uint32())}), {}),
        (pa.table({"c": pa.array(range(N), pa.timestamp("us"))}), {}),
        (pa.table({"c": [[i] for i in range(N)]}), {}),
        (pa.table({"c": [1.5] * N}), {}),
    ],
)
def test_other_forms_are_left_to_arrow(tmp_path: Path, table: pa.Table, options: dict[str, object]) -> None:
    pq.write_table(table, tmp_path / "a.parquet", **options)
    reader, _ = reader_of(tmp_path / "a.parquet")
    assert reader.read([0], ["c"]) is None


@pytest.mark.parametrize("codec", ["none", "gzip"])
def test_broken_files_are_refused_or_harmless(tmp_path: Path, codec: str) -> None:
    """Any byte may be another: nothing but None, or a whole table, comes of it."""
    table = table_of(400, True).select(["srcaddr", "few", "srcport"])
    pq.write_table(table, tmp_path / "a.parquet", compression=codec, use_dictionary=["srcaddr", "few"])
    data = (tmp_path / "a.parquet").read_bytes()
    end = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    reader, _ = reader_of(tmp_path / "a.parquet")
    rng = np.random.default_rng(5)
    refused = 0
    for place in rng.integers(4, end, 300):
        broken = bytearray(data)
        broken[place] ^= int(rng.integers(1, 256))
        (tmp_path / "a.parquet").write_bytes(broken)
        got = reader.read([0], table.column_names)
        refused += got is None
        if got is not None:
            assert got.num_rows == 400
            indices = got["srcaddr"].chunk(0).indices
            assert len(indices.drop_null()) == 0 or max(indices.drop_null().to_pylist()) < len(got["srcaddr"].chunk(0).dictionary)
    assert refused > 0
    (tmp_path / "a.parquet").write_bytes(data[: end // 2])
    assert reader.read([0], table.column_names) is None
    (tmp_path / "a.parquet").unlink()
    assert reader.read([0], table.column_names) is None


RUNS = st.lists(st.tuples(st.integers(0, 2**20 - 1), st.integers(1, 40)), min_size=1, max_size=40)


@settings(deadline=None)
@given(RUNS, st.integers(20, 31))
def test_hybrid_reads_what_hybrid_writes(runs: list[tuple[int, int]], width: int) -> None:
    values = np.repeat(np.array([value for value, _ in runs], np.int32), [count for _, count in runs])
    n = len(values)
    data, out = np.zeros(packed_bound(n, width), np.uint8), np.zeros(n, np.int32)
    end = put_hybrid(np.append(values, np.zeros(8, np.int32)), n, width, data, 0)
    assert get_hybrid(data, 0, end, width, n, out) == values.max()
    assert out.tolist() == values.tolist()
    for cut in range(min(end, 40)):
        # The last group may lack what fills it up.
        assert get_hybrid(data[:cut], 0, cut, width, n, out) == BAD or out.tolist() == values.tolist()


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_refused_or_read(data: bytes) -> None:
    array = np.frombuffer(data, np.uint8)
    headers = np.zeros((4, HEADER_FIELDS), np.int64)
    assert read_headers(array, 0, len(array), headers) in range(BAD, 5)
    for width in (0, 1, 7, 31, 32, 255):
        assert get_hybrid(array, 0, len(array), width, 20, np.zeros(20, np.int32)) >= BAD


def test_varint_without_an_end() -> None:
    assert get_varint(np.full(3, 0x80, np.uint8), 0, 3)[1] == BAD
    assert get_varint(np.full(20, 0x80, np.uint8), 0, 20)[1] == BAD
    assert get_varint(np.array([0xAC, 2], np.uint8), 0, 2) == (300, 2)

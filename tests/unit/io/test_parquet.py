"""Routed files: what passes through, and in which form the added columns lie."""

import decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fastroute.datapath.paths import LegTable
from fastroute.io.flowlogs import Chunk, InputFile, open_flows
from fastroute.io.parquet import EncodeWriter, write_legs

ADDED = [pa.field("path_class", pa.dictionary(pa.int32(), pa.string())), pa.field("path_id", pa.int64())]


def added(n: int) -> list[pa.Array]:
    codes = pa.array([None if i % 3 == 0 else i % 2 for i in range(n)], pa.int32())
    return [pa.DictionaryArray.from_arrays(codes, pa.array(["INTER_AZ", "SAME_NODE"])), pa.array(range(n), pa.int64())]


def rewritten(source: Path, target: Path) -> pa.Table:
    flows = open_flows(InputFile(source, source.relative_to(source.parent)))  # type: ignore[arg-type]
    writer = EncodeWriter(flows.schema, ADDED)
    writer.begin(target)
    for chunk in flows.chunks:
        writer.write(writer.encode(chunk, flows.read(chunk), added(chunk.num_rows)))
    writer.close()
    return pq.read_table(target)


def test_every_type_passes_through(tmp_path: Path) -> None:
    n = 300
    table = pa.table(
        {
            "text": [None if i % 11 == 0 else f"t{i % 5}" for i in range(n)],
            "long_text": pa.array([f"{i}" * 20 for i in range(n)], pa.large_string()),
            "coded": pa.array(["a", "b", None] * (n // 3)).dictionary_encode(),
            "int8": pa.array([i % 100 for i in range(n)], pa.int8()),
            "uint64": pa.array([2**63 + i for i in range(n)], pa.uint64()),
            "float": [float(i) if i % 7 else None for i in range(n)],
            "when": pa.array([i * 1000 for i in range(n)], pa.timestamp("us", tz="UTC")),
            "decimal": pa.array([decimal.Decimal(i) for i in range(n)], pa.decimal128(20, 2)),
            "bytes_": pa.array([bytes([i % 256]) for i in range(n)], pa.binary()),
            "flag": [i % 2 == 0 for i in range(n)],
            "list": [[i, None] for i in range(n)],
            "struct": [{"a": i, "b": str(i)} for i in range(n)],
            "none": pa.nulls(n),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=100)
    got = rewritten(tmp_path / "a.parquet", tmp_path / "b.parquet")
    assert got.select(table.column_names).to_pylist() == table.to_pylist()
    assert got.schema.types[: len(table.columns)] == table.schema.types
    assert got["path_class"].to_pylist() == added(n)[0].to_pylist()
    assert got.schema.types[-2:] == [field.type for field in ADDED]


def test_plain_readers_see_text(tmp_path: Path) -> None:
    """Spark, Athena and DuckDB go by the Parquet schema: plain text, whatever Arrow type is noted beside it."""
    pq.write_table(pa.table({"srcaddr": ["10.0.0.1"] * 10}), tmp_path / "a.parquet")
    rewritten(tmp_path / "a.parquet", tmp_path / "b.parquet")
    schema = pq.ParquetFile(tmp_path / "b.parquet").schema
    assert [str(schema.column(i).logical_type) for i in range(2)] == ["String", "String"]
    import duckdb

    rows = duckdb.connect().execute(f"select distinct typeof(path_class), typeof(path_id) from '{tmp_path / 'b.parquet'}'").fetchall()
    assert rows == [("VARCHAR", "BIGINT")]


def test_statistics_of_integers_only(tmp_path: Path) -> None:
    pq.write_table(pa.table({"srcaddr": ["10.0.0.1"] * 10, "bytes": range(10)}), tmp_path / "a.parquet")
    rewritten(tmp_path / "a.parquet", tmp_path / "b.parquet")
    group = pq.read_metadata(tmp_path / "b.parquet").row_group(0)
    has = {group.column(i).path_in_schema: group.column(i).is_stats_set for i in range(group.num_columns)}
    assert has == {"srcaddr": False, "bytes": True, "path_class": False, "path_id": True}
    assert (group.column(1).statistics.min, group.column(1).statistics.max) == (0, 9)


def test_names_are_written_as_dictionaries(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    table = pa.table(
        {"coded": [f"pod-{i}" for i in rng.integers(0, 50, 20_000)], "plain": [f"10.{i % 251}.{i % 241}.{i % 239}" for i in range(20_000)]}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    rewritten(tmp_path / "a.parquet", tmp_path / "b.parquet")
    group = pq.read_metadata(tmp_path / "b.parquet").row_group(0)
    has = {group.column(i).path_in_schema: group.column(i).has_dictionary_page for i in range(group.num_columns)}
    assert has == {"coded": True, "plain": False, "path_class": True, "path_id": False}


def test_joined_row_groups_stay_dictionaries(tmp_path: Path) -> None:
    """Each row group has a dictionary of its own; a writer that is given several falls back to plain text."""
    table = pa.table({"coded": [f"pod-{i // 100}-{i % 10}" for i in range(2000)]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=100)
    assert rewritten(tmp_path / "a.parquet", tmp_path / "b.parquet")["coded"].to_pylist() == table["coded"].to_pylist()
    group = pq.read_metadata(tmp_path / "b.parquet").row_group(0)
    assert (group.num_rows, group.column(0).has_dictionary_page) == (2000, True)
    assert group.column(0).total_uncompressed_size < 200 * 12 + 2000 * 2


def test_file_without_records(tmp_path: Path) -> None:
    pq.write_table(pa.table({"srcaddr": pa.array([], pa.string())}), tmp_path / "a.parquet")
    got = rewritten(tmp_path / "a.parquet", tmp_path / "b.parquet")
    assert got.num_rows == 0
    assert got.column_names == ["srcaddr", "path_class", "path_id"]


def test_foreign_notes_of_the_input_are_dropped(tmp_path: Path) -> None:
    """Spark would read its own note of the schema and not see the added columns."""
    table = pa.table({"srcaddr": ["10.0.0.1"]}).replace_schema_metadata({"org.apache.spark.sql.parquet.row.metadata": "{}"})
    pq.write_table(table, tmp_path / "a.parquet")
    rewritten(tmp_path / "a.parquet", tmp_path / "b.parquet")
    assert list(pq.read_metadata(tmp_path / "b.parquet").metadata) == [b"ARROW:schema"]


def test_legs(tmp_path: Path) -> None:
    codes = [
        np.array(column, np.int32)
        for column in ([1, 1, 7], [0, 1, 0], [1, 0, 2], [0, 0, 0], [512, -1, 0], [1, 1, 2], [2, 2, 2], [0, 1, 0], [1, 0, 2], [0, 0, 1])
    ]
    write_legs(tmp_path / "legs.parquet", LegTable(*codes, texts=["", "a", "b"]))
    rows = pq.read_table(tmp_path / "legs.parquet").to_pylist()
    assert rows[0] == {
        "leg": 1,
        "hop": 0,
        "domain": "a",
        "device": None,
        "rule_priority": 512,
        "table": "a",
        "prefix": "b",
        "gateway": None,
        "next_domain": "a",
        "reason": None,
    }
    assert [row["reason"] for row in rows] == [None, None, "a"]
    assert [row["rule_priority"] for row in rows] == [512, None, 0]


def test_row_groups_of_two_schemas_are_a_defect(tmp_path: Path) -> None:
    writer = EncodeWriter(pa.schema([("srcaddr", pa.string())]), ADDED)
    writer.begin(tmp_path / "a.parquet")
    chunk = Chunk(0, 1, (0,))
    writer.write(writer.encode(chunk, pa.table({"srcaddr": ["a"]}), added(1)))
    with pytest.raises(AssertionError, match="two schemas"):
        writer.write(writer.encode(chunk, pa.table({"srcaddr": pa.array(["a"]).dictionary_encode()}), added(1)))
    writer.abandon()

"""Spliced files: the same rows as encoded ones to every reader, the source's own bytes, and what is refused."""

import base64
import decimal
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fastroute.arrays import CodedColumn
from fastroute.errors import InputError, OutputError
from fastroute.io import flowlogs, footer, splice
from fastroute.io.flowlogs import Chunk, InputFile, open_flows
from fastroute.io.parquet import EncodeWriter
from fastroute.io.splice import SpliceWriter
from fastroute.io.writers import choose_writer

TEXT = pa.dictionary(pa.int32(), pa.string())
ADDED = [pa.field("pod", TEXT), pa.field("path_class", TEXT), pa.field("path_id", pa.int64()), pa.field("rule_priority", pa.int32())]
NAMES = ["", *(f"pöd-{i}" for i in range(3000))]
CLASSES = ["INTER_AZ", "SAME_NODE"]


def expected(first: int, n: int) -> list[list[object]]:
    """Added values of records first .. first + n of a file."""
    rows = range(first, first + n)
    return [
        [None if i % 3 == 0 else NAMES[i * 7 % len(NAMES)] for i in rows],
        [CLASSES[i // 100 % 2] for i in rows],
        [None if i % 5 == 0 else i << 20 for i in rows],
        [None] * n,
    ]


def coded(values: list[object], names: list[str]) -> CodedColumn:
    place = {name: i for i, name in enumerate(names)}
    codes = np.array([-1 if value is None else place[value] for value in values], np.int16)  # type: ignore[index]
    texts = [name.encode() for name in names]
    offsets = np.cumsum([0, *(len(text) for text in texts)]).astype(np.int32)
    chosen = np.unique(codes[codes >= 0]).astype(np.int64)
    table = np.full(len(names) + 1, -1, np.int32)
    table[chosen + 1] = np.arange(len(chosen))
    return CodedColumn(codes, 1, table, chosen, np.frombuffer(b"".join(texts), np.uint8), offsets)


def columns(first: int, n: int) -> list[object]:
    pods, classes, ids, priorities = expected(first, n)
    numbers = [
        np.array([-1 if value is None else value for value in values], dtype) for values, dtype in ((ids, np.int64), (priorities, np.int32))
    ]
    return [coded(pods, NAMES), coded(classes, CLASSES), *numbers]


def spliced(source: Path, target: Path, write: str = "splice") -> str:
    flows = open_flows(InputFile(source, PurePosixPath(source.name)))
    writer = choose_writer(flows, ADDED, write)
    writer.begin(target)
    for chunk in flows.chunks:
        if isinstance(writer, EncodeWriter):
            arrays = [
                pa.array(values, pa.string()).dictionary_encode() if field.type == TEXT else pa.array(values, field.type)
                for values, field in zip(expected(chunk.first_row, chunk.num_rows), ADDED, strict=True)
            ]
            writer.write(writer.encode(chunk, flows.read(chunk), arrays))
        else:
            writer.write(writer.encode(chunk, pa.table({}), columns(chunk.first_row, chunk.num_rows)))
    writer.close()
    return writer.mode


def table_of(n: int) -> pa.Table:
    return pa.table(
        {
            "größe": pa.array([i % 100 for i in range(n)], pa.int8()),
            "srcaddr": pa.array([None if i % 11 == 0 else f"10.0.{i % 7}.{i % 251}" for i in range(n)], pa.string()),
            "long": pa.array([f"{i}" * 5 for i in range(n)], pa.large_string()),
            "coded": pa.array([("a", "b", None)[i % 3] for i in range(n)], pa.string()).dictionary_encode(),
            "uint64": pa.array([2**63 + i for i in range(n)], pa.uint64()),
            "float": pa.array([float(i) if i % 7 else None for i in range(n)], pa.float64()),
            "when": pa.array([i * 1000 for i in range(n)], pa.timestamp("us", tz="UTC")),
            "decimal": pa.array([decimal.Decimal(i) for i in range(n)], pa.decimal128(20, 2)),
            "bytes_": pa.array([bytes([i % 256]) for i in range(n)], pa.binary()),
            "flag": pa.array([i % 2 == 0 for i in range(n)], pa.bool_()),
            "none": pa.nulls(n),
        }
    )


def check(source: Path, target: Path) -> pa.Table:
    """Hold a spliced file to its source and to the added values."""
    got, given = pq.read_table(target), pq.read_table(source)
    assert got.select(given.column_names).to_pylist() == given.to_pylist()
    assert got.schema.types == [*given.schema.types, *(field.type for field in ADDED)]
    assert [got[field.name].to_pylist() for field in ADDED] == expected(0, given.num_rows)
    return got


@pytest.mark.parametrize("n", [1, 7, 8, 1000])
@pytest.mark.parametrize("codec", ["none", "gzip", "zstd"])
def test_every_type_and_codec_passes_through(tmp_path: Path, n: int, codec: str) -> None:
    pq.write_table(table_of(n), tmp_path / "a.parquet", row_group_size=300, compression=codec)
    assert spliced(tmp_path / "a.parquet", tmp_path / "b.parquet") == "splice"
    check(tmp_path / "a.parquet", tmp_path / "b.parquet")
    before, after = (pq.read_metadata(tmp_path / f"{name}.parquet") for name in "ab")
    assert [after.row_group(i).num_rows for i in range(after.num_row_groups)] == [
        before.row_group(i).num_rows for i in range(before.num_row_groups)
    ]
    for i in range(before.num_row_groups):
        for j in range(before.num_columns):
            old, new = before.row_group(i).column(j), after.row_group(i).column(j)
            assert (new.compression, new.encodings, new.total_compressed_size) == (
                old.compression,
                old.encodings,
                old.total_compressed_size,
            )
            assert new.statistics == old.statistics


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"write_page_index": True},
        {"data_page_version": "2.0"},
        {"use_dictionary": False, "write_statistics": False},
        {"store_schema": False},
        {"version": "1.0"},
        {"data_page_size": 500, "write_page_checksum": True},
        {"sorting_columns": [pq.SortingColumn(1)]},
    ],
    ids=str,
)
def test_every_form_of_file(tmp_path: Path, options: dict[str, object]) -> None:
    pq.write_table(table_of(900), tmp_path / "a.parquet", row_group_size=400, **options)
    spliced(tmp_path / "a.parquet", tmp_path / "b.parquet")
    check(tmp_path / "a.parquet", tmp_path / "b.parquet")
    column = pq.read_metadata(tmp_path / "b.parquet").row_group(0).column(0)
    assert not column.has_offset_index
    assert not column.has_column_index


@pytest.mark.parametrize("writer", ["duckdb", "polars", "pandas"])
def test_files_of_other_writers(tmp_path: Path, writer: str) -> None:
    source = tmp_path / "a.parquet"
    table = table_of(500).select(["srcaddr", "float", "flag"])
    if writer == "duckdb":
        import duckdb

        con = duckdb.connect()
        con.register("t", table)
        con.execute(f"copy t to '{source}' (format parquet, compression gzip)")
    elif writer == "polars":
        import polars

        polars.from_arrow(table).write_parquet(source)  # type: ignore[union-attr]
    else:
        table.to_pandas().to_parquet(source)
    assert spliced(source, tmp_path / "b.parquet") == "splice"
    check(source, tmp_path / "b.parquet")


def test_every_reader_sees_the_same(tmp_path: Path) -> None:
    import duckdb
    import polars

    names = ["größe", "srcaddr", "float"]
    pq.write_table(table_of(2500).select(names), tmp_path / "a.parquet", row_group_size=1000, compression="gzip")
    spliced(tmp_path / "a.parquet", tmp_path / "b.parquet")
    want = check(tmp_path / "a.parquet", tmp_path / "b.parquet").to_pylist()
    found = duckdb.connect().execute(f"select * from '{tmp_path / 'b.parquet'}'").fetchall()
    assert found == [tuple(row.values()) for row in want]
    assert polars.read_parquet(tmp_path / "b.parquet").to_dicts() == want
    filtered = duckdb.connect().execute(f"select count(*) from '{tmp_path / 'b.parquet'}' where path_id > {2000 << 20} and pod is not null")
    ids, pods = ([row[name] for row in want] for name in ("path_id", "pod"))
    assert filtered.fetchone() == (sum(x is not None and x > 2000 << 20 and y is not None for x, y in zip(ids, pods, strict=True)),)


def test_spliced_and_encoded_files_hold_the_same(tmp_path: Path) -> None:
    pq.write_table(table_of(3000), tmp_path / "a.parquet", row_group_size=700)
    assert spliced(tmp_path / "a.parquet", tmp_path / "b.parquet") == "splice"
    assert spliced(tmp_path / "a.parquet", tmp_path / "c.parquet", "encode") == "encode"
    first, second = pq.read_table(tmp_path / "b.parquet"), pq.read_table(tmp_path / "c.parquet")
    assert first.schema.equals(second.schema)
    assert first.to_pylist() == second.to_pylist()


def test_large_row_group_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read in parts, written as the one row group that it was: several data pages, one dictionary."""
    monkeypatch.setattr(flowlogs, "CHUNK_ROWS", 1 << 9)
    monkeypatch.setattr(flowlogs, "MAX_CHUNK_ROWS", 1 << 10)
    pq.write_table(table_of(5000), tmp_path / "a.parquet", row_group_size=4000)
    flows = open_flows(InputFile(tmp_path / "a.parquet", PurePosixPath("a.parquet")))
    assert len(flows.chunks) == 9
    assert {chunk.part for chunk in flows.chunks} == {-1, *range(8)}
    spliced(tmp_path / "a.parquet", tmp_path / "b.parquet")
    check(tmp_path / "a.parquet", tmp_path / "b.parquet")
    metadata = pq.read_metadata(tmp_path / "b.parquet")
    assert [metadata.row_group(i).num_rows for i in range(2)] == [4000, 1000]


def test_no_columns_to_add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flowlogs, "CHUNK_ROWS", 1 << 9)
    monkeypatch.setattr(flowlogs, "MAX_CHUNK_ROWS", 1 << 10)
    pq.write_table(table_of(3000), tmp_path / "a.parquet", row_group_size=2000)
    flows = open_flows(InputFile(tmp_path / "a.parquet", PurePosixPath("a.parquet")))
    writer = SpliceWriter(tmp_path / "a.parquet", flows.schema, [])
    writer.begin(tmp_path / "b.parquet")
    for chunk in flows.chunks:
        writer.write(writer.encode(chunk, pa.table({}), []))
    writer.close()
    assert pq.read_table(tmp_path / "b.parquet").to_pylist() == pq.read_table(tmp_path / "a.parquet").to_pylist()


def test_files_without_records(tmp_path: Path) -> None:
    pq.write_table(table_of(0), tmp_path / "a.parquet")
    spliced(tmp_path / "a.parquet", tmp_path / "b.parquet")
    check(tmp_path / "a.parquet", tmp_path / "b.parquet")
    with pq.ParquetWriter(tmp_path / "c.parquet", table_of(0).schema) as writer:
        for n in (0, 5, 0):
            writer.write_table(table_of(n))
    spliced(tmp_path / "c.parquet", tmp_path / "d.parquet")
    check(tmp_path / "c.parquet", tmp_path / "d.parquet")
    pq.ParquetWriter(tmp_path / "e.parquet", table_of(0).schema).close()
    spliced(tmp_path / "e.parquet", tmp_path / "f.parquet")
    assert check(tmp_path / "e.parquet", tmp_path / "f.parquet").num_rows == 0


def test_notes(tmp_path: Path) -> None:
    """Notes stay, but those of other writers on a schema that has grown."""
    table = table_of(5).replace_schema_metadata({"org.apache.spark.sql.parquet.row.metadata": "{}", "owner": "net"})
    pq.write_table(table, tmp_path / "a.parquet")
    spliced(tmp_path / "a.parquet", tmp_path / "b.parquet")
    metadata = pq.read_metadata(tmp_path / "b.parquet")
    assert metadata.metadata.keys() == {b"owner", b"ARROW:schema"}
    told = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(metadata.metadata[b"ARROW:schema"])))
    assert told.names == [*table.column_names, *(field.name for field in ADDED)]
    assert metadata.created_by == pq.read_metadata(tmp_path / "a.parquet").created_by


def test_bytes_are_copied_where_the_kernel_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(18, "Invalid cross-device link")

    pq.write_table(table_of(3000), tmp_path / "a.parquet", row_group_size=700)
    spliced(tmp_path / "a.parquet", tmp_path / "b.parquet")
    monkeypatch.setattr(splice.os, "copy_file_range", refuse)
    monkeypatch.setattr(splice, "_COPY_BYTES", 1000)
    spliced(tmp_path / "a.parquet", tmp_path / "c.parquet")
    assert (tmp_path / "c.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def rewritten_footer(path: Path, change: object) -> None:
    metadata, end = footer.read_footer(path)
    change(metadata)  # type: ignore[operator]
    path.write_bytes(path.read_bytes()[:end] + footer.footer_bytes(metadata))


def first_column(metadata: object) -> object:
    return metadata.row_groups[0].columns[0]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda m: setattr(first_column(m), "file_path", b"other.parquet"), "other files"),
        (lambda m: setattr(first_column(m), "encrypted_column_metadata", b"x"), "encrypted columns"),
        (lambda m: setattr(first_column(m).meta_data, "total_compressed_size", 10**9), "outside|overlap"),
        (lambda m: setattr(m.row_groups[0].columns[1].meta_data, "data_page_offset", 5), "overlap"),
        (lambda m: setattr(first_column(m).meta_data, "num_values", 3), "a value for each row"),
        (lambda m: setattr(m, "num_rows", 3), "do not add up"),
        (lambda m: m.row_groups[0].columns.pop(), "lacks columns"),
        (lambda m: setattr(m, "footer_signing_key_metadata", b"k"), "signed"),
        (lambda m: setattr(m, "created_by", b"parquet-mr version 1.2.8 (build x)"), "understates"),
    ],
)
def test_odd_files_are_refused(tmp_path: Path, change: object, why: str) -> None:
    pq.write_table(table_of(10).select(["srcaddr", "float"]), tmp_path / "a.parquet", use_dictionary=False)
    rewritten_footer(tmp_path / "a.parquet", change)
    with pytest.raises(splice.CannotSplice, match=why):
        SpliceWriter(tmp_path / "a.parquet", table_of(0).schema, ADDED)


def test_nested_columns_are_encoded(tmp_path: Path) -> None:
    pq.write_table(pa.table({"srcaddr": ["10.0.0.1"], "list": [[1, 2]]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet: cannot be spliced: it has nested columns; pass --write auto or encode"):
        spliced(tmp_path / "a.parquet", tmp_path / "b.parquet")
    assert spliced(tmp_path / "a.parquet", tmp_path / "b.parquet", "auto") == "encode"
    assert pq.read_table(tmp_path / "b.parquet")["list"].to_pylist() == [[1, 2]]


def test_fields_that_would_be_lost_are_not(tmp_path: Path) -> None:
    """A footer with a field of a format to come, here number 100 of the file's own structure."""
    pq.write_table(table_of(5), tmp_path / "a.parquet")
    _, end = footer.read_footer(tmp_path / "a.parquet")
    data = (tmp_path / "a.parquet").read_bytes()
    told = data[end:-8]
    grown = told[:-1] + b"\x05\xc8\x01\x02\x00"  # i32, its number, its value 1, the end
    (tmp_path / "a.parquet").write_bytes(data[:end] + grown + len(grown).to_bytes(4, "little") + b"PAR1")
    assert pq.read_table(tmp_path / "a.parquet").num_rows == 5
    with pytest.raises(footer.UnknownFooter, match="would be lost"):
        footer.read_footer(tmp_path / "a.parquet")
    assert spliced(tmp_path / "a.parquet", tmp_path / "b.parquet", "auto") == "encode"


def test_questions_in_csv_are_encoded(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("src,dst\n10.0.0.1,10.0.0.2\n")
    assert spliced(tmp_path / "a.csv", tmp_path / "b.parquet", "auto") == "encode"
    with pytest.raises(InputError, match="not Parquet"):
        spliced(tmp_path / "a.csv", tmp_path / "b.parquet")
    with pytest.raises(InputError, match="no way to write is called 'fast'"):
        spliced(tmp_path / "a.csv", tmp_path / "b.parquet", "fast")


def test_a_source_that_changes_is_noticed(tmp_path: Path) -> None:
    pq.write_table(table_of(5), tmp_path / "a.parquet")
    writer = SpliceWriter(tmp_path / "a.parquet", table_of(0).schema, ADDED)
    pq.write_table(table_of(6), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="was changed"):
        writer.begin(tmp_path / "b.parquet")
    writer.abandon()
    (tmp_path / "a.parquet").unlink()
    with pytest.raises(InputError, match="cannot be read any more"):
        writer.begin(tmp_path / "b.parquet")


def test_a_defect_is_found_on_reading_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(table_of(100), tmp_path / "a.parquet")
    writer = SpliceWriter(tmp_path / "a.parquet", table_of(0).schema, ADDED)
    writer.begin(tmp_path / "b.parquet")
    chunk = Chunk(0, 100, (0,))
    part, other = (writer.encode(chunk, pa.table({}), columns(first, 100)) for first in (0, 1))
    part[0].chunks = other[0].chunks
    writer.write(part)
    with pytest.raises(AssertionError, match="row group 0 does not hold"):
        writer.close()
    monkeypatch.setattr(splice.footer, "RLE_DICTIONARY", 7)
    with pytest.raises(OutputError, match="cannot be read back"):
        spliced(tmp_path / "a.parquet", tmp_path / "b.parquet")


def test_a_file_is_the_same_whenever_it_is_made(tmp_path: Path) -> None:
    """A file is the same whenever it is made."""
    pq.write_table(table_of(2000), tmp_path / "a.parquet", row_group_size=700)
    for name in "bc":
        spliced(tmp_path / "a.parquet", tmp_path / f"{name}.parquet")
    assert (tmp_path / "b.parquet").read_bytes() == (tmp_path / "c.parquet").read_bytes()


def test_footers_survive_being_read_and_written(tmp_path: Path) -> None:
    for i, options in enumerate(({}, {"write_page_index": True}, {"sorting_columns": [pq.SortingColumn(1)]})):
        pq.write_table(table_of(20), tmp_path / f"{i}.parquet", **options)
        metadata, end = footer.read_footer(tmp_path / f"{i}.parquet")
        assert (tmp_path / f"{i}.parquet").read_bytes()[end:] == footer.footer_bytes(metadata)
        assert footer.loads(footer.FileMetaData, footer.dumps(metadata)) == metadata

"""Pages of added columns, read back by an independent reader: Arrow's."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastroute.arrays import CodedColumn
from fastroute.io import footer
from fastroute.io.page_kernels import BLOCK, pack_indices, pack_numbers, put_hybrid, put_texts
from fastroute.io.pages import PAGE_VALUES, Pages, definition_levels, packed_bound, parts_of

RANDOM = settings(deadline=None)  # the first example waits for the compiler


def coded(values, names, shift=1):
    """A column of names[value], null for -1."""
    texts = [name.encode() for name in names]
    offsets = np.concatenate([[0], np.cumsum([len(text) for text in texts])]).astype(np.int32)
    codes = np.asarray(values, np.int32)
    chosen = np.unique(codes[codes >= 0]).astype(np.int64)
    table = np.full(len(names) + shift, -1, np.int32)
    table[chosen + shift] = np.arange(len(chosen))
    return CodedColumn(codes, shift, table, chosen, np.frombuffer(b"".join(texts), np.uint8), offsets)


def read(path, parts, kind, physical_type):
    """The pages of a column alone in a file, as Arrow reads them."""
    pages = Pages()
    for part in parts:
        pages.add(part)
    chunk = pages.chunk()
    element = footer.SchemaElement(type=physical_type, repetition_type=footer.OPTIONAL, name=b"c")
    if kind == pa.string():
        element.converted_type = footer.UTF8
    n = chunk.num_values
    group = footer.RowGroup(columns=[chunk.metadata("c", physical_type, 4)], total_byte_size=chunk.uncompressed_bytes, num_rows=n)
    root = footer.SchemaElement(name=b"schema", num_children=1)
    metadata = footer.FileMetaData(version=2, schema=[root, element], num_rows=n, row_groups=[group])
    path.write_bytes(b"".join((footer.MAGIC, *chunk.pieces, footer.footer_bytes(metadata))))
    table = pq.read_table(path)
    assert table.schema.field("c").type == kind
    return table["c"].to_pylist()


def unpack(data, width, count):
    """Runs and packed bits as values, as the format's text says it."""
    found, at = [], 0
    while len(found) < count:
        header = shift = 0
        while True:
            byte = data[at]
            at += 1
            header |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        if header & 1:
            size = (header >> 1) * width
            bits = int.from_bytes(data[at : at + size], "little")
            found += [(bits >> (i * width)) & ((1 << width) - 1) for i in range((header >> 1) * 8)]
        else:
            size = (width + 7) // 8
            found += [int.from_bytes(data[at : at + size], "little")] * (header >> 1)
        at += size
    assert at == len(data)
    return found[:count]


RUNS = st.lists(st.tuples(st.integers(0, 2**17 - 1), st.integers(1, 40)), min_size=1, max_size=60)


@RANDOM
@given(RUNS, st.integers(17, 31))
def test_hybrid_is_what_the_format_says(runs, width):
    values = np.repeat(np.array([value for value, _ in runs], np.int32), [count for _, count in runs])
    n = len(values)
    out = np.zeros(packed_bound(n, width), np.uint8)
    end = put_hybrid(np.append(values, np.zeros(8, np.int32)), n, width, out, 0)
    assert unpack(out[:end].tobytes(), width, n) == values.tolist()


@pytest.mark.parametrize("width", range(1, 32))
def test_every_width(width):
    rng = np.random.default_rng(width)
    values = rng.integers(0, 2**width, 100).astype(np.int32)
    out = np.zeros(packed_bound(100, width), np.uint8)
    end = put_hybrid(np.append(values, np.zeros(8, np.int32)), 100, width, out, 0)
    assert unpack(out[:end].tobytes(), width, 100) == values.tolist()
    assert end == 1 + 13 * width


def test_equal_values_are_one_run():
    out = np.zeros(packed_bound(1000, 3), np.uint8)
    end = put_hybrid(np.full(1008, 5, np.int32), 1000, 3, out, 0)
    assert out[:end].tolist() == [0xD0, 0x0F, 5]  # varint of 1000 << 1, the value


@RANDOM
@given(RUNS, st.sets(st.integers(0, 2000), max_size=200))
def test_bound_holds(runs, nulls):
    values = np.repeat(np.array([value % 2 for value, _ in runs], np.int32), [count for _, count in runs])
    values[[i for i in nulls if i < len(values)]] = -1
    n = len(values)
    out, levels = np.zeros(packed_bound(n, 1), np.uint8), np.zeros((n + 7) // 8, np.uint8)
    end, num_nulls = pack_indices(values, 1, np.array([-1, 0, 1], np.int32), 1, out, 0, levels)
    assert end <= len(out)
    assert num_nulls == np.count_nonzero(values < 0)
    assert np.unpackbits(levels, bitorder="little")[:n].tolist() == (values >= 0).tolist()
    kept = values[values >= 0].tolist()
    assert unpack(out[:end].tobytes(), 1, len(kept)) == kept


def test_numbers():
    values = np.array([5, -1, -7, 9, -1, 0, 1, 2, 3], np.int64)
    out, levels = np.zeros(9, np.int64), np.zeros(2, np.uint8)
    assert pack_numbers(values, out, levels) == (7, -7, 9)
    assert out[:7].tolist() == [5, -7, 9, 0, 1, 2, 3]
    assert np.unpackbits(levels, bitorder="little")[:9].tolist() == [1, 0, 1, 1, 0, 1, 1, 1, 1]


def test_texts_are_plain():
    data, offsets = np.frombuffer("abücd".encode(), np.uint8), np.array([0, 2, 4, 6], np.int32)
    out = np.zeros(12, np.uint8)
    assert put_texts(data, offsets, np.array([2, 1]), out) == 12
    assert out.tobytes() == b"\x02\0\0\0cd\x02\0\0\0" + "ü".encode()


@pytest.mark.parametrize(("nulls", "body"), [(0, b"\x18\x01"), (12, b"\x18\x00"), (3, b"\x05ab")])
def test_definition_levels(nulls, body):
    levels = np.frombuffer(b"ab", np.uint8)
    assert definition_levels(12, nulls, levels) == len(body).to_bytes(4, "little") + body


NAMES = [f"näme-{i}" for i in range(5000)]


@pytest.mark.parametrize("n", [1, 7, 8, 9, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5])
@pytest.mark.parametrize("num_names", [1, 2, 3, 5000])
@pytest.mark.parametrize("null_share", [0, 0.3, 1])
def test_arrow_reads_texts(tmp_path, n, num_names, null_share):
    rng = np.random.default_rng(n)
    values = np.where(rng.random(n) < null_share, -1, rng.integers(0, num_names, n))
    got = read(tmp_path / "a.parquet", [coded(values, NAMES)], pa.string(), footer.BYTE_ARRAY)
    assert got == [None if value < 0 else NAMES[value] for value in values.tolist()]


def test_parts_share_a_dictionary_that_grows(tmp_path):
    rng = np.random.default_rng(3)
    parts = [rng.integers(-1, top, 1000) for top in (0, 3, 200, 20, 5000)]
    got = read(tmp_path / "a.parquet", [coded(part, NAMES) for part in parts], pa.string(), footer.BYTE_ARRAY)
    assert got == [None if value < 0 else NAMES[value] for value in np.concatenate(parts).tolist()]
    column = pq.read_metadata(tmp_path / "a.parquet").row_group(0).column(0)
    assert column.has_dictionary_page
    assert column.statistics.null_count == sum(np.count_nonzero(part < 0) for part in parts)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_arrow_reads_numbers(tmp_path, dtype):
    parts = [np.array([3, -1, 2**31 - 1, 0], dtype), np.full(5, -1, dtype), np.arange(100, dtype=dtype)]
    kind, physical_type = (pa.int32(), footer.INT32) if dtype == np.int32 else (pa.int64(), footer.INT64)
    got = read(tmp_path / "a.parquet", parts, kind, physical_type)
    assert got == [None if value == -1 else value for value in np.concatenate(parts).tolist()]
    told = pq.read_metadata(tmp_path / "a.parquet").row_group(0).column(0).statistics
    assert (told.min, told.max, told.null_count) == (0, 2**31 - 1, 6)


@pytest.mark.parametrize("null_share", [0, 0.3, 1])
def test_arrow_reads_booleans(tmp_path, null_share):
    rng = np.random.default_rng(4)
    values = np.where(rng.random(PAGE_VALUES + 13) < null_share, -1, rng.integers(0, 2, PAGE_VALUES + 13)).astype(np.int8)
    got = read(tmp_path / "a.parquet", [values[:9], values[9:]], pa.bool_(), footer.BOOLEAN)
    assert got == [None if value < 0 else bool(value) for value in values.tolist()]
    told = pq.read_metadata(tmp_path / "a.parquet").row_group(0).column(0).statistics
    assert (told.null_count, told.has_min_max) == (np.count_nonzero(values < 0), null_share < 1)


def test_a_page_is_compressed_where_it_pays(tmp_path):
    rng = np.random.default_rng(1)
    read(tmp_path / "a.parquet", [rng.integers(0, 2**62, 1000)], pa.int64(), footer.INT64)
    read(tmp_path / "b.parquet", [np.full(1000, 2**40)], pa.int64(), footer.INT64)
    codecs = [pq.read_metadata(tmp_path / f"{name}.parquet").row_group(0).column(0).compression for name in "ab"]
    assert codecs == ["UNCOMPRESSED", "SNAPPY"]


def test_long_columns_have_several_pages(tmp_path):
    values = np.arange(2 * PAGE_VALUES + 3) % 5000 - 1
    got = read(tmp_path / "a.parquet", [coded(values, NAMES)], pa.string(), footer.BYTE_ARRAY)
    assert got == [None if value < 0 else NAMES[value] for value in values.tolist()]


@RANDOM
@given(st.lists(st.integers(-1, 50), min_size=1, max_size=100), st.data())
def test_part_keeps_the_names_that_it_uses(values, data):
    first = data.draw(st.integers(0, len(values) - 1))
    end = data.draw(st.integers(first, len(values)))
    column = coded(values, NAMES[:51])
    halves = column._replace(table=np.where(column.table % 2 == 0, column.table, -1).astype(np.int32))
    part, half, numbers = parts_of([column, halves, np.array(values)], first, end)
    assert numbers.tolist() == values[first:end]
    for got, keep in ((part, {0, 1}), (half, {0})):
        want = [value if value >= 0 and column.table[value + 1] % 2 in keep else -1 for value in values[first:end]]
        assert got.chosen.tolist() == sorted({value for value in want if value >= 0})
        positions = got.table[got.codes + got.shift]
        assert [-1 if position < 0 else int(got.chosen[position]) for position in positions] == want

"""Text logs: any fields in any order are the columns that Parquet would have, and every wrong line is named."""

import gzip
import threading
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastroute.errors import InputError
from fastroute.io import textlogs
from fastroute.io.discover import InputFile
from fastroute.io.flowlogs import FlowFile, open_flows
from fastroute.io.textlogs import TextLog
from fastroute.vocab import LOG_FIELDS, Field

HEADER = "srcaddr dstaddr bytes log-status"
RECORD = "10.0.0.1 10.0.0.2 40 OK"
DEFAULT = "2 111122223333 eni-0a 10.0.0.1 10.0.0.2 443 40000 6 1 40 1755684000 1755684060 ACCEPT OK"


def opened(path: Path, log_format: Sequence[str] | None = None) -> FlowFile:
    return open_flows(InputFile(path, PurePosixPath(path.name)), log_format)


def written(path: Path, text: str | bytes) -> Path:
    data = text.encode() if isinstance(text, str) else text
    if path.suffix == ".gz":
        data = gzip.compress(data)
    elif path.suffix == ".zst":
        data = pa.Codec("zstd").compress(data, asbytes=True)
    path.write_bytes(data)
    return path


def table_of(flows: FlowFile, columns: Sequence[int] | None = None) -> pa.Table:
    """All records, with texts as texts."""
    parts = [flows.read(chunk, columns) for chunk in flows.chunks]
    schema = flows.schema if columns is None else pa.schema([flows.schema.field(at) for at in columns])
    return pa.concat_tables([part.cast(schema) for part in parts])


# --- what is read -----------------------------------------------------------------------------------------------------------------


def texts() -> st.SearchStrategy[str]:
    some = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp")), min_size=1, max_size=40)
    return st.sampled_from(["eni-0123456789abcdef0", "10.0.0.1", "2001:db8::1", "ACCEPT"]) | some.filter(lambda text: text != "-")


def values(field: Field) -> st.SearchStrategy[Any]:
    if field.parquet_type == "string":
        return st.none() | texts()
    return st.none() | st.integers(0, 2 ** (31 if field.parquet_type == "int32" else 63) - 1)


@st.composite
def logs(draw: st.DrawFn) -> tuple[list[Field], list[list[Any]]]:
    fields = draw(st.lists(st.sampled_from(list(LOG_FIELDS.values())), min_size=1, max_size=12, unique=True))
    return fields, draw(st.lists(st.tuples(*map(values, fields)).map(list), max_size=30))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(logs(), st.sampled_from(["x.log", "x.log.gz", "x.log.zst"]), st.booleans(), st.sampled_from(["\n", "\r\n"]))
def test_text_and_parquet_are_the_same_columns(
    tmp_path: Path, log: tuple[list[Field], list[list[Any]]], name: str, has_header: bool, end: str
) -> None:
    fields, records = log
    types = {"string": pa.string(), "int32": pa.int32(), "int64": pa.int64()}
    columns = [pa.array([record[i] for record in records], types[field.parquet_type]) for i, field in enumerate(fields)]
    table = pa.table(columns, names=[field.text_name for field in fields])
    pq.write_table(table, tmp_path / "x.parquet")
    lines = [" ".join("-" if value is None else str(value) for value in record) for record in records]
    # One field that the header does not share with a record's line: else a lone text could be a header itself.
    has_header = has_header or not records
    names = [field.text_name for field in fields]
    path = written(tmp_path / name, "".join(line + end for line in ([" ".join(names)] if has_header else []) + lines))
    if len(fields) == 1 and has_header:
        return  # a line of one word tells nothing
    if not has_header and sum(token.lower().replace("-", "_") in LOG_FIELDS for token in lines[0].split(" ")) * 2 >= len(fields):
        return
    text = opened(path, None if has_header else names)
    assert isinstance(text, TextLog)
    assert text.schema == table.schema
    assert table_of(text).equals(table_of(opened(tmp_path / "x.parquet")))
    assert text.num_rows == len(records)


def test_columns_by_position(tmp_path: Path) -> None:
    flows = opened(written(tmp_path / "x.log", f"{HEADER}\n{RECORD}\n10.0.0.3 - - NODATA\n"))
    assert table_of(flows, [2, 0]).to_pydict() == {"bytes": [40, None], "srcaddr": ["10.0.0.1", "10.0.0.3"]}
    assert flows.read(flows.chunks[0], []).num_rows == 2
    assert [pa.types.is_dictionary(kind) for kind in flows.read(flows.chunks[0]).schema.types] == [True, True, False, True]


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADER}\n{RECORD}\n{RECORD}\n",
        f"{HEADER}\n{RECORD}\n{RECORD}",
        f"{HEADER}\r\n{RECORD}\r\n{RECORD}\r\n",
        f"\ufeff{HEADER}\n{RECORD}\n{RECORD}\n",
        f"{HEADER}\n{RECORD}\n\n{RECORD}\n\n",
        f"{HEADER}\n{RECORD}\n{HEADER}\n{RECORD}\n",
    ],
    ids=["plain", "no last line break", "CRLF", "byte order mark", "blank lines", "files put together"],
)
def test_two_records(tmp_path: Path, text: str) -> None:
    flows = opened(written(tmp_path / "x.log", text))
    assert table_of(flows).to_pylist() == [{"srcaddr": "10.0.0.1", "dstaddr": "10.0.0.2", "bytes": 40, "log-status": "OK"}] * 2
    assert flows.num_rows == 2


def test_gzip_files_put_together_are_one(tmp_path: Path) -> None:
    (tmp_path / "x.log.gz").write_bytes(gzip.compress(f"{HEADER}\n{RECORD}\n".encode()) * 3)
    assert table_of(opened(tmp_path / "x.log.gz")).num_rows == 3


def test_header_only(tmp_path: Path) -> None:
    for text in (HEADER, HEADER + "\n"):
        flows = opened(written(tmp_path / "x.log", text))
        assert (flows.num_rows, table_of(flows).num_rows, flows.schema.names) == (0, 0, HEADER.split(" "))
        assert flows.num_rows == 0


def test_names_and_values_outside_ascii(tmp_path: Path) -> None:
    flows = opened(written(tmp_path / "größe 1.log", "srcaddr dstaddr größe instance-tag\n10.0.0.1 10.0.0.2 viel ü日本\n"))
    assert table_of(flows).to_pylist() == [{"srcaddr": "10.0.0.1", "dstaddr": "10.0.0.2", "größe": "viel", "instance-tag": "ü日本"}]


def test_many_distinct_texts_of_all_lengths(tmp_path: Path) -> None:
    many = [f"{i:x}" * (1 + i % 9) for i in range(5000)] + ["long" * 20_000]
    flows = opened(written(tmp_path / "x.log", "srcaddr instance-tag\n" + "".join(f"10.0.0.1 {text}\n" for text in many)))
    assert table_of(flows)["instance-tag"].to_pylist() == many


def test_widest_numbers(tmp_path: Path) -> None:
    text = f"srcaddr bytes srcport\n10.0.0.1 {2**63 - 1} {2**31 - 1}\n10.0.0.1 00000000000007 0\n"
    assert table_of(opened(written(tmp_path / "x.log", text)), [1, 2]).to_pydict() == {
        "bytes": [2**63 - 1, 7], "srcport": [2**31 - 1, 0]
    }  # fmt: skip


# --- chunks -----------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(textlogs, "CHUNK_BYTES", 2000)
    monkeypatch.setattr(textlogs, "BLOCK_BYTES", 100)
    monkeypatch.setattr(textlogs, "SAMPLE_BYTES", 500)
    monkeypatch.setattr(textlogs, "SMALL_SAMPLE_BYTES", 200)
    monkeypatch.setattr(textlogs, "SMALL_BYTES", 0)


LONG = HEADER + "\n" + "".join(f"10.0.{i >> 8}.{i & 255} 10.1.0.{i % 7} {i * 17} OK\n" for i in range(3000))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", ["x.log", "x.log.gz", "x.log.zst"])
def test_chunks_put_together_are_the_file(tmp_path: Path, name: str) -> None:
    flows = opened(written(tmp_path / name, LONG))
    if name == "x.log":
        assert len(flows.chunks) > 20
        assert 0.8 < flows.num_rows / 3000 < 1.3
    table = table_of(flows)
    assert table["bytes"].to_pylist() == [i * 17 for i in range(3000)]
    assert flows.num_rows == 3000
    counts = [chunk.num_rows for chunk in flows.chunks]
    assert [chunk.first_row for chunk in flows.chunks] == [sum(counts[:at]) for at in range(len(counts))]
    again = flows.read(flows.chunks[-1], [2])
    assert again["bytes"].to_pylist() == table["bytes"].to_pylist()[3000 - counts[-1] :]
    flows.close()
    assert flows.read(flows.chunks[0]).num_rows == counts[0]


def test_a_small_file_is_one_chunk(tmp_path: Path) -> None:
    for name in ("x.log", "x.log.gz"):
        flows = opened(written(tmp_path / name, LONG))
        assert len(flows.chunks) == 1
        assert 1000 < flows.num_rows < 9000
        assert (table_of(flows).num_rows, flows.num_rows) == (3000, 3000)


@pytest.mark.usefixtures("small")
def test_threads_may_ask_in_any_order(tmp_path: Path) -> None:
    flows = opened(written(tmp_path / "x.log", LONG))
    found: dict[int, pa.Table] = {}
    threads = [
        threading.Thread(target=lambda at=at: found.setdefault(at, flows.read(flows.chunks[at], [2])))  # type: ignore[misc]
        for at in reversed(range(len(flows.chunks)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pa.concat_tables([found[at] for at in range(len(found))])["bytes"].to_pylist() == [i * 17 for i in range(3000)]


@pytest.mark.usefixtures("small")
def test_columns_of_a_chunk_are_read_without_beginning_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flows = opened(written(tmp_path / "x.log", LONG))
    assert isinstance(flows, TextLog)
    begun: list[int] = []
    forwards = flows._read_forwards
    monkeypatch.setattr(flows, "_read_forwards", lambda: begun.append(1) or forwards())
    for chunk in flows.chunks:
        some = [flows.read(chunk, [at]) for at in (0, 2, 0)]
        assert flows.read(chunk).select([0, 2]).equals(pa.table([some[0][0], some[1][0]], names=["srcaddr", "bytes"]))
    assert (len(begun), flows.num_rows) == (1, 3000)
    assert len(flows.chunks) > 1


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", ["x.log", "x.log.gz"])
def test_a_bad_line_far_down_has_its_number(tmp_path: Path, name: str) -> None:
    lines = LONG.splitlines()
    lines[2500] = "10.0.0.1 10.0.0.2 many OK"
    flows = opened(written(tmp_path / name, "\n".join(lines)))
    with pytest.raises(InputError, match=rf"{name}: line 2501: bytes 'many' is no number of int64$"):
        table_of(flows)


# --- what is wrong ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            f"{HEADER}\n{RECORD}\n10.0.0.1 10.0.0.2 40\n",
            r"line 3: 3 fields instead of 4, srcaddr to log-status \('10.0.0.1 10.0.0.2 40'\); was it cut",
        ),
        (f"{HEADER}\n{RECORD} more\n", r"line 2: 5 fields instead of 4"),
        (f"{HEADER}\n{RECORD}\n10.0.0.1 10.0", r"line 3: 2 fields instead of 4"),
        (f"{HEADER}\n10.0.0.1  10.0.0.2 OK\n", r"line 2: dstaddr is empty \('10.0.0.1  10.0.0.2 OK'\); `-` stands for no value"),
        (f"{HEADER}\n10.0.0.1\t10.0.0.2 40 OK x\n", r"line 2: a tab or control character"),
        (f"{HEADER}\n\n{RECORD}\n10.0.0.1 10.0.0.2 4x OK\n", r"line 4: bytes '4x' is no number of int64"),
        (f"{HEADER}\n10.0.0.1 10.0.0.2 -4 OK\n", r"line 2: bytes '-4' is no number"),
        (f"{HEADER}\n10.0.0.1 10.0.0.2 {2**63} OK\n", r"line 2: bytes '9223372036854775808' is no number of int64"),
        (f"{HEADER}\n10.0.0.1 10.0.0.2 {'9' * 30} OK\n", r"line 2: bytes '9{30}' is no number of int64"),
        (f"srcaddr srcport\n10.0.0.1 {2**31}\n", r"line 2: srcport '2147483648' is no number of int32"),
        (f"{HEADER}\n".encode() + b"10.0.0.1 10.0.\xff 40 OK\n", r"line 2: dstaddr '10.0.+xff' is no UTF-8"),
        (f"{DEFAULT}\n2 111122223333\n", r"line 2: 2 fields instead of 14, version to log-status"),
        (
            "hello world\n",
            r"not a flow log: line 1 is neither a header nor a record of the default 14 fields \('hello world'\); .*--format",
        ),
        (f"{DEFAULT} vpc-1\n", r"not a flow log: line 1 is neither"),
        (b"\x00\x01\x02", r"neither Parquet, Arrow nor text"),
        ("\n", r"not a flow log"),
    ],
)
def test_wrong_lines(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = written(tmp_path / "with space ü.log", text)
    with pytest.raises(InputError, match=rf"^{path}: {message}") as raised:
        table_of(opened(path))
    assert "\n" not in str(raised.value)


def test_a_format_of_another_length_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "x.log", RECORD + "\n")
    assert table_of(opened(path, ["srcaddr", "dstaddr", "bytes", "log-status"])).num_rows == 1
    with pytest.raises(InputError, match=r"x.log: line 1 has 4 fields, the format 2 \('10.0.0.1 .*'\); is it the format of this log\?"):
        opened(path, ["srcaddr", "dstaddr"])


@pytest.mark.parametrize("keep", [12, 40, -200, -9, -1])
def test_truncated_gzip(tmp_path: Path, keep: int) -> None:
    path = written(tmp_path / "x.log.gz", LONG)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"^[^:]*x.log.gz: ends in the middle of its compressed data; copy it again$"):
        table_of(opened(path))


def test_damaged_gzip(tmp_path: Path) -> None:
    path = written(tmp_path / "x.log.gz", LONG)
    data = bytearray(path.read_bytes())
    data[100:140] = b"\xff" * 40
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"x.log.gz: (cannot be decompressed \(.*\); copy it again|line \d+: )"):
        table_of(opened(path))


@pytest.mark.usefixtures("small")
def test_truncated_in_a_later_chunk(tmp_path: Path) -> None:
    path = written(tmp_path / "x.log.gz", LONG * 40)
    path.write_bytes(path.read_bytes()[:-2000])
    flows = opened(path)
    with pytest.raises(InputError, match="ends in the middle of its compressed data"):
        table_of(flows)
    with pytest.raises(InputError, match="cannot be read after an earlier failure"):
        flows.read(flows.chunks[-1])


def test_a_line_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(textlogs, "MAX_LINE_BYTES", 1000)
    with pytest.raises(InputError, match=r"a line of more than 1000 bytes; is it a flow log\?"):
        table_of(opened(written(tmp_path / "x.log", f"{HEADER}\n{'x' * 5000}")))

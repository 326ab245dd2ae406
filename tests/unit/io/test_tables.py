"""Questions in CSV and Arrow: what cannot be read says so in one line."""

import gzip
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
import pytest

from fastroute.errors import InputError
from fastroute.io import tables
from fastroute.io.flowlogs import InputFile, open_flows


def opened(path: Path) -> tables.TableFile:
    flows = open_flows(InputFile(path, path.relative_to(path.parent)))  # type: ignore[arg-type]
    assert isinstance(flows, tables.TableFile)
    return flows


def test_csv_keeps_names_as_text_and_numbers_as_numbers(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text("src,dst,protocol,dst_port,note\n10.0.0.1,shop/web,6,80,a\n,10.0.0.2,tcp,,b\n")
    table = opened(tmp_path / "q.csv").read(opened(tmp_path / "q.csv").chunks[0])
    assert table.to_pylist() == [
        {"src": "10.0.0.1", "dst": "shop/web", "protocol": "6", "dst_port": 80, "note": "a"},
        {"src": None, "dst": "10.0.0.2", "protocol": "tcp", "dst_port": None, "note": "b"},
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("q.csv", b"src,dst\n10.0.0.1\n", r"q.csv: cannot be read as CSV \(.*\); it needs a header line and rows of equal length"),
        ("q.csv", b"src,dst\n\xff\xfe,10.0.0.1\n", r"q.csv: cannot be read as CSV \("),
        ("q.csv.gz", gzip.compress(b"src,dst\n" * 99, mtime=0)[:-9], r"q.csv.gz: cannot be read as CSV \(Truncated"),
        ("q.arrow", b"no arrow at all", r"q.arrow: cannot be read as an Arrow IPC file or stream \("),
        ("q.arrow", b"ARROW1\0\0cut", r"q.arrow: cannot be read as an Arrow IPC file or stream \("),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as raised:
        opened(tmp_path / name)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", ["file", "stream"])
def test_arrow_in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(tables, "CHUNK_ROWS", 8)
    monkeypatch.setattr("fastroute.io.flowlogs.CHUNK_ROWS", 8)
    monkeypatch.setattr("fastroute.io.flowlogs.MAX_CHUNK_ROWS", 16)
    table = pa.table({"srcaddr": [f"10.0.0.{i % 3}" for i in range(64)], "bytes": range(64)})
    make = pa.ipc.new_file if kind == "file" else pa.ipc.new_stream
    for sizes in ([64], [3] * 21 + [1], [0, 20, 4, 0, 40], [0]):
        (whole,) = table.to_batches()
        with make(tmp_path / "x", table.schema) as out:
            for begin, size in zip(np.cumsum([0, *sizes]).tolist(), sizes, strict=False):
                out.write_batch(whole.slice(begin, size))
        flows = open_flows(InputFile(tmp_path / "x", PurePosixPath("x")))
        assert flows.num_rows == sum(sizes)
        read = [flows.read(chunk) for chunk in flows.chunks]
        assert [chunk.num_rows for chunk in flows.chunks] == [part.num_rows for part in read]
        assert max(part.num_rows for part in read) <= 16
        assert pa.concat_tables(read).equals(table.slice(0, sum(sizes)))
        assert flows.read(flows.chunks[-1], [1]).equals(read[-1].select([1]))
        flows.close()
        assert flows.read(flows.chunks[0]).equals(read[0])
        assert tables.read_arrow(tmp_path / "x").equals(table.slice(0, sum(sizes)))


def test_dictionaries_of_batches_are_joined(tmp_path: Path) -> None:
    batches = [pa.record_batch({"srcaddr": pa.array(texts).dictionary_encode()}) for texts in (["a", "b"], ["c", "a"])]
    with pa.ipc.new_stream(tmp_path / "x", batches[0].schema) as out:
        for batch in batches:
            out.write_batch(batch)
    flows = open_flows(InputFile(tmp_path / "x", PurePosixPath("x")))
    (column,) = flows.read(flows.chunks[0]).columns
    assert column.to_pylist() == ["a", "b", "c", "a"]
    assert column.num_chunks == 1


def test_cut_arrow_stream(tmp_path: Path) -> None:
    table = pa.table({"srcaddr": ["10.0.0.1"] * 1000})
    with pa.ipc.new_stream(tmp_path / "x", table.schema) as out:
        out.write_table(table)
    whole = (tmp_path / "x").read_bytes()
    (tmp_path / "x").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"x: cannot be read as an Arrow IPC file or stream \(.*\); write it again"):
        open_flows(InputFile(tmp_path / "x", PurePosixPath("x")))


def test_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "CHUNK_ROWS", 10)
    table = pa.table({"src": [str(i) for i in range(25)], "dst": ["x"] * 25})
    file = tables.TableFile(InputFile(Path("q"), Path("q")), table)  # type: ignore[arg-type]
    assert [(chunk.first_row, chunk.num_rows) for chunk in file.chunks] == [(0, 10), (10, 10), (20, 5)]
    assert pa.concat_tables([file.read(chunk) for chunk in file.chunks]).equals(table)
    assert file.read(file.chunks[2], [1]).column_names == ["dst"]

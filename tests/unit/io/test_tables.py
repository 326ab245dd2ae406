"""Questions in CSV and Arrow: what cannot be read says so in one line."""

from pathlib import Path

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
        ("q.csv.gz", b"src,dst\n", r"q.csv.gz: cannot be read as CSV \("),
        ("q.arrow", b"no arrow at all", r"q.arrow: cannot be read as an Arrow IPC file or stream \("),
        ("q.arrow", b"ARROW1\0\0cut", r"q.arrow: cannot be read as an Arrow IPC file or stream \("),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as raised:
        opened(tmp_path / name)
    assert "\n" not in str(raised.value)


def test_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "CHUNK_ROWS", 10)
    table = pa.table({"src": [str(i) for i in range(25)], "dst": ["x"] * 25})
    file = tables.TableFile(InputFile(Path("q"), Path("q")), table)  # type: ignore[arg-type]
    assert [(chunk.first_row, chunk.num_rows) for chunk in file.chunks] == [(0, 10), (10, 10), (20, 5)]
    assert pa.concat_tables([file.read(chunk) for chunk in file.chunks]).equals(table)
    assert file.read(file.chunks[2], [1]).column_names == ["dst"]

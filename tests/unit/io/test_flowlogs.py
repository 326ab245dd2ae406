"""Finding and opening flow logs: layouts, chunks, and every wrong input with its one line."""

import gzip
import io
import os
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fastroute.errors import InputError
from fastroute.io import flowlogs
from fastroute.io.flowlogs import Chunk, InputFile, ParquetFlows, coded_columns, discover, open_flows, plan_chunks

TABLE = pa.table({"srcaddr": ["10.0.0.1", "10.0.0.2"], "bytes": [1, 2]})


def put(path: Path, table: pa.Table = TABLE, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **options)
    return path


def opened(path: Path) -> ParquetFlows:
    file = open_flows(InputFile(path, path.relative_to(path.parent)))  # type: ignore[arg-type]
    assert isinstance(file, ParquetFlows)
    return file


# --- finding ----------------------------------------------------------------------------------------------------------------------


def test_folder_tree_hive_and_flat_sorted(tmp_path: Path) -> None:
    for name in ("b.parquet", "AWSLogs/aws-region=us-east-1/hour=01/x.log.parquet", "2026/08/20/y.parquet", "with space/ü.parquet"):
        put(tmp_path / name)
    found = discover([tmp_path])
    assert [str(file.relative) for file in found.files] == [
        "2026/08/20/y.parquet",
        "AWSLogs/aws-region=us-east-1/hour=01/x.log.parquet",
        "b.parquet",
        "with space/ü.parquet",
    ]
    assert all((tmp_path / file.relative) == file.path for file in found.files)


def test_hidden_names_are_passed_over_and_others_listed(tmp_path: Path) -> None:
    for name in ("a.parquet", ".a.parquet.partial", "_paths/legs.parquet", ".cache/b.parquet", "_manifest.json"):
        put(tmp_path / name)
    (tmp_path / "README.md").write_text("hello")
    found = discover([tmp_path])
    assert [file.path.name for file in found.files] == ["a.parquet"]
    assert [path.name for path in found.ignored] == ["README.md"]


def test_single_file_glob_and_several(tmp_path: Path) -> None:
    one, other = put(tmp_path / "h=1" / "a.parquet"), put(tmp_path / "h=2" / "a.parquet")
    assert [str(file.relative) for file in discover([one]).files] == ["a.parquet"]
    assert [str(file.relative) for file in discover([f"{tmp_path}/h=*/*.parquet"]).files] == ["h=1/a.parquet", "h=2/a.parquet"]
    assert [str(file.relative) for file in discover([f"{tmp_path}/**/*.parquet"]).files] == ["h=1/a.parquet", "h=2/a.parquet"]
    with pytest.raises(InputError, match=r"would both be written to a.parquet; route them into two folders"):
        discover([one, other])


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere" / "a.parquet")
    (tmp_path / "logs" / "day").mkdir(parents=True)
    (tmp_path / "logs" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "logs" / "day" / "circle").symlink_to(tmp_path / "logs")
    assert [str(file.relative) for file in discover([tmp_path / "logs"]).files] == ["linked/a.parquet"]


def test_name_with_brackets_is_a_name_if_it_is_there(tmp_path: Path) -> None:
    path = put(tmp_path / "a[1].parquet")
    assert discover([path]).files[0].path == path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (None, r"no such file or folder; check the path"),
        ([], r"the folder is empty; name one that holds flow logs"),
        (["notes.md", "x.gz"], r"none of its 2 files is Parquet, Arrow, CSV or a text log .* \(the first is notes.md\); --format tells"),
    ],
)
def test_nothing_to_read(tmp_path: Path, make: list[str] | None, message: str) -> None:
    folder = tmp_path / "logs"
    if make is not None:
        folder.mkdir()
        for name in make:
            (folder / name).write_bytes(b"x")
    with pytest.raises(InputError, match=rf"^{folder}: {message}"):
        discover([folder])


def test_files_without_a_telling_name_are_known_by_what_they_hold(tmp_path: Path) -> None:
    put(tmp_path / "part-00000")
    header = b"srcaddr dstaddr log-status\n10.0.0.1 10.0.0.2 OK\n"
    for name, content in {
        "text": header,
        "text.gz": gzip.compress(header),
        "text.zst": pa.Codec("zstd").compress(header, asbytes=True),
        "default.txt": b"2 111122223333 eni-0a 10.0.0.1 10.0.0.2 443 40000 6 1 40 1755684000 1755684060 ACCEPT OK\n",
        "questions": b"src,dst\n10.0.0.1,10.0.0.2\n",
        "empty.txt": b"",
        "notes.txt": b"bytes are what this is about\n",
        "trail.json.gz": gzip.compress(b'{"Records": []}'),
        "broken.gz": gzip.compress(header * 999)[:20],
        "binary": bytes(range(256)),
    }.items():
        (tmp_path / name).write_bytes(content)
    with pa.ipc.new_stream(tmp_path / "stream", TABLE.schema) as stream:
        stream.write_table(TABLE)
    found = discover([tmp_path])
    # What cannot be looked into is not passed over: it fails when it is opened.
    assert [file.path.name for file in found.files] == [
        "broken.gz", "default.txt", "part-00000", "questions", "stream", "text", "text.gz", "text.zst"
    ]  # fmt: skip
    assert [path.name for path in found.ignored] == ["binary", "empty.txt", "notes.txt", "trail.json.gz"]
    kinds = {file.path.name: type(open_flows(file)).__name__ for file in found.files if file.path.name != "broken.gz"}
    assert kinds == {"default.txt": "TextLog", "part-00000": "ParquetFlows", "questions": "TableFile", "stream": "ArrowFlows"} | {
        f"text{suffix}": "TextLog" for suffix in ("", ".gz", ".zst")
    }
    assert [path.name for path in discover([tmp_path], ["a", "b", "c", "d", "e", "f"]).ignored] == [
        "binary", "default.txt", "empty.txt", "trail.json.gz"
    ]  # fmt: skip


def test_stdin_is_copied_and_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = io.BytesIO()
    pq.write_table(TABLE, sink)
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, TABLE.schema) as writer:
        writer.write_table(TABLE)
    text = b"srcaddr bytes\n10.0.0.1 1\n10.0.0.2 2\n"
    for content in (sink.getvalue(), stream.getvalue(), text, gzip.compress(text)):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        (file,) = discover(["-"]).files
        assert str(file.relative) == "stdin"
        flows = open_flows(file)
        assert flows.read(flows.chunks[0]).cast(TABLE.schema).equals(TABLE)


def test_a_named_pipe_is_copied(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b"srcaddr bytes\n10.0.0.1 1\n",))
    writer.start()
    (file,) = discover([tmp_path / "pipe"]).files
    writer.join()
    flows = open_flows(file)
    assert (str(file.relative), flows.read(flows.chunks[0]).num_rows) == ("pipe", 1)


def test_stdin_twice_or_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(InputError, match="would both be written to stdin"):
        discover(["-", "-"])
    with pytest.raises(InputError, match="stdin: the file is empty"):
        open_flows(discover(["-"]).files[0])
    terminal = io.TextIOWrapper(io.BytesIO(b""))
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    with pytest.raises(InputError, match="-: stdin is a terminal; pipe a flow log into it"):
        discover(["-"])


def test_pattern_without_match(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\*.parquet: no file matches"):
        discover([f"{tmp_path}/*.parquet"])


# --- opening ----------------------------------------------------------------------------------------------------------------------


def test_what_is_not_parquet(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("version account-id\n2 1\n")
    with pytest.raises(InputError, match=r"a.parquet: not a Parquet file \(it begins with b'versio'\)"):
        opened(tmp_path / "a.parquet")


@pytest.mark.parametrize("keep", [4, 6, 8, 50, -1])
def test_truncated_file(tmp_path: Path, keep: int) -> None:
    path = put(tmp_path / "a.parquet")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"a.parquet: a truncated Parquet file \(.*\); copy it again"):
        opened(path)


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").touch()
    with pytest.raises(InputError, match=r"a.parquet: the file is empty; copy it again"):
        opened(tmp_path / "a.parquet")


def test_damaged_page_names_the_rows(tmp_path: Path) -> None:
    path = put(tmp_path / "a.parquet", pa.table({"srcaddr": [f"10.0.{i >> 8}.{i & 255}" for i in range(5000)]}), compression="gzip")
    content = bytearray(path.read_bytes())
    content[200:2000] = b"\0" * 1800
    path.write_bytes(content)
    flows = opened(path)
    with pytest.raises(InputError, match=r"a.parquet: rows 0 to 4999: cannot be read as Parquet"):
        flows.read(flows.chunks[0])


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "a.parquet")

    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=r"a.parquet: cannot be read: Permission denied"):
        opened(path)


def test_file_without_rows(tmp_path: Path) -> None:
    flows = opened(put(tmp_path / "a.parquet", TABLE.slice(0, 0)))
    assert (flows.num_rows, flows.schema.names) == (0, ["srcaddr", "bytes"])
    assert sum(chunk.num_rows for chunk in flows.chunks) == 0


# --- chunks -----------------------------------------------------------------------------------------------------------------------


def test_small_row_groups_are_joined_and_large_ones_cut() -> None:
    k = 1 << 10
    assert plan_chunks([]) == []
    assert plan_chunks([200 * k, 200 * k, 200 * k, 5]) == [Chunk(0, 600 * k, (0, 1, 2)), Chunk(600 * k, 5, (3,))]
    assert plan_chunks([500 * k, 800 * k]) == [Chunk(0, 500 * k, (0,)), Chunk(500 * k, 800 * k, (1,))]
    assert plan_chunks([1024 * k]) == [Chunk(0, 1024 * k, (0,))]
    assert plan_chunks([10, 1200 * k, 10]) == [
        Chunk(0, 10, (0,)),
        Chunk(10, 512 * k, (1,), 0),
        Chunk(10 + 512 * k, 512 * k, (1,), 1),
        Chunk(10 + 1024 * k, 176 * k, (1,), 2),
        Chunk(10 + 1200 * k, 10, (2,)),
    ]


def test_chunks_put_together_are_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flowlogs, "CHUNK_ROWS", 64)
    monkeypatch.setattr(flowlogs, "MAX_CHUNK_ROWS", 128)
    rng = np.random.default_rng(1)
    table = pa.table({"srcaddr": [f"10.0.0.{i % 7}" for i in range(1000)], "bytes": rng.integers(0, 1 << 40, 1000)})
    for rows in (10, 50, 64, 128, 300, 1000):
        flows = opened(put(tmp_path / "a.parquet", table, row_group_size=rows))
        read = [flows.read(chunk) for chunk in flows.chunks]
        assert [chunk.first_row for chunk in flows.chunks] == np.cumsum([0, *(part.num_rows for part in read)])[:-1].tolist()
        joined = pa.concat_tables([part.cast(table.schema) for part in read])
        assert joined.equals(table)
        again = flows.read(flows.chunks[-1], [1])
        assert again.equals(read[-1].select([1]))


def test_text_columns_are_read_as_dictionaries_where_the_file_has_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    many = [f"{a >> 24}.{a >> 16 & 255}.{a >> 8 & 255}.{a & 255}" for a in rng.integers(0, 1 << 32, 100_000).tolist()]
    table = pa.table({"few": [f"10.0.{i % 5}.{i % 200}" for i in range(100_000)], "many": many, "bytes": range(100_000)})
    for options in ({}, {"version": "1.0"}, {"data_page_version": "2.0"}):
        flows = opened(put(tmp_path / "a.parquet", table, **options))
        read = flows.read(flows.chunks[0])
        assert pa.types.is_dictionary(read.schema.field("few").type)
        assert read.schema.field("many").type == pa.string()
        assert flows.schema.field("few").type == pa.string()
    plain = put(tmp_path / "b.parquet", table, use_dictionary=False)
    assert coded_columns(pq.read_metadata(plain), pq.read_schema(plain)) == []

"""`fastroute route`: runs into a folder, streams, and which options go with which form."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fastroute.jobs.route import route_files
from fastroute.synth import SynthResult
from fastroute.vocab import DEFAULT_COLUMNS
from tests.unit.cli.conftest import Run


def parquet_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.parquet") if "_paths" not in path.parts)


def warnings(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and "first run on this machine" not in line]


def test_options_are_shown_in_groups(run: Run) -> None:
    shown = run("route", "--help").out
    titles = [line for line in shown.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert titles == ["Snapshot and logs:", "Routed files (--out):", "Runs (--out FOLDER):", "Sums (--by):", "Other options:"]
    runs = shown[shown.index("Runs (") : shown.index("Sums (")]
    for option in ("--overwrite", "--resume", "--incremental", "--on-error", "--min-attributed"):
        assert f"\n  {option} " in runs


def test_a_broken_file_is_skipped_and_gives_three(run: Run, made: SynthResult, tmp_path: Path) -> None:
    logs, out = Path(shutil.copytree(made.logs, tmp_path / "logs")), tmp_path / "out"
    broken = parquet_files(logs)[0]
    whole = broken.read_bytes()
    broken.write_bytes(whole[:-100])
    asked = ("route", logs, "-s", made.snapshot, "--out", out)
    stopped = run(*asked)
    assert (stopped.code, out.exists()) == (2, False)
    ended = run(*asked, "--on-error", "skip")
    assert ended.code == 3
    assert [line.partition(": a truncated")[0] for line in warnings(ended.err)] == [f"fastroute: skipped: {broken}"]
    assert len(parquet_files(out)) == len(parquet_files(logs)) - 1
    broken.write_bytes(whole)
    again = run(*asked, "--incremental")
    assert (again.code, warnings(again.err)) == (0, [])
    assert f"{len(parquet_files(logs)) - 1} of them kept from an earlier run" in again.out
    assert len(parquet_files(out)) == len(parquet_files(logs))
    broken.unlink()
    gone = run(*asked, "--incremental")
    assert (gone.code, warnings(gone.err)) == (0, [f"fastroute: {broken} is not there any more; its output was kept"])


def test_terminated_and_resumed(run: Run, made: SynthResult, tmp_path: Path) -> None:
    """The default leaves nothing; --resume leaves what is finished."""
    one, logs = pq.read_table(parquet_files(made.logs)[0]), tmp_path / "logs"
    logs.mkdir()
    for number in range(300):
        pq.write_table(one.slice(0, 20), logs / f"{number:03}.parquet")
    for more in ((), ("--resume",)):
        out = tmp_path / "out"
        command = [Path(sys.executable).with_name("fastroute"), "route", logs, "-s", made.snapshot, "--out", out, *more]
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            while len(parquet_files(out)) < 5:
                assert process.poll() is None
                time.sleep(0.005)
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate()
        assert (process.returncode, warnings(err)) == (130, ["fastroute: interrupted"])
        assert out.exists() == bool(more)
    assert sorted(path.name for path in out.iterdir() if path.suffix != ".parquet") == ["_unfinished.jsonl"]
    assert "go on with it (--resume)" in run("route", logs, "-s", made.snapshot, "--out", out).err
    ended = run("route", logs, "-s", made.snapshot, "--out", out, "--resume")
    assert (ended.code, len(parquet_files(out))) == (0, 300)
    assert "kept from an earlier run" in ended.out


@pytest.mark.parametrize("name", ["log.parquet", "log.txt"])
def test_a_stream_on_stdout_holds_what_the_files_would(made: SynthResult, tmp_path: Path, name: str) -> None:
    """And nothing else is there; a text log comes through stdin."""
    logs = parquet_files(made.logs)
    if name == "log.txt":
        names = ["pkt_srcaddr", "pkt_dstaddr", "srcport", "dstport", "protocol", "vpc_id", "bytes", "start", "end"]
        rows = pq.read_table(logs[0], columns=names).slice(0, 200).to_pylist()
        lines = [" ".join(str(row[field]) for field in names) for row in rows]
        text = "\n".join([" ".join(each.replace("_", "-") for each in names), *lines]) + "\n"
        (tmp_path / name).write_text(text)
        given, want_from = ["-"], [tmp_path / name]
    else:
        text, given, want_from = "", [str(path) for path in logs], logs
    command = [Path(sys.executable).with_name("fastroute"), "route", *given, "-s", made.snapshot, "--out", "-", "--threads", "2"]
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=True)
    got = pa.ipc.open_stream(done.stdout).read_all()
    from fastroute import load

    route_files(want_from, load(made.snapshot), tmp_path / "out")
    want = pa.concat_tables(pq.read_table(path) for path in parquet_files(tmp_path / "out"))
    assert got.column_names == want.column_names
    assert got.to_pylist() == want.to_pylist()
    assert not any(pa.types.is_dictionary(got.schema.field(name).type) for name in got.column_names if name not in DEFAULT_COLUMNS)
    assert f"{got.num_rows:,} records" in done.stderr.decode()


def test_a_stream_of_files_that_differ_or_that_nobody_reads(made: SynthResult, tmp_path: Path) -> None:
    one = pq.read_table(parquet_files(made.logs)[0])
    pq.write_table(one, tmp_path / "a.parquet")
    pq.write_table(one.drop_columns(["bytes"]), tmp_path / "b.parquet")
    command = [Path(sys.executable).with_name("fastroute"), "route", tmp_path, "-s", made.snapshot, "--out", "-"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 2
    assert b"b.parquet: its columns differ from those of " in done.stderr
    (tmp_path / "b.parquet").unlink()
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, b"cannot be written: No space left on device" in done.stderr) == (2, True)
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, warnings(done.stderr.decode())) == (0, [])


def test_flows_are_counted(run: Run, made: SynthResult, tmp_path: Path) -> None:
    ended = run("route", made.logs, "-s", made.snapshot, "--out", tmp_path / "out", "--count", "flows", "--columns", "form")
    assert ended.code == 0
    assert "counted, once a flow" in ended.out
    table = pa.concat_tables(pq.read_table(path) for path in parquet_files(tmp_path / "out"))
    assert table.column_names[-3:] == ["form", "leg", "is_counted"]
    counted = sum(row is True for row in table["is_counted"].to_pylist())
    assert 0 < counted < 3000
    line = next(line for line in ended.out.splitlines() if line.startswith("  counted, once a flow"))
    assert line.split()[-3] == f"{counted:,}"


def test_counted_flows_are_the_same_however_they_are_written(run: Run, made: SynthResult, tmp_path: Path) -> None:
    tables = []
    for write in ("splice", "encode"):
        out = tmp_path / write
        assert run("route", made.logs, "-s", made.snapshot, "--out", out, "--count", "flows", "--write", write).code == 0
        assert {entry["write"] for entry in json.loads((out / "_manifest.json").read_text())["files"]} == {write}
        tables.append(pa.concat_tables(pq.read_table(path) for path in parquet_files(out)))
        by_others = duckdb.sql(
            f"select leg, is_counted, count(*) from read_parquet('{out}/AWSLogs/**/*.parquet') group by all order by all"
        )
        tables.append(by_others.fetchall())
    assert tables[0].equals(tables[2])
    assert tables[1] == tables[3]
    assert {row[1] for row in tables[1]} >= {True, False}


@pytest.mark.parametrize("write", ["splice", "encode"])
def test_ways_to_write(run: Run, made: SynthResult, tmp_path: Path, write: str) -> None:
    ended = run("route", made.logs, "-s", made.snapshot, "--out", tmp_path / "out", "--write", write, "--static")
    assert ended.code == 0
    written = {pq.ParquetFile(path).metadata.created_by for path in parquet_files(tmp_path / "out")}
    assert len(written) == 1
    assert (tmp_path / "out" / "_manifest.json").read_text().count(f'"write": "{write}"') == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--by", "form", "--resume"), "--resume does nothing with --by"),
        (("--by", "form", "--write", "encode"), "--write does nothing with --by"),
        (("--out", "-", "--on-error", "skip"), "--on-error does nothing with --out -"),
        (("--out", "-", "--count", "flows"), "--count does nothing with --out -"),
        (("--out", "-", "-o", "json"), "-o json"),
        (("--out", "x", "--top", "3"), "--top does nothing with --out"),
        (("--out", "x", "--resume", "--incremental"), "resume and incremental: one of them"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    run: Run, made: SynthResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = run("route", made.logs, "-s", made.snapshot, *options)
    assert ended.code == 2
    assert says in ended.err
    assert list(tmp_path.iterdir()) == []


def test_text_logs_without_a_header_and_broken_ones(run: Run, made: SynthResult, tmp_path: Path) -> None:
    names = ["pkt_srcaddr", "pkt_dstaddr", "srcport", "dstport", "protocol", "vpc_id", "bytes", "start", "end"]
    rows = pq.read_table(parquet_files(made.logs)[0], columns=names).slice(0, 300).to_pylist()
    text = "".join(" ".join(str(row[name]) for name in names) + "\n" for row in rows).encode()
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "a.log").write_bytes(text)
    (logs / "b.log.gz").write_bytes(gzip.compress(text)[:-200])
    form = " ".join(f"${{{name.replace('_', '-')}}}" for name in names)
    asked = ("route", logs, "-s", made.snapshot, "--format", form)
    assert run(*asked, "--out", tmp_path / "out").code == 2
    assert not (tmp_path / "out").exists()
    ended = run(*asked, "--out", tmp_path / "out", "--on-error", "skip")
    assert ended.code == 3
    assert [line.partition(": ")[2].split(":")[1:2] for line in warnings(ended.err)] == [[f" {logs / 'b.log.gz'}"]]
    assert [path.name for path in parquet_files(tmp_path / "out")] == ["a.log.parquet"]
    assert pq.read_metadata(tmp_path / "out" / "a.log.parquet").num_rows == len(rows)
    (logs / "b.log.gz").write_bytes(gzip.compress(text))
    assert run(*asked, "--out", tmp_path / "out", "--incremental").code == 0
    assert pq.read_table(tmp_path / "out" / "b.log.gz.parquet").equals(pq.read_table(tmp_path / "out" / "a.log.parquet"))
    summed = run(*asked, "--by", "srcport", "-o", "json")
    assert summed.code == 0, summed.err
    sums = json.loads(summed.out)
    assert sum(row["records"] for row in sums) == 2 * len(rows)


MEMORY = """
from fastroute.cli.memory import keep_memory_small

keep_memory_small()
import numpy as np
import duckdb
import pyarrow as pa

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

before = resident()
for _ in range(3):  # glibc's own limit would rise with the first block that is freed
    blocks = [np.ones(1 << 19) for _ in range(20)]
    del blocks
print(pa.default_memory_pool().backend_name, resident() - before < 10 << 20)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the resident size as Linux tells it")
def test_large_blocks_go_back_to_the_system() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "ARROW_DEFAULT_MEMORY_POOL"}
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "system True\n"

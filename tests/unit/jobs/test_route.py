"""Whole runs on a synthetic account: every record, every byte, and nothing left behind by a run that fails."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fastroute.api import Snapshot
from fastroute.errors import InputError, OutputError
from fastroute.jobs.route import route_files
from fastroute.synth import SynthResult
from fastroute.vocab import DEFAULT_COLUMNS, OUTPUT_COLUMNS

FILES = "**/*.parquet"
NOT_TRUE = {"path_id", "src_attribution", "dst_attribution", "attribution", "dst_k8s_service", "dst_endpoint"}
"""Columns of which the truth says nothing."""


def relatives(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.glob(FILES) if "_paths" not in path.parts)


def plain(table: pa.Table, name: str) -> list[object]:
    return table[name].to_pylist()


def remains(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in sorted(folder.rglob("*"))] if folder.exists() else []


# --- what comes out ---------------------------------------------------------------------------------------------------------------


def test_every_decidable_record_is_as_the_truth_says(made: SynthResult, routed: Path) -> None:
    compared = 0
    for relative in relatives(made.logs):
        table, truth = pq.read_table(routed / relative), pq.read_table(made.truth / f"{relative}.truth.parquet")
        decidable = truth["decidable"].to_pylist()
        for name in {column.name for column in OUTPUT_COLUMNS} - NOT_TRUE:
            pairs = zip(plain(table, name), plain(truth, name), decidable, strict=True)
            assert [(i, got, want) for i, (got, want, is_sure) in enumerate(pairs) if is_sure and got != want] == [], name
            compared += sum(decidable)
    assert compared > 100_000


def test_undecidable_records_are_not_exact(made: SynthResult, routed: Path) -> None:
    seen = 0
    for relative in relatives(made.logs):
        truth = pq.read_table(made.truth / f"{relative}.truth.parquet", columns=["decidable"])["decidable"].to_pylist()
        found = pq.read_table(routed / relative, columns=["attribution", "disposition"]).to_pylist()
        doubtful = [row for row, is_sure in zip(found, truth, strict=True) if not is_sure]
        assert all(row["attribution"] != "EXACT" or row["disposition"] == "UNDECIDED" for row in doubtful)
        seen += len(doubtful)
    assert seen > 0


def test_input_columns_pass_through_every_row_in_order(made: SynthResult, routed: Path) -> None:
    assert relatives(routed) == relatives(made.logs) != []
    for relative in relatives(made.logs):
        source, table = pq.read_table(made.logs / relative), pq.read_table(routed / relative)
        assert table.select(source.column_names).equals(source)
        assert table.schema.names == [*source.column_names, *(column.name for column in OUTPUT_COLUMNS)]


def test_types_of_the_output(made: SynthResult, routed: Path) -> None:
    relative = relatives(made.logs)[0]
    schema, source = pq.read_schema(routed / relative), pq.read_schema(made.logs / relative)
    assert [schema.field(name).type for name in source.names] == source.types
    for column in OUTPUT_COLUMNS:
        want = {"int32": pa.int32(), "int64": pa.int64()}.get(column.form, pa.dictionary(pa.int32(), pa.string()))
        assert schema.field(column.name).type == want, column.name


def test_a_stream_has_the_columns_of_the_files(made: SynthResult, snapshot: Snapshot, routed: Path) -> None:
    relative = relatives(made.logs)[-1]
    stream = snapshot.compile().route(pq.read_table(made.logs / relative), columns=["all"], threads=2).read_all()
    assert stream.to_pylist() == pq.read_table(routed / relative).to_pylist()


def test_files_open_elsewhere(made: SynthResult, routed: Path) -> None:
    path = routed / relatives(made.logs)[-1]
    want = pq.read_table(path, columns=["src_k8s_pod", "path_id", "bytes"]).to_pylist()
    names = ["src_k8s_pod", "path_id", "bytes"]
    assert pl.read_parquet(path, columns=names).cast({"src_k8s_pod": pl.String}).select(names).to_dicts() == want
    assert pa.table(duckdb.connect().sql(f"select {', '.join(names)} from '{path}'")).to_pylist() == want
    frame = pd.read_parquet(path, columns=names)
    assert frame["src_k8s_pod"].astype(object).where(frame["src_k8s_pod"].notna(), None).tolist() == [row["src_k8s_pod"] for row in want]


def test_excluded_records_have_null_columns(made: SynthResult, routed: Path) -> None:
    excluded = 0
    for relative in relatives(made.logs):
        rows = [row for row in pq.read_table(routed / relative).to_pylist() if row["log_status"] != "OK"]
        assert all(row[column.name] is None for row in rows for column in OUTPUT_COLUMNS)
        excluded += len(rows)
    assert excluded > 0


def test_account_adds_up_to_the_input(made: SynthResult, snapshot: Snapshot, tmp_path: Path) -> None:
    manifest = route_files([made.logs], snapshot, tmp_path / "out")
    logs = pa.concat_tables([pq.read_table(made.logs / relative) for relative in relatives(made.logs)])
    records, num_bytes = logs.num_rows, sum(value or 0 for value in logs["bytes"].to_pylist())
    assert (manifest.account["input"]["records"], manifest.account["input"]["bytes"]) == (records, num_bytes)
    parts = [manifest.account[part] for part in ("attributed", "ambiguous", "unknown", "excluded")]
    assert (sum(part["records"] for part in parts), sum(part["bytes"] for part in parts)) == (records, num_bytes)
    assert manifest.account["excluded"]["records"] == sum(status != "OK" for status in logs["log_status"].to_pylist())
    assert manifest.account["rejected"]["records"] == sum(action == "REJECT" for action in logs["action"].to_pylist())
    assert sum(entry.account["input"]["bytes"] for entry in manifest.files) == num_bytes


def test_account_counts_the_written_columns(made: SynthResult, routed: Path) -> None:
    manifest = json.loads((routed / "_manifest.json").read_text())
    rows = [
        row for relative in relatives(made.logs) for row in pq.read_table(routed / relative, columns=["bytes", "path_class"]).to_pylist()
    ]
    for name, counted in manifest["account"]["path_classes"].items():
        of_class = [row for row in rows if row["path_class"] == name]
        assert (counted["records"], counted["bytes"]) == (len(of_class), sum(row["bytes"] for row in of_class))


def test_any_number_of_threads_writes_the_same_files(made: SynthResult, snapshot: Snapshot, routed: Path, tmp_path: Path) -> None:
    route_files([made.logs], snapshot, tmp_path / "out", columns=["all"], threads=3)
    assert relatives(tmp_path / "out") == relatives(routed)
    for relative in relatives(routed):
        assert (tmp_path / "out" / relative).read_bytes() == (routed / relative).read_bytes()
    manifests = [json.loads((folder / "_manifest.json").read_text()) for folder in (tmp_path / "out", routed)]
    for manifest in manifests:
        del manifest["run"]
    assert manifests[0] == manifests[1]


def test_paths_decode_the_path_ids(made: SynthResult, routed: Path) -> None:
    legs = {
        name: set(pq.read_table(routed / "_paths" / f"{name}.parquet")["leg"].to_pylist())
        for name in ("source_legs", "vpc_legs", "destination_legs")
    }
    path_ids = {
        value for relative in relatives(made.logs) for value in pq.read_table(routed / relative)["path_id"].to_pylist() if value is not None
    }
    assert len(path_ids) > 100
    parts = {"source_legs": {path >> 41 for path in path_ids}, "destination_legs": {path & (1 << 22) - 1 for path in path_ids}}
    parts["vpc_legs"] = {path >> 22 & (1 << 19) - 1 for path in path_ids}
    for name, numbers in parts.items():
        assert numbers - {0} <= legs[name], name


def test_default_columns_and_chosen_ones(made: SynthResult, snapshot: Snapshot, tmp_path: Path) -> None:
    one = made.logs / relatives(made.logs)[0]
    num_fields = len(pq.read_schema(one).names)
    route_files(one, snapshot, tmp_path / "a")
    assert tuple(pq.read_schema(tmp_path / "a" / one.name).names[num_fields:]) == DEFAULT_COLUMNS
    route_files(str(one), snapshot, tmp_path / "b", columns=["path_class", "src_node"])
    assert pq.read_schema(tmp_path / "b" / one.name).names[num_fields:] == ["src_node", "path_class"]
    with pytest.raises(InputError, match=r"no output column 'src_pod'; did you mean .*src_k8s_pod"):
        route_files(one, snapshot, tmp_path / "c", columns=["src_pod"])


def test_min_attributed_is_judged(made: SynthResult, snapshot: Snapshot, tmp_path: Path) -> None:
    one = made.logs / relatives(made.logs)[0]
    low = route_files(one, snapshot, tmp_path / "low", min_attributed=0.01)
    high = route_files(one, snapshot, tmp_path / "high", min_attributed=1.0)
    assert (low.run["is_below_min_attributed"], high.run["is_below_min_attributed"]) == (False, True)


def test_progress_ends_at_the_number_of_records(made: SynthResult, snapshot: Snapshot, tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    manifest = route_files([made.logs], snapshot, tmp_path / "out", threads=2, progress=lambda *call: calls.append(call))
    assert calls[0] == ("route", 0, manifest.records)
    assert calls[-1] == ("route", manifest.records, manifest.records)
    assert [done for _, done, _ in calls] == sorted(done for _, done, _ in calls)


UNWANTED = """
import sys
from fastroute.api import Snapshot
from fastroute.jobs.route import route_files

route_files([sys.argv[1]], Snapshot.load(sys.argv[2]), sys.argv[3])
print([name for name in ("pandas", "pyarrow.dataset", "pyarrow.compute", "polars", "duckdb") if name in sys.modules])
"""


def test_routing_imports_nothing_slow_that_it_does_not_need(made: SynthResult, tmp_path: Path) -> None:
    """pandas and datasets cost 0.4 s, and come with pa.array where they are installed."""
    command = [sys.executable, "-c", UNWANTED, made.logs, made.snapshot, tmp_path / "out"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"


# --- what may go wrong ------------------------------------------------------------------------------------------------------------


def logs_with(tmp_path: Path, **columns: list[object]) -> Path:
    (tmp_path / "logs").mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), tmp_path / "logs" / "a.parquet")
    return tmp_path / "logs"


def test_files_without_records_and_records_without_addresses(snapshot: Snapshot, tmp_path: Path) -> None:
    logs = logs_with(tmp_path, srcaddr=["-", None, ""], dstaddr=["-", "", None], bytes=[1, 2, None])
    empty = pq.read_table(logs / "a.parquet").slice(0, 0)
    pq.write_table(empty, logs / "no-records.parquet")
    pq.ParquetWriter(logs / "no-row-groups.parquet", empty.schema).close()
    pq.write_table(pa.table({"srcaddr": pa.nulls(2), "dstaddr": pa.nulls(2)}), logs / "nulls.parquet")
    manifest = route_files(logs, snapshot, tmp_path / "out")
    assert [entry.records for entry in manifest.files] == [3, 0, 0, 2]
    assert manifest.account["unknown"] == {"records": 5, "bytes": 3, "packets": 0}
    for name in ("no-records", "no-row-groups"):
        table = pq.read_table(tmp_path / "out" / f"{name}.parquet")
        assert (table.num_rows, table.column_names) == (0, [*empty.column_names, *DEFAULT_COLUMNS])
    assert pq.read_table(tmp_path / "out" / "nulls.parquet")["srcaddr"].type == pa.null()


def test_malformed_address_names_its_row_and_leaves_nothing(snapshot: Snapshot, tmp_path: Path) -> None:
    logs = logs_with(tmp_path, srcaddr=["10.0.0.1"] * 5, dstaddr=["10.0.0.2"] * 3 + ["10.0.1.300", "-"])
    with pytest.raises(InputError, match=r"logs/a.parquet: row 3 .*dstaddr '10.0.1.300' is not an IPv4 or IPv6 address; "):
        route_files(logs, snapshot, tmp_path / "out")
    assert remains(tmp_path / "out") == []


def test_second_file_that_is_bad_takes_the_first_one_with_it(made: SynthResult, snapshot: Snapshot, tmp_path: Path) -> None:
    logs = logs_with(tmp_path, srcaddr=["10.0.0.1"], dstaddr=["ten"])
    os.rename(logs / "a.parquet", logs / "z.parquet")
    shutil.copy(made.logs / relatives(made.logs)[0], logs / "a.parquet")
    with pytest.raises(InputError, match=r"z.parquet: row 0 "):
        route_files(logs, snapshot, tmp_path / "out", threads=1)
    assert not (tmp_path / "out").exists()


def test_log_without_address_columns(snapshot: Snapshot, tmp_path: Path) -> None:
    logs = logs_with(tmp_path, bytes=[1], action=["ACCEPT"])
    with pytest.raises(InputError, match=r"a.parquet: no address column: .* its columns are bytes, action"):
        route_files(logs, snapshot, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_routing_a_routed_file_again_is_refused(routed: Path, snapshot: Snapshot, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"already has a column 'src_kind', which routing adds: was it routed before"):
        route_files(routed, snapshot, tmp_path / "out")


def test_output_folder_that_holds_other_files(made: SynthResult, snapshot: Snapshot, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(OutputError, match=r"holds other files; name a new or empty folder"):
            route_files(made.logs, snapshot, tmp_path, overwrite=overwrite)
    assert remains(tmp_path) == ["mine"]


def test_earlier_output_is_replaced_only_when_asked(made: SynthResult, snapshot: Snapshot, tmp_path: Path) -> None:
    out = tmp_path / "out"
    route_files(made.logs, snapshot, out)
    before = remains(out)
    with pytest.raises(OutputError, match=r"holds an earlier output of fastroute; .*--overwrite"):
        route_files(made.logs, snapshot, out)
    assert remains(out) == before
    one = made.logs / relatives(made.logs)[0]
    route_files(one, snapshot, out, overwrite=True)
    assert relatives(out) == [Path(one.name)]
    (out / "notes").write_text("mine")
    with pytest.raises(OutputError, match=r"holds other files beside the earlier output \(the first is notes\)"):
        route_files(one, snapshot, out, overwrite=True)
    assert (out / "notes").read_text() == "mine"


def test_output_inside_the_logs_is_refused(made: SynthResult, snapshot: Snapshot) -> None:
    with pytest.raises(OutputError, match=r"lies inside the logs"):
        route_files(made.logs, snapshot, made.logs / "routed")
    assert not (made.logs / "routed").exists()


def test_output_beside_a_single_log_is_fine(made: SynthResult, snapshot: Snapshot, tmp_path: Path) -> None:
    shutil.copy(made.logs / relatives(made.logs)[0], tmp_path / "a.parquet")
    route_files(tmp_path / "a.parquet", snapshot, tmp_path / "routed")
    assert (tmp_path / "routed" / "a.parquet").exists()


def test_log_that_vanishes_meanwhile(made: SynthResult, snapshot: Snapshot, tmp_path: Path) -> None:
    log = tmp_path / "a.parquet"
    shutil.copy(made.logs / relatives(made.logs)[0], log)

    def progress(stage: str, done: int, total: int) -> None:
        if done:
            log.unlink()

    with pytest.raises(InputError, match=r"a.parquet: cannot be read any more: .*; was it moved or removed meanwhile"):
        route_files(log, snapshot, tmp_path / "out", progress=progress)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("limit", [0, 3_000, 60_000])
def test_full_disk_leaves_nothing(made: SynthResult, snapshot: Snapshot, tmp_path: Path, limit: int) -> None:
    """A limit on file sizes stands in for a full disk: writes fail half-way in the same place."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(OutputError, match=r"cannot be written: .*; nothing was left behind"):
            route_files(made.logs, snapshot, tmp_path / "out", threads=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert not (tmp_path / "out").exists()


KILLED = """
import os, signal, sys, threading
from fastroute.api import Snapshot
from fastroute.jobs.route import route_files

def progress(stage, done, total):
    if done:
        os.kill(os.getpid(), {signal})
route_files([sys.argv[1]], Snapshot.load(sys.argv[2]), sys.argv[3], threads={threads}, progress=progress)
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_interrupted_run_leaves_nothing(made: SynthResult, tmp_path: Path, threads: int) -> None:
    command = [sys.executable, "-c", KILLED.format(signal="signal.SIGINT", threads=threads), made.logs, made.snapshot, tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert b"KeyboardInterrupt" in done.stderr
    assert not (tmp_path / "out").exists()


def test_killed_run_is_known_as_unfinished(made: SynthResult, snapshot: Snapshot, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", KILLED.format(signal="signal.SIGKILL", threads=1), made.logs, made.snapshot, out]
    subprocess.run(command, check=False)
    assert (out / "_unfinished.jsonl").exists()
    assert not (out / "_manifest.json").exists()
    for relative in relatives(out):
        assert pq.read_metadata(out / relative).num_rows == pq.read_metadata(made.logs / relative).num_rows
    with pytest.raises(OutputError, match=r"an output of fastroute that was not finished"):
        route_files(made.logs, snapshot, out)
    route_files(made.logs, snapshot, out, overwrite=True)
    assert not [name for name in remains(out) if name.endswith(".partial") or "_unfinished" in name]


# --- questions --------------------------------------------------------------------------------------------------------------------


def test_questions_are_answered_as_the_truth_says(made: SynthResult, snapshot: Snapshot, tmp_path: Path) -> None:
    from fastroute.synth import answers, questions

    asked, truth = questions(made.account, 800, seed=4), answers(made.account, 800, seed=4)
    pq.write_table(asked, tmp_path / "asked.parquet")
    manifest = route_files(tmp_path / "asked.parquet", snapshot, tmp_path / "out", columns=["all"])
    table = pq.read_table(tmp_path / "out" / "asked.parquet")
    decidable = truth["decidable"].to_pylist()
    for name in {column.name for column in OUTPUT_COLUMNS} - NOT_TRUE:
        pairs = zip(plain(table, name), plain(truth, name), decidable, strict=True)
        assert [(i, got, want) for i, (got, want, is_sure) in enumerate(pairs) if is_sure and got != want] == [], name
    assert manifest.account["input"]["bytes"] == sum(asked["bytes"].to_pylist())


@pytest.mark.parametrize("name", ["asked.csv", "asked.csv.gz", "asked.arrow", "asked.arrows"])
def test_questions_in_csv_and_arrow(made: SynthResult, snapshot: Snapshot, tmp_path: Path, name: str) -> None:
    from pyarrow import csv

    from fastroute.synth import questions

    asked = questions(made.account, 50, seed=5)
    pq.write_table(asked, tmp_path / "asked.parquet")
    if ".csv" in name:
        with pa.output_stream(tmp_path / name) as sink:  # compresses by the name
            csv.write_csv(asked, sink)
    elif name.endswith(".arrow"):
        with pa.OSFile(str(tmp_path / name), "wb") as sink, pa.ipc.new_file(sink, asked.schema) as writer:
            writer.write_table(asked)
    else:
        with pa.OSFile(str(tmp_path / name), "wb") as sink, pa.ipc.new_stream(sink, asked.schema) as writer:
            writer.write_table(asked)
    route_files(tmp_path / name, snapshot, tmp_path / "a")
    route_files(tmp_path / "asked.parquet", snapshot, tmp_path / "b")
    got, want = pq.read_table(tmp_path / "a" / f"{name}.parquet"), pq.read_table(tmp_path / "b" / "asked.parquet")
    assert got.select(list(DEFAULT_COLUMNS)).equals(want.select(list(DEFAULT_COLUMNS)))


def test_unknown_name_is_named_with_its_row_and_the_nearest(made: SynthResult, snapshot: Snapshot, tmp_path: Path) -> None:
    known = next(iter(snapshot.topology.pods))
    pq.write_table(pa.table({"src": [known, known + "x"], "dst": ["8.8.8.8", "8.8.8.8"]}), tmp_path / "asked.parquet")
    with pytest.raises(InputError, match=rf"asked.parquet: row 1 \(from 0\): src: '{known}x' is no address.*did you mean {known}"):
        route_files(tmp_path / "asked.parquet", snapshot, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_time_of_the_run_is_noted(made: SynthResult, snapshot: Snapshot, tmp_path: Path) -> None:
    began = time.time()
    manifest = route_files(made.logs / relatives(made.logs)[0], snapshot, tmp_path / "out")
    assert 0 < manifest.run["seconds"] <= time.time() - began + 0.001

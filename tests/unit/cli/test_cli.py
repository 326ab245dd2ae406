"""The command line as a user meets it: exit codes, what goes where, and what wrong inputs are told."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fastroute.synth import SynthResult
from tests.unit.cli.conftest import Run


def a_pod(made: SynthResult) -> str:
    items = json.loads((made.snapshot / "kubernetes" / "pods.json").read_text())["items"]
    pod = next(p for p in items if p["status"]["phase"] == "Running" and not p["spec"].get("hostNetwork"))
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def test_help_and_version(run: Run) -> None:
    assert run("--help").code == 0
    assert "trace" in run("--help").out
    assert run("--version").out.startswith("fastroute ")
    for verb in ("demo", "synth", "inspect", "route", "trace", "whois"):
        assert run(verb, "--help").code == 0


def test_route_writes_the_files_and_adds_up(run: Run, made: SynthResult, tmp_path: Path) -> None:
    out = tmp_path / "routed"
    ended = run("route", made.logs, "--snapshot", made.snapshot, "--out", out, "--columns", "src_kind,path_class")
    assert ended.code == 0
    assert [line for line in ended.err.splitlines() if "first run on this machine" not in line] == []
    assert "3,000 records" in ended.out
    written = sorted(path.relative_to(out) for path in out.rglob("*.parquet") if "_paths" not in path.parts)
    assert written == sorted(path.relative_to(made.logs) for path in made.logs.rglob("*.parquet"))
    first = pq.ParquetFile(out / written[0]).schema_arrow
    assert first.names[-2:] == ["src_kind", "path_class"]
    assert json.loads((out / "_manifest.json").read_text())["account"]["input"]["records"] == 3000


def test_sums_by_columns(run: Run, made: SynthResult, tmp_path: Path) -> None:
    asked = ("route", made.logs, "-s", made.snapshot, "--by", "path_class,action", "--measure", "records,bytes")
    rows = json.loads(run(*asked, "-o", "json").out)
    assert sum(row["records"] for row in rows) <= 3000
    assert [row["records"] for row in rows] == sorted((row["records"] for row in rows), reverse=True)
    assert run(*asked, "--top", "2", "-o", "csv").out.count("\n") == 3
    assert run(*asked, "-o", f"parquet={tmp_path / 'sums.parquet'}").code == 0
    assert pq.ParquetFile(tmp_path / "sums.parquet").read().to_pylist() == rows
    assert run("route", made.logs, "-s", made.snapshot).code == 2
    assert "no column 'path_clas'" in run("route", made.logs, "-s", made.snapshot, "--by", "path_clas").err


def test_min_attributed_gives_three(run: Run, made: SynthResult, tmp_path: Path) -> None:
    ended = run("route", made.logs, "-s", made.snapshot, "--out", tmp_path / "out", "--min-attributed", "1")
    assert ended.code == 3
    assert (tmp_path / "out" / "_manifest.json").exists()


def test_questions_in_csv(run: Run, made: SynthResult, tmp_path: Path) -> None:
    (tmp_path / "ask.csv").write_text(f"src,dst,dst_port\n{a_pod(made)},8.8.8.8,443\n")
    ended = run("route", tmp_path / "ask.csv", "-s", made.snapshot, "--out", tmp_path / "out", "--columns", "form,opener")
    assert ended.code == 0
    row = pq.ParquetFile(tmp_path / "out" / "ask.csv.parquet").read().to_pylist()[0]
    assert (row["form"], row["opener"]) == ("EGRESS", "SRC")


def test_trace_exit_codes(run: Run, made: SynthResult) -> None:
    pod = a_pod(made)
    arrives = run("trace", pod, "8.8.8.8:443", "-s", made.snapshot)
    assert (arrives.code, arrives.err) == (0, "")
    assert "EXITS_NETWORK" in arrives.out
    as_json = json.loads(run("trace", pod, "8.8.8.8:443", "-s", made.snapshot, "-o", "json").out)
    assert (as_json["form"], as_json["dst_port"]) == ("EGRESS", 443)
    assert run("trace", pod, "169.254.170.23", "-s", made.snapshot).code == 3
    assert run("trace", pod, "10.0.255.254", "-s", made.snapshot).code == 1


def test_whois_and_inspect(run: Run, made: SynthResult) -> None:
    assert "kind:           POD" in run("whois", a_pod(made), "-s", made.snapshot).out
    found = json.loads(run("whois", a_pod(made), "-s", made.snapshot, "-o", "json").out)
    assert found["found"]["kind"] == "POD"
    inspected = run("inspect", made.snapshot, "--node", "all")
    assert inspected.code == 0
    assert "Everything fits together." in inspected.out
    assert json.loads(run("inspect", made.snapshot, "-o", "json").out)["counts"]["nodes"] == 6


def test_inspect_names_what_does_not_fit(run: Run, made: SynthResult, tmp_path: Path) -> None:
    copy = tmp_path / "snapshot"
    for path in made.snapshot.rglob("*.json"):
        target = copy / path.relative_to(made.snapshot)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    pods = json.loads((copy / "kubernetes" / "pods.json").read_text())
    pods["items"][0]["spec"]["nodeName"] = "ip-nowhere"
    (copy / "kubernetes" / "pods.json").write_text(json.dumps(pods))
    ended = run("inspect", copy)
    assert ended.code == 1
    assert "ip-nowhere" in ended.out


# --- wrong inputs: one line, the place, the way out, code 2, nothing left behind


def broken_logs(kind: str, made: SynthResult, folder: Path) -> Path:
    folder.mkdir()
    if kind == "not Parquet":
        (folder / "log.parquet").write_text("hello")
    elif kind == "truncated":
        whole = max(made.logs.rglob("*.parquet"), key=lambda path: path.stat().st_size).read_bytes()
        (folder / "log.parquet").write_bytes(whole[: len(whole) // 2])
    elif kind == "no address column":
        pq.write_table(pa.table({"bytes": [1]}), folder / "log.parquet")
    elif kind == "bad address":
        table = pa.table({"pkt_srcaddr": ["10.0.0.1", "10.0.1.300"], "pkt_dstaddr": ["10.0.0.2"] * 2, "bytes": [1, 1]})
        pq.write_table(table, folder / "log.parquet")
    return folder if kind != "missing" else folder / "nowhere"


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("not Parquet", "log.parquet: not a Parquet file"),
        ("truncated", "log.parquet: a truncated Parquet file"),
        ("no address column", "log.parquet: no address column"),
        ("bad address", "'10.0.1.300' is not an IPv4 or IPv6 address"),
        ("empty", "the folder is empty"),
        ("missing", "no such file or folder"),
    ],
)
def test_wrong_logs(run: Run, made: SynthResult, tmp_path: Path, kind: str, says: str) -> None:
    logs = broken_logs(kind, made, tmp_path / "logs")
    ended = run("route", logs, "-s", made.snapshot, "--out", tmp_path / "out")
    assert ended.code == 2
    assert says in ended.err
    assert ended.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("kubernetes/pods.json", "no JSON at all", "pods.json: text, not JSON"),
        ("readme.txt", "hello", "none of its 0 JSON files"),
        (None, "", "no such folder"),
    ],
)
def test_wrong_snapshots(run: Run, made: SynthResult, tmp_path: Path, name: str | None, text: str, says: str) -> None:
    snapshot = tmp_path / "snapshot"
    if name is not None:
        (snapshot / name).parent.mkdir(parents=True)
        (snapshot / name).write_text(text)
    for verb in (("route", made.logs, "--out", tmp_path / "out"), ("trace", "10.0.0.1", "8.8.8.8"), ("whois", "10.0.0.1")):
        ended = run(*verb, "-s", snapshot)
        assert ended.code == 2
        assert says in ended.err
        assert ended.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_output_folder_with_other_files_is_left_alone(run: Run, made: SynthResult, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("mine")
    for more in ((), ("--overwrite",)):
        ended = run("route", made.logs, "-s", made.snapshot, "--out", tmp_path / "out", *more)
        assert ended.code == 2
        assert "holds other files" in ended.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["precious"]


def test_a_snapshot_without_nodes_is_a_named_loss(run: Run, made: SynthResult, tmp_path: Path) -> None:
    aws_only = tmp_path / "snapshot"
    for path in (made.snapshot / "aws").rglob("*.json"):
        target = aws_only / path.relative_to(made.snapshot)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    ended = run("route", made.logs, "-s", aws_only, "--out", tmp_path / "out")
    assert ended.code == 0
    assert "the snapshot has no nodes" in ended.err
    assert "the snapshot has no pods" in ended.err


def test_usage_errors_say_what_is_missing(run: Run, made: SynthResult) -> None:
    assert run("route", made.logs).code == 2
    assert run("frobnicate").code == 2
    assert "did you mean" in run("route", made.logs, "-s", made.snapshot, "--out", "x", "--columns", "path_clas").err

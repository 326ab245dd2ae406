"""`inspect LOGS`: what a log is, what it answers, and what looks wrong."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fastroute.errors import InputError
from fastroute.jobs import inspect_logs as job
from fastroute.jobs.inspect import is_snapshot
from fastroute.jobs.inspect_logs import LogInspection, inspect_logs
from fastroute.synth import SynthResult
from fastroute.vocab import FLOW_LOG_FIELDS
from tests.unit.io.snapshots import EKS

ALL_FIELDS = [field.name for field in FLOW_LOG_FIELDS]


def put(path: Path, **columns: list[object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def answered(inspection: LogInspection) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {answer.what: (answer.answered, answer.add) for answer in inspection.answers}


def texts(inspection: LogInspection, *, fault: bool) -> str:
    return "\n".join(f"{finding.subject}: {finding.text}" for finding in inspection.findings if finding.is_fault is fault)


def test_a_generated_day(made: SynthResult) -> None:
    inspection = inspect_logs([made.logs])
    (form,) = inspection.forms
    files = sorted(made.logs.rglob("*.parquet"))
    assert (form.kind, form.layout, form.fields_told_by, form.files) == ("Parquet", "hive", "schema", len(files))
    tables = [pq.read_table(path) for path in files]
    assert (inspection.records, inspection.seen.records, inspection.is_sampled) == (12_000, 12_000, False)
    assert inspection.num_bytes == sum(path.stat().st_size for path in files)
    assert (inspection.kind, inspection.version, inspection.unknown_columns) == ("VPC flow logs", 5, ())
    statuses = [status for table in tables for status in table["log_status"].to_pylist()]
    assert {name: number for name, number in inspection.seen.statuses.items() if number} == {
        name: statuses.count(name) for name in set(statuses)
    }
    assert inspection.seen.rejected == sum(table["action"].to_pylist().count("REJECT") for table in tables)
    assert inspection.seen.first_start == min(min(table["start"].to_pylist()) for table in tables)
    assert inspection.seen.last_end == max(max(table["end"].to_pylist()) for table in tables)
    assert {answer.answered for answer in inspection.answers} == {"yes"}
    assert inspection.num_faults == 0


def test_each_missing_field_is_named_with_what_it_takes_away(tmp_path: Path) -> None:
    inspection = inspect_logs([put(tmp_path / "x.parquet", srcaddr=["10.0.0.1"], dstaddr=["10.0.0.2"], bytes=[1], packets=[1])])
    assert answered(inspection) == {
        "pods at both ends": ("no", ("pkt-srcaddr", "pkt-dstaddr")),
        "whose address space is meant": ("no", ("vpc-id",)),
        "ports and protocol": ("no", ("protocol", "srcport", "dstport")),
        "who opened a connection": ("no", ("tcp-flags",)),
        "who held an address at the time": ("no", ("start", "end")),
        "volume": ("yes", ()),
        "gaps in the log": ("no", ("log-status",)),
        "accepted or refused": ("no", ("action",)),
        "each flow once": ("no", ("interface-id",)),
        "in or out of the interface": ("no", ("flow-direction",)),
    }
    assert all((answer.loses is None) == (answer.answered == "yes") for answer in inspection.answers)


def test_fields_of_some_files_only(tmp_path: Path) -> None:
    put(tmp_path / "old" / "x.parquet", srcaddr=["10.0.0.1"], dstaddr=["10.0.0.2"], vpc_id=["vpc-1"])
    put(tmp_path / "new" / "x.parquet", pkt_srcaddr=["10.0.0.1"], pkt_dstaddr=["10.0.0.2"], interface_id=["eni-1"], note=["mine"])
    inspection = inspect_logs([tmp_path])
    assert answered(inspection)["pods at both ends"] == ("partly", ("pkt-srcaddr", "pkt-dstaddr"))
    assert answered(inspection)["whose address space is meant"] == ("yes", ())
    assert "fields: files have 2 different sets of fields" in texts(inspection, fault=False)
    assert inspection.unknown_columns == ("note",)


def test_forms_and_layouts(tmp_path: Path) -> None:
    text = b"srcaddr dstaddr\n10.0.0.1 10.0.0.2\n"
    for name, content in {
        "AWSLogs/111122223333/vpcflowlogs/us-east-1/2026/08/20/a.log.gz": gzip.compress(text),
        "AWSLogs/aws-account-id=1/aws-service=vpcflowlogs/hour=01/b.log": text,
        "c.csv": b"srcaddr,dstaddr\n10.0.0.1,10.0.0.2\n",
        "notes.md": b"# notes",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    inspection = inspect_logs([tmp_path])
    assert {(form.kind, form.layout, form.fields_told_by) for form in inspection.forms} == {
        ("text (gzip)", "dated folders", "header"),
        ("text", "hive", "header"),
        ("CSV", "files", "header"),
    }
    assert [Path(path).name for path in inspection.ignored] == ["notes.md"]
    assert (inspection.files, inspection.records, inspection.is_counted) == (3, 3, True)


def test_what_looks_wrong(tmp_path: Path) -> None:
    columns = {
        "pkt_srcaddr": ["10.0.0.1", "-", None, "10.0.0.1"],
        "pkt_dstaddr": ["10.0.0.2", "10.0.0.2", None, "10.0.0.2"],
        "protocol": [6.0, 6.0, None, 6.0],
        "start": [1755684000000, 1755684060, 1755684000, 1755684000],
        "end": [1755684060000, 1755684000, 1755684060, 1755684060],
        "action": ["REJECT", "REJECT", None, "REJECT"],
        "log_status": ["OK", "OK", "SKIPDATA", "LATER"],
    }
    put(tmp_path / "a.parquet", **columns)
    (tmp_path / "b.log").write_text("srcaddr dstaddr\n")
    (tmp_path / "c.parquet").write_bytes(b"PAR1 cut")
    inspection = inspect_logs([tmp_path])
    facts, faults = texts(inspection, fault=False), texts(inspection, fault=True)
    assert "log-status: 1 of 4 records read are SKIPDATA" in facts
    assert "log-status: 1 of 4 records read have another status" in facts
    assert "pkt-srcaddr: 1 of 4 records read have no packet address" in facts
    assert "end: 1 of 4 records read end before they start" in facts
    assert "action: every record is a REJECT" in facts
    assert "b.log: 1 files have no records" in facts
    assert "column 'protocol' is of type double; AWS writes an integer" in facts
    assert "start: 1 of 4 records read have milliseconds" in faults
    assert "c.parquet: a truncated Parquet file" in faults
    assert inspection.num_faults == 2
    assert inspection.seen.first_start == 1755684000


def test_flags_that_say_nothing(tmp_path: Path) -> None:
    for flags, is_told in (([0, None], True), ([0, 2], False)):
        inspection = inspect_logs([put(tmp_path / "x.parquet", srcaddr=["10.0.0.1"] * 2, tcp_flags=flags)])
        assert ("tcp-flags: none of 2 records read has any flag" in texts(inspection, fault=False)) is is_told


def test_logs_of_interfaces_and_of_a_transit_gateway_lie_together() -> None:
    inspection = inspect_logs([EKS.parent.parent / "flow-logs"])
    assert inspection.kind == "Transit Gateway flow logs and VPC flow logs"
    assert "lie together; route them apart" in texts(inspection, fault=False)
    assert (inspection.seen.statuses["NODATA"], inspection.seen.statuses["SKIPDATA"], inspection.seen.rejected) == (2, 1, 2)


def test_integers_of_either_width_are_as_good(tmp_path: Path) -> None:
    for number, width in enumerate((pa.int32(), pa.int64())):
        table = pa.table({"srcaddr": ["10.0.0.1"], "protocol": pa.array([6], width), "bytes": pa.array([1], width)})
        pq.write_table(table, tmp_path / f"{number}.parquet")
    assert inspect_logs([tmp_path]).findings == ()


def test_timestamps(tmp_path: Path) -> None:
    times = pa.array([1755684000_000], pa.timestamp("ms", "UTC"))
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"srcaddr": ["10.0.0.1"], "start": times, "end": times}), path)
    inspection = inspect_logs([path])
    assert (inspection.seen.first_start, inspection.to_dict()["until"]) == (1755684000, "2025-08-20T10:00:00Z")


def test_no_more_is_read_than_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "NUM_OPENED", 4)
    monkeypatch.setattr(job, "NUM_READ", 10)
    for number in range(20):
        times = [1755684000 + 60 * number] * 5
        put(tmp_path / f"{number:02}.parquet", srcaddr=["10.0.0.1"] * 5, dstaddr=["10.0.0.2"] * 5, start=times, end=times)
    inspection = inspect_logs([tmp_path])
    assert (inspection.files, inspection.opened, inspection.seen.records) == (20, 4, 10)
    assert (inspection.is_sampled, inspection.is_counted) == (True, False)
    assert inspection.records == pytest.approx(100, rel=0.1)
    # the footers of the opened files say the span though not all were read
    assert (inspection.seen.first_start, inspection.seen.last_end) == (1755684000, 1755684000 + 60 * 15)
    whole = inspect_logs([tmp_path], whole=True)
    assert (whole.opened, whole.seen.records, whole.is_sampled, whole.seen.last_end) == (20, 100, False, 1755684000 + 60 * 19)


def test_questions(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text("src,dst\n10.0.0.1,10.0.0.2\n")
    inspection = inspect_logs([tmp_path / "q.csv"])
    assert (inspection.kind, inspection.version, inspection.answers, inspection.records) == ("questions", None, (), 1)


def test_format_without_header(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("10.0.0.1 10.0.0.2 18\n")
    inspection = inspect_logs([tmp_path], log_format=["pkt-srcaddr", "pkt-dstaddr", "tcp-flags"])
    assert (inspection.forms[0].fields_told_by, inspection.version, inspection.seen.with_flags) == ("format", 3, 1)


def test_nothing_that_can_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(InputError, match=r"a.parquet: a truncated Parquet file"):
        inspect_logs([tmp_path])
    put(tmp_path / "a.parquet", bytes=[1])
    with pytest.raises(InputError, match=r"a.parquet: no address column"):
        inspect_logs([tmp_path / "a.parquet"])


def test_everything_is_json(made: SynthResult) -> None:
    content = json.loads(json.dumps(inspect_logs([made.logs]).to_dict()))
    assert content["from"].startswith("2026-")
    assert content["answers"][0] == {"what": "pods at both ends", "answered": "yes", "loses": None, "add": []}
    assert content["seen"]["statuses"]["OK"] > 11_000
    assert content["forms"][0]["columns"][0] == "version"


def test_snapshot_or_logs(made: SynthResult, tmp_path: Path) -> None:
    assert is_snapshot(EKS)
    assert is_snapshot(made.snapshot)
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "pods.json").write_text("{}")
    assert is_snapshot(tmp_path / "flat")
    for logs in (made.logs, tmp_path / "nowhere", "*.parquet", "-", made.logs / next(made.logs.rglob("*.parquet"))):
        assert not is_snapshot(logs)
    (tmp_path / "routed").mkdir()
    (tmp_path / "routed" / "_manifest.json").write_text("{}")
    assert not is_snapshot(tmp_path / "routed")

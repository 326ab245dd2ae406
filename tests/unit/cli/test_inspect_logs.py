"""`fastroute inspect LOGS` on the command line."""

import json
from pathlib import Path

from fastroute.synth import SynthResult
from tests.unit.cli.conftest import Run


def test_a_folder_of_logs(run: Run, made: SynthResult) -> None:
    ended = run("inspect", made.logs)
    assert ended.code == 0
    assert "VPC flow logs, fields up to version 5" in ended.out
    assert "3,000 records in" in ended.out
    assert "log status" in ended.out
    told = json.loads(run("inspect", made.logs, "-o", "json").out)
    assert (told["records"], told["kind"]) == (3000, "VPC flow logs")


def test_missing_fields_and_what_to_add(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("10.0.0.1 10.0.0.2\n")
    ended = run("inspect", tmp_path / "x.txt", "--format", "${srcaddr} ${dstaddr}")
    assert ended.code == 0
    assert "pods at both ends: without pkt-srcaddr, pkt-dstaddr: AWS writes an interface's primary address" in ended.out


def test_exit_codes(run: Run, made: SynthResult, tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("srcaddr dstaddr\n10.0.0.1 10.0.0.2\n")
    (tmp_path / "b.log").write_text("srcaddr dstaddr\n10.0.0.1\n")
    ended = run("inspect", tmp_path)
    assert ended.code == 1
    assert "b.log: line 2: 1 fields instead of 2" in ended.out
    for arguments, says in (
        ((tmp_path / "b.log",), "b.log: line 2: 1 fields instead of 2"),
        ((tmp_path / "nowhere",), "no such file or folder"),
        ((tmp_path, "--format", "${srcadr}"), "did you mean srcaddr?"),
        ((tmp_path, "--node", "all"), "these are logs"),
        ((made.snapshot, "--all"), "this is a snapshot"),
    ):
        ended = run("inspect", *arguments)
        assert ended.code == 2, ended
        assert says in ended.err

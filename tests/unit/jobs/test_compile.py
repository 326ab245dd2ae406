"""A compiled file stands for its folder, in every verb; what is no such file is said to be none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import fastroute
from fastroute.api import Snapshot
from fastroute.arrays import read_bundle, write_bundle
from fastroute.cli import main
from fastroute.errors import FastrouteError, InputError, OutputError
from fastroute.io import compiled as compiled_module
from fastroute.io.compiled import open_snapshot_file
from fastroute.jobs.compile import compile_snapshot
from fastroute.synth import SynthResult


@pytest.fixture(name="file", scope="module")
def _file(made: SynthResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("compiled") / "snapshot.fastroute"
    found = compile_snapshot(made.snapshot, path)
    assert found.num_bytes == path.stat().st_size
    assert found.about["nodes"] == 6
    return path


def test_the_file_holds_what_the_folder_holds(snapshot: Snapshot, file: Path) -> None:
    loaded = fastroute.load(file)
    assert loaded.topology == snapshot.topology
    assert loaded.report == snapshot.report
    assert loaded.missing == snapshot.topology.missing
    about = {**snapshot.compile().describe(), "path": str(file)}
    assert loaded.compile().describe() == about


def test_logs_are_routed_alike(made: SynthResult, routed: Path, file: Path, tmp_path: Path) -> None:
    shutil.copy(file, tmp_path / "alone")  # nothing beside it
    fastroute.route_files([made.logs], fastroute.load(tmp_path / "alone"), tmp_path / "out", columns=["all"], threads=1)
    outputs = [path.relative_to(routed) for path in routed.rglob("*.parquet")]
    assert outputs
    for path in outputs:
        assert (tmp_path / "out" / path).read_bytes() == (routed / path).read_bytes()


def test_names_in_questions_resolve(snapshot: Snapshot, file: Path) -> None:
    topology = snapshot.topology
    pods = [key for key, pod in topology.pods.items() if pod.holds_address and pod.addrs][:4]
    services = [key for key, service in topology.services.items() if service.cluster_addrs][:2]
    names = [*pods, *services, *list(topology.nodes)[:2], next(iter(topology.enis)), "8.8.8.8"]
    asked = [engine.pairs(names, names, columns=["all"]).read_all() for engine in (snapshot.compile(), fastroute.load(file).compile())]
    assert asked[0] == asked[1]
    with pytest.raises(InputError, match=r"no namespace/pod.*did you mean"):
        fastroute.load(file).compile().pairs([pods[0] + "x"], ["8.8.8.8"]).read_all()


def test_trace_and_whois_answer(snapshot: Snapshot, file: Path) -> None:
    pod = next(key for key, pod in snapshot.topology.pods.items() if pod.holds_address and pod.addrs and not pod.is_host_network)
    loaded = fastroute.load(file)
    assert loaded.trace(pod, "8.8.8.8:443") == snapshot.trace(pod, "8.8.8.8:443")
    assert loaded.compile().whois(pod) == snapshot.whois(pod)


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, captured.out, captured.err


def test_every_verb_accepts_the_file(made: SynthResult, snapshot: Snapshot, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "snapshot.fastroute"
    code, out, _ = run(capsys, "compile", made.snapshot, "--out", file)
    assert code == 0
    assert "6 nodes" in out
    pod = next(key for key, pod in snapshot.topology.pods.items() if pod.holds_address and pod.addrs and not pod.is_host_network)
    node = next(iter(snapshot.topology.nodes))
    verbs = [
        ["trace", pod, "8.8.8.8:443", "-o", "json", "-s"],
        ["whois", pod, "-o", "json", "-s"],
        ["route", made.logs, "--by", "path_class", "-o", "json", "-s"],
        ["get", "8.8.8.8", "from", snapshot.topology.pods[pod].addrs[0], "--node", snapshot.topology.pods[pod].node or node, "--in"],
        ["inspect", "-o", "json"],
    ]
    for verb in verbs:
        of_folder, of_file = (run(capsys, *verb, source) for source in (made.snapshot, file))
        assert of_folder[0] == of_file[0] != 2, of_file[2]
        assert of_file[1].replace(str(file), str(made.snapshot)) == of_folder[1] != ""
    assert json.loads(run(capsys, "inspect", file, "-o", "json")[1])["report"]["files"]


def test_a_compiled_file_can_be_compiled_again(file: Path, tmp_path: Path) -> None:
    compile_snapshot(file, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == file.read_bytes()


def test_files_that_are_none(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("{}")
    with pytest.raises(InputError, match=r"other: neither a snapshot folder nor a compiled snapshot; name a folder"):
        fastroute.load(other)
    fastroute.PrefixTable(["10.0.0.0/8"]).save(other)
    with pytest.raises(InputError, match="no compiled snapshot"):
        fastroute.load(other)
    whole = file.read_bytes()
    for length in (12, 100, len(whole) // 2, len(whole) - 1):
        other.write_bytes(whole[:length])
        with pytest.raises(FastrouteError, match=r"other: .*(copy or write|damaged)"):
            fastroute.load(other)
    with pytest.raises(InputError, match="no such"):
        fastroute.load(tmp_path / "absent")


def test_a_changed_byte_is_seen(file: Path, tmp_path: Path) -> None:
    arrays, _ = read_bundle(file)
    whole = file.read_bytes()
    for name in ("topology", "report", "compiled.rows.eni", "compiled.tables.rows"):
        damaged = bytearray(whole)
        damaged[whole.index(arrays[name].tobytes()) + arrays[name].nbytes // 2] ^= 1
        (tmp_path / "damaged").write_bytes(damaged)
        with pytest.raises(InputError, match="damaged; compile it again"):
            fastroute.load(tmp_path / "damaged")


def test_a_file_of_another_version(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays, meta = read_bundle(file)
    write_bundle(tmp_path / "old", arrays, {**meta, "format": "4-00000000"})
    with pytest.raises(InputError, match=r"old: compiled by another version of fastroute \(4-00000000, this one is .*compile it again"):
        fastroute.load(tmp_path / "old")
    monkeypatch.setattr(compiled_module, "FORMAT", 10**6)
    compiled_module.format_name.cache_clear()
    try:
        with pytest.raises(InputError, match="compile it again"):
            fastroute.load(file)
    finally:
        monkeypatch.undo()
        compiled_module.format_name.cache_clear()


def test_a_field_more_is_another_format(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import dataclass

    from fastroute.topology import Vpc

    before: set[str] = set()
    compiled_module._describe(Vpc, before)

    @dataclass(frozen=True)
    class Wider(Vpc):
        more: int = 0

    Wider.__qualname__ = "Vpc"
    after: set[str] = set()
    compiled_module._describe(Wider, after)
    assert after - before == {"Vpc.more: <class 'int'>"}
    whole: set[str] = set()
    compiled_module._describe(compiled_module.Topology, whole)
    assert before < whole
    assert any(line.startswith("ServicePort.") for line in whole)


def test_where_the_file_may_go(made: SynthResult, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "thesis.txt"
    mine.write_text("precious")
    with pytest.raises(OutputError, match="no file of fastroute; name another"):
        compile_snapshot(made.snapshot, mine)
    assert mine.read_text() == "precious"
    with pytest.raises(OutputError, match="is a folder"):
        compile_snapshot(made.snapshot, tmp_path)
    with pytest.raises(OutputError, match="lies inside the snapshot"):
        compile_snapshot(made.snapshot, made.snapshot / "snapshot.fastroute")
    with pytest.raises(OutputError, match="cannot be written"):
        compile_snapshot(made.snapshot, tmp_path / "no" / "such" / "folder")
    earlier = tmp_path / "earlier"
    shutil.copy(file, earlier)

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fastroute.arrays.os.replace", fails)
    with pytest.raises(OutputError, match="No space left"):
        compile_snapshot(made.snapshot, earlier, cache=False)
    assert earlier.read_bytes() == file.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["earlier", "thesis.txt"]


def test_arrays_are_mapped_not_read(file: Path) -> None:
    compiled = open_snapshot_file(file).compiled
    assert compiled is not None
    base = compiled.rows.kind
    while not isinstance(base, np.memmap) and base.base is not None:
        base = base.base  # type: ignore[assignment]
    assert isinstance(base, np.memmap)
    assert not compiled.rows.kind.flags.writeable

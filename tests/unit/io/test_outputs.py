"""An output folder: whole or not at all, and never over other people's files."""

import json
import os
import threading
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import pytest

from fastroute.errors import OutputError
from fastroute.io.journal import read_journal
from fastroute.io.lock import FolderLock
from fastroute.io.manifest import FileEntry, difference
from fastroute.io.outputs import OutputFolder

RUN: dict[str, Any] = {"versions": {"fastroute": "1", "pyarrow": "26"}, "settings": {"columns": ["form"]}, "snapshot": {"sha256": "5"}}
ONE, TWO = PurePosixPath("a.parquet"), PurePosixPath("hour=01/b c.parquet")


def remains(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def entry(relative: PurePosixPath) -> FileEntry:
    return FileEntry(f"logs/{relative}", 10, 20, "abc", str(relative), 1, "encode", 0, {})


def write(folder: OutputFolder, relative: PurePosixPath, content: str = "x") -> None:
    folder.begin(relative).write_text(content)
    folder.publish(relative)
    folder.note(entry(relative))


def finished(path: Path) -> Path:
    folder = OutputFolder(path, RUN)
    for relative in (ONE, TWO):
        write(folder, relative)
    folder.finish([json.dumps({**RUN, "files": [{"output": str(relative)} for relative in (ONE, TWO)]}).encode()])
    return path


def killed(folder: OutputFolder) -> None:
    """What the system does for a process that dies: its lock goes, its files stay."""
    assert folder._journal is not None
    assert folder._lock is not None
    folder._journal.close()
    os.close(folder._lock._descriptor)


def test_finished_run(tmp_path: Path) -> None:
    out = finished(tmp_path / "deep" / "out")
    assert remains(out) == ["_manifest.json", "a.parquet", "hour=01", "hour=01/b c.parquet"]
    assert json.loads((out / "_manifest.json").read_text())["files"][0] == {"output": "a.parquet"}


def test_file_appears_only_when_published(tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path / "out", RUN)
    folder.begin(ONE).write_text("half")
    assert not (tmp_path / "out" / "a.parquet").exists()
    assert (tmp_path / "out" / "_unfinished.jsonl").exists()
    folder.publish(ONE)
    assert (tmp_path / "out" / "a.parquet").read_text() == "half"


@pytest.mark.parametrize("exists", [False, True])
def test_abandoned_run_leaves_what_was_there_before(tmp_path: Path, exists: bool) -> None:
    out = tmp_path / "deep" / "out"
    if exists:
        out.mkdir(parents=True)
    folder = OutputFolder(out, RUN)
    write(folder, TWO)
    folder.begin(ONE).write_text("half")
    folder.abandon()
    assert remains(tmp_path) == (["deep", "deep/out"] if exists else [])


def test_abandoned_run_of_many_threads(tmp_path: Path) -> None:
    """Whoever made a folder, and whenever its making was noted, it goes."""
    for attempt in range(30):
        folder = OutputFolder(tmp_path / "out", RUN)
        places = [PurePosixPath(f"day={i % 3}/hour={i % 2}/{i}.parquet") for i in range(12)]
        threads = [threading.Thread(target=write, args=(folder, place)) for place in places]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        folder.abandon()
        assert remains(tmp_path) == [], attempt


def test_overwrite_removes_what_the_earlier_run_wrote_and_nothing_else(tmp_path: Path) -> None:
    out = finished(tmp_path / "out")
    (out / "_paths").mkdir()
    (out / "_paths" / "legs.parquet").write_text("x")
    folder = OutputFolder(out, RUN, "overwrite")
    assert remains(out) == ["_lock", "_unfinished.jsonl"]
    folder.abandon()
    assert remains(out) == []


def test_unfinished_run_with_half_written_files_is_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    folder = OutputFolder(out, RUN)
    write(folder, ONE)
    folder.begin(TWO).write_text("half")
    killed(folder)
    with pytest.raises(OutputError, match=r"holds an output of fastroute that was not finished; go on with it \(--resume\)"):
        OutputFolder(out, RUN)
    OutputFolder(out, RUN, "overwrite").abandon()
    assert remains(out) == []


@pytest.mark.parametrize(
    "listing",
    ["{}", "[", '{"files": [1]}', '{"files": null}', '{"files": [{"output": "../../x"}]}', '{"files": [{"output": "/etc/passwd"}]}'],
)
def test_damaged_listing_removes_nothing(tmp_path: Path, listing: str) -> None:
    out = finished(tmp_path / "out")
    (out / "_manifest.json").write_text(listing)
    before = remains(tmp_path)
    with pytest.raises(OutputError, match=r"empty the folder by hand"):
        OutputFolder(out, RUN, "overwrite")
    assert remains(tmp_path) == before


def test_what_stands_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match=r"file: is a file; name a folder"):
        OutputFolder(tmp_path / "file", RUN)
    with pytest.raises(OutputError, match=r"cannot be written: Not a directory"):
        OutputFolder(tmp_path / "file" / "out", RUN)
    with pytest.raises(OutputError, match=r"holds other files; name a new or empty folder"):
        OutputFolder(tmp_path, RUN, "overwrite")
    assert remains(tmp_path) == ["file"]


# --- going on with a run --------------------------------------------------------------------------------------------------------------


def half_done(out: Path) -> None:
    """A run that was killed with ONE finished and TWO begun."""
    folder = OutputFolder(out, RUN, "resume")
    write(folder, ONE)
    folder.begin(TWO).write_text("half")
    killed(folder)


def test_a_killed_run_is_gone_on_with(tmp_path: Path) -> None:
    out = tmp_path / "out"
    half_done(out)
    folder = OutputFolder(out, RUN, "resume")
    assert list(folder.earlier) == [str(ONE)]
    assert folder.begun == {str(TWO)}
    assert remains(out) == ["_lock", "_unfinished.jsonl", "a.parquet", "hour=01"]
    write(folder, TWO)
    folder.finish([b"{}"])
    assert remains(out) == ["_manifest.json", "a.parquet", "hour=01", "hour=01/b c.parquet"]


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_line_that_was_cut_off_was_not_written(tmp_path: Path, cut: int) -> None:
    out = tmp_path / "out"
    folder = OutputFolder(out, RUN)
    write(folder, ONE)
    write(folder, TWO)
    killed(folder)
    journal = out / "_unfinished.jsonl"
    journal.write_bytes(journal.read_bytes()[:-cut])
    folder = OutputFolder(out, RUN, "resume")
    assert (list(folder.earlier), folder.begun) == ([str(ONE)], {str(TWO)})
    write(folder, TWO)
    killed(folder)
    assert list(read_journal(journal).done) == [str(ONE), str(TWO)]


def test_a_run_killed_before_its_first_line_is_gone_on_with(tmp_path: Path) -> None:
    out = tmp_path / "out"
    killed(OutputFolder(out, RUN))
    for content in (b"", b'{"run":{"ver'):
        (out / "_unfinished.jsonl").write_bytes(content)
        folder = OutputFolder(out, RUN, "resume")
        assert folder.earlier == {}
        killed(folder)


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    out = tmp_path / "out"
    half_done(out)
    journal = out / "_unfinished.jsonl"
    lines = journal.read_bytes().split(b"\n")
    journal.write_bytes(b"\n".join([lines[0], b'{"done":{"outp', *lines[2:]]))
    with pytest.raises(OutputError, match=r"_unfinished.jsonl: line 2 is damaged .*empty the folder by hand"):
        OutputFolder(out, RUN, "resume")
    assert journal.exists()


def test_places_outside_of_the_folder_are_not_believed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    half_done(out)
    (tmp_path / ".x.partial").write_text("mine")
    with (out / "_unfinished.jsonl").open("a") as journal:
        journal.write('{"begin":"../x"}\n')
    for mode in ("resume", "overwrite"):
        with pytest.raises(OutputError, match=r"names \.\./x, outside of the folder"):
            OutputFolder(out, RUN, mode)
    assert (tmp_path / ".x.partial").exists()


def test_after_a_restart_of_the_machine_only_what_reached_the_disk_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    half_done(out)
    monkeypatch.setattr("fastroute.io.journal.boot_id", lambda: "another")
    folder = OutputFolder(out, RUN, "resume")
    assert (folder.earlier, folder.begun) == ({}, {str(ONE), str(TWO)})
    write(folder, ONE)
    folder.abandon()
    monkeypatch.setattr("fastroute.io.journal.boot_id", lambda: "a third")
    assert list(OutputFolder(out, RUN, "resume").earlier) == [str(ONE)]


@pytest.mark.parametrize("mode", ["resume", "incremental"])
def test_a_run_that_fails_leaves_what_is_finished_if_another_may_go_on(tmp_path: Path, mode: Literal["resume", "incremental"]) -> None:
    out = tmp_path / "out"
    folder = OutputFolder(out, RUN, mode)
    folder.begin(ONE).write_text("half")
    folder.abandon()
    assert not out.exists()
    folder = OutputFolder(out, RUN, mode)
    write(folder, ONE)
    folder.begin(TWO).write_text("half")
    folder.abandon()
    assert remains(out) == ["_unfinished.jsonl", "a.parquet"]
    assert list(OutputFolder(out, RUN, mode).earlier) == [str(ONE)]


def test_adding_to_a_finished_output(tmp_path: Path) -> None:
    out = finished(tmp_path / "out")
    manifest = (out / "_manifest.json").read_bytes()
    with pytest.raises(OutputError, match=r"holds an earlier output of fastroute; .*\(--incremental\)"):
        OutputFolder(out, RUN, "resume")
    folder = OutputFolder(out, RUN, "incremental")
    assert list(folder.earlier) == [str(ONE), str(TWO)]
    write(folder, ONE, "new")
    folder.begin(TWO).write_text("half")
    killed(folder)
    assert (out / "_manifest.json").read_bytes() == manifest
    with pytest.raises(OutputError, match=r"files that were being added to it; go on with --incremental"):
        OutputFolder(out, RUN, "resume")
    folder = OutputFolder(out, RUN, "incremental")
    assert (list(folder.earlier), folder.begun) == ([str(ONE)], {str(TWO)})
    folder.finish([b"{}"])
    assert remains(out) == ["_manifest.json", "a.parquet", "hour=01", "hour=01/b c.parquet"]


@pytest.mark.parametrize(
    ("what", "value", "says"),
    [
        ("versions", {"fastroute": "2", "pyarrow": "26"}, r"by fastroute 1, this is 2"),
        ("versions", {"fastroute": "1", "pyarrow": "27"}, r"by pyarrow 26, this is 27"),
        ("settings", {"columns": ["form", "table"]}, r"columns form, not form,table"),
        ("settings", {"columns": ["form"], "write": "encode"}, r"write None, not encode"),
        ("snapshot", {"sha256": "6"}, r"from another snapshot"),
    ],
)
def test_an_output_made_otherwise_is_not_gone_on_with(tmp_path: Path, what: str, value: object, says: str) -> None:
    out = tmp_path / "out"
    half_done(out)
    before = remains(out)
    with pytest.raises(OutputError, match=rf"out: was made otherwise \({says}\)"):
        OutputFolder(out, {**RUN, what: value}, "resume")
    assert remains(out) == [name for name in before if name != "_lock"]
    assert list(OutputFolder(out, RUN, "resume").earlier) == [str(ONE)]


def test_settings_that_change_no_output_may_differ() -> None:
    other = {**RUN, "settings": {**RUN["settings"], "min_attributed": 0.5, "on_error": "skip"}}
    assert difference(RUN, other) == ""


# --- one run a folder -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["new", "overwrite", "resume", "incremental"])
def test_two_runs_into_one_folder_do_not_mix(tmp_path: Path, mode: Literal["new", "overwrite", "resume", "incremental"]) -> None:
    out = tmp_path / "out"
    folder = OutputFolder(out, RUN)
    write(folder, ONE)
    with pytest.raises(OutputError, match=rf"out: another run writes into it \(process {os.getpid()}\); wait for it"):
        OutputFolder(out, RUN, mode)
    assert remains(out) == ["_lock", "_unfinished.jsonl", "a.parquet"]
    folder.finish([b"{}"])
    assert remains(out) == ["_manifest.json", "a.parquet"]


def test_one_of_many_gets_the_lock(tmp_path: Path) -> None:
    """Taken and released by many threads at once: never two at a time, also while the file goes and comes."""
    holders, most, taken = 0, 0, 0
    guard = threading.Lock()

    def use() -> None:
        nonlocal holders, most, taken
        for _ in range(200):
            try:
                lock = FolderLock(tmp_path)
            except OutputError:
                continue
            with guard:
                holders += 1
                most, taken = max(most, holders), taken + 1
            with guard:
                holders -= 1
            lock.release()

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert taken > 0
    assert remains(tmp_path) == []


def test_a_dead_runs_lock_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "_lock").write_text("1\n")
    folder = OutputFolder(tmp_path, RUN)
    write(folder, ONE)
    folder.finish([b"{}"])
    assert remains(tmp_path) == ["_manifest.json", "a.parquet"]


def test_a_lock_among_other_files_makes_them_no_output(tmp_path: Path) -> None:
    for name in ("_lock", "mine"):
        (tmp_path / name).write_text("mine")
    with pytest.raises(OutputError, match="holds other files; name a new or empty folder"):
        OutputFolder(tmp_path, RUN, "overwrite")
    assert (tmp_path / "mine").exists()

"""An output folder: whole or not at all, and never over other people's files."""

import json
import threading
from pathlib import Path, PurePosixPath

import pytest

from fastroute.errors import OutputError
from fastroute.io.outputs import OutputFolder

ONE, TWO = PurePosixPath("a.parquet"), PurePosixPath("hour=01/b c.parquet")


def remains(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def write(folder: OutputFolder, relative: PurePosixPath, content: str = "x") -> None:
    folder.begin(relative).write_text(content)
    folder.publish(relative)


def finished(path: Path) -> Path:
    folder = OutputFolder(path, [ONE, TWO])
    for relative in (ONE, TWO):
        write(folder, relative)
    folder.finish({"files": [{"output": str(relative)} for relative in (ONE, TWO)]})
    return path


def test_finished_run(tmp_path: Path) -> None:
    out = finished(tmp_path / "deep" / "out")
    assert remains(out) == ["_manifest.json", "a.parquet", "hour=01", "hour=01/b c.parquet"]
    assert json.loads((out / "_manifest.json").read_text())["files"][0] == {"output": "a.parquet"}


def test_file_appears_only_when_published(tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path / "out", [ONE])
    folder.begin(ONE).write_text("half")
    assert not (tmp_path / "out" / "a.parquet").exists()
    assert (tmp_path / "out" / "_unfinished.json").exists()
    folder.publish(ONE)
    assert (tmp_path / "out" / "a.parquet").read_text() == "half"


@pytest.mark.parametrize("exists", [False, True])
def test_abandoned_run_leaves_what_was_there_before(tmp_path: Path, exists: bool) -> None:
    out = tmp_path / "deep" / "out"
    if exists:
        out.mkdir(parents=True)
    folder = OutputFolder(out, [ONE, TWO])
    write(folder, TWO)
    folder.begin(ONE).write_text("half")
    folder.abandon()
    assert remains(tmp_path) == (["deep", "deep/out"] if exists else [])


def test_abandoned_run_of_many_threads(tmp_path: Path) -> None:
    """Whoever made a folder, and whenever its making was noted, it goes."""
    for attempt in range(30):
        folder = OutputFolder(tmp_path / "out", [])
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
    folder = OutputFolder(out, [ONE], overwrite=True)
    assert remains(out) == ["_unfinished.json"]
    folder.abandon()
    assert remains(out) == []


def test_unfinished_run_with_half_written_files_is_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    folder = OutputFolder(out, [ONE, TWO])
    write(folder, ONE)
    folder.begin(TWO).write_text("half")
    with pytest.raises(OutputError, match=r"holds an output of fastroute that was not finished"):
        OutputFolder(out, [ONE])
    OutputFolder(out, [ONE], overwrite=True)
    assert remains(out) == ["_unfinished.json"]


@pytest.mark.parametrize(
    "listing", ["{}", "[", '{"files": [1]}', '{"files": null}', '{"files": ["a.parquet", "../../x"]}', '{"files": ["/etc/passwd"]}']
)
def test_damaged_listing_removes_nothing(tmp_path: Path, listing: str) -> None:
    out = finished(tmp_path / "out")
    (out / "_manifest.json").write_text(listing)
    before = remains(tmp_path)
    with pytest.raises(OutputError, match=r"empty the folder by hand"):
        OutputFolder(out, [ONE], overwrite=True)
    assert remains(tmp_path) == before


def test_what_stands_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match=r"file: is a file; name a folder"):
        OutputFolder(tmp_path / "file", [ONE])
    with pytest.raises(OutputError, match=r"cannot be written: Not a directory"):
        OutputFolder(tmp_path / "file" / "out", [ONE])
    with pytest.raises(OutputError, match=r"holds other files; name a new or empty folder"):
        OutputFolder(tmp_path, [ONE], overwrite=True)
    assert remains(tmp_path) == ["file"]

"""The folder that `generate` leaves: complete, repeatable, and nothing at all when it fails."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fastroute.errors import FastrouteError, OutputError
from fastroute.synth import generate
from fastroute.synth.ids import Ids


def _hashes(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def test_same_seed_gives_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        generate(tmp_path / name, nodes=3, pods=30, records=3000, seed=7)
    assert _hashes(tmp_path / "one") == _hashes(tmp_path / "two")


def test_another_seed_gives_other_bytes(tmp_path: Path) -> None:
    generate(tmp_path / "one", nodes=3, pods=30, records=500, seed=7)
    generate(tmp_path / "two", nodes=3, pods=30, records=500, seed=8)
    assert _hashes(tmp_path / "one") != _hashes(tmp_path / "two")


def test_every_log_has_a_truth_of_the_same_length(tmp_path: Path) -> None:
    result = generate(tmp_path / "out", nodes=4, pods=60, records=5000)
    logs = sorted(path.relative_to(result.logs) for path in result.logs.rglob("*.parquet"))
    truths = sorted(path.relative_to(result.truth) for path in result.truth.rglob("*.parquet"))
    assert [path.with_name(path.name + ".truth.parquet") for path in logs] == truths
    lengths = [pq.ParquetFile(result.logs / path).metadata.num_rows for path in logs]
    assert lengths == [pq.ParquetFile(result.truth / path).metadata.num_rows for path in truths]
    assert sum(lengths) == result.records == 5000
    assert result.files == len(logs)


def test_a_folder_with_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(OutputError, match="holds other files"):
        generate(tmp_path, nodes=2, pods=20, records=100)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    result = generate(tmp_path / "out", nodes=2, pods=20, records=100)
    assert sorted(path.name for path in result.folder.iterdir()) == ["logs", "snapshot", "truth"]


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", no_space)
    with pytest.raises(OutputError, match="No space left"):
        generate(tmp_path / "out", nodes=2, pods=20, records=100)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"nodes": 2, "pods": 4, "records": 10}, "too few"),
        ({"nodes": 0, "pods": 40, "records": 10}, "too few"),
        ({"nodes": 1, "pods": 5000, "records": 10}, "ask for more nodes"),
        ({"nodes": 2, "pods": 20, "records": 0}, "at least 1"),
        ({"nodes": 2, "pods": 20, "records": 10, "mode": "magic"}, "one of secondary"),
        ({"nodes": 2, "pods": 20, "records": 10, "exclude_snat_cidrs": ["10.0.0.1/8"]}, "host bits"),
    ],
)
def test_impossible_numbers_are_named_and_leave_nothing(tmp_path: Path, arguments: dict[str, object], words: str) -> None:
    with pytest.raises(FastrouteError, match=words) as caught:
        generate(tmp_path / "out", **arguments)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_progress_ends_at_the_total(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    generate(tmp_path / "out", nodes=2, pods=20, records=2000, progress=lambda *step: seen.append(step))
    assert ("snapshot", 1, 1) in seen
    assert seen[-1] == ("flow logs", 2000, 2000)


def test_invented_suffixes_never_repeat() -> None:
    ids = Ids(random.Random(1))
    assert len({ids.suffix(2) for _ in range(700)}) == 700

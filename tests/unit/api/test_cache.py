"""What a folder was compiled to is kept by what the folder holds: found when nothing changed, made anew when anything did."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fastroute.api import Snapshot, load
from fastroute.io import cache as cache_module
from fastroute.io.cache import SnapshotCache, cache_folder
from fastroute.synth import generate

OLD_NS = 1_700_000_000 * 10**9


@pytest.fixture(name="made", scope="module")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("cached") / "account", nodes=4, pods=40, records=100, seed=9).snapshot


@pytest.fixture(name="folder")
def _folder(made: Path, tmp_path: Path) -> Path:
    """A snapshot of which nothing was changed in the last seconds, as far as the cache can tell."""
    copy = tmp_path / "snapshot"
    shutil.copytree(made, copy)
    return copy


@pytest.fixture(name="cache")
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FASTROUTE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(cache_module, "_SETTLED_NS", -1)  # files made just now count as settled
    return tmp_path / "cache"


@pytest.fixture(name="reads")
def _reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that were read."""
    from fastroute.io import snapshot as snapshot_module

    read, reads = snapshot_module.read_snapshot, []

    def counting(path: Path, progress: object = None) -> object:
        reads.append(path)
        return read(path)

    monkeypatch.setattr(snapshot_module, "read_snapshot", counting)
    return reads


@pytest.fixture(name="compilations")
def _compilations(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    from fastroute.api import snapshot as snapshot_module

    compile_topology, calls = snapshot_module.compile_topology, []

    def counting(topology: object, *more: object) -> object:
        calls.append(topology)
        return compile_topology(topology, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(snapshot_module, "compile_topology", counting)
    return calls


def entries(cache: Path) -> list[Path]:
    return sorted(cache.glob("*.snapshot"))


def rewrite(path: Path, old: bytes, new: bytes) -> None:
    """Change a file's content and nothing that `ls` shows."""
    assert len(old) == len(new)
    content, times = path.read_bytes(), path.stat()
    assert old in content
    path.write_bytes(content.replace(old, new))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_second_load_neither_reads_nor_compiles(folder: Path, cache: Path, reads: list[Path], compilations: list[object]) -> None:
    first = load(folder)
    pods = [key for key, pod in first.topology.pods.items() if pod.holds_address][:5]
    answers = first.compile().pairs(pods, ["8.8.8.8"], columns=["all"]).read_all()
    second = load(folder)
    assert second.compile().pairs(pods, ["8.8.8.8"], columns=["all"]).read_all() == answers
    assert (second.topology, second.report, second.missing) == (first.topology, first.report, first.missing)
    assert second.compile().describe() == first.compile().describe()
    assert (len(reads), len(compilations)) == (1, 1)
    assert len(entries(cache)) == 1


def test_what_was_only_read_is_kept_too(folder: Path, cache: Path, reads: list[Path], compilations: list[object]) -> None:
    pod = next(key for key, each in load(folder).topology.pods.items() if each.holds_address and not each.is_host_network)
    assert load(folder).whois(pod).found["k8s_pod"] == pod.partition("/")[2]
    assert (len(reads), len(compilations)) == (1, 0)
    load(folder).compile()
    load(folder).compile()
    assert (len(reads), len(compilations)) == (1, 1)


@pytest.mark.usefixtures("cache")
def test_any_change_is_seen(folder: Path, reads: list[Path]) -> None:
    pods = next(path for path in folder.rglob("*.json") if b'"Running"' in path.read_bytes())
    before = load(folder).topology
    changes = [
        lambda: rewrite(pods, b'"Running"', b'"running"'),
        lambda: (folder / "aws" / "more.json").write_text('{"Vpcs": []}'),
        lambda: (folder / "aws" / "more.json").rename(folder / "aws" / "renamed.json"),
        lambda: (folder / "captured_at").write_text("2026-01-31T12:00:00Z"),
        (folder / "aws" / "renamed.json").unlink,
    ]
    for number, change in enumerate(changes, 2):
        change()
        load(folder)
        assert len(reads) == number
    assert load(folder).topology.captured_at == "2026-01-31T12:00:00Z" != before.captured_at
    assert len(reads) == 1 + len(changes)


@pytest.mark.usefixtures("cache")
def test_content_counts_not_the_place(folder: Path, reads: list[Path], tmp_path: Path) -> None:
    load(folder)
    shutil.copytree(folder, tmp_path / "elsewhere")
    found = load(tmp_path / "elsewhere")
    assert found.compile().describe()["path"] == str(tmp_path / "elsewhere")
    assert len(reads) == 1


@pytest.mark.usefixtures("cache")
def test_without_a_time_file_the_files_time_is_content(folder: Path, reads: list[Path]) -> None:
    (folder / "captured_at").unlink(missing_ok=True)
    for path in (path for path in folder.rglob("*") if path.is_file()):
        os.utime(path, ns=(OLD_NS, OLD_NS))
    assert load(folder).topology.captured_at == "2023-11-14T22:13:20Z"
    os.utime(next(folder.rglob("*.json")), ns=(OLD_NS + 10**9, OLD_NS + 10**9))
    assert load(folder).topology.captured_at == "2023-11-14T22:13:21Z"
    assert len(reads) == 2


def test_a_look_at_what_may_still_change_is_not_kept(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "_SETTLED_NS", 10**12)
    load(folder)
    assert not list(cache.glob("*.seen"))
    monkeypatch.setattr(cache_module, "_SETTLED_NS", -1)
    load(folder)
    assert len(list(cache.glob("*.seen"))) == 1


def test_a_folder_that_changes_while_it_is_read_is_not_kept(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastroute.io import snapshot as snapshot_module

    read = snapshot_module.read_snapshot

    def meddling(path: Path, progress: object = None) -> object:
        found = read(path)
        (folder / "aws" / "late.json").write_text('{"Vpcs": []}')
        return found

    monkeypatch.setattr(snapshot_module, "read_snapshot", meddling)
    load(folder).compile()
    assert not entries(cache)


@pytest.mark.parametrize("where", [0, 12, 20, 40, -1, 0.3, 0.5, 0.9])
def test_a_damaged_entry_is_made_anew(where: float, folder: Path, cache: Path, reads: list[Path]) -> None:
    topology = load(folder).topology
    load(folder).compile()
    (entry,) = entries(cache)
    whole = entry.read_bytes()
    at = int(where * len(whole)) if isinstance(where, float) else where
    damaged = bytearray(whole)
    damaged[at] ^= 0xFF
    entry.write_bytes(damaged)
    assert load(folder).topology == topology
    load(folder).compile()
    # A byte between two arrays may be anything; all others count.
    assert entry.read_bytes() == whole or len(reads) == 1


@pytest.mark.parametrize("length", [0, 10, 1000])
def test_a_truncated_entry_is_made_anew(length: int, folder: Path, cache: Path, reads: list[Path]) -> None:
    load(folder)
    (entry,) = entries(cache)
    entry.write_bytes(entry.read_bytes()[:length])
    load(folder)
    load(folder)
    assert len(reads) == 2


def test_a_damaged_look_is_made_anew(folder: Path, cache: Path, reads: list[Path]) -> None:
    load(folder)
    (seen,) = cache.glob("*.seen")
    for content in (b"", b"../../etc/passwd", b"\xff\xfe", b"0" * 64):
        seen.write_bytes(content)
        load(folder)
    # The last one is well formed, and names an entry that is not there.
    assert len(reads) == 2


def test_no_cache(folder: Path, cache: Path, reads: list[Path]) -> None:
    for _ in range(2):
        load(folder, cache=False).compile()
    assert len(reads) == 2
    assert not cache.exists()


def test_an_unusable_folder_is_said_once_and_done_without(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FASTROUTE_CACHE_DIR", str(tmp_path / "file" / "cache"))
    with caplog.at_level(logging.INFO, "fastroute.cache"):
        for _ in range(2):
            assert load(folder).compile().describe()["nodes"] == 4
    assert len(caplog.records) == 1
    assert "compiled snapshots are not kept" in caplog.text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder_is_done_without(folder: Path, cache: Path) -> None:
    cache.mkdir(mode=0o500)
    assert load(folder).compile().describe()["nodes"] == 4
    assert not entries(cache)


def test_old_and_too_many_entries_go(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(folder)
    (entry,) = entries(cache)
    now = time.time()
    for name, days in (("a.snapshot", 31), ("b.snapshot", 2), ("c.snapshot", 1), ("d.seen", 31), (".e.partial", 2), ("notes.txt", 99)):
        (cache / name).write_bytes(entry.read_bytes())
        os.utime(cache / name, (now - days * 86_400,) * 2)
    monkeypatch.setattr(cache_module, "MAX_BYTES", int(2.5 * entry.stat().st_size))
    SnapshotCache(cache).prune()
    kept = {path.name for path in cache.iterdir()}
    assert {"c.snapshot", "notes.txt", entry.name} <= kept
    assert not {"a.snapshot", "b.snapshot", "d.seen", ".e.partial"} & kept


def test_edits_of_the_code_count(folder: Path, reads: list[Path], cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(folder)
    monkeypatch.setattr(cache_module, "_maker", lambda: "another version")
    load(folder)
    assert len(reads) == 2
    assert len(entries(cache)) == 2


def test_processes_share_the_folder(folder: Path, cache: Path) -> None:
    code = "import sys; from fastroute.api import load; print(load(sys.argv[1]).compile().describe()['pods'])"

    def run(_: int) -> str:
        done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    with ThreadPoolExecutor(4) as pool:
        outputs = set(pool.map(run, range(4)))
    assert outputs == {f"{len(load(folder).topology.pods)}\n"}
    assert len(entries(cache)) == 1
    assert not [path for path in cache.iterdir() if path.name.startswith(".")]


def test_a_warm_start_loads_no_reader(folder: Path, cache: Path) -> None:
    load(folder).compile()
    code = (
        "import sys; import fastroute; engine = fastroute.load(sys.argv[1]).compile(); import fastroute.jobs.route;"
        "print(sorted(name for name in sys.modules if name.startswith(('fastroute.io.a', 'fastroute.io.k', 'fastroute.io.ip'))))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout == "['fastroute.io.attempt']\n"
    assert len(entries(cache)) == 1


@pytest.mark.parametrize(
    ("platform", "variables", "folder"),
    [
        ("linux", {"XDG_CACHE_HOME": "/x/cache"}, "/x/cache/fastroute"),
        ("linux", {"XDG_CACHE_HOME": "", "HOME": "/home/a"}, "/home/a/.cache/fastroute"),
        ("darwin", {"HOME": "/Users/a"}, "/Users/a/Library/Caches/fastroute"),
        ("win32", {"LOCALAPPDATA": "/c/Local"}, "/c/Local/fastroute"),
        ("linux", {"FASTROUTE_CACHE_DIR": "/y", "XDG_CACHE_HOME": "/x"}, "/y"),
    ],
)
def test_place_of_the_cache(platform: str, variables: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTROUTE_CACHE_DIR", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert cache_folder() == Path(folder)


def test_a_snapshot_made_in_python_has_no_entry(cache: Path) -> None:
    from tests.zoo import everything

    Snapshot(everything()).compile()
    assert not cache.exists()

"""Runs that are killed, fail, are added to, or go on without a file: what is in the folder then, and after the next run."""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fastroute.api import Snapshot
from fastroute.errors import InputError, OutputError
from fastroute.jobs import run as of_run
from fastroute.jobs.route import fingerprint, route_files
from fastroute.synth import SynthResult

NUM_FILES = 24


@pytest.fixture(scope="module")
def logs(made: SynthResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The account's logs cut into many files of several row groups, in folders by hour."""
    folder = tmp_path_factory.mktemp("many") / "logs"
    table = pa.concat_tables(pq.read_table(path) for path in sorted(made.logs.glob("**/*.parquet")))
    rows = table.num_rows // NUM_FILES
    for i in range(NUM_FILES):
        path = folder / f"hour={i % 5:02}" / f"log {i}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table.slice(i * rows, rows), path, row_group_size=200)
    return folder


@pytest.fixture(scope="module")
def undisturbed(logs: Path, snapshot: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    route_files(logs, snapshot, out, threads=1)
    return contents(out)


def contents(out: Path) -> dict[str, bytes]:
    """Every file of a folder; the manifest without what differs between runs."""
    files = {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    if "_manifest.json" in files:
        manifest = json.loads(files["_manifest.json"])
        del manifest["run"]
        files["_manifest.json"] = json.dumps(manifest).encode()
    return files


def manifest_of(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "_manifest.json").read_text())
    return found


def unfinished(out: Path) -> list[str]:
    return sorted(name for name in contents(out) if name.endswith(".partial") or name in {"_lock", "_unfinished.jsonl"})


# --- killed ---------------------------------------------------------------------------------------------------------------------------

RUN = """
import os, signal, sys
from fastroute.api import Snapshot
from fastroute.jobs.route import route_files

snapshot = Snapshot.load(sys.argv[2])
# Once before, so that all is imported and compiled.
route_files([sys.argv[1] + "/hour=00/log 0.parquet"], snapshot, sys.argv[3] + ".warm", overwrite=True)
last, steps = int(sys.argv[5]), 0
events = set(sys.argv[6].split())


def step(event, arguments):
    global steps
    if event in events:
        steps += 1
        if steps == last:
            os.kill(os.getpid(), signal.SIGKILL)


print("begins", flush=True)
sys.addaudithook(step)
route_files([sys.argv[1]], snapshot, sys.argv[3], resume=True, threads=int(sys.argv[4]))
print(steps, flush=True)
"""


STEPS = "open os.rename os.remove os.mkdir os.rmdir os.truncate"
"""The moments between which a folder looks different."""


def start(logs: Path, made: SynthResult, out: Path, threads: int, last_step: int = 0, steps: str = STEPS) -> subprocess.Popen[bytes]:
    """Begin a run, up to where it begins to write; it kills itself right before a step, if one is given."""
    command = [sys.executable, "-c", RUN, logs, made.snapshot, out, str(threads), str(last_step), steps]
    run = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert run.stdout is not None
    assert run.stdout.readline() == b"begins\n"
    return run


def campaign(kills: int, seed: int, logs: Path, made: SynthResult, snapshot: Snapshot, out: Path, want: dict[str, bytes]) -> int:
    """Kill runs at random moments and steps and go on with each; how many were killed with some files finished and others not."""
    chance = random.Random(seed)
    with start(logs, made, out, 2) as run:
        began = time.monotonic()
        assert run.stdout is not None
        steps = int(run.stdout.readline())
        whole = time.monotonic() - began
    assert contents(out) == want
    shutil.rmtree(out)
    halfway = 0
    for number in range(kills):
        at_step, wait = (chance.randint(1, steps), whole) if number % 2 else (0, chance.uniform(0, whole))
        with start(logs, made, out, chance.choice([1, 2]), at_step) as run:
            time.sleep(0 if at_step else wait)
            if not at_step:
                run.send_signal(signal.SIGKILL)
        where = (seed, number, at_step, wait)
        left = contents(out)
        if (out / "_manifest.json").exists() and "_unfinished.jsonl" not in left:  # too late
            left.pop("_lock", None)  # killed right before its removal; nobody holds it
            assert left == want, where
            shutil.rmtree(out)
            continue
        routed = [name for name in left if name.endswith(".parquet") and not name.startswith("_paths")]
        assert all(left[name] == want[name] for name in routed), where
        halfway += 0 < len(routed) < NUM_FILES
        if chance.random() < 0.7:  # else the next run goes on with this one, and is killed too
            manifest = route_files(logs, snapshot, out, resume=True, threads=chance.choice([1, 2]))
            assert contents(out) == want, where
            assert len(routed) - 2 <= manifest.run["files_kept"] <= len(routed), where  # a thread may have renamed and not yet noted
            shutil.rmtree(out)
    return halfway


def test_killed_at_random_moments_and_gone_on_with(
    logs: Path, made: SynthResult, snapshot: Snapshot, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    assert campaign(6, 7, logs, made, snapshot, tmp_path / "out", undisturbed) >= 2


@pytest.mark.slow
def test_killed_at_fifty_random_moments_and_gone_on_with(
    logs: Path, made: SynthResult, snapshot: Snapshot, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    seed = random.randrange(1 << 30)
    assert campaign(50, seed, logs, made, snapshot, tmp_path / "out", undisturbed) >= 15, seed


@pytest.fixture(scope="module")
def killed(logs: Path, made: SynthResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was killed when it had given seven outputs their names."""
    out = tmp_path_factory.mktemp("killed") / "out"
    with start(logs, made, out, 1, 8, "os.rename") as run:
        pass
    assert run.returncode == -signal.SIGKILL
    assert len(outputs(out)) == 7
    return out


def outputs(out: Path) -> list[str]:
    return sorted(name for name in contents(out) if name.endswith(".parquet") and not name.startswith("_paths"))


def test_finished_files_are_kept_and_only_they(
    logs: Path, killed: Path, snapshot: Snapshot, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    out = Path(shutil.copytree(killed, tmp_path / "out"))
    routed = outputs(out)
    cut = routed[0]
    (out / cut).write_bytes(undisturbed[cut][:-1])
    times = {name: (out / name).stat().st_mtime_ns for name in routed}
    calls: list[int] = []
    manifest = route_files(logs, snapshot, out, resume=True, progress=lambda _stage, done, total: calls.append(total))
    again = {name for name in routed if (out / name).stat().st_mtime_ns != times[name]}
    assert again == {cut}
    assert manifest.run["files_kept"] == 6
    assert set(calls) == {manifest.records * (NUM_FILES - 6) // NUM_FILES}
    assert contents(out) == undisturbed


def test_a_changed_or_vanished_input_of_a_killed_run_is_as_if_it_had_always_been_so(
    logs: Path, killed: Path, snapshot: Snapshot, tmp_path: Path
) -> None:
    mine, out = Path(shutil.copytree(logs, tmp_path / "logs")), Path(shutil.copytree(killed, tmp_path / "out"))
    changed, vanished, touched, *_ = outputs(out)
    pq.write_table(pq.read_table(mine / changed).slice(10), mine / changed)
    (mine / vanished).unlink()
    os.utime(mine / touched, ns=(1, 1))
    touched_at = (out / touched).stat().st_mtime_ns
    manifest = route_files(mine, snapshot, out, resume=True)
    assert manifest.run["changed"] == [str(mine / changed)]
    assert (out / touched).stat().st_mtime_ns == touched_at
    route_files(mine, snapshot, tmp_path / "afresh")
    assert contents(out) == contents(tmp_path / "afresh")


def test_what_is_not_as_it_was_is_not_gone_on_with(logs: Path, made: SynthResult, killed: Path, snapshot: Snapshot, tmp_path: Path) -> None:
    out = Path(shutil.copytree(killed, tmp_path / "out"))
    before = contents(out)
    for other in ({"columns": ["form"]}, {"write": "encode"}):
        with pytest.raises(OutputError, match=r"was made otherwise \((columns|write) "):
            route_files(logs, snapshot, out, resume=True, **other)  # type: ignore[arg-type]
    shutil.copytree(made.snapshot, tmp_path / "snapshot")
    pods = tmp_path / "snapshot" / "kubernetes" / "pods.json"
    found = json.loads(pods.read_text())
    del found["items"][-1]
    pods.write_text(json.dumps(found))
    with pytest.raises(OutputError, match=r"was made otherwise \(from another snapshot\)"):
        route_files(logs, Snapshot.load(tmp_path / "snapshot"), out, resume=True)
    del before["_lock"]
    assert contents(out) == before


def test_the_same_snapshot_elsewhere_is_the_same(made: SynthResult, snapshot: Snapshot, tmp_path: Path) -> None:
    shutil.copytree(made.snapshot, tmp_path / "snapshot")
    code = "import sys; from fastroute.api import Snapshot; from fastroute.jobs.route import fingerprint as f; "
    code += "print(f(Snapshot.load(sys.argv[1]).compile()))"
    command = [sys.executable, "-c", code, tmp_path / "snapshot"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": "7"}).stdout
    assert told.strip() == fingerprint(snapshot.compile())


def test_resuming_what_is_not_there_or_finished(logs: Path, snapshot: Snapshot, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    route_files(logs, snapshot, tmp_path / "out", resume=True)
    assert contents(tmp_path / "out") == undisturbed
    with pytest.raises(OutputError, match=r"holds an earlier output of fastroute; .*--incremental"):
        route_files(logs, snapshot, tmp_path / "out", resume=True)
    with pytest.raises(InputError, match=r"overwrite and resume: one of them"):
        route_files(logs, snapshot, tmp_path / "out", resume=True, overwrite=True)


def test_an_interrupted_run_that_may_be_resumed_leaves_what_is_finished(
    logs: Path, made: SynthResult, snapshot: Snapshot, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with start(logs, made, out, 2) as run:
        while len(outputs(out)) < 3:
            time.sleep(0.005)
        run.send_signal(signal.SIGINT)
    assert run.returncode != 0
    assert unfinished(out) == ["_unfinished.jsonl"]
    manifest = route_files(logs, snapshot, out, resume=True)
    assert manifest.run["files_kept"] >= 2
    assert contents(out) == undisturbed


# --- full disk, permissions -----------------------------------------------------------------------------------------------------------


@contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    """Stands in for a full disk: writes fail half-way in the same place."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("limit", [0, 100, 5_000, None])
def test_a_full_disk_and_room_again(
    logs: Path, snapshot: Snapshot, undisturbed: dict[str, bytes], tmp_path: Path, limit: int | None
) -> None:
    """In the journal's first line, in the first routed file, in a later one."""
    is_later = limit is None
    if limit is None:
        limit = max(len(content) for name, content in undisturbed.items() if name.startswith("hour=00/log 1"))
    out = tmp_path / "out"
    with file_size_limit(limit), pytest.raises(OutputError, match=r"out.*: cannot be written: .*(left behind|--resume goes on)"):
        route_files(logs, snapshot, out, resume=True, threads=1)
    assert out.exists() == is_later
    assert unfinished(out) == (["_unfinished.jsonl"] if out.exists() else [])
    route_files(logs, snapshot, out, resume=True)
    assert contents(out) == undisturbed


AS_NOBODY = """
import os, sys
from fastroute.api import Snapshot
from fastroute.jobs.route import route_files

logs, snapshot, warm, *outs = sys.argv[1:]
snapshot = Snapshot.load(snapshot)
route_files([logs], snapshot, warm, on_error="skip")  # all is imported and compiled
os.setgid(65534)
os.setuid(65534)
for out in outs:
    try:
        found = route_files([logs], snapshot, out.partition("?")[0], on_error="skip" if out.endswith("?skip") else "stop")
        print([skipped.reason for skipped in found.skipped])
    except (OSError, ValueError) as error:
        print(error)
"""


@pytest.fixture(name="open_folder")
def _open_folder() -> Iterator[Path]:
    """Not below pytest's own folder, which is root's alone."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="root lays out the folders and becomes nobody")
def test_permissions(logs: Path, made: SynthResult, open_folder: Path) -> None:
    place = open_folder
    mine = place / "logs"
    mine.mkdir()
    for path in list(logs.glob("**/*.parquet"))[:2]:
        shutil.copy(path, mine / path.name)
    first, second = sorted(mine.iterdir())
    second.chmod(0)
    (place / "empty").mkdir()
    (place / "open").mkdir()
    (place / "open").chmod(0o777)
    outs = [place / "closed", place / "empty", place / "open" / "a", f"{place / 'open' / 'b'}?skip"]
    command = [sys.executable, "-c", AS_NOBODY, mine, made.snapshot, place / "warm", *outs]
    closed, empty, stopped, skipping = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert closed == f"{second}: cannot be read: Permission denied"
    assert closed == empty == stopped
    assert skipping == f"['{second}: cannot be read: Permission denied']"
    assert not (place / "open" / "a").exists()
    assert [entry["source"] for entry in manifest_of(place / "open" / "b")["files"]] == [str(first)]
    second.chmod(0o644)
    command = [sys.executable, "-c", AS_NOBODY, mine, made.snapshot, place / "warm again", *outs[:3]]
    closed, empty, done = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert closed.startswith(f"{place / 'closed'}: cannot be written: Permission denied; nothing was left behind")
    assert empty.startswith(f"{place / 'empty'}: cannot be written: Permission denied; nothing was left behind")
    assert done == "[]"
    mine.chmod(0o755)


# --- going on without a file ----------------------------------------------------------------------------------------------------------


def breakages(whole: bytes, chance: random.Random) -> Iterator[tuple[str, bytes]]:
    yield "empty", b""
    yield "no Parquet", b"hello"
    yield "truncated", whole[: len(whole) // 2]
    yield "its beginning is gone", whole[100:]
    yield "pages overwritten", whole[:4] + bytes(len(whole) // 2) + whole[4 + len(whole) // 2 :]
    for _ in range(12):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 30)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        yield "random bytes", bytes(damaged)


@pytest.mark.parametrize("write", ["auto", "encode"])
def test_broken_files_are_left_out_and_named(
    logs: Path, snapshot: Snapshot, undisturbed: dict[str, bytes], tmp_path: Path, write: str
) -> None:
    """Random damage may go unseen, as pages carry no checksum: then the file is routed. Nothing else may be touched by it."""
    mine, out = Path(shutil.copytree(logs, tmp_path / "logs")), tmp_path / "out"
    paths = sorted(mine.glob("**/*.parquet"))
    sure = set()
    for path, (kind, content) in zip(paths, breakages(paths[0].read_bytes(), random.Random(5)), strict=False):
        path.write_bytes(content)
        sure |= {str(path)} if kind != "random bytes" else set()
    with pytest.raises(InputError):
        route_files(mine, snapshot, out, write=write)
    assert not out.exists()
    manifest = route_files(mine, snapshot, out, write=write, on_error="skip", threads=2)
    skipped = {each.source for each in manifest.skipped}
    assert sure <= skipped
    assert manifest.is_incomplete
    assert skipped | {entry.source for entry in manifest.files} == {str(path) for path in paths}
    assert not skipped & {entry.source for entry in manifest.files}
    for each in manifest.skipped:
        assert each.reason.startswith(each.source)
        assert each.bytes == Path(each.source).stat().st_size
    assert outputs(out) == sorted(entry.output for entry in manifest.files)
    assert unfinished(out) == []
    assert manifest.records == sum(entry.records for entry in manifest.files)
    for path in paths[17:]:
        name = str(path.relative_to(mine))
        assert pq.read_table(out / name).num_rows == pq.read_metadata(logs / name).num_rows
        if write == "auto":
            assert (out / name).read_bytes() == undisturbed[name]


def test_a_file_that_breaks_half_way_leaves_no_trace(
    logs: Path, snapshot: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastroute.io.flowlogs.CHUNK_ROWS", 200)
    table = pq.read_table(sorted(logs.glob("**/*.parquet"))[0])
    mine = tmp_path / "logs" / "year=2026"
    mine.mkdir(parents=True)
    addresses = table["pkt_srcaddr"].to_pylist()
    addresses[-1] = "10.0.0.300"
    pq.write_table(
        table.set_column(table.column_names.index("pkt_srcaddr"), "pkt_srcaddr", pa.array(addresses)),
        mine / "a.parquet",
        row_group_size=200,
    )
    pq.write_table(table, mine.parent / "b.parquet", row_group_size=200)
    for threads in (1, 2):
        out = tmp_path / f"out{threads}"
        manifest = route_files(mine.parent, snapshot, out, on_error="skip", threads=threads)
        assert [(each.source, each.records) for each in manifest.skipped] == [(str(mine / "a.parquet"), table.num_rows)]
        assert "row 499 (from 0)" in manifest.skipped[0].reason
        assert manifest.records == table.num_rows
        assert outputs(out) == ["b.parquet"]
        assert manifest_of(out)["skipped"][0]["reason"] == manifest.skipped[0].reason


def test_all_files_broken(logs: Path, snapshot: Snapshot, tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    manifest = route_files(tmp_path / "a.parquet", snapshot, tmp_path / "out", on_error="skip")
    assert (len(manifest.files), len(manifest.skipped), manifest.records, manifest.is_incomplete) == (0, 1, 0, True)
    with pytest.raises(InputError, match="on_error is stop or skip, not 'ignore'"):
        route_files(logs, snapshot, tmp_path / "other", on_error="ignore")


# --- adding ---------------------------------------------------------------------------------------------------------------------------


def test_new_hours_are_added_changed_ones_made_anew_vanished_ones_kept(
    logs: Path, snapshot: Snapshot, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    mine, out = Path(shutil.copytree(logs, tmp_path / "logs")), tmp_path / "out"
    later = Path(shutil.move(mine / "hour=04", tmp_path / "hour=04"))
    first = route_files(mine, snapshot, out, incremental=True)
    before = {name: (out / name).stat().st_mtime_ns for name in outputs(out)}
    shutil.move(later, mine / "hour=04")
    manifest = route_files(mine, snapshot, out, incremental=True)
    assert (manifest.run["files_kept"], manifest.run["changed"], manifest.run["vanished"]) == (len(first.files), [], [])
    assert {name: (out / name).stat().st_mtime_ns for name in before} == before
    assert manifest.account["input"]["records"] == sum(entry.records for entry in manifest.files) > first.records
    fresh = tmp_path / "fresh"
    route_files(mine, snapshot, fresh)
    assert contents(out) == contents(fresh)
    assert {name: content for name, content in contents(out).items() if name != "_manifest.json"} == {
        name: content for name, content in undisturbed.items() if name != "_manifest.json"
    }

    changed, vanished, missing = (mine / name for name in outputs(out)[:3])
    pq.write_table(pq.read_table(changed).slice(7), changed)
    vanished.unlink()
    (out / missing.relative_to(mine)).unlink()
    again = route_files(mine, snapshot, out, incremental=True)
    assert (again.run["changed"], again.run["vanished"]) == ([str(changed)], [str(vanished)])
    assert again.run["files_kept"] == NUM_FILES - 2
    assert again.records == manifest.records - 7
    assert again.run["records_per_second"] > 0
    assert outputs(out) == outputs(fresh)
    assert (out / missing.relative_to(mine)).read_bytes() == undisturbed[str(missing.relative_to(mine))]
    nothing = route_files(mine, snapshot, out, incremental=True)
    assert nothing.run["files_kept"] == NUM_FILES
    assert nothing.account == again.account


def test_a_skipped_file_is_tried_again(logs: Path, snapshot: Snapshot, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    mine, out = Path(shutil.copytree(logs, tmp_path / "logs")), tmp_path / "out"
    path = next(mine.glob("**/*.parquet"))
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    assert len(route_files(mine, snapshot, out, on_error="skip").skipped) == 1
    path.write_bytes(whole)
    manifest = route_files(mine, snapshot, out, incremental=True)
    assert (list(manifest.skipped), manifest.is_incomplete, manifest.run["files_kept"]) == ([], False, NUM_FILES - 1)
    assert {name: content for name, content in contents(out).items() if name != "_manifest.json"} == {
        name: content for name, content in undisturbed.items() if name != "_manifest.json"
    }


def test_a_killed_addition_is_gone_on_with(logs: Path, killed: Path, snapshot: Snapshot, tmp_path: Path) -> None:
    """A changed input's output may be the old or the new one where the run was killed: it is made anew, and its account counts once."""
    mine, out = Path(shutil.copytree(logs, tmp_path / "logs")), tmp_path / "out"
    changed = sorted(mine.glob("**/*.parquet"))[0]
    name = str(changed.relative_to(mine))
    whole = changed.read_bytes()
    pq.write_table(pq.read_table(changed).slice(11), changed)
    route_files(mine, snapshot, out)
    changed.write_bytes(whole)
    header = (killed / "_unfinished.jsonl").read_bytes().split(b"\n")[0]
    begin = json.dumps({"begin": name}).encode()
    (out / "_unfinished.jsonl").write_bytes(header.replace(b'"adds":false', b'"adds":true') + b"\n" + begin + b"\n")
    (out / name).with_name(f".{changed.name}.partial").write_bytes(b"half")
    manifest = route_files(mine, snapshot, out, incremental=True)
    assert manifest.run["files_kept"] == NUM_FILES - 1
    route_files(mine, snapshot, tmp_path / "fresh")
    assert contents(out) == contents(tmp_path / "fresh")


def test_a_log_that_grows_while_it_is_read_is_refused(logs: Path, snapshot: Snapshot, tmp_path: Path) -> None:
    log = Path(shutil.copy(next(logs.glob("**/*.parquet")), tmp_path / "a.parquet"))

    def progress(_stage: str, done: int, _total: int) -> None:
        if done:
            os.utime(log, ns=(1, 1))

    with pytest.raises(InputError, match=r"a.parquet: changed while it was read; route it again when it is complete"):
        route_files(log, snapshot, tmp_path / "out", progress=progress)
    assert not (tmp_path / "out").exists()


# --- names, places, schemas, times ----------------------------------------------------------------------------------------------------


def test_names_with_spaces_and_unicode_and_links(logs: Path, snapshot: Snapshot, tmp_path: Path) -> None:
    one = next(logs.glob("**/*.parquet"))
    mine, out = tmp_path / "die Logs", tmp_path / "größer 大"
    names = ["a b.parquet", "günther/日本 {x}\n'\".parquet", "🦆.parquet", "x" * 230 + ".parquet"]
    for name in names:
        (mine / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(one, mine / name)
    (mine / "link.parquet").symlink_to(one)
    manifest = route_files(mine, snapshot, out, incremental=True)
    assert [entry.output for entry in manifest.files] == sorted([*names, "link.parquet"], key=lambda name: name.split("/"))
    assert route_files(mine, snapshot, out, incremental=True).run["files_kept"] == 5
    bad = Path(os.fsdecode(os.fsencode(mine) + b"/\xff.parquet"))
    shutil.copy(one, bad)
    with pytest.raises(InputError, match=r"xff.parquet'?\"?: its name is not UTF-8"):
        route_files(mine, snapshot, tmp_path / "other")


def test_logs_inside_the_output_are_refused(logs: Path, snapshot: Snapshot, tmp_path: Path) -> None:
    shutil.copytree(logs, tmp_path / "all" / "logs")
    for given in (tmp_path / "all" / "logs", str(tmp_path / "all" / "logs" / "**" / "*.parquet")):
        with pytest.raises(OutputError, match=r"all: logs lie inside of it \(.*hour=00\); name a folder elsewhere"):
            route_files(given, snapshot, tmp_path / "all")


def test_files_of_different_columns_in_one_run(logs: Path, snapshot: Snapshot, tmp_path: Path) -> None:
    """Each output has its own columns; a file that lacks what routing needs is named."""
    table = pq.read_table(next(logs.glob("**/*.parquet")))
    mine = tmp_path / "logs"
    mine.mkdir()
    pq.write_table(table.slice(0, 0), mine / "none.parquet")
    pq.write_table(table.select(["pkt_srcaddr", "pkt_dstaddr"]), mine / "two.parquet")
    pq.write_table(table.drop_columns(["bytes"]).append_column("note", pa.array(range(table.num_rows))), mine / "note.parquet")
    manifest = route_files(mine, snapshot, tmp_path / "out", columns=["form"])
    assert [entry.records for entry in manifest.files] == [0, table.num_rows, table.num_rows]
    assert pq.read_schema(tmp_path / "out" / "two.parquet").names == ["pkt_srcaddr", "pkt_dstaddr", "form"]
    assert pq.read_schema(tmp_path / "out" / "note.parquet").names[-2:] == ["note", "form"]
    assert pq.read_schema(tmp_path / "out" / "none.parquet").names == [*table.column_names, "form"]
    pq.write_table(table.select(["bytes", "action"]), mine / "no addresses.parquet")
    manifest = route_files(mine, snapshot, tmp_path / "other", columns=["form"], on_error="skip")
    assert [each.reason.partition(": flow")[0] for each in manifest.skipped] == [f"{mine / 'no addresses.parquet'}: no address column"]


def test_the_time_zone_changes_nothing(
    logs: Path, snapshot: Snapshot, undisturbed: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        for zone in ("America/St_Johns", "Pacific/Kiritimati"):
            monkeypatch.setenv("TZ", zone)
            time.tzset()
            manifest = route_files(logs, snapshot, tmp_path / zone)
            assert manifest.run["started_at"].endswith("+00:00")
            assert contents(tmp_path / zone) == undisturbed
    finally:
        monkeypatch.undo()
        time.tzset()


def test_files_beyond_the_first_are_opened_in_their_turn(
    logs: Path, snapshot: Snapshot, undisturbed: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_run, "EARLY_FILES", 3)
    opened: list[int] = []
    done = 0

    def progress(_stage: str, records: int, total: int) -> None:
        nonlocal done
        done = records
        assert total == 0

    true_open = of_run.open_flows

    def open_flows(*arguments: Any) -> Any:
        opened.append(done)
        return true_open(*arguments)

    monkeypatch.setattr(of_run, "open_flows", open_flows)
    route_files(logs, snapshot, tmp_path / "out", threads=1, progress=progress)
    assert contents(tmp_path / "out") == undisturbed
    assert opened[:4] == [0, 0, 0, 0] or opened[:3] == [0, 0, 0]
    assert opened[-1] >= 500 * (NUM_FILES - 5)

"""Flow logs enriched beside the peers: `python -m benchmarks.bench_logs [--records N] [--rounds R] [--folder F] [--only WAY ...]`.

Seeded logs of 29 gzip columns are made once, the peers' table of addresses from our own answers, and the answers compared. Then each way
runs in a process of its own, in turn, pinned to one core; ratios are those of CPU times of neighbours in a round. Ours also on two cores.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.peers.enrich import ADDED, CLASSES, NAMES, ours, theirs
from fastroute.synth import generate

PEERS = ["floor", "floor_lean", "script", "polars", "pandas", "duckdb"]
OURS = ["splice", "encode", "splice-default", "splice-all", "encode-default", "encode-all"]
GOALS = [
    ("splice", "floor", 5.0),
    ("splice", "script", 3.5),
    ("splice", "polars", 8.0),
    ("splice", "pandas", 8.0),
    ("splice", "duckdb", 9.0),
    ("encode", "floor_lean", 0.9),
]
TWO_CORES = 1.85
MAX_BYTES = {1: 500e6, 2: 700e6}
ADDRESSES = ["pkt_srcaddr", "pkt_dstaddr"]
COMPARED = 2
"""Files whose answers are compared."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=20_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where logs are made, or lie from an earlier run; else a temporary folder")
    parser.add_argument("--only", nargs="*", default=[*PEERS, *OURS], help="ways to run")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-logs-") as scratch:
        folder = given.folder or Path(scratch, "logs")
        if not (folder / "logs").exists():
            generate(folder, nodes=300, pods=10_000, records=given.records)
        table, out = Path(scratch, "names.parquet"), Path(scratch, "out")
        records = sum(pq.read_metadata(path).num_rows for path in (folder / "logs").rglob("*.parquet"))
        print(f"{records:,} records; answers: ", end="", flush=True)
        print(compare(folder, table, out, [way for way in given.only if way in PEERS and not way.startswith("floor")]), flush=True)
        got = {}
        for number in range(given.rounds):
            for way in given.only:
                got.setdefault((way, 1), []).append(child(way, folder, table, out, 1))
            for way in ("splice", "encode"):
                if way in given.only:
                    got.setdefault((way, 2), []).append(child(way, folder, table, out, 2))
            print(f"round {number + 1} of {given.rounds}", flush=True)
        print(report(got, records))
        if given.json:
            results = [{"way": way, "cores": cores, "rounds": rounds} for (way, cores), rounds in got.items()]
            given.json.write_text(json.dumps({"records": records, "results": results}, indent=1))


def child(way, folder, table, out, cores):
    """One way in a process of its own, on as many cores."""
    allowed = sorted(os.sched_getaffinity(0))[-cores:]
    env = os.environ | {name: str(cores) for name in ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "ARROW_NUM_THREADS", "NUMBA_NUM_THREADS")}
    arguments = [way, folder / "logs", table, folder / "snapshot", out, str(cores)]
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.peers.enrich", *map(str, arguments)],
        env=env,
        check=False,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, allowed),  # the child runs nothing else between fork and exec
    )
    shutil.rmtree(out, ignore_errors=True)
    if ran.returncode:
        raise SystemExit(f"{way} failed on {cores} cores")
    return json.loads(ran.stdout.splitlines()[-1])


# --- answers ----------------------------------------------------------------------------------------------------------------------------


def compare(folder, table, out, peers):
    """Make the peers' table from our answers, and count the records on which a peer and ours agree in the first files."""
    ours("encode", folder / "logs", folder / "snapshot", out, 1)()
    files = sorted((folder / "logs").rglob("*.parquet"))
    routed = [out / "out" / path.relative_to(folder / "logs") for path in files]
    names, shared = known_names(routed)
    pq.write_table(names, table)
    few = Path(tempfile.mkdtemp(dir=out))
    for path in files[:COMPARED]:
        shutil.copy(path, few)
    want = [pq.read_table(routed[files.index(path)], columns=[*ADDED, *ADDRESSES]) for path in files[:COMPARED]]
    told = []
    for way in peers:
        os.environ["POLARS_MAX_THREADS"] = "1"
        target = Path(tempfile.mkdtemp(dir=out))
        theirs(way, few, table, target, 1)()
        got = [pq.read_table(target / "out" / f"{i}.parquet", columns=ADDED) for i in range(COMPARED)]
        told.append(f"{way} {agreement(joined(got), joined(want), shared):.4%}")
    shutil.rmtree(out)
    return ", ".join(told) + " alike (records of addresses with one answer; the class where ours is one of theirs)"


def known_names(routed):
    """Each address that has a name, with the names of most of its records; and those with several: host-network pods go by port."""
    parts = []
    for path in routed:
        for address, names in zip(ADDRESSES, (ADDED[:3], ADDED[3:6]), strict=True):
            part = plain(pq.read_table(path, columns=[address, *names])).rename_columns(["addr", *NAMES])
            parts.append(part.group_by(["addr", *NAMES]).aggregate([([], "count_all")]))
    counts = pa.concat_tables(parts).group_by(["addr", *NAMES]).aggregate([("count_all", "sum")])
    counts = counts.filter(pc.invert(pc.is_in(counts["addr"], pa.array(["", "-", None]))))
    counts = counts.sort_by([("addr", "ascending"), ("count_all_sum", "descending")])
    first = counts.group_by("addr", use_threads=False).aggregate([*((name, "first") for name in NAMES), ([], "count_all")])
    first = first.rename_columns(["addr", *NAMES, "answers"])
    shared = first.filter(pc.greater(first["answers"], 1))["addr"]
    first = first.filter(pc.or_(pc.is_valid(first["pod"]), pc.or_(pc.is_valid(first["node"]), pc.is_valid(first["az_id"]))))
    return first.drop_columns("answers"), shared


def plain(table):
    return pa.table({name: table[name].cast(pa.string()) for name in table.column_names})


def joined(tables):
    return pa.concat_tables(plain(table) for table in tables)


def agreement(got, want, shared):
    """Share of records that are alike, of those whose addresses have one answer."""
    is_shared = pc.or_(*(pc.is_in(want[name], shared) for name in ADDRESSES))
    alike = None
    for name in ADDED:
        same = pc.equal(pc.fill_null(got[name], ""), pc.fill_null(want[name], ""))
        if name == "path_class":
            same = pc.or_(same, pc.invert(pc.is_in(want[name], pa.array(CLASSES))))
        alike = same if alike is None else pc.and_(alike, same)
    return pc.mean(alike.filter(pc.invert(is_shared))).as_py()


# --- the table --------------------------------------------------------------------------------------------------------------------------


def report(got, records):
    lines = [f"{'way':<18}{'cores':>6}{'cpu ns':>9}{'wall ns':>9}{'M/s':>7}{'spread':>8}{'bytes':>7}{'peak MB':>9}"]
    for (way, cores), rounds in got.items():
        cpu, wall = ([run[key] / records * 1e9 for run in rounds] for key in ("cpu", "wall"))
        middle = statistics.median(cpu)
        rate = 1e3 / (middle if cores == 1 else statistics.median(wall))
        peak = max(run["peak"] for run in rounds) / 1e6
        told = f"{middle:>9.0f}{statistics.median(wall):>9.0f}{rate:>7.2f}{(max(cpu) - min(cpu)) / middle:>8.0%}"
        lines.append(f"{way:<18}{cores:>6}{told}{rounds[0]['bytes'] / records:>7.1f}{peak:>9.0f}")
    lines.append("")
    for way, peer, goal in GOALS:
        if (way, 1) in got and (peer, 1) in got:
            ratios = [theirs["cpu"] / ours["cpu"] for ours, theirs in zip(got[way, 1], got[peer, 1], strict=True)]
            lines.append(f"{way} : {peer:<12} {statistics.median(ratios):5.2f} ({min(ratios):.2f} to {max(ratios):.2f}), goal {goal}")
    for way in ("splice", "encode"):
        if (way, 2) in got:
            ratios = [one["wall"] / two["wall"] for one, two in zip(got[way, 1], got[way, 2], strict=True)]
            lines.append(
                f"{way}, two cores : one {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), goal {TWO_CORES}"
            )
    for (way, cores), rounds in got.items():
        peak = max(run["peak"] for run in rounds)
        if way in ("splice", "encode"):
            lines.append(f"{way}, {cores} cores: peak {peak / 1e6:.0f} MB, goal {MAX_BYTES[cores] / 1e6:.0f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

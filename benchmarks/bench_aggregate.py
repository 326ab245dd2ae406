"""Flow logs summed up beside the peers: `python -m benchmarks.bench_aggregate [--records N] [--rounds R] [--folder F] [--only WAY ...]`.

Seeded logs of 29 gzip columns, and the same with most destinations replaced by random addresses of the Internet. Peers know the names of
each address, in a table made of our own answers; answers are compared. Their class is that of the two zones and their namespace that of the
address: of "namespaces, class" they answer a simpler question. Then each way runs in a process of its own, in turn, pinned
to one core; ratios are those of CPU times of neighbours in a round.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.peers.aggregate import COLUMNS, columns_of
from fastroute.synth import generate

WAYS = ["floor", "floor_coded", "floor_needed", "script", "polars", "pandas", "duckdb", "ours"]
JOBS = {"zones": "zone", "nodes": "node", "namespaces, class": "namespace,class", "zones, Internet": "zone"}
INTERNET = "zones, Internet"
GOALS = {"floor": 0.7, "duckdb": 5.0}
INTERNET_GOAL = 3.5
SHARE_OUTSIDE = 0.8


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=20_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where logs are made, or lie from an earlier run; else a temporary folder")
    parser.add_argument("--only", nargs="*", default=WAYS, help="ways to run")
    parser.add_argument("--jobs", nargs="*", default=list(JOBS), help="jobs to run")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory(prefix="bench-aggregate-") as scratch:
        folder = given.folder or Path(scratch, "logs")
        if not (folder / "logs").exists():
            generate(folder, nodes=300, pods=10_000, records=given.records)
        if INTERNET in given.jobs and not (folder / "internet").exists():
            scatter(folder / "logs", folder / "internet")
        table = Path(scratch, "names.parquet")
        pq.write_table(known_names(folder), table)
        for job in given.jobs:
            logs = folder / ("internet" if job == INTERNET else "logs")
            records = sum(pq.read_metadata(path).num_rows for path in logs.rglob("*.parquet"))
            rounds = [
                [child(way, logs, table, folder / "snapshot", JOBS[job], Path(scratch)) for way in given.only] for _ in range(given.rounds)
            ]
            print(f"\n{job}: {records:,} records; {compared(Path(scratch), given.only, JOBS[job])}")
            print(report(given.only, rounds, records, job), flush=True)
            results[job] = {"records": records, "rounds": [dict(zip(given.only, one, strict=True)) for one in rounds]}
    if given.json:
        given.json.write_text(json.dumps(results, indent=1))


def child(way, logs, table, snapshot, by, scratch):
    """One way in a process of its own, on one core."""
    core = sorted(os.sched_getaffinity(0))[-1]
    env = os.environ | dict.fromkeys(("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "ARROW_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.peers.aggregate", *map(str, (way, logs, table, snapshot, by, scratch / f"{way}.parquet"))],
        env=env,
        check=False,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),  # the child runs nothing else between fork and exec
    )
    if ran.returncode:
        raise SystemExit(f"{way} failed")
    return json.loads(ran.stdout.splitlines()[-1])


def scatter(logs, target):
    """The logs again, most destinations replaced by addresses that hardly occur twice."""
    rng = np.random.default_rng(1)
    for path in sorted(logs.rglob("*.parquet")):
        table = pq.read_table(path, partitioning=None)
        at = table.column_names.index("pkt_dstaddr")
        octets = rng.integers(0, 256, (table.num_rows, 4))
        octets[:, 0] = rng.choice([23, 34, 71, 86, 104, 142, 151, 185], table.num_rows)
        texts = pa.array([f"{a}.{b}.{c}.{d}" for a, b, c, d in octets.tolist()])
        is_kept = pc.or_(pa.array(rng.random(table.num_rows) >= SHARE_OUTSIDE), pc.equal(table["pkt_dstaddr"], "-"))
        table = table.set_column(at, "pkt_dstaddr", pc.if_else(is_kept, table["pkt_dstaddr"], texts))
        out = target / path.relative_to(logs)
        out.parent.mkdir(parents=True, exist_ok=True)
        coded = [name for name, kind in zip(table.column_names, table.schema.types, strict=True) if pa.types.is_string(kind)]
        pq.write_table(
            table, out, compression="gzip", compression_level=1, use_dictionary=coded, row_group_size=1 << 18, store_schema=False
        )


def known_names(folder):
    """Each address with the names of most of its records, of our own answers."""
    from fastroute.api import Snapshot
    from fastroute.jobs.aggregate import aggregate_files

    parts = []
    snapshot = Snapshot.load(folder / "snapshot")
    for side in ("src", "dst"):
        columns = [f"pkt_{side}addr", *(f"{side}_{column}" for column in COLUMNS.values())]
        found = aggregate_files(folder / "logs", snapshot, columns, measures=["records"]).table
        parts.append(found.rename_columns(["addr", *COLUMNS, "records"]))
    table = pa.concat_tables(parts).filter(pc.invert(pc.is_in(pa.concat_tables(parts)["addr"], pa.array(["", "-", None]))))
    table = table.sort_by([("addr", "ascending"), ("records", "descending")])
    table = table.group_by("addr", use_threads=False).aggregate([(name, "first") for name in COLUMNS]).rename_columns(["addr", *COLUMNS])
    return table.filter(pc.or_(pc.is_valid(table["namespace"]), pc.is_valid(table["zone"])))


def compared(scratch, ways, by):
    """Share of the bytes on which each way's groups agree with ours."""
    columns = columns_of(by)
    answers = {way: pq.read_table(scratch / f"{way}.parquet") for way in ways if (scratch / f"{way}.parquet").exists()}
    sums = {
        way: dict(zip(zip(*(table[name].to_pylist() for name in columns), strict=True), table["bytes"].to_pylist(), strict=True))
        for way, table in answers.items()
    }
    if "ours" not in sums:
        return "not compared"
    want = sums.pop("ours")
    total = sum(want.values())
    shares = {way: sum(min(want.get(key, 0), num) for key, num in found.items()) / total for way, found in sums.items()}
    return "bytes in the same group: " + ", ".join(f"{way} {share:.4%}" for way, share in shares.items())


def report(ways, rounds, records, job):
    lines = [f"{'way':<14}{'cpu ns':>8}{'M/s':>7}{'spread':>8}{'peak MB':>9}"]
    cpu = {way: [one[i]["cpu"] / records * 1e9 for one in rounds] for i, way in enumerate(ways)}
    for i, way in enumerate(ways):
        middle = statistics.median(cpu[way])
        peak = max(one[i]["peak"] for one in rounds) / 1e6
        lines.append(f"{way:<14}{middle:>8.1f}{1e3 / middle:>7.2f}{(max(cpu[way]) - min(cpu[way])) / middle:>8.0%}{peak:>9.0f}")
    if "ours" in cpu:
        for way in [way for way in ways if way != "ours"]:
            ratios = [theirs / ours for theirs, ours in zip(cpu[way], cpu["ours"], strict=True)]
            goal = GOALS.get(way, INTERNET_GOAL if job == INTERNET and way in ("polars", "duckdb", "pandas") else None)
            told = f", goal {goal}" if goal else ""
            lines.append(f"ours : {way:<12} {statistics.median(ratios):5.2f} ({min(ratios):.2f} to {max(ratios):.2f}){told}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

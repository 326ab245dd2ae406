"""One way to enrich flow logs, in a process of its own: `python -m benchmarks.peers.enrich WAY LOGS TABLE SNAPSHOT OUT THREADS`.

The job: find both packet addresses, add pod, node and zone of each and the class of the pair, write Parquet. A way is a module
`enrich_<way>` beside this one, with `prepare(names, threads)`, which returns a function of (source, target). Ours are `splice` and
`encode`, with `-default` and `-all` for more columns. Prints what it took as JSON; a first, small file is not timed, so that imports,
caches and kernels are not.
"""

import importlib
import json
import re
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq

READ = [
    *("pkt_srcaddr", "pkt_dstaddr", "srcaddr", "dstaddr", "srcport", "dstport"),
    *("protocol", "packets", "bytes", "start", "end", "action"),
]
"""What the peers read and write again; ours passes all columns of the log through."""
ADDED = ["src_k8s_pod", "src_node", "src_az_id", "dst_k8s_pod", "dst_node", "dst_az_id", "path_class"]
NAMES = ["pod", "node", "az_id"]
CLASSES = ["INTRA_POD", "SAME_NODE", "INTRA_AZ", "INTER_AZ"]
"""By the first that is equal of pod, node, zone; none where an end has no zone."""
OURS = {"": ADDED, "default": None, "all": ["all"]}


def ours(way, logs, snapshot, out, threads):
    """Time `route_files` with the snapshot at hand."""
    from fastroute.api import Snapshot
    from fastroute.jobs.route import route_files

    write, _, columns = way.partition("-")
    engine = Snapshot.load(snapshot).compile()
    smallest = min(logs.rglob("*.parquet"), key=lambda path: path.stat().st_size)
    route_files(smallest, engine, out / "warm", columns=OURS[columns], threads=threads, write=write)
    return lambda: route_files(logs, engine, out / "out", columns=OURS[columns], threads=threads, write=write)


def theirs(way, logs, table, out, threads):
    """Time a peer, file by file; as many at a time as it has no threads of its own."""
    module = importlib.import_module(f"benchmarks.peers.enrich_{way}")
    enrich = module.prepare(pq.read_table(table), threads)
    files = sorted(logs.rglob("*.parquet"))
    (out / "out").mkdir(parents=True)
    enrich(min(files, key=lambda path: path.stat().st_size), out / "warm.parquet")
    targets = [out / "out" / f"{i}.parquet" for i in range(len(files))]
    if threads == 1 or module.HAS_THREADS:
        return lambda: list(map(enrich, files, targets))
    pool = ThreadPoolExecutor(threads)
    return lambda: list(pool.map(enrich, files, targets))


def main():
    way, logs, table, snapshot, out, threads = sys.argv[1:]
    logs, out, threads = Path(logs), Path(out), int(threads)
    shutil.rmtree(out, ignore_errors=True)
    is_ours = way.partition("-")[0] in ("splice", "encode")
    call = ours(way, logs, snapshot, out, threads) if is_ours else theirs(way, logs, table, out, threads)
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    num_bytes = sum(path.stat().st_size for path in (out / "out").rglob("*.parquet") if "_paths" not in path.parts)
    # getrusage would count what the parent held when it forked.
    peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024
    print(json.dumps({"wall": wall, "cpu": cpu, "bytes": num_bytes, "peak": peak}))


if __name__ == "__main__":
    main()

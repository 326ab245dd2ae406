"""One way to sum flow logs up, in a process of its own: `python -m benchmarks.peers.aggregate WAY LOGS TABLE SNAPSHOT BY OUT`, one thread.

The job: find both packet addresses, sum bytes and records by what BY names of them, as `namespace,class`. A way is a module
`aggregate_<way>` beside this one, with `prepare(names, keys, by_class)`, which returns a function of files that returns a table. `ours` is
`aggregate_files`. Prints what it took as JSON; a first, small file is not timed. OUT takes the answer.
"""

import importlib
import json
import re
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

READ = ["pkt_srcaddr", "pkt_dstaddr", "bytes"]
COLUMNS = {"namespace": "k8s_namespace", "node": "node", "zone": "az_id"}
"""What BY may name, and what our columns are called behind the side."""
SAME_ZONE, OTHER_ZONE = "INTRA_AZ", "INTER_AZ"


def keys_of(by):
    """(`namespace`, ...), and whether the class is asked for too."""
    named = by.split(",")
    return [name for name in named if name != "class"], "class" in named


def columns_of(by):
    """Our columns for BY."""
    keys, by_class = keys_of(by)
    return [f"{side}_{COLUMNS[key]}" for key in keys for side in ("src", "dst")] + ["path_class"] * by_class


def summed(parts, columns):
    """Partial sums of files, taken together: tables of the columns, bytes and records."""
    table = pa.concat_tables(parts).group_by(columns, use_threads=False).aggregate([("bytes", "sum"), ("records", "sum")])
    return table.rename_columns([*columns, "bytes", "records"])


def ours(logs, snapshot, by):
    from fastroute.api import Snapshot
    from fastroute.jobs.aggregate import aggregate_files

    engine = Snapshot.load(snapshot).compile()
    return lambda files: aggregate_files(files, engine, columns_of(by), threads=1).table


def main():
    way, logs, table, snapshot, by, out = sys.argv[1:]
    files = sorted(Path(logs).rglob("*.parquet"))
    if way == "ours":
        call = ours(logs, snapshot, by)
    else:
        call = importlib.import_module(f"benchmarks.peers.aggregate_{way}").prepare(pq.read_table(table), *keys_of(by))
    call([min(files, key=lambda path: path.stat().st_size)])
    wall, cpu = time.perf_counter(), time.process_time()
    answer = call(files)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if answer is not None:
        pq.write_table(answer, out)
    peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024
    print(json.dumps({"wall": wall, "cpu": cpu, "peak": peak}))


if __name__ == "__main__":
    main()

"""Files and streams, for `make bench`: Parquet to Parquet beside a bare pyarrow rewrite, sums, a hundred million simulated flows."""

import shutil

import pyarrow.parquet as pq
import pytest

from fastroute.api import Snapshot
from fastroute.jobs.aggregate import aggregate_files
from fastroute.jobs.route import route_files
from fastroute.synth import generate

NUM_RECORDS = 2_000_000
NUM_PODS = 10_000


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("bench") / "account", nodes=300, pods=10_000, records=NUM_RECORDS)


@pytest.fixture(scope="module")
def snapshot(made):
    return Snapshot.load(made.snapshot)


@pytest.fixture(scope="module")
def engine(snapshot):
    return snapshot.compile()


def rate(benchmark, num_items):
    benchmark.extra_info["million_per_second"] = round(num_items / benchmark.stats.stats.median / 1e6, 2)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("columns", [None, ["all"]], ids=["default", "all"])
@pytest.mark.parametrize("write", ["splice", "encode"])
def test_route(benchmark, made, engine, tmp_path, threads, columns, write):
    benchmark.group = "2 M records, Parquet to Parquet"
    out = tmp_path / "out"

    def clear():
        shutil.rmtree(out, ignore_errors=True)

    benchmark.pedantic(lambda: route_files(made.logs, engine, out, columns=columns, threads=threads, write=write), setup=clear, rounds=3)
    rate(benchmark, NUM_RECORDS)


def test_bare_rewrite(benchmark, made, tmp_path):
    """What pyarrow takes to read the 29 columns and write them again, with nothing added and default options."""
    benchmark.group = "2 M records, Parquet to Parquet"
    files = sorted(made.logs.rglob("*.parquet"))

    def rewrite():
        for path in files:
            pq.write_table(pq.ParquetFile(path).read(use_threads=False), tmp_path / path.name)

    benchmark.pedantic(rewrite, rounds=3)
    rate(benchmark, NUM_RECORDS)


@pytest.mark.parametrize("threads", [1, 2])
def test_aggregate(benchmark, made, engine, threads):
    benchmark.group = "2 M records, summed by namespaces and class"
    by = ["src_k8s_namespace", "dst_k8s_namespace", "path_class"]
    benchmark.pedantic(lambda: aggregate_files(made.logs, engine, by, threads=threads), rounds=3, warmup_rounds=1)
    rate(benchmark, NUM_RECORDS)


@pytest.mark.parametrize("columns", [None, ["path_class", "disposition", "path_id"]], ids=["default", "path"])
def test_pairs(benchmark, snapshot, engine, columns):
    """Every pod to every pod: over their veths, interfaces and nodes."""
    benchmark.group = "100 M simulated flows between pods"
    pods = [pod.key for pod in snapshot.topology.pods.values() if pod.holds_address][:NUM_PODS]
    num_pairs = benchmark.pedantic(
        lambda: sum(batch.num_rows for batch in engine.pairs(pods, pods, columns=columns)), rounds=1, warmup_rounds=0
    )
    rate(benchmark, num_pairs)

"""Polars: two joins on the address text, written without statistics."""

import os

import polars as pl

from benchmarks.peers.enrich import CLASSES, NAMES, READ

HAS_THREADS = True  # POLARS_MAX_THREADS, set before it is imported


def prepare(names, threads):
    assert pl.thread_pool_size() == threads, os.environ.get("POLARS_MAX_THREADS")
    table = pl.from_arrow(names)
    ends = [
        table.rename({"addr": addr, **{name: f"{side}_{'k8s_' * (name == 'pod')}{name}" for name in NAMES}})
        for side, addr in (("src", "pkt_srcaddr"), ("dst", "pkt_dstaddr"))
    ]
    equal = [pl.col(f"src_{name}") == pl.col(f"dst_{name}") for name in ("k8s_pod", "node", "az_id")]
    has_both = pl.col("src_az_id").is_not_null() & pl.col("dst_az_id").is_not_null()
    kind = pl.when(~has_both).then(None)
    for condition, name in zip(equal, CLASSES, strict=False):
        kind = kind.when(condition).then(pl.lit(name))
    kind = kind.otherwise(pl.lit(CLASSES[-1])).alias("path_class")

    def enrich(source, target):
        frame = pl.read_parquet(source, columns=READ, hive_partitioning=False)
        for end in ends:
            frame = frame.join(end, on=end.columns[0], how="left", maintain_order="left")
        frame.with_columns(kind).write_parquet(target, compression="snappy", statistics=False)

    return enrich

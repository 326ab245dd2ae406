"""Polars: two joins on the address text and one group-by, lazily, a file at a time."""

import polars as pl

from benchmarks.peers.aggregate import COLUMNS, OTHER_ZONE, READ, SAME_ZONE, columns_of, summed


def prepare(names, keys, by_class):
    table = pl.from_arrow(names)
    kept = list(dict.fromkeys([*keys, *["zone"] * by_class]))
    ends = [
        table.select(pl.col("addr").alias(f"pkt_{side}addr"), *(pl.col(key).alias(f"{side}_{COLUMNS[key]}") for key in kept)).lazy()
        for side in ("src", "dst")
    ]
    columns = columns_of(",".join([*keys, *["class"] * by_class]))
    same = pl.col("src_az_id") == pl.col("dst_az_id")
    kind = pl.when(same).then(pl.lit(SAME_ZONE)).when(~same).then(pl.lit(OTHER_ZONE)).otherwise(None).alias("path_class")

    def one(path):
        frame = pl.scan_parquet(path, hive_partitioning=False).select(READ).filter(pl.col("bytes").is_not_null())
        for end in ends:
            frame = frame.join(end, on=end.collect_schema().names()[0], how="left")
        frame = frame.with_columns(kind) if by_class else frame
        return frame.group_by(columns).agg(pl.col("bytes").sum(), pl.len().cast(pl.Int64).alias("records")).collect().to_arrow()

    return lambda files: summed([one(path) for path in files], columns)

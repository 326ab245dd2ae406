"""DuckDB: two hash joins on the address text and one group-by over all files."""

import duckdb

from benchmarks.peers.aggregate import COLUMNS, OTHER_ZONE, SAME_ZONE, columns_of

QUERY = """
select {columns}, sum(l.bytes)::bigint as bytes, count(*) as records
from read_parquet({files}, hive_partitioning=false) l
left join names s on s.addr = l.pkt_srcaddr
left join names d on d.addr = l.pkt_dstaddr
where l.bytes is not null
group by all
"""
CLASS = f"case when s.zone = d.zone then '{SAME_ZONE}' when s.zone <> d.zone then '{OTHER_ZONE}' end as path_class"


def prepare(names, keys, by_class):
    connection = duckdb.connect(config={"threads": 1})
    connection.register("given", names)
    connection.execute("create table names as select * from given")
    columns = [f"{side[0]}.{key} as {side}_{COLUMNS[key]}" for key in keys for side in ("src", "dst")] + [CLASS] * by_class
    order = columns_of(",".join([*keys, *["class"] * by_class]))

    def sums(files):
        found = connection.sql(QUERY.format(columns=", ".join(columns), files=[str(path) for path in files])).to_arrow_table()
        return found.select([*order, "bytes", "records"])

    return sums

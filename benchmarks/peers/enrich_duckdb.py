"""DuckDB: two hash joins on the address text, one COPY a file."""

import duckdb

from benchmarks.peers.enrich import READ

HAS_THREADS = True

QUERY = """
copy (
    select {columns},
        s.pod as src_k8s_pod, s.node as src_node, s.az_id as src_az_id, d.pod as dst_k8s_pod, d.node as dst_node, d.az_id as dst_az_id,
        case when s.az_id is null or d.az_id is null then null when s.pod = d.pod then 'INTRA_POD' when s.node = d.node then 'SAME_NODE'
            when s.az_id = d.az_id then 'INTRA_AZ' else 'INTER_AZ' end as path_class
    from read_parquet('{source}', hive_partitioning=false) l
    left join names s on s.addr = l.pkt_srcaddr
    left join names d on d.addr = l.pkt_dstaddr
) to '{target}' (format parquet, compression snappy, row_group_size 262144)
"""


def prepare(names, threads):
    connection = duckdb.connect(config={"threads": threads, "preserve_insertion_order": True})
    connection.register("given", names)
    connection.execute("create table names as select * from given")
    columns = ", ".join(f'l."{name}"' for name in READ)

    def enrich(source, target):
        connection.execute(QUERY.format(columns=columns, source=source, target=target))

    return enrich

"""What a good engineer writes in an afternoon: Arrow and NumPy, each distinct address found once, sums by bincount."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.peers.aggregate import OTHER_ZONE, READ, SAME_ZONE, columns_of, summed

ADDRESSES = READ[:2]


def end_codes(column, known, codes):
    """Code of each record's end, the last one where the table has no such address."""
    rows = pc.index_in(column.dictionary, known).fill_null(len(known)).to_numpy(zero_copy_only=False).astype(np.int64)
    found = np.append(codes[rows], codes[-1])
    indices = column.indices
    return found[indices.fill_null(len(rows)).to_numpy()] if indices.null_count else found[indices.to_numpy()]


def prepare(names, keys, by_class):
    known = names["addr"].combine_chunks()
    wanted = [*keys, *(["zone"] if by_class and "zone" not in keys else [])]
    distinct = names.select(wanted).group_by(wanted, use_threads=False).aggregate([])
    rows = {row: i for i, row in enumerate(zip(*(distinct[name].to_pylist() for name in wanted), strict=True))}
    nothing = rows.setdefault((None,) * len(wanted), len(rows))
    codes = np.array([rows[row] for row in zip(*(names[name].to_pylist() for name in wanted), strict=True)] + [nothing])
    values, num = list(rows), len(rows)
    columns = columns_of(",".join([*keys, *["class"] * by_class]))
    zone = wanted.index("zone") if by_class else -1

    def class_of(src, dst):
        if src[zone] is None or dst[zone] is None:
            return None
        return SAME_ZONE if src[zone] == dst[zone] else OTHER_ZONE

    def table_of(num_bytes, records):
        used = np.flatnonzero(records)
        pairs = [(values[pair // num], values[pair % num]) for pair in used.tolist()]
        rows = [[*(end[i] for i in range(len(keys)) for end in pair), *([class_of(*pair)] if by_class else [])] for pair in pairs]
        found = {name: pa.array(column, pa.string()) for name, column in zip(columns, zip(*rows, strict=True), strict=True)}
        return pa.table(found | {"bytes": num_bytes[used].astype(np.int64), "records": records[used]})

    def sums(files):
        num_bytes, records = np.zeros(num * num), np.zeros(num * num, np.int64)
        for path in files:
            with pq.ParquetFile(path, read_dictionary=ADDRESSES) as file:
                for group in range(file.num_row_groups):
                    table = file.read_row_group(group, READ, use_threads=False)
                    src, dst = (end_codes(table[name].chunk(0), known, codes) for name in ADDRESSES)
                    pair = src * num + dst
                    weights = table["bytes"].chunk(0)
                    kept = weights.is_valid().to_numpy(zero_copy_only=False)  # NODATA and SKIPDATA
                    num_bytes += np.bincount(pair[kept], weights.drop_null().to_numpy(), num * num)
                    records += np.bincount(pair[kept], minlength=num * num)
        return summed([table_of(num_bytes, records)], columns)

    return sums

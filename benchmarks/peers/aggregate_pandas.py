"""pandas: each distinct address found once, sums by groupby of integers."""

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks.peers.aggregate import OTHER_ZONE, READ, SAME_ZONE, columns_of, summed


def prepare(names, keys, by_class):
    table = names.to_pandas()
    index = pd.Index(table["addr"])
    kept = list(dict.fromkeys([*keys, *["zone"] * by_class]))
    named = {key: pd.Categorical(table[key]) for key in kept}
    codes = {key: np.append(column.codes, -1) for key, column in named.items()}
    columns = columns_of(",".join([*keys, *["class"] * by_class]))
    classes = [SAME_ZONE, OTHER_ZONE]

    def one(path):
        frame = pd.read_parquet(path, columns=READ, partitioning=None, use_threads=False).dropna(subset=["bytes"])
        found = {}
        for side, address in (("src", "pkt_srcaddr"), ("dst", "pkt_dstaddr")):
            places, distinct = pd.factorize(frame[address])
            rows = np.append(index.get_indexer(distinct), -1)[places]
            found |= {(side, key): column[rows] for key, column in codes.items()}
        by = {name: found[side, key] for name, (key, side) in zip(columns, ((k, s) for k in keys for s in ("src", "dst")), strict=False)}
        if by_class:
            src, dst = found["src", "zone"], found["dst", "zone"]
            by["path_class"] = np.where((src < 0) | (dst < 0), -1, np.where(src == dst, 0, 1))
        sums = pd.DataFrame(by | {"bytes": frame["bytes"].to_numpy()}).groupby(columns)["bytes"].agg(["sum", "size"]).reset_index()
        texts = {"path_class": classes} | {
            name: list(named[keys[i // 2]].categories) for i, name in enumerate(columns) if name != "path_class"
        }
        decoded = {name: pa.array([texts[name][code] if code >= 0 else None for code in sums[name]], pa.string()) for name in columns}
        return pa.table(decoded | {"bytes": sums["sum"].to_numpy().astype(np.int64), "records": sums["size"].to_numpy()})

    return lambda files: summed([one(path) for path in files], columns)

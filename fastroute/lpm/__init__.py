"""Longest-prefix match: intervals, table layouts, one pool of many small tables, lookup kernels. Knows no networking beyond prefixes."""

from fastroute.addr.settings import kernels, set_kernels
from fastroute.lpm.kernels4 import lookup4_one
from fastroute.lpm.kernels6 import lookup6_one
from fastroute.lpm.pack import num_bytes, pack, unpack
from fastroute.lpm.pool import Pool4, Pool6, build_pool4, build_pool6, pool4_lookup, pool6_lookup
from fastroute.lpm.pool6_kernels import pool6_one
from fastroute.lpm.pool_kernels import pool4_one
from fastroute.lpm.table4 import Lpm4, build4, build4_ids, lookup4
from fastroute.lpm.table6 import Lpm6, build6, build6_ids, lookup6

__all__ = [
    "Lpm4",
    "Lpm6",
    "Pool4",
    "Pool6",
    "build4",
    "build4_ids",
    "build6",
    "build6_ids",
    "build_pool4",
    "build_pool6",
    "kernels",
    "lookup4",
    "lookup4_one",
    "lookup6",
    "lookup6_one",
    "num_bytes",
    "pack",
    "pool4_lookup",
    "pool4_one",
    "pool6_lookup",
    "pool6_one",
    "set_kernels",
    "unpack",
]

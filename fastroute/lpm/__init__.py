"""Longest-prefix match: intervals, table layouts, one pool of many small tables, lookup kernels. Knows no networking beyond prefixes."""

from fastroute.lpm.pool import Pool4, Pool6, build_pool4, build_pool6, pool4_lookup, pool6_lookup
from fastroute.lpm.pool_kernels import pool4_one, pool6_one

__all__ = ["Pool4", "Pool6", "build_pool4", "build_pool6", "pool4_lookup", "pool4_one", "pool6_lookup", "pool6_one"]

"""Look-ups, builds and text by size, for `make bench`; the comparison with other people's code is `benchmarks.run`."""

import numpy as np
import pytest

from benchmarks import data
from fastroute import addr, lpm
from fastroute.errors import FastrouteError

NUM_ADDRS = 1_000_000


@pytest.fixture(scope="module")
def internet():
    return data.internet()


@pytest.fixture(scope="module", params=["avx512", "plain"])
def kernel_form(request):
    try:
        lpm.set_kernels(request.param)
    except FastrouteError as error:
        pytest.skip(str(error))
    yield request.param
    lpm.set_kernels("auto")


@pytest.mark.parametrize("num_prefixes", [10**3, 10**4, 10**5, 10**6])
def test_lookup4_by_size(benchmark, kernel_form, internet, num_prefixes):
    benchmark.group = "IPv4 look-up, 1 M addresses in prefixes"
    table = data.Table(*(column[:num_prefixes] for column in internet[0][:3]))
    compiled, addrs, out = lpm.build4(*table[:3]), data.in_prefixes4(table, NUM_ADDRS), np.empty(NUM_ADDRS, np.int32)
    benchmark.extra_info["megabytes"] = lpm.num_bytes(compiled) / 1e6
    benchmark(lpm.lookup4, compiled, addrs, out)


@pytest.mark.parametrize("num_prefixes", [10**3, 10**4, 10**5, 10**6])
def test_lookup6_by_size(benchmark, kernel_form, internet, num_prefixes):
    benchmark.group = "IPv6 look-up, 1 M addresses in prefixes"
    table = data.Table(*(column[:num_prefixes] for column in internet[1][:3]))
    compiled, addrs, out = lpm.build6(*table[:3]), data.in_prefixes6(table, NUM_ADDRS), np.empty(NUM_ADDRS, np.int32)
    benchmark.extra_info["megabytes"] = lpm.num_bytes(compiled) / 1e6
    benchmark(lpm.lookup6, compiled, addrs, out)


@pytest.mark.parametrize("is_hit", [True, False])
def test_cluster_hit_and_miss(benchmark, kernel_form, is_hit):
    benchmark.group = "cluster table, 1 M addresses"
    table = data.cluster()
    compiled, _ = lpm.build4_ids(*table[:2])
    addrs = data.in_prefixes4(table, NUM_ADDRS) if is_hit else data.uniform4(NUM_ADDRS) | np.uint32(0x80000000)
    benchmark(lpm.lookup4, compiled, addrs, np.empty(NUM_ADDRS, np.int32))


@pytest.mark.parametrize("num_tables", [1, 100, 1000, 5000])
@pytest.mark.parametrize("order", ["random", "grouped"])
def test_pool_by_tables(benchmark, kernel_form, num_tables, order):
    benchmark.group = f"pool of tables with 63 routes, 1 M addresses, {order}"
    of, table = data.small_tables(num_tables)
    pool = lpm.build_pool4(of, *table[:3], num_tables)
    tables = np.random.default_rng(1).integers(0, num_tables, NUM_ADDRS, dtype=np.int32)
    tables = np.sort(tables) if order == "grouped" else tables
    benchmark.extra_info["megabytes"] = lpm.num_bytes(pool) / 1e6
    benchmark(lpm.pool4_lookup, pool, tables, data.in_prefixes4(table, NUM_ADDRS), np.empty(NUM_ADDRS, np.int32))


@pytest.mark.parametrize("num_tables", [1, 100, 1000, 5000])
def test_pool6_by_tables(benchmark, num_tables):
    """The same tables in IPv6: a default route, a /32, and the host routes of pods."""
    benchmark.group = "IPv6 pool of tables with 63 routes, 1 M addresses"
    of, (prefix, length, value, _) = data.small_tables(num_tables)
    high = np.where(length == 0, np.uint64(0), np.uint64(0x2600_1F14 << 32))
    wide = np.column_stack((high, np.where(length == 32, prefix.astype(np.uint64), np.uint64(0))))
    pool = lpm.build_pool6(of, wide, np.where(length == 0, 0, np.where(length == 8, 32, 128)), value, num_tables)
    rows = np.random.default_rng(1).integers(0, len(of), NUM_ADDRS)
    benchmark.extra_info["megabytes"] = lpm.num_bytes(pool) / 1e6
    benchmark(lpm.pool6_lookup, pool, of[rows], wide[rows], np.empty(NUM_ADDRS, np.int32))


@pytest.mark.parametrize("num_prefixes", [10**3, 10**4, 10**5, 10**6])
@pytest.mark.parametrize("family", [4, 6])
def test_build(benchmark, internet, family, num_prefixes):
    benchmark.group = f"build, IPv{family}"
    columns = [column[:num_prefixes] for column in internet[family == 6][:3]]
    benchmark(lpm.build4 if family == 4 else lpm.build6, *columns)


def test_parse(benchmark, kernel_form):
    benchmark.group = "text, 1 M addresses"
    texts = addr.format4_buffers(data.uniform4(NUM_ADDRS))
    benchmark(addr.parse4, texts, (np.empty(NUM_ADDRS, np.uint32), np.empty(NUM_ADDRS, np.uint8)))


def test_format(benchmark):
    benchmark.group = "text, 1 M addresses"
    benchmark(addr.format4_buffers, data.uniform4(NUM_ADDRS), np.empty(16 * NUM_ADDRS, np.uint8))

/*
 * The peers that speak C, behind plain functions for ctypes: DPDK's prefix tables and the C library's address text.
 *
 * Part of the benchmarks, never of the package. Tables are built once a process (`*_build`) and looked up in bursts, as DPDK
 * applications do. Answers come back as int32 with -1 for no match, written burst by burst so that the copy stays in cache.
 */
#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_fib.h>
#include <rte_fib6.h>
#include <rte_lpm.h>
#include <rte_version.h>

#define BURST 512
#define NO_MATCH 0x7fffffff /* default next hop of the fibs */

static struct rte_lpm *lpm;
static struct rte_fib *fib;
static struct rte_fib6 *fib6;

/* Returns 0, or -1 when the environment does not come up. */
int peers_start(void)
{
	char *arguments[] = {"peers", "--no-huge", "--no-pci", "--no-telemetry", "-m", "4096", "-l", "0",
			     "--log-level", "1",
			     /* no files that a second process would find locked */
			     "--no-shconf",
			     /* DPDK stays at 256 bits unless told, and then refuses its AVX-512 look-ups */
			     "--force-max-simd-bitwidth=512"};
	return rte_eal_init(12, arguments) < 0 ? -1 : 0;
}

const char *peers_version(void)
{
	return rte_version();
}

/* rte_lpm holds next hops of 24 bits and no /0. Returns 0 or a negative errno. */
int lpm_build(const uint32_t *prefix, const uint8_t *length, const int32_t *value, int64_t n, uint32_t num_tbl8)
{
	struct rte_lpm_config config = {.max_rules = (uint32_t)n + 1, .number_tbl8s = num_tbl8};
	if (lpm)
		rte_lpm_free(lpm);
	lpm = rte_lpm_create("lpm", 0, &config);
	if (!lpm)
		return -rte_errno;
	for (int64_t i = 0; i < n; i++) {
		int status = rte_lpm_add(lpm, prefix[i], length[i], (uint32_t)value[i]);
		if (status < 0)
			return status;
	}
	return 0;
}

void lpm_lookup(const uint32_t *addrs, int64_t n, int32_t *out)
{
	uint32_t hops[BURST];
	for (int64_t at = 0; at < n; at += BURST) {
		unsigned int size = n - at < BURST ? (unsigned int)(n - at) : BURST;
		rte_lpm_lookup_bulk(lpm, addrs + at, hops, size);
		for (unsigned int k = 0; k < size; k++)
			out[at + k] = hops[k] & RTE_LPM_LOOKUP_SUCCESS ? (int32_t)(hops[k] & 0xffffff) : -1;
	}
}

/* DIR-24-8 with next hops of 4 bytes and the AVX-512 look-up. Returns 0 or a negative errno; 1 when only scalar code is there. */
int fib_build(const uint32_t *prefix, const uint8_t *length, const int32_t *value, int64_t n, uint32_t num_tbl8)
{
	struct rte_fib_conf config = {.type = RTE_FIB_DIR24_8, .default_nh = NO_MATCH, .max_routes = (int)n + 1};
	config.dir24_8.nh_sz = RTE_FIB_DIR24_8_4B;
	config.dir24_8.num_tbl8 = num_tbl8;
	if (fib)
		rte_fib_free(fib);
	fib = rte_fib_create("fib", 0, &config);
	if (!fib)
		return -rte_errno;
	for (int64_t i = 0; i < n; i++) {
		int status = rte_fib_add(fib, prefix[i], length[i], (uint64_t)value[i]);
		if (status < 0)
			return status;
	}
	return rte_fib_select_lookup(fib, RTE_FIB_LOOKUP_DIR24_8_VECTOR_AVX512) < 0 ? 1 : 0;
}

void fib_lookup(uint32_t *addrs, int64_t n, int32_t *out)
{
	uint64_t hops[BURST];
	for (int64_t at = 0; at < n; at += BURST) {
		int size = n - at < BURST ? (int)(n - at) : BURST;
		rte_fib_lookup_bulk(fib, addrs + at, hops, size);
		for (int k = 0; k < size; k++)
			out[at + k] = hops[k] == NO_MATCH ? -1 : (int32_t)hops[k];
	}
}

/* Addresses are 16 bytes in network order. Returns as fib_build. */
int fib6_build(uint8_t (*prefix)[16], const uint8_t *length, const int32_t *value, int64_t n, uint32_t num_tbl8)
{
	struct rte_fib6_conf config = {.type = RTE_FIB6_TRIE, .default_nh = NO_MATCH, .max_routes = (int)n + 1};
	config.trie.nh_sz = RTE_FIB6_TRIE_4B;
	config.trie.num_tbl8 = num_tbl8;
	if (fib6)
		rte_fib6_free(fib6);
	fib6 = rte_fib6_create("fib6", 0, &config);
	if (!fib6)
		return -rte_errno;
	for (int64_t i = 0; i < n; i++) {
		int status = rte_fib6_add(fib6, prefix[i], length[i], (uint64_t)value[i]);
		if (status < 0)
			return status;
	}
	return rte_fib6_select_lookup(fib6, RTE_FIB6_LOOKUP_TRIE_VECTOR_AVX512) < 0 ? 1 : 0;
}

void fib6_lookup(uint8_t (*addrs)[16], int64_t n, int32_t *out)
{
	uint64_t hops[BURST];
	for (int64_t at = 0; at < n; at += BURST) {
		int size = n - at < BURST ? (int)(n - at) : BURST;
		rte_fib6_lookup_bulk(fib6, addrs + at, hops, size);
		for (int k = 0; k < size; k++)
			out[at + k] = hops[k] == NO_MATCH ? -1 : (int32_t)hops[k];
	}
}

/* What routing needs of an end; ends that differ in nothing of it share a record, as in our own form of the snapshot. */
struct end {
	uint32_t node;	    /* + 1, 0 for none */
	uint32_t table;	    /* its node's routing table: the key that goes before the destination in fib6 */
	uint32_t interface[2]; /* its own + 1, its node's primary one + 1 */
	uint32_t flags;
};
enum { NODE_LOCAL = 1, POD_ROUTE = 2, AGENT = 4, NOTHING = 8, IS_BROADCAST = 1 << 15, NUM_OVERRIDES = 4, NO_POD = -1 };

/*
 * A first hop composed of DPDK's parts: rte_fib finds either end, their records are gathered, rte_fib6 looks the destination up in the
 * table of the source's node. Rows, rule priority, table and interface come out as columns. Bit layouts: fastroute/datapath/step_kernels.py.
 */
void first_hops(uint32_t *src, uint32_t *dst, int64_t n, const uint32_t *end_of_row, const struct end *ends, const int32_t *pods,
		const uint16_t (*overrides)[NUM_OVERRIDES], const uint32_t *exits, int32_t *src_row, int32_t *dst_row, int32_t *rule,
		int32_t *table, int32_t *out_interface)
{
	uint64_t from[BURST], to[BURST], choice[BURST];
	uint32_t from_end[BURST], to_end[BURST];
	uint8_t keys[BURST][16] = {{0}};
	for (int64_t at = 0; at < n; at += BURST) {
		int size = n - at < BURST ? (int)(n - at) : BURST;
		rte_fib_lookup_bulk(fib, src + at, from, size);
		rte_fib_lookup_bulk(fib, dst + at, to, size);
		for (int k = 0; k < size; k++) {
			src_row[at + k] = (int32_t)from[k];
			dst_row[at + k] = (int32_t)to[k];
			from_end[k] = end_of_row[from[k]];
			to_end[k] = end_of_row[to[k]];
			uint32_t key[2] = {htonl(ends[from_end[k]].table), htonl(dst[at + k])};
			memcpy(keys[k], key, sizeof key);
		}
		rte_fib6_lookup_bulk(fib6, keys, choice, size);
		for (int k = 0; k < size; k++) {
			const struct end *s = &ends[from_end[k]], *d = &ends[to_end[k]];
			uint32_t found = (uint32_t)choice[k], near = s->node && s->node == d->node;
			const uint16_t *before = overrides[s->table];
			if (d->flags & NOTHING || (near && pods[from[k]] != NO_POD && pods[from[k]] == pods[to[k]]))
				found = before[3];
			else if (near && d->flags & NODE_LOCAL)
				found = before[0];
			else if (!(found & IS_BROADCAST)) {
				if (near && d->flags & POD_ROUTE)
					found = before[1];
				else if (d->flags & AGENT)
					found = before[2];
			}
			uint32_t way = exits[found & (IS_BROADCAST - 1)];
			rule[at + k] = (int32_t)(way & 0x7fff) - 1;
			table[at + k] = (int32_t)(way >> 15 & 0x7fff) - 1;
			out_interface[at + k] = way >> 30 ? (int32_t)s->interface[(way >> 30) - 1] - 1 : -1;
		}
	}
}

/* Text of fixed width 16, ended by zero bytes: what inet_pton reads and inet_ntop writes. Returns the number of refused rows. */
int64_t pton_loop(const char (*text)[16], int64_t n, uint32_t *addrs)
{
	int64_t refused = 0;
	for (int64_t i = 0; i < n; i++) {
		struct in_addr addr;
		refused += inet_pton(AF_INET, text[i], &addr) != 1;
		addrs[i] = ntohl(addr.s_addr);
	}
	return refused;
}

void ntop_loop(const uint32_t *addrs, int64_t n, char (*text)[16])
{
	for (int64_t i = 0; i < n; i++) {
		struct in_addr addr = {.s_addr = htonl(addrs[i])};
		inet_ntop(AF_INET, &addr, text[i], 16);
	}
}

"""The floor again, without the statistics of texts, which are half of its time."""

from benchmarks.peers import enrich_floor
from benchmarks.peers.enrich import READ

HAS_THREADS = False
OPTIONS = {"write_statistics": [name for name in READ if not name.endswith("addr") and name != "action"]}


def prepare(names, threads):
    return enrich_floor.prepare(names, threads, OPTIONS)

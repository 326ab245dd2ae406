"""Every look-up beside its peers: `make bench-peers`, or `python -m benchmarks.run [--rounds R] [--only WORD] [--json PATH]`.

Answers are compared first. Then ours and the peers run alternately, and the ratio of a round is that of neighbours in time: absolute
times move with the machine, ratios hardly. `--readme` puts the table between the README's marker comments.
"""

import argparse
import json
import platform
import statistics
import time
from importlib.metadata import version
from pathlib import Path

from benchmarks.peers import dpdk
from benchmarks.rows import rows
from fastroute import lpm

README = Path(__file__).parents[1] / "README.md"
MARKERS = "<!-- benchmarks: written by make bench-peers -->", "<!-- benchmarks: end -->"


def _seconds(call, clock):
    """Child processes are timed from within: what they return is the time."""
    begin = clock()
    result = call()
    return result if isinstance(result, float) else clock() - begin


def measure(row, num_rounds):
    """Alternate; the ratio of a round is against the fastest peer of that round."""
    clock = time.perf_counter if row.is_wall else time.thread_time  # waiting for a shared core is no CPU time
    row.ours()
    ours, ratios, times = [], [], {name: [] for name in row.peers}
    for _ in range(num_rounds):
        for name, peer in row.peers.items():
            times[name].append(_seconds(peer.call, clock) / peer.num_items)
        ours.append(_seconds(row.ours, clock) / row.num_items)
        if times:
            ratios.append(min(theirs[-1] for theirs in times.values()) / ours[-1])
    middles = {name: statistics.median(theirs) for name, theirs in times.items()}
    middle = statistics.median(ours)
    best = min(middles, key=middles.get, default=None)
    return {
        "work": row.work,
        "ns": middle * 1e9,
        "millions_per_s": 1e-6 / middle,
        "ms": middle * row.num_items * 1e3,
        "spread": (max(ours) - min(ours)) / middle,
        "peer": best,
        "peers_ns": {name: seconds * 1e9 for name, seconds in middles.items()},
        "ratio": statistics.median(ratios) if ratios else None,
        "ratios": ratios,
        "goal": row.goal or None,
        "megabytes": row.memory / 1e6,
    }


def machine(with_dpdk):
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    versions = {name: version(name) for name in ("numba", "llvmlite", "numpy", "pyarrow")}
    cpu = names[0] if names else platform.processor()
    return {"cpu": cpu, "kernels": lpm.kernels(), "python": platform.python_version(), **versions, "DPDK": with_dpdk or "not here"}


def cells(got):
    """One line of the table, as text."""
    took = f"{got['ms']:.1f} ms" if is_once(got) else f"{got['ns']:.2f} ns"
    speed = "" if is_once(got) else f"{got['millions_per_s']:.0f}"
    ratio, goal = (f"{got[key]:.3g}" if got[key] else "" for key in ("ratio", "goal"))
    unit = 1e-6 * got["ms"] * 1e6 / got["ns"] if is_once(got) else 1.0  # a peer's ns an item as ms
    peers = ", ".join(f"{name} {ns * unit:.3g}" for name, ns in got["peers_ns"].items())
    memory = f"{got['megabytes']:.1f}" if got["megabytes"] else ""
    return [got["work"], took, speed, f"{got['spread']:.0%}", ratio, goal, peers, memory]


def is_once(got):
    """Builds and starts: what counts is the whole, not the item."""
    return got["work"].endswith("build") or "first call" in got["work"]


HEADS = ["work", "ours", "M/s", "spread", "ratio", "goal", "peers", "MB"]


def markdown(here, num_rounds, results):
    lines = [
        f"Median of {num_rounds} rounds, one core unless said otherwise; ratio is the fastest peer's time by ours, taken round by round. "
        + "Peers and ours in ns an item, or ms where ours is in ms. "
        + ", ".join(f"{name} {value}" for name, value in here.items())
        + ".",
        "",
        "| " + " | ".join(HEADS) + " |",
        "|---|" + "---:|" * 5 + "---|---:|",
    ]
    return "\n".join(lines + ["| " + " | ".join(cells(got)) + " |" for got in results])


def write_readme(text):
    """Replace what stands between the markers."""
    before, begin, rest = README.read_text().partition(MARKERS[0])
    _, end, after = rest.partition(MARKERS[1])
    if not begin or not end:
        raise SystemExit(f"{README.name} lacks the markers {MARKERS[0]} and {MARKERS[1]}")
    README.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="a word: start, cluster, IPv4, IPv6, growth, tables, text")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--readme", action="store_true", help="write the table into the README")
    given = parser.parse_args()
    peer, why = dpdk()
    if not peer:
        print(f"without DPDK: {why}")
    here = machine(peer.version if peer else "")
    print(" · ".join(f"{name} {value}" for name, value in here.items()))
    formats = "{:<38} {:>11} {:>6} {:>6} {:>6} {:>5}  {:<60} {:>6}"
    print(formats.format(*HEADS))
    results = []
    for row in rows(given.rows, peer, given.only):
        results.append(measure(row, given.rounds))
        print(formats.format(*cells(results[-1])), flush=True)
    if given.json:
        given.json.write_text(json.dumps({"machine": here, "rows": given.rows, "rounds": given.rounds, "results": results}, indent=1))
    if given.readme:
        write_readme(markdown(here, given.rounds, results))


if __name__ == "__main__":
    main()

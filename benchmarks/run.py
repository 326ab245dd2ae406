"""Every look-up beside its peers: `make bench-peers`, or `python -m benchmarks.run [--runs R] [--rounds R] [--only WORD] [--json PATH]`.

Answers are compared first. Then ours and the peers run alternately, and the ratio of a round is that of neighbours in time: absolute
times move with the machine, ratios hardly. Every run is a process of its own, in which all is built and measured anew: where tables come
to lie, and who else uses the machine, changes little inside a run and much between them. A row is the median of the runs, with their range.
`--readme` puts the table between the README's marker comments.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
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
    return {
        "work": row.work,
        "ns": statistics.median(ours) * 1e9,
        "ms": statistics.median(ours) * row.num_items * 1e3,
        "peers_ns": {name: statistics.median(theirs) * 1e9 for name, theirs in times.items()},
        "ratio": statistics.median(ratios) if ratios else None,
        "goal": row.goal or None,
        "megabytes": row.memory / 1e6,
    }


def over_runs(runs):
    """The same row of several runs as one: medians, and [least, most] of what is ours."""
    first = runs[0]

    def middle(pick):
        return statistics.median(map(pick, runs))

    merged = first | {key: middle(lambda run, key=key: run[key]) for key in ("ns", "ms")}
    merged["peers_ns"] = {name: middle(lambda run, name=name: run["peers_ns"][name]) for name in first["peers_ns"]}
    for key in ("ns", "ms", "ratio"):
        if first[key] is not None:
            merged[key] = middle(lambda run, key=key: run[key])
            merged[f"{key}_range"] = [least_or_most(run[key] for run in runs) for least_or_most in (min, max)]
    return merged | {"millions_per_s": 1e3 / merged["ns"], "runs": runs}


def machine(with_dpdk):
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    versions = {name: version(name) for name in ("numba", "llvmlite", "numpy", "pyarrow")}
    cpu = names[0] if names else platform.processor()
    return {"cpu": cpu, "kernels": lpm.kernels(), "python": platform.python_version(), **versions, "DPDK": with_dpdk or "not here"}


def cells(got):
    """One line of the table, as text."""
    unit = "ms" if is_once(got) else "ns"
    took, took_range = f"{_figure(got[unit])} {unit}", _range(got[f"{unit}_range"])
    speed = "" if is_once(got) else f"{got['millions_per_s']:.0f}"
    ratio, goal = (_figure(got[key]) if got[key] else "" for key in ("ratio", "goal"))
    ratio_range = _range(got["ratio_range"]) if got["ratio"] else ""
    scale = got["ms"] / got["ns"] if is_once(got) else 1.0  # a peer's ns an item as ms
    peers = ", ".join(f"{name} {_figure(ns * scale)}" for name, ns in got["peers_ns"].items())
    memory = f"{got['megabytes']:.1f}" if got["megabytes"] else ""
    return [got["work"], took, took_range, speed, ratio, ratio_range, goal, peers, memory]


def _figure(number):
    """Three digits, without an exponent."""
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"


def _range(least_and_most):
    return "–".join(map(_figure, least_and_most))


def is_once(got):
    """Builds and starts: what counts is the whole, not the item."""
    return got["work"].endswith("build") or "first call" in got["work"]


HEADS = ["work", "ours", "range", "M/s", "ratio", "range", "goal", "peers", "MB"]


def markdown(here, num_runs, num_rounds, results):
    lines = [
        f"Medians of {num_runs} full runs of {num_rounds} rounds each, and the range of the runs; one core unless said otherwise. "
        + "Ratio is the fastest peer's time by ours, taken round by round. Peers and ours in ns an item, or ms where ours is in ms. "
        + ", ".join(f"{name} {value}" for name, value in here.items())
        + ".",
        "",
        "| " + " | ".join(HEADS) + " |",
        "|---|" + "---:|" * 6 + "---|---:|",
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
    parser.add_argument("--runs", type=int, default=3, help="full runs, of which the table gives medians and ranges")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of a run, ours and the peers in turns")
    parser.add_argument("--only", default="", help="a word: start, cluster, IPv4, IPv6, growth, tables, step, text")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--readme", action="store_true", help="write the table into the README")
    parser.add_argument("--one-run", type=Path, help="measure once, write the rows into this file, and print nothing: what each run is")
    given = parser.parse_args()
    peer, why = dpdk()
    if given.one_run:
        given.one_run.write_text(json.dumps([measure(row, given.rounds) for row in rows(given.rows, peer, given.only)]))
        return
    if not peer:
        print(f"without DPDK: {why}")
    here = machine(peer.version if peer else "")
    print(" · ".join(f"{name} {value}" for name, value in here.items()), flush=True)
    runs = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(1, given.runs + 1):
            begin, found = time.perf_counter(), Path(folder, f"{number}.json")
            same = ["--rows", str(given.rows), "--rounds", str(given.rounds), "--only", given.only, "--one-run", str(found)]
            subprocess.run([sys.executable, "-m", "benchmarks.run", *same], check=True)
            for measured in json.loads(found.read_text()):
                runs.setdefault(measured["work"], []).append(measured)
            print(f"run {number} of {given.runs}: {time.perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)
    results = [over_runs(same) for same in runs.values()]
    formats = "{:<38} {:>8} {:>11} {:>6} {:>6} {:>11} {:>5}  {:<60} {:>6}"
    for line in (HEADS, *map(cells, results)):
        print(formats.format(*line))
    if given.json:
        about = {"machine": here, "rows": given.rows, "runs": given.runs, "rounds": given.rounds}
        given.json.write_text(json.dumps(about | {"results": results}, indent=1))
    if given.readme:
        write_readme(markdown(here, given.runs, given.rounds, results))


if __name__ == "__main__":
    main()

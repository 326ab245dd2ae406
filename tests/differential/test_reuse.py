"""A day of Jobs every 45 seconds on a few addresses: nobody is named who did not have the address, and what is open is called open."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from fastroute.api import Snapshot
from fastroute.jobs.aggregate import aggregate_files
from fastroute.synth import ReuseResult, generate_reuse


def both(made: ReuseResult, *, static: bool = False) -> tuple[pa.Table, pa.Table]:
    """All records as routed, and the truth of them."""
    engine = Snapshot.load(made.snapshot, cache=False).compile(static=static)
    files = sorted(made.logs.glob("*.parquet"))
    routed = [engine.route(pq.read_table(file), columns=["all"]).read_all() for file in files]
    truth = [pq.read_table(made.truth / f"{file.name}.truth.parquet") for file in files]
    return pa.concat_tables(routed).unify_dictionaries(), pa.concat_tables(truth)


@pytest.mark.parametrize("cooldown", [30, 0])
def test_nobody_is_named_who_did_not_have_the_address(tmp_path: Path, cooldown: int, capsys: pytest.CaptureFixture[str]) -> None:
    made = generate_reuse(tmp_path / "day", nodes=2, cooldown=cooldown)
    routed, truth = both(made)
    n = routed.num_rows
    assert n == made.records > 10_000
    attribution = routed["attribution"].cast(pa.string())
    exact = pc.equal(attribution, "EXACT")
    right = pa.chunked_array([pa.array([True] * n)])
    for side in ("src", "dst"):
        named = pc.fill_null(pc.equal(routed[f"{side}_k8s_pod"].cast(pa.string()), truth[f"{side}_k8s_pod"]), False)
        right = pc.and_(right, named)
    # EXACT is what the inputs decide, no record more or less, and each of them names the pods that it was
    assert exact.equals(truth["decidable"])
    assert pc.all(pc.or_(pc.invert(exact), right)).as_py()
    # AMBIGUOUS is where several listed pods had an address within the stretch
    is_open = pc.greater(truth["num_candidates"], 1)
    ambiguous = pc.equal(attribution, "AMBIGUOUS")
    assert ambiguous.equals(is_open)
    shares = {name: pc.sum(column).as_py() / n for name, column in (("ambiguous", ambiguous), ("decidable", exact))}
    assert shares == {"ambiguous": made.open_records / n, "decidable": made.decidable / n}
    assert min(shares.values()) > 0.03
    told = ", ".join(f"{share:.1%} {name}" for name, share in shares.items())
    with capsys.disabled():
        print(f"\ncool-down {cooldown} s: {n:,} records of {made.jobs:,} Jobs, {told}")


def test_sums_say_the_same_as_rows(tmp_path: Path) -> None:
    made = generate_reuse(tmp_path / "day", hours=1, seed=3, nodes=2)
    routed, _ = both(made)
    snapshot = Snapshot.load(made.snapshot, cache=False)
    found = aggregate_files(made.logs, snapshot, by=["src_k8s_pod", "attribution"], measures=("records", "bytes"))
    names = [routed[name].cast(pa.string()) for name in ("src_k8s_pod", "attribution")]
    rows = pa.table([*names, routed["bytes"]], ["src_k8s_pod", "attribution", "bytes"])
    sums = rows.group_by(["src_k8s_pod", "attribution"]).aggregate([("bytes", "sum"), ("bytes", "count")])

    def plain(table: pa.Table, records: str, num_bytes: str) -> set[tuple[object, ...]]:
        return {tuple(row[key] for key in ("src_k8s_pod", "attribution", records, num_bytes)) for row in table.to_pylist()}

    assert plain(found.table, "records", "bytes") == plain(sums, "bytes_count", "bytes_sum")


def test_static_snapshot_takes_the_last_for_all(tmp_path: Path) -> None:
    """Nobody runs now: what the Jobs had is warm."""
    routed, _ = both(generate_reuse(tmp_path / "day", hours=1, nodes=2), static=True)
    assert set(routed["attribution"].cast(pa.string()).to_pylist()) == {"INFERRED"}

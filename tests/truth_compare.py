"""Hold routed records against what the generator knows of them: every column, every decidable record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fastroute.api import Engine, Snapshot
from fastroute.synth import SynthResult


@dataclass
class Comparison:
    """What was compared, and the first records that differ, by column."""

    records: int = 0
    decidable: int = 0
    undecidable_but_exact: int = 0
    differing: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    @property
    def verdict(self) -> tuple[dict[str, int], dict[str, str], int]:
        """Empty, empty, 0 where everything agrees."""
        return dict(self.differing), self.examples, self.undecidable_but_exact


def compare_tables(routed: pa.Table, truth: pa.Table, is_recorded: pa.Array, into: Comparison) -> None:
    """Compare one table row by row. An undecidable record must be called so: not EXACT, or its path UNDECIDED."""
    decidable = pc.and_(truth["decidable"].combine_chunks(), is_recorded)
    undecidable = pc.and_(pc.invert(truth["decidable"].combine_chunks()), is_recorded)
    claims = pc.and_(pc.equal(_plain(routed["attribution"]), "EXACT"), pc.not_equal(_plain(routed["disposition"]), "UNDECIDED"))
    into.records += pc.sum(is_recorded).as_py() or 0
    into.decidable += pc.sum(decidable).as_py() or 0
    into.undecidable_but_exact += pc.sum(pc.and_(undecidable, claims)).as_py() or 0
    for name in truth.column_names:
        if name == "decidable":
            continue
        got, want = _plain(routed[name]), _plain(truth[name])
        both_null = pc.and_(pc.is_null(got), pc.is_null(want))
        same = pc.or_(both_null, pc.fill_null(pc.equal(got, want), False))
        wrong = np.flatnonzero(pc.and_(decidable, pc.invert(same)).to_numpy(zero_copy_only=False))
        if len(wrong):
            into.differing[name] += len(wrong)
            row = int(wrong[0])
            record = {key: routed[key][row].as_py() for key in routed.column_names if not key.startswith("ecs_")}
            into.examples.setdefault(name, f"got {got[row].as_py()}, want {want[row].as_py()}: {record}")


def _plain(column: pa.ChunkedArray) -> pa.Array:
    """Decode dictionaries; one chunk."""
    array = column.combine_chunks()
    if pa.types.is_dictionary(array.type):
        return array.dictionary_decode()
    return array.cast(pa.int64()) if pa.types.is_integer(array.type) else array


def compare_logs(made: SynthResult, engine: Engine | None = None) -> Comparison:
    """Route all logs of a generated account and compare them with its truth."""
    engine = Snapshot.load(made.snapshot).compile() if engine is None else engine
    found = Comparison()
    for log_path in log_files(made.logs):
        truth_path = made.truth / log_path.relative_to(made.logs).with_name(f"{log_path.name}.truth.parquet")
        log, truth = pq.ParquetFile(log_path).read(), pq.ParquetFile(truth_path).read()
        routed = engine.route(log, columns=["all"]).read_all()
        compare_tables(routed, truth, pc.equal(log["log_status"], "OK").combine_chunks(), found)
    return found


def log_files(folder: Path) -> Iterator[Path]:
    """Log files of a folder, sorted."""
    yield from sorted(folder.rglob("*.parquet"))

"""What DuckDB, Polars, pandas and pyarrow hand to an engine, and what they make of its answers; the recipes of the README among it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import fastroute
from fastroute.api import Engine, Snapshot
from fastroute.flows import choose_columns
from fastroute.synth import SynthResult
from fastroute.vocab import OUTPUT_COLUMNS

README = Path(__file__).parents[2] / "README.md"
ADDED = choose_columns(None)


@pytest.fixture(name="engine", scope="module")
def _engine(snapshot: Snapshot) -> Engine:
    return snapshot.compile()


@pytest.fixture(name="log", scope="module")
def _log(made: SynthResult) -> Path:
    return max(made.logs.rglob("*.parquet"), key=lambda path: path.stat().st_size)


@pytest.fixture(name="expected", scope="module")
def _expected(engine: Engine, log: Path) -> list[dict[str, Any]]:
    """The added columns of the log, from pyarrow."""
    return engine.route(pq.read_table(log)).read_all().select(ADDED).to_pylist()


STREAMS: dict[str, Callable[[Path], Any]] = {
    "pyarrow table": pq.read_table,
    "pyarrow reader": lambda log: pq.read_table(log).to_reader(max_chunksize=1000),
    "pyarrow batches of a file": lambda log: pa.RecordBatchReader.from_batches(
        pq.read_schema(log), pq.ParquetFile(log).iter_batches(batch_size=777)
    ),
    "DuckDB relation": lambda log: duckdb.connect().read_parquet(str(log)),
    "DuckDB query": lambda log: duckdb.connect().sql(f"select * from read_parquet('{log}')"),
    "Polars frame": pl.read_parquet,
    "Polars lazy frame": lambda log: pl.scan_parquet(log).collect(),
    "Polars categories": lambda log: pl.read_parquet(log).with_columns(pl.col("pkt_srcaddr", "vpc_id").cast(pl.Categorical)),
    "pandas frame": pd.read_parquet,
    "pandas frame of Arrow": lambda log: pd.read_parquet(log, dtype_backend="pyarrow"),
    "pandas categories": lambda log: pd.read_parquet(log).astype({"pkt_srcaddr": "category", "vpc_id": "category"}),
}


@pytest.mark.parametrize("name", STREAMS)
def test_streams_in(name: str, engine: Engine, log: Path, expected: list[dict[str, Any]]) -> None:
    stream = STREAMS[name](log)
    found = engine.route(stream).read_all()
    assert found.select(ADDED).to_pylist() == expected
    assert found.num_rows == pq.read_metadata(log).num_rows > 1000


def test_input_columns_pass_through(engine: Engine, log: Path) -> None:
    frame = pl.read_parquet(log).with_columns(extra=pl.lit("x"), number=pl.int_range(pl.len(), dtype=pl.UInt16))
    found = pl.from_arrow(engine.route(frame).read_all())
    assert isinstance(found, pl.DataFrame)
    assert found.select(frame.columns).equals(frame)


RECIPES = README.read_text().partition("## In other tools")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"```python\n(.*?)```", RECIPES, re.DOTALL)


@pytest.fixture(name="place")
def _place(made: SynthResult, routed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the recipes name."""
    for name, folder in (("snap", made.snapshot), ("logs", made.logs), ("routed", routed)):
        (tmp_path / name).symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("place")
def test_recipes() -> None:
    """They run as they stand there, one after the other."""
    blocks = [block for block in BLOCKS if "pyspark" not in block]
    assert len(blocks) == len(BLOCKS) - 1 == 4
    names: dict[str, Any] = {"fastroute": fastroute}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)


@pytest.mark.usefixtures("place")
def test_lines_of_the_recipes(engine: Engine, made: SynthResult) -> None:
    """What the lines of the recipes give, where a name says how much that must be."""
    names: dict[str, Any] = {"engine": engine, "pl": pl, "pd": pd, "ds": ds, "duckdb": duckdb}
    exec("\n".join(line_of(begin) for begin in ("relation = ", "table = ")), names)
    by_class = eval(line_of("duckdb.from_arrow").removesuffix(".show()"), names)
    assert sum(records for _, records in by_class.fetchall()) == made.records
    assert eval(line_of("pl.scan_parquet"), names)["path_class"].n_unique() > 3
    assert len(eval(line_of("pd.read_parquet"), names)) == made.records
    assert len(eval(line_of("engine.route(pd."), names)) == made.records
    assert eval(line_of("engine.route(ds."), names).read_all().num_rows == made.records


def line_of(begin: str) -> str:
    (line,) = [line for line in RECIPES.splitlines() if line.startswith(begin)]
    return line


# --- the result, as files


def test_the_result_opens_in_duckdb(outputs: list[Path], made: SynthResult) -> None:
    relation = duckdb.read_parquet([str(path) for path in outputs])
    kinds = dict(zip(relation.columns, map(str, relation.types), strict=True))
    for column in OUTPUT_COLUMNS:
        assert kinds[column.name] == {"int32": "INTEGER", "int64": "BIGINT"}.get(column.form, "VARCHAR")
    assert relation.aggregate("count(*)").fetchall() == [(made.records,)]


def test_the_result_opens_in_polars(outputs: list[Path], made: SynthResult) -> None:
    frame = pl.scan_parquet(outputs).select("path_class", "src_k8s_pod", "path_id").collect()
    assert frame.height == made.records
    assert frame.schema["path_id"] == pl.Int64
    assert set(frame["path_class"].cast(pl.String).drop_nulls()) <= {"INTRA_POD", *_classes()}


def test_the_result_opens_in_pandas(outputs: list[Path], made: SynthResult) -> None:
    frame = pd.concat([pd.read_parquet(path, columns=["path_class", "bytes"]) for path in outputs])
    assert len(frame) == made.records
    assert set(frame["path_class"].dropna()) <= _classes()


def _classes() -> set[str]:
    from fastroute.vocab import PathClass

    return {member.name for member in PathClass}


ATHENA = {
    ("BYTE_ARRAY", "String"): "string",
    ("INT32", "None"): "int",
    ("INT64", "None"): "bigint",
    ("INT32", "Int(bitWidth=32, isSigned=true)"): "int",
    ("INT64", "Int(bitWidth=64, isSigned=true)"): "bigint",
}
"""What a column of Parquet is to Athena (Hive types): nothing unsigned, no timestamp, decimal, list or struct."""


def test_athena_takes_the_types_and_names(routed: Path, outputs: list[Path]) -> None:
    """Athena itself is not here: the rule that its columns must follow is."""
    forms = {"int32": "int", "int64": "bigint"}
    for path in outputs[:1] + sorted((routed / "_paths").glob("*.parquet")):
        schema = pq.read_schema(path)
        columns = [pq.ParquetFile(path).schema.column(i) for i in range(len(schema))]
        kinds = {column.name: ATHENA[column.physical_type, str(column.logical_type)] for column in columns}
        assert all(re.fullmatch("[a-z_][a-z0-9_]*", name) for name in kinds)
        assert len({name.lower() for name in kinds}) == len(kinds)
        for column in OUTPUT_COLUMNS:
            if column.name in kinds:
                assert kinds[column.name] == forms.get(column.form, "string")
    assert {column.name for column in OUTPUT_COLUMNS} <= set(pq.read_schema(outputs[0]).names)


def test_other_engines_leave_manifest_and_paths_out(routed: Path) -> None:
    """Hive, Athena and Spark read no name that begins with `_` or `.`."""
    others = [path.relative_to(routed) for path in routed.rglob("*") if path.is_file() and path.suffix != ".parquet"]
    assert {path.parts[0] for path in others} == {"_manifest.json"}
    assert all(path.parts[0][0] in "_." or path.suffix == ".parquet" for path in others)

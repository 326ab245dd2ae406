"""Spark gives what one process gives, also where its Python workers die."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fastroute import route_files
from fastroute.api import Snapshot
from fastroute.errors import InputError, OutputError
from fastroute.io.attempt import ATTEMPTS
from fastroute.synth import SynthResult, generate

if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
    pytest.skip("Spark runs on Java, and there is none here (apt-get install openjdk-17-jre-headless)", allow_module_level=True)
pytest.importorskip("pyspark", reason="pyspark is not installed (pip install 'fastroute[spark]')")

import fastroute.spark as on_spark

# Of pandas, Spark needs no more here than that it is there.
pytestmark = pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas")

Out = dict[str, bytes]


@pytest.fixture(name="spark", scope="module")
def _spark() -> Iterator[Any]:
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    # Two workers; a task may fail three times.
    builder = SparkSession.builder.master("local[2, 4]")
    # What makes long jobs faster makes these slower.
    short = {"spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1", "spark.sql.codegen.wholeStage": "false"}
    quiet = {"spark.ui.enabled": "false", "spark.log.level": "OFF", "spark.sql.adaptive.enabled": "false"}
    for name, value in {**short, **quiet}.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    yield session
    session.stop()


def content(folder: Path) -> Out:
    """Every file, the manifest without what differs between runs."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    manifest = json.loads(found["_manifest.json"])
    del manifest["run"]
    return {**found, "_manifest.json": json.dumps(manifest).encode()}


def test_same_as_one_process(spark: Any, made: SynthResult, snapshot: Snapshot, routed: Path, tmp_path: Path) -> None:
    manifest = on_spark.route_files(spark, made.logs, snapshot, tmp_path / "out", columns=["all"])
    assert content(tmp_path / "out") == content(routed)
    assert manifest.records == made.records
    assert [entry.output for entry in manifest.files] == sorted(
        (str(path.relative_to(made.logs)) for path in made.logs.rglob("*.parquet")), key=lambda place: place.split("/")
    )


def test_from_a_compiled_file_and_by_name(spark: Any, made: SynthResult, snapshot: Snapshot, tmp_path: Path) -> None:
    snapshot.save(tmp_path / "snapshot.fastroute")
    on_spark.route_files(spark, [str(made.logs)], str(tmp_path / "snapshot.fastroute"), tmp_path / "spark", static=True)
    route_files(made.logs, Snapshot.load(tmp_path / "snapshot.fastroute").compile(static=True), tmp_path / "here")
    assert content(tmp_path / "spark") == content(tmp_path / "here")


def kill_writers(folder: Path, number: int, killed: list[int], is_over: threading.Event) -> None:
    """Kill the workers that write the first few files, in the midst of it."""
    while len(killed) < number and not is_over.is_set():
        for attempt in folder.glob("*.partial"):
            worker = int(attempt.name.partition("-")[0])
            if worker not in killed:
                os.kill(worker, signal.SIGKILL)
                killed.append(worker)
                break
        time.sleep(0.0005)


def test_killed_workers(spark: Any, tmp_path: Path) -> None:
    made = generate(tmp_path / "account", nodes=5, pods=60, records=600_000, seed=12)
    snapshot = Snapshot.load(made.snapshot)
    route_files(made.logs, snapshot, tmp_path / "here", columns=["all"])
    killed: list[int] = []
    is_over = threading.Event()
    killer = threading.Thread(target=kill_writers, args=(tmp_path / "out" / ATTEMPTS, 2, killed, is_over))
    killer.start()
    try:
        on_spark.route_files(spark, made.logs, snapshot, tmp_path / "out", columns=["all"])
    finally:
        is_over.set()
        killer.join()
    assert len(killed) == 2
    assert content(tmp_path / "out") == content(tmp_path / "here")


def test_a_file_that_is_none(spark: Any, made: SynthResult, snapshot: Snapshot, tmp_path: Path) -> None:
    shutil.copytree(made.logs, tmp_path / "logs")
    bad = sorted((tmp_path / "logs").rglob("*.parquet"))[1]
    bad.write_bytes(bad.read_bytes()[:-100])
    with pytest.raises(InputError, match=bad.name):
        on_spark.route_files(spark, tmp_path / "logs", snapshot, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    manifest = on_spark.route_files(spark, tmp_path / "logs", snapshot, tmp_path / "out", on_error="skip")
    assert [each.source for each in manifest.skipped] == [str(bad)]
    assert manifest.is_incomplete
    route_files(tmp_path / "logs", snapshot, tmp_path / "here", on_error="skip")
    assert content(tmp_path / "out") == content(tmp_path / "here")


def test_what_cannot_be_written(spark: Any, made: SynthResult, snapshot: Snapshot, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("precious")
    with pytest.raises(OutputError, match="holds other files"):
        on_spark.route_files(spark, made.logs, snapshot, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_a_job_that_fails_leaves_nothing(spark: Any, made: SynthResult, snapshot: Snapshot, tmp_path: Path) -> None:
    from pyspark.errors import PySparkException

    class Broken:
        """A session whose jobs fail: the workers are sent to a place where nothing can be written."""

        sparkContext = spark.sparkContext

        def createDataFrame(self, *arguments: Any) -> Any:
            return spark.createDataFrame(*arguments).selectExpr("number", "path", "'/no/such' || relative as relative")

    (file, *_) = made.logs.rglob("*.parquet")
    with pytest.raises(PySparkException, match="no/such"):
        on_spark.route_files(Broken(), file, snapshot, tmp_path / "out")  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_incremental(spark: Any, made: SynthResult, snapshot: Snapshot, tmp_path: Path) -> None:
    shutil.copytree(made.logs, tmp_path / "logs")
    last = sorted((tmp_path / "logs").rglob("*.parquet"))[-1]
    last.rename(tmp_path / "later")
    first = on_spark.route_files(spark, tmp_path / "logs", snapshot, tmp_path / "out")
    (tmp_path / "later").rename(last)
    second = on_spark.route_files(spark, tmp_path / "logs", snapshot, tmp_path / "out", incremental=True)
    assert (len(first.files), second.run["files_kept"]) == (len(second.files) - 1, len(first.files))
    route_files(tmp_path / "logs", snapshot, tmp_path / "here")
    assert content(tmp_path / "out") == content(tmp_path / "here")


@pytest.mark.parametrize("columns", [None, ["all"], ["src_k8s_pod", "rule_priority"]])
def test_rows_of_a_frame(columns: list[str] | None, spark: Any, made: SynthResult, snapshot: Snapshot) -> None:
    (file, *_) = sorted(made.logs.rglob("*.parquet"))
    frame = on_spark.route_frame(spark.read.parquet(str(file)), snapshot, columns=columns)
    here = snapshot.compile().route(pq.read_table(file), columns=columns).read_all()
    assert frame.columns == here.column_names
    found = frame.toArrow() if hasattr(frame, "toArrow") else pa.Table.from_pandas(frame.toPandas())
    rows = [sorted(map(repr, table.to_pylist())) for table in (found, here)]
    assert rows[0] == rows[1]


def test_questions_of_a_frame(spark: Any, snapshot: Snapshot) -> None:
    pods = [key for key, pod in snapshot.topology.pods.items() if pod.holds_address][:20]
    frame = spark.createDataFrame([(pod, "8.8.8.8") for pod in pods], "src string, dst string")
    found = {row.src: row.path_class for row in on_spark.route_frame(frame, snapshot, columns=["path_class"]).collect()}
    asked = pa.table({"src": pods, "dst": ["8.8.8.8"] * len(pods)})
    here = snapshot.compile().route(asked, columns=["path_class"]).read_all()
    assert found == dict(zip(pods, here["path_class"].to_pylist(), strict=True))
    with pytest.raises(InputError, match="no address"):
        on_spark.route_frame(spark.range(3), snapshot)


def test_the_snapshot_is_mapped_once_and_never_in_the_closure(spark: Any, snapshot: Snapshot) -> None:
    shipped = on_spark._ship(spark, snapshot)
    work: Callable[..., Any] = partial(on_spark._routed_batches, shipped, False, ("src_kind",), None)
    assert len(pickle.dumps(work)) < 500

    def mappings(batches: Any) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            on_spark._engine(shipped, False)
            maps = Path("/proc/self/maps").read_text().splitlines()
            yield pa.RecordBatch.from_pydict({"n": [sum(shipped in line for line in maps)], "pid": [os.getpid()]})

    rows = spark.range(0, 40, 1, 8).mapInArrow(mappings, "n long, pid long").collect()
    assert len(rows) == 8
    assert {row.n for row in rows} == {1}
    assert len({row.pid for row in rows}) <= 4


def test_recipe_of_spark(spark: Any, made: SynthResult, tmp_path: Path) -> None:
    """The lines in the README."""
    recipes = (Path(__file__).parents[2] / "README.md").read_text().partition("## In other tools")[2]
    (block,) = re.findall(r"```python\n(from pyspark.*?)```", recipes, re.DOTALL)
    for name, folder in (("snap", made.snapshot), ("logs", made.logs)):
        (tmp_path / name).symlink_to(folder)
    # Java keeps the folder that its process was begun in: the names are made whole.
    block = re.sub(r'"((logs|snap|routed)[\w/-]*)"', rf'"{tmp_path}/\1"', block)
    names: dict[str, Any] = {}
    exec(compile(block, "README.md", "exec"), names)
    assert spark.read.parquet(str(tmp_path / "routed-by-spark")).count() == made.records
    (line,) = [line for line in block.splitlines() if "route_frame" in line]
    assert eval(line, names).count() == made.records


def test_spark_reads_the_result(spark: Any, made: SynthResult, routed: Path) -> None:
    frame = spark.read.parquet(str(routed))
    assert frame.count() == made.records
    kinds = {field.name: field.dataType.simpleString() for field in frame.schema.fields}
    assert kinds["src_k8s_pod"] == kinds["path_class"] == "string"
    assert (kinds["rule_priority"], kinds["path_id"]) == ("int", "bigint")

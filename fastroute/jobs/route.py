"""Flow logs or questions in, the same records with their paths out: one file a file, and the account of the run."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import msgspec
import numpy as np

from fastroute.api import Engine, Snapshot
from fastroute.api.ahead import num_threads
from fastroute.datapath import to_arrays
from fastroute.errors import FastrouteError, InputError, OutputError
from fastroute.flows import choose_columns
from fastroute.flows.counting import COUNTS, FlowCounter
from fastroute.io.attempt import Attempt
from fastroute.io.flowlogs import Found, InputFile, discover, open_flows
from fastroute.io.manifest import Entries, FileEntry, Manifest, decoded_entry, versions
from fastroute.io.outputs import PATHS, Mode, OutputFolder
from fastroute.io.parquet import write_legs
from fastroute.io.writers import WRITE_MODES
from fastroute.jobs.kept import Plan, make_plan, output_place
from fastroute.jobs.logged import logged_interfaces, read_flow_logs, seen_interfaces
from fastroute.jobs.pipeline import Progress
from fastroute.jobs.run import Elsewhere, Run, Settings

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
ON_ERROR = ("stop", "skip")
"""What a file that cannot be read does: ends the run, or is named and left out."""


def route_files(
    paths: Paths,
    snapshot: Snapshot | Engine,
    out: str | os.PathLike[str],
    *,
    columns: Sequence[str] | None = None,
    threads: int | None = None,
    overwrite: bool = False,
    resume: bool = False,
    incremental: bool = False,
    on_error: str = "stop",
    min_attributed: float | None = None,
    simulated: bool | None = None,
    write: str = "auto",
    count: str = "records",
    static: bool = False,
    log_format: Sequence[str] | None = None,
    progress: Progress | None = None,
    elsewhere: Elsewhere | None = None,
) -> Manifest:
    """Route every record of flow logs, or of tables of questions, into a folder.

    Parameters
    ----------
    paths : path, or several
        Files, folders or patterns; see `fastroute.io.flowlogs.discover`.
    snapshot : Snapshot or Engine
    out : path
        A new or empty folder. Each input file has its output at the same place in it, all but Parquet with `.parquet` appended;
        beside them `_manifest.json`, and `_paths/`, which decodes `path_id`. One run at a time writes into a folder.
    columns : names of the columns to add
        The default ones, or `["all"]`.
    threads : int, optional
        One for each processor by default. The files are the same for any number.
    overwrite : bool
        Replace an earlier output of fastroute in the folder; other files are never touched.
    resume : bool
        Go on with a run that did not finish: outputs whose input, settings, snapshot and version are the same are kept; then every file is
        as an undisturbed run would have made it. If this run fails, it leaves what is finished for the next.
    incremental : bool
        The same, and also add to a finished output: new inputs are routed, changed ones anew, outputs of vanished ones stay and are named
        in `run`.
    on_error : `stop` or `skip`
        Whether an input file that cannot be read ends the run, or is named in the manifest (`skipped`) and has no output.
    min_attributed : float, optional
        Share of records, 0 to 1, that must be EXACT or INFERRED; the manifest says whether they are.
    simulated : bool, optional
        Whether the tables ask questions; by default their columns tell.
    write : `auto`, `splice` or `encode`
        Whether the columns of the input are copied as bytes, or decoded and encoded again; by default the former where that can be.
    count : `records` or `flows`
        Whether every record counts, or of each flow the one nearest its source: then files have the columns `leg` and `is_counted` too,
        are encoded, and the account says what counts. Needs the snapshot itself.
    static : bool
        Whether the snapshot holds for all time; see `Snapshot.compile`.
    log_format : field names, optional
        Of text logs without a header; see `fastroute.io.logformat.parse_format`.
    progress : callable, optional
        Called with ("route", records written, records in all; 0 while that is not known).
    elsewhere : callable, optional
        Has the files routed by other processes or machines, as `fastroute.spark` does.

    Returns
    -------
    Manifest

    Raises
    ------
    InputError
        A file that is not what it should be, or holds an address that is none; nothing is left behind.
    OutputError
        The folder holds other files, is being written to, or cannot be written; nothing is left behind.
    """
    began = time.perf_counter()
    started_at = datetime.now(UTC)
    mode = _mode_of(overwrite=overwrite, resume=resume, incremental=incremental)
    if on_error not in ON_ERROR:
        raise InputError(f"on_error is {' or '.join(ON_ERROR)}, not {on_error!r}")
    if write not in WRITE_MODES:
        raise InputError(f"no way to write is called {write!r}; there are {', '.join(WRITE_MODES)}")
    if count not in COUNTS:
        raise InputError(f"count {count!r}; it is {' or '.join(COUNTS)}")
    if count == "flows" and elsewhere is not None:
        raise InputError("flows are counted by one process, which knows all interfaces that are logged; count records over a cluster")
    settings = Settings(
        choose_columns(columns),
        write,
        simulated,
        on_error,
        min_attributed,
        static,
        tuple(log_format) if log_format is not None else None,
        count,
    )
    folder = Path(out)
    found = discover(listed(paths), log_format)
    _check_apart(found, folder)
    engine = snapshot.compile(static=static) if isinstance(snapshot, Snapshot) else snapshot
    counter = None
    if count == "flows":
        if isinstance(snapshot, Engine):
            raise InputError("counting flows needs the snapshot itself, not an engine made from it; pass the snapshot")
        logged = _logged(snapshot, found, settings, num_threads(threads))
        counter = FlowCounter(engine.compiled, snapshot.topology, logged)
        settings = settings._replace(logged=hashlib.sha256("\n".join(sorted(logged)).encode()).hexdigest())
    made_with = {"versions": versions(), "settings": settings.to_dict(), "snapshot": {**engine.describe(), "sha256": fingerprint(engine)}}
    run = Run(engine, settings, counter)
    if mode in {"new", "overwrite"} and elsewhere is None:
        # Before the folder is touched: an earlier output is not given up for a run that cannot begin.
        run.open_early(found.files)
    outputs = OutputFolder(folder, made_with, mode)
    try:
        plan = make_plan(found.files, outputs, keeps_vanished=incremental)
        if elsewhere is not None:
            plan = run.send(plan, outputs, elsewhere)
        if mode not in {"new", "overwrite"} or elsewhere is not None:
            run.open_early(plan.todo)
        run.go(plan, outputs, num_threads(threads), progress)
        _write_paths(outputs, engine)
        seconds = time.perf_counter() - began
        share = run.totals.attributed_share
        manifest = Manifest(
            settings=settings.to_dict(),
            snapshot=made_with["snapshot"],
            files=Entries(run.entries),
            skipped=sorted(run.skipped, key=lambda skipped: skipped.source),
            ignored=[str(path) for path in found.ignored],
            account=run.totals.to_dict(),
            run={
                "started_at": started_at.isoformat(timespec="seconds"),
                "seconds": round(seconds, 3),
                "records_per_second": round(run.routed_records / seconds),
                "threads": num_threads(threads),
                "is_below_min_attributed": min_attributed is not None and share < min_attributed,
                "files_kept": len(plan.kept),
                "changed": plan.changed,
                "vanished": plan.vanished,
            },
        )
        outputs.finish(manifest.to_json())
    except BaseException as error:
        run.abandon()
        outputs.abandon()
        if isinstance(error, OSError) and not isinstance(error, FastrouteError):
            raise outputs.failure(folder, error) from error
        raise
    return manifest


def route_file(file: InputFile, engine: Engine, settings: Settings, folder: Path, *, threads: int = 1) -> FileEntry:
    """Route one file into the folder of a run that another process leads; may be done again, and by several processes at once.

    Raises
    ------
    InputError
        The file is not what it should be.
    OSError
        The output cannot be written.
    """
    run = Run(engine, settings._replace(on_error="stop"))
    try:
        run.go(Plan([file], {}, [], [], []), Attempt(folder), threads, None)
    except BaseException:
        run.abandon()
        run.outputs.discard(output_place(file.relative))
        raise
    return decoded_entry(run.entries[str(output_place(file.relative))])


def listed(paths: Paths) -> list[str | os.PathLike[str]]:
    """One path or several, as a list."""
    return [paths] if isinstance(paths, str | os.PathLike) else list(paths)


def fingerprint(engine: Engine) -> str:
    """SHA-256 of a compiled snapshot's content: the same for the same answers, wherever it was read from."""
    arrays, rest = to_arrays(engine.compiled)
    about = {name: value for name, value in engine.describe().items() if name != "path"}
    digest = hashlib.sha256(msgspec.json.encode([rest, about]))
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _logged(snapshot: Snapshot, found: Found, settings: Settings, threads: int) -> frozenset[str]:
    """The interfaces that are taken for logged: those of the snapshot's flow logs, else those that the records name."""
    flow_logs = read_flow_logs(snapshot)
    if flow_logs:
        return logged_interfaces(snapshot.topology, flow_logs)
    if settings.on_error == "stop":
        return seen_interfaces([open_flows(file, settings.log_format) for file in found.files], threads)
    seen: set[str] = set()
    for file in found.files:
        with contextlib.suppress(InputError):  # it will be skipped, and named then
            seen |= seen_interfaces([open_flows(file, settings.log_format)], threads)
    return frozenset(seen)


def _mode_of(*, overwrite: bool, resume: bool, incremental: bool) -> Mode:
    asked: list[Mode] = []
    asked += ["overwrite"] if overwrite else []
    asked += ["resume"] if resume else []
    asked += ["incremental"] if incremental else []
    if len(asked) > 1:
        raise InputError(f"{' and '.join(asked)}: one of them; incremental goes on with an unfinished run too")
    return asked[0] if asked else "new"


def _check_apart(found: Found, out: Path) -> None:
    """Hold the output apart from the input: else the next run would read what this one wrote."""
    real = out.resolve()
    for folder in found.folders:
        if real.is_relative_to(folder.resolve()):
            raise OutputError(f"{out}: lies inside the logs ({folder}); name a folder elsewhere")
    for parent in sorted({file.path.parent for file in found.files}):
        if parent.resolve().is_relative_to(real):
            raise OutputError(f"{out}: logs lie inside of it ({parent}); name a folder elsewhere")


def _write_paths(outputs: OutputFolder, engine: Engine) -> None:
    for name, legs in engine.path_tables()._asdict().items():
        relative = PurePosixPath(PATHS, f"{name}.parquet")
        write_legs(outputs.begin(relative), legs)
        outputs.publish(relative)

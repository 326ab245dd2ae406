"""VPC flow logs of an account and their truth: Parquet files as AWS lays them out, and beside them what each record really was."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fastroute.arrays import NONE
from fastroute.errors import InputError
from fastroute.synth.account import Account
from fastroute.synth.catalog import Catalog, Text, build_catalog
from fastroute.synth.clock import LOGS_BEGIN
from fastroute.synth.exchanges import CLIENT_PORT_MAX, CLIENT_PORT_MIN, INT_TRUTH, TRUTH_COLUMNS, Observer
from fastroute.synth.traffic_kinds import TrafficKinds
from fastroute.vocab import FLOW_LOG_FIELDS, ICMP, TCP

Progress = Callable[[str, int, int], None]
Rows = NDArray[np.intp]

RECORDS_PER_FILE = 500_000
MAX_FILES = 360
ROWS_PER_GROUP = 1 << 18
MAX_EXCHANGES = 150_000
RECORDS_PER_EXCHANGE = 25
NO_DATA_SHARE, SKIP_DATA_SHARE = 0.003, 0.0005
# flags as AWS ORs them over a window: the client's, the server's, and how often: a whole connection, its beginning, middle, end, a reset
_STAGES = ((0x03, 0x13, 0.55), (0x02, 0x12, 0.17), (0x00, 0x00, 0.18), (0x01, 0x01, 0.07), (0x06, 0x12, 0.03))
_OPENING_STAGES = (0, 1, 4)
_SYN = 0x02
PARQUET_TYPES = {"string": pa.string(), "int32": pa.int32(), "int64": pa.int64()}


@dataclass(slots=True, frozen=True)
class LogCounts:
    """What was written."""

    records: int
    files: int
    decidable: int


def log_fields(*, default_format: bool) -> list[str]:
    """Names of the log's columns: the default format, or all fields of versions 2 to 5."""
    newest = 2 if default_format else 5
    return [field.name for field in FLOW_LOG_FIELDS if field.version <= newest]


def log_format(*, default_format: bool) -> str:
    """The format string of the flow log."""
    return " ".join(f"${{{name.replace('_', '-')}}}" for name in log_fields(default_format=default_format))


def write_logs(
    account: Account,
    logs: Path,
    truth: Path,
    *,
    records: int,
    seed: int,
    default_format: bool = False,
    reused_addresses: bool = False,
    progress: Progress | None = None,
) -> LogCounts:
    """Write `records` flow log records below `logs`; below `truth`, at the same relative path, `<file>.truth.parquet` has a row for each.

    Memory is that of one file of half a million records, and of the catalog of what can occur.
    """
    if records < 1:
        raise InputError(f"records: {records} is not a number of records; at least 1")
    num_files = min(MAX_FILES, max(2, -(-records // RECORDS_PER_FILE))) if records > 1 else 1
    kinds = TrafficKinds(account, random.Random(f"traffic {seed}"), reused_addresses=reused_addresses)
    observer = Observer(account, account.logged_vpcs, has_packet_addresses=not default_format)
    catalog = build_catalog(account, kinds.recorded(min(MAX_EXCHANGES, max(120, records // RECORDS_PER_EXCHANGE))), observer)
    writer = _LogWriter(account, catalog, logs, truth, seed, default_format=default_format)
    step = timedelta(hours=1) if num_files <= 24 else timedelta(minutes=5)
    done = files = decidable = 0
    for number in range(num_files):
        share = records * (number + 1) // num_files - done
        begin = LOGS_BEGIN + number * step
        written, sure = writer.write_window(begin, step, share, number, num_files)
        done, files, decidable = done + share, files + written, decidable + sure
        if progress is not None:
            progress("flow logs", done, records)
    return LogCounts(done, files, decidable)


class _LogWriter:
    """Draws windows of records from a catalog and writes them."""

    def __init__(self, account: Account, catalog: Catalog, logs: Path, truth: Path, seed: int, *, default_format: bool) -> None:
        self._account = account
        self._catalog = catalog
        self._logs = logs
        self._truth = truth
        self._fields = [field for field in FLOW_LOG_FIELDS if field.version <= (2 if default_format else 5)]
        self._version = 2 if default_format else 5
        self._rng = np.random.Generator(np.random.PCG64([seed, 0x10C5]))
        num = catalog.count.size
        # traffic is skewed: the k-th busiest exchange has a share of about 1/k
        weights = 1.0 / np.arange(4, num + 4)
        self._cumulative = np.cumsum(weights[self._rng.permutation(num)])
        main = account.network.vpc
        self._idle_enis = np.array([1 + i for i, eni in enumerate(account.enis) if eni.vpc is main], np.int32)

    def write_window(self, begin: datetime, step: timedelta, count: int, number: int, num_files: int) -> tuple[int, int]:
        """Write the files of one window, a flow log each; returns how many, and how many records are decidable."""
        rng, catalog = self._rng, self._catalog
        no_data = rng.binomial(count, NO_DATA_SHARE)
        skip_data = rng.binomial(count - no_data, SKIP_DATA_SHARE)
        num_ok = count - no_data - skip_data
        rows, session = self._draw(num_ok, number, num_files)
        rows = np.concatenate([rows, np.full(no_data + skip_data, NONE, np.intp)])
        columns = self._numbers(rows, session, begin, step)
        status = np.zeros(count, np.int32)
        status[num_ok:] = 1
        status[num_ok + no_data :] = 2
        idle = np.zeros(count, np.int32)
        idle[num_ok:] = rng.choice(self._idle_enis, no_data + skip_data)

        interfaces = np.where(rows >= 0, catalog.text["interface_id"].positions[rows], idle)
        order = np.lexsort((interfaces, columns["start"] // 60))
        log_of_row = np.where(rows >= 0, catalog.log_index[rows], 0)[order]
        written = 0
        for log_index, flow_log_id in enumerate(self._account.flow_log_ids):
            chosen = order[log_of_row == log_index]
            if chosen.size:
                part = {name: (values[chosen], mask[chosen]) for name, (values, mask) in self._masked(columns, rows).items()}
                self._write(begin, flow_log_id, rows[chosen], part, status[chosen], idle[chosen])
                written += 1
        return written, int(np.where(rows >= 0, catalog.decidable[rows], True).sum())

    def _draw(self, count: int, number: int, num_files: int) -> tuple[Rows, Rows]:
        """Catalog rows of sessions drawn by popularity, after one session of every exchange over all files; and the session of each row."""
        catalog = self._catalog
        total = self._cumulative[-1]
        once = np.arange(number, catalog.count.size, num_files)
        pieces, have = [once], int(catalog.count[once].sum())
        while have < count:
            drawn = np.searchsorted(self._cumulative, self._rng.random(int((count - have) / catalog.mean_count) + 8) * total)
            pieces.append(drawn)
            have += int(catalog.count[drawn].sum())
        exchanges = np.concatenate(pieces)
        counts = catalog.count[exchanges]
        session = np.repeat(np.arange(exchanges.size), counts)
        starts = np.cumsum(counts) - counts
        rows = catalog.first[exchanges][session] + np.arange(session.size) - starts[session]
        return rows[:count], session[:count]

    def _numbers(self, rows: Rows, session: Rows, begin: datetime, step: timedelta) -> dict[str, NDArray[np.int64]]:
        """The numeric columns; both records of a packet agree in ports and counts, and nearly in time."""
        rng, catalog = self._rng, self._catalog
        num_ok = session.size
        num_sessions = int(session.max()) + 1 if num_ok else 0
        known = rows[:num_ok]
        is_reply = catalog.is_reply[known]
        protocol, port = catalog.protocol[known], catalog.port[known]

        client_ports = rng.integers(CLIENT_PORT_MIN, CLIENT_PORT_MAX + 1, (num_sessions, 2), dtype=np.int32)
        client_port = client_ports[session, catalog.after_nat[known].astype(np.intp)]
        client_port[protocol == ICMP] = 0
        packets = np.ceil(rng.lognormal(2.2, 1.4, (num_sessions, 2))).astype(np.int64)
        sizes = rng.integers(60, 1400, (num_sessions, 2))
        way = is_reply.astype(np.intp)
        is_alone = ~catalog.is_answered[known]
        num_packets = np.where(is_alone, 1, packets[session, way])
        num_bytes = np.where(is_alone, 60, num_packets * sizes[session, way])

        second = rng.integers(0, int(step.total_seconds()) - 120, num_sessions)
        duration = rng.integers(1, 60, num_sessions)
        start = int(begin.timestamp()) + second[session] + rng.integers(0, 4, num_ok)
        quiet = rows.size - num_ok
        quiet_start = int(begin.timestamp()) + rng.integers(0, int(step.total_seconds()) - 120, quiet)

        def padded(values: NDArray[np.int64] | NDArray[np.int32]) -> NDArray[np.int64]:
            return np.concatenate([values.astype(np.int64), np.zeros(quiet, np.int64)])

        return {
            "srcport": padded(np.where(is_reply, port, client_port)),
            "dstport": padded(np.where(is_reply, client_port, port)),
            "protocol": padded(protocol),
            "packets": padded(num_packets),
            "bytes": padded(num_bytes),
            "tcp_flags": padded(self._flags(known, session, num_sessions)),
            "start": np.concatenate([start, quiet_start]),
            "end": np.concatenate([start + duration[session], quiet_start + 60]),
        }

    def _flags(self, known: Rows, session: Rows, num_sessions: int) -> NDArray[np.int32]:
        rng, catalog = self._rng, self._catalog
        stage = rng.choice(len(_STAGES), num_sessions, p=[share for _, _, share in _STAGES])
        opening = rng.choice(_OPENING_STAGES, num_sessions)
        stage_of_row = np.where(catalog.needs_syn[known], opening[session], stage[session])
        by_side = np.array([[client, server] for client, server, _ in _STAGES], np.int32)
        flags = by_side[stage_of_row, catalog.is_reply[known].astype(np.intp)]
        flags = np.where(catalog.is_answered[known], flags, _SYN)
        return np.where(catalog.protocol[known] == TCP, flags, 0).astype(np.int32)

    def _masked(self, columns: dict[str, NDArray[np.int64]], rows: Rows) -> dict[str, tuple[NDArray[np.int64], NDArray[np.bool_]]]:
        """Each numeric column with the rows where it is null."""
        quiet = rows < 0
        never = np.zeros(rows.size, bool)
        out = {name: (values, never if name in ("start", "end") else quiet) for name, values in columns.items()}
        path = np.where(quiet, NONE, self._catalog.traffic_path[rows]).astype(np.int64)
        return out | {"traffic_path": (path, path == NONE), "version": (np.full(rows.size, self._version, np.int64), never)}

    def _write(
        self,
        begin: datetime,
        flow_log_id: str,
        rows: Rows,
        numbers: dict[str, tuple[NDArray[np.int64], NDArray[np.bool_]]],
        status: NDArray[np.int32],
        idle: NDArray[np.int32],
    ) -> None:
        catalog, account = self._catalog, self._account
        everywhere = np.zeros(rows.size, np.int32)
        fixed = {
            "account_id": (everywhere, [account.account_id]),
            "log_status": (status, ["OK", "NODATA", "SKIPDATA"]),
            "type": (np.where(rows >= 0, 1, 0).astype(np.int32), ["-", "IPv4"]),
            "region": (np.where(rows >= 0, 1, 0).astype(np.int32), ["-", account.region]),
            "sublocation_type": (everywhere, ["-"]),
            "sublocation_id": (everywhere, ["-"]),
        }
        arrays = []
        for field in self._fields:
            if field.name in numbers:
                values, mask = numbers[field.name]
                arrays.append(pa.array(values, mask=mask if mask.any() else None).cast(PARQUET_TYPES[field.parquet_type]))
            elif field.name in fixed:
                positions, words = fixed[field.name]
                arrays.append(pa.DictionaryArray.from_arrays(pa.array(positions), pa.array(words)))
            else:
                arrays.append(catalog.text[field.name].take(rows, idle if field.name == "interface_id" else None))
        names = [field.name for field in self._fields]
        relative = self._path(begin, flow_log_id)
        _write_parquet(pa.table(arrays, names), self._logs / relative, "gzip")
        _write_parquet(self._truth_table(rows), self._truth / relative.with_name(relative.name + ".truth.parquet"), "zstd")

    def _truth_table(self, rows: Rows) -> pa.Table:
        catalog = self._catalog
        arrays = []
        for name in TRUTH_COLUMNS:
            if name in INT_TRUTH:
                values = np.where(rows >= 0, catalog.truth_int[name][rows], NONE)
                arrays.append(pa.array(values, pa.int32(), mask=values == NONE))
            else:
                column: Text = catalog.truth_text[name]
                arrays.append(column.take(rows))
        arrays.append(pa.array(np.where(rows >= 0, catalog.decidable[rows], True)))
        return pa.table(arrays, [*TRUTH_COLUMNS, "decidable"])

    def _path(self, begin: datetime, flow_log_id: str) -> Path:
        """Hive layout and file name as AWS writes them: the name carries the start of the five minutes in which the file's records end."""
        account = self._account
        stamp = begin.astimezone(UTC)
        unique = hashlib.sha256(f"{account.seed} {flow_log_id} {stamp.isoformat()}".encode()).hexdigest()[:8]
        name = f"{account.account_id}_vpcflowlogs_{account.region}_{flow_log_id}_{stamp:%Y%m%dT%H%MZ}_{unique}.log.parquet"
        parts = (
            "AWSLogs",
            f"aws-account-id={account.account_id}",
            "aws-service=vpcflowlogs",
            f"aws-region={account.region}",
            f"year={stamp:%Y}",
            f"month={stamp:%m}",
            f"day={stamp:%d}",
            f"hour={stamp:%H}",
            name,
        )
        return Path(*parts)


def _write_parquet(table: pa.Table, path: Path, compression: str) -> None:
    """Write without the Arrow schema, so that the file says no more than one of AWS: plain strings."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coded = [name for name, kind in zip(table.column_names, table.schema.types, strict=True) if pa.types.is_dictionary(kind)]
    pq.write_table(
        table,
        path,
        compression=compression,
        compression_level=1,
        use_dictionary=coded,
        row_group_size=ROWS_PER_GROUP,
        store_schema=False,
    )

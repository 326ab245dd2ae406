"""A day on which addresses change hands every minute: Jobs on each node, the flow logs of it, and what they cannot tell."""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fastroute.errors import InputError, OutputError
from fastroute.synth.account import Account, make_account
from fastroute.synth.addresses import text
from fastroute.synth.clock import CAPTURED_AT, LOGS_BEGIN
from fastroute.synth.ids import Ids
from fastroute.synth.nodes import pod_name
from fastroute.synth.nouns import Container, Eni, Node, Pod, Workload
from fastroute.synth.snapshot import write_snapshot
from fastroute.vocab import FLOW_LOG_FIELDS, TCP

TRAIL = 60
"""Seconds by which AWS says that a record's times may trail its packets."""
WINDOW = 60
"""Longest aggregation of a record of a Nitro instance, seconds."""
LONG, LONG_SHARE = (300, 900), 0.2
"""Seconds that one Job in five runs; the others are gone in time for the next one to have their address."""
UNLISTED_SHARE = 0.1
"""Jobs that the API has forgotten by the time of the snapshot."""
FIELDS = (
    *("version", "account_id", "interface_id", "srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets", "bytes", "start", "end"),
    *("action", "log_status", "vpc_id", "pkt_srcaddr", "pkt_dstaddr", "flow_direction"),
)
TRUTH_FIELDS = ("src_k8s_pod", "dst_k8s_pod", "num_candidates", "decidable")
_TYPES = {"string": pa.string(), "int32": pa.int32(), "int64": pa.int64()}
_SERVER_PORT = 8080


@dataclass(slots=True, frozen=True)
class ReuseResult:
    """Where things are, and how many. `open_records`: several listed pods held an address within the record's stretch of time."""

    folder: Path
    snapshot: Path
    logs: Path
    truth: Path
    account: Account
    jobs: int
    records: int
    decidable: int
    open_records: int


@dataclass(slots=True, eq=False)
class _Run:
    """One Job's pod: what the API says of it, and when it really had its address."""

    pod: Pod
    is_listed: bool
    started: int
    finished: int
    given_back: int


@dataclass(slots=True, frozen=True)
class _Record:
    """One record, and what it really is."""

    start: int
    log: tuple[object, ...]
    names: tuple[str, str]
    num_candidates: int
    is_decidable: bool


def generate_reuse(
    folder: Path, *, nodes: int = 4, hours: int = 24, every: int = 45, cooldown: int = 30, records_per_job: int = 6, seed: int = 1
) -> ReuseResult:
    """Write `<folder>/snapshot`, `<folder>/logs`, a file an hour, and `<folder>/truth`, `<file>.truth.parquet` with a row for each record.

    Every `every` seconds a Job starts on each node. Its pod gets the address that was given back last, at least `cooldown` seconds ago, or
    else a new one, as ipamd prefers used ones. `decidable` says whether the snapshot and the record determine the pods of both ends:
    within the stretch from the record's start less a minute to its end, one listed pod alone had the address, and all that time.

    Parameters
    ----------
    folder : Path
        Made where absent; must hold nothing.
    nodes, hours : int
    every, cooldown : int
        Seconds.
    records_per_job : int
        At most; a Job that is gone soon sends fewer.
    seed : int

    Raises
    ------
    InputError
        Numbers that no day can have.
    OutputError
        The folder holds other files.
    """
    if min(nodes, hours, every, records_per_job) < 1 or cooldown < 0 or hours > 24:
        raise InputError("nodes, every and records_per_job are at least 1, hours 1 to 24, cooldown 0 or more")
    folder = Path(folder).absolute()
    if folder.exists() and any(folder.iterdir()):
        raise OutputError(f"{folder}: holds other files; name a new or empty folder")
    account = make_account(nodes=nodes, pods=nodes * 14, seed=seed)
    account.ended.clear()
    rng = random.Random(f"reuse {seed} {nodes} {hours} {every} {cooldown}")
    ids = Ids(random.Random(f"reuse names {seed}"))
    runs = [run for node in account.nodes for run in _day_of(node, hours * 3600, every, cooldown, ids, rng)]
    account.ended.extend(run.pod for run in runs if run.is_listed)
    snapshot, logs, truth = (folder / name for name in ("snapshot", "logs", "truth"))
    for each in (snapshot, logs, truth):
        each.mkdir(parents=True)
    write_snapshot(account, snapshot, log_format=" ".join(f"${{{name.replace('_', '-')}}}" for name in FIELDS))
    judge = _Judge(runs)
    records = [record for run in runs for record in _records_of(run, account, judge, records_per_job, rng)]
    rng.shuffle(records)
    for hour in range(hours):
        stamp = f"{LOGS_BEGIN:%Y%m%d}T{hour:02d}00Z"
        name = f"{account.account_id}_vpcflowlogs_{account.region}_{account.flow_log_ids[0]}_{stamp}_{seed:08x}.log.parquet"
        part = [record for record in records if min((record.start - _seconds(LOGS_BEGIN)) // 3600, hours - 1) == hour]
        _write(part, logs / name, truth / f"{name}.truth.parquet")
    decidable = sum(record.is_decidable for record in records)
    still_open = sum(record.num_candidates > 1 for record in records)
    return ReuseResult(folder, snapshot, logs, truth, account, len(runs), len(records), decidable, still_open)


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, CAPTURED_AT.tzinfo)


def _day_of(node: Node, length: int, every: int, cooldown: int, ids: Ids, rng: random.Random) -> Iterator[_Run]:
    """The Jobs of one node, on its warm addresses; `used` are free ones with the time at which they were given back."""
    workload = Workload("Job", "batch", f"report-{ids.suffix()}", (Container("report", "example.com/report:1"),), 1, ids.uid())
    unused: list[tuple[int, Eni]] = list(node.warm)
    used: list[tuple[int, int, Eni]] = []
    longest = max(2, every - cooldown - 4)
    short = longest // 2 + 1, longest
    begin = _seconds(LOGS_BEGIN)
    for at in range(begin, begin + length, every):
        given = at + rng.randint(0, 2)
        cool = [free for free in used if free[0] + cooldown <= given]
        if cool:
            newest = max(cool, key=lambda free: free[0])
            used.remove(newest)
            _, addr, eni = newest
        elif unused:
            addr, eni = unused.pop(0)
        else:
            continue
        finished = given + rng.randint(*(LONG if rng.random() < LONG_SHARE else short))
        given_back = finished + rng.randint(0, 3)
        used.append((given_back, addr, eni))
        pod = Pod(
            workload.namespace,
            pod_name(workload, 0, ids),
            ids.uid(),
            workload.containers,
            workload,
            node,
            "Succeeded",
            addr=addr,
            eni=eni,
            started=_moment(at),
            finished=_moment(finished),
        )
        yield _Run(pod, rng.random() >= UNLISTED_SHARE, at, finished, given_back)


class _Judge:
    """Says what the API's own times leave open."""

    def __init__(self, runs: list[_Run]) -> None:
        # one after the other on each address, so they are in the order of either time
        self._of_addr: dict[int, list[_Run]] = {}
        for run in runs:
            if run.is_listed:
                self._of_addr.setdefault(run.pod.addr, []).append(run)

    def candidates(self, addr: int, begin: int, end: int) -> list[_Run]:
        """The listed pods that had the address at some time from `begin` to `end`."""
        runs = self._of_addr.get(addr, [])
        low = bisect_left(runs, begin, key=lambda run: run.finished)
        high = bisect_right(runs, end, key=lambda run: run.started)
        return runs[low:high]

    def is_decided(self, addr: int, begin: int, end: int) -> bool:
        """Whether one of them had it all that time, and no other at any."""
        found = self.candidates(addr, begin, end)
        return len(found) == 1 and found[0].started <= begin and end <= found[0].finished


def _records_of(run: _Run, account: Account, judge: _Judge, at_most: int, rng: random.Random) -> Iterator[_Record]:
    """Connections that a Job opens to pods of other nodes that have been there for long: a record at either interface, each way."""
    others = [pod for pod in account.pods if pod.eni and pod.node is not run.pod.node]
    for number in range(rng.randint(1, at_most)):
        server = rng.choice(others)
        # packets are sent while the pod runs; the record of them opens up to a minute late, and lasts as long as they at least
        begin = rng.randint(run.started + 2, run.finished)
        end = min(run.finished, begin + rng.randint(0, WINDOW - 1))
        begin = min(begin, end)
        start = begin + rng.randint(0, TRAIL)
        until = max(start, end) + rng.randint(0, 10)
        is_answer = number % 2 == 1
        src, dst = (server, run.pod) if is_answer else (run.pod, server)
        assert src.eni is not None
        assert dst.eni is not None
        is_egress = rng.random() < 0.5
        eni = src.eni if is_egress else dst.eni
        ports = (_SERVER_PORT, 40_000 + number) if is_answer else (40_000 + number, _SERVER_PORT)
        packets = rng.randint(1, 50)
        log = (
            *(5, account.account_id, eni.id, text(eni.primary if is_egress else src.addr), text(dst.addr if is_egress else eni.primary)),
            *(*ports, TCP, packets, packets * rng.randint(52, 1400), start, until, "ACCEPT", "OK", eni.vpc.id),
            *(text(src.addr), text(dst.addr), "egress" if is_egress else "ingress"),
        )
        stretch = start - TRAIL, until
        candidates = judge.candidates(run.pod.addr, *stretch)
        decidable = run.is_listed and judge.is_decided(run.pod.addr, *stretch)
        yield _Record(start, log, (src.name, dst.name), len(candidates), decidable)


def _write(records: list[_Record], log: Path, truth: Path) -> None:
    kinds = {field.name: _TYPES[field.parquet_type] for field in FLOW_LOG_FIELDS}
    columns = list(zip(*(record.log for record in records), strict=True)) or [()] * len(FIELDS)
    arrays = [pa.array(list(column), kinds[name]) for name, column in zip(FIELDS, columns, strict=True)]
    pq.write_table(pa.table(arrays, list(FIELDS)), log, compression="gzip", store_schema=False)
    columns = list(zip(*((*record.names, record.num_candidates, record.is_decidable) for record in records), strict=True)) or [()] * len(
        TRUTH_FIELDS
    )
    types = (pa.string(), pa.string(), pa.int32(), pa.bool_())
    arrays = [pa.array(list(column), kind) for kind, column in zip(types, columns, strict=True)]
    pq.write_table(pa.table(arrays, list(TRUTH_FIELDS)), truth, compression="zstd")

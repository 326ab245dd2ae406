"""Which interfaces are logged: as the snapshot's flow logs say, else those that the log itself names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from fastroute.api import Engine, Snapshot
from fastroute.api.timeline import Timeline
from fastroute.errors import InputError
from fastroute.flows.columns import ABSENT_TEXTS, distinct_column, texts_of
from fastroute.flows.counting import NO_INTERFACES, FlowCounter
from fastroute.flows.fields import field_name
from fastroute.io.flowlogs import FlowFile
from fastroute.io.json_input import decode, read_object
from fastroute.jobs.pipeline import run_all
from fastroute.topology import Topology

_KIND = "FlowLogs"
_ACCEPTED = frozenset({"ALL", "ACCEPT"})


class FlowLogSettings(msgspec.Struct, frozen=True):
    """One flow log, of `aws ec2 describe-flow-logs`."""

    ResourceId: str = ""
    TrafficType: str = "ALL"
    FlowLogStatus: str = "ACTIVE"
    DeliverLogsStatus: str = "SUCCESS"

    @property
    def shows_accepted(self) -> bool:
        """Whether packets that an interface sends or takes leave a record: refused ones alone say nothing of the others."""
        return self.TrafficType in _ACCEPTED and self.FlowLogStatus == "ACTIVE" and self.DeliverLogsStatus != "FAILED"


_FLOW_LOGS: msgspec.json.Decoder[list[FlowLogSettings]] = msgspec.json.Decoder(list[FlowLogSettings])


def make_counter(snapshot: Snapshot | Engine, engine: Engine, files: Sequence[FlowFile], threads: int) -> FlowCounter:
    """A counter for a run.

    Parameters
    ----------
    snapshot : Snapshot
        The flow logs that it describes say which interfaces are logged; without any, those that `files` name in `interface_id`, found in a
        pass over that column.
    engine : what was made of it, which routes the records
    files : all files of the run
    threads : for that pass

    Raises
    ------
    InputError
        An engine in place of the snapshot, a log without `interface_id`.
    """
    if isinstance(snapshot, Engine):
        raise InputError("counting flows needs the snapshot itself, not an engine made from it; pass the snapshot")
    for file in files:
        _interface_column(file)
    flow_logs = read_flow_logs(snapshot)
    logged = logged_interfaces(snapshot.topology, flow_logs) if flow_logs else seen_interfaces(files, threads)
    return FlowCounter(engine.compiled, snapshot.topology, logged)


def read_flow_logs(snapshot: Snapshot) -> list[FlowLogSettings]:
    """The flow logs that a snapshot folder describes, of several the newest; none where it was made in Python, or compiled into a file."""
    if isinstance(snapshot, Timeline):
        return read_flow_logs(snapshot.snapshots[-1])
    if snapshot.report is None or snapshot.path is None or not snapshot.path.is_dir():
        return []
    found: list[FlowLogSettings] = []
    for file in snapshot.report.files:
        if any(kind.kind == _KIND for kind in file.kinds):
            path = Path(snapshot.path, file.path)
            content: dict[str, Any] = read_object(path)[0]
            in_file: list[FlowLogSettings] = decode(_FLOW_LOGS, content[_KIND], path, _KIND)
            found += in_file
    return found


def logged_interfaces(topology: Topology, flow_logs: Iterable[FlowLogSettings]) -> frozenset[str]:
    """Ids of the interfaces whose accepted traffic is logged: by their own flow log, their subnet's or their VPC's."""
    resources = {flow_log.ResourceId for flow_log in flow_logs if flow_log.shows_accepted}
    return frozenset(eni.id for eni in topology.enis.values() if resources & {eni.id, eni.subnet_id, eni.vpc_id})


def seen_interfaces(files: Sequence[FlowFile], threads: int) -> frozenset[str]:
    """Ids of the interfaces that flow logs name: one column is read, of Parquet as runs of dictionary codes."""
    works = [_SeenInFile(file) for file in files]
    run_all(works, threads)
    return frozenset().union(*(work.seen for work in works))


class _SeenInFile:
    """One file on its way through the first pass."""

    def __init__(self, source: FlowFile) -> None:
        self.source = source
        self.num_chunks = len(source.chunks)
        self.seen: set[str] = set()
        self._column = _interface_column(source)

    def compute(self, number: int) -> set[str]:
        """The interfaces of a chunk."""
        table = self.source.read(self.source.chunks[number], [self._column])
        return {text for text in texts_of(distinct_column(table[0], "interface_id").texts) if text is not None}

    def write(self, found: set[str]) -> None:
        """Take a chunk's interfaces."""
        self.seen |= found - ABSENT_TEXTS

    def finish(self) -> None:
        """Let go of the file; the run opens it again."""
        self.source.close()


def _interface_column(file: FlowFile) -> int:
    for i, column in enumerate(file.schema.names):
        if field_name(column) == "interface_id":
            return i
    raise InputError(f"{file.file.path}: {NO_INTERFACES}")

"""`ip route get` over dumps: where the node's state comes from, the grammar of a question, and questions by the table."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from fastroute.api import Namespace, Snapshot
from fastroute.arrays import is_bundle
from fastroute.cni import NodePlan, derive_namespace, plan_node, read_settings
from fastroute.errors import EndpointError, InputError
from fastroute.io.nodedump import NodeDump
from fastroute.io.tables import read_arrow, read_csv
from fastroute.topology import TopologyIndex

NODES_FOLDER = "nodes"
NUMBERS = {"mark": 32, "tos": 8, "sport": 16, "dport": 16, "uid": 32}
"""Words of a question that take a number, and its width in bits."""
WORDS = {"from": "src", "iif": "iif", "oif": "oif", "ipproto": "ipproto", "dsfield": "tos", **{name: name for name in NUMBERS}}
IGNORED = {"fibmatch", "connected", "notify", "to", "-4", "-6"}
"""Words of iproute2's grammar that change its output, not the answer; and `to` before the destination."""
BATCH_COLUMNS = ("dst", "src", "iif", "oif", "mark", "ipproto", "sport", "dport", "tos")
LOCAL_DUMPS = {
    "rule": ("ip", "-j", "-4", "rule", "show"),
    "rule6": ("ip", "-j", "-6", "rule", "show"),
    "route": ("ip", "-j", "-4", "route", "show", "table", "all"),
    "route6": ("ip", "-j", "-6", "route", "show", "table", "all"),
    "addr": ("ip", "-j", "addr", "show"),
    "link": ("ip", "-j", "link", "show"),
    "sysctl": ("sysctl", "-a", "-r", r"^net\.ipv[46]\.(ip_forward$|conf\.)"),
}


@dataclass(frozen=True, slots=True)
class Question:
    """One question in the words of `ip route get`."""

    dst: str
    words: dict[str, Any] = field(default_factory=dict)


def parse_question(words: Sequence[str]) -> Question:
    """Read `8.8.8.8 from 10.0.6.6 iif eni0d77 mark 0x80`.

    Raises
    ------
    InputError
        A word that the grammar does not have, a number out of range, or no destination.
    """
    dst = None
    found: dict[str, Any] = {}
    rest = [word for word in words if word not in IGNORED]
    while rest:
        word = rest.pop(0)
        if word not in WORDS:
            if dst is not None:
                raise InputError(f"{word!r}: `get` knows {', '.join(WORDS)} after the destination")
            dst = word
            continue
        if not rest:
            raise InputError(f"{word!r} wants a value behind it")
        value = rest.pop(0)
        name = WORDS[word]
        found[name] = number(word, value, NUMBERS[name]) if name in NUMBERS else value
    if dst is None:
        raise InputError("no destination: fastroute get ADDRESS [from ADDRESS] [iif DEVICE] [mark NUMBER] ...")
    return Question(dst, found)


def number(word: str, value: str, bits: int) -> int:
    """Read a number as iproute2 does: decimal, 0x hexadecimal, 0 octal."""
    try:
        parsed = int(value, 8) if value.startswith("0") and value.isdecimal() and len(value) > 1 else int(value, 0)
    except ValueError:
        raise InputError(f"{word} {value!r} is not a number") from None
    if not 0 <= parsed < 1 << bits:
        raise InputError(f"{word} {value} is not within 0..{(1 << bits) - 1}")
    return parsed


@dataclass(frozen=True, slots=True)
class Source:
    """A node's state and where it is from. `note` says what the user should know of that."""

    namespace: Namespace
    note: str = ""


def open_namespace(path: str | Path, node: str | None) -> Source:
    """Find a node's state: a folder of dumps, a support bundle, or a snapshot's node, whose state is derived where no dump is there.

    Raises
    ------
    InputError, EndpointError
        Nothing there; several nodes and none named; a node that is not in the snapshot, or whose state cannot be derived.
    """
    folder = Path(path)
    if not folder.exists():
        raise InputError(f"{folder}: no such file or folder; check the path")
    is_snapshot = is_bundle(folder) or any((folder / name).is_dir() for name in (NODES_FOLDER, "aws", "kubernetes"))
    if not is_snapshot:
        if node is not None:
            raise EndpointError(f"{folder} is one node's dumps, not a snapshot: leave --node out")
        return Source(Namespace.load(folder))
    if node is None:
        dumped = sorted(each.name for each in (folder / NODES_FOLDER).glob("*")) if (folder / NODES_FOLDER).is_dir() else []
        raise EndpointError(f"{folder} is a snapshot of many nodes; name one: --node {' | '.join(dumped[:3]) or 'NAME'}")
    own = folder / NODES_FOLDER / node
    if own.is_dir():
        return Source(Namespace.load(own))
    return _derived(folder, node)


def _derived(folder: Path, name: str) -> Source:
    topology = Snapshot.load(folder).topology
    if name not in topology.nodes:
        raise EndpointError(f"{name}: no such node in {folder}; `fastroute inspect {folder} --node all` lists them")
    settings, _ = read_settings(topology.cni_env)
    plan = plan_node(TopologyIndex(topology), topology.nodes[name], settings)
    if not isinstance(plan, NodePlan):
        raise EndpointError(f"{name}: there is no dump of this node, and its state cannot be derived: {plan.value}")
    return Source(
        Namespace(NodeDump(derive_namespace(topology, plan))),
        f"no dump of {name}: this is the state that the VPC CNI plugin would program",
    )


def open_local() -> Source:
    """Ask this machine's own iproute2 for its state.

    Raises
    ------
    InputError
        iproute2 is not here, or refuses.
    """
    texts = {}
    for name, command in LOCAL_DUMPS.items():
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        except FileNotFoundError:
            if name == "sysctl":
                continue
            raise InputError(f"{command[0]} is not installed here; --local needs iproute2") from None
        if done.returncode and name != "sysctl":
            raise InputError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
        texts[name] = done.stdout
    return Source(Namespace.from_dumps(**texts))


def read_questions(path: str | Path) -> pa.Table:
    """Read a table of questions with a column dst and optionally src, iif, oif, mark, ipproto, sport, dport, tos.

    Parquet, CSV, JSON lines (.jsonl, .ndjson) or Arrow, by the file's name.

    Raises
    ------
    InputError
        No such file, another format, or no column dst.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(f"{file}: no such file; check the path")
    table = _read_table(file)
    if "dst" not in table.column_names:
        raise InputError(f"{file}: no column dst; its columns are {', '.join(table.column_names)}")
    return table


def _read_table(file: Path) -> pa.Table:
    match file.suffix.lower():
        case ".parquet":
            import pyarrow.parquet as pq

            try:
                return pq.ParquetFile(file).read()
            except pa.ArrowException as error:
                raise InputError(f"{file}: cannot be read as Parquet ({str(error).splitlines()[0]})") from error
        case ".csv":
            return read_csv(file)
        case ".json" | ".jsonl" | ".ndjson":
            from pyarrow import json

            try:
                return json.read_json(file)
            except pa.ArrowException as error:
                raise InputError(f"{file}: cannot be read as JSON lines ({str(error).splitlines()[0]})") from error
        case ".arrow" | ".feather" | ".ipc" | ".arrows":
            return read_arrow(file)
    raise InputError(f"{file}: questions are read from .parquet, .csv, .jsonl and .arrow files")


def answer(namespace: Namespace, questions: pa.Table) -> pa.Table:
    """Answer a table of questions: its columns, and those of `Namespace.route_get` beside them."""
    given = {name: questions[name] for name in BATCH_COLUMNS if name in questions.column_names}
    if "ipproto" in given and given["ipproto"].null_count == len(given["ipproto"]):
        del given["ipproto"]
    found = namespace.route_get(given.pop("dst"), **given)
    table = questions
    for name in found.column_names:
        table = table.append_column(name if name not in questions.column_names else f"answer_{name}", found[name])
    return table

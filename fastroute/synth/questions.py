"""Simulated flows: questions for `route`, and their answers. They ask also for what no flow log shows, such as pods of one node."""

from __future__ import annotations

import random

import pyarrow as pa

from fastroute.errors import InputError
from fastroute.synth.account import Account
from fastroute.synth.addresses import text
from fastroute.synth.ends import End
from fastroute.synth.exchanges import CLIENT_PORT_MAX, CLIENT_PORT_MIN, INT_TRUTH, TRUTH_COLUMNS, Exchange, truth_row
from fastroute.synth.traffic_kinds import TrafficKinds
from fastroute.synth.ways import Ways
from fastroute.vocab import ICMP, Kind, Opener


def questions(account: Account, n: int, seed: int = 1) -> pa.Table:
    """Invent questions.

    Returns
    -------
    pyarrow.Table
        `n` rows of src, dst (address, `namespace/pod`, node name, interface or instance id), protocol, src_port, dst_port (null for ICMP),
        bytes.
    """
    rng = random.Random(f"names {seed}")
    rows = []
    for exchange in _asked(account, n, seed):
        has_ports = exchange.protocol != ICMP
        rows.append(
            {
                "src": _spelled(exchange.client, rng),
                "dst": _spelled(exchange.server, rng),
                "protocol": exchange.protocol,
                "src_port": rng.randint(CLIENT_PORT_MIN, CLIENT_PORT_MAX) if has_ports else None,
                "dst_port": exchange.port if has_ports else None,
                "bytes": rng.randint(60, 10_000_000),
            }
        )
    types = [pa.string(), pa.string(), pa.int32(), pa.int32(), pa.int32(), pa.int64()]
    return pa.Table.from_pylist(rows, pa.schema(zip(("src", "dst", "protocol", "src_port", "dst_port", "bytes"), types, strict=True)))


def answers(account: Account, n: int, seed: int = 1) -> pa.Table:
    """Answer the questions of the same account, number and seed.

    Returns
    -------
    pyarrow.Table
        Row i answers question i: the truth columns of logs, opener SRC throughout, and `decidable`, false where an end is UNKNOWN.
    """
    ways = Ways(account)
    columns: list[list[object]] = [[] for _ in TRUTH_COLUMNS]
    decidable = []
    for exchange in _asked(account, n, seed):
        known = Kind.UNKNOWN not in (exchange.client.kind, exchange.server.kind)
        row = truth_row(exchange.client, exchange.server, Opener.SRC, ways.way(exchange.client, exchange.server, Opener.SRC))
        for column, value in zip(columns, row, strict=True):
            column.append(value)
        decidable.append(known)
    types = [pa.int32() if name in INT_TRUTH else pa.string() for name in TRUTH_COLUMNS]
    arrays = [pa.array(values, kind) for values, kind in zip(columns, types, strict=True)]
    return pa.table([*arrays, pa.array(decidable)], [*TRUTH_COLUMNS, "decidable"])


def _asked(account: Account, n: int, seed: int) -> list[Exchange]:
    if n < 1:
        raise InputError(f"questions: {n} is not a number of questions; at least 1")
    return list(TrafficKinds(account, random.Random(f"questions {seed}")).asked(n))


def _spelled(end: End, rng: random.Random) -> str:
    """One of the ways to name an end; an address can name every one, and is the only name for what has no other."""
    names = [text(end.addr)]
    if end.kind is Kind.POD and end.pod is not None:
        names.append(f"{end.pod.namespace}/{end.pod.name}")
    elif end.kind is Kind.NODE and end.node is not None and end.addr == end.node.address:
        names += [end.node.name, end.node.instance.id]
    elif end.eni is not None and end.addr == end.eni.primary:
        names.append(end.eni.id)
        if end.eni.instance is not None and end.eni is end.eni.instance.enis[0]:
            names.append(end.eni.instance.id)
    return rng.choice(names)

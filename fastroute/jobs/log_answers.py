"""What can be answered from a flow log's fields, what is lost without some, and which to add."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from fastroute.vocab import LOG_FIELDS


class Need(NamedTuple):
    """One thing to know, and the fields that say it."""

    what: str
    fields: tuple[str, ...]
    is_any: bool
    """Whether one of the fields will do."""
    without: str


class Answer(NamedTuple):
    """Whether a log answers a question: `yes`; `partly`, where some of its files have the fields; `no`."""

    what: str
    answered: str
    loses: str | None
    """What becomes of it where the fields are not there."""
    add: tuple[str, ...]
    """Fields to add to the flow log's format, as AWS writes them."""


_PACKET_ADDRESSES = Need(
    "pods at both ends",
    ("pkt_srcaddr", "pkt_dstaddr"),
    False,
    "AWS writes an interface's primary address for all its pods in srcaddr and dstaddr: they read as AMBIGUOUS",
)
_VPC_SPACE = Need(
    "whose address space is meant",
    ("vpc_id", "interface_id"),
    True,
    "an address that two VPCs of the snapshot have is UNKNOWN",
)
_COMMON = (
    Need("ports and protocol", ("protocol", "srcport", "dstport"), False, "host-network pods and openers cannot be told by ports"),
    Need("who opened a connection", ("tcp_flags",), False, "the opener comes from declared and low ports; some paths are UNDECIDED"),
    Need("who held an address at the time", ("start", "end"), False, "a pod that took an ended pod's address is not told from it"),
    Need("volume", ("bytes", "packets"), False, "sums by bytes or packets are 0"),
    Need("gaps in the log", ("log_status",), False, "windows that lost records (SKIPDATA) cannot be told, nor those without traffic"),
)
_VPC = (
    _PACKET_ADDRESSES,
    _VPC_SPACE,
    *_COMMON,
    Need("accepted or refused", ("action",), False, "refused traffic counts like accepted"),
    Need(
        "each flow once", ("interface_id",), False, "a flow is recorded at both its interfaces and counts twice; --count flows is refused"
    ),
    Need("in or out of the interface", ("flow_direction",), False, "the direction is taken from which end the interface holds"),
)
_TRANSIT_GATEWAY = (
    Need("both ends", ("srcaddr", "dstaddr"), False, "no end is known"),
    Need(
        "whose address space is meant",
        ("tgw_src_vpc_id", "tgw_dst_vpc_id"),
        False,
        "an address that two VPCs of the snapshot have is UNKNOWN",
    ),
    *_COMMON,
)


def answers_of(schemas: Sequence[Collection[str]], *, is_transit_gateway: bool) -> tuple[Answer, ...]:
    """What logs answer.

    Parameters
    ----------
    schemas : the field names of each file, with underscores
    is_transit_gateway : whether they are a transit gateway's
    """
    return tuple(_answer(need, schemas) for need in (_TRANSIT_GATEWAY if is_transit_gateway else _VPC))


def _answer(need: Need, schemas: Sequence[Collection[str]]) -> Answer:
    has = [(any if need.is_any else all)(name in schema for name in need.fields) for schema in schemas]
    if all(has):
        return Answer(need.what, "yes", None, ())
    lacking = [name for name in need.fields if any(name not in schema for schema in schemas)]
    add = tuple(LOG_FIELDS[name].text_name for name in (lacking[:1] if need.is_any else lacking))
    return Answer(need.what, "partly" if any(has) else "no", need.without, add)

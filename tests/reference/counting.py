"""Each flow once, record by record, in plain Python: the rule of MODEL.md."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

NAT, BALANCER, FORWARDER, APPLIANCE = "NAT gateway", "load balancer", "forwarder", "appliance"


@dataclass(frozen=True)
class Record:
    """What a record says. Interfaces are those of its ends, None where the snapshot knows none; `interface` is the one that wrote it."""

    interface: str | None
    direction: str
    src: str | None
    dst: str | None
    is_rejected: bool
    has_packet_addresses: bool


def leg_of(record: Record, roles: dict[str, str]) -> str:
    holds = [end for end in ("src", "dst") if record.interface is not None and getattr(record, end) == record.interface]
    others = [end for end in (record.src, record.dst) if end is not None and end != record.interface]
    if record.interface is None:
        return "NAT_INSIDE" if others else "NAT_OUTSIDE"
    role = roles.get(record.interface)
    other = None
    if holds:
        other = record.dst if holds[0] == "src" else record.src
    if role == NAT:
        if record.has_packet_addresses:
            return "NAT_OUTSIDE" if holds else "NAT_INSIDE"
        return "NAT_OUTSIDE" if holds and other is None else "NAT_INSIDE"
    if role == BALANCER and holds:
        return "LOAD_BALANCER_FRONT" if other is None else "LOAD_BALANCER_BACK"
    return "END" if holds or role is None else "FORWARDED"


def is_counted(record: Record, roles: dict[str, str], logged: Collection[str]) -> bool:
    leg = leg_of(record, roles)
    if leg in {"NAT_OUTSIDE", "LOAD_BALANCER_FRONT"} and not record.is_rejected:
        return False
    direction = record.direction
    if direction not in {"egress", "ingress"} and record.interface is not None:
        direction = "egress" if record.src == record.interface else "ingress" if record.dst == record.interface else ""
    if leg == "NAT_INSIDE" and direction not in {"egress", "ingress"}:
        if record.src is not None and record.dst is None:
            direction = "ingress"
        elif record.dst is not None and record.src is None:
            direction = "egress"
    src = record.src in logged and not (leg == "NAT_INSIDE" and record.src == record.interface)
    dst = record.dst in logged
    if leg == "FORWARDED":
        is_second = roles[str(record.interface)] == APPLIANCE and direction == "egress"
        return not src and not dst and not is_second
    if direction == "ingress":
        return not src
    if direction == "egress" and leg != "NAT_INSIDE":
        return src or not dst
    return not src and not dst

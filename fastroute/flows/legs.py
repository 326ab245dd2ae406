"""Which part of its way a record shows: flows through gateways are recorded on both sides of them."""

from __future__ import annotations

from enum import IntEnum


class Leg(IntEnum):
    """The leg of its flow that a record is of, by the interface that wrote it."""

    END = 0
    """The interface is an end's own."""
    NAT_INSIDE = 1
    """Between a client and a NAT gateway; the packet addresses are those of client and far end."""
    NAT_OUTSIDE = 2
    """Between a NAT gateway and the far end, under the gateway's own address."""
    LOAD_BALANCER_FRONT = 3
    """Between a load balancer and a client that is no interface of the snapshot."""
    LOAD_BALANCER_BACK = 4
    """Between a load balancer and an interface of the snapshot: a target, or a client inside."""
    FORWARDED = 5
    """Through an interface that holds neither end: an attachment, an endpoint, an appliance."""


class Gate(IntEnum):
    """What an interface does with traffic that is not its own."""

    NONE = 0
    """Sends and takes its own only."""
    FORWARDS = 1
    """An attachment or endpoint: either direction passes it once."""
    APPLIANCE = 2
    """An instance without source/dest check: what it forwards passes it twice."""
    NAT_GATEWAY = 3
    LOAD_BALANCER = 4
    REGIONAL_NAT_GATEWAY = 5
    """It has no interface: the record names none."""


class Direction(IntEnum):
    """Relative to the interface; UNKNOWN where the log does not say and the interface holds neither end."""

    UNKNOWN = 0
    EGRESS = 1
    INGRESS = 2

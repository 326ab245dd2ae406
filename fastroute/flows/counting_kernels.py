"""The rule by which each flow counts once, record by record: MODEL.md section 11."""

from __future__ import annotations

import numpy as np
from numba import njit

from fastroute.flows.kernels import NOT_RECORDED
from fastroute.flows.legs import Direction, Gate, Leg


@njit(cache=True, nogil=True)
def direction_of(stated, src_eni, dst_eni, eni):
    """The stated direction, else by which end the interface holds. One that holds both is taken to send."""
    if stated != Direction.UNKNOWN or eni < 0:
        return np.int64(stated)
    if src_eni == eni:
        return np.int64(Direction.EGRESS.value)
    return np.int64(Direction.INGRESS.value if dst_eni == eni else Direction.UNKNOWN.value)


@njit(cache=True, nogil=True)
def nat_direction(direction, src_eni, dst_eni):
    """Inside of a NAT gateway that does not say: the client is the end whose interface is known."""
    if direction != Direction.UNKNOWN or (src_eni >= 0) == (dst_eni >= 0):
        return np.int64(direction)
    return np.int64(Direction.INGRESS.value if src_eni >= 0 else Direction.EGRESS.value)


@njit(cache=True, nogil=True)
def leg_of(gate, src_eni, dst_eni, eni, has_packet_addresses):
    """Which leg of its flow a record is of."""
    holds_src, holds_dst = eni >= 0 and src_eni == eni, eni >= 0 and dst_eni == eni
    if gate == Gate.REGIONAL_NAT_GATEWAY:
        return np.int64(Leg.NAT_INSIDE.value if src_eni >= 0 or dst_eni >= 0 else Leg.NAT_OUTSIDE.value)
    if gate == Gate.NAT_GATEWAY:
        is_inside = not (holds_src or holds_dst)
        if not has_packet_addresses and not is_inside:
            # Either leg shows the gateway's own address; inside, the other end is an interface.
            is_inside = (dst_eni if holds_src else src_eni) >= 0
        return np.int64(Leg.NAT_INSIDE.value if is_inside else Leg.NAT_OUTSIDE.value)
    if gate == Gate.LOAD_BALANCER and (holds_src or holds_dst):
        other = dst_eni if holds_src else src_eni
        return np.int64(Leg.LOAD_BALANCER_BACK.value if other >= 0 else Leg.LOAD_BALANCER_FRONT.value)
    if gate == Gate.NONE or holds_src or holds_dst:
        return np.int64(Leg.END.value)
    return np.int64(Leg.FORWARDED.value)


@njit(cache=True, nogil=True)
def counts(leg, gate, direction, src_is_logged, dst_is_logged, is_rejected):
    """Whether a record is the one of its flow that counts. Rejected packets go no further: no other leg stands for them."""
    if not is_rejected and (leg == Leg.NAT_OUTSIDE or leg == Leg.LOAD_BALANCER_FRONT):
        return False
    if leg == Leg.FORWARDED or direction == Direction.UNKNOWN:
        passes_again = leg == Leg.FORWARDED and gate == Gate.APPLIANCE and direction == Direction.EGRESS
        return not (src_is_logged or dst_is_logged or passes_again)
    if leg == Leg.NAT_INSIDE and direction == Direction.EGRESS:
        return not (src_is_logged or dst_is_logged)
    if direction == Direction.EGRESS:
        return src_is_logged or not dst_is_logged
    return not src_is_logged


@njit(cache=True, nogil=True)
def count_batch(columns, row_eni, enis, gates, is_logged, has_packet_addresses, leg, is_counted):
    """enis, gates by interface of the batch; is_logged by code of an interface, its last entry 0."""
    src_rows, dst_rows, interfaces, directions, rejections = columns
    for i in range(src_rows.shape[0]):
        if src_rows[i] == NOT_RECORDED:
            leg[i], is_counted[i] = -1, 0
            continue
        src_eni = row_eni[src_rows[i]] if src_rows[i] >= 0 else np.int32(-1)
        dst_eni = row_eni[dst_rows[i]] if dst_rows[i] >= 0 else np.int32(-1)
        eni, gate = enis[interfaces[i]], gates[interfaces[i]]
        is_rejected = rejections.shape[0] != 0 and rejections[i] == 1
        direction = direction_of(directions[i] if directions.shape[0] else np.int32(0), src_eni, dst_eni, eni)
        found = leg_of(gate, src_eni, dst_eni, eni, has_packet_addresses)
        if found == Leg.NAT_INSIDE:
            direction = nat_direction(direction, src_eni, dst_eni)
        src_is_logged = is_logged[src_eni] != 0
        if found == Leg.NAT_INSIDE and src_eni == eni:
            # Its own address stands in for the far end's.
            src_is_logged = False
        leg[i] = found
        is_counted[i] = counts(found, gate, direction, src_is_logged, is_logged[dst_eni] != 0, is_rejected)

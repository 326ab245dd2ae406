"""The walk, for many flows at once: who opened the connection, which way the packet takes, where it ends.

Each flow costs a few gathers: the sources of all decisions are the rows of its two ends and their destination classes (`classes`).
The plain form of the same walk, over the uncompiled snapshot, is `explain`; they agree on every flow.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fastroute.datapath.state import (
    NUM_VPC_LEG_WAYS,
    SOURCE_LEG_SHIFT,
    VPC_LEG_SHIFT,
    Compiled,
    DestinationLeg,
    FibExit,
    LegNext,
    RangeFlag,
    Reason,
    RowFlag,
    Source,
    SourceLeg,
    VpcLegWay,
)
from fastroute.vocab import EPHEMERAL_PORT_MIN, SCTP, TCP, TCP_ACK, TCP_SYN, UDP, Attribution, Disposition, Form, Kind, Opener, PathClass


class Questions(NamedTuple):
    """(n,) int32 each; -1 where a value is absent."""

    src_row: NDArray[np.int32]
    dst_row: NDArray[np.int32]
    protocol: NDArray[np.int32]
    src_port: NDArray[np.int32]
    dst_port: NDArray[np.int32]
    tcp_flags: NDArray[np.int32]


class Answers(NamedTuple):
    """(n,) each; enum values, codes into names, or numbers; -1 is null."""

    src_row: NDArray[np.int32]
    dst_row: NDArray[np.int32]
    opener: NDArray[np.int8]
    form: NDArray[np.int8]
    path_class: NDArray[np.int8]
    disposition: NDArray[np.int8]
    reason: NDArray[np.int8]
    out_eni: NDArray[np.int32]
    in_eni: NDArray[np.int32]
    rule_priority: NDArray[np.int32]
    table: NDArray[np.int32]
    wire_src: NDArray[np.int32]
    wire_dst: NDArray[np.int32]
    path_id: NDArray[np.int64]
    src_attribution: NDArray[np.int8]
    dst_attribution: NDArray[np.int8]
    attribution: NDArray[np.int8]


class Way(NamedTuple):
    """The path columns of one flow for one opener."""

    out_eni: int
    in_eni: int
    rule: int
    table: int
    wire_src: int
    path_class: int
    disposition: int
    reason: int
    path_id: int


def empty_answers(n: int) -> Answers:
    """Answers for n flows, not yet filled."""
    wide = {"src_row", "dst_row", "out_eni", "in_eni", "rule_priority", "table", "wire_src", "wire_dst"}
    dtypes: dict[str, Any] = dict.fromkeys(Answers._fields, np.int8) | dict.fromkeys(wide, np.int32) | {"path_id": np.int64}
    return Answers(**{name: np.empty(n, dtype) for name, dtype in dtypes.items()})


def walk(compiled: Compiled, questions: Questions, *, recorded: bool, packet_addresses: bool = True, out: Answers | None = None) -> Answers:
    """Walk every flow.

    Parameters
    ----------
    compiled : Compiled
    questions : Questions
        Rows as `locate` gives them; protocol, ports and flags as recorded, -1 where absent.
    recorded : bool
        Whether the flows were seen on the wire. Simulated ones are opened by their source.
    packet_addresses : bool
        False where the interface addresses of a record stood in for the packet's.
    out : Answers, optional
        Filled and returned when given.

    Returns
    -------
    Answers
        One entry a flow; MODEL.md defines each column.
    """
    answers = empty_answers(len(questions.src_row)) if out is None else out
    _walk_batch(compiled.tables, questions, recorded, packet_addresses, answers)
    return answers


# --- small helpers ----------------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def has(flags, flag):
    """Whether a flag word has a bit."""
    return (int(flags) & flag) != 0


@njit(cache=True, nogil=True)
def in_sorted(keys, begin, end, key):
    """Position of key among keys[begin:end], or -1. Sets are short, node tables tens of entries: bisection."""
    low, high = begin, end
    while low < high:
        middle = (low + high) >> 1
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    if low < end and keys[low] == key:
        return low
    return -1


@njit(cache=True, nogil=True)
def path_number(source_leg, vpc_leg, destination_leg):
    """Pack three leg numbers, 0 for none."""
    return (np.int64(source_leg) << SOURCE_LEG_SHIFT) | (np.int64(vpc_leg) << VPC_LEG_SHIFT) | np.int64(destination_leg)


@njit(cache=True, nogil=True)
def make_way(out_eni, in_eni, rule, table, wire, path_class, disposition, reason, path_id):
    """A Way of int64 throughout, whatever mix of widths and enum members comes in: every branch returns one type."""
    return Way(
        np.int64(out_eni),
        np.int64(in_eni),
        np.int64(rule),
        np.int64(table),
        np.int64(wire),
        np.int64(path_class),
        np.int64(disposition),
        np.int64(reason),
        np.int64(path_id),
    )


@njit(cache=True, nogil=True)
def ended(out_eni, rule, table, wire, disposition, reason, path_id):
    """A way that ends before a gateway or another interface is reached."""
    return make_way(out_eni, -1, rule, table, wire, PathClass.UNCLASSIFIED.value, disposition, reason, path_id)


@njit(cache=True, nogil=True)
def zone_class(enis, out_eni, in_eni):
    """INTRA_AZ or INTER_AZ by the zones of two interfaces; UNCLASSIFIED where one is not known."""
    if out_eni < 0 or in_eni < 0 or enis[out_eni].az < 0 or enis[in_eni].az < 0:
        return PathClass.UNCLASSIFIED.value
    if enis[out_eni].az == enis[in_eni].az:
        return PathClass.INTRA_AZ.value
    return PathClass.INTER_AZ.value


@njit(cache=True, nogil=True)
def is_link_local(rows, s, d):
    return rows[s].kind == Kind.LINK_LOCAL or rows[d].kind == Kind.LINK_LOCAL


# --- who is who -------------------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def declares(t, row, protocol, port):
    """Whether the end declares the port as one that it serves."""
    if port < 0:
        return False
    key = (protocol << 16) | port
    ports = t.ports
    kind = t.rows[row].kind
    if (kind == Kind.NODE or kind == Kind.HOST_POD) and in_sorted(ports.node_ports, 0, len(ports.node_ports), key) >= 0:
        return True
    declared = t.rows[row].ports
    return declared >= 0 and in_sorted(ports.keys, ports.offsets[declared], ports.offsets[declared + 1], key) >= 0


@njit(cache=True, nogil=True)
def host_pod(t, row, protocol, port):
    """A NODE row -> the row of the one host-network pod that declares the port, else the row itself."""
    ports = t.ports
    begin, end = ports.host_offsets[row], ports.host_offsets[row + 1]
    if begin == end or port < 0:
        return row
    at = in_sorted(ports.host_keys, begin, end, (protocol << 16) | port)
    if at < 0 or ports.host_rows[at] < 0:
        return row
    return ports.host_rows[at]


@njit(cache=True, nogil=True)
def range_flags(t, node, destination_class):
    """What the node's CNI settings say of a destination; 0 where the node is not known."""
    if node < 0 or t.nodes[node].ranges < 0:
        return 0
    return int(t.decisions.ranges[t.nodes[node].ranges, destination_class])


@njit(cache=True, nogil=True)
def opener_of(t, s, d, protocol, src_port, dst_port, tcp_flags):
    """Who opened a recorded connection: MODEL.md section 2, in its order."""
    rows = t.rows
    if protocol == TCP and tcp_flags >= 0 and (tcp_flags & TCP_SYN) != 0:
        return Opener.DST.value if (tcp_flags & TCP_ACK) != 0 else Opener.SRC.value
    if (
        rows[s].source == Source.POD
        and rows[s].kind == Kind.POD
        and (range_flags(t, rows[s].node, rows[d].dst_class) & RangeFlag.SNAT) != 0
    ):
        return Opener.DST.value
    if protocol == TCP or protocol == UDP or protocol == SCTP:
        src_serves, dst_serves = declares(t, s, protocol, src_port), declares(t, d, protocol, dst_port)
        if src_serves != dst_serves:
            return Opener.SRC.value if dst_serves else Opener.DST.value
        if src_port >= 0 and dst_port >= 0:
            src_low, dst_low = src_port < EPHEMERAL_PORT_MIN, dst_port < EPHEMERAL_PORT_MIN
            if src_low != dst_low:
                return Opener.SRC.value if dst_low else Opener.DST.value
    return Opener.UNKNOWN.value


@njit(cache=True, nogil=True)
def in_cluster(kind):
    return kind == Kind.POD or kind == Kind.HOST_POD or kind == Kind.NODE or kind == Kind.SERVICE


@njit(cache=True, nogil=True)
def has_netns(kind):
    """Whether a process can sit behind such an address, with a loopback of its own."""
    return in_cluster(kind) and kind != Kind.SERVICE


@njit(cache=True, nogil=True)
def same_pod(rows, s, d):
    """Both ends are one pod of an address of its own, or one host-network pod."""
    return rows[s].pod >= 0 and rows[s].pod == rows[d].pod and rows[s].namespace == rows[d].namespace and rows[s].kind == rows[d].kind


@njit(cache=True, nogil=True)
def form_of(rows, s, d):
    """MODEL.md section 3; -1 where an end is UNKNOWN."""
    kind_s, kind_d = rows[s].kind, rows[d].kind
    if kind_s == Kind.UNKNOWN or kind_d == Kind.UNKNOWN:
        return -1
    src_inside, dst_inside = in_cluster(kind_s), in_cluster(kind_d)
    if src_inside and dst_inside:
        if same_pod(rows, s, d):
            return Form.INTRA_POD.value
        if rows[s].node >= 0 and rows[s].node == rows[d].node:
            return Form.INTRA_HOST.value
        return Form.INTER_HOST.value
    if dst_inside:
        return Form.INGRESS.value
    return Form.EGRESS.value if src_inside else Form.EXTERNAL.value


# --- the way ----------------------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def undecided(reason):
    return ended(-1, -1, -1, -1, Disposition.UNDECIDED.value, reason, -1)


@njit(cache=True, nogil=True)
def way_of(t, s, d, opened_by_src):
    """The path from row s to row d, for one opener."""
    rows = t.rows
    if rows[s].kind == Kind.UNKNOWN or rows[d].kind == Kind.UNKNOWN:
        return undecided(Reason.UNKNOWN_END.value)
    if rows[s].kind == Kind.SERVICE or rows[d].kind == Kind.SERVICE:
        return undecided(Reason.SERVICE.value)
    source = rows[s].source
    if source == Source.OUTSIDE:
        return way_in(t, s, d, opened_by_src)
    if source == Source.NOBODY:
        return undecided(Reason.NOBODY.value)
    if source == Source.UNDECIDED:
        return undecided(rows[s].reason)
    if source == Source.BARE:
        return through_vpc(t, s, d, rows[s].eni, -1, -1, False, rows[s].source_leg)
    return way_from_node(t, s, d, opened_by_src)


@njit(cache=True, nogil=True)
def way_from_node(t, s, d, opened_by_src):
    """Rules and tables of the source's node, in the order in which they are tried."""
    rows, nodes = t.rows, t.nodes
    node, leg = rows[s].node, rows[s].source_leg
    same_node = rows[d].node == node
    if same_node and has(rows[d].flags, RowFlag.NODE_LOCAL):
        path = path_number(leg + SourceLeg.LOCAL, 0, rows[d].destination_leg + DestinationLeg.FROM_HOST)
        return make_way(-1, -1, 0, t.table_local, -1, PathClass.SAME_NODE.value, Disposition.DELIVERED.value, 0, path)
    destination_class = rows[d].dst_class
    main = nodes[node].main_profile
    if t.decisions.fib[main, destination_class] == FibExit.BROADCAST:
        return ended(-1, 0, t.table_local, -1, Disposition.NO_SUCH_ADDRESS.value, 0, path_number(leg + SourceLeg.BROADCAST, 0, 0))
    if same_node and has(rows[d].flags, RowFlag.POD_ROUTE):
        path = path_number(leg + SourceLeg.TO_POD, 0, rows[d].destination_leg + DestinationLeg.FROM_HOST)
        return make_way(-1, -1, 512, t.table_main, -1, PathClass.SAME_NODE.value, Disposition.DELIVERED.value, 0, path)
    if has(rows[d].flags, RowFlag.AGENT):
        return make_way(-1, -1, -1, -1, -1, PathClass.LINK_LOCAL.value, Disposition.UNDECIDED.value, Reason.AGENT.value, -1)
    ranges = range_flags(t, node, destination_class)
    primary = nodes[node].primary_eni
    is_snat_addr = rows[s].source == Source.HOST and rows[s].eni == primary
    translated = opened_by_src and (ranges & RangeFlag.SNAT) != 0 and not is_snat_addr
    profile, rule, table, way = main, 1024, t.table_main, SourceLeg.MARKED.value
    out_eni = primary
    if not (translated and rows[s].source == Source.POD):
        if (ranges & RangeFlag.EXTERNAL_SERVICE) != 0:
            rule, way = 1535, SourceLeg.EXTERNAL_SERVICE.value
        else:
            profile, rule, table = rows[s].profile, rows[s].rule, rows[s].table
            way = SourceLeg.OWN_SNAT.value if translated else SourceLeg.OWN.value
            out_eni = rows[s].eni
    way += t.decisions.fib[profile, destination_class]
    return through_vpc(t, s, d, out_eni, rule, table, translated, leg + way)


@njit(cache=True, nogil=True)
def through_vpc(t, s, d, out_eni, rule, table, translated, source_leg):
    """From the interface by which the packet leaves, by the route table of its subnet."""
    rows, enis, legs = t.rows, t.enis, t.vpc_legs
    node = rows[s].node
    wire = node if translated else -1
    holder = t.nodes[node].primary_eni if translated else rows[s].eni
    if holder != out_eni and enis[out_eni].checks_source != 0:
        return ended(out_eni, rule, table, wire, Disposition.SOURCE_CHECK.value, 0, path_number(source_leg, 0, 0))
    if is_link_local(rows, s, d):
        path = path_number(source_leg, NUM_VPC_LEG_WAYS, 0)
        return make_way(out_eni, -1, rule, table, wire, PathClass.LINK_LOCAL.value, Disposition.EXITS_NETWORK.value, 0, path)
    route_table = enis[out_eni].route_table
    if route_table < 0:
        return ended(out_eni, rule, table, wire, Disposition.UNDECIDED.value, Reason.NO_TABLE.value, path_number(source_leg, 0, 0))
    leg = t.decisions.vpc[route_table, rows[d].dst_class]
    path_class, disposition = int(legs[leg].path_class), int(legs[leg].disposition)
    vpc_leg, destination_leg, in_eni, reason = leg * NUM_VPC_LEG_WAYS, 0, -1, 0
    follow = legs[leg].next
    if follow == LegNext.INTERNET:
        has_public = t.nodes[node].snat_has_public != 0 if translated else has(rows[s].flags, RowFlag.HAS_PUBLIC)
        if not has_public:
            disposition = Disposition.NO_PUBLIC_ADDRESS.value
            vpc_leg += VpcLegWay.NO_PUBLIC_ADDRESS.value
            follow = LegNext.END.value
    reaches = False
    if follow == LegNext.DELIVER:
        reaches = rows[d].space == legs[leg].space and rows[d].eni >= 0 and not has(rows[d].flags, RowFlag.PUBLIC)
        if not reaches:
            is_resolver = has(rows[d].flags, RowFlag.RESOLVER) and rows[d].space == legs[leg].space
            disposition = Disposition.DELIVERED.value if is_resolver else Disposition.NO_SUCH_ADDRESS.value
            if path_class < 0:
                path_class = PathClass.INTRA_AZ.value if is_resolver else PathClass.UNCLASSIFIED.value
    elif follow == LegNext.INTERNET or follow == LegNext.INTERNET_NAT:
        reaches = has(rows[d].flags, RowFlag.PUBLIC)
    if reaches:
        in_eni = rows[d].eni
        disposition, reason = arrival(rows, d)
        destination_leg = rows[d].destination_leg + DestinationLeg.FROM_VPC
    if path_class < 0:
        path_class = int(zone_class(enis, out_eni, in_eni))
    if has(rows[s].flags, RowFlag.ENDPOINT) or has(rows[d].flags, RowFlag.ENDPOINT):
        path_class = PathClass.VPC_ENDPOINT.value
    path = path_number(source_leg, vpc_leg, destination_leg)
    return make_way(out_eni, in_eni, rule, table, wire, path_class, disposition, reason, path)


@njit(cache=True, nogil=True)
def arrival(rows, d):
    """What becomes of a packet at the interface that holds its destination -> (disposition, reason)."""
    if has(rows[d].flags, RowFlag.WARM) and rows[d].source == Source.POD:
        return Disposition.LOOP.value, 0
    if rows[d].reason != Reason.NONE and rows[d].reason != Reason.UNMANAGED:
        return Disposition.UNDECIDED.value, int(rows[d].reason)
    return Disposition.DELIVERED.value, 0


@njit(cache=True, nogil=True)
def way_in(t, s, d, opened_by_src):
    """From an address outside to one inside: by the gateway by which the inside would answer."""
    rows, legs = t.rows, t.vpc_legs
    source = rows[d].source
    if source == Source.OUTSIDE and not has(rows[d].flags, RowFlag.PUBLIC):
        if is_link_local(rows, s, d):
            return make_way(-1, -1, -1, -1, -1, PathClass.LINK_LOCAL.value, Disposition.UNDECIDED.value, Reason.BOTH_OUTSIDE.value, -1)
        return undecided(Reason.BOTH_OUTSIDE.value)
    in_eni = rows[d].eni
    if in_eni < 0 and source == Source.UNDECIDED:
        return undecided(rows[d].reason)
    disposition, reason = arrival(rows, d)
    destination_leg = rows[d].destination_leg + DestinationLeg.FROM_VPC
    if rows[s].kind == Kind.LINK_LOCAL:
        if in_eni < 0:
            return make_way(-1, -1, -1, -1, -1, PathClass.LINK_LOCAL.value, Disposition.NO_SUCH_ADDRESS.value, 0, -1)
        path = path_number(0, NUM_VPC_LEG_WAYS + VpcLegWay.IN, destination_leg)
        return make_way(-1, in_eni, -1, -1, -1, PathClass.LINK_LOCAL.value, disposition, reason, path)
    space = rows[d].space
    from_internet = rows[s].kind == Kind.INTERNET or has(rows[s].flags, RowFlag.PUBLIC)
    if from_internet and (opened_by_src or has(rows[d].flags, RowFlag.PUBLIC)):
        return way_in_by_internet_gateway(t, d, space, in_eni, disposition, reason, destination_leg)
    route_table = t.enis[in_eni].route_table if in_eni >= 0 else rows[d].route_table
    if route_table < 0:
        return undecided(Reason.NO_TABLE.value)
    leg = t.decisions.vpc[route_table, rows[s].dst_class]
    follow = legs[leg].next
    if legs[leg].lets_in == 0 or (legs[leg].lets_in == 2 and opened_by_src):
        ends_as = Disposition.UNDECIDED.value if legs[leg].disposition == Disposition.UNDECIDED else Disposition.NO_ROUTE.value
        if legs[leg].disposition == Disposition.BLACKHOLE:
            ends_as = Disposition.BLACKHOLE.value
        return ended(-1, -1, -1, -1, ends_as, 0, path_number(0, leg * NUM_VPC_LEG_WAYS + VpcLegWay.IN, 0))
    if from_internet and follow == LegNext.INTERNET and has(rows[d].flags, RowFlag.HAS_PUBLIC):
        # Answers come back by the gateway that lets questions in: one leg for both.
        return way_in_by_internet_gateway(t, d, space, in_eni, disposition, reason, destination_leg)
    if in_eni < 0:
        disposition, reason, destination_leg = Disposition.NO_SUCH_ADDRESS.value, 0, 0
    elif follow == LegNext.INTERNET and not has(rows[d].flags, RowFlag.HAS_PUBLIC):
        disposition, reason, destination_leg, in_eni = Disposition.NO_PUBLIC_ADDRESS.value, 0, 0, -1
    path_class = int(legs[leg].path_class)
    if has(rows[d].flags, RowFlag.ENDPOINT):
        path_class = PathClass.VPC_ENDPOINT.value
    path = path_number(0, leg * NUM_VPC_LEG_WAYS + VpcLegWay.IN, destination_leg)
    return make_way(-1, in_eni, -1, -1, -1, path_class, disposition, reason, path)


@njit(cache=True, nogil=True)
def way_in_by_internet_gateway(t, d, space, in_eni, disposition, reason, destination_leg):
    """From the Internet, opened there: by the VPC's own gateway, to a public address."""
    rows, gateway = t.rows, t.decisions.internet_gateway
    if space < 0 or gateway[space] < 0:
        return ended(-1, -1, -1, -1, Disposition.NO_ROUTE.value, 0, 0)
    vpc_leg = gateway[space] * NUM_VPC_LEG_WAYS + VpcLegWay.IN
    if in_eni >= 0 and (has(rows[d].flags, RowFlag.HAS_PUBLIC) or has(rows[d].flags, RowFlag.PUBLIC)):
        path = path_number(0, vpc_leg, destination_leg)
        return make_way(-1, in_eni, -1, -1, -1, PathClass.INTERNET_GATEWAY.value, disposition, reason, path)
    path = path_number(0, vpc_leg, 0)
    if in_eni < 0:
        return make_way(-1, -1, -1, -1, -1, PathClass.INTERNET_GATEWAY.value, Disposition.NO_SUCH_ADDRESS.value, 0, path)
    if t.decisions.has_load_balancer[space] != 0:
        return make_way(
            -1, -1, -1, -1, -1, PathClass.INTERNET_GATEWAY.value, Disposition.UNDECIDED.value, Reason.CLIENT_ADDRESS.value, path
        )
    return make_way(-1, -1, -1, -1, -1, PathClass.INTERNET_GATEWAY.value, Disposition.NO_PUBLIC_ADDRESS.value, 0, path)


@njit(cache=True, nogil=True)
def merged(a, b):
    """The way of a flow that either end may have opened: what both agree on, UNDECIDED where they differ."""
    if a.path_id == b.path_id and a.disposition == b.disposition and a.wire_src == b.wire_src and a.path_class == b.path_class:
        return a
    return make_way(
        a.out_eni if a.out_eni == b.out_eni else -1,
        a.in_eni if a.in_eni == b.in_eni else -1,
        a.rule if a.rule == b.rule else -1,
        a.table if a.table == b.table else -1,
        a.wire_src if a.wire_src == b.wire_src else -1,
        a.path_class if a.path_class == b.path_class else PathClass.UNCLASSIFIED.value,
        Disposition.UNDECIDED.value,
        Reason.OPENER.value,
        -1,
    )


# --- attribution ------------------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def attribution_of(t, row, other, other_opened, packet_addresses):
    """How surely one end was identified. A node's address that also stands for pods behind source NAT is ambiguous towards
    ranges that are translated, unless the other end opened the connection."""
    rows = t.rows
    found = int(rows[row].attribution)
    flags = rows[row].flags
    if not packet_addresses and has(flags, RowFlag.SHARED_PRIMARY):
        found = max(found, Attribution.AMBIGUOUS.value)
    if has(flags, RowFlag.SNAT_ADDR) and not other_opened and (range_flags(t, rows[row].node, rows[other].dst_class) & RangeFlag.SNAT) != 0:
        found = max(found, Attribution.AMBIGUOUS.value)
    return found


# --- the batch --------------------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _walk_batch(t, questions, recorded, packet_addresses, answers):
    """Preconditions: rows in range or -1; all arrays of one length."""
    for i in range(questions.src_row.shape[0]):
        walk_one(t, questions, i, recorded, packet_addresses, answers)


@njit(cache=True, nogil=True)
def walk_one(t, questions, i, recorded, packet_addresses, answers):
    """Answer flow i."""
    rows = t.rows
    s, d = questions.src_row[i], questions.dst_row[i]
    protocol, src_port, dst_port = questions.protocol[i], questions.src_port[i], questions.dst_port[i]
    if s < 0 or d < 0:
        if s >= 0:
            s = host_pod(t, s, protocol, src_port)
        if d >= 0:
            d = host_pod(t, d, protocol, dst_port)
        store_unknown(answers, i, s, d, rows)
        return
    src_loops, dst_loops = has(rows[s].flags, RowFlag.LOOPBACK), has(rows[d].flags, RowFlag.LOOPBACK)
    is_loopback = src_loops and dst_loops
    if src_loops and has_netns(rows[d].kind):
        s, is_loopback = d, True
    elif dst_loops and has_netns(rows[s].kind):
        d, is_loopback = s, True
    s = host_pod(t, s, protocol, src_port)
    d = host_pod(t, d, protocol, dst_port)
    opener = Opener.SRC.value
    if recorded:
        opener = np.int64(opener_of(t, s, d, protocol, src_port, dst_port, questions.tcp_flags[i]))
    form = np.int64(form_of(rows, s, d))
    if is_loopback or form == Form.INTRA_POD:
        path = np.int64(-1)
        if has_netns(rows[d].kind):
            path = path_number(0, 0, rows[d].destination_leg + DestinationLeg.LOOPBACK)
        way = make_way(-1, -1, -1, -1, -1, PathClass.INTRA_POD.value, Disposition.DELIVERED.value, 0, path)
        form = Form.INTRA_POD.value
    else:
        opened_by_src = opener != Opener.DST
        way = way_of(t, s, d, opened_by_src)
        if opener == Opener.UNKNOWN:
            way = merged(way, way_of(t, s, d, not opened_by_src))
    src_attribution = attribution_of(t, s, d, opener == Opener.DST, packet_addresses)
    dst_attribution = attribution_of(t, d, s, opener == Opener.SRC, packet_addresses)
    answers.src_row[i], answers.dst_row[i] = s, d
    answers.opener[i], answers.form[i] = opener, form
    answers.path_class[i], answers.disposition[i], answers.reason[i] = way.path_class, way.disposition, way.reason
    answers.out_eni[i], answers.in_eni[i] = way.out_eni, way.in_eni
    answers.rule_priority[i], answers.table[i] = way.rule, way.table
    answers.wire_src[i], answers.wire_dst[i] = way.wire_src, -1
    answers.path_id[i] = way.path_id
    answers.src_attribution[i], answers.dst_attribution[i] = src_attribution, dst_attribution
    answers.attribution[i] = max(src_attribution, dst_attribution)


@njit(cache=True, nogil=True)
def store_unknown(answers, i, s, d, rows):
    """An end without an address, or in no address space: nothing can be said of the way."""
    answers.src_row[i], answers.dst_row[i] = s, d
    answers.opener[i], answers.form[i] = Opener.UNKNOWN.value, -1
    answers.path_class[i], answers.disposition[i] = PathClass.UNCLASSIFIED.value, Disposition.UNDECIDED.value
    answers.reason[i] = Reason.UNKNOWN_END.value
    answers.out_eni[i], answers.in_eni[i], answers.rule_priority[i], answers.table[i] = -1, -1, -1, -1
    answers.wire_src[i], answers.wire_dst[i], answers.path_id[i] = -1, -1, -1
    unknown = Attribution.UNKNOWN.value
    answers.src_attribution[i] = unknown if s < 0 else rows[s].attribution
    answers.dst_attribution[i] = unknown if d < 0 else rows[d].attribution
    answers.attribution[i] = unknown

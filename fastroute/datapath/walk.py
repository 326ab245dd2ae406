"""The walk, for many flows at once: who opened the connection, which way the packet takes, where it ends.

Each flow costs a few gathers: all decisions are found by the rows of its two ends and their destination classes (`classes`).
The plain form of the same walk, over the uncompiled snapshot, is `explain`; they agree on every flow.

The batch loop makes every look-up; the functions around it take records and numbers only. Numba counts references of each array that a call
passes: with the tables as arguments of every helper the same walk took 36 times as long.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fastroute.cni.naming import RULE_EXTERNAL_SERVICE, RULE_MAIN, RULE_MARKED, RULE_TO_POD
from fastroute.datapath.flows import Answers, Questions, empty_answers
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
from fastroute.vocab import (
    EPHEMERAL_PORT_MIN,
    SCTP,
    TCP,
    TCP_ACK,
    TCP_SYN,
    UDP,
    Attribution,
    Disposition,
    Form,
    Kind,
    Opener,
    PathClass,
)

_TOLD_BY_RECORDS = np.empty(0, np.int8)


class Way(NamedTuple):
    """The path columns of one flow for one opener; int64 each, -1 is null."""

    out_eni: int
    in_eni: int
    rule: int
    table: int
    wire_src: int
    path_class: int
    disposition: int
    reason: int
    path_id: int


class Exit(NamedTuple):
    """How a packet leaves its source: by an interface, or it `ended` there with `way`. `wire_src`: the node whose address it gets."""

    ended: bool
    way: Way
    out_eni: int
    rule: int
    table: int
    wire_src: int
    source_leg: int


def walk(
    compiled: Compiled,
    questions: Questions,
    *,
    recorded: bool,
    packet_addresses: bool = True,
    openers: NDArray[np.int8] | None = None,
    out: Answers | None = None,
) -> Answers:
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
    openers : (n,) int8, optional
        Who opened each connection, where that is known: Opener values. Flags and ports are not asked then.
    out : Answers, optional
        Filled and returned when given.

    Returns
    -------
    Answers
        One entry a flow; MODEL.md defines each column.
    """
    answers = empty_answers(len(questions.src_row)) if out is None else out
    _walk_batch(compiled.tables, questions, recorded, packet_addresses, _TOLD_BY_RECORDS if openers is None else openers, answers)
    return answers


def is_compiled() -> bool:
    """Whether this machine has compiled the walk before: numba keeps it on disk, beside the code or in the user's cache folder."""
    cache = getattr(_walk_batch, "_cache", None)
    return cache is None or any(Path(cache.cache_path).glob(f"{cache._cache_file._index_name}"))


# --- small helpers ----------------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def has(flags, flag):
    """Whether a flag word has a bit."""
    return (np.int64(flags) & np.int64(flag)) != 0


@njit(cache=True, nogil=True)
def in_sorted(keys, begin, end, key):
    """Position of key among keys[begin:end], or -1."""
    low, high = np.int64(begin), np.int64(end)
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
    """A Way of int64 throughout, whatever mix of widths comes in: every branch returns one type."""
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
def undecided(reason):
    """No way can be computed."""
    return make_way(-1, -1, -1, -1, -1, PathClass.UNCLASSIFIED.value, Disposition.UNDECIDED.value, reason, -1)


@njit(cache=True, nogil=True)
def in_cluster(kind):
    """Whether a kind counts as inside the cluster."""
    return kind == Kind.POD or kind == Kind.HOST_POD or kind == Kind.NODE or kind == Kind.SERVICE


@njit(cache=True, nogil=True)
def has_netns(kind):
    """Whether a process can sit behind such an address, with a loopback of its own."""
    return kind == Kind.POD or kind == Kind.HOST_POD or kind == Kind.NODE


@njit(cache=True, nogil=True)
def serves(node_ports, offsets, keys, kind, declared, key):
    """Whether an end declares the port of `key` (protocol << 16 | port) as one that it serves."""
    if (kind == Kind.NODE or kind == Kind.HOST_POD) and in_sorted(node_ports, 0, len(node_ports), key) >= 0:
        return True
    return declared >= 0 and in_sorted(keys, offsets[declared], offsets[declared + 1], key) >= 0


@njit(cache=True, nogil=True)
def form_of(s, d):
    """MODEL.md section 3; -1 where an end is UNKNOWN."""
    if s.kind == Kind.UNKNOWN or d.kind == Kind.UNKNOWN:
        return np.int64(-1)
    src_inside, dst_inside = in_cluster(s.kind), in_cluster(d.kind)
    if src_inside and dst_inside:
        if s.pod >= 0 and s.pod == d.pod and s.namespace == d.namespace and s.kind == d.kind:
            return np.int64(Form.INTRA_POD.value)
        if s.node >= 0 and s.node == d.node:
            return np.int64(Form.INTRA_HOST.value)
        return np.int64(Form.INTER_HOST.value)
    if dst_inside:
        return np.int64(Form.INGRESS.value)
    return np.int64(Form.EGRESS.value if src_inside else Form.EXTERNAL.value)


@njit(cache=True, nogil=True)
def opener_by_ports(src_serves, dst_serves, src_port, dst_port):
    """The end that declares its port is the server, else the one with the low port: MODEL.md section 2, rules 3 and 4."""
    if src_serves != dst_serves:
        return np.int64(Opener.SRC.value if dst_serves else Opener.DST.value)
    if src_port >= 0 and dst_port >= 0:
        src_low, dst_low = src_port < EPHEMERAL_PORT_MIN, dst_port < EPHEMERAL_PORT_MIN
        if src_low != dst_low:
            return np.int64(Opener.SRC.value if dst_low else Opener.DST.value)
    return np.int64(Opener.UNKNOWN.value)


@njit(cache=True, nogil=True)
def attribution_of(row, range_flags, other_opened, packet_addresses):
    """How surely one end was identified. A node's address that also stands for pods behind source NAT is ambiguous towards
    ranges that are translated, unless the other end opened the connection."""
    found = np.int64(row.attribution)
    if not packet_addresses and has(row.row_flags, RowFlag.SHARED_PRIMARY.value):
        found = max(found, np.int64(Attribution.AMBIGUOUS.value))
    if has(row.row_flags, RowFlag.SNAT_ADDR.value) and not other_opened and has(range_flags, RangeFlag.SNAT.value):
        found = max(found, np.int64(Attribution.AMBIGUOUS.value))
    return found


# --- the way ----------------------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def early_end(s, d, first_class6):
    """Ends for which no way is computed -> Reason, 0 if there is one."""
    if s.kind == Kind.UNKNOWN or d.kind == Kind.UNKNOWN:
        return np.int64(Reason.UNKNOWN_END.value)
    if s.kind == Kind.SERVICE or d.kind == Kind.SERVICE:
        return np.int64(Reason.SERVICE.value)
    if (s.dst_class < first_class6) != (d.dst_class < first_class6):
        return np.int64(Reason.TWO_FAMILIES.value)
    if s.source == Source.NOBODY:
        return np.int64(Reason.NOBODY.value)
    if s.source == Source.UNDECIDED:
        return np.int64(s.reason)
    return np.int64(0)


@njit(cache=True, nogil=True)
def ends_at_source(out_eni, rule, table, wire, path_class, disposition, reason, path_id):
    """An Exit that is an end."""
    way = make_way(out_eni, -1, rule, table, wire, path_class, disposition, reason, path_id)
    return Exit(True, way, np.int64(-1), np.int64(-1), np.int64(-1), np.int64(-1), np.int64(0))


@njit(cache=True, nogil=True)
def leaves(out_eni, rule, table, wire, source_leg):
    """An Exit by an interface."""
    return Exit(False, undecided(0), np.int64(out_eni), np.int64(rule), np.int64(table), np.int64(wire), np.int64(source_leg))


@njit(cache=True, nogil=True)
def exit_of_node(s, d, primary, local_rule, range_flags, fib_main, fib_own, opened_by_src, table_local, table_main):
    """Rules and tables of the source's node, in the order in which they are tried.

    `fib_main` and `fib_own` are what table main and the source's own table do with the destination; `local_rule` is the priority at which
    table local is asked.
    """
    leg = s.source_leg
    same_node = s.node == d.node
    if same_node and has(d.row_flags, RowFlag.NODE_LOCAL.value):
        path = path_number(leg + SourceLeg.LOCAL.value, 0, d.destination_leg + DestinationLeg.FROM_HOST.value)
        return ends_at_source(-1, local_rule, table_local, -1, PathClass.SAME_NODE.value, Disposition.DELIVERED.value, 0, path)
    if fib_main == FibExit.BROADCAST:
        path = path_number(leg + SourceLeg.BROADCAST.value, 0, 0)
        return ends_at_source(-1, local_rule, table_local, -1, PathClass.UNCLASSIFIED.value, Disposition.NO_SUCH_ADDRESS.value, 0, path)
    if same_node and has(d.row_flags, RowFlag.POD_ROUTE.value):
        path = path_number(leg + SourceLeg.TO_POD.value, 0, d.destination_leg + DestinationLeg.FROM_HOST.value)
        return ends_at_source(-1, RULE_TO_POD, table_main, -1, PathClass.SAME_NODE.value, Disposition.DELIVERED.value, 0, path)
    if has(d.row_flags, RowFlag.AGENT.value):
        return ends_at_source(-1, -1, -1, -1, PathClass.LINK_LOCAL.value, Disposition.UNDECIDED.value, Reason.AGENT.value, -1)
    is_pod = s.source == Source.POD
    is_snat_addr = not is_pod and s.eni == primary
    translated = opened_by_src and has(range_flags, RangeFlag.SNAT.value) and not is_snat_addr
    wire = np.int64(s.node) if translated else np.int64(-1)
    if translated and is_pod:
        return leaves(primary, RULE_MARKED, table_main, wire, leg + SourceLeg.MARKED.value + fib_main)
    if has(range_flags, RangeFlag.EXTERNAL_SERVICE.value):
        return leaves(primary, RULE_EXTERNAL_SERVICE, table_main, wire, leg + SourceLeg.EXTERNAL_SERVICE.value + fib_main)
    way = SourceLeg.OWN_SNAT.value if translated else SourceLeg.OWN.value
    own_eni = primary if s.rule == RULE_MAIN else np.int64(s.eni)
    return leaves(own_eni, s.rule, s.table, wire, leg + way + fib_own)


@njit(cache=True, nogil=True)
def zone_class(out_az, in_az):
    """INTRA_AZ or INTER_AZ by two zones; UNCLASSIFIED where one is not known."""
    if out_az < 0 or in_az < 0:
        return np.int64(PathClass.UNCLASSIFIED.value)
    return np.int64(PathClass.INTRA_AZ.value if out_az == in_az else PathClass.INTER_AZ.value)


@njit(cache=True, nogil=True)
def arrival(d):
    """What becomes of a packet at the interface that holds its destination -> (disposition, reason)."""
    if has(d.row_flags, RowFlag.WARM.value) and d.source == Source.POD:
        return np.int64(Disposition.LOOP.value), np.int64(0)
    if d.reason != Reason.NONE and d.reason != Reason.UNMANAGED:
        return np.int64(Disposition.UNDECIDED.value), np.int64(d.reason)
    return np.int64(Disposition.DELIVERED.value), np.int64(0)


@njit(cache=True, nogil=True)
def ends_at_interface(s, d, out, holder, exit_, has_table):
    """What can end a packet at the interface by which it leaves -> (ends, way)."""
    if holder != exit_.out_eni and out.checks_source != 0:
        disposition, reason, path = Disposition.SOURCE_CHECK.value, 0, path_number(exit_.source_leg, 0, 0)
    elif s.kind == Kind.LINK_LOCAL or d.kind == Kind.LINK_LOCAL:
        path = path_number(exit_.source_leg, NUM_VPC_LEG_WAYS, 0)
        link_local, exits = PathClass.LINK_LOCAL.value, Disposition.EXITS_NETWORK.value
        return True, make_way(exit_.out_eni, -1, exit_.rule, exit_.table, exit_.wire_src, link_local, exits, 0, path)
    elif not has_table:
        disposition, reason, path = Disposition.UNDECIDED.value, Reason.NO_TABLE.value, path_number(exit_.source_leg, 0, 0)
    else:
        return False, undecided(0)
    unclassified = PathClass.UNCLASSIFIED.value
    return True, make_way(exit_.out_eni, -1, exit_.rule, exit_.table, exit_.wire_src, unclassified, disposition, reason, path)


@njit(cache=True, nogil=True)
def way_by_leg(s, d, out, exit_, has_public, leg, number, in_az):
    """From the interface by which the packet leaves, by one VPC leg. `in_az`: zone of the destination's interface."""
    path_class, disposition = np.int64(leg.path_class), np.int64(leg.disposition)
    vpc_leg, destination_leg, in_eni, reason = np.int64(number) * NUM_VPC_LEG_WAYS, np.int64(0), np.int64(-1), np.int64(0)
    reaches = False
    if leg.next == LegNext.DELIVER:
        reaches = d.space == leg.space and d.eni >= 0 and not has(d.row_flags, RowFlag.PUBLIC.value)
        if not reaches:
            is_resolver = has(d.row_flags, RowFlag.RESOLVER.value) and d.space == leg.space
            disposition = np.int64(Disposition.DELIVERED.value if is_resolver else Disposition.NO_SUCH_ADDRESS.value)
            if path_class < 0:
                path_class = np.int64(PathClass.INTRA_AZ.value if is_resolver else PathClass.UNCLASSIFIED.value)
    elif leg.next == LegNext.INTERNET and not has_public:
        disposition = np.int64(Disposition.NO_PUBLIC_ADDRESS.value)
        vpc_leg += VpcLegWay.NO_PUBLIC_ADDRESS.value
    elif leg.next == LegNext.INTERNET or leg.next == LegNext.INTERNET_NAT:
        reaches = has(d.row_flags, RowFlag.PUBLIC.value)
    if reaches:
        in_eni = np.int64(d.eni)
        disposition, reason = arrival(d)
        destination_leg = np.int64(d.destination_leg) + DestinationLeg.FROM_VPC.value
    if path_class < 0:
        path_class = zone_class(out.az, in_az) if reaches else np.int64(PathClass.UNCLASSIFIED.value)
    if has(s.row_flags, RowFlag.ENDPOINT.value) or has(d.row_flags, RowFlag.ENDPOINT.value):
        path_class = np.int64(PathClass.VPC_ENDPOINT.value)
    path = path_number(exit_.source_leg, vpc_leg, destination_leg)
    return make_way(exit_.out_eni, in_eni, exit_.rule, exit_.table, exit_.wire_src, path_class, disposition, reason, path)


@njit(cache=True, nogil=True)
def way_in_before_gateways(s, d):
    """From outside: what needs no route -> (ends, way)."""
    link_local = PathClass.LINK_LOCAL.value
    if d.source == Source.OUTSIDE and not has(d.row_flags, RowFlag.PUBLIC.value):
        is_link_local = s.kind == Kind.LINK_LOCAL or d.kind == Kind.LINK_LOCAL
        path_class = link_local if is_link_local else PathClass.UNCLASSIFIED.value
        return True, make_way(-1, -1, -1, -1, -1, path_class, Disposition.UNDECIDED.value, Reason.BOTH_OUTSIDE.value, -1)
    if d.eni < 0 and d.source == Source.UNDECIDED:
        return True, undecided(d.reason)
    if s.kind == Kind.LINK_LOCAL:
        if d.eni < 0:
            return True, make_way(-1, -1, -1, -1, -1, link_local, Disposition.NO_SUCH_ADDRESS.value, 0, -1)
        disposition, reason = arrival(d)
        path = path_number(0, NUM_VPC_LEG_WAYS + VpcLegWay.IN.value, d.destination_leg + DestinationLeg.FROM_VPC.value)
        return True, make_way(-1, d.eni, -1, -1, -1, link_local, disposition, reason, path)
    return False, undecided(0)


@njit(cache=True, nogil=True)
def way_in_by_internet_gateway(d, gateway, has_load_balancer):
    """From the Internet by the VPC's own gateway, to a public address. `gateway`: its VPC leg, -1 without one."""
    if gateway < 0:
        no_route = Disposition.NO_ROUTE.value
        return make_way(-1, -1, -1, -1, -1, PathClass.UNCLASSIFIED.value, no_route, 0, 0)
    vpc_leg, by_gateway = gateway * NUM_VPC_LEG_WAYS + VpcLegWay.IN.value, PathClass.INTERNET_GATEWAY.value
    if d.eni >= 0 and (has(d.row_flags, RowFlag.HAS_PUBLIC.value) or has(d.row_flags, RowFlag.PUBLIC.value)):
        disposition, reason = arrival(d)
        path = path_number(0, vpc_leg, d.destination_leg + DestinationLeg.FROM_VPC.value)
        return make_way(-1, d.eni, -1, -1, -1, by_gateway, disposition, reason, path)
    disposition, reason = np.int64(Disposition.NO_PUBLIC_ADDRESS.value), np.int64(0)
    if d.eni < 0:
        disposition = np.int64(Disposition.NO_SUCH_ADDRESS.value)
    elif has_load_balancer:
        disposition, reason = np.int64(Disposition.UNDECIDED.value), np.int64(Reason.CLIENT_ADDRESS.value)
    return make_way(-1, -1, -1, -1, -1, by_gateway, disposition, reason, path_number(0, vpc_leg, 0))


@njit(cache=True, nogil=True)
def way_in_by_return_leg(d, leg, number, opened_by_src):
    """From outside by the gateway by which the destination's interface would answer."""
    vpc_leg = np.int64(number) * NUM_VPC_LEG_WAYS + VpcLegWay.IN.value
    unclassified = PathClass.UNCLASSIFIED.value
    if leg.lets_in == 0 or (leg.lets_in == 2 and opened_by_src):
        kept = leg.disposition == Disposition.UNDECIDED or leg.disposition == Disposition.BLACKHOLE
        ends_as = np.int64(leg.disposition) if kept else np.int64(Disposition.NO_ROUTE.value)
        return make_way(-1, -1, -1, -1, -1, unclassified, ends_as, 0, path_number(0, vpc_leg, 0))
    path_class = np.int64(PathClass.VPC_ENDPOINT.value) if has(d.row_flags, RowFlag.ENDPOINT.value) else np.int64(leg.path_class)
    if d.eni < 0:
        return make_way(-1, -1, -1, -1, -1, path_class, Disposition.NO_SUCH_ADDRESS.value, 0, path_number(0, vpc_leg, 0))
    if leg.next == LegNext.INTERNET and not has(d.row_flags, RowFlag.HAS_PUBLIC.value):
        return make_way(-1, -1, -1, -1, -1, path_class, Disposition.NO_PUBLIC_ADDRESS.value, 0, path_number(0, vpc_leg, 0))
    disposition, reason = arrival(d)
    path = path_number(0, vpc_leg, d.destination_leg + DestinationLeg.FROM_VPC.value)
    return make_way(-1, d.eni, -1, -1, -1, path_class, disposition, reason, path)


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


# --- the batch --------------------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _walk_batch(t, questions, recorded, packet_addresses, openers, answers):  # noqa: PLR0915 - one loop, so that no array is passed on
    """Preconditions: rows in range or -1; all arrays of one length, or `openers` empty."""
    rows, enis, nodes, legs = t.rows, t.enis, t.nodes, t.vpc_legs
    fib, ranges, vpc = t.decisions.fib, t.decisions.ranges, t.decisions.vpc
    gateways, balancers = t.decisions.internet_gateway, t.decisions.has_load_balancer
    node_ports, port_offsets, port_keys = t.ports.node_ports, t.ports.offsets, t.ports.keys
    host_offsets, host_keys, host_rows = t.ports.host_offsets, t.ports.host_keys, t.ports.host_rows
    src_rows, dst_rows, protocols = questions.src_row, questions.dst_row, questions.protocol
    src_ports, dst_ports, all_tcp_flags = questions.src_port, questions.dst_port, questions.tcp_flags
    a_src_row, a_dst_row, a_opener, a_form = answers.src_row, answers.dst_row, answers.opener, answers.form
    a_path_class, a_disposition, a_reason = answers.path_class, answers.disposition, answers.reason
    a_out_eni, a_in_eni, a_rule, a_table = answers.out_eni, answers.in_eni, answers.rule_priority, answers.table
    a_wire_src, a_wire_dst, a_path_id = answers.wire_src, answers.wire_dst, answers.path_id
    a_src_attribution, a_dst_attribution, a_attribution = answers.src_attribution, answers.dst_attribution, answers.attribution
    for i in range(src_rows.shape[0]):
        si, di, protocol, src_port, dst_port = src_rows[i], dst_rows[i], protocols[i], src_ports[i], dst_ports[i]

        # Loopback means the other end; a node's address and a port may mean a host-network pod.
        is_loopback = False
        if si >= 0 and di >= 0:
            src_loops, dst_loops = has(rows[si].row_flags, RowFlag.LOOPBACK.value), has(rows[di].row_flags, RowFlag.LOOPBACK.value)
            is_loopback = src_loops and dst_loops
            if src_loops and has_netns(rows[di].kind):
                si, is_loopback = di, True
            elif dst_loops and has_netns(rows[si].kind):
                di, is_loopback = si, True
        if si >= 0 and rows[si].kind == Kind.NODE and src_port >= 0:
            at = in_sorted(host_keys, host_offsets[si], host_offsets[si + 1], (protocol << 16) | src_port)
            if at >= 0 and host_rows[at] >= 0:
                si = host_rows[at]
        if di >= 0 and rows[di].kind == Kind.NODE and dst_port >= 0:
            at = in_sorted(host_keys, host_offsets[di], host_offsets[di + 1], (protocol << 16) | dst_port)
            if at >= 0 and host_rows[at] >= 0:
                di = host_rows[at]
        a_src_row[i], a_dst_row[i], a_wire_dst[i] = si, di, -1
        if si < 0 or di < 0:
            # An end without an address, or in no address space: nothing can be said of the way.
            a_opener[i], a_form[i], a_reason[i] = Opener.UNKNOWN.value, -1, Reason.UNKNOWN_END.value
            a_path_class[i], a_disposition[i] = PathClass.UNCLASSIFIED.value, Disposition.UNDECIDED.value
            a_out_eni[i], a_in_eni[i], a_rule[i], a_table[i], a_wire_src[i], a_path_id[i] = -1, -1, -1, -1, -1, -1
            unknown = Attribution.UNKNOWN.value
            a_src_attribution[i] = unknown if si < 0 else rows[si].attribution
            a_dst_attribution[i] = unknown if di < 0 else rows[di].attribution
            a_attribution[i] = unknown
            continue
        s, d = rows[si], rows[di]

        # What the CNI settings of either node say of the other end.
        src_range, dst_range, primary = np.int64(0), np.int64(0), np.int64(-1)
        if s.node >= 0:
            primary = np.int64(nodes[s.node].primary_eni)
            if nodes[s.node].ranges >= 0:
                src_range = np.int64(ranges[nodes[s.node].ranges, d.dst_class])
        if d.node >= 0 and nodes[d.node].ranges >= 0:
            dst_range = np.int64(ranges[nodes[d.node].ranges, s.dst_class])

        opener = np.int64(Opener.SRC.value)
        if openers.shape[0] > 0:
            opener = np.int64(openers[i])
        elif recorded:
            tcp_flags = all_tcp_flags[i]
            if protocol == TCP and tcp_flags >= 0 and (tcp_flags & TCP_SYN) != 0:
                opener = np.int64(Opener.DST.value if (tcp_flags & TCP_ACK) != 0 else Opener.SRC.value)
            elif s.source == Source.POD and s.kind == Kind.POD and has(src_range, RangeFlag.SNAT.value):
                opener = np.int64(Opener.DST.value)
            elif protocol == TCP or protocol == UDP or protocol == SCTP:
                src_serves = src_port >= 0 and serves(node_ports, port_offsets, port_keys, s.kind, s.ports, (protocol << 16) | src_port)
                dst_serves = dst_port >= 0 and serves(node_ports, port_offsets, port_keys, d.kind, d.ports, (protocol << 16) | dst_port)
                opener = opener_by_ports(src_serves, dst_serves, src_port, dst_port)
            else:
                opener = np.int64(Opener.UNKNOWN.value)

        form = form_of(s, d)
        way = undecided(0)
        if is_loopback or form == Form.INTRA_POD:
            form = np.int64(Form.INTRA_POD.value)
            path = np.int64(-1)
            if has_netns(d.kind):
                path = path_number(0, 0, d.destination_leg + DestinationLeg.LOOPBACK.value)
            way = make_way(-1, -1, -1, -1, -1, PathClass.INTRA_POD.value, Disposition.DELIVERED.value, 0, path)
        else:
            opened_by_src = opener != Opener.DST
            for attempt in range(2 if opener == Opener.UNKNOWN else 1):
                if attempt == 1:
                    opened_by_src = False
                early = early_end(s, d, t.first_class6)
                found = undecided(early)
                if early == 0 and s.source == Source.OUTSIDE:
                    ends, found = way_in_before_gateways(s, d)
                    if not ends:
                        from_internet = s.kind == Kind.INTERNET or has(s.row_flags, RowFlag.PUBLIC.value)
                        gateway = np.int64(gateways[d.space]) if d.space >= 0 else np.int64(-1)
                        has_balancer = d.space >= 0 and balancers[d.space] != 0
                        route_table = enis[d.eni].route_table if d.eni >= 0 else d.route_table
                        if from_internet and (opened_by_src or has(d.row_flags, RowFlag.PUBLIC.value)):
                            found = way_in_by_internet_gateway(d, gateway, has_balancer)
                        elif route_table < 0:
                            found = undecided(Reason.NO_TABLE.value)
                        else:
                            number = vpc[route_table, s.dst_class]
                            leg = legs[number]
                            if from_internet and leg.next == LegNext.INTERNET and has(d.row_flags, RowFlag.HAS_PUBLIC.value):
                                # Answers come back by the gateway that lets questions in: one leg for both.
                                found = way_in_by_internet_gateway(d, gateway, has_balancer)
                            else:
                                found = way_in_by_return_leg(d, leg, number, opened_by_src)
                elif early == 0:
                    if s.source == Source.BARE:
                        exit_ = leaves(s.eni, -1, -1, -1, s.source_leg)
                    else:
                        fib_main = np.int64(fib[nodes[s.node].main_profile, d.dst_class])
                        fib_own = np.int64(fib[s.profile, d.dst_class])
                        local_rule, local, main = nodes[s.node].local_rule, t.table_local, t.table_main
                        exit_ = exit_of_node(s, d, primary, local_rule, src_range, fib_main, fib_own, opened_by_src, local, main)
                    found = exit_.way
                    if not exit_.ended:
                        out = enis[exit_.out_eni]
                        translated = exit_.wire_src >= 0
                        holder = primary if translated else np.int64(s.eni)
                        ends, found = ends_at_interface(s, d, out, holder, exit_, out.route_table >= 0)
                        if not ends:
                            has_public = has(s.row_flags, RowFlag.HAS_PUBLIC.value)
                            if translated:
                                has_public = nodes[s.node].snat_has_public != 0
                            number = vpc[out.route_table, d.dst_class]
                            in_az = enis[d.eni].az if d.eni >= 0 else np.int32(-1)
                            found = way_by_leg(s, d, out, exit_, has_public, legs[number], number, in_az)
                way = found if attempt == 0 else merged(way, found)

        src_attribution = attribution_of(s, src_range, opener == Opener.DST, packet_addresses)
        dst_attribution = attribution_of(d, dst_range, opener == Opener.SRC, packet_addresses)
        a_opener[i], a_form[i] = opener, form
        a_path_class[i], a_disposition[i], a_reason[i] = way.path_class, way.disposition, way.reason
        a_out_eni[i], a_in_eni[i], a_rule[i], a_table[i] = way.out_eni, way.in_eni, way.rule, way.table
        a_wire_src[i], a_path_id[i] = way.wire_src, way.path_id
        a_src_attribution[i], a_dst_attribution[i] = src_attribution, dst_attribution
        a_attribution[i] = max(src_attribution, dst_attribution)

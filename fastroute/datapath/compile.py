"""The one door between the control plane and the data plane: a topology in, flat arrays out. Strings stop here."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from ipaddress import IPv4Address
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastroute.arrays import NONE
from fastroute.cni import NodePlan, read_settings
from fastroute.cni.naming import device_name, subnet_gateway
from fastroute.datapath.classes import ROOTS, DestinationClasses
from fastroute.datapath.hops import Hop
from fastroute.datapath.ownership import Ownership, host_prefix
from fastroute.datapath.ports import node_port_keys
from fastroute.datapath.profiles import NodeProfiles
from fastroute.datapath.row_table import RowTable, history_arrays
from fastroute.datapath.rows import build_ownership
from fastroute.datapath.state import (
    DESTINATION_LEG_BITS,
    NUM_DESTINATION_LEGS,
    NUM_SOURCE_LEGS,
    NUM_VPC_LEG_WAYS,
    SOURCE_LEG_BITS,
    VPC_LEG_BITS,
    WALKED_ROW_FIELDS,
    Compiled,
    Decisions,
    Enis,
    Names,
    Nodes,
    Ports,
    RowPrefixes,
    Rows,
    Source,
    Tables,
    VpcLegs,
    records_of,
)
from fastroute.datapath.vpclegs import VpcLegTable
from fastroute.errors import SnapshotError
from fastroute.lpm import build_pool4, build_pool6
from fastroute.topology import EniRole, Topology, TopologyIndex
from fastroute.topology.tenure import Tenure

_TEXT_COLUMNS = ("namespace", "pod", "owner_kind", "owner", "node", "eni", "subnet", "az", "vpc", "service", "table")
_NUMBER_COLUMNS = {"kind": np.uint8, "attribution": np.uint8, "source": np.uint8, "reason": np.uint8, "row_flags": np.uint16}
# A VPC hop has no rule priority.
LEG_TEXT_COLUMNS = ("leg", "reason", *(name for name in Hop._fields if name != "rule_priority"))
_LOW_64 = (1 << 64) - 1


def names_of(texts: Iterable[str]) -> Names:
    """Pack texts into buffers."""
    encoded = [text.encode() for text in texts]
    offsets = np.zeros(len(encoded) + 1, np.int32)
    np.cumsum([len(text) for text in encoded], out=offsets[1:])
    return Names(np.frombuffer(b"".join(encoded), np.uint8), offsets)


def texts(names: Names) -> list[str]:
    """Unpack buffers into texts."""
    data, bounds = names.data.tobytes(), names.offsets.tolist()
    return [data[begin:end].decode() for begin, end in pairwise(bounds)]


def compile_topology(topology: Topology, tenures: Sequence[Tenure] = (), unsure: Collection[str] = ()) -> Compiled:
    """Compile a snapshot.

    Parameters
    ----------
    tenures : sequence of Tenure
        Who held which address when; without them whoever holds it in the snapshot always did.
    unsure : collection of str
        Interfaces and nodes that may not have been there all the time: their own addresses are INFERRED.

    Raises
    ------
    SnapshotError
        More endpoints or legs than `path_id` can number.
    """
    settings, _ = read_settings(topology.cni_env)
    index = TopologyIndex(topology)
    owners = build_ownership(index, settings, tenures, unsure)
    plans = [plan for plan in owners.plans.values() if isinstance(plan, NodePlan)]
    profiles = NodeProfiles(topology, plans)
    vpc_legs = VpcLegTable(index, owners.spaces)
    classes = DestinationClasses(profiles.prefixes() | vpc_legs.prefixes())
    table = RowTable(owners, classes)
    names = {column: _Interner() for column in _TEXT_COLUMNS}
    # Nodes and interfaces have arrays of their own: their codes are their positions in the snapshot.
    names["node"].add_all(topology.nodes)
    names["eni"].add_all(topology.enis)
    names["table"].add_all(("local", "main"))
    decisions = Decisions(
        fib=profiles.fib_matrix(classes),
        ranges=profiles.range_matrix(classes),
        vpc=vpc_legs.matrix(classes),
        internet_gateway=vpc_legs.internet_gateways(),
        has_load_balancer=_load_balancers(topology, owners),
    )
    rows = _row_arrays(table, names, profiles, vpc_legs)
    _check_leg_numbers(rows, vpc_legs)
    pool4, pool6 = _pools(table, len(owners.spaces))
    snat_addrs = [plan.snat_addr if isinstance(plan, NodePlan) else "" for plan in owners.plans.values()]
    return Compiled(
        rows=rows,
        tables=Tables(
            rows=records_of(rows, WALKED_ROW_FIELDS),
            enis=records_of(_eni_arrays(topology, owners, names, vpc_legs)),
            nodes=records_of(_node_arrays(table, owners, names, profiles)),
            decisions=decisions,
            vpc_legs=records_of(_leg_arrays(vpc_legs)),
            ports=_port_arrays(table, owners, topology),
            table_local=names["table"].code("local"),
            table_main=names["table"].code("main"),
            first_class6=classes.number[ROOTS[1]],
        ),
        pool4=pool4,
        pool6=pool6,
        names={**{column: names_of(interner.texts) for column, interner in names.items()}, "addr": names_of(snat_addrs)},
        spaces=owners.spaces,
        space_of_eni={eni.id: owners.spaces[eni.vpc_id] for eni in topology.enis.values() if eni.vpc_id in owners.spaces},
        prefixes=_row_prefixes(table),
        leg_texts=_leg_texts(vpc_legs),
        history=history_arrays(table, owners),
        device_texts=_device_texts(topology, table),
    )


class _Interner:
    """Texts numbered in order of appearance."""

    def __init__(self) -> None:
        self._number: dict[str, int] = {}

    def add_all(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.code(text)

    def code(self, text: str | None) -> int:
        return NONE if text is None else self._number.setdefault(text, len(self._number))

    @property
    def texts(self) -> list[str]:
        return list(self._number)


def _row_arrays(table: RowTable, names: dict[str, _Interner], profiles: NodeProfiles, vpc_legs: VpcLegTable) -> Rows:
    rows = table.rows
    n = len(rows)
    columns: dict[str, NDArray[Any]] = {}
    for name, dtype in _NUMBER_COLUMNS.items():
        columns[name] = np.fromiter((int(getattr(row, name)) for row in rows), dtype, n)
    for name in _TEXT_COLUMNS:
        code = names[name].code
        columns[name] = np.fromiter((code(getattr(row, name)) for row in rows), np.int32, n)
    for name in ("space", "link_space", "rule", "ports"):
        columns[name] = np.fromiter((getattr(row, name) for row in rows), np.int32, n)
    columns["dst_class"] = np.array(table.classes, np.int32)
    columns["profile"] = np.fromiter((profiles.of_eni.get(row.profile_eni or "", NONE) for row in rows), np.int32, n)
    columns["route_table"] = np.fromiter((vpc_legs.table_of_subnet(row.subnet) for row in rows), np.int32, n)
    columns["source_leg"], columns["destination_leg"] = _leg_numbers(table, columns["source"])
    return Rows(**columns)


def _leg_numbers(table: RowTable, source: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Number legs in row order; a HOST_POD walks by the legs of its node's address."""
    begins = np.isin(source, (int(Source.POD), int(Source.HOST), int(Source.BARE)))
    begins[table.num_legged :] = False
    source_leg = np.where(begins, 1 + NUM_SOURCE_LEGS * (np.cumsum(begins) - 1), NONE).astype(np.int32)
    destination_leg = (1 + NUM_DESTINATION_LEGS * np.arange(len(source))).astype(np.int32)
    base = np.array(table.base_of_host_pod, np.int64)
    source_leg[table.num_legged :] = source_leg[base] if len(base) else NONE
    destination_leg[table.num_legged :] = destination_leg[base] if len(base) else NONE
    return source_leg, destination_leg


def _check_leg_numbers(rows: Rows, vpc_legs: VpcLegTable) -> None:
    for what, used, bits in (
        ("source legs", int(rows.source_leg.max(initial=0)) + NUM_SOURCE_LEGS, SOURCE_LEG_BITS),
        ("VPC legs", len(vpc_legs.legs) * NUM_VPC_LEG_WAYS, VPC_LEG_BITS),
        ("destination legs", int(rows.destination_leg.max(initial=0)) + NUM_DESTINATION_LEGS, DESTINATION_LEG_BITS),
    ):
        if used >= 1 << bits:
            raise SnapshotError(f"the snapshot has {used:,} {what}, path_id can number {(1 << bits) - 1:,}; split it by VPC")


def _pools(table: RowTable, num_spaces: int) -> tuple[Any, Any]:
    """Look-up tables from (space, address) to row."""
    by_family: dict[int, list[tuple[int, int, int, int]]] = {4: [], 6: []}
    for number, (space, (family, base, length)) in enumerate(table.prefixes[: table.num_addressed]):
        by_family[family].append((space, base, length, number))
    space4, base4, length4, value4 = (np.array(column) for column in zip(*by_family[4], strict=True))
    pool4 = build_pool4(space4.astype(np.int32), base4.astype(np.uint32), length4.astype(np.uint8), value4.astype(np.int32), num_spaces)
    space6, base6, length6, value6 = zip(*by_family[6], strict=True)
    halves = np.array([(base >> 64, base & _LOW_64) for base in base6], np.uint64).reshape(-1, 2)
    pool6 = build_pool6(np.array(space6, np.int32), halves, np.array(length6, np.uint8), np.array(value6, np.int32), num_spaces)
    return pool4, pool6


def _eni_arrays(topology: Topology, owners: Ownership, names: dict[str, _Interner], vpc_legs: VpcLegTable) -> Enis:
    enis = topology.enis.values()
    subnets = [topology.subnets.get(eni.subnet_id) for eni in enis]
    return Enis(
        az=np.array([names["az"].code(subnet.az_id or None) if subnet else NONE for subnet in subnets], np.int32),
        space=np.array([owners.spaces.get(eni.vpc_id, NONE) for eni in enis], np.int32),
        route_table=np.array([vpc_legs.table_of_subnet(eni.subnet_id) for eni in enis], np.int32),
        checks_source=np.array([eni.source_dest_check for eni in enis], np.uint8),
    )


def _node_arrays(table: RowTable, owners: Ownership, names: dict[str, _Interner], profiles: NodeProfiles) -> Nodes:
    unknown = (NONE, NONE, NONE, NONE, 0, NONE)
    snat_places = {
        (owners.spaces[plan.vpc.id], host_prefix(plan.snat_addr)): NONE for plan in owners.plans.values() if isinstance(plan, NodePlan)
    }
    for number, place in enumerate(table.prefixes[: table.num_addressed]):
        if place in snat_places:
            snat_places[place] = number
    found = [
        (
            names["eni"].code(plan.primary.id),
            profiles.of_eni[plan.primary.id],
            profiles.ranges_of_node[plan.node.name],
            plan.local_rule,
            int(plan.primary.addresses[0].public_addr is not None),
            snat_places[owners.spaces[plan.vpc.id], host_prefix(plan.snat_addr)],
        )
        if isinstance(plan, NodePlan)
        else unknown
        for plan in owners.plans.values()
    ]
    primary, main, ranges, local_rule, public, snat_row = np.ascontiguousarray(np.array(found, np.int32).reshape(-1, 6).T)
    return Nodes(primary, main, ranges, local_rule, public.astype(np.uint8), snat_row)


def _load_balancers(topology: Topology, owners: Ownership) -> NDArray[np.uint8]:
    with_balancer = {eni.vpc_id for eni in topology.enis.values() if eni.role is EniRole.LOAD_BALANCER}
    return np.array([vpc_id in with_balancer for vpc_id in owners.spaces], np.uint8)


def _leg_arrays(vpc_legs: VpcLegTable) -> VpcLegs:
    legs = vpc_legs.legs
    return VpcLegs(
        next=np.array([leg.next for leg in legs], np.uint8),
        path_class=np.array([leg.path_class for leg in legs], np.int8),
        disposition=np.array([leg.disposition for leg in legs], np.uint8),
        space=np.array([leg.space for leg in legs], np.int32),
        lets_in=np.array([leg.lets_in for leg in legs], np.uint8),
    )


def _leg_texts(vpc_legs: VpcLegTable) -> dict[str, Names]:
    """Hops of all VPC legs, one after the other; `leg` holds the number of the leg that a hop belongs to."""
    hops = [
        (str(number), leg.reason, *(text for text in hop if text is not None))
        for number, leg in enumerate(vpc_legs.legs)
        for hop in leg.hops
    ]
    columns = zip(*hops, strict=True)
    return {name: names_of(column) for name, column in zip(LEG_TEXT_COLUMNS, columns, strict=True)}


def _row_prefixes(table: RowTable) -> RowPrefixes:
    family = np.array([prefix[0] for _, prefix in table.prefixes], np.uint8)
    hi = np.array([prefix[1] >> 64 for _, prefix in table.prefixes], np.uint64)
    lo = np.array([prefix[1] & _LOW_64 for _, prefix in table.prefixes], np.uint64)
    length = np.array([prefix[2] for _, prefix in table.prefixes], np.uint8)
    return RowPrefixes(family, hi, lo, length, np.array([space for space, _ in table.prefixes], np.int32))


def _device_texts(topology: Topology, table: RowTable) -> dict[str, Names]:
    enis = topology.enis.values()
    subnets = [topology.subnets.get(eni.subnet_id) for eni in enis]
    return {
        "device": names_of(device_name(eni) for eni in enis),
        "gateway": names_of(str(IPv4Address(subnet_gateway(subnet.cidr))) if subnet and subnet.cidr else "" for subnet in subnets),
        "subnet": names_of(subnet.cidr if subnet else "" for subnet in subnets),
        "veth": names_of(row.veth for row in table.rows),
    }


def _port_arrays(table: RowTable, owners: Ownership, topology: Topology) -> Ports:
    sets = owners.port_sets.sets
    host_offsets = np.zeros(len(table.rows) + 1, np.int32)
    np.cumsum([len(keys) for keys in table.host_rows], out=host_offsets[1 : table.num_legged + 1])
    host_offsets[table.num_legged + 1 :] = host_offsets[table.num_legged]
    hosts = [pair for keys in table.host_rows for pair in keys]
    return Ports(
        offsets=np.cumsum([0, *(len(keys) for keys in sets)]).astype(np.int32),
        keys=np.array([key for keys in sets for key in keys], np.int32),
        node_ports=np.array(node_port_keys(topology.services.values()), np.int32),
        host_offsets=host_offsets,
        host_keys=np.array([key for key, _ in hosts], np.int32),
        host_rows=np.array([row for _, row in hosts], np.int32),
    )

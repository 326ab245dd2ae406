"""Rows of nodes and their pods. Whose their addresses are is always known; the way from them where `cni` derives the node's state."""

from __future__ import annotations

from dataclasses import replace

from fastroute.cni import NodePlan, PodAttachment, Unmodelled, attachment_of, vpc_of_pod
from fastroute.cni.naming import RULE_FROM_ENI, RULE_FROM_POD, RULE_MAIN, table_of_eni
from fastroute.datapath.ownership import (
    HostPod,
    Ownership,
    Place,
    Row,
    claim_public,
    host_prefix,
    network_prefix,
    public_flag,
    with_interface,
)
from fastroute.datapath.state import Reason, RowFlag, Source
from fastroute.netns.model import TABLE_MAIN, table_text
from fastroute.topology import Eni, EniRole, Node, Pod, TopologyIndex
from fastroute.vocab import Attribution, Kind


class PodRows:
    """The row of each pod's address, made on first use."""

    def __init__(self, owners: Ownership, index: TopologyIndex) -> None:
        self._owners = owners
        self._index = index
        self._made: dict[tuple[int, str], tuple[Place | None, Row]] = {}

    def row_of(self, pod: Pod, addr: str) -> tuple[Place | None, Row]:
        """The row, and the space and prefix that it is about; None in no VPC of the snapshot."""
        key = id(pod), addr
        if key not in self._made:
            row = self._make(pod, addr)
            self._made[key] = ((row.space, host_prefix(addr)) if row.space >= 0 else None), row
        return self._made[key]

    def _make(self, pod: Pod, addr: str) -> Row:
        node = self._index.topology.nodes.get(pod.node or "")
        plan = self._owners.plans[node.name] if node is not None else None
        if isinstance(plan, NodePlan) and pod.branch_eni is None and ":" not in addr:
            return _attached_pod(self._owners, self._index, plan, attachment_of(self._index, plan, pod, addr))
        return _undecided_pod(self._owners, self._index, pod, addr)


def claim_pods(owners: Ownership, index: TopologyIndex, pod_rows: PodRows) -> dict[Place, Row | None]:
    """Every pod's own addresses. Of several pods with one, that whose node's interface holds it goes first, then that with rules for it.

    Returns
    -------
    dict
        Who would have each address otherwise; None where that is no claim of its own.
    """
    rows = []
    for pod in index.topology.pods.values():
        for addr in pod.addrs if pod.holds_address and not pod.is_host_network else ():
            place, row = pod_rows.row_of(pod, addr)
            if place is not None:
                rows.append((place, row))
    claimed: dict[Place, Row] = {}
    for place, row in sorted(rows, key=lambda each: (each[1].eni is None, each[1].reason not in {Reason.NONE, Reason.NOT_HELD})):
        claimed.setdefault(place, row)
    before: dict[Place, Row | None] = {}
    for (space, prefix), row in claimed.items():
        before[space, prefix] = owners.prefixes[space].get(prefix)
        owners.prefixes[space][prefix] = row
    return before


def _pod(owners: Ownership, pod: Pod, source: Source, reason: Reason) -> Row:
    return Row(
        Kind.POD,
        source,
        Attribution.INFERRED,
        reason,
        namespace=pod.namespace,
        pod=pod.name,
        owner_kind=pod.owner_kind,
        owner=pod.owner,
        ports=owners.port_sets.add(owners.port_sets.keys_of_containers(pod.containers)),
    )


def _held(row: Row, index: TopologyIndex, eni: Eni | None) -> Row:
    if eni is not None:
        row.attribution = Attribution.EXACT
    return with_interface(row, index, eni)


def _attached_pod(owners: Ownership, index: TopologyIndex, plan: NodePlan, attached: PodAttachment) -> Row:
    addr, eni, table = attached.addr, attached.eni, attached.table_id
    row = _pod(owners, attached.pod, *((Source.POD, Reason.NONE) if eni is not None else (Source.UNDECIDED, Reason.NOT_HELD)))
    row.row_flags = RowFlag.POD_ROUTE | (public_flag(eni, addr) if eni is not None else 0)
    row.node, row.vpc, row.space, row.veth = plan.node.name, plan.vpc.id, owners.spaces[plan.vpc.id], attached.veth
    row.profile_eni = eni.id if eni is not None else None
    row.rule, row.table = RULE_MAIN if table == TABLE_MAIN else RULE_FROM_POD, table_text(table)
    return _held(row, index, eni)


def _undecided_pod(owners: Ownership, index: TopologyIndex, pod: Pod, addr: str) -> Row:
    """A pod whose way cannot be computed: its node's state is not derived, or not for this kind of pod."""
    node = index.topology.nodes.get(pod.node or "")
    plan = owners.plans[node.name] if node is not None else Unmodelled.NO_INSTANCE
    vpc_id = vpc_of_pod(index, node, addr)
    eni = index.eni_holding(vpc_id or "", addr)
    if pod.branch_eni is not None:
        why, eni = Unmodelled.BRANCH_PODS, eni if eni is not None and eni.id == pod.branch_eni else None
    elif isinstance(plan, NodePlan):
        why, eni = Unmodelled.IPV6, eni if eni in (plan.primary, *plan.managed) else None
    else:
        why = plan
    row = _pod(owners, pod, Source.UNDECIDED, Reason[why.name])
    row.row_flags = public_flag(eni, addr) if eni is not None else 0
    row.node = node.name if node is not None else None
    row.vpc, row.space = vpc_id or None, owners.spaces.get(vpc_id, -1) if vpc_id is not None else -1
    return _held(row, index, eni)


def claim_nodes(owners: Ownership, index: TopologyIndex) -> None:
    """The addresses of every node's interfaces, pods' addresses that no pod holds now among them."""
    for node in index.topology.nodes.values():
        plan, own = owners.plans[node.name], _node(owners, index, node)
        for eni in index.enis_of_node(node):
            row = replace(own, space=owners.spaces.get(eni.vpc_id, -1))
            if row.space >= 0:
                _claim_interface(owners, index, eni, _primary_address(owners, with_interface(row, index, eni), plan, eni))


def claim_nodes_without_interfaces(owners: Ownership, index: TopologyIndex) -> None:
    """Nodes known to Kubernetes only, by the addresses that they report, unless an interface holds those."""
    for node in index.topology.nodes.values():
        why = owners.plans[node.name]
        if isinstance(why, NodePlan) or index.enis_of_node(node):
            continue
        row = replace(_node(owners, index, node), attribution=Attribution.INFERRED, reason=Reason[why.name])
        for addr in node.addrs:
            vpc_id = vpc_of_pod(index, node, addr)
            if vpc_id is not None and index.eni_holding(vpc_id, addr) is None:
                row = replace(row, space=owners.spaces[vpc_id], vpc=vpc_id or None)
                owners.claim(row.space, host_prefix(addr), row)


def _node(owners: Ownership, index: TopologyIndex, node: Node) -> Row:
    """What all addresses of a node have in common."""
    host_pods = tuple(
        HostPod(pod, keys)
        for pod in index.pods_of_node.get(node.name, [])
        if pod.is_host_network and (keys := owners.port_sets.keys_of_containers(pod.containers))
    )
    ports = owners.port_sets.add(key for host in host_pods for key in host.keys)
    return Row(Kind.NODE, Source.UNDECIDED, node=node.name, ports=ports, host_pods=host_pods)


def _primary_address(owners: Ownership, row: Row, plan: NodePlan | Unmodelled, eni: Eni) -> Row:
    """Give a node's row what holds for the primary address of one of its interfaces."""
    flags = RowFlag.SHARED_PRIMARY if len(eni.addresses) > 1 or eni.prefixes else 0
    if isinstance(plan, Unmodelled):
        return replace(row, reason=Reason[plan.name], row_flags=flags)
    if eni is not plan.primary and eni not in plan.managed:
        return replace(row, reason=Reason.UNMANAGED, row_flags=flags)
    flags |= RowFlag.NODE_LOCAL
    has_pods = bool(plan.pods) or plan.node.name in owners.once_had_pods
    if eni is plan.primary and has_pods and not plan.settings.external_snat:
        flags |= RowFlag.SNAT_ADDR
    row = replace(row, source=Source.HOST, row_flags=flags)
    if eni is plan.primary or eni.role is EniRole.TRUNK:
        # The plugin makes no rule for the trunk's own address.
        return replace(row, profile_eni=plan.primary.id, rule=RULE_MAIN, table=table_text(TABLE_MAIN))
    return replace(row, profile_eni=eni.id, rule=RULE_FROM_ENI, table=table_text(table_of_eni(eni)))


def _claim_interface(owners: Ownership, index: TopologyIndex, eni: Eni, own: Row) -> None:
    """`own` is the row of the primary address; every further one is warm: a pod may have held it, none does now."""
    is_derived = own.source is Source.HOST
    is_main = table_of_eni(eni) == TABLE_MAIN
    warm = replace(
        own,
        kind=Kind.ENI,
        profile_eni=eni.id,
        table=table_text(table_of_eni(eni)),
        source=Source.POD if is_derived else Source.UNDECIDED,
        attribution=Attribution.INFERRED,
        row_flags=RowFlag.WARM,
        rule=(RULE_MAIN if is_main else RULE_FROM_POD) if is_derived else -1,
        ports=-1,
        host_pods=(),
    )
    for held in eni.addresses:
        row = own if held is eni.addresses[0] else warm
        owners.claim(own.space, host_prefix(held.addr), replace(row, row_flags=row.row_flags | public_flag(eni, held.addr)))
    for prefix in eni.prefixes:
        owners.claim(own.space, network_prefix(prefix), warm)
    claim_public(owners, index, eni, own)
    reason = Reason.IPV6 if own.reason in {Reason.NONE, Reason.UNMANAGED} else own.reason
    own6, warm6 = (
        replace(row, source=Source.UNDECIDED, reason=reason, row_flags=row.row_flags & RowFlag.WARM, rule=-1, table=None, profile_eni=None)
        for row in (own, warm)
    )
    for text, row in (*((addr, own6) for addr in eni.addresses6), *((prefix, warm6) for prefix in eni.prefixes6)):
        owners.claim(own.space, network_prefix(text), replace(row, row_flags=row.row_flags | public_flag(eni, text)))

"""The way of one packet in plain Python: the node's rules one by one (netns), VPC route tables entry by entry (vpc).

MODEL.md section 4 is the order. It shares no table, class or leg with the kernels.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network

from fastroute.cni import NodePlan, PodAttachment, derive_namespace, snat_exempt_cidrs
from fastroute.cni.naming import RULE_LOCAL, device_name, veth_name
from fastroute.datapath.hops import Hop
from fastroute.datapath.owners import End, OwnerFinder, eni_role_is_endpoint
from fastroute.datapath.ranges import AGENTS, GLOBAL6
from fastroute.datapath.state import REASON_TEXTS, Reason
from fastroute.netns.decision import Decision, Verdict
from fastroute.netns.model import Namespace, table_text
from fastroute.netns.walk import route
from fastroute.topology import Eni, EniRole, Pod, RouteTable
from fastroute.vocab import IN_CLUSTER, Disposition, Kind, PathClass
from fastroute.vpc import Next, Step, attached_vpcs, best_route, effective_routes, step

HAS_NETNS = IN_CLUSTER - {Kind.SERVICE}
"""Kinds behind which a process can sit, with a loopback of its own."""


@dataclass(slots=True)
class Path:
    """A walk under way, and what it came to."""

    hops: list[Hop] = field(default_factory=list)
    out_eni: str | None = None
    in_eni: str | None = None
    rule_priority: int | None = None
    table: str | None = None
    wire_src: str | None = None
    path_class: PathClass = PathClass.UNCLASSIFIED
    disposition: Disposition = Disposition.UNDECIDED
    reason: str = ""

    def end(self, disposition: Disposition, reason: str = "") -> Path:
        self.disposition, self.reason = disposition, reason
        return self

    @property
    def outcome(self) -> tuple[object, ...]:
        """What two openers must agree on."""
        return self.disposition, self.wire_src, self.path_class, tuple(self.hops)


class WayFinder:
    """Walks between two ends. Node states are derived when first met, and kept."""

    def __init__(self, owners: OwnerFinder) -> None:
        self.owners = owners
        self.index = owners.index
        self.topology = owners.topology
        self._namespaces: dict[str, Namespace] = {}

    def would_snat(self, end: End, other: End) -> bool:
        """Whether the node of an end would translate a connection from it towards the other end."""
        if end.node is None or other.addr.version == 6:
            return False
        plan = self.owners.plan(end.node)
        if not isinstance(plan, NodePlan):
            return False
        return best_cidr(snat_exempt_cidrs(plan.vpc, plan.settings), other.addr) is None

    def loopback(self, dst: End) -> Path:
        """Within one network namespace."""
        path = Path(path_class=PathClass.INTRA_POD, disposition=Disposition.DELIVERED)
        if dst.kind in HAS_NETNS:
            plan = self.owners.plan(dst.node) if dst.node is not None and dst.kind is not Kind.POD else None
            rule = plan.local_rule if isinstance(plan, NodePlan) else RULE_LOCAL
            path.hops.append(Hop(_domain(dst), "lo", rule, "local", f"{dst.addr}/{dst.addr.max_prefixlen}", "", _domain(dst)))
        return path

    def way(self, src: End, dst: End, opened_by_src: bool) -> Path:
        """The way of a packet from one end to another, for one opener."""
        path = Path()
        if Kind.UNKNOWN in {src.kind, dst.kind}:
            return path.end(Disposition.UNDECIDED, REASON_TEXTS[Reason.UNKNOWN_END])
        if Kind.SERVICE in {src.kind, dst.kind}:
            return path.end(Disposition.UNDECIDED, REASON_TEXTS[Reason.SERVICE])
        if src.addr.version != dst.addr.version:
            return path.end(Disposition.UNDECIDED, REASON_TEXTS[Reason.TWO_FAMILIES])
        if src.is_outside:
            return self._way_in(path, src, dst, opened_by_src)
        if src.kind is Kind.SUBNET:
            return path.end(Disposition.UNDECIDED, REASON_TEXTS[Reason.NOBODY])
        if src.unmodelled is not None:
            return path.end(Disposition.UNDECIDED, src.unmodelled.value)
        if src.eni is None:
            return path.end(Disposition.UNDECIDED, REASON_TEXTS[Reason.NOT_HELD])
        if src.node is None:
            path.hops.append(Hop(src.eni.id, "", None, "", "0.0.0.0/0" if src.addr.version == 4 else "::/0", "", src.eni.subnet_id))
            return self._through_vpc(path, src, dst, src.eni, src.eni, src.addr.compressed)
        plan = self.owners.plan(src.node)
        assert isinstance(plan, NodePlan)
        if src.eni is not plan.primary and src.eni not in plan.managed:
            return path.end(Disposition.UNDECIDED, REASON_TEXTS[Reason.UNMANAGED])
        return self._way_from_node(path, plan, src, dst, opened_by_src)

    def namespace(self, plan: NodePlan) -> Namespace:
        """The derived state of a node, made on first use."""
        if plan.node.name not in self._namespaces:
            self._namespaces[plan.node.name] = derive_namespace(self.topology, plan)
        return self._namespaces[plan.node.name]

    def _decide(self, plan: NodePlan, src: End, dst: End, marked: bool) -> Decision:
        """Ask the node's routing domain: from the pod's veth, or as a process of the node itself."""
        is_host = src.kind in {Kind.NODE, Kind.HOST_POD}
        namespace = self.namespace(plan)
        veth = None
        if not is_host:
            veth = next((attached.veth for attached in plan.pods if attached.addr == str(src.addr)), None)
            if veth is None:
                # A warm address is walked as if a pod held it: the rule that its pod would have, and a veth.
                ghost = _ghost(plan, src)
                namespace, veth = derive_namespace(self.topology, ghost), ghost.pods[-1].veth
        return route(
            namespace,
            int(dst.addr),
            int(src.addr),
            family=dst.addr.version,
            in_interface=veth,
            fwmark=plan.settings.connmark if marked else 0,
        )

    def _way_from_node(self, path: Path, plan: NodePlan, src: End, dst: End, opened_by_src: bool) -> Path:
        is_host = src.kind in {Kind.NODE, Kind.HOST_POD}
        translated = opened_by_src and self.would_snat(src, dst)
        decision = self._decide(plan, src, dst, translated and not is_host)
        at_node = f"node {plan.node.name}"
        same_node = dst.node is src.node and not dst.is_public
        if str(dst.addr) in AGENTS:
            path.path_class = PathClass.LINK_LOCAL
            return path.end(Disposition.UNDECIDED, REASON_TEXTS[Reason.AGENT])
        if not is_host:
            path.hops.append(Hop(_domain(src), "eth0", None, "main", "0.0.0.0/0", "169.254.1.1", at_node))
        path.rule_priority = decision.rule_priority
        path.table = table_text(decision.table_id) if decision.table_id is not None else None
        prefix = decision.prefix.text(4) if decision.prefix is not None else ""
        gateway = str(ip_address(decision.gateway)) if decision.gateway is not None else ""

        def hop(next_domain: str) -> Hop:
            return Hop(at_node, decision.device or "", decision.rule_priority, path.table or "", prefix, gateway, next_domain)

        if decision.verdict is Verdict.BROADCAST:
            path.hops.append(Hop(at_node, "", decision.rule_priority, path.table or "", "", "", ""))
            return path.end(Disposition.NO_SUCH_ADDRESS)
        if decision.verdict is Verdict.LOCAL:
            path.hops.append(hop(at_node))
            path.path_class = PathClass.SAME_NODE
            return path.end(Disposition.DELIVERED)
        if decision.verdict not in {Verdict.FORWARD, Verdict.OUTPUT}:
            path.hops.append(hop(""))
            return path.end(Disposition.UNDECIDED, f"{decision.verdict}: {decision.reason}")
        out = next((eni for eni in plan.enis if device_name(eni) == decision.device), None)
        if out is None:
            assert same_node
            path.hops.append(hop(_domain(dst)))
            path.path_class = PathClass.SAME_NODE
            return path.end(Disposition.DELIVERED)
        path.hops.append(hop(out.subnet_id))
        wire = plan.snat_addr if translated else str(src.addr)
        path.wire_src = wire if wire != str(src.addr) else None
        holder = plan.primary if translated else src.eni
        assert holder is not None
        return self._through_vpc(path, src, dst, out, holder, wire)

    def _through_vpc(self, path: Path, src: End, dst: End, out: Eni, holder: Eni, wire: str) -> Path:
        path.out_eni = out.id
        if out.source_dest_check and holder is not out:
            return path.end(Disposition.SOURCE_CHECK)
        if dst.kind is Kind.LINK_LOCAL:
            path.path_class = PathClass.LINK_LOCAL
            path.hops.append(Hop("", "", None, "", "169.254.0.0/16", "hypervisor", "link-local service"))
            return path.end(Disposition.EXITS_NETWORK)
        table = self.index.route_table_of_subnet.get(out.subnet_id)
        if table is None:
            return path.end(Disposition.UNDECIDED, REASON_TEXTS[Reason.NO_TABLE])
        return self._by_table(path, src, dst, table, out, _has_public(holder, wire), None)

    def _by_table(self, path: Path, src: End, dst: End, table: RouteTable, out: Eni, has_public: bool, nat: Step | None) -> Path:
        """Follow one VPC route table; `nat` is the NAT gateway that the packet has come through."""
        found = best_route(effective_routes(self.topology, table), dst.addr)
        if nat is not None:
            path.path_class = PathClass.NAT_GATEWAY
        if found is None:
            path.hops.append(Hop(table.vpc_id, "", None, table.id, "", "", ""))
            self._endpoint_class(path, src, dst)
            return path.end(Disposition.NO_ROUTE, f"{table.id} has no route to it")
        follow = step(self.topology, table, found.route)

        def cross(next_domain: str) -> None:
            path.hops.append(Hop(table.vpc_id, "", None, table.id, str(found.network), follow.gateway, next_domain))
            if follow.path_class is not None and (nat is None or follow.path_class is PathClass.VPC_ENDPOINT):
                path.path_class = follow.path_class
            self._endpoint_class(path, src, dst)

        match follow.next:
            case Next.LOCAL:
                cross(table.vpc_id)
                return self._deliver(path, src, dst, out, table.vpc_id)
            case Next.OTHER_VPC:
                cross(follow.vpc_id)
                return self._deliver(path, src, dst, out, follow.vpc_id)
            case Next.TRANSIT:
                other = self._behind_transit(follow.gateway, dst)
                if other is None:
                    cross("beyond the transit gateway")
                    return path.end(Disposition.EXITS_NETWORK)
                cross(other)
                if nat is None and not self._is_endpoint_flow(src, dst):
                    path.path_class = PathClass.INTER_VPC
                return self._deliver(path, src, dst, out, other)
            case Next.INTERNET:
                cross("Internet")
                if nat is not None:
                    if not self.topology.nat_gateways[nat.gateway].is_public:
                        return path.end(
                            Disposition.NO_PUBLIC_ADDRESS, f"{nat.gateway} is private: it has no public address for the Internet gateway"
                        )
                elif not has_public:
                    return path.end(Disposition.NO_PUBLIC_ADDRESS)
                if dst.is_public and dst.eni is not None:
                    return self._arrive(path, dst, dst.eni)
                return path.end(Disposition.EXITS_NETWORK)
            case Next.NAT:
                if nat is not None:
                    cross(follow.subnet_id)
                    return path.end(Disposition.LOOP, f"{table.id} leads back to a NAT gateway")
                cross(follow.subnet_id)
                inner = self.index.route_table_of_subnet.get(follow.subnet_id)
                if inner is None:
                    return path.end(
                        Disposition.UNDECIDED,
                        f"the route table of {follow.subnet_id}, the subnet of {follow.gateway}, is not in the snapshot",
                    )
                return self._by_table(path, src, dst, inner, out, True, follow)
            case Next.OUT:
                cross(follow.vpc_id or "outside")
                return path.end(follow.disposition)
            case Next.END:
                cross("")
                return path.end(follow.disposition, follow.reason)

    def _is_endpoint_flow(self, src: End, dst: End) -> bool:
        return eni_role_is_endpoint(src) or eni_role_is_endpoint(dst)

    def _endpoint_class(self, path: Path, src: End, dst: End) -> None:
        if self._is_endpoint_flow(src, dst):
            path.path_class = PathClass.VPC_ENDPOINT

    def _behind_transit(self, gateway_id: str, dst: End) -> str | None:
        """The attached VPC whose block holds the destination."""
        attached = attached_vpcs(self.topology, gateway_id)
        holding = [(cidr, vpc_id) for vpc_id in attached for cidr in self.topology.vpcs[vpc_id].cidrs]
        best = best_cidr(tuple(cidr for cidr, _ in holding), dst.addr)
        return dict(holding)[best] if best is not None else None

    def _deliver(self, path: Path, src: End, dst: End, out: Eni, vpc_id: str) -> Path:
        if dst.vpc_id == vpc_id and dst.eni is not None and not dst.is_public:
            path = self._arrive(path, dst, dst.eni)
            if path.path_class is PathClass.UNCLASSIFIED:
                path.path_class = self._zone_class(out, dst.eni)
            return path
        if dst.is_resolver and dst.vpc_id == vpc_id:
            if path.path_class is PathClass.UNCLASSIFIED:
                path.path_class = PathClass.INTRA_AZ
            return path.end(Disposition.DELIVERED)
        return path.end(Disposition.NO_SUCH_ADDRESS)

    def _zone_class(self, out: Eni, into: Eni) -> PathClass:
        zones = [self.topology.subnets[eni.subnet_id].az_id if eni.subnet_id in self.topology.subnets else "" for eni in (out, into)]
        if "" in zones:
            return PathClass.UNCLASSIFIED
        return PathClass.INTRA_AZ if zones[0] == zones[1] else PathClass.INTER_AZ

    def _arrive(self, path: Path, dst: End, eni: Eni) -> Path:
        """At the interface that holds the destination: on to the pod or the node itself."""
        path.in_eni = eni.id
        path.hops.append(self._arrival_hop(dst, eni))
        if dst.is_warm and dst.unmodelled is None and self._is_managed(dst):
            return path.end(Disposition.LOOP)
        if dst.unmodelled is not None:
            return path.end(Disposition.UNDECIDED, dst.unmodelled.value)
        return path.end(Disposition.DELIVERED)

    def _is_managed(self, end: End) -> bool:
        plan = self.owners.plan(end.node) if end.node is not None else None
        return isinstance(plan, NodePlan) and (end.eni is plan.primary or end.eni in plan.managed)

    def _arrival_hop(self, dst: End, eni: Eni) -> Hop:
        """The destination node's own look-up: the pod's route, or its address in table local."""
        plan = self.owners.plan(dst.node) if dst.node is not None else None
        prefix = f"{dst.addr}/{dst.addr.max_prefixlen}"
        if not isinstance(plan, NodePlan) or dst.is_public or not self._is_managed(dst) or dst.unmodelled is not None:
            return Hop(eni.id, "", None, "", "", "", _domain(dst))
        decision = route(self.namespace(plan), int(dst.addr), 0x08080808, in_interface=device_name(eni))
        at_node = f"node {plan.node.name}"
        if dst.is_warm:
            matched = decision.prefix.text(4) if decision.prefix is not None else ""
            gateway = str(ip_address(decision.gateway)) if decision.gateway is not None else ""
            return Hop(at_node, decision.device or "", decision.rule_priority, "main", matched, gateway, plan.primary.subnet_id)
        return Hop(at_node, decision.device or "", decision.rule_priority, table_text(decision.table_id or 0), prefix, "", _domain(dst))

    # --- from outside

    def _way_in(self, path: Path, src: End, dst: End, opened_by_src: bool) -> Path:
        dst_outside = dst.is_outside and not dst.is_public and not dst.is_resolver
        if dst.is_resolver or dst_outside:
            if Kind.LINK_LOCAL in {src.kind, dst.kind}:
                path.path_class = PathClass.LINK_LOCAL
            return path.end(Disposition.UNDECIDED, REASON_TEXTS[Reason.BOTH_OUTSIDE])
        if dst.eni is None and dst.kind is not Kind.SUBNET:
            return path.end(Disposition.UNDECIDED, dst.unmodelled.value if dst.unmodelled else REASON_TEXTS[Reason.NOT_HELD])
        if src.kind is Kind.LINK_LOCAL:
            path.path_class = PathClass.LINK_LOCAL
            if dst.eni is None:
                return path.end(Disposition.NO_SUCH_ADDRESS)
            path.hops.append(Hop("", "", None, "", "169.254.0.0/16", "hypervisor", "link-local service"))
            return self._arrive(path, dst, dst.eni)
        from_internet = src.kind is Kind.INTERNET or src.is_public
        if from_internet and (opened_by_src or dst.is_public):
            return self._way_in_by_internet_gateway(path, dst)
        return self._way_in_by_return_route(path, src, dst, opened_by_src)

    def _way_in_by_internet_gateway(self, path: Path, dst: End) -> Path:
        vpc_id = dst.vpc_id or ""
        gateways = [g for g in self.topology.internet_gateways.values() if vpc_id in g.vpc_ids and not g.is_egress_only]
        if not gateways:
            return path.end(Disposition.NO_ROUTE)
        path.path_class = PathClass.INTERNET_GATEWAY
        path.hops.append(Hop(vpc_id, "", None, "", "", gateways[-1].id, vpc_id))
        if dst.eni is None:
            return path.end(Disposition.NO_SUCH_ADDRESS)
        if dst.is_public or _has_public(dst.eni, str(dst.addr)):
            return self._arrive(path, dst, dst.eni)
        if any(eni.role is EniRole.LOAD_BALANCER and eni.vpc_id == vpc_id for eni in self.topology.enis.values()):
            return path.end(Disposition.UNDECIDED, REASON_TEXTS[Reason.CLIENT_ADDRESS])
        return path.end(Disposition.NO_PUBLIC_ADDRESS)

    def _way_in_by_return_route(self, path: Path, src: End, dst: End, opened_by_src: bool) -> Path:
        """By the gateway to which the destination's subnet routes the source; the hops are those of the way out, to be read backwards."""
        subnet_id = dst.eni.subnet_id if dst.eni is not None else dst.subnet.id if dst.subnet is not None else ""
        table = self.index.route_table_of_subnet.get(subnet_id)
        if table is None:
            return path.end(Disposition.UNDECIDED, REASON_TEXTS[Reason.NO_TABLE])
        back = Path()
        someone = End(ip_address("0.0.0.0"), Kind.ENI)
        eni = dst.eni if dst.eni is not None else Eni("", "", subnet_id, "", "", EniRole.OTHER, "", "", ())
        nat = self._by_table(back, someone, End(src.addr, src.kind), table, eni, True, None)
        path.hops = list(nat.hops)
        crossed_nat = any(hop.gateway.startswith("nat-") for hop in nat.hops)
        has_crossed = nat.path_class in {PathClass.INTER_VPC, PathClass.INTER_REGION}
        has_crossed &= nat.disposition in {Disposition.DELIVERED, Disposition.LOOP, Disposition.NO_SUCH_ADDRESS}
        leads_out = nat.disposition is Disposition.EXITS_NETWORK or has_crossed
        if not leads_out or (crossed_nat and opened_by_src):
            kept = {Disposition.UNDECIDED, Disposition.BLACKHOLE}
            return path.end(nat.disposition if nat.disposition in kept else Disposition.NO_ROUTE, nat.reason)
        path.path_class = nat.path_class
        if eni_role_is_endpoint(dst):
            path.path_class = PathClass.VPC_ENDPOINT
        if dst.eni is None:
            return path.end(Disposition.NO_SUCH_ADDRESS)
        if nat.path_class is PathClass.INTERNET_GATEWAY and nat.hops[-1].next_domain == "Internet":
            if not _has_public(dst.eni, str(dst.addr)):
                return path.end(Disposition.NO_PUBLIC_ADDRESS)
            if src.kind is Kind.INTERNET or src.is_public:
                return self._way_in_by_internet_gateway(Path(), dst)
        return self._arrive(path, dst, dst.eni)


def best_cidr(cidrs: tuple[str, ...], addr: object) -> str | None:
    """The most specific of the prefixes that holds an address."""
    holding = [cidr for cidr in cidrs if addr in ip_network(cidr)]
    return max(holding, key=lambda cidr: ip_network(cidr).prefixlen, default=None)


def _has_public(eni: Eni, addr: str) -> bool:
    """Whether the Internet knows an address of the interface: a public one is associated with it, or it is global IPv6."""
    if ":" in addr:
        return ip_address(addr) in ip_network(GLOBAL6)
    return any(held.addr == addr and held.public_addr for held in eni.addresses)


def _domain(end: End) -> str:
    if end.pod is not None and end.kind is Kind.POD:
        return f"pod {end.pod.key}"
    if end.node is not None:
        return f"node {end.node.name}"
    return end.eni.id if end.eni is not None else str(end.addr)


def _ghost(plan: NodePlan, src: End) -> NodePlan:
    """The node's plan with a pod on a warm address."""
    pod = Pod("", f"holder of {src.addr}", plan.node.name, (str(src.addr),), False, "Running", None, None, ())
    attached = PodAttachment(pod, str(src.addr), src.eni, veth_name("", pod.name, plan.settings.veth_prefix))
    return replace(plan, pods=(*plan.pods, attached))


def merged(a: Path, b: Path) -> Path:
    """What two possible openers agree on."""
    if a.outcome == b.outcome:
        return a
    return Path(
        hops=[],
        out_eni=a.out_eni if a.out_eni == b.out_eni else None,
        in_eni=a.in_eni if a.in_eni == b.in_eni else None,
        rule_priority=a.rule_priority if a.rule_priority == b.rule_priority else None,
        table=a.table if a.table == b.table else None,
        wire_src=a.wire_src if a.wire_src == b.wire_src else None,
        path_class=a.path_class if a.path_class == b.path_class else PathClass.UNCLASSIFIED,
        disposition=Disposition.UNDECIDED,
        reason=REASON_TEXTS[Reason.OPENER],
    )

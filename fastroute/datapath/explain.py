"""One flow in plain Python over the uncompiled snapshot: the slow truth of `walk`, and what `trace` prints.

Who the ends are (`owners`), who opened the connection (`openers`), which way the packet takes (`ways`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import ip_address

from fastroute.cni import NodePlan, read_settings
from fastroute.datapath.flows import Flow
from fastroute.datapath.openers import opener_of, pod_ports
from fastroute.datapath.owners import End, OwnerFinder
from fastroute.datapath.ways import HAS_NETNS, Path, WayFinder, merged
from fastroute.netns.text import rule_text
from fastroute.topology import Node, Topology, TopologyIndex
from fastroute.vocab import IN_CLUSTER, Attribution, Disposition, Form, Kind, Opener

_FROM_THE_OTHER_END = {Opener.SRC: Opener.DST, Opener.DST: Opener.SRC, Opener.UNKNOWN: Opener.UNKNOWN}


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer for one flow."""

    flow: Flow
    src: End
    dst: End
    opener: Opener
    form: Form | None
    path: Path
    src_attribution: Attribution
    dst_attribution: Attribution
    reply: Path | None
    """The way of the packets that answer, to whom the destination sees; None where the flow does not arrive, or that is undecided."""

    @property
    def is_symmetric(self) -> bool | None:
        """Whether the answers use the interfaces of the flow; None where either way is not known."""
        if self.reply is None or self.reply.disposition is Disposition.UNDECIDED:
            return None
        return (self.reply.out_eni, self.reply.in_eni) == (self.path.in_eni, self.path.out_eni)


class Explainer:
    """Walks flows over one topology. Node states are derived when first met, and kept."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.settings, _ = read_settings(topology.cni_env)
        self.index = TopologyIndex(topology)
        self.owners = OwnerFinder(self.index, self.settings)
        self.ways = WayFinder(self.owners)

    def explain(self, flow: Flow, vpc_id: str) -> Explanation:
        """Walk one flow whose addresses belong to the address space of a VPC."""
        src = self.owners.find(vpc_id, ip_address(flow.src))
        dst = self.owners.find(vpc_id, ip_address(flow.dst))
        is_loopback = src.is_loopback and dst.is_loopback
        if src.is_loopback and dst.kind in HAS_NETNS:
            src, is_loopback = dst, True
        elif dst.is_loopback and src.kind in HAS_NETNS:
            dst, is_loopback = src, True
        src, dst = self._host_pod(src, flow.protocol, flow.src_port), self._host_pod(dst, flow.protocol, flow.dst_port)
        opener = Opener.SRC
        if flow.is_recorded:
            host_ports = self._host_ports(src), self._host_ports(dst)
            opener = opener_of(src, dst, flow, self.topology, self.ways.would_snat(src, dst), *host_ports)
        form = self._form(src, dst)
        if is_loopback:
            form = Form.INTRA_POD
        path = self._path(src, dst, opener, form)
        reply = None
        if path.disposition in {Disposition.DELIVERED, Disposition.EXITS_NETWORK}:
            seen_as = src if path.wire_src is None else self.owners.find(vpc_id, ip_address(path.wire_src))
            reply = self._path(dst, seen_as, _FROM_THE_OTHER_END[opener], form)
        return Explanation(
            flow,
            src,
            dst,
            opener,
            form,
            path,
            self._attribution(src, dst, opener is Opener.DST),
            self._attribution(dst, src, opener is Opener.SRC),
            reply,
        )

    def _path(self, src: End, dst: End, opener: Opener, form: Form | None) -> Path:
        if form is Form.INTRA_POD:
            return self.ways.loopback(dst)
        path = self.ways.way(src, dst, opener is not Opener.DST)
        return merged(path, self.ways.way(src, dst, False)) if opener is Opener.UNKNOWN else path

    def rules_naming(self, node: Node, addr: str) -> list[str]:
        """The node's rules that select exactly this address, as `ip rule` prints them; empty where its state is not known."""
        plan = self.owners.plan(node)
        number = int(ip_address(addr))
        if not isinstance(plan, NodePlan) or ":" in addr:
            return []
        rules = self.ways.namespace(plan).rules_by_family[4]
        return [
            f"{rule.priority}:\t{rule_text(rule)}" for rule in rules if number in {rule.src_prefix.addr, rule.dst_prefix.addr} and number
        ]

    def _host_pod(self, end: End, protocol: int, port: int) -> End:
        if end.kind is not Kind.NODE or end.node is None or end.is_public or port < 0:
            return end
        declaring = [
            pod
            for pod in self.index.pods_of_node.get(end.node.name, [])
            if pod.is_host_network and any((protocol, port) == declared for declared in pod_ports(pod.containers))
        ]
        return replace(end, kind=Kind.HOST_POD, pod=declaring[0]) if len(declaring) == 1 else end

    def _host_ports(self, end: End) -> set[tuple[int, int]]:
        """Ports of the host-network pods of the end's node."""
        pods = self.index.pods_of_node.get(end.node.name, []) if end.node is not None else []
        return {port for pod in pods if pod.is_host_network for port in pod_ports(pod.containers)}

    def _form(self, src: End, dst: End) -> Form | None:
        if Kind.UNKNOWN in {src.kind, dst.kind}:
            return None
        inside = src.kind in IN_CLUSTER, dst.kind in IN_CLUSTER
        if inside == (True, True):
            if src.pod is not None and src.pod is dst.pod and src.kind is dst.kind:
                return Form.INTRA_POD
            same = src.node is not None and src.node is dst.node
            return Form.INTRA_HOST if same else Form.INTER_HOST
        return {(False, True): Form.INGRESS, (True, False): Form.EGRESS, (False, False): Form.EXTERNAL}[inside]

    def _attribution(self, end: End, other: End, other_opened: bool) -> Attribution:
        found = end.attribution
        plan = self.owners.plan(end.node) if end.node is not None else None
        if isinstance(plan, NodePlan) and end.kind in {Kind.NODE, Kind.HOST_POD} and not end.is_public:
            stands_for_pods = str(end.addr) == plan.snat_addr and bool(plan.pods) and not plan.settings.external_snat
            if stands_for_pods and not other_opened and self.ways.would_snat(end, other):
                found = max(found, Attribution.AMBIGUOUS)
        return found

"""Real packets between namespaces, beside the walk: the same interfaces in the same order, the same source on the wire."""

from __future__ import annotations

import itertools

import pytest

from fastroute.datapath import Explainer
from fastroute.datapath.flows import Flow
from fastroute.datapath.owners import End
from fastroute.datapath.ways import Path
from fastroute.topology import RouteTable, TargetKind, Topology, Vpc, VpcRoute
from fastroute.vocab import Disposition
from tests import zoo
from tests.packets.exchange import SERVER_PORT, Outcome, Place, Tcp, Udp
from tests.packets.lab import OUTSIDE, OUTSIDE_ADDR, VPC, Crossing, Lab, enis_of, why_not

REFUSED = why_not()
pytestmark = pytest.mark.skipif(bool(REFUSED), reason=f"no cluster of namespaces here: {REFUSED}")

ARRIVED = {Disposition.DELIVERED, Disposition.EXITS_NETWORK}


def cluster(env: dict[str, str] | None = None, pods_block: str = "10.0", prefixes: bool = False) -> Topology:
    """Two nodes in two zones, each with a primary and a further interface; two pods on each interface."""
    b = zoo.Builder()
    blocks = ("10.0.0.0/16", "100.64.0.0/16")
    b.add(Vpc("vpc-a", zoo.REGION, "1", blocks))
    b.add(zoo.subnet("subnet-a", "10.0.0.0/19", 0), zoo.subnet("subnet-b", "10.0.32.0/19", 1))
    b.add(zoo.subnet("subnet-pa", f"{pods_block}.64.0/19", 0), zoo.subnet("subnet-pb", f"{pods_block}.96.0/19", 1))
    on_premises = VpcRoute("192.168.0.0/16", TargetKind.VPN_GATEWAY, "vgw-1", is_propagated=True)
    b.add(RouteTable("rtb", "vpc-a", zoo.REGION, True, (), (), (*zoo.local(*blocks), on_premises)))
    for zone, name in enumerate(("a", "b")):
        node = f"node-{name}"
        b.node(node, f"i-{name}", f"use1-az{zone + 1}")
        third = 32 * zone
        first = [f"10.0.{third}.{host}" for host in (10, 50, 51)]
        second = [f"{pods_block}.{64 + third}.{host}" for host in (20, 60, 61)]
        if prefixes:
            b.eni(f"eni-{name}0", f"subnet-{name}", (first[0],), instance=f"i-{name}", device=0, prefixes=(f"10.0.{third}.48/28",))
            b.eni(
                f"eni-{name}1",
                f"subnet-p{name}",
                (second[0],),
                instance=f"i-{name}",
                device=1,
                prefixes=(f"{pods_block}.{64 + third}.48/28",),
            )
        else:
            b.eni(f"eni-{name}0", f"subnet-{name}", tuple(first), instance=f"i-{name}", device=0)
            b.eni(f"eni-{name}1", f"subnet-p{name}", tuple(second), instance=f"i-{name}", device=1)
        for number, addr in enumerate((first[1], first[2], second[1], second[2])):
            b.pod(f"pod-{name}{number}", node, addr)
    b.t.cni_env.update(env or {})
    return b.t


MODES = {
    "secondary addresses": cluster(),
    "delegated prefixes": cluster({"ENABLE_PREFIX_DELEGATION": "true"}, prefixes=True),
    "custom networking": cluster({"AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true"}, pods_block="100.64"),
    "external SNAT": cluster({"AWS_VPC_K8S_CNI_EXTERNALSNAT": "true"}),
    "external SNAT, no node ports": cluster({"AWS_VPC_K8S_CNI_EXTERNALSNAT": "true", "AWS_VPC_CNI_NODE_PORT_SUPPORT": "false"}),
    "no node ports": cluster({"AWS_VPC_CNI_NODE_PORT_SUPPORT": "false"}),
    "excluded from SNAT": cluster({"AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS": "192.168.0.0/16"}),
    "external services": cluster({"AWS_EXTERNAL_SERVICE_CIDRS": "192.168.7.0/24", "AWS_VPC_K8S_CNI_EXTERNALSNAT": "true"}),
    "another mark": cluster({"AWS_VPC_K8S_CNI_CONNMARK": "0x400"}),
    "another veth prefix": cluster({"AWS_VPC_K8S_CNI_VETHPREFIX": "pod"}),
    "pods with security groups allowed, strict": cluster({"ENABLE_POD_ENI": "true"}),
}


def expected(lab: Lab, path: Path, source: Place, target: Place, sender: str, receiver: str) -> list[Crossing]:
    """The crossings that a way means; `sender` and `receiver` are the nodes of its ends, or empty.

    The target's namespace is that of a pod even where the packet is addressed to its node: that hands it back.
    """
    devices = enis_of(lab.plans)
    wire = path.wire_src or source.addr
    veth = {attached.pod.name: attached.veth for plan in lab.plans for attached in plan.pods}
    out = [Crossing(source.namespace, "eth0", "out", source.addr)] if source.namespace not in devices_of_nodes(lab) else []
    if source.namespace in veth:
        out.append(Crossing(sender, veth[source.namespace], "in", source.addr))
    crosses_vpc = path.out_eni is not None or source.namespace == OUTSIDE
    if path.out_eni is not None:
        out.append(Crossing(sender, devices[path.out_eni][1], "out", wire))
    if crosses_vpc:
        out.append(Crossing(VPC, "", "in", wire))
    if path.disposition is Disposition.SOURCE_CHECK:
        return out
    if crosses_vpc:
        out.append(Crossing(VPC, "", "out", wire))
    if target.namespace == OUTSIDE:
        return [*out, Crossing(OUTSIDE, "eth0", "in", wire)]
    if path.in_eni is not None:
        out.append(Crossing(receiver, devices[path.in_eni][1], "in", wire))
    if target.namespace in veth:
        out.append(Crossing(receiver, veth[target.namespace], "out", wire))
        out.append(Crossing(target.namespace, "eth0", "in", wire))
    return out


def devices_of_nodes(lab: Lab) -> set[str]:
    return {plan.node.name for plan in lab.plans}


def node_name(end: End) -> str:
    return end.node.name if end.node is not None else ""


def without_vpc_devices(seen: list[Crossing]) -> list[Crossing]:
    """The VPC's own devices are nobody's affair."""
    return [crossing._replace(device="") if crossing.namespace == VPC else crossing for crossing in seen]


def places(lab: Lab) -> list[Place]:
    pods = [Place(attached.pod.name, attached.addr) for plan in lab.plans for attached in plan.pods]
    nodes = [Place(plan.node.name, plan.snat_addr) for plan in lab.plans]
    return [*pods, *nodes, Place(OUTSIDE, OUTSIDE_ADDR)]


@pytest.mark.parametrize("transport", [Udp, Tcp])
@pytest.mark.parametrize("mode", MODES)
def test_packets_and_their_answers_go_where_the_walk_says(mode, transport):
    topology = MODES[mode]
    explainer = Explainer(topology)
    differing = []
    compared = 0
    with Lab(topology) as lab:
        everywhere = places(lab)
        exchange = transport(lab, everywhere)
        for source, target in itertools.permutations(everywhere, 2):
            found = explainer.explain(Flow(source.addr, target.addr, exchange.protocol, 40_000, SERVER_PORT), "vpc-a")
            # The answer goes to whom the server saw: to the node, where the client was translated, which hands it back.
            seen_as = Place(source.namespace, found.path.wire_src or source.addr)
            arrives = found.path.disposition in ARRIVED
            returns = found.reply is not None and found.reply.disposition in ARRIVED
            outcome = exchange.run(source, target, arrives=arrives, returns=returns)
            nodes = node_name(found.src), node_name(found.dst)
            question = expected(lab, found.path, source, target, *nodes)
            answer = expected(lab, found.reply, target, seen_as, *reversed(nodes)) if found.reply is not None else []
            wanted = Outcome(arrives, returns, question, answer)
            seen = outcome._replace(question=without_vpc_devices(outcome.question), answer=without_vpc_devices(outcome.answer))
            compared += 1
            if seen != wanted:
                differing.append((source, target, found.path.disposition, found.reply and found.reply.disposition, seen, wanted))
        exchange.close()
    assert compared == len(everywhere) * (len(everywhere) - 1)
    assert not differing, f"{len(differing)} of {compared}: {differing[:3]}"

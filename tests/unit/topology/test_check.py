"""Each fault is planted alone in a snapshot that fits together, and only it is found."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fastroute.topology import (
    EndpointSlice,
    Eni,
    EniAddress,
    EniRole,
    Instance,
    InternetGateway,
    NatGateway,
    Node,
    Peering,
    PeeringEnd,
    Pod,
    PrefixList,
    RouteTable,
    Service,
    SliceEndpoint,
    Subnet,
    TargetKind,
    Topology,
    TransitGateway,
    TransitGatewayAttachment,
    Vpc,
    VpcEndpoint,
    VpcRoute,
)
from fastroute.topology.check import check
from fastroute.topology.inputs import missing_inputs


def eni(name: str, instance: str | None, device: int, *addrs: str, **more: Any) -> Eni:
    addresses = tuple(EniAddress(addr, i == 0) for i, addr in enumerate(addrs))
    return Eni(
        f"eni-{name}",
        "vpc-1",
        "subnet-1",
        "r",
        "a",
        EniRole.INSTANCE,
        "interface",
        "",
        addresses,
        instance_id=instance,
        device_number=device,
        **more,
    )


def pod(name: str, node: str | None, *addrs: str, **more: Any) -> Pod:
    fields = {"is_host_network": False, "phase": "Running", "owner_kind": None, "owner": None, "containers": ()} | more
    return Pod("default", name, node, addrs, **fields)


def by_id(*nouns: Any) -> dict[str, Any]:
    return {noun.id: noun for noun in nouns}


def sound() -> Topology:
    """Two nodes, a pod of each kind, one of each gateway: nothing in it is wrong."""
    routes = (
        VpcRoute("10.0.0.0/16", TargetKind.LOCAL, "local"),
        VpcRoute("0.0.0.0/0", TargetKind.NAT_GATEWAY, "nat-1"),
        VpcRoute("10.9.0.0/16", TargetKind.NAT_GATEWAY, "nat-gone", is_blackhole=True),
        VpcRoute("pl-1", TargetKind.GATEWAY_ENDPOINT, "vpce-1"),
    )
    ends = (PeeringEnd("vpc-1", "r", "1", ("10.0.0.0/16",)), PeeringEnd("vpc-2", "r", "1", ("10.1.0.0/16",)))
    pods = (
        pod("on-primary", "node-1", "10.0.0.11"),
        pod("on-prefix", "node-1", "10.0.1.3"),
        pod("on-branch", "node-2", "10.0.3.3", branch_eni="eni-branch"),
        pod("six", "node-2", "2001:db8::5"),
        pod("host", "node-1", "10.0.0.10", is_host_network=True),
        pod("ended", "node-gone", "10.0.0.11", phase="Succeeded"),
        pod("waiting", None, phase="Pending"),
    )
    return Topology(
        vpcs=by_id(Vpc("vpc-1", "r", "1", ("10.0.0.0/16",)), Vpc("vpc-2", "r", "1", ("10.1.0.0/16",))),
        subnets=by_id(*(Subnet(f"subnet-{i}", "vpc-1", "r", "a", "az1", f"10.0.{16 * i}.0/20") for i in (1, 2))),
        route_tables=by_id(
            RouteTable("rtb-main", "vpc-1", "r", True, (), (), routes[:1]),
            RouteTable("rtb-1", "vpc-1", "r", False, ("subnet-1",), (), routes),
        ),
        enis=by_id(
            eni("1", "i-1", 0, "10.0.0.10", "10.0.0.11"),
            eni("2", "i-1", 1, "10.0.0.20", prefixes=("10.0.1.0/28",)),
            eni("3", "i-2", 0, "10.0.0.30", prefixes6=("2001:db8::/80",)),
            eni("branch", None, -1, "10.0.3.3"),
            eni("nat", None, -1, "10.0.0.40"),
        ),
        instances=by_id(Instance("i-1", "r", "m5.large", "running"), Instance("i-2", "r", "m5.large", "running")),
        internet_gateways=by_id(InternetGateway("igw-1", ("vpc-1",))),
        nat_gateways=by_id(NatGateway("nat-1", "vpc-1", "subnet-1", "available", True, ("eni-nat",))),
        peerings=by_id(Peering("pcx-1", "active", *ends)),
        transit_gateways=by_id(TransitGateway("tgw-1", "r", "1")),
        attachments=by_id(TransitGatewayAttachment("tgw-attach-1", "tgw-1", "vpc", "vpc-1", "available")),
        vpc_endpoints=by_id(VpcEndpoint("vpce-1", "vpc-1", "Gateway", "s3", ("rtb-1",), (), ())),
        prefix_lists=by_id(PrefixList("pl-1", "s3", ("52.216.0.0/15",))),
        nodes={name: Node(name, f"i-{name[-1]}", (addr,)) for name, addr in (("node-1", "10.0.0.10"), ("node-2", "10.0.0.30"))},
        pods={each.key: each for each in pods},
        services={"default/web": Service("default", "web", "ClusterIP", ("172.20.0.1",), ())},
        endpoint_slices=(EndpointSlice("default", "web-1", "web", (), (SliceEndpoint(("10.0.0.11",), True, pod="default/on-primary"),)),),
        cni_env={"ENABLE_POD_ENI": "true"},
    )


def test_what_fits_together_has_no_findings() -> None:
    assert check(sound()) == ()


def test_an_empty_topology_has_no_findings() -> None:
    assert check(Topology()) == ()


def changed(topology: Topology, table: str, key: str, **fields: Any) -> Topology:
    nouns = getattr(topology, table)
    return replace(topology, **{table: nouns | {key: replace(nouns[key], **fields)}})


def added(table: str, key: str, noun: Any) -> Callable[[Topology], Topology]:
    return lambda topology: replace(topology, **{table: getattr(topology, table) | {key: noun}})


def change(table: str, key: str, **fields: Any) -> Callable[[Topology], Topology]:
    return lambda topology: changed(topology, table, key, **fields)


def without(table: str, key: str) -> Callable[[Topology], Topology]:
    return lambda topology: replace(topology, **{table: {name: noun for name, noun in getattr(topology, table).items() if name != key}})


def add_pod(each: Pod) -> Callable[[Topology], Topology]:
    return added("pods", each.key, each)


def route_to(kind: TargetKind, target: str, destination: str = "10.50.0.0/16") -> Callable[[Topology], Topology]:
    return change("route_tables", "rtb-1", routes=(VpcRoute(destination, kind, target),))


NODE_3 = Node("node-3", "i-3", ())
FAULTS: list[tuple[Callable[[Topology], Topology], str, str]] = [
    (add_pod(pod("x", "node-9", "10.0.0.99")), "pod-on-unknown-node", "default/x"),
    (add_pod(pod("x", None, "10.0.0.99")), "pod-on-no-node", "default/x"),
    (add_pod(pod("x", "node-1", "10.0.0.99")), "pod-address-on-no-interface", "default/x"),
    (add_pod(pod("x", "node-1", "10.0.1.16")), "pod-address-on-no-interface", "default/x"),
    (add_pod(pod("x", "node-1", "10.0.0.30")), "pod-address-on-no-interface", "default/x"),  # the other node's
    (add_pod(pod("x", "node-1", "2001:db8::6")), "pod-address-on-no-interface", "default/x"),
    (add_pod(pod("x", "node-2", "10.0.3.4", branch_eni="eni-branch")), "pod-address-on-no-interface", "default/x"),
    (add_pod(pod("x", "node-2", "10.0.3.4", branch_eni="eni-gone")), "pod-on-unknown-branch", "default/x"),
    (add_pod(pod("x", "node-1", "10.0.0.11")), "address-of-two-pods", "10.0.0.11"),
    (added("nodes", "node-3", Node("node-3", None, ())), "node-without-instance", "node-3"),
    (added("nodes", "node-3", Node("node-3", "i-1", ())), "instance-of-two-nodes", "i-1"),
    (change("nodes", "node-1", addrs=("10.0.0.12",)), "node-address-not-on-instance", "node-1"),
    (change("enis", "eni-1", subnet_id="subnet-9"), "interface-in-unknown-subnet", "eni-1"),
    (change("enis", "eni-branch", vpc_id="vpc-9"), "interface-in-unknown-vpc", "eni-branch"),
    (change("enis", "eni-branch", instance_id="i-9"), "interface-of-unknown-instance", "eni-branch"),
    (added("enis", "eni-9", eni("9", None, -1, "10.0.0.11")), "address-held-twice", "10.0.0.11"),
    (added("enis", "eni-9", eni("9", None, -1, "10.0.0.50", prefixes=("10.0.1.0/28",))), "address-held-twice", "10.0.1.0/28"),
    (added("subnets", "s-9", Subnet("s-9", "vpc-2", "r", "a", "az1", "10.1.0.0/20")), "subnet-without-route-table", "s-9"),
    (change("route_tables", "rtb-1", subnet_ids=("subnet-1", "s-9")), "route-table-of-unknown-subnet", "rtb-1"),
    (change("route_tables", "rtb-main", subnet_ids=("subnet-1",)), "subnet-with-two-route-tables", "subnet-1"),
    (change("route_tables", "rtb-1", vpc_id="vpc-9"), "route-table-in-unknown-vpc", "rtb-1"),
    (route_to(TargetKind.INTERNET_GATEWAY, "igw-9"), "route-to-unknown-target", "rtb-1"),
    (route_to(TargetKind.NAT_GATEWAY, "nat-9"), "route-to-unknown-target", "rtb-1"),
    (route_to(TargetKind.TRANSIT_GATEWAY, "tgw-9"), "route-to-unknown-target", "rtb-1"),
    (route_to(TargetKind.PEERING, "pcx-9"), "route-to-unknown-target", "rtb-1"),
    (route_to(TargetKind.INSTANCE, "i-9"), "route-to-unknown-target", "rtb-1"),
    (route_to(TargetKind.GATEWAY_ENDPOINT, "vpce-1", "pl-9"), "route-for-unknown-prefix-list", "rtb-1"),
    (change("nat_gateways", "nat-1", subnet_id="subnet-9"), "nat-gateway-in-unknown-subnet", "nat-1"),
    (change("nat_gateways", "nat-1", eni_ids=("eni-gone",)), "nat-gateway-without-interface", "nat-1"),
    (change("attachments", "tgw-attach-1", transit_gateway_id="tgw-9"), "attachment-of-unknown-transit-gateway", "tgw-attach-1"),
    (change("vpc_endpoints", "vpce-1", route_table_ids=("rtb-9",)), "endpoint-of-unknown-route-table", "vpce-1"),
    (change("subnets", "subnet-2", vpc_id="vpc-9"), "subnet-in-unknown-vpc", "subnet-2"),
    (
        lambda topology: replace(topology, services={"default/other": topology.services["default/web"]}),
        "slice-of-unknown-service",
        "default/web-1",
    ),
    (without("pods", "default/on-primary"), "endpoint-of-unknown-pod", "default/web-1"),
]


@pytest.mark.parametrize(("plant", "kind", "subject"), FAULTS, ids=[f"{kind}-{i}" for i, (_, kind, _) in enumerate(FAULTS)])
def test_a_planted_fault_is_found_with_its_name(plant: Callable[[Topology], Topology], kind: str, subject: str) -> None:
    found = [(finding.kind, finding.subject, finding.is_fault) for finding in check(plant(sound()))]
    assert (kind, subject, True) in found
    # a subnet without its VPC has no main table either
    assert {each[0] for each in found} <= {kind, *({"subnet-without-route-table"} if kind == "subnet-in-unknown-vpc" else set())}


def test_a_node_whose_instance_is_unknown() -> None:
    topology = added("nodes", "node-3", NODE_3)(sound())
    found = {(finding.kind, finding.subject) for finding in check(add_pod(pod("x", "node-3", "10.0.5.5"))(topology))}
    # the pod is not named again: its node is what is wrong
    assert found == {("node-on-unknown-instance", "node-3"), ("node-without-interfaces", "node-3")}


@pytest.mark.parametrize("compute_type", ["fargate", "hybrid"])
def test_nodes_that_are_no_ec2_instances_are_sound(compute_type: str) -> None:
    node = Node("node-3", None, ("10.0.3.3",), labels={"eks.amazonaws.com/compute-type": compute_type})
    assert check(added("nodes", "node-3", node)(sound())) == ()


def test_a_fargate_pod_is_held_by_an_interface_of_nobody() -> None:
    node = Node("node-3", None, (), labels={"eks.amazonaws.com/compute-type": "fargate"})
    topology = added("enis", "eni-f", eni("f", None, -1, "10.0.4.4"))(added("nodes", "node-3", node)(sound()))
    assert check(add_pod(pod("held", "node-3", "10.0.4.4"))(topology)) == ()
    (finding,) = check(add_pod(pod("lost", "node-3", "10.0.4.5"))(topology))
    assert (finding.kind, finding.subject) == ("pod-address-on-no-interface", "default/lost")


def test_a_peering_that_leaves_the_snapshot_is_no_fault() -> None:
    (finding,) = check(without("vpcs", "vpc-2")(sound()))
    assert (finding.kind, finding.subject, finding.is_fault) == ("peering-leaves-snapshot", "pcx-1", False)


def test_all_faults_are_found_in_one_run() -> None:
    topology = sound()
    for plant, kind, _ in FAULTS:
        if kind.startswith("pod-") or kind in {"node-without-instance", "address-held-twice"}:
            topology = plant(topology)
    kinds = {finding.kind for finding in check(topology)}
    assert {"pod-on-unknown-branch", "node-without-instance", "address-held-twice"} <= kinds


def test_the_same_address_in_two_vpcs_is_sound() -> None:
    other = replace(eni("9", None, -1, "10.0.0.11"), vpc_id="vpc-2")
    assert check(added("enis", "eni-9", other)(sound())) == ()


ALL_KINDS = {
    *("Vpcs", "Subnets", "RouteTables", "NetworkInterfaces", "Reservations", "NatGateways", "VpcEndpoints"),
    *("Node", "Pod", "Service", "EndpointSlice", "DaemonSet"),
}


def test_nothing_is_missing() -> None:
    assert missing_inputs(sound(), ALL_KINDS) == ()


@pytest.mark.parametrize("kind", sorted(ALL_KINDS))
def test_an_absent_input_is_named_with_what_it_takes_away(kind: str) -> None:
    (missing,) = missing_inputs(sound(), ALL_KINDS - {kind})
    assert missing.loses
    assert "aws ec2 describe-" in missing.what or "kubectl get " in missing.what


def test_a_gateway_is_missed_only_where_a_route_leads_to_one() -> None:
    topology = route_to(TargetKind.TRANSIT_GATEWAY, "tgw-1")(sound())
    (missing,) = missing_inputs(topology, ALL_KINDS)
    assert "describe-transit-gateway-attachments" in missing.what
    assert missing_inputs(topology, ALL_KINDS | {"TransitGatewayVpcAttachments"}) == ()


def test_parts_of_inputs_are_missed() -> None:
    topology = changed(changed(replace(sound(), cni_env={}), "prefix_lists", "pl-1", prefixes=None), "subnets", "subnet-1", az_id="")
    whats = [missing.what for missing in missing_inputs(topology, ALL_KINDS)]
    assert [what.partition(" (")[0] for what in whats] == ["the DaemonSet aws-node", "zone ids", "entries of prefix list pl-1"]

"""Drift against a snapshot: derived nodes are healthy, in every mode and printed as text; faults that only AWS's word on the node shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastroute.cni import CniSettings, NodePlan, derive_namespace, plan_node
from fastroute.cni.drift import Drift, Exclusion, KnownEni, KnownPod, MarkState, NodeFacts, compare, facts_of_node, veth_hashes
from fastroute.cni.drift.scene import Scene
from fastroute.cni.naming import veth_name
from fastroute.cni.node import Unmodelled
from fastroute.io.nodedump import node_from_dumps
from fastroute.netns.model import (
    TABLE_LOCAL,
    TABLE_MAIN,
    Known,
    Link,
    Namespace,
    NextHop,
    Prefix,
    Route,
    Rule,
    Scope,
    default_rules,
)
from fastroute.netns.text import route_text, rule_text
from fastroute.topology import (
    EndpointSlice,
    EniRole,
    RouteTable,
    SliceEndpoint,
    TargetKind,
    Topology,
    TopologyIndex,
    Vpc,
    VpcRoute,
)
from tests.unit.cni.test_derive import worked_node
from tests.zoo import REGION, Builder, subnet

JUDGED_ELSEWHERE = {"marks and source NAT"}


def v4(text: str) -> int:
    return int(ip_address(text))


def both(topology: Topology, set_to: CniSettings | None = None) -> tuple[NodeFacts, Namespace]:
    """What is known of the zoo's node, and the namespace that the plugin would leave."""
    index, set_to = TopologyIndex(topology), set_to or CniSettings()
    facts, plan = facts_of_node(index, topology.nodes["node"], set_to), plan_node(index, topology.nodes["node"], set_to)
    assert isinstance(facts, NodeFacts)
    assert isinstance(plan, NodePlan)
    return facts, derive_namespace(topology, plan)


def kinds(drift: Drift) -> list[str]:
    return [finding.kind for finding in drift.findings]


def printed(namespace: Namespace) -> Namespace:
    """The namespace as its node would print it, read again."""
    rules = "".join(f"{rule.priority}:\t{rule_text(rule)}\n" for rule in namespace.rules_by_family[4])
    routes = "".join(f"{route_text(route)}\n" for route in namespace.routes)
    sysctl = "".join(f"net.ipv4.conf.{name}.rp_filter = {row.rp_filter}\n" for name, row in namespace.sysctls.interfaces.items())
    return node_from_dumps(rule=rules, route=routes, sysctl=sysctl + "net.ipv4.ip_forward = 1\n").namespace


@st.composite
def nodes(draw: st.DrawFn) -> tuple[Topology, CniSettings]:
    """A node with up to five interfaces in up to three subnets, addresses alone or delegated, unmanaged ones among them; its settings."""
    b = Builder()
    b.add(Vpc("vpc-a", REGION, "1", ("10.0.0.0/16", "100.64.0.0/16")))
    subnets = ("10.0.0.0/19", "10.0.32.0/19", "100.64.0.0/19")
    b.add(*(subnet(f"subnet-{i}", cidr, i) for i, cidr in enumerate(subnets)))
    b.node("node", "i-1", "use1-az1")
    number = 0
    for device in range(draw(st.integers(1, 5))):
        which = draw(st.integers(0, 2)) if device else 0
        base = v4(subnets[which].partition("/")[0])
        own = str(ip_address(base + 16 + device))
        pods = draw(st.lists(st.integers(0, 15), unique=True, max_size=4))
        block = base + 1024 + 16 * device
        addrs = tuple(str(ip_address(block + n)) for n in pods)
        has_prefix = draw(st.booleans())
        is_unmanaged = device > 0 and draw(st.integers(0, 4)) == 0
        tags = {"node.k8s.amazonaws.com/no_manage": "true"} if is_unmanaged else None
        held = (own,) if has_prefix else (own, *addrs)
        prefixes = (f"{ip_address(block)}/28",) if has_prefix else ()
        b.eni(f"eni-{device}", f"subnet-{which}", held, instance="i-1", device=device, prefixes=prefixes, tags=tags)
        for addr in addrs if not is_unmanaged else ():
            if draw(st.integers(0, 3)):  # the others are warm
                b.pod(f"web-{number}", "node", addr)
                number += 1
    set_to = CniSettings(
        external_snat=draw(st.booleans()),
        node_port_support=draw(st.booleans()),
        external_service_cidrs=draw(st.sampled_from(((), ("192.0.2.0/24",), ("192.0.2.0/24", "198.51.100.0/24")))),
        connmark=draw(st.sampled_from((0x80, 0x400))),
        veth_prefix=draw(st.sampled_from(("eni", "abc"))),
    )
    return b.t, set_to


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(nodes())
def test_derived_nodes_are_healthy_as_rows_and_as_text(case: tuple[Topology, CniSettings]) -> None:
    facts, namespace = both(*case)
    for seen in (namespace, printed(namespace)):
        drift = compare(facts, seen)
        assert drift.findings == ()
        assert {each.what for each in drift.unjudged} == JUDGED_ELSEWHERE


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(nodes(), st.data())
def test_each_rule_and_route_of_the_plugin_is_missed(case: tuple[Topology, CniSettings], data: st.DataObject) -> None:
    """Take any one row of the plugin away: there is a finding, and without knowledge of the node there is no invented one before."""
    facts, namespace = both(*case)
    rules = [rule for rule in namespace.rules if rule.family == 4 and rule.priority not in (0, 32766, 32767)]
    routes = [route for route in namespace.routes if route.table_id != TABLE_LOCAL and route.protocol != "kernel"]
    gone = data.draw(st.sampled_from([*rules, *routes]))
    left = replace(
        namespace,
        rules=tuple(rule for rule in namespace.rules if rule is not gone),
        routes=tuple(route for route in namespace.routes if route is not gone),
    )
    found = compare(facts, left).findings
    assert found, gone
    assert len({finding.subject for finding in found}) == 1
    unknowing = NodeFacts()
    assert compare(unknowing, namespace).findings == ()


def with_rules(*rules: Rule) -> Callable[[Namespace], Namespace]:
    return lambda namespace: replace(namespace, rules=(*namespace.rules, *rules))


def with_routes(*routes: Route) -> Callable[[Namespace], Namespace]:
    return lambda namespace: replace(namespace, routes=(*namespace.routes, *routes))


def without_address(namespace: Namespace) -> Namespace:
    """DHCP's client took 10.0.0.77 away from ens6."""
    return replace(
        namespace,
        addrs=tuple(addr for addr in namespace.addrs if addr.addr != v4("10.0.0.77")),
        routes=tuple(route for route in namespace.routes if route.prefix != Prefix(v4("10.0.0.77"), 32)),
    )


def without_device(namespace: Namespace) -> Namespace:
    """The ENI of ens6 is detached: its routes and its address went with it, the rules stay."""
    left = without_address(namespace)
    routes = tuple(route for route in left.routes if route.next_hops[0].out_interface != "ens6")
    return replace(left, routes=routes, links=(Link("lo"), Link("ens5", mac="06:00:00:00:00:00")))


STRICT = (Rule(10, in_interface="vlan.eth.3", table_id=103), Rule(10, in_interface="vlanb358dab4fa1", table_id=103))
BRANCH = (
    Route(103, 4, Prefix(0, 0), next_hops=(NextHop("vlan.eth.3", v4("10.0.0.1"), 4),)),
    Route(103, 4, Prefix(v4("10.0.0.1"), 32), next_hops=(NextHop("vlan.eth.3"),), scope=Scope.LINK),
    Route(103, 4, Prefix(v4("10.0.7.7"), 32), next_hops=(NextHop("vlanb358dab4fa1"),), scope=Scope.LINK),
)
DOCKER = Route(TABLE_MAIN, 4, Prefix(v4("172.17.0.0"), 16), next_hops=(NextHop("docker0"),), scope=Scope.LINK, protocol="kernel")

FAULTS: dict[str, tuple[Callable[[Namespace], Namespace], list[str]]] = {
    "local at 0 and at 20 with branch pods": (
        lambda n: with_routes(*BRANCH)(with_rules(*STRICT, Rule(20, table_id=TABLE_LOCAL))(n)),
        ["extra-local-rule"],
    ),
    "address gone from the device": (without_address, ["eni-without-address"]),
    "device gone": (without_device, ["eni-without-device"]),
    "Docker's bridge over a peer's range": (with_routes(DOCKER), ["swallowed-range"]),
}
KINDS_OF_OTHER_TESTS = {"extra-mark-exclusion", "pods-behind-internet-gateway", "external-endpoint"}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_that_a_snapshot_shows(fault: str) -> None:
    topology = worked_node()
    for i in range(2):
        topology.enis[f"eni-{i}"] = replace(topology.enis[f"eni-{i}"], mac=f"06:00:00:00:00:0{i}")
    routes = (VpcRoute("172.16.0.0/12", TargetKind.PEERING, "pcx-1"),)
    topology.route_tables["rtb-1"] = RouteTable("rtb-1", "vpc-a", REGION, True, (), (), routes)
    facts, namespace = both(topology)
    break_it, expected = FAULTS[fault]
    namespace = replace(namespace, links=tuple(replace(link, mac="") for link in namespace.links))
    assert kinds(compare(facts, namespace)) == []
    assert kinds(compare(facts, break_it(namespace))) == expected


VPC = Exclusion(Prefix(v4("10.0.0.0"), 16))
HEALTHY_MARKS = MarkState(
    complete=frozenset({"nat", "mangle", "filter"}),
    knows_nft=True,
    outbound="nftables",
    outbound_interfaces="eni+",
    outbound_exclusions=(VPC,),
    restores_first=True,
    mark=0x80,
    restores_from=frozenset({"eni+", "vlan+"}),
    node_port_interface="ens5",
    snat_addr=v4("10.0.0.10"),
    snat_exclusions=(VPC,),
    num_snat_jumps=1,
    num_snat_rules=1,
)
OFFICE = Exclusion(Prefix(v4("172.16.0.0"), 12), line=9)


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        (HEALTHY_MARKS, []),
        (replace(HEALTHY_MARKS, outbound_exclusions=(VPC, OFFICE)), ["extra-mark-exclusion"]),
        (replace(HEALTHY_MARKS, snat_exclusions=(VPC, OFFICE)), ["extra-snat-exclusion"]),
        (replace(HEALTHY_MARKS, outbound_exclusions=(), snat_exclusions=()), ["missing-snat-exclusion", "missing-mark-exclusion"]),
        (replace(HEALTHY_MARKS, outbound=""), ["missing-outbound-mark"]),
        (replace(HEALTHY_MARKS, outbound="", knows_nft=False), []),
        (replace(HEALTHY_MARKS, num_snat_rules=0, complete=frozenset()), []),
    ],
)
def test_ranges_of_both_chains_against_the_vpc(marks: MarkState, expected: list[str]) -> None:
    assert kinds(compare(*both(worked_node()), marks)) == expected


def test_external_snat_behind_an_internet_gateway() -> None:
    topology = worked_node()
    routes = (VpcRoute("0.0.0.0/0", TargetKind.INTERNET_GATEWAY, "igw-1"),)
    topology.route_tables["rtb-1"] = RouteTable("rtb-1", "vpc-a", REGION, True, (), (), routes)
    assert kinds(compare(*both(topology, CniSettings(external_snat=True)))) == ["pods-behind-internet-gateway"] * 2
    assert kinds(compare(*both(topology))) == []


def test_a_service_whose_endpoint_is_outside_the_vpc() -> None:
    b = Builder()
    b.t.__dict__.update(worked_node().__dict__)
    b.t.__dict__["endpoint_slices"] = (EndpointSlice("default", "db-x", "db", (), (SliceEndpoint(("192.0.2.5",), True),)),)
    assert [(f.kind, f.subject) for f in compare(*both(b.t)).findings] == [("external-endpoint", "default/db")]
    assert kinds(compare(*both(b.t, CniSettings(external_service_cidrs=("192.0.2.0/24",))))) == []
    assert kinds(compare(*both(b.t, CniSettings(external_snat=True)))) == []


def branch_node() -> tuple[NodeFacts, Namespace]:
    """The worked node with the branch pod default/web-7c5d9f8b6-abcde, strict mode on."""
    b = Builder()
    b.t.__dict__.update(worked_node().__dict__)
    b.eni("eni-branch", "subnet-a", ("10.0.7.7",), role=EniRole.BRANCH)
    b.pod("web-7c5d9f8b6-abcde", "node", "10.0.7.7", branch_eni="eni-branch")
    return both(b.t, CniSettings(pod_eni=True))


def strict(namespace: Namespace) -> Namespace:
    rules = (*STRICT, Rule(20, table_id=TABLE_LOCAL), *(rule for rule in namespace.rules if rule.priority or rule.family == 6))
    return replace(namespace, rules=rules, routes=(*namespace.routes, *BRANCH))


def standard(namespace: Namespace) -> Namespace:
    """A branch pod born in standard mode on a node that strict mode had before."""
    to_pod, from_pod = Rule(512, dst_prefix=Prefix(v4("10.0.7.7"), 32)), Rule(1536, src_prefix=Prefix(v4("10.0.7.7"), 32), table_id=103)
    rules = (Rule(20, table_id=TABLE_LOCAL), to_pod, from_pod, *(rule for rule in namespace.rules if rule.priority or rule.family == 6))
    veth = Route(TABLE_MAIN, 4, Prefix(v4("10.0.7.7"), 32), next_hops=(NextHop("enib358dab4fa1"),), scope=Scope.LINK)
    return replace(namespace, rules=rules, routes=(*namespace.routes, *BRANCH[:2], veth))


@pytest.mark.parametrize("mode", [strict, standard])
def test_branch_pods_are_healthy_in_both_modes(mode: Callable[[Namespace], Namespace]) -> None:
    facts, namespace = branch_node()
    assert kinds(compare(facts, mode(namespace))) == []


def test_a_node_that_left_strict_mode_keeps_its_rule_20_as_information() -> None:
    facts, namespace = branch_node()
    assert facts.settings is not None
    drift = compare(replace(facts, settings=replace(facts.settings, is_strict=False)), strict(namespace))
    assert [(finding.kind, finding.is_fault) for finding in drift.findings] == [("mixed-settings", False)]


@pytest.mark.parametrize(
    ("mode", "is_gone", "expected"),
    [
        (strict, lambda rule: rule.in_interface == "vlanb358dab4fa1", ["missing-branch-rule"]),
        (strict, lambda rule: rule.in_interface is not None, ["missing-branch-rule"]),
        (standard, lambda rule: rule.dst_prefix == Prefix(v4("10.0.7.7"), 32), ["missing-to-pod-rule"]),
        (standard, lambda rule: rule.src_prefix == Prefix(v4("10.0.7.7"), 32), ["missing-from-pod-rule"]),
    ],
)
def test_a_branch_pod_without_its_rules(
    mode: Callable[[Namespace], Namespace], is_gone: Callable[[Rule], bool], expected: list[str]
) -> None:
    facts, namespace = branch_node()
    seen = mode(namespace)
    left = replace(seen, rules=tuple(rule for rule in seen.rules if not is_gone(rule)))
    assert sorted(set(kinds(compare(facts, left)))) == expected


def test_an_ipv6_pod_has_its_rule_and_its_route() -> None:
    addr = int(ip_address("2600:1f13:aa:1::5"))
    eni = KnownEni("eni-0", TABLE_MAIN, is_primary=True)
    facts = NodeFacts(
        family=6,
        enis=(eni,),
        pods=(KnownPod("default/web-0", addr, eni, hashes=veth_hashes("default/web-0")),),
        settings=CniSettings(ipv6=True),
    )
    host = Prefix(addr, 128)
    rules = (*default_rules(4), *default_rules(6), Rule(512, 6, dst_prefix=host), Rule(1024, 6, fwmark=0x80, fwmask=0x80))
    gateway = int(ip_address("fe80::1"))
    routes = (
        Route(TABLE_MAIN, 6, Prefix(0, 0), next_hops=(NextHop("ens5", gateway, 6),), metric=512, protocol="ra"),
        Route(TABLE_MAIN, 6, host, next_hops=(NextHop(veth_name("default", "web-0", "eni")),), metric=1024),
        Route(TABLE_LOCAL, 6, Prefix(1, 128), next_hops=(NextHop("lo"),), protocol="kernel"),
    )
    namespace = Namespace(rules=rules, routes=routes)
    assert kinds(compare(facts, namespace)) == []
    left = replace(namespace, rules=tuple(rule for rule in rules if rule.priority != 512))
    assert kinds(compare(facts, left)) == ["missing-to-pod-rule"]
    unknown = replace(left, known=Known(rules=frozenset({4})))
    assert kinds(compare(facts, unknown)) == []
    assert "rules that are missing" in {each.what for each in compare(facts, unknown).unjudged}


def test_a_further_cards_table_is_read_not_computed() -> None:
    """An older plugin, or the image, chose another number for the interface of card 1: the rule from its address says which."""
    topology = worked_node()
    topology.enis["eni-1"] = replace(topology.enis["eni-1"], network_card=1)
    facts, namespace = both(topology, CniSettings(multi_nic=True))
    assert kinds(compare(facts, namespace)) == []
    renumbered = replace(
        namespace,
        rules=tuple(replace(rule, table_id=17) if rule.table_id == 10101 else rule for rule in namespace.rules),
        routes=tuple(replace(route, table_id=17) if route.table_id == 10101 else route for route in namespace.routes),
    )
    assert kinds(compare(facts, renumbered)) == []


def test_unmanaged_interfaces_keep_what_the_system_did() -> None:
    topology = worked_node()
    topology.enis["eni-2"] = replace(
        topology.enis["eni-1"],
        id="eni-2",
        device_number=2,
        addresses=(replace(topology.enis["eni-1"].addresses[0], addr="10.0.0.99"),),
        tags={"node.k8s.amazonaws.com/no_manage": "true"},
    )
    facts, namespace = both(topology)
    own = Prefix(v4("10.0.0.99"), 32)
    extra = (
        Route(TABLE_LOCAL, 4, own, next_hops=(NextHop("ens7"),), prefsrc=own.addr, scope=Scope.HOST, protocol="kernel"),
        Route(TABLE_MAIN, 4, Prefix(0, 0), next_hops=(NextHop("ens7", v4("10.0.0.1"), 4),), metric=1024, protocol="dhcp"),
        Route(TABLE_MAIN, 4, Prefix(v4("10.0.0.0"), 19), next_hops=(NextHop("ens7"),), scope=Scope.LINK, metric=1024, protocol="kernel"),
    )
    extra = (replace(extra[0], type=namespace.kernel_local_routes[0].type), *extra[1:])
    assert kinds(compare(facts, with_routes(*extra)(namespace))) == []
    preferred = (extra[0], replace(extra[1], metric=10), extra[2])
    assert kinds(compare(facts, with_routes(*preferred)(namespace))) == ["extra-default"]


@pytest.mark.parametrize("labels", [{"eks.amazonaws.com/compute-type": "fargate"}, {"eks.amazonaws.com/compute-type": "auto"}])
def test_nodes_without_the_plugin_are_not_judged_by_a_snapshot(labels: dict[str, str]) -> None:
    topology = worked_node()
    topology.nodes["node"].labels.update(labels)
    assert isinstance(facts_of_node(TopologyIndex(topology), topology.nodes["node"], None), Unmodelled)


def test_the_primary_is_found_by_mac_whatever_it_is_called() -> None:
    facts, namespace = both(worked_node())
    eni = replace(next(eni for eni in facts.enis or () if eni.is_primary), mac="06:00:00:00:00:01", addr=None)
    scene = Scene(replace(facts, enis=(eni,)), replace(namespace, links=(Link("enp39s0", mac="06:00:00:00:00:01"),)))
    assert scene.primary_device == "enp39s0"

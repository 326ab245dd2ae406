"""The plain walk on a hand-written EKS node. Expected values: `ip route get` measured on such a node, and the documented kernel."""

from dataclasses import replace

import pytest

from fastroute.netns.decision import Reason, Verdict
from fastroute.netns.model import (
    TABLE_LOCAL,
    TABLE_MAIN,
    InterfaceSysctls,
    Known,
    NextHop,
    Prefix,
    Route,
    RouteType,
    Rule,
    RuleAction,
    Sysctls,
)
from fastroute.netns.walk import route
from tests.unit.netns import eks_node as nodes
from tests.unit.netns.eks_node import EKS_NODE, ENI_2, GATEWAY, NODE, POD_A, POD_B, VETH_A, VETH_B, addr

INTERNET = addr("8.8.8.8")


@pytest.mark.parametrize(
    ("dst", "mark", "device", "table", "priority", "gateway"),
    [
        ("8.8.8.8", 0, "ens6", 2, 1536, GATEWAY),
        ("8.8.8.8", 0x80, "ens5", TABLE_MAIN, 1024, GATEWAY),
        ("10.0.9.9", 0, "ens6", 2, 1536, GATEWAY),
        ("10.0.9.9", 0x80, "ens5", TABLE_MAIN, 1024, None),
        ("10.0.5.5", 0, VETH_A, TABLE_MAIN, 512, None),
        ("169.254.1.1", 0, "ens6", 2, 1536, GATEWAY),
        ("240.0.0.1", 0, "ens6", 2, 1536, GATEWAY),
    ],
)
def test_pod_on_a_secondary_eni(dst, mark, device, table, priority, gateway):
    decision = route(EKS_NODE, addr(dst), POD_B, in_interface=VETH_B, fwmark=mark)
    assert (decision.verdict, decision.device, decision.table_id, decision.rule_priority, decision.gateway) == (
        Verdict.FORWARD,
        device,
        table,
        priority,
        gateway,
    )


def test_pod_on_the_primary_eni_falls_through_to_main():
    decision = route(EKS_NODE, INTERNET, POD_A, in_interface=VETH_A)
    assert (decision.device, decision.table_id, decision.rule_priority) == ("ens5", TABLE_MAIN, 32766)
    assert [tried.rule.priority for tried in decision.tried if not tried.is_reverse] == [0, 512, 512, 1024, 1536, 32765, 32766]


def test_local_delivery_and_output():
    assert route(EKS_NODE, NODE, POD_B, in_interface=VETH_B).verdict is Verdict.LOCAL
    out = route(EKS_NODE, INTERNET)
    assert (out.verdict, out.device, out.prefsrc, out.rule_priority) == (Verdict.OUTPUT, "ens5", NODE, 32766)
    bound = route(EKS_NODE, INTERNET, ENI_2)
    assert (bound.device, bound.rule_priority, bound.prefsrc) == ("ens6", 32765, None)
    loop = route(EKS_NODE, NODE)
    assert (loop.verdict, loop.device, loop.prefsrc) == (Verdict.LOCAL, "lo", NODE)


def test_source_of_a_route_without_src_is_the_interfaces_own():
    assert route(EKS_NODE, POD_A).prefsrc == NODE  # the veth has none: the first address of another interface, not lo's
    node = replace(EKS_NODE, rules=(*EKS_NODE.rules, Rule(5, table_id=2)))
    assert route(node, INTERNET).prefsrc == ENI_2


def test_lost_default_of_an_eni_table_falls_through_to_main():
    node = replace(EKS_NODE, routes=EKS_NODE.routes[1:])
    decision = route(node, INTERNET, POD_B, in_interface=VETH_B)
    assert (decision.device, decision.rule_priority) == ("ens5", 32766)


@pytest.mark.parametrize(
    ("kind", "error", "reason"),
    [
        (RouteType.BLACKHOLE, "EINVAL", Reason.BLACKHOLE_ROUTE),
        (RouteType.UNREACHABLE, "EHOSTUNREACH", Reason.UNREACHABLE_ROUTE),
        (RouteType.PROHIBIT, "EACCES", Reason.PROHIBIT_ROUTE),
    ],
)
def test_error_routes_end_the_walk_even_when_suppressed(kind, error, reason):
    node = replace(
        EKS_NODE,
        rules=(*EKS_NODE.rules, Rule(600, table_id=7, suppress_prefix_len=32)),
        routes=(*EKS_NODE.routes, Route(7, 4, nodes.prefix("8.0.0.0/8"), kind)),
    )
    decision = route(node, INTERNET, POD_B, in_interface=VETH_B)
    assert (decision.verdict, decision.error, decision.reason, decision.rule_priority) == (Verdict.ERROR, error, reason, 600)


def test_throw_ends_the_table_not_the_walk():
    node = replace(EKS_NODE, routes=(*EKS_NODE.routes, Route(2, 4, nodes.prefix("8.0.0.0/8"), RouteType.THROW)))
    assert route(node, INTERNET, POD_B, in_interface=VETH_B).device == "ens5"


@pytest.mark.parametrize(
    ("action", "error", "reason"),
    [
        (RuleAction.BLACKHOLE, "EINVAL", Reason.BLACKHOLE_RULE),
        (RuleAction.UNREACHABLE, "ENETUNREACH", Reason.UNREACHABLE_RULE),
        (RuleAction.PROHIBIT, "EACCES", Reason.PROHIBIT_RULE),
    ],
)
def test_error_rules(action, error, reason):
    node = replace(EKS_NODE, rules=(*EKS_NODE.rules, Rule(600, action=action)))
    decision = route(node, INTERNET, POD_B, in_interface=VETH_B)
    assert (decision.error, decision.reason) == (error, reason)


def test_goto_and_nop_and_a_target_that_is_not_there():
    jump = Rule(600, action=RuleAction.GOTO, goto_priority=32766)
    assert route(replace(EKS_NODE, rules=(*EKS_NODE.rules, jump)), INTERNET, POD_B, in_interface=VETH_B).rule_priority == 32766
    backwards = replace(jump, goto_priority=512)
    for idle in (replace(jump, goto_priority=32000), backwards, replace(jump, goto_priority=600), Rule(600, action=RuleAction.NOP)):
        assert route(replace(EKS_NODE, rules=(*EKS_NODE.rules, idle)), INTERNET, POD_B, in_interface=VETH_B).rule_priority == 1536


def test_inverted_rule_turns_the_whole_selector():
    inverted = Rule(600, src_prefix=Prefix(POD_B, 32), dst_prefix=nodes.prefix("8.0.0.0/8"), inverted=True, table_id=TABLE_MAIN)
    node = replace(EKS_NODE, rules=(*EKS_NODE.rules, inverted))
    assert route(node, INTERNET, POD_B, in_interface=VETH_B).rule_priority == 1536
    assert route(node, addr("9.9.9.9"), POD_B, in_interface=VETH_B).rule_priority == 600


def test_equal_priorities_in_order_and_metric_and_first_of_equal_routes():
    twice = (Rule(600, src_prefix=Prefix(POD_B, 32), table_id=8), Rule(600, src_prefix=Prefix(POD_B, 32), table_id=9))
    routes = (
        nodes.route("default", "ens5", table_id=8, metric=20),
        nodes.route("default", "ens6", table_id=8, metric=10),
        nodes.route("default", VETH_A, table_id=8, metric=10),
        nodes.route("default", "ens5", table_id=9),
    )
    node = replace(EKS_NODE, rules=EKS_NODE.rules + twice, routes=EKS_NODE.routes + routes)
    decision = route(node, INTERNET, POD_B, in_interface=VETH_B)
    assert (decision.table_id, decision.device) == (8, "ens6")


def test_multipath_shows_all_and_chooses_one_by_documented_hash():
    hops = (NextHop("ens5", GATEWAY, 4, weight=3), NextHop("ens6", GATEWAY, 4, weight=1))
    node = replace(
        EKS_NODE, rules=(*EKS_NODE.rules, Rule(600, table_id=9)), routes=(*EKS_NODE.routes, Route(9, 4, Prefix(0, 0), next_hops=hops))
    )
    chosen = [route(node, INTERNET + i, POD_B, in_interface=VETH_B) for i in range(4000)]
    assert chosen[0].route is not None
    assert chosen[0].route.next_hops == hops
    share = sum(decision.device == "ens5" for decision in chosen) / 4000
    assert 0.7 < share < 0.8
    assert [d.device for d in chosen] == [route(node, INTERNET + i, POD_B, in_interface=VETH_B).device for i in range(4000)]


def test_strict_rp_filter_on_the_primary_drops_what_the_secondary_would_answer():
    client = addr("203.0.113.5")
    assert route(EKS_NODE, POD_B, client, in_interface="ens5").verdict is Verdict.FORWARD  # loose, as the plugin sets it
    sysctls = Sysctls(True, None, {**EKS_NODE.sysctls.interfaces, "ens5": InterfaceSysctls(rp_filter=1)})
    node = replace(EKS_NODE, sysctls=sysctls)
    decision = route(node, POD_B, client, in_interface="ens5")
    assert (decision.verdict, decision.error, decision.reason) == (Verdict.ERROR, "EINVAL", Reason.RP_FILTER)
    assert route(node, POD_A, client, in_interface="ens5").verdict is Verdict.FORWARD
    assert route(node, POD_B, client, in_interface="ens6").verdict is Verdict.FORWARD


def test_loose_is_strict_on_a_device_without_an_address():
    everywhere = Sysctls(True, None, {"all": InterfaceSysctls(rp_filter=2), "default": InterfaceSysctls(rp_filter=0)})
    node = replace(EKS_NODE, sysctls=everywhere)
    assert route(node, INTERNET, POD_A, in_interface=VETH_A).verdict is Verdict.FORWARD
    assert route(node, INTERNET, POD_A, in_interface=VETH_B).reason is Reason.RP_FILTER


def test_martians_and_forwarding():
    assert route(EKS_NODE, INTERNET, NODE, in_interface=VETH_B).reason is Reason.MARTIAN_SOURCE
    assert route(EKS_NODE, INTERNET, addr("127.0.0.1"), in_interface=VETH_B).reason is Reason.MARTIAN_SOURCE
    assert route(EKS_NODE, INTERNET, addr("224.0.0.5"), in_interface=VETH_B).reason is Reason.MARTIAN_SOURCE
    assert route(EKS_NODE, INTERNET, 0, in_interface=VETH_B).reason is Reason.MARTIAN_SOURCE
    assert route(EKS_NODE, addr("127.0.0.1"), POD_B, in_interface=VETH_B).reason is Reason.MARTIAN_DESTINATION
    off = replace(EKS_NODE, sysctls=Sysctls(False, None, EKS_NODE.sysctls.interfaces))
    decision = route(off, INTERNET, POD_B, in_interface=VETH_B)
    assert (decision.error, decision.reason) == ("EHOSTUNREACH", Reason.FORWARDING_OFF)
    assert route(off, NODE, POD_B, in_interface=VETH_B).verdict is Verdict.LOCAL


def test_strict_branch_pod_is_reached_by_the_nodes_own_address_over_the_vlan():
    pod = addr("10.0.7.7")
    rules = (
        Rule(10, in_interface="vlan.eth.3", table_id=103),
        Rule(10, in_interface="vlanb358dab4fa1", table_id=103),
        Rule(20, table_id=TABLE_LOCAL),
        *EKS_NODE.rules[1:],
    )
    routes = (
        nodes.route("default", "vlan.eth.3", table_id=103, via=GATEWAY),
        nodes.route("10.0.7.7/32", "vlanb358dab4fa1", table_id=103),
    )
    links = tuple(nodes.Link(name) for name in ("vlan.eth.3", "vlanb358dab4fa1"))
    node = replace(EKS_NODE, rules=rules, routes=EKS_NODE.routes + routes, links=EKS_NODE.links + links)
    decision = route(node, pod, NODE, in_interface="vlan.eth.3")
    assert (decision.verdict, decision.device, decision.rule_priority) == (Verdict.FORWARD, "vlanb358dab4fa1", 10)
    out = route(node, NODE, pod, in_interface="vlanb358dab4fa1")
    assert (out.device, out.table_id) == ("vlan.eth.3", 103)


def test_broadcasts_and_unknown_interfaces():
    assert route(EKS_NODE, addr("10.0.31.255"), addr("10.0.0.20"), in_interface="ens5").verdict is Verdict.BROADCAST
    assert route(EKS_NODE, addr("255.255.255.255"), 0, in_interface="ens5").verdict is Verdict.BROADCAST
    assert route(EKS_NODE, INTERNET, POD_B, in_interface="eni-gone").error == "ENODEV"
    assert route(EKS_NODE, INTERNET, addr("9.9.9.9")).reason is Reason.SOURCE_NOT_LOCAL


def test_untouched_rules_make_local_and_main_one_table():
    plain = replace(EKS_NODE, rules=nodes.default_rules(4), routes=(*EKS_NODE.routes, nodes.route("127.0.0.0/24", "ens6")))
    assert route(plain, addr("127.0.0.9")).device == "ens6"  # the longer prefix, although it is main's
    custom = replace(plain, rules=(*plain.rules, Rule(600, table_id=9)))
    assert route(custom, addr("127.0.0.9")).verdict is Verdict.LOCAL


@pytest.mark.parametrize(
    ("known", "reason", "missing"),
    [
        (Known(rules=frozenset({6})), Reason.MISSING_RULES, "ip rule"),
        (Known(tables={4: frozenset({TABLE_MAIN, TABLE_LOCAL}), 6: None}), Reason.MISSING_TABLE, "ip route show table 2"),
    ],
)
def test_a_partial_dump_names_what_it_lacks_where_it_matters(known, reason, missing):
    node = replace(EKS_NODE, known=known)
    decision = route(node, INTERNET, POD_B, in_interface=VETH_B)
    assert (decision.verdict, decision.reason, decision.missing) == (Verdict.UNDECIDED, reason, missing)
    if reason is Reason.MISSING_TABLE:
        assert route(node, POD_A, POD_B, in_interface=VETH_B).verdict is Verdict.FORWARD


def test_an_unknown_rp_filter_matters_only_where_paths_are_asymmetric():
    node = replace(EKS_NODE, sysctls=Sysctls())
    assert route(node, INTERNET, POD_B, in_interface=VETH_B).verdict is Verdict.FORWARD
    decision = route(node, POD_B, INTERNET, in_interface="ens5")
    assert (decision.verdict, decision.missing) == (Verdict.UNDECIDED, "sysctl net.ipv4.conf.ens5.rp_filter")


def test_an_unmodelled_selector_stops_only_packets_that_could_meet_it():
    rule = Rule(600, dst_prefix=nodes.prefix("8.0.0.0/8"), unsupported="tun_id")
    node = replace(EKS_NODE, rules=(*EKS_NODE.rules, rule))
    assert route(node, INTERNET, POD_B, in_interface=VETH_B).reason is Reason.UNSUPPORTED_RULE
    assert route(node, addr("9.9.9.9"), POD_B, in_interface=VETH_B).verdict is Verdict.FORWARD


def test_an_unmodelled_selector_of_a_rule_that_does_nothing_stops_nobody():
    rule = Rule(600, action=RuleAction.NOP, unsupported="tun_id")
    node = replace(EKS_NODE, rules=(*EKS_NODE.rules, rule))
    found = route(node, INTERNET, POD_B, in_interface=VETH_B)
    assert (found.verdict, found.rule_priority) == (Verdict.FORWARD, 1536)


def test_detached_interface_matches_nothing_and_its_inversion_everything():
    gone = Rule(600, in_interface="vlan.eth.9", iif_detached=True, table_id=TABLE_MAIN)
    assert route(replace(EKS_NODE, rules=(*EKS_NODE.rules, gone)), INTERNET, POD_B, in_interface=VETH_B).rule_priority == 1536
    turned = replace(gone, inverted=True)
    assert route(replace(EKS_NODE, rules=(*EKS_NODE.rules, turned)), INTERNET, POD_B, in_interface=VETH_B).rule_priority == 600

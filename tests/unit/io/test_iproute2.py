"""`ip` output as operators have it. Expected rows are written out by hand from the text; text and JSON of one row must agree."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from fastroute.io.dumps import LineKind
from fastroute.io.iproute2 import read_ip
from fastroute.netns.model import ANY, NextHop, Prefix, Route, RouteType, Rule, RuleAction, Scope


def addr(text: str) -> int:
    return int(ip_address(text))


def prefix(text: str) -> Prefix:
    network = ip_network(text)
    return Prefix(int(network.network_address), network.prefixlen)


def only_rule(text: str, family: int = 4) -> Rule:
    dump = read_ip(text + "\n", family=family)
    assert dump.account.num_parsed == dump.account.num_lines
    (rule,) = dump.rules
    return replace(rule, source_line=-1)


def only_route(text: str, **hints: int) -> Route:
    dump = read_ip(text + "\n", **hints)
    assert dump.account.num_parsed == dump.account.num_lines
    (route,) = dump.routes
    return replace(route, source_line=-1)


@pytest.mark.parametrize(
    ("text", "json", "rule"),
    [
        ("0:\tfrom all lookup local ", '{"priority":0,"src":"all","table":"local"}', Rule(0, table_id=255)),
        (
            "512:\tfrom all to 10.0.5.5 lookup main",
            '{"priority":512,"src":"all","dst":"10.0.5.5","table":"main"}',
            Rule(512, dst_prefix=prefix("10.0.5.5/32")),
        ),
        (
            "1024:\tfrom all fwmark 0x80/0x80 lookup main",
            '{"priority":1024,"src":"all","fwmark":"0x80","fwmask":"0x80","table":"main"}',
            Rule(1024, fwmark=0x80, fwmask=0x80),
        ),
        (
            "1025: not from all to 10.0.0.0/16 fwmark 0x1 lookup 4",
            '{"priority":1025,"not":null,"src":"all","dst":"10.0.0.0","dstlen":16,"fwmark":"0x1","table":"4"}',
            Rule(1025, dst_prefix=prefix("10.0.0.0/16"), fwmark=1, fwmask=2**32 - 1, inverted=True, table_id=4),
        ),
        (
            "10:\tfrom all iif vlan.eth.3 [detached] lookup 103",
            '{"priority":10,"src":"all","iif":"vlan.eth.3","iif_detached":null,"table":"103"}',
            Rule(10, in_interface="vlan.eth.3", iif_detached=True, table_id=103),
        ),
        (
            "11:\tfrom all iif lo oif eth9 [detached] uidrange 0-99 goto 100",
            '{"priority":11,"src":"all","iif":"lo","oif":"eth9","oif_detached":null,"uid_start":0,"uid_end":99,"goto":100}',
            Rule(
                11, in_interface="lo", out_interface="eth9", oif_detached=True, uid_range=(0, 99), action=RuleAction.GOTO, goto_priority=100
            ),
        ),
        (
            "12:\tfrom 10.0.0.0/8 tos 0x10 ipproto tcp sport 1000-2000 dport 443 lookup main suppress_prefixlength 0",
            '{"priority":12,"src":"10.0.0.0","srclen":8,"tos":"0x10","ipproto":"tcp","sport_start":1000,"sport_end":2000,'
            '"dport":443,"table":"main","suppress_prefixlen":0}',
            Rule(12, src_prefix=prefix("10.0.0.0/8"), tos=16, ipproto=6, sport=(1000, 2000), dport=(443, 443), suppress_prefix_len=0),
        ),
        (
            "13:\tfrom all prohibit",
            '{"priority":13,"src":"all","action":"prohibit"}',
            Rule(13, action=RuleAction.PROHIBIT),
        ),
        (
            "14:\tfrom all nop proto static",
            '{"priority":14,"src":"all","nop":null,"protocol":"static"}',
            Rule(14, action=RuleAction.NOP, protocol="static"),
        ),
        (
            "1000:\tfrom all lookup [l3mdev-table]",
            '{"priority":1000,"src":"all","l3mdev":null}',
            Rule(1000, unsupported="l3mdev"),
        ),
    ],
)
def test_rules_in_text_and_json(text, json, rule):
    assert only_rule(text) == rule
    assert only_rule(f"[{json}]") == rule


@pytest.mark.parametrize(
    ("text", "json", "route"),
    [
        (
            "default via 10.0.0.1 dev ens6 table 2 ",
            '{"dst":"default","gateway":"10.0.0.1","dev":"ens6","table":"2","flags":[]}',
            Route(2, 4, ANY, next_hops=(NextHop("ens6", addr("10.0.0.1"), 4),)),
        ),
        (
            "10.0.0.0/19 dev ens5 proto kernel scope link src 10.0.0.10 metric 512 linkdown",
            '{"dst":"10.0.0.0/19","dev":"ens5","protocol":"kernel","scope":"link","prefsrc":"10.0.0.10","metric":512,"flags":["linkdown"]}',
            Route(
                254, 4, prefix("10.0.0.0/19"), next_hops=(NextHop("ens5", is_linkdown=True),), prefsrc=addr("10.0.0.10"), scope=Scope.LINK,
                metric=512, protocol="kernel",
            ),
        ),
        (
            "unreachable default metric 4278198272",
            '{"type":"unreachable","dst":"default","metric":4278198272,"flags":[]}',
            Route(254, 4, ANY, RouteType.UNREACHABLE, metric=4278198272),
        ),
        (
            "blackhole 10.9.0.0/16 table 7 proto bird",
            '{"type":"blackhole","dst":"10.9.0.0/16","table":"7","protocol":"bird","flags":[]}',
            Route(7, 4, prefix("10.9.0.0/16"), RouteType.BLACKHOLE, protocol="bird"),
        ),
        (
            "throw 10.8.0.0/24 tos lowdelay",
            '{"type":"throw","dst":"10.8.0.0/24","tos":"0x10","flags":[]}',
            Route(254, 4, prefix("10.8.0.0/24"), RouteType.THROW, tos=16),
        ),
        (
            "10.7.0.0/16 nhid 12 via inet6 fe80::1 dev eth0 onlink mtu 9001 advmss 8961",
            '{"dst":"10.7.0.0/16","nhid":12,"via":{"family":"inet6","host":"fe80::1"},"dev":"eth0","flags":["onlink"],"metrics":[{"mtu":9001}]}',
            Route(254, 4, prefix("10.7.0.0/16"), next_hops=(NextHop("eth0", addr("fe80::1"), 6, is_onlink=True),), nexthop_id=12),
        ),
        (
            "default via fe80::1 dev ens5 proto ra metric 1024 expires 1700sec hoplimit 255 pref medium",
            '{"dst":"default","gateway":"fe80::1","dev":"ens5","protocol":"ra","metric":1024,"expires":1700,"flags":[],"pref":"medium"}',
            Route(254, 6, ANY, next_hops=(NextHop("ens5", addr("fe80::1"), 6),), metric=1024, protocol="ra"),
        ),
        (
            "2001:db8::/64 from 2001:db8:1::/48 dev eth0 metric 1024 error 4294967283 pref high",
            '{"dst":"2001:db8::/64","from":"2001:db8:1::/48","dev":"eth0","metric":1024,"flags":[],"pref":"high"}',
            Route(254, 6, prefix("2001:db8::/64"), next_hops=(NextHop("eth0"),), src_prefix=prefix("2001:db8:1::/48"),
                  metric=1024, pref="high"),
        ),
    ],
)  # fmt: skip
def test_routes_in_text_and_json(text, json, route):
    assert only_route(text) == route
    assert only_route(f"[{json}]") == route


def test_multipath_over_lines_in_one_line_and_in_json():
    hops = (NextHop("eth0", addr("10.0.0.1"), 4, weight=3), NextHop("eth1", addr("10.0.1.1"), 4, is_dead=True, is_linkdown=True))
    expected = Route(254, 4, ANY, next_hops=hops, protocol="static")
    lines = "default proto static \n\tnexthop via 10.0.0.1 dev eth0 weight 3 \n\tnexthop via 10.0.1.1 dev eth1 weight 1 dead linkdown \n"
    one_line = "default proto static \\\tnexthop via 10.0.0.1 dev eth0 weight 3 \\\tnexthop via 10.0.1.1 dev eth1 weight 1 dead linkdown"
    json = (
        '[{"dst":"default","protocol":"static","flags":[],"nexthops":[{"gateway":"10.0.0.1","dev":"eth0","weight":3,"flags":[]},'
        '{"gateway":"10.0.1.1","dev":"eth1","weight":1,"flags":["dead","linkdown"]}]}]'
    )
    assert only_route(lines.rstrip("\n")) == expected
    assert only_route(one_line) == expected
    assert only_route(json) == expected
    six = "default metric 1024 \n\tnexthop via fe80::1 dev eth0 weight 1 \n\tnexthop via fe80::2 dev eth1 weight 1 "
    assert only_route(six).family == 6


def test_one_tables_rows_take_the_table_that_was_asked_for():
    assert only_route("default via 10.0.0.1 dev ens6", table_id=2).table_id == 2
    dump = read_ip("$ ip route show table 103\ndefault via 10.0.0.1 dev vlan.eth.3\n$ ip route\ndefault via 10.0.0.1 dev ens5\n")
    assert [(r.table_id, r.next_hops[0].out_interface) for r in dump.routes] == [(103, "vlan.eth.3"), (254, "ens5")]


def test_names_of_tables_agree_between_rules_and_routes():
    rules = read_ip("1536:\tfrom 10.0.6.6 lookup eni_2\n")
    routes = read_ip("default via 10.0.0.1 dev ens6 table eni_2\n")
    assert rules.rules[0].table_id == routes.routes[0].table_id
    assert dict(rules.table_names) == {rules.rules[0].table_id: "eni_2"}
    assert read_ip("1536:\tfrom 10.0.6.6 lookup eni_2\n", table_names={"eni_2": 2}).rules[0].table_id == 2


def test_a_paste_of_several_commands_with_prompts_and_blanks():
    text = """[root@ip-10-0-0-10 ~]# ip rule
0:      from all lookup local
32766:  from all lookup main
32767:  from all lookup default
[root@ip-10-0-0-10 ~]# ip -6 rule

0:      from all lookup local
32766:  from all lookup main
$ ip route get 10.0.5.5
10.0.5.5 dev enicc21c2d7785 src 10.0.0.10 uid 0
    cache
# ip addr show ens5
2: ens5: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 9001 qdisc mq state UP group default qlen 1000
    link/ether 0a:1b:2c:3d:4e:5f brd ff:ff:ff:ff:ff:ff
    altname enp0s5
    inet 10.0.0.10/19 brd 10.0.31.255 scope global dynamic ens5
       valid_lft 2900sec preferred_lft 2900sec
    inet6 fe80::81b:2cff:fe3d:4e5f/64 scope link
       valid_lft forever preferred_lft forever
"""
    dump = read_ip(text)
    assert [(r.family, r.priority) for r in dump.rules] == [(4, 0), (4, 32766), (4, 32767), (6, 0), (6, 32766)]
    assert [route.prefix for route in dump.routes] == [prefix("10.0.5.5/32")]
    (link,) = dump.links
    assert (link.name, link.index, link.mtu, link.is_up, link.mac) == ("ens5", 2, 9001, True, "0a:1b:2c:3d:4e:5f")
    assert [(a.family, a.prefix_len, a.scope) for a in dump.addrs] == [(4, 19, Scope.GLOBAL), (6, 64, Scope.LINK)]
    assert dump.addrs[0].broadcast == addr("10.0.31.255")
    kinds = [report.kind for report in dump.account.reports]
    assert kinds.count(LineKind.ECHO) == 4
    assert kinds.count(LineKind.BLANK) == 1
    assert dump.account.num_parsed + len(kinds) == len(text.splitlines())
    assert not dump.account.problems


def test_a_second_listing_without_an_echo_is_the_other_family():
    text = "0:\tfrom all lookup local\n32766:\tfrom all lookup main\n0:\tfrom all lookup local\n512:\tfrom all to 2001:db8::5 lookup main\n"
    assert [rule.family for rule in read_ip(text).rules] == [4, 4, 6, 6]


def test_a_cut_line_is_reported_where_it_is_cut():
    dump = read_ip("0:\tfrom all lookup local\n512:\tfrom all to 10.0.5.5 lookup")
    assert [(report.line, report.kind) for report in dump.account.reports] == [(2, LineKind.CUT)]
    json = read_ip('[{"priority":0,"src":"all","table":"local"},\n{"priority":512,"src":"al')
    assert len(json.rules) == 1
    assert [(report.line, report.kind) for report in json.account.reports] == [(2, LineKind.CUT)]


def test_an_unknown_selector_is_noted_and_kept_with_the_rule():
    rule = only_rule("100:\tfrom all dscp 0x2e lookup 7")
    assert rule.unsupported == "dscp"
    assert read_ip("100:\tfrom all dscp 0x2e lookup 7\n").account.notes


def test_rows_of_one_object_that_cannot_be_read_do_not_take_the_others_along():
    dump = read_ip(
        '[{"priority":0,"src":"all","table":"local"},\n {"priority":"x","src":"all"},\n {},\n {"priority":9,"src":"all","table":"9"}]\n'
    )
    assert [rule.priority for rule in dump.rules] == [0, 9]
    assert [report.line for report in dump.account.problems] == [2]


def test_peers_secondary_addresses_and_one_line_form():
    tunnel = "7: tun0    inet 10.8.0.1 peer 10.8.0.2/32 scope global tun0\\       valid_lft forever"
    first, second = read_ip(f"{tunnel}\n2: ens5    inet 10.0.0.12/19 scope global secondary ens5\n").addrs
    assert (first.interface, first.addr, first.peer, first.prefix_len) == ("tun0", addr("10.8.0.1"), addr("10.8.0.2"), 32)
    assert (second.interface, second.is_secondary) == ("ens5", True)


def test_brief_forms_and_next_hop_objects():
    text = "lo               UNKNOWN        127.0.0.1/8 ::1/128 \nens5@if3         UP             10.0.0.10/19 fe80::1/64 \n"
    dump = read_ip(
        text + "ens6             DOWN           0a:1b:2c:3d:4e:5f <BROADCAST,MULTICAST> \nid 12 via 10.0.0.1 dev ens5 scope link \n"
    )
    assert [(link.name, link.is_up, link.mac) for link in dump.links] == [
        ("lo", True, ""),
        ("ens5", True, ""),
        ("ens6", False, "0a:1b:2c:3d:4e:5f"),
    ]
    assert [(a.interface, a.family, a.prefix_len, a.scope) for a in dump.addrs] == [
        ("lo", 4, 8, Scope.HOST),
        ("lo", 6, 128, Scope.HOST),
        ("ens5", 4, 19, Scope.GLOBAL),
        ("ens5", 6, 64, Scope.LINK),
    ]
    assert [report.kind for report in dump.account.reports] == [LineKind.DETAIL]
    assert not read_ip('[{"id":12,"gateway":"10.0.0.1","dev":"ens5","flags":[]}]\n').account.problems

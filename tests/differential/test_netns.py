"""Compiled == plain walk == slow truth on random namespaces, complete and partial; and the same without the JIT."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastroute.netns.batch import Questions, Walker, code_column
from fastroute.netns.decision import Packet, Verdict
from fastroute.netns.kernels import REASONS, VERDICTS
from fastroute.netns.model import (
    ADDR_BITS,
    ANY,
    Addr,
    InterfaceSysctls,
    Known,
    Link,
    Namespace,
    NextHop,
    Prefix,
    Route,
    RouteType,
    Rule,
    RuleAction,
    Scope,
    Sysctls,
    default_rules,
)
from fastroute.netns.multipath import flow_hash
from fastroute.netns.walk import decide
from tests.reference import rules as reference
from tests.unit.netns.eks_node import EKS_NODE, POD_A, POD_B, VETH_A, VETH_B, addr

DEVICES = ("eth0", "eth1", "eni1", "vlan.eth.3")
TABLES = (2, 3, 103, 253, 254, 255)
BASE = {4: 0x0A000000, 6: 0x20010DB8 << 96}


def addrs(family: int) -> st.SearchStrategy[int]:
    """Few addresses, so that rules, routes and packets meet, and the special ones."""
    top = 2 ** ADDR_BITS[family] - 1
    special = (0, 1, top, 0x7F000001, 0xE0000001) if family == 4 else (1, 0xFE80 << 112 | 5, 0xFF02 << 112 | 1, top)
    return st.one_of(st.integers(0, 63).map(lambda low: BASE[family] | low), st.sampled_from(special))


@st.composite
def prefixes(draw: st.DrawFn, family: int) -> Prefix:
    bits = ADDR_BITS[family]
    prefix_len = draw(st.sampled_from((0, 1, 8, bits - 6, bits - 4, bits - 3, bits - 2, bits - 1, bits, bits)))
    return Prefix(draw(addrs(family)) >> (bits - prefix_len) << (bits - prefix_len), prefix_len)


@st.composite
def hops(draw: st.DrawFn, family: int) -> NextHop:
    gateway = draw(st.none() | addrs(family))
    dead = draw(st.integers(0, 19)) == 0
    return NextHop(draw(st.sampled_from(DEVICES)), gateway, family if gateway is not None else 0, draw(st.integers(1, 5)), dead)


@st.composite
def routes(draw: st.DrawFn, family: int) -> Route:
    kind = draw(st.sampled_from([RouteType.UNICAST] * 12 + list(RouteType)))
    is_error = kind in (RouteType.BLACKHOLE, RouteType.UNREACHABLE, RouteType.PROHIBIT, RouteType.THROW)
    num_hops = 0 if is_error else draw(st.sampled_from((1, 1, 1, 1, 2, 3)))
    return Route(
        draw(st.sampled_from(TABLES)),
        family,
        draw(prefixes(family)),
        kind,
        tuple(draw(hops(family)) for _ in range(num_hops)),
        draw(st.none() | addrs(family)),
        draw(prefixes(6)) if family == 6 and draw(st.integers(0, 9)) == 0 else ANY,
        draw(st.sampled_from((Scope.GLOBAL, Scope.GLOBAL, Scope.LINK))),
        draw(st.sampled_from((0, 0, 0, 10, 20))),
        draw(st.sampled_from((0, 0, 0, 0, 0, 0x10))) if family == 4 else 0,
        draw(st.sampled_from(("kernel", "static", "static"))),
    )


@st.composite
def rules(draw: st.DrawFn, family: int) -> Rule:
    rare = st.integers(0, 9).map(lambda n: n == 0)
    action = draw(st.sampled_from([RuleAction.LOOKUP] * 14 + list(RuleAction)))
    mark = draw(st.sampled_from((0, 0, 0x80, 0x81)))
    return Rule(
        draw(st.sampled_from((10, 20, 512, 1024, 1536, 32765))),
        family,
        draw(prefixes(family)) if draw(st.booleans()) else ANY,
        draw(prefixes(family)) if draw(st.booleans()) else ANY,
        draw(st.sampled_from((*DEVICES, "lo"))) if draw(rare) else None,
        draw(st.sampled_from(DEVICES)) if draw(rare) else None,
        mark,
        draw(st.sampled_from((0x80, 0xFFFFFFFF))) if mark else 0,
        draw(st.sampled_from((6, 17))) if draw(rare) else 0,
        dport=(80, 90) if draw(rare) else None,
        tos=0x10 if draw(rare) else 0,
        uid_range=(1, 5) if draw(rare) else None,
        inverted=draw(rare),
        action=action,
        table_id=draw(st.sampled_from(TABLES)),
        goto_priority=draw(st.sampled_from((1024, 1536, 32766))) if action is RuleAction.GOTO else None,
        suppress_prefix_len=draw(st.sampled_from((-1, -1, -1, 0, 28))),
        iif_detached=draw(rare),
        unsupported="tun_id" if draw(rare) and draw(rare) else "",
    )


@st.composite
def namespaces(draw: st.DrawFn, family: int) -> Namespace:
    own = draw(st.lists(rules(family), max_size=8))
    own += default_rules(family) if draw(st.integers(0, 9)) else ()
    switches = st.builds(
        InterfaceSysctls,
        st.sampled_from((None, 0, 0, 1, 2)),
        st.sampled_from((None, None, True, False)),
        *[st.sampled_from((None, None, None, True)) for _ in range(4)],
    )
    interfaces = draw(st.dictionaries(st.sampled_from(("all", "default", *DEVICES)), switches))
    addresses = draw(st.lists(st.tuples(st.sampled_from(("lo", *DEVICES)), addrs(4), st.sampled_from((8, 24, 28, 32))), max_size=4))
    known = Known(
        links=draw(st.booleans()),
        addrs=draw(st.integers(0, 4)) > 0,
        rules=draw(st.sampled_from([frozenset({4, 6})] * 9 + [frozenset()])),
        tables=dict.fromkeys((4, 6), draw(st.sampled_from([None] * 5 + [frozenset({254, 255}), frozenset({2, 254})]))),
    )
    return Namespace(
        tuple(Link(name) for name in ("lo", *draw(st.sets(st.sampled_from(DEVICES))))),
        tuple(Addr(name, 4, one, length) for name, one, length in addresses),
        tuple(own),
        tuple(draw(st.lists(routes(family), max_size=12))),
        Sysctls(draw(st.sampled_from((None, True, True, False))), None, interfaces),
        known,
    )


@st.composite
def packets(draw: st.DrawFn, family: int) -> Packet:
    arrives = draw(st.booleans())
    return Packet(
        family,
        draw(addrs(family)),
        draw(addrs(family)),
        draw(st.sampled_from(("lo", *DEVICES, "absent"))) if arrives else None,
        draw(st.sampled_from(DEVICES)) if not arrives and draw(st.integers(0, 4)) == 0 else None,
        draw(st.sampled_from((0, 0, 0x80, 0x81))),
        draw(st.sampled_from((6, 17))),
        dport=draw(st.sampled_from((0, 80))),
        tos=draw(st.sampled_from((0, 0, 0x10))),
    )


def questions_of(walker: Walker, asked: list[Packet]) -> Questions:
    def column(values: list[int], dtype: type) -> np.ndarray:
        return np.array(values, dtype)

    def addresses(values: list[int]) -> np.ndarray:
        if walker.family == 4:
            return np.array(values, np.uint32)
        return np.array([(value >> 64, value & (2**64 - 1)) for value in values], np.uint64).reshape(-1, 2)

    return Questions(
        addresses([p.dst for p in asked]),
        addresses([p.src for p in asked]),
        code_column(walker, [p.in_interface for p in asked]),
        column([p.fwmark for p in asked], np.uint32),
        code_column(walker, [p.out_interface for p in asked]),
        column([p.ipproto for p in asked], np.uint8),
        column([p.sport for p in asked], np.uint16),
        column([p.dport for p in asked], np.uint16),
        column([p.tos for p in asked], np.uint8),
    )


def check_same(namespace: Namespace, asked: list[Packet], family: int) -> None:
    walker = Walker(namespace, family, (*DEVICES, "absent"))
    for _ in range(2):  # the second time with every class built
        answers = walker.walk(questions_of(walker, asked))
        for row, packet in enumerate(asked):
            decision = decide(namespace, packet)
            want = (
                decision.verdict,
                decision.reason,
                -1 if decision.rule is None else decision.rule.priority,
                -1 if decision.table_id is None else decision.table_id,
                decision.route,
                decision.device,
                decision.next_hop,
                decision.prefsrc,
                decision.missing,
            )
            number, device = answers.route[row], answers.device[row]
            got = (
                VERDICTS[answers.verdict[row]],
                REASONS[answers.reason[row]],
                answers.rule_priority[row],
                answers.table_id[row],
                None if number < 0 else walker.routes[number],
                None if device < 0 else walker.interfaces[device],
                answers.next_hop(row),
                answers.prefsrc(row),
                answers.missing(row),
            )
            assert got == want, f"{packet}, {'plain' if row in answers.plain else 'compiled'}"


@pytest.mark.parametrize("family", [4, 6])
@given(data=st.data())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_compiled_is_plain(family, data):
    namespace = data.draw(namespaces(family))
    check_same(namespace, data.draw(st.lists(packets(family), min_size=1, max_size=40)), family)


@given(namespace=namespaces(4), asked=st.lists(packets(4), max_size=20))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_plain_walk_is_the_slow_truth(namespace, asked):
    clean = tuple(replace(rule, unsupported="") for rule in namespace.rules)
    namespace = replace(namespace, rules=(*clean, Rule(9, table_id=99)), known=Known(links=False))
    for packet in asked:
        decision = decide(namespace, replace(packet, src=0, in_interface=None, out_interface=None))
        if decision.rule is None or decision.verdict is Verdict.UNDECIDED:
            continue
        rule, route, error = reference.look_up(namespace, replace(packet, src=0, in_interface=None, out_interface=None))
        assert decision.rule == rule
        assert decision.route == route
        if error:
            assert decision.error == error


def eks_packets() -> list[Packet]:
    random = np.random.default_rng(7)
    ends = [
        POD_A,
        POD_B,
        addr("10.0.0.10"),
        addr("10.0.0.77"),
        addr("10.0.31.255"),
        addr("8.8.8.8"),
        addr("10.0.9.9"),
        addr("169.254.169.254"),
    ]
    devices = [None, VETH_A, VETH_B, "ens5", "ens6"]
    return [
        Packet(4, ends[random.integers(8)], ends[random.integers(8)], devices[random.integers(5)], fwmark=int(random.integers(2)) * 0x80)
        for _ in range(400)
    ]


def test_compiled_is_plain_on_an_eks_node():
    check_same(EKS_NODE, eks_packets(), 4)


def test_an_eks_node_is_compiled_whole_and_equal_lists_are_stored_once():
    walker = Walker(EKS_NODE, 4)
    answers = walker.walk(questions_of(walker, [p for p in eks_packets() if p.dst != 0]))
    assert not answers.plain
    assert walker.cells.num_rows <= 6


def test_choice_of_next_hop_is_that_of_the_plain_walk():
    two = (NextHop("ens5", weight=2), NextHop("ens6", weight=3), NextHop(VETH_A))
    node = replace(EKS_NODE, rules=(*EKS_NODE.rules, Rule(5, table_id=9)), routes=(*EKS_NODE.routes, Route(9, 4, ANY, next_hops=two)))
    check_same(node, [Packet(4, addr("8.8.8.8") + i, POD_B, VETH_B) for i in range(200)], 4)
    assert 0 <= flow_hash(2**128 - 1, 1) < 2**31


def test_an_undecided_row_names_no_route():
    """The match stands, but whether the source is accepted hangs on an rp_filter that nobody told."""
    routes = (Route(253, 4, ANY, next_hops=(NextHop("eth0"),)),)
    node = Namespace((), (), default_rules(4), routes, Sysctls(), Known(links=False, addrs=False))
    check_same(node, [Packet(4, addr("10.0.0.1"), addr("10.0.0.2"), "eth1")], 4)


def test_the_same_without_the_jit():
    code = "from tests.differential.test_netns import *; check_same(EKS_NODE, eks_packets()[:60], 4)"
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

"""The running kernel as referee, on random nodes in namespaces of their own. Skipped, with the reason, where they cannot be made."""

import os
import subprocess
from dataclasses import replace
from random import Random

import pytest

from fastroute.cni import NodePlan, derive_namespace, plan_node, read_settings
from fastroute.io.iproute2 import read_ip
from fastroute.netns.decision import Verdict
from fastroute.netns.model import InterfaceSysctls, Link, Namespace, NextHop, Prefix, Route, Rule, RuleAction, Scope, Sysctls, default_rules
from fastroute.netns.walk import decide
from fastroute.referee import verify
from fastroute.referee.compare import differences
from fastroute.referee.kernel import KernelNode, why_not
from fastroute.referee.random_nodes import QuestionMaker, random_plan
from fastroute.topology import TopologyIndex
from tests import zoo
from tests.reference import rules as reference
from tests.unit.netns.eks_node import EKS_NODE

REFUSED = why_not()
pytestmark = pytest.mark.skipif(bool(REFUSED), reason=f"no network namespaces here: {REFUSED}")


@pytest.fixture
def seed() -> int:
    return int(os.environ.get("FASTROUTE_SEED", "20261124"))


def test_walk_agrees_with_the_kernel_on_random_nodes(seed):
    asked, findings = verify.verify(seed, nodes=80, questions=150)
    assert asked == 80 * 150 * 2
    assert not findings, "\n".join(finding.text() for finding in findings)


def test_walk_agrees_on_an_eks_node(seed):
    def packets_of(namespace):
        maker = QuestionMaker(Random(seed), namespace)
        return [maker.packet(4) for _ in range(3000)]

    with KernelNode(verify.plan_of(EKS_NODE)) as node:
        built = node.state()
        assert [(r.priority, r.table_id) for r in built.rules_by_family[4]] == [
            (0, 255), (512, 254), (512, 254), (1024, 254), (1536, 2), (32765, 2), (32766, 254), (32767, 253),
        ]  # fmt: skip
        found, asked = differences(node, packets_of)
    assert asked == 3000
    assert not found, f"seed {seed}: {found[:3]}"


def test_a_broken_walk_is_found_and_shrunk_to_its_cause(seed, monkeypatch):
    monkeypatch.setattr("fastroute.netns.lookup.ROUTE_ERRORS", {})
    _, findings = verify.verify(seed, nodes=25, questions=150, families=(4,))
    assert findings
    smallest = min(findings, key=lambda f: len(f.plan.lines4))
    assert len(smallest.plan.lines4) <= 2
    assert any(word in smallest.text() for word in ("blackhole", "unreachable", "prohibit"))


def test_walk_agrees_with_the_slow_truth_on_random_nodes(seed):
    compared = 0
    for number in range(seed, seed + 60):
        with KernelNode(random_plan(Random(number))) as node:
            namespace = node.state()
        if not namespace.has_custom_rules(4):
            continue
        maker = QuestionMaker(Random(number), namespace)
        for _ in range(100):
            packet = maker.packet(4)
            if packet.in_interface is not None:
                continue
            decision = decide(namespace, packet)
            if decision.rule is None:
                continue
            rule, route, error = reference.look_up(namespace, packet)
            compared += 1
            assert decision.rule == rule, f"seed {number}: {packet}"
            if decision.verdict is not Verdict.ERROR:
                assert (decision.route, error) == (route, ""), f"seed {number}: {packet}"
    assert compared > 500


def test_plan_of_a_namespace_builds_that_namespace():
    node = Namespace(
        links=(Link("lo"), Link("ens5"), Link("eni1")),
        rules=(*default_rules(4), Rule(1536, src_prefix=Prefix(0x0A000606, 32), table_id=2), *default_rules(6)),
        routes=(
            Route(2, 4, Prefix(0x0A000001, 32), next_hops=(NextHop("ens5"),), scope=Scope.LINK),
            Route(2, 4, Prefix(0, 0), next_hops=(NextHop("ens5", 0x0A000001, 4),)),
        ),
        sysctls=Sysctls(True, None, {"ens5": InterfaceSysctls(rp_filter=2)}),
    )
    with KernelNode(verify.plan_of(node)) as built:
        state = built.state()
    assert {(r.prefix, r.next_hops[0].gateway, r.next_hops[0].out_interface) for r in state.tables[4, 2]} == {
        (Prefix(0x0A000001, 32), None, "ens5"),
        (Prefix(0, 0), 0x0A000001, "ens5"),
    }
    assert state.sysctls.rp_filter("ens5") == 2
    assert state.sysctls.forwards("eni1")


def listing(node: KernelNode, *words: str) -> str:
    return subprocess.run(["ip", "-n", node.name, *words], capture_output=True, text=True, check=True).stdout


def comparable(row):
    """A row without its line and without the protocol's name, which netlink gives as a number; a table only where the rule has one."""
    row = replace(row, source_line=-1)
    if isinstance(row, Link):
        return replace(row, has_carrier=True)
    if isinstance(row, Rule):
        return replace(row, protocol="", table_id=row.table_id if row.action is RuleAction.LOOKUP else 0)
    return replace(row, protocol="kernel" if row.protocol == "kernel" else "") if isinstance(row, Route) else row


@pytest.mark.parametrize("form", [(), ("-j",), ("-j", "-p"), ("-d",)], ids=["text", "json", "pretty", "details"])
def test_readers_see_what_netlink_sees(seed, form):
    for number in range(seed, seed + 12):
        with KernelNode(random_plan(Random(number))) as node:
            before = None
            while before != (before := node.state()):
                rules = [read_ip(listing(node, *form, "rule")), read_ip(listing(node, *form, "-6", "rule"), family=6)]
                routes = read_ip(listing(node, *form, "route", "show", "table", "all"))
                addrs = read_ip(listing(node, *form, "addr"))
        for dump in (*rules, routes, addrs):
            assert not dump.account.problems
            assert not dump.account.notes
        assert [comparable(r) for dump in rules for r in dump.rules] == [comparable(r) for r in before.rules], f"seed {number}"
        assert [comparable(r) for r in routes.routes] == [comparable(r) for r in before.routes], f"seed {number}"
        assert {comparable(a) for a in addrs.addrs} == set(before.addrs), f"seed {number}"
        assert [comparable(link) for link in addrs.links] == [comparable(link) for link in before.links], f"seed {number}"


MODES = {
    "default": {},
    "external SNAT": {"AWS_VPC_K8S_CNI_EXTERNALSNAT": "true"},
    "neither marks nor node ports": {"AWS_VPC_K8S_CNI_EXTERNALSNAT": "true", "AWS_VPC_CNI_NODE_PORT_SUPPORT": "false"},
    "external services": {"AWS_EXTERNAL_SERVICE_CIDRS": "172.20.9.0/24,192.0.2.0/25"},
}


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_nodes_as_the_plugin_leaves_them(seed, mode):
    """The derived state, built in a namespace, answers as derived: walk of the derived rows == walk of the kernel's rows == the kernel."""
    topology = zoo.everything(mode)
    index, (settings, _) = TopologyIndex(topology), read_settings(mode)
    num_nodes = 0
    for named in topology.nodes.values():
        plan = plan_node(index, named, settings)
        if not isinstance(plan, NodePlan):
            continue
        num_nodes += 1
        derived = derive_namespace(topology, plan)

        def packets_of(_, derived=derived):
            maker = QuestionMaker(Random(seed), derived)
            return [maker.packet(4) for _ in range(400)]

        with KernelNode(verify.plan_of(derived)) as node:
            found, _ = differences(node, packets_of)
            built = node.state()
        assert not found, f"seed {seed}, {named.name}: {found[:2]}"
        assert [(r.priority, r.src_prefix, r.dst_prefix, r.fwmark, r.table_id) for r in built.rules_by_family[4]] == [
            (r.priority, r.src_prefix, r.dst_prefix, r.fwmark, r.table_id) for r in derived.rules_by_family[4]
        ]
        for packet in packets_of(None):
            ours, theirs = decide(derived, packet), decide(built, packet)
            assert (ours.verdict, ours.error, ours.table_id, ours.prefix, ours.device, ours.gateway) == (
                theirs.verdict,
                theirs.error,
                theirs.table_id,
                theirs.prefix,
                theirs.device,
                theirs.gateway,
            ), f"seed {seed}, {named.name}: {packet}"
    assert num_nodes

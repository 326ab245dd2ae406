"""The derived state of a node is, line by line, the worked states of the plugin's data path (`ip rule`, `ip route` of real shapes)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fastroute.cni import CniSettings, NodePlan, Unmodelled, derive_namespace, plan_node, read_settings
from fastroute.cni.naming import table_of_eni, veth_name
from fastroute.netns.model import TABLE_MAIN, Namespace, table_text
from fastroute.netns.text import route_text, rule_text
from fastroute.netns.walk import route
from fastroute.topology import Eni, EniRole, Topology, TopologyIndex, Vpc
from tests.zoo import REGION, Builder, subnet

POD_A, POD_B, NODE, SECONDARY = "10.0.5.5", "10.0.6.6", "10.0.0.10", "10.0.0.77"
VETH_A, VETH_B = "enicc21c2d7785", "eni0d7763386da"


def worked_node() -> Topology:
    """VPC 10.0.0.0/16, node subnet 10.0.0.0/19; default/sample-pod on the primary interface, default/web-0 on the next one."""
    b = Builder()
    b.add(Vpc("vpc-a", REGION, "1", ("10.0.0.0/16",)), subnet("subnet-a", "10.0.0.0/19", 0))
    b.node("node", "i-1", "use1-az1")
    b.eni("eni-0", "subnet-a", (NODE, POD_A), instance="i-1", device=0)
    b.eni("eni-1", "subnet-a", (SECONDARY, POD_B), instance="i-1", device=1)
    b.pod("sample-pod", "node", POD_A)
    b.pod("web-0", "node", POD_B)
    return b.t


def derived(topology: Topology, settings: CniSettings | None = None) -> Namespace:
    index = TopologyIndex(topology)
    plan = plan_node(index, topology.nodes["node"], settings or CniSettings())
    assert isinstance(plan, NodePlan)
    return derive_namespace(topology, plan)


def rules_of(namespace: Namespace) -> list[str]:
    return [f"{rule.priority}: {rule_text(rule)}" for rule in namespace.rules_by_family[4]]


def routes_of(namespace: Namespace, table_id: int) -> set[str]:
    return {route_text(each).replace(f" table {table_text(table_id)}", "") for each in namespace.tables[4, table_id]}


def test_rules_of_a_node_with_one_further_interface() -> None:
    assert rules_of(derived(worked_node())) == [
        "0: from all lookup local",
        "512: from all to 10.0.5.5 lookup main",
        "512: from all to 10.0.6.6 lookup main",
        "1024: from all fwmark 0x80/0x80 lookup main",
        "1536: from 10.0.6.6 lookup 2",
        "32765: from 10.0.0.77 lookup 2",
        "32766: from all lookup main",
        "32767: from all lookup default",
    ]


def test_table_local_is_asked_after_branch_interfaces_in_strict_mode() -> None:
    """Whether or not a branch pod is there."""
    for settings, priority in (
        (CniSettings(pod_eni=True), 20),
        (CniSettings(pod_eni=True, is_strict=False), 0),
        (CniSettings(pod_eni=False), 0),
    ):
        rules = rules_of(derived(worked_node(), settings))
        assert [rule for rule in rules if "lookup local" in rule] == [f"{priority}: from all lookup local"]


def test_a_trunk_interface_has_its_table_but_no_rule_for_its_own_address() -> None:
    topology = worked_node()
    topology.enis["eni-1"] = replace(topology.enis["eni-1"], role=EniRole.TRUNK)
    namespace = derived(topology)
    assert not [rule for rule in rules_of(namespace) if rule.startswith("32765")]
    assert f"1536: from {POD_B} lookup 2" in rules_of(namespace)
    assert routes_of(namespace, 2) == routes_of(derived(worked_node()), 2)


def test_routes_of_a_node_with_one_further_interface() -> None:
    namespace = derived(worked_node())
    assert routes_of(namespace, 2) == {"default via 10.0.0.1 dev ens6", "10.0.0.1 dev ens6 scope link"}
    assert routes_of(namespace, TABLE_MAIN) == {
        "default via 10.0.0.1 dev ens5 proto dhcp src 10.0.0.10 metric 512",
        "10.0.0.0/19 dev ens5 proto kernel scope link src 10.0.0.10",
        f"10.0.5.5 dev {VETH_A} scope link",
        f"10.0.6.6 dev {VETH_B} scope link",
    }
    assert "local 10.0.0.77 dev ens6 proto kernel scope host src 10.0.0.77" in routes_of(namespace, 255)


def ask(namespace: Namespace, dst: str, mark: int = 0) -> tuple[str, str, str | None]:
    from ipaddress import ip_address

    found = route(namespace, int(ip_address(dst)), int(ip_address(POD_B)), in_interface=VETH_B, fwmark=mark)
    return str(found.verdict), table_text(found.table_id or 0), found.device


@pytest.mark.parametrize(
    ("dst", "mark", "answer"),
    [
        ("8.8.8.8", 0, ("forward", "2", "ens6")),
        ("8.8.8.8", 0x80, ("forward", "main", "ens5")),
        ("10.0.9.9", 0, ("forward", "2", "ens6")),
        (POD_A, 0, ("forward", "main", VETH_A)),
        (NODE, 0, ("local", "local", "lo")),
    ],
)
def test_measured_answers_for_a_pod_of_the_further_interface(dst: str, mark: int, answer: tuple[str, str, str]) -> None:
    assert ask(derived(worked_node()), dst, mark) == answer


def test_custom_networking_sends_pods_by_their_own_subnet() -> None:
    b = Builder()
    b.add(Vpc("vpc-a", REGION, "1", ("10.0.0.0/16", "100.64.0.0/16")))
    b.add(subnet("subnet-a", "10.0.0.0/19", 0), subnet("subnet-cg", "100.64.0.0/19", 0))
    b.node("node", "i-1", "use1-az1")
    b.eni("eni-0", "subnet-a", (NODE,), instance="i-1", device=0)
    b.eni("eni-1", "subnet-cg", ("100.64.0.77", "100.64.5.5"), instance="i-1", device=1)
    b.pod("web-0", "node", "100.64.5.5")
    namespace = derived(b.t, CniSettings(custom_networking=True))
    assert rules_of(namespace)[1:5] == [
        "512: from all to 100.64.5.5 lookup main",
        "1024: from all fwmark 0x80/0x80 lookup main",
        "1536: from 100.64.5.5 lookup 2",
        "32765: from 100.64.0.77 lookup 2",
    ]
    assert routes_of(namespace, 2) == {"default via 100.64.0.1 dev ens6", "100.64.0.1 dev ens6 scope link"}


def test_the_mark_rule_goes_only_without_node_ports_and_with_external_snat() -> None:
    for external in (False, True):
        for node_ports in (False, True):
            rules = rules_of(derived(worked_node(), CniSettings(external_snat=external, node_port_support=node_ports)))
            assert any(rule.startswith("1024:") for rule in rules) == (node_ports or not external)


def test_external_service_ranges_precede_the_pods_own_table() -> None:
    rules = rules_of(derived(worked_node(), CniSettings(external_service_cidrs=("192.0.2.0/24",))))
    assert rules[4:6] == ["1535: from all to 192.0.2.0/24 lookup main", "1536: from 10.0.6.6 lookup 2"]


@pytest.mark.parametrize(
    ("card", "device", "table"),
    [(0, 0, TABLE_MAIN), (0, 1, 2), (0, 2, 3), (1, 1, 10101), (2, 0, 10200)],
)
def test_table_numbers(card: int, device: int, table: int) -> None:
    eni = Eni("eni", "", "", "", "", EniRole.INSTANCE, "", "", (), instance_id="i", device_number=device, network_card=card)
    assert table_of_eni(eni) == table


@pytest.mark.parametrize(
    ("namespace", "pod", "prefix", "index", "name"),
    [
        ("kube-system", "coredns-57ff979f67-qqbdh", "eni", 0, "enib5faff8a083"),
        ("kube-system", "coredns-57ff979f67-qqbdh", "vlan", 0, "vlanb5faff8a083"),
        ("default", "sample-pod", "eni", 0, VETH_A),
        ("default", "web-0", "eni", 0, VETH_B),
        ("default", "web-7c5d9f8b6-abcde", "eni", 1, "enibe53eb61fef"),
    ],
)
def test_veth_names(namespace: str, pod: str, prefix: str, index: int, name: str) -> None:
    assert veth_name(namespace, pod, prefix, index) == name


def test_unmanaged_interfaces_have_no_table() -> None:
    topology = worked_node()
    topology.enis["eni-1"].tags["node.k8s.amazonaws.com/no_manage"] = "true"
    assert not any("lookup 2" in rule for rule in rules_of(derived(topology)))


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ({"eks.amazonaws.com/compute-type": "fargate"}, Unmodelled.FARGATE),
        ({"eks.amazonaws.com/compute-type": "auto"}, Unmodelled.AUTO_MODE),
    ],
)
def test_nodes_without_the_plugin_say_so(labels: dict[str, str], reason: Unmodelled) -> None:
    topology = worked_node()
    topology.nodes["node"].labels.update(labels)
    assert plan_node(TopologyIndex(topology), topology.nodes["node"], CniSettings()) is reason


def test_a_pod_address_that_no_interface_holds_is_not_guessed() -> None:
    b = Builder()
    b.t.__dict__.update(worked_node().__dict__)
    b.pod("lost", "node", "10.0.30.1")
    plan = plan_node(TopologyIndex(b.t), b.t.nodes["node"], CniSettings())
    assert isinstance(plan, NodePlan)
    assert [attached.eni for attached in plan.pods if attached.pod.name == "lost"] == [None]


def test_settings_from_the_environment() -> None:
    settings, findings = read_settings(
        {
            "AWS_VPC_K8S_CNI_EXTERNALSNAT": "true",
            "AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS": "10.1.0.0/16, 172.16.0.0/12",
            "AWS_VPC_K8S_CNI_CONNMARK": "256",
            "AWS_VPC_K8S_CNI_VETHPREFIX": "abc",
            "POD_SECURITY_GROUP_ENFORCING_MODE": "standard",
        }
    )
    assert settings == CniSettings(
        external_snat=True, exclude_snat_cidrs=("10.1.0.0/16", "172.16.0.0/12"), connmark=256, veth_prefix="abc", is_strict=False
    )
    assert findings == ()


@pytest.mark.parametrize(
    "env",
    [
        {"AWS_VPC_K8S_CNI_EXTERNALSNAT": "yes please"},
        {"AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS": "10.0.1.300/24"},
        {"AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS": "2001:db8::/32"},
        {"AWS_VPC_K8S_CNI_CONNMARK": "0"},
        {"AWS_VPC_K8S_CNI_VETHPREFIX": "vlan"},
        {"POD_SECURITY_GROUP_ENFORCING_MODE": "lenient"},
    ],
)
def test_a_setting_that_the_plugin_would_refuse_is_a_finding(env: dict[str, str]) -> None:
    settings, findings = read_settings(env)
    assert [finding.subject for finding in findings] == list(env)
    assert settings == CniSettings()

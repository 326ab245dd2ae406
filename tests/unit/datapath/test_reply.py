"""The way of the answers, and the worked table of where a pod of a secondary interface leaves its node, both answered by hand."""

from __future__ import annotations

from typing import Any

import pytest

from fastroute.topology import RouteTable, TargetKind, Topology, Vpc, VpcRoute
from fastroute.vocab import UDP, Disposition
from tests.unit.datapath.test_ways import asked
from tests.zoo import REGION, Builder, local, subnet

NODE, POD_A, POD_B, SECONDARY = "10.0.0.10", "10.0.5.5", "10.0.6.6", "10.0.0.77"
FAR_POD, ON_PREM, PEER = "10.0.40.9", "192.168.7.7", "172.16.3.3"


def worked_node(**env: str) -> Topology:
    """The worked example: pod A on the primary interface, pod B on the next; another node; ranges behind a VPN gateway."""
    b = Builder()
    blocks = ("10.0.0.0/16", "100.64.0.0/16")
    on_prem = [VpcRoute(cidr, TargetKind.VPN_GATEWAY, "vgw-1", is_propagated=True) for cidr in ("192.168.0.0/16", "172.16.0.0/12")]
    b.add(
        Vpc("vpc-a", REGION, "1", blocks),
        subnet("subnet-a", "10.0.0.0/19", 0),
        subnet("subnet-b", "10.0.32.0/19", 1),
        RouteTable("rtb", "vpc-a", REGION, True, (), (), (*local(*blocks), *on_prem)),
    )
    b.node("node", "i-1", "use1-az1")
    b.eni("eni-0", "subnet-a", (NODE, POD_A), instance="i-1", device=0)
    b.eni("eni-1", "subnet-a", (SECONDARY, POD_B), instance="i-1", device=1)
    b.pod("sample-pod", "node", POD_A)
    b.pod("web-0", "node", POD_B)
    b.node("far", "i-2", "use1-az2")
    b.eni("eni-far", "subnet-b", ("10.0.32.10", FAR_POD), instance="i-2", device=0)
    b.pod("far-pod", "far", FAR_POD)
    b.t.cni_env.update(env)
    return b.t


EXTERNAL = {"AWS_VPC_K8S_CNI_EXTERNALSNAT": "true"}
EXCLUDED = {"AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS": "172.16.0.0/12"}


@pytest.mark.parametrize(
    ("env", "dst", "eni", "source", "rule"),
    [
        ({}, POD_A, None, POD_B, 512),
        (EXTERNAL, POD_A, None, POD_B, 512),
        ({}, FAR_POD, "eni-1", POD_B, 1536),
        ({}, "100.64.1.1", "eni-1", POD_B, 1536),
        (EXTERNAL, FAR_POD, "eni-1", POD_B, 1536),
        (EXCLUDED, PEER, "eni-1", POD_B, 1536),
        ({**EXTERNAL, **EXCLUDED}, PEER, "eni-1", POD_B, 1536),
        ({}, ON_PREM, "eni-0", NODE, 1024),
        ({}, "8.8.8.8", "eni-0", NODE, 1024),
        (EXTERNAL, ON_PREM, "eni-1", POD_B, 1536),
        (EXTERNAL, "8.8.8.8", "eni-1", POD_B, 1536),
        ({}, "169.254.169.254", "eni-0", NODE, 1024),
        ({}, "169.254.169.253", "eni-0", NODE, 1024),
        (EXTERNAL, "169.254.169.254", "eni-1", POD_B, 1536),
        ({}, NODE, None, POD_B, 0),
        (EXTERNAL, NODE, None, POD_B, 0),
    ],
)
def test_interface_and_source_of_a_pod_on_a_secondary_interface(
    env: dict[str, str], dst: str, eni: str | None, source: str, rule: int
) -> None:
    """By destination, with the plugin's source NAT and without: all rows of the table but those about Services."""
    found = asked(worked_node(**env), POD_B, dst)
    assert (found["out_eni"], found["wire_src"] or POD_B, found["rule_priority"]) == (eni, source, rule)


@pytest.mark.parametrize("dst", [ON_PREM, "8.8.8.8", FAR_POD])
def test_a_pod_of_the_primary_interface_always_leaves_by_it(dst: str) -> None:
    assert asked(worked_node(), POD_A, dst)["out_eni"] == "eni-0"
    assert asked(worked_node(**EXTERNAL), POD_A, dst)["out_eni"] == "eni-0"


def answered(src: str, dst: str, env: dict[str, str] | None = None, **more: Any) -> tuple[str | None, bool | None]:
    found = asked(worked_node(**(env or {})), src, dst, **more)
    return found["reply_out_eni"], found["symmetric"]


def test_answers_between_pods_use_the_same_interfaces() -> None:
    assert answered(POD_B, FAR_POD) == ("eni-far", True)
    assert answered(FAR_POD, POD_B) == ("eni-1", True)


def test_within_a_node_no_interface_is_used_and_that_is_symmetric() -> None:
    assert answered(POD_A, POD_B) == (None, True)
    assert answered(POD_B, NODE) == (None, True)


def test_a_translated_flow_is_answered_to_the_node() -> None:
    found = asked(worked_node(), POD_B, ON_PREM)
    assert (found["out_eni"], found["wire_src"], found["symmetric"]) == ("eni-0", NODE, True)
    assert [hop.prefix for hop in found["reply_hops"]][-1] == f"{NODE}/32"


def test_a_client_outside_is_answered_by_the_pods_own_interface_untranslated() -> None:
    """It came to the pod's address, so nothing was marked: rule 1536, and no source NAT on an answer."""
    assert answered(ON_PREM, POD_B) == ("eni-1", True)


def test_an_external_service_range_sends_answers_out_by_the_primary_interface_where_they_are_dropped() -> None:
    """Rule 1535 looks at the destination alone, so it takes the answers to clients of such a range too."""
    found = asked(worked_node(AWS_EXTERNAL_SERVICE_CIDRS="192.168.0.0/16", **EXTERNAL), ON_PREM, POD_B)
    assert (found["disposition"], found["in_eni"]) == (Disposition.DELIVERED, "eni-1")
    assert (found["reply_out_eni"], found["reply_disposition"], found["symmetric"]) == ("eni-0", Disposition.SOURCE_CHECK, False)


def test_what_does_not_arrive_has_no_answer() -> None:
    found = asked(worked_node(), "10.0.32.10", "10.0.33.33")
    assert found["disposition"] is Disposition.NO_SUCH_ADDRESS
    assert (found["reply_out_eni"], found["symmetric"]) == (None, None)


def test_the_other_direction_of_a_recorded_answer_is_the_openers() -> None:
    """Recorded from port 443 of the node to a pod: the pod opened it, by its own interface."""
    recorded = {"is_recorded": True, "protocol": UDP, "src_port": 443, "dst_port": 40000}
    assert answered("10.0.32.10", POD_B, **recorded) == ("eni-1", True)

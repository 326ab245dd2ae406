"""The snapshot folder: shapes of the real commands' output, and nothing in it that AWS or Kubernetes would not allow."""

from __future__ import annotations

import ipaddress
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fastroute.synth import SynthResult

# network interfaces and IPv4 addresses of each; amazon-vpc-cni-k8s pkg/vpc/vpc_ip_resource_limit.go
LIMITS = {
    "t3.medium": (3, 6),
    "t3.large": (3, 12),
    "m5.large": (3, 10),
    "c5.large": (3, 10),
    "m7g.large": (3, 10),
    "m5.xlarge": (4, 15),
    "m6i.xlarge": (4, 15),
    "r6i.2xlarge": (4, 15),
    "m5.4xlarge": (8, 30),
}


def aws(made: SynthResult, name: str) -> list[dict[str, Any]]:
    content = json.loads((made.snapshot / "aws" / "us-east-1" / f"{name}.json").read_text())
    (entries,) = content.values()
    return list(entries)


def kubernetes(made: SynthResult, name: str) -> list[dict[str, Any]]:
    content = json.loads((made.snapshot / "kubernetes" / f"{name}.json").read_text())
    assert list(content) == ["apiVersion", "items", "kind", "metadata"]
    assert content["kind"] == "List"
    return list(content["items"])


def held_by(eni: dict[str, Any]) -> list[ipaddress.IPv4Address]:
    held = [ipaddress.IPv4Address(each["PrivateIpAddress"]) for each in eni["PrivateIpAddresses"]]
    for prefix in eni.get("Ipv4Prefixes", []):
        held += ipaddress.IPv4Network(prefix["Ipv4Prefix"])
    return held


def test_files_carry_the_keys_of_the_commands(made: SynthResult) -> None:
    region = made.snapshot / "aws" / "us-east-1"
    keys = {path.stem: next(iter(json.loads(path.read_text()))) for path in region.glob("*.json")}
    assert keys == {
        "vpcs": "Vpcs",
        "subnets": "Subnets",
        "route-tables": "RouteTables",
        "network-interfaces": "NetworkInterfaces",
        "instances": "Reservations",
        "internet-gateways": "InternetGateways",
        "nat-gateways": "NatGateways",
        "addresses": "Addresses",
        "vpc-endpoints": "VpcEndpoints",
        "vpc-peering-connections": "VpcPeeringConnections",
        "transit-gateways": "TransitGateways",
        "transit-gateway-vpc-attachments": "TransitGatewayVpcAttachments",
        "transit-gateway-attachments": "TransitGatewayAttachments",
        "transit-gateway-route-tables": "TransitGatewayRouteTables",
        "managed-prefix-lists": "PrefixLists",
        "availability-zones": "AvailabilityZones",
        "load-balancers": "LoadBalancers",
        "flow-logs": "FlowLogs",
        "instance-types": "InstanceTypes",
        "cluster": "cluster",
    }
    assert (made.snapshot / "captured_at").read_text() == "2026-08-21T06:00:00Z\n"


def test_no_address_is_held_twice(made: SynthResult) -> None:
    holders = Counter((eni["VpcId"], addr) for eni in aws(made, "network-interfaces") for addr in held_by(eni))
    assert [address for address, times in holders.items() if times > 1] == []


def test_interfaces_keep_to_their_subnet_and_its_reserved_addresses(made: SynthResult) -> None:
    subnets = {subnet["SubnetId"]: subnet for subnet in aws(made, "subnets")}
    for eni in aws(made, "network-interfaces"):
        subnet = subnets[eni["SubnetId"]]
        block = ipaddress.IPv4Network(subnet["CidrBlock"])
        assert (eni["VpcId"], eni["AvailabilityZone"]) == (subnet["VpcId"], subnet["AvailabilityZone"])
        for addr in held_by(eni):
            assert addr in block
            assert 4 <= int(addr) - int(block.network_address) < block.num_addresses - 1


def test_instances_keep_the_limits_of_their_type(made: SynthResult) -> None:
    for reservation in aws(made, "instances"):
        (instance,) = reservation["Instances"]
        enis = instance["NetworkInterfaces"]
        if not any(tag["Key"] == "eks:cluster-name" for tag in instance["Tags"]):
            continue
        max_enis, max_addrs = LIMITS[instance["InstanceType"]]
        numbers = [eni["Attachment"]["DeviceIndex"] for eni in enis]
        assert numbers[0] == 0
        assert numbers == sorted(set(numbers))
        assert max(numbers) < max_enis
        for eni in enis:
            assert len(eni["PrivateIpAddresses"]) + len(eni.get("Ipv4Prefixes", [])) <= max_addrs
            assert [each["Primary"] for each in eni["PrivateIpAddresses"]].count(True) == 1


def test_pods_hold_addresses_of_their_nodes_interfaces(made: SynthResult) -> None:
    instances = {r["Instances"][0]["InstanceId"]: r["Instances"][0] for r in aws(made, "instances")}
    nodes = {node["metadata"]["name"]: node for node in kubernetes(made, "nodes")}
    owned: Counter[str] = Counter()
    num_running = 0
    for pod in kubernetes(made, "pods"):
        node = nodes[pod["spec"]["nodeName"]]
        instance = instances[node["spec"]["providerID"].rsplit("/", 1)[1]]
        if pod["status"]["phase"] != "Running":
            continue
        num_running += 1
        if pod["spec"].get("hostNetwork"):
            assert pod["status"]["podIP"] == instance["PrivateIpAddress"]
            assert all(port["hostPort"] == port["containerPort"] for c in pod["spec"]["containers"] for port in c["ports"])
            continue
        held = [addr for eni in instance["NetworkInterfaces"] for addr in held_by(eni)]
        primaries = {eni["PrivateIpAddress"] for eni in instance["NetworkInterfaces"]}
        assert ipaddress.IPv4Address(pod["status"]["podIP"]) in held
        assert pod["status"]["podIP"] not in primaries
        owned[pod["status"]["podIP"]] += 1
    assert set(owned.values()) == {1}
    assert num_running == made.pods == 170


def test_some_pods_ended_and_some_of_their_addresses_are_taken(made: SynthResult) -> None:
    pods = kubernetes(made, "pods")
    running = {pod["status"]["podIP"] for pod in pods if pod["status"]["phase"] == "Running"}
    ended = [pod["status"]["podIP"] for pod in pods if pod["status"]["phase"] in ("Succeeded", "Failed")]
    assert any(addr in running for addr in ended)
    assert any(addr not in running for addr in ended)


def test_owners_lead_to_objects(made: SynthResult) -> None:
    replica_sets = {(each["metadata"]["namespace"], each["metadata"]["name"]): each for each in kubernetes(made, "replicasets")}
    kinds = Counter()
    for pod in kubernetes(made, "pods"):
        (owner, *more) = pod["metadata"].get("ownerReferences", [{"kind": None}])
        assert not more
        kinds[owner["kind"]] += 1
        if owner["kind"] == "ReplicaSet":
            replica_set = replica_sets[pod["metadata"]["namespace"], owner["name"]]
            assert replica_set["metadata"]["uid"] == owner["uid"]
            assert replica_set["metadata"]["ownerReferences"][0]["kind"] == "Deployment"
            assert owner["name"].endswith("-" + pod["metadata"]["labels"]["pod-template-hash"])
            assert pod["metadata"]["name"].startswith(owner["name"] + "-")
    assert {"ReplicaSet", "DaemonSet", "Job"} <= set(kinds)


def test_references_resolve(made: SynthResult) -> None:
    vpcs = {vpc["VpcId"] for vpc in aws(made, "vpcs")}
    subnets = {subnet["SubnetId"]: subnet for subnet in aws(made, "subnets")}
    enis = {eni["NetworkInterfaceId"] for eni in aws(made, "network-interfaces")}
    instances = {r["Instances"][0]["InstanceId"] for r in aws(made, "instances")}
    tables = {table["RouteTableId"] for table in aws(made, "route-tables")}
    zones = {zone["ZoneName"]: zone["ZoneId"] for zone in aws(made, "availability-zones")}
    lists = {each["PrefixListId"] for each in aws(made, "managed-prefix-lists")}
    targets = {
        *(each["NatGatewayId"] for each in aws(made, "nat-gateways")),
        *(each["InternetGatewayId"] for each in aws(made, "internet-gateways")),
        *(each["VpcEndpointId"] for each in aws(made, "vpc-endpoints")),
        *(each["VpcPeeringConnectionId"] for each in aws(made, "vpc-peering-connections")),
        *(each["TransitGatewayId"] for each in aws(made, "transit-gateways")),
        "local",
    }
    assert {subnet["VpcId"] for subnet in subnets.values()} == vpcs
    assert all(zones[subnet["AvailabilityZone"]] == subnet["AvailabilityZoneId"] for subnet in subnets.values())
    for table in aws(made, "route-tables"):
        assert all(each["Main"] or each["SubnetId"] in subnets for each in table["Associations"])
        for route in table["Routes"]:
            keys = ("GatewayId", "NatGatewayId", "TransitGatewayId", "VpcPeeringConnectionId")
            (target,) = [route[key] for key in keys if key in route]
            assert (target in targets) == (route["State"] == "active")
            assert "DestinationCidrBlock" in route or route["DestinationPrefixListId"] in lists
    mains = [each for table in aws(made, "route-tables") for each in table["Associations"] if each["Main"]]
    assert len(mains) == len(vpcs)
    for endpoint in aws(made, "vpc-endpoints"):
        assert set(endpoint["NetworkInterfaceIds"]) <= enis
        assert set(endpoint["RouteTableIds"]) <= tables
    for eni in aws(made, "network-interfaces"):
        assert eni["Attachment"].get("InstanceId") in instances | {None}
    for name in lists:
        assert json.loads((made.snapshot / "aws/us-east-1/PrefixListEntries" / f"{name}.json").read_text())["Entries"]
    in_snapshot = [each["AccepterVpcInfo"]["VpcId"] in vpcs for each in aws(made, "vpc-peering-connections")]
    assert sorted(in_snapshot) == [False, True]


def test_services_point_to_running_pods(made: SynthResult) -> None:
    running = {pod["status"]["podIP"] for pod in kubernetes(made, "pods") if pod["status"]["phase"] == "Running"}
    control_plane = {e["PrivateIpAddress"] for e in aws(made, "network-interfaces") if e["Description"] == "Amazon EKS synth"}
    services = {(each["metadata"]["namespace"], each["metadata"]["name"]): each for each in kubernetes(made, "services")}
    for endpoint_slice in kubernetes(made, "endpointslices"):
        metadata = endpoint_slice["metadata"]
        assert (metadata["namespace"], metadata["labels"]["kubernetes.io/service-name"]) in services
        addresses = {addr for endpoint in endpoint_slice["endpoints"] for addr in endpoint["addresses"]}
        assert addresses <= (control_plane if metadata["name"] == "kubernetes" else running)
        assert len(endpoint_slice["endpoints"]) <= 100
    ips = [each["spec"]["clusterIP"] for each in services.values() if each["spec"]["clusterIP"] != "None"]
    assert len(ips) == len(set(ips))
    assert all(ipaddress.IPv4Address(ip) in ipaddress.IPv4Network("172.20.0.0/16") for ip in ips)
    assert services["kube-system", "kube-dns"]["spec"]["clusterIP"] == "172.20.0.10"
    assert services["default", "kubernetes"]["spec"]["clusterIP"] == "172.20.0.1"
    node_ports = [port["nodePort"] for each in services.values() for port in each["spec"]["ports"] if "nodePort" in port]
    assert len(node_ports) == len(set(node_ports))
    assert all(30000 <= port <= 32767 for port in node_ports)


def test_cni_settings_say_the_mode(made: SynthResult) -> None:
    (aws_node,) = [each for each in kubernetes(made, "daemonsets") if each["metadata"]["name"] == "aws-node"]
    (container,) = [c for c in aws_node["spec"]["template"]["spec"]["containers"] if c["name"] == "aws-node"]
    env = {each["name"]: each.get("value") for each in container["env"]}
    variant = made.folder.name
    assert env["ENABLE_PREFIX_DELEGATION"] == str(variant == "prefix").lower()
    assert env["AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG"] == str(variant == "custom").lower()
    assert env["AWS_VPC_K8S_CNI_EXTERNALSNAT"] == str(variant == "external-snat").lower()
    excluded = "172.16.0.0/12,10.200.0.0/16" if variant == "excluded" else None
    assert env.get("AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS") == excluded


def test_modes_give_addresses_where_they_should(made: SynthResult) -> None:
    nodes = [r["Instances"][0] for r in aws(made, "instances") if any(t["Key"] == "eks:cluster-name" for t in r["Instances"][0]["Tags"])]
    primaries = [each["NetworkInterfaces"][0] for each in nodes]
    further = [eni for each in nodes for eni in each["NetworkInterfaces"][1:]]
    if made.folder.name == "custom":
        assert all(len(held_by(eni)) == 1 for eni in primaries)
        assert all(addr in ipaddress.IPv4Network("100.64.0.0/10") for eni in further for addr in held_by(eni))
        assert {each["metadata"]["name"] for each in kubernetes(made, "eniconfigs")} == {"us-east-1a", "us-east-1b", "us-east-1c"}
    elif made.folder.name == "prefix":
        assert all(len(eni["PrivateIpAddresses"]) == 1 for eni in primaries + further)
        assert all(eni["Ipv4Prefixes"] for eni in primaries)
        assert further
    else:
        assert all(len(eni["PrivateIpAddresses"]) > 1 for eni in primaries + further)
        assert any("PublicIpAddress" in each for each in nodes)


@pytest.mark.parametrize("name", ["ip-rule.txt", "ip-route.txt"])
def test_every_node_has_its_dumps(made: SynthResult, name: str) -> None:
    names = {node["metadata"]["name"] for node in kubernetes(made, "nodes")}
    dumps: list[Path] = list((made.snapshot / "nodes").glob(f"*/{name}"))
    assert {path.parent.name for path in dumps} == names


def test_dumps_hold_what_each_pod_needs(made: SynthResult) -> None:
    for pod in kubernetes(made, "pods"):
        if pod["status"]["phase"] != "Running" or pod["spec"].get("hostNetwork"):
            continue
        folder, addr = made.snapshot / "nodes" / pod["spec"]["nodeName"], pod["status"]["podIP"]
        assert f"512:\tfrom all to {addr} lookup main\n" in (folder / "ip-rule.txt").read_text()
        assert f"\n{addr} dev eni" in (folder / "ip-route.txt").read_text()

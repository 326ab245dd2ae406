"""A second reasoning about a generated folder: text in, no object of the generator. Attribution by the files, the way out by `ip rule`."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

Network4 = ipaddress.IPv4Network
PROTOCOLS = {6: "TCP", 17: "UDP"}


class Owner(NamedTuple):
    """What a snapshot says about an address."""

    kind: str
    namespace: str | None = None
    pod: str | None = None
    owner_kind: str | None = None
    owner: str | None = None
    node: str | None = None
    eni: str | None = None
    subnet: str | None = None
    az: str | None = None
    vpc: str | None = None


@dataclass
class Reading:
    """The files of a snapshot folder, as look-up tables by text."""

    folder: Path
    owners: dict[str, dict[str, Owner]] = field(default_factory=dict)
    """Owner by VPC and address."""
    declared: dict[str, set[tuple[str, int]]] = field(default_factory=dict)
    """Protocol and port by `namespace/pod`."""
    hosts: dict[str, dict[str, set[tuple[str, int]]]] = field(default_factory=dict)
    """The same of host-network pods, by node."""
    nodes_with_pods: set[str] = field(default_factory=set)
    enis: dict[str, dict[str, Any]] = field(default_factory=dict)
    device: dict[tuple[str, int], str] = field(default_factory=dict)
    """Interface id by node and device number."""

    def __post_init__(self) -> None:
        self._read_network()
        self._read_cluster()

    def aws(self, name: str) -> list[dict[str, Any]]:
        return list(next(iter(json.loads((self.folder / "aws/us-east-1" / f"{name}.json").read_text()).values())))

    def kubernetes(self, name: str) -> list[dict[str, Any]]:
        return list(json.loads((self.folder / "kubernetes" / f"{name}.json").read_text())["items"])

    def _read_network(self) -> None:
        zones = {zone["ZoneName"]: zone["ZoneId"] for zone in self.aws("availability-zones")}
        self.blocks = {vpc["VpcId"]: [Network4(each["CidrBlock"]) for each in vpc["CidrBlockAssociationSet"]] for vpc in self.aws("vpcs")}
        self.subnets = [(s["VpcId"], Network4(s["CidrBlock"]), s["SubnetId"], zones[s["AvailabilityZone"]]) for s in self.aws("subnets")]
        self.main_vpc = max(self.blocks, key=lambda vpc: len(self.blocks[vpc]))
        for eni in self.aws("network-interfaces"):
            self.enis[eni["NetworkInterfaceId"]] = eni
            owner = Owner("ENI", eni=eni["NetworkInterfaceId"], subnet=eni["SubnetId"], az=zones[eni["AvailabilityZone"]], vpc=eni["VpcId"])
            held = [each["PrivateIpAddress"] for each in eni["PrivateIpAddresses"]]
            held += [str(addr) for each in eni.get("Ipv4Prefixes", []) for addr in Network4(each["Ipv4Prefix"])]
            self.owners.setdefault(eni["VpcId"], {}).update(dict.fromkeys(held, owner))
        self.peer_of = {}
        for peering in self.aws("vpc-peering-connections"):
            peer = peering["AccepterVpcInfo"]
            if peer["VpcId"] not in self.blocks:
                self.peer_of[peer["VpcId"]] = [Network4(each["CidrBlock"]) for each in peer["CidrBlockSet"]]
        entries = (self.folder / "aws/us-east-1/PrefixListEntries").glob("*.json")
        self.s3 = [Network4(each["Cidr"]) for path in entries for each in json.loads(path.read_text())["Entries"]]
        routes = [route for table in self.aws("route-tables") for route in table["Routes"]]
        self.on_prem = {Network4(route["DestinationCidrBlock"]) for route in routes if "TransitGatewayId" in route}

    def _read_cluster(self) -> None:
        node_of_instance = {node["spec"]["providerID"].split("/")[-1]: node["metadata"]["name"] for node in self.kubernetes("nodes")}
        replica_sets = {(each["metadata"]["namespace"], each["metadata"]["name"]): each for each in self.kubernetes("replicasets")}
        here = self.owners[self.main_vpc]
        for eni in self.enis.values():
            node = node_of_instance.get(eni["Attachment"].get("InstanceId", ""))
            if node is None:
                continue
            self.device[node, eni["Attachment"]["DeviceIndex"]] = eni["NetworkInterfaceId"]
            for addr, owner in list(here.items()):
                if owner.eni == eni["NetworkInterfaceId"]:
                    kind = "NODE" if addr == eni["PrivateIpAddress"] else "ENI"
                    here[addr] = owner._replace(kind=kind, node=node)
        for pod in self.kubernetes("pods"):
            if pod["status"]["phase"] != "Running":
                continue
            name, namespace, node = pod["metadata"]["name"], pod["metadata"]["namespace"], pod["spec"]["nodeName"]
            ports = {(port["protocol"], port["containerPort"]) for each in pod["spec"]["containers"] for port in each.get("ports", [])}
            self.declared[f"{namespace}/{name}"] = ports
            owner_kind = owner_name = None
            for reference in pod["metadata"].get("ownerReferences", []):
                owner_kind, owner_name = reference["kind"], reference["name"]
                if owner_kind == "ReplicaSet":
                    (above,) = replica_sets[namespace, owner_name]["metadata"]["ownerReferences"]
                    owner_kind, owner_name = above["kind"], above["name"]
            if pod["spec"].get("hostNetwork"):
                self.hosts.setdefault(node, {})[f"{namespace}/{name}/{owner_kind}/{owner_name}"] = ports
                continue
            self.nodes_with_pods.add(node)
            addr = pod["status"]["podIP"]
            here[addr] = here[addr]._replace(kind="POD", namespace=namespace, pod=name, owner_kind=owner_kind, owner=owner_name)
        self.node_ports = {
            (port["protocol"], port["nodePort"])
            for each in self.kubernetes("services")
            for port in each["spec"]["ports"]
            if "nodePort" in port
        }
        daemon_sets = {each["metadata"]["name"]: each for each in self.kubernetes("daemonsets")}
        container = daemon_sets["aws-node"]["spec"]["template"]["spec"]["containers"][0]
        env = {each["name"]: each.get("value") for each in container["env"]}
        self.external_snat = env["AWS_VPC_K8S_CNI_EXTERNALSNAT"] == "true"
        self.excluded = [Network4(each) for each in (env.get("AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS") or "").split(",") if each]

    def owner(self, addr: str, protocol: int, port: int) -> Owner:
        """MODEL.md section 1, for an address of either VPC: they do not overlap."""
        for held in self.owners.values():
            if addr in held:
                found = held[addr]
                if found.kind == "NODE" and found.node:
                    hosts = self.hosts.get(found.node, {})
                    declaring = [name for name, ports in hosts.items() if (PROTOCOLS.get(protocol), port) in ports]
                    if len(declaring) == 1:
                        namespace, pod, kind, name = declaring[0].split("/")
                        return found._replace(kind="HOST_POD", namespace=namespace, pod=pod, owner_kind=kind, owner=name)
                return found
        number = ipaddress.IPv4Address(addr)
        for vpc, block, subnet, az in self.subnets:
            if number in block:
                return Owner("SUBNET", subnet=subnet, az=az, vpc=vpc)
        for vpc, blocks in self.peer_of.items():
            if any(number in each for each in blocks):
                return Owner("PEER_VPC", vpc=vpc)
        if any(number in each for each in self.s3):
            return Owner("AWS_SERVICE")
        if any(number in each for each in self.on_prem):
            return Owner("ON_PREM")
        return Owner("INTERNET" if number.is_global else "UNKNOWN")

    def would_snat(self, addr: str) -> bool:
        number = ipaddress.IPv4Address(addr)
        return not self.external_snat and not any(number in each for each in [*self.blocks[self.main_vpc], *self.excluded])

    def declares(self, owner: Owner, protocol: int, port: int) -> bool:
        wanted = (PROTOCOLS.get(protocol, ""), port)
        if owner.kind == "POD":
            return wanted in self.declared[f"{owner.namespace}/{owner.pod}"]
        if owner.kind in ("NODE", "HOST_POD") and owner.node:
            hosts = self.hosts.get(owner.node, {}).values()
            return wanted == ("TCP", 10250) or wanted in self.node_ports or any(wanted in ports for ports in hosts)
        return False

    def opener(self, record: dict[str, Any], src: Owner, dst: Owner) -> str:
        """MODEL.md section 2."""
        flags = record.get("tcp_flags") or 0
        if flags & 0x02:
            return "DST" if flags & 0x10 else "SRC"
        if src.kind == "POD" and self.would_snat(record["dst"]):
            return "DST"
        protocol, src_port, dst_port = record["protocol"], record["srcport"], record["dstport"]
        if protocol not in PROTOCOLS:
            return "UNKNOWN"
        serves = self.declares(src, protocol, src_port), self.declares(dst, protocol, dst_port)
        if serves[0] == serves[1]:
            serves = src_port < 32768, dst_port < 32768
        if serves[0] == serves[1]:
            return "UNKNOWN"
        return "DST" if serves[0] else "SRC"

    def is_exact(self, record: dict[str, Any], src: Owner, dst: Owner, opener: str) -> bool:
        """Whether MODEL.md section 1 calls both ends EXACT."""
        for side, other_addr, outside in ((src, record["dst"], "DST"), (dst, record["src"], "SRC")):
            if side.kind == "UNKNOWN" or (side.kind == "ENI" and side.node):
                return False
            is_primary = side.eni is not None and self.enis[side.eni]["Attachment"]["DeviceIndex"] == 0
            hides_pods = side.kind == "NODE" and side.node in self.nodes_with_pods and is_primary
            if hides_pods and self.would_snat(other_addr) and opener != outside:
                return False
        return True

    def is_legible(self, addr: str) -> bool:
        """Whether an address of a default-format record stands for itself."""
        for held in self.owners.values():
            eni = self.enis.get(held[addr].eni or "") if addr in held else None
            if eni and eni["PrivateIpAddress"] == addr and (len(eni["PrivateIpAddresses"]) > 1 or eni.get("Ipv4Prefixes")):
                return False
        return True

    def way_out(self, node: str, src: str, dst: str, *, is_marked: bool) -> tuple[int, str, str | None]:
        """Priority, table and interface by the node's own dumps: first rule whose table has a route, longest prefix in it."""
        rules = (self.folder / "nodes" / node / "ip-rule.txt").read_text().splitlines()
        routes = (self.folder / "nodes" / node / "ip-route.txt").read_text().splitlines()
        for line in rules:
            priority, _, rest = line.partition(":\t")
            words = rest.split()
            table = words[words.index("lookup") + 1]
            selects = words[1] in ("all", src)
            selects = selects and ("to" not in words or words[words.index("to") + 1] == dst)
            selects = selects and ("fwmark" not in words or is_marked)
            device = _route(routes, table, dst) if selects else None
            if device is not None:
                is_eni = device.startswith("ens")
                return int(priority), table, self.device[node, int(device[3:]) - 5] if is_eni and table != "local" else None
        raise AssertionError(f"{node}: no route for {dst}")


def _route(routes: list[str], table: str, dst: str) -> str | None:
    best: tuple[int, str] | None = None
    for line in routes:
        words = line.split()
        if words[0] in ("local", "broadcast"):
            words = words[1:]
        of_table = words[words.index("table") + 1] if "table" in words else "main"
        block = Network4("0.0.0.0/0" if words[0] == "default" else words[0])
        if of_table == table and ipaddress.IPv4Address(dst) in block and (best is None or block.prefixlen > best[0]):
            best = block.prefixlen, words[words.index("dev") + 1]
    return best[1] if best else None


def records_with_truth(folder: Path) -> list[dict[str, Any]]:
    """All OK rows of all logs, each with its truth columns; `src`, `dst` are packet addresses where the log has them."""
    rows: list[dict[str, Any]] = []
    for log in sorted((folder / "logs").rglob("*.parquet")):
        truth = str(log).replace("/logs/", "/truth/") + ".truth.parquet"
        left = duckdb.sql(f"select * from read_parquet('{log}', hive_partitioning=false)").to_arrow_table().to_pylist()
        right = duckdb.sql(f"select * from read_parquet('{truth}', hive_partitioning=false)").to_arrow_table().to_pylist()
        assert len(left) == len(right)
        for given, known in zip(left, right, strict=True):
            if given["log_status"] == "OK":
                ends = {"src": given.get("pkt_srcaddr", given["srcaddr"]), "dst": given.get("pkt_dstaddr", given["dstaddr"])}
                rows.append(given | known | ends)
    return rows

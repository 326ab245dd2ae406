"""The two ends of a flow, as the account knows them."""

from __future__ import annotations

from dataclasses import dataclass

from fastroute.synth.account import Account
from fastroute.synth.nouns import UDP_NAME, Eni, Node, Pod, Subnet
from fastroute.synth.workloads import KUBELET_PORT
from fastroute.vocab import TCP, UDP, Kind

HOST_KINDS = frozenset({Kind.NODE, Kind.HOST_POD})
PROTOCOLS = {TCP: "TCP", UDP: UDP_NAME}

END_COLUMNS = ("kind", "k8s_namespace", "k8s_pod", "k8s_owner_kind", "k8s_owner", "node", "eni", "subnet_id", "az_id", "vpc_id")


@dataclass(slots=True, frozen=True)
class End:
    """One end: what its address belongs to. Two ends are equal when they are the same thing at the same address."""

    kind: Kind
    addr: int
    pod: Pod | None = None
    node: Node | None = None
    eni: Eni | None = None
    subnet: Subnet | None = None
    vpc_id: str | None = None

    @property
    def is_warm(self) -> bool:
        """An address of a node's interface that no pod holds."""
        return self.kind is Kind.ENI and self.node is not None

    @property
    def columns(self) -> tuple[str | None, ...]:
        """Values of `END_COLUMNS`; nothing but the kind of an unknown end."""
        pod, subnet = self.pod, self.subnet
        workload = pod.workload if pod else None
        has_owner = workload is not None and workload.kind != "Pod"
        return (
            self.kind.name,
            pod.namespace if pod else None,
            pod.name if pod else None,
            workload.kind if workload and has_owner else None,
            workload.name if workload and has_owner else None,
            self.node.name if self.node else None,
            self.eni.id if self.eni else None,
            subnet.id if subnet else None,
            subnet.zone.az_id if subnet else None,
            self.vpc_id,
        )


class Ends:
    """Makes the ends of an account's flows and knows which ports they declare."""

    def __init__(self, account: Account) -> None:
        self._node_ports = {
            (port.protocol, number) for service in account.services for port, number in zip(service.ports, service.node_ports, strict=False)
        }

    def pod(self, pod: Pod) -> End:
        """A pod by its own address, running or not."""
        assert pod.eni is not None
        return End(Kind.POD, pod.addr, pod, pod.node, pod.eni, pod.eni.subnet, pod.eni.vpc.id)

    def host(self, node: Node, protocol: int, port: int, eni: Eni | None = None) -> End:
        """A node by the primary address of one of its interfaces; the host-network pod where exactly one declares the port."""
        eni = eni or node.primary_eni
        name = PROTOCOLS.get(protocol)
        declaring = [
            pod
            for pod in node.pods
            if pod.host_network and any(each.number == port and each.protocol == name for part in pod.containers for each in part.ports)
        ]
        if len(declaring) == 1:
            return End(Kind.HOST_POD, eni.primary, declaring[0], node, eni, eni.subnet, eni.vpc.id)
        return End(Kind.NODE, eni.primary, None, node, eni, eni.subnet, eni.vpc.id)

    def eni(self, eni: Eni) -> End:
        """An interface outside the cluster, by its primary address."""
        return End(Kind.ENI, eni.primary, None, None, eni, eni.subnet, eni.vpc.id)

    def public(self, eni: Eni) -> End:
        """An interface outside the cluster, by its public address."""
        assert eni.public is not None
        return End(Kind.ENI, eni.public, None, None, eni, eni.subnet, eni.vpc.id)

    def warm(self, node: Node, addr: int, eni: Eni) -> End:
        """An address that a node keeps for pods to come."""
        return End(Kind.ENI, addr, None, node, eni, eni.subnet, eni.vpc.id)

    def unowned(self, addr: int, subnet: Subnet) -> End:
        """An address of a subnet that no interface has."""
        return End(Kind.SUBNET, addr, subnet=subnet, vpc_id=subnet.vpc.id)

    def outside(self, kind: Kind, addr: int, vpc_id: str | None = None) -> End:
        """An address beyond the account; `vpc_id` for a peered VPC."""
        return End(kind, addr, vpc_id=vpc_id)

    def declares(self, end: End, protocol: int, port: int) -> bool:
        """Whether the end says that it serves this port. Source: MODEL.md section 2, rule 3."""
        name = PROTOCOLS.get(protocol)
        if end.kind is Kind.POD and end.pod is not None:
            return any(each.number == port and each.protocol == name for part in end.pod.containers for each in part.ports)
        if end.kind is Kind.HOST_POD:
            return True
        if end.kind is Kind.NODE and end.node is not None:
            if (protocol, port) == (TCP, KUBELET_PORT) or (name, port) in self._node_ports:
                return True
            hosts = (pod for pod in end.node.pods if pod.host_network)
            return any(each.number == port and each.protocol == name for pod in hosts for part in pod.containers for each in part.ports)
        return False

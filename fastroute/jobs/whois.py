"""Who is behind a name or an address: identity, interface, place, and what of the node's state concerns it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from ipaddress import ip_address

from fastroute.cni import NodePlan
from fastroute.cni.naming import device_name, table_of_eni
from fastroute.datapath.explain import Explainer
from fastroute.datapath.owners import End
from fastroute.errors import EndpointError
from fastroute.jobs.trace import end_columns
from fastroute.netns.model import table_text
from fastroute.topology import Eni, Node, Pod, Topology
from fastroute.topology.endpoints import resolve


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface of a node: what it holds, and what of that is in use."""

    eni: str
    device: str
    device_number: int
    table: str
    subnet_id: str
    primary_addr: str
    prefixes: tuple[str, ...]
    used: tuple[str, ...]
    warm: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Whois:
    """`found` in the columns of the output; containers and ports for a pod; interfaces for a node."""

    asked: str
    found: dict[str, str | None]
    containers: tuple[str, ...]
    interfaces: tuple[Interface, ...]
    veth: str | None
    rules: tuple[str, ...]
    note: str

    def to_dict(self) -> dict[str, object]:
        """Plain data."""
        return asdict(self)


def whois(topology: Topology, asked: str, vpc_id: str | None = None, explainer: Explainer | None = None) -> Whois:
    """Say who an address, pod, node, interface or instance is.

    Raises
    ------
    EndpointError
        The snapshot holds nothing of that name, or several VPCs could be meant.
    """
    explainer = Explainer(topology) if explainer is None else explainer
    place = resolve(explainer.index, asked)
    space = vpc_id or place.vpc_id or next(iter(topology.vpcs), "")
    if vpc_id is None and place.vpc_id is None and len(topology.vpcs) > 1:
        public = explainer.index.eni_of_public_address.get(place.addr)
        if public is None and ip_address(place.addr).is_private:
            raise EndpointError(f"{place.addr} is in no VPC of the snapshot, or in several; name the one to ask in: --vpc {' | '.join(topology.vpcs)}")
    end = explainer.owners.find(space, ip_address(place.addr))
    pod = topology.pods.get(asked)
    plan = explainer.owners.plan(end.node) if end.node is not None else None
    return Whois(
        asked=asked,
        found={key.removeprefix("_"): value for key, value in end_columns(end, "").items()},
        containers=_containers(pod or end.pod),
        interfaces=_interfaces(explainer, end.node) if pod is None and end.node is not None and end.pod is None else (),
        veth=next((a.veth for a in plan.pods if a.addr == place.addr), None) if isinstance(plan, NodePlan) else None,
        rules=_rules(explainer, end, place.addr),
        note=_note(end),
    )


def _containers(pod: Pod | None) -> tuple[str, ...]:
    if pod is None:
        return ()
    return tuple(
        f"{container.name}{' (init)' if container.is_init else ''}"
        + (": " + ", ".join(f"{port.number}/{port.protocol}" for port in container.ports) if container.ports else "")
        for container in pod.containers
    )


def _interfaces(explainer: Explainer, node: Node) -> tuple[Interface, ...]:
    held_by_pods = {
        addr for pod in explainer.index.pods_of_node.get(node.name, []) if not pod.is_host_network for addr in pod.addrs
    }
    return tuple(_interface(explainer, eni, held_by_pods) for eni in explainer.index.enis_of_node(node))


def _interface(explainer: Explainer, eni: Eni, held_by_pods: set[str]) -> Interface:
    further = [held.addr for held in eni.addresses if not held.is_primary]
    in_prefixes = [addr for addr in held_by_pods if explainer.index.eni_holding(eni.vpc_id, addr) is eni and addr not in further]
    return Interface(
        eni=eni.id,
        device=device_name(eni),
        device_number=eni.device_number,
        table=table_text(table_of_eni(eni)),
        subnet_id=eni.subnet_id,
        primary_addr=eni.addresses[0].addr if eni.addresses else "",
        prefixes=eni.prefixes,
        used=tuple(sorted((*(addr for addr in further if addr in held_by_pods), *in_prefixes), key=ip_address)),
        warm=tuple(addr for addr in further if addr not in held_by_pods),
    )


def _rules(explainer: Explainer, end: End, addr: str) -> tuple[str, ...]:
    """The node's policy rules that name the address, as `ip rule` would print them."""
    if end.node is None:
        return ()
    return tuple(explainer.rules_naming(end.node, addr))


def _note(end: End) -> str:
    if end.is_warm:
        return "held by an interface of the node, by no pod now"
    if end.unmodelled is not None:
        return end.unmodelled.value
    if end.is_public:
        return "public address of the interface"
    return ""

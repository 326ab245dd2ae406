"""Who is behind a name or an address: identity, interface, place, and what of the node's state concerns it."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import msgspec

from fastroute.api.moments import Moments
from fastroute.api.trace import end_columns
from fastroute.cni import NodePlan
from fastroute.datapath.owners import End
from fastroute.errors import EndpointError
from fastroute.topology import Pod
from fastroute.topology.endpoints import resolve
from fastroute.topology.tenure import Tenure
from fastroute.topology.times import Moment, parse_moment
from fastroute.topology.views import NodeView, node_view


@dataclass(frozen=True, slots=True)
class Whois:
    """`found` in the columns of the output; containers and ports for a pod; interfaces for a node; rules of the node that name it.

    `history`: who held the address, or what the pod held, one after the other. With a moment, all but it is of that moment.
    """

    asked: str
    found: dict[str, str | None]
    containers: tuple[str, ...]
    node: NodeView | None
    veth: str | None
    rules: tuple[str, ...]
    note: str
    history: tuple[dict[str, str | None], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


def whois(moments: Moments, asked: str, vpc_id: str | None = None, at: Moment | None = None) -> Whois:
    """Say who an address, pod, node, interface or instance is, or was at a moment.

    Raises
    ------
    EndpointError
        The snapshot holds nothing of that name, or several VPCs could be meant.
    InputError
        The moment is no time, or has no zone.
    """
    explainer = moments.explainer_at(at)
    topology = explainer.topology
    place = resolve(explainer.index, asked)
    space = vpc_id or place.vpc_id
    if space is None:
        is_public = place.addr in explainer.index.eni_of_public_address or ip_address(place.addr).is_global
        if len(topology.vpcs) > 1 and not is_public:
            vpcs = " | ".join(topology.vpcs)
            raise EndpointError(f"{place.addr} is in no VPC of the snapshot, or in several; name the one to ask in: --vpc {vpcs}")
        space = next(iter(topology.vpcs), "")
    end = explainer.owners.find(space, ip_address(place.addr))
    history = moments.history_of_pod(asked) if asked in topology.pods else moments.history_of(place.addr)
    pod = topology.pods.get(asked, end.pod)
    plan = explainer.owners.plan(end.node) if end.node is not None else None
    return Whois(
        asked=asked,
        found={key.removeprefix("_"): value for key, value in end_columns(end, "").items()},
        containers=_containers(pod),
        node=node_view(explainer.index, end.node) if pod is None and end.node is not None else None,
        veth=next((a.veth for a in plan.pods if a.addr == place.addr), None) if isinstance(plan, NodePlan) else None,
        rules=tuple(explainer.rules_naming(end.node, place.addr)) if end.node is not None else (),
        note=_note(end, pod) or (_note_of_moment(history, parse_moment(at)) if at is not None else ""),
        history=tuple(tenure.to_dict() for tenure in history),
    )


def _note_of_moment(history: tuple[Tenure, ...], moment: int) -> str:
    """Where the moment does not decide between owners, or nobody is sure to have been one."""
    possible = [tenure for tenure in history if tenure.meets(moment, moment)]
    if len(possible) > 1:
        return f"at that time possibly {' or '.join(tenure.pod.key for tenure in possible)}"
    if possible and not possible[0].covers(moment, moment):
        return f"{possible[0].pod.key} was not seen at that time, but before or after"
    return ""


def _containers(pod: Pod | None) -> tuple[str, ...]:
    found = []
    for container in pod.containers if pod is not None else ():
        ports = ", ".join(f"{port.number}/{port.protocol}" for port in container.ports)
        found.append(container.name + (" (init)" if container.is_init else "") + (f": {ports}" if ports else ""))
    return tuple(found)


def _note(end: End, pod: Pod | None) -> str:
    if pod is not None and pod.is_host_network:
        return f"{pod.key} shares its node's address"
    if end.is_warm:
        return "held by an interface of the node, by no pod now"
    if end.unmodelled is not None:
        return end.unmodelled.value
    return "public address of the interface" if end.is_public else ""

"""One flow explained: from two names to the hops of its path."""

from __future__ import annotations

from dataclasses import dataclass

from fastroute.datapath import Explainer, Explanation, Flow
from fastroute.datapath.owners import End
from fastroute.errors import EndpointError
from fastroute.topology import Topology
from fastroute.topology.endpoints import Place, resolve, split_port
from fastroute.vocab import ICMP, SCTP, TCP, UDP, Attribution, Kind

PROTOCOLS = {"tcp": TCP, "udp": UDP, "icmp": ICMP, "sctp": SCTP}
DEFAULT_SRC_PORT = 40000
"""An ephemeral port: simulated flows are opened by their source."""


@dataclass(frozen=True, slots=True)
class Question:
    """Two ends as people name them; a port may follow the destination's name."""

    src: str
    dst: str
    protocol: str = "tcp"
    vpc_id: str | None = None


def trace(explainer: Explainer, question: Question) -> Explanation:
    """Walk one simulated flow.

    Raises
    ------
    EndpointError
        An end is not in the snapshot, or it does not tell in which VPC the addresses are meant.
    """
    src_name, _ = split_port(question.src)
    dst_name, dst_port = split_port(question.dst)
    src, dst = resolve(explainer.index, src_name), resolve(explainer.index, dst_name)
    vpc_id = question.vpc_id or _vpc_of(explainer.topology, src, dst)
    has_ports = question.protocol != "icmp"
    flow = Flow(src.addr, dst.addr, PROTOCOLS[question.protocol], DEFAULT_SRC_PORT if has_ports else -1, dst_port if has_ports else -1)
    return explainer.explain(flow, vpc_id)


def _vpc_of(topology: Topology, src: Place, dst: Place) -> str:
    """Whose address space the flow is in: the source's, else the destination's, else the only VPC's."""
    known = src.vpc_id or dst.vpc_id
    if known is not None:
        return known
    if len(topology.vpcs) <= 1:
        return next(iter(topology.vpcs), "")
    vpcs = " | ".join(topology.vpcs)
    raise EndpointError(f"neither {src.addr} nor {dst.addr} is in exactly one VPC of the snapshot; name the one to ask in: --vpc {vpcs}")


def end_columns(end: End, side: str) -> dict[str, str | None]:
    """An end in the columns of the output."""
    pod, service = end.pod, end.service
    return {
        f"{side}_addr": str(end.addr),
        f"{side}_kind": end.kind.name,
        f"{side}_k8s_namespace": pod.namespace if pod else service.namespace if service else None,
        f"{side}_k8s_pod": pod.name if pod else None,
        f"{side}_k8s_owner_kind": pod.owner_kind if pod else None,
        f"{side}_k8s_owner": pod.owner if pod else None,
        f"{side}_node": end.node.name if end.node else None,
        f"{side}_eni": end.eni.id if end.eni else None,
        f"{side}_subnet_id": end.subnet.id if end.subnet else None,
        f"{side}_az_id": (end.subnet.az_id or None) if end.subnet else None,
        f"{side}_vpc_id": None if end.kind is Kind.SERVICE else end.eni.vpc_id if end.eni else end.vpc_id or None,
    }


def to_dict(explanation: Explanation) -> dict[str, object]:
    """The answer as plain data, in the columns of the output, with the hops; `reply` is the way of the packets that answer."""
    path, reply = explanation.path, explanation.reply
    worse = max(explanation.src_attribution, explanation.dst_attribution)
    return {
        **end_columns(explanation.src, "src"),
        **end_columns(explanation.dst, "dst"),
        "protocol": explanation.flow.protocol,
        "dst_port": explanation.flow.dst_port if explanation.flow.dst_port >= 0 else None,
        "opener": explanation.opener.name,
        "form": explanation.form.name if explanation.form is not None else None,
        "path_class": path.path_class.name,
        "disposition": path.disposition.name,
        "reason": path.reason or None,
        "out_eni": path.out_eni,
        "in_eni": path.in_eni,
        "rule_priority": path.rule_priority,
        "table": path.table,
        "wire_src": path.wire_src,
        "attribution": Attribution(worse).name,
        "hops": [hop._asdict() for hop in path.hops],
        "reply_out_eni": reply.out_eni if reply is not None else None,
        "symmetric": explanation.is_symmetric,
        "reply": {
            "path_class": reply.path_class.name,
            "disposition": reply.disposition.name,
            "reason": reply.reason or None,
            "out_eni": reply.out_eni,
            "in_eni": reply.in_eni,
            "rule_priority": reply.rule_priority,
            "table": reply.table,
            "hops": [hop._asdict() for hop in reply.hops],
        }
        if reply is not None
        else None,
    }

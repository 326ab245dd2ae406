"""What holds between two snapshots: the earlier one, and what only the later one has seen."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple, TypeVar

from fastroute.topology.model import Eni, EniAddress, Pod, Topology

T = TypeVar("T")


class EpochTopology(NamedTuple):
    """A topology, and the ids of the interfaces and the names of the nodes in it that only one of the two snapshots has seen."""

    topology: Topology
    unsure: frozenset[str]


def epoch_topology(current: Topology, following: Topology | None) -> EpochTopology:
    """Join the nodes and interfaces that a snapshot and the next one have seen.

    Routes, subnets, gateways, Services and settings are those of `current` until the next snapshot. An address that moved between
    interfaces is where it was.

    Parameters
    ----------
    following : Topology or None
        None for the newest snapshot, which holds from then on.
    """
    if following is None:
        return EpochTopology(current, frozenset())
    enis = {**_only_in(following.enis, current.enis), **current.enis}
    for eni_id in current.enis.keys() & following.enis.keys():
        enis[eni_id] = _joined(current.enis[eni_id], following.enis[eni_id])
    unsure = (current.enis.keys() ^ following.enis.keys()) | (current.nodes.keys() ^ following.nodes.keys())
    topology = replace(
        current,
        enis=enis,
        nodes={**current.nodes, **_only_in(following.nodes, current.nodes)},
        instances={**current.instances, **_only_in(following.instances, current.instances)},
        pods={**current.pods, **{key: pod for key, pod in _only_in(following.pods, current.pods).items() if _is_host_pod(pod)}},
        assignments=(),
    )
    return EpochTopology(topology, frozenset(unsure))


def _only_in(these: dict[str, T], those: dict[str, T]) -> dict[str, T]:
    return {key: value for key, value in these.items() if key not in those}


def _is_host_pod(pod: Pod) -> bool:
    """Host-network pods share their node's address; tenures tell from when on."""
    return pod.is_host_network and pod.holds_address


def _joined(eni: Eni, later: Eni) -> Eni:
    """An interface with the addresses of both times; its primary address never changes."""
    if (eni.addresses, eni.prefixes, eni.addresses6, eni.prefixes6) == (later.addresses, later.prefixes, later.addresses6, later.prefixes6):
        return eni
    known = {held.addr for held in eni.addresses}
    return replace(
        eni,
        addresses=(*eni.addresses, *(EniAddress(held.addr, False, held.public_addr) for held in later.addresses if held.addr not in known)),
        prefixes=tuple(dict.fromkeys((*eni.prefixes, *later.prefixes))),
        addresses6=tuple(dict.fromkeys((*eni.addresses6, *later.addresses6))),
        prefixes6=tuple(dict.fromkeys((*eni.prefixes6, *later.prefixes6))),
    )

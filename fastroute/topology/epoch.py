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
    enis = {**current.enis, **_only_in(following.enis, current.enis)}
    held = {(eni.vpc_id, text) for eni in current.enis.values() for text in _texts_of(eni)}
    for eni_id, eni in current.enis.items():
        if eni_id in following.enis:
            enis[eni_id] = _joined(eni, following.enis[eni_id], held)
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


def _texts_of(eni: Eni) -> tuple[str, ...]:
    """Every address and prefix of an interface."""
    return (*(each.addr for each in eni.addresses), *eni.prefixes, *eni.addresses6, *eni.prefixes6)


def _joined(eni: Eni, later: Eni, held: set[tuple[str, str]]) -> Eni:
    """An interface with the addresses of both times, less those that another one holds at the earlier; its primary one never changes."""
    if set(_texts_of(later)) <= set(_texts_of(eni)):
        return eni

    def new(texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(text for text in texts if (eni.vpc_id, text) not in held)

    return replace(
        eni,
        addresses=(
            *eni.addresses,
            *(EniAddress(each.addr, False, each.public_addr) for each in later.addresses if (eni.vpc_id, each.addr) not in held),
        ),
        prefixes=(*eni.prefixes, *new(later.prefixes)),
        addresses6=(*eni.addresses6, *new(later.addresses6)),
        prefixes6=(*eni.prefixes6, *new(later.prefixes6)),
    )

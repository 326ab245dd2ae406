"""Names of ends, resolved by what an engine was made from."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from fastroute.errors import EndpointError
from fastroute.topology import TopologyIndex
from fastroute.topology.endpoints import resolve


class TopologyNames:
    """Every name of a topology: `namespace/pod`, `namespace/service`, nodes, interfaces, instances.

    Parameters
    ----------
    index : gives the topology's index; called with the first name, as logs hold none
    """

    def __init__(self, index: Callable[[], TopologyIndex]) -> None:
        self._make_index = index

    @cached_property
    def _index(self) -> TopologyIndex:
        return self._make_index()

    def address_of(self, name: str) -> tuple[str, str | None]:
        """Find the address of a name, and its VPC if the name tells.

        Raises
        ------
        EndpointError
            Nothing of that name; names the nearest.
        """
        place = resolve(self._index, name)
        return place.addr, place.vpc_id


class NoNames:
    """What an engine of compiled arrays alone knows of names: nothing."""

    def address_of(self, name: str) -> tuple[str, str | None]:
        """Refuse.

        Raises
        ------
        EndpointError
            Always.
        """
        raise EndpointError(
            f"{name!r} is no address, and compiled arrays alone hold no names to resolve; load the snapshot, or ask by address"
        )

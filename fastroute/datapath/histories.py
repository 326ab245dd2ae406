"""Addresses that changed hands: the rows of everyone who held one, and of what an answer may say where several may have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace

from fastroute.datapath.node_rows import PodRows
from fastroute.datapath.ownership import Ownership, Place, Row
from fastroute.datapath.state import Reason, RowFlag, Source
from fastroute.topology.tenure import Tenure, in_order
from fastroute.vocab import Attribution

_WHO = ("namespace", "pod", "owner_kind", "owner")
_WHERE = ("node", "eni", "subnet", "az", "vpc")
_WAY = ("source", "reason", "row_flags", *_WHERE, "space", "profile_eni", "rule", "table")
_NOBODY: dict[str, object] = {"source": Source.UNDECIDED, "reason": Reason.REUSED, "profile_eni": None, "rule": -1, "table": None}


@dataclass(frozen=True, slots=True)
class AddressHistory:
    """Everyone who held one address, in order.

    `pairs[i]` stands for tenures i and i + 1 together, `whole` for any more; `background` for nobody of them.
    """

    tenures: tuple[Tenure, ...]
    rows: tuple[Row, ...]
    pairs: tuple[Row, ...]
    whole: Row
    background: Row


def claim_histories(owners: Ownership, pod_rows: PodRows, tenures: Iterable[Tenure], background: dict[Place, Row | None]) -> None:
    """Note the history of every address that was not one pod's for all time.

    Parameters
    ----------
    background : who would have each address of a pod of the snapshot if no pod had it; None where that is no claim of its own
    """
    held: defaultdict[Place, list[tuple[Tenure, Row]]] = defaultdict(list)
    for tenure in tenures:
        if tenure.pod.is_host_network:
            owners.host_tenures[tenure.pod.key] = tenure
            continue
        place, row = pod_rows.row_of(tenure.pod, tenure.addr)
        if place is not None:
            held[place].append((tenure, row))
    for place, holders in held.items():
        if len(holders) == 1 and holders[0][0].is_endless:
            continue
        space, prefix = place
        otherwise = background[place] if place in background else owners.prefixes[space].get(prefix)
        nobody = replace(otherwise or owners.holder_around(place), host_pods=())
        owners.prefixes[space].setdefault(prefix, nobody)
        row_of_pod = {id(tenure.pod): row for tenure, row in holders}
        ordered = in_order(tenure for tenure, _ in holders)
        rows = tuple(row_of_pod[id(tenure.pod)] for tenure in ordered)
        owners.histories[place] = AddressHistory(
            tenures=tuple(ordered),
            rows=rows,
            pairs=tuple(merged(rows[i : i + 2]) for i in range(len(rows) - 1)),
            whole=merged(rows),
            background=nobody,
        )


def merged(rows: Sequence[Row]) -> Row:
    """One row for several owners: what they have in common. The way is known where nothing that decides it differs."""
    first = rows[0]
    if all(row == first for row in rows):
        return first

    def common(name: str, otherwise: object) -> object:
        value = getattr(first, name)
        return value if all(getattr(row, name) == value for row in rows) else otherwise

    is_one_way = all(getattr(row, name) == getattr(first, name) for row in rows for name in _WAY)
    changes: dict[str, object] = {name: common(name, None) for name in _WHO} | {"ports": common("ports", -1), "veth": common("veth", "")}
    flags = first.row_flags
    for row in rows:
        flags &= row.row_flags
    if not is_one_way:
        changes |= _NOBODY | {name: common(name, None) for name in _WHERE}
        flags &= ~RowFlag.POD_ROUTE
    values = {field.name: getattr(first, field.name) for field in fields(first)}
    return Row(**{**values, **changes, "attribution": Attribution.AMBIGUOUS, "row_flags": flags | RowFlag.REUSED})

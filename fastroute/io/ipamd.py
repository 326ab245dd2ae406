"""What ipamd tells about a node: `enis.json` in its old and new shapes, and the checkpoint `ipam.json`."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface
from typing import Any

from fastroute.netns.model import Prefix
from fastroute.topology import Assignment
from fastroute.topology.times import seconds_of

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class IpamdAddr:
    """An address that ipamd has handed out, or could; `pod` is `namespace/name`, empty where none has it.

    Since when it has been assigned, and when it was given back last: seconds since 1970, None where not told.
    """

    family: int
    addr: int
    is_assigned: bool = False
    pod: str = ""
    assigned: int | None = None
    released: int | None = None


@dataclass(frozen=True, slots=True)
class IpamdEni:
    """One ENI as ipamd sees it. `table_id` is -1 before v1.20, `network_card` 0 before cards were told apart."""

    eni_id: str
    device_number: int
    network_card: int = 0
    is_primary: bool = False
    is_trunk: bool = False
    is_excluded: bool = False
    table_id: int = -1
    subnet_id: str = ""
    prefixes: tuple[tuple[int, Prefix], ...] = ()
    addrs: tuple[IpamdAddr, ...] = ()


@dataclass(frozen=True, slots=True)
class Allocation:
    """One line of the checkpoint: a pod's address, and since when (seconds since 1970). Host-network and branch pods are not in it."""

    pod: str
    family: int
    addr: int
    interface: str = ""
    container_id: str = ""
    assigned: int | None = None


def last_json(text: str) -> object:
    """Decode the last of several JSON values: a collector that ran twice appends to its files.

    Raises
    ------
    ValueError
        No whole JSON value in the text.
    """
    decoder = json.JSONDecoder()
    position, value, found = 0, None, False
    while position < len(text):
        while position < len(text) and text[position].isspace():
            position += 1
        if position == len(text):
            break
        try:
            value, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            if found:
                break
            raise ValueError(f"no JSON: {str(error)[:100]}") from error
        found = True
    if not found:
        raise ValueError("no JSON: empty")
    return value


def read_enis(text: str) -> tuple[tuple[IpamdEni, ...], tuple[str, ...]]:
    """Read `/v1/enis`: keyed by network card (v1.20 on), the inner object alone (before), or pools of addresses (v1.8 and before).

    Returns
    -------
    enis, problems
        Nothing is raised: what cannot be read is named.
    """
    try:
        value = last_json(text)
    except ValueError as error:
        return (), (str(error),)
    if not isinstance(value, dict):
        return (), ("enis.json is not an object",)
    if "AvailableCommands" in value:
        return (), ("the introspection endpoint answered with its list of commands: this path is not one of them",)
    cards = (
        {0: value}
        if "ENIs" in value or "ENIIPPools" in value
        else {int(k): v for k, v in value.items() if str(k).isdecimal() and len(k) < 4}
    )
    enis: list[IpamdEni] = []
    problems: list[str] = []
    for card, store in cards.items():
        pools = store.get("ENIs", store.get("ENIIPPools")) if isinstance(store, dict) else None
        if not isinstance(pools, dict):
            problems.append(f"network card {card}: no ENIs in it")
            continue
        for eni_id, pool in pools.items():
            try:
                enis.append(eni_of(eni_id, pool, card))
            except (ValueError, TypeError, AttributeError, KeyError) as error:
                problems.append(f"{eni_id}: {error}")
    if not cards:
        problems.append("no ENIs in it")
    return tuple(enis), tuple(problems)


def eni_of(eni_id: str, pool: Json, card: int) -> IpamdEni:
    """Make one ENI of its pool."""
    addrs: list[IpamdAddr] = []
    prefixes: list[tuple[int, Prefix]] = []
    for key in ("AvailableIPv4Cidrs", "IPv6Cidrs"):
        for text, cidr in (pool.get(key) or {}).items():
            network = ip_interface(text if "/" in text else f"{text}/{mask_len(cidr)}").network
            prefixes.append((network.version, Prefix(int(network.network_address), network.prefixlen)))
            addrs += [addr_of(addr, row) for addr, row in (cidr.get("IPAddresses") or {}).items()]
    for addr, row in (pool.get("IPv4Addresses") or {}).items():
        addrs.append(addr_of(addr, row))
        prefixes.append((4, Prefix(addrs[-1].addr, 32)))
    return IpamdEni(
        eni_id=str(pool.get("ID") or eni_id),
        device_number=int(pool.get("DeviceNumber", -1)),
        network_card=card,
        is_primary=bool(pool.get("IsPrimary")),
        is_trunk=bool(pool.get("IsTrunk")),
        is_excluded=bool(pool.get("IsExcludedForPodIPs")),
        table_id=int(pool.get("RouteTableID", -1)),
        subnet_id=str(pool.get("SubnetID", "")),
        prefixes=tuple(prefixes),
        addrs=tuple(addrs),
    )


def mask_len(cidr: Json) -> int:
    """Decode the mask, base64 of its bytes: `/////w==` is 32, `////8A==` is 28."""
    return int.from_bytes(base64.b64decode(cidr["Cidr"]["Mask"]), "big").bit_count()


def addr_of(text: str, row: Json) -> IpamdAddr:
    """Make one address: assigned where its key has a network name, or (old) a container or the word Assigned."""
    parsed = ip_address(text)
    key = row.get("IPAMKey") or {}
    metadata = row.get("IPAMMetadata") or {}
    pod = f"{metadata['k8sPodNamespace']}/{metadata['k8sPodName']}" if metadata.get("k8sPodName") else ""
    assigned = bool(key.get("networkName") or key.get("containerID") or row.get("Assigned"))
    since, until = (seconds_of(row.get(name)) for name in ("AssignedTime", "UnassignedTime"))
    return IpamdAddr(parsed.version, int(parsed), assigned, pod, since if assigned else None, until)


def read_ipam(text: str) -> tuple[tuple[Allocation, ...], tuple[str, ...]]:
    """Read the checkpoint.

    Returns
    -------
    allocations, problems
    """
    try:
        value = last_json(text)
    except ValueError as error:
        return (), (str(error),)
    rows = value.get("allocations") if isinstance(value, dict) else None
    if not isinstance(rows, list):
        return (), ("no allocations in it",)
    allocations: list[Allocation] = []
    problems: list[str] = []
    for position, row in enumerate(rows):
        try:
            metadata = row.get("metadata") or {}
            pod = f"{metadata['k8sPodNamespace']}/{metadata['k8sPodName']}" if metadata.get("k8sPodName") else ""
            parsed = ip_address(row.get("ipv4") or row.get("ipv6"))
            nanoseconds = int(row.get("allocationTimestamp") or 0)
            since = nanoseconds // 10**9 if nanoseconds > 0 else None
            allocations.append(
                Allocation(pod, parsed.version, int(parsed), str(row.get("ifName", "")), str(row.get("containerID", "")), since)
            )
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            problems.append(f"allocations[{position}]: {error}")
    return tuple(allocations), tuple(problems)


def assignments_of(node: str, enis: tuple[IpamdEni, ...], allocations: tuple[Allocation, ...]) -> tuple[Assignment, ...]:
    """What both files of a node tell of its addresses' times; the checkpoint's times are those that survive a restart of ipamd."""
    found: dict[tuple[int, int], Assignment] = {}
    for addr in (addr for eni in enis for addr in eni.addrs):
        if addr.assigned is not None or addr.released is not None:
            found[addr.family, addr.addr] = Assignment(_text_of(addr.family, addr.addr), node, addr.pod, addr.assigned, addr.released)
    for line in allocations:
        if line.pod and line.assigned is not None:
            key = line.family, line.addr
            before = found.get(key)
            found[key] = Assignment(_text_of(*key), node, line.pod, line.assigned, before.released if before is not None else None)
    return tuple(found.values())


def _text_of(family: int, addr: int) -> str:
    return str(IPv4Address(addr) if family == 4 else IPv6Address(addr))

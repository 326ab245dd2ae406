"""What a node's own files tell besides its rules: ipamd's interfaces and pods, the plugin's settings, and its netfilter rules in short."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from fastroute.cni.drift import Exclusion, KnownEni, KnownPod, MarkState, NodeFacts, prefix_of, veth_hashes
from fastroute.cni.naming import CARD_TABLE_BASE, CARD_TABLE_STRIDE
from fastroute.cni.settings import CniSettings, read_settings
from fastroute.io.ipamd import IpamdEni
from fastroute.io.netfilter import CONNMARK_CHAIN, NFT_TABLE, SNAT_CHAIN, Netfilter, NetfilterRule, cni_marks
from fastroute.io.nodedump import NodeDump
from fastroute.netns.model import ADDR_BITS, TABLE_MAIN, Prefix

IPTABLES_TABLES = frozenset({"raw", "mangle", "nat", "filter"})
EGRESS_CHAIN = re.compile(r"CNI-E4-\w+")
OTHER_BACK_END = re.compile(r"(?:iptables|ip6tables)-legacy tables present|table \S+ is incompatible")
EXCLUSION = re.compile("EXCLUSION")
"""In the comment of ranges that the settings exclude; the VPC's own have none."""


def facts_of_dump(dump: NodeDump) -> NodeFacts:
    """Collect what the node's files tell; what they do not is None."""
    settings = settings_of_dump(dump)
    enis = known_enis(dump.enis) if dump.enis else None
    pods = known_pods(dump, enis)
    family = 6 if pods and all(family == 6 for family, _ in pods) else 4
    return NodeFacts(
        family=family,
        enis=tuple(enis.values()) if enis is not None else None,
        pods=tuple(pod for version, pod in pods if version == family) if pods is not None else None,
        settings=settings,
        since_1_20=any(eni.table_id >= 0 for eni in dump.enis),
        vpc_prefixes=vpc_prefixes_of(dump, settings),
    )


def settings_of_dump(dump: NodeDump) -> CniSettings | None:
    """Read the settings that ipamd tells; None where it does not."""
    return read_settings(dump.cni_env)[0] if dump.cni_env is not None else None


def joined(snapshot: NodeFacts, own: NodeFacts) -> NodeFacts:
    """Prefer what was collected beside the rules: the node's own pods (branch pods are not among them) and settings."""
    pods = snapshot.pods
    if own.pods is not None and own.family == snapshot.family:
        by_addr = {pod.addr: pod for pod in snapshot.pods or ()}
        holders = {eni.id: eni for eni in snapshot.enis or ()}
        merged = []
        for pod in own.pods:
            known = by_addr.get(pod.addr)
            eni = known.eni if known is not None else holders.get(pod.eni.id) if pod.eni is not None else None
            merged.append(replace(pod, eni=eni, is_lost=known is not None and known.is_lost))
        pods = (*merged, *(pod for pod in snapshot.pods or () if pod.is_branch))
    settings = own.settings
    if settings is not None and snapshot.settings is not None:
        told = snapshot.settings  # what ipamd does not tell
        settings = replace(
            settings,
            pod_eni=told.pod_eni,
            is_strict=told.is_strict,
            multi_nic=told.multi_nic,
            ipv6=told.ipv6,
            prefix_delegation=told.prefix_delegation,
        )
    return replace(snapshot, pods=pods, settings=settings or snapshot.settings, since_1_20=snapshot.since_1_20 or own.since_1_20)


def known_enis(enis: Iterable[IpamdEni]) -> dict[str, KnownEni]:
    """Interfaces of `enis.json`: all managed; own address and subnet are not in it."""
    return {
        eni.eni_id: KnownEni(
            eni.eni_id,
            eni.table_id if eni.table_id > 0 else table_of(eni),
            is_primary=eni.is_primary,
            is_trunk=eni.is_trunk,
            network_card=eni.network_card,
        )
        for eni in enis
    }


def table_of(eni: IpamdEni) -> int:
    """Compute the table where ipamd does not tell it."""
    if eni.network_card > 0:
        return CARD_TABLE_BASE + CARD_TABLE_STRIDE * eni.network_card + eni.device_number
    return TABLE_MAIN if eni.is_primary else eni.device_number + 1


def known_pods(dump: NodeDump, enis: dict[str, KnownEni] | None) -> list[tuple[int, KnownPod]] | None:
    """Pods of the checkpoint, else those that `enis.json` has as assigned, each with its family and interface."""
    rows = [(row.family, row.addr, row.pod) for row in dump.allocations]
    if not rows:
        rows = [(addr.family, addr.addr, addr.pod) for eni in dump.enis for addr in eni.addrs if addr.is_assigned]
    if not rows and not dump.enis:
        return None
    found = []
    for family, addr, key in rows:
        holder = next((e for e in dump.enis if any(v == family and p.covers(addr, ADDR_BITS[family]) for v, p in e.prefixes)), None)
        eni = enis.get(holder.eni_id) if enis is not None and holder is not None else None
        is_lost = enis is not None and holder is None
        found.append((family, KnownPod(key, addr, eni, is_lost, hashes=veth_hashes(key) if key else frozenset())))
    return found


def vpc_prefixes_of(dump: NodeDump, settings: CniSettings | None) -> tuple[Prefix, ...] | None:
    """Take the VPC's ranges from what the node itself leaves out of source NAT and of marks; None without source NAT.

    A range that both chains lack is not seen so: only a snapshot tells it.
    """
    marks = marks_of_dump(dump)
    if marks is None or settings is None or settings.external_snat or not (marks.snat_exclusions or marks.outbound_exclusions):
        return None
    excluded = {prefix_of(text) for text in settings.exclude_snat_cidrs}
    own = {exclusion.prefix for exclusion in marks.snat_exclusions if exclusion.is_vpc}
    marked = {exclusion.prefix for exclusion in marks.outbound_exclusions}
    set_to = {exclusion.prefix for exclusion in marks.snat_exclusions if not exclusion.is_vpc}
    return tuple(sorted((own | (marked - set_to)) - excluded))


def marks_of_dump(dump: NodeDump) -> MarkState | None:
    """Put the plugin's netfilter rules in short; None where none were dumped."""
    if dump.iptables is None and dump.nft is None:
        return None
    iptables, nft = dump.iptables or Netfilter(), dump.nft
    marks = cni_marks(iptables, nft)
    complete = complete_tables(iptables) if dump.iptables is not None else frozenset()
    snat = iptables.chain("nat", SNAT_CHAIN)
    is_nft = marks.outbound == "nftables" and nft is not None
    outbound = (nft.chain(NFT_TABLE, "snat-mark") if nft is not None else ()) if is_nft else iptables.chain("nat", CONNMARK_CHAIN)
    restores = (
        any(rule.target.startswith("meta mark set") for rule in nft.chain(NFT_TABLE, "nat-prerouting"))
        if is_nft and nft is not None
        else any("--restore-mark" in rule.options for rule in iptables.chain("nat", "PREROUTING"))
    )
    jumps = nft.chain(NFT_TABLE, "nat-prerouting") if is_nft and nft is not None else iptables.chain("nat", "PREROUTING")
    jump = next((rule for rule in jumps if rule.target in ("jump snat-mark", CONNMARK_CHAIN)), None)
    node_ports = [r for r in iptables.chain("mangle", "PREROUTING") if r.target == "CONNMARK" and r.option("--set-xmark")]
    return MarkState(
        complete=complete,
        knows_nft=nft is not None and not nft.account.problems,
        outbound=marks.outbound,
        outbound_interfaces=marks.outbound_interfaces,
        outbound_exclusions=exclusions(outbound, lambda rule: rule.target.upper() == "RETURN"),
        outbound_line=jump.source_line if jump is not None else -1,
        restores_first=restores,
        mark=marks.mark,
        restores_from=frozenset(marks.restores_from),
        node_port_interface=marks.node_port_interface,
        node_port_line=node_ports[0].source_line if node_ports else -1,
        snat_addr=marks.snat_addr if marks.snat_addr >= 0 else None,
        snat_line=marks.snat_line,
        snat_exclusions=exclusions(snat, lambda rule: rule.target == "RETURN"),
        num_snat_jumps=sum(rule.target == SNAT_CHAIN for rule in iptables.chain("nat", "POSTROUTING")),
        num_snat_rules=sum(rule.target == "SNAT" for rule in snat),
        old_chains=marks.old_chains,
        drops_forward=drops_forward(iptables),
        egress_sources=tuple(
            (rule.src, rule.source_line)
            for rule in iptables.chain("nat", "POSTROUTING")
            if EGRESS_CHAIN.fullmatch(rule.target) and rule.src is not None
        ),
        mixed_line=next((report.line for report in iptables.account.reports if OTHER_BACK_END.search(report.text)), -1),
    )


def exclusions(chain: tuple[NetfilterRule, ...], leaves_out: Callable[[NetfilterRule], bool]) -> tuple[Exclusion, ...]:
    """Collect ranges that a chain leaves out."""
    return tuple(
        Exclusion(rule.dst, rule.source_line, not EXCLUSION.search(rule.comment))
        for rule in chain
        if rule.dst is not None and leaves_out(rule)
    )


def complete_tables(iptables: Netfilter) -> frozenset[str]:
    """Tables that were dumped to their end; a line that cannot be read makes all of them doubtful."""
    return frozenset() if iptables.account.problems else frozenset(table for table, _, _ in iptables.policies) & IPTABLES_TABLES


def drops_forward(iptables: Netfilter) -> bool:
    """Say whether forwarded packets are dropped that no rule accepts."""
    is_drop = ("filter", "FORWARD", "DROP") in iptables.policies
    accepts_all = any(
        rule.target == "ACCEPT" and not (rule.src or rule.dst or rule.in_interface or rule.out_interface or rule.protocol or rule.matches)
        for rule in iptables.chain("filter", "FORWARD")
    )
    return is_drop and not accepts_all

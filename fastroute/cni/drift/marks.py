"""The plugin's netfilter rules: the mark that sends pods' outgoing connections to the primary interface, and source NAT.

Source: amazon-vpc-cni-k8s v1.23.1 pkg/networkutils/network.go, iptables_connmark.go, nftables_connmark.go.
"""

from __future__ import annotations

from collections.abc import Iterator

from fastroute.cni.drift.facts import Exclusion, MarkState, prefix_of
from fastroute.cni.drift.findings import Finding, Source, Unjudged, found
from fastroute.cni.drift.pods import is_before_marks
from fastroute.cni.drift.scene import Scene
from fastroute.netns.model import TABLE_MAIN, RouteType, addr_text

VETHS_OF_BRANCHES = "vlan"


def check_marks(scene: Scene) -> Iterator[Finding | Unjudged]:
    """Check marks, source NAT and the filter's policy. IPv6 has neither marks nor source NAT."""
    marks = scene.marks
    if marks is None:
        if scene.family == 4:
            yield Unjudged("marks and source NAT", "`iptables-save` and `nft list ruleset`")
        return
    if marks.drops_forward:
        yield found("forward-policy-drop", "FORWARD", "the policy of chain FORWARD is DROP, and no rule accepts all", Source("iptables"))
    if marks.mixed_line > 0:
        yield found(
            "mixed-iptables", "iptables", "iptables-save tells of tables in the other back end", Source("iptables", marks.mixed_line)
        )
    yield from _check_egress(scene, marks)
    if scene.family == 4 and not marks.old_chains:
        yield from _check_snat(scene, marks)
        yield from _check_outbound(scene, marks)
    if scene.family == 4:
        yield from _check_node_ports(scene, marks)


def _is_external(scene: Scene) -> bool | None:
    """Whether source NAT is left to others; without settings, None."""
    return scene.facts.settings.external_snat if scene.facts.settings is not None else None


def _check_snat(scene: Scene, marks: MarkState) -> Iterator[Finding | Unjudged]:
    if "nat" not in marks.complete:
        yield Unjudged("source NAT", "`iptables-save` with its whole table nat")
        return
    is_external, line = _is_external(scene), Source("iptables", marks.snat_line)
    is_there = marks.num_snat_rules > 0 and marks.num_snat_jumps > 0
    if is_external:
        if is_there:
            yield found("extra-snat", "AWS-SNAT-CHAIN-0", "source NAT is there although AWS_VPC_K8S_CNI_EXTERNALSNAT is true", line)
        return
    if not is_there:
        if is_external is None and not marks.outbound:
            yield Unjudged("whether source NAT is wanted", "the plugin's settings")
            return
        what = "no jump to AWS-SNAT-CHAIN-0" if marks.num_snat_rules else "AWS-SNAT-CHAIN-0 has no SNAT rule"
        yield found("missing-snat", "AWS-SNAT-CHAIN-0", what + ("" if is_external is False else ", though connections are marked for it"))
        return
    if marks.num_snat_jumps > 1 or marks.num_snat_rules > 1:
        text = f"{marks.num_snat_jumps} jumps to AWS-SNAT-CHAIN-0, {marks.num_snat_rules} SNAT rules in it"
        yield found("duplicate-snat", "AWS-SNAT-CHAIN-0", text, line)
    primary = scene.primary_addr
    if primary is not None and marks.snat_addr != primary:
        seen = "nothing" if marks.snat_addr is None else addr_text(4, marks.snat_addr)
        text = f"source NAT writes {seen}; the primary ENI's address is {addr_text(4, primary)}"
        yield found("wrong-snat-address", seen, text, line)
    yield from _compare_ranges(scene, marks.snat_exclusions, "snat", "AWS-SNAT-CHAIN-0", "iptables")


def _compare_ranges(scene: Scene, exclusions: tuple[Exclusion, ...], what: str, chain: str, dump: str) -> Iterator[Finding | Unjudged]:
    """Compare excluded ranges with the VPC's and the settings'."""
    settings, vpc = scene.facts.settings, scene.facts.vpc_prefixes
    seen = {exclusion.prefix: exclusion for exclusion in exclusions}
    if vpc is None and settings is None:
        yield Unjudged(f"ranges in {chain}", "the VPC's ranges and the plugin's settings")
        return
    set_to = {prefix_of(text) for text in settings.exclude_snat_cidrs} if settings is not None else set()
    for prefix in sorted((set(vpc or ()) | set_to) - set(seen)):
        whose = "of the VPC" if prefix in (vpc or ()) else "of AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS"
        yield found(f"missing-{what}-exclusion", prefix.text(4), f"{chain} does not leave out {prefix.text(4)} {whose}")
    if settings is None or vpc is None:
        missing = "the plugin's settings" if settings is None else "the VPC's ranges"
        yield Unjudged(f"ranges too many in {chain}", missing)
        return
    for prefix in sorted(set(seen) - set(vpc) - set_to):
        text = f"{chain} leaves out {prefix.text(4)}, which is neither the VPC's nor in AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS"
        yield found(f"extra-{what}-exclusion", prefix.text(4), text, Source(dump, seen[prefix].line))


def _check_outbound(scene: Scene, marks: MarkState) -> Iterator[Finding | Unjudged]:
    is_external = _is_external(scene)
    dump = "nft" if marks.outbound == "nftables" else "iptables"
    if is_external:
        if marks.outbound:
            text = "outgoing connections are marked although AWS_VPC_K8S_CNI_EXTERNALSNAT is true"
            yield found("extra-outbound-mark", marks.outbound, text, Source(dump, marks.outbound_line))
        return
    if not marks.outbound:
        if is_external is None and not marks.num_snat_rules:
            return  # whether source NAT is wanted is not known, and has been said
        if is_before_marks(scene):
            return
        if not marks.knows_nft or "nat" not in marks.complete:
            needs = "`nft list ruleset` (support bundles do not hold it)" if not marks.knows_nft else "the whole table nat of iptables-save"
            yield Unjudged("the mark of outgoing connections", needs)
            return
        text = (
            "neither AWS-CONNMARK-CHAIN-0 in iptables nor table ip aws-cni in nft marks outgoing connections, though they are source-NATed"
        )
        yield found("missing-outbound-mark", "outbound mark", text)
        return
    if not marks.restores_first:
        text = "the mark of a connection's first packet is not copied to the packet (no restore in nat PREROUTING)"
        yield found("missing-mark-restore", "first packets", text, Source(dump, marks.outbound_line))
    yield from _compare_ranges(
        scene, marks.outbound_exclusions, "mark", "AWS-CONNMARK-CHAIN-0" if dump == "iptables" else "chain snat-mark", dump
    )
    yield from _check_veths(scene, marks, dump)


def _check_veths(scene: Scene, marks: MarkState, dump: str) -> Iterator[Finding]:
    """Find pods on secondary interfaces whose veth the mark's condition does not name: their prefix is another."""
    pattern = marks.outbound_interfaces.rstrip("+")
    for pod in scene.pods:
        route = next(iter(scene.main_hosts.get(pod.addr, [])), None)
        if route is None or not scene.leads_to_veth(route):
            continue
        device = route.next_hops[0].out_interface or ""
        if device.startswith((pattern, VETHS_OF_BRANCHES)):
            continue
        if scene.is_secondary(pod):
            text = f"its veth is {device}; connections are marked from {marks.outbound_interfaces} only"
            yield found("veth-not-marked", scene.subject(pod), text, Source(dump, marks.outbound_line))
        else:
            text = f"its veth {device} does not begin with {pattern}: a pod of the primary ENI, for which the mark changes nothing"
            yield found("mixed-settings", scene.subject(pod), text, route)


def _check_node_ports(scene: Scene, marks: MarkState) -> Iterator[Finding | Unjudged]:
    settings = scene.facts.settings
    if "mangle" not in marks.complete:
        yield Unjudged("marks of NodePort connections", "`iptables-save` with its whole table mangle")
        return
    if settings is None:
        return
    if settings.node_port_support:
        if not marks.node_port_interface:
            text = "mangle PREROUTING does not mark connections that enter by the primary ENI"
            yield found("missing-node-port-mark", "mangle PREROUTING", text)
        elif scene.primary_device is not None and marks.node_port_interface != scene.primary_device:
            text = (
                f"mangle PREROUTING marks connections that enter by {marks.node_port_interface}; the primary ENI is {scene.primary_device}"
            )
            yield found("missing-node-port-mark", marks.node_port_interface, text, Source("iptables", marks.node_port_line))
    if settings.marks_connections and f"{settings.veth_prefix}+" not in marks.restores_from:
        text = f"mangle PREROUTING does not restore the mark of packets from {settings.veth_prefix}+"
        yield found("missing-mark-restore", f"{settings.veth_prefix}+", text)


def _check_egress(scene: Scene, marks: MarkState) -> Iterator[Finding]:
    """Check that each pod with IPv4 egress in an IPv6 cluster has its way back: a host route in main."""
    if not scene.namespace.known.has_table(4, TABLE_MAIN):
        return
    main = scene.namespace.tables.get((4, TABLE_MAIN), ())
    for prefix, line in marks.egress_sources:
        if not any(route.prefix == prefix and route.type is RouteType.UNICAST for route in main):
            subject = prefix.text(4).removesuffix("/32")
            text = f"no host route to {subject} in main, though its packets are source-NATed by the egress plugin"
            yield found("missing-egress-route", subject, text, Source("iptables", line))

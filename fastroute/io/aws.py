"""AWS CLI output to nouns: which top-level key holds what, and how the outputs complete each other.

An output is recognised by its top-level key, never by its file's name. Only an output that does not say whose it is needs one:
`PrefixListEntries/<prefix list id>.json`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from fastroute.io import aws_nouns as nouns
from fastroute.io import aws_shapes as shapes
from fastroute.io.aws_nouns import Home
from fastroute.io.json_input import ITEMS, Object, Place, decode
from fastroute.io.nouns import NounTable, Texts
from fastroute.io.parse_report import FileRead, ParseReport, Use, decode_counting
from fastroute.topology import (
    Eni,
    Finding,
    Instance,
    InternetGateway,
    NatGateway,
    Peering,
    PrefixList,
    RouteTable,
    Subnet,
    TransitGateway,
    TransitGatewayAttachment,
    Vpc,
    VpcEndpoint,
    VpnGateway,
)

_STRUCTS: dict[str, type[shapes.Aws]] = {
    "Vpcs": shapes.Vpc,
    "Subnets": shapes.Subnet,
    "RouteTables": shapes.RouteTable,
    "NetworkInterfaces": shapes.NetworkInterface,
    "Reservations": shapes.Reservation,
    "InternetGateways": shapes.InternetGateway,
    "EgressOnlyInternetGateways": shapes.EgressOnlyInternetGateway,
    "NatGateways": shapes.NatGateway,
    "VpnGateways": shapes.VpnGateway,
    "VpcPeeringConnections": shapes.VpcPeeringConnection,
    "TransitGateways": shapes.TransitGateway,
    "TransitGatewayAttachments": shapes.TransitGatewayAttachment,
    "TransitGatewayVpcAttachments": shapes.TransitGatewayVpcAttachment,
    "VpcEndpoints": shapes.VpcEndpoint,
    "PrefixLists": shapes.PrefixList,
    "Entries": shapes.PrefixListEntry,
    "AvailabilityZones": shapes.AvailabilityZone,
}
_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {key: msgspec.json.Decoder(struct) for key, struct in _STRUCTS.items()}
_PAGE = {"NextToken", "nextToken", "NextMarker", "Marker", "AdditionalRoutesAvailable", "ResponseMetadata"}
_NOT_MODELLED = {
    "NetworkAcls": "packet filters",
    "SecurityGroups": "packet filters",
    "SecurityGroupRules": "packet filters",
    "TransitGatewayRouteTables": "routing inside transit gateways",
    "TransitGatewayPeeringAttachments": "routing inside transit gateways",
    "Routes": "routing inside transit gateways",
    "CustomerGateways": "the far ends of VPNs",
    "VpnConnections": "the far ends of VPNs",
    "CarrierGateways": "Wavelength zones",
    "LocalGateways": "Outposts",
    "LoadBalancers": "the way through load balancers",
    "LoadBalancerDescriptions": "the way through load balancers",
    "Listeners": "the way through load balancers",
    "TargetGroups": "the way through load balancers",
    "TargetHealthDescriptions": "the way through load balancers",
    "InterfaceAssociations": "trunk and branch associations; pods name their branch interface themselves",
    "VpcBlockPublicAccessOptions": "VPC Block Public Access",
    "VpcBlockPublicAccessExclusions": "VPC Block Public Access",
    "cluster": "cluster settings",
    "FlowLogs": "settings of the logs",
    "InstanceTypes": "limits of instance types",
}
_NO_BEARING = {
    "Addresses": "public addresses are read from the interfaces",
    "Tags": "tags are read from the objects",
    "DhcpOptions": "",
    "Hosts": "",
    "Images": "",
    "Instances": "EC2-Classic links",
    "InstanceStatuses": "",
    "KeyPairs": "",
    "MovingAddressStatuses": "",
    "PlacementGroups": "",
    "Regions": "",
    "ServiceDetails": "",
    "ServiceNames": "",
    "Volumes": "",
    "DBInstances": "databases are known by their interfaces",
    "DomainStatusList": "search domains are known by their interfaces",
}
_PREFIX_LIST_ID = "pl-"


class _Entry(NamedTuple):
    value: Any
    home: Home
    place: Place


class AwsReader:
    """Takes the outputs in any order; `finish` makes the nouns. The tables are by id."""

    def __init__(self, report: ParseReport, findings: list[Finding]) -> None:
        self.report = report
        self.findings = findings
        self.texts = Texts(findings)
        self._entries: defaultdict[str, list[_Entry]] = defaultdict(list)
        self._homes_with_interfaces: set[Home] = set()
        self._list_entries: defaultdict[str, list[tuple[str, Place]]] = defaultdict(list)
        self.vpcs: NounTable[Vpc] = NounTable(findings)
        self.subnets: NounTable[Subnet] = NounTable(findings)
        self.route_tables: NounTable[RouteTable] = NounTable(findings)
        self.enis: NounTable[Eni] = NounTable(findings)
        self.instances: NounTable[Instance] = NounTable(findings)
        self.internet_gateways: NounTable[InternetGateway] = NounTable(findings)
        self.nat_gateways: NounTable[NatGateway] = NounTable(findings)
        self.vpn_gateways: NounTable[VpnGateway] = NounTable(findings)
        self.peerings: NounTable[Peering] = NounTable(findings)
        self.transit_gateways: NounTable[TransitGateway] = NounTable(findings)
        self.attachments: NounTable[TransitGatewayAttachment] = NounTable(findings)
        self.vpc_endpoints: NounTable[VpcEndpoint] = NounTable(findings)
        self.prefix_lists: NounTable[PrefixList] = NounTable(findings)

    def take(self, file: FileRead, path: Path, home: Home, content: Object) -> None:
        """Take what one file holds.

        Raises
        ------
        InputError
            A known key whose value is not what AWS puts there.
        """
        for key, raw in content.items():
            if key in _PAGE:
                self._check_is_whole(file, key, raw)
            elif key in _STRUCTS:
                self._take_entries(file, path, home, key, raw)
            elif key in _NOT_MODELLED:
                file.note(key, _num_objects(raw), Use.NOT_MODELLED, _NOT_MODELLED[key])
            elif key in _NO_BEARING:
                file.note(key, _num_objects(raw), Use.NO_BEARING, _NO_BEARING[key])
            else:
                file.note(key, _num_objects(raw), Use.UNKNOWN, "no AWS output or Kubernetes list that fastroute knows")

    def _check_is_whole(self, file: FileRead, key: str, raw: msgspec.Raw) -> None:
        if key != "ResponseMetadata" and bytes(raw) not in {b"null", b"false", b'""'}:
            text = f"{key} says that there is more than this file holds; repeat the command without --max-items or --no-paginate"
            self.findings.append(Finding("partial-output", file.path, text))

    def _take_entries(self, file: FileRead, path: Path, home: Home, key: str, raw: msgspec.Raw) -> None:
        items = decode(ITEMS, raw, path, key) or []
        for i, item in enumerate(items):
            place = (file.path, key, i)
            entry = _Entry(decode_counting(_DECODERS[key], item, f"{key}[]", path, place, self.report), home, place)
            if key == "Entries":
                self._take_list_entry(path, entry)
            else:
                self._entries[key].append(entry)
        if key == "NetworkInterfaces":
            self._homes_with_interfaces.add(home)
        elif key == "Entries" and not items and path.name.startswith(_PREFIX_LIST_ID):
            self._list_entries[_stem(path)] = []
        file.note(key, len(items), Use.READ)

    def _take_list_entry(self, path: Path, entry: _Entry) -> None:
        """`get-managed-prefix-list-entries` does not print whose entries they are: the file's name has to."""
        if path.name.startswith(_PREFIX_LIST_ID):
            self._list_entries[_stem(path)].append((entry.value.cidr, entry.place))
        elif entry.place[-1] == 0:
            text = "the output names no prefix list: call the file <prefix list id>.json; its entries are not used"
            self.findings.append(Finding("entries-of-no-list", str(entry.place[0]), text))

    def finish(self) -> None:
        """Make the nouns, in the order in which they need each other."""
        zone_ids: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for zone, home, _ in self._entries["AvailabilityZones"]:
            zone_ids[home.account_id][zone.zone_name] = zone.zone_id
        for entry, home, place in self._entries["Subnets"]:
            self.subnets.put(entry.subnet_id, nouns.subnet_of(entry, home, place, self.texts, zone_ids[home.account_id]), place)
            self._check_public_access(entry, place)
        self._finish_vpcs()
        for entry, home, place in self._entries["NetworkInterfaces"]:
            self.enis.put(entry.network_interface_id, nouns.eni_of(entry, home, place, self.texts), place)
        for entry, home, place in self._entries["Reservations"]:
            for i, instance in enumerate(entry.instances):
                self._put_instance(instance, home, (*place, "Instances", i))
        self._finish_gateways()
        self._finish_transit_gateways()
        self._finish_prefix_lists()
        self._entries.clear()

    def _finish_vpcs(self) -> None:
        """VPCs, endpoints and route tables. The first and last name no zone, so their region may come from the subnets."""
        regions = self._regions_of_vpcs()
        for entry, home, place in self._entries["Vpcs"]:
            at = Home(home.region or regions[entry.vpc_id], home.account_id)
            self.vpcs.put(entry.vpc_id, nouns.vpc_of(entry, at, place, self.texts), place)
            self._check_public_access(entry, place)
        for entry, _, place in self._entries["VpcEndpoints"]:
            if entry.state.lower() != "deleted":
                self.vpc_endpoints.put(entry.vpc_endpoint_id, nouns.endpoint_of(entry), place)
        endpoint_types = {endpoint.id: endpoint.endpoint_type for endpoint in self.vpc_endpoints.by_id.values()}
        for entry, home, place in self._entries["RouteTables"]:
            at = Home(home.region or regions[entry.vpc_id], home.account_id)
            self.route_tables.put(entry.route_table_id, nouns.route_table_of(entry, at, place, self.texts, endpoint_types), place)

    def _regions_of_vpcs(self) -> dict[str, str]:
        """By VPC id: the region of its subnets, else the only region that the snapshot names, else ""."""
        regions = {subnet.vpc_id: subnet.region for subnet in self.subnets.by_id.values() if subnet.region}
        named = {zone.region_name for zone, _, _ in self._entries["AvailabilityZones"]} | set(regions.values())
        only = named.pop() if len(named) == 1 else ""
        vpc_ids = {entry.vpc_id for key in ("Vpcs", "RouteTables") for entry, _, _ in self._entries[key]}
        return dict.fromkeys(vpc_ids, only) | regions

    def _check_public_access(self, entry: shapes.Vpc | shapes.Subnet, place: Place) -> None:
        block = entry.block_public_access_states
        if block is not None and block.internet_gateway_block_mode != "off":
            file, key, _ = place
            self.report.add_field(f"{key}[].BlockPublicAccessStates.InternetGatewayBlockMode", str(file))

    def _put_instance(self, entry: shapes.Instance, home: Home, place: Place) -> None:
        """The instance; and its interfaces as it lists them, where the interfaces' own output is absent."""
        instance = nouns.instance_of(entry, home)
        self.instances.put(entry.instance_id, instance, place)
        for i, nested in enumerate(entry.network_interfaces):
            if home not in self._homes_with_interfaces:
                where = (*place, "NetworkInterfaces", i)
                attachment = msgspec.structs.replace(nested.attachment or shapes.Attachment(), instance_id=entry.instance_id)
                whole = msgspec.structs.replace(nested, attachment=attachment, availability_zone=instance.az)
                self.enis.put(nested.network_interface_id, nouns.eni_of(whole, home, where, self.texts), where)
            elif nested.network_interface_id not in self.enis.by_id:
                text = f"instance {entry.instance_id} has it, the output of network interfaces does not; it is not used"
                self.findings.append(Finding("unlisted-interface", nested.network_interface_id, text))

    def _finish_gateways(self) -> None:
        for entry, _, place in self._entries["InternetGateways"]:
            self.internet_gateways.put(entry.internet_gateway_id, nouns.internet_gateway_of(entry), place)
        for entry, _, place in self._entries["EgressOnlyInternetGateways"]:
            self.internet_gateways.put(entry.egress_only_internet_gateway_id, nouns.egress_only_gateway_of(entry), place)
        for entry, _, place in self._entries["VpnGateways"]:
            self.vpn_gateways.put(entry.vpn_gateway_id, nouns.vpn_gateway_of(entry), place)
        for entry, _, place in self._entries["NatGateways"]:
            self.nat_gateways.put(entry.nat_gateway_id, nouns.nat_gateway_of(entry, place, self.texts), place)
        for entry, _, place in self._entries["VpcPeeringConnections"]:
            self.peerings.put(entry.vpc_peering_connection_id, nouns.peering_of(entry, place, self.texts), place)

    def _finish_transit_gateways(self) -> None:
        for entry, home, place in self._entries["TransitGateways"]:
            self.transit_gateways.put(entry.transit_gateway_id, nouns.transit_gateway_of(entry, home), place)
        for entry, _, place in self._entries["TransitGatewayVpcAttachments"]:
            self.attachments.put(entry.transit_gateway_attachment_id, nouns.vpc_attachment_of(entry), place)
            if entry.options.appliance_mode_support == "enable":
                self.report.add_field("TransitGatewayVpcAttachments[].Options.ApplianceModeSupport", str(place[0]))
        for entry, _, place in self._entries["TransitGatewayAttachments"]:
            attachment = nouns.attachment_of(entry)
            known = self.attachments.by_id.get(attachment.id)
            if known is not None:  # the output of VPC attachments knows the subnets, this one does not
                attachment = replace(attachment, subnet_ids=known.subnet_ids)
            self.attachments.put(attachment.id, attachment, place)

    def _finish_prefix_lists(self) -> None:
        """A list is named by one output; its prefixes are in another, or in `describe-prefix-lists` beside the name."""
        for entry, _, place in self._entries["PrefixLists"]:
            prefixes = None if entry.cidrs is None else self.texts.prefixes(entry.cidrs, place, "Cidrs")
            noun = PrefixList(entry.prefix_list_id, entry.prefix_list_name, prefixes)
            known = self.prefix_lists.by_id.get(noun.id)
            if known is not None and known.prefixes is None:
                self.prefix_lists.by_id[noun.id] = noun
            elif known is None or prefixes is not None:
                self.prefix_lists.put(noun.id, noun, place)
        for list_id, entries in self._list_entries.items():
            found = (self.texts.prefix(cidr, place, "Cidr") for cidr, place in entries)
            known = self.prefix_lists.by_id.get(list_id, PrefixList(list_id, "", None))
            self.prefix_lists.by_id[list_id] = replace(known, prefixes=tuple(dict.fromkeys(prefix for prefix in found if prefix)))


def _num_objects(raw: msgspec.Raw) -> int:
    text = bytes(raw)
    if text.startswith(b"["):
        return len(ITEMS.decode(raw) or ())
    return 0 if text == b"null" else 1


def _stem(path: Path) -> str:
    return path.name.partition(".")[0]

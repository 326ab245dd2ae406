"""The fields of AWS CLI output that the nouns take, as AWS spells them.

`no_bearing` names fields that never decide a path. A field that stands in neither place is counted in the parse report.
Source: EC2 API reference, data types of the Describe actions, version 2016-11-15.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct, field


class Aws(Struct, rename="pascal", gc=False):
    """Field names as AWS writes them."""


class Tag(Aws):
    key: str = ""
    value: str = ""


class State(Aws):
    state: str = ""


def associated() -> State:
    """What outputs of older versions of the AWS CLI leave out."""
    return State("associated")


class Vpc(Aws):
    vpc_id: str
    cidr_block: str = ""
    cidr_block_association_set: tuple[VpcCidr, ...] = ()
    ipv6_cidr_block_association_set: tuple[Ipv6Cidr, ...] = ()
    owner_id: str = ""
    tags: tuple[Tag, ...] = ()
    block_public_access_states: BlockPublicAccess | None = None
    no_bearing: ClassVar[str] = "DhcpOptionsId InstanceTenancy IsDefault State EncryptionControl"


class VpcCidr(Aws):
    cidr_block: str
    cidr_block_state: State = field(default_factory=associated)


class Ipv6Cidr(Aws):
    ipv6_cidr_block: str
    ipv6_cidr_block_state: State = field(default_factory=associated)


class BlockPublicAccess(Aws):
    internet_gateway_block_mode: str = "off"


class Subnet(Aws):
    subnet_id: str
    vpc_id: str
    cidr_block: str = ""
    ipv6_cidr_block_association_set: tuple[Ipv6Cidr, ...] = ()
    availability_zone: str = ""
    availability_zone_id: str = ""
    subnet_arn: str = ""
    tags: tuple[Tag, ...] = ()
    block_public_access_states: BlockPublicAccess | None = None
    no_bearing: ClassVar[str] = (
        "AssignIpv6AddressOnCreation AvailableIpAddressCount CustomerOwnedIpv4Pool DefaultForAz EnableDns64 EnableLniAtDeviceIndex "
        "Ipv6Native MapCustomerOwnedIpOnLaunch MapPublicIpOnLaunch OwnerId PrivateDnsNameOptionsOnLaunch State Type"
    )


class RouteTable(Aws):
    route_table_id: str
    vpc_id: str
    associations: tuple[RouteTableAssociation, ...] = ()
    routes: tuple[Route, ...] = ()
    no_bearing: ClassVar[str] = "OwnerId PropagatingVgws Tags"


class RouteTableAssociation(Aws):
    main: bool = False
    subnet_id: str = ""
    gateway_id: str = ""
    association_state: State = field(default_factory=associated)
    no_bearing: ClassVar[str] = "RouteTableAssociationId RouteTableId"


class Route(Aws):
    destination_cidr_block: str = ""
    destination_ipv6_cidr_block: str = ""
    destination_prefix_list_id: str = ""
    gateway_id: str = ""
    nat_gateway_id: str = ""
    transit_gateway_id: str = ""
    vpc_peering_connection_id: str = ""
    egress_only_internet_gateway_id: str = ""
    network_interface_id: str = ""
    instance_id: str = ""
    carrier_gateway_id: str = ""
    local_gateway_id: str = ""
    core_network_arn: str = ""
    origin: str = ""
    state: str = "active"
    no_bearing: ClassVar[str] = "InstanceOwnerId"


class Association(Aws):
    public_ip: str = ""
    no_bearing: ClassVar[str] = "AllocationId AssociationId IpOwnerId PublicDnsName"


class PrivateIp(Aws):
    private_ip_address: str
    primary: bool = False
    association: Association | None = None
    no_bearing: ClassVar[str] = "PrivateDnsName"


class Attachment(Aws):
    instance_id: str = ""
    device_index: int = -1
    network_card_index: int = 0
    status: str = "attached"
    no_bearing: ClassVar[str] = "AttachTime AttachmentId DeleteOnTermination EnaQueueCount EnaSrdSpecification InstanceOwnerId"


class Ipv6Address(Aws):
    ipv6_address: str


class Ipv4Prefix(Aws):
    ipv4_prefix: str


class Ipv6Prefix(Aws):
    ipv6_prefix: str


class NetworkInterface(Aws):
    """An entry of `NetworkInterfaces`, and of `Reservations[].Instances[].NetworkInterfaces`, which has neither zone nor tags."""

    network_interface_id: str
    vpc_id: str = ""
    subnet_id: str = ""
    availability_zone: str = ""
    interface_type: str = "interface"
    description: str = ""
    private_ip_address: str = ""
    association: Association | None = None
    private_ip_addresses: tuple[PrivateIp, ...] = ()
    ipv4_prefixes: tuple[Ipv4Prefix, ...] = ()
    ipv6_addresses: tuple[Ipv6Address, ...] = ()
    ipv6_prefixes: tuple[Ipv6Prefix, ...] = ()
    attachment: Attachment | None = None
    source_dest_check: bool = True
    mac_address: str = ""
    requester_id: str = ""
    requester_managed: bool = False
    owner_id: str = ""
    tag_set: tuple[Tag, ...] = ()
    no_bearing: ClassVar[str] = (
        "AvailabilityZoneId ConnectionTrackingConfiguration Groups Ipv6Address Ipv6Native Operator PrivateDnsName "
        "PublicDnsName PublicIpDnsNameOptions Status"
    )


class Reservation(Aws):
    instances: tuple[Instance, ...] = ()
    no_bearing: ClassVar[str] = "Groups OwnerId RequesterId ReservationId"


class Placement(Aws):
    availability_zone: str = ""


class InstanceState(Aws):
    name: str = ""


class Instance(Aws):
    instance_id: str
    instance_type: str = ""
    state: InstanceState = field(default_factory=InstanceState)
    vpc_id: str = ""
    subnet_id: str = ""
    placement: Placement = field(default_factory=Placement)
    network_interfaces: tuple[NetworkInterface, ...] = ()
    tags: tuple[Tag, ...] = ()
    no_bearing: ClassVar[str] = (
        "AmiLaunchIndex Architecture BlockDeviceMappings BootMode CapacityBlockId CapacityReservationId "
        "CapacityReservationSpecification ClientToken CpuOptions CurrentInstanceBootMode EbsOptimized ElasticGpuAssociations "
        "ElasticInferenceAcceleratorAssociations EnaSupport EnclaveOptions HibernationOptions Hypervisor IamInstanceProfile ImageId "
        "InstanceLifecycle Ipv6Address KernelId KeyName LaunchTime Licenses MaintenanceOptions MetadataOptions Monitoring "
        "NetworkPerformanceOptions Operator Platform PlatformDetails PrivateDnsName PrivateDnsNameOptions PrivateIpAddress "
        "ProductCodes PublicDnsName PublicIpAddress RamdiskId RootDeviceName RootDeviceType SecurityGroups SourceDestCheck "
        "SpotInstanceRequestId SriovNetSupport StateReason StateTransitionReason TpmSupport UsageOperation UsageOperationUpdateTime "
        "VirtualizationType"
    )


class GatewayAttachment(Aws):
    vpc_id: str = ""
    state: str = ""


class InternetGateway(Aws):
    internet_gateway_id: str
    attachments: tuple[GatewayAttachment, ...] = ()
    no_bearing: ClassVar[str] = "OwnerId Tags"


class EgressOnlyInternetGateway(Aws):
    egress_only_internet_gateway_id: str
    attachments: tuple[GatewayAttachment, ...] = ()
    no_bearing: ClassVar[str] = "OwnerId Tags"


class VpnGateway(Aws):
    vpn_gateway_id: str
    vpc_attachments: tuple[GatewayAttachment, ...] = ()
    no_bearing: ClassVar[str] = "AmazonSideAsn AvailabilityZone State Tags Type"


class NatGatewayAddress(Aws):
    network_interface_id: str = ""
    private_ip: str = ""
    public_ip: str = ""
    no_bearing: ClassVar[str] = "AllocationId AssociationId AvailabilityZone AvailabilityZoneId FailureMessage IsPrimary Status"


class NatGateway(Aws):
    nat_gateway_id: str
    vpc_id: str = ""
    subnet_id: str = ""
    state: str = ""
    connectivity_type: str = "public"
    nat_gateway_addresses: tuple[NatGatewayAddress, ...] = ()
    no_bearing: ClassVar[str] = (
        "AttachedAppliances AutoProvisionZones AutoScalingIps AvailabilityMode CreateTime DeleteTime FailureCode FailureMessage "
        "ProvisionedBandwidth Tags"
    )


class CidrBlock(Aws):
    cidr_block: str


class Ipv6CidrBlock(Aws):
    ipv6_cidr_block: str


class PeeringVpc(Aws):
    vpc_id: str = ""
    region: str = ""
    owner_id: str = ""
    cidr_block: str = ""
    cidr_block_set: tuple[CidrBlock, ...] = ()
    ipv6_cidr_block_set: tuple[Ipv6CidrBlock, ...] = ()
    no_bearing: ClassVar[str] = "PeeringOptions"


class PeeringStatus(Aws):
    code: str = ""


class VpcPeeringConnection(Aws):
    vpc_peering_connection_id: str
    requester_vpc_info: PeeringVpc = field(default_factory=PeeringVpc)
    accepter_vpc_info: PeeringVpc = field(default_factory=PeeringVpc)
    status: PeeringStatus = field(default_factory=PeeringStatus)
    no_bearing: ClassVar[str] = "ExpirationTime Tags"


class TransitGateway(Aws):
    transit_gateway_id: str
    transit_gateway_arn: str = ""
    owner_id: str = ""
    no_bearing: ClassVar[str] = "CreationTime Description Options State Tags"


class TransitGatewayAttachment(Aws):
    transit_gateway_attachment_id: str
    transit_gateway_id: str = ""
    resource_type: str = ""
    resource_id: str = ""
    state: str = ""
    no_bearing: ClassVar[str] = "Association CreationTime ResourceOwnerId Tags TransitGatewayOwnerId"


class VpcAttachmentOptions(Aws):
    appliance_mode_support: str = "disable"
    no_bearing: ClassVar[str] = "DnsSupport Ipv6Support SecurityGroupReferencingSupport"


class TransitGatewayVpcAttachment(Aws):
    transit_gateway_attachment_id: str
    transit_gateway_id: str = ""
    vpc_id: str = ""
    state: str = ""
    subnet_ids: tuple[str, ...] = ()
    options: VpcAttachmentOptions = field(default_factory=VpcAttachmentOptions)
    no_bearing: ClassVar[str] = "CreationTime Tags VpcOwnerId"


class VpcEndpoint(Aws):
    vpc_endpoint_id: str
    vpc_id: str = ""
    vpc_endpoint_type: str = ""
    service_name: str = ""
    route_table_ids: tuple[str, ...] = ()
    subnet_ids: tuple[str, ...] = ()
    network_interface_ids: tuple[str, ...] = ()
    state: str = ""
    no_bearing: ClassVar[str] = (
        "CreationTimestamp DnsEntries DnsOptions FailureReason Groups IpAddressType Ipv4Prefixes Ipv6Prefixes LastError OwnerId "
        "PayerResponsibilities PolicyDocument PrivateDnsEnabled RequesterManaged ServiceRegion Tags"
    )


class PrefixList(Aws):
    """Of `describe-managed-prefix-lists` and, with `Cidrs`, of `describe-prefix-lists`."""

    prefix_list_id: str
    prefix_list_name: str = ""
    cidrs: tuple[str, ...] | None = None
    no_bearing: ClassVar[str] = (
        "AddressFamily IpamPrefixListResolverSyncEnabled IpamPrefixListResolverTargetId MaxEntries OwnerId PrefixListArn State "
        "StateMessage Tags Version"
    )


class PrefixListEntry(Aws):
    cidr: str
    no_bearing: ClassVar[str] = "Description"


class AvailabilityZone(Aws):
    zone_name: str = ""
    zone_id: str = ""
    region_name: str = ""

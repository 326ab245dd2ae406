"""Network interfaces and instances as `aws ec2 describe-... --output json` prints them."""

from __future__ import annotations

from typing import Any

from fastroute.synth.addresses import text
from fastroute.synth.clock import CREATED_AT, aws_time
from fastroute.synth.network import ACCOUNT_ID, CLUSTER_NAME
from fastroute.synth.nouns import Eni, Instance

Json = dict[str, Any]
GROUP = {"GroupId": "sg-0f00ba5eba11ca5e5", "GroupName": f"eks-cluster-sg-{CLUSTER_NAME}"}
_NOT_EMBEDDED = frozenset({"Attachment", "AvailabilityZone", "RequesterId", "RequesterManaged", "TagSet"})
"""Keys of an interface that describe-instances leaves out."""


def tags(**tags: str) -> list[Json]:
    """A `Tags` list; a double underscore in a name stands for a slash."""
    return [{"Key": key.replace("__", "/"), "Value": value} for key, value in tags.items()]


def dns(addr: int) -> str:
    """Private DNS name of an address."""
    return f"ip-{text(addr).replace('.', '-')}.ec2.internal"


def network_interface(eni: Eni) -> Json:
    """One entry of `NetworkInterfaces`."""
    addresses: list[Json] = [{"Primary": True, "PrivateDnsName": dns(eni.primary), "PrivateIpAddress": text(eni.primary)}]
    addresses += [{"Primary": False, "PrivateDnsName": dns(addr), "PrivateIpAddress": text(addr)} for addr in eni.secondary]
    out: Json = {}
    if eni.public is not None:
        association = {"IpOwnerId": "amazon", "PublicDnsName": "", "PublicIp": text(eni.public)}
        if eni.interface_type == "nat_gateway":
            association["IpOwnerId"] = ACCOUNT_ID
        addresses[0] = {"Association": association, **addresses[0]}
        out["Association"] = association
    if eni.instance is not None:
        out["Attachment"] = _attachment(eni) | {"InstanceId": eni.instance.id, "InstanceOwnerId": ACCOUNT_ID}
    else:
        out["Attachment"] = {
            "AttachmentId": eni.id.replace("eni-", "ela-attach-"),
            "DeleteOnTermination": False,
            "DeviceIndex": 1,
            "InstanceOwnerId": eni.requester or "amazon-aws",
            "Status": "attached",
        }
    out |= {
        "AvailabilityZone": eni.subnet.zone.name,
        "Description": eni.description,
        "Groups": [GROUP],
        "InterfaceType": eni.interface_type,
        "Ipv6Addresses": [],
        "MacAddress": eni.mac,
        "NetworkInterfaceId": eni.id,
        "OwnerId": ACCOUNT_ID,
        "PrivateDnsName": dns(eni.primary),
        "PrivateIpAddress": text(eni.primary),
        "PrivateIpAddresses": addresses,
    }
    if eni.prefixes:
        out["Ipv4Prefixes"] = [{"Ipv4Prefix": str(each)} for each in eni.prefixes]
    if eni.requester:
        out["RequesterId"] = eni.requester
    out |= {
        "RequesterManaged": eni.requester is not None,
        "SourceDestCheck": eni.source_dest_check,
        "Status": "in-use",
        "SubnetId": eni.subnet.id,
        "TagSet": _eni_tags(eni),
        "VpcId": eni.vpc.id,
    }
    return out


def _attachment(eni: Eni) -> Json:
    return {
        "AttachTime": aws_time(CREATED_AT),
        "AttachmentId": eni.id.replace("eni-", "eni-attach-"),
        "DeleteOnTermination": True,
        "DeviceIndex": eni.device_number,
        "NetworkCardIndex": 0,
        "Status": "attached",
    }


def _eni_tags(eni: Eni) -> list[Json]:
    if eni.instance is None or eni.instance.node is None:
        return []
    if eni.device_number == 0:
        return tags(**{"eks:cluster-name": CLUSTER_NAME})
    return tags(**{"cluster.k8s.amazonaws.com__name": CLUSTER_NAME, "node.k8s.amazonaws.com__instance_id": eni.instance.id})


def reservation(instance: Instance) -> Json:
    """One entry of `Reservations`, with its single instance."""
    primary = instance.enis[0]
    interfaces = []
    for eni in instance.enis:
        embedded = {key: value for key, value in network_interface(eni).items() if key not in _NOT_EMBEDDED}
        interfaces.append({"Attachment": _attachment(eni)} | embedded)
    named = {"Name": instance.name}
    if instance.node is not None:
        named = {"Name": f"{CLUSTER_NAME}-node", f"kubernetes.io/cluster/{CLUSTER_NAME}": "owned", "eks:cluster-name": CLUSTER_NAME}
    body: Json = {
        "AmiLaunchIndex": 0,
        "Architecture": "arm64" if instance.instance_type.startswith("m7g") else "x86_64",
        "ImageId": "ami-0c1d2e3f405162738",
        "InstanceId": instance.id,
        "InstanceType": instance.instance_type,
        "LaunchTime": aws_time(CREATED_AT),
        "MetadataOptions": {"HttpPutResponseHopLimit": 2, "HttpTokens": "required", "State": "applied"},
        "NetworkInterfaces": interfaces,
        "Placement": {"AvailabilityZone": primary.subnet.zone.name, "GroupName": "", "Tenancy": "default"},
        "PrivateDnsName": dns(primary.primary),
        "PrivateIpAddress": text(primary.primary),
        "PublicDnsName": "",
        "SecurityGroups": [GROUP],
        "SourceDestCheck": primary.source_dest_check,
        "State": {"Code": 16, "Name": "running"},
        "SubnetId": primary.subnet.id,
        "Tags": [{"Key": key, "Value": value} for key, value in named.items()],
        "VpcId": primary.vpc.id,
    }
    if primary.public is not None:
        body["PublicIpAddress"] = text(primary.public)
    return {"Groups": [], "Instances": [body], "OwnerId": ACCOUNT_ID, "ReservationId": instance.id.replace("i-", "r-")}

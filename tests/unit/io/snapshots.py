"""Snapshot folders for tests: the hand-made one in `data/`, and small ones written from a dictionary."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

REPO = Path(__file__).parents[3]
EKS = REPO / "data" / "snapshots" / "eks-two-nodes"
SHARED_AWS = Path(os.environ.get("FASTROUTE_SHARED_DATA", REPO.parent / "shared" / "data")) / "aws"


def write_snapshot(folder: Path, files: dict[str, Any]) -> Path:
    """Write files below a folder: text and bytes as they are, all else as JSON."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return folder


def kubectl_list(*items: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "items": list(items), "kind": "List", "metadata": {"resourceVersion": ""}}


def pod(name: str = "web", namespace: str = "default", **status: Any) -> dict[str, Any]:
    """A pod object; `node`, `host` and `labels` go where they belong, all else is status."""
    spec: dict[str, Any] = {"containers": [{"name": "app", "image": "app:1"}]}
    if "node" in status:
        spec["nodeName"] = status.pop("node")
    if status.pop("host", False):
        spec["hostNetwork"] = True
    metadata = {"name": name, "namespace": namespace, "labels": status.pop("labels", {})}
    if "owners" in status:
        metadata["ownerReferences"] = status.pop("owners")
    if "annotations" in status:
        metadata["annotations"] = status.pop("annotations")
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {"phase": "Running", **status}}


def vpc(vpc_id: str = "vpc-1", *cidrs: str) -> dict[str, Any]:
    blocks = cidrs or ("10.0.0.0/16",)
    return {
        "VpcId": vpc_id,
        "OwnerId": "111122223333",
        "CidrBlock": blocks[0],
        "CidrBlockAssociationSet": [{"CidrBlock": c} for c in blocks],
    }


def subnet(subnet_id: str = "subnet-1", vpc_id: str = "vpc-1", cidr: str = "10.0.0.0/24", az: str = "us-east-1a") -> dict[str, Any]:
    return {"SubnetId": subnet_id, "VpcId": vpc_id, "CidrBlock": cidr, "AvailabilityZone": az, "AvailabilityZoneId": "use1-az1"}


def interface(eni_id: str = "eni-1", *addrs: str, **fields: Any) -> dict[str, Any]:
    """An interface on `subnet-1` of `vpc-1`; the first address is the primary."""
    addresses = [{"PrivateIpAddress": addr, "Primary": i == 0} for i, addr in enumerate(addrs or ("10.0.0.10",))]
    return {"NetworkInterfaceId": eni_id, "VpcId": "vpc-1", "SubnetId": "subnet-1", "PrivateIpAddresses": addresses, **fields}

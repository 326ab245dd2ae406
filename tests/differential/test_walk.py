"""The kernels and `explain` answer alike on every flow of the zoo's topology."""

from __future__ import annotations

import random

import pytest

from tests import zoo
from tests.walk_compare import compare, flows_of

ENVIRONMENTS = {
    "default": {},
    "external-snat": {"AWS_VPC_K8S_CNI_EXTERNALSNAT": "true"},
    "external-snat, no node ports": {"AWS_VPC_K8S_CNI_EXTERNALSNAT": "true", "AWS_VPC_CNI_NODE_PORT_SUPPORT": "false"},
    "excluded": {"AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS": "172.16.0.0/12,10.1.0.0/16"},
    "external services": {"AWS_EXTERNAL_SERVICE_CIDRS": "10.9.0.0/16,10.0.64.0/20"},
    "own mark": {"AWS_VPC_K8S_CNI_CONNMARK": "0x400", "AWS_VPC_K8S_CNI_VETHPREFIX": "foo"},
    "branch interfaces": {"ENABLE_POD_ENI": "true"},
    "ipv6": {"ENABLE_IPv6": "true"},
}
VPCS = ("vpc-a", "vpc-b", "vpc-c")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("vpc_id", VPCS)
def test_kernels_agree_with_explain(environment: str, vpc_id: str) -> None:
    topology = zoo.everything(ENVIRONMENTS[environment])
    compare(topology, flows_of(topology, random.Random(f"{environment} {vpc_id}"), 600), vpc_id)

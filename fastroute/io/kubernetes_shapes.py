"""The fields of Kubernetes objects that the nouns take, as Kubernetes spells them. Go prints an empty list as null now and then.

`no_bearing` names fields that never decide a path. A field that stands in neither place is counted in the parse report; metadata and
status, which describe and do not decide, are not looked into.
Source: Kubernetes API reference v1.34, core/v1, apps/v1, discovery/v1; AWS: amazon-vpc-cni-k8s v1.23.1 pkg/ipamd/rpc_handler.go PodENIData.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import Raw, Struct, field


class Kubernetes(Struct, rename="camel", gc=False):
    """Field names as Kubernetes writes them."""


class ListMetadata(Kubernetes):
    continue_: str = field(default="", name="continue")


class Head(Kubernetes):
    """What every object and list begins with."""

    kind: str = ""
    api_version: str = ""
    metadata: ListMetadata = field(default_factory=ListMetadata)


class Metadata(Kubernetes):
    name: str
    namespace: str = ""


class Owner(Kubernetes):
    kind: str
    name: str
    controller: bool | None = None


class PodAnnotations(Kubernetes):
    pod_eni: str = field(default="", name="vpc.amazonaws.com/pod-eni")
    nic_config: str = field(default="", name="k8s.amazonaws.com/nicConfig")


class PodLabels(Kubernetes):
    template_hash: str = field(default="", name="pod-template-hash")


class PodMetadata(Metadata):
    uid: str = ""
    deletion_timestamp: str | None = None
    annotations: PodAnnotations | None = None
    labels: PodLabels | None = None
    owner_references: tuple[Owner, ...] | None = None


class BranchEni(Kubernetes):
    """An entry of the annotation vpc.amazonaws.com/pod-eni."""

    eni_id: str = ""


class ContainerPort(Kubernetes):
    container_port: int
    protocol: str = "TCP"
    host_port: int = 0
    name: str = ""
    no_bearing: ClassVar[str] = "hostIP"


class Container(Kubernetes):
    name: str
    ports: tuple[ContainerPort, ...] | None = None
    no_bearing: ClassVar[str] = (
        "args command env envFrom image imagePullPolicy lifecycle livenessProbe readinessProbe resizePolicy resources restartPolicy "
        "restartPolicyRules securityContext startupProbe stdin stdinOnce terminationMessagePath terminationMessagePolicy tty "
        "volumeDevices volumeMounts workingDir"
    )


class PodSpec(Kubernetes):
    containers: tuple[Container, ...] | None = None
    init_containers: tuple[Container, ...] | None = None
    node_name: str = ""
    host_network: bool = False
    no_bearing: ClassVar[str] = (
        "activeDeadlineSeconds affinity automountServiceAccountToken dnsConfig dnsPolicy enableServiceLinks ephemeralContainers "
        "evictionResponders hostAliases hostIPC hostPID hostUsers hostname hostnameOverride imagePullSecrets nodeSelector os "
        "overhead preemptionPolicy priority priorityClassName readinessGates resourceClaims resources restartPolicy "
        "runtimeClassName schedulerName schedulingGates schedulingGroup securityContext serviceAccount serviceAccountName "
        "setHostnameAsFQDN shareProcessNamespace subdomain terminationGracePeriodSeconds tolerations topologySpreadConstraints "
        "volumes"
    )


class PodIp(Kubernetes):
    ip: str = ""


class Terminated(Kubernetes):
    finished_at: str | None = None


class ContainerState(Kubernetes):
    terminated: Terminated | None = None


class ContainerStatus(Kubernetes):
    state: ContainerState | None = None


class PodStatus(Kubernetes):
    phase: str = ""
    pod_ip: str = field(default="", name="podIP")
    pod_ips: tuple[PodIp, ...] | None = field(default=None, name="podIPs")
    start_time: str | None = None
    container_statuses: tuple[ContainerStatus, ...] | None = None
    init_container_statuses: tuple[ContainerStatus, ...] | None = None


class Pod(Kubernetes):
    metadata: PodMetadata
    spec: PodSpec = field(default_factory=PodSpec)
    status: PodStatus = field(default_factory=PodStatus)
    no_bearing: ClassVar[str] = "apiVersion kind"


class NodeMetadata(Metadata):
    labels: dict[str, str] | None = None


class NodeSpec(Kubernetes):
    provider_id: str = field(default="", name="providerID")
    no_bearing: ClassVar[str] = "configSource externalID podCIDR podCIDRs podPreemptionPolicy taints unschedulable"


class NodeAddress(Kubernetes):
    address: str = ""
    type: str = ""


class NodeStatus(Kubernetes):
    addresses: tuple[NodeAddress, ...] | None = None


class Node(Kubernetes):
    metadata: NodeMetadata
    spec: NodeSpec = field(default_factory=NodeSpec)
    status: NodeStatus = field(default_factory=NodeStatus)
    no_bearing: ClassVar[str] = "apiVersion kind"


class ServicePort(Kubernetes):
    port: int
    protocol: str = "TCP"
    name: str = ""
    node_port: int = 0
    target_port: int | str = ""
    no_bearing: ClassVar[str] = "appProtocol"


class ServiceSpec(Kubernetes):
    type: str = "ClusterIP"
    cluster_ip: str = field(default="", name="clusterIP")
    cluster_ips: tuple[str, ...] | None = field(default=None, name="clusterIPs")
    ports: tuple[ServicePort, ...] | None = None
    external_traffic_policy: str = "Cluster"
    internal_traffic_policy: str | None = "Cluster"
    no_bearing: ClassVar[str] = (
        "allocateLoadBalancerNodePorts externalName healthCheckNodePort ipFamilies ipFamilyPolicy loadBalancerClass loadBalancerIP "
        "loadBalancerSourceRanges publishNotReadyAddresses selector sessionAffinity sessionAffinityConfig"
    )


class Service(Kubernetes):
    metadata: Metadata
    spec: ServiceSpec = field(default_factory=ServiceSpec)
    no_bearing: ClassVar[str] = "apiVersion kind status"


class SliceLabels(Kubernetes):
    service: str = field(default="", name="kubernetes.io/service-name")


class SliceMetadata(Metadata):
    labels: SliceLabels | None = None


class SlicePort(Kubernetes):
    port: int | None = None
    protocol: str | None = "TCP"
    name: str | None = ""
    no_bearing: ClassVar[str] = "appProtocol"


class Conditions(Kubernetes):
    ready: bool | None = None


class TargetRef(Kubernetes):
    kind: str = ""
    name: str = ""
    namespace: str = ""


class Endpoint(Kubernetes):
    addresses: tuple[str, ...] | None = None
    conditions: Conditions | None = None
    node_name: str | None = None
    target_ref: TargetRef | None = None
    zone: str | None = None
    no_bearing: ClassVar[str] = "deprecatedTopology hints hostname"


class EndpointSlice(Kubernetes):
    metadata: SliceMetadata
    endpoints: tuple[Endpoint, ...] | None = None
    ports: tuple[SlicePort, ...] | None = None
    no_bearing: ClassVar[str] = "addressType apiVersion kind"


class EnvVar(Kubernetes):
    name: str
    value: str = ""
    value_from: dict[str, Raw] | None = None


class EnvContainer(Kubernetes):
    name: str = ""
    env: tuple[EnvVar, ...] | None = None
    env_from: tuple[Raw, ...] | None = None


class EnvSpec(Kubernetes):
    containers: tuple[EnvContainer, ...] | None = None


class Template(Kubernetes):
    spec: EnvSpec = field(default_factory=EnvSpec)


class DaemonSetSpec(Kubernetes):
    template: Template = field(default_factory=Template)


class DaemonSet(Kubernetes):
    metadata: Metadata
    spec: DaemonSetSpec = field(default_factory=DaemonSetSpec)

"""The cluster as `kubectl get ... -A -o json` prints it: items of one list a kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from fastroute.synth.account import Account
from fastroute.synth.addresses import text
from fastroute.synth.clock import CREATED_AT, rfc3339
from fastroute.synth.network import CLUSTER_NAME, REGION
from fastroute.synth.nouns import Container, Node, Pod, Port, Service, Workload

Json = dict[str, Any]
MAX_ENDPOINTS_PER_SLICE = 100
_CREATED = rfc3339(CREATED_AT)
_STARTED = rfc3339(CREATED_AT + timedelta(minutes=4))
_TOLERATIONS = [
    {"effect": "NoExecute", "key": "node.kubernetes.io/not-ready", "operator": "Exists", "tolerationSeconds": 300},
    {"effect": "NoExecute", "key": "node.kubernetes.io/unreachable", "operator": "Exists", "tolerationSeconds": 300},
]
_API_OF = {"DaemonSet": "apps/v1", "StatefulSet": "apps/v1", "ReplicaSet": "apps/v1", "Deployment": "apps/v1", "Job": "batch/v1"}


def _owner(kind: str, name: str, uid: str) -> Json:
    return {"apiVersion": _API_OF[kind], "blockOwnerDeletion": True, "controller": True, "kind": kind, "name": name, "uid": uid}


def _labels(workload: Workload) -> dict[str, str]:
    return {"app.kubernetes.io/name": workload.name} | ({"pod-template-hash": workload.template_hash} if workload.template_hash else {})


def _ports(ports: Iterable[Port], *, on_host: bool) -> list[Json]:
    out = []
    for port in ports:
        each: Json = {"containerPort": port.number}
        if on_host:
            each["hostPort"] = port.number
        out.append(each | {"name": port.name, "protocol": port.protocol})
    return out


def _container(container: Container, *, on_host: bool, env: list[Json] | None = None) -> Json:
    out: Json = {"image": container.image, "imagePullPolicy": "IfNotPresent", "name": container.name}
    if env:
        out["env"] = env
    if container.ports:
        out["ports"] = _ports(container.ports, on_host=on_host)
    out["resources"] = {"limits": {"memory": "256Mi"}, "requests": {"cpu": "50m", "memory": "128Mi"}}
    out["terminationMessagePath"] = "/dev/termination-log"
    out["terminationMessagePolicy"] = "File"
    out["volumeMounts"] = [{"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "name": "kube-api-access", "readOnly": True}]
    return out


def _container_status(container: Container, pod: Pod) -> Json:
    running = pod.phase == "Running"
    state: Json = {"running": {"startedAt": _STARTED}}
    if not running:
        code = 0 if pod.phase == "Succeeded" else 1
        state = {"terminated": {"exitCode": code, "reason": "Completed" if code == 0 else "Error", "startedAt": _STARTED}}
        if pod.finished is not None:
            state["terminated"]["finishedAt"] = rfc3339(pod.finished)
    return {
        "containerID": f"containerd://{pod.uid.replace('-', '') * 2}",
        "image": container.image,
        "lastState": {},
        "name": container.name,
        "ready": running,
        "restartCount": 0,
        "started": running,
        "state": state,
    }


def pod_item(pod: Pod) -> Json:
    """One Pod."""
    workload = pod.workload
    assert workload is not None
    metadata: Json = {"creationTimestamp": _CREATED, "labels": _labels(workload), "name": pod.name, "namespace": pod.namespace}
    if workload.kind == "Deployment":
        replica_set = f"{workload.name}-{workload.template_hash}"
        metadata["generateName"] = f"{replica_set}-"
        metadata["ownerReferences"] = [_owner("ReplicaSet", replica_set, workload.replica_set_uid)]
    elif workload.kind != "Pod":
        metadata["ownerReferences"] = [_owner(workload.kind, workload.name, workload.uid)]
    metadata["resourceVersion"] = str(int(pod.uid[:6], 16))
    metadata["uid"] = pod.uid
    spec: Json = {
        "containers": [_container(each, on_host=pod.host_network) for each in pod.containers],
        "dnsPolicy": "ClusterFirst",
        "enableServiceLinks": True,
        "nodeName": pod.node.name,
        "preemptionPolicy": "PreemptLowerPriority",
        "priority": 0,
        "restartPolicy": "Never" if workload.kind == "Job" else "Always",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "serviceAccount": "default",
        "serviceAccountName": "default",
        "terminationGracePeriodSeconds": 30,
        "tolerations": _TOLERATIONS,
        "volumes": [
            {"name": "kube-api-access", "projected": {"defaultMode": 420, "sources": [{"serviceAccountToken": {"path": "token"}}]}}
        ],
    }
    if pod.host_network:
        spec["hostNetwork"] = True
    addr, host = text(pod.addr), text(pod.node.address)
    ready = "True" if pod.phase == "Running" else "False"
    conditions = [
        {"lastProbeTime": None, "lastTransitionTime": _STARTED, "status": status, "type": kind}
        for kind, status in (("Initialized", "True"), ("Ready", ready), ("ContainersReady", ready), ("PodScheduled", "True"))
    ]
    status: Json = {
        "conditions": conditions,
        "containerStatuses": [_container_status(each, pod) for each in pod.containers],
        "hostIP": host,
        "hostIPs": [{"ip": host}],
        "phase": pod.phase,
        "podIP": addr,
        "podIPs": [{"ip": addr}],
        "qosClass": "Burstable",
        "startTime": rfc3339(pod.started) if pod.started is not None else _CREATED,
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


def node_item(node: Node) -> Json:
    """One Node."""
    instance, zone = node.instance, node.zone
    arch = "arm64" if instance.instance_type.startswith("m7g") else "amd64"
    addresses = [{"address": text(node.address), "type": "InternalIP"}]
    if node.primary_eni.public is not None:
        addresses.append({"address": text(node.primary_eni.public), "type": "ExternalIP"})
    addresses += [{"address": node.name, "type": "InternalDNS"}, {"address": node.name, "type": "Hostname"}]
    labels = {
        "beta.kubernetes.io/arch": arch,
        "beta.kubernetes.io/instance-type": instance.instance_type,
        "beta.kubernetes.io/os": "linux",
        "eks.amazonaws.com/nodegroup": f"workers-{zone.az_id}",
        "failure-domain.beta.kubernetes.io/region": REGION,
        "failure-domain.beta.kubernetes.io/zone": zone.name,
        "k8s.io/cloud-provider-aws": "5eedc0de",
        "kubernetes.io/arch": arch,
        "kubernetes.io/hostname": node.name,
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": instance.instance_type,
        "topology.k8s.aws/zone-id": zone.az_id,
        "topology.kubernetes.io/region": REGION,
        "topology.kubernetes.io/zone": zone.name,
    }
    capacity = {"cpu": "4", "memory": "16Gi", "pods": str(node.max_pods)}
    condition = {"lastHeartbeatTime": _STARTED, "lastTransitionTime": _STARTED, "reason": "KubeletReady", "status": "True", "type": "Ready"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"creationTimestamp": _CREATED, "labels": labels, "name": node.name, "uid": f"node-{instance.id}"},
        "spec": {"providerID": f"aws:///{zone.name}/{instance.id}"},
        "status": {
            "addresses": addresses,
            "allocatable": capacity,
            "capacity": capacity,
            "conditions": [condition],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "architecture": arch,
                "containerRuntimeVersion": "containerd://2.1.5",
                "kernelVersion": "6.12.40-63.114.amzn2023",
                "kubeProxyVersion": "v1.34.1-eks-113cf36",
                "kubeletVersion": "v1.34.1-eks-113cf36",
                "operatingSystem": "linux",
                "osImage": "Amazon Linux 2023.9",
            },
        },
    }


def service_item(service: Service) -> Json:
    """One Service."""
    cluster_ip = "None" if service.cluster_ip is None else text(service.cluster_ip)
    ports = []
    for i, port in enumerate(service.ports):
        each: Json = {"name": port.name, "port": port.number, "protocol": port.protocol, "targetPort": port.number}
        if service.node_ports:
            each["nodePort"] = service.node_ports[i]
        ports.append(each)
    spec: Json = {
        "clusterIP": cluster_ip,
        "clusterIPs": [cluster_ip],
        "internalTrafficPolicy": "Cluster",
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "ports": ports,
        "sessionAffinity": "None",
        "type": service.service_type,
    }
    status: Json = {"loadBalancer": {}}
    if service.workload is not None:
        spec["selector"] = {"app.kubernetes.io/name": service.workload.name}
    if service.service_type != "ClusterIP":
        spec["externalTrafficPolicy"] = "Cluster"
    if service.service_type == "LoadBalancer":
        status["loadBalancer"]["ingress"] = [{"hostname": f"edge-0123456789.elb.{REGION}.amazonaws.com"}]
    metadata = {"creationTimestamp": _CREATED, "name": service.name, "namespace": service.namespace, "uid": f"svc-{service.name}"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec, "status": status}


def endpoint_slices(account: Account, service: Service) -> Iterator[Json]:
    """The EndpointSlices of a Service; those of `kubernetes` hold the control plane's interfaces."""
    if service.workload is None:
        endpoints: list[Json] = [{"addresses": [text(eni.primary)], "conditions": {"ready": True}} for eni in account.network.control_plane]
    else:
        endpoints = [
            {
                "addresses": [text(pod.addr)],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "nodeName": pod.node.name,
                "targetRef": {"kind": "Pod", "name": pod.name, "namespace": pod.namespace, "uid": pod.uid},
                "zone": pod.node.zone.name,
            }
            for pod in service.workload.pods
        ]
    for number, start in enumerate(range(0, len(endpoints), MAX_ENDPOINTS_PER_SLICE)):
        yield {
            "addressType": "IPv4",
            "apiVersion": "discovery.k8s.io/v1",
            "endpoints": endpoints[start : start + MAX_ENDPOINTS_PER_SLICE],
            "kind": "EndpointSlice",
            "metadata": {
                "creationTimestamp": _CREATED,
                "labels": {"kubernetes.io/service-name": service.name},
                "name": f"{service.name}-{number:05d}" if service.workload else service.name,
                "namespace": service.namespace,
            },
            "ports": [{"name": port.name, "port": port.number, "protocol": port.protocol} for port in service.ports],
        }


def cni_environment(account: Account) -> dict[str, str]:
    """Environment of the aws-node container, as the EKS add-on writes it.

    Source: amazon-vpc-cni-k8s v1.23.1 config/master/aws-k8s-cni.yaml.
    """
    environment = {
        "ADDITIONAL_ENI_TAGS": "{}",
        "ANNOTATE_POD_IP": "false",
        "AWS_VPC_CNI_NODE_PORT_SUPPORT": "true",
        "AWS_VPC_ENI_MTU": "9001",
        "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": str(account.mode == "custom").lower(),
        "AWS_VPC_K8S_CNI_EXTERNALSNAT": str(account.external_snat).lower(),
        "AWS_VPC_K8S_CNI_LOGLEVEL": "DEBUG",
        "AWS_VPC_K8S_CNI_RANDOMIZESNAT": "prng",
        "AWS_VPC_K8S_CNI_VETHPREFIX": "eni",
        "AWS_VPC_K8S_PLUGIN_LOG_LEVEL": "DEBUG",
        "CLUSTER_NAME": CLUSTER_NAME,
        "DISABLE_INTROSPECTION": "false",
        "DISABLE_METRICS": "false",
        "ENABLE_IPv4": "true",
        "ENABLE_IPv6": "false",
        "ENABLE_POD_ENI": "false",
        "ENABLE_PREFIX_DELEGATION": str(account.mode == "prefix").lower(),
        "ENABLE_SUBNET_DISCOVERY": "true",
        "VPC_ID": account.network.vpc.id,
        "WARM_ENI_TARGET": "1",
        "WARM_PREFIX_TARGET": "1",
    }
    if account.exclude_snat:
        environment["AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS"] = ",".join(map(str, account.exclude_snat))
    if account.mode == "custom":
        environment["ENI_CONFIG_LABEL_DEF"] = "topology.kubernetes.io/zone"
    return environment


def daemon_set_item(account: Account, workload: Workload) -> Json:
    """One DaemonSet; the CNI's settings are in that of aws-node."""
    env: list[Json] = []
    if workload.name == "aws-node":
        env = [{"name": name, "value": value} for name, value in sorted(cni_environment(account).items())]
        env.append({"name": "MY_NODE_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "spec.nodeName"}}})
    containers = [
        _container(each, on_host=workload.host_network, env=env if each.name == workload.name else None) for each in workload.containers
    ]
    spec: Json = {"containers": containers}
    if workload.host_network:
        spec["hostNetwork"] = True
    labels = _labels(workload)
    num = len(workload.pods)
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"creationTimestamp": _CREATED, "name": workload.name, "namespace": workload.namespace, "uid": workload.uid},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
        "status": {"currentNumberScheduled": num, "desiredNumberScheduled": num, "numberMisscheduled": 0, "numberReady": num},
    }


def replica_set_item(workload: Workload) -> Json:
    """The ReplicaSet of a Deployment."""
    labels = _labels(workload)
    num = len(workload.pods)
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "annotations": {"deployment.kubernetes.io/revision": "1"},
            "creationTimestamp": _CREATED,
            "labels": labels,
            "name": f"{workload.name}-{workload.template_hash}",
            "namespace": workload.namespace,
            "ownerReferences": [_owner("Deployment", workload.name, workload.uid)],
            "uid": workload.replica_set_uid,
        },
        "spec": {
            "replicas": num,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [_container(each, on_host=workload.host_network) for each in workload.containers]},
            },
        },
        "status": {"availableReplicas": num, "readyReplicas": num, "replicas": num},
    }


def _config_maps(account: Account) -> list[Json]:
    def item(name: str, data: dict[str, str]) -> Json:
        return {"apiVersion": "v1", "data": data, "kind": "ConfigMap", "metadata": {"name": name, "namespace": "kube-system"}}

    proxy = 'apiVersion: kubeproxy.config.k8s.io/v1alpha1\nclusterCIDR: ""\nkind: KubeProxyConfiguration\nmode: "iptables"\n'
    return [
        item("kube-proxy-config", {"config": proxy}),
        item("amazon-vpc-cni", {"enable-network-policy-controller": "false", "enable-windows-ipam": "false"}),
    ]


def _eni_configs(account: Account) -> list[Json]:
    return [
        {
            "apiVersion": "crd.k8s.amazonaws.com/v1alpha1",
            "kind": "ENIConfig",
            "metadata": {"name": zone.name},
            "spec": {"securityGroups": [], "subnet": subnets[0].id},
        }
        for zone, subnets in zip(account.network.zones, account.network.pod_subnets, strict=True)
        if subnets
    ]


def lists(account: Account) -> Iterator[tuple[str, Iterable[Json]]]:
    """File name and items of every list."""
    listed = sorted([*account.pods, *account.ended], key=lambda pod: (pod.namespace, pod.name))
    yield "pods", map(pod_item, listed)
    yield "nodes", map(node_item, account.nodes)
    yield "services", map(service_item, account.services)
    yield "endpointslices", (each for service in account.services for each in endpoint_slices(account, service))
    yield "daemonsets", (daemon_set_item(account, each) for each in account.workloads if each.kind == "DaemonSet")
    yield "replicasets", (replica_set_item(each) for each in account.workloads if each.kind == "Deployment")
    yield "configmaps", _config_maps(account)
    if account.mode == "custom":
        yield "eniconfigs", _eni_configs(account)

"""What runs: system and application workloads, their containers and ports, and the services in front of them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice

from fastroute.synth.ids import Ids
from fastroute.synth.nouns import UDP_NAME, Container, Port, Service, Workload

KUBELET_PORT = 10250
HIGH_SERVER_PORT = 50051
"""The highest declared port of ordinary pods; client ports stay below it, so that no client port is a declared one by chance."""

_REGISTRY = "111122223333.dkr.ecr.us-east-1.amazonaws.com"
_NAMESPACES = ("default", "shop", "payments", "search", "data", "batch", "media")
_APPS = (
    *("web", "api", "cart", "checkout", "orders", "catalog", "users", "auth", "billing"),
    *("ledger", "search-front", "recommend", "images", "mailer", "gateway", "pricing", "stock", "audit"),
)
_STORES = (("postgres", (5432,)), ("redis", (6379,)), ("kafka", (9092, 9093)), ("cassandra", (9042, 7000)), ("elastic", (9200, 9300)))
_APP_PORTS = ((8080,), (8080, 9090), (80,), (8443,), (3000,), (HIGH_SERVER_PORT,), (5000, 9102), (8000,))


def _container(name: str, *ports: Port) -> Container:
    return Container(name, f"{_REGISTRY}/{name}:1.4.2", ports)


def _tcp(*numbers: int) -> tuple[Port, ...]:
    return tuple(Port(number, name=f"tcp-{number}") for number in numbers)


class WorkloadMaker:
    """Makes workloads until a number of pods with an address of their own is reached."""

    def __init__(self, ids: Ids, rng: random.Random) -> None:
        self._ids = ids
        self._rng = rng

    def make(
        self, kind: str, namespace: str, name: str, containers: tuple[Container, ...], replicas: int, *, host: bool = False
    ) -> Workload:
        """One workload, without pods yet."""
        workload = Workload(kind, namespace, name, containers, replicas, self._ids.uid(), host)
        if kind == "Deployment":
            workload.template_hash = self._ids.suffix(10)
            workload.replica_set_uid = self._ids.uid()
        return workload

    def host_daemons(self, num_nodes: int) -> list[Workload]:
        """The host-network DaemonSets of every node."""
        kube_proxy = _container("kube-proxy", Port(10249, name="metrics"))
        aws_node = (_container("aws-node", Port(61678, name="metrics")), _container("aws-eks-nodeagent", Port(8162, name="agentmetrics")))
        exporter = _container("node-exporter", Port(9100, name="metrics"))
        return [
            self.make("DaemonSet", "kube-system", "kube-proxy", (kube_proxy,), num_nodes, host=True),
            self.make("DaemonSet", "kube-system", "aws-node", aws_node, num_nodes, host=True),
            self.make("DaemonSet", "monitoring", "node-exporter", (exporter,), num_nodes, host=True),
        ]

    def host_ingress(self) -> Workload:
        """A proxy on the host network of two nodes."""
        return self.make("Deployment", "ingress", "edge-proxy", (_container("edge-proxy", *_tcp(80, 443)),), 2, host=True)

    def ordinary(self, num_pods: int, num_nodes: int) -> list[Workload]:
        """Workloads whose replicas add up to `num_pods`."""
        made: list[Workload] = []
        left = num_pods
        for workload in self._system(num_nodes):
            if workload.replicas <= left - (2 if made else 0):
                made.append(workload)
                left -= workload.replicas
        for workload in self._apps():
            if not left:
                break
            workload.replicas = min(workload.replicas, left)
            left -= workload.replicas
            made.append(workload)
        return made

    def _system(self, num_nodes: int) -> list[Workload]:
        dns = _container("coredns", Port(53, UDP_NAME, "dns"), Port(53, name="dns-tcp"), Port(9153, name="metrics"))
        agent = (_container("log-agent", *_tcp(2020)), _container("statsd", Port(8125, UDP_NAME, "statsd")))
        webhook = _container("aws-load-balancer-controller", Port(9443, name="webhook-server"))
        return [
            self.make("Deployment", "kube-system", "coredns", (dns,), max(2, min(num_nodes // 16, 60))),
            self.make("StatefulSet", "monitoring", "prometheus", (_container("prometheus", *_tcp(9090)),), 1),
            self.make("Deployment", "kube-system", "aws-load-balancer-controller", (webhook,), 2),
            self.make("Deployment", "kube-system", "metrics-server", (_container("metrics-server", *_tcp(4443)),), 1),
            self.make("DaemonSet", "monitoring", "log-agent", agent, num_nodes),
        ]

    def _apps(self) -> Iterator[Workload]:
        rng = self._rng
        number = 0
        while True:
            round_name = f"-{number // len(_APPS)}" if number >= len(_APPS) else ""
            app = _APPS[number % len(_APPS)] + round_name
            namespace = rng.choice(_NAMESPACES)
            chance = rng.random()
            size = min(400, 1 + int(rng.paretovariate(1.1)))
            if chance < 0.12:
                store, ports = rng.choice(_STORES)
                yield self.make("StatefulSet", "data", f"{store}-{number}", (_container(store, *_tcp(*ports)),), min(size, 9))
            elif chance < 0.20:
                yield self.make("Job", "batch", f"{app}-report", (_container("report"),), min(size, 6))
            elif chance < 0.23:
                yield self.make("Pod", namespace, f"{app}-debug", (_container("shell"),), 1)
            else:
                containers = [_container(app, *_tcp(*rng.choice(_APP_PORTS)))]
                if rng.random() < 0.3:
                    containers.append(_container("proxy", *_tcp(15001)))
                yield self.make("Deployment", namespace, app, tuple(containers), size)
            number += 1


def make_services(workloads: list[Workload], service_base: int, rng: random.Random, num_services: int) -> list[Service]:
    """A Service for every workload that declares ports: cluster address, node ports or headless; besides `kubernetes` and `kube-dns`."""
    services = [Service("default", "kubernetes", "ClusterIP", service_base + 1, (Port(443, name="https"),), None)]
    offsets = iter(rng.sample(range(256, 65_000), min(num_services, 60_000)))
    node_ports = iter(rng.sample(range(30_000, 32_768), 2_000))
    for workload in workloads:
        ports = tuple(workload.ports)
        if not ports or workload.host_network or workload.kind in ("DaemonSet", "Job", "Pod"):
            continue
        if workload.name == "coredns":
            services.append(Service("kube-system", "kube-dns", "ClusterIP", service_base + 10, ports, workload))
            continue
        chance = rng.random()
        offset = next(offsets, None)
        if offset is None:
            break
        if workload.kind == "StatefulSet":
            services.append(Service(workload.namespace, workload.name, "ClusterIP", None, ports, workload))
        elif chance < 0.15 and (numbers := tuple(islice(node_ports, len(ports)))) and len(numbers) == len(ports):
            kind = "LoadBalancer" if chance < 0.04 else "NodePort"
            services.append(Service(workload.namespace, workload.name, kind, service_base + offset, ports, workload, numbers))
        else:
            services.append(Service(workload.namespace, workload.name, "ClusterIP", service_base + offset, ports, workload))
    return services

"""The kinds of traffic of a cluster's VPC: each maker invents one exchange at a time."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate

from fastroute.synth.account import Account
from fastroute.synth.addresses import Block, block, number
from fastroute.synth.ends import End, Ends
from fastroute.synth.exchanges import Exchange
from fastroute.synth.network import FAR_PEER_BLOCK, ON_PREM_BLOCKS, PEER_REGION, S3_BLOCKS, SERVICE_BLOCK
from fastroute.synth.nouns import Pod, Workload
from fastroute.synth.workloads import KUBELET_PORT
from fastroute.vocab import ICMP, TCP, UDP, Kind

INTERNET_BLOCKS = (
    "23.32.0.0/13",
    "34.64.0.0/12",
    "71.96.0.0/13",
    "86.128.0.0/12",
    "104.16.0.0/13",
    "142.250.0.0/15",
    "151.101.0.0/16",
    "185.199.108.0/22",
)
NOBODY_BLOCK = "10.233.0.0/16"
"""A private range that no route table names."""
METADATA_ADDRESS = "169.254.169.254"
HTTPS, SSH = 443, 22
HIDDEN_LOW_PORT, HIDDEN_HIGH_PORT = 8081, 47_001
"""Ports that pods serve without declaring them: the lower is told from a client's by its number, the higher only by the handshake."""

Maker = Callable[[], Exchange | None]


class TrafficKinds:
    """Makers of exchanges, with how often each is drawn. A maker returns None where the account lacks what it needs."""

    def __init__(self, account: Account, rng: random.Random, *, reused_addresses: bool = False) -> None:
        self._account = account
        self._rng = rng
        self._ends = Ends(account)
        self._pods = [pod for pod in account.pods if pod.eni]
        self._servers = [each for each in account.workloads if each.pods and each.ports and not each.host_network]
        rng.shuffle(self._servers)
        self._popularity = list(accumulate(1 / (rank + 2) for rank in range(len(self._servers))))
        self._hosts = {each.name: each for each in account.workloads if each.host_network}
        self._by_name = {(each.namespace, each.name): each for each in account.workloads}
        self._running_at = {pod.addr: pod for pod in self._pods}
        self._internet = [block(each) for each in INTERNET_BLOCKS]
        self._s3 = [block(each) for each in S3_BLOCKS]
        self._reused_addresses = reused_addresses

    def recorded(self, count: int) -> Iterator[Exchange]:
        """What flow logs show: at least one of each kind that the account has, then by share, `count` in all."""
        yield from self._draw([*self._ordinary(), *self._former(), *([(1.0, self.reused_ghost)] if self._reused_addresses else [])], count)

    def asked(self, count: int) -> Iterator[Exchange]:
        """What one may ask: the same without pods that ended, and with what no interface sees."""
        yield from self._draw([*self._ordinary(), *self._unseen()], count)

    def _draw(self, shares: list[tuple[float, Maker]], count: int) -> Iterator[Exchange]:
        makers = [maker for _, maker in shares]
        cumulative = list(accumulate(share for share, _ in shares))
        made = 0
        for maker in makers:
            exchange = maker()
            if exchange is not None and made < count:
                made += 1
                yield exchange
        while made < count:
            exchange = makers[bisect_left(cumulative, self._rng.random() * cumulative[-1])]()
            if exchange is not None:
                made += 1
                yield exchange

    def _ordinary(self) -> list[tuple[float, Maker]]:
        return [
            (36.0, self.pod_to_pod),
            (6.0, self.pod_to_dns),
            (8.0, self.pod_to_internet),
            (3.0, self.pod_to_s3),
            (2.0, self.pod_to_interface_endpoint),
            (3.0, self.pod_to_database),
            (3.0, self.pod_to_api_server),
            (2.0, self.pod_to_near_peer),
            (1.5, self.pod_to_far_peer),
            (2.0, self.pod_to_on_prem),
            (2.0, self.on_prem_to_pod),
            (1.0, self.on_prem_to_node),
            (1.0, self.on_prem_to_ingress),
            (1.5, self.near_peer_to_pod),
            (1.0, self.far_peer_to_pod),
            (0.7, self.near_peer_to_node),
            (3.0, self.internet_to_balancer),
            (3.0, self.network_balancer_to_pod),
            (2.0, self.application_balancer_to_pod),
            (1.0, self.internet_to_instance),
            (0.7, self.instance_to_internet),
            (1.0, self.internet_scan),
            (2.0, self.control_plane_to_kubelet),
            (1.0, self.control_plane_to_webhook),
            (3.0, self.metrics_from_hosts),
            (2.0, self.metrics_from_kubelets),
            (1.5, self.node_to_dns),
            (2.0, self.node_to_api_server),
            (1.5, self.node_to_internet),
            (0.7, self.node_to_s3),
            (1.0, self.legacy_to_pod),
            (0.7, self.pod_to_legacy),
            (0.5, self.instance_to_instance),
            (0.4, self.pod_to_further_node_address),
            (0.8, self.pod_to_hidden_low_port),
            (0.6, self.pod_to_hidden_high_port),
            (1.0, self.ping_between_pods),
            (0.5, self.ping_from_on_prem),
            (0.3, self.ping_internet),
            (0.8, self.refused_pod),
            (0.4, self.pod_to_unowned),
            (0.3, self.pod_to_warm),
            (0.2, self.pod_to_nobody),
        ]

    def _former(self) -> list[tuple[float, Maker]]:
        return [(1.0, self.ghost_to_pod), (0.6, self.ghost_to_internet), (0.6, self.pod_to_ghost)]

    def _unseen(self) -> list[tuple[float, Maker]]:
        return [
            (6.0, self.pod_to_neighbour),
            (2.0, self.pod_to_own_node),
            (2.0, self.node_to_own_pod),
            (1.0, self.pod_to_itself),
            (1.0, self.pod_to_metadata),
            (0.5, self.node_to_metadata),
            (0.5, self.node_to_own_warm),
            (0.5, self.pod_to_own_balancer),
        ]

    # ends, drawn

    def _pod(self) -> End:
        return self._ends.pod(self._rng.choice(self._pods))

    def _host(self, protocol: int, port: int) -> End:
        return self._ends.host(self._rng.choice(self._account.nodes), protocol, port)

    def _client_host(self) -> End:
        return self._host(TCP, 0)

    def _address(self, blocks: list[Block]) -> int:
        chosen = self._rng.choice(blocks)
        return chosen.base + self._rng.randrange(1, chosen.size - 1)

    def _internet_end(self) -> End:
        return self._ends.outside(Kind.INTERNET, self._address(self._internet))

    def _on_prem_end(self) -> End:
        while True:
            addr = self._address([block(each) for each in ON_PREM_BLOCKS])
            if addr not in block(SERVICE_BLOCK):
                return self._ends.outside(Kind.ON_PREM, addr)

    def _far_peer_end(self) -> End:
        peering = next(each for each in self._account.network.peerings if each.peer_region == PEER_REGION)
        return self._ends.outside(Kind.PEER_VPC, self._address([block(FAR_PEER_BLOCK)]), peering.peer_id)

    def _near_peer_end(self) -> End:
        return self._ends.eni(self._rng.choice(self._account.network.peer_instances).enis[0])

    def _instance_end(self, name: str) -> End:
        return self._ends.eni(next(each for each in self._account.network.instances if each.name == name).enis[0])

    def _served(self, workload: Workload) -> tuple[End, int, int] | None:
        pods = [pod for pod in workload.pods if pod.eni]
        if not pods or not workload.ports:
            return None
        port = self._rng.choice(workload.ports)
        return self._ends.pod(self._rng.choice(pods)), UDP if port.protocol == "UDP" else TCP, port.number

    def _server(self, *, tcp_only: bool = False) -> tuple[End, int, int] | None:
        """A pod of a popular workload at a declared port."""
        if not self._servers:
            return None
        for _ in range(20):
            workload = self._servers[bisect_left(self._popularity, self._rng.random() * self._popularity[-1])]
            served = self._served(workload)
            if served and (served[1] == TCP or not tcp_only):
                return served
        return None

    def _to_pod(self, client: End) -> Exchange | None:
        served = self._server(tcp_only=True)
        return Exchange(client, *served) if served else None

    def _to_named(self, client: End, namespace: str, name: str) -> Exchange | None:
        workload = self._by_name.get((namespace, name))
        served = self._served(workload) if workload else None
        return Exchange(client, *served) if served else None

    # inside the cluster

    def pod_to_pod(self) -> Exchange | None:
        """Also what a Service address becomes: the endpoint is what an interface sees."""
        served = self._server()
        return Exchange(self._pod(), *served) if served else None

    def pod_to_dns(self) -> Exchange | None:
        return self._to_named(self._pod(), "kube-system", "coredns")

    def node_to_dns(self) -> Exchange | None:
        return self._to_named(self._client_host(), "kube-system", "coredns")

    def metrics_from_hosts(self) -> Exchange | None:
        """Prometheus reads host-network pods."""
        workload = self._hosts[self._rng.choice(("node-exporter", "aws-node", "kube-proxy"))]
        node = self._rng.choice(workload.pods).node
        port = workload.ports[0].number
        return self._from_prometheus(self._ends.host(node, TCP, port), port)

    def metrics_from_kubelets(self) -> Exchange | None:
        return self._from_prometheus(self._host(TCP, KUBELET_PORT), KUBELET_PORT)

    def _from_prometheus(self, server: End, port: int) -> Exchange | None:
        workload = self._by_name.get(("monitoring", "prometheus"))
        client = self._ends.pod(self._rng.choice(workload.pods)) if workload else self._pod()
        return Exchange(client, server, TCP, port)

    def pod_to_further_node_address(self) -> Exchange | None:
        """The kubelet listens on every address of the node."""
        node = self._rng.choice(self._account.nodes)
        if len(node.instance.enis) < 2:
            return None
        return Exchange(self._pod(), self._ends.host(node, TCP, KUBELET_PORT, self._rng.choice(node.instance.enis[1:])), TCP, KUBELET_PORT)

    def pod_to_hidden_low_port(self) -> Exchange | None:
        return Exchange(self._pod(), self._pod(), TCP, HIDDEN_LOW_PORT)

    def pod_to_hidden_high_port(self) -> Exchange | None:
        return Exchange(self._pod(), self._pod(), TCP, HIDDEN_HIGH_PORT, needs_syn=True)

    def ping_between_pods(self) -> Exchange | None:
        return Exchange(self._pod(), self._pod(), ICMP, 0)

    def refused_pod(self) -> Exchange | None:
        served = self._server(tcp_only=True)
        return Exchange(self._pod(), *served, refused=True) if served else None

    def pod_to_unowned(self) -> Exchange | None:
        return Exchange(self._pod(), self._ends.unowned(*self._rng.choice(self._account.unowned)), TCP, 8080)

    def pod_to_warm(self) -> Exchange | None:
        node = self._rng.choice(self._account.nodes)
        if not node.warm:
            return None
        return Exchange(self._pod(), self._ends.warm(node, *self._rng.choice(node.warm)), TCP, 8080)

    # out of the cluster

    def pod_to_internet(self) -> Exchange | None:
        return Exchange(self._pod(), self._internet_end(), TCP, HTTPS)

    def node_to_internet(self) -> Exchange | None:
        return Exchange(self._client_host(), self._internet_end(), TCP, HTTPS)

    def ping_internet(self) -> Exchange | None:
        return Exchange(self._pod(), self._internet_end(), ICMP, 0)

    def pod_to_s3(self) -> Exchange | None:
        return Exchange(self._pod(), self._ends.outside(Kind.AWS_SERVICE, self._address(self._s3)), TCP, HTTPS)

    def node_to_s3(self) -> Exchange | None:
        return Exchange(self._client_host(), self._ends.outside(Kind.AWS_SERVICE, self._address(self._s3)), TCP, HTTPS)

    def pod_to_interface_endpoint(self) -> Exchange | None:
        endpoint = next(each for each in self._account.network.endpoints if each.enis)
        return Exchange(self._pod(), self._ends.eni(self._rng.choice(endpoint.enis)), TCP, HTTPS)

    def pod_to_database(self) -> Exchange | None:
        return Exchange(self._pod(), self._ends.eni(self._rng.choice(self._account.network.databases)), TCP, 5432)

    def pod_to_api_server(self) -> Exchange | None:
        return Exchange(self._pod(), self._ends.eni(self._rng.choice(self._account.network.control_plane)), TCP, HTTPS)

    def node_to_api_server(self) -> Exchange | None:
        return Exchange(self._client_host(), self._ends.eni(self._rng.choice(self._account.network.control_plane)), TCP, HTTPS)

    def pod_to_near_peer(self) -> Exchange | None:
        return Exchange(self._pod(), self._near_peer_end(), TCP, 8443)

    def pod_to_far_peer(self) -> Exchange | None:
        return Exchange(self._pod(), self._far_peer_end(), TCP, 8443)

    def pod_to_on_prem(self) -> Exchange | None:
        return Exchange(self._pod(), self._on_prem_end(), TCP, self._rng.choice((1433, 1521, HTTPS)))

    def pod_to_legacy(self) -> Exchange | None:
        return Exchange(self._pod(), self._instance_end("legacy-app"), TCP, 8000)

    def pod_to_nobody(self) -> Exchange | None:
        return Exchange(self._pod(), self._ends.outside(Kind.UNKNOWN, self._address([block(NOBODY_BLOCK)])), TCP, 8080)

    # into the cluster

    def on_prem_to_pod(self) -> Exchange | None:
        return self._to_pod(self._on_prem_end())

    def on_prem_to_node(self) -> Exchange | None:
        return Exchange(self._on_prem_end(), self._host(TCP, SSH), TCP, SSH)

    def on_prem_to_ingress(self) -> Exchange | None:
        proxy = self._hosts.get("edge-proxy")
        if proxy is None:
            return None
        return Exchange(self._on_prem_end(), self._ends.host(self._rng.choice(proxy.pods).node, TCP, HTTPS), TCP, HTTPS)

    def ping_from_on_prem(self) -> Exchange | None:
        return Exchange(self._on_prem_end(), self._pod(), ICMP, 0)

    def near_peer_to_pod(self) -> Exchange | None:
        return self._to_pod(self._near_peer_end())

    def near_peer_to_node(self) -> Exchange | None:
        return Exchange(self._near_peer_end(), self._host(TCP, 9100), TCP, 9100)

    def far_peer_to_pod(self) -> Exchange | None:
        return self._to_pod(self._far_peer_end())

    def network_balancer_to_pod(self) -> Exchange | None:
        return self._to_pod(self._ends.eni(self._rng.choice(self._account.network.load_balancers[0].enis)))

    def application_balancer_to_pod(self) -> Exchange | None:
        return self._to_pod(self._ends.eni(self._rng.choice(self._account.network.load_balancers[1].enis)))

    def control_plane_to_kubelet(self) -> Exchange | None:
        client = self._ends.eni(self._rng.choice(self._account.network.control_plane))
        return Exchange(client, self._host(TCP, KUBELET_PORT), TCP, KUBELET_PORT)

    def control_plane_to_webhook(self) -> Exchange | None:
        client = self._ends.eni(self._rng.choice(self._account.network.control_plane))
        return self._to_named(client, "kube-system", "aws-load-balancer-controller")

    def legacy_to_pod(self) -> Exchange | None:
        return self._to_pod(self._instance_end("legacy-app"))

    # beside the cluster

    def internet_to_balancer(self) -> Exchange | None:
        return Exchange(self._internet_end(), self._ends.eni(self._rng.choice(self._account.network.load_balancers[0].enis)), TCP, HTTPS)

    def internet_to_instance(self) -> Exchange | None:
        return Exchange(self._internet_end(), self._instance_end("bastion"), TCP, SSH)

    def instance_to_internet(self) -> Exchange | None:
        return Exchange(self._instance_end("mail-relay"), self._internet_end(), TCP, 587)

    def instance_to_instance(self) -> Exchange | None:
        return Exchange(self._instance_end("bastion"), self._instance_end("legacy-app"), TCP, SSH)

    def internet_scan(self) -> Exchange | None:
        """Somebody tries ports of whatever has a public address: refused."""
        public = [eni for eni in self._account.enis if eni.public is not None]
        eni = self._rng.choice(public)
        port = self._rng.choice((22, 23, 80, 3389, 8080))
        node = eni.instance.node if eni.instance else None
        target = self._ends.host(node, TCP, port) if node else self._ends.eni(eni)
        return Exchange(self._internet_end(), target, TCP, port, refused=True)

    # what never reaches an interface, or is not logged there

    def pod_to_neighbour(self) -> Exchange | None:
        """Another pod of the same node."""
        client = self._rng.choice(self._pods)
        server = self._rng.choice([pod for pod in client.node.pods if pod.eni])
        return Exchange(self._ends.pod(client), self._ends.pod(server), TCP, 8080)

    def pod_to_own_node(self) -> Exchange | None:
        client = self._rng.choice(self._pods)
        eni = self._rng.choice(client.node.instance.enis)
        return Exchange(self._ends.pod(client), self._ends.host(client.node, TCP, KUBELET_PORT, eni), TCP, KUBELET_PORT)

    def node_to_own_pod(self) -> Exchange | None:
        """A probe of the kubelet."""
        server = self._rng.choice(self._pods)
        return Exchange(self._ends.host(server.node, TCP, 0), self._ends.pod(server), TCP, 8080)

    def pod_to_itself(self) -> Exchange | None:
        pod = self._pod()
        return Exchange(pod, pod, TCP, 8080)

    def pod_to_metadata(self) -> Exchange | None:
        return Exchange(self._pod(), self._ends.outside(Kind.LINK_LOCAL, number(METADATA_ADDRESS)), TCP, 80)

    def node_to_metadata(self) -> Exchange | None:
        return Exchange(self._client_host(), self._ends.outside(Kind.LINK_LOCAL, number(METADATA_ADDRESS)), TCP, 80)

    def node_to_own_warm(self) -> Exchange | None:
        """The node has no route to it but the default."""
        node = self._rng.choice(self._account.nodes)
        if not node.warm:
            return None
        return Exchange(self._ends.host(node, TCP, 0), self._ends.warm(node, *self._rng.choice(node.warm)), TCP, 8080)

    def pod_to_own_balancer(self) -> Exchange | None:
        """By its public address. Asked only: the far record would show the NAT gateway's public address, of which MODEL.md says nothing."""
        balancer = self._account.network.load_balancers[0]
        return Exchange(self._pod(), self._ends.public(self._rng.choice(balancer.enis)), TCP, HTTPS)

    # pods that ended

    def _ghost(self) -> Pod | None:
        gone = [*self._account.ghosts, *(pod for pod in self._account.ended if pod.addr not in self._running_at)]
        return self._rng.choice(gone) if gone else None

    def _ghost_exchange(self, ghost: Pod | None, server: End | None, port: int) -> Exchange | None:
        if ghost is None or server is None:
            return None
        assert ghost.eni is not None
        return Exchange(self._ends.pod(ghost), server, TCP, port, seen_client=self._ends.warm(ghost.node, ghost.addr, ghost.eni))

    def ghost_to_pod(self) -> Exchange | None:
        served = self._server(tcp_only=True)
        return self._ghost_exchange(self._ghost(), served[0], served[2]) if served else None

    def ghost_to_internet(self) -> Exchange | None:
        return self._ghost_exchange(self._ghost(), self._internet_end(), HTTPS)

    def pod_to_ghost(self) -> Exchange | None:
        ghost = self._ghost()
        if ghost is None:
            return None
        assert ghost.eni is not None
        return Exchange(self._pod(), self._ends.pod(ghost), TCP, 8080, seen_server=self._ends.warm(ghost.node, ghost.addr, ghost.eni))

    def reused_ghost(self) -> Exchange | None:
        """An ended pod whose address another pod holds now: a lone snapshot takes the one for the other."""
        reused = [pod for pod in self._account.ended if pod.addr in self._running_at]
        served = self._server(tcp_only=True)
        if not reused or not served:
            return None
        ghost = self._rng.choice(reused)
        return Exchange(self._ends.pod(ghost), *served, seen_client=self._ends.pod(self._running_at[ghost.addr]))

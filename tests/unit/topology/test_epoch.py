"""What holds between two snapshots."""

from __future__ import annotations

from dataclasses import replace

from fastroute.topology import Topology
from fastroute.topology.epoch import epoch_topology
from tests.zoo import Builder, everything


def changed(**addrs: tuple[str, ...]) -> Topology:
    """The zoo with other addresses on some interfaces, `_` for `-` in their ids."""
    topology = everything()
    builder = Builder()
    builder.t = topology
    for name, held in addrs.items():
        eni_id = name.replace("_", "-")
        before = topology.enis[eni_id]
        builder.eni(eni_id, before.subnet_id, held, instance=before.instance_id, device=before.device_number)
    return topology


def test_newest_snapshot_is_itself() -> None:
    topology = everything()
    assert epoch_topology(topology, None) == (topology, frozenset())
    assert epoch_topology(topology, everything()).topology == topology


def test_nodes_and_interfaces_of_the_next_one_are_there_and_unsure() -> None:
    before, after = everything(), everything()
    for store, key in ((before.enis, "eni-b1"), (before.nodes, "node-c"), (before.instances, "i-c"), (after.enis, "eni-fw")):
        del store[key]  # type: ignore[attr-defined]
    found = epoch_topology(before, after)
    assert {"eni-b1", "eni-fw"} <= found.topology.enis.keys()
    assert "node-c" in found.topology.nodes
    assert "i-c" in found.topology.instances
    assert found.unsure == {"eni-b1", "eni-fw", "node-c"}


def test_new_addresses_are_added_and_moved_ones_are_where_they_were() -> None:
    after = changed(eni_a0=("10.0.0.10", "10.0.5.5", "10.0.9.9"), eni_a1=("10.0.0.77", "10.0.6.6", "10.0.6.7", "10.0.5.6"))
    found = epoch_topology(everything(), after).topology.enis
    assert [each.addr for each in found["eni-a0"].addresses] == ["10.0.0.10", "10.0.5.5", "10.0.5.6", "10.0.9.9"]
    assert [each.addr for each in found["eni-a1"].addresses] == ["10.0.0.77", "10.0.6.6", "10.0.6.7"]


def test_host_network_pods_of_the_next_one_are_there_and_routes_are_not() -> None:
    before, after = everything(), everything()
    agent = after.pods["default/agent-a"]
    after.pods["default/agent-z"] = replace(agent, name="agent-z")
    after.pods["default/web-z"] = replace(after.pods["default/web-a"], name="web-z")
    after.route_tables["rtb-priv"] = replace(after.route_tables["rtb-priv"], routes=())
    found = epoch_topology(before, after).topology
    assert found.pods.keys() - before.pods.keys() == {"default/agent-z"}
    assert found.route_tables == before.route_tables

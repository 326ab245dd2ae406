"""Holds on addresses, from what Kubernetes, ipamd and consecutive snapshots tell."""

from __future__ import annotations

from fastroute.topology import Assignment, Pod, Topology
from fastroute.topology.tenure import in_order, tenures_of, topology_at
from fastroute.topology.times import BEGINNING, END, rfc3339


def pod(name: str, start: int | None, phase: str = "Running", **more: object) -> Pod:
    start_time = None if start is None else rfc3339(start)
    return Pod("jobs", name, "node-a", ("10.0.0.5",), False, phase, "Job", name, (), start_time, uid=name, **more)  # type: ignore[arg-type]


def snapshot(at: int, *pods: Pod, assignments: tuple[Assignment, ...] = ()) -> Topology:
    return Topology(pods={each.key: each for each in pods}, captured_at=rfc3339(at), assignments=assignments)


def bounds(*snapshots: Topology) -> dict[str, tuple[int, int, int, int]]:
    return {each.pod.name: (each.first, each.since, each.until, each.last) for each in tenures_of(snapshots)}


def test_of_some_pods_the_tenures_are_those_among_all() -> None:
    snapshots = [snapshot(300, pod("a", 100), pod("b", 200)), snapshot(600, pod("b", 200), pod("c", 400))]
    for name in "abc":
        of_one = tenures_of(snapshots, lambda each, name=name: each.name == name)  # type: ignore[misc]
        assert of_one == tuple(tenure for tenure in tenures_of(snapshots) if tenure.pod.name == name) != ()


def test_lone_snapshot_holds_from_each_start_on() -> None:
    assert bounds(snapshot(900, pod("a", 100))) == {"a": (100, 100, END, END)}
    assert bounds(snapshot(900, pod("a", None))) == {"a": (BEGINNING, BEGINNING, END, END)}


def test_ended_pod_holds_until_its_end() -> None:
    assert bounds(snapshot(900, pod("a", 100, "Succeeded", finish_time=rfc3339(145)))) == {"a": (100, 100, 145, 145)}


def test_end_that_is_not_told_is_before_the_snapshot() -> None:
    assert bounds(snapshot(900, pod("a", 100, "Failed"))) == {"a": (100, 100, 100, 900)}
    assert bounds(snapshot(900, pod("a", 100, "Failed", deletion_time=rfc3339(400)))) == {"a": (100, 100, 100, 400)}


def test_pod_that_is_being_deleted_is_sure_up_to_the_snapshot() -> None:
    assert bounds(snapshot(900, pod("a", 100, deletion_time=rfc3339(930)))) == {"a": (100, 100, 900, END)}


def test_end_before_the_start_is_a_clock_and_no_end() -> None:
    assert bounds(snapshot(900, pod("a", 100, "Succeeded", finish_time=rfc3339(90)))) == {"a": (100, 100, 100, 100)}


def test_owner_of_two_consecutive_snapshots_holds_between_them() -> None:
    assert bounds(snapshot(300, pod("a", 100)), snapshot(600, pod("a", 100))) == {"a": (100, 100, END, END)}


def test_owner_seen_in_one_of_two_is_possible_between_them() -> None:
    assert bounds(snapshot(300, pod("a", 100)), snapshot(600)) == {"a": (100, 100, 300, 600)}
    assert bounds(snapshot(300), snapshot(600, pod("b", None))) == {"b": (300, 600, END, END)}
    assert bounds(snapshot(300), snapshot(600, pod("b", 450))) == {"b": (450, 450, END, END)}


def test_new_pod_of_an_old_name_is_another() -> None:
    first, second = pod("web-0", 100), pod("web-0", 450)
    old, new = (Pod(**{name: getattr(each, name) for name in Pod.__slots__} | {"uid": uid}) for each, uid in ((first, "1"), (second, "2")))
    found = tenures_of([snapshot(300, old), snapshot(600, new)])
    assert [(each.first, each.last) for each in found] == [(100, 600), (450, END)]
    assert [(each.first, each.last) for each in in_order(found)] == [(100, 450), (450, END)]


def test_ipamd_says_when_to_the_second() -> None:
    given = (Assignment("10.0.0.5", "node-a", "jobs/b", 164, 151),)
    ended = pod("a", 100, "Succeeded", finish_time=rfc3339(145))
    assert bounds(snapshot(900, ended, pod("b", 160), assignments=given)) == {"a": (100, 100, 151, 151), "b": (164, 164, END, END)}
    # another node's address of the same number, and a release long after the end, are not this pod's
    elsewhere = (Assignment("10.0.0.5", "node-b", "", None, 151), Assignment("10.0.0.5", "node-a", "", None, 800))
    assert bounds(snapshot(900, ended, assignments=elsewhere)) == {"a": (100, 100, 145, 145)}


def test_unknown_end_is_bounded_by_the_next_owner() -> None:
    (a, b) = in_order(tenures_of([snapshot(900, pod("a", 100, "Failed"), pod("b", 400))]))
    assert (a.until, a.last, b.first) == (100, 400, 400)


def test_snapshot_at_a_moment_has_who_held_then() -> None:
    topology = snapshot(
        900,
        pod("a", 100, "Succeeded", finish_time=rfc3339(145)),
        pod("b", 175),
        Pod("jobs", "pending", None, (), False, "Pending", None, None, ()),
    )
    tenures = tenures_of([topology])
    assert [key for at in (50, 120, 160, 200) for key in topology_at(topology, tenures, at).pods] == [
        "jobs/pending",
        *("jobs/pending", "jobs/a"),
        "jobs/pending",
        *("jobs/pending", "jobs/b"),
    ]
    assert topology_at(topology, tenures, 120).pods["jobs/a"].holds_address

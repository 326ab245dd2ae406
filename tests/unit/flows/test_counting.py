"""Each flow once: the rule against its plain form, and against flows of which the generator knows every record."""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastroute.api import Snapshot
from fastroute.datapath import Names
from fastroute.errors import InputError
from fastroute.flows.account import Account
from fastroute.flows.counting import Counted, FlowCounter
from fastroute.flows.encode import EXCLUDED_END
from fastroute.flows.legs import Leg
from fastroute.jobs.aggregate import aggregate_files
from fastroute.synth.account import make_account
from fastroute.synth.addresses import text
from fastroute.synth.exchanges import Observer, Sighting
from fastroute.synth.snapshot import write_snapshot
from fastroute.synth.traffic import log_format
from fastroute.synth.traffic_kinds import TrafficKinds
from fastroute.topology import Eni, EniRole
from tests.reference.counting import APPLIANCE, BALANCER, FORWARDER, NAT, Record, is_counted, leg_of

ROLES = {"eni-nat": NAT, "eni-lb": BALANCER, "eni-tgw": FORWARDER, "eni-fw": APPLIANCE}
ENIS = ("eni-a", "eni-b", *ROLES)
ENI_ROLES = {"eni-nat": EniRole.NAT_GATEWAY, "eni-lb": EniRole.LOAD_BALANCER, "eni-tgw": EniRole.TRANSIT_GATEWAY}


def counter(logged: set[str]) -> FlowCounter:
    """Row i of the fake snapshot is an address of interface ENIS[i]; the last row is held by none."""
    data = "".join(ENIS).encode()
    names = Names(np.frombuffer(data, np.uint8), np.cumsum([0, *map(len, ENIS)]).astype(np.int32))
    compiled = SimpleNamespace(names={"eni": names}, rows=SimpleNamespace(eni=np.array([*range(len(ENIS)), -1], np.int32)))
    enis = {
        eni_id: Eni(eni_id, "", "", "", "", ENI_ROLES.get(eni_id, EniRole.INSTANCE), "", "", (), source_dest_check=eni_id != "eni-fw")
        for eni_id in ENIS
    }
    return FlowCounter(compiled, SimpleNamespace(enis=enis), logged)  # type: ignore[arg-type]


ends = st.sampled_from([*ENIS, None])


def judged(rows: list[Record], logged: set[str], *, has_packet_addresses: bool, has_direction: bool = True) -> Counted:
    columns: dict[str, list[str]] = {
        "interface_id": [row.interface or "-" for row in rows],
        "action": ["REJECT" if row.is_rejected else "ACCEPT" for row in rows],
    }
    if has_direction:
        columns["flow_direction"] = [row.direction for row in rows]
    for name in ("pkt_srcaddr", "pkt_dstaddr") if has_packet_addresses else ("srcaddr", "dstaddr"):
        columns[name] = ["10.0.0.1"] * len(rows)
    place = {eni_id: i for i, eni_id in enumerate(ENIS)} | {None: len(ENIS)}
    src, dst = (np.array([place[getattr(row, end)] for row in rows], np.int32) for end in ("src", "dst"))
    return counter(logged).count(pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()}), src, dst)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([*ENIS, "eni-gone", None]), st.sampled_from(["egress", "ingress", "-"]), ends, ends, st.booleans()),
        min_size=1,
        max_size=60,
    ),
    st.sets(st.sampled_from(ENIS)),
    st.booleans(),
    st.booleans(),
)
def test_the_rule_is_that_of_the_plain_form(
    drawn: list[tuple[str | None, str, str | None, str | None, bool]], logged: set[str], has_packet_addresses: bool, has_direction: bool
) -> None:
    rows = [Record(*each, has_packet_addresses) for each in drawn]
    found = judged(rows, logged, has_packet_addresses=has_packet_addresses, has_direction=has_direction)
    if not has_direction:
        rows = [replace(row, direction="") for row in rows]
    assert [Leg(leg).name for leg in found.leg] == [leg_of(row, ROLES) for row in rows]
    assert found.is_counted.tolist() == [is_counted(row, ROLES, logged) for row in rows]


def test_excluded_records_are_of_no_leg() -> None:
    table = pa.table({"interface_id": ["eni-a", "eni-a"]})
    found = counter({"eni-a"}).count(table, np.array([EXCLUDED_END, 0], np.int32), np.array([EXCLUDED_END, 1], np.int32))
    assert found.leg.tolist() == [-1, Leg.END]
    assert found.is_counted.tolist() == [0, 1]
    leg, counted = found.columns()
    assert leg.to_pylist() == [None, "END"]
    assert counted.to_pylist() == [False, True]


def test_without_interfaces_nothing_can_be_counted() -> None:
    none = np.empty(0, np.int32)
    with pytest.raises(InputError, match="no column interface_id"):
        counter(set()).count(pa.table({"pkt_srcaddr": pa.array([], pa.string())}), none, none)


def test_the_account_holds_what_counts_and_what_does_not() -> None:
    account = Account()
    account.measured[0] = 3, 30, 3
    account.by_attribution[0] = account.by_path_class[0] = account.by_disposition[0] = 2, 20, 2
    account.by_attribution[-1] = 1, 10, 1
    counted = Counted(np.array([Leg.END, -1, Leg.NAT_INSIDE], np.int8), np.array([1, 0, 0], np.uint8))
    counted.enter(account, np.array([10, 10, 10]), np.array([1, 1, 1]))
    account.check()
    assert account.to_dict()["counted"] == account.to_dict()["duplicates"] == {"records": 1, "bytes": 10, "packets": 1}
    assert account.legs is not None
    account.legs[0, 0] += 1
    with pytest.raises(AssertionError, match="the account of legs"):
        account.check()


# --- against the generator --------------------------------------------------------------------------------------------------------


class Made:
    """An account with a log in which every flow has a number of bytes of its own."""

    def __init__(self, folder: Path, mode: str, *, default_format: bool) -> None:
        import random

        self.folder = folder
        self.default_format = default_format
        self.account = make_account(nodes=5, pods=60, seed=7, mode=mode)
        self.snapshot = folder / "snapshot"
        self.snapshot.mkdir()
        write_snapshot(self.account, self.snapshot, log_format=log_format(default_format=default_format))
        kinds = TrafficKinds(self.account, random.Random(mode))
        observer = Observer(self.account, self.account.logged_vpcs, has_packet_addresses=not default_format)
        self.seen: list[tuple[int, Sighting, int]] = []
        for number, exchange in enumerate(kinds.recorded(500)):
            for sighting in observer.observe(exchange):
                self.seen.append((2 * number + sighting.is_reply, sighting, exchange.port if sighting.is_reply else 40_000 + number))

    def write(self, kept: set[str] | None, *, has_direction: bool = True) -> Path:
        """The log of some interfaces, or of all."""
        chosen = [each for each in self.seen if kept is None or each[1].eni.id in kept]
        rows = [
            {
                "interface_id": one.eni.id,
                "vpc_id": one.eni.vpc.id,
                "srcaddr": text(one.src),
                "dstaddr": text(one.dst),
                "pkt_srcaddr": text(one.pkt_src),
                "pkt_dstaddr": text(one.pkt_dst),
                "action": "REJECT" if one.is_rejected else "ACCEPT",
                "log_status": "OK",
                "flow_direction": "egress" if one.is_egress else "ingress",
                "srcport": port,
                "dstport": port,
                "protocol": 6,
                "packets": 1,
                "bytes": bytes_of(flow),
            }
            for flow, one, port in chosen
        ]
        table = pa.Table.from_pylist(rows)
        dropped = ["pkt_srcaddr", "pkt_dstaddr", "vpc_id", "flow_direction"] if self.default_format else []
        dropped += [] if has_direction or self.default_format else ["flow_direction"]
        path = self.folder / "log.parquet"
        pq.write_table(table.drop_columns(dropped), path)
        return path

    def truth(self, kept: set[str] | None) -> int:
        """Bytes of the flows that at least one of the interfaces saw; the front legs of load balancers aside."""
        flows: defaultdict[int, list[Sighting]] = defaultdict(list)
        for flow, one, _ in self.seen:
            if kept is None or one.eni.id in kept:
                flows[flow].append(one)
        return sum(bytes_of(flow) for flow, seen in flows.items() if not all(self._is_front(one) for one in seen))

    def _is_front(self, one: Sighting) -> bool:
        balancers = {eni.id for balancer in self.account.network.load_balancers for eni in balancer.enis}
        far = one.dst if one.is_egress else one.src
        inside = any(far in vpc.holders for vpc in self.account.logged_vpcs)
        return one.eni.id in balancers and not inside and not one.is_rejected

    def set_flow_logs(self, resources: list[str] | None, traffic: str = "ALL") -> None:
        """What the snapshot says is logged; None: nothing at all."""
        path = next(self.snapshot.rglob("flow-logs.json"))
        logs = [{"ResourceId": each, "TrafficType": traffic, "FlowLogStatus": "ACTIVE"} for each in resources or ()]
        if resources is None:
            path.unlink()
        else:
            path.write_bytes(msgspec.json.encode({"FlowLogs": logs}))


def bytes_of(flow: int) -> int:
    """No flow lost and another counted twice add up to the truth."""
    return 1_000_003 * (flow + 1) ** 2 + 17 * flow + 1


@pytest.fixture(params=["secondary", "prefix", "external-snat", "custom"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Made:
    return Made(tmp_path, request.param, default_format=False)


def counted_bytes(made: Made, log: Path) -> int:
    found = aggregate_files(log, Snapshot.load(made.snapshot, cache=False), ["leg"], measures=["bytes", "flows"], count="flows", threads=1)
    account = found.account.to_dict()
    assert account["counted"]["bytes"] == sum(found.table["bytes"].to_pylist())
    assert account["counted"]["records"] == sum(found.table["flows"].to_pylist())
    for measure in ("records", "bytes"):
        assert account["counted"][measure] + account["duplicates"][measure] + account["excluded"][measure] == account["input"][measure]
    return int(account["counted"]["bytes"])


@pytest.mark.parametrize("has_direction", [True, False])
def test_every_flow_of_the_generator_counts_once(made: Made, has_direction: bool) -> None:
    enis = sorted({one.eni.id for _, one, _ in made.seen})
    subnets = sorted({one.eni.subnet.id for _, one, _ in made.seen})[::2]
    in_subnets = {one.eni.id for _, one, _ in made.seen if one.eni.subnet.id in subnets}
    busiest = max(enis, key=lambda eni_id: sum(one.eni.id == eni_id for _, one, _ in made.seen))
    for resources, kept in (([vpc.id for vpc in made.account.logged_vpcs], None), (subnets, in_subnets), ([busiest], {busiest})):
        made.set_flow_logs(resources)
        assert counted_bytes(made, made.write(kept, has_direction=has_direction)) == made.truth(kept)


def test_without_flow_logs_the_log_says_which_interfaces_are_logged(made: Made) -> None:
    made.set_flow_logs(None)
    for kept in (None, {one.eni.id for _, one, _ in made.seen[::7]}):
        assert counted_bytes(made, made.write(kept)) == made.truth(kept)


def test_the_default_format_shows_interface_addresses_and_no_direction(tmp_path: Path) -> None:
    made = Made(tmp_path, "secondary", default_format=True)
    for kept in (None, {one.eni.id for _, one, _ in made.seen[::7]}):
        made.set_flow_logs([vpc.id for vpc in made.account.logged_vpcs] if kept is None else sorted(kept))
        assert counted_bytes(made, made.write(kept)) == made.truth(kept)


def test_a_log_of_refused_traffic_says_nothing_of_accepted(made: Made) -> None:
    made.set_flow_logs([vpc.id for vpc in made.account.logged_vpcs], "REJECT")
    log = made.write(None)
    refused = pq.read_table(log).filter(pa.compute.field("action") == "REJECT")
    pq.write_table(refused, log)
    assert counted_bytes(made, log) == sum(refused["bytes"].to_pylist())

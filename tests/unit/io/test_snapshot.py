"""Layouts of a snapshot folder, what is wrong with one, and that no damaged file gives anything but an InputError."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastroute.errors import InputError
from fastroute.io.parse_report import Use
from fastroute.io.snapshot import read_snapshot
from fastroute.topology import Topology
from tests.unit.io.snapshots import EKS, interface, kubectl_list, pod, subnet, vpc, write_snapshot

AWS = {"vpcs.json": {"Vpcs": [vpc()]}, "subnets.json": {"Subnets": [subnet()]}, "enis.json": {"NetworkInterfaces": [interface()]}}


def under(folder: str) -> dict[str, Any]:
    return {f"{folder}/{name}": content for name, content in AWS.items()}


@pytest.mark.parametrize(
    "folder", ["aws/us-east-1", "aws_configs/us-east-1", "aws_configs", "accounts/111122223333/us-east-1", "us-east-1", "deep/er-1", "."]
)
def test_layouts(tmp_path: Path, folder: str) -> None:
    topology = read_snapshot(write_snapshot(tmp_path, under(folder))).topology
    assert topology.vpcs["vpc-1"].region == topology.subnets["subnet-1"].region == "us-east-1"
    assert set(topology.enis) == {"eni-1"}


def test_the_folder_says_region_and_account(tmp_path: Path) -> None:
    bare = {key: value for key, value in vpc().items() if key != "OwnerId"}
    files = {"accounts/444455556666/eu-west-1/a.json": {"Vpcs": [bare], "NetworkInterfaces": [interface()]}}
    topology = read_snapshot(write_snapshot(tmp_path, files)).topology
    assert (topology.vpcs["vpc-1"].region, topology.vpcs["vpc-1"].account_id) == ("eu-west-1", "444455556666")
    assert (topology.enis["eni-1"].region, topology.enis["eni-1"].account_id) == ("eu-west-1", "444455556666")


@pytest.mark.parametrize("az", ["us-gov-west-1b", "us-west-2-lax-1a", "ap-southeast-2c"])
def test_the_region_of_a_zone(tmp_path: Path, az: str) -> None:
    topology = read_snapshot(write_snapshot(tmp_path, {"s.json": {"Subnets": [subnet(az=az)], "Vpcs": [vpc()]}})).topology
    expected = {"us-gov-west-1b": "us-gov-west-1", "us-west-2-lax-1a": "us-west-2", "ap-southeast-2c": "ap-southeast-2"}[az]
    assert (topology.subnets["subnet-1"].region, topology.vpcs["vpc-1"].region) == (expected, expected)


def test_two_accounts_and_two_files_of_one_kind_merge(tmp_path: Path) -> None:
    files = {
        "accounts/111122223333/us-east-1/vpcs.json": {"Vpcs": [vpc("vpc-1")]},
        "accounts/444455556666/us-west-2/vpcs.json": {"Vpcs": [vpc("vpc-2", "10.1.0.0/16")]},
        "accounts/444455556666/us-west-2/more.json": {"Vpcs": [vpc("vpc-2", "10.1.0.0/16"), vpc("vpc-3", "10.2.0.0/16")]},
        "pods-a.json": kubectl_list(pod("a")),
        "pods-b.json": kubectl_list(pod("b")),
    }
    topology = read_snapshot(write_snapshot(tmp_path, files)).topology
    assert {each.id: each.region for each in topology.vpcs.values()} == {"vpc-1": "us-east-1", "vpc-2": "us-west-2", "vpc-3": "us-west-2"}
    assert set(topology.pods) == {"default/a", "default/b"}
    assert topology.findings == ()


def test_one_id_with_two_contents_is_a_finding(tmp_path: Path) -> None:
    files = {"a.json": {"Vpcs": [vpc("vpc-1", "10.0.0.0/16")]}, "b.json": {"Vpcs": [vpc("vpc-1", "10.1.0.0/16")]}}
    topology = read_snapshot(write_snapshot(tmp_path, files)).topology
    assert topology.vpcs["vpc-1"].cidrs == ("10.0.0.0/16",)
    (finding,) = topology.findings
    assert (finding.kind, finding.subject) == ("conflicting-object", "vpc-1")
    assert "different cidrs" in finding.text
    assert "Vpcs[0] of b.json" in finding.text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gzip"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    text = json.dumps({"Vpcs": [vpc()]})
    data = gzip.compress(text.encode()) if encoding == "gzip" else text.encode(encoding)
    name = "vpcs.json.gz" if encoding == "gzip" else "vpcs.json"
    assert set(read_snapshot(write_snapshot(tmp_path, {name: data})).topology.vpcs) == {"vpc-1"}


def test_what_is_not_read_is_listed(tmp_path: Path) -> None:
    files = {
        **under("aws/us-east-1"),
        "nodes/ip-10-0-0-10.ec2.internal/ip-rule.json": "[]",
        "nodes/ip-10-0-0-10.ec2.internal/ip-route.txt": "default via 10.0.0.1",
        "nodes/other/eks_i-0a1b_2026-01-10.tar.gz": b"\x1f\x8b",
        "eks_i-0a1c_2026-01-10.tar.gz": b"\x1f\x8b",
        "notes.txt": "by hand",
        "package.json": {"name": "x", "version": "1"},
        ".hidden/x.json": "broken",
        "captured_at": "2026-01-10T09:30:00Z\n",
    }
    read = read_snapshot(write_snapshot(tmp_path, files))
    assert read.report.node_folders == ["ip-10-0-0-10.ec2.internal"]
    assert read.report.bundles == ["eks_i-0a1c_2026-01-10.tar.gz", "nodes/other/eks_i-0a1b_2026-01-10.tar.gz"]
    assert read.report.other_files == ["notes.txt"]
    assert [kind.kind for kind in read.report.totals() if kind.use is Use.UNKNOWN] == ["name", "version"]


def test_a_file_without_suffix_is_looked_into(tmp_path: Path) -> None:
    read = read_snapshot(write_snapshot(tmp_path, {"pods": kubectl_list(pod()), "NOTES": "[by hand]"}))
    assert set(read.topology.pods) == {"default/web"}
    assert read.report.other_files == ["NOTES"]


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    write_snapshot(tmp_path / "there", AWS)
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    (snapshot / "aws").symlink_to(tmp_path / "there")
    (snapshot / "again").symlink_to(snapshot)
    read = read_snapshot(snapshot)
    assert [file.path for file in read.report.files] == ["aws/enis.json", "aws/subnets.json", "aws/vpcs.json"]


@pytest.mark.parametrize("text", ["2026-01-10T09:30:00Z", "2026-01-10T10:30:00+01:00\n"])
def test_captured_at(tmp_path: Path, text: str) -> None:
    assert read_snapshot(write_snapshot(tmp_path, AWS | {"captured_at": text})).topology.captured_at == text.strip()


@pytest.mark.parametrize("text", [None, "yesterday", "2026-01-10T09:30:00", ""])
def test_the_newest_file_tells_the_time_else(tmp_path: Path, text: str | None) -> None:
    write_snapshot(tmp_path, AWS)
    for i, name in enumerate(AWS):
        os.utime(tmp_path / name, (0, 1_768_000_000 + i))
    if text is not None:
        write_snapshot(tmp_path, {"captured_at": text})
    topology = read_snapshot(tmp_path).topology
    assert topology.captured_at == "2026-01-09T23:06:42Z"  # 1,768,000,002 s
    assert [finding.kind for finding in topology.findings] == (["bad-time"] if text is not None else [])


def test_progress_ends_at_the_whole(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    files = AWS | {"pods.json": kubectl_list(*(pod(str(i)) for i in range(3000)))}
    read_snapshot(write_snapshot(tmp_path, files), lambda done, total: calls.append((done, total)))
    dones = [done for done, _ in calls]
    assert dones == sorted(dones)
    assert len(calls) > len(files)
    assert calls[-1][0] == calls[-1][1] == sum(path.stat().st_size for path in tmp_path.iterdir())


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_snapshot(path)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("pods.json", "NAMESPACE   NAME   READY\ndefault     web    1/1\n", "text, not JSON; save it with `-o json` (kubectl)"),
        ("pods.json", "", "empty"),
        ("pods.json", '{"items": [\n{"kind": "Pod"', "line 2, column 15 (byte 26): the JSON ends here before it is complete"),
        ("pods.json", '{"items":\n[1 2]}', "line 2, column 4 (byte 13): JSON is malformed"),
        ("vpcs.json", '[{"VpcId": "vpc-1"}]', "JSON, but no object with a key that names its content"),
        ("vpcs.json", '"Vpcs"', "JSON, but no object with a key"),
        ("vpcs.json.gz", b"\x1f\x8b\x08\x00broken", "not a whole gzip file"),
        ("vpcs.json", '{"Vpcs":' + "[" * 5000 + "]" * 5000 + "}", "recursion"),
        ("vpcs.json", b'{"Vpcs": [{"VpcId": "\xff"}]}', "byte 21: no UTF-8 text"),
        ("vpcs.json", '{"Vpcs": [{"VpcId": "\\ud800"}]}', "line 1, column 32"),
        ("vpcs.json", '{"Vpcs": [{"VpcId": "vpc-1", "\\ud800": 1}]}', "line 1, column 37"),
    ],
)
def test_a_broken_file_is_named_with_place_and_way_out(tmp_path: Path, name: str, content: str | bytes, expected: str) -> None:
    write_snapshot(tmp_path, {name: content})
    text = refused(tmp_path)
    assert text.startswith(f"{tmp_path / name}: ")
    assert expected in text


def test_no_folder(tmp_path: Path) -> None:
    assert refused(tmp_path / "absent") == f"{tmp_path / 'absent'}: no such folder; check the path"


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    write_snapshot(tmp_path, AWS)
    assert "a snapshot is a folder" in refused(tmp_path / "vpcs.json")


@pytest.mark.parametrize("files", [{}, {"notes.txt": "x"}, {"package.json": {"name": "x"}}])
def test_a_folder_with_no_known_file(tmp_path: Path, files: dict[str, Any]) -> None:
    write_snapshot(tmp_path, files)
    assert "is an output of `aws ec2 describe-...` or `kubectl get ... -o json`" in refused(tmp_path)


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_snapshot(tmp_path, under("aws"))
    scandir = os.scandir

    def refuse(path: str) -> Any:
        if Path(path).name == "aws":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert refused(tmp_path) == f"{tmp_path / 'aws'}: Permission denied; check its permissions"


@pytest.mark.parametrize("name", ["vpcs.json", "pods"])
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    write_snapshot(tmp_path, AWS | {name: "{}"})

    def refuse(path: Path, *args: Any, **kwargs: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert "Permission denied; check the path and its permissions" in refused(tmp_path)


def test_a_link_to_nowhere_is_named(tmp_path: Path) -> None:
    write_snapshot(tmp_path, AWS)
    (tmp_path / "lost.json").symlink_to(tmp_path / "nowhere")
    assert refused(tmp_path).startswith(f"{tmp_path / 'lost.json'}: ")


PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=5
)
NAMES = sorted(path.relative_to(EKS).as_posix() for path in EKS.rglob("*.json"))
CONTENTS = {name: (EKS / name).read_bytes() for name in NAMES}


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value in a JSON document."""
    found = [at]
    if isinstance(value, dict):
        found += [place for key, inner in value.items() for place in places(inner, (*at, key))]
    elif isinstance(value, list):
        found += [place for i, inner in enumerate(value) for place in places(inner, (*at, i))]
    return found


def put(document: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return document


def read_or_refuse(folder: Path, name: str, data: bytes) -> Topology | None:
    """Read the fixture with one file replaced; None where that is refused, by an error of one line that names the file."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    # a file that is known, so that an unknown one is not all there is
    (folder / "known.json").write_text('{"Volumes": []}')
    refusal = ""
    try:
        return read_snapshot(folder).topology
    except InputError as error:
        refusal = str(error)
    finally:
        path.unlink()
    assert str(path) in refusal
    assert "\n" not in refusal
    return None


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_value_in_any_place(tmp_path: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(NAMES))
    document = json.loads(CONTENTS[name])
    place = data.draw(st.sampled_from(places(document)))
    read_or_refuse(tmp_path, name, json.dumps(put(document, place, data.draw(VALUES))).encode())


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_damage_to_the_bytes(tmp_path: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(NAMES))
    content = CONTENTS[name]
    start = data.draw(st.integers(0, len(content)))
    stop = data.draw(st.integers(start, min(len(content), start + 40)))
    read_or_refuse(tmp_path, name, content[:start] + data.draw(st.binary(max_size=8)) + content[stop:])


@pytest.mark.parametrize("name", NAMES)
def test_every_file_cut_short_is_refused(tmp_path: Path, name: str) -> None:
    content = CONTENTS[name].rstrip()
    for length in {0, 1, len(content) // 2, len(content) - 1}:
        assert read_or_refuse(tmp_path, name, content[:length]) is None

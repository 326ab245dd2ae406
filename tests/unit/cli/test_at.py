"""whois and trace at a time: the history of an address, and times that are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fastroute.synth import SynthResult
from tests.unit.cli.conftest import Run


@pytest.fixture(name="asked", scope="module")
def _asked(made: SynthResult) -> tuple[Path, str, str]:
    """A snapshot, a running pod of it, and its address."""
    pods = json.loads((made.snapshot / "kubernetes" / "pods.json").read_text())["items"]
    pod = next(each for each in pods if each["status"]["phase"] == "Running" and not each["spec"].get("hostNetwork"))
    return made.snapshot, f"{pod['metadata']['namespace']}/{pod['metadata']['name']}", pod["status"]["podIP"]


def test_whois_shows_the_history_and_who_it_was(run: Run, asked: tuple[Path, str, str]) -> None:
    folder, pod, addr = asked
    ended = run("whois", addr, "-s", folder)
    assert ended.code == 0
    assert "POD" in ended.out
    assert "2026-08-11T08:30:00Z" in ended.out
    ended = run("whois", addr, "-s", folder, "--at", "2026-08-11T08:29:59Z", "-o", "json")
    before = json.loads(ended.out)
    assert ended.code == 0
    assert (before["found"]["kind"], before["found"]["k8s_pod"]) == ("ENI", None)
    assert before["history"] == [
        {
            "pod": pod,
            "node": before["found"]["node"],
            "first": "2026-08-11T08:30:00Z",
            "since": "2026-08-11T08:30:00Z",
            "until": None,
            "last": None,
        }
    ]
    ended = run("whois", addr, "-s", folder, "--at", 1786437000, "-o", "json")
    assert json.loads(ended.out)["found"]["k8s_pod"] == pod.partition("/")[2]


def test_trace_between_the_pods_of_a_time(run: Run, asked: tuple[Path, str, str]) -> None:
    folder, pod, _ = asked
    ended = run("trace", pod, "8.8.8.8:443", "-s", folder, "--at", "2026-08-20T12:00:00Z")
    assert ended.code == 0
    ended = run("trace", pod, "8.8.8.8:443", "-s", folder, "--at", "2026-08-01T12:00:00Z")
    assert ended.code == 2
    assert "is no address, and no namespace/pod" in ended.err


def test_time_without_zone_is_refused_with_what_would_do(run: Run, asked: tuple[Path, str, str]) -> None:
    folder, _, addr = asked
    ended = run("whois", addr, "-s", folder, "--at", "2026-08-20T12:00:00")
    assert ended.code == 2
    assert "names no time zone; write 2026-08-20T12:00:00Z if it is UTC" in ended.err

"""Questions name things that exist; answers fit them row by row."""

from __future__ import annotations

import ipaddress

import pytest

from fastroute.errors import InputError
from fastroute.synth import Account, answers, make_account, questions

NUM = 1500


@pytest.fixture(scope="module")
def account() -> Account:
    return make_account(nodes=10, pods=150, seed=5)


def _names(account: Account) -> set[str]:
    pods = {f"{pod.namespace}/{pod.name}" for pod in account.pods}
    enis = {eni.id for eni in account.enis}
    instances = {eni.instance.id for eni in account.enis if eni.instance}
    return pods | enis | instances | {node.name for node in account.nodes}


def test_ends_are_addresses_or_names_of_the_account(account: Account) -> None:
    table = questions(account, NUM, 5)
    assert table.column_names == ["src", "dst", "protocol", "src_port", "dst_port", "bytes"]
    assert table.num_rows == NUM
    names = _names(account)
    spelled = [*table["src"].to_pylist(), *table["dst"].to_pylist()]
    for end in spelled:
        assert end in names or ipaddress.IPv4Address(end)
    assert {"/" in end for end in spelled} == {True, False}
    assert any(end.startswith("eni-") for end in spelled)
    assert any(end.startswith("i-") for end in spelled)


def test_answers_fit_the_questions(account: Account) -> None:
    asked, known = questions(account, NUM, 5).to_pylist(), answers(account, NUM, 5).to_pylist()
    assert len(known) == NUM
    for question, answer in zip(asked, known, strict=True):
        assert answer["opener"] == ("SRC" if answer["decidable"] else None)
        if not answer["decidable"]:
            assert "UNKNOWN" in (answer["src_kind"], answer["dst_kind"])
            continue
        if "/" in question["src"]:
            assert question["src"] == f"{answer['src_k8s_namespace']}/{answer['src_k8s_pod']}"
        if question["dst"].startswith("eni-"):
            assert question["dst"] == answer["dst_eni"]
        if answer["src_k8s_pod"] and answer["src_k8s_pod"] == answer["dst_k8s_pod"]:
            assert (answer["form"], answer["path_class"]) == ("INTRA_POD", "INTRA_POD")


def test_answers_hold_every_form_and_the_flows_that_logs_never_show(account: Account) -> None:
    known = answers(account, NUM, 5).to_pylist()
    assert {row["form"] for row in known} == {"INTRA_POD", "INTRA_HOST", "INTER_HOST", "INGRESS", "EGRESS", "EXTERNAL", None}
    assert {row["rule_priority"] for row in known} == {0, 512, 1024, 1536, 32766, None}
    assert {"SAME_NODE", "LINK_LOCAL"} <= {row["path_class"] for row in known}
    assert {"LOOP", "NO_SUCH_ADDRESS"} <= {row["disposition"] for row in known}


def test_same_seed_same_questions(account: Account) -> None:
    assert questions(account, 50, 9).equals(questions(account, 50, 9))
    assert not questions(account, 50, 9).equals(questions(account, 50, 10))


def test_no_questions_are_refused(account: Account) -> None:
    with pytest.raises(InputError, match="at least 1"):
        questions(account, 0)

"""Writes an account as a snapshot folder: the outputs that an operator would have saved, untouched."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from fastroute.synth import aws_gateways, aws_json, kubernetes_json
from fastroute.synth.account import Account
from fastroute.synth.clock import CAPTURED_AT, rfc3339
from fastroute.synth.node_dump import route_dump, rule_dump

_INDENT = b"    "


def write_snapshot(account: Account, folder: Path, *, log_format: str, node_dumps: bool = False) -> None:
    """Write `aws/<region>/`, `kubernetes/`, `captured_at` and, if wanted, `nodes/<name>/` below an existing folder.

    Items are encoded one by one, so memory does not grow with the number of pods.
    """
    region = folder / "aws" / account.region
    for sub_folder in ("PrefixListEntries", "TransitGatewayRoutes"):
        (region / sub_folder).mkdir(parents=True)
    for name, key, entries in aws_json.lists(account, log_format):
        _write_items(region / f"{name}.json", b'{\n    "%s": ' % key.encode(), entries, b"\n}\n")
    for prefix_list in aws_gateways.prefix_lists(account):
        _write(region / "PrefixListEntries" / f"{prefix_list.id}.json", {"Entries": aws_gateways.prefix_list_entries(prefix_list)})
    table_id, routes = aws_gateways.transit_routes(account)
    _write(region / "TransitGatewayRoutes" / f"{table_id}.json", {"Routes": routes, "AdditionalRoutesAvailable": False})
    _write(region / "cluster.json", {"cluster": aws_json.cluster(account)})

    kubernetes = folder / "kubernetes"
    kubernetes.mkdir()
    # kubectl sorts keys, so `kind` comes after the items
    head = b'{\n    "apiVersion": "v1",\n    "items": '
    tail = b',\n    "kind": "List",\n    "metadata": {\n        "resourceVersion": ""\n    }\n}\n'
    for name, items in kubernetes_json.lists(account):
        _write_items(kubernetes / f"{name}.json", head, items, tail)
    (folder / "captured_at").write_text(rfc3339(CAPTURED_AT) + "\n", encoding="utf-8")

    if node_dumps:
        for node in account.nodes:
            of_node = folder / "nodes" / node.name
            of_node.mkdir(parents=True)
            (of_node / "ip-rule.txt").write_text(rule_dump(account, node), encoding="utf-8")
            (of_node / "ip-route.txt").write_text(route_dump(account, node), encoding="utf-8")


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=4) + b"\n")


def _write_items(path: Path, head: bytes, items: Iterable[dict[str, Any]], tail: bytes) -> None:
    encoder = msgspec.json.Encoder()
    with path.open("wb", buffering=1 << 20) as out:
        out.write(head + b"[")
        separator = b"\n"
        for item in items:
            formatted = msgspec.json.format(encoder.encode(item), indent=4)
            out.write(separator + 2 * _INDENT + formatted.replace(b"\n", b"\n" + 2 * _INDENT))
            separator = b",\n"
        out.write(b"\n" + _INDENT + b"]" + tail if separator != b"\n" else b"]" + tail)
        out.flush()
        os.fsync(out.fileno())

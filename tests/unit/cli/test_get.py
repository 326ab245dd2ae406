"""fastroute get: the grammar of `ip route get`, over dumps, snapshots and tables of questions."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fastroute.errors import InputError
from fastroute.jobs.get import Question, parse_question
from fastroute.synth import SynthResult
from tests.unit.cli.conftest import Run

# The worked example of the plugin's data path: pod B (10.0.6.6) on the second interface.
RULES = """0:	from all lookup local
512:	from all to 10.0.5.5 lookup main
512:	from all to 10.0.6.6 lookup main
1024:	from all fwmark 0x80/0x80 lookup main
1536:	from 10.0.6.6 lookup 2
32765:	from 10.0.0.77 lookup 2
32766:	from all lookup main
32767:	from all lookup default
"""
ROUTES = """default via 10.0.0.1 dev ens6 table 2
10.0.0.1 dev ens6 table 2 scope link
default via 10.0.0.1 dev ens5 proto dhcp src 10.0.0.10 metric 512
10.0.0.0/19 dev ens5 proto kernel scope link src 10.0.0.10
10.0.5.5 dev enicc21c2d7785 scope link
10.0.6.6 dev eni0d7763386da scope link
unreachable 192.0.2.0/24
local 10.0.0.10 dev ens5 table local proto kernel scope host src 10.0.0.10
local 10.0.0.77 dev ens6 table local proto kernel scope host src 10.0.0.77
local 127.0.0.0/8 dev lo table local proto kernel scope host src 127.0.0.1
"""
FROM_B = ("from", "10.0.6.6", "iif", "eni0d7763386da")


@pytest.fixture(name="dumps")
def _dumps(tmp_path: Path) -> Path:
    folder = tmp_path / "dumps"
    folder.mkdir()
    (folder / "ip-rule.txt").write_text(RULES)
    (folder / "ip-route.txt").write_text(ROUTES)
    return folder


@pytest.mark.parametrize(
    ("words", "begins", "code"),
    [
        (("8.8.8.8", *FROM_B), "8.8.8.8 from 10.0.6.6 via 10.0.0.1 dev ens6 table 2", 0),
        (("8.8.8.8", *FROM_B, "mark", "0x80"), "8.8.8.8 from 10.0.6.6 via 10.0.0.1 dev ens5 table main", 0),
        (("10.0.5.5", *FROM_B), "10.0.5.5 from 10.0.6.6 dev enicc21c2d7785 table main", 0),
        (("10.0.0.10", *FROM_B), "local 10.0.0.10 from 10.0.6.6 dev lo table local", 0),
        (("to", "8.8.8.8"), "8.8.8.8 via 10.0.0.1 dev ens5 table main src 10.0.0.10", 0),
        (("192.0.2.1",), "192.0.2.1: EHOSTUNREACH (unreachable_route)", 1),
        (("2001:db8::1",), "2001:db8::1: undecided", 3),
    ],
)
def test_measured_answers(run: Run, dumps: Path, words: tuple[str, ...], begins: str, code: int) -> None:
    ended = run("get", *words, "--in", dumps)
    assert ended.out.startswith(begins)
    assert ended.code == code


def test_explain_lists_the_rules_tried_with_their_lines(run: Run, dumps: Path) -> None:
    lines = run("get", "8.8.8.8", *FROM_B, "--in", dumps, "--explain").out.splitlines()
    assert lines[4].split() == ["1024:", "from", "all", "fwmark", "0x80/0x80", "lookup", "main:", "mark", "differs", "(line", "4)"]
    assert lines[5].split() == ["1536:", "from", "10.0.6.6", "lookup", "2:", "decides", "(line", "5)"]


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_a_table_of_questions(run: Run, dumps: Path, tmp_path: Path, suffix: str) -> None:
    table = pa.table({"dst": ["8.8.8.8", "8.8.8.8"], "src": ["10.0.6.6"] * 2, "iif": ["eni0d7763386da"] * 2, "mark": [0, 128]})
    asked = tmp_path / f"ask.{suffix}"
    if suffix == "parquet":
        pq.write_table(table, asked)
    elif suffix == "csv":
        asked.write_text("dst,src,iif,mark\n" + "".join(f"{r['dst']},{r['src']},{r['iif']},{r['mark']}\n" for r in table.to_pylist()))
    else:
        asked.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    answers = json.loads(run("get", "--batch", asked, "--in", dumps, "-o", "json").out)
    assert [(row["dst"], row["table"], row["device"]) for row in answers] == [("8.8.8.8", "2", "ens6"), ("8.8.8.8", "main", "ens5")]
    out = tmp_path / "answers.parquet"
    assert run("get", "--batch", asked, "--in", dumps, "-o", f"parquet={out}").code == 0
    assert pq.ParquetFile(out).read()["rule_priority"].to_pylist() == [1536, 1024]


def test_a_snapshots_node_without_a_dump_is_derived(run: Run, made: SynthResult) -> None:
    node = json.loads((made.snapshot / "kubernetes" / "nodes.json").read_text())["items"][0]["metadata"]["name"]
    ended = run("get", "8.8.8.8", "--in", made.snapshot, "--node", node)
    assert ended.code == 0
    assert "would program" in ended.err
    assert " table main " in ended.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("8.8.8.8", "frm", "x"), "`get` knows from"),
        (("8.8.8.8", "from"), "wants a value"),
        (("8.8.8.8", "mark", "0x1ffffffff"), "is not within"),
        (("from", "10.0.0.1"), "no destination"),
        (("10.0.1.300",), "10.0.1.300"),
        ((), "ask one question"),
    ],
)
def test_wrong_questions(run: Run, dumps: Path, arguments: tuple[str, ...], says: str) -> None:
    ended = run("get", *arguments, "--in", dumps)
    assert ended.code == 2
    assert says in ended.err


def test_wrong_places(run: Run, dumps: Path, made: SynthResult, tmp_path: Path) -> None:
    for place, says in (
        (("--in", tmp_path / "nowhere"), "no such file or folder"),
        (("--in", made.snapshot), "--node"),
        (("--in", made.snapshot, "--node", "nobody"), "no such node"),
        ((), "--local"),
    ):
        ended = run("get", "8.8.8.8", *place)
        assert ended.code == 2
        assert says in ended.err


def test_numbers_are_read_as_iproute2_does() -> None:
    assert parse_question(("1.1.1.1", "mark", "010", "dsfield", "0x10", "sport", "53")) == Question(
        "1.1.1.1", {"mark": 8, "tos": 16, "sport": 53}
    )
    with pytest.raises(InputError, match="not a number"):
        parse_question(("1.1.1.1", "mark", "eighty"))

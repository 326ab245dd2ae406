"""Small nodes as files, questions with the answers that such a node gives: read, asked singly and as columns."""

import csv
from pathlib import Path

import pytest

from fastroute.api.namespace import Namespace

STORIES = sorted(path.parent for path in Path("tests/golden").glob("node-*/questions.csv"))


@pytest.mark.parametrize("story", STORIES, ids=lambda path: path.name)
def test_story(story):
    node = Namespace.load(story)
    assert not any(account.problems for account in node.accounts.values())
    with (story / "questions.csv").open() as file:
        rows = list(csv.DictReader(file))
    asked = {name: [row[name] or None for row in rows] for name in ("dst", "src", "iif")}
    answers = node.route_get(**asked, mark=[int(row["mark"]) for row in rows]).to_pylist()
    for row, answer in zip(rows, answers, strict=True):
        got = {
            name: "" if answer[name] is None else str(answer[name]) for name in ("verdict", "device", "table", "rule_priority", "gateway")
        }
        assert got == {name: row[name] for name in got}, f"{row['dst']} from {row['src']} iif {row['iif']}"
        alone = node.explain(row["dst"], row["src"] or None, row["iif"] or None, int(row["mark"]))
        assert (alone.verdict, alone.device) == (answer["verdict"], answer["device"])

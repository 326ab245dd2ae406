"""fastroute get DST from SRC iif DEV mark M."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fastroute.cli import DONE, FINDINGS, INCOMPLETE
from fastroute.cli.terminal import paint, print_arrow, warn

if TYPE_CHECKING:
    import pyarrow as pa

    from fastroute.netns.decision import Decision

COLUMNS = ("verdict", "error", "reason", "rule_priority", "table", "prefix", "gateway", "device", "prefsrc")


@click.command("get", context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, metavar="DST [from ADDR] [iif DEV] [oif DEV] [mark N] [ipproto P] [sport N] [dport N]")
@click.option("--in", "path", type=click.Path(), help="Folder of dumps, support bundle (eks_*.tar.gz), or snapshot (or its compiled file).")
@click.option("--node", help="Node of the snapshot.")
@click.option("--local", is_flag=True, help="Ask this machine: runs `ip -j` here.")
@click.option("--explain", is_flag=True, help="Show each rule that was tried, and why it did or did not match.")
@click.option("--batch", type=click.Path(), metavar="FILE", help="Table of questions (Parquet, CSV, JSON lines, Arrow) instead of one.")
@click.option("--output", "-o", default="table", show_default=True, metavar="table|json|csv|parquet=PATH", help="Form of the answers.")
@click.pass_context
def command(
    ctx: click.Context,
    words: tuple[str, ...],
    path: str | None,
    node: str | None,
    local: bool,
    explain: bool,
    batch: str | None,
    output: str,
) -> None:
    """Answer as that node's kernel would: the grammar of `ip route get`, over its dumps.

    \b
    fastroute get 8.8.8.8 from 10.0.6.6 iif eni0d7763386da mark 0x80 --in dumps/
    fastroute get 10.0.5.5 from 10.0.6.6 iif eni0d7763386da --in snap --node ip-10-0-0-10 --explain

    Exit code 1 where the kernel would refuse, 3 where the dumps do not decide it.
    """
    from fastroute.jobs.get import answer, open_local, open_namespace, parse_question, read_questions

    if local == (path is not None):
        raise click.UsageError("name where to look: --in FOLDER, or --local for this machine")
    if (batch is not None) == bool(words):
        raise click.UsageError("ask one question, or name a table of them with --batch")
    source = open_local() if local else open_namespace(str(path), node)
    if source.note:
        warn(source.note)
    if batch is not None:
        ctx.exit(_print_answers(answer(source.namespace, read_questions(batch)), output))
    question = parse_question(words)
    more = {key: value for key, value in question.words.items() if key != "uid"}
    found = source.namespace.route_get(question.dst, **more)
    if output == "table":
        row = found.to_pylist()[0]
        click.echo(sentence(question.dst, question.words, row))
        if explain:
            print_tried(source.namespace.explain(question.dst, **question.words))
        ctx.exit(exit_code([row["verdict"]]))
    ctx.exit(_print_answers(found, output))


def sentence(dst: str, words: dict[str, Any], row: dict[str, Any]) -> str:
    """The answer as `ip route get` prints it, with what decided it behind."""
    asked = dst + (f" from {words['src']}" if words.get("src") else "")
    if row["verdict"] == "error":
        return f"{asked}: {paint(row['error'], 'red', bold=True)} ({row['reason']})"
    if row["verdict"] == "undecided":
        return f"{asked}: {paint('undecided', 'yellow', bold=True)} ({row['reason']}; wanted: {row.get('missing') or 'more dumps'})"
    kind = f"{row['verdict']} " if row["verdict"] not in {"forward", "output"} else ""
    named = (("via", "gateway"), ("dev", "device"), ("table", "table"), ("src", "prefsrc"))
    parts = [kind + asked, *(f"{word} {row[key]}" for word, key in named if row[key])]
    return " ".join(parts) + paint(f"  [rule {row['rule_priority']}, prefix {row['prefix']}]", dim=True)


def print_tried(decision: Decision) -> None:
    """Each rule that the walk came to, in order."""
    from fastroute.netns.text import rule_text

    for tried in decision.tried:
        where = paint(f"  (line {tried.rule.source_line})", dim=True) if tried.rule.source_line >= 0 else ""
        mark = "reverse path: " if tried.is_reverse else ""
        click.echo(f"  {mark}{tried.rule.priority}: {rule_text(tried.rule)}: {tried.outcome}{where}")


def exit_code(verdicts: list[str]) -> int:
    """3 where any answer is undecided, else 1 where any is an error."""
    if "undecided" in verdicts:
        return INCOMPLETE
    return FINDINGS if "error" in verdicts else DONE


def _print_answers(table: pa.Table, output: str) -> int:
    name = "answer_verdict" if "answer_verdict" in table.column_names else "verdict"
    code = exit_code(table[name].combine_chunks().dictionary_decode().unique().to_pylist() if table.num_rows else [])
    if output == "table":
        named = [column for column in table.column_names if table[column].null_count < table.num_rows]
        table = table.select(named)
    print_arrow(table, output)
    return code

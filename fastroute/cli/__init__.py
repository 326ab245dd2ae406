"""The command line: one file a verb. A verb's file is imported when it is called, its engine later still, so that help is instant."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Sequence

import click

from fastroute.errors import FastrouteError

DONE, FINDINGS, USAGE, INCOMPLETE = 0, 1, 2, 3
"""Exit codes: done; findings, or a packet that does not arrive; bad usage or input; finished below what was asked."""
INTERRUPTED = 130
_COLLECT_EVERY = 200_000, 20, 20
"""New objects before the garbage collector looks at them, and how often it looks at older ones: a snapshot is a million objects, none of
them garbage, at which it else looks again and again."""

# verb: (file, one line of help)
VERBS = {
    "demo": ("demo", "Make a synthetic cluster, route its flow logs, and explain one flow of each form."),
    "synth": ("synth", "Generate an account with a cluster, its flow logs, and their truth."),
    "inspect": ("inspect", "Say what a snapshot holds and what does not fit together, or what flow logs are and what they can answer."),
    "compile": ("compile", "Compile a snapshot into one file, which every verb maps into memory at once."),
    "route": ("route", "Route and classify every flow of a log, or of a table of questions."),
    "trace": ("trace", "Walk one flow and print each hop with the rule, table and route that decided it."),
    "get": ("get", "Answer `ip route get` as a node's kernel would, from its dumps."),
    "drift": ("drift", "Say where nodes' rules, tables and marks differ from what the VPC CNI should have programmed."),
    "verify": ("verify", "Hold the rule walk against this machine's kernel on random nodes."),
    "whois": ("whois", "Say who an address, pod, node or interface is."),
}


class VerbGroup(click.Group):
    """Knows each verb's name and help; imports its file on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"fastroute.cli.{VERBS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, text) for name, (_, text) in VERBS.items()])


@click.group(cls=VerbGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="fastroute", message="fastroute %(version)s")
def group() -> None:
    """Which way did every flow of an EKS cluster go, and why.

    A snapshot is a folder of untouched outputs of the AWS CLI and kubectl; flow logs are Parquet or text as AWS writes them.

    Data goes to stdout, progress and warnings to stderr. Exit codes: 0 done; 1 findings, or a traced packet that does not arrive; 2 bad
    usage or input; 3 finished below what was asked.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; errors of the family become one line on stderr and exit code 2."""
    gc.set_threshold(*_COLLECT_EVERY)
    try:
        code = group.main(arguments, prog_name="fastroute", standalone_mode=False)
    except click.exceptions.Exit as done:
        code = done.exit_code
    except click.Abort:
        click.echo("fastroute: interrupted", err=True)
        code = INTERRUPTED
    except click.ClickException as error:
        error.show()
        code = USAGE
    except FastrouteError as error:
        click.echo(f"fastroute: {error}", err=True)
        code = USAGE
    except KeyboardInterrupt:
        click.echo("fastroute: interrupted", err=True)
        code = INTERRUPTED
    except BrokenPipeError:
        code = _done_for_reader()
    except SystemExit as ended:
        # Click ends with 1 for a closed pipe, whatever its mode.
        if not isinstance(ended.__context__, BrokenPipeError):
            raise
        code = _done_for_reader()
    sys.exit(code if isinstance(code, int) else DONE)


def _done_for_reader() -> int:
    """The reader of our output (head, less) has seen enough: what is still buffered goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return DONE

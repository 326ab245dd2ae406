"""A verb with many options: `--help` shows them in groups, under what they are about."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import click

OTHER = "Other options"


class GroupedOption(click.Option):
    """An option that knows its group."""

    def __init__(self, *args: Any, group: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.group = group


class GroupedCommand(click.Command):
    """Shows its options by group, in the order of their first options; those without one come last."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record is not None:
                groups.setdefault(getattr(parameter, "group", OTHER), []).append(record)
        for title in sorted(groups, key=lambda title: title == OTHER):
            with formatter.section(title):
                formatter.write_dl(groups[title])


def options_about(group: str) -> Callable[..., Callable[[Any], Any]]:
    """`click.option` for the options of a group."""
    return partial(click.option, cls=GroupedOption, group=group)

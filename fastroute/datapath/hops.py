"""One look-up of a path and its exit, in words: what `explain` yields and what the numbers of `path_id` decode to."""

from __future__ import annotations

from typing import NamedTuple


class Hop(NamedTuple):
    """In `domain`, by the rule of `rule_priority`, `table` matched `prefix`: the packet goes by `device` to `gateway`, into `next_domain`.

    Texts are empty and `rule_priority` None where a domain has no such thing. A VPC has no devices or rules; its `gateway` is the target.
    """

    domain: str
    device: str
    rule_priority: int | None
    table: str
    prefix: str
    gateway: str
    next_domain: str

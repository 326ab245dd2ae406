"""`iptables-save` and `nft list ruleset`, as far as they decide paths: rules as rows, and what those of the VPC CNI amount to."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace

from fastroute.io.dumps import NO_LINES, Account, LineKind, Report, account, echoed_command
from fastroute.io.iproute2_words import parse_prefix
from fastroute.netns.model import Prefix


@dataclass(frozen=True, slots=True)
class NetfilterRule:
    """One rule. `matches` are conditions as written, `target` what it does (a chain's name, RETURN, SNAT, …), `options` the target's."""

    table: str
    chain: str
    target: str = ""
    family: int = 4
    src: Prefix | None = None
    dst: Prefix | None = None
    in_interface: str = ""
    out_interface: str = ""
    protocol: str = ""
    dport: int = -1
    inverted: frozenset[str] = frozenset()
    comment: str = ""
    matches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    source_line: int = -1

    def option(self, name: str) -> str:
        """Return the value after an option of the target; empty without it."""
        return next((value for key, value in zip(self.options, self.options[1:], strict=False) if key == name), "")


@dataclass(frozen=True, slots=True)
class Netfilter:
    """All rules of a dump, in order, the policies of its base chains, and the account of its lines."""

    rules: tuple[NetfilterRule, ...] = ()
    policies: tuple[tuple[str, str, str], ...] = ()
    account: Account = NO_LINES

    def chain(self, table: str, chain: str) -> tuple[NetfilterRule, ...]:
        """Return the rules of one chain, in order."""
        return tuple(rule for rule in self.rules if (rule.table, rule.chain) == (table, chain))


FIELDS = {
    "-s": "src",
    "-d": "dst",
    "-i": "in_interface",
    "-o": "out_interface",
    "-p": "protocol",
    "--dport": "dport",
    "-j": "target",
    "-g": "target",
}


def read_iptables(text: str, family: int = 4) -> Netfilter:
    """Read `iptables-save` (or `ip6tables-save`).

    Returns
    -------
    Netfilter
        Lines that cannot be read are reported; a table without its COMMIT is cut.
    """
    lines = text.splitlines()
    rules: list[NetfilterRule] = []
    policies: list[tuple[str, str, str]] = []
    reports: list[Report] = []
    table = ""
    for number, line in enumerate(lines, start=1):
        stripped = line.strip()
        if not stripped:
            reports.append(Report(number, LineKind.BLANK, line))
        elif stripped.startswith("#") or stripped == "COMMIT":
            reports.append(Report(number, LineKind.DETAIL, stripped[:200]))
            table = "" if stripped == "COMMIT" else table
        elif stripped.startswith("*") and len(stripped.split()) == 1:
            table = stripped[1:]
        elif stripped.startswith(":") and len(stripped.split()) >= 2:
            policies.append((table, stripped[1:].split()[0], stripped.split()[1]))
        else:
            try:
                rules.append(parse_iptables_rule(stripped, table, family, number))
            except ValueError as error:
                kind = LineKind.UNREADABLE if echoed_command(line) is None else LineKind.ECHO
                reports.append(Report(number, kind, f"{error}: {stripped}"[:200]))
    if table and lines:
        reports = [r for r in reports if r.line != len(lines)]
        reports.append(Report(len(lines), LineKind.CUT, f"table {table} ends without COMMIT"))
        rules = [rule for rule in rules if rule.source_line != len(lines)]
    return Netfilter(tuple(rules), tuple(policies), account(len(lines), reports, ()))


def parse_iptables_rule(line: str, table: str, family: int, number: int) -> NetfilterRule:
    """Read `[12:345] -A CHAIN …`."""
    words = shlex.split(line)
    if words and re.fullmatch(r"\[\d+:\d+\]", words[0]):
        words.pop(0)
    if len(words) < 2 or words[0] not in ("-A", "-I") or not table:
        raise ValueError("no rule of a table")
    rule = NetfilterRule(table, words[1], family=family, source_line=number)
    inverted: set[str] = set()
    matches: list[str] = []
    options: list[str] = []
    is_inverted = False
    position = 2
    while position < len(words):
        word = words[position]
        position += 1
        if word == "!":
            is_inverted = True
            continue
        if word in FIELDS or word == "--comment":
            if position == len(words):
                raise ValueError(f"ends after {word}")
            name = FIELDS.get(word, "comment")
            rule = with_field(rule, name, words[position])
            position += 1
            inverted |= {name} if is_inverted else set()
        elif rule.target:
            options.append(word)
        elif word != "comment" and word != "-m":
            matches.append(("! " if is_inverted else "") + word)
        is_inverted = False
    return replace(rule, inverted=frozenset(inverted), matches=tuple(matches), options=tuple(options))


def with_field(rule: NetfilterRule, name: str, value: str) -> NetfilterRule:
    """Set one condition."""
    if name == "src":
        return replace(rule, src=parse_prefix(value, rule.family)[1])
    if name == "dst":
        return replace(rule, dst=parse_prefix(value, rule.family)[1])
    if name == "dport":
        return replace(rule, dport=int(value)) if value.isdecimal() else replace(rule, matches=(*rule.matches, f"dport {value}"))
    if name == "in_interface":
        return replace(rule, in_interface=value)
    if name == "out_interface":
        return replace(rule, out_interface=value)
    if name == "protocol":
        return replace(rule, protocol=value)
    if name == "comment":
        return replace(rule, comment=value)
    return replace(rule, target=value)


_NFT_TABLE = re.compile(r"^table\s+(?P<family>\S+)\s+(?P<name>\S+)\s*\{")
_NFT_CHAIN = re.compile(r"^(?P<kind>chain|set|map|flowtable|counter|quota|limit)\s+(?P<name>\S+)\s*\{?")
_NFT_HOOK = re.compile(
    r"^type\s+(?P<type>\S+)\s+hook\s+(?P<hook>\S+)\s+(?:device\s+\S+\s+)?priority\s+(?P<priority>[^;]+);(?:\s*policy\s+(?P<policy>\w+))?"
)
_NFT_VERDICT = re.compile(
    r"\b(?P<verdict>accept|drop|return|reject|masquerade|(?:jump|goto)\s+\S+|[sd]nat\s.*|ct mark set\s.*|meta mark set\s.*)$"
)


def read_nft(text: str) -> Netfilter:
    """Read `nft list ruleset`: statements as rows with their conditions as written, and the destination and interfaces picked out.

    Returns
    -------
    Netfilter
        Tables are named `family name`. Elements of sets and maps are details; an open brace at the end is a cut.
    """
    lines = text.splitlines()
    rules: list[NetfilterRule] = []
    policies: list[tuple[str, str, str]] = []
    reports: list[Report] = []
    table, chain, other, depth = "", "", "", 0
    for number, line in enumerate(lines, start=1):
        stripped = line.strip()
        head, inner, hook = _NFT_TABLE.match(stripped), _NFT_CHAIN.match(stripped), _NFT_HOOK.match(stripped)
        if not stripped:
            reports.append(Report(number, LineKind.BLANK, line))
        elif head:
            table, chain, other, depth = f"{head.group('family')} {head.group('name')}", "", "", 1
        elif inner and table and depth == 1 and stripped.endswith("{"):
            depth = 2
            chain, other = (inner.group("name"), "") if inner.group("kind") == "chain" else ("", inner.group("name"))
        elif stripped == "}" and depth:
            depth -= 1
            chain, other = "", ""
            table = table if depth else ""
        elif hook and chain:
            policies.append((table, chain, f"{hook.group('hook')} {hook.group('priority').strip()} {hook.group('policy') or 'accept'}"))
        elif chain:
            rules.append(parse_nft_rule(stripped, table, chain, number))
        elif other or stripped.startswith("#"):
            reports.append(Report(number, LineKind.DETAIL, stripped[:200]))
        else:
            kind = LineKind.UNREADABLE if echoed_command(line) is None else LineKind.ECHO
            reports.append(Report(number, kind, stripped[:200]))
    if depth and lines:
        reports = [r for r in reports if r.line != len(lines)]
        reports.append(Report(len(lines), LineKind.CUT, f"table {table} is not closed"))
        rules = [rule for rule in rules if rule.source_line != len(lines)]
    return Netfilter(tuple(rules), tuple(policies), account(len(lines), reports, ()))


def parse_nft_rule(statement: str, table: str, chain: str, number: int) -> NetfilterRule:
    """Read one statement of a chain; counters and comments aside."""
    comment = re.search(r'comment "([^"]*)"', statement)
    plain = re.sub(r'\s*comment "[^"]*"|\bcounter(?: packets \d+ bytes \d+)?\s*', " ", statement).strip()
    verdict = _NFT_VERDICT.search(plain)
    target = verdict.group("verdict") if verdict else ""
    conditions = plain[: verdict.start()].strip() if verdict else plain
    rule = NetfilterRule(
        table,
        chain,
        target,
        6 if table.startswith("ip6") else 4,
        comment=comment.group(1) if comment else "",
        matches=(conditions,),
        source_line=number,
    )
    inverted: set[str] = set()
    for field, pattern in (
        ("dst", r"ip6? daddr (?P<not>!= )?(?P<value>[0-9a-fA-F.:]+(?:/\d+)?)"),
        ("src", r"ip6? saddr (?P<not>!= )?(?P<value>[0-9a-fA-F.:]+(?:/\d+)?)"),
        ("in_interface", r'iifname (?P<not>!= )?"(?P<value>[^"]+)"'),
        ("out_interface", r'oifname (?P<not>!= )?"(?P<value>[^"]+)"'),
    ):
        found = re.search(pattern, conditions)
        if found:
            try:
                rule = with_field(rule, field, found.group("value"))
            except ValueError:
                continue  # the condition stays readable in `matches`
            inverted |= {field} if found.group("not") else set()
    return replace(rule, inverted=frozenset(inverted))


@dataclass(frozen=True, slots=True)
class CniMarks:
    """What the VPC CNI's netfilter rules amount to. A field is empty or 0 where its rule is not there.

    `outbound` is the back end of the mark that makes a pod's way out the primary ENI: `iptables`, `nftables`, or empty.
    """

    outbound: str = ""
    outbound_interfaces: str = ""
    outbound_exclusions: tuple[Prefix, ...] = ()
    mark: int = 0
    restores_from: tuple[str, ...] = ()
    node_port_interface: str = ""
    snat_addr: int = -1
    snat_is_random: bool = False
    snat_exclusions: tuple[Prefix, ...] = ()
    snat_line: int = -1
    old_chains: tuple[str, ...] = ()


SNAT_CHAIN = "AWS-SNAT-CHAIN-0"
CONNMARK_CHAIN = "AWS-CONNMARK-CHAIN-0"
NFT_TABLE = "ip aws-cni"


def cni_marks(iptables: Netfilter, nft: Netfilter | None = None) -> CniMarks:
    """Read the VPC CNI's rules out of both dumps (`nft` None where there is none, as in a support bundle).

    Source: amazon-vpc-cni-k8s v1.23.1 pkg/networkutils network.go buildIptablesSNATRules, iptables_connmark.go, nftables_connmark.go.
    """
    marks = CniMarks(
        old_chains=tuple(sorted({r.chain for r in iptables.rules if re.fullmatch(r"AWS-(?:SNAT|CONNMARK)-CHAIN-[1-9]\d*", r.chain)}))
    )
    for rule in iptables.chain("nat", SNAT_CHAIN):
        if rule.target == "SNAT" and rule.option("--to-source"):
            source = parse_prefix(rule.option("--to-source").partition(":")[0])[1].addr
            is_random = "--random-fully" in rule.options or "--random" in rule.options
            marks = replace(marks, snat_addr=source, snat_is_random=is_random, snat_line=rule.source_line)
        elif rule.target == "RETURN" and rule.dst is not None:
            marks = replace(marks, snat_exclusions=(*marks.snat_exclusions, rule.dst))
    jumps = [r for r in iptables.chain("nat", "PREROUTING") if r.target == CONNMARK_CHAIN]
    if jumps:
        chain = iptables.chain("nat", CONNMARK_CHAIN)
        exclusions = tuple(r.dst for r in chain if r.target == "RETURN" and r.dst is not None)
        if any(r.target == "CONNMARK" for r in chain):
            marks = replace(marks, outbound="iptables", outbound_interfaces=jumps[0].in_interface, outbound_exclusions=exclusions)
    elif nft is not None and nft.chain(NFT_TABLE, "snat-mark"):
        chain = nft.chain(NFT_TABLE, "snat-mark")
        jump = next((r for r in nft.chain(NFT_TABLE, "nat-prerouting") if r.target == "jump snat-mark"), NetfilterRule("", ""))
        exclusions = tuple(r.dst for r in chain if r.target == "return" and r.dst is not None)
        marks = replace(marks, outbound="nftables", outbound_interfaces=jump.in_interface.replace("*", "+"), outbound_exclusions=exclusions)
    for rule in iptables.chain("mangle", "PREROUTING"):
        if rule.target != "CONNMARK":
            continue
        if "--restore-mark" in rule.options:
            mask = rule.option("--nfmask") or rule.option("--mask")
            marks = replace(marks, restores_from=(*marks.restores_from, rule.in_interface), mark=mark_value(mask) or marks.mark)
        elif rule.option("--set-xmark"):
            marks = replace(marks, node_port_interface=rule.in_interface, mark=mark_value(rule.option("--set-xmark")) or marks.mark)
    return marks


def mark_value(text: str) -> int:
    """Return the value of `0x80/0x80`; 0 where it is none."""
    value = text.partition("/")[0]
    return int(value, 16) if re.fullmatch(r"0x[0-9a-fA-F]{1,8}", value) else 0

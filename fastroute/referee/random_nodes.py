"""Random nodes, far beyond what EKS makes, and questions that hit their edges. Same seed, same node."""

from __future__ import annotations

from random import Random

from fastroute.netns.decision import Packet
from fastroute.netns.model import ADDR_BITS, FAMILIES, LOOPBACK, Namespace, addr_text
from fastroute.referee.kernel import Plan

INTERFACES = ("eth0", "eth1", "eni0d77", "vlan.eth.3", "vlan58d")
ABSENT_INTERFACE = "eni-gone"
TABLES = ("main", "main", "2", "3", "103", "10101", "4000000000", "default", "local", "77")
MARKS = (0x80, 0x1, 0x4000, 0x81)
BASES = {4: (0x0A000000, 0x64400000, 0xC0A80000), 6: (0x20010DB8 << 96, 0xFD000000 << 96)}
LENGTHS = {4: (0, 1, 8, 12, 16, 19, 22, 24, 25, 28, 30, 31, 32, 32, 32), 6: (0, 3, 16, 32, 48, 56, 64, 80, 96, 120, 127, 128, 128, 128)}
ERROR_ROUTES = ("blackhole", "unreachable", "prohibit", "throw")
OTHER_ROUTES = ("local", "broadcast", "anycast", "multicast")
PROTOCOLS = (6, 17, 1)
PORTS = (53, 80, 443, 30080)
TOS_VALUES = (0x04, 0x08, 0x10, 0x20)


class NodeMaker:
    """One random node's plan."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.interfaces = random.sample(INTERFACES, random.randint(1, len(INTERFACES)))
        self.gateways = {family: [self.addr(family) for _ in range(4)] for family in FAMILIES}

    def chance(self, probability: float) -> bool:
        """Toss a coin."""
        return self.random.random() < probability

    def addr(self, family: int) -> int:
        """Draw an address from few clusters, so that prefixes overlap."""
        bits = ADDR_BITS[family]
        base = self.random.choice(BASES[family])
        if self.chance(0.05):
            return self.random.getrandbits(bits) >> 1
        spread = self.random.choice((2, 6, 12, 16)) if family == 4 else self.random.choice((2, 8, 40, 72))
        return base | self.random.getrandbits(spread)

    def prefix(self, family: int) -> str:
        """Draw a prefix around such an address."""
        prefix_len = self.random.choice(LENGTHS[family])
        host_bits = ADDR_BITS[family] - prefix_len
        return f"{addr_text(family, self.addr(family) >> host_bits << host_bits)}/{prefix_len}"

    def plan(self) -> Plan:
        """Draw the whole node."""
        links = ["link set lo up"]
        for number, name in enumerate(self.interfaces):
            links.append(f"link add {name} type veth peer name peer{number}")
            links += [f"link set {end} addrgenmode none" for end in (name, f"peer{number}")]
            links += [f"link set peer{number} up"] + ([f"link set {name} up"] if self.chance(0.95) else [])
        lines = {}
        for family in FAMILIES:
            size = self.random.choice((0, 3, 10, 30))
            lines[family] = self.addr_lines(family)
            lines[family] += [self.route_line(family) for _ in range(self.random.randint(0, size))]
            lines[family] += self.base_rule_lines()
            lines[family] += [self.rule_line(family) for _ in range(self.random.randint(0, size))]
        return Plan(tuple(links), tuple(lines[4]), tuple(lines[6]), self.sysctls())

    def addr_lines(self, family: int) -> list[str]:
        """Draw the interfaces' addresses."""
        lines = []
        for name in self.interfaces:
            for _ in range(self.random.choice((0, 1, 1, 2))):
                prefix_len = self.random.choice(LENGTHS[family][4:])
                scope = " scope link" if self.chance(0.1) else ""
                no_route = " noprefixroute" if self.chance(0.2) else ""
                text = addr_text(family, self.addr(family))
                if family == 4:
                    lines.append(f"addr add {text}/{prefix_len}{' brd +' if self.chance(0.5) else ''}{scope} dev {name}{no_route}")
                else:
                    lines.append(f"addr add {text}/{prefix_len} dev {name} nodad{no_route}")
        return lines

    def hop(self, family: int) -> str:
        """Draw a next hop."""
        name = self.random.choice(self.interfaces)
        if self.chance(0.5):
            return f"dev {name}"
        if family == 4 and self.chance(0.1):
            return f"via inet6 fe80::{self.random.randint(1, 9)} dev {name} onlink"
        return f"via {addr_text(family, self.random.choice(self.gateways[family]))} dev {name} onlink"

    def route_line(self, family: int) -> str:
        """Draw a route."""
        target = "default" if self.chance(0.15) else self.prefix(family)
        tail = f" table {self.random.choice(TABLES)}"
        if self.chance(0.3):
            tail += f" metric {self.random.choice((1, 10, 512))}"
        if family == 4 and self.chance(0.05):
            tail += f" tos {self.random.choice(TOS_VALUES):#x}"
        if family == 6 and self.chance(0.05):
            tail = f" from {self.prefix(6)}" + tail
        verb = "append" if self.chance(0.2) else "add"
        if self.chance(0.12):
            return f"route {verb} {self.random.choice(ERROR_ROUTES)} {target}{tail}"
        if self.chance(0.1) and len(self.interfaces) > 1:
            hops = " ".join(f"nexthop {self.hop(family)} weight {self.random.randint(1, 9)}" for _ in range(self.random.randint(2, 3)))
            return f"route {verb} {target}{tail} {hops}"
        kind = f"{self.random.choice(OTHER_ROUTES)} " if self.chance(0.05) else ""
        scope = " scope link" if family == 4 and self.chance(0.2) else ""
        return f"route {verb} {kind}{target} {self.hop(family)}{scope}{tail}"

    def base_rule_lines(self) -> list[str]:
        """Draw what becomes of the rules that every node is born with."""
        lines = []
        if self.chance(0.2):
            lines += ["rule del pref 0", "rule add pref 20 lookup local"]
        if self.chance(0.05):
            lines.append("rule del pref 32766")
        return lines

    def rule_line(self, family: int) -> str:
        """Draw a rule."""
        random = self.random
        priority = random.choice((5, 10, 100, 512, 512, 1024, 1536, 1536, random.randint(0, 32765)))
        words = ["not"] if self.chance(0.1) else []
        if self.chance(0.5):
            words.append(f"from {self.prefix(family)}")
        if self.chance(0.35):
            words.append(f"to {self.prefix(family)}")
        if self.chance(0.2):
            mark = random.choice(MARKS)
            words.append(random.choice((f"fwmark {mark:#x}/{mark:#x}", f"fwmark {mark:#x}", f"fwmark {mark & 0xF0:#x}/0xff")))
        if self.chance(0.15):
            words.append(f"iif {random.choice((*self.interfaces, LOOPBACK, ABSENT_INTERFACE))}")
        if self.chance(0.06):
            words.append(f"oif {random.choice((*self.interfaces, ABSENT_INTERFACE))}")
        if self.chance(0.06):
            words.append(f"ipproto {random.choice(PROTOCOLS[:2])}")
            if self.chance(0.5):
                low = random.choice(PORTS)
                words.append(f"{random.choice(('sport', 'dport'))} {random.choice((str(low), f'{low}-{low + 1000}'))}")
        if self.chance(0.04):
            words.append(f"tos {random.choice(TOS_VALUES):#x}")
        if self.chance(0.04):
            words.append(f"uidrange {random.choice(('0-0', '1-1000', '1000-1000'))}")
        if self.chance(0.07):
            action = f"goto {min(priority + random.choice((1, 500, 1000)), 32767)}"
        elif self.chance(0.08):
            action = random.choice(("blackhole", "unreachable", "prohibit", "nop"))
        else:
            action = f"lookup {random.choice(TABLES)}"
            if self.chance(0.1):
                action += f" suppress_prefixlength {random.choice((0, 8, 24))}"
        return f"rule add pref {priority} {' '.join(words) or 'from all'} {action}"

    def sysctls(self) -> dict[str, int]:
        """Draw the switches."""
        values = {"ipv4/ip_forward": int(self.chance(0.9)), "ipv6/conf/all/forwarding": int(self.chance(0.9))}
        for name in ("all", *self.interfaces):
            if self.chance(0.3):
                values[f"ipv4/conf/{name}/rp_filter"] = self.random.choice((0, 1, 2))
            for switch in ("accept_local", "route_localnet", "src_valid_mark"):
                if self.chance(0.04):
                    values[f"ipv4/conf/{name}/{switch}"] = 1
            if self.chance(0.2):
                values[f"ipv4/conf/{name}/send_redirects"] = 0
            if name != "all" and self.chance(0.05):
                values[f"ipv4/conf/{name}/forwarding"] = self.random.choice((0, 1))
        return values


def random_plan(random: Random) -> Plan:
    """Draw a node."""
    return NodeMaker(random).plan()


class QuestionMaker:
    """Random questions to one node: addresses at the edges of its prefixes, its interfaces, its marks."""

    def __init__(self, random: Random, namespace: Namespace) -> None:
        self.random = random
        self.interfaces = [link.name for link in namespace.links]
        self.addrs: dict[int, list[int]] = {}
        for family in FAMILIES:
            bits = ADDR_BITS[family]
            prefixes = {route.prefix for route in namespace.routes if route.family == family}
            for rule in namespace.rules_by_family[family]:
                prefixes |= {rule.src_prefix, rule.dst_prefix}
            edges = {0, 2**bits - 1, 2 ** (bits - 1)} if family == 4 else {1, 0xFE80 << 112 | 9}
            for prefix in prefixes:
                last = prefix.addr | (2 ** (bits - prefix.prefix_len) - 1)
                edges |= {
                    prefix.addr,
                    last,
                    (last + 1) % 2**bits,
                    (prefix.addr - 1) % 2**bits,
                    prefix.addr + random.randint(0, last - prefix.addr),
                }
            self.addrs[family] = sorted(edges)
        self.marks = sorted({0, *MARKS, *(rule.fwmark for rule in namespace.rules)})
        self.local = {f: sorted(a.addr for a in namespace.addrs if a.family == f) for f in FAMILIES}

    def packet(self, family: int) -> Packet:
        """Draw one question."""
        random = self.random
        arrives = random.random() < 0.7
        dst = random.choice(self.addrs[family])
        if arrives and family == 4 and dst >> 28 == 0xE:
            dst = 0xE0000001  # which other groups are joined, no dump tells
        if arrives and family == 6 and dst >> 120 == 0xFF:
            dst = 1  # here the kernel answers about multicast routing, not about the look-up
        src = random.choice(self.addrs[family])
        if not arrives:
            src = random.choice((0, *(self.local[family] or [0]), src))
        return Packet(
            family,
            dst,
            src,
            random.choice(self.interfaces) if arrives else None,
            random.choice(self.interfaces) if not arrives and random.random() < 0.2 else None,
            random.choice(self.marks) if random.random() < 0.5 else 0,
            random.choice(PROTOCOLS[:2]),
            random.choice(PORTS) if random.random() < 0.3 else 0,
            random.choice(PORTS) if random.random() < 0.3 else 0,
            random.choice(TOS_VALUES) if random.random() < 0.1 else 0,
            random.choice((0, 1, 1000)),
        )

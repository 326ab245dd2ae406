"""A healthy bundle gives no finding; each single fault in it gives exactly its finding; what is cut or absent is said, not guessed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from random import Random

import pytest

from fastroute.cli import DONE, FINDINGS, INCOMPLETE, USAGE, main
from fastroute.cni.drift import KINDS, Finding, Severity
from fastroute.errors import EndpointError, InputError
from fastroute.jobs.drift import DriftReport, NodeDrift, drift
from fastroute.synth import generate
from tests.unit.cni import test_drift as snapshot_faults
from tests.unit.jobs.drift_bundle import ENIS, ENV, FILES, IPAM, LINKS, NAT, ROUTE, RULE, SYSCTL, Edit, edited, pack

GOLDEN_NODES = Path(__file__).parents[2] / "golden"
E, W, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO
BRANCH_TABLE = (
    "default via 10.0.0.1 dev vlan.eth.3 table 103\n10.0.0.1 dev vlan.eth.3 table 103 scope link\n"
    "10.0.7.7 dev vlanb358dab4fa1 table 103 scope link\n"
)
BRANCH_RULES = "10:\tfrom all iif vlan.eth.3 lookup 103\n10:\tfrom all iif vlanb358dab4fa1 lookup 103\n"
NODE_PORT = (
    '-A PREROUTING -i ens5 -m comment --comment "AWS, primary ENI" -m addrtype --dst-type LOCAL --limit-iface-in -j CONNMARK '
    "--set-xmark 0x80/0x80\n"
)
SNAT = (
    '-A AWS-SNAT-CHAIN-0 ! -o vlan+ -m comment --comment "AWS, SNAT" -m addrtype ! --dst-type LOCAL -j SNAT --to-source 10.0.0.10 '
    "--random-fully\n"
)
TO_WEB = "512:\tfrom all to 10.0.6.6 lookup main\n"
EXTRA_RANGE = '-A AWS-SNAT-CHAIN-0 -d 172.16.0.0/12 -m comment --comment "AWS SNAT CHAIN EXCLUSION" -j RETURN\n'
CHAIN_A_RANGE = '-A AWS-SNAT-CHAIN-1 -m comment --comment "AWS SNAT CHAIN" -j AWS-SNAT-CHAIN-2\n'
VETH_A, VETH_B, VETH_C = "enicc21c2d7785", "eni0d7763386da", "eni0761ccbeace"

# name of the fault: (changes, its kind, severity, subject, file and line that show it; empty where something is not there)
FAULTS: dict[str, tuple[tuple[Edit, ...], str, Severity, str, str]] = {
    "512 gone": (((RULE, "512:\tfrom all to 10.0.6.6 lookup main\n", ""),), "missing-to-pod-rule", E, "default/web-0 (10.0.6.6)", ""),
    "512 of a primary ENI's pod gone": (
        ((RULE, "512:\tfrom all to 10.0.5.5 lookup main\n", ""),),
        "missing-to-pod-rule",
        E,
        "default/sample-pod (10.0.5.5)",
        "",
    ),
    "512 to another table": (
        ((RULE, "to 10.0.6.6 lookup main", "to 10.0.6.6 lookup 2"),),
        "wrong-table",
        E,
        "default/web-0 (10.0.6.6)",
        f"{RULE}:3",
    ),
    "512 twice": (
        ((RULE, "512:\tfrom all to 10.0.6.6 lookup main\n", "512:\tfrom all to 10.0.6.6 lookup main\n" * 2),),
        "duplicate-rule",
        W,
        "default/web-0 (10.0.6.6)",
        f"{RULE}:4",
    ),
    "512 left of a pod": (
        ((RULE, "1024:", "512:\tfrom all to 10.0.6.8 lookup main\n1024:"),),
        "stale-to-pod-rule",
        INFO,
        "10.0.6.8",
        f"{RULE}:5",
    ),
    "1536 gone": (((RULE, "1536:\tfrom 10.0.6.6 lookup 2\n", ""),), "missing-from-pod-rule", E, "default/web-0 (10.0.6.6)", ""),
    "1536 to another table": (
        ((RULE, "1536:\tfrom 10.0.6.6 lookup 2", "1536:\tfrom 10.0.6.6 lookup 3"),),
        "wrong-table",
        E,
        "default/web-0 (10.0.6.6)",
        f"{RULE}:6",
    ),
    "1536 of an earlier pod before the right one": (
        ((RULE, "1536:\tfrom 10.0.6.6 lookup 2", "1536:\tfrom 10.0.6.6 lookup 3\n1536:\tfrom 10.0.6.6 lookup 2"),),
        "wrong-table",
        E,
        "default/web-0 (10.0.6.6)",
        f"{RULE}:6",
    ),
    "1536 of an earlier pod behind the right one": (
        ((RULE, "1536:\tfrom 10.0.6.6 lookup 2", "1536:\tfrom 10.0.6.6 lookup 2\n1536:\tfrom 10.0.6.6 lookup 3"),),
        "shadowed-rule",
        W,
        "default/web-0 (10.0.6.6)",
        f"{RULE}:7",
    ),
    "1536 twice": (
        ((RULE, "1536:\tfrom 10.0.6.6 lookup 2\n", "1536:\tfrom 10.0.6.6 lookup 2\n" * 2),),
        "duplicate-rule",
        W,
        "default/web-0 (10.0.6.6)",
        f"{RULE}:7",
    ),
    "1536 of a primary ENI's pod": (
        ((RULE, "1536:\tfrom 10.0.6.6", "1536:\tfrom 10.0.5.5 lookup 2\n1536:\tfrom 10.0.6.6"),),
        "extra-from-pod-rule",
        E,
        "default/sample-pod (10.0.5.5)",
        f"{RULE}:6",
    ),
    "1536 left of a pod": (
        ((RULE, "1536:\tfrom 10.0.6.6", "1536:\tfrom 10.0.7.1 lookup 2\n1536:\tfrom 10.0.6.6"),),
        "stale-from-pod-rule",
        W,
        "10.0.7.1",
        f"{RULE}:6",
    ),
    "a pod that ipamd does not know": (
        (
            (RULE, "1024:", "512:\tfrom all to 10.0.5.6 lookup main\n1024:"),
            (ROUTE, "10.0.6.6 dev", "10.0.5.6 dev eni00000000000 scope link\n10.0.6.6 dev"),
        ),
        "unknown-pod",
        INFO,
        "10.0.5.6",
        f"{ROUTE}:10",
    ),
    "pod route gone": ((((ROUTE, f"10.0.6.6 dev {VETH_B} scope link\n", ""),)), "missing-pod-route", E, "default/web-0 (10.0.6.6)", ""),
    "pod route to another pod's veth": (
        ((ROUTE, f"10.0.6.6 dev {VETH_B}", f"10.0.6.6 dev {VETH_A}"),),
        "wrong-device",
        E,
        "default/web-0 (10.0.6.6)",
        f"{ROUTE}:10",
    ),
    "pod route unreachable": (
        ((ROUTE, f"10.0.6.6 dev {VETH_B} scope link", "unreachable 10.0.6.6"),),
        "wrong-device",
        E,
        "default/web-0 (10.0.6.6)",
        f"{ROUTE}:10",
    ),
    "an address that no ENI holds": (
        (
            (
                ENIS,
                '"10.0.6.6/32": {\n      "Cidr": {\n       "IP": "10.0.6.6"',
                '"10.0.6.9/32": {\n      "Cidr": {\n       "IP": "10.0.6.9"',
            ),
        ),
        "pod-on-no-eni",
        W,
        "default/web-0 (10.0.6.6)",
        f"{RULE}:6",
    ),
    # rules of the node
    "local gone": (((RULE, "0:\tfrom all lookup local\n", ""),), "missing-local-rule", E, "rule 0", ""),
    "local before branch rules": (
        (
            (
                RULE,
                "512:\tfrom all to 10.0.5.5",
                BRANCH_RULES + "512:\tfrom all to 10.0.5.5",
            ),
            (
                ROUTE,
                "default via 10.0.0.1 dev ens6",
                f"{BRANCH_TABLE}default via 10.0.0.1 dev ens6",
            ),
            (SYSCTL, "tcp_early_demux = 1", "tcp_early_demux = 0"),
        ),
        "local-rule-not-moved",
        W,
        "rule 0",
        f"{RULE}:1",
    ),
    "main gone": (((RULE, "32766:\tfrom all lookup main\n", ""),), "missing-main-rule", E, "rule 32766", ""),
    "1024 gone": (((RULE, "1024:\tfrom all fwmark 0x80/0x80 lookup main\n", ""),), "missing-mark-rule", E, "rule 1024", ""),
    "1024 of another mark": (((RULE, "fwmark 0x80/0x80", "fwmark 0x400/0x400"),), "wrong-mark", E, "rule 1024", f"{RULE}:5"),
    "1024 twice": (
        ((RULE, "1024:\tfrom all fwmark 0x80/0x80 lookup main\n", "1024:\tfrom all fwmark 0x80/0x80 lookup main\n" * 2),),
        "duplicate-rule",
        W,
        "marked connections",
        f"{RULE}:6",
    ),
    "1535 gone": (
        ((ENV, '"AWS_EXTERNAL_SERVICE_CIDRS": null', '"AWS_EXTERNAL_SERVICE_CIDRS": ["198.51.100.0/24"]'),),
        "missing-external-service-rule",
        E,
        "198.51.100.0/24",
        "",
    ),
    "1535 too many": (
        ((RULE, "1536:\tfrom 10.0.6.6", "1535:\tfrom all to 198.51.100.0/24 lookup main\n1536:\tfrom 10.0.6.6"),),
        "extra-external-service-rule",
        W,
        "198.51.100.0/24",
        f"{RULE}:6",
    ),
    "32765 gone": (((RULE, "32765:\tfrom 10.0.0.77 lookup 2\n", ""),), "missing-eni-rule", W, "10.0.0.77", ""),
    "32765 to another table": (((RULE, "from 10.0.0.77 lookup 2", "from 10.0.0.77 lookup 3"),), "wrong-table", E, "10.0.0.77", f"{RULE}:8"),
    "32765 of an ENI that is gone": (
        ((RULE, "32766:", "32765:\tfrom 10.0.0.99 lookup 4\n32766:"),),
        "stale-eni-rule",
        W,
        "10.0.0.99",
        f"{RULE}:10",
    ),
    # tables
    "table empty": (
        ((ROUTE, "default via 10.0.0.1 dev ens6 table 2\n10.0.0.1 dev ens6 table 2 scope link\n", ""),),
        "empty-table",
        E,
        "2",
        "",
    ),
    "table of a warm ENI empty": (
        ((ROUTE, "default via 10.0.0.1 dev ens7 table 3\n10.0.0.1 dev ens7 table 3 scope link\n", ""),),
        "empty-table",
        W,
        "3",
        "",
    ),
    "table without default": (((ROUTE, "default via 10.0.0.1 dev ens6 table 2\n", ""),), "missing-table-default", E, "2", f"{ROUTE}:1"),
    "table by another ENI": (
        (
            (
                ROUTE,
                "default via 10.0.0.1 dev ens6 table 2\n10.0.0.1 dev ens6 table 2",
                "default via 10.0.0.1 dev ens7 table 2\n10.0.0.1 dev ens7 table 2",
            ),
        ),
        "wrong-device",
        E,
        "table 2",
        f"{ROUTE}:1",
    ),
    "table by another gateway": (
        ((ROUTE, "default via 10.0.0.1 dev ens6 table 2\n10.0.0.1 dev ens6", "default via 10.0.0.9 dev ens6 table 2\n10.0.0.9 dev ens6"),),
        "wrong-gateway",
        E,
        "table 2",
        f"{ROUTE}:1",
    ),
    "gateway's route gone": (((ROUTE, "10.0.0.1 dev ens6 table 2 scope link\n", ""),), "missing-gateway-route", W, "2", f"{ROUTE}:1"),
    "a route of a VPN in an ENI's table": (
        ((ROUTE, "10.0.0.1 dev ens6 table 2 scope", "10.8.0.0/16 dev tun0 table 2\n10.0.0.1 dev ens6 table 2 scope"),),
        "foreign-table-route",
        W,
        "2",
        f"{ROUTE}:2",
    ),
    "ENI down": (
        (
            (LINKS, "ens6: flags=4163<UP,BROADCAST,RUNNING,MULTICAST>", "ens6: flags=4098<BROADCAST,MULTICAST>"),
            (ROUTE, "default via 10.0.0.1 dev ens6 table 2\n10.0.0.1 dev ens6 table 2 scope link\n", ""),
        ),
        "eni-down",
        E,
        "eni-0000000000000000b",
        f"{LINKS}:9",
    ),
    # branch pods
    "branch pod's VLAN rule gone": (
        (
            (RULE, "0:\tfrom all lookup local", "10:\tfrom all iif vlanb358dab4fa1 lookup 103\n20:\tfrom all lookup local"),
            (
                ROUTE,
                "default via 10.0.0.1 dev ens6",
                f"{BRANCH_TABLE}default via 10.0.0.1 dev ens6",
            ),
            (SYSCTL, "tcp_early_demux = 1", "tcp_early_demux = 0"),
        ),
        "missing-branch-rule",
        E,
        "vlanb358dab4fa1",
        f"{RULE}:1",
    ),
    "branch pod's rules left behind": (
        (
            (RULE, "0:\tfrom all lookup local", "10:\tfrom all iif vlan.eth.3 [detached] lookup 103\n20:\tfrom all lookup local"),
            (SYSCTL, "tcp_early_demux = 1", "tcp_early_demux = 0"),
        ),
        "stale-branch-rule",
        W,
        "vlan.eth.3",
        f"{RULE}:1",
    ),
    "early demux with branch pods": (
        (
            (
                RULE,
                "0:\tfrom all lookup local",
                BRANCH_RULES + "20:\tfrom all lookup local",
            ),
            (
                ROUTE,
                "default via 10.0.0.1 dev ens6",
                f"{BRANCH_TABLE}default via 10.0.0.1 dev ens6",
            ),
        ),
        "early-demux-on",
        W,
        "net.ipv4.tcp_early_demux",
        SYSCTL,
    ),
    # main
    "default gone": (
        ((ROUTE, "default via 10.0.0.1 dev ens5 proto dhcp src 10.0.0.10 metric 512\n", ""),),
        "missing-default",
        E,
        "main",
        "",
    ),
    "DHCP's default on a secondary ENI": (
        ((ROUTE, "10.0.5.5 dev", "default via 10.0.0.1 dev ens6 proto dhcp src 10.0.0.77 metric 100\n10.0.5.5 dev"),),
        "extra-default",
        E,
        "ens6",
        f"{ROUTE}:9",
    ),
    "DHCP's default on a secondary ENI, not preferred": (
        ((ROUTE, "10.0.5.5 dev", "default via 10.0.0.1 dev ens6 proto dhcp src 10.0.0.77 metric 1024\n10.0.5.5 dev"),),
        "extra-default",
        W,
        "ens6",
        f"{ROUTE}:9",
    ),
    "subnet route of a secondary ENI": (
        ((ROUTE, "10.0.5.5 dev", "10.0.0.0/19 dev ens6 proto kernel scope link src 10.0.0.77\n10.0.5.5 dev"),),
        "extra-subnet-route",
        E,
        "10.0.0.0/19",
        f"{ROUTE}:9",
    ),
    "main by another gateway": (
        ((ROUTE, "default via 10.0.0.1 dev ens5", "default via 10.0.0.9 dev ens5"),),
        "wrong-gateway",
        E,
        "main",
        f"{ROUTE}:5",
    ),
    "Docker's bridge inside the VPC": (
        ((ROUTE, "172.17.0.0/16 dev docker0 proto", "10.0.128.0/17 dev docker0 proto"),),
        "swallowed-range",
        E,
        "10.0.128.0/17",
        f"{ROUTE}:12",
    ),
    # foreign policy routing
    "nm-cloud-setup": (
        (
            (RULE, "1536:\tfrom 10.0.6.6", "30400:\tfrom 10.0.0.10 lookup 30400\n1536:\tfrom 10.0.6.6"),
            (ROUTE, "10.0.5.5 dev", "default via 10.0.0.1 dev ens5 table 30400\n10.0.5.5 dev"),
        ),
        "foreign-rules-nm-cloud-setup",
        E,
        "nm-cloud-setup",
        f"{RULE}:6",
    ),
    "ec2-net-utils": (
        (
            (RULE, "32765:\tfrom 10.0.0.77", "10101:\tfrom 10.0.6.8 lookup 10001\n32765:\tfrom 10.0.0.77"),
            (ROUTE, "10.0.5.5 dev", "default via 10.0.0.1 dev ens6 table 10001\n10.0.5.5 dev"),
        ),
        "foreign-rules-ec2-net-utils",
        W,
        "ec2-net-utils",
        f"{RULE}:8",
    ),
    "a VPN's rule before the plugin's": (
        (
            (RULE, "512:\tfrom all to 10.0.5.5", "100:\tfrom all lookup 51820\n512:\tfrom all to 10.0.5.5"),
            (ROUTE, "10.0.5.5 dev", "default dev wg0 table 51820\n10.0.5.5 dev"),
        ),
        "foreign-rule",
        W,
        "rule 100",
        f"{RULE}:2",
    ),
    # switches
    "rp_filter strict": (((SYSCTL, "ens5.rp_filter = 2", "ens5.rp_filter = 1"),), "rp-filter-strict", E, "ens5", SYSCTL),
    "ip_forward off": (((SYSCTL, "ip_forward = 1", "ip_forward = 0"),), "forwarding-off", E, "net.ipv4.ip_forward", SYSCTL),
    "forwarding off on one ENI": (((SYSCTL, "ens6.forwarding = 1", "ens6.forwarding = 0"),), "forwarding-off", E, "ens6", SYSCTL),
    "FORWARD drops": (
        ((NAT, "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT", "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP"),),
        "forward-policy-drop",
        E,
        "FORWARD",
        NAT,
    ),
    # marks and source NAT
    "veth of another prefix": (
        ((ROUTE, f"10.0.6.6 dev {VETH_B}", f"10.0.6.6 dev abc{VETH_B[3:]}"),),
        "veth-not-marked",
        E,
        "default/web-0 (10.0.6.6)",
        f"{NAT}:21",
    ),
    "veth of another prefix on the primary ENI": (
        ((ROUTE, f"10.0.5.5 dev {VETH_A}", f"10.0.5.5 dev abc{VETH_A[3:]}"),),
        "mixed-settings",
        INFO,
        "default/sample-pod (10.0.5.5)",
        f"{ROUTE}:9",
    ),
    "no restore of first packets": (
        ((NAT, '-A PREROUTING -m comment --comment "AWS, CONNMARK" -j CONNMARK --restore-mark --nfmask 0x80 --ctmask 0x80\n', ""),),
        "missing-mark-restore",
        E,
        "first packets",
        f"{NAT}:21",
    ),
    "no restore of later packets": (
        (
            (
                NAT,
                '-A PREROUTING -i eni+ -m comment --comment "AWS, primary ENI" -j CONNMARK --restore-mark --nfmask 0x80 --ctmask 0x80\n',
                "",
            ),
        ),
        "missing-mark-restore",
        E,
        "eni+",
        "",
    ),
    "NodePort mark gone": (
        (
            (
                NAT,
                NODE_PORT,
                "",
            ),
        ),
        "missing-node-port-mark",
        E,
        "mangle PREROUTING",
        "",
    ),
    "NodePort mark of another interface": (((NAT, "-i ens5", "-i eth0"),), "missing-node-port-mark", E, "eth0", f"{NAT}:8"),
    "source NAT gone": (
        (
            (
                NAT,
                SNAT,
                "",
            ),
        ),
        "missing-snat",
        E,
        "AWS-SNAT-CHAIN-0",
        "",
    ),
    "no jump to source NAT": (
        ((NAT, '-A POSTROUTING -m comment --comment "AWS SNAT CHAIN" -j AWS-SNAT-CHAIN-0\n', ""),),
        "missing-snat",
        E,
        "AWS-SNAT-CHAIN-0",
        "",
    ),
    "two jumps to source NAT": (
        ((NAT, "-A POSTROUTING", '-A POSTROUTING -m comment --comment "AWS SNAT CHAIN" -j AWS-SNAT-CHAIN-0\n-A POSTROUTING'),),
        "duplicate-snat",
        W,
        "AWS-SNAT-CHAIN-0",
        f"{NAT}:30",
    ),
    "source NAT to another address": (
        ((NAT, "--to-source 10.0.0.10", "--to-source 10.0.0.11"),),
        "wrong-snat-address",
        E,
        "10.0.0.11",
        f"{NAT}:29",
    ),
    "VPC range not left out of source NAT": (
        ((NAT, '-A AWS-SNAT-CHAIN-0 -d 10.0.0.0/16 -m comment --comment "AWS SNAT CHAIN" -j RETURN\n', ""),),
        "missing-snat-exclusion",
        E,
        "10.0.0.0/16",
        "",
    ),
    "excluded range not left out of source NAT": (
        ((NAT, '-A AWS-SNAT-CHAIN-0 -d 192.168.0.0/16 -m comment --comment "AWS SNAT CHAIN EXCLUSION" -j RETURN\n', ""),),
        "missing-snat-exclusion",
        E,
        "192.168.0.0/16",
        "",
    ),
    "a range too many left out of source NAT": (
        (
            (
                NAT,
                "-A AWS-SNAT-CHAIN-0 !",
                EXTRA_RANGE + "-A AWS-SNAT-CHAIN-0 !",
            ),
        ),
        "extra-snat-exclusion",
        W,
        "172.16.0.0/12",
        f"{NAT}:29",
    ),
    "VPC range not left out of the mark": (
        ((NAT, '-A AWS-CONNMARK-CHAIN-0 -d 10.0.0.0/16 -m comment --comment "AWS CONNMARK CHAIN" -j RETURN\n', ""),),
        "missing-mark-exclusion",
        E,
        "10.0.0.0/16",
        "",
    ),
    "both back ends": (
        ((NAT, "*filter", "# Warning: iptables-legacy tables present, use iptables-legacy-save to see them\n*filter"),),
        "mixed-iptables",
        W,
        "iptables",
        f"{NAT}:31",
    ),
    "egress pod's way back gone": (
        (
            (
                NAT,
                "-A AWS-CONNMARK-CHAIN-0 -d 10.0.0.0/16",
                "-A POSTROUTING -s 169.254.172.5/32 -j CNI-E4-0123456789abcdef\n-A AWS-CONNMARK-CHAIN-0 -d 10.0.0.0/16",
            ),
        ),
        "missing-egress-route",
        E,
        "169.254.172.5",
        f"{NAT}:24",
    ),
}

LAYOUTS: dict[str, tuple[Edit, ...]] = {
    "1.7: rules 1536 by range": (
        (RULE, "1536:\tfrom 10.0.6.6 lookup 2", "1536:\tfrom 10.0.6.6 to 10.0.0.0/16 lookup 2"),
        (RULE, "1536:\tfrom 10.0.6.7 lookup 2", "1536:\tfrom 10.0.6.7 to 10.0.0.0/16 lookup 2"),
    ),
    "first design: 1025": ((RULE, "1536:\tfrom 10.0.6.6", "1025:\tnot from all to 10.0.0.0/16 lookup main\n1536:\tfrom 10.0.6.6"),),
    "before 1.16: a chain a range": (
        (
            NAT,
            "-A AWS-SNAT-CHAIN-0 -d 10.0.0.0/16",
            CHAIN_A_RANGE + "-A AWS-SNAT-CHAIN-0 -d 10.0.0.0/16",
        ),
    ),
}

HARMLESS: dict[str, tuple[Edit, ...]] = {
    "a static route into an office by the primary": ((ROUTE, "10.0.5.5 dev", "10.9.0.0/16 via 10.0.0.50 dev ens5\n10.0.5.5 dev"),),
    "a bridge in nobody's range": (
        (ROUTE, "10.0.5.5 dev", "192.0.2.0/24 dev br-1234 proto kernel scope link src 192.0.2.1\n10.0.5.5 dev"),
    ),
    "a rule with a mark of its own": (
        (RULE, "512:\tfrom all to 10.0.5.5", "9:\tfrom all fwmark 0x200/0xf00 lookup 2004\n512:\tfrom all to 10.0.5.5"),
        (ROUTE, "10.0.5.5 dev", "default dev cilium0 table 2004\n10.0.5.5 dev"),
    ),
    "a rule of addresses that are not here": (
        (RULE, "512:\tfrom all to 10.0.5.5", "100:\tfrom 192.0.2.7 lookup 200\n512:\tfrom all to 10.0.5.5"),
        (ROUTE, "10.0.5.5 dev", "default via 192.0.2.1 dev br-1234 table 200\n10.0.5.5 dev"),
    ),
    "an empty table of a VPN that is off": ((RULE, "512:\tfrom all to 10.0.5.5", "100:\tfrom all lookup 52\n512:\tfrom all to 10.0.5.5"),),
    "FORWARD drops, but one rule accepts all": (
        (NAT, "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT", "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP"),
        (NAT, "-A FORWARD", "-A FORWARD -j ACCEPT\n-A FORWARD"),
    ),
    "rp_filter off": ((SYSCTL, "ens5.rp_filter = 2", "ens5.rp_filter = 0"),),
    "a second default of the primary": ((ROUTE, "10.0.5.5 dev", "default via 10.0.0.1 dev ens5 metric 1024\n10.0.5.5 dev"),),
}

NOT_SHOWN = {
    "MACAddressPolicy: the veth's MAC is not the pod's neighbour": "no file holds the pods' neighbour tables",
    "nft table flushed, seen in a bundle": "a bundle holds no `nft list ruleset`; said as not judged, found where a folder holds nft.txt",
    "rules of IPv6 pods, seen in a bundle": "a bundle holds no `ip -6 rule`",
    "an address that DHCP took from an ENI, seen in a bundle": "enis.json does not hold the ENI's own address; a snapshot does",
    "peers' and on-premises ranges without exclusion": "nobody says which peers want pod addresses; the settings are what is compared",
    "overlapping ranges behind a transit gateway": "decided in the VPC's route tables, not on the node",
    "100.64.0.0/10 refused by remote networks": "what remote networks accept is in none of the files",
    "ENIs in subnets with other route tables": "a different way out is no drift; `route` and `trace` show it",
    "conntrack INVALID drops": "the rule is kube-proxy's own and everywhere; only its counters would tell",
    "AddressFamily and prefix mix": "harmless: addresses alone and in prefixes are taken alike",
    "a VPC range that both chains lack, seen in a bundle": "a node knows the VPC's ranges from there only; a snapshot does",
    "too many rules": "by design",
}
"""Patterns of the plugin's known failures that the given files cannot show, each with the reason."""


def one(report: DriftReport) -> NodeDrift:
    assert len(report.nodes) == 1
    return report.nodes[0]


def judged(tmp_path: Path, files: Mapping[str, str]) -> NodeDrift:
    return one(drift(pack(tmp_path / "eks_i-0abc_2026.tar.gz", dict(files))))


def of(finding: Finding) -> tuple[str, Severity, str]:
    return finding.kind, finding.severity, finding.subject


def test_a_healthy_bundle_has_no_finding_and_all_is_judged(tmp_path: Path) -> None:
    node = judged(tmp_path, FILES)
    assert (node.findings, node.unjudged) == ((), ())
    assert node.name == "i-0abc"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_single_fault_gives_exactly_its_finding(tmp_path: Path, fault: str) -> None:
    edits, kind, severity, subject, place = FAULTS[fault]
    node = judged(tmp_path, edited(*edits))
    assert [of(finding) for finding in node.findings] == [(kind, severity, subject)]
    assert node.place(node.findings[0]) == place
    assert node.unjudged == ()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_older_layouts_are_named_and_no_fault(tmp_path: Path, layout: str) -> None:
    node = judged(tmp_path, edited(*LAYOUTS[layout]))
    assert [of(finding)[:2] for finding in node.findings] == [("old-rule-layout", INFO)]


@pytest.mark.parametrize("case", HARMLESS)
def test_what_is_foreign_and_harmless_is_no_finding(tmp_path: Path, case: str) -> None:
    assert judged(tmp_path, edited(*HARMLESS[case])).findings == ()


def test_every_kind_of_finding_is_made_by_some_test() -> None:
    """Else a kind would be a promise that nothing keeps; and no pattern is called invisible that a fault here shows."""
    here = {kind for _, kind, *_ in FAULTS.values()} | {"old-rule-layout", "missing-outbound-mark", "extra-snat", "extra-outbound-mark"}
    by_snapshot = {kind for _, kinds in snapshot_faults.FAULTS.values() for kind in kinds} | snapshot_faults.KINDS_OF_OTHER_TESTS
    assert here | by_snapshot == set(KINDS)
    assert set(NOT_SHOWN).isdisjoint(FAULTS)


def test_every_kind_names_traffic_and_a_way_out(tmp_path: Path) -> None:
    finding = judged(tmp_path, edited(*FAULTS["512 gone"][0])).findings[0]
    assert finding.traffic.startswith("same-node traffic from pods on secondary ENIs to default/web-0 (10.0.6.6) loops")
    assert all(kind.traffic and kind.fix for kind in KINDS.values())


def test_external_snat_wants_neither_source_nat_nor_marks(tmp_path: Path) -> None:
    node = judged(tmp_path, edited((ENV, '"AWS_VPC_K8S_CNI_EXTERNALSNAT": false', '"AWS_VPC_K8S_CNI_EXTERNALSNAT": true')))
    assert {finding.kind for finding in node.findings} == {"extra-snat", "extra-outbound-mark"}
    lines = [line for line in FILES[NAT].splitlines() if not any(word in line for word in ("SNAT", "AWS-CONNMARK", "AWS, CONNMARK"))]
    files = edited((ENV, '"AWS_VPC_K8S_CNI_EXTERNALSNAT": false', '"AWS_VPC_K8S_CNI_EXTERNALSNAT": true'))
    files[NAT] = "\n".join(lines) + "\n"
    assert judged(tmp_path, files).findings == ()


def test_marks_by_nft_are_not_judged_in_a_bundle_and_missed_in_a_folder(tmp_path: Path) -> None:
    lines = [line for line in FILES[NAT].splitlines() if "AWS-CONNMARK" not in line and '"AWS, CONNMARK"' not in line]
    files = FILES | {NAT: "\n".join(lines) + "\n"}
    node = judged(tmp_path, files)
    assert node.findings == ()
    assert [each.what for each in node.unjudged] == ["the mark of outgoing connections"]
    folder = tmp_path / "node-1"
    folder.mkdir()
    names = {
        RULE: "ip-rule.txt",
        ROUTE: "ip-route.txt",
        NAT: "iptables-save.txt",
        SYSCTL: "sysctl.txt",
        ENIS: "enis.json",
        IPAM: "ipam.json",
    }
    for file, name in (names | {ENV: "networkutils-env-settings.json"}).items():
        (folder / name).write_text(files[file])
    (folder / "nft.txt").write_text("table inet other {\n}\n")
    assert [finding.kind for finding in one(drift(folder)).findings] == ["missing-outbound-mark"]
    mark = "counter ip daddr 10.0.0.0/16 return\ncounter ip daddr 192.168.0.0/16 return\ncounter ct mark set ct mark | 0x00000080\n"
    base = 'type nat hook prerouting priority -90; policy accept;\nfib daddr type local return\niifname "eni*" counter jump snat-mark\n'
    restore = "counter meta mark set ct mark & 0x00000080"
    table = f"table ip aws-cni {{\nchain nat-prerouting {{\n{base}{restore}\n}}\nchain snat-mark {{\n{mark}}}\n}}\n"
    (folder / "nft.txt").write_text(table)
    found = one(drift(folder))
    assert (found.findings, found.unjudged) == ((), ())


def test_the_rules_alone_prove_an_empty_table_and_a_missing_512(tmp_path: Path) -> None:
    table = "default via 10.0.0.1 dev ens6 table 2\n10.0.0.1 dev ens6 table 2 scope link\n"
    for files, kinds in (
        (edited((ROUTE, table, "")), ["empty-table"]),
        (edited((RULE, "512:\tfrom all to 10.0.6.6 lookup main\n", "")), ["missing-to-pod-rule"]),
        (edited((RULE, "1024:\tfrom all fwmark 0x80/0x80 lookup main\n", "")), ["missing-mark-rule"]),
        (edited((ROUTE, f"10.0.6.6 dev {VETH_B} scope link\n", "")), ["missing-pod-route"]),
        (FILES, []),
    ):
        node = judged(tmp_path, {name: text for name, text in files.items() if not name.startswith(("ipamd/", "cni/"))})
        assert [finding.kind for finding in node.findings] == kinds
        assert "which ENI each pod and table belongs to" in {each.what for each in node.unjudged}


@pytest.mark.parametrize("file", [RULE, ROUTE, NAT, SYSCTL, ENIS, IPAM])
def test_a_cut_file_makes_no_finding_of_what_is_missing(tmp_path: Path, file: str) -> None:
    """Nothing is invented where a dump ends early, and where less is known it is said."""
    text, random = FILES[file], Random(7)
    positions = sorted({random.randrange(1, len(text)) for _ in range(12)} | {text.index("\n", len(text) // 2) + 1})
    for end in positions:
        node = judged(tmp_path, FILES | {file: text[:end]})
        # a list of pods that is cut makes the others unknown; unreadable ones are not told from absent ones by their addresses
        allowed = {"unknown-pod"} if file in (IPAM, ENIS) else set()
        assert {finding.kind for finding in node.findings} <= allowed, (file, end)


@pytest.mark.parametrize("seed", range(80))
def test_damaged_bundles_are_judged_or_refused(tmp_path: Path, seed: int) -> None:
    """Cut, shuffled, doubled files, lines gone and bytes flipped: a report or one line of refusal, never a traceback."""
    random, files = Random(seed), dict(FILES)
    for name in random.sample(sorted(files), 3):
        text = files[name]
        lines = text.splitlines(keepends=True)
        match random.randrange(5):
            case 0:
                text = text[: random.randrange(len(text))]
            case 1:
                text = "".join(random.sample(lines, len(lines)))
            case 2:
                flipped = {random.randrange(len(text)): chr(random.randrange(9, 127)) for _ in range(8)}
                text = "".join(flipped.get(i, letter) for i, letter in enumerate(text))
            case 3:
                text = "".join(random.sample(lines, max(1, len(lines) - 2)))
            case _:
                text += text
        files[name] = text
    node = judged(tmp_path, files)
    assert all(finding.kind in KINDS and isinstance(node.place(finding), str) for finding in node.findings)


@pytest.mark.parametrize("file", [RULE, ROUTE, NAT])
def test_an_absent_file_is_said(tmp_path: Path, file: str) -> None:
    node = judged(tmp_path, {name: text for name, text in FILES.items() if name != file})
    assert node.findings == ()
    assert node.unjudged


@pytest.mark.parametrize("mode", ["secondary", "prefix", "custom"])
@pytest.mark.parametrize("external_snat", [False, True])
def test_made_nodes_are_healthy(tmp_path: Path, mode: str, external_snat: bool) -> None:
    made = generate(tmp_path / "made", nodes=5, pods=70, records=100, seed=11, mode=mode, external_snat=external_snat, node_dumps=True)
    report = drift(made.snapshot)
    assert len(report.nodes) == made.nodes
    assert [finding for node in report.nodes for finding in node.findings] == []
    assert {each.what for node in report.nodes for each in node.unjudged} == {"forwarding and rp_filter", "marks and source NAT"}


def test_many_nodes_in_one_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = generate(tmp_path / "made", nodes=5, pods=70, records=100, seed=12, node_dumps=True)
    folders = sorted((made.snapshot / "nodes").iterdir())
    pods = []
    for folder in folders[:2]:
        file = folder / "ip-rule.txt"
        lines = file.read_text().splitlines(keepends=True)
        pods.append(next(line for line in lines if line.startswith("512:")).split()[4])
        file.write_text("".join(line for line in lines if f"to {pods[-1]} " not in line))
    (folders[2] / "ip-rule.txt").write_text("")
    (folders[2] / "ip-route.txt").write_text("")
    report = drift(made.snapshot)
    assert report.summary() == [{"severity": "error", "kind": "missing-to-pod-rule", "findings": 2, "nodes": 2}]
    with pytest.raises(SystemExit) as stopped:
        main(["drift", str(made.snapshot), "--node", folders[0].name, "--node", folders[3].name, "-o", "json"])
    assert stopped.value.code == FINDINGS
    content = json.loads(capsys.readouterr().out)
    assert [node["node"] for node in content["nodes"]] == [folders[0].name, folders[3].name]
    finding = content["nodes"][0]["findings"][0]
    assert (finding["kind"], finding["line"]) == ("missing-to-pod-rule", None)
    assert finding["subject"].endswith(f"({pods[0]})")
    with pytest.raises(EndpointError, match="no dumps of node absent"):
        drift(made.snapshot, nodes=["absent"])


def test_bundles_find_their_node_in_a_snapshot(tmp_path: Path) -> None:
    """By instance id in the name of the file, or by the node's address."""
    made = generate(tmp_path / "made", nodes=3, pods=30, records=100, seed=13, node_dumps=True)
    folder = sorted((made.snapshot / "nodes").iterdir())[0]
    bundles = tmp_path / "bundles"
    bundles.mkdir()
    texts = {RULE: (folder / "ip-rule.txt").read_text(), ROUTE: (folder / "ip-route.txt").read_text()}
    pack(bundles / "eks_support.tar.gz", texts)
    node = one(drift(bundles, snapshot=made.snapshot))
    assert (node.name, node.findings) == (folder.name, ())


@pytest.mark.parametrize(("edits", "code"), [((), DONE), (FAULTS["512 gone"][0], FINDINGS), (FAULTS["512 left of a pod"][0], DONE)])
def test_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str], edits: tuple[Edit, ...], code: int) -> None:
    path = pack(tmp_path / "eks_i-0abc_2026.tar.gz", edited(*edits))
    with pytest.raises(SystemExit) as stopped:
        main(["drift", str(path)])
    assert stopped.value.code == code
    out = capsys.readouterr().out
    assert re.search(rf"{1 if code == DONE else 0} of 1 nodes without drift", out)


def test_exit_codes_of_what_is_not_judged_or_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path, code in ((GOLDEN_NODES / "node-strict-branch", INCOMPLETE), (tmp_path, USAGE), (tmp_path / "absent", USAGE)):
        with pytest.raises(SystemExit) as stopped:
            main(["drift", str(path)])
        assert stopped.value.code == code
    assert "Not judged:" in capsys.readouterr().out
    (tmp_path / "eks_i-0abc.tar.gz").write_text("no archive")
    with pytest.raises(InputError, match="not a readable support bundle"):
        drift(tmp_path)


@pytest.mark.parametrize("name", ["node-worked-example", "node-strict-branch", "node-custom-networking", "node-ipv6"])
def test_golden_nodes_are_healthy(name: str) -> None:
    assert one(drift(GOLDEN_NODES / name)).findings == ()

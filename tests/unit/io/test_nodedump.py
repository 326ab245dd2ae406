"""Folders, bundles and single texts become one node; what is absent is named; damaged dumps never raise."""

import io
import tarfile
from pathlib import Path
from random import Random

import pytest

from fastroute.errors import InputError
from fastroute.io.bundle import read_bundle
from fastroute.io.dumps import Account
from fastroute.io.ifconfig import read_ifconfig
from fastroute.io.ipamd import read_enis, read_ipam
from fastroute.io.iproute2 import read_ip
from fastroute.io.netfilter import cni_marks, read_iptables, read_nft
from fastroute.io.nodedump import kind_of_file, node_from_dumps, node_from_texts, read_node_folder
from fastroute.io.sysctl import read_sysctls
from fastroute.netns.decision import Reason, Verdict
from fastroute.netns.model import Prefix
from fastroute.netns.walk import route
from tests.unit.netns.eks_node import NODE, POD_A, POD_B, VETH_A, VETH_B, addr

GOLDEN = Path("tests/golden/node-worked-example")
TEXTS = {kind_of_file(path.name): path.read_text() for path in sorted(GOLDEN.glob("*.txt"))}
INTERNET = addr("8.8.8.8")
IFCONFIG = """ens5: flags=4163<UP,BROADCAST,RUNNING,MULTICAST>  mtu 9001
        inet 10.0.0.10  netmask 255.255.224.0  broadcast 10.0.31.255
        inet6 fe80::4d2:75ff:fe14:9db3  prefixlen 64  scopeid 0x20<link>
        ether 06:d2:75:14:9d:b3  txqueuelen 1000  (Ethernet)
        RX packets 1  bytes 100 (100.0 B)

eth0      Link encap:Ethernet  HWaddr 06:AA:BB:CC:DD:EE
          inet addr:10.0.0.77  Bcast:10.0.31.255  Mask:255.255.224.0
"""
ENIS = """{"0":{"TotalIPs":28,"AssignedIPs":1,"ENIs":{"eni-0aaa":{"ID":"eni-0aaa","IsPrimary":true,"IsTrunk":false,"DeviceNumber":0,
"AvailableIPv4Cidrs":{"10.0.5.5/32":{"Cidr":{"IP":"10.0.5.5","Mask":"/////w=="},"IPAddresses":{"10.0.5.5":{"Address":"10.0.5.5",
"IPAMKey":{"networkName":"aws-cni","containerID":"","ifName":""},"IPAMMetadata":{"k8sPodNamespace":"default","k8sPodName":"sample-pod"}}}},
"10.0.6.0/28":{"Cidr":{"IP":"10.0.6.0","Mask":"////8A=="},"IPAddresses":{}}},"RouteTableID":254,"SubnetID":"subnet-1"}}}}"""
IPAM = """{"version":"vpc-cni-ipam/1","allocations":[{"networkName":"aws-cni","containerID":"3f","ifName":"eth0","ipv4":"10.0.6.6",
"metadata":{"k8sPodNamespace":"default","k8sPodName":"web-0"}}]}"""
NFT = """table ip aws-cni {
	chain nat-prerouting {
		type nat hook prerouting priority -90; policy accept;
		fib daddr type local return
		iifname "eni*" counter packets 1 bytes 60 jump snat-mark
		counter packets 9 bytes 540 meta mark set ct mark & 0x00000080
	}

	chain snat-mark {
		counter packets 0 bytes 0 ip daddr 10.0.0.0/16 return
		counter packets 1 bytes 60 ct mark set ct mark | 0x00000080
	}
}
"""


def pack(path: Path, files: dict[str, str], *, extra: list[tarfile.TarInfo] | None = None) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
        for member in extra or []:
            archive.addfile(member)
    return path


BUNDLE = {
    "./eks_i-0abc_2026/networking/iprule.txt": TEXTS["rule"],
    "./eks_i-0abc_2026/networking/iproute.txt": TEXTS["route"],
    "./eks_i-0abc_2026/networking/iptables-save.txt": TEXTS["iptables"],
    "./eks_i-0abc_2026/networking/ifconfig.txt": IFCONFIG,
    "./eks_i-0abc_2026/sysctls/sysctl_all.txt": TEXTS["sysctl"],
    "./eks_i-0abc_2026/ipamd/enis.json": ENIS,
    "./eks_i-0abc_2026/ipamd/ipam.json": IPAM,
    "./eks_i-0abc_2026/var_log/messages": "not read",
}


def check_answers(namespace):
    """The answers that `ip route get` gave on the node of the worked example."""
    assert route(namespace, INTERNET, POD_B, in_interface=VETH_B).device == "ens6"
    assert route(namespace, INTERNET, POD_B, in_interface=VETH_B, fwmark=0x80).device == "ens5"
    assert route(namespace, POD_A, POD_B, in_interface=VETH_B).device == VETH_A
    assert route(namespace, NODE, POD_B, in_interface=VETH_B).verdict is Verdict.LOCAL
    assert route(namespace, 1, family=6).missing == "ip -6 rule"


def test_a_folder_of_dumps():
    node = read_node_folder(GOLDEN)
    check_answers(node.namespace)
    assert not any(account.problems for account in node.accounts.values())
    assert node.namespace.sysctls.rp_filter("vlan.eth.3") == 0
    assert any(text.startswith("rule6") for text in node.missing)


def test_a_bundle_as_it_is(tmp_path):
    node = read_bundle(pack(tmp_path / "eks_i-0abc.tar.gz", BUNDLE))
    check_answers(node.namespace)
    assert [(link.name, link.mac) for link in node.namespace.links] == [("ens5", "06:d2:75:14:9d:b3"), ("eth0", "06:aa:bb:cc:dd:ee")]
    assert [eni.table_id for eni in node.enis] == [254]
    assert [allocation.pod for allocation in node.allocations] == ["default/web-0"]
    assert not node.problems


def test_a_bundle_cannot_reach_outside_itself(tmp_path):
    link = tarfile.TarInfo("eks/networking/ip6rule.txt")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    evil = {"../../networking/iptables-save.txt": "*nat\n", "/networking/ip6rule.txt": "0:\tfrom all lookup local\n"}
    before = {path.name for path in tmp_path.iterdir()}
    node = read_bundle(pack(tmp_path / "evil.tar.gz", {**BUNDLE, **evil}, extra=[link]))
    assert {path.name for path in tmp_path.iterdir()} == before | {"evil.tar.gz"}
    assert sum("refused" in problem for problem in node.problems) == 3
    assert node.namespace.known.rules == frozenset({4})
    assert node.iptables is not None
    assert len(node.iptables.rules) == 11


def test_a_cut_bundle_gives_what_comes_before_the_cut(tmp_path):
    path = pack(tmp_path / "cut.tar.gz", {**BUNDLE, "./eks/z": "".join(map(chr, Random(1).choices(range(33, 127), k=200_000)))})
    path.write_bytes(path.read_bytes()[:-60_000])
    node = read_bundle(path)
    check_answers(node.namespace)
    assert any("breaks off" in problem for problem in node.problems)
    nothing = tmp_path / "no.tar.gz"
    nothing.write_bytes(b"plain text")
    with pytest.raises(InputError, match="not a readable support bundle"):
        read_bundle(nothing)
    with pytest.raises(InputError, match="no such file"):
        read_bundle(tmp_path / "absent.tar.gz")


def test_texts_by_table_and_what_is_missing():
    tables = {"main": "default via 10.0.0.1 dev ens5\n10.0.6.6 dev eni0d7763386da scope link\n", 2: "default via 10.0.0.1 dev ens6\n"}
    no_local = node_from_dumps(rule=TEXTS["rule"], route=tables).namespace
    decision = route(no_local, INTERNET, POD_B, in_interface=VETH_B)
    assert (decision.verdict, decision.missing) == (Verdict.UNDECIDED, "ip route show table local")
    addrs = "2: ens5    inet 10.0.0.10/19 brd 10.0.31.255 scope global ens5\n3: ens6    inet 10.0.0.77/19 scope global ens6\n"
    with_addrs = node_from_dumps(rule=TEXTS["rule"], route=tables, addr=addrs).namespace
    assert route(with_addrs, INTERNET, POD_B, in_interface=VETH_B).device == "ens6"
    assert route(with_addrs, NODE, POD_B, in_interface=VETH_B).verdict is Verdict.LOCAL
    main_only = node_from_dumps(rule=TEXTS["rule"], route={"main": tables["main"]}, addr=addrs).namespace
    decision = route(main_only, INTERNET, POD_B, in_interface=VETH_B)
    assert (decision.reason, decision.missing) == (Reason.MISSING_TABLE, "ip route show table 2")
    assert route(main_only, INTERNET, POD_B, in_interface=VETH_B, fwmark=0x80).device == "ens5"
    no_rules = node_from_dumps(route=TEXTS["route"]).namespace
    assert route(no_rules, INTERNET).missing == "ip rule"


def test_a_broken_rule_line_stands_in_the_way_only_of_what_comes_to_it():
    lines = TEXTS["rule"].splitlines(keepends=True)
    broken = "".join([*lines[:3], "1024:\tfrom all fwma\n", *lines[4:]])
    namespace = node_from_texts({**TEXTS, "rule": broken}).namespace
    assert route(namespace, POD_A, POD_B, in_interface=VETH_B).device == VETH_A
    decision = route(namespace, INTERNET, POD_B, in_interface=VETH_B)
    assert decision.verdict is Verdict.UNDECIDED
    assert "line 4" in decision.missing


def test_a_cut_route_dump_leaves_the_tables_before_the_cut():
    cut = "\n".join(TEXTS["route"].splitlines()[:5]) + "\n10.0.6."
    namespace = node_from_texts({**TEXTS, "route": cut}).namespace
    assert namespace.known.tables[4] == frozenset({2})


def test_netfilter_of_the_cni():
    marks = cni_marks(read_iptables(TEXTS["iptables"]))
    assert (marks.outbound, marks.mark, marks.snat_addr, marks.snat_is_random) == ("iptables", 0x80, NODE, True)
    assert marks.snat_exclusions == (Prefix(addr("10.0.0.0"), 16), Prefix(addr("192.168.0.0"), 16))
    assert (marks.outbound_interfaces, marks.restores_from, marks.node_port_interface) == ("eni+", ("eni+", "vlan+"), "ens5")
    legacy_free = "\n".join(line for line in TEXTS["iptables"].splitlines() if "AWS-CONNMARK" not in line) + "\n"
    nft = read_nft(NFT)
    marks = cni_marks(read_iptables(legacy_free), nft)
    assert (marks.outbound, marks.outbound_interfaces, marks.outbound_exclusions) == ("nftables", "eni+", (Prefix(addr("10.0.0.0"), 16),))
    assert not nft.account.problems
    assert cni_marks(read_iptables(legacy_free)).outbound == ""
    snat = read_iptables(TEXTS["iptables"]).chain("nat", "AWS-SNAT-CHAIN-0")[-1]
    assert (snat.out_interface, snat.inverted, snat.options) == (
        "vlan+",
        frozenset({"out_interface"}),
        ("--to-source", "10.0.0.10", "--random-fully"),
    )
    kube = "*nat\n-A KUBE-SVC-X ! -s 10.0.0.0/16 -d 172.20.0.10/32 -p udp -m udp --dport 53 -j KUBE-MARK-MASQ\nCOMMIT\n"
    (rule,) = read_iptables(kube).rules
    assert (rule.dport, rule.protocol, rule.inverted, rule.target) == (53, "udp", frozenset({"src"}), "KUBE-MARK-MASQ")


def test_ipamd_in_new_and_old_shapes():
    (eni,), problems = read_enis(ENIS + "\n" + ENIS)
    assert not problems
    assert (eni.is_primary, eni.table_id, eni.prefixes) == (True, 254, ((4, Prefix(POD_A, 32)), (4, Prefix(addr("10.0.6.0"), 28))))
    assert [(a.pod, a.is_assigned) for a in eni.addrs] == [("default/sample-pod", True)]
    before_cards = '{"TotalIPs":1,"ENIs":{"eni-1":{"ID":"eni-1","DeviceNumber":1,"AvailableIPv4Cidrs":{}}}}'
    assert [(e.device_number, e.table_id) for e in read_enis(before_cards)[0]] == [(1, -1)]
    oldest = '{"TotalIPs":1,"ENIIPPools":{"eni-1":{"ID":"eni-1","DeviceNumber":1,"IPv4Addresses":{"10.0.6.6":{"Assigned":true}}}}}'
    assert [a.is_assigned for e in read_enis(oldest)[0] for a in e.addrs] == [True]
    assert read_enis('{"AvailableCommands":["/v1/enis"]}')[1][0].startswith("the introspection endpoint")
    assert read_enis("")[1] == ("no JSON: empty",)
    (allocation,), problems = read_ipam(IPAM)
    assert (allocation.pod, allocation.addr, problems) == ("default/web-0", POD_B, ())


def test_sysctl_and_ifconfig():
    sysctls, account = read_sysctls(TEXTS["sysctl"])
    assert (sysctls.ip_forward, sysctls.ipv6_forwarding, sysctls.rp_filter("ens5"), sysctls.rp_filter("eni9")) == (True, False, 2, 0)
    assert (account.num_lines, account.num_parsed) == (7, 6)
    assert read_sysctls('{"net.ipv4.ip_forward": "0"}')[0].ip_forward is False
    _, addrs, account = read_ifconfig(IFCONFIG)
    assert [(a.interface, a.family, a.prefix_len) for a in addrs] == [("ens5", 4, 19), ("ens5", 6, 64), ("eth0", 4, 19)]
    assert not account.problems


def mutate(random: Random, text: str) -> str:
    lines = text.splitlines(keepends=True)
    what = random.randrange(6)
    if what == 0:
        return text[: random.randrange(len(text) + 1)]
    if what == 1:
        random.shuffle(lines)
    elif what == 2:
        data = bytearray(text.encode())
        for _ in range(random.randint(1, 8)):
            data[random.randrange(len(data))] = random.randrange(256)
        return data.decode("utf-8", "replace")
    elif what == 3:
        del lines[random.randrange(len(lines))]
    elif what == 4:
        position = random.randrange(len(text))
        return text[:position] + text[position + random.randint(1, 40) :]
    else:
        words = [word for line in lines for word in line.split(" ")]
        position = random.randrange(len(lines))
        lines[position] = " ".join(random.choices(words, k=random.randint(0, 12))) + "\n"
    return "".join(lines)


def check_account(account: Account, text: str) -> None:
    assert account.num_lines == len(text.splitlines())
    assert account.num_parsed + len(account.reports) == account.num_lines
    assert len({report.line for report in account.reports}) == len(account.reports)
    assert all(1 <= report.line <= account.num_lines for report in account.reports)


def test_ten_thousand_damaged_dumps_never_raise():
    random = Random(20261124)
    json_rule = '[{"priority":0,"src":"all","table":"local"},\n{"priority":512,"src":"all","dst":"10.0.5.5","dstlen":32,"table":"main"}]\n'
    hops = '{"dst":"10.0.5.5","nexthops":[{"dev":"e","weight":1,"flags":[]}]}'
    json_route = f'[{{"dst":"default","gateway":"10.0.0.1","dev":"ens5","flags":[]}},\n{hops}]\n'
    json_addr = (
        '[{"ifname":"e","ifindex":2,"flags":["UP"],"addr_info":[{"family":"inet","local":"10.0.0.1","prefixlen":24,"scope":"global"}]}]\n'
    )
    sources = [*((kind, text) for kind, text in TEXTS.items()), ("nft", NFT), ("ifconfig", IFCONFIG), ("enis", ENIS), ("ipam", IPAM)]
    sources += [("rule", json_rule), ("route", json_route), ("addr", json_addr)]
    for number in range(10_000):
        kind, text = sources[number % len(sources)]
        damaged = mutate(random, text)
        if kind == "iptables":
            check_account(read_iptables(damaged).account, damaged)
        elif kind == "nft":
            check_account(read_nft(damaged).account, damaged)
        elif kind == "sysctl":
            check_account(read_sysctls(damaged)[1], damaged)
        elif kind == "ifconfig":
            check_account(read_ifconfig(damaged)[2], damaged)
        elif kind == "enis":
            read_enis(damaged)
        elif kind == "ipam":
            read_ipam(damaged)
        else:
            check_account(read_ip(damaged).account, damaged)
        if number % 20 == 0:
            namespace = node_from_texts({**TEXTS, kind: damaged}).namespace
            route(namespace, INTERNET, POD_B, in_interface=VETH_B)


def test_a_folder_without_dumps_says_so(tmp_path):
    with pytest.raises(InputError, match="holds none of"):
        read_node_folder(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        read_node_folder(tmp_path / "absent")
    (tmp_path / "ip-rule.txt").write_text("")
    (tmp_path / "ip-rule.json").write_text("")
    with pytest.raises(InputError, match="second file of the same kind"):
        read_node_folder(tmp_path)

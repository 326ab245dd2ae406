"""An EKS support bundle (`eks_<instance>_….tar.gz`) as it is, in memory: nothing is unpacked, names that leave the archive are refused."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from dataclasses import replace
from pathlib import Path, PurePosixPath

from fastroute.errors import InputError
from fastroute.io.nodedump import MOST_BYTES, NodeDump, node_from_texts

KINDS = {
    "networking/iprule.txt": "rule",
    "networking/ip6rule.txt": "rule6",
    "networking/iproute.txt": "route",
    "networking/iptables-save.txt": "iptables",
    "networking/ifconfig.txt": "ifconfig",
    "sysctls/sysctl_all.txt": "sysctl",
    "ipamd/enis.json": "enis",
    "ipamd/ipam.json": "ipam",
    "ipamd/networkutils-env-settings.json": "env",
    "ipamd/ipamd-env-settings.json": "env-ipamd",
    "cni/10-aws.conflist": "conflist",
}
"""Source: amazon-eks-ami log-collector-script/linux/eks-log-collector.sh 0.7.3. A bundle holds no nft table and no `ip -6 rule`."""

MOST_MEMBERS = 100_000
MOST_TOTAL_BYTES = 4 * MOST_BYTES


def read_bundle(path: Path) -> NodeDump:
    """Read the node that a bundle was taken from.

    Raises
    ------
    InputError
        Not a gzipped tar, or none of the files in it.
    """
    texts, problems = bundle_texts(path)
    if not texts:
        raise InputError(f"{path}: holds none of {', '.join(KINDS)}")
    dump = node_from_texts(texts)
    return replace(dump, problems=dump.problems + problems)


def bundle_texts(path: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the wanted files' texts by kind, and what was refused or cut.

    A cut archive gives the files before the cut. Links and devices are never followed; of names only the last two parts count, and those
    with `..` or a root are refused. Sizes are bounded.
    """
    texts: dict[str, str] = {}
    problems: list[str] = []
    total = 0
    try:
        with tarfile.open(path, mode="r:*") as archive:
            for number, member in enumerate(archive):
                if number >= MOST_MEMBERS or total > MOST_TOTAL_BYTES:
                    problems.append("more files or bytes than a bundle has: the rest is left out")
                    break
                name = PurePosixPath(member.name)
                if name.is_absolute() or ".." in name.parts:
                    problems.append(f"{member.name!r} points outside the archive: refused")
                    continue
                kind = KINDS.get("/".join(name.parts[-2:]))
                if kind is None or kind in texts:
                    continue
                if not member.isreg():
                    problems.append(f"{member.name!r} is not a plain file: refused")
                    continue
                file = archive.extractfile(member)
                if file is None:
                    continue
                data = file.read(MOST_BYTES)
                total += len(data)
                if member.size > len(data):
                    problems.append(f"{member.name!r} is cut at {len(data)} bytes")
                texts[kind] = data.decode("utf-8-sig", "replace")
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, OSError, ValueError, UnicodeError) as error:
        if not texts:
            raise InputError(f"{path}: not a readable support bundle: {error}") from error
        problems.append(f"the archive breaks off: {error}")
    return texts, tuple(problems)

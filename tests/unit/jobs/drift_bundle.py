"""The healthy bundle of `tests/golden`, packed as the log collector packs it, and the same with one text in one file changed."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

GOLDEN = Path(__file__).parents[2] / "golden" / "bundle-healthy"
RULE, ROUTE, NAT = "networking/iprule.txt", "networking/iproute.txt", "networking/iptables-save.txt"
SYSCTL, LINKS = "sysctls/sysctl_all.txt", "networking/ifconfig.txt"
ENV, ENIS, IPAM = "ipamd/networkutils-env-settings.json", "ipamd/enis.json", "ipamd/ipam.json"
FILES = {
    path.relative_to(GOLDEN).as_posix(): path.read_text() for path in sorted(GOLDEN.rglob("*")) if path.is_file() and path.suffix != ".md"
}

Edit = tuple[str, str, str]
"""A file, what stands in it, and what stands there instead; a text that is not there is refused."""


def edited(*edits: Edit) -> dict[str, str]:
    """The bundle's files with each change made once."""
    files = dict(FILES)
    for file, old, new in edits:
        assert files[file].count(old) == 1, (file, old)
        files[file] = files[file].replace(old, new)
    return files


def pack(path: Path, files: dict[str, str]) -> Path:
    """Write files as a bundle."""
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"./eks_i-0abc_2026/{name}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return path

"""One call: an account's snapshot, its flow logs and their truth, in one folder, whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fastroute.errors import OutputError
from fastroute.synth.account import Account, make_account
from fastroute.synth.snapshot import write_snapshot
from fastroute.synth.traffic import Progress, log_format, write_logs


@dataclass(slots=True, frozen=True)
class SynthResult:
    """Where things are, and how many."""

    folder: Path
    snapshot: Path
    logs: Path
    truth: Path
    account: Account
    nodes: int
    pods: int
    records: int
    files: int
    decidable: int


def generate(
    folder: Path,
    *,
    nodes: int,
    pods: int,
    records: int,
    seed: int = 1,
    mode: str = "secondary",
    external_snat: bool = False,
    exclude_snat_cidrs: Iterable[str] = (),
    default_format: bool = False,
    node_dumps: bool = False,
    reused_addresses: bool = False,
    progress: Progress | None = None,
) -> SynthResult:
    """Write `<folder>/snapshot`, `<folder>/logs` and `<folder>/truth`.

    Parameters
    ----------
    folder : Path
        Made where absent; must hold nothing.
    nodes, pods, seed, mode, external_snat, exclude_snat_cidrs
        As in `make_account`.
    records : int
        Flow log records in all, NODATA and SKIPDATA ones included.
    default_format : bool
        Logs of the 14 default fields instead of all 29 of versions 2 to 5.
    node_dumps : bool
        Also write `ip rule` and `ip route` of every node.
    reused_addresses : bool
        Also traffic of ended pods whose address another pod holds now. A lone snapshot takes the one for the other, so such records are
        not decidable although nothing in them says so.
    progress : callable, optional
        Called with (stage, done, total).

    Returns
    -------
    SynthResult

    Raises
    ------
    OutputError
        The folder holds other files, or cannot be written; nothing is left behind.
    InputError, AddressError
        Numbers or ranges that no account can have.
    """
    folder = Path(folder).absolute()
    _refuse_other_files(folder)
    account = make_account(nodes=nodes, pods=pods, seed=seed, mode=mode, external_snat=external_snat, exclude_snat_cidrs=exclude_snat_cidrs)
    partial = folder.parent / f".{folder.name}.partial-{os.getpid()}"
    try:
        partial.mkdir(parents=True)
        snapshot = partial / "snapshot"
        snapshot.mkdir()
        if progress is not None:
            progress("snapshot", 0, 1)
        write_snapshot(account, snapshot, log_format=log_format(default_format=default_format), node_dumps=node_dumps)
        if progress is not None:
            progress("snapshot", 1, 1)
        counts = write_logs(
            account,
            partial / "logs",
            partial / "truth",
            records=records,
            seed=seed,
            default_format=default_format,
            reused_addresses=reused_addresses,
            progress=progress,
        )
        partial.rename(folder)
    except OSError as error:
        raise OutputError(f"{folder}: {error.strerror or error}; nothing was left behind") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return SynthResult(
        folder,
        folder / "snapshot",
        folder / "logs",
        folder / "truth",
        account,
        len(account.nodes),
        len(account.pods),
        counts.records,
        counts.files,
        counts.decidable,
    )


def _refuse_other_files(folder: Path) -> None:
    try:
        is_free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    except OSError as error:
        raise OutputError(f"{folder}: {error.strerror or error}; name a folder that can be written") from error
    if not is_free:
        raise OutputError(f"{folder}: holds other files; name a new or empty folder")

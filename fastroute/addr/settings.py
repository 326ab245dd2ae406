"""Which kernels run: the AVX-512 gathers where the machine has them, else the plain loops. Same tables, same answers."""

import functools
import os

from llvmlite import binding
from numba import config

from fastroute.errors import FastrouteError

CHOICES = ("auto", "avx512", "plain")
_NEEDED = ("avx512f", "avx512bw", "avx512dq")

_forced: list[str] = []


def set_kernels(choice: str) -> None:
    """Force "avx512" or "plain", or go back to "auto": what `FASTROUTE_KERNELS` says, else what the CPU has.

    Raises
    ------
    FastrouteError
        An unknown choice, or "avx512" where the CPU or numba's settings do not allow it.
    """
    _forced[:] = [_checked(choice)]


def kernels() -> str:
    """The form that look-ups take now: "avx512" or "plain"."""
    choice = _forced[0] if _forced else _checked(os.environ.get("FASTROUTE_KERNELS", "auto"))
    return ("avx512" if has_avx512() else "plain") if choice == "auto" else choice


@functools.cache
def has_avx512() -> bool:
    """Whether numba compiles for this very CPU and the CPU gathers. Without the JIT, or for another target, it does not."""
    if config.DISABLE_JIT or config.CPU_NAME or config.CPU_FEATURES:  # type: ignore[attr-defined]
        return False
    features = binding.get_host_cpu_features()
    return all(features.get(name, False) for name in _NEEDED)


def _checked(choice: str) -> str:
    if choice not in CHOICES:
        raise FastrouteError(f"kernels {choice!r}: not one of {', '.join(CHOICES)}")
    if choice == "avx512" and not has_avx512():
        raise FastrouteError("kernels 'avx512': this CPU, or numba's settings, do not offer them; choose 'auto' or 'plain'")
    return choice

"""Large blocks go back to the system when they are let go of, so that the peak of a long run is that of a short one."""

from __future__ import annotations

import ctypes
import os
import sys

BLOCK_BYTES = 1 << 20
"""From here on a block is mapped by itself. glibc's own limit grows up to 32 MB with each block that is freed, and keeps what it holds;
Arrow's allocator keeps freed pages for a while. 6 M records encoded on two threads: 765 MB at most before, 530 MB so, in no more time."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Source: glibc malloc.h."""
_ARROW_POOL = "ARROW_DEFAULT_MEMORY_POOL"


def keep_memory_small() -> None:
    """Set up this process's allocators, where Arrow is not loaded yet and the user has not chosen one for it."""
    if "pyarrow" not in sys.modules:
        os.environ.setdefault(_ARROW_POOL, "system")
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return
    mallopt(_M_MMAP_THRESHOLD, BLOCK_BYTES)
    mallopt(_M_TRIM_THRESHOLD, 8 * BLOCK_BYTES)

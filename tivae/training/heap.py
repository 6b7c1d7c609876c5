"""Settings of the C library's heap."""

from __future__ import annotations

import ctypes
import functools
import logging
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


@functools.cache
def keep_freed_memory() -> None:
    """Has glibc keep freed memory: batches of one size come and go, and asking the system each time costs 8 to 10 %."""
    if not sys.platform.startswith("linux"):
        return
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_MMAP_THRESHOLD, 2**30)
        libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    except (OSError, AttributeError) as error:
        logging.getLogger("tivae").info("the heap is left as it is (%s)", error)

"""Which memory allocator the lanes run with: environment variables that must be set before a build's process starts.

By default glibc maps and unmaps large activations at every step. In a virtual machine a page fault is dear and its
price depends on the host; told to keep its memory, glibc faults once. That was the largest single source of noise
measured (docs/method.md), so `keep` is the default.
"""

from __future__ import annotations

import ctypes.util
import pathlib

from harness.errors import UserError

_LIBRARIES = {"jemalloc": "jemalloc", "tcmalloc": "tcmalloc_minimal"}
_FOLDERS = ("/usr/lib/*-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib")

ALLOCATORS = ("keep", "system", *_LIBRARIES)


def environment(allocator: str) -> dict[str, str]:
    """The variables for an allocator of `ALLOCATORS`.

    Raises UserError for an unknown name, and for one whose library this machine lacks.
    """
    if allocator == "system":
        return {}
    if allocator == "keep":
        # Below the mmap threshold (the largest glibc takes is 4 GiB) blocks come from the heap, and the heap is never
        # given back; the top pad lets it grow in large strides.
        return {
            "MALLOC_MMAP_THRESHOLD_": str(4 * 1024**3),
            "MALLOC_TRIM_THRESHOLD_": str(4 * 1024**3),
            "MALLOC_TOP_PAD_": str(64 * 1024**2),
            # Asks for huge pages (glibc 2.35 and newer; elsewhere it does nothing): with 4 KiB pages, which physical
            # pages a process happens to get moves a step by several percent.
            "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
        }
    if allocator not in _LIBRARIES:
        raise UserError(f"there is no allocator {allocator!r}; choose one of {', '.join(ALLOCATORS)}")
    if (library := _find(_LIBRARIES[allocator])) is None:
        raise UserError(f"{allocator} is not installed on this machine; install it or use --allocator keep")
    return {"LD_PRELOAD": library}


def _find(name: str) -> str | None:
    if (found := ctypes.util.find_library(name)) is None:
        return None
    places = (path for folder in _FOLDERS for path in pathlib.Path("/").glob(f"{folder[1:]}/{found}"))
    return str(next(places, found))

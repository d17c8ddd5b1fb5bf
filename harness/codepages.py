"""Gives a process its own copy of the machine code that its libraries share with every other process of their files.

A library's code lies in the page cache: all processes that map one file run the same physical pages, for as long as the
cache holds them, and how well those sit in the machine's caches is luck. Two builds have two files and so one draw of
that luck each, which no launch and no nursery averages out; on the development machine it came to 3 % between two
installations of one torch (docs/method.md). A nursery that copies the code into pages of its own draws for itself, so
that the mean over nurseries holds. The copies also ask for huge pages, which files here do not get.

`make_own` changes nothing that a program can see but the names in /proc/self/maps: addresses, symbols, unwinding and
debug information stay. Runs inside foreign builds: standard library only.
"""

from __future__ import annotations

import ctypes
import os
import pathlib
import platform
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass

CODE_PAGES = ("auto", "own", "shared")
"""What may be asked for: pages of each nursery's own, the page cache's, or whichever suits the builds."""

MEMORY_SHARE = 0.5
"""Most of the available memory that `auto` spends on copies."""

HUGE_PAGE = 2 * 1024**2
"""Bytes of a huge page of x86-64, and of aarch64 with pages of 4 KiB."""

_DEVICE_CODE = re.compile(r"/lib(?:cu|nv|nccl|torch_cuda|c10_cuda|caffe2_nvrtc)")
"""Libraries that drive a GPU: more than a gigabyte, of which a step on the CPU runs next to nothing."""

_READ, _WRITE, _EXECUTE = 1, 2, 4
_PRIVATE, _ANONYMOUS = 2, 32
_MAY_MOVE, _FIXED = 1, 2
_ADVISE_HUGE_PAGES = 14


@dataclass(frozen=True)
class Mapping:
    """A range of addresses that holds a file's machine code."""

    start: int
    end: int

    @property
    def size(self) -> int:
        """Bytes of the range."""
        return self.end - self.start


def mappings(maps: str) -> list[Mapping]:
    """The ranges worth copying in the text of a /proc/PID/maps: readable code of files, but for a GPU's libraries."""
    found = []
    for line in maps.splitlines():
        addresses, permissions, *_, path = line.split(maxsplit=5) if line.count(" ") >= 5 else (line, "", "")
        if permissions == "r-xp" and path.startswith("/") and not _DEVICE_CODE.search(path):
            start, _, end = addresses.partition("-")
            found.append(Mapping(int(start, 16), int(end, 16)))
    return found


def choose(asked: str, code_bytes: Sequence[int], nurseries: int, available: int) -> str:
    """`own` or `shared`, for a setting of `CODE_PAGES` that was asked for.

    `code_bytes` has an entry for each interpreter that takes part: how much code there is to copy. With one, all lanes
    run the same pages, and there is nothing to even out. `available` is the memory there is, in bytes.
    """
    if asked != "auto":
        return asked
    affordable = sum(code_bytes) * nurseries <= MEMORY_SHARE * available
    # The copying has run on no aarch64 yet, so there it must be asked for.
    tried = platform.machine() in ("x86_64", "AMD64")
    return "own" if len(code_bytes) > 1 and affordable and tried and refusal() is None else "shared"


def refusal() -> str | None:
    """Why this machine does not let a process run a copy of its code; None when it does."""
    if sys.platform != "linux":
        return "only Linux can move memory under a running program"
    try:
        with _Memory(os.sysconf("SC_PAGE_SIZE"), 0) as memory:
            memory.make_executable()
    except OSError as error:
        return f"the kernel forbids code in anonymous memory: {error.strerror}"
    return None


def make_own() -> int:
    """Replace the code of this process's libraries by copies at the same addresses; how many bytes were copied.

    Raises OSError when the kernel does not allow it or memory is short; what was not copied by then stays as it was.
    """
    found = mappings(pathlib.Path("/proc/self/maps").read_text())
    for mapping in found:
        with _Memory(mapping.size, mapping.start % HUGE_PAGE) as memory:
            memory.fill_from(mapping.start)
            memory.make_executable()
            memory.move_to(mapping.start)
    return sum(mapping.size for mapping in found)


class _Memory:
    """Anonymous memory of `size` bytes that begins `offset` bytes after a boundary of huge pages: where the original
    and the copy lie alike, huge pages can be moved as a whole. Given back on leaving, unless it was moved.
    """

    def __init__(self, size: int, offset: int) -> None:
        self._size = size
        self._libc = _libc()
        reserved = size + HUGE_PAGE
        reservation = self._libc.mmap(None, reserved, _READ | _WRITE, _PRIVATE | _ANONYMOUS, -1, 0)
        if reservation == ctypes.c_void_p(-1).value:
            raise _error()
        self._start = reservation + (offset - reservation) % HUGE_PAGE
        self._moved = False
        self._unmap(reservation, self._start)
        self._unmap(self._start + size, reservation + reserved)
        # Where huge pages are not to be had, small ones do.
        self._libc.madvise(self._start, size, _ADVISE_HUGE_PAGES)

    def fill_from(self, address: int) -> None:
        ctypes.memmove(self._start, address, self._size)

    def make_executable(self) -> None:
        if self._libc.mprotect(self._start, self._size, _READ | _EXECUTE) != 0:
            raise _error()

    def move_to(self, address: int) -> None:
        # One system call takes the old pages away and puts the new ones there: even the code that makes it may go.
        if self._libc.mremap(self._start, self._size, self._size, _MAY_MOVE | _FIXED, address) != address:
            raise _error()
        self._moved = True

    def __enter__(self) -> _Memory:
        return self

    def __exit__(self, *exception: object) -> None:
        if not self._moved:
            self._unmap(self._start, self._start + self._size)

    def _unmap(self, start: int, end: int) -> None:
        if end > start:
            self._libc.munmap(start, end - start)


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    address, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    libc.mmap.restype, libc.mmap.argtypes = address, [address, size, number, number, number, ctypes.c_long]
    libc.mremap.restype, libc.mremap.argtypes = address, [address, size, size, number, address]
    for function in (libc.mprotect, libc.madvise):
        function.argtypes = [address, size, number]
    libc.munmap.argtypes = [address, size]
    return libc


def _error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))

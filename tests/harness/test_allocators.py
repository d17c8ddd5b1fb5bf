import ctypes
import ctypes.util
import os
import pathlib
import subprocess
import sys

import pytest

from harness.allocators import ALLOCATORS, environment
from harness.errors import UserError


def test_the_systems_allocator_is_left_as_it_is():
    assert environment("system") == {}


# Blocks of 64 MiB, taken and given back as a step does with its activations; prints minor page faults per block.
CHURN = """
import ctypes, resource
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
def churn(blocks):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(blocks):
        block = libc.malloc(64 << 20)
        ctypes.memset(block, 1, 64 << 20)
        libc.free(block)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / blocks
churn(2)
print(churn(8))
"""


def _faults(allocator):
    done = subprocess.run(
        [sys.executable, "-c", CHURN],
        env={**os.environ, **environment(allocator)},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


@pytest.mark.skipif("glibc" not in (os.confstr("CS_GNU_LIBC_VERSION") or ""), reason="the variables are glibc's")
def test_glibc_that_keeps_its_memory_faults_once():
    assert _faults("keep") < 10 < 100 < _faults("system")


@pytest.mark.parametrize("name", sorted(set(ALLOCATORS) - {"keep", "system"}))
def test_a_library_is_preloaded_where_it_is_installed_and_asked_for_where_not(name):
    library = {"jemalloc": "jemalloc", "tcmalloc": "tcmalloc_minimal"}[name]
    if ctypes.util.find_library(library) is None:
        with pytest.raises(UserError, match=f"{name} is not installed on this machine"):
            environment(name)
        return
    (path,) = environment(name).values()
    done = subprocess.run(
        [sys.executable, "-c", "print(open('/proc/self/maps').read())"],
        env={**os.environ, **environment(name)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert pathlib.Path(path).resolve().name in done.stdout
    assert done.stderr == ""


def test_an_unknown_allocator_is_one_sentence():
    with pytest.raises(
        UserError, match="there is no allocator 'mimalloc'; choose one of keep, system, jemalloc, tcmalloc"
    ):
        environment("mimalloc")

import os
import pathlib
import subprocess
import sys
import types

import pytest

from harness import codepages
from harness.codepages import HUGE_PAGE, choose, make_own, mappings, refusal

MAPS = """\
559ea2a00000-559ea2a01000 r--p 00000000 fe:00 1310 /usr/bin/python3.11
559ea2a01000-559ea2cbb000 r-xp 00001000 fe:00 1310 /usr/bin/python3.11
559ea3cbb000-559ea3ebb000 rw-p 00000000 00:00 0 [heap]
7f0000200000-7f0011200000 r-xp 00200000 fe:00 1312 /opt/my builds/torch/lib/libtorch_cpu.so
7f0020000000-7f0030000000 r-xp 00000000 fe:00 1313 /opt/nvidia/cublas/lib/libcublasLt.so.13
7f0030000000-7f0031000000 r-xp 00000000 fe:00 1314 /opt/torch/lib/libtorch_cuda.so
7f0040000000-7f0040001000 r-xp 00000000 00:00 0
7f0050000000-7f0050001000 --xp 00000000 fe:00 1315 /usr/lib/libsecret.so
7ffe00000000-7ffe00002000 r-xp 00000000 00:00 0 [vdso]
"""

linux = pytest.mark.skipif(sys.platform != "linux" or refusal() is not None, reason="needs a Linux that allows it")

PROBE = """
import pathlib, sys
from harness import codepages
%s
def text():
    maps = pathlib.Path("/proc/self/maps").read_text()
    return codepages.mappings(maps)
before = sum(one.size for one in text())
copied = codepages.make_own()
assert copied == before, (copied, before)
assert text() == [], text()
%s
print("fine", copied)
"""


def _address_space():
    """Bytes of this process's address space that are in use."""
    return int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _probe(imports, checks):
    done = subprocess.run([sys.executable, "-c", PROBE % (imports, checks)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    word, copied = done.stdout.split()[-2:]
    assert word == "fine"
    return int(copied)


def test_code_of_files_is_found_and_a_gpus_libraries_and_what_cannot_be_read_are_left_out():
    assert [(one.start, one.size) for one in mappings(MAPS)] == [
        (0x559EA2A01000, 0x2BA000),
        (0x7F0000200000, 0x11000000),
    ]


@linux
def test_a_process_goes_on_in_copies_of_all_its_code():
    copied = _probe(
        "import ctypes, json, math, sqlite3, threading",
        # Whatever runs after the copying runs in the copies: the interpreter itself, libc, threads, signals, a fork.
        """
import os, signal
assert math.isclose(math.sin(1), 0.8414709848078965)
assert sqlite3.connect(":memory:").execute("select 6 * 7").fetchone() == (42,)
heard = []
signal.signal(signal.SIGUSR1, lambda *_: heard.append(1))
os.kill(os.getpid(), signal.SIGUSR1)
threads = [threading.Thread(target=heard.append, args=(2,)) for _ in range(4)]
[thread.start() for thread in threads], [thread.join() for thread in threads]
assert sorted(heard) == [1, 2, 2, 2, 2]
pid = os.fork()
if pid == 0:
    os._exit(7 if text() == [] else 8)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
""",
    )
    assert copied > HUGE_PAGE


@linux
def test_torch_computes_the_same_and_its_exceptions_still_unwind():
    pytest.importorskip("torch")
    copied = _probe(
        """
import torch
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(288, 5))
x = torch.randn(4, 3, 8, 8)
expected = model(x).detach()
""",
        """
out = model(x)
assert torch.equal(out, expected)
out.sum().backward()
try:
    model(torch.randn(1, 2))
except RuntimeError as error:
    assert "Expected" in str(error)
else:
    raise AssertionError("nothing was raised")
""",
    )
    assert copied > 50 * HUGE_PAGE


@linux
def test_the_copies_lie_in_huge_pages_where_the_kernel_has_them():
    pytest.importorskip("torch")
    if "[never]" in pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text():
        pytest.skip("this kernel gives no huge pages")
    size = _probe(
        "import torch",
        """
import re
smaps = pathlib.Path("/proc/self/smaps").read_text()
blocks = re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", smaps)
code = [block for block in blocks if re.match(r"\\S+ r-xp", block)]
huge = sum(int(size) for block in code for size in re.findall(r"AnonHugePages:\\s+(\\d+) kB", block))
copied = huge * 1024
""",
    )
    # How many there are is up to the fragmentation of memory; with the alignment wrong there would be none.
    assert size >= HUGE_PAGE


@linux
def test_what_was_allowed_for_a_copy_is_given_back_when_it_is_refused(monkeypatch):
    def forbidden(self):
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(codepages._Memory, "make_executable", forbidden)
    # The first call loads what later ones need.
    for _ in range(2):
        assert refusal() == "the kernel forbids code in anonymous memory: Permission denied"
    before = _address_space()
    for _ in range(50):
        with pytest.raises(OSError, match="Permission denied"):
            make_own()
    assert _address_space() - before < HUGE_PAGE


def test_elsewhere_than_on_linux_it_cannot_be_had(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert refusal() == "only Linux can move memory under a running program"
    assert choose("auto", [1, 1], 6, 10**12) == "shared"


@pytest.mark.parametrize(
    ("code", "available", "machine", "chosen"),
    [
        ([300, 300], 10_000, "x86_64", "own"),
        ([300, 300], 7_200, "x86_64", "own"),
        ([300, 300], 7_199, "x86_64", "shared"),
        ([300], 10_000, "x86_64", "shared"),
        ([300, 300], 10_000, "aarch64", "shared"),
    ],
    ids=["two interpreters", "just enough memory", "too little", "one interpreter", "a machine it never ran on"],
)
def test_auto_takes_own_pages_for_two_interpreters_that_can_afford_it(monkeypatch, code, available, machine, chosen):
    monkeypatch.setattr(codepages, "refusal", lambda: None)
    monkeypatch.setattr(codepages, "platform", types.SimpleNamespace(machine=lambda: machine))
    assert choose("auto", code, 6, available) == chosen


@pytest.mark.parametrize("asked", ["own", "shared"])
def test_what_is_asked_for_is_not_argued_with(asked):
    assert choose(asked, [300, 300], 6, 0) == asked

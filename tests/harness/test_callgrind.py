"""Counts of instructions: a real step under the real valgrind, and everything that can stand against one."""

import shutil
import stat

import pytest

from harness import callgrind, counting
from harness.callgrind import Uncounted
from harness.lanes import Lane
from harness.session import opened
from tests import sessions

VALGRIND = pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed; `make apt` does it")

FILE = """version: 1
desc: Trigger: Client Request: step 0
positions: line
events: Ir

ob=(1) /usr/lib/libtorch_cpu.so
fl=(1) kernels.cpp
fn=(1) multiply(float*)
12 700
+1 50
cob=(2) /usr/bin/python3
cfn=(2) _PyEval
calls=3 0
14 9000
fn=(3) 0x00000000001f2a40
0 30
ob=(2)
fn=(2)
* 200
fn=(4) ???
0 5
cfn=(1)
calls=1 0
0 750

ob=
fn=(5) ???
0 11
totals: 996
"""


def test_own_instructions_are_told_from_those_of_what_is_called():
    assert callgrind.functions(FILE.splitlines()) == {
        "multiply(float*)": 750,
        "libtorch_cpu.so (no symbol)": 30,
        "_PyEval": 200,
        "python3 (no symbol)": 5,
        "code made at run time (no symbol)": 11,
    }


@pytest.fixture
def lane(tmp_path):
    """A pool in which `perceptron` can be built, without a nursery: counting needs none."""
    pytest.importorskip("torch")
    session = sessions.make(tmp_path, only="perceptron", nurseries=1)
    (group,) = session.groups
    with opened(session, []) as pool:
        yield group, Lane("eager", "head"), pool, session.plan
    assert sessions.leftovers(session) == []


@VALGRIND
@pytest.mark.slow
def test_a_step_is_counted_and_counts_the_same_again(lane):
    try:
        found = callgrind.count(*lane, products=5)
    except Uncounted as error:
        if "valgrind does not know" in str(error):
            pytest.skip(str(error))
        raise
    assert len(found.steps) == callgrind.STEPS
    # Three products of 768 by 192, 768 by 768 and 1 for 16 rows are 11.8 million multiplications: at 8 a vector
    # instruction, no less than 1.5 million, and importing torch, which takes thousands of millions, is not in it.
    assert min(found.steps) > 1.5e6 and max(found.steps) < 1e8
    assert max(found.steps) - min(found.steps) <= callgrind.SPREAD * min(found.steps)
    # Functions too small to be kept may be many.
    assert 0.9 * found.steps[-1] < sum(found.functions.values()) <= found.steps[-1]


def fake(folder, body):
    """A program named valgrind in a folder of its own."""
    folder.mkdir()
    program = folder / "valgrind"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(folder)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("sleep 60", "did not end within 2 s"),
        ("kill -ILL $$", "does not know an instruction of the step$"),
        ("echo 'vex amd64->IR: unhandled instruction bytes: 0x62 0xF1 0x7C' >&2; kill -SEGV $$", "0x62 0xF1 0x7C"),
        ("kill -SEGV $$", "died of signal 11"),
        ("exit 7", "exit code 7"),
        ("exit 0", "exit code 0 and told nothing"),
        ("""eval last=\\"\\${$#}\\"; echo '{"kernels": "AVX2"}' > "$last" """, "no count of every step"),
        # Everything but the counting works here: the process finds out that it is not under Valgrind.
        ("""while [ "${1#--}" != "$1" ]; do shift; done; exec "$@" """, "does not run under Valgrind|known for x86_64"),
    ],
)
def test_whatever_goes_wrong_is_a_reason(lane, tmp_path, body, said):
    group, which, pool, plan = lane
    path = fake(tmp_path / "bin", body)
    pool._environment["PATH"] = f"{path}:{pool._environment['PATH']}"
    with pytest.raises(Uncounted, match=said):
        callgrind.count(group, which, pool, plan, timeout=2 if "sleep" in body else 120)


def test_a_lane_that_cannot_be_counted_is_refused_with_a_reason(tmp_path):
    there = {"PATH": fake(tmp_path / "bin", "exit 0")}
    assert callgrind.why_not("cpu", "eager", 1e-3, there, 240) is None
    for arguments, said in (
        (("cuda", "eager", 1e-3, there, 240), "CPU only"),
        (("cpu", "inductor", 1e-3, there, 240), "compiles"),
        (("cpu", "eager", 1e-3, {"PATH": str(tmp_path)}, 240), "not installed"),
        (("cpu", "eager", 0.5, there, 240), "limit is 240 s"),
    ):
        assert said in callgrind.why_not(*arguments)


def test_outside_of_valgrind_a_request_does_nothing():
    try:
        request = counting.client_requests()
    except counting.Unsupported as error:
        pytest.skip(str(error))
    assert request(0x1001, 0) == 0
    assert request(counting.START, 0) == 0


def test_another_processor_is_unsupported(monkeypatch):
    monkeypatch.setattr(counting.platform, "machine", lambda: "riscv64")
    with pytest.raises(counting.Unsupported, match="riscv64"):
        counting.client_requests()

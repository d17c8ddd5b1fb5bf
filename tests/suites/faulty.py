"""Benchmarks that go wrong in every way a model can, among some that only look strange and are fine.

Each fault is a benchmark of its own, so that a test can say how it must end.
"""

import ctypes
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import torch

from harness.benchmark import Workload, benchmark


def _benchmark(name):
    return benchmark(name, category="TEST", domain="FAULT", sizes={"small": {}}, types=("eval",), devices=("cpu",))


def _workload(step, items=1):
    return Workload(model=torch.nn.Identity(), inputs=(), items=items, step=lambda workload, clock: step())


def _sane():
    matrix = torch.randn(256, 256)
    return lambda: torch.tanh(matrix @ matrix)


def _say(text):
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _count():
    """A function that says how often it has been called."""
    calls = 0

    def count():
        nonlocal calls
        calls += 1
        return calls

    return count


def _sample_begins(request):
    """A function that tells a step whether it is the first of a sample: then the random state is as seeded."""
    seeded = torch.Generator().manual_seed(request.seed).get_state()
    torch.rand(1)

    def begins():
        begun = torch.equal(torch.get_rng_state(), seeded)
        torch.rand(1)
        return begun

    return begins


@_benchmark("segfault")
def segfault(request):
    """The step reads address 0."""

    def step():
        _say("about to fall")
        ctypes.string_at(0)

    return _workload(step)


@_benchmark("abort")
def abort(request):
    """The step calls abort(), as a failed assertion in C++ does."""
    return _workload(os.abort)


@_benchmark("killed")
def killed(request):
    """The worker is killed as the kernel does when memory runs out."""
    return _workload(lambda: os.kill(os.getpid(), signal.SIGKILL))


@_benchmark("fine")
def fine(request):
    """A sane step among the faults, for every mode."""
    return Workload(model=_Square().eval(), inputs=(torch.randn(256, 256),), items=1)


@_benchmark("memory_error")
def memory_error(request):
    """Python runs out of memory."""

    def step():
        raise MemoryError

    return _workload(step)


@_benchmark("allocates_too_much")
def allocates_too_much(request):
    """torch runs out of memory."""
    return _workload(lambda: torch.empty(10**15))


@_benchmark("raises_at_build")
def raises_at_build(request):
    """The model cannot be built."""
    raise ValueError("the weights are missing")


@_benchmark("raises_at_step_5")
def raises_at_step_5(request):
    """The step works four times."""
    count, sane = _count(), _sane()

    def step():
        if count() == 5:
            raise RuntimeError("this is step 5")
        return sane()

    return _workload(step)


@_benchmark("raises_in_emoji")
def raises_in_emoji(request):
    """The longest text for its length that JSON knows."""
    raise RuntimeError("\N{HOT PEPPER}" * 10_000)


@_benchmark("raises_undecodable")
def raises_undecodable(request):
    """What Python makes of a file name that is not UTF-8."""
    raise RuntimeError("no file " + os.fsdecode(b"weights-\xff.pt"))


@_benchmark("exits")
def exits(request):
    """The step ends the interpreter politely."""
    return _workload(lambda: sys.exit(3))


@_benchmark("leaves")
def leaves(request):
    """The step ends the process."""
    return _workload(lambda: os._exit(3))


@_benchmark("kills_its_nursery")
def kills_its_nursery(request):
    """Takes the process with it that later launches need."""
    return _workload(lambda: (os.kill(os.getppid(), signal.SIGKILL), time.sleep(1000)))


@_benchmark("hangs_in_python")
def hangs_in_python(request):
    """The step sleeps for ever where Python could be interrupted."""
    return _workload(lambda: time.sleep(1000))


@_benchmark("hangs_in_c")
def hangs_in_c(request):
    """The step sleeps for ever with the interpreter lock held."""
    return _workload(lambda: ctypes.PyDLL(None).sleep(1000))


@_benchmark("hangs_in_a_sample")
def hangs_in_a_sample(request):
    """All is well until the first sample. The step is long enough for a sample of one step without settling."""
    begins, sane = _sample_begins(request), _sane()

    def step():
        time.sleep(1000 if begins() else 0.025)
        return sane()

    return _workload(step)


@_benchmark("crashes_in_a_sample")
def crashes_in_a_sample(request):
    """All is well until the first sample."""
    begins, sane = _sample_begins(request), _sane()

    def step():
        if begins():
            os.abort()
        return sane()

    return _workload(step)


@_benchmark("gives_nan")
def gives_nan(request):
    """The output holds NaN, some way inside it."""
    return _workload(lambda: {"logits": [torch.tensor([0.0, float("nan")])]})


@_benchmark("gives_inf")
def gives_inf(request):
    """The output holds infinity."""
    return _workload(lambda: (torch.ones(2), torch.tensor(float("inf"))))


@_benchmark("gives_nan_later")
def gives_nan_later(request):
    """The output is sound at first, as that of a training that diverges."""
    count, sane = _count(), _sane()
    return _workload(lambda: sane() if count() == 1 else sane() * float("nan"))


@_benchmark("no_workload")
def no_workload(request):
    """The function forgets to return the workload."""


@_benchmark("no_items")
def no_items(request):
    """The number of items is none."""
    return _workload(_sane(), items="sixteen")


@_benchmark("leaves_a_file")
def leaves_a_file(request):
    """Dies with temporary files and folders of its own."""

    def step():
        tempfile.mkstemp(prefix="left-behind-")
        tempfile.mkdtemp(prefix="left-behind-")
        os.abort()

    return _workload(step)


@_benchmark("talks_and_raises")
def talks_and_raises(request):
    """Floods standard error before it fails."""

    def step():
        sys.stderr.writelines(f"line {number}\n" for number in range(100_000))
        raise RuntimeError("enough")

    return _workload(step)


@_benchmark("talks")
def talks(request):
    """Floods standard error and standard output, and is fine."""
    for stream in (sys.stderr, sys.stdout):
        stream.writelines(f"line {number}\n" for number in range(100_000))
    return _workload(_sane())


@_benchmark("starts_a_child")
def starts_a_child(request):
    """Leaves a process behind, and is fine."""
    if os.fork() == 0:
        time.sleep(1000)
    return _workload(_sane())


@_benchmark("starts_a_daemon")
def starts_a_daemon(request):
    """Leaves a process behind in a session of its own, and is fine."""
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session=True)
    return _workload(_sane())


@_benchmark("crashes_with_a_daemon")
def crashes_with_a_daemon(request):
    """Dies while a child in another session holds all its descriptors, those of its channel included."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(1000)
        os._exit(0)
    return _workload(os.abort)


class _Square(torch.nn.Module):
    def forward(self, x):
        return torch.tanh(x @ x)


class _Untraceable(_Square):
    def forward(self, x):
        if torch.jit.is_tracing():
            raise RuntimeError("this model cannot be traced")
        return super().forward(x)


@_benchmark("untraceable")
def untraceable(request):
    """Fine as it is, and cannot be compiled by jit."""
    return Workload(model=_Untraceable().eval(), inputs=(torch.randn(256, 256),), items=1)


@_benchmark("dear_first_step")
def dear_first_step(request):
    """The first step of each sample takes far longer than the others."""
    begins, sane = _sample_begins(request), _sane()

    def step():
        if begins():
            time.sleep(0.05)
        return sane()

    return _workload(step)


@_benchmark("tells")
def tells(request):
    """Raises all it knows of the process it runs in, as JSON."""
    raise RuntimeError(
        json.dumps(
            {
                "cpus": sorted(os.sched_getaffinity(0)),
                "threads": torch.get_num_threads(),
                "seed": torch.initial_seed(),
                "parent": os.getppid(),
                "group": os.getpgid(0) == os.getpid(),
                "stdin": str(pathlib.Path("/proc/self/fd/0").readlink()),
                "path": [place for place in sys.path if place],
                "environment": {
                    name: value
                    for name, value in os.environ.items()
                    if name.startswith(
                        ("MALLOC_", "DNNL_", "OMP_", "MKL_", "OPENBLAS_", "LD_PRELOAD", "TMPDIR", "PYTHON")
                    )
                },
            }
        )
    )

import time

import pytest

from harness.clock import CpuClock, CudaClock, clock_for

torch = pytest.importorskip("torch")


# Seconds; a sleep never takes less, so bounds from below hold on a busy machine too.
PAUSE = 0.01


def test_phases_lie_inside_the_step_and_keep_their_order():
    clock = CpuClock()
    clock.start()
    for phase in ("forward", "backward", "update"):
        sum(range(1000))
        clock.mark(phase)
    clock.stop()
    assert list(clock.phases) == ["forward", "backward", "update"]
    assert all(seconds > 0 for seconds in clock.phases.values())
    assert sum(clock.phases.values()) <= clock.elapsed


def test_a_phase_is_the_time_since_the_last_mark():
    clock = CpuClock()
    clock.start()
    time.sleep(PAUSE)
    clock.mark("long")
    clock.mark("short")
    clock.stop()
    assert clock.phases["long"] >= PAUSE
    # Counted from the start of the step, the short one would hold the long one and the sum exceed the step.
    assert clock.phases["long"] + clock.phases["short"] <= clock.elapsed


def test_time_after_the_last_mark_belongs_to_the_step_only():
    clock = CpuClock()
    clock.start()
    clock.mark("first")
    time.sleep(PAUSE)
    clock.stop()
    assert list(clock.phases) == ["first"]
    assert clock.elapsed - clock.phases["first"] >= PAUSE


def test_a_phase_marked_twice_adds_up():
    clock = CpuClock()
    clock.start()
    for phase in ("inner", "outer", "inner"):
        time.sleep(PAUSE)
        clock.mark(phase)
    clock.stop()
    assert list(clock.phases) == ["inner", "outer"]
    assert clock.phases["inner"] >= 2 * PAUSE
    assert sum(clock.phases.values()) <= clock.elapsed


def test_a_step_counts_neither_the_step_before_nor_the_time_between():
    clock = CpuClock()
    clock.start()
    clock.mark("old")
    clock.stop()
    phases = clock.phases
    time.sleep(PAUSE)
    before = time.perf_counter()
    clock.start()
    clock.mark("new")
    clock.stop()
    assert clock.phases["new"] <= clock.elapsed <= time.perf_counter() - before
    assert list(clock.phases) == ["new"]
    # The engine keeps the phases of earlier steps: a new step must not change them.
    assert list(phases) == ["old"]


def test_the_clock_of_a_device():
    assert isinstance(clock_for("cpu"), CpuClock)
    assert isinstance(clock_for("cuda"), CudaClock)
    assert isinstance(clock_for("cuda:0"), CudaClock)


class Stream:
    """Stands in for a CUDA stream on machines without one: queued work takes device time, in milliseconds."""

    def __init__(self):
        self.queued = 0.0
        self.finished = 0.0
        self.calls = []

    def work(self, milliseconds):
        self.queued += milliseconds

    def synchronize(self, device=None):
        self.calls.append("synchronize")
        self.finished = self.queued

    def event(self, enable_timing=False):
        assert enable_timing
        return Event(self)


class Event:
    def __init__(self, stream):
        self.stream = stream

    def record(self):
        self.stream.calls.append("record")
        self.at = self.stream.queued

    def elapsed_time(self, end):
        assert end.at <= self.stream.finished, "read before the device had reached the event"
        return end.at - self.at


@pytest.fixture
def stream(monkeypatch):
    stream = Stream()
    monkeypatch.setattr(torch.cuda, "Event", stream.event)
    monkeypatch.setattr(torch.cuda, "synchronize", stream.synchronize)
    return stream


def test_cuda_phases_are_device_seconds_between_events(stream):
    clock = CudaClock()
    stream.work(7)
    clock.start()
    for phase, milliseconds in (("forward", 10), ("backward", 20), ("update", 5), ("forward", 1)):
        stream.work(milliseconds)
        clock.mark(phase)
    clock.stop()
    assert clock.phases == pytest.approx({"forward": 0.011, "backward": 0.020, "update": 0.005})
    assert clock.elapsed > 0


def test_marking_a_cuda_phase_does_not_wait_for_the_device(stream):
    clock = CudaClock()
    clock.start()
    clock.mark("forward")
    clock.mark("backward")
    assert stream.calls == ["synchronize", "record", "record", "record"]
    clock.stop()
    assert stream.calls[4:] == ["synchronize"]


def test_a_new_cuda_step_forgets_the_last_one(stream):
    clock = CudaClock()
    for _ in range(2):
        clock.start()
        stream.work(3)
        clock.mark("forward")
        clock.stop()
        assert clock.phases == pytest.approx({"forward": 0.003})


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_phases_of_real_work():
    clock = CudaClock()
    matrix = torch.randn(2048, 2048, device="cuda")
    (matrix @ matrix).sum()
    clock.start()
    for _ in range(20):
        matrix @ matrix
    clock.mark("many")
    matrix @ matrix
    clock.mark("one")
    clock.stop()
    assert 0 < clock.phases["one"] < clock.phases["many"]

import dataclasses
import os

import pytest

from harness import health
from harness.health import Monitor, cpu_time

TICK = os.sysconf("SC_CLK_TCK")

# user nice system idle iowait irq softirq steal guest guest_nice, in ticks; guest time is in user already (proc(5)).
STAT = """\
cpu  {0} 0 0 0 0 0 0 0 0 0
cpu0 {0} 1 2 700 5 6 7 {1} 50 8
cpu1 {2} 0 0 900 0 0 0 {3} 0 0
cpu10 99999 0 0 0 0 0 0 99999 0 0
intr 1 2 3
ctxt 4
"""


@pytest.fixture
def stat(tmp_path, monkeypatch):
    """Writes what /proc/stat and /sys say: ticks of user time and of steal, of CPU 0 and of CPU 1."""
    monkeypatch.setattr(health, "_STAT", tmp_path / "stat")
    monkeypatch.setattr(health, "_SYS_CPU", tmp_path / "cpu")

    def write(*ticks):
        (tmp_path / "stat").write_text(STAT.format(*ticks))

    def tell(cpu, frequency_khz, throttled):
        for name, value in (
            ("cpufreq/scaling_cur_freq", frequency_khz),
            ("thermal_throttle/core_throttle_count", throttled),
        ):
            path = tmp_path / "cpu" / f"cpu{cpu}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{value}\n")

    write.tell = tell
    return write


def _ticks(time):
    return {name: seconds * TICK for name, seconds in dataclasses.asdict(time).items()}


def test_the_time_of_a_cpu_is_split_into_busy_and_stolen(stat):
    stat(100, 20, 300, 0)
    assert _ticks(cpu_time((0,))) == pytest.approx({"total": 841, "busy": 116, "steal": 20})


def test_the_time_of_several_cpus_is_summed_and_of_no_other(stat):
    stat(100, 20, 300, 5)
    assert _ticks(cpu_time((0, 1))) == pytest.approx({"total": 2046, "busy": 416, "steal": 25})


@pytest.mark.skipif(not health._STAT.exists(), reason="there is no /proc/stat")
def test_the_time_of_the_real_cpus_goes_on():
    cpus = tuple(sorted(os.sched_getaffinity(0)))
    before, after = cpu_time(cpus), cpu_time(cpus)
    assert 0 < before.busy <= before.total
    assert after.total >= before.total


def test_a_round_is_disturbed_by_steal_and_by_being_preempted(stat):
    stat(100, 20, 0, 0)
    monitor = Monitor((0,), "cpu")
    monitor.launch_begins()
    assert monitor.round_ends(0) is False
    stat(200, 21, 0, 0)
    assert monitor.round_ends(0) is True
    assert monitor.round_ends(0) is False
    assert monitor.round_ends(2) is True
    # Time that was stolen from another CPU than the lanes' disturbs nobody.
    stat(300, 21, 0, 500)
    assert monitor.round_ends(0) is False
    summary = monitor.finish(0.0)
    assert (summary.rounds, summary.disturbed_rounds) == (5, 2)


def test_what_was_stolen_between_launches_disturbs_no_round(stat):
    stat(100, 20, 0, 0)
    monitor = Monitor((0,), "cpu")
    stat(100, 90, 0, 0)
    monitor.launch_begins()
    assert monitor.round_ends(0) is False


def test_other_load_is_what_the_workers_did_not_use(stat):
    stat(0, 0, 0, 0)
    monitor = Monitor((1,), "cpu")
    stat(0, 0, 6 * TICK, 2 * TICK)
    summary = monitor.finish(own_cpu_seconds=4.0)
    assert summary.steal == pytest.approx(2 / 8)
    assert summary.other_load == pytest.approx(2 / 8)


def test_other_load_is_a_fraction_whatever_the_clocks_say(stat):
    stat(0, 0, 0, 0)
    monitor = Monitor((1,), "cpu")
    stat(0, 0, TICK, 0)
    assert monitor.finish(own_cpu_seconds=5.0).other_load == 0
    assert monitor.finish(own_cpu_seconds=0.0).other_load == 1


def test_frequency_and_throttling_are_those_of_the_lanes_cpus(stat):
    stat(0, 0, 0, 0)
    for cpu, frequency, throttled in ((0, 1_000_000, 3), (1, 3_000_000, 70)):
        stat.tell(cpu, frequency, throttled)
    monitor = Monitor((0,), "cpu")
    monitor.launch_begins()
    stat.tell(0, 2_500_000, 5)
    monitor.launch_begins()
    stat.tell(0, 2_000_000, 5)
    monitor.launch_begins()
    summary = monitor.finish(0.0)
    assert summary.frequency_hertz == (1e9, 2e9, 2.5e9)
    assert summary.throttled == 2


def test_a_machine_that_tells_nothing_has_a_health_that_knows_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(health, "_STAT", tmp_path / "stat")
    monkeypatch.setattr(health, "_SYS_CPU", tmp_path / "cpu")
    assert cpu_time((0,)) is None
    monitor = Monitor((0,), "cpu")
    monitor.launch_begins()
    assert monitor.round_ends(0) is False
    assert monitor.round_ends(1) is True
    summary = monitor.finish(1.0)
    assert (summary.rounds, summary.disturbed_rounds) == (2, 1)
    assert (summary.steal, summary.other_load, summary.frequency_hertz, summary.throttled) == (None,) * 4
    assert summary.gpu == {}


def test_a_gpu_is_summed_up_by_the_worst_that_was_seen():
    states = [
        {"sm_hertz": 1.5e9, "celsius": 60.0, "watts": 200.0},
        {"sm_hertz": 1.2e9, "celsius": 71.0},
        {"sm_hertz": 1.4e9, "celsius": 65.0, "watts": 180.0, "throttle_reasons": 4.0},
    ]
    assert health._summary(states) == {"sm_hertz": 1.2e9, "celsius": 71.0, "watts": 200.0, "throttle_reasons": 4.0}
    assert health._summary([]) == {}


def test_without_a_driver_a_gpu_has_no_state():
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        assert health.gpu_state() == {}
    else:
        pynvml.nvmlShutdown()
        assert health.gpu_state()

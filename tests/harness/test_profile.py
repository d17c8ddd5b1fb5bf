import json
from types import SimpleNamespace

import pytest

from harness import profile
from harness.profiles import Found
from harness.records import msgspec


def _event(name, start, end, own, shapes=(), device="DeviceType.CPU", memory=0):
    """An event of the profiler, its times in microseconds."""
    return SimpleNamespace(
        name=name,
        time_range=SimpleNamespace(start=start, end=end, elapsed_us=lambda: end - start),
        self_cpu_time_total=own,
        cpu_time_total=end - start,
        self_device_time_total=0,
        self_cpu_memory_usage=memory,
        self_device_memory_usage=0,
        input_shapes=list(shapes),
        device_type=device,
    )


def test_an_operator_is_taken_where_it_is_fastest_whichever_step_that_is():
    lengths = {"aten::mm": [60, 900, 60, 60, 62, 60, 60, 60], "aten::relu": [700, 20, 20, 20, 20, 30, 20, 20]}
    events = []
    for step in range(8):
        begin = 10_000 * step
        own = [times[step] for times in lengths.values()]
        events.append(_event(profile.STEP, begin, begin + 40 + sum(own), 40))
        events.append(_event("aten::mm", begin + 10, begin + 10 + own[0], own[0], [[2, 3], [3, 4]], memory=32))
        events.append(_event("aten::relu", begin + 20 + own[0], begin + 20 + sum(own), own[1], [[5]]))
    found = profile.summed_up(events, False)
    rows = {row["name"]: row for row in found["operators"]}
    assert list(rows) == ["aten::mm", profile.OUTSIDE, "aten::relu"]
    assert [row["self_seconds"] for row in rows.values()] == pytest.approx([60e-6, 40e-6, 20e-6])
    assert rows["aten::mm"]["calls"] == 1 and rows["aten::mm"]["memory_bytes"] == 32
    assert [part["shapes"] for part in rows["aten::mm"]["shapes"]] == ["2x3, 3x4"]
    assert found["halves_seconds"] == pytest.approx([120e-6, 120e-6])
    assert max(found["steps_seconds"]) == pytest.approx(960e-6)
    msgspec.json.decode(json.dumps(found), type=Found)


def test_an_operator_that_is_not_called_in_every_step_counts_as_often_as_it_is():
    events = [_event(profile.STEP, 1000 * step, 1000 * step + 100, 100) for step in range(4)]
    events += [_event("aten::rare", 2010 + shift, 2030 + shift, 20) for shift in (0, 30)]
    found = profile.summed_up(events, False)
    row = next(row for row in found["operators"] if row["name"] == "aten::rare")
    assert row["calls"] == 0.5 and row["self_seconds"] == pytest.approx(10e-6)


def test_what_is_no_call_of_the_host_within_a_step_is_left_out():
    events = [
        _event("aten::before", 0, 5, 5),
        _event(profile.STEP, 10, 20, 10),
        _event("[memory]", 12, 12, 0, memory=-8),
        _event("kernel", 12, 18, 0, device="DeviceType.CUDA"),
        _event("aten::after", 30, 35, 5),
    ]
    assert [row["name"] for row in profile.summed_up(events, False)["operators"]] == [profile.OUTSIDE]
    with pytest.raises(ValueError, match="no step"):
        profile.summed_up(events[:1], False)


def test_kernels_that_an_operator_launched_are_counted_by_step():
    events = [_event(profile.STEP, 1000 * step, 1000 * step + 100, 100) for step in range(2)]
    for step in range(2):
        launch = _event("aten::mm", 1000 * step + 10, 1000 * step + 20, 10)
        launch.kernels = ["gemm", "reduce"]
        events.append(launch)
    rows = {row["name"]: row["kernels"] for row in profile.summed_up(events, True)["operators"]}
    assert rows == {"aten::mm": 2, profile.OUTSIDE: 0}


def test_of_very_many_shapes_the_costliest_are_kept_and_the_others_summed_up():
    events = [_event(profile.STEP, 0, 10_000, 10)]
    events += [_event("aten::add", 10 + i, 11 + i, i + 1, [[i + 1]]) for i in range(profile.MOST_SHAPES + 7)]
    (row,) = [row for row in profile.summed_up(events, False)["operators"] if row["name"] == "aten::add"]
    assert len(row["shapes"]) == profile.MOST_SHAPES + 1
    assert row["shapes"][-1]["shapes"] == "others" and row["shapes"][-1]["calls"] == 7
    assert sum(part["self_seconds"] for part in row["shapes"]) == pytest.approx(row["self_seconds"])


@pytest.mark.parametrize(
    ("shapes", "text"),
    [
        ([[4, 3, 8], [], [2]], "4x3x8, 2"),
        ([[[2, 3], [4]], [5]], "2x3, 4, 5"),
        (None, ""),
        ([[]], ""),
        (["ScalarList", [1]], "1"),
    ],
)
def test_shapes_read_as_people_write_them(shapes, text):
    assert profile.shapes_text(shapes) == text


def test_a_real_step_is_profiled_into_a_file_with_a_trace(tmp_path):
    torch = pytest.importorskip("torch")
    layer, given = torch.nn.Linear(64, 64), torch.randn(8, 64)
    result, trace = tmp_path / "result.json", tmp_path / "trace.json"
    order = {"device": "cpu", "steps": 8, "result": str(result), "trace": str(trace)}
    assert profile.take(lambda: layer(given).tanh(), order) == {}
    found = msgspec.json.decode(result.read_bytes(), type=Found)
    rows = {row.name: row for row in found.operators}
    assert len(found.steps_seconds) == 8
    assert rows["aten::tanh"].calls == 1
    assert rows["aten::addmm"].shapes[0].shapes == "64, 8x64, 64x64"
    assert rows["aten::tanh"].memory_bytes == 8 * 64 * 4
    assert 0 < sum(row.self_seconds for row in found.operators) <= sum(found.steps_seconds) / 8
    assert json.loads(trace.read_text())["traceEvents"]


def test_kernels_of_the_compiler_become_operators():
    config = pytest.importorskip("torch._inductor.config")
    before = config.cpp.enable_kernel_profile
    try:
        profile.show_compiled_kernels()
        assert config.cpp.enable_kernel_profile
    finally:
        config.cpp.enable_kernel_profile = before

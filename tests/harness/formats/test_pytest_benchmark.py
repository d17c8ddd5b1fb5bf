"""pytest-benchmark's JSON: its own definitions, all samples there and back, and what other tools have put into it."""

from __future__ import annotations

import json
import statistics
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import records
from harness.formats import FORMATS, Upload, pytest_benchmark
from harness.formats.pytest_benchmark import statistics_of
from tests import synthetic
from tests.foreignruns import checked, read_or_refused, round_trip, rows, runs
from tests.synthetic import Case

FORMAT = FORMATS["pytest-benchmark"]


@given(runs())
@settings(max_examples=60, deadline=None)
def test_every_sample_survives_export_and_import(run: records.Run) -> None:
    after = round_trip(FORMAT, run)
    before, found = rows(run), rows(after)
    assert found.keys() == before.keys()
    for name, row in before.items():
        assert (found[name].failed, found[name].status) == (row.failed, row.status)
        if row.lane is not None:
            lane = found[name].lane
            assert lane is not None
            assert [(one.index, one.nursery, one.seconds) for one in lane.launches] == [
                (one.index, one.nursery, one.seconds) for one in row.lane.launches
            ]
            assert (lane.items, found[name].suite) == (row.items, row.suite)
    assert after.missing == run.missing
    assert after.header.machine.fingerprint == run.header.machine.fingerprint
    assert after.header.builds[0].torch_version == run.header.builds[-1].torch_version
    assert after.header.started == run.header.started


@pytest.mark.parametrize(
    ("samples", "low", "high"),
    [
        ([3.0], 3.0, 3.0),
        ([1.0, 2.0], 1.0, 2.0),
        # Both halves of an odd number of samples, once with and once without the median, averaged.
        ([1.0, 2.0, 3.0], 1.25, 2.75),
        ([1.0, 2.0, 3.0, 4.0], 1.5, 3.5),
        ([1.0, 2.0, 3.0, 4.0, 5.0], 1.75, 4.25),
        ([7.0, 15.0, 36.0, 39.0, 40.0, 41.0], 15.0, 40.0),
        ([6.0, 7.0, 15.0, 36.0, 39.0, 40.0, 41.0, 42.0, 43.0, 47.0, 49.0], 20.25, 42.75),
    ],
)
def test_quartiles(samples: list[float], low: float, high: float) -> None:
    found = statistics_of(samples[::-1])
    assert (found["q1"], found["q3"], found["iqr"]) == (low, high, high - low)
    assert found["data"] == samples[::-1]


def test_outliers_and_the_rest() -> None:
    samples = [1.0, 1.1, 1.2, 1.3, 9.0]
    found = statistics_of(samples, iterations=3)
    assert found["outliers"] == "1;1"
    assert (found["min"], found["max"], found["rounds"], found["iterations"]) == (1.0, 9.0, 5, 3)
    assert found["mean"] == pytest.approx(2.72) and found["total"] == pytest.approx(13.6)
    assert found["stddev"] == pytest.approx(statistics.stdev(samples))
    assert found["ops"] == pytest.approx(5 / 13.6)
    assert (found["ld15iqr"], found["hd15iqr"]) == (1.0, 9.0)


@given(st.lists(st.floats(1e-9, 1e6), min_size=1, max_size=30))
def test_statistics_are_in_order(samples: list[float]) -> None:
    found = statistics_of(samples)
    assert found["min"] <= found["q1"] <= found["median"] <= found["q3"] <= found["max"]
    assert found["iqr_outliers"] + found["stddev_outliers"] <= 2 * len(samples)


def document(**changes: Any) -> bytes:
    entry = {"name": "test_eval[alexnet-cpu-eager]", "stats": {"mean": 0.5, "ops": 2.0}, "extra_info": {}}
    return json.dumps({"machine_info": {}, "benchmarks": [entry], **changes}).encode()


def test_a_file_without_samples_gives_one_of_its_mean() -> None:
    run = checked(pytest_benchmark.read({"v1.json": document()}))
    assert run.tests[0].lanes[0].launches[0].seconds == (0.5,)
    assert run.header.machine.name == "unknown"


def test_names_without_a_mode_are_eager() -> None:
    entry = {"name": "test_train[a-b-cuda]", "stats": {"mean": 0.5, "data": [0.4, 0.6]}}
    (test,) = pytest_benchmark.read({"x": document(benchmarks=[entry])}).tests
    assert test.test == "test_train[a-b-cuda-eager]"
    assert test.lanes[0].launches[0].seconds == (0.4, 0.6)


def test_a_machine_that_is_named_is_known_again() -> None:
    info = {"node": "bm-runner", "machine": "x86_64", "cpu": {"brand_raw": "Xeon", "count": 96}}
    prints = [
        pytest_benchmark.read({"x": document(machine_info=one, datetime=when)}).header.machine.fingerprint
        for one, when in ((info, "2021-09-17T00:00:00"), (info, "2021-09-18T00:00:00"), ({**info, "node": "b"}, ""))
    ]
    assert prints[0] == prints[1] != prints[2]


ENTRY = {"name": "test_eval[a-cpu-eager]", "stats": {"mean": 1.0, "data": [1.0, 1.0]}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"benchmarks": 7}, "benchmarks is not a list"),
        ({"benchmarks": [7]}, "benchmarks[0].name"),
        ({"benchmarks": [{"name": "test_worker", "stats": {"mean": 1}}]}, "'test_worker' is not the name of a test"),
        ({"benchmarks": [{"name": "test_eval[a[b]-cpu-eager]", "stats": {"mean": 1}}]}, "name of a test"),
        ({"benchmarks": [{"name": "test_../x[a-cpu-eager]", "stats": {"mean": 1}}]}, "not one word"),
        ({"benchmarks": [ENTRY, ENTRY]}, "stands more than once"),
        ({"benchmarks": [{**ENTRY, "stats": {"mean": 1, "data": [1, -1]}}]}, "stats.data is -1"),
        ({"benchmarks": [{**ENTRY, "extra_info": {"torchwarden": {"launches": [[0, 0, 0, 1, 3]]}}}]}, "go together"),
        ({"benchmarks": [{**ENTRY, "extra_info": {"torchwarden": {"launches": [[0]]}}}]}, "five numbers"),
        ({"benchmarks": [{**ENTRY, "extra_info": {"torchwarden": {"suite": "../x"}}}]}, "not one word"),
        ({"torchwarden": {"failed": {"test_eval[b-cpu-eager]": {"status": "pass"}}}}, "the status of"),
        ({"torchwarden": {"missing": [{}]}}, "not the name of a test"),
        ({"machine_info": {"cpu": {"count": 1e300}}}, "not a figure"),
    ],
)
def test_bad_input_names_the_field(change: dict[str, Any], words: str) -> None:
    assert words in read_or_refused(FORMAT, {"x.json": document(**change)})


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 100_000, '{"benchmarks": [], "benchmarks": []}', "NaN"])
def test_what_is_no_such_file(text: str) -> None:
    assert read_or_refused(FORMAT, {"x.json": text.encode()})


def test_two_machines_are_not_one_run() -> None:
    files = {"a": document(machine_info={"node": "a"}), "b": document(machine_info={"node": "b"})}
    assert "more than one machine" in read_or_refused(FORMAT, files)


def test_no_entry_is_written_for_a_test_that_failed() -> None:
    run = synthetic.run([Case("test_eval[a-cpu-eager]"), Case("test_eval[b-cpu-eager]", status="crash", reason="died")])
    found = json.loads(pytest_benchmark.write(run, Upload())[pytest_benchmark.FILE])
    assert [entry["name"] for entry in found["benchmarks"]] == ["test_eval[a-cpu-eager]"]
    assert found["torchwarden"]["failed"] == {"test_eval[b-cpu-eager]": {"status": "crash", "reason": "died"}}

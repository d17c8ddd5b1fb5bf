"""[TARGET] lines: from the midst of a log, and there and back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from harness import records
from harness.formats import FORMATS, Upload, target_lines
from tests import synthetic
from tests.foreignruns import checked, read_or_refused, rows, runs
from tests.synthetic import Case

FORMAT = FORMATS["target-lines"]


@given(runs() | runs(device="cuda"))
@settings(max_examples=40, deadline=None)
def test_times_survive_export_and_import(run: records.Run) -> None:
    before = {name: row for name, row in rows(run).items() if row.type == "eval"}
    files = target_lines.write(run, Upload())
    if not before:
        assert files == {}
        return
    after = rows(checked(target_lines.read(files)))
    assert after.keys() == before.keys()
    for name, row in before.items():
        assert after[name].failed == row.failed
        assert after[name].seconds == (None if row.seconds is None else pytest.approx(row.seconds, rel=1e-8))


def test_lines_are_those_of_the_benchmark() -> None:
    run = synthetic.run(
        [Case("test_eval[resnet50-cpu-eager]", seconds=0.25, noise=synthetic.QUIET), Case("test_train[bert-cpu-eager]")]
    )
    assert target_lines.write(run, Upload()) == {"target-cpu-eager.txt": b"[TARGET] resnet50 Time 0.25\n"}


def test_a_log_is_read_and_a_workload_that_ran_twice_has_two_launches() -> None:
    log = (
        "warning: something\r\n[TARGET] resnet50 Time 0.5\r\n  [TARGET] Mask R-CNN Time 2.0 seconds\n"
        "[TARGET] resnet50 Time 0.7\n[TARGET] nothing\nTime 7\n"
    )
    first, second = target_lines.read({"log.txt": log.encode()}).tests
    assert first.test == "test_eval[resnet50-cpu-eager]"
    assert [launch.seconds for launch in first.lanes[0].launches] == [(0.5,), (0.7,)]
    assert (second.benchmark, second.lanes[0].typical_seconds) == ("Mask R-CNN", 2.0)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "holds no test"),
        ("[TARGET] a Time -1", "'-1' is not a figure"),
        ("[TARGET] a Time nan", "'nan' is not a figure"),
        ("[TARGET] a Time 0", "'0' is not a time"),
        ("[TARGET] a Time 1e999", "'1e999' is not a figure"),
        ("[TARGET] a]b Time 1", "line 1: 'a]b' cannot be the name"),
        ("[TARGET] a\0 Time 1", "line 1: holds a NUL"),
    ],
)
def test_bad_input_names_the_line(line: str, words: str) -> None:
    assert words in read_or_refused(FORMAT, {"log.txt": line.encode()})


def test_a_long_line_takes_no_time() -> None:
    assert "holds no test" in read_or_refused(FORMAT, {"log.txt": b"[TARGET] " + b"a " * 500_000})

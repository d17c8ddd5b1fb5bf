"""What the convnet benchmark prints: in its layout, and there and back within its two decimals."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given, settings

from harness import records
from harness.formats import FORMATS, Upload, convnet
from tests import synthetic
from tests.foreignruns import checked, read_or_refused, rows, runs
from tests.synthetic import Case

FORMAT = FORMATS["convnet"]

PRINTED = """Running on device:  Intel(R) Xeon(R) Platinum 8180 CPU @ 2.50GHz
Running on torch: 1.2.0
Running on torchvision: 0.4.0

ModelType: resnext101, Kernels: nn Input shape: 1x3x224x224
### load script module from resnext101.script.pt, weight reordered in mkldnn format
nn                              :forward:      32.35 (ms)      30.91 (imgs/s)
nn                             :backward:       0.00 (ms)
nn                               :update:       0.00 (ms)
nn                                :total:      32.35 (ms)      30.91 (imgs/s)
"""


def test_what_the_benchmark_has_printed_is_read() -> None:
    run = checked(convnet.read({"log": PRINTED.encode()}))
    (test,) = run.tests
    assert test.test == "test_eval[resnext101-cpu-eager]"
    assert test.lanes[0].typical_seconds == pytest.approx(0.03235)
    assert test.lanes[0].items == 1
    assert run.header.machine.cpu_model == "Intel(R) Xeon(R) Platinum 8180 CPU @ 2.50GHz"
    assert run.header.builds[0].torch_version == "1.2.0"


def test_it_is_written_in_the_same_layout() -> None:
    run = synthetic.run([Case("test_eval[resnext101-cpu-eager]", seconds=0.03235, noise=synthetic.QUIET)])
    (content,) = convnet.write(run, Upload()).values()
    ours, theirs = content.decode().splitlines()[-4:], PRINTED.splitlines()[-4:]
    # Four images a step here, one there.
    assert [line[:52] for line in ours] == [line[:52] for line in theirs]
    assert ours[0].endswith("     123.65 (imgs/s)")


def test_training_is_forward_backward_and_update_and_its_total_the_first_two() -> None:
    run = synthetic.run([Case("test_train[vgg11-cpu-eager]", seconds=1.0, noise=synthetic.QUIET)])
    ((name, content),) = convnet.write(run, Upload()).items()
    assert name == "convnet-cpu-eager-training.txt"
    shown = [line.split()[1:3] for line in content.decode().splitlines() if "(ms)" in line]
    assert shown == [[":forward:", "350.00"], [":backward:", "500.00"], [":update:", "150.00"], [":total:", "850.00"]]
    (test,) = convnet.read({name: content}).tests
    launch = test.lanes[0].launches[0]
    assert launch.seconds == (pytest.approx(1.0),)
    assert {phase: round(seconds, 9) for phase, (seconds,) in launch.phases.items()} == synthetic.PHASES


@given(runs() | runs(device="cuda"))
@settings(max_examples=40, deadline=None)
def test_mean_times_survive_export_and_import(run: records.Run) -> None:
    before = rows(run)
    after = rows(checked(convnet.read(convnet.write(run, Upload()))))
    assert after.keys() == before.keys()
    for name, row in before.items():
        found = after[name]
        assert found.failed == row.failed
        if row.lane is None:
            continue
        samples = [seconds for launch in row.lane.launches for seconds in launch.seconds]
        phases = [one for launch in row.lane.launches for every in launch.phases.values() for one in every]
        wanted = sum(phases) / len(samples) if phases else statistics.fmean(samples)
        assert found.seconds == pytest.approx(wanted, rel=1e-3)
        assert found.items == row.items


def test_a_step_whose_phases_are_unknown_has_a_total_alone() -> None:
    lane = records.LaneRecord(
        mode="eager",
        build="head",
        launches=(records.Launch(index=0, nursery=0, position=0, steps=1, seconds=(0.5,)),),
    )
    test = records.Test(
        **dict.fromkeys(("suite", "group", "category", "domain"), "x"),
        **{"test": "test_train[a-cpu-eager]", "benchmark": "a", "type": "train", "device": "cpu", "mode": "eager"},
        status="pass",
        lanes=(lane,),
    )
    run = records.Run(header=synthetic.run([]).header, tests=(test,))
    files = convnet.write(run, Upload())
    assert b":forward:" not in next(iter(files.values()))
    (found,) = convnet.read(files).tests
    assert (found.type, found.lanes[0].typical_seconds) == ("train", 0.5)


HEAD = "ModelType: a, Kernels: nn Input shape: 1\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nothing here", "holds no test"),
        (HEAD + "nn :forward: -1 (ms)", "line 2: '-1' is not a figure"),
        (HEAD + "nn :forward: nan (ms)", "'nan' is not a figure"),
        (HEAD + "nn :forward: 1e999 (ms)", "'1e999' is not a figure"),
        (HEAD + "nn :forward: 1 (ms)\nnn :forward: 2 (ms)", "'forward' stands twice"),
        (HEAD + "### not measured: <b>", "is not a status"),
        (HEAD + HEAD, "stands more than once"),
        ("ModelType: a[b], Kernels: nn Input shape: 1", "cannot be the name"),
    ],
)
def test_bad_input_names_the_line(text: str, words: str) -> None:
    assert words in read_or_refused(FORMAT, {"log": text.encode()})


def test_a_model_without_times_has_failed() -> None:
    (test,) = convnet.read({"log": HEAD.encode()}).tests
    assert (test.status, test.lanes) == ("fail_to_run", ())


def test_a_long_line_takes_no_time() -> None:
    assert "holds no test" in read_or_refused(FORMAT, {"log": b"ModelType: " + b"a, " * 500_000})

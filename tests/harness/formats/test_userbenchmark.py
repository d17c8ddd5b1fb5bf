"""TorchBench's metrics files: each grammar of names, there and back."""

from __future__ import annotations

import json
import statistics

import pytest
from hypothesis import given, settings

from harness import records
from harness.formats import FORMATS, Upload, userbenchmark
from tests import synthetic
from tests.foreignruns import FAILURES, checked, read_or_refused, rows, runs
from tests.synthetic import Case

FORMAT = FORMATS["userbenchmark"]


def read(metrics: object) -> dict[str, records.Test]:
    text = json.dumps({"name": "x", "environ": {"pytorch_version": "2.1"}, "metrics": metrics})
    run = checked(userbenchmark.read({"metrics.json": text.encode()}))
    assert run.header.builds[0].torch_version == "2.1"
    return {test.test: test for test in run.tests}


def by_grammar(run: records.Run) -> dict[str, tuple[str, bytes]]:
    return {name.partition("/")[0]: (name, content) for name, content in userbenchmark.write(run, Upload()).items()}


@pytest.mark.parametrize("grammar", ["torch-nightly", "test_bench", "cpu"])
@given(run=runs() | runs(device="cuda"))
@settings(max_examples=40, deadline=None)
def test_figures_survive_export_and_import(grammar: str, run: records.Run) -> None:
    files = by_grammar(run)
    before = rows(run)
    if grammar == "cpu":
        before = {name: row for name, row in before.items() if row.mode == "eager" and row.device == "cpu"}
    if not before:
        assert grammar not in files
        return
    after = rows(checked(userbenchmark.read(dict([files[grammar]]))))
    assert after.keys() == before.keys()
    for name, row in before.items():
        found = after[name]
        assert found.failed == row.failed
        if row.lane is None:
            assert found.status == (row.status or "fail_to_run")
            continue
        samples = [seconds for launch in row.lane.launches for seconds in launch.seconds]
        wanted = statistics.median(samples) if grammar == "cpu" else row.seconds
        assert found.seconds == pytest.approx(wanted)
        if grammar == "cpu":
            assert found.lane is not None and found.lane.launches[0].seconds == pytest.approx(samples)
        if grammar != "torch-nightly":
            assert found.items == row.items
        if row.device == "cuda" and grammar != "cpu":
            assert found.peak_memory_bytes == row.peak_memory_bytes
        if grammar == "test_bench" and row.checked:
            assert found.word == row.word


def test_keys_of_all_grammars() -> None:
    run = synthetic.run(
        [Case("test_train[a-cpu-eager]", noise=synthetic.QUIET), Case("test_eval[b-cpu-inductor_bf16]", status="OOM")]
    )
    keys = {name: list(json.loads(content)["metrics"]) for name, (_, content) in by_grammar(run).items()}
    assert keys == {
        "torch-nightly": ["test_train[a-cpu-eager]_latency", "test_eval[b-cpu-inductor_bf16]_latency"],
        "model-stableness": ["test_train[a-cpu-eager]_maxdelta"],
        "test_bench": [
            "model=a, test=train, device=cpu, bs=4, extra_args=[], metric=latencies",
            "model=b, test=eval, device=cpu, bs=None, extra_args=['--torchdynamo', 'inductor', '--precision', 'bf16'], "
            "metric=latencies",
        ],
        "cpu": ["a-train_latency", "a-train_throughput", "a-train_iter_latencies"],
    }
    assert by_grammar(run)["cpu"][0] == "cpu/metrics-20260102030405.json"


def test_optimizers_there_and_back() -> None:
    metrics = {"BERT_pytorch, Adam, cuda, (pt2) foreach": 0.25, "alexnet, SGD": "failed"}
    run = userbenchmark.read({"m": json.dumps({"metrics": metrics}).encode()})
    assert [(test.type, test.status) for test in run.tests] == [("optim", "pass"), ("optim", "fail_to_run")]
    _, content = by_grammar(run)["optim"]
    assert list(json.loads(content)["metrics"]) == list(metrics)


def test_files_as_torchbench_writes_them() -> None:
    tests = read(
        {
            "test_eval[resnet-50-cuda-eager]_latency": 12.5,
            "test_eval[resnet-50-cuda-eager]_gmem": 1.5,
            "test_eval[resnet-50-cuda-eager]_cmem": 9.9,
            "v3_score": 1000.0,
            "model=hf_T5, test=train, device=cuda, bs=None, extra_args=['--fuser', 'fuser2'], metric=latencies": 3,
            "model=dlrm, test=train, device=cpu, bs=8, extra_args=[], metric=latencies": "CUDA out of memory. Tried",
            "model=moco, test=eval, device=cpu, bs=8, extra_args=[], metric=latencies": "not_implemented",
            "model=moco, test=train, device=cpu, bs=8, extra_args=['--precision', 'fp32'], metric=accuracy": "pass",
            "alexnet-eval_latency": 2.0,
            "alexnet-eval_throughput": 2000.0,
        }
    )
    assert {name: test.status for name, test in tests.items()} == {
        "test_eval[resnet-50-cuda-eager]": "pass",
        "test_train[hf_T5-cuda-eager_fuser_fuser2]": "pass",
        "test_train[dlrm-cpu-eager]": "OOM",
        "test_eval[moco-cpu-eager]": "skip",
        "test_train[moco-cpu-eager]": "pass",
        "test_eval[alexnet-cpu-eager]": "pass",
    }
    lane = tests["test_eval[resnet-50-cuda-eager]"].lanes[0]
    assert (lane.typical_seconds, lane.launches[0].peak_memory_bytes) == (0.0125, 3 * 2**29)
    assert tests["test_eval[alexnet-cpu-eager]"].lanes[0].items == 4


@pytest.mark.parametrize("status", FAILURES)
def test_a_failure_stays_one(status: records.Status) -> None:
    run = synthetic.run([Case("test_eval[a-cpu-eager]", status=status)])
    for name in ("torch-nightly", "test_bench", "cpu"):
        (test,) = userbenchmark.read(dict([by_grammar(run)[name]])).tests
        assert test.status == status


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ([], "holds no metrics"),
        ({}, "holds no test"),
        ({"test_eval[a-cpu-eager]_maxdelta": 0.1}, "holds no test"),
        ({"test_eval[a-cpu-eager]_latency": -1}, "-1 is not a figure"),
        ({"test_eval[a-cpu-eager]_latency": 0}, "0 is not a time"),
        ({"test_eval[a-cpu-eager]_latency": [1]}, "is not a figure"),
        ({"test_eval[a-cpu-eager]_latency": 1, "a-eval_latency": 1}, "gives the latency of this test too"),
        ({"a-eval_iter_latencies": 1}, "is not a list"),
        ({"model=a, test=eval, device=cpu, bs=1, extra_args=[7], metric=latencies": 1}, "not a list of words"),
        (
            {f"model=a, test=eval, device=cpu, bs=1, extra_args=[{'[' * 900}], metric=latencies": 1},
            "not a list of words",
        ),
        ({"model=a, test=eval, device=cpu, bs=1, extra_args=[__import__('os')], metric=latencies": 1}, "list of words"),
        ({"model=a]\n, test=eval, device=cpu, bs=1, extra_args=[], metric=latencies": 1}, "holds no test"),
        ({"a, \x1b[31m": 1}, "cannot be the name"),
    ],
)
def test_bad_input_names_the_key(metrics: object, words: str) -> None:
    text = json.dumps({"metrics": metrics})
    assert words in read_or_refused(FORMAT, {"x.json": text.encode()})

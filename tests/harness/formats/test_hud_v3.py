"""Records of the HUD: valid by its schema, with what its compiler pages ask for, and back again."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings

from harness import records
from harness.formats import FORMATS, Upload, dashboard, dynamo_csv, hud_v3
from harness.records import Accuracy, Compilation
from tests import synthetic
from tests.foreignruns import read_or_refused, round_trip, rows, runs
from tests.synthetic import Case

FORMAT = FORMATS["hud-v3"]
UPLOAD = Upload("pytorch/pytorch", "main", "a" * 40, 123, 1, 456, "inductor / test", 1767323045, "linux.aws.a100")

_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}


def _object(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


_TEXT, _WHOLE = {"type": "string"}, {"type": "integer", "minimum": 0}
SCHEMA = _object(
    ("metric", "benchmark", "model", "schema_version", "runners"),
    timestamp=_WHOLE,
    schema_version={"const": "v3"},
    name=_TEXT,
    repo=_TEXT,
    head_branch=_TEXT,
    head_sha=_TEXT,
    workflow_id=_WHOLE,
    run_attempt=_WHOLE,
    job_id=_WHOLE,
    servicelab_experiment_id=_WHOLE,
    servicelab_trial_id=_WHOLE,
    runners={
        "type": "array",
        "minItems": 1,
        "items": _object(
            ("name", "type"),
            name=_TEXT,
            type=_TEXT,
            cpu_info=_TEXT,
            cpu_count=_WHOLE,
            mem_info=_TEXT,
            avail_mem_in_gb=_WHOLE,
            gpu_info=_TEXT,
            gpu_count=_WHOLE,
            gpu_mem_info=_TEXT,
            avail_gpu_mem_in_gb=_WHOLE,
            extra_info=_TEXTS,
        ),
    },
    benchmark=_object(
        ("name", "mode", "dtype", "extra_info"),
        name=_TEXT,
        mode={"enum": ["training", "inference"]},
        dtype=_TEXT,
        extra_info=_TEXTS,
    ),
    model=_object(
        ("name", "type", "backend", "origins"),
        name=_TEXT,
        type=_TEXT,
        backend=_TEXT,
        origins={"type": "array", "items": _TEXT, "minItems": 1},
        extra_info=_TEXTS,
    ),
    inputs={"type": "object"},
    dependencies={
        "type": "object",
        "additionalProperties": _object((), repo=_TEXT, branch=_TEXT, sha=_TEXT, version=_TEXT, extra_info=_TEXTS),
    },
    metric=_object(
        ("name", "benchmark_values"),
        name=_TEXT,
        # The table keeps 32 bits; the harness puts text beside the numbers.
        benchmark_values={"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 3.4e38}},
        target_value={"type": "number"},
        extra_info=_object((), benchmark_values={"type": "array", "items": _TEXT}),
    ),
)
"""The columns of the HUD's table of benchmarks, written down by hand from its schema."""


def lines(run: records.Run, upload: Upload = UPLOAD) -> list[dict[str, Any]]:
    return [json.loads(line) for line in hud_v3.write(run, upload)[hud_v3.FILE].splitlines()]


@given(runs() | runs(device="cuda"))
@settings(max_examples=60, deadline=None)
def test_every_record_satisfies_the_schema_and_can_be_shown_by_the_hud(run: records.Run) -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for record in lines(run):
        validator.validate(record)
        assert record["benchmark"]["name"] == "TorchInductor"
        file = record["benchmark"]["extra_info"]["output"].rpartition("/")[2]
        parsed = dashboard.parse_stem(file.removesuffix(".csv"))
        assert parsed is not None
        name, kind = parsed
        assert (name.their_suite, name.dtype) == (record["model"]["origins"][0], record["benchmark"]["dtype"])
        assert (kind == "accuracy") == (record["metric"]["name"] == "accuracy")
        assert record["metric"]["benchmark_values"] or record["metric"]["extra_info"]["benchmark_values"]


@given(runs() | runs(device="cuda"))
@settings(max_examples=60, deadline=None)
def test_figures_survive_export_and_import(run: records.Run) -> None:
    before, after = rows(run), rows(round_trip(FORMAT, run))
    assert after.keys() == before.keys()
    for name, row in before.items():
        found = after[name]
        assert (found.failed, found.word, found.suite) == (row.failed, row.word, row.suite)
        if row.seconds is None:
            assert found.status not in ("pass", None)
            continue
        assert found.items == row.items
        for field in ("seconds", "speedup", "compile_seconds", "peak_memory_bytes"):
            wanted = getattr(row, field)
            assert getattr(found, field) == (None if wanted is None else pytest.approx(wanted, rel=1e-6))
        for column in dynamo_csv.COUNTS:
            assert getattr(found.counts, column) == getattr(row.counts, column)


def test_what_the_run_does_not_know_comes_from_the_upload_or_is_absent() -> None:
    run = synthetic.run([Case("test_eval[a-cpu-inductor]")])
    record = lines(run)[0]
    assert {field: record[field] for field in ("repo", "head_sha", "workflow_id", "timestamp", "name")} == {
        "repo": "pytorch/pytorch",
        "head_sha": "a" * 40,
        "workflow_id": 123,
        "timestamp": 1767323045,
        "name": "inductor / test",
    }
    assert record["dependencies"]["pytorch"]["version"] == "2.14.1+cpu"
    bare = lines(run, Upload())[0]
    assert not {"repo", "head_sha", "workflow_id", "job_id"} & bare.keys()
    assert bare["timestamp"] == 1767323045


def test_the_hud_shows_what_the_csv_says() -> None:
    """It takes the mean of the values; a stray launch must not move it."""
    run = synthetic.run([Case("test_eval[a-cpu-inductor]", noise=synthetic.QUIET)], launches=3, rounds=1)
    (lane,) = (lane for lane in run.tests[0].lanes if lane.build == "head")
    assert hud_v3.shown_launches(lane) == [pytest.approx(0.01)] * 3
    stray = records.Launch(index=3, nursery=0, position=0, steps=1, seconds=(5.0,))
    wild = records.LaneRecord(mode="inductor", build="head", launches=(*lane.launches, stray))
    assert hud_v3.shown_launches(wild) == [pytest.approx(0.01)]


def test_a_failure_is_a_zero_and_a_word() -> None:
    run = synthetic.run(
        [Case("test_eval[a-cpu-inductor]", status="fail_accuracy", accuracy=Accuracy(status="eager_two_runs_differ"))]
    )
    metrics = {record["metric"]["name"]: record["metric"] for record in lines(run)}
    assert metrics["speedup"]["benchmark_values"] == metrics["abs_latency"]["benchmark_values"] == [0.0]
    assert metrics["accuracy"]["extra_info"]["benchmark_values"] == ["eager_two_runs_differ"]


RECORD: dict[str, Any] = {
    "benchmark": {
        "name": "TorchInductor",
        "mode": "training",
        "dtype": "amp",
        "extra_info": {
            "device": "cuda",
            "batch_size": 16,
            "output": "/var/x/inductor_with_cudagraphs_timm_models_amp_training_cuda_b200_performance.csv",
        },
    },
    "model": {"name": "vit", "type": "OSS model", "backend": "inductor", "origins": ["timm_models"]},
    "metric": {"name": "abs_latency", "benchmark_values": [5.0, 7.0]},
}


@pytest.mark.parametrize("text", [json.dumps(RECORD), json.dumps([RECORD]), json.dumps(RECORD, indent=2)])
def test_an_object_a_list_and_lines_are_read(text: str) -> None:
    (test,) = hud_v3.read({"x.json": text.encode()}).tests
    assert (test.test, test.suite) == ("test_train[vit-cuda-inductor_cudagraphs_amp]", "timm")
    assert [launch.seconds for launch in test.lanes[0].launches] == [(0.005,), (0.007,)]
    assert test.lanes[0].items == 16
    twice = {**RECORD, "metric": {"name": "graph_breaks", "benchmark_values": [3]}}
    lined = "\r\n".join([json.dumps(RECORD), "", json.dumps(twice)])
    (test,) = hud_v3.read({"x.json": lined.encode()}).tests
    assert test.lanes[0].compilation == Compilation(graph_breaks=3)


def edited(path: str, value: object) -> bytes:
    document = json.loads(json.dumps(RECORD))
    *front, last = path.split(".")
    place = document
    for key in front:
        place = place[key]
    place[last] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("metric", 7, "no benchmark record with a metric"),
        ("metric.benchmark_values", 7, "is not a list of numbers"),
        ("metric.benchmark_values", [], "is not a list of numbers"),
        ("metric.benchmark_values", [float("nan")], "nan is not a figure"),
        ("metric.benchmark_values", [float("inf")], "inf is not a figure"),
        ("metric.benchmark_values", [-1], "-1 is not a figure"),
        ("metric.benchmark_values", [10**400], "is not a figure"),
        ("metric.benchmark_values", [True], "True is not a figure"),
        ("metric.name", "mfu", "holds no test"),
        ("benchmark.name", "vLLM", "holds no test"),
        ("model.name", "a]\n[b", "cannot be the name of a test"),
        ("model.name", ["a"], "cannot be the name of a test"),
        ("model.origins", ["../../x"], "is not one word"),
        ("model.origins", [{}], "is not one word"),
        ("benchmark.extra_info.output", "elsewhere.csv", ""),
        ("benchmark.extra_info.batch_size", "x" * 500, "is not a figure"),
        ("benchmark.extra_info", None, "is not one word"),
    ],
)
def test_bad_input_names_the_record(path: str, value: object, words: str) -> None:
    sentence = read_or_refused(FORMAT, {"x.json": edited(path, value)})
    assert words in sentence
    assert bool(words) == bool(sentence)


def test_records_of_two_machines_are_not_one_run() -> None:
    other = RECORD["benchmark"]["extra_info"]["output"].replace("b200", "h100")
    both = json.dumps(RECORD).encode() + b"\n" + edited("benchmark.extra_info.output", other)
    assert "another suite or machine" in read_or_refused(FORMAT, {"x.json": both})

"""Benchmark records of the PyTorch HUD, schema v3: JSONEachRow, one record per metric.

Promises records as the TorchDynamo harness writes and the upload action completes them, with what the HUD's compiler
pages ask for: `benchmark.name` TorchInductor, the suite first in `model.origins`, and in `benchmark.extra_info.output`
the path of a file named by the dashboard's convention, from which the HUD takes the compiler. What the run does not
know (repository, commit, workflow) comes from an `Upload` and is left out where that does not say it.

The HUD shows the mean of `benchmark_values`. So `speedup`, a ratio of medians, is one value; `abs_latency` is the
median of each launch where their mean is within 1 % of their median, which keeps the spread between launches, and
that median alone where a stray launch would move what the HUD shows. An accuracy status is text and stands in
`metric.extra_info.benchmark_values`, as the harness has it. A test that failed has a speedup and a latency of 0 and an
accuracy record with its status.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import pathlib
import re
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from harness import records
from harness.formats import dashboard, dynamo_csv, exported, foreign, imported
from harness.formats.dashboard import Name
from harness.formats.upload import Upload
from harness.modenames import EAGER, join_mode
from harness.records import Accuracy, Build, Compilation, LaneRecord, Machine, Run
from harness.testname import TestName, quoted

FILE = "hud-v3.json"
BENCHMARK = "TorchInductor"
SCHEMA_VERSION = "v3"

LARGEST_SHIFT = 0.01
"""How far the mean of the launches may lie from their median before it would mislead."""


def write(run: Run, upload: Upload) -> dict[str, bytes]:
    """One file with a record per line."""
    frame = _frame(run, upload)
    frame, machine = _frame(run, upload), run.header.machine
    found = []
    for row in exported.rows(run):
        name = dashboard.name_of(row.suite, row.mode, row.type, row.device, machine)
        runners = [_runner(machine, row, upload)]
        for kind, metric in _metrics(row):
            found.append({**frame, "runners": runners, **_of_test(row, name, kind), "metric": metric})
    return {FILE: "".join(json.dumps(one, allow_nan=False) + "\n" for one in found).encode()} if found else {}


def _frame(run: Run, upload: Upload) -> dict[str, Any]:
    """The fields that all records share; what is not known is absent."""
    known: dict[str, Any] = {
        "timestamp": upload.timestamp or _timestamp(run.header.started),
        "schema_version": SCHEMA_VERSION,
        "name": upload.job_name,
        "repo": upload.repo,
        "head_branch": upload.head_branch,
        "head_sha": upload.head_sha,
        "workflow_id": upload.workflow_id,
        "run_attempt": upload.run_attempt,
        "job_id": upload.job_id,
        "dependencies": _dependencies(run),
    }
    return {field: value for field, value in known.items() if value}


def _timestamp(started: str) -> int:
    try:
        return max(0, int(datetime.datetime.fromisoformat(started.replace("Z", "+00:00")).timestamp()))
    except (ValueError, OverflowError):
        return 0


def _dependencies(run: Run) -> dict[str, Any]:
    build = next((one for one in run.header.builds if one.name == run.header.plan.head), None)
    if build is None:
        return {}
    found = {"repo": "pytorch/pytorch", "sha": build.torch_git_version or "", "version": build.torch_version}
    return {"pytorch": found}


def _runner(machine: Machine, row: exported.Row, upload: Upload) -> dict[str, Any]:
    """The HUD takes the device from `name` and the architecture from `type`."""
    cpu = row.device == "cpu"
    return {
        "name": dashboard.plain_device(row.device),
        "type": machine.architecture if cpu or not machine.gpus else machine.gpus[0],
        "cpu_info": machine.cpu_model,
        "cpu_count": machine.cores,
        "avail_mem_in_gb": round(machine.memory_bytes / dynamo_csv.GIGABYTE),
        "gpu_info": "" if cpu or not machine.gpus else machine.gpus[0],
        "gpu_count": 0 if cpu else len(machine.gpus),
        "extra_info": {"machine": machine.name, "architecture": machine.architecture, "label": upload.runner},
    }


def _of_test(row: exported.Row, name: Name, kind: str) -> dict[str, Any]:
    return {
        "benchmark": {
            "name": BENCHMARK,
            "mode": dashboard.TYPES[name.type],
            "dtype": name.dtype,
            "extra_info": {
                "device": name.plain_device,
                "quantization": "",
                "batch_size": str(row.items),
                "output": f"test/test-reports/{name.stem}_{kind}.csv",
            },
        },
        "model": {
            "name": row.benchmark,
            "type": "OSS model",
            "backend": name.backend,
            "origins": [dashboard.SUITES.get(row.suite, row.suite)],
        },
    }


def _metrics(row: exported.Row) -> Iterator[tuple[str, dict[str, Any]]]:
    """Metrics, and which of the harness's two files each stands in."""
    if not row.failed or row.status != "pass":
        for metric, values in _values(row).items():
            yield "performance", {"name": metric, "benchmark_values": values}
    if row.word is not None:
        words = {"benchmark_values": [row.word]}
        yield "accuracy", {"name": "accuracy", "benchmark_values": [], "extra_info": words}


def _values(row: exported.Row) -> dict[str, list[float]]:
    if row.lane is None:
        return {"speedup": [0.0], "abs_latency": [0.0]}
    ours, theirs = row.peak_memory_bytes, row.eager_memory_bytes
    found: dict[str, float | None] = {
        "speedup": row.speedup,
        "compilation_latency": row.compile_seconds,
        "compression_ratio": theirs / ours if ours and theirs else None,
        "eager_peak_mem": None if theirs is None else theirs / dynamo_csv.GIGABYTE,
        "dynamo_peak_mem": None if ours is None else ours / dynamo_csv.GIGABYTE,
        **{column: getattr(row.counts, column) for column in dynamo_csv.COUNTS},
    }
    known = {metric: [value] for metric, value in found.items() if value is not None and math.isfinite(value)}
    return {**known, "abs_latency": [1e3 * seconds for seconds in shown_launches(row.lane)]}


def shown_launches(lane: LaneRecord) -> list[float]:
    """The medians of the launches in seconds, or their median alone where their mean lies too far from it."""
    medians = [statistics.median(launch.seconds) for launch in lane.launches if launch.seconds]
    middle = statistics.median(medians)
    near = abs(statistics.fmean(medians) / middle - 1) <= LARGEST_SHIFT
    return medians if near else [middle]


@dataclass
class _Found:
    """What the records of one test say."""

    name: Name
    items: int = 1
    word: str | None = None
    values: dict[str, list[float]] = field(default_factory=dict)


def read(files: Mapping[str, bytes]) -> Run:
    """The run that the records hold: of one object, of a list, or of one record per line.

    Records of other benchmarks, and metrics that a run has no place for, are passed over. Raises UserError that names
    file and record.
    """
    found: dict[TestName, _Found] = {}
    first: dict[str, Any] = {}
    for path, content in files.items():
        for where, record in _records(path, content):
            metric, name = _text(record, "metric", "name"), _name(where, record)
            if name is None or metric not in _TAKEN:
                continue
            first = first or record
            model = foreign.name(f"{where}, model.name", _get(record, "model", "name"))
            test = TestName(name.type, model, name.plain_device, name.mode)
            _take(where, found.setdefault(test, _Found(name)), name, metric, record)
    tokens = sorted({one.name.device for one in found.values()})
    if len(tokens) > 1:
        foreign.refuse(", ".join(tokens[:5]), "these are several machines", "import the records of each alone")
    tests = [_test(test, one) for test, one in found.items()]
    machine = dashboard.machine_of(tokens[0], _machine(first)) if tokens else imported.NO_MACHINE
    started = _started(first.get("timestamp"))
    return imported.run("hud-v3", files, tests, machine=machine, build=_build(first), started=started)


_TAKEN = frozenset(
    {
        *("speedup", "abs_latency", "compilation_latency", "eager_peak_mem", "dynamo_peak_mem", "compression_ratio"),
        *("accuracy", *dynamo_csv.COUNTS),
    }
)


def _records(path: str, content: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    text = foreign.text(path, content).strip()
    lines = [(number, line) for number, line in foreign.lines(text) if line.strip()]
    # A list or an object may be spread over lines; records by line are complete objects each.
    if len(lines) > 1 and text.startswith("{") and lines[0][1].rstrip().endswith("}"):
        found = [(f"{path}, line {number}", foreign.document(f"{path}, line {number}", line)) for number, line in lines]
    else:
        whole = foreign.document(path, text)
        every = whole if isinstance(whole, list) else [whole]
        found = [(f"{path}, record {number}", record) for number, record in enumerate(every, 1)]
    for where, record in found:
        if not isinstance(record, dict) or not isinstance(record.get("metric"), dict):
            foreign.refuse(where, "is no benchmark record with a metric", "give records of the HUD's schema v3")
        yield where, record


def _get(record: Mapping[str, Any], *keys: str) -> Any:
    """The value below `keys`, None where something on the way is not there or no object."""
    found: Any = record
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _text(record: Mapping[str, Any], *keys: str) -> str:
    found = _get(record, *keys)
    return found if isinstance(found, str) else ""


def _name(where: str, record: Mapping[str, Any]) -> Name | None:
    """From the file that `output` names, as the HUD has it; else from the record's own fields."""
    if _text(record, "benchmark", "name") != BENCHMARK:
        return None
    origins = _get(record, "model", "origins")
    origin = origins[0] if isinstance(origins, list) and origins else imported.UNKNOWN
    suite = foreign.word(f"{where}, model.origins", origin)
    suite = dashboard.OUR_SUITES.get(suite, suite)
    output = pathlib.PurePosixPath(_text(record, "benchmark", "extra_info", "output")).name.removesuffix(".csv")
    if (parsed := dashboard.parse_stem(output[:300])) is not None:
        return dataclasses.replace(parsed[0], suite=suite)
    mode, dtype = _text(record, "benchmark", "mode"), _text(record, "benchmark", "dtype")
    device = _text(record, "benchmark", "extra_info", "device") or _runner_of(record, "name")
    if mode not in dashboard.TYPES_OF_MODES or dtype not in dashboard.PRECISIONS:
        foreign.refuse(where, f"mode {quoted(mode)} and dtype {quoted(dtype)} are not known", "leave the record out")
    backend = foreign.word(f"{where}, model.backend", _get(record, "model", "backend"))
    kind = dashboard.TYPES_OF_MODES[mode]
    return Name(backend, suite, dashboard.PRECISIONS[dtype], kind, foreign.word(f"{where}, device", device))


def _runner_of(record: Mapping[str, Any], key: str) -> str:
    runners = _get(record, "runners")
    first = runners[0] if isinstance(runners, list) and runners else None
    return _text(first, key) if isinstance(first, dict) else ""


def _take(where: str, one: _Found, name: Name, metric: str, record: Mapping[str, Any]) -> None:
    if one.name != name:
        foreign.refuse(where, "another record gives this test another suite or machine", "import them one by one")
    if metric == "accuracy":
        words = _get(record, "metric", "extra_info", "benchmark_values")
        word = words[0] if isinstance(words, list) and words else None
        one.word = foreign.status(f"{where}, metric.extra_info.benchmark_values", word)
        return
    values = _get(record, "metric", "benchmark_values")
    if not isinstance(values, list) or not values:
        foreign.refuse(where, "metric.benchmark_values is not a list of numbers", "give the record as it was written")
    one.values[metric] = [foreign.figure(f"{where}, {metric}", value) for value in values]
    items = _get(record, "benchmark", "extra_info", "batch_size")
    if items:
        one.items = foreign.whole(f"{where}, batch_size", items) or 1


def _test(test: TestName, one: _Found) -> records.Test:
    accuracy = Accuracy(status=one.word) if one.word is not None else None
    lanes = _lanes(str(test), one)
    status: records.Status = "pass"
    reason = ""
    if accuracy is not None and not accuracy.passed:
        status, reason = imported.status_of(accuracy.status), f"accuracy: {accuracy.status}"
    elif one.values and not lanes:
        status, reason = "fail_to_run", "its latency is 0 or not given"
    return imported.test(test, suite=one.name.suite, status=status, reason=reason, lanes=lanes, accuracy=accuracy)


def _lanes(where: str, one: _Found) -> list[LaneRecord]:
    latencies = one.values.get("abs_latency", [])
    if not latencies or not all(latencies):
        return []
    seconds = [foreign.seconds(where, value, 1e-3) for value in latencies]

    def mean(metric: str) -> float | None:
        return statistics.fmean(one.values[metric]) if any(one.values.get(metric, ())) else None

    def memory(metric: str) -> int | None:
        found = mean(metric)
        return None if found is None else round(found * dynamo_csv.GIGABYTE)

    counts: dict[str, Any] = {
        column: foreign.whole(f"{where}, {column}", statistics.fmean(one.values[column]))
        for column in dynamo_csv.COUNTS
        if column in one.values
    }
    cold = mean("compilation_latency")
    own = imported.lane(
        one.name.mode,
        [(value,) for value in seconds],
        items=one.items,
        peak_memory_bytes=memory("dynamo_peak_mem"),
        compilation=Compilation(cold_seconds=cold, **counts) if counts or cold is not None else None,
    )
    speedup = mean("speedup")
    eager = join_mode(EAGER, one.name.precision)
    if speedup is None or eager == one.name.mode:
        return [own]
    theirs = foreign.seconds(f"{where}, speedup", speedup * statistics.median(seconds))
    return [imported.lane(eager, [(theirs,)], items=one.items, peak_memory_bytes=memory("eager_peak_mem")), own]


def _machine(record: Mapping[str, Any]) -> Machine:
    """What the first runner tells; text is kept as it is, for it is only shown."""
    runners = _get(record, "runners")
    runner = runners[0] if isinstance(runners, list) and runners and isinstance(runners[0], dict) else {}
    gpu = foreign.sentence(_text(runner, "gpu_info"))
    cores, memory = _get(runner, "cpu_count"), _get(runner, "avail_mem_in_gb")
    return msgspec.structs.replace(
        imported.NO_MACHINE,
        name=foreign.sentence(_text(runner, "extra_info", "machine")) or imported.UNKNOWN,
        architecture=foreign.sentence(_text(runner, "extra_info", "architecture")) or imported.UNKNOWN,
        cpu_model=foreign.sentence(_text(runner, "cpu_info")) or imported.UNKNOWN,
        cores=foreign.whole("cpu_count", cores) if cores else 0,
        memory_bytes=int(foreign.figure("avail_mem_in_gb", memory) * dynamo_csv.GIGABYTE) if memory else 0,
        gpus=(gpu,) if gpu else (),
    )


def _build(record: Mapping[str, Any]) -> Build:
    version = foreign.sentence(_text(record, "dependencies", "pytorch", "version"))
    commit = _text(record, "dependencies", "pytorch", "sha")
    return msgspec.structs.replace(
        imported.NO_BUILD,
        torch_version=version or imported.UNKNOWN,
        torch_git_version=commit if re.fullmatch("[0-9a-f]{7,64}", commit) else None,
    )


def _started(timestamp: object) -> str:
    if isinstance(timestamp, int) and 0 < timestamp < 2**33:
        return f"{datetime.datetime.fromtimestamp(timestamp, datetime.timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
    return imported.UNKNOWN

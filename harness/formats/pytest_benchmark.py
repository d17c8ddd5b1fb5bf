"""The JSON of pytest-benchmark, as TorchBench score V1 took it.

Promises a file that `torchwarden score` and V1's own scripts read: `benchmarks[].name` in V1's grammar,
`benchmarks[].stats` in seconds by pytest-benchmark's definitions over all samples of the head's lane, samples
included, and `machine_info` with the versions. What the format has no place for stands under the key `torchwarden`,
which other readers pass over: which samples belong to one launch, and which tests failed or have no result.

Reading takes the samples where `stats.data` holds them and the mean where not: one sample, whose spread is unknown.
Names without a mode, as TorchBench has had them since TorchScript went, are those of eager.
"""

from __future__ import annotations

import bisect
import hashlib
import json
import math
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from harness import __version__, records
from harness.formats import exported, foreign, imported
from harness.formats.upload import Upload
from harness.modenames import EAGER, split_mode
from harness.records import Build, LaneRecord, Launch, Machine, Run
from harness.testname import TestName, is_test_name, parse_test_name, quoted

FILE = "pytest-benchmark.json"
OURS = "torchwarden"
"""Key of what only this project writes and reads."""

_WITHOUT_MODE = re.compile(r"test_(eval|train)\[(.+)-(cpu|cuda|xpu|mps|hpu)\]", re.ASCII)


def write(run: Run, upload: Upload) -> dict[str, bytes]:
    """One file with an entry per test that passed."""
    rows = exported.rows(run)
    document = {
        "machine_info": _machine_info(run),
        "commit_info": {
            "id": upload.head_sha or _build_of(run).torch_git_version,
            "branch": upload.head_branch or None,
        },
        "benchmarks": [_benchmark(row, row.lane) for row in rows if row.lane is not None],
        "datetime": run.header.started,
        "version": f"torchwarden {__version__}",
        OURS: {
            "fingerprint": run.header.machine.fingerprint,
            "failed": {
                row.test: {"status": row.status, "reason": row.reason}
                for row in rows
                if row.failed and row.status is not None
            },
            "missing": [row.test for row in rows if row.status is None],
        },
    }
    return {FILE: (json.dumps(document, indent=1, allow_nan=False) + "\n").encode()}


def statistics_of(samples: Sequence[float], iterations: int = 1) -> dict[str, Any]:
    """pytest-benchmark's `stats` of samples in seconds, of which each is the mean of `iterations` calls.

    Quartiles are those of its `Stats`: the medians of the halves for an even number of samples, and the mean of both
    ways to halve an odd one ("method 3" of the article it cites). Outliers lie beyond a standard deviation around the
    mean and beyond 1.5 interquartile ranges around the quartiles; `ld15iqr` and `hd15iqr` are the lowest and highest
    samples that do not.
    """
    data = sorted(samples)
    mean, (low, high) = math.fsum(data) / len(data), _quartiles(data)
    spread = statistics.stdev(data) if len(data) > 1 else 0.0
    fences = low - 1.5 * (high - low), high + 1.5 * (high - low)
    beyond_spread = sum(not mean - spread <= one <= mean + spread for one in data)
    beyond_fences = sum(not fences[0] <= one <= fences[1] for one in data)
    total = math.fsum(data)
    return {
        "min": data[0],
        "max": data[-1],
        "mean": mean,
        "stddev": spread,
        "rounds": len(data),
        "median": statistics.median(data),
        "iqr": high - low,
        "q1": low,
        "q3": high,
        "iqr_outliers": beyond_fences,
        "stddev_outliers": beyond_spread,
        "outliers": f"{beyond_spread};{beyond_fences}",
        "ld15iqr": data[min(bisect.bisect_left(data, fences[0]), len(data) - 1)],
        "hd15iqr": data[min(bisect.bisect_right(data, fences[1]), len(data) - 1)],
        "ops": len(data) / total,
        "total": total,
        "data": list(samples),
        "iterations": iterations,
    }


def _quartiles(data: Sequence[float]) -> tuple[float, float]:
    """First and third quartile of sorted samples."""
    count = len(data)
    if count == 1:
        return data[0], data[0]
    if count % 2 == 0:
        return statistics.median(data[: count // 2]), statistics.median(data[count // 2 :])
    quarter = count // 4
    if count % 4 == 1:
        low = 0.25 * data[quarter - 1] + 0.75 * data[quarter]
        return low, 0.75 * data[3 * quarter] + 0.25 * data[3 * quarter + 1]
    low = 0.75 * data[quarter] + 0.25 * data[quarter + 1]
    return low, 0.25 * data[3 * quarter + 1] + 0.75 * data[3 * quarter + 2]


def _benchmark(row: exported.Row, lane: LaneRecord) -> dict[str, Any]:
    launches = [launch for launch in lane.launches if launch.seconds]
    samples = [seconds for launch in launches for seconds in launch.seconds]
    return {
        "group": "hub",
        "name": row.test,
        "fullname": f"test_bench.py::TestBenchNetwork::{row.test}",
        "params": None,
        "param": None,
        "extra_info": {
            "batch_size": lane.items,
            "precision": split_mode(row.mode)[1],
            "test": row.type,
            OURS: {
                "suite": row.suite,
                "launches": [[one.index, one.nursery, one.position, one.steps, len(one.seconds)] for one in launches],
            },
        },
        "options": {"disable_gc": True, "timer": "perf_counter", "min_rounds": len(samples), "warmup": True},
        "stats": statistics_of(samples, launches[0].steps),
    }


def _build_of(run: Run) -> Build:
    return next((one for one in run.header.builds if one.name == run.header.plan.head), imported.NO_BUILD)


def _machine_info(run: Run) -> dict[str, Any]:
    machine, build = run.header.machine, _build_of(run)
    return {
        "node": machine.name,
        "processor": machine.architecture,
        "machine": machine.architecture,
        "python_version": build.python_version,
        "system": machine.system.partition(" ")[0],
        "release": machine.system.partition(" ")[2],
        "cpu": {"brand_raw": machine.cpu_model, "count": machine.cores, "arch": machine.architecture},
        "pytorch_version": build.torch_version,
        "pytorch_git_version": build.torch_git_version,
        "torchvision_version": build.packages.get("torchvision"),
    }


@dataclass(frozen=True)
class Entry:
    """One entry of `benchmarks`: its place in the file, its name as it stands, `stats.mean` in seconds, and itself."""

    field: str
    name: str
    mean: float
    content: Mapping[str, Any]


def entries(where: str, benchmarks: object) -> Iterator[Entry]:
    """The entries of `benchmarks` in a file. Raises UserError that names the field that is not as it should be."""
    advice = "give the file as pytest-benchmark wrote it"
    if not isinstance(benchmarks, list):
        foreign.refuse(where, "benchmarks is not a list", advice)
    for number, content in enumerate(benchmarks):
        field = f"benchmarks[{number}]"
        name = content.get("name") if isinstance(content, dict) else None
        if not isinstance(name, str):
            foreign.refuse(where, f"{field}.name is missing or not text", advice)
        stats = content.get("stats")
        if not isinstance(stats, dict) or "mean" not in stats:
            foreign.refuse(where, f"{field}.stats.mean is missing", advice)
        mean = positive_seconds(where, f"{field}.stats.mean of {quoted(name)}", stats["mean"])
        yield Entry(field, name, mean, content)


def positive_seconds(where: str, field: str, value: object) -> float:
    """The value of a field as a time from above 0 to 10^9 s. Raises UserError."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < foreign.LARGEST:
        return float(value)
    foreign.refuse(where, f"{field} is {quoted(value)}", "give a positive number of seconds")


def read(files: Mapping[str, bytes]) -> Run:
    """The run that one file or several of one machine and build hold. Raises UserError that names file and field."""
    tests: list[records.Test] = []
    planned: list[str] = []
    machines: list[Machine] = []
    builds: list[Build] = []
    started = imported.UNKNOWN
    for path, content in files.items():
        document = foreign.document(path, foreign.text(path, content))
        if not isinstance(document, dict) or "benchmarks" not in document:
            foreign.refuse(path, "holds no benchmarks", "give a JSON file as pytest-benchmark wrote it")
        tests += [_test(path, entry) for entry in entries(path, document["benchmarks"])]
        ours = _object(document, OURS)
        tests += _failed(path, _object(ours, "failed"))
        missing = ours.get("missing")
        planned += [str(_name(path, name)) for name in missing] if isinstance(missing, list) else []
        info = _object(document, "machine_info")
        machines.append(_machine(path, info, ours.get("fingerprint")))
        builds.append(_build(info))
        if isinstance(when := document.get("datetime"), str) and foreign.is_word(when.replace(":", "")):
            started = when
    for what, found in (("machine", set(machines)), ("build of torch", {one.torch_version for one in builds})):
        if len(found) > 1:
            foreign.refuse(f"{len(files)} files", f"they come from more than one {what}", "import them one by one")
    return imported.run(
        "pytest-benchmark",
        files,
        tests,
        machine=machines[0] if machines else imported.NO_MACHINE,
        build=builds[0] if builds else imported.NO_BUILD,
        started=started,
        planned=planned,
    )


def _object(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The object under a key, empty where there is none."""
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def _name(where: str, name: object) -> TestName:
    # First, for V1's grammar would take the device for a mode where the model's name holds a dash.
    if isinstance(name, str) and (match := _WITHOUT_MODE.fullmatch(name)) is not None:
        parts = TestName(match[1], match[2], match[3], EAGER)
    elif isinstance(name, str) and is_test_name(name):
        parts = parse_test_name(name)
    else:
        foreign.refuse(
            where,
            f"{quoted(name)} is not the name of a test",
            "leave out what is not test_<type>[<model>-<device>-<mode>]",
        )
    foreign.name(where, parts.model)
    for part in (parts.type, parts.device, parts.mode):
        foreign.word(where, part)
    return parts


def _test(path: str, entry: Entry) -> records.Test:
    where = f"{path}: {entry.field}"
    name = _name(where, entry.name)
    extra = _object(entry.content, "extra_info")
    ours = _object(extra, OURS)
    suite = ours.get("suite", imported.UNKNOWN)
    items = extra.get("batch_size")
    data = entry.content["stats"].get("data")
    samples = [positive_seconds(where, "stats.data", one) for one in data] if isinstance(data, list) and data else []
    lane = LaneRecord(
        mode=name.mode,
        build=imported.BUILD,
        items=foreign.whole(f"{where}.extra_info.batch_size", items) if items else 1,
        launches=tuple(_launches(where, samples or [entry.mean], ours.get("launches") if samples else None)),
    )
    return imported.test(name, suite=foreign.word(f"{where}: suite", suite), lanes=[lane])


def _launches(where: str, samples: Sequence[float], shape: object) -> Iterator[Launch]:
    """The samples by launch as `shape` tells; as one launch where it does not tell."""
    rows = shape if shape is not None else [[0, 0, 0, 1, len(samples)]]
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == 5 for row in rows):
        foreign.refuse(where, "launches is not a list of five numbers each", "give the file as it was written")
    begin = 0
    for row in rows:
        index, nursery, position, steps, rounds = (foreign.whole(f"{where}: launches", value) for value in row)
        yield Launch(
            index=index,
            nursery=nursery,
            position=position,
            steps=steps,
            seconds=tuple(samples[begin : begin + rounds]),
        )
        begin += rounds
    if begin != len(samples):
        foreign.refuse(where, "launches and stats.data do not go together", "give the file as it was written")


def _failed(path: str, failed: Mapping[str, Any]) -> Iterator[records.Test]:
    for name, told in failed.items():
        word = told.get("status") if isinstance(told, dict) else None
        if word not in records.STATUSES or word == "pass":
            foreign.refuse(path, f"the status of {quoted(name)} is {quoted(word)}", "give the file as it was written")
        reason = foreign.sentence(told.get("reason") or "")
        yield imported.test(_name(path, name), status=word, reason=reason)


def _machine(path: str, info: Mapping[str, Any], fingerprint: object) -> Machine:
    """What `machine_info` tells; without a fingerprint of ours, a machine that it names well is known by that."""
    cpu = _object(info, "cpu")

    def told(known: Mapping[str, Any], key: str) -> str:
        found = known.get(key)
        return foreign.sentence(found) if isinstance(found, str) else ""

    node, model, kind = told(info, "node"), told(cpu, "brand_raw") or told(cpu, "brand"), told(info, "machine")
    count = cpu.get("count")
    cores = foreign.whole(f"{path}: machine_info.cpu.count", count) if count else 0
    if not isinstance(fingerprint, str) or not foreign.is_word(fingerprint):
        named = bool(node and model) and node != imported.UNKNOWN
        digest = hashlib.sha256(json.dumps([node, model, kind, cores]).encode()).hexdigest()[:12]
        fingerprint = f"named-{digest}" if named else ""
    return msgspec.structs.replace(
        imported.NO_MACHINE,
        name=node or imported.UNKNOWN,
        fingerprint=fingerprint,
        system=f"{told(info, 'system')} {told(info, 'release')}".strip() or imported.UNKNOWN,
        architecture=kind or imported.UNKNOWN,
        cpu_model=model or imported.UNKNOWN,
        cores=cores,
    )


def _build(info: Mapping[str, Any]) -> Build:
    def told(key: str) -> str:
        found = info.get(key)
        return foreign.sentence(found) if isinstance(found, str) else ""

    vision = told("torchvision_version")
    return msgspec.structs.replace(
        imported.NO_BUILD,
        python_version=told("python_version") or imported.UNKNOWN,
        torch_version=told("pytorch_version") or imported.UNKNOWN,
        torch_git_version=told("pytorch_git_version") or None,
        packages={"torchvision": vision} if vision else {},
    )

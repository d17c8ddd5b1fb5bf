"""The metrics files of TorchBench's userbenchmarks: `{name, environ, metrics}`, one figure per key.

Promises to write and read the five ways in which those benchmarks name a metric (`GRAMMARS`), a folder each, as
TorchBench lays them out. The format has one number per metric: no samples and no spread (only `cpu` may list them),
no machine. A test that failed has the word for how it ended in place of its time.

There is a way back from `torch-nightly`, `test_bench`, `cpu` and `optim`. `model-stableness` holds a spread without a
time, from which no run can be made: it is written, and passed over when read. Memory of the CPU is neither written nor
read: TorchBench gives it a hundred times too large on CPU, and nothing in the file tells which it is.
"""

from __future__ import annotations

import ast
import json
import re
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from harness import records
from harness.formats import exported, foreign, imported
from harness.formats.exported import Row
from harness.formats.upload import Upload
from harness.modenames import EAGER, FLOAT32, join_mode, split_mode
from harness.records import Accuracy, Build, Run
from harness.testname import TestName, quoted

GIBIBYTE = 2**30
_NO_DATE = "19700101000000"

Told = dict[str, object]
"""Metrics of a test by a name of our own: `latency` in seconds, `samples`, `memory` in bytes, `items`, `accuracy`."""


@dataclass(frozen=True)
class Grammar:
    """How one userbenchmark names its metrics.

    `write` gives the metrics of a row, nothing for a row that it cannot name. `read` gives a test and what a key and
    its value say of it, and None for a key of another grammar.
    """

    name: str
    write: Callable[[Row], dict[str, Any]]
    read: Callable[[str, str, object], tuple[TestName, Told] | None]


def write(run: Run, upload: Upload) -> dict[str, bytes]:
    """A file per grammar that can name a test of the run: `<name>/metrics-<YYYYmmddHHMMSS>.json`."""
    rows = exported.rows(run)
    digits = re.sub(r"\D", "", run.header.started)[:14]
    date = digits if len(digits) == 14 else _NO_DATE
    files = {}
    for grammar in GRAMMARS:
        metrics: dict[str, Any] = {}
        for row in rows:
            metrics |= grammar.write(row)
        if metrics:
            document = {"name": grammar.name, "environ": _environ(run), "metrics": metrics}
            files[f"{grammar.name}/metrics-{date}.json"] = (json.dumps(document, indent=4) + "\n").encode()
    return files


def _environ(run: Run) -> dict[str, str]:
    head = next((one for one in run.header.builds if one.name == run.header.plan.head), imported.NO_BUILD)
    found = {"pytorch_git_version": head.torch_git_version or imported.UNKNOWN, "pytorch_version": head.torch_version}
    gpus = run.header.machine.gpus
    return {**found, "device": gpus[0]} if gpus and run.header.plan.device != "cpu" else found


def _milliseconds(row: Row) -> float | str:
    return row.word or exported.ABSENT if row.seconds is None else row.seconds * 1e3


def _gpu_memory(row: Row) -> float | None:
    peak = row.peak_memory_bytes
    return None if peak is None or row.device == "cpu" else peak / GIBIBYTE


def _known(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metrics.items() if value is not None}


# torch-nightly, whose own tests are all eager, and model-stableness, which names them alike.


def _write_nightly(row: Row) -> dict[str, Any]:
    if row.type == "optim":
        return {}
    return _known({f"{row.test}_latency": _milliseconds(row), f"{row.test}_gmem": _gpu_memory(row)})


_NIGHTLY = re.compile(r"test_([^\[\]]+)\[([^\[\]]+)-([^\[\]-]+)-([^\[\]-]+)\]_(latency|gmem|cmem|maxdelta)", re.ASCII)


def _read_nightly(where: str, key: str, value: object) -> tuple[TestName, Told] | None:
    if (match := _NIGHTLY.fullmatch(key)) is None:
        return None
    test = TestName(match[1], match[2], match[3], match[4])
    return test, _METRICS[match[5]](where, value)


def _write_stableness(row: Row) -> dict[str, Any]:
    """The largest relative difference between the medians of two launches."""
    medians = [statistics.median(one.seconds) for one in (row.lane.launches if row.lane else ()) if one.seconds]
    return {f"{row.test}_maxdelta": max(medians) / min(medians) - 1} if len(medians) > 1 else {}


# test_bench and group_bench, which say what they ran as arguments.


def _write_arguments(row: Row) -> dict[str, Any]:
    if row.type == "optim":
        return {}
    size = row.items if row.lane is not None else None
    front = f"model={row.benchmark}, test={row.type}, device={row.device}, bs={size}, extra_args={_arguments(row.mode)}"
    return _known(
        {
            f"{front}, metric=latencies": _milliseconds(row),
            f"{front}, metric=gpu_peak_mem": _gpu_memory(row),
            f"{front}, metric=accuracy": row.word if row.checked else None,
        }
    )


_ARGUMENTS = re.compile(
    r"model=(?P<model>.+), test=(?P<type>\w+), device=(?P<device>[\w:]+), bs=(?P<items>\d{1,9}|None),"
    r" extra_args=(?P<arguments>\[.{0,1000}\]), metric=(?P<metric>\w+)",
    re.ASCII,
)
_PRECISION, _DYNAMO = "--precision", "--torchdynamo"
_OWN_PRECISIONS: Mapping[str, str] = {"fp32": FLOAT32}


def _arguments(mode: str) -> list[str]:
    backend, precision = split_mode(mode)
    found = [] if backend == EAGER else ["--jit"] if backend == "jit" else [_DYNAMO, backend]
    return found if precision == FLOAT32 else [*found, _PRECISION, precision]


def _mode(where: str, text: str) -> str:
    """The mode that arguments stand for; those that stand for none become part of its name."""
    try:
        arguments = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        arguments = None
    if not isinstance(arguments, list) or not all(isinstance(one, str) for one in arguments):
        foreign.refuse(where, f"{quoted(text)} is not a list of words", "give the file as it was written")
    backend, precision, others = EAGER, FLOAT32, []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == _DYNAMO and rest:
            backend = rest.pop(0)
        elif word == _PRECISION and rest:
            precision = _OWN_PRECISIONS.get(rest[0], rest[0])
            rest.pop(0)
        elif word in ("--inductor", "--jit"):
            backend = word[2:]
        else:
            others.append(foreign.as_word(word.lstrip("-")).replace("-", "_"))
    return join_mode("_".join([backend, *others]), precision)


def _read_arguments(where: str, key: str, value: object) -> tuple[TestName, Told] | None:
    match = _ARGUMENTS.fullmatch(key)
    if match is None:
        return None
    test = TestName(match["type"], match["model"], match["device"], _mode(where, match["arguments"]))
    told = _METRICS.get(match["metric"], _nothing)(where, value)
    return test, {**told, "items": int(match["items"])} if match["items"].isdigit() else told


# cpu, which runs eager in float32 and may list each iteration.


def _write_cpu(row: Row) -> dict[str, Any]:
    if row.device != "cpu" or row.mode != EAGER or row.type not in ("train", "eval"):
        return {}
    front = f"{row.benchmark}-{row.type}"
    if row.lane is None:
        return {f"{front}_latency": _milliseconds(row)}
    samples = [seconds * 1e3 for launch in row.lane.launches for seconds in launch.seconds]
    middle = statistics.median(samples)
    return {
        f"{front}_latency": middle,
        f"{front}_throughput": row.items * 1e3 / middle,
        f"{front}_iter_latencies": samples,
    }


_CPU = re.compile(
    r"(?P<model>[^\[\]]+)-(?P<type>train|eval)_(?P<metric>iter_latencies|iter_throughputs|latency|throughput|cmem)",
    re.ASCII,
)


def _read_cpu(where: str, key: str, value: object) -> tuple[TestName, Told] | None:
    if (match := _CPU.fullmatch(key)) is None:
        return None
    return TestName(match["type"], match["model"], "cpu", EAGER), _METRICS[match["metric"]](where, value)


# optim, which times optimizers alone.


def _write_optim(row: Row) -> dict[str, Any]:
    return (
        {row.benchmark: row.seconds if row.seconds is not None else _milliseconds(row)} if row.type == "optim" else {}
    )


def _read_optim(where: str, key: str, value: object) -> tuple[TestName, Told] | None:
    if ", " not in key or key.startswith("model="):
        return None
    return TestName("optim", key, imported.UNKNOWN, EAGER), _latency(where, value, 1.0)


# What values say.


def _latency(where: str, value: object, unit: float = 1e-3) -> Told:
    if isinstance(value, str):
        return {"failure": value}
    return {"latency": foreign.seconds(where, value, unit)}


def _samples(where: str, value: object) -> Told:
    if not isinstance(value, list):
        foreign.refuse(where, "is not a list of numbers", "give the file as it was written")
    return {"samples": tuple(foreign.seconds(where, one, 1e-3) for one in value)}


def _memory(where: str, value: object) -> Told:
    return {} if isinstance(value, str) else {"memory": int(foreign.figure(where, value) * GIBIBYTE)}


def _throughput(where: str, value: object) -> Told:
    return {} if isinstance(value, str) else {"throughput": foreign.figure(where, value)}


def _accuracy(where: str, value: object) -> Told:
    return {"accuracy": value if foreign.is_status(value) else "fail_to_run"}


def _nothing(where: str, value: object) -> Told:
    return {}


_METRICS: Mapping[str, Callable[[str, object], Told]] = {
    "latency": _latency,
    "latencies": _latency,
    "gmem": _memory,
    "gpu_peak_mem": _memory,
    "accuracy": _accuracy,
    "throughput": _throughput,
    "iter_latencies": _samples,
    "iter_throughputs": _nothing,
    "cmem": _nothing,
    "maxdelta": _nothing,
}

GRAMMARS: tuple[Grammar, ...] = (
    Grammar("torch-nightly", _write_nightly, _read_nightly),
    Grammar("model-stableness", _write_stableness, _read_nightly),
    Grammar("test_bench", _write_arguments, _read_arguments),
    Grammar("cpu", _write_cpu, _read_cpu),
    Grammar("optim", _write_optim, _read_optim),
)
"""In the order in which a key is tried: the last takes whatever holds a comma."""


def read(files: Mapping[str, bytes]) -> Run:
    """The run that the files hold; keys are told apart by their form, not by the name of the file.

    Keys of no grammar (`v3_score` and other sums) are passed over. Raises UserError that names file and key.
    """
    found: dict[TestName, Told] = {}
    builds: list[Build] = []
    for path, content in files.items():
        document = foreign.document(path, foreign.text(path, content))
        metrics = document.get("metrics") if isinstance(document, dict) else None
        if not isinstance(metrics, dict):
            foreign.refuse(path, "holds no metrics", "give a metrics file of a TorchBench userbenchmark")
        for key, value in metrics.items():
            where = f"{path}: {quoted(key)}"
            for grammar in GRAMMARS:
                if (said := grammar.read(where, key, value)) is not None:
                    _add(where, found, *said)
                    break
        builds.append(_build(document.get("environ")))
    if len({one.torch_version for one in builds}) > 1:
        foreign.refuse(f"{len(files)} files", "they come from more than one build of torch", "import them one by one")
    tests = [_test(name, told) for name, told in found.items() if _FIGURES & told.keys()]
    return imported.run("userbenchmark", files, tests, build=builds[0] if builds else imported.NO_BUILD)


_FIGURES = {"latency", "samples", "failure", "accuracy"}


def _add(where: str, found: dict[TestName, Told], name: TestName, told: Told) -> None:
    foreign.name(where, name.model)
    for part in (name.type, name.device.replace(":", ""), name.mode):
        foreign.word(where, part)
    known = found.setdefault(name, {})
    for key, value in told.items():
        if key in known and (key != "items" or known[key] != value):
            foreign.refuse(where, f"another key gives the {key} of this test too", "import one file at a time")
        known[key] = value


def _test(name: TestName, told: Mapping[str, Any]) -> records.Test:
    accuracy = Accuracy(status=told["accuracy"]) if "accuracy" in told else None
    if "failure" in told:
        status, reason = _failure(told["failure"])
    elif accuracy is not None and not accuracy.passed:
        status, reason = imported.status_of(accuracy.status), f"accuracy: {accuracy.status}"
    else:
        status, reason = "pass", ""
    samples = told.get("samples") or ((told["latency"],) if "latency" in told else ())
    lanes = [imported.lane(name.mode, [samples], items=_items(told), peak_memory_bytes=told.get("memory"))]
    return imported.test(name, status=status, reason=reason, lanes=lanes if samples else (), accuracy=accuracy)


def _items(told: Mapping[str, Any]) -> int:
    if "items" in told:
        return int(told["items"])
    items = told.get("throughput", 0.0) * told.get("latency", 0.0)
    return max(1, round(items)) if items < 2**31 else 1


def _failure(value: str) -> tuple[records.Status, str]:
    word = value.strip()
    if word.startswith("skip") or word == "not_implemented":
        return "skip", foreign.sentence(word)
    if "out of memory" in word.lower():
        return "OOM", foreign.sentence(word)
    status = imported.STATUS_OF_WORD.get(word, "fail_to_run")
    return ("fail_to_run" if status == "pass" else status), foreign.sentence(word)


def _build(environ: object) -> Build:
    def told(key: str) -> str:
        value = environ.get(key) if isinstance(environ, dict) else None
        return foreign.sentence(value) if isinstance(value, str) else ""

    commit = told("pytorch_git_version")
    return msgspec.structs.replace(
        imported.NO_BUILD,
        torch_version=told("pytorch_version") or imported.UNKNOWN,
        torch_git_version=commit if commit not in ("", imported.UNKNOWN) else None,
    )

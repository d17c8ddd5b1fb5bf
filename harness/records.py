"""The run format: JSON Lines, one header, a line per test as it finishes, one footer.

The writer promises that what it has accepted is on disk: every line is flushed and fsynced, so a run that was killed
is a valid shorter run, and `--resume` goes on from it. The readers promise that what they return satisfies the schema:
anything else is a `UserError` that names file, line and field. Units are SI: seconds and bytes. Imports no torch.
"""

from __future__ import annotations

import os
import pathlib
import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Literal

import msgspec

from harness.errors import UserError

SCHEMA_VERSION = 1
MAXIMUM_LINE_BYTES = 256 * 1024 * 1024
"""A line longer than this is refused: no test has that many samples, and what measured it may be hostile."""

Seconds = Annotated[float, msgspec.Meta(gt=0, lt=1e9)]
"""A measured time: positive, and shorter than thirty years."""

Count = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
"""A whole number that every reader of JSON keeps exactly; larger ones would overflow where they become floats."""

Status = Literal["pass", "fail_accuracy", "fail_to_run", "OOM", "timeout", "crash", "skip", "inconclusive"]
STATUSES: tuple[Status, ...] = (
    "pass",
    "fail_accuracy",
    "fail_to_run",
    "OOM",
    "timeout",
    "crash",
    "skip",
    "inconclusive",
)

ACCURACY_STATUSES = (
    "pass",
    "pass_due_to_skip",
    "fail_accuracy",
    "fail_to_run",
    "OOM",
    "eager_1st_run_OOM",
    "eager_1st_run_fail",
    "eager_2nd_run_OOM",
    "eager_2nd_run_fail",
    "eager_two_runs_differ",
    "eager_fail_to_run",
    "model_fail_to_load",
    "timeout",
    "not_bitwise_equivalent",
    "fail_batch_invariance_at",
    "fail_to_run_at_batch",
    "eager_variation",
    "infra_error",
    "fail_exception",
    "crash",
)
"""The words of the TorchDynamo benchmark harness for how an accuracy check ended; `crash` is ours, for a process that
died, of which the harness keeps no row.
"""
PASSING_ACCURACY = ("pass", "pass_due_to_skip", "eager_variation")


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=False):
    """Base of all parts of a run: immutable and strict."""


class Machine(Record, frozen=True, kw_only=True):
    """The machine that measured. `fingerprint` changes when anything does that makes figures incomparable."""

    name: str
    fingerprint: str
    system: str
    architecture: str
    cpu_model: str
    cores: Count
    memory_bytes: Count
    cpu_flags: tuple[str, ...] = ()
    governor: str | None = None
    turbo: bool | None = None
    smt: bool | None = None
    virtual: bool | None = None
    gpus: tuple[str, ...] = ()
    noise_floor: float | None = None
    """Half-width of the middle 95 % of A/A changes as last calibrated on this machine (0.01 is 1 %)."""


class Build(Record, frozen=True, kw_only=True):
    """An interpreter and its libraries, under the name its lanes bear."""

    name: str
    python: str
    python_version: str
    torch_version: str
    torch_git_version: str | None = None
    torch_config: str = ""
    packages: dict[str, str] = msgspec.field(default_factory=dict)
    fingerprint: str = ""
    specification: str = ""
    """What it was asked for as, where that means the same elsewhere: `current`, a requirement, a commit."""
    beside: tuple[str, ...] = ()
    """Packages that were installed into it beside what it was asked for as (`--with`)."""
    install_command: str = ""
    """By which a commit was installed; "" for builds of other kinds."""
    environment: dict[str, str] = msgspec.field(default_factory=dict)
    """Variables of its processes alone (`--ab-env`)."""
    code_bytes: int = 0
    """Machine code that a process of it maps once torch is imported, a GPU's libraries left out."""
    libraries: dict[str, str] = msgspec.field(default_factory=dict)
    """What torch computes with on a CPU, by name, and its version, or "yes" where that is not told: oneDNN, ACL, MKL,
    OpenBLAS; `kernels` are the instruction set of torch's own kernels, `instructions` those that it sees (`amx_bf16`).
    """


class Plan(Record, frozen=True, kw_only=True):
    """What was asked for. Shards of one run agree on everything but `tests` and `shard`."""

    suites: tuple[str, ...]
    tests: tuple[str, ...]
    types: tuple[str, ...]
    modes: tuple[str, ...]
    head: str
    base: str | None = None
    device: str = "cpu"
    size: str = "small"
    threads: int = 1
    cpus: tuple[int, ...] = ()
    cpu_preset: str | None = None
    """The preset by which CPUs and threads were chosen (`harness.machine.CPU_PRESETS`), or None."""
    budget_seconds: float = 20.0
    """Most seconds for one test, where they do not share a total."""
    total_budget_seconds: float | None = None
    """Seconds that all tests share, or None where each has its own budget."""
    step_timeout_seconds: float = 120.0
    launch_timeout_seconds: float = 1800.0
    """For building, compiling and warming up one step, or for checking its accuracy."""
    half_width: float = 0.01
    threshold: float = 0.07
    seed: int = 1337
    allocator: str = "keep"
    code_pages: str = "shared"
    """Whether each nursery runs machine code in pages of its "own", or in those that all of a build have "shared"."""
    nurseries: int = 6
    inject: dict[str, float] = msgspec.field(default_factory=dict)
    iterations: Annotated[int, msgspec.Meta(ge=1, lt=2**31)] | None = None
    """Train steps in one timed call, where not as many as the size says."""
    compat: str | None = None
    """Whose ways were followed where they change the timing (`harness.benchmark.COMPATIBILITIES`), or None for ours."""
    updates: bool = True
    """Whether a train step ends with the optimizer's step."""
    accuracy: bool = False
    """Whether results were compared with eager's before anything was timed."""
    shard: str | None = None
    confirms: str = ""
    """The run whose signals this one measures again, or ""."""


class Header(Record, frozen=True, kw_only=True, tag="header", tag_field="record"):
    """First line of a run. `started` is an ISO 8601 time in UTC."""

    schema_version: int
    run: str
    tool_version: str
    started: str
    machine: Machine
    builds: tuple[Build, ...]
    plan: Plan
    command: str = ""
    notes: tuple[str, ...] = ()
    """What must be said beside the figures of this run, in whole sentences."""


class Launch(Record, frozen=True, kw_only=True):
    """What one worker measured: a sample per round, in seconds per step, each the mean of `steps` steps.

    Launches with the same `index` in the lanes of one group lived side by side, and their samples with the same
    position belong to the same round.
    """

    index: Count
    nursery: Count
    position: Count
    steps: Count
    seconds: tuple[Seconds, ...]
    warmup_seconds: tuple[float, ...] = ()
    phases: dict[str, tuple[float, ...]] = msgspec.field(default_factory=dict)
    minor_faults: float | None = None
    """Minor page faults per step."""
    peak_memory_bytes: Count | None = None
    compile_seconds: float | None = None


class GraphBreak(Record, frozen=True, kw_only=True):
    """Why a step could not be captured as one graph. `place` is where in the model's source, as far as it is known."""

    reason: str
    place: str = ""
    count: Count = 1


class Compilation(Record, frozen=True, kw_only=True):
    """What torch.compile told of one step of a lane; None is what is not known.

    `cold_seconds` is the first step of a process that found an empty cache, less a steady step; `warm_seconds` the same
    in a process that found the cache of the one before. The counts are those of the cold compilation, named as in the
    TorchDynamo benchmark harness: `unique_graphs` handed to the backend, `calls_captured` in them,
    `fallbacks_to_eager` of operators, graphs of autograd captured and compiled, `cudagraph_skips`.
    """

    cold_seconds: float | None = None
    warm_seconds: float | None = None
    unique_graphs: Count | None = None
    calls_captured: Count | None = None
    graph_breaks: Count | None = None
    unique_graph_breaks: Count | None = None
    recompiles: Count | None = None
    fallbacks_to_eager: Count | None = None
    autograd_captures: Count | None = None
    autograd_compiles: Count | None = None
    cudagraph_skips: Count | None = None
    breaks: tuple[GraphBreak, ...] = ()


class Accuracy(Record, frozen=True, kw_only=True):
    """How a lane's results compare with eager's and with those of a reference in float64.

    `status` is a word of the TorchDynamo benchmark harness ("pass", "eager_two_runs_differ", ...; `ACCURACY_STATUSES`
    lists them, but a batch size may stand at the end of some). `by` names the test that decided: "allclose", "rmse" or
    "cosine". `error` and `eager_error` are the root mean square errors of the tensor that decided, against float64.
    """

    status: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_]{1,64}$")]
    reason: str = ""
    tolerance: float | None = None
    by: str = ""
    error: float | None = None
    eager_error: float | None = None

    @property
    def passed(self) -> bool:
        """Whether the harness counts this as passing."""
        return self.status in PASSING_ACCURACY


class LaneRecord(Record, frozen=True, kw_only=True):
    """All launches of one lane. `items` is how many items a step processes, for throughput."""

    mode: str
    build: str
    items: Count = 1
    launches: tuple[Launch, ...] = ()
    parameters: Count | None = None
    flops: Count | None = None
    """Floating-point operations of a step (matrix products, convolutions, attention), counted in eager lanes."""
    output_shapes: tuple[tuple[Count, ...], ...] = ()
    """Shapes of the first tensors that a step returned."""
    compilation: Compilation | None = None

    @property
    def name(self) -> str:
        """The lane's name, `mode@build`."""
        return f"{self.mode}@{self.build}"

    @property
    def typical_seconds(self) -> float | None:
        """Median over launches of the launches' medians, in seconds; None without a sample."""
        medians = [statistics.median(launch.seconds) for launch in self.launches if launch.seconds]
        return statistics.median(medians) if medians else None


class Health(Record, frozen=True, kw_only=True):
    """How quiet the machine was while a test was measured. Fractions are of the time of the lanes' CPUs."""

    rounds: Count
    disturbed_rounds: Count
    steal: float | None = None
    other_load: float | None = None
    frequency_hertz: tuple[float, float, float] | None = None
    """Lowest, median and highest frequency seen on the lanes' CPUs."""
    throttled: int | None = None
    """Thermal throttle events counted by the kernel during the test."""
    gpu: dict[str, float] = msgspec.field(default_factory=dict)


class Test(Record, frozen=True, kw_only=True, tag="test", tag_field="record"):
    """One test, complete: its name, how it ended, and the samples of its lanes.

    `group` names the benchmark, type and device whose lanes were measured in the same rounds.
    """

    test: str
    suite: str
    benchmark: str
    type: str
    device: str
    mode: str
    group: str
    category: str
    domain: str
    status: Status
    reason: str = ""
    stderr: str = ""
    lanes: tuple[LaneRecord, ...] = ()
    stopped: str = ""
    """Why measuring ended: "precise", "decided", "budget", or "" when it did not end well."""
    elapsed_seconds: float = 0.0
    health: Health | None = None
    accuracy: Accuracy | None = None
    """Of the head's lane; None where it was not asked for."""

    def lane(self, build: str, mode: str | None = None) -> LaneRecord | None:
        """This test's lane on a build, or None; `mode` asks for another mode than the test's own."""
        wanted = self.mode if mode is None else mode
        return next((lane for lane in self.lanes if lane.build == build and lane.mode == wanted), None)


class Footer(Record, frozen=True, kw_only=True, tag="footer", tag_field="record"):
    """Last line of a run that ended by itself or was interrupted; absent when it was killed."""

    finished: str
    elapsed_seconds: float
    tests: int
    interrupted: bool = False


Line = Header | Test | Footer


class Run(Record, frozen=True, kw_only=True):
    """A run as read, or several shards of one run joined. `footers` tells which shards ended by themselves."""

    header: Header
    tests: tuple[Test, ...]
    footers: tuple[Footer, ...] = ()
    shards: int = 1

    @property
    def complete(self) -> bool:
        """Whether every shard ended by itself and no planned test is absent."""
        ended = len(self.footers) == self.shards and not any(footer.interrupted for footer in self.footers)
        return ended and not self.missing

    @property
    def missing(self) -> tuple[str, ...]:
        """Planned tests that have no line."""
        seen = {test.test for test in self.tests}
        return tuple(name for name in self.header.plan.tests if name not in seen)


_decoder: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)
_encoder = msgspec.json.Encoder()


class Writer:
    """Appends lines to a run file; a context manager. Every line is on disk when the call returns.

    Raises `UserError` when the file cannot be opened, or a new one would overwrite a file that is there.
    """

    def __init__(self, path: pathlib.Path, *, append: bool = False) -> None:
        self.path = path
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | (0 if append else os.O_EXCL)
        try:
            self._descriptor = os.open(path, flags, 0o644)
        except FileExistsError:
            raise UserError(f"{path} exists already; name another file, or go on from it with --resume") from None
        except OSError as error:
            raise UserError(f"{path} cannot be written ({error.strerror}); name a file in a folder that can") from None

    def write(self, line: Line) -> None:
        """Append one line. Raises UserError when the disk refuses it."""
        data = memoryview(_encoder.encode(line) + b"\n")
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
            os.fsync(self._descriptor)
        except OSError as error:
            raise UserError(
                f"{self.path} cannot be written further ({error.strerror}); make room and go on with --resume"
            ) from None

    def close(self) -> None:
        """Close the file; what was written stays."""
        os.close(self._descriptor)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def read_lines(path: pathlib.Path, *, tolerate_torn_end: bool = True) -> Iterator[Line]:
    """Yield the lines of a run file one at a time, holding only one in memory.

    A last line without a newline is what a killed writer leaves; it is dropped, or refused when `tolerate_torn_end` is
    false. Raises UserError naming file, line and field for anything that is not a run.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); name a run file") from None
    with file:
        number = 0
        while raw := _read_line(file, path, number + 1):
            number += 1
            if not raw.endswith(b"\n"):
                if tolerate_torn_end and number > 1:
                    return
                raise UserError(f"{path}, line {number}: the line is cut off; the file is truncated, measure again")
            line = _decode(raw, path, number)
            if (number == 1) != isinstance(line, Header):
                problem = "the first line is not a header" if number == 1 else "a second header"
                raise UserError(f"{path}, line {number}: {problem}; this is not one run file")
            if isinstance(line, Header) and line.schema_version != SCHEMA_VERSION:
                raise UserError(
                    f"{path}, line 1: schema version {line.schema_version} is not {SCHEMA_VERSION}; "
                    "use the torchwarden that wrote it"
                )
            yield line
        if number == 0:
            raise UserError(f"{path} is empty; name a run file written by `torchwarden run`")


def _read_line(file: Any, path: pathlib.Path, number: int) -> bytes:
    raw: bytes = file.readline(MAXIMUM_LINE_BYTES + 1)
    if len(raw) > MAXIMUM_LINE_BYTES:
        raise UserError(f"{path}, line {number}: longer than {MAXIMUM_LINE_BYTES} bytes; this is not a run file")
    return raw


def _decode(raw: bytes, path: pathlib.Path, number: int) -> Line:
    try:
        return _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path}, line {number}: {error}; this is not a run of this version") from None


def read(path: pathlib.Path) -> Run:
    """Read one run file. A test that was measured again after a resume counts by its last line."""
    header: Header | None = None
    tests: dict[str, Test] = {}
    footers: list[Footer] = []
    for line in read_lines(path):
        if isinstance(line, Header):
            header = line
        elif isinstance(line, Test):
            tests[line.test] = line
        else:
            footers.append(line)
    assert header is not None, "read_lines yields a header first"
    return Run(header=header, tests=tuple(tests.values()), footers=tuple(footers[-1:]))


def join(paths: Sequence[pathlib.Path]) -> Run:
    """Read one run, or the shards of one run, as a single run.

    Raises UserError when two shards disagree on the plan or the builds, or hold the same test.
    """
    if not paths:
        raise UserError("no run file was named; name at least one")
    runs = [read(path) for path in paths]
    first = runs[0]
    tests: dict[str, Test] = {}
    for path, run in zip(paths, runs, strict=True):
        for field, ours, theirs in _disagreements(first.header, run.header):
            raise UserError(
                f"{path} disagrees with {paths[0]} on {field} ({theirs} against {ours}); join only shards of one run"
            )
        for test in run.tests:
            if test.test in tests:
                raise UserError(f"{path} holds {test.test}, which another shard holds too; name each shard once")
            tests[test.test] = test
    planned = tuple(dict.fromkeys(name for run in runs for name in run.header.plan.tests))
    plan = msgspec.structs.replace(first.header.plan, tests=planned, shard=None)
    return Run(
        header=msgspec.structs.replace(first.header, plan=plan),
        tests=tuple(tests.values()),
        footers=tuple(footer for run in runs for footer in run.footers),
        shards=len(runs),
    )


def _disagreements(first: Header, other: Header) -> Iterator[tuple[str, Any, Any]]:
    for field in Plan.__struct_fields__:
        if field in ("tests", "shard", "cpus"):
            continue
        ours, theirs = getattr(first.plan, field), getattr(other.plan, field)
        if ours != theirs:
            yield f"the plan's {field}", ours, theirs
    ours, theirs = ({build.name: build.fingerprint for build in header.builds} for header in (first, other))
    if ours != theirs:
        yield "the builds", ours, theirs
    if first.machine.fingerprint != other.machine.fingerprint:
        yield "the machine", first.machine.fingerprint, other.machine.fingerprint


def missing_tail(path: pathlib.Path) -> int:
    """Bytes at the end of a run file that belong to a line a killed writer did not finish."""
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        size = position = file.tell()
        while position > 0:
            step = min(position, 65536)
            position -= step
            file.seek(position)
            if (found := file.read(step).rfind(b"\n")) >= 0:
                return size - (position + found + 1)
    return size


def repair(path: pathlib.Path) -> None:
    """Cut off a half-written last line, so that lines can be appended to a run that was killed."""
    if torn := missing_tail(path):
        os.truncate(path, path.stat().st_size - torn)


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) that each line of a run file satisfies."""
    schema = msgspec.json.schema(Line)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"One line of a Torchwarden run, version {SCHEMA_VERSION}",
        **schema,
    }


def encode(lines: Iterable[Line]) -> bytes:
    """The lines as they stand in a file."""
    return b"".join(_encoder.encode(line) + b"\n" for line in lines)

"""A run made of what another tool has told.

Promises ordinary `records.Run`s in which what is not known says so: the machine, build and versions are "unknown",
figures that were not given are None, times without their samples stand as one sample. The fingerprint of an unknown
machine is made of the files themselves: two imports of different files count as two machines, for nothing says that
they are one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from harness import __version__, records
from harness.formats import foreign
from harness.records import LaneRecord, Launch
from harness.testname import TestName

UNKNOWN = "unknown"
BUILD = "imported"
"""The name of the one build of an imported run."""

NO_MACHINE = records.Machine(
    name=UNKNOWN, fingerprint="", system=UNKNOWN, architecture=UNKNOWN, cpu_model=UNKNOWN, cores=0, memory_bytes=0
)
NO_BUILD = records.Build(name=BUILD, python=UNKNOWN, python_version=UNKNOWN, torch_version=UNKNOWN)

STATUS_OF_WORD: Mapping[str, records.Status] = {
    "pass": "pass",
    "pass_due_to_skip": "pass",
    "eager_variation": "pass",
    "fail_accuracy": "fail_accuracy",
    "not_bitwise_equivalent": "fail_accuracy",
    "eager_two_runs_differ": "fail_accuracy",
    "OOM": "OOM",
    "eager_1st_run_OOM": "OOM",
    "eager_2nd_run_OOM": "OOM",
    "timeout": "timeout",
    "crash": "crash",
    "inconclusive": "inconclusive",
    "skip": "skip",
}
"""How a test ended, by the word of the TorchDynamo harness; every other word is a failure to run."""


def status_of(word: str) -> records.Status:
    """How a test ended whose accuracy check ended in `word`."""
    if word.startswith("fail_batch_invariance"):
        return "fail_accuracy"
    return STATUS_OF_WORD.get(word, "fail_to_run")


def lane(
    mode: str,
    launches: Sequence[Sequence[float]],
    *,
    items: int = 1,
    peak_memory_bytes: int | None = None,
    compile_seconds: float | None = None,
    compilation: records.Compilation | None = None,
) -> LaneRecord:
    """A lane from samples in seconds by launch; memory and compile time are the first launch's."""
    return LaneRecord(
        mode=mode,
        build=BUILD,
        items=items,
        launches=tuple(
            Launch(
                index=index,
                nursery=index,
                position=0,
                steps=1,
                seconds=tuple(seconds),
                peak_memory_bytes=None if index else peak_memory_bytes,
                compile_seconds=None if index else compile_seconds,
            )
            for index, seconds in enumerate(launches)
        ),
        compilation=compilation,
    )


def test(
    name: TestName,
    *,
    suite: str = UNKNOWN,
    status: records.Status = "pass",
    reason: str = "",
    lanes: Iterable[LaneRecord] = (),
    accuracy: records.Accuracy | None = None,
) -> records.Test:
    """One test. What stands in a file was measured apart from its other tests, so each has a group of its own."""
    return records.Test(
        test=str(name),
        suite=suite,
        benchmark=name.model,
        type=name.type,
        device=name.device,
        mode=name.mode,
        group=f"{suite}/{name.type}/{name.model}/{name.device}/{name.mode}",
        # As the score has it for models that no map of tasks knows: a category each.
        category=f"[{name.model}]",
        domain=name.model,
        status=status,
        reason=reason,
        lanes=tuple(lanes),
        accuracy=accuracy,
    )


def run(
    format: str,
    files: Mapping[str, bytes],
    tests: Sequence[records.Test],
    *,
    machine: records.Machine = NO_MACHINE,
    build: records.Build = NO_BUILD,
    started: str = UNKNOWN,
    planned: Iterable[str] = (),
) -> records.Run:
    """The run of `tests` that the files of a format hold. Raises UserError when there is none, or one stands twice.

    `planned` names tests that the files foresee and have no figure for.
    """
    where = next(iter(files), format)
    if not tests:
        foreign.refuse(where, "holds no test", f"give a file of the format {format} that holds results")
    foreign.unique(where, [(test.test, test) for test in tests])
    digests = sorted(hashlib.sha256(content).hexdigest() for content in files.values())
    short = hashlib.sha256("".join(digests).encode()).hexdigest()[:12]
    if not machine.fingerprint:
        machine = msgspec.structs.replace(machine, fingerprint=f"unknown-{short}")

    def each(field: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(getattr(test, field) for test in tests))

    plan = records.Plan(
        suites=each("suite"),
        tests=tuple(dict.fromkeys((*each("test"), *planned))),
        types=each("type"),
        modes=each("mode"),
        head=build.name,
        device=each("device")[0],
        size=UNKNOWN,
        budget_seconds=0.0,
        allocator=UNKNOWN,
        code_pages=UNKNOWN,
        accuracy=any(test.accuracy is not None for test in tests),
    )
    header = records.Header(
        schema_version=records.SCHEMA_VERSION,
        run=f"imported-{short}",
        tool_version=__version__,
        started=started,
        machine=machine,
        builds=(build,),
        plan=plan,
        command=f"torchwarden import {format}",
    )
    footer = records.Footer(finished=started, elapsed_seconds=0.0, tests=len(tests))
    return records.Run(header=header, tests=tuple(tests), footers=(footer,))

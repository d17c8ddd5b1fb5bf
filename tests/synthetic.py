"""Synthetic runs whose truth is known, for the tests of everything that reads runs.

Promises `harness.records` objects shaped like those the engine writes, with true seconds per lane, effects of nursery
pairs, of launches and of rounds drawn from a seed. A group's samples depend on the seed and on the group's name alone,
so adding, leaving out or reordering other cases does not change them. `QUIET` noise makes every sample exact.

    run = synthetic.run([synthetic.Case("test_eval[a-cpu-eager]", ratio=1.10), *synthetic.cases(5)])
    synthetic.write(run, tmp_path / "run.jsonl")
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from harness import records
from harness.testname import parse_test_name

STARTED = "2026-01-02T03:04:05Z"
FINISHED = "2026-01-02T03:14:05Z"

MACHINE = records.Machine(
    name="bench-1",
    fingerprint="m" * 16,
    system="Linux 6.1",
    architecture="x86_64",
    cpu_model="Example CPU @ 2.50GHz",
    cores=8,
    memory_bytes=32 * 2**30,
    virtual=True,
    noise_floor=0.012,
)
BASE = records.Build(
    name="base",
    python="/opt/base/bin/python",
    python_version="3.11.9",
    torch_version="2.13.0+cpu",
    torch_git_version="a" * 40,
    packages={"numpy": "2.2.0", "torch": "2.13.0+cpu"},
    fingerprint="b" * 16,
)
HEAD = records.Build(
    name="head",
    python="/opt/head/bin/python",
    python_version="3.11.9",
    torch_version="2.14.1+cpu",
    torch_git_version="c" * 40,
    packages={"numpy": "2.2.0", "torch": "2.14.1+cpu"},
    fingerprint="d" * 16,
)
HEALTH = records.Health(rounds=240, disturbed_rounds=0, steal=0.001)


@dataclass(frozen=True)
class Noise:
    """Standard deviations of the log of a sample, and of the log ratio of two lanes for `launch` and `pair`.

    The defaults give a 95 % half-width below 1 % with 12 launches of 20 rounds.
    """

    round: float = 0.02
    drift: float = 0.05
    """What all lanes of a round share; it cancels between lanes, and is what a comparison with a reference suffers."""
    launch: float = 0.005
    pair: float = 0.002


QUIET = Noise(round=0.0, drift=0.0, launch=0.0, pair=0.0)

PHASES = {"forward": 0.35, "backward": 0.50, "update": 0.15}
"""Shares of a train step."""


@dataclass(frozen=True)
class Case:
    """One test and its truth: the head's step takes `seconds` times `ratio`, the base's `seconds`.

    With a status other than "pass" the test has no lanes unless `measured` says so.
    """

    test: str
    ratio: float = 1.0
    seconds: float = 0.01
    status: records.Status = "pass"
    reason: str = ""
    stderr: str = ""
    measured: bool | None = None
    category: str = "COMPUTER_VISION"
    domain: str = "CLASSIFICATION"
    noise: Noise | None = None
    launches: int | None = None
    rounds: int | None = None
    stopped: str = "precise"
    phase_ratios: Mapping[str, float] = field(default_factory=dict)
    """Ratio of single phases of a train step; others have the test's own ratio."""
    memory_ratio: float = 1.0
    suite: str = "smoke"
    health: records.Health | None = HEALTH
    compilation: records.Compilation | None = None
    """Of all lanes of the test."""
    accuracy: records.Accuracy | None = None


def cases(count: int, ratio: float = 1.0, *, prefix: str = "model", mode: str = "eager") -> list[Case]:
    """`count` passing eval tests on cpu with one ratio, steps of 1 to 100 ms."""
    return [
        Case(f"test_eval[{prefix}{number}-cpu-{mode}]", ratio=ratio, seconds=10 ** (-3 + 2 * (number % 7) / 6))
        for number in range(count)
    ]


def group_of(test: str) -> str:
    """Benchmark, type and device of a test, as one name."""
    name = parse_test_name(test)
    return f"smoke/{name.type}/{name.model}/{name.device}"


def run(
    cases: Sequence[Case],
    *,
    base: records.Build | None = BASE,
    head: records.Build = HEAD,
    seed: int = 0,
    launches: int = 12,
    rounds: int = 20,
    nurseries: int = 6,
    noise: Noise | None = None,
    machine: records.Machine = MACHINE,
    planned: Sequence[str] = (),
    ended: bool = True,
    interrupted: bool = False,
    run_id: str = "20260102T030405-synthetic",
    **plan: object,
) -> records.Run:
    """A run of these cases. Without `base` it has one build. `planned` names tests that have no line.

    `ended=False` is a run that was killed (no footer). Other keywords replace fields of the plan.
    """
    names = [parse_test_name(case.test) for case in cases]
    fields: dict[str, object] = {
        "suites": ("smoke",),
        "tests": (*dict.fromkeys(case.test for case in cases), *planned),
        "types": tuple(dict.fromkeys(name.type for name in names)) or ("eval",),
        "modes": tuple(dict.fromkeys(name.mode for name in names)) or ("eager",),
        "head": head.name,
        "base": base.name if base else None,
        "device": names[0].device if names else "cpu",
        "nurseries": nurseries,
        "seed": seed,
        "code_pages": "own",
        **plan,
    }
    header = records.Header(
        schema_version=records.SCHEMA_VERSION,
        run=run_id,
        tool_version="0.0.0",
        started=STARTED,
        machine=machine,
        builds=(base, head) if base else (head,),
        plan=msgspec.convert(fields, records.Plan),
        command="torchwarden run --suite smoke --base base --head head",
    )
    drawn = _Draws(seed, launches, rounds, nurseries, noise or Noise())
    tests = tuple(_test(case, base, head, drawn) for case in cases)
    footer = records.Footer(finished=FINISHED, elapsed_seconds=600.0, tests=len(tests), interrupted=interrupted)
    return records.Run(header=header, tests=tests, footers=(footer,) if ended else ())


def lines(run: records.Run) -> list[records.Line]:
    """The lines of a run in the order in which the engine writes them."""
    return [run.header, *run.tests, *run.footers]


def write(run: records.Run, path: pathlib.Path) -> pathlib.Path:
    """Write a run as one file and return its path."""
    path.write_bytes(records.encode(lines(run)))
    return path


def shards(run: records.Run, count: int) -> list[records.Run]:
    """The run as `count` shards, test by test in turn."""
    parts = []
    for number in range(count):
        tests = run.tests[number::count]
        plan = msgspec.structs.replace(
            run.header.plan, tests=tuple(test.test for test in tests), shard=f"{number + 1}/{count}"
        )
        header = msgspec.structs.replace(run.header, plan=plan, run=f"{run.header.run}-{number + 1}")
        footers = tuple(msgspec.structs.replace(footer, tests=len(tests)) for footer in run.footers)
        parts.append(records.Run(header=header, tests=tests, footers=footers))
    return parts


def norms(cases: Sequence[Case], factor: float = 1.0) -> dict[str, float]:
    """A reference for these cases: test name -> seconds of the base times `factor`."""
    return {case.test: case.seconds * factor for case in cases}


@dataclass(frozen=True)
class _Draws:
    """Random parts of a run, the same for a group however often and in whatever order they are asked for."""

    seed: int
    launches: int
    rounds: int
    nurseries: int
    noise: Noise

    def normal(self, key: str, scale: float, shape: tuple[int, ...]) -> np.ndarray:
        generator = np.random.default_rng([self.seed, zlib.crc32(key.encode())])
        return generator.normal(0.0, scale, shape) if scale else np.zeros(shape)

    def of(self, case: Case) -> _Draws:
        return dataclasses.replace(
            self,
            launches=self.launches if case.launches is None else case.launches,
            rounds=self.rounds if case.rounds is None else case.rounds,
            noise=case.noise or self.noise,
        )

    def lane(self, group: str, lane: str, nursery_of: np.ndarray) -> np.ndarray:
        """Log factors of a lane's samples, launches by rounds."""
        shape, noise = (self.launches, self.rounds), self.noise
        pairs = self.normal(f"{group} {lane} pair", noise.pair / math.sqrt(2), (self.nurseries,))
        launch = self.normal(f"{group} {lane} launch", noise.launch / math.sqrt(2), (self.launches,))
        return (
            self.normal(f"{group} drift", noise.drift, shape)
            + (pairs[nursery_of] + launch)[:, None]
            + self.normal(f"{group} {lane} round", noise.round, shape)
        )


def _test(case: Case, base: records.Build | None, head: records.Build, draws: _Draws) -> records.Test:
    name = parse_test_name(case.test)
    group = group_of(case.test)
    measured = case.status == "pass" if case.measured is None else case.measured
    lanes = []
    if measured:
        if base is not None:
            lanes.append(_lane(case, name.mode, base.name, 1.0, 0, draws.of(case)))
        lanes.append(_lane(case, name.mode, head.name, case.ratio, 1, draws.of(case)))
    return records.Test(
        test=case.test,
        suite=case.suite,
        benchmark=name.model,
        type=name.type,
        device=name.device,
        mode=name.mode,
        group=group,
        category=case.category,
        domain=case.domain,
        status=case.status,
        reason=case.reason,
        stderr=case.stderr,
        lanes=tuple(lanes),
        stopped=case.stopped if measured else "",
        elapsed_seconds=12.0,
        health=case.health if measured else None,
        accuracy=case.accuracy,
    )


def _lane(case: Case, mode: str, build: str, ratio: float, side: int, draws: _Draws) -> records.LaneRecord:
    group = group_of(case.test)
    numbers = np.arange(draws.launches)
    # As the engine does: nurseries of both sides are paired one to one, and which ones differs from test to test.
    shift = 0 if side else zlib.crc32(group.encode()) % draws.nurseries
    nursery = (numbers + shift) % draws.nurseries
    seconds = case.seconds * ratio * np.exp(draws.lane(group, f"{mode} {side}", nursery))
    phases: dict[str, np.ndarray] = {}
    if parse_test_name(case.test).type == "train":
        scale = case.seconds * np.exp(draws.lane(group, f"{mode} {side}", nursery))
        phases = {
            phase: share * scale * (case.phase_ratios.get(phase, ratio) if side else 1.0)
            for phase, share in PHASES.items()
        }
    return records.LaneRecord(
        mode=mode,
        build=build,
        items=4,
        launches=tuple(
            records.Launch(
                index=index,
                nursery=int(nursery[index]),
                position=(index + side) % 2,
                steps=1,
                seconds=tuple(seconds[index].tolist()),
                warmup_seconds=(case.seconds * 3, case.seconds * 1.2),
                phases={phase: tuple(values[index].tolist()) for phase, values in phases.items()},
                minor_faults=3.0,
                peak_memory_bytes=int(2**28 * (case.memory_ratio if side else 1.0)),
                compile_seconds=2.5 if mode != "eager" else None,
            )
            for index in range(draws.launches)
        ),
        compilation=case.compilation,
    )

"""Calibration: how small a change this machine can see, and what would let it see smaller ones.

Promises figures from an A/A run, in which base and head are the same build and the true change is nothing, and plain
sentences on what disturbs. With few tests a quantile cannot be known, so what the noise floor is made of is named. The
result is kept per machine fingerprint, for the runs that follow.
"""

from __future__ import annotations

import math
import pathlib
import statistics
from collections.abc import Iterator, Sequence

import msgspec

from bot import comparison, numbers
from bot.reference import write
from harness.errors import UserError
from harness.records import Health, Machine, Run

SCHEMA_VERSION = 1

ENOUGH_FOR_QUANTILE = 20
"""Tests from which the middle 95 % of the changes leaves at least one of them out."""

OTHER_LOAD, STEAL = 0.02, 0.01
"""Shares of the lanes' CPU time from which a disturbance is worth a sentence."""


class TestNoise(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One test of the A/A run; all figures are relative changes (0.01 is 1 %)."""

    __test__ = False  # pytest takes every class called Test* for a test case

    test: str
    change: float
    low: float
    high: float
    detectable: float | None
    launches: int

    @property
    def half_width(self) -> float:
        """Half the width of the 95 % interval."""
        return (self.high - self.low) / 2


class Calibration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an A/A run said about a machine. `noise_floor` is what `basis` names; fractions throughout."""

    schema_version: int = SCHEMA_VERSION
    date: str
    machine: Machine
    torch_version: str
    allocator: str
    threads: int
    budget_seconds: float
    noise_floor: float
    basis: str
    half_width: float
    """Median over the tests of the interval's half-width."""
    detectable: float | None
    """Median over the tests of the smallest slow-down that would have been told from none."""
    tests: tuple[TestNoise, ...]
    unmeasured: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()


def calibrated(run: Run, hints: Sequence[str] = ()) -> Calibration:
    """The calibration that an A/A run gives. Raises UserError when no test of it has an interval."""
    tests, unmeasured = [], []
    for test in run.tests:
        base, head = comparison.base_lane(test, run), comparison.head_lane(test, run)
        found = comparison.between_lanes(base, head, 0.95) if base and head and test.status == "pass" else None
        if found is None or found.low is None or found.high is None:
            if test.status != "skip":
                unmeasured.append(f"{test.test} ({test.status}{f': {test.reason}' if test.reason else ''})")
            continue
        tests.append(
            TestNoise(
                test=test.test,
                change=found.change,
                low=found.low,
                high=found.high,
                detectable=found.detectable,
                launches=len(found.launches),
            )
        )
    if not tests:
        reasons = f" ({unmeasured[0]})" if unmeasured else ""
        raise UserError(f"no test could be measured well enough to calibrate with{reasons}; give --budget more")
    plan = run.header.plan
    build = next((one for one in run.header.builds if one.name == plan.head), None)
    floor, basis = noise_floor(tests)
    detectable = [one.detectable for one in tests if one.detectable is not None]
    return Calibration(
        date=run.header.started,
        machine=msgspec.structs.replace(run.header.machine, noise_floor=floor),
        torch_version=build.torch_version if build else "",
        allocator=plan.allocator,
        threads=plan.threads,
        budget_seconds=plan.budget_seconds,
        noise_floor=floor,
        basis=basis,
        half_width=statistics.median(one.half_width for one in tests),
        detectable=statistics.median(detectable) if detectable else None,
        tests=tuple(tests),
        unmeasured=tuple(unmeasured),
        hints=tuple(hints),
    )


def noise_floor(tests: Sequence[TestNoise]) -> tuple[float, str]:
    """The noise floor as a fraction, and in words what it is.

    From twenty tests on, the half-width that holds the middle 95 % of the A/A changes. With fewer, the largest change
    that was seen, or the median half-width of the intervals where that is larger: two small changes can be luck.
    """
    sizes = sorted(abs(one.change) for one in tests)
    if len(sizes) >= ENOUGH_FOR_QUANTILE:
        return sizes[math.ceil(0.95 * len(sizes)) - 1], f"held 95 % of {len(sizes)} A/A changes"
    typical = statistics.median(one.half_width for one in tests)
    if sizes[-1] >= typical:
        return sizes[-1], f"the largest of {numbers.count(len(sizes), 'A/A change')}"
    return typical, f"half the typical interval's width; the largest of {len(sizes)} A/A changes was smaller"


def hints(machine: Machine, health: Sequence[Health], cpus: int, can_pin: bool) -> list[str]:
    """Sentences on what would make figures steadier, the most useful first.

    `cpus` is how many this process may use; `can_pin` whether processes can be pinned to CPUs here.
    """
    return list(_hints(machine, health, cpus, can_pin))


def _hints(machine: Machine, health: Sequence[Health], cpus: int, can_pin: bool) -> Iterator[str]:
    load = max((one.other_load for one in health if one.other_load is not None), default=0.0)
    if load > OTHER_LOAD:
        yield (
            f"Other processes took up to {numbers.percent(load)} of the lanes' CPUs: stop them, or pin elsewhere "
            "with --cpus."
        )
    steal = max((one.steal for one in health if one.steal is not None), default=0.0)
    if steal > STEAL:
        yield (
            f"The host took up to {numbers.percent(steal)} of the CPU time (steal): ask for a machine whose cores "
            "are not shared."
        )
    if throttled := sum(one.throttled or 0 for one in health):
        yield f"The CPU was throttled {throttled} times: see to its cooling or power limit."
    if machine.governor not in (None, "performance"):
        yield (
            f"The CPU frequency governor is {machine.governor}: set performance "
            "(sudo cpupower frequency-set -g performance)."
        )
    if machine.turbo:
        yield (
            "Turbo boost is on, so the frequency depends on heat and on the other cores: turn it off "
            "(echo 0 into /sys/devices/system/cpu/cpufreq/boost, or 1 into intel_pstate/no_turbo)."
        )
    if machine.smt:
        yield (
            "Two threads share each core (SMT): turn it off (echo off into /sys/devices/system/cpu/smt/control), "
            "or leave the siblings of the lanes' CPUs idle."
        )
    if cpus == 1:
        yield "There is only one CPU, which the lanes share with all else: use a machine with two or more."
    if not can_pin:
        yield "Processes cannot be pinned to CPUs on this system: measure on Linux."
    if machine.virtual:
        yield "This is a virtual machine: what its host does cannot be seen from here; a real machine is steadier."


def path_of(folder: pathlib.Path, fingerprint: str) -> pathlib.Path:
    """Where the calibration of the machine with this fingerprint is kept."""
    return folder / f"{fingerprint}.json"


def save(folder: pathlib.Path, calibration: Calibration) -> pathlib.Path:
    """Keep the calibration for later runs and return its file. Raises UserError when it cannot be written."""
    path = path_of(folder, calibration.machine.fingerprint)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{folder} cannot be made ({error.strerror}); set XDG_STATE_HOME to a folder that can"
        ) from None
    write(path, msgspec.json.format(msgspec.json.encode(calibration), indent=1).decode() + "\n")
    return path


def load(folder: pathlib.Path, fingerprint: str) -> Calibration | None:
    """The calibration kept for a machine, or None: one that is damaged or of another version counts as none."""
    try:
        found = msgspec.json.decode(path_of(folder, fingerprint).read_bytes(), type=Calibration)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    sound = found.schema_version == SCHEMA_VERSION and found.machine.fingerprint == fingerprint
    return found if sound else None

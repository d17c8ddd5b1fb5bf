"""From what the user selects to the groups of tests that will be measured.

A group is one benchmark in one test type on one device: all its lanes are measured in the same rounds, and each of its
modes is a test. Nothing is dropped in silence: a selected test that cannot run becomes a skip with its reason, and a
selection that matches nothing is an error. Imports no torch.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness import benchmark, lanes
from harness.benchmark import Description
from harness.builds import copy_worker_tree
from harness.errors import UserError
from harness.modenames import split_mode

DEFAULT_LIST, EVERY_LIST = "current", "all"
MINIMUM_INJECTION, MAXIMUM_INJECTION = 0.001, 10.0


def test_name(type: str, model: str, device: str, mode: str) -> str:
    """A test's name in V1's grammar: `test_eval[resnet18-cpu-eager]`."""
    return f"test_{type}[{model}-{device}-{mode}]"


@dataclass(frozen=True)
class Group:
    """One benchmark in one test type on one device, with the modes to measure and those that cannot be, and why."""

    suite: str
    description: Description
    type: str
    device: str
    size: str
    modes: tuple[str, ...]
    skipped: Mapping[str, str]

    @property
    def name(self) -> str:
        """The group's name in a run."""
        return f"{self.description.suite}/{self.type}/{self.description.name}/{self.device}"

    def test(self, mode: str) -> str:
        """The name of this group's test in a mode."""
        return test_name(self.type, self.description.name, self.device, mode)

    @property
    def tests(self) -> tuple[str, ...]:
        """Names of all tests of the group, the skipped ones included."""
        return tuple(self.test(mode) for mode in (*self.modes, *self.skipped))


def describe_suites(
    suites: Sequence[str], python: str | None = None, environment: Mapping[str, str] | None = None
) -> list[Description]:
    """Descriptions of all benchmarks of the suites.

    Built-in suites are read here; a user's file, which may import torch, is read by the interpreter `python`, by
    default this one. Raises UserError for an unknown suite, a file that is not there or does not load, and two suites
    of a name.
    """
    names = [benchmark.suite_name(suite) for suite in suites]
    for suite, name in zip(suites, names, strict=True):
        if names.count(name) > 1 or (benchmark.is_file(suite) and name in benchmark.BUILTIN_SUITES):
            raise UserError(f"more than one suite is named {name}; name each once, or rename the file")
    found: list[Description] = []
    for suite in suites:
        if benchmark.is_file(suite):
            found += _describe_file(suite, python or sys.executable, environment or {})
        elif suite in benchmark.BUILTIN_SUITES:
            found += benchmark.describe([suite])
        else:
            raise UserError(unknown("suite", suite, benchmark.BUILTIN_SUITES, "or the path of a file ending in .py"))
    return found


def _describe_file(suite: str, python: str, environment: Mapping[str, str]) -> list[Description]:
    path = pathlib.Path(suite)
    if not path.is_file():
        raise UserError(f"there is no suite file {suite}; name a Python file that registers benchmarks")
    with tempfile.TemporaryDirectory(prefix="torchwarden-") as folder:
        copy_worker_tree(pathlib.Path(folder) / "harness")
        done = subprocess.run(
            [python, "-m", "harness.benchmark", str(path.resolve())],
            capture_output=True,
            text=True,
            cwd=folder,
            env={**environment, "PYTHONPATH": folder},
            check=False,
        )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(
            f"the suite {suite} does not load ({reason}); mend it, or install what it imports into the build"
        )
    entries = json.loads(done.stdout.splitlines()[-1])
    return [
        Description(
            **{**entry, **{key: tuple(entry[key]) for key in ("types", "devices", "needs", "lists", "packages")}}
        )
        for entry in entries
    ]


def of_list(descriptions: Iterable[Description], wanted: str) -> list[Description]:
    """The benchmarks of a published list, in order, and those that are on none; all of them where it is `all`.

    Raises UserError for an unknown list.
    """
    if wanted != EVERY_LIST and wanted not in benchmark.LISTS:
        raise UserError(unknown("list", wanted, (*benchmark.LISTS, EVERY_LIST)))
    return [one for one in descriptions if wanted == EVERY_LIST or not one.lists or wanted in one.lists]


def select(
    suites: Sequence[str],
    descriptions: Iterable[Description],
    *,
    types: Sequence[str],
    modes: Sequence[str],
    device: str,
    size: str,
    only: str | None = None,
    wanted_list: str = DEFAULT_LIST,
) -> list[Group]:
    """The groups to measure: every benchmark in these types and modes whose test name `only` (a regex) finds.

    Of suites that follow published lists, only the models of `wanted_list` (see `of_list`). Raises UserError for
    unknown types, modes, devices, sizes or lists, a regex that is none, and a selection without a test.
    """
    for word, given, known in (
        ("type", types, benchmark.TYPES),
        ("device", (device,), benchmark.DEVICES),
    ):
        for value in given:
            if value not in known:
                raise UserError(unknown(word, value, known))
    for mode in modes:
        check_mode(mode)
    pattern = _compiled(only)
    places = {benchmark.suite_name(suite): suite for suite in suites}
    groups = []
    sizes: set[str] = set()
    descriptions = list(descriptions)
    listed = of_list(descriptions, wanted_list)
    for description in listed:
        sizes |= set(description.sizes)
        for type in dict.fromkeys(types):
            names = {mode: test_name(type, description.name, device, mode) for mode in modes}
            chosen = [mode for mode, name in names.items() if pattern.search(name)]
            reasons = {mode: _why_not(description, type, device, mode, size) for mode in chosen}
            if chosen:
                groups.append(
                    Group(
                        suite=places[description.suite],
                        description=description,
                        type=type,
                        device=device,
                        size=size,
                        modes=tuple(mode for mode in chosen if reasons[mode] is None),
                        skipped={mode: reason for mode, reason in reasons.items() if reason is not None},
                    )
                )
    if size not in sizes:
        raise UserError(unknown("size", size, sorted(sizes)))
    owners: dict[str, str] = {}
    for group in groups:
        for name in group.tests:
            if (first := owners.setdefault(name, group.suite)) != group.suite:
                raise UserError(f"both {first} and {group.suite} have a test {name}; rename one, or select with --only")
    if not any(group.modes for group in groups):
        raise UserError(
            f"no test of {', '.join(suites)} matches the selection"
            + (f" --only {only!r}" if only else "")
            + "; see the names with `torchwarden list`"
            + (
                f", or take models that are not on the list {wanted_list} too (--list all)"
                if listed != descriptions
                else ""
            )
        )
    return groups


def check_mode(name: str) -> None:
    """Raise UserError when no mode has this name."""
    try:
        lanes.mode_of(name)
    except LookupError:
        raise UserError(unknown("mode", name, lanes.MODES, "or a backend of yours as module:function")) from None


def _compiled(only: str | None) -> re.Pattern[str]:
    try:
        # A whole test name holds brackets, which a regex would read as a set of characters.
        whole = only is not None and re.fullmatch(r"test_\w+\[[^\[\]]+\]", only)
        return re.compile(re.escape(only) if whole and only else only or "")
    except re.error as error:
        raise UserError(f"--only {only!r} is not a regular expression ({error})") from None


def _why_not(description: Description, type: str, device: str, mode: str, size: str) -> str | None:
    if size not in description.sizes:
        return f"{description.name} has no size {size}"
    return lanes.mode_of(mode).why_not(type, device) or description.why_not(type, device, split_mode(mode)[0])


def without_packages(groups: Iterable[Group], packages: Iterable[Mapping[str, str]]) -> list[Group]:
    """The groups, modes skipped where a build, given by the packages it has, lacks what they or the model need."""
    names = [{name.lower().replace("-", "_") for name in build} for build in packages]

    def lacking(group: Group, mode: str) -> str | None:
        wanted = {group.description.name: group.description.packages, f"the mode {mode}": lanes.mode_of(mode).packages}
        for who, packages in wanted.items():
            if missing := [need for need in packages if any(need not in build for build in names)]:
                return f"{who} needs {' and '.join(missing)}, which a build lacks"
        return None

    kept = []
    for group in groups:
        skipped = {mode: reason for mode in group.modes if (reason := lacking(group, mode)) is not None}
        modes = tuple(mode for mode in group.modes if mode not in skipped)
        kept.append(dataclasses.replace(group, modes=modes, skipped={**group.skipped, **skipped}))
    return kept


def parse_shard(text: str) -> tuple[int, int]:
    """Number and count of a shard written as `2/4`. Raises UserError for anything else."""
    match = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text.strip())
    number, count = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= number <= count:
        raise UserError(f"--shard {text!r} is not a shard; write the first of four as 1/4")
    return number, count


def shard(groups: Sequence[Group], number: int, count: int, durations: Mapping[str, float]) -> list[Group]:
    """The groups of shard `number` of `count`, in the order given: all shards together hold every group once.

    `durations` are seconds that tests took before. The longest group goes first to the shard that has least to do so
    far, so that the slowest shard takes at most a third longer than with the best division (Graham 1969); every shard
    computes the same division. A group never measured counts as much as the others do on average. Raises UserError when
    there are fewer groups than shards.
    """
    if len(groups) < count:
        raise UserError(f"{len(groups)} benchmarks do not make {count} shards; ask for fewer with --shard")
    # All tests of a group are measured together, so each of them tells how long the group took.
    known = [max((durations[test] for test in group.tests if test in durations), default=None) for group in groups]
    usual = statistics.fmean(found) if (found := [cost for cost in known if cost is not None]) else 1.0
    costs = [usual if cost is None else cost for cost in known]
    loads = [0.0] * count
    members: list[list[int]] = [[] for _ in range(count)]
    for index in sorted(range(len(groups)), key=lambda index: (-costs[index], groups[index].name)):
        # Ties go to the emptier shard, so that groups without a cost are spread too.
        least = min(range(count), key=lambda place: (loads[place], len(members[place])))
        loads[least] += costs[index]
        members[least].append(index)
    return [groups[index] for index in sorted(members[number - 1])]


def parse_injections(entries: Sequence[str], groups: Iterable[Group]) -> dict[str, float]:
    """Injected slow-downs by test name, from entries such as `test_eval[resnet18-cpu-eager]=10%`.

    Raises UserError for another form, a size out of range, and a test that is not in the plan.
    """
    planned = [name for group in groups for name in group.tests]
    injections: dict[str, float] = {}
    for entry in entries:
        name, _, amount = entry.rpartition("=")
        if not (match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", amount.strip())) or not name:
            raise UserError(f"--inject {entry!r} is not of the form 'TEST=10%'; write the slow-down in percent")
        fraction = float(match[1]) / 100
        if not MINIMUM_INJECTION <= fraction <= MAXIMUM_INJECTION:
            raise UserError(f"--inject {entry!r}: the slow-down must be between 0.1 % and 1000 %")
        if name not in planned:
            raise UserError(unknown("test", name, planned, "in this plan"))
        injections[name] = fraction
    return injections


def unknown(word: str, value: str, known: Iterable[str], rest: str = "") -> str:
    """The sentence for a name that stands for nothing: `there is no test 'x'; choose y, z`, the nearest ones."""
    known = list(known)
    near = difflib.get_close_matches(value, known, 3) or known[:8]
    return f"there is no {word} {value!r}; choose {', '.join(near)} {rest}".strip()

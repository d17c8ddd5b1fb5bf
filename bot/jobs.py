"""What a configuration has measured: jobs, and the command of each.

A job is one suite on one machine, or one shard of that: an entry of the workflow's matrix. Promises that a job's
command line holds nothing but options of `torchwarden run` and values that the configuration or the grammar of commands
let through, so that a step of a workflow is one line and decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bot import command, quantities
from bot.config import BASE, HEAD, Config, Event, Machine, Suite, modes
from harness import buildspec
from harness.errors import UserError
from harness.testname import quoted

EVENTS: tuple[Event, ...] = ("pull-request", "nightly")


@dataclass(frozen=True, order=True)
class Job:
    """One suite on one machine; shard `number` of `count`."""

    machine: str
    suite: str
    number: int = 1
    count: int = 1

    @property
    def name(self) -> str:
        """The name of what it leaves behind; safe as a name of a file or an artifact, and no other job's."""
        return f"run.{self.machine}.{self.suite}.{self.number}"

    @property
    def shard(self) -> str:
        """The job's part as `--shard` takes it, "" for the whole."""
        return f"{self.number}/{self.count}" if self.count > 1 else ""


@dataclass(frozen=True)
class Wanted:
    """What a command asks for beyond the configuration; nothing by default. `lanes` are modes."""

    suites: tuple[str, ...] = ()
    filter: str = ""
    lanes: tuple[str, ...] = ()
    device: str = ""


@dataclass(frozen=True)
class Commits:
    """What {base} and {head} in a configured build stand for, and builds that a command names instead of them."""

    base: str = ""
    head: str = ""
    base_build: str = ""
    head_build: str = ""


def jobs(config: Config, event: Event, wanted: Wanted | None = None) -> tuple[Job, ...]:
    """The jobs of an event: every suite that is measured then, or those that are asked for, on each of its machines.

    Raises UserError for a suite or device that the configuration does not have, and where nothing is left.
    """
    wanted = wanted or Wanted()
    for name in wanted.suites:
        quantities.known(name, config.suites, "suite")
    for mode in wanted.lanes:
        quantities.known(mode, _modes_of(config), "lane")
    if wanted.device:
        devices = {machine.device for machine in config.machines.values()}
        quantities.known(wanted.device, sorted(devices), "device")
    found = []
    for name, suite in config.suites.items():
        if name not in wanted.suites and (wanted.suites or event not in suite.when):
            continue
        for machine in suite.machines or config.machines:
            one = config.machines[machine]
            if wanted.device in ("", one.device):
                found += [Job(machine, name, number + 1, one.shards) for number in range(one.shards)]
    if not found:
        on = f" on {wanted.device}" if wanted.device else ""
        asked = ", ".join(wanted.suites) or event
        raise UserError(f"nothing is measured for {asked}{on}; see `when` and `machines` of the suites")
    return tuple(found)


def matrix(config: Config, found: Iterable[Job]) -> dict[str, list[dict[str, Any]]]:
    """The jobs as the `matrix` of a workflow."""
    return {
        "include": [
            {
                "name": job.name,
                "machine": job.machine,
                "suite": job.suite,
                "shard": job.shard,
                "runs-on": list(config.machines[job.machine].runs_on),
                "container": config.machines[job.machine].container or "",
            }
            for job in found
        ]
    }


def reports(config: Config, found: Iterable[Job]) -> dict[str, list[dict[str, str]]]:
    """The suites and machines of the jobs, each pair once: a `matrix` of those that judge and tell."""
    pairs = dict.fromkeys((job.machine, job.suite) for job in found)
    return {
        "include": [
            {
                "name": f"{machine}.{suite}",
                "machine": machine,
                "suite": suite,
                "comment": config.comment,
                "policy": config.policy.mode,
            }
            for machine, suite in pairs
        ]
    }


def run_arguments(
    config: Config,
    job: Job,
    *,
    event: Event = "pull-request",
    commits: Commits | None = None,
    wanted: Wanted | None = None,
    tests: int | None = None,
) -> list[str]:
    """The arguments of `torchwarden run` for a job, without `--out`.

    `tests` is how many the suite has, where that is known: a total budget is divided among them. Raises UserError for a
    build that needs a commit which is not given.
    """
    wanted, commits = wanted or Wanted(), commits or Commits()
    suite, machine = config.suites[job.suite], config.machines[job.machine]
    base, head = builds(config, event, commits)
    budget = seconds_per_test(machine, tests)
    options: list[tuple[str, str | None]] = [
        ("--suite", suite.file or job.suite),
        ("--only", both(suite.only or "", command.only(wanted.filter)) or None),
        ("--list", suite.list),
        ("--type", ",".join(suite.types)),
        ("--modes", ",".join(wanted.lanes or modes(suite))),
        ("--device", machine.device),
        ("--size", suite.size),
        ("--iterations", _number(suite.iterations)),
        ("--compat", suite.compat),
        ("--shard", job.shard or None),
        ("--base", base),
        ("--head", head),
        *(("--with", requirement) for requirement in config.builds.with_),
        ("--install-command", config.builds.install),
        ("--threads", _number(machine.threads)),
        ("--cpus", machine.cpus),
        ("--cpu-preset", machine.cpu_preset),
        ("--allocator", machine.allocator),
        ("--nurseries", _number(machine.nurseries)),
        ("--budget", f"{budget:g}s"),
        ("--precision", machine.precision),
        ("--threshold", _least_threshold(config)),
        ("--machine-name", job.machine),
    ]
    flags = ["--accuracy"] if suite.accuracy else []
    return [word for option, value in options if value is not None for word in (option, value)] + flags


def judge_arguments(config: Config, reference: str | None = None) -> list[str]:
    """The arguments of `torchwarden judge` for any job, without the run and `--out`."""
    policy = config.policy
    named = ["--reference", reference] if reference is not None else []
    return [
        *("--policy", policy.rule, "--threshold", policy.threshold),
        *(word for pattern, limit in policy.tests.items() for word in ("--threshold-of", f"{pattern}={limit}")),
        *("--score-threshold", policy.score_threshold, "--fdr", policy.false_discovery_rate),
        *named,
    ]


def reference_file(config: Config, job: Job) -> str:
    """Where the reference of a job's suite and machine is, from the root of the repository."""
    return config.nightly.reference or f"{config.storage.references}/{job.suite}/{job.machine}.yaml"


def builds(config: Config, event: Event, commits: Commits) -> tuple[str | None, str]:
    """Base and head of an event as `--base` and `--head` take them; no base for a night without a pinned build.

    Raises UserError for a commit that is needed and not given, or is no reference of git.
    """
    night = event == "nightly"
    base = commits.base_build or (config.nightly.base if night else config.builds.base)
    head = commits.head_build or (config.builds.nightly if night else config.builds.head)
    return _with_commits(base, commits) if base else None, _with_commits(head, commits)


def as_build(text: str) -> str:
    """What a command names (a commit, a branch, a release or a nightly) as a build."""
    return text if buildspec.kind_of(text) in ("requirement", "nightly") else f"git:{text}"


def both(first: str, second: str) -> str:
    """A regular expression that finds what two others find; "" stands for everything.

    A whole test name, which `--only` takes as it is, holds brackets that an expression would read as a set.
    """
    if not first or not second:
        return first or second
    one, other = (re.escape(text) if re.fullmatch(r"test_\w+\[[^\[\]]+\]", text) else text for text in (first, second))
    return f"^(?=.*(?:{one}))(?=.*(?:{other}))"


def seconds_per_test(machine: Machine, tests: int | None) -> float:
    """Most seconds of measuring per test: the machine's budget, or less where `tests` must share a total.

    Raises UserError when less than a second would be left for each.
    """
    budget = quantities.duration(machine.budget, "budget")
    if machine.total_budget is None or not tests:
        return budget
    share = quantities.duration(machine.total_budget, "total-budget") * machine.shards / tests
    if share < 1:
        raise UserError(
            f"a total-budget of {machine.total_budget} leaves less than a second for each of {tests} tests; "
            "raise it, add shards, or select fewer tests"
        )
    return min(budget, share)


def _modes_of(config: Config) -> list[str]:
    from harness.lanes import MODES

    return list(dict.fromkeys([*(mode for suite in config.suites.values() for mode in modes(suite)), *MODES]))


def _with_commits(build: str, commits: Commits) -> str:
    for place, commit, word in ((BASE, commits.base, "base"), (HEAD, commits.head, "head")):
        if place not in build:
            continue
        if not commit:
            raise UserError(f"the build {build} needs a commit; name it with --{word}")
        if not command.is_reference(commit):
            raise UserError(f"{quoted(commit)} is not a commit, a branch or a tag; name one with --{word}")
        build = build.replace(place, commit)
    return build


def _least_threshold(config: Config) -> str:
    """The threshold to measure for: a test whose own is lower must be measured until that is decided too."""
    return min(
        (config.policy.threshold, *config.policy.tests.values()),
        key=lambda limit: quantities.percentage(limit, "threshold"),
    )


def _number(value: int | None) -> str | None:
    return None if value is None else str(value)


def count_tests(suite: Suite, name: str, machine: Machine, wanted: Wanted | None = None) -> int | None:
    """How many tests a built-in suite has here; None for a file, which takes torch to read.

    Raises UserError where the selection matches nothing.
    """
    from harness import plan

    if suite.file is not None:
        return None
    wanted = wanted or Wanted()
    groups = plan.select(
        (name,),
        plan.describe_suites((name,)),
        types=suite.types,
        modes=wanted.lanes or modes(suite),
        device=machine.device,
        size=suite.size,
        only=both(suite.only or "", command.only(wanted.filter)) or None,
        wanted_list=suite.list,
    )
    return sum(len(group.modes) for group in groups)

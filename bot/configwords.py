"""A configuration in plain words: what is measured where, how long that may take, and what fails a check.

Promises nothing that was not worked out from the file: times are upper bounds of measuring, and what is not known here
(the tests of a file that only torch can read) is said to be not known. Lines of plain text, for `config check`.
"""

from __future__ import annotations

from collections.abc import Iterator

from bot import jobs, numbers
from bot.config import Config, Event, Machine, Suite, modes
from bot.jobs import Commits, Job
from harness.errors import UserError

_WHEN: dict[Event, str] = {"pull-request": "on pull requests", "nightly": "every night"}
_COMMENTS = {
    "always": "A pull request gets one comment, which is edited.",
    "on-change": "A pull request gets a comment once something changed.",
    "never": "Nothing is commented; the check holds the result.",
}

NOT_YET = ("policy.confirm", "storage.branch", "storage.pages")
"""Keys that are read and explained, and that no command follows yet."""


def explain(config: Config) -> Iterator[str]:
    """The lines. Raises UserError for a suite in which nothing can be measured."""
    for name, machine in config.machines.items():
        yield from _machine(config, name, machine)
        yield ""
    yield from _builds(config)
    yield ""
    yield from _check(config)
    yield ""
    yield from _people(config)
    yield ""
    yield f"Not yet followed by this version: {', '.join(NOT_YET)}."


def _machine(config: Config, name: str, machine: Machine) -> Iterator[str]:
    inside = f" in {machine.container}" if machine.container else ""
    labels = ", ".join(machine.runs_on)
    yield f"Machine {name}, a runner labelled {labels}{inside}: {machine.device}, {_threads(machine)}"
    pairs = [(key, suite) for key, suite in config.suites.items() if name in (suite.machines or config.machines)]
    if not pairs:
        yield "  measures nothing: no suite names it"
    for key, suite in pairs:
        when = " and ".join(_WHEN[event] for event in jobs.EVENTS if event in suite.when) or "only when asked for"
        yield f"  {key} {when}: {', '.join(suite.types)} in {', '.join(modes(suite))}, size {suite.size}"
        yield f"    {_how_long(config, Job(name, key), suite, machine)}"


def _threads(machine: Machine) -> str:
    if machine.cpu_preset is not None:
        return f"CPUs and threads of the preset {machine.cpu_preset}"
    count = machine.threads or 1
    pinned = f", pinned to {machine.cpus}" if machine.cpus else ""
    return f"{count} thread{'s' if count > 1 else ''} per step{pinned}"


def _how_long(config: Config, job: Job, suite: Suite, machine: Machine) -> str:
    count = jobs.count_tests(suite, job.suite, machine)
    if count is None:
        total = f", at most {machine.total_budget} in all" if machine.total_budget else ""
        return f"as many tests as {suite.file} has, {machine.budget} of measuring for each at most{total}"
    if count == 0:
        raise UserError(
            f"no test of {job.suite} can run on {machine.device} in {', '.join(modes(suite))}; "
            f"see why with `torchwarden list --suite {job.suite} --device {machine.device}`"
        )
    each = jobs.seconds_per_test(machine, count)
    runners = f" on {machine.shards} runners" if machine.shards > 1 else ""
    whole = numbers.duration(each * -(-count // machine.shards))
    return (
        f"{count} tests, {numbers.duration(each)} of measuring for each at most: {whole}{runners}, "
        "and before that the builds, and compiling where a mode does"
    )


def _builds(config: Config) -> Iterator[str]:
    commits = Commits(base="merge-base", head="head")
    base, head = jobs.builds(config, "pull-request", commits)
    yield f"A pull request is judged by {_build(head)} against {_build(base or '')}, both measured in the same rounds."
    base, head = jobs.builds(config, "nightly", Commits(head="newest-commit"))
    reference = config.nightly.reference or f"{config.storage.references}/<suite>/<machine>.yaml"
    against = f"{_build(base)}, measured beside it" if base else f"the norms in {reference}"
    yield f"A night is judged by {_build(head)} against {against}."
    commits_wanted = any(text.startswith("git:") for text in (config.builds.base, config.builds.head))
    if commits_wanted:
        yield f"A commit is installed by: {' && '.join(config.builds.install.strip().splitlines())}"
    if config.builds.with_:
        yield f"Into every build goes {', '.join(config.builds.with_)} too."


def _build(text: str) -> str:
    known = {
        "git:merge-base": "a build of its merge base",
        "git:head": "a build of its head",
        "git:newest-commit": "a build of the newest commit",
    }
    return known.get(text, text)


def _check(config: Config) -> Iterator[str]:
    policy = config.policy
    each, whole = policy.threshold, policy.score_threshold
    sure = ", with evidence that it is no noise" if policy.rule == "torchwarden" else " in size alone (rule v1)"
    fails = f"a test that is slower by {each} or more{sure}, or a score that is worse by {whole} or more"
    if policy.mode == "gate":
        yield f"The check of a pull request fails for {fails}."
    else:
        yield f"The check of a pull request never fails (advise); it reports {fails}."
    if policy.confirm.enabled:
        yield f"Such a test is measured again first, for at most {policy.confirm.budget}, base and head both."
    if policy.tests:
        yield "Of several thresholds below that match a test, the last counts:"
        yield from (f"  {pattern}: {limit}" for pattern, limit in policy.tests.items())
    yield "A test that fails, is missing or cannot be decided never counts as a pass."
    yield _COMMENTS[config.comment]


def _people(config: Config) -> Iterator[str]:
    allowed = f", and {', '.join(config.permissions.allow)}" if config.permissions.allow else ""
    yield f"Commands (`/perf help`) are taken from people who may write to the repository{allowed}."
    forks = config.permissions.forks
    yield (
        "Commits of forks are never measured."
        if forks == "nobody"
        else f"A commit of a fork is measured only when someone with the right to {forks} says so, for that commit."
    )
    for one in config.owners:
        yield f"  {one.match}: {', '.join(one.owners) or 'nobody'}"
    clean = config.nightly.clean_nights
    yield f"An issue about a regression closes after {clean} clean night{'s' if clean > 1 else ''}."
    pages = "published to GitHub Pages" if config.storage.pages else "not published"
    yield f"Runs are kept on the branch {config.storage.branch}; the dashboard is {pages}."

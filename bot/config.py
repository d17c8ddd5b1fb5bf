"""The configuration: `.github/torchwarden.yml` in the user's repository.

Promises that a file is either read whole or refused with one sentence that names line and key, that every value which
later becomes a path, a reference, a label or a word of a command matches a tight pattern, and that the structs below
are at the same time the JSON Schema and the documentation (`docs/config.md`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from bot import inputs, owners, quantities, yamlstructs
from harness import benchmark, lanes
from harness.errors import UserError
from harness.modenames import join_mode, split_mode
from harness.testname import quoted

PATH = Path(".github/torchwarden.yml")
"""Where the file is, from the root of a repository."""

SCHEMA_FILE = "torchwarden.schema.json"
"""The name of the JSON Schema that `torchwarden init` writes beside it, for editors."""

MAX_BYTES = 2**20

BASE, HEAD = "{base}", "{head}"
"""What stands in a build for the commit to compare with and for the one that is judged."""

LONGEST_NAME = 28
"""Two names together, a suite's and a machine's, name a check and a comment."""

_NAME = r"^[a-z0-9]+(?:[_-][a-z0-9]+)*$"
_LOGIN = r"^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,58}[A-Za-z0-9])?$"
_RELATIVE = r"(?!.*(?:^|/)\.\.?(?:/|$))(?!.*//)[A-Za-z0-9._][A-Za-z0-9._/-]*"
_REFERENCE = r"(?!.*(?:\.\.|//|/\.|\./|\.lock(?:/|$)|[./]$))[A-Za-z0-9][A-Za-z0-9._/-]*"
_RELEASES = (
    r"torch(?:==|>=|<=|~=)[A-Za-z0-9.+]+(?: [A-Za-z0-9._-]+(?:\[[a-z0-9,_-]+\])?(?:(?:==|>=|<=|~=)[A-Za-z0-9.+]+)?)*"
)
_BUILD = rf"^(?:current|nightly(?::[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})?|git:(?:\{{base\}}|\{{head\}}|{_REFERENCE})|{_RELEASES}|https://[A-Za-z0-9.-]+(?::[0-9]+)?/[A-Za-z0-9._~/%+-]+\.whl)$"


def _pattern(pattern: str, wanted: str, longest: int, **more: Any) -> Meta:
    return Meta(pattern=pattern, max_length=longest, extra={"wanted": wanted, **more})


Name = Annotated[
    str, _pattern(_NAME, f"at most {LONGEST_NAME} small letters, digits and single - and _ in between", LONGEST_NAME)
]
Mode = Annotated[
    str,
    _pattern(r"^[A-Za-z_][A-Za-z0-9_.]*(?::[A-Za-z_][A-Za-z0-9_]*)?$", "a mode such as eager or inductor", 200),
]
Label = Annotated[
    str, _pattern(r"^[A-Za-z0-9][A-Za-z0-9._-]*$", "a runner's label such as ubuntu-24.04 or self-hosted", 256)
]
File = Annotated[str, _pattern(rf"^{_RELATIVE}$", "a path in this repository such as benchmarks/my_suite.py", 256)]
SuiteFile = Annotated[
    str, _pattern(rf"^{_RELATIVE}\.py$", "a Python file in this repository such as benchmarks/my_suite.py", 256)
]
Branch = Annotated[str, _pattern(rf"^{_REFERENCE}$", "the name of a branch such as torchwarden-history", 200)]
Build = Annotated[
    str,
    _pattern(_BUILD, "git:{base}, git:{head}, git:REF, torch==2.13.0, nightly, current or the address of a wheel", 500),
]
Requirement = Annotated[
    str,
    _pattern(
        r"^[A-Za-z0-9][A-Za-z0-9._-]*(?:\[[A-Za-z0-9,._-]+\])?(?:(?:==|>=|<=|~=|!=|<|>)[A-Za-z0-9.*+!]+(?:,(?:==|>=|<=|~=|!=|<|>)[A-Za-z0-9.*+!]+)*)?$",
        "a requirement such as numpy or timm>=1.0",
        200,
    ),
]
Duration = Annotated[str, _pattern(r"^[0-9]+(?:\.[0-9]+)?(?:ms|s|m|min|h)$", "a duration such as 60s, 2m or 1h", 16)]
Percentage = Annotated[str, _pattern(r"^[0-9]+(?:\.[0-9]+)? ?%$", "a percentage with its sign such as 7%", 16)]
Cpus = Annotated[str, _pattern(r"^[0-9]+(?:-[0-9]+)?(?:,[0-9]+(?:-[0-9]+)?)*$", "CPU numbers such as 2,3 or 4-7", 200)]
Image = Annotated[
    str,
    _pattern(
        r"^[a-z0-9][a-z0-9._/:-]*@sha256:[0-9a-f]{64}$",
        "an image with its digest such as ghcr.io/me/torch@sha256:..., for a tag may be another image tomorrow",
        512,
    ),
]
Variable = Annotated[
    str,
    _pattern(
        r"^(?!GITHUB_|ACTIONS_|RUNNER_|PATH$|PYTHONPATH$|HOME$|LD_)[A-Z_][A-Z0-9_]*$",
        "a variable such as OMP_PROC_BIND, not one of GitHub's, of the loader's or PATH",
        100,
    ),
]
VariableValue = Annotated[str, Meta(max_length=1000)]
Pattern = Annotated[
    str,
    _pattern(r"^[A-Za-z0-9_.\[\]*?+/-]+$", "a pattern of test names such as test_train[*] or torchbench/resnet*", 200),
]
Login = Annotated[str, _pattern(_LOGIN, "the name of a GitHub user, without @", 60)]
Owner = Annotated[
    str,
    _pattern(r"^@[A-Za-z0-9][A-Za-z0-9_-]{0,59}(?:/[a-z0-9][a-z0-9._-]{0,99})?$", "@user or @organisation/team", 161),
]
Expression = Annotated[str, Meta(max_length=2000, extra={"wanted": "a regular expression on one line"})]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Command = Annotated[str, Meta(min_length=1, max_length=4000, extra={"wanted": "a shell command", "lines": True})]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Base of all parts of a configuration: immutable, strict, keys with hyphens."""


def _meta(text: str, **more: Any) -> Meta:
    return Meta(description=text, **more)


Event = Literal["pull-request", "nightly"]


class Suite(Part, frozen=True, kw_only=True):
    """What is measured. The name is that of a built-in suite, or any where `file` names one of yours."""

    file: Annotated[
        SuiteFile | None, _meta("A suite of yours: a Python file whose name without .py is the suite's name.")
    ] = None
    size: Annotated[Name, _meta("Size of models and inputs.")] = "small"
    types: Annotated[tuple[Literal["eval", "train"], ...], _meta("Test types.", min_length=1)] = ("eval", "train")
    modes: Annotated[tuple[Mode, ...], _meta("Modes (lanes), see `torchwarden list`.", min_length=1, max_length=20)] = (
        "eager",
    )
    precisions: Annotated[
        tuple[Literal["float32", "tf32", "bf16", "fp16", "amp", "amp_bf16", "amp_fp16"], ...],
        _meta("Precisions that every mode is measured in.", min_length=1),
    ] = ("float32",)
    only: Annotated[
        Expression | None, _meta("A regular expression: only tests whose name it finds; or one whole name.")
    ] = None
    list: Annotated[
        Literal["current", "2025", "earlier", "all"],
        _meta("Which published list of models timm and huggingface follow."),
    ] = "current"
    compat: Annotated[
        Literal["v1", "dynamo", "dynamo-2022"] | None, _meta("Whose ways to follow where they change the timing.")
    ] = None
    iterations: Annotated[Count | None, _meta("Train steps in a timed call, instead of the size's own.")] = None
    accuracy: Annotated[bool, _meta("Compare results with eager's and float64's before timing.")] = False
    when: Annotated[
        tuple[Event, ...], _meta("When it is measured without being asked for; `/perf run NAME` does so at any time.")
    ] = ("pull-request", "nightly")
    machines: Annotated[tuple[Name, ...], _meta("Machines that measure it; none named means all.")] = ()


class Machine(Part, frozen=True, kw_only=True):
    """Where it is measured: a kind of runner, and how the lanes run on it."""

    runs_on: Annotated[
        tuple[Label, ...],
        _meta("Labels of the runner, as `runs-on` of a workflow takes them.", min_length=1, max_length=20),
    ]
    device: Annotated[Literal["cpu", "cuda"], _meta("Device that steps run on.")] = "cpu"
    threads: Annotated[Count | None, _meta("Threads of a step; 1 unless a preset says otherwise.")] = None
    cpus: Annotated[Cpus | None, _meta("CPUs to pin the lanes to; the last ones where there is none named.")] = None
    cpu_preset: Annotated[
        Literal["physical-cores", "numa-node", "single-core"] | None,
        _meta("CPUs and threads at once, by the machine's topology; instead of `cpus` and `threads`."),
    ] = None
    allocator: Annotated[
        Literal["keep", "system", "jemalloc", "tcmalloc"], _meta("How memory is given to the lanes.")
    ] = "keep"
    budget: Annotated[Duration, _meta("Most time for measuring a test.")] = "20s"
    total_budget: Annotated[
        Duration | None,
        _meta("Most time for measuring a suite in one shard: with many tests, each has less than `budget`."),
    ] = None
    precision: Annotated[Percentage, _meta("Half-width of the interval at which a test is measured well enough.")] = (
        "1%"
    )
    nurseries: Annotated[
        int, _meta("Preloaded processes per build, which launches are forked from in turn.", ge=1, le=64)
    ] = 6
    shards: Annotated[int, _meta("Runners among which the tests of a suite are divided.", ge=1, le=256)] = 1
    container: Annotated[Image | None, _meta("Image of the container that the job runs in.")] = None
    environment: Annotated[
        dict[Variable, VariableValue], _meta("Environment variables of builds and lanes.", max_length=50)
    ] = {}


class Builds(Part, frozen=True, kw_only=True):
    """Which builds are compared. In a commit, {base} stands for the merge base and {head} for the commit judged."""

    base: Annotated[Build, _meta("What a pull request is compared with.")] = "git:{base}"
    head: Annotated[Build, _meta("What a pull request is judged by.")] = "git:{head}"
    nightly: Annotated[Build, _meta("What is judged at night.")] = "git:{head}"
    install: Annotated[Command, _meta("How a commit is installed: a shell command in a clone of the repository.")] = (
        "pip install -e ."
    )
    with_: Annotated[
        tuple[Requirement, ...], _meta("Requirements that are installed into every build too.", max_length=50)
    ] = msgspec.field(default=(), name="with")


class Confirm(Part, frozen=True, kw_only=True):
    """Whether a signal is measured again before anyone is told."""

    enabled: Annotated[bool, _meta("Measure the tests that are signals again, base and head both.")] = True
    budget: Annotated[Duration, _meta("Most time for measuring a test again.")] = "60s"


class Policy(Part, frozen=True, kw_only=True):
    """When a change is a signal, and what a signal does."""

    rule: Annotated[
        Literal["torchwarden", "v1"], _meta("torchwarden asks for size and evidence, v1 for size only.")
    ] = "torchwarden"
    threshold: Annotated[Percentage, _meta("Change of a test that is a signal.")] = "7%"
    score_threshold: Annotated[Percentage, _meta("Change of the score that is a signal.")] = "1%"
    false_discovery_rate: Annotated[Percentage, _meta("False discoveries allowed among signals.")] = "5%"
    tests: Annotated[
        dict[Pattern, Percentage],
        _meta(
            "Thresholds of certain tests, by patterns as in `owners`; of several that match, the last counts.",
            max_length=500,
        ),
    ] = {}
    mode: Annotated[
        Literal["gate", "advise"], _meta("gate: a regression fails the check. advise: it is only reported.")
    ] = "advise"
    confirm: Annotated[Confirm, _meta("Measuring a signal again.")] = Confirm()


class Nightly(Part, frozen=True, kw_only=True):
    """What is measured every night beside the default branch, and when an issue closes."""

    base: Annotated[
        Build | None, _meta("Pinned build that a night is compared with; the reference file's own where there is none.")
    ] = None
    reference: Annotated[
        File | None, _meta("Reference YAML that a night is compared with; below `storage.references` without it.")
    ] = None
    clean_nights: Annotated[int, _meta("Nights without the regression after which its issue closes.", ge=1, le=60)] = 3
    window: Annotated[
        int, _meta("Nights that an issue remembers (at most 120), and a trend looks back on.", ge=2, le=1000)
    ] = 30


class Owners(Part, frozen=True, kw_only=True):
    """Who is told of a test."""

    match: Annotated[Pattern, _meta("Test names or suites, see below.")]
    owners: Annotated[tuple[Owner, ...], _meta("@user or @organisation/team; none for nobody.", max_length=20)]


class Permissions(Part, frozen=True, kw_only=True):
    """Who may command the bot, beside those who may write to the repository."""

    allow: Annotated[tuple[Login, ...], _meta("Users who may command without the right to write.", max_length=200)] = ()
    forks: Annotated[
        Literal["write", "maintain", "admin", "nobody"],
        _meta("Right that it takes to have a commit from a fork measured; `allow` does not count here."),
    ] = "write"


class Storage(Part, frozen=True, kw_only=True):
    """Where results are kept."""

    branch: Annotated[Branch, _meta("Branch without parents that keeps every run.")] = "torchwarden-history"
    references: Annotated[File, _meta("Folder of reference YAML: <suite>/<machine>.yaml.")] = "reference"
    pages: Annotated[bool, _meta("Whether the dashboard is published to GitHub Pages.")] = False


class Config(Part, frozen=True, kw_only=True):
    """The whole file."""

    version: Annotated[Literal[1], _meta("Version of this format.")]
    suites: Annotated[dict[Name, Suite], _meta("What is measured, by name.", min_length=1, max_length=50)]
    machines: Annotated[dict[Name, Machine], _meta("Where it is measured, by name.", min_length=1, max_length=50)]
    builds: Annotated[Builds, _meta("Which builds are compared.")] = Builds()
    policy: Annotated[Policy, _meta("When a change is a signal, and what it does.")] = Policy()
    comment: Annotated[
        Literal["always", "on-change", "never"],
        _meta("Comment on a pull request always, only when something changed, or never."),
    ] = "always"
    nightly: Annotated[Nightly, _meta("What is measured every night.")] = Nightly()
    owners: Annotated[
        tuple[Owners, ...], _meta("Who is told; of several that match, the last counts.", max_length=500)
    ] = ()
    permissions: Annotated[Permissions, _meta("Who may command the bot.")] = Permissions()
    storage: Annotated[Storage, _meta("Where results are kept.")] = Storage()


def load(path: Path) -> Config:
    """The configuration in the file `path`.

    Raises UserError, one sentence with file and line, for a file that cannot be read, is over 1 MiB, is not YAML or is
    not a configuration.
    """
    content = inputs.read(
        path,
        MAX_BYTES,
        wanted="name a configuration, or write one with `torchwarden init`.",
        too_large="no configuration is that large, give another file.",
    )
    try:
        text = content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: is not UTF-8; save it as UTF-8.") from None
    return parse(text, str(path))


def parse(text: str, name: str = str(PATH)) -> Config:
    """The configuration that `text` holds; `name` stands for the file in messages. Raises UserError."""
    config = yamlstructs.decode(text, name, Config)
    for keys, problem in _problems(config):
        space = "" if problem.startswith(":") else " "
        raise UserError(f"{name}:{yamlstructs.line(text, name, keys)}: {'.'.join(keys)}{space}{problem}.")
    return config


def rules(config: Config) -> tuple[owners.Rule, ...]:
    """The owners of tests, as `bot.owners` takes them."""
    return tuple(owners.Rule(one.match, one.owners) for one in config.owners)


def modes(suite: Suite) -> tuple[str, ...]:
    """Every mode of a suite in every precision; one that names its precision is left as it is."""
    found = (
        mode if split_mode(mode)[1] != "float32" else join_mode(mode, precision)
        for precision in suite.precisions
        for mode in suite.modes
    )
    return tuple(dict.fromkeys(found))


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the file, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Torchwarden configuration",
        **msgspec.json.schema(Config),
    }


_Problem = tuple[tuple[str, ...], str]
"""The keys that lead to what is wrong, and what it is, as the rest of a sentence that begins with them."""


def _problems(config: Config) -> Iterator[_Problem]:
    """What no type can say."""
    for name, suite in config.suites.items():
        yield from _suite_problems(("suites", name), suite, config)
    for name, machine in config.machines.items():
        yield from _machine_problems(("machines", name), machine)
    policy = config.policy
    yield from _refused(quantities.percentage, policy.threshold, "policy", "threshold")
    yield from _refused(quantities.percentage, policy.score_threshold, "policy", "score-threshold")
    yield from _refused(quantities.percentage, policy.false_discovery_rate, "policy", "false-discovery-rate")
    for pattern, limit in policy.tests.items():
        yield from _refused(quantities.percentage, limit, "policy", "tests", pattern)
    yield from _refused(quantities.duration, policy.confirm.budget, "policy", "confirm", "budget")
    nights = {("builds", "nightly"): config.builds.nightly, ("nightly", "base"): config.nightly.base or ""}
    for keys, build in nights.items():
        if BASE in build:
            yield keys, f"is {build}, and a night has no merge base; write git:{HEAD}, a release or nightly"


def _suite_problems(keys: tuple[str, ...], suite: Suite, config: Config) -> Iterator[_Problem]:
    name = keys[-1]
    if suite.file is None:
        if name not in benchmark.BUILTIN_SUITES:
            known = ", ".join(benchmark.BUILTIN_SUITES)
            yield keys, f"is not a built-in suite ({known}); name its `file`, or mend the name"
    elif Path(suite.file).stem != name or name in benchmark.BUILTIN_SUITES:
        yield keys, f"has the file {suite.file}; a suite of yours has the name of its file, and no built-in one's"
    for mode in suite.modes:
        try:
            lanes.mode_of(mode)
        except LookupError:
            yield from _refused(lambda text, _: quantities.known(text, lanes.MODES, "mode"), mode, *keys, "modes")
    for machine in suite.machines:
        yield from _refused(
            lambda text, _: quantities.known(text, config.machines, "machine"), machine, *keys, "machines"
        )
    if suite.only is not None:
        try:
            # As a group, for it may have to stand beside the filter of a command.
            re.compile(f"(?:{suite.only})")
        except re.error as error:
            yield (*keys, "only"), f"is {quoted(suite.only)}, which is not a regular expression ({error}); mend it"


def _machine_problems(keys: tuple[str, ...], machine: Machine) -> Iterator[_Problem]:
    if machine.cpu_preset is not None and (machine.cpus is not None or machine.threads is not None):
        yield keys, "has a cpu-preset, which chooses CPUs and threads itself; leave it out, or cpus and threads"
    if machine.cpus is not None:
        yield from _refused(quantities.cpus, machine.cpus, *keys, "cpus")
    yield from _refused(quantities.percentage, machine.precision, *keys, "precision")
    yield from _refused(quantities.duration, machine.budget, *keys, "budget")
    if machine.total_budget is not None:
        yield from _refused(quantities.duration, machine.total_budget, *keys, "total-budget")


def _refused(read: Callable[[str, str], Any], text: str, *keys: str) -> Iterator[_Problem]:
    try:
        read(text, "and")
    except UserError as error:
        yield keys, f": {str(error).removeprefix('and ')}"

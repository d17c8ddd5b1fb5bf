"""Groups of options that several commands share, and how they become parameters of a command.

Promises that an option means the same wherever it appears: its name, default, help and parsing are written once, as a
field of a frozen dataclass. `@flattened` turns each parameter of such a type into its fields.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import pathlib
from collections.abc import Callable
from typing import Annotated, Any, get_type_hints

import typer

MEASURED, BUILDS, METHOD = "What is measured", "Builds", "How it is measured"

Reference = Annotated[pathlib.Path | None, typer.Option("--reference", metavar="YAML", help="Stored norms.")]

With = Annotated[
    list[str] | None,
    typer.Option("--with", metavar="REQUIREMENT", help="Installed into builds that are made. Repeatable."),
]
InstallCommand = Annotated[
    str, typer.Option("--install-command", metavar="COMMAND", help="Installs a commit into its build of git:REF.")
]
DEFAULT_INSTALL = "pip install -e ."


@dataclasses.dataclass(frozen=True)
class Selection:
    """Which tests of which suites."""

    suite: Annotated[
        list[str], typer.Option("--suite", metavar="S", help="A built-in suite, or a file my_suite.py. Repeatable.")
    ] = dataclasses.field(default_factory=lambda: ["smoke"])
    only: Annotated[
        str | None, typer.Option("--only", metavar="REGEX", help="Only tests whose name matches, or a whole name.")
    ] = None
    listed: Annotated[
        str, typer.Option("--list", metavar="NAME", help="Models of timm and huggingface: current, 2025, earlier, all.")
    ] = "current"
    type: Annotated[str, typer.Option("--type", metavar="LIST", help="Test types: eval, train.")] = "eval,train"
    modes: Annotated[str, typer.Option("--modes", metavar="LIST", help="Modes, see `torchwarden list`.")] = "eager"
    dtype: Annotated[
        str,
        typer.Option("--dtype", metavar="LIST", help="Precisions: float32, bf16, fp16, amp, amp_bf16, amp_fp16, tf32."),
    ] = "float32"
    device: Annotated[str, typer.Option("--device", metavar="DEVICE", help="cpu or cuda.")] = "cpu"
    size: Annotated[str, typer.Option("--size", metavar="S", help="Size of models and inputs.")] = "small"
    iterations: Annotated[
        int | None,
        typer.Option("--iterations", metavar="N", min=1, help="Train steps in a timed call (default: the size's)."),
    ] = None
    compat: Annotated[
        str | None, typer.Option("--compat", metavar="NAME", help="Follow the ways of v1, dynamo or dynamo-2022.")
    ] = None
    shard: Annotated[
        str | None, typer.Option("--shard", metavar="I/N", help="Only the I-th of N parts, such as 1/4.")
    ] = None
    durations: Annotated[
        pathlib.Path | None,
        typer.Option("--durations", metavar="RUN", help="A run whose durations make the parts of --shard equal."),
    ] = None
    accuracy: Annotated[
        bool, typer.Option("--accuracy", help="Compare results with eager's and float64's before timing.")
    ] = False
    update: Annotated[
        bool, typer.Option("--update/--no-update", help="Whether a train step ends with the optimizer's step.")
    ] = True


@dataclasses.dataclass(frozen=True)
class Builds:
    """Which builds."""

    base: Annotated[
        str | None,
        typer.Option(
            "--base",
            metavar="BUILD",
            help="Build to compare with: current, a Python interpreter, torch==2.13.0, FILE.whl, nightly:DAY or "
            "git:REF; each may be named, as old=torch==2.13.0. Without it, one build.",
        ),
    ] = None
    head: Annotated[str, typer.Option("--head", metavar="BUILD", help="Build that is judged, named as --base.")] = (
        "current"
    )
    control: Annotated[
        bool,
        typer.Option(
            "--control/--no-control", help="Measure steps without torch too where two builds differ: the suite control."
        ),
    ] = True
    ab_env: Annotated[
        list[str] | None,
        typer.Option(
            "--ab-env", metavar="NAME=VALUE", help="Compare the head with itself without this variable. Repeatable."
        ),
    ] = None
    beside: With = None
    install_command: InstallCommand = DEFAULT_INSTALL


@dataclasses.dataclass(frozen=True)
class Method:
    """How tests are measured."""

    threads: Annotated[
        int | None, typer.Option("--threads", metavar="N", help="Threads of a step (default: 1, or the preset's).")
    ] = None
    cpus: Annotated[
        str | None, typer.Option("--cpus", metavar="LIST", help="CPUs to pin to, such as 2,3 (default: the last ones).")
    ] = None
    cpu_preset: Annotated[
        str | None,
        typer.Option(
            "--cpu-preset", metavar="NAME", help="CPUs and threads at once: physical-cores, numa-node, single-core."
        ),
    ] = None
    budget: Annotated[str, typer.Option("--budget", metavar="TIME", help="Most time per test, such as 60s.")] = "20s"
    total_budget: Annotated[
        str | None,
        typer.Option(
            "--total-budget", metavar="TIME", help="Time that all tests share, most of it for the undecided ones."
        ),
    ] = None
    precision: Annotated[
        str, typer.Option("--precision", metavar="PERCENT", help="Half-width of the interval at which to stop.")
    ] = "1%"
    threshold: Annotated[
        str, typer.Option("--threshold", metavar="PERCENT", help="Change of a test that counts as a signal.")
    ] = "7%"
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, max=2**31 - 1, help="Order of rounds.")] = 1337
    allocator: Annotated[
        str, typer.Option("--allocator", metavar="NAME", help="keep, system, jemalloc or tcmalloc.")
    ] = "keep"
    code_pages: Annotated[
        str,
        typer.Option("--code-pages", metavar="KIND", help="own, shared, or auto: own where two interpreters compare."),
    ] = "auto"
    nurseries: Annotated[
        int, typer.Option("--nurseries", metavar="N", min=1, max=64, help="Preloaded processes per build.")
    ] = 6
    step_timeout: Annotated[
        str, typer.Option("--step-timeout", metavar="TIME", help="A step that takes longer has hung.")
    ] = "120s"
    launch_timeout: Annotated[
        str,
        typer.Option("--launch-timeout", metavar="TIME", help="Building, compiling and warming up that takes longer."),
    ] = "1800s"
    inject: Annotated[
        list[str] | None,
        typer.Option("--inject", metavar="TEST=10%", help="Slow a test of the head by real extra work. Repeatable."),
    ] = None
    machine_name: Annotated[
        str | None, typer.Option("--machine-name", metavar="NAME", help="Name of this machine (default: host name).")
    ] = None


@dataclasses.dataclass(frozen=True)
class Judging:
    """By which rule."""

    policy: Annotated[
        str, typer.Option("--policy", metavar="NAME", help="torchwarden (size and evidence) or v1 (size only).")
    ] = "torchwarden"
    threshold_of: Annotated[
        list[str] | None,
        typer.Option(
            "--threshold-of", metavar="PATTERN=10%", help="Of certain tests; the last match counts. Repeatable."
        ),
    ] = None
    score_threshold: Annotated[
        str, typer.Option("--score-threshold", metavar="PERCENT", help="Change of the score that is a signal.")
    ] = "1%"
    fdr: Annotated[str, typer.Option("--fdr", metavar="PERCENT", help="False discoveries allowed among signals.")] = (
        "5%"
    )


@dataclasses.dataclass(frozen=True)
class Concluding:
    """What follows the measuring."""

    confirm: Annotated[
        bool, typer.Option("--confirm/--no-confirm", help="Measure suspect tests again before they are signals.")
    ] = True
    confirm_budget: Annotated[
        str | None, typer.Option("--confirm-budget", metavar="TIME", help="Most time per test then (default: 3x).")
    ] = None
    explain: Annotated[
        bool, typer.Option("--explain/--no-explain", help="Look for what explains the largest signals.")
    ] = True
    out_dir: Annotated[
        pathlib.Path,
        typer.Option(
            "--out-dir", metavar="DIR", help="Folder for the run (a fresh name each time), verdict and reports."
        ),
    ] = pathlib.Path("out")


def flattened(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with every parameter that is a dataclass replaced by that class's fields, as typer wants them."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, type[Any]] = {}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if not (isinstance(hints[name], type) and dataclasses.is_dataclass(hints[name])):
            parameters.append(
                parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[name]),
            )
            continue
        groups[name] = hints[name]
        kinds = get_type_hints(hints[name], include_extras=True)
        for field in dataclasses.fields(hints[name]):
            made = field.default_factory
            default = field.default if made is dataclasses.MISSING else made()
            parameters.append(
                inspect.Parameter(
                    field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kinds[field.name]
                )
            )

    @functools.wraps(command)
    def call(**values: Any) -> Any:
        for name, kind in groups.items():
            values[name] = kind(**{field.name: values.pop(field.name) for field in dataclasses.fields(kind)})
        return command(**values)

    del call.__wrapped__
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call

"""The command that measures the same again, to be pasted into a shell on another machine.

Promises a command that names no path of the machine that measured: a build is `current` where it was so, and its torch
as a requirement otherwise; a suite from a file is named by the file alone. Every word is quoted for a POSIX shell.
"""

from __future__ import annotations

import pathlib
import re
import shlex
from collections.abc import Sequence

from harness import buildspec
from harness.buildcache import DEFAULT_INSTALL
from harness.records import Header

LONGEST_LIST = 20
"""Most tests that are named one by one; a longer list is not pasted by anyone, and the whole selection is measured."""

_CURRENT = "current"
_IMPORTED = "torchwarden import "
"""How the command of an imported run begins (`harness.formats.imported`)."""


def command(header: Header, tests: Sequence[str]) -> str:
    """The `torchwarden run` command that measures `tests` again as this run did; all of the plan's when there are
    none. "" for a run that another tool measured.
    """
    if header.command.startswith(_IMPORTED):
        return ""
    plan = header.plan
    chosen = list(tests or plan.tests)
    words = ["torchwarden", "run"]
    for suite in plan.suites:
        words += ["--suite", pathlib.PurePath(suite).name]
    if 0 < len(chosen) <= LONGEST_LIST:
        names = "|".join(_escaped(name) for name in chosen)
        words += ["--only", f"^({names})$" if len(chosen) > 1 else f"^{names}$"]
    words += ["--type", ",".join(plan.types), "--modes", ",".join(plan.modes)]
    words += _builds(header)
    threads = ["--threads", str(plan.threads)] if plan.cpu_preset is None else ["--cpu-preset", plan.cpu_preset]
    words += ["--device", plan.device, *threads, "--size", plan.size]
    words += ["--budget", f"{plan.budget_seconds:g}s"]
    # A part of the tests gets its share of the time.
    if plan.total_budget_seconds is not None and len(chosen) == len(plan.tests):
        words += ["--total-budget", f"{plan.total_budget_seconds:g}s"]
    words += ["--seed", str(plan.seed)]
    for option, value, usual in (
        ("--iterations", plan.iterations, None),
        ("--compat", plan.compat, None),
        ("--allocator", plan.allocator, "keep"),
        ("--code-pages", plan.code_pages, "shared"),
    ):
        words += [option, str(value)] if value != usual else []
    words += ["--no-update"] if not plan.updates else []
    words += ["--accuracy"] if plan.accuracy else []
    for test, fraction in plan.inject.items():
        if test in chosen:
            words += ["--inject", f"{test}={fraction * 100:g}%"]
    return shlex.join([*words, "--out", "run.jsonl"])


def _escaped(name: str) -> str:
    # re.escape also escapes hyphens and the like, which makes names hard to read.
    return re.sub(r"([\\\[\](){}.^$*+?|])", r"\\\1", name)


def _builds(header: Header) -> list[str]:
    """The options that name the builds and what they are made with."""
    plan = header.plan
    builds = {build.name: build for build in header.builds}
    head = builds.get(plan.head)
    words = ["--head", _build(header, plan.head, "--head")]
    if head is not None and head.environment:
        # The base is the head without them.
        for name, value in sorted(head.environment.items()):
            words += ["--ab-env", f"{name}={value}"]
    elif plan.base is not None:
        words = ["--base", _build(header, plan.base, "--base"), *words]
    for requirement in dict.fromkeys(one for build in header.builds for one in build.beside):
        words += ["--with", requirement]
    installed_by = next((build.install_command for build in header.builds if build.install_command), DEFAULT_INSTALL)
    return [*words, *(["--install-command", installed_by] if installed_by != DEFAULT_INSTALL else [])]


def _build(header: Header, name: str, option: str) -> str:
    """How to name a build elsewhere. The name `x=current` keeps two lanes of one build apart."""
    asked = _asked(header.command, option)
    if asked is not None and asked.rpartition("=")[2] == _CURRENT:
        return asked
    build = next((build for build in header.builds if build.name == name), None)
    if build is None:
        return _CURRENT
    # A wheel's path means nothing elsewhere.
    return build.specification if buildspec.is_portable(build.specification) else f"torch=={build.torch_version}"


def _asked(line: str, option: str) -> str | None:
    """The value of an option in the command that was given, None where that cannot be read.

    A build that was not named is the current one.
    """
    try:
        words = shlex.split(line)
    except ValueError:
        return None
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == option:
            return following
        if word.startswith(option + "="):
            return word[len(option) + 1 :]
    return _CURRENT if words else None

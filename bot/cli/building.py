"""From the options on builds to the builds: shared by everything that measures.

Promises that names, specifications and variables are checked before anything is installed, that a build which serves
as base and as head is made and asked once, and that what a build was made with is recorded with it.
"""

from __future__ import annotations

import os
import pathlib
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from bot.cli.options import Builds
from harness.errors import UserError

if TYPE_CHECKING:
    from harness.buildcache import Beside
    from harness.buildspec import Specification
    from harness.records import Build

BASE, HEAD = "base", "head"

_VARIABLE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>[^\0\n]*)")
_OURS = ("PYTHONPATH", "PYTHONHOME", "TMPDIR")
"""Variables that nurseries need for themselves."""


@dataclass(frozen=True)
class Asked:
    """A build as it was asked for, and the variables that its processes alone get."""

    specification: Specification
    variables: Mapping[str, str]

    @property
    def name(self) -> str:
        """The name that its lanes bear."""
        return self.specification.name


def asked(builds: Builds) -> tuple[Asked, ...]:
    """What is asked for, the head last. Raises UserError for what cannot be meant."""
    from harness import buildspec

    variables = _variables(builds.ab_env or [])
    if variables and builds.base is not None:
        raise UserError("--ab-env compares the head with itself; leave --base out")
    given = [Asked(buildspec.parse(builds.base, BASE), {})] if builds.base is not None else []
    head = Asked(buildspec.parse(builds.head, HEAD), variables)
    if variables:
        plain = buildspec.Specification(BASE, head.specification.kind, head.specification.text)
        given = [Asked(plain, {})]
    found = (*given, head)
    if len({one.name for one in found}) < len(found):
        raise UserError(f"base and head are both named {head.name!r}; give one another name, such as new=PATH")
    return found


def _variables(entries: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in entries:
        match = _VARIABLE.fullmatch(entry)
        if match is None:
            raise UserError(f"--ab-env {entry!r} is not of the form NAME=VALUE")
        if match["name"] in _OURS:
            raise UserError(f"--ab-env cannot set {match['name']}, which is needed for measuring itself")
        if match["name"] in found:
            raise UserError(f"--ab-env sets {match['name']} twice; keep one")
        found[match["name"]] = match["value"]
    return found


def resolve(wanted: Sequence[Asked], builds: Builds, device: str) -> tuple[Build, ...]:
    """The builds, in the order asked for, made where they are not there yet. Raises UserError."""
    from harness import buildcache

    beside = buildcache.Beside(tuple(builds.beside or ()), builds.install_command)
    found: dict[tuple[str, tuple[tuple[str, str], ...]], Build] = {}
    resolved = []
    # The head first: without one there is nothing to judge, whatever the base is.
    for one in reversed(wanted):
        pinned = buildcache.pinned(one.specification, beside)
        key = pinned.text, tuple(sorted(one.variables.items()))
        if key not in found:
            found[key] = made(pinned, beside, device, one.variables)
        resolved.append(msgspec.structs.replace(found[key], name=one.name))
    return tuple(reversed(resolved))


def made(
    specification: Specification, beside: Beside, device: str, variables: Mapping[str, str] | None = None
) -> Build:
    """The build of a pinned specification, made where it is not there yet; says on stderr what is done.

    Its processes get `variables`. Raises UserError.
    """
    from harness import buildcache
    from harness.builds import resolve as one_resolved

    environment = dict(os.environ)

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def make(asked: Specification) -> pathlib.Path:
        return buildcache.interpreter(asked, beside, cache_folder() / "builds", environment, say)

    build = one_resolved(specification, environment, device=device, variables=variables, make=make)
    return msgspec.structs.replace(
        build,
        beside=beside.packages if specification.made else (),
        install_command=beside.install_command if specification.kind == "git" else "",
    )


def cache_folder() -> pathlib.Path:
    """Where builds that were made are kept (XDG Base Directory Specification); it may be emptied at any time."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    home = pathlib.Path(given) if given.startswith("/") else pathlib.Path.home() / ".cache"
    return home / "torchwarden"

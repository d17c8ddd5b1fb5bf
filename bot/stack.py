"""The parts of the stack in which two builds differ, and builds that mix them.

A change between two builds may come from torch or from what lies around it. Where both differ, a third build with the
head's torch and the base's other packages takes the change apart: base to mixed is torch's share, mixed to head that of
the rest. Promises that a mixed build is named by requirements that anyone can install, and a sentence where there is
nothing to take apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.errors import UserError
from harness.records import Build

_TORCH = re.compile(r"torch|torch(vision|audio|text|data)|(pytorch-)?triton|functorch|nvidia-.*|intel-openmp|cuda-.*")
"""Packages that come with a torch and are chosen by it."""

_OURS = ("torchwarden", "pip", "setuptools", "wheel")
"""Packages that no step uses."""


@dataclass(frozen=True)
class Parts:
    """Packages by which two builds differ, with both versions (None: absent)."""

    torch: dict[str, tuple[str | None, str | None]]
    others: dict[str, tuple[str | None, str | None]]
    environment: bool
    """Whether variables of their processes differ."""


def parts(base: Build, head: Build) -> Parts:
    """What two builds differ in."""
    ours, theirs = _packages(base), _packages(head)
    differing = {
        name: (ours.get(name), theirs.get(name))
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name) != theirs.get(name)
    }
    torch = {name: versions for name, versions in differing.items() if _TORCH.fullmatch(name)}
    others = {name: versions for name, versions in differing.items() if name not in torch}
    return Parts(torch, others, base.environment != head.environment)


def mixed(base: Build, head: Build) -> str:
    """Requirements of a build with the head's torch and the base's other packages.

    Raises UserError where the builds do not differ in both, or in more than packages: then there is nothing to mix.
    """
    found = parts(base, head)
    if base.python_version != head.python_version:
        raise UserError(
            f"base and head run different Pythons ({base.python_version}, {head.python_version}), whose packages "
            "cannot be mixed; make both with the same one"
        )
    if not found.torch or not found.others:
        only = "only in torch" if found.torch else "only in packages beside torch" if found.others else "in no package"
        raise UserError(f"base and head differ {only}, so there is nothing to take apart")
    torch = {name: version for name, version in _packages(head).items() if _TORCH.fullmatch(name)}
    others = {name: version for name, version in _packages(base).items() if not _TORCH.fullmatch(name)}
    # What torch brings of its own accord (CUDA's libraries, its compiler) follows it without being named.
    named = [name for name in torch if name.startswith("torch")]
    return " ".join([*(f"{name}=={_public(torch[name])}" for name in named), *(f"{n}=={v}" for n, v in others.items())])


def _packages(build: Build) -> dict[str, str]:
    packages = {name.lower().replace("_", "-"): version for name, version in build.packages.items()}
    return {name: version for name, version in packages.items() if name not in _OURS}


def _public(version: str) -> str:
    # How a version was built (+cpu) is the index's business.
    return version.partition("+")[0]

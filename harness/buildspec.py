"""How a build is named on the command line: read here, made in `harness.buildcache`, probed in `harness.builds`.

| written | what it is |
|---|---|
| `current` | the interpreter that runs Torchwarden |
| `/path/to/bin/python` | an interpreter that is there |
| `torch==2.13.0`, `torch>=2.6 torchvision` | requirements as pip takes them |
| `file.whl`, `https://host/file.whl` | a wheel |
| `nightly`, `nightly:2026-11-24` | PyTorch's nightly build of today or of a day |
| `git:REF` | a commit of the repository one stands in, installed by `--install-command` |

Each may have a name before it: `old=torch==2.13.0`. Promises that what is no specification is one sentence. Imports no
torch.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from typing import Literal

from harness.errors import UserError

CURRENT = "current"

Kind = Literal["current", "path", "requirement", "wheel", "nightly", "git"]
MADE: tuple[Kind, ...] = ("requirement", "wheel", "nightly", "git")
"""Kinds that are not there already and have to be installed."""

# A single "=" that belongs to no comparison and to no address.
_NAMED = re.compile(r"(?P<name>[^=<>!~/:]*)=(?!=)(?P<text>.*)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_REQUIREMENT = re.compile(r"[A-Za-z0-9][\w.-]*(\[[\w.,-]+\])?\s*(==|>=|<=|~=|!=|<|>|@)\s*\S+")
_DAY = re.compile(r"\d{4}-?\d{2}-?\d{2}")


@dataclass(frozen=True)
class Specification:
    """A build as it was asked for: its name, what kind of thing it is, and the text that says which one."""

    name: str
    kind: Kind
    text: str

    @property
    def made(self) -> bool:
        """Whether it has to be installed before there is an interpreter."""
        return self.kind in MADE


def parse(specification: str, default_name: str) -> Specification:
    """The specification written as one text, under its own name or `default_name`. Raises UserError."""
    name, text = default_name, specification.strip()
    if (named := _NAMED.fullmatch(text)) is not None:
        name, text = named["name"], named["text"].strip()
    if not _NAME.fullmatch(name):
        raise UserError(f"{name!r} cannot name a build; use letters, digits, dots, hyphens and underscores")
    if not text:
        raise UserError(f"the build {name} is named but not given; write {name}=current, or a path or requirement")
    return Specification(name, kind_of(text), _day(text) if text.startswith("nightly") else text)


def is_portable(text: str) -> bool:
    """Whether a specification means the same on another machine, as far as packages and commits can be had there."""
    return kind_of(text) in ("requirement", "nightly", "git")


def kind_of(text: str) -> Kind:
    """What kind of build a text without a name stands for; anything that is nothing else is a path."""
    if text == CURRENT:
        return "current"
    if text.startswith("git:"):
        return "git"
    if text == "nightly" or text.startswith("nightly:"):
        return "nightly"
    if text.partition("#")[0].endswith(".whl"):
        return "wheel"
    # The first word decides: `torch==2.13.0 torchvision`.
    return "requirement" if _REQUIREMENT.match(text) else "path"


def _day(text: str) -> str:
    """`nightly:20261124` for any way of writing the day; today in UTC where none is written."""
    day = text.partition(":")[2]
    if not day:
        return f"nightly:{datetime.datetime.now(datetime.timezone.utc):%Y%m%d}"
    digits = day.replace("-", "")
    try:
        if not _DAY.fullmatch(day):
            raise ValueError
        datetime.datetime.strptime(digits, "%Y%m%d")
    except ValueError:
        raise UserError(f"{text!r} names no day; write nightly:2026-11-24") from None
    return f"nightly:{digits}"

"""The name of a test, in the grammar of TorchBench score V1: `test_eval[resnet50-cpu-eager]`.

Promises that every module reads a name in the same way as V1 did, so that a run can be scored with the
published reference. For whoever has to know which model, device and mode a name stands for, or has to list names in a
sentence.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable

import msgspec

from harness.errors import UserError

# V1's own expression. It is greedy: device and mode follow the last two dashes, so a model may contain dashes.
_GRAMMAR = re.compile(r"test_(.*)\[(.*)-(.*)-(.*)\]")
_FREEZE = "-freeze"

_QUOTE = reprlib.Repr()
_QUOTE.maxstring = 100


class TestName(msgspec.Struct, frozen=True, order=True):
    """The four parts of a test's name, each a non-empty text."""

    __test__ = False  # pytest takes every class called Test* for a test case

    type: str
    """`eval` or `train`; V1's grammar does not limit it."""
    model: str
    device: str
    """`cpu`, `cuda`, ..."""
    mode: str
    """The mode of the lane: `eager`, `jit`, `inductor`, ..."""

    def __str__(self) -> str:
        return f"test_{self.type}[{self.model}-{self.device}-{self.mode}]"


def canonical(name: str) -> str:
    """`name` without its first `-freeze`, which V1 put behind some models' names in June 2021 and ignores since."""
    return name.replace(_FREEZE, "", 1)


def is_test_name(name: str) -> bool:
    """Whether `parse_test_name` takes `name`."""
    match = _GRAMMAR.fullmatch(canonical(name))
    return match is not None and all(match.groups())


def parse_test_name(name: str) -> TestName:
    """The parts of `name`, its first `-freeze` removed.

    Raises UserError when the name is not of the form `test_<type>[<model>-<device>-<mode>]`.
    """
    match = _GRAMMAR.fullmatch(canonical(name))
    if match is None or not all(match.groups()):
        raise UserError(
            f"{quoted(name)} is not the name of a test: write test_<eval or train>[<model>-<device>-<mode>], "
            "for instance test_eval[resnet50-cpu-eager]."
        )
    return TestName(*match.groups())


def quoted(text: object) -> str:
    """`text` as it may stand in an error sentence: in quotes, control characters escaped, at most 100 characters."""
    return _QUOTE.repr(text)


def listed(names: Iterable[str], limit: int = 5) -> str:
    """`a, b and 3 more`: at most `limit` of `names`, in their own order, and the number of the others."""
    every = [name if name.isprintable() and len(name) <= 100 else quoted(name) for name in names]
    rest = len(every) - limit
    return ", ".join(every[:limit]) + (f" and {rest} more" if rest > 0 else "")

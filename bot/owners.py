"""Who owns a test: patterns and names, as in a CODEOWNERS file; of several that match, the last counts.

Promises that a bracket, which every test's name holds, means itself. For whoever has to be told of a regression.

| pattern | what it matches |
|---|---|
| `*` | every test |
| `torchbench/` | every test of the suite |
| `torchbench/resnet*` | the tests of models of the suite whose name begins so |
| `resnet*` | the same in every suite |
| `test_train[*]`, `test_eval[resnet50-cpu-eager]` | tests by their whole name |

`*` stands for any characters, none too, and `?` for one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from harness.testname import canonical, is_test_name, parse_test_name


@dataclass(frozen=True)
class Rule:
    """A pattern and the owners of what it matches: `@user` or `@organisation/team`; none for nobody."""

    pattern: str
    owners: tuple[str, ...]


def of(rules: Iterable[Rule], test: str, suite: str = "") -> tuple[str, ...]:
    """The owners of a test of a suite, whose name may be unknown (""); () for nobody."""
    found: tuple[str, ...] = ()
    for rule in rules:
        if matches(rule.pattern, test, suite):
            found = rule.owners
    return found


def matches(pattern: str, test: str, suite: str = "") -> bool:
    """Whether a pattern stands for a test of a suite."""
    wanted, slash, rest = pattern.rpartition("/")
    if slash and not _same(wanted, suite):
        return False
    name = canonical(test)
    models = (parse_test_name(name).model,) if is_test_name(name) else ()
    return not rest or any(_same(rest, one) for one in (name, *models))


def _same(pattern: str, text: str) -> bool:
    wanted = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
    return re.fullmatch(wanted, text) is not None

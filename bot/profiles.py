"""What became slower inside a step: two profiles of a test, operator by operator.

Promises that the changes of the rows add up to the change of the step, that a change which is within the spread of one
profile is said to be, and that operators which came or went are named as such. Names in a profile are as hostile as the
rest of a file: `words` quotes them cleaned.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bot import inputs, numbers
from bot.report.escaping import clean
from harness import profiles
from harness.profiles import Operator, Profile

MOST_LINES = 5
SAID_FROM = 0.05
"""Share of the change from which an operator is worth a line of words."""
SPREAD_FLOOR = 0.01
"""Share of a step below which two profiles are not told apart, however steady their steps: processes differ by that."""


@dataclass(frozen=True)
class Row:
    """An operator in both profiles, None where it is not called; `explains` is its share of the step's change."""

    name: str
    base: Operator | None
    head: Operator | None
    explains: float

    @property
    def base_seconds(self) -> float:
        """Self time per step in the base."""
        return self.base.self_seconds if self.base else 0.0

    @property
    def head_seconds(self) -> float:
        """Self time per step in the head."""
        return self.head.self_seconds if self.head else 0.0

    @property
    def change_seconds(self) -> float:
        """How much more time per step the head spends in it."""
        return self.head_seconds - self.base_seconds

    @property
    def change(self) -> float | None:
        """Relative change of its self time; None where the base spends none in it."""
        return self.change_seconds / self.base_seconds if self.base_seconds > 0 else None

    @property
    def kind(self) -> str:
        """`new`, `vanished` or `both`."""
        return "new" if self.base is None else "vanished" if self.head is None else "both"

    @property
    def calls(self) -> tuple[float, float]:
        """Calls per step, of base and head."""
        return (self.base.calls if self.base else 0.0), (self.head.calls if self.head else 0.0)


@dataclass(frozen=True)
class Difference:
    """Two profiles compared; `rows` in the order of what they contribute to the change of the step, most first."""

    base: Profile
    head: Profile
    rows: tuple[Row, ...]

    @property
    def change_seconds(self) -> float:
        """How much longer a step of the head is, under the profiler."""
        return self.head.seconds - self.base.seconds

    @property
    def change(self) -> float | None:
        """The relative change of the step; None where the base has no time at all."""
        return self.change_seconds / self.base.seconds if self.base.seconds > 0 else None

    @property
    def spread_seconds(self) -> float:
        """By how much two halves of one profile differ, at least a hundredth of a step."""
        widths = (abs(side.halves_seconds[0] - side.halves_seconds[1]) for side in (self.base, self.head))
        return max(*widths, SPREAD_FLOOR * self.base.seconds)

    @property
    def within_spread(self) -> bool:
        """Whether the step changed by no more than one profile does within itself: no operator can be blamed then."""
        return abs(self.change_seconds) <= self.spread_seconds

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences on why the two may not be comparable."""
        compared = {
            "test": (self.base.test, self.head.test),
            "suite": (self.base.suite, self.head.suite),
            "size": (self.base.size, self.head.size),
            "machine": (self.base.machine.fingerprint, self.head.machine.fingerprint),
            "number of threads": (str(self.base.threads), str(self.head.threads)),
        }
        found = [
            f"base and head differ in their {word}: {clean(base)} and {clean(head)}"
            for word, (base, head) in compared.items()
            if base != head
        ]
        if self.within_spread:
            found.append(
                f"the step changed by {numbers.seconds(abs(self.change_seconds))}, which is within the spread of one "
                f"profile ({numbers.seconds(self.spread_seconds)}): no operator can be blamed"
            )
        return tuple(found)


def read(path: Path) -> Profile:
    """The profile in a file. Raises UserError, one sentence, for anything else."""
    wanted = "name a file that `torchwarden profile --json` wrote"
    content = inputs.read(path, profiles.MAXIMUM_BYTES, wanted=wanted, too_large=wanted)
    return profiles.decode(content, path)


def compare(base: Profile, head: Profile) -> Difference:
    """The two profiles compared, operators matched by name.

    An operator explains the share of the step's change that its own change is; operators that changed against the step
    explain less than nothing. The shares of all add up to one.
    """
    ours, theirs = ({one.name: one for one in side.operators} for side in (base, head))
    whole = head.seconds - base.seconds
    rows = []
    for name in dict.fromkeys([*ours, *theirs]):
        row = Row(name, ours.get(name), theirs.get(name), 0.0)
        rows.append(Row(name, row.base, row.head, row.change_seconds / whole if whole else 0.0))
    sign = 1 if whole >= 0 else -1
    return Difference(base, head, tuple(sorted(rows, key=lambda row: (-sign * row.change_seconds, row.name))))


def words(difference: Difference, most: int = MOST_LINES) -> list[str]:
    """What explains the change, in at most `most` lines of plain text, for a report.

    `aten::convolution +31 % accounts for 92 % of the change (12.0 → 15.7 ms; calls 20 → 21)`. Where no operator can be
    blamed there is one line that says so.
    """
    if difference.within_spread:
        return [difference.warnings[-1]][:most]
    return [_line(row) for row in difference.rows if row.explains >= SAID_FROM][:most]


def _line(row: Row) -> str:
    said = {"new": "(new)", "vanished": "(vanished)"}.get(row.kind) or (
        f"{numbers.fixed(100 * row.change, 0, sign=True)} %" if row.change is not None else ""
    )
    before, after = row.calls
    calls = f"; calls {_calls(before)} → {_calls(after)}" if _calls(before) != _calls(after) else ""
    times = numbers.transition(row.base_seconds or None, row.head_seconds)
    return (
        f"{clean(row.name)} {said} accounts for {numbers.fixed(100 * row.explains, 0)} % of the change ({times}{calls})"
    )


def _calls(value: float) -> str:
    """A number of calls per step, which need not be whole."""
    return numbers.fixed(value, 0 if value == round(value) else 1)

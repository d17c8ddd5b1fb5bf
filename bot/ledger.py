"""The ledger: which changes people have accepted, and how far the reference itself has moved.

It stands beside the reference (`a100.yaml` has `a100.accepted.yaml`) and is only ever added to, so that its history is
its content: `accepted` is a change somebody agreed to, with a reason, a name, a size and perhaps an end; `ignored` is a
test that somebody took out, whatever it shows; `moved` is what a test's norm moved by when the reference was updated.
Promises that an accepted change is shown and not raised, as far as it was accepted and no further; and that small moves
cannot add up unseen: a test is also judged against the oldest reference that the ledger knows.

A file may come from anyone: it is read as strictly as a reference (`bot.yamltext`).
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from bot import numbers
from bot import reference as references
from bot.comparison import Comparison, less
from bot.confirmation import strictly
from bot.verdict import Policy, TestVerdict, Verdict
from bot.yamltext import Map, Scalar, applied, put_last, tree, whole_lines
from harness.errors import UserError
from harness.records import Header as RunHeader
from harness.testname import canonical, is_test_name, quoted

Kind = Literal["accepted", "ignored", "moved"]

_TITLE = (
    "# Torchwarden ledger: changes that people accepted, and moves of the reference. Only add to it, by\n"
    "# `torchwarden reference accept` and `torchwarden reference update`, and a review.\n"
)
_KEY = re.compile(r"(?P<id>[A-Za-z0-9._-]{1,80}) (?P<kind>accepted|ignored|moved) (?P<test>\S.*)", re.DOTALL)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
LONGEST_REASON = 500
DRIFT = "drift"
"""How the reason of a test begins that has crept beyond its threshold."""
_LARGEST_CHANGE = 1e6


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the ledger. `change` is relative, of head against base: 0.08 is 8 % slower; 0 for an ignored test.

    `run` is the run that showed it, or the comment that asked for it, `until` the last day on which it holds (None: for
    good).
    """

    run: str
    test: str
    kind: Kind
    change: float = 0.0
    date: datetime.date
    by: str = ""
    reason: str = ""
    commit: str = ""
    until: datetime.date | None = None
    since: str = ""
    """What the reference was taken of before it moved, such as `torch==2.13.0`."""

    @property
    def log_ratio(self) -> float:
        """The change as a log ratio."""
        return math.log1p(self.change)


@dataclass(frozen=True)
class Ledger:
    """All items, in the order of the file."""

    name: str
    items: tuple[Item, ...] = ()

    def accepted(self, test: str, day: datetime.date) -> list[Item]:
        """Acceptances of a test that hold on a day: those since the reference last took its figures anew."""
        found: list[Item] = []
        for item in self._of(test):
            if item.kind == "moved":
                # What was accepted before is in the reference now.
                found = []
            elif item.kind == "accepted" and (item.until is None or day <= item.until):
                found.append(item)
        return found

    def ignored(self, test: str, day: datetime.date) -> Item | None:
        """What says that a test does not count on a day; the last of several, None where nothing does."""
        holding = (item for item in self._of(test) if item.kind == "ignored")
        return next((one for one in reversed(list(holding)) if one.until is None or day <= one.until), None)

    def ever_accepted(self, test: str) -> float:
        """Sum of all accepted log ratios of a test, whether they still hold or not: what has been spent."""
        return math.fsum(item.log_ratio for item in self._of(test) if item.kind == "accepted")

    def moved(self, test: str) -> float:
        """Log ratio by which the reference of a test has moved since the oldest one, less what was accepted of it."""
        total, pending = 0.0, 0.0
        for item in self._of(test):
            if item.kind == "accepted":
                pending += item.log_ratio
            elif item.kind == "moved":
                total += item.log_ratio - pending
                pending = 0.0
        return total

    def oldest(self, test: str) -> Item | None:
        """The first move of a test's reference, or None."""
        return next((item for item in self._of(test) if item.kind == "moved"), None)

    @property
    def tests(self) -> tuple[str, ...]:
        """Names of all tests it knows, in their order."""
        return tuple(dict.fromkeys(item.test for item in self.items))

    def _of(self, test: str) -> Iterable[Item]:
        wanted = canonical(test)
        return (item for item in self.items if canonical(item.test) == wanted)


def beside(reference: Path) -> Path:
    """Where the ledger of a reference lies."""
    return reference.with_name(f"{reference.stem}.accepted{reference.suffix}")


def load(path: Path) -> Ledger:
    """The ledger in a file; an empty one where there is none. Raises UserError, one sentence with file and line."""
    if not path.exists():
        return Ledger(path.name)
    return parse(references.read_text(path), str(path))


def parse(text: str, name: str) -> Ledger:
    """The ledger in a text; `name` stands for the file in messages. Raises UserError as `load` does."""
    root = tree(text, name)
    items: list[Item] = []
    seen: set[str] = set()
    for key, value in root.pairs if root else []:
        if key.text in seen:
            raise UserError(f"{name}:{key.line}: {quoted(key.text)} stands a second time; keep one.")
        seen.add(key.text)
        match = _KEY.fullmatch(key.text)
        if match is None or not is_test_name(match["test"]):
            raise UserError(
                f"{name}:{key.line}: {quoted(key.text)} is no entry of a ledger; write `<run> accepted test_...[...]`."
            )
        if not isinstance(value, Map):
            raise UserError(f"{name}:{key.line}: {quoted(key.text)} is not a mapping; write its fields below it.")
        items.append(_item(match, value, name))
    return Ledger(name, tuple(items))


def _item(key: re.Match[str], node: Map, name: str) -> Item:
    values: dict[str, Any] = {}
    for field, value in node.pairs:
        if field.text not in _FIELDS or field.text in values:
            raise UserError(
                f"{name}:{field.line}: {quoted(field.text)} is not a key of a ledger, or stands twice; "
                f"use {', '.join(_FIELDS)}."
            )
        if not isinstance(value, Scalar):
            raise UserError(f"{name}:{value.line}: {field.text} is not a single value; write it on one line.")
        try:
            values[field.text] = _FIELDS[field.text](value.text)
        except ValueError:
            raise UserError(f"{name}:{value.line}: {field.text} cannot be {quoted(value.text)}; mend it.") from None
    kind: Kind = key["kind"]  # type: ignore[assignment]
    needed = ("date",) if kind == "ignored" else ("change", "date")
    if lacking := [field for field in needed if field not in values]:
        raise UserError(f"{name}:{node.line}: the entry of {key['test']} has no {lacking[0]}; add it.")
    return Item(run=key["id"], test=key["test"], kind=kind, **values)


def _change(text: str) -> float:
    value = float(text)
    if not -1 < value < _LARGEST_CHANGE:
        raise ValueError
    return value


def _day(text: str) -> datetime.date:
    if not _DATE.fullmatch(text):
        raise ValueError
    return datetime.date.fromisoformat(text)


def _text(text: str) -> str:
    if len(text) > LONGEST_REASON:
        raise ValueError
    return text


_FIELDS: Mapping[str, Any] = {
    "change": _change,
    "date": _day,
    "by": _text,
    "reason": _text,
    "commit": _text,
    "until": _day,
    "since": _text,
}


def added(existing: str | None, items: Sequence[Item], name: str) -> str:
    """The text of a ledger with items added at its end; all that was there stays as it is.

    An item whose run, kind and test are there already is left out. Raises UserError as `parse` does.
    """
    text = whole_lines(_TITLE if existing is None else existing)
    known = {(item.run, item.kind, item.test) for item in parse(text, name).items}
    new = {
        f"{item.run} {item.kind} {item.test}": _fields(item)
        for item in items
        if (item.run, item.kind, item.test) not in known
    }
    if not new:
        return text if existing is None else existing
    result = applied(text, [put_last(text, tree(text, name), new)])
    parse(result, name)
    return result


def _fields(item: Item) -> dict[str, Any]:
    values = {field: getattr(item, field) for field in _FIELDS}
    return {
        field: value.isoformat() if isinstance(value, datetime.date) else value
        for field, value in values.items()
        if value not in (None, "") and (item.kind != "ignored" or field != "change")
    }


def accepting(
    verdict: Verdict, test: str, *, reason: str, by: str = "", until: datetime.date | None = None
) -> list[Item]:
    """Items that accept what a verdict shows of a test, or of every test with a signal for `all`.

    Raises UserError where the verdict shows no change of it, the reason is empty or too long, or the time is over.
    """
    day = day_of(verdict.started)
    text = " ".join(reason.split())
    if not text or len(text) > LONGEST_REASON:
        raise UserError(f"a change is accepted for a reason of at most {LONGEST_REASON} characters; give --reason")
    if until is not None and until < day:
        raise UserError(f"--until {until.isoformat()} is before the run itself ({day.isoformat()}); name a later day")
    entries = [entry for entry in verdict.tests if (entry.signal if test == "all" else entry.test == test)]
    if not entries:
        what = "no signal" if test == "all" else f"no test {quoted(test)}"
        raise UserError(f"the verdict on {verdict.run} has {what}; see it with `torchwarden report`")
    head = next((build for build in verdict.builds if build.name == verdict.plan.head), None)
    specification = head.specification if head is not None else ""
    commit = specification.removeprefix("git:") if specification.startswith("git:") else ""
    items = []
    for entry in entries:
        if entry.change is None or not -1 < entry.change < _LARGEST_CHANGE:
            raise UserError(f"the verdict on {verdict.run} shows no change of {entry.test}, so there is none to accept")
        items.append(
            Item(
                run=verdict.run,
                test=entry.test,
                kind="accepted",
                change=entry.change,
                date=day,
                by=" ".join(by.split()),
                reason=text,
                commit=commit,
                until=until,
            )
        )
    return items


def moves(old: references.Reference, new: references.Reference, run: RunHeader | Verdict) -> list[Item]:
    """Items for every norm that is another in the new reference, which was taken from a run."""
    stored = old.header
    since = (stored.pin or (f"torch {stored.torch}" if stored.torch else "")) if stored is not None else ""
    return [
        Item(run=run.run, test=one.test, kind="moved", change=one.change, date=day_of(run.started), since=since)
        for one in references.diff(old, new)
        if one.change is not None and one.change != 0
    ]


def that_holds(ledger: Ledger, run: RunHeader, stored: references.Header | None) -> Ledger:
    """The part of a ledger that holds for a run.

    All of it for a run that is compared with the reference or with the build it pins. For a pull request against its
    own base only what is ignored, and what was accepted for the very commit that is judged: what others were allowed
    is in its base.
    """
    if run.plan.base is None or references.is_pinned(run, stored):
        return ledger
    head = next((build for build in run.builds if build.name == run.plan.head), None)
    commit = head.specification.removeprefix("git:") if head is not None else ""
    kept = (
        item
        for item in ledger.items
        if item.kind == "ignored" or (item.kind == "accepted" and item.commit and item.commit == commit)
    )
    return Ledger(ledger.name, tuple(kept))


def day_of(started: str) -> datetime.date:
    """The day of an ISO 8601 time, in its own zone; the first day of all for a text that is none."""
    try:
        return datetime.date.fromisoformat(started[:10])
    except ValueError:
        return datetime.date.min


_IGNORABLE = frozenset({"regressed", "improved", "inconclusive", "failed", "missing"})


def told_by(
    ledger: Ledger, entry: TestVerdict, compared: Comparison | None, day: datetime.date, policy: Policy
) -> TestVerdict:
    """An entry after the ledger has been asked about its test.

    A signal that goes no further than what was accepted and a change that does not matter becomes `accepted`. A test
    that is no signal by itself regresses when it has crept beyond its threshold since the oldest reference, with
    evidence as strict as for a confirmed signal. One that is ignored is `accepted`, whatever it shows.
    """
    if (ignored := ledger.ignored(entry.test, day)) is not None and entry.outcome in _IGNORABLE:
        return msgspec.structs.replace(entry, outcome="accepted", reason=f"ignored {_when(ignored)}")
    if compared is None or entry.change is None or entry.low is None or entry.high is None:
        return entry
    items = ledger.accepted(entry.test, day)
    level = math.fsum(item.log_ratio for item in items)
    if items and entry.signal:
        rest = less(compared, level)
        told = "; ".join(_told(item) for item in items)
        # Less of what was accepted is no surprise; more of it is.
        further = rest.change if level > 0 else -rest.change
        if entry.change * level > 0 and further < entry.threshold:
            return msgspec.structs.replace(entry, outcome="accepted", reason=f"accepted: {told}")
        beyond = f"beyond what was accepted ({told}): another {numbers.change(rest.change, rest.low, rest.high)}"
        return msgspec.structs.replace(entry, reason="; ".join(part for part in (entry.reason, beyond) if part))
    oldest = ledger.oldest(entry.test)
    if oldest is None or entry.outcome not in ("unchanged", "inconclusive"):
        return entry
    whole = less(compared, level - ledger.moved(entry.test))
    if strictly(whole, entry.threshold, policy).outcome != "regressed":
        return entry
    since = f"{oldest.since or 'the oldest reference'} ({oldest.date.isoformat()})"
    crept = numbers.change(whole.change, whole.low, whole.high)
    reason = f"{DRIFT}: {crept} since {since}, in steps of which none was a signal"
    return msgspec.structs.replace(entry, outcome="regressed", reason=reason)


def _told(item: Item) -> str:
    return f"{numbers.signed_percent(item.change)} {_when(item)}"


def _when(item: Item) -> str:
    until = f", until {item.until.isoformat()}" if item.until is not None else ""
    by = f" by {item.by}" if item.by else ""
    return f"on {item.date.isoformat()}{by}{until}: {item.reason}"


MOST_TOLD = 5


def cautions_of(ledger: Ledger, tests: Iterable[str]) -> list[str]:
    """What has been spent so far by accepting: one sentence, the largest first."""
    names = {canonical(test) for test in tests}
    spent = {test: ledger.ever_accepted(test) for test in ledger.tests if canonical(test) in names}
    costly = sorted(((total, test) for test, total in spent.items() if total), key=lambda one: -abs(one[0]))
    if not costly:
        return []
    first = min(item.date for item in ledger.items if item.kind == "accepted")
    told = ", ".join(f"{numbers.signed_percent(math.expm1(total))} in {test}" for total, test in costly[:MOST_TOLD])
    more = f" and {len(costly) - MOST_TOLD} more" if len(costly) > MOST_TOLD else ""
    return [f"Accepted since {first.isoformat()}: {told}{more}."]

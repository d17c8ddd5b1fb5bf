"""An episode: the life of a group of regressions, from its first bad night to the clean ones at its end.

Promises that what becomes of it is a pure function of what it remembers and of one verdict, that the same verdict twice
changes nothing, that nights which tell nothing (undecided, missing, disturbed, of another base) count neither as bad
nor as clean, and that whatever is read back has been held to the schema and its limits. The memory travels in a hidden
line of an issue (`pack`, `unpack`), which people with write access can edit.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from bot import hidden
from bot import ledger as ledgers
from bot.commonmode import CONTROL_ALPHA
from bot.report import wording
from bot.report.escaping import clean
from bot.verdict import TestVerdict, Verdict
from harness.records import Build
from harness.testname import is_test_name, parse_test_name

Reading = Literal["bad", "clean", "unknown"]
"""What a night says of a test, or of all of an episode."""
Severity = Literal["low", "medium", "high", "critical"]
SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high", "critical")

_SIZES = (0.1, 0.25, 1.0)
_COUNTS = (2, 5)
_TABLE: tuple[tuple[Severity, Severity, Severity], ...] = (
    ("low", "medium", "high"),
    ("medium", "medium", "high"),
    ("high", "high", "critical"),
    ("critical", "critical", "critical"),
)
"""By the largest change (below 10 %, 25 %, 100 %, or more) and the number of slower tests (1, 2 to 4, 5 or more)."""

MOST_MEMBERS = 40
MOST_KEYS = 1000
MOST_NIGHTS = 120
MOST_LINES = 8
LONGEST_LINE = 300
LONGEST_NAME = 160
_LARGEST = 1e6
_MOST_BYTES = 200_000
"""Of a memory unpacked: an honest one has a tenth."""

Key = Annotated[str, Meta(pattern="^[0-9a-f]{8,16}$")]
Name = Annotated[str, Meta(max_length=LONGEST_NAME)]
Line = Annotated[str, Meta(max_length=LONGEST_LINE)]
Figure = Annotated[float, Meta(ge=-1e9, le=1e9)]
Amount = Annotated[float, Meta(ge=0, le=1e9)]
_Link = Annotated[str, Meta(max_length=500)]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of all parts of an episode: immutable and strict."""


class Level(Part, frozen=True, kw_only=True):
    """A relative change with its interval, where it has one."""

    change: Figure
    low: Figure | None = None
    high: Figure | None = None


class Member(Part, frozen=True, kw_only=True):
    """A test of the episode: since which night it is slower, the latest figures, and the level that was last told."""

    key: Key
    test: Name
    since: Name
    now: Reading
    level: Level | None = None
    """Of the latest night that measured it."""
    told: Level
    base_seconds: Amount | None = None
    head_seconds: Amount | None = None


class Night(Part, frozen=True, kw_only=True):
    """What one run said of the episode."""

    run: Key
    started: Name
    reading: Reading
    head: Name = ""
    slower: Annotated[int, Meta(ge=0, le=10**6)] = 0
    of: Annotated[int, Meta(ge=0, le=10**6)] = 0
    worst: Level | None = None
    note: Name = ""
    url: _Link = ""

    @property
    def day(self) -> str:
        """The day on which the run began; several runs of one day are one night."""
        return ledgers.day_of(self.started).isoformat()


class End(Part, frozen=True, kw_only=True):
    """One end of the range that holds the change. `commit` is a full name or ""; with `torch` it is torch's own."""

    build: Name
    commit: Annotated[str, Meta(pattern="^([0-9a-f]{40})?$")] = ""
    torch: bool = False


class Episode(Part, frozen=True, kw_only=True):
    """All that an issue remembers."""

    version: Literal[1] = 1
    fingerprint: Key
    machine: Key
    base: Key
    phase: Literal["open", "closed"] = "open"
    """As we left the issue; when GitHub says otherwise, a person did that."""
    title: Name = ""
    severity: Severity = "low"
    counted_from: Name = ""
    """Clean nights count from the one after the run that started then: when the issue was reopened."""
    since: Name
    """The day of the first bad night, and of the first again where it was reopened; `since_url` is its run."""
    since_url: _Link = ""
    good: End
    bad: End
    members: Annotated[tuple[Member, ...], Meta(min_length=1, max_length=MOST_MEMBERS)]
    others: Annotated[tuple[Key, ...], Meta(max_length=MOST_KEYS)] = ()
    """Keys of members beyond `MOST_MEMBERS`, so that none of them opens an issue of its own."""
    undecided: Annotated[tuple[Key, ...], Meta(max_length=MOST_KEYS)] = ()
    """Keys of tests that no night since the first bad one has found well: they may belong here and not be known yet."""
    search: Annotated[tuple[Line, ...], Meta(max_length=MOST_LINES)] = ()
    """What a search for the commit came to, in plain text."""
    nights: Annotated[tuple[Night, ...], Meta(min_length=1, max_length=MOST_NIGHTS)]

    @property
    def keys(self) -> frozenset[str]:
        """Keys of all its tests."""
        return frozenset((*(member.key for member in self.members), *self.others))


def pack(episode: Episode) -> str:
    """The episode in letters that mean nothing to HTML or Markdown."""
    return hidden.compressed(episode)


def unpack(text: str) -> Episode | None:
    """The episode in such letters, None where they hold anything else."""
    return hidden.decompressed(text, Episode, _MOST_BYTES)


@dataclass(frozen=True)
class Rules:
    """When a signal counts, and when an episode is over. Nights beyond `window` are forgotten."""

    require_confirmation: bool = True
    clean_nights: int = 3
    window: int = 30


@dataclass(frozen=True)
class Turn:
    """What a night makes of an episode. `is_open` is what the issue should be from now on."""

    episode: Episode
    is_open: bool
    bad: bool
    reopened: bool = False
    closed: bool = False
    worse: tuple[Member, ...] = ()
    joined: tuple[Member, ...] = ()
    found: bool = False
    """A search for the commit came to something."""

    @property
    def tells(self) -> bool:
        """Whether anything happened that people should be told."""
        return self.reopened or self.closed or self.found or bool(self.worse or self.joined)


# What a verdict says


def key_of(entry: TestVerdict) -> str:
    """What tells a test in its mode apart from others: the name of a build does not matter, nor how it is shown."""
    return _digest(entry.test, entry.lane.partition("@")[0])[:8]


def night_key(verdict: Verdict) -> str:
    """What tells a run apart from others; judging it again leaves it the same."""
    return _digest(verdict.run, verdict.started)[:12]


def machine_key(verdict: Verdict) -> str:
    """Which machine, or which kind of machine: figures of machines with one fingerprint can be compared."""
    return _digest(verdict.machine.fingerprint or verdict.machine.name)[:12]


def base_key(verdict: Verdict) -> str | None:
    """What the head was judged by; None where nothing can regress: an A/A run, two runs, or no comparison."""
    asked = wording.question(verdict)
    if asked == "reference":
        return _digest("reference", *(one.name for one in verdict.inputs if one.kind == "reference"))[:12]
    base = wording.build(verdict, verdict.plan.base)
    if base is None or (asked != "builds" and not (asked == "a/a" and verdict.plan.inject)):
        return None
    if base.specification.startswith("git:"):
        return _digest(base.specification)[:12]
    return _digest(base.torch_version, base.torch_git_version or "")[:12]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()


def disturbed(verdict: Verdict) -> str:
    """Why no test of this night can be believed, "" where they can: control lanes moved, which use no torch."""
    for control in verdict.controls:
        moved = control.change is not None and control.change > -1
        if moved and control.p_value is not None and control.p_value <= CONTROL_ALPHA:
            least = math.log1p(verdict.policy.threshold) / 2
            if abs(math.log1p(control.change or 0.0)) >= least:
                return "machine disturbed: the control lanes moved"
    return ""


def reading(entry: TestVerdict | None, rules: Rules) -> Reading:
    """What a night says of a test. A signal that was not confirmed says nothing.

    How busy the machine was is in the interval already, by which the judge decided.
    """
    if entry is None:
        return "unknown"
    if entry.outcome == "regressed":
        return "bad" if counts(entry, rules) else "unknown"
    return "clean" if entry.outcome in ("unchanged", "improved", "accepted") else "unknown"


def counts(entry: TestVerdict, rules: Rules) -> bool:
    """Whether a regressed entry may open an issue: confirmed, or drift, which has evidence as strict."""
    if entry.outcome != "regressed" or entry.change is None:
        return False
    borne_out = entry.confirmation is not None and entry.confirmation.outcome == "confirmed"
    return borne_out or entry.reason.startswith(ledgers.DRIFT) or not rules.require_confirmation


def regressions(verdict: Verdict, rules: Rules) -> list[TestVerdict]:
    """Entries that are bad news, the slowest first; none where the whole night tells nothing."""
    if base_key(verdict) is None or disturbed(verdict):
        return []
    return wording.slowest_first(entry for entry in verdict.tests if counts(entry, rules))


def related(one: TestVerdict, other: TestVerdict) -> bool:
    """Whether two regressions of the same night are likely to be one: the same operators, benchmark or mode.

    Where it is known of both which operators became slower, and none is the same, the mode alone makes no relation.
    """
    ours, theirs = _operators(one), _operators(other)
    if ours & theirs or _benchmark(one) == _benchmark(other):
        return True
    return _mode(one) == _mode(other) and not (ours and theirs)


def _operators(entry: TestVerdict) -> frozenset[str]:
    return frozenset(
        found.name
        for found in entry.operators
        if found.stands_out and found.head_seconds > found.base_seconds and "::" in found.name
    )


def _benchmark(entry: TestVerdict) -> str:
    return parse_test_name(entry.test).model if is_test_name(entry.test) else entry.test


def _mode(entry: TestVerdict) -> str:
    return parse_test_name(entry.test).mode if is_test_name(entry.test) else entry.lane.partition("@")[0]


def groups(entries: Sequence[TestVerdict]) -> list[list[TestVerdict]]:
    """Entries that are related, directly or through others, in the order of the entries."""
    found: list[list[TestVerdict]] = []
    for entry in entries:
        near = [group for group in found if any(related(entry, one) for one in group)]
        merged = [one for group in near for one in group] + [entry]
        place = min((found.index(group) for group in near), default=len(found))
        found = [group for group in found if group not in near]
        found.insert(place, merged)
    order = {id(entry): index for index, entry in enumerate(entries)}
    return [sorted(group, key=lambda entry: order[id(entry)]) for group in found]


def severity(levels: Sequence[float]) -> Severity:
    """How bad slower tests are, from the largest change and their number; see `_TABLE`."""
    size = sum(max(levels, default=0.0) >= limit for limit in _SIZES)
    number = sum(len(levels) >= limit for limit in _COUNTS)
    return _TABLE[size][number]


def worsened(told: Level, level: Level, threshold: float) -> bool:
    """Whether a test is slower than was told: by half its threshold more, and by more than both intervals allow."""
    before, after = (math.log1p(max(one.change, -0.999)) for one in (told, level))
    if after - before < math.log1p(threshold) / 2:
        return False
    return told.high is None or level.low is None or level.low > told.high


# How an episode begins and goes on


def begun(verdict: Verdict, entries: Sequence[TestVerdict], rules: Rules, *, url: str = "") -> Episode:
    """The episode that a group of regressions begins."""
    base = base_key(verdict)
    assert base is not None, "regressions() has none without a base"
    machine, keys = machine_key(verdict), sorted({key_of(entry) for entry in entries})
    members = _members(entries, verdict)
    good, bad = ends(verdict)
    return Episode(
        fingerprint=_digest(machine, base, night_key(verdict), *keys)[:16],
        machine=machine,
        base=base,
        severity=severity([member.told.change for member in members] + [0.0] * (len(keys) - len(members))),
        since=ledgers.day_of(verdict.started).isoformat(),
        since_url=url,
        good=good,
        bad=bad,
        members=members,
        others=tuple(sorted(set(keys) - {member.key for member in members}))[:MOST_KEYS],
        undecided=_undecided(verdict, rules),
        nights=(_night(verdict, frozenset(keys), base, rules, url),),
    )


def known(episode: Episode, verdict: Verdict) -> bool:
    """Whether the run has been counted already, and others after it, or the run is older than all that is known."""
    run, last = night_key(verdict), episode.nights[-1]
    return last.run != run and (
        any(night.run == run for night in episode.nights) or _shown(verdict.started) < episode.nights[0].started
    )


def concerns(episode: Episode, verdict: Verdict) -> bool:
    """Whether a run measured or wanted any test of the episode, on its machine."""
    if machine_key(verdict) != episode.machine:
        return False
    return any(key_of(entry) in episode.keys for entry in verdict.tests)


def turned(
    episode: Episode,
    verdict: Verdict,
    rules: Rules,
    *,
    is_open: bool,
    joining: Sequence[TestVerdict] = (),
    url: str = "",
) -> Turn | None:
    """What the episode becomes by a night that concerns it; None where that is nothing at all.

    `is_open` is what GitHub says of the issue now; `joining` are regressions that belong to the episode and were not
    known to.
    """
    if known(episode, verdict):
        return None
    keys = episode.keys | {key_of(entry) for entry in joining}
    night = _night(verdict, keys, episode.base, rules, url)
    bad = night.reading == "bad" or bool(joining)
    late = night.started < episode.nights[-1].started
    again = any(one.run == night.run for one in episode.nights)
    if episode.phase == "closed" and not is_open and (not bad or again or late):
        return None
    by_person = is_open != (episode.phase == "open")
    if by_person and is_open:
        # Somebody disagreed with our closing: it takes as many clean nights again.
        episode = msgspec.structs.replace(episode, phase="open", counted_from=episode.nights[-1].started)
    if late:
        return Turn(_with_night(episode, night, rules), is_open, bad=False)
    told_nothing = _disbelieved(verdict, episode.base)
    entries = {} if told_nothing else entries_of(episode, verdict)
    members = tuple(_aged(member, entries.get(member.key), rules) for member in episode.members)
    was_open = episode.phase == "open"
    worse = tuple(
        member
        for member in members
        if member.now == "bad"
        and member.level is not None
        and worsened(member.told, member.level, entries[member.key].threshold)
    )
    joined = _members(joining, verdict, since=night.day)
    kept = episode
    if bad and not was_open:
        # A new window: what was measured before it closed says nothing of when this came.
        good, worst_end = ends(verdict)
        kept = msgspec.structs.replace(
            kept, since=night.day, since_url=url, good=good, bad=worst_end, undecided=_undecided(verdict, rules)
        )
        members = tuple(
            msgspec.structs.replace(one, since=night.day, told=one.level) if one.now == "bad" and one.level else one
            for one in members
        )
        worse = ()
    told = {member.key for member in worse}
    members = tuple(
        msgspec.structs.replace(one, told=one.level) if one.key in told and one.level else one for one in members
    )
    every = (*members, *joined)
    slower = [one.level.change for one in every if one.now == "bad" and one.level is not None]
    least = kept.severity if was_open else "low"
    kept = msgspec.structs.replace(
        kept,
        members=every[:MOST_MEMBERS],
        others=tuple(dict.fromkeys((*kept.others, *(one.key for one in every[MOST_MEMBERS:]))))[:MOST_KEYS],
        undecided=kept.undecided
        if told_nothing
        else tuple(sorted(set(kept.undecided) & set(_undecided(verdict, rules)))),
        # It goes down only by closing, or a change around a limit would move labels every night.
        severity=max(least, severity(slower), key=SEVERITIES.index) if slower else kept.severity,
    )
    kept = _with_night(kept, night, rules)
    over = not bad and clean_nights(kept) >= rules.clean_nights
    if is_open:
        kept = msgspec.structs.replace(kept, phase="closed" if over else "open")
        return Turn(kept, not over, bad=bad, closed=over, worse=worse, joined=joined)
    if episode.phase == "closed" or worse or joined:
        # Nights before this count no more.
        kept = msgspec.structs.replace(kept, phase="open", counted_from=night.started)
        return Turn(kept, True, bad=bad, reopened=True, worse=worse, joined=joined)
    # A person closed it: that stands, and the nights are counted on, so that a later one may be a new regression.
    return Turn(msgspec.structs.replace(kept, phase="closed" if over else "open"), False, bad=bad)


def searched(turn: Turn, lines: Mapping[str, str]) -> Turn:
    """The turn with what a search for the commit came to; `lines` are plain text by the name of a test."""
    episode = turn.episode
    search = tuple(clean(lines[one.test], LONGEST_LINE) for one in episode.members if one.test in lines)[:MOST_LINES]
    if not search or search == episode.search:
        return turn
    return replace(turn, episode=msgspec.structs.replace(episode, search=search), found=True)


def clean_nights(episode: Episode) -> int:
    """Clean nights since the last bad one; several runs of a day are one night, and a bad one of them makes it bad."""
    days: dict[str, set[Reading]] = {}
    for night in episode.nights:
        if night.started > episode.counted_from or night.reading == "bad":
            days.setdefault(night.day, set()).add(night.reading)
    number = 0
    for day in sorted(days):
        if "bad" in days[day]:
            number = 0
        elif "clean" in days[day]:
            number += 1
    return number


def may_hold(episode: Episode, verdict: Verdict, entry: TestVerdict, members: Iterable[TestVerdict]) -> bool:
    """Whether a regression that is news may be part of an episode: its window lies within it, and it is related.

    It does when no night since the first bad one has found the test well. `members` are the entries of the episode.
    """
    same = machine_key(verdict) == episode.machine and base_key(verdict) == episode.base
    return same and key_of(entry) in episode.undecided and any(related(entry, one) for one in members)


def ends(verdict: Verdict) -> tuple[End, End]:
    """The two ends of the range that holds a change: of base and head. Their commits are of one repository or none."""
    base = _end(wording.build(verdict, verdict.plan.base), verdict.plan.base or "the stored reference")
    head = _end(wording.build(verdict, verdict.plan.head), verdict.plan.head)
    if base.torch != head.torch or not (base.commit and head.commit) or base.commit == head.commit:
        return msgspec.structs.replace(base, commit=""), msgspec.structs.replace(head, commit="")
    return base, head


_COMMIT = re.compile(r"(?:git:)?([0-9a-f]{40})")


def _end(build: Build | None, name: str) -> End:
    if build is None:
        return End(build=_shown(name))
    if found := _COMMIT.fullmatch(build.specification):
        return End(build=_shown(f"{build.name} {found[1][:10]}"), commit=found[1])
    commit = build.torch_git_version or ""
    shown = _shown(wording.torch_of(build))
    return End(build=shown, commit=commit if _COMMIT.fullmatch(commit) else "", torch=True)


def _shown(text: str) -> str:
    return clean(text, LONGEST_NAME)


def _figure(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else round(max(-_LARGEST, min(value, _LARGEST)), 5)


def _amount(value: float | None) -> float | None:
    return None if value is None or not 0 <= value <= _LARGEST else float(f"{value:.6g}")


def _level(entry: TestVerdict) -> Level | None:
    change = _figure(entry.change)
    return None if change is None else Level(change=change, low=_figure(entry.low), high=_figure(entry.high))


def _members(entries: Iterable[TestVerdict], verdict: Verdict, since: str = "") -> tuple[Member, ...]:
    day = since or ledgers.day_of(verdict.started).isoformat()
    found: dict[str, Member] = {}
    for entry in entries:
        level = _level(entry)
        if level is not None and len(found) < MOST_MEMBERS:
            found.setdefault(
                key_of(entry),
                Member(
                    key=key_of(entry),
                    test=_shown(entry.test),
                    since=day,
                    now="bad",
                    level=level,
                    told=level,
                    base_seconds=_amount(entry.base_seconds),
                    head_seconds=_amount(entry.head_seconds),
                ),
            )
    return tuple(found.values())


def _aged(member: Member, entry: TestVerdict | None, rules: Rules) -> Member:
    """A member after a night; what was not measured, or cannot be believed (None), leaves its figures as they were."""
    if entry is None or (level := _level(entry)) is None:
        return msgspec.structs.replace(member, now="unknown")
    return msgspec.structs.replace(
        member,
        now=reading(entry, rules),
        level=level,
        base_seconds=_amount(entry.base_seconds),
        head_seconds=_amount(entry.head_seconds),
    )


def _disbelieved(verdict: Verdict, base: str) -> str:
    """Why a whole night says nothing of an episode, "" where it does."""
    return disturbed(verdict) or ("" if base_key(verdict) == base else "measured against another base")


def _undecided(verdict: Verdict, rules: Rules) -> tuple[str, ...]:
    found = {key_of(entry) for entry in verdict.tests if reading(entry, rules) == "unknown"}
    return tuple(sorted(found))[:MOST_KEYS]


def _night(verdict: Verdict, keys: frozenset[str], base: str, rules: Rules, url: str) -> Night:
    entries = [entry for entry in verdict.tests if key_of(entry) in keys]
    note = _disbelieved(verdict, base)
    told: list[Reading] = ["unknown" if note else reading(entry, rules) for entry in entries]
    bad = [entry for entry, said in zip(entries, told, strict=True) if said == "bad"]
    worst = next(iter(wording.slowest_first(bad or entries)), None)
    missing = len({key_of(entry) for entry in entries}) < len(keys)
    clean_all = bool(told) and all(said == "clean" for said in told) and not missing
    accepted = [entry for entry in entries if entry.outcome == "accepted"]
    return Night(
        run=night_key(verdict),
        started=_shown(verdict.started),
        reading="bad" if bad else "clean" if clean_all else "unknown",
        head=_end(wording.build(verdict, verdict.plan.head), verdict.plan.head).commit[:10],
        slower=len(bad),
        of=len(keys),
        worst=None if worst is None or note else _level(worst),
        note=note or (_shown(accepted[0].reason) if accepted and not bad else ""),
        url=url,
    )


def _with_night(episode: Episode, night: Night, rules: Rules) -> Episode:
    nights = {one.run: one for one in episode.nights}
    nights[night.run] = night
    ordered = sorted(nights.values(), key=lambda one: (one.started, one.run))
    # Enough to see the clean nights that close it, with as many in between that tell nothing.
    kept = min(max(rules.window, 2 * rules.clean_nights), MOST_NIGHTS)
    return msgspec.structs.replace(episode, nights=tuple(ordered[-kept:]))


def entries_of(episode: Episode, verdict: Verdict) -> Mapping[str, TestVerdict]:
    """The entries of a verdict that are of an episode, by key."""
    return {key_of(entry): entry for entry in verdict.tests if key_of(entry) in episode.keys}

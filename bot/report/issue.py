"""The issue about a regression, in GitHub's Markdown: what an on-call needs, without opening anything else.

Promises a text of at most 65,536 bytes in which the hidden memory (`bot.episode`) stands once and at the top, nothing
from a verdict that GitHub would act on, and an evidence that can be found again, so that nights which say nothing new
leave it as it is. Mentions only teams that the configuration names.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from bot import command, numbers
from bot import episode as episodes
from bot.episode import Episode, Level, Turn
from bot.explanation import OperatorChange
from bot.findings import SAID_FROM
from bot.report import escaping, markdown, wording
from bot.report.markdown import COMMENT_BYTES
from bot.verdict import TestVerdict, Verdict

MARKER = "<!-- torchwarden:regression"
SAID = "<!-- torchwarden:said"
_EVIDENCE = "\n<details open><summary>Evidence of "
_NIGHTS = "\n<details open><summary>Nights: "
"""Begin what stands below. Nothing from a verdict can hold a tag, so they are found again."""
_FOOT = "Torchwarden writes this text anew every night; what people have to say belongs into comments.\n"
_ROOM = 20_000
"""Bytes for the evidence; the rest is for the memory and the tables."""

WORDS = {"bad": "🔴 slower", "clean": "🟢 not slower", "unknown": "⚪ not known"}


@dataclass(frozen=True)
class Frame:
    """What an issue says beside verdict and memory. Addresses are empty or have passed `bot.event.checked_link`."""

    repository: str = ""
    """OWNER/NAME that the issue is in."""
    source: str = ""
    """OWNER/NAME that commits are linked in; "" for `repository`, and for torch's own commits PyTorch's."""
    web: str = "https://github.com"
    run_url: str = ""
    page_url: str = ""
    bisection: Mapping[str, str] = field(default_factory=dict)
    """What a search for the commit came to, in a line of plain text by test."""

    def span(self, episode: Episode) -> str:
        """The range of commits as a link, "" where they are not known."""
        good, bad = episode.good, episode.bad
        repository = self.source or (PYTORCH if good.torch else self.repository)
        if not (good.commit and bad.commit and repository):
            return ""
        address = f"{self.web}/{repository}/compare/{good.commit}...{bad.commit}"
        return Markup(f"[`{good.commit[:10]}...{bad.commit[:10]}`]({address})")


PYTORCH = "pytorch/pytorch"
"""Whose commits torch's own are."""


@dataclass(frozen=True)
class _Bounds:
    """How much of the evidence is shown: tests, lines of each, characters of a reason and of a name."""

    entries: int
    lines: int
    reason: int
    name: int


_BOUNDS = (_Bounds(10, 5, 400, 120), _Bounds(5, 5, 300, 120), _Bounds(3, 3, 200, 80), _Bounds(1, 0, 60, 40))
_ROWS = ((40, 30), (20, 20), (10, 10), (5, 3))
"""Members and nights shown, from generous to what always fits."""


def title(episode: Episode) -> str:
    """The title of the issue, plain text without any mention."""
    worst = _worst(episode)
    before, model, behind = wording.short_name(worst.test)
    size = numbers.signed_percent(worst.told.change)
    number = len(episode.keys)
    where = f" ({before}, {behind.replace(' · ', ', ')})" if before else ""
    said = f"{model} is slower" if number == 1 else f"{number} tests are slower, {model} most"
    return escaping.plain(f"{said}: {size}{where}", 200)


def body(episode: Episode, evidence: str, frame: Frame, *, is_open: bool, clean_nights: int, owners: str = "") -> str:
    """The body of the issue, at most 65,536 bytes. `evidence` is that of `evidence` or `parsed`."""
    above = f"{MARKER} {episode.fingerprint} {episodes.pack(episode)} -->\n"
    text = ""
    for members, nights in _ROWS:
        status = _status(episode, frame, members, is_open=is_open, clean_nights=clean_nights, owners=owners)
        listed = list(reversed(episode.nights))
        table = _render(
            "nights", nights=listed[:nights], older=max(len(listed) - nights, 0), run=_run, reason=_short, name=_code
        )
        head = f"{above}{status}{_searched(episode)}"
        text = f"{head}{evidence}{_NIGHTS}{len(listed)}</summary>\n\n{table}\n</details>\n\n{_FOOT}"
        if len(text.encode()) <= COMMENT_BYTES:
            return text
    raise AssertionError("the last bounds always fit")


def evidence(episode: Episode, verdict: Verdict, entries: Sequence[TestVerdict], frame: Frame) -> str:
    """What a bad night knows of the slower tests, to stand in the body until another one."""
    from bot.ledger import day_of

    for bounds in _BOUNDS:
        name = functools.partial(escaping.code, limit=bounds.name)
        text = _render(
            "evidence",
            verdict=verdict,
            entries=entries,
            bounds=bounds,
            sides=markdown.sides(verdict, bounds.name),
            links=markdown.Frame(run_url=frame.run_url, page_url=frame.page_url).links(),
            notes=[
                *wording.circumstances(verdict),
                *(wording.confirmation_words(verdict) if verdict.second_run is not None else ()),
            ],
            bisect=_search(episode, entries),
            slower=_slower,
            title=functools.partial(markdown.title, limit=bounds.name),
            name=name,
            reason=functools.partial(escaping.code, limit=bounds.reason),
            block=escaping.block,
        )
        whole = f"{_EVIDENCE}{day_of(verdict.started).isoformat()}</summary>\n\n{text}\n</details>\n"
        if len(whole.encode()) <= _ROOM:
            return whole
    raise AssertionError("the last bounds always fit")


def said(turn: Turn, night: str, frame: Frame) -> tuple[str, str]:
    """The comment about a turn: its hidden first line, by which it is found again, and the whole of it."""
    what = (
        "closed"
        if turn.closed
        else "-".join(
            word
            for word, happened in (
                ("reopened", turn.reopened),
                ("worse", turn.worse),
                ("joined", turn.joined),
                ("found", turn.found),
            )
            if happened
        )
    )
    marker = f"{SAID} {what} {night} -->"
    last = turn.episode.nights[-1]
    text = _render(
        "said",
        turn=turn,
        last=last,
        last_link=_run(last.url),
        quiet=episodes.clean_nights(turn.episode),
        reason=_short,
    )
    return marker, f"{marker}\n{text}"


def parsed(text: str) -> tuple[Episode, str] | None:
    """The memory of a body of ours and its evidence; None for anything else."""
    found = re.match(rf"{re.escape(MARKER)} ([0-9a-f]{{16}}) ([A-Za-z0-9+/=]{{1,60000}}) -->\n", text)
    if found is None or (episode := episodes.unpack(found[2])) is None or episode.fingerprint != found[1]:
        return None
    rest = text[found.end() :].replace("\r\n", "\n")
    _, begin, after = rest.partition(_EVIDENCE)
    kept, end, _ = after.partition(_NIGHTS)
    whole = begin + kept if begin and end else ""
    # What somebody wrote into it by hand must not crowd out the rest.
    return episode, whole if len(whole.encode()) <= _ROOM else ""


def duplicate(number: int) -> str:
    """The body of an issue that another run opened first."""
    return f"The same as #{number}, which another run opened at the same time.\n"


def _status(episode: Episode, frame: Frame, most: int, *, is_open: bool, clean_nights: int, owners: str) -> str:
    slower = [member for member in episode.members if member.now == "bad"]
    # Another order every night would be noise, so only what is slower stands first.
    ordered = sorted(episode.members, key=lambda member: member.now != "bad")
    quiet, total = episodes.clean_nights(episode), len(episode.keys)
    worst = _worst(episode)
    if is_open:
        number = max(episode.nights[-1].slower, len(slower))
        mark, headline = "🔴", f"{numbers.rate(number, total)} slower" if total > 1 else "1 test is slower"
        status = f"Open until {numbers.count(clean_nights, 'clean night')} in a row; so far {quiet}."
        if not slower:
            mark, headline = "🟠", "Not slower in the last night" if quiet else "Not known whether it is still slower"
    elif episode.phase == "closed" and quiet:
        mark, headline = "🟢", f"Not slower for {numbers.count(quiet, 'night')}"
        status = "Closed; opened again when one of these tests becomes slower."
    else:
        mark, headline = "⚪", "Closed by hand"
        status = "A person closed this; it is opened again only when it becomes worse."
    counted = [night for night in episode.nights if night.reading != "unknown"]
    bad = sum(night.reading == "bad" for night in counted)
    status += f" Slower in {bad} of the {numbers.count(len(counted), 'night')} that could tell"
    unknown = len(episode.nights) - len(counted)
    status += f"; {unknown} could not (undecided, missing, disturbed or of another base)." if unknown else "."
    return _render(
        "status",
        episode=episode,
        mark=mark,
        headline=headline,
        status=status,
        worst=worst if slower else None,
        members=ordered[:most],
        hidden=total - min(most, len(ordered)),
        since_link=_run(episode.since_url),
        span=frame.span(episode),
        owners=owners,
        name=_code,
        reason=_short,
    )


def _worst(episode: Episode) -> episodes.Member:
    return max(episode.members, key=lambda member: (member.now == "bad", member.told.change, member.test))


def _searched(episode: Episode) -> str:
    if not episode.search:
        return ""
    lines = "".join(f"  - {escaping.text(line)}\n" for line in episode.search)
    return f"- **Search for the commit:**\n{lines}\n"


def _search(episode: Episode, entries: Sequence[TestVerdict]) -> str:
    """The command that finds the commit, for a comment; "" where there is no range of this repository's to search."""
    good, bad = episode.good, episode.bad
    if not (good.commit and bad.commit) or good.torch or not entries:
        return ""
    test = entries[0].test
    asked = command.Bisect(test=test, good=good.commit, bad=bad.commit)
    return command.render(asked) if command.parse(command.render(asked)) == asked else ""


def _slower(entry: TestVerdict) -> list[OperatorChange]:
    """Operators that took longer and matter, the largest difference first."""
    longer = [
        one
        for one in entry.operators
        if one.head_seconds > one.base_seconds and (one.stands_out or (one.share or 0.0) >= SAID_FROM)
    ]
    return sorted(longer, key=lambda one: one.base_seconds - one.head_seconds)


def _level(level: Level | None) -> str:
    return "–" if level is None else numbers.change(level.change, level.low, level.high)


def _run(url: str) -> Markup:
    safe = re.fullmatch(r"https?://[A-Za-z0-9._~/:%-]+", url)
    return Markup(f"[run]({url})") if safe else Markup("")


_code = functools.partial(escaping.code, limit=80)
_short = functools.partial(escaping.code, limit=160)


def _render(part: str, **values: Any) -> str:
    values = {"title": functools.partial(markdown.title, limit=80), **values}
    template = markdown.environment().get_template("issue.md.j2")
    text = template.render(part=part, words=WORDS, level=_level, **values)
    # Blank lines where an option of the template wrote nothing.
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"

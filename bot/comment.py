"""The one comment on a pull request: found, merged, edited in place.

Promises one comment per pull request and configuration, whatever ran when: it is found by its hidden marker *and* by
its author over all pages; what it said before is folded below; running twice changes nothing; and two runs that race
end with one comment that holds both results: some seconds after each write the comments are read again, and what
another run did in between is merged. (GitHub has no conditional write, so a run that stalls for longer than
`Patience.settling` between reading and writing can still overwrite another; a concurrency group excludes that.) What
the comment remembers stands in its marker and is decoded strictly when it is read back: people with write access can
edit our comment.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import msgspec
from markupsafe import Markup

from bot import hidden
from bot import verdict as verdicts
from bot.calls import GithubError, Refused, Unsure
from bot.github import Client, Comment
from bot.report import escaping, markdown, wording
from bot.report.markdown import Frame
from bot.verdict import Verdict

Mode = Literal["always", "on-change", "never"]
MODES: tuple[Mode, ...] = ("always", "on-change", "never")

MOST_EARLIER = 10
"""Earlier results that are kept; who needs more looks at the runs."""
_LONGEST_LINE = 160
_LONGEST_ADDRESS = 500
_ROUNDS = 6
"""Times a comment is read and written before we give up against others that keep writing."""
_ROOM = 12_000
"""Bytes that are kept free for what a comment remembers; a verdict's text gets the rest."""
_FOLD = "\n<details><summary>Earlier results: "
"""Begins what stands below the current result. Nothing from a verdict can hold a tag, so it is found again."""


class Result(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One result as the comment remembers it."""

    sha: str
    digest: str
    """Of the verdict; with `sha` it tells results apart."""
    line: str
    run: int = 0
    attempt: int = 0
    """Number and attempt of the workflow run, which GitHub counts up: the greater is the newer."""
    url: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What makes it the same result."""
        return self.sha, self.digest


class Memory(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the marker of a comment holds."""

    current: Result
    earlier: tuple[Result, ...] = ()


@dataclass(frozen=True)
class Sheet:
    """A comment taken apart: the text of the current result, and what is remembered."""

    text: str
    memory: Memory


@dataclass(frozen=True)
class Posted:
    """What was done: the words for the log, and where the comment is ("" where there is none)."""

    done: Literal["created", "updated", "unchanged", "left out"]
    url: str = ""


def result(verdict: Verdict, frame: Frame, *, run: int = 0, attempt: int = 0) -> Result:
    """How a comment remembers this verdict: in our own words and figures, no name from the verdict."""
    line = wording.headline(verdict)
    worst = f" · {line.worst_as}: {wording.change(line.worst)}" if line.worst else ""
    return Result(
        sha=frame.head_sha,
        digest=hashlib.sha256(verdicts.encode(verdict)).hexdigest()[:16],
        line=f"{line.mark} {line.title}{worst}"[:_LONGEST_LINE],
        run=run,
        attempt=attempt,
        url=frame.run_url,
    )


def post(
    client: Client,
    number: int,
    verdict: Verdict,
    frame: Frame,
    *,
    mode: Mode = "always",
    run: int = 0,
    attempt: int = 0,
) -> Posted:
    """Let the pull request's comment say what the verdict says, of the commit `frame.head_sha`.

    With the mode `on-change` no comment is begun for a verdict without a change; one that is there is kept up to date.
    A result of an older commit than the pull request's head does not displace one of the head; where there is none, it
    is posted and says of which commit it is. Raises GithubError.
    """
    if mode == "never":
        return Posted("left out")
    head = client.pull_request(number).head.sha
    frame = replace(frame, moved_to=head if frame.head_sha != head else "")
    text = markdown.body(verdict, frame, limit=markdown.COMMENT_BYTES - _ROOM)
    mine = Sheet(text, Memory(current=result(verdict, frame, run=run, attempt=attempt)))
    begin = mode == "always" or verdict.outcome != "unchanged"
    login, name = client.login(), frame.configuration
    done: Literal["created", "updated", "unchanged"] = "unchanged"
    for attempt in range(1, _ROUNDS + 1):
        found = ours(client.comments(number), login, name)
        if not found and not begin:
            return Posted("left out")
        read = [sheet for sheet in (parsed(comment.text, name) for comment in found) if sheet is not None]
        body = written(merged(read, mine, head), name)
        if not found:
            client.once(
                lambda body=body: client.create_comment(number, body),  # type: ignore[misc]
                lambda: next(iter(ours(client.comments(number), login, name)), None),
            )
            done = "created"
            client.patience.settle()
            continue
        first, *others = found
        if not others and first.text.strip() == body.strip():
            return Posted(done, first.html_url)
        if first.text.strip() != body.strip():
            try:
                client.update_comment(first.id, body)
            except Unsure:
                client.patience.pause(attempt)
                continue
            except Refused as error:
                # Deleted since it was listed, by a racing run or by a person.
                if error.status != 404:
                    raise
                continue
        for other in others:
            client.delete_comment(other.id)
        done = "created" if done == "created" else "updated"
        client.patience.settle()
    raise GithubError(
        f"other runs keep editing the comment on pull request {number}; run this again when they are done"
    )


def ours(comments: Iterable[Comment], login: str, configuration: str) -> list[Comment]:
    """The comments of this account that bear the configuration's marker, oldest first."""
    return sorted(
        (
            comment
            for comment in comments
            if comment.user is not None and comment.user.login == login and _marked(comment.text, configuration)
        ),
        key=lambda comment: comment.id,
    )


def _marked(text: str, configuration: str) -> re.Match[str] | None:
    return re.match(rf"{re.escape(markdown.MARKER)} {re.escape(configuration)}(?: ([A-Za-z0-9+/=]*))? -->\n", text)


def parsed(text: str, configuration: str) -> Sheet | None:
    """A comment of ours taken apart; None when what it remembers cannot be read, and it is begun anew."""
    marked = _marked(text, configuration)
    if marked is None or not marked[1]:
        return None
    memory = hidden.unpacked(marked[1], Memory)
    if memory is None:
        return None
    kept = (memory.current, *memory.earlier)
    if any(len(one.line) > _LONGEST_LINE or len(one.url) > _LONGEST_ADDRESS for one in kept):
        return None
    return Sheet(text[marked.end() :].partition(_FOLD)[0].strip() + "\n", memory)


def merged(found: Sequence[Sheet], mine: Sheet, head: str) -> Sheet:
    """What the comment should be, from what was found and what this run has to say.

    The current result is that of the pull request's head, then that of the newest run, then this run's if it was not
    said before. Whichever of two racing runs computes it, and however often, the outcome is the same.
    """
    known = {one.key for sheet in found for one in (sheet.memory.current, *sheet.memory.earlier)}

    def rank(sheet: Sheet) -> tuple[bool, int, int, bool]:
        one = sheet.memory.current
        return one.sha == head, one.run, one.attempt, sheet is mine and one.key not in known

    # Of equals the first counts: what is there stays.
    best = max([*found, mine], key=rank)
    current = best.memory.current
    earlier: dict[tuple[str, str], Result] = {}
    for sheet in (*found, mine):
        for one in (sheet.memory.current, *sheet.memory.earlier):
            before = earlier.setdefault(one.key, one)
            if (one.run, one.attempt) > (before.run, before.attempt):
                earlier[one.key] = one
    earlier.pop(current.key)
    # Stable: results without the number of a run keep the order in which they were current.
    newest = sorted(earlier.values(), key=lambda one: (one.run, one.attempt), reverse=True)
    # The same result again may have other words around it.
    text = mine.text if current.key == mine.memory.current.key else best.text
    return Sheet(text, Memory(current=current, earlier=tuple(newest[:MOST_EARLIER])))


def written(sheet: Sheet, configuration: str) -> str:
    """The body of a comment, at most 65,536 bytes; the oldest results are forgotten where it would be more."""
    memory = sheet.memory
    while True:
        body = f"{markdown.marker(f'{configuration} {hidden.packed(memory)}')}\n{sheet.text}{_fold(memory.earlier)}"
        if len(body.encode()) <= markdown.COMMENT_BYTES or not memory.earlier:
            return body
        memory = msgspec.structs.replace(memory, earlier=memory.earlier[:-1])


def _fold(earlier: Sequence[Result]) -> str:
    if not earlier:
        return ""
    lines = "".join(f"- {escaping.code(one.sha[:10])} {_shown(one)}\n" for one in earlier)
    return f"{_FOLD}{len(earlier)}</summary>\n\n{lines}\n</details>\n"


def _shown(one: Result) -> Markup:
    line = escaping.text(one.line, _LONGEST_LINE)
    safe = re.fullmatch(r"https?://[A-Za-z0-9._~/:%-]+", one.url)
    return Markup(f"{line} ([run]({one.url}))") if safe else line

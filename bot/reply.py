"""The bot's one reply to a command: found, written, edited as the command proceeds.

Promises one reply for each comment that holds a command, however often and whenever its workflow runs: it is found by
its hidden marker *and* its author, a lost answer is looked for before anything is sent again, and the same text is not
written twice. What the reply remembers of the command stands in its marker and is decoded strictly when it is read
back: people with write access can edit our comments.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import msgspec

from bot import hidden
from bot.calls import Refused, Unsure
from bot.github import Client, Comment
from bot.report import markdown

State = Literal["refused", "answered", "recorded", "dispatched", "failed"]
"""What became of a command. `failed` is GitHub's doing, and the only one after which it is tried again."""

_MARKER = "<!-- torchwarden:reply"
_LONGEST_COMMAND = 4_000
_ROUNDS = 4
"""Times an edit is tried whose answers are lost."""


class Memory(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the marker of a reply holds: the number of the comment it answers, and what became of that.

    `command` is as `bot.command.render` writes it, `measured` what a `run` or `rerun` measured in the same form,
    `workflow` the file that was dispatched, `to` who is told.
    """

    comment: int
    state: State
    to: str = ""
    command: str = ""
    measured: str = ""
    head: str = ""
    workflow: str = ""


@dataclass(frozen=True)
class Reply:
    """A reply that is there."""

    id: int
    memory: Memory
    body: str
    url: str = ""


def found(comments: Iterable[Comment], login: str) -> list[Reply]:
    """All replies of this account among the comments of a pull request or issue, oldest first."""
    read = (_read(one) for one in comments if one.user is not None and one.user.login == login)
    return sorted((one for one in read if one is not None), key=lambda one: one.id)


def to(replies: Iterable[Reply], comment: int) -> list[Reply]:
    """Those that answer a comment."""
    return [one for one in replies if one.memory.comment == comment]


def body(memory: Memory, text: str) -> str:
    """The reply as it is written; `text` is Markdown of ours, cut where GitHub would not take it."""
    above = f"{_MARKER} {hidden.packed(memory)} -->\n"
    room = markdown.COMMENT_BYTES - len(above.encode())
    return above + text.strip().encode()[: room - 1].decode(errors="ignore") + "\n"


def write(client: Client, number: int, known: Iterable[Reply], memory: Memory, text: str) -> str:
    """Let the one reply to `memory.comment` on `number` be this; returns its address.

    `known` are the replies as they were listed. Of several, which two runs at once can leave, the oldest stays. Raises
    GithubError.
    """
    login, wanted = client.login(), body(memory, text)
    there = to(known, memory.comment)

    def look() -> Reply | None:
        return next(iter(to(found(client.comments(number), login), memory.comment)), None)

    def create() -> Reply:
        made = client.create_comment(number, wanted)
        return Reply(made.id, memory, wanted.strip(), made.html_url)

    first = there[0] if there else client.once(create, look)
    for other in there[1:]:
        client.delete_comment(other.id)
    for attempt in range(1, _ROUNDS + 1):
        if first.body == wanted.strip():
            break
        try:
            client.update_comment(first.id, wanted)
            break
        except Unsure:
            # The same text twice is the same text, and only one run writes to a reply.
            if attempt == _ROUNDS:
                raise
            client.patience.pause(attempt)
        except Refused as error:
            if error.status != 404:
                raise
            # Deleted since it was listed, or so it is said: what is there now counts.
            first = look() or client.once(create, look)
    return first.url


def _read(comment: Comment) -> Reply | None:
    """A reply taken apart; None for any other comment."""
    marked = re.match(rf"{re.escape(_MARKER)} ([A-Za-z0-9+/=]{{1,{4 * _LONGEST_COMMAND}}}) -->\n", comment.text)
    if marked is None:
        return None
    memory = hidden.unpacked(marked[1], Memory)
    if memory is None:
        return None
    return Reply(comment.id, memory, comment.text.strip(), comment.html_url)

"""Carries out a command from a comment: reacts, replies once, dispatches or proposes, and keeps the reply up to date.

Promises that a comment without a command costs no call; that one with a command gets 👀 at once, one reply, and at the
end 🚀 or 😕; and that all of it can be done again without doing anything twice: what the reply says is done is not done
again, and a workflow is dispatched only after looking for a run that bears the comment's number. (GitHub lists a
new run some seconds after it has said yes. A dispatch whose answer is lost and whose run is not listed within
`Patience.settling` is sent again; the workflow's concurrency group then cancels the first.)
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from bot import command as commands
from bot import dispatch, jobs, proposals, reply, waiting
from bot.calls import GithubError
from bot.command import Accept, Bisect, Command, Compare, Run
from bot.config import Config
from bot.dispatch import Answered, Asked, Dispatched, Event, Ignored, Recorded, Refused
from bot.event import linkable
from bot.github import Client, ReactionContent
from bot.ledger import Item
from bot.lookup import Lookup
from bot.proposals import Change, Posted
from bot.reply import Memory, Reply, State
from bot.report.escaping import code, text
from bot.verdict import Verdict
from bot.waiting import Place
from harness.errors import UserError
from harness.testname import quoted

_REACTIONS: dict[State, ReactionContent] = {
    "refused": "confused",
    "answered": "rocket",
    "recorded": "rocket",
    "dispatched": "rocket",
}
_LOOKS = 3
"""Times a run that was just dispatched is looked for, so that the first reply can link it."""


@dataclass(frozen=True)
class Measured:
    """A verdict on the commit in question, and the path in the repository of the reference beside whose ledger what is
    accepted of it goes.
    """

    verdict: Verdict
    reference: str


@dataclass(frozen=True)
class Done:
    """What became of a comment; `url` is the reply's."""

    state: State | Literal["ignored"]
    why: str = ""
    url: str = ""


def carry_out(client: Client, event: Event, config: Config, measured: Sequence[Measured] = ()) -> Done:
    """Carry out the command of a comment, if it holds one. `measured` is what `accept` may take.

    Raises GithubError where GitHub did not do its part; the reply then says so as far as it can be written.
    """
    heard = dispatch.heard(event)
    if isinstance(heard, Ignored):
        return Done("ignored", heard.reason)
    number, comment = event.issue.number, event.comment.id
    client.react(comment, "eyes")
    replies = reply.found(client.comments(number), client.login())
    ours = reply.to(replies, comment)
    begun = ours[0].memory if ours and ours[0].memory.state != "failed" else None
    memory = Memory(
        comment=comment,
        state="failed",
        to=event.comment.user.login,
        command=commands.render(heard) if isinstance(heard, Command) else "",
    )
    if begun is not None:
        memory, url = begun, ours[0].url
        if begun.state == "dispatched":
            url = _followed(client, number, replies, ours[0])
        elif len(ours) > 1:
            url = reply.write(client, number, replies, begun, ours[0].body.partition("\n")[2])
    else:
        try:
            decision = dispatch.consider(event, config, Lookup(client, replies))
            memory, said = _CARRIERS[type(decision)](client, event, config, measured, decision, memory)
        except GithubError as error:
            with contextlib.suppress(GithubError):
                reply.write(client, number, replies, memory, _failed(memory, error))
            raise
        url = reply.write(client, number, replies, memory, said)
    client.react(comment, _REACTIONS[memory.state])
    return Done(memory.state, url=url)


def follow(client: Client, number: int, comment: int) -> Done:
    """Bring the reply to a comment on `number` up to date with the run that it started. Raises GithubError.

    Nothing happens where there is no such reply: the workflow may have been dispatched by hand.
    """
    replies = reply.found(client.comments(number), client.login())
    ours = [one for one in reply.to(replies, comment) if one.memory.state == "dispatched"]
    if not ours:
        return Done("ignored", "there is no reply to that comment that speaks of a run")
    return Done("dispatched", url=_followed(client, number, replies, ours[0]))


def _followed(client: Client, number: int, replies: Sequence[Reply], ours: Reply) -> str:
    """Write how far the run is; where it is not listed any more, what the reply says of it stays."""
    where = _place(client, ours.memory)
    said = _dispatched(ours.memory, where) if where is not None else ours.body.partition("\n")[2]
    return reply.write(client, number, replies, ours.memory, said)


def _refused(
    client: Client, event: Event, config: Config, measured: Sequence[Measured], decision: Refused, memory: Memory
) -> tuple[Memory, str]:
    return msgspec.structs.replace(memory, state="refused"), decision.reply


def _answered(
    client: Client, event: Event, config: Config, measured: Sequence[Measured], decision: Answered, memory: Memory
) -> tuple[Memory, str]:
    return msgspec.structs.replace(memory, state="answered"), decision.reply


def _asked(
    client: Client, event: Event, config: Config, measured: Sequence[Measured], decision: Asked, memory: Memory
) -> tuple[Memory, str]:
    workflows = dict.fromkeys(dispatch.WORKFLOWS.values())
    found = [(workflow, run) for workflow in workflows for run in waiting.runs(client, workflow)]
    return msgspec.structs.replace(memory, state="answered"), waiting.table(found)


def _started(
    client: Client, event: Event, config: Config, measured: Sequence[Measured], decision: Dispatched, memory: Memory
) -> tuple[Memory, str]:
    """Dispatch the workflow, unless a run bears the number of this comment already."""
    begun = msgspec.structs.replace(
        memory,
        state="dispatched",
        head=decision.inputs.get("head", ""),
        workflow=decision.workflow,
        measured=_measured(decision),
    )

    def look() -> tuple[Place | None] | None:
        found = _place(client, begun)
        return None if found is None else (found,)

    def start() -> tuple[Place | None]:
        client.dispatch(decision.workflow, ref=decision.ref, inputs=decision.inputs)
        for _ in range(_LOOKS):
            if (found := look()) is not None:
                return found
            client.patience.settle()
        return (None,)

    def settled() -> tuple[Place | None] | None:
        client.patience.settle()
        return look()

    (where,) = look() or client.once(start, settled)
    return begun, _dispatched(begun, where)


def _recorded(
    client: Client, event: Event, config: Config, measured: Sequence[Measured], decision: Recorded, memory: Memory
) -> tuple[Memory, str]:
    """Propose what was accepted or is to be ignored."""
    try:
        changes = (
            _acceptances(decision.command, decision, measured)
            if isinstance(decision.command, Accept)
            else _ignorances(client, event, config, decision)
        )
        posted = [proposals.propose(client, change) for change in changes]
    except GithubError:
        raise
    except UserError as error:
        said = f"@{decision.by} {text(str(error))}."
        return msgspec.structs.replace(memory, state="refused"), said
    lines = [f"@{decision.by} {code(memory.command)}:", *(_proposed(one) for one in dict.fromkeys(posted))]
    done = msgspec.structs.replace(memory, state="recorded", head=decision.head)
    return done, "\n".join(f"- {line}" if index else f"{line}\n" for index, line in enumerate(lines))


_CARRIERS: dict[type[Any], Callable[..., tuple[Memory, str]]] = {
    Refused: _refused,
    Answered: _answered,
    Asked: _asked,
    Dispatched: _started,
    Recorded: _recorded,
}


def _acceptances(command: Accept, decision: Recorded, measured: Sequence[Measured]) -> list[Change]:
    """A change for every verdict that shows what is accepted. Raises UserError."""
    if not measured:
        raise UserError(f"there is no measurement of {decision.head[:10]} yet; give `/perf run` first and wait for it")
    for one in measured:
        commit = commit_of(one.verdict)
        if commit != decision.head:
            of = f"commit {commit[:10]}" if commit else "no commit"
            raise UserError(
                f"the newest measurement is of {of}, and this pull request is at {decision.head[:10]}; "
                "measure that with `/perf run` first"
            )
    shown = [one for one in measured if _shows(one.verdict, command.test)]
    if not shown:
        what = "no signal" if command.test == commands.ALL else f"no test {quoted(command.test)}"
        raise UserError(f"the measurement of {decision.head[:10]} has {what}, so there is nothing to accept")
    return [
        proposals.accepting(
            one.reference, one.verdict, command.test, reason=command.reason, by=decision.by, until=command.until
        )
        for one in shown
    ]


def _shows(verdict: Verdict, test: str) -> bool:
    return any(one.signal if test == commands.ALL else one.test == test for one in verdict.tests)


def _ignorances(client: Client, event: Event, config: Config, decision: Recorded) -> list[Change]:
    """A change for every reference of the configuration that knows the test. Raises UserError."""
    command = decision.command
    item = Item(
        run=f"comment-{decision.comment}",
        test=command.test,
        kind="ignored",
        date=event.comment.created_at.date(),
        by=decision.by,
        reason=command.reason,
        until=command.until,
    )
    knowing = [path for path in reference_files(config) if _knows(client, path, command.test)]
    if not knowing:
        raise UserError(f"no reference on the default branch holds {quoted(command.test)}, so there is none to ignore")
    return [Change(path, [item]) for path in knowing]


def _knows(client: Client, path: str, test: str) -> bool:
    content = proposals.at_default(client, path)
    return content is not None and proposals.holds(content, path, test)


def reference_files(config: Config) -> list[str]:
    """The references of every suite on every machine that measures it, from the root of the repository."""
    every = jobs.Wanted(suites=tuple(config.suites))
    return list(dict.fromkeys(jobs.reference_file(config, one) for one in jobs.jobs(config, "pull-request", every)))


def commit_of(verdict: Verdict) -> str:
    """The commit whose build a verdict judges, "" for a build that is of none."""
    head = next((one for one in verdict.builds if one.name == verdict.plan.head), None)
    specification = head.specification if head is not None else ""
    return specification.removeprefix("git:") if specification.startswith("git:") else ""


def _measured(decision: Dispatched) -> str:
    """What is measured, as the command that `rerun` repeats: that of the inputs, for a rerun repeats another."""
    if isinstance(decision.command, Compare | Bisect):
        return ""
    given = {
        one.key: commands.argument("run", one.key, value)
        for one in commands.GRAMMAR["run"].arguments
        if (value := decision.inputs.get(one.key))
    }
    return commands.render(Run(**given))


def _place(client: Client, memory: Memory) -> Place | None:
    """Where the run that a reply speaks of stands; None while GitHub does not list it."""
    found = waiting.runs(client, memory.workflow)
    run = waiting.asked_by(found, memory.comment)
    return None if run is None else waiting.place(found, run)


def _dispatched(memory: Memory, where: Place | None) -> str:
    of = f" at commit {code(memory.head[:10])}" if memory.head else ""
    also = f" ({code(memory.measured)})" if memory.measured not in ("", memory.command) else ""
    state = waiting.words(where) if where is not None else "🕐 started; its run will be listed soon"
    return f"@{memory.to} {code(memory.command)}{also}{of}: {state}."


def _failed(memory: Memory, error: GithubError) -> str:
    shown = code(memory.command) if memory.command else "the command"
    return f"@{memory.to} {shown} was not carried out: {text(str(error))}."


def _proposed(posted: Posted) -> str:
    link = f"[#{posted.number}]({posted.url})" if linkable(posted.url) else f"#{posted.number}"
    return {
        "created": f"proposed in {link}; it counts once that is merged",
        "updated": f"proposed in {link}; it counts once that is merged",
        "unchanged": f"proposed in {link}; it counts once that is merged",
        "nothing": "the default branch holds this already",
        "declined": f"the same was proposed in {link}, which was closed without merging; reopen that to propose it",
    }[posted.done]

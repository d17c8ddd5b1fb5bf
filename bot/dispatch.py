"""What becomes of a comment: nothing, an answer, an entry in the ledger, or a workflow that is dispatched.

Promises that a decision is a pure function of the event, the configuration, the author's permission and the state of
the pull request; that who may not command gets a polite refusal and nothing else happens; and that a dispatch is
pinned to the head commit there was when the command was written: a push in between makes it void. All inputs of a
workflow are texts that have matched a tight pattern. Fetching is left to a `Repository`, and done only for comments
that hold a command which needs it.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Protocol

import msgspec
from msgspec import Meta

from bot import command as commands
from bot import jobs
from bot.command import Accept, Bisect, Command, Compare, Help, Ignore, Refusal, Rerun, Run, Status
from bot.config import Config
from bot.report.escaping import code, text
from harness.errors import UserError

Permission = Literal["none", "read", "triage", "write", "maintain", "admin"]
PERMISSIONS: tuple[Permission, ...] = ("none", "read", "triage", "write", "maintain", "admin")
"""What a user may do in a repository, each more than the one before."""

WORKFLOWS: dict[type[Any], str] = {
    Run: "torchwarden-pull-request.yml",
    Rerun: "torchwarden-pull-request.yml",
    Compare: "torchwarden-compare.yml",
    Bisect: "torchwarden-bisect.yml",
}
"""The workflow of each command that measures."""

OPEN_TO_ALL = (Help, Status)
"""Commands that change nothing and cost nothing."""

NEEDS_PULL = (Run, Rerun, Accept)
"""Commands about a commit, which only a pull request has."""

OF_THE_HEAD = (*NEEDS_PULL, Bisect)
"""Commands that hold for the head commit of a pull request where they stand on one."""

_SHA = re.compile(r"[0-9a-f]{40}")
_Login = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}(?:\[bot\])?$")]


class User(msgspec.Struct, frozen=True):
    """Who did it; `type` is `User`, `Bot`, `Organization` or `Mannequin`."""

    login: _Login
    type: str


class Comment(msgspec.Struct, frozen=True):
    """The comment itself; `body` is the Markdown of whoever wrote it."""

    id: Annotated[int, Meta(ge=1)]
    user: User
    body: Annotated[str, Meta(max_length=4 * commands.LONGEST_COMMENT)]
    created_at: datetime.datetime
    performed_via_github_app: dict[str, Any] | None = None


class Issue(msgspec.Struct, frozen=True):
    """What was commented on; `pull_request` is there when it is one."""

    number: Annotated[int, Meta(ge=1)]
    state: Literal["open", "closed"]
    pull_request: dict[str, Any] | None = None


class Home(msgspec.Struct, frozen=True):
    """The repository of the event."""

    full_name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}/[A-Za-z0-9._-]{1,100}$")]
    default_branch: Annotated[str, Meta(max_length=255)]


class Event(msgspec.Struct, frozen=True):
    """The payload of an `issue_comment` event, as much of it as is needed."""

    action: str
    issue: Issue
    comment: Comment
    repository: Home
    sender: User


@dataclass(frozen=True)
class PullRequest:
    """The pull request as the API has it now.

    `pushed` is when its head branch was last pushed to by the server's clock, None where that is not known (a commit's
    own dates are its author's to choose). `base` is the tip of the branch that it is to go into.
    """

    number: int
    head: str
    head_repository: str
    base: str
    open: bool = True
    pushed: datetime.datetime | None = None


class Repository(Protocol):
    """What has to be asked for."""

    def permission(self, login: str) -> str:
        """What a user may do here: one of `PERMISSIONS`."""

    def pull_request(self, number: int) -> PullRequest:
        """A pull request as it is now."""

    def last_run(self, number: int) -> str | None:
        """The command that measured a pull request last, as `bot.command.render` wrote it; None for none."""


@dataclass(frozen=True)
class Ignored:
    """Nothing is to be done, and nothing said; `reason` is for the log."""

    reason: str


@dataclass(frozen=True)
class Refused:
    """Reply with `reply` (Markdown), react with 😕, and do nothing else."""

    reply: str


@dataclass(frozen=True)
class Answered:
    """Reply with `reply` (Markdown): all that the command asked for."""

    reply: str


@dataclass(frozen=True)
class Dispatched:
    """Start `workflow` of the default branch `ref` with `inputs`."""

    command: Command
    workflow: str
    ref: str
    inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Recorded:
    """Enter an `accept` or `ignore` into the ledger: by whom, for which commit ("" for none), from which comment."""

    command: Accept | Ignore
    by: str
    head: str
    comment: int


@dataclass(frozen=True)
class Asked:
    """Reply with what is running or waiting."""

    command: Status


Decision = Ignored | Refused | Answered | Dispatched | Recorded | Asked

_decoder = msgspec.json.Decoder(Event)


def event(payload: bytes) -> Event:
    """The event in a payload of GitHub's. Raises UserError for one that is not of an `issue_comment`."""
    try:
        return _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(
            f"the event is not that of a comment ({error}); run this in an issue_comment workflow"
        ) from None


def consider(event: Event, config: Config, repository: Repository) -> Decision:
    """What becomes of an event; asks the repository only for what the decision takes."""
    command = heard(event)
    if not isinstance(command, Command):
        return command
    permission = "none" if isinstance(command, OPEN_TO_ALL) else repository.permission(event.comment.user.login)
    if (refused := forbidden(command, event, config, permission)) is not None:
        return refused
    pull = last = None
    if event.issue.pull_request is not None and not isinstance(command, OPEN_TO_ALL):
        pull = repository.pull_request(event.issue.number)
    if isinstance(command, Rerun):
        last = repository.last_run(event.issue.number)
    return decide(command, event, config, permission=permission, pull=pull, last=last)


def heard(event: Event) -> Command | Ignored | Refused:
    """The command of an event, or why there is none to carry out."""
    by = event.comment.user
    if event.action != "created":
        return Ignored(f"the comment was {event.action if event.action in ('edited', 'deleted') else 'not created'}")
    if any(one.type != "User" or one.login.endswith("[bot]") for one in (by, event.sender)):
        return Ignored("the comment is a bot's")
    if event.comment.performed_via_github_app is not None:
        return Ignored("the comment was written by an app")
    command = commands.parse(event.comment.body)
    if command is None:
        return Ignored("the comment holds no command")
    if isinstance(command, Refusal):
        return _refused(by.login, str(text(command.sentence)), command.usage)
    if isinstance(command, NEEDS_PULL) and event.issue.pull_request is None:
        return _refused(by.login, f"{code(commands.render(command))} is for pull requests, and this is an issue.")
    return command


def forbidden(command: Command, event: Event, config: Config, permission: str) -> Refused | None:
    """The refusal for who may not give this command; None for who may."""
    login = event.comment.user.login
    allowed = login.lower() in {one.lower() for one in config.permissions.allow}
    if isinstance(command, OPEN_TO_ALL) or allowed or _at_least(permission, "write"):
        return None
    return _refused(
        login,
        f"thank you, but {code(commands.WORD + ' ' + command.verb)} takes the right to write to this repository, "
        "for it spends its runners' time; please ask someone who has it to give the command.",
    )


def decide(
    command: Command,
    event: Event,
    config: Config,
    *,
    permission: str,
    pull: PullRequest | None,
    last: str | None = None,
) -> Decision:
    """What becomes of a command that its author may give, where `pull` is the pull request that it stands on, if any.

    `last` is the command that a `rerun` repeats.
    """
    login = event.comment.user.login
    if isinstance(command, Help):
        return Answered(commands.help_text())
    if isinstance(command, Status):
        return Asked(command)
    if pull is not None and (problem := _unfit(command, event, config, permission, pull)):
        return _refused(login, problem)
    if isinstance(command, Accept | Ignore):
        if command.until is not None and command.until < event.comment.created_at.date():
            return _refused(login, f"{command.until} is past already; name a day to come.")
        return Recorded(command, login, pull.head if pull is not None else "", event.comment.id)
    measured = command
    if isinstance(command, Rerun):
        repeated = commands.parse(last) if last is not None else Run()
        measured = repeated if isinstance(repeated, Run) else Run()
    if _may_be_foreign(measured) and (problem := _forks(config, permission)):
        return _refused(login, f"{problem} The commit that is named may be one; name a branch or a tag instead.")
    if isinstance(measured, Run | Compare):
        try:
            jobs.jobs(config, "pull-request", selection(measured))
        except UserError as error:
            return _refused(login, f"{text(str(error))}.{_filter_hint(measured, config)}", commands.usage(command.verb))
    return Dispatched(
        command, WORKFLOWS[type(command)], event.repository.default_branch, _inputs(measured, event, pull)
    )


def void(inputs: Mapping[str, str], head: str) -> bool:
    """Whether a dispatched command no longer holds because the pull request's head is another by now."""
    return bool(inputs.get("head")) and inputs["head"] != head


def selection(command: Run | Compare) -> jobs.Wanted:
    """What a command wants measured."""
    return jobs.Wanted(command.suites, command.filter, command.lanes, command.device)


def _unfit(command: Command, event: Event, config: Config, permission: str, pull: PullRequest) -> str:
    """Why a command cannot be carried out on this pull request now, as a sentence of Markdown; "" where it can."""
    if not _SHA.fullmatch(pull.head):
        return "the head of this pull request is not known; please try again."
    if not isinstance(command, OF_THE_HEAD):
        return ""
    if not pull.open and isinstance(command, NEEDS_PULL):
        return "this pull request is closed; reopen it, or name what to measure with `/perf compare`."
    # The server's clock tells whole seconds here; a push within that of the comment was most likely seen.
    if pull.pushed is not None and pull.pushed > event.comment.created_at:
        return (
            f"a push came after this command, so it is void: the head is {code(pull.head[:10])} now. "
            "Look at it, and give the command again."
        )
    foreign = pull.head_repository.lower() != event.repository.full_name.lower()
    if not foreign or isinstance(command, Accept):
        return ""
    if problem := _forks(config, permission):
        return problem
    if pull.pushed is None:
        return (
            "GitHub does not say when this fork was last pushed to, so nobody can tell whether its head is what you "
            f"looked at. Name the commit: `/perf compare {event.repository.default_branch} COMMIT`."
        )
    return ""


def _forks(config: Config, permission: str) -> str:
    """Why someone may not have a commit of a fork measured, as a sentence; "" for who may."""
    needed = config.permissions.forks
    if needed != "nobody" and _at_least(permission, needed):
        return ""
    who = "nobody may" if needed == "nobody" else f"only who has the right to {needed} may"
    return f"{who} have a commit of a fork measured here (`permissions.forks`), for that runs its code."


def _may_be_foreign(command: Command) -> bool:
    """Whether a command names a commit that may be a fork's: GitHub serves those by hash and below refs/pull too."""
    named = (getattr(command, key, "") for key in ("base", "a", "b", "good", "bad"))
    return any(re.fullmatch(r"[0-9A-Fa-f]{4,40}", text) or text.startswith(("refs/", "pull/")) for text in named)


def _inputs(command: Command, event: Event, pull: PullRequest | None) -> dict[str, str]:
    """The inputs of the workflow; the same keys for every use of one command."""
    inputs = {"comment": str(event.comment.id), "number": str(event.issue.number)}
    for argument in commands.GRAMMAR[command.verb].arguments:
        value = getattr(command, argument.key)
        inputs[argument.key] = "" if value in ("", ()) else argument.kind.written(value)
    if isinstance(command, Run | Bisect):
        inputs["head"] = pull.head if pull is not None else ""
        inputs["target"] = pull.base if pull is not None and _SHA.fullmatch(pull.base) else ""
    return inputs


def _filter_hint(command: Run | Compare, config: Config) -> str:
    """What to write where the name of a model was taken for that of a suite."""
    strange = [name for name in command.suites if name not in config.suites]
    return f" For tests whose name holds this, write {code('filter=' + strange[0])}." if strange else ""


def _at_least(permission: str, needed: Permission) -> bool:
    return permission in PERMISSIONS and PERMISSIONS.index(permission) >= PERMISSIONS.index(needed)


def _refused(login: str, sentence: str, usage: str = "") -> Refused:
    """A reply to whoever wrote the command; `sentence` is Markdown, `usage` our own text."""
    block = f"\n\n```text\n{usage}\n```" if usage else ""
    return Refused(f"@{login} {sentence}{block}")

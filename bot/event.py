"""Which commit of which pull request a run is about: from the event that GitHub gave, never from a verdict.

Promises that numbers, names and commits have been checked against what they must look like, and that a pull request is
taken from the event or looked up by commit. GitHub writes the file of an event, but what people typed stands in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from bot.github import Client, checked
from harness.errors import UserError
from harness.testname import quoted

MOST_BYTES = 25 * 2**20
"""GitHub's own limit of an event's payload."""


@dataclass(frozen=True)
class Subject:
    """What a run is about. `pull_request` is None for a commit outside any, `head_sha` None where the event names none.

    With `by_commit` the pull request has to be looked up: the event knows the commit alone.
    """

    pull_request: int | None = None
    head_sha: str | None = None
    by_commit: bool = False


class _Part(msgspec.Struct, frozen=True):
    """Events have hundreds of fields; those that are not named here are ignored."""


class _Head(_Part, frozen=True):
    sha: str


class _Pull(_Part, frozen=True):
    number: int
    head: _Head


class _Issue(_Part, frozen=True):
    number: int
    pull_request: dict[str, object] | None = None


class _WorkflowRun(_Part, frozen=True):
    head_sha: str
    event: str


class _Check(_Part, frozen=True):
    head_sha: str


class _Payload(_Part, frozen=True):
    pull_request: _Pull | None = None
    issue: _Issue | None = None
    workflow_run: _WorkflowRun | None = None
    check_run: _Check | None = None
    after: str | None = None


def _of_pull_request(payload: _Payload) -> Subject:
    if payload.pull_request is None:
        raise UserError("the event names no pull request; give --pr and --head-sha")
    return Subject(payload.pull_request.number, checked(payload.pull_request.head.sha, "commit"))


def _of_comment(payload: _Payload) -> Subject:
    if payload.issue is None or payload.issue.pull_request is None:
        return Subject()
    return Subject(payload.issue.number)


def _of_workflow_run(payload: _Payload) -> Subject:
    if payload.workflow_run is None:
        raise UserError("the event names no workflow run; give --pr and --head-sha")
    sha = checked(payload.workflow_run.head_sha, "commit")
    # Its list of pull requests is empty for those from forks, so it is never used.
    return Subject(None, sha, by_commit=payload.workflow_run.event in ("pull_request", "pull_request_target"))


def _of_check(payload: _Payload) -> Subject:
    return Subject(None, checked(payload.check_run.head_sha, "commit")) if payload.check_run else Subject()


def _of_push(payload: _Payload) -> Subject:
    return Subject(None, checked(payload.after, "commit")) if payload.after else Subject()


_SUBJECTS: dict[str, Callable[[_Payload], Subject]] = {
    "pull_request": _of_pull_request,
    "pull_request_target": _of_pull_request,
    "pull_request_review": _of_pull_request,
    "issue_comment": _of_comment,
    "workflow_run": _of_workflow_run,
    "check_run": _of_check,
    "push": _of_push,
}
"""By the name of the event; others (schedule, workflow_dispatch, ...) name neither."""


def subject(name: str, payload: bytes) -> Subject:
    """What an event is about. Raises UserError for a file that is no event."""
    read = _SUBJECTS.get(name)
    if read is None:
        return Subject()
    try:
        return read(msgspec.json.decode(payload, type=_Payload))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(
            f"the file of the event {quoted(name)} is not GitHub's ({error}); give --pr and --head-sha"
        ) from None


def pull_request_at(client: Client, sha: str) -> int | None:
    """The number of the open pull request whose head is this commit; None when there is none (any more)."""
    checked(sha, "commit")
    return next((pull.number for pull in client.pull_requests() if pull.head.sha == sha), None)


_LINK = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/?#&=%+,:@-]*)?")


def linkable(url: str) -> bool:
    """Whether `url` can be shown as a link in Markdown as it is."""
    return 0 < len(url) <= 500 and _LINK.fullmatch(url) is not None


def checked_link(url: str, option: str) -> str:
    """`url`, if it can be shown as a link in Markdown as it is, or is empty. Raises UserError otherwise."""
    if url and not linkable(url):
        raise UserError(
            f"{option} {quoted(url)} is not an address that can be linked to; percent-encode what is unusual in it"
        )
    return url


_CONFIGURATION = re.compile(r"[A-Za-z0-9]+([._-][A-Za-z0-9]+)*")


def checked_configuration(name: str) -> str:
    """`name`, if it can name a configuration in a hidden comment and in a check. Raises UserError otherwise."""
    if len(name) > 60 or not _CONFIGURATION.fullmatch(name):
        raise UserError(f"--config-name {quoted(name)} is not a name; use letters, digits and single . _ - in between")
    return name

"""What a decision on a command has to know of GitHub: permission, pull request, and what was measured last.

Promises to ask for each only when it is wanted, and that what is not known is not taken for yes.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from bot.dispatch import PERMISSIONS, PullRequest
from bot.github import Client
from bot.reply import Reply


class Lookup:
    """A `bot.dispatch.Repository` over GitHub's API. `replies` are the bot's own, on the pull request of the event."""

    def __init__(self, client: Client, replies: Sequence[Reply]) -> None:
        self._client = client
        self._replies = replies

    def permission(self, login: str) -> str:
        """What a user may do here. A role that an organisation has made counts as the one it is built on."""
        found = self._client.permission(login)
        return found.role_name if found.role_name in PERMISSIONS else found.permission

    def pull_request(self, number: int) -> PullRequest:
        """A pull request as it is now; a fork that is gone has no name."""
        found = self._client.pull_request(number)
        pushed = self._client.pushed(found.head)
        return PullRequest(
            number=number,
            head=found.head.sha,
            head_repository=found.head.repo.full_name if found.head.repo is not None else "",
            base=found.base.sha,
            open=found.state == "open",
            pushed=datetime.datetime.fromisoformat(pushed.replace("Z", "+00:00")) if pushed is not None else None,
        )

    def last_run(self, number: int) -> str | None:
        """The `run` or `rerun` that was carried out last, as our replies remember it: a rerun as what it repeated."""
        done = [
            one.memory.measured for one in self._replies if one.memory.state == "dispatched" and one.memory.measured
        ]
        return done[-1] if done else None

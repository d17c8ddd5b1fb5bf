"""Clients of the tests' server that do not wait, and the check that all they said was GitHub's language."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from bot.calls import Patience, Sender
from bot.github import Client
from tests.github import contract
from tests.github.server import Server

TIMEOUT = 0.25
"""Seconds a client waits for an answer where a test lets calls time out."""


@contextlib.contextmanager
def github(*, prefix: str = "") -> Iterator[Server]:
    """A server whose exchanges are all judged at the end."""
    with Server(prefix=prefix, hold=2 * TIMEOUT) as server:
        yield server
        assert contract.judge(server.exchanges) >= 0


def patience(slept: list[float] | None = None, **more: float) -> Patience:
    """Patience that only notes how long it would have waited."""
    return Patience(sleep=(slept if slept is not None else []).append, clock=lambda: 0.0, wall=lambda: 1000.0, **more)


def client(
    server: Server,
    token: str = "tok-actions",
    *,
    slept: list[float] | None = None,
    timeout: float = 10.0,
    **more: float,
) -> Client:
    """A client of the server's repository."""
    waiting = patience(slept, **more)
    sender = Sender(token, url=server.url, patience=waiting, between_writes=0.0)
    # PyGithub takes whole seconds, which a test that lets forty calls time out has not got.
    sender._github.requester._Requester__timeout = timeout
    return Client(server.repository, sender, patience=waiting)

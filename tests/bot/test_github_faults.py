"""Every fault at every call of the flows, once each: the end is right, or a clear error, and nothing is there twice."""

from __future__ import annotations

import functools
import unittest.mock

import pytest

from bot import checks, comment
from bot.calls import GithubError
from bot.report import markdown
from bot.report.markdown import Frame
from tests.bot import verdicts
from tests.github import connection, contract
from tests.github.server import Identity, Server

SHA = "d" * 40
FRAME = Frame(head_sha=SHA)

FAULTS = [
    *((str(status), False) for status in (401, 403, 404, 409, 422, 429)),
    *((kind, done) for kind in ("500", "502", "timeout", "reset") for done in (False, True)),
    ("truncated", True),
]
"""Kind, and whether the call was carried out all the same and only its answer lost."""

PASSING = {"429", "500", "502", "timeout", "reset", "truncated"}
"""What must not be seen at the end."""


def _comment(server: Server) -> None:
    client = connection.client(server, "tok-bot", timeout=connection.TIMEOUT)
    comment.post(client, 1, verdicts.clean(), FRAME, run=2)


def _comment_as_app(server: Server) -> None:
    client = connection.client(server, "tok-actions", timeout=connection.TIMEOUT)
    comment.post(client, 1, verdicts.clean(), FRAME, run=2)


def _check(server: Server, token: str = "tok-actions") -> None:
    client = connection.client(server, token, timeout=connection.TIMEOUT)
    checks.post(client, SHA, checks.check(verdicts.clean(), FRAME, "gate"), FRAME)


def _empty(server: Server) -> None:
    server.pull(SHA)


def _with_comment(server: Server) -> None:
    _empty(server)
    comment.post(connection.client(server, "tok-bot"), 1, verdicts.mixed(), FRAME, run=1)


def _with_two_comments(server: Server) -> None:
    _with_comment(server)
    (body,) = (kept["body"] for kept in server.state.comments.values())
    server.comment(1, "warden-bot", body)


FLOWS = {
    "a new comment": (_empty, _comment),
    "a new comment of an app": (_empty, _comment_as_app),
    "an edited comment": (_with_comment, _comment),
    "two comments merged": (_with_two_comments, _comment),
    "a check run": (_empty, _check),
    "a commit status": (_empty, functools.partial(_check, token="tok-bot")),
}


def _outcome(server: Server) -> object:
    """What people see, without numbers that GitHub gives."""
    shown = [
        sorted((kept["issue"], kept["login"], kept["body"]) for kept in server.state.comments.values()),
        sorted((kept["name"], kept["conclusion"], kept["external_id"]) for kept in server.state.checks.values()),
        [(kept["context"], kept["state"], kept["description"]) for kept in server.state.statuses],
    ]
    return shown


@functools.cache
def _without_faults(flow: str) -> tuple[int, object]:
    before, run = FLOWS[flow]
    # A busy machine may let a call wait; sent again, it would count twice.
    with unittest.mock.patch.object(connection, "TIMEOUT", 60.0), Server() as server:
        before(server)
        start = server.calls
        run(server)
        return server.calls - start, _outcome(server)


# The number of calls is known only by making them; the tests below say when one is not reached.
CASES = [(flow, number) for flow in FLOWS for number in range(_without_faults(flow)[0])]


@pytest.mark.parametrize(
    ("kind", "done"), FAULTS, ids=lambda value: {True: "done", False: "not-done"}.get(value, value)
)
@pytest.mark.parametrize(("flow", "number"), CASES)
def test_a_fault(flow: str, number: int, kind: str, done: bool) -> None:
    before, run = FLOWS[flow]
    with Server(hold=2 * connection.TIMEOUT) as server:
        before(server)
        server.fail_at(number, kind, done=done)
        try:
            run(server)
            clear = True
        except GithubError as error:
            clear = False
            assert kind not in PASSING, "a passing fault is got over"
            assert f"{kind} (" in str(error) and "; " in str(error), "what was refused and what to do"
        assert any(one.fault for one in server.exchanges), "the call was made"
        fallen_back = kind in ("403", "404") and flow == "a check run"
        if clear:
            assert _outcome(server) == _without_faults("a commit status" if fallen_back else flow)[1]
        run(server)
        if not fallen_back:
            assert _outcome(server) == _without_faults(flow)[1]
        assert len(server.state.comments) == (1 if "comment" in flow else 0)
        assert len(server.state.checks) <= 1 and len(server.state.statuses) <= 1
        settled = server.snapshot()
        run(server)
        assert server.snapshot() == settled, "a second time changes nothing"
        contract.judge(server.exchanges)


def test_the_marker_is_never_there_twice() -> None:
    with Server() as server:
        server.tokens["tok-bot"] = Identity("warden-bot")
        _with_two_comments(server)
        _comment(server)
        (kept,) = server.state.comments.values()
        assert kept["body"].count(markdown.MARKER) == 1

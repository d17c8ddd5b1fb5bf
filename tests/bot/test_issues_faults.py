"""Every fault at every call of an issue's life, once each: the end is right or a clear error, and no issue is twice."""

from __future__ import annotations

import functools

import pytest

from bot import issues, owners
from bot.calls import GithubError
from bot.report.issue import Frame
from tests.bot import nights
from tests.bot.nights import bad, good, night
from tests.bot.test_github_faults import FAULTS, PASSING
from tests.github import connection, contract
from tests.github.server import Server

FRAME = Frame(repository="acme/models")
SETTINGS = issues.Settings(owners=(owners.Rule("*", ("@dev",)),))


def _run(server: Server, number: int) -> None:
    client = connection.client(server, "tok-bot", timeout=connection.TIMEOUT)
    issues.post(client, LIFE[number - 1], FRAME, SETTINGS)


LIFE = [
    night(1, bad(), nights.undecided(nights.OTHER)),
    night(2, bad(), bad(nights.OTHER)),
    *(night(number, good(), good(nights.OTHER)) for number in (3, 4, 5)),
    night(6, bad(change=0.4), good(nights.OTHER)),
]
FLOWS = {"opened": 1, "joined by another test": 2, "a clean night": 3, "closed": 5, "reopened": 6}


@functools.cache
def _before(flow: str):
    """The server's state before the night of the flow."""
    with Server() as server:
        server.state.permissions["dev"] = "write"
        for number in range(1, FLOWS[flow]):
            _run(server, number)
        return server.snapshot()


def _outcome(server: Server) -> object:
    issue_keys = ("title", "body", "state", "state_reason", "labels", "assignees")
    return (
        sorted(str([kept[key] for key in issue_keys]) for kept in server.state.issues.values()),
        sorted(kept["body"] for kept in server.state.comments.values()),
        sorted(server.state.labels),
    )


@functools.cache
def _without_faults(flow: str) -> tuple[int, object]:
    with Server() as server:
        server.state = _copy(flow)
        _run(server, FLOWS[flow])
        return server.calls, _outcome(server)


def _copy(flow: str):
    with Server() as server:
        server.state = _before(flow)
        return server.snapshot()


# The number of calls is known only by making them.
CASES = [(flow, number) for flow in FLOWS for number in range(_without_faults(flow)[0])]


@pytest.mark.parametrize(("flow", "number"), CASES)
def test_every_fault(flow: str, number: int) -> None:
    for kind, done in FAULTS:
        with Server(hold=2 * connection.TIMEOUT) as server:
            server.state = _copy(flow)
            server.fail_at(number, kind, done=done)
            try:
                _run(server, FLOWS[flow])
                clear = True
            except GithubError as error:
                clear = False
                assert kind not in PASSING, "a passing fault is got over"
                # A label that could not be made is looked for, and then it is its absence that is told.
                told = (kind, "404") if kind == "422" and "/labels/" in str(error) else (kind,)
                assert any(f"{one} (" in str(error) for one in told) and "; " in str(error), (
                    "what was refused and what to do"
                )
            assert any(one.fault for one in server.exchanges), "the call was made"
            # An owner whom GitHub does not let be assigned is left out, and what is left out stays so.
            left_out = kind == "422" and clear and _outcome(server) != _without_faults(flow)[1]
            if left_out:
                assert any(
                    b'"assignees":["dev"]' in one.body.replace(b" ", b"") for one in server.exchanges if one.fault
                )
            _run(server, FLOWS[flow])
            assert left_out or _outcome(server) == _without_faults(flow)[1], (kind, done)
            assert len(server.state.issues) == 1
            settled = server.snapshot()
            _run(server, FLOWS[flow])
            assert server.snapshot() == settled, "a second time changes nothing"
            contract.judge(server.exchanges)

"""Every fault at every call of a command and of a proposal, once each: the end is right, or a clear error, and no
reply, reaction, run, branch or pull request is there twice.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import pytest

from bot import commanding, proposals
from bot.commanding import Measured
from harness.errors import UserError
from tests.bot import pullrequests, verdicts
from tests.bot.pullrequests import HEAD, LEDGER, REFERENCE, WORSE
from tests.bot.test_github_faults import FAULTS, PASSING
from tests.github import connection, contract
from tests.github.server import Server

TIMEOUT = 0.15
VERDICT = pullrequests.of_commit(verdicts.mixed(), HEAD)
Flow = Callable[[Server], Callable[[], Any]]
"""Prepares a server, and returns what is done to it."""


def _client(server: Server):
    return connection.client(server, "tok-actions", timeout=TIMEOUT)


def _command(body: str, login: str = "ada") -> Flow:
    def prepare(server: Server) -> Callable[[], Any]:
        event = pullrequests.event(pullrequests.said(server, pullrequests.furnish(server), body, login))
        measured = [Measured(VERDICT, REFERENCE)]
        return lambda: commanding.carry_out(_client(server), event, pullrequests.config(), measured)

    return prepare


def _followed(server: Server) -> Callable[[], Any]:
    number = pullrequests.furnish(server)
    payload = pullrequests.said(server, number, "/perf run")
    commanding.carry_out(connection.client(server), pullrequests.event(payload), pullrequests.config())
    server.state.runs[0].update(status="completed", conclusion="success")
    return lambda: commanding.follow(_client(server), number, payload["comment"]["id"])


def _proposed(server: Server) -> Callable[[], Any]:
    pullrequests.furnish(server)
    change = proposals.accepting(REFERENCE, VERDICT, WORSE, reason="meant", by="ada")
    return lambda: proposals.propose(_client(server), change)


def _joined(server: Server) -> Callable[[], Any]:
    first = proposals.accepting(REFERENCE, VERDICT, WORSE, reason="meant", by="ada")
    pullrequests.furnish(server)
    proposals.propose(connection.client(server), first)
    # The default branch goes on meanwhile.
    main = server.state.refs["refs/heads/main"]
    files = {REFERENCE: pullrequests.norms() + b"# more\n", "README.md": b"y\n"}
    server.state.refs["refs/heads/main"] = server.commit(files, parents=(main,))
    change = proposals.accepting(REFERENCE, VERDICT, "all", reason="meant too", by="ada")
    return lambda: proposals.propose(_client(server), change)


FLOWS: dict[str, Flow] = {
    "a run": _command("/perf run smoke"),
    "a proposal that joins another": _joined,
    "a reply brought up to date": _followed,
    "a new proposal": _proposed,
}
ALSO: dict[str, Flow] = {
    "an acceptance": _command(f"/perf accept {WORSE} reason=meant"),
    "a status": _command("/perf status"),
    "a refusal": _command("/perf run", "guest"),
}
"""Flows whose calls are in those above but for few; they meet some of the faults."""
SOME = [("401", False), ("502", True), ("429", False)]


def _outcome(server: Server) -> object:
    """What people see."""
    state = server.state
    trees = {
        name: {path: state.blobs[blob] for path, blob in state.trees[state.commits[sha]["tree"]].items()}
        for name, sha in state.refs.items()
    }
    return [
        sorted(
            (kept["issue"], kept["login"], re.sub(r"/runs/\d+", "/runs/1", kept["body"]))
            for kept in state.comments.values()
        ),
        sorted(state.reactions),
        [run["inputs"] for run in state.runs],
        trees,
        [(state.issues[key]["title"], state.issues[key]["body"], kept["branch"]) for key, kept in state.pulls.items()],
    ]


@functools.cache
def _without_faults(flow: str) -> tuple[list[tuple[str, str, str]], object]:
    """The calls of a flow, and what people see at its end."""
    with Server() as server:
        run = {**FLOWS, **ALSO}[flow](server)
        start = server.calls
        run()
        return [(one.method, one.path, one.query) for one in server.exchanges[start:]], _outcome(server)


def _cases():
    """Every call with every fault; a call that an earlier flow makes too is tried there."""
    tried: set[tuple[str, str, str]] = set()
    for flow in (*FLOWS, *ALSO):
        calls = _without_faults(flow)[0]
        for number, call in enumerate(calls):
            if call not in tried or flow in ALSO:
                for kind, done in FAULTS if flow in FLOWS else SOME:
                    # Whether a question was heard makes no difference, but for an answer that is cut short.
                    if call[0] != "GET" or not done or kind == "truncated":
                        yield flow, number, kind, done
        tried |= set(calls)


CASES = list(_cases())


@pytest.mark.parametrize(("flow", "number", "kind", "done"), CASES)
def test_a_fault(flow: str, number: int, kind: str, done: bool) -> None:
    with Server(hold=2 * TIMEOUT) as server:
        run = {**FLOWS, **ALSO}[flow](server)
        server.fail_at(number, kind, done=done)
        told = None
        try:
            run()
        except UserError as error:
            assert kind not in PASSING, "a passing fault is got over"
            told = str(error)
            assert "; " in told, "what was refused and what to do"
        (met,) = (one for one in server.exchanges if one.fault)
        # GitHub's 404 is also its word for "no such user", and that is a refusal for good.
        unknown = met.path.endswith("/permission") and kind == "404"
        if unknown:
            assert server.state.runs == [] and told is None
        elif told is None:
            assert _outcome(server) == _without_faults(flow)[1]
        run()
        if not unknown:
            assert _outcome(server) == _without_faults(flow)[1]
        _never_twice(server)
        settled = server.snapshot()
        run()
        assert server.snapshot() == settled, "a second time changes nothing"
        contract.judge(server.exchanges)


def _never_twice(server: Server) -> None:
    state = server.state
    written = [kept for kept in state.comments.values() if "torchwarden:reply" in kept["body"]]
    assert len(written) <= 1 and len(state.runs) <= 1
    assert len(state.reactions) == len(set(state.reactions))
    assert len([one for one in state.pulls.values() if one["branch"].startswith(proposals.PREFIX)]) <= 1
    assert set(state.refs) <= {"refs/heads/main", f"refs/heads/{proposals.branch_of(REFERENCE)}"}
    assert LEDGER not in state.trees[state.commits[state.refs["refs/heads/main"]]["tree"]]

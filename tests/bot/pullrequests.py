"""A repository on the tests' GitHub with a reference, a pull request and people, and comments on it as events."""

from __future__ import annotations

import copy
import json
import pathlib
import re
from typing import Any

import msgspec

from bot import dispatch
from bot.config import Config, parse
from bot.verdict import Verdict
from tests.bot import verdicts
from tests.bot.test_config import SMALL
from tests.github.server import Server

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLE: dict[str, Any] = json.loads((ROOT / "tests" / "data" / "issue_comment.json").read_text())["created"][0]
WORKFLOW = "torchwarden-pull-request.yml"
REFERENCE = "reference/smoke/hosted.yaml"
LEDGER = "reference/smoke/hosted.accepted.yaml"
WORSE = "test_train[BERT_pytorch-cpu-eager]"
HEAD = "d" * 40
WRITTEN = "2026-01-02T04:00:00Z"
"""When comments are written: an hour after what the server calls now."""


def config(more: str = "") -> Config:
    return parse(SMALL + more)


def norms(**changes: float) -> bytes:
    """The reference: every test of `tests.bot.verdicts`, and a comment that must stay."""
    lines = ["# Ours.\n"]
    for test, _, _, _, base in verdicts.ROWS:
        lines.append(f"{test}: {{norm: {base or 0.01}}}  # as measured\n")
    return "".join(lines).encode()


def furnish(server: Server, *, reference: bytes | None = None) -> int:
    """The repository with its default branch, its workflows and its people; the number of a pull request of its own."""
    files = {REFERENCE: norms() if reference is None else reference, "README.md": b"x\n"}
    server.state.refs["refs/heads/main"] = server.commit(files)
    server.state.permissions |= {"ada": "write", "guest": "read", "boss": "admin"}
    server.state.workflows |= {WORKFLOW}
    server.state.titles[WORKFLOW] = run_name()
    return server.pull(HEAD)


def run_name() -> str:
    """The name that the real template gives to a run which was dispatched."""
    text = (ROOT / "workflows-templates" / WORKFLOW).read_text()
    found = re.search(r"^run-name: (.*)$", text, re.MULTILINE)
    assert found is not None
    name = found[1].replace("${{ inputs.number || github.event.pull_request.number }}", "{number}")
    name = name.replace("${{ inputs.comment && format(' · comment {0}', inputs.comment) }}", " · comment {comment}")
    assert "${{" not in name
    return name


def said(
    server: Server, number: int, body: str, login: str = "ada", *, at: str = WRITTEN, pull: bool = True, **changes: Any
) -> dict[str, Any]:
    """The payload of the event that follows when somebody writes a comment."""
    payload = copy.deepcopy(EXAMPLE)
    identifier = server.comment(number, login, body)
    user = {**payload["comment"]["user"], "login": login, "type": "User"}
    payload["comment"].update(id=identifier, body=body, created_at=at, user=user)
    payload["sender"] = user
    payload["issue"].update(number=number, state="open")
    payload["issue"].pop("pull_request", None)
    if pull:
        payload["issue"]["pull_request"] = {"url": "https://api.github.com/repos/o/r/pulls/1"}
    payload["repository"].update(full_name=server.repository, default_branch="main")
    return {**payload, **changes}


def event(payload: dict[str, Any]) -> dispatch.Event:
    return dispatch.event(json.dumps(payload).encode())


def of_commit(verdict: Verdict, sha: str) -> Verdict:
    """The verdict, as if its head had been built from a commit."""
    builds = tuple(
        msgspec.structs.replace(one, specification=f"git:{sha}") if one.name == verdict.plan.head else one
        for one in verdict.builds
    )
    return msgspec.structs.replace(verdict, builds=builds)

"""Which pull request and commit an event is about, from GitHub's own examples of events."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import event
from bot.event import Subject
from harness.errors import UserError
from tests.github import connection, node

SHA = "e" * 40


def encoded(**fields) -> bytes:
    return json.dumps(fields).encode()


def test_a_pull_request_names_itself():
    payload = encoded(pull_request={"number": 7, "head": {"sha": SHA, "ref": "$(rm -rf /)"}}, action="opened")
    for name in ("pull_request", "pull_request_target", "pull_request_review"):
        assert event.subject(name, payload) == Subject(7, SHA)


def test_a_comment_on_a_pull_request_names_no_commit_and_one_on_an_issue_nothing():
    assert event.subject("issue_comment", encoded(issue={"number": 7, "pull_request": {}})) == Subject(7)
    assert event.subject("issue_comment", encoded(issue={"number": 7})) == Subject()


def test_a_workflow_run_knows_the_commit_alone_whatever_its_list_of_pull_requests_says():
    run = {"head_sha": SHA, "event": "pull_request", "pull_requests": [{"number": 1}]}
    assert event.subject("workflow_run", encoded(workflow_run=run)) == Subject(None, SHA, by_commit=True)
    run["event"] = "push"
    assert event.subject("workflow_run", encoded(workflow_run=run)) == Subject(None, SHA)


def test_what_is_about_no_pull_request():
    assert event.subject("push", encoded(after=SHA)) == Subject(None, SHA)
    assert event.subject("schedule", encoded(schedule="0 3 * * *")) == Subject()


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("pull_request", b"{}"),
        ("pull_request", b"no json"),
        ("pull_request", encoded(pull_request={"number": "7", "head": {"sha": SHA}})),
        ("pull_request", encoded(pull_request={"number": 7, "head": {"sha": "main"}})),
        ("workflow_run", encoded(workflow_run={"head_sha": SHA + "\n", "event": "push"})),
        ("issue_comment", b"[" * 100_000),
        ("push", b"\xff"),
    ],
)
def test_what_is_no_event_is_one_sentence(name, payload):
    with pytest.raises(UserError):
        event.subject(name, payload)


def test_a_pull_request_is_found_by_its_head_also_from_a_fork():
    with connection.github() as server:
        server.pull("f" * 40)
        number = server.pull(SHA, owner="stranger", branch="`id`")
        client = connection.client(server)
        assert event.pull_request_at(client, SHA) == number
        server.move(number, "a" * 40)
        assert event.pull_request_at(client, SHA) is None
        server.state.issues[number]["state"] = "closed"
        assert event.pull_request_at(client, "a" * 40) is None


def test_githubs_own_examples_are_understood():
    examples = json.loads(node.webhook_examples().read_text("utf-8"))
    seen = {}
    for kind in examples:
        for example in kind["examples"]:
            seen.setdefault(kind["name"], []).append(event.subject(kind["name"], json.dumps(example).encode()))
    assert all(one.pull_request and one.head_sha for one in seen["pull_request"]) and len(seen["pull_request"]) > 20
    assert all(one.head_sha for one in seen["workflow_run"]) and seen["workflow_run"]
    assert all(one.head_sha for one in seen["push"]) and all(one == Subject() for one in seen["issue_comment"])


@pytest.mark.parametrize("url", ["https://github.com/acme/models/actions/runs/7?pr=1#x", "http://localhost:8080/p", ""])
def test_addresses_that_can_be_linked(url):
    assert event.checked_link(url, "--run-url") == url


@given(st.text(max_size=80))
def test_an_address_that_passes_cannot_leave_its_link(text):
    try:
        url = event.checked_link("https://example.org/" + text, "--run-url")
    except UserError:
        return
    assert not set(url) & set("()<>[]\"'` \n\\|*")


@pytest.mark.parametrize("name", ["", "a--b", "-->", "a b", "x" * 61, "a\n", "ä"])
def test_names_of_configurations_stay_inside_the_marker(name):
    with pytest.raises(UserError, match="--config-name"):
        event.checked_configuration(name)
    assert event.checked_configuration("cpu-x86.2026_1") == "cpu-x86.2026_1"

from __future__ import annotations

import copy
import datetime
import json
import pathlib
import re
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bot import command, dispatch
from bot.command import Accept, Ignore, Rerun, Run, Status
from bot.config import Config, parse
from bot.dispatch import Answered, Asked, Decision, Dispatched, Ignored, PullRequest, Recorded, Refused, consider
from harness.errors import UserError
from tests.bot.test_config import FULL, SMALL

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLES: dict[str, Any] = json.loads((ROOT / "tests" / "data" / "issue_comment.json").read_text())
HEAD, TARGET = "a" * 40, "b" * 40
WRITTEN = datetime.datetime(2026, 11, 25, 12, 0, 0, tzinfo=datetime.timezone.utc)
TEST = "test_eval[resnet50-cpu-eager]"


def event(body: str, *, pull: bool = True, **changes: Any) -> dispatch.Event:
    """GitHub's own example, on a pull request (none of the published ones is), with another text and changes."""
    payload = copy.deepcopy(EXAMPLES["created"][0])
    payload["comment"].update(body=body, created_at="2026-11-25T12:00:00Z")
    if pull:
        payload["issue"]["pull_request"] = {"url": "https://api.github.com/repos/o/r/pulls/1"}
    for path, value in changes.items():
        *keys, last = path.split("__")
        place = payload
        for key in keys:
            place = place[key]
        place[last] = value
    return dispatch.event(json.dumps(payload).encode())


OWN = event("x").repository.full_name
PULL = PullRequest(number=1, head=HEAD, head_repository=OWN, base=TARGET)


@dataclass
class Fetched:
    """A repository that writes down what it was asked for."""

    level: str = "write"
    pull: PullRequest = PULL
    last: str | None = None
    asked: list[str] = field(default_factory=list)

    def permission(self, login: str) -> str:
        self.asked.append("permission")
        return self.level

    def pull_request(self, number: int) -> PullRequest:
        self.asked.append("pull")
        return self.pull

    def last_run(self, number: int) -> str | None:
        self.asked.append("last")
        return self.last


def decided(body: str, text: str = SMALL, *, repository: Fetched | None = None, **changes: Any) -> Decision:
    return consider(event(body, **changes), parse(text), repository or Fetched())


@pytest.mark.parametrize("payload", EXAMPLES["created"] + EXAMPLES["edited"])
def test_published_examples_are_read(payload: dict[str, Any]) -> None:
    found = dispatch.event(json.dumps(payload).encode())
    assert found.comment.body == payload["comment"]["body"]
    assert isinstance(consider(found, parse(SMALL), Fetched()), Ignored)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        json.dumps({**EXAMPLES["created"][0], "repository": {"full_name": "../x"}}).encode(),
    ],
)
def test_what_is_no_event_is_a_sentence(payload: bytes) -> None:
    with pytest.raises(UserError, match="not that of a comment"):
        dispatch.event(payload)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"action": "edited"}, "edited"),
        ({"action": "deleted"}, "deleted"),
        ({"comment__user__type": "Bot"}, "bot"),
        ({"comment__user__login": "torchwarden[bot]"}, "bot"),
        ({"sender__type": "Bot"}, "bot"),
        ({"comment__performed_via_github_app": {"id": 1}}, "app"),
    ],
)
def test_bots_and_edits_are_ignored_unheard(changes: dict[str, Any], reason: str) -> None:
    repository = Fetched()
    found = decided("/perf run", repository=repository, **changes)
    assert isinstance(found, Ignored) and reason in found.reason
    assert repository.asked == []


def test_a_comment_without_a_command_costs_no_call() -> None:
    repository = Fetched()
    assert isinstance(decided("What does /perf run do?", repository=repository), Ignored)
    assert isinstance(decided("/perf ran", repository=repository), Refused)
    assert isinstance(decided("/perf help", repository=repository), Answered)
    assert decided("/perf status", repository=repository) == Asked(Status())
    assert repository.asked == []


def test_a_run_is_pinned_to_the_head() -> None:
    found = decided("/perf run smoke resnet* lanes=eager,inductor device=cpu base=torch==2.13.0")
    assert isinstance(found, Dispatched)
    example = event("x")
    assert found.workflow == "torchwarden-pull-request.yml"
    assert found.ref == example.repository.default_branch
    assert found.inputs == {
        "comment": str(example.comment.id),
        "number": str(example.issue.number),
        "suites": "smoke",
        "filter": "resnet*",
        "lanes": "eager,inductor",
        "device": "cpu",
        "base": "torch==2.13.0",
        "head": HEAD,
        "target": TARGET,
    }
    assert not dispatch.void(found.inputs, HEAD)
    assert dispatch.void(found.inputs, TARGET)


def test_the_workflow_takes_exactly_these_inputs() -> None:
    found = decided("/perf run")
    assert isinstance(found, Dispatched)
    text = (ROOT / "workflows-templates" / found.workflow).read_text()
    # YAML 1.1 reads the key `on` as true.
    inputs = yaml.safe_load(text)[True]["workflow_dispatch"]["inputs"]
    assert set(inputs) == set(found.inputs)
    assert all(found.inputs[name] for name, one in inputs.items() if one.get("required"))


@pytest.mark.parametrize("level", ["none", "read", "triage", "", "WRITE", "owner"])
@pytest.mark.parametrize(
    "body",
    [
        "/perf run",
        "/perf rerun",
        "/perf compare v1 v2",
        "/perf bisect",
        "/perf accept all reason=x",
        f"/perf ignore {TEST} reason=x",
    ],
)
def test_who_may_only_read_is_refused_politely(level: str, body: str) -> None:
    repository = Fetched(level=level)
    found = decided(body, repository=repository)
    assert isinstance(found, Refused)
    assert found.reply.startswith(f"@{event('x').comment.user.login} thank you, but")
    assert "right to write" in found.reply
    assert repository.asked == ["permission"]


@pytest.mark.parametrize("level", ["write", "maintain", "admin"])
def test_who_may_write_may_command(level: str) -> None:
    assert isinstance(decided("/perf run", repository=Fetched(level=level)), Dispatched)


def test_who_is_on_the_list_may_command_but_not_for_a_fork() -> None:
    login = event("x").comment.user.login.upper()
    text = SMALL + f"permissions: {{allow: [{login}]}}\n"
    assert isinstance(decided("/perf run", text, repository=Fetched(level="read")), Dispatched)
    fork = PullRequest(1, HEAD, "someone/fork", TARGET, pushed=WRITTEN)
    assert isinstance(decided("/perf run", text, repository=Fetched(level="read", pull=fork)), Refused)


@pytest.mark.parametrize(
    ("forks", "level", "runs"),
    [
        ("write", "write", True),
        ("maintain", "write", False),
        ("maintain", "admin", True),
        ("admin", "maintain", False),
        ("nobody", "admin", False),
    ],
)
def test_a_fork_takes_the_right_that_is_configured(forks: str, level: str, runs: bool) -> None:
    text = SMALL + f"permissions: {{forks: {forks}}}\n"
    for home in ("someone/fork", ""):  # a fork that was deleted has no name
        repository = Fetched(level=level, pull=PullRequest(1, HEAD, home, TARGET, pushed=WRITTEN))
        found = decided("/perf run", text, repository=repository)
        assert isinstance(found, Dispatched if runs else Refused)
    assert runs or "permissions.forks" in found.reply  # type: ignore[union-attr]


def test_a_fork_whose_last_push_nobody_knows_is_not_measured() -> None:
    unknown = Fetched(pull=PullRequest(1, HEAD, "someone/fork", TARGET))
    found = decided("/perf run", repository=unknown)
    assert isinstance(found, Refused) and "Name the commit" in found.reply
    assert isinstance(decided("/perf accept all reason=x", repository=unknown), Recorded), "which runs nothing"
    own = Fetched(pull=PullRequest(1, HEAD, OWN, TARGET))
    assert isinstance(decided("/perf run", repository=own), Dispatched)


@pytest.mark.parametrize(
    "body",
    [
        f"/perf run base={HEAD}",
        "/perf run base=abcdef1",
        "/perf compare main refs/pull/7/head",
        "/perf compare pull/7/head main",
        "/perf bisect bad=abcdef1",
    ],
)
def test_a_commit_that_is_named_may_be_a_forks(body: str) -> None:
    """GitHub serves the commits of every fork by their hash, so naming one is no way round the rule for forks."""
    login = event("x").comment.user.login
    for text, level in ((f"{{allow: [{login}]}}", "read"), ("{forks: admin}", "write"), ("{forks: nobody}", "admin")):
        found = decided(body, f"{SMALL}permissions: {text}\n", repository=Fetched(level=level))
        assert isinstance(found, Refused) and "permissions.forks" in found.reply
        if body.startswith("/perf run"):
            again = Fetched(level=level, last=body)
            assert isinstance(decided("/perf rerun", f"{SMALL}permissions: {text}\n", repository=again), Refused)
    assert isinstance(decided(body), Dispatched)
    allowed = f"{SMALL}permissions: {{allow: [{login}]}}\n"
    assert isinstance(decided("/perf run base=main", allowed, repository=Fetched(level="read")), Dispatched)


def test_a_bisection_of_a_fork_is_measuring_it() -> None:
    fork = Fetched(level="write", pull=PullRequest(1, HEAD, "someone/fork", TARGET, pushed=WRITTEN))
    assert isinstance(decided("/perf bisect", SMALL + "permissions: {forks: admin}\n", repository=fork), Refused)
    assert isinstance(decided("/perf bisect", repository=fork), Dispatched)
    assert isinstance(
        decided("/perf accept all reason=x", SMALL + "permissions: {forks: admin}\n", repository=fork), Recorded
    )


@pytest.mark.parametrize(("seconds", "void"), [(-60, False), (0, False), (1, True), (60, True)])
@pytest.mark.parametrize("body", ["/perf run", "/perf rerun", "/perf accept all reason=x", "/perf bisect"])
def test_a_push_in_between_makes_a_command_void(body: str, seconds: int, void: bool) -> None:
    pushed = WRITTEN + datetime.timedelta(seconds=seconds)
    found = decided(body, repository=Fetched(pull=PullRequest(1, HEAD, OWN, TARGET, pushed=pushed)))
    assert isinstance(found, Refused) == void
    if isinstance(found, Refused):
        assert "void" in found.reply and HEAD[:10] in found.reply and HEAD not in found.reply


def test_a_closed_pull_request_is_not_measured() -> None:
    closed = PullRequest(1, HEAD, OWN, TARGET, open=False)
    assert isinstance(decided("/perf run", repository=Fetched(pull=closed)), Refused)
    assert isinstance(decided("/perf bisect", repository=Fetched(pull=closed)), Dispatched)


@pytest.mark.parametrize("body", ["/perf run", "/perf rerun", "/perf accept all reason=x"])
def test_an_issue_has_nothing_to_measure(body: str) -> None:
    repository = Fetched()
    found = decided(body, pull=False, repository=repository)
    assert isinstance(found, Refused) and "pull requests" in found.reply
    assert repository.asked == []


def test_on_an_issue_one_may_bisect_compare_and_ignore() -> None:
    bisect = decided(f"/perf bisect {TEST} good=v1.0", pull=False)
    assert isinstance(bisect, Dispatched)
    assert (bisect.inputs["test"], bisect.inputs["good"], bisect.inputs["head"]) == (TEST, "v1.0", "")
    compare = decided("/perf compare torch==2.13.0 nightly", pull=False)
    assert isinstance(compare, Dispatched)
    assert (compare.inputs["a"], compare.inputs["b"]) == ("torch==2.13.0", "nightly")
    assert isinstance(decided(f"/perf ignore {TEST} reason=x", pull=False), Recorded)


def test_accepting_is_recorded_for_the_commit() -> None:
    found = decided('/perf accept all reason="a fix" until=2026-12-31')
    example = event("x")
    wanted = Accept("all", "a fix", datetime.date(2026, 12, 31))
    assert found == Recorded(wanted, example.comment.user.login, HEAD, example.comment.id)
    ignored = decided(f"/perf ignore {TEST} reason=noisy")
    assert isinstance(ignored, Recorded) and ignored.command == Ignore(TEST, "noisy")
    past = decided("/perf accept all reason=x until=2026-11-24")
    assert isinstance(past, Refused) and "2026-11-24 is past" in past.reply
    assert isinstance(decided("/perf accept all reason=x until=2026-11-25"), Recorded)


def test_a_rerun_repeats_what_was_run_last() -> None:
    last = command.render(Run(suites=("smoke",), filter="bert", base="main"))
    found = decided("/perf rerun", repository=Fetched(last=last))
    assert isinstance(found, Dispatched)
    assert found.command == Rerun()
    assert found.inputs == decided(last).inputs  # type: ignore[union-attr]
    for nothing in (None, "/perf status", "garbage", "/perf run suites=../x"):
        found = decided("/perf rerun", repository=Fetched(last=nothing))
        assert isinstance(found, Dispatched) and found.inputs == decided("/perf run").inputs  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("/perf run resnet50", "filter=resnet50"),
        ("/perf run smoek", "smoke"),
        ("/perf run device=cuda", "there is no device"),
        ("/perf run lanes=egaer", "eager"),
        ("/perf compare v1 v2 suites=nope", "there is no suite"),
    ],
)
def test_what_the_configuration_does_not_have_is_said(body: str, words: str) -> None:
    found = decided(body)
    assert isinstance(found, Refused) and words in found.reply


def test_a_refusal_is_inert() -> None:
    for body in (
        "/perf run @everyone",
        "/perf run <img/src=x>",
        "/perf #1",
        "/perf run [x](http://evil.example)",
        "/perf run suites=`x`y",
        '/perf accept all reason="a" <!--x',
    ):
        found = decided(body)
        assert isinstance(found, Refused)
        told = found.reply.split("```text")[0].removeprefix(f"@{event('x').comment.user.login} ")
        assert not re.search(r"@\w|<img|<!--|\]\(|(?<!&)#\d|://\w", told), told
        assert command.parse(found.reply) is None, "the bot must not command itself"


WORDS = st.sampled_from(
    [
        "/perf",
        "run",
        "rerun",
        "compare",
        "accept",
        "all",
        "smoke",
        "main",
        "lanes=eager",
        "base=main",
        "reason=x",
        "-x",
        "$(id)",
        "x;y",
        TEST,
    ]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(WORDS, max_size=6).map(" ".join) | st.text(max_size=60), st.sampled_from(["read", "write"]))
def test_whatever_is_dispatched_is_safe_anywhere(body: str, level: str) -> None:
    for text, config in (("small", parse_once(SMALL)), ("full", parse_once(FULL))):
        found = consider(event(f"/perf {body}"), config, Fetched(level=level))
        if isinstance(found, Dispatched):
            assert level == "write", text
            for key, value in found.inputs.items():
                assert re.fullmatch(r"[a-z]+", key)
                # No quote, no space, nothing of a shell's, an expression's or an option's.
                assert re.fullmatch(r"(?![-/])[A-Za-z0-9_.\[\]*?+=:,/-]*", value), (key, value)
                assert ".." not in value or key == "filter"


_PARSED: dict[str, Config] = {}


def parse_once(text: str) -> Config:
    return _PARSED.setdefault(text, parse(text))

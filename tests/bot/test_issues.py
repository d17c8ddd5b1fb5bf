"""The life of issues about regressions, on a server judged by GitHub's OpenAPI."""

from __future__ import annotations

import re
import threading
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot import episode as episodes
from bot import issues, owners
from bot.calls import GithubError, Sender
from bot.episode import Rules
from bot.github import Client
from bot.report import issue as words
from bot.report import markdown
from bot.report.issue import Frame
from tests.bot import nights, verdicts
from tests.bot.nights import OTHER, TEST, THIRD, bad, good, night, undecided
from tests.bot.test_report_hostile import NASTY, assert_inert_markdown, hostile_verdicts
from tests.github import connection
from tests.github.server import Identity
from tests.github.test_server import emulate

FRAME = Frame(repository="acme/models", run_url="https://github.com/acme/models/actions/runs/7")


@pytest.fixture
def server():
    with connection.github() as server:
        yield server


def post(server, verdict, frame=FRAME, settings=None, *, token="tok-bot", again=True):
    """What was done by a night; a second time it must be nothing at all."""
    done = issues.post(connection.client(server, token), verdict, frame, settings)
    if again:
        before = server.snapshot()
        assert issues.post(connection.client(server, token), verdict, frame, settings) == []
        assert server.snapshot() == before
    return [one.done for one in done]


def the_issue(server):
    (kept,) = server.state.issues.values()
    return kept


def said(server) -> list[str]:
    return [kept["body"].partition("\n")[2] for kept in server.state.comments.values()]


def close(server, number=1, state="closed"):
    """What a person does with a button."""
    server.state.issues[number] |= {"state": state, "state_reason": "completed" if state == "closed" else "reopened"}


def test_the_whole_life_of_a_regression(server):
    assert post(server, night(1, bad(), good(OTHER))) == ["opened"]
    assert the_issue(server)["title"] == "resnet18 is slower: +12.0 % (eval, cpu, eager)"
    assert the_issue(server)["labels"] == ["performance-regression", "severity: medium"]
    for number in (2, 3):
        assert post(server, night(number, bad(change=0.121), good(OTHER))) == ["updated"]
    assert the_issue(server)["body"].count("| 🔴 slower | 1 of 1 |") == 3
    assert said(server) == [], "three bad nights are one issue and no comment"
    for number in (4, 5):
        assert post(server, night(number, good(), good(OTHER))) == ["updated"]
    assert the_issue(server)["state"] == "open" and said(server) == []
    assert post(server, night(6, good(), good(OTHER))) == ["closed"]
    assert (the_issue(server)["state"], the_issue(server)["state_reason"]) == ("closed", "completed")
    assert len(said(server)) == 1 and "No test of this issue was slower in 3 nights" in said(server)[0]
    settled = server.snapshot()
    for number in (7, 8):
        assert post(server, night(number, good(), good(OTHER))) == []
    assert server.snapshot() == settled, "a closed issue is not written every night"
    assert post(server, night(9, bad(change=0.3), good(OTHER))) == ["reopened"]
    assert (the_issue(server)["state"], the_issue(server)["state_reason"]) == ("open", "reopened")
    assert the_issue(server)["labels"] == ["performance-regression", "severity: high"]
    assert "+30.0 %" in the_issue(server)["title"] and "night of 2026-01-09" in the_issue(server)["body"]
    assert len(said(server)) == 2 and "Slower again" in said(server)[1]
    settled = server.snapshot()
    for number in (1, 4, 6):
        post(server, night(number, good() if number > 3 else bad()), again=False)
    assert server.snapshot() == settled, "nights that were counted are not counted again"


def test_an_on_call_finds_everything(server):
    verdict = night(3, bad(), good(OTHER))
    post(server, verdict)
    body = the_issue(server)["body"]
    shown = body.partition("\n")[2]
    for wanted in (
        "eval `resnet18` · cpu · eager +12.0 % ± 1.0",
        "20.0 → 22.4 ms",
        "Measured twice: +11.8 % ± 1.0 at first, +12.2 % ± 1.0 in the confirming rerun (36 launches)",
        "| `aten::mkldnn_convolution` | 10.2 → 13.1 ms |",
        f"](https://github.com/acme/models/compare/{nights.GOOD}...{3:040x})",
        f"/perf bisect {TEST} good={nights.GOOD} bad={3:040x}",
        verdict.reproduce,
        "first seen in the night of 2026-01-03 ([run](https://github.com/acme/models/actions/runs/7))",
        "machine `bench-1`",
        "**Severity:** medium",
    ):
        assert wanted in shown, wanted
    later = night(4, bad(change=0.13))
    post(server, later)
    shown = the_issue(server)["body"].partition("\n")[2]
    assert f"...{3:040x})" in shown and f"bad={3:040x}" in shown, "the range is that of the first bad night"
    post(server, night(5, undecided()))
    assert "Measured twice: +12.8 %" in the_issue(server)["body"], "a night that says nothing leaves the evidence"


def test_torch_of_releases_is_linked_at_pytorch(server):
    build = {"torch_git_version": "1" * 40, "specification": "torch==2.13.0"}
    builds = (
        msgspec.structs.replace(verdicts.BASE, **build),
        msgspec.structs.replace(verdicts.HEAD, torch_git_version="2" * 40),
    )
    post(server, night(1, bad(), builds=builds))
    assert f"/pytorch/pytorch/compare/{'1' * 40}...{'2' * 40})" in the_issue(server)["body"]
    assert "/perf bisect" not in the_issue(server)["body"], "no command searches another repository's commits"
    post(server, night(2, bad(), builds=builds), replace(FRAME, source="acme/torch"))
    assert f"/acme/torch/compare/{'1' * 40}..." in the_issue(server)["body"]


@pytest.mark.parametrize(
    "verdict",
    [
        night(1, good(), verdicts.entry(OTHER, "improved", -0.3)),
        night(1, bad(confirmed=False)),
        night(1, undecided(), verdicts.entry(OTHER, "failed", None), verdicts.entry(THIRD, "missing", None)),
        night(1, verdicts.entry(TEST, "accepted", 0.2, reason="accepted: numerics")),
        night(1, bad(), builds=(verdicts.HEAD, msgspec.structs.replace(verdicts.HEAD, name="base"))),
        night(1, bad(), controls=(verdicts.entry("test_eval[control-cpu-eager]", change=0.2, p_value=1e-6),)),
    ],
    ids=["improved", "not confirmed", "not known", "accepted", "a/a", "controls moved"],
)
def test_what_opens_nothing(server, verdict):
    assert post(server, verdict) == [] and server.state.issues == {}


def test_a_signal_without_a_second_run_opens_where_that_is_asked_for(server):
    lenient = issues.Settings(rules=Rules(require_confirmation=False))
    assert post(server, night(1, bad(confirmed=False)), settings=lenient) == ["opened"]
    assert "Not measured a second time" in the_issue(server)["body"]


def test_drift_has_evidence_of_its_own(server):
    crept = bad(confirmed=False, reason="drift: +9 % since torch==2.13.0 (2026-01-01), in steps of which none was ...")
    assert post(server, night(1, crept)) == ["opened"]


NOTHING_KNOWN = {
    "undecided": lambda number: night(number, undecided()),
    "missing": lambda number: night(number, verdicts.entry(TEST, "missing", None)),
    "failed": lambda number: night(number, verdicts.entry(TEST, "failed", None)),
    "not confirmed": lambda number: night(number, bad(confirmed=False)),
    "disturbed": lambda number: night(
        number, good(), controls=(verdicts.entry("test_eval[control-cpu-eager]", change=0.2, p_value=1e-6),)
    ),
    "another base": lambda number: night(number, good(), builds=(verdicts.BASE, verdicts.HEAD)),
}


@pytest.mark.parametrize("kind", NOTHING_KNOWN)
def test_nights_that_tell_nothing_count_neither_as_bad_nor_as_clean(server, kind):
    post(server, night(1, bad()))
    post(server, night(2, good()))
    post(server, night(3, good()))
    for number in (4, 5, 6):
        post(server, NOTHING_KNOWN[kind](number))
    assert the_issue(server)["state"] == "open" and said(server) == []
    assert the_issue(server)["body"].count("| ⚪ not known |") >= 3
    assert post(server, night(7, good())) == ["closed"], "nor do they begin the count anew"


def test_other_machines_and_other_suites_leave_an_issue_alone(server):
    post(server, night(1, bad()))
    before = server.snapshot()
    other = msgspec.structs.replace(verdicts.MACHINE, fingerprint="m-2", name="bench-2")
    post(server, night(2, good(), machine=other))
    post(server, night(2, good(THIRD)))
    assert server.snapshot() == before
    assert post(server, night(3, bad(), machine=other)) == ["opened"], "each machine has its own"


def test_accepted_tests_are_clean_and_the_issue_says_why(server):
    post(server, night(1, bad()))
    accepted = verdicts.entry(TEST, "accepted", 0.12, reason="accepted: +12 % by ada: exact gradients, #123")
    for number in (2, 3, 4):
        post(server, night(number, accepted))
    assert the_issue(server)["state"] == "closed"
    assert "exact gradients" in the_issue(server)["body"] and "exact gradients" in said(server)[0]


def test_several_runs_of_one_day_are_one_night(server):
    post(server, night(1, bad()))
    for hour in range(3, 8):
        post(server, night(2, good(), hour=hour))
    assert the_issue(server)["state"] == "open"
    post(server, night(3, good()))
    post(server, night(3, bad(), hour=9))
    for number in (4, 5):
        post(server, night(number, good()))
    assert the_issue(server)["state"] == "open", "a day with a bad run is a bad night"
    assert post(server, night(6, good())) == ["closed"]


def test_a_persons_closing_stands_until_it_becomes_worse(server):
    post(server, night(1, bad()))
    close(server)
    for number in (2, 3, 4):
        post(server, night(number, bad(change=0.125)))
        assert the_issue(server)["state"] == "closed"
    assert said(server) == [] and len(server.state.issues) == 1
    assert "A person closed this" in the_issue(server)["body"]
    assert post(server, night(5, bad(change=0.2))) == ["reopened"]
    assert "It became worse" in said(server)[0] and "+12.0 % ± 1.0 before, +20.0 % ± 1.0 now" in said(server)[0]
    close(server)
    post(server, night(6, bad(change=0.2)))
    assert the_issue(server)["state"] == "closed", "the new level is what it has to be worse than"


def test_after_clean_nights_a_persons_closing_no_longer_covers_a_regression(server):
    post(server, night(1, bad()))
    close(server)
    for number in (2, 3, 4):
        post(server, night(number, good()))
    assert said(server) == [], "who closed it need not be told that it is closed"
    assert post(server, night(5, bad())) == ["reopened"]
    assert "Slower again" in said(server)[0]


def test_a_persons_reopening_takes_as_many_clean_nights_again(server):
    post(server, night(1, bad()))
    for number in (2, 3, 4):
        post(server, night(number, good()))
    close(server, state="open")
    for number in (5, 6):
        post(server, night(number, good()))
        assert the_issue(server)["state"] == "open"
    assert post(server, night(7, good())) == ["closed"]


def test_it_says_when_it_becomes_worse_while_it_is_open_and_only_once(server):
    post(server, night(1, bad()))
    post(server, night(2, bad(change=0.3)))
    post(server, night(3, bad(change=0.3)))
    assert len(said(server)) == 1 and "It became worse" in said(server)[0]
    assert the_issue(server)["labels"] == ["performance-regression", "severity: high"]
    post(server, night(4, bad(change=0.08)))
    assert the_issue(server)["labels"] == ["performance-regression", "severity: high"], "no flicker of labels"


def test_related_tests_of_a_night_share_an_issue_and_others_do_not(server):
    other = msgspec.structs.replace(nights.OPERATOR, name="aten::embedding_bag")
    slowest = bad("test_train[resnet18-cpu-inductor]", change=0.2)
    verdict = night(1, bad(), bad(OTHER), slowest, bad(THIRD, operator=other))
    assert post(server, verdict) == ["opened", "opened"]
    first, second = (server.state.issues[number]["body"] for number in (1, 2))
    assert all(name in first for name in ("eval `resnet18`", "train `BERT_pytorch`", "train `resnet18` · cpu"))
    assert "eval `dlrm` · cpu · inductor" in second and "resnet18" not in second.partition("Evidence")[0]


def test_one_mode_alone_relates_where_no_operator_says_otherwise():
    unexplained = [bad(operator=None), bad(OTHER, operator=None)]
    assert len(episodes.groups(unexplained)) == 1
    other = msgspec.structs.replace(nights.OPERATOR, name="aten::embedding_bag")
    assert len(episodes.groups([bad(), bad(OTHER, operator=other)])) == 2


def test_a_later_test_joins_when_no_night_has_found_it_well(server):
    post(server, night(1, bad(), undecided(OTHER), good(THIRD)))
    post(server, night(2, bad(), undecided(OTHER), good(THIRD)))
    assert post(server, night(3, bad(), bad(OTHER), good(THIRD))) == ["updated"]
    assert len(said(server)) == 1 and "train `BERT_pytorch` · cpu · eager +12.0 %" in said(server)[0]
    assert the_issue(server)["title"] == "2 tests are slower, BERT_pytorch most: +12.0 % (train, cpu, eager)"
    post(server, night(4, bad(), bad(OTHER), bad(THIRD)))
    assert len(server.state.issues) == 2, "what was well until yesterday is another regression"


def test_a_later_test_that_was_well_in_between_does_not_join(server):
    post(server, night(1, bad(), undecided(OTHER)))
    post(server, night(2, bad(), good(OTHER)))
    assert post(server, night(3, bad(), bad(OTHER))) == ["updated", "opened"]


def test_owners_are_assigned_once_and_teams_named(server):
    server.state.permissions |= {"dev": "write", "eva": "write"}
    rules = (owners.Rule("*", ("@dev", "@acme/perf")), owners.Rule("smoke/BERT*", ("@eva",)))
    chosen = issues.Settings(owners=rules)
    post(server, night(1, bad(), undecided(OTHER)), settings=chosen)
    assert the_issue(server)["assignees"] == ["dev"] and "`dev`, @acme/perf" in the_issue(server)["body"]
    the_issue(server)["assignees"] = ["somebody"]
    server.state.permissions["somebody"] = "write"
    post(server, night(2, bad(), undecided(OTHER)), settings=chosen)
    assert the_issue(server)["assignees"] == ["somebody"], "who is assigned is then people's business"
    post(server, night(3, bad(), bad(OTHER)), settings=chosen)
    assert the_issue(server)["assignees"] == ["somebody", "eva"]


def test_an_owner_who_cannot_be_assigned_stops_nothing(server):
    chosen = issues.Settings(owners=(owners.Rule("*", ("@gone",)),))
    (done,) = issues.post(connection.client(server), night(1, bad()), FRAME, chosen)
    assert done.done == "opened" and "does not let gone be assigned" in done.remark
    assert the_issue(server)["assignees"] == []


def test_what_people_change_stays(server):
    post(server, night(1, bad()))
    the_issue(server)["title"] = "resnet18: see #12"
    the_issue(server)["labels"] = ["severity: low", "triaged"]
    post(server, night(2, bad()))
    post(server, night(3, bad(change=0.2)))
    assert the_issue(server)["title"] == "resnet18: see #12"
    assert the_issue(server)["labels"] == ["severity: low", "triaged"], "ours did not change, so theirs stays"


def test_only_issues_of_our_own_account_are_believed(server):
    post(server, night(1, bad()))
    body = the_issue(server)["body"]
    the_issue(server)["login"] = "mallory"
    assert post(server, night(2, bad())) == ["opened"]
    assert server.state.issues[1]["body"] == body


@pytest.mark.parametrize("spoilt", ["eJw=", "e30=", "!!", "A" * 100])
def test_a_memory_that_was_spoilt_is_not_believed(server, spoilt):
    post(server, night(1, bad()))
    the_issue(server)["body"] = re.sub(r" [A-Za-z0-9+/=]+ -->", f" {spoilt} -->", the_issue(server)["body"], count=1)
    assert post(server, night(2, bad())) == ["opened"]


def test_a_memory_is_no_bomb():
    import base64
    import zlib

    assert episodes.unpack(base64.b64encode(zlib.compress(b"[" * 50_000_000)).decode()) is None


def test_what_somebody_wrote_into_the_evidence_is_kept_small(server):
    post(server, night(1, bad()))
    kept = the_issue(server)
    kept["body"] = kept["body"].replace("- Why:", "x" * 40_000)
    post(server, night(2, undecided()))
    assert len(the_issue(server)["body"]) < 10_000


def test_two_runs_at_once_end_with_one_open_issue(server):
    started = []

    def between(served, method, path):
        if method == "POST" and path.endswith("/issues") and not started:
            started.append(True)
            served.before = None
            runner = threading.Thread(target=post, args=(served, night(1, bad())), kwargs={"again": False})
            served._lock.release()
            try:
                runner.start()
                runner.join()
            finally:
                served._lock.acquire()

    server.before = between
    post(server, night(1, bad()), again=False)
    assert [kept["state"] for kept in server.state.issues.values()] == ["open", "closed"]
    assert server.state.issues[2]["state_reason"] == "not_planned" and "#1" in server.state.issues[2]["body"]
    post(server, night(2, bad()))
    assert len(server.state.issues) == 2


def test_what_a_search_found_is_told_once(server):
    post(server, night(1, bad()))
    frame = replace(FRAME, bisection={TEST: f"{TEST}: 3f2a91c0d2 (Slower @octocat), +12 %, proven", OTHER: "other"})
    assert post(server, night(1, bad()), frame) == ["updated"]
    assert len(said(server)) == 1 and "3f2a91c0d2" in said(server)[0]
    post(server, night(2, bad()))
    assert "3f2a91c0d2" in the_issue(server)["body"].partition("\n")[2] and "other" not in said(server)[0]
    assert not re.search(r"(?<!\w)@\w", the_issue(server)["body"] + said(server)[0])


@pytest.mark.parametrize(
    ("levels", "wanted"),
    [
        ([0.08], "low"),
        ([0.08, 0.07], "medium"),
        ([0.08] * 5, "high"),
        ([0.12], "medium"),
        ([0.26], "high"),
        ([0.26] * 5, "critical"),
        ([1.0], "critical"),
    ],
)
def test_severity(levels, wanted):
    assert episodes.severity(levels) == wanted


SIGNS = st.sampled_from(["bad", "good", "undecided", "unconfirmed", "missing"])
MAKES = {
    "bad": bad,
    "good": good,
    "undecided": undecided,
    "unconfirmed": lambda: bad(confirmed=False),
    "missing": lambda: verdicts.entry(TEST, "missing", None),
}


@settings(max_examples=60, deadline=None)
@given(st.lists(SIGNS, min_size=1, max_size=14))
def test_an_issue_is_open_as_the_nights_say(signs):
    """Against a model of three lines: bad opens, three clean ones in a row of those that tell close."""
    episode, is_open, quiet = None, False, 0
    for number, sign in enumerate(signs, 1):
        verdict = night(number, MAKES[sign]())
        if episode is None:
            if entries := episodes.regressions(verdict, Rules()):
                episode, is_open = episodes.begun(verdict, entries, Rules()), True
        elif turn := episodes.turned(episode, verdict, Rules(), is_open=is_open):
            episode, is_open = turn.episode, turn.is_open
        quiet = 0 if sign == "bad" else quiet + (sign == "good")
        assert is_open == ("bad" in signs[:number] and quiet < 3)
        if episode is not None:
            assert episodes.unpack(episodes.pack(episode)) == episode
            again = episodes.turned(episode, verdict, Rules(), is_open=is_open)
            assert again is None or (again.episode == episode and again.is_open == is_open and not again.tells)


@settings(max_examples=1000, deadline=None)
@given(hostile_verdicts(), st.sampled_from(NASTY), st.booleans())
def test_a_hostile_verdict_acts_in_no_issue_and_no_comment(verdict, nasty, is_open):
    entries = [
        msgspec.structs.replace(entry, outcome="regressed", change=entry.change if entry.change is not None else 0.1)
        for entry in verdict.tests
    ]
    verdict = msgspec.structs.replace(verdict, tests=tuple(entries))
    frame = Frame(repository="acme/models", bisection=dict.fromkeys((entry.test for entry in entries), nasty))
    if not entries:
        return
    episode = _begun(verdict, entries, Rules(require_confirmation=False))
    title = words.title(episode)
    assert len(title) <= 256 and title.strip() and "\n" not in title
    assert not re.search(r"(?<!\w)@\w|(?<!\w)#\d", title)
    turn = episodes.Turn(episode, is_open, bad=True, closed=not is_open, worse=episode.members, joined=episode.members)
    turn = episodes.searched(turn, frame.bisection)
    evidence = words.evidence(turn.episode, verdict, entries, frame)
    body = words.body(turn.episode, evidence, frame, is_open=is_open, clean_nights=3)
    assert_inert(body, words.MARKER)
    assert words.parsed(body) == (turn.episode, evidence)
    assert_inert(words.said(turn, "0" * 12, frame)[1], words.SAID)


def _begun(verdict, group, rules):
    """As `begun`, for verdicts that compare nothing too."""
    base = msgspec.structs.replace(verdict.builds[0], name="base", specification="git:x", fingerprint="")
    plan = msgspec.structs.replace(verdict.plan, base="base")
    return episodes.begun(msgspec.structs.replace(verdict, builds=(base, *verdict.builds), plan=plan), group, rules)


def assert_inert(body: str, marker: str) -> None:
    assert body.startswith(marker) and body.count(marker) == 1
    # The check of the comment counts the comment's marker.
    assert_inert_markdown(body.replace(marker, markdown.MARKER, 1), markdown.COMMENT_BYTES, markers=1)


def test_the_largest_issue_fits(server):
    long = "<|`@x" * 2000
    tests = [bad(f"test_eval[{number}{long}-cpu-eager]", reason=long, explanation=(long,) * 5) for number in range(400)]
    rest = [undecided(f"test_eval[{number}-cpu-eager]") for number in range(400)]
    for number in range(1, 40):
        verdict = night(number, *tests[: 400 if number < 3 else 5], *rest[: 400 if number < 3 else 0])
        url = "https://github.example/" + "x" * 460
        post(server, verdict, replace(FRAME, run_url=url), issues.Settings(rules=Rules(window=120)), again=number < 3)
    body = the_issue(server)["body"]
    assert len(body.encode()) <= markdown.COMMENT_BYTES and len(words.parsed(body)[0].keys) == 400


def test_an_emulator_that_we_did_not_write_sees_the_same_life(tmp_path):
    with emulate(tmp_path) as url:
        waiting = connection.patience()
        client = Client("warden-bot/models", Sender("tok-bot", url=url, patience=waiting, between_writes=0.0))
        client.patience = waiting
        chosen = issues.Settings(owners=(owners.Rule("*", ("@warden-bot",)),))
        life = {1: "opened", 2: "updated", 3: "updated", 4: "updated", 5: "updated", 6: "closed", 7: "", 8: "reopened"}
        for number, wanted in life.items():
            verdict = night(number, bad(change=0.1 + number / 100) if number in (1, 2, 3, 8) else good())
            done = issues.post(client, verdict, FRAME, chosen)
            assert [one.done for one in done] == ([wanted] if wanted else [])
            assert issues.post(client, verdict, FRAME, chosen) == []
        (issue,) = client.issues(creator="warden-bot")
        assert issue.state == "open" and [one.login for one in issue.assignees] == ["warden-bot"]
        assert {label.name for label in issue.labels} == {"performance-regression", "severity: medium"}
        assert len(list(client.comments(issue.number))) == 2


def test_an_account_that_may_not_write_is_told(server):
    server.tokens["tok-bot"] = Identity("warden-bot", may=frozenset())
    with pytest.raises(GithubError, match="403"):
        post(server, night(1, bad()))

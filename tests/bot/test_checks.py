"""The check on a commit, on a server judged by GitHub's OpenAPI."""

from __future__ import annotations

import msgspec
import pytest

from bot import checks
from bot.calls import Refused
from bot.report.markdown import Frame
from bot.verdict import EXIT_CODES
from tests.bot import verdicts
from tests.bot.test_report_hostile import assert_inert_markdown, assert_visible
from tests.github import connection
from tests.github.server import Identity

SHA = "c" * 40
FRAME = Frame(head_sha=SHA, run_url="https://github.com/acme/models/actions/runs/7")


@pytest.fixture
def server():
    with connection.github() as server:
        server.pull(SHA)
        yield server


def post(server, wanted, token="tok-actions", frame=FRAME):
    return checks.post(connection.client(server, token), SHA, wanted, frame)


@pytest.mark.parametrize("policy", checks.POLICIES)
def test_every_outcome_has_a_conclusion_and_advice_never_blocks(policy):
    assert checks.CONCLUSIONS[policy].keys() == EXIT_CODES.keys()
    blocking = {outcome for outcome, said in checks.CONCLUSIONS[policy].items() if said not in ("success", "neutral")}
    assert blocking == ({"regressed", "inconclusive"} if policy == "gate" else set())


def test_a_check_run_bears_conclusion_words_and_annotations_and_is_made_once(server):
    wanted = checks.check(verdicts.mixed(), FRAME, "gate")
    posted = post(server, wanted)
    assert (posted.done, posted.kind, posted.conclusion) == ("created", "check run", "failure")
    (kept,) = server.state.checks.values()
    assert (kept["name"], kept["status"], kept["head_sha"]) == ("torchwarden / default", "completed", SHA)
    assert kept["output"]["title"].startswith(
        "2 of 16 tests are slower · worst: test_train[BERT_pytorch-cpu-eager] +9.1 %"
    )
    assert kept["output"]["summary"].startswith("### 🔴 2 of 16 tests are slower")
    assert [one["annotation_level"] for one in kept["annotations"]] == ["failure", "failure", "notice", "notice"]
    assert "+9.1 % ± 0.8 (98.9 → 107.9 ms)" in kept["annotations"][0]["message"]
    before = server.snapshot()
    assert post(server, wanted).done == "unchanged"
    assert server.snapshot() == before and not server.state.statuses


def test_another_verdict_on_the_same_commit_is_another_check_run_and_the_first_may_come_back(server):
    slower, clean = (checks.check(one, FRAME, "gate") for one in (verdicts.mixed(), verdicts.clean()))
    for wanted in (slower, clean, slower):
        assert post(server, wanted).done == "created"
    assert [kept["conclusion"] for kept in server.state.checks.values()] == ["failure", "success", "failure"]


def test_configurations_do_not_answer_for_each_other(server):
    for name in ("default", "default-2"):
        frame = (
            msgspec.structs.replace(FRAME, configuration=name)
            if hasattr(FRAME, "__struct_fields__")
            else Frame(configuration=name, head_sha=SHA)
        )
        assert post(server, checks.check(verdicts.clean(), frame, "gate"), frame=frame).done == "created"


@pytest.mark.parametrize(
    ("verdict", "policy", "state"),
    [
        (verdicts.mixed(), "gate", "failure"),
        (verdicts.mixed(), "advise", "success"),
        (verdicts.clean(), "gate", "success"),
        (verdicts.clean(outcome="inconclusive"), "gate", "error"),
    ],
)
@pytest.mark.parametrize("token", ["tok-bot", "tok-few"])
def test_a_token_that_may_not_make_check_runs_sets_a_status(server, verdict, policy, state, token):
    server.tokens["tok-few"] = Identity("github-actions[bot]", "app", frozenset({"statuses"}))
    wanted = checks.check(verdict, FRAME, policy)
    posted = post(server, wanted, token)
    assert (posted.done, posted.kind) == ("created", "commit status")
    (kept,) = server.state.statuses
    assert (kept["state"], kept["context"], kept["target_url"]) == (state, "torchwarden / default", FRAME.run_url)
    before = server.snapshot()
    assert post(server, wanted, token).done == "unchanged" and server.snapshot() == before


def test_a_token_that_may_do_neither_is_an_error_that_says_what_is_missing(server):
    with pytest.raises(Refused, match=r"statuses.*403.*permission"):
        post(server, checks.check(verdicts.clean(), FRAME, "gate"), "tok-read")


def test_a_crash_is_neutral_and_says_nothing_about_the_change(server):
    wanted = checks.crash("verdict.json cannot be read <img> @octocat")
    assert post(server, wanted).conclusion == "neutral"
    (kept,) = server.state.checks.values()
    assert "says nothing about the change" in kept["output"]["title"]
    assert "<img" not in kept["output"]["summary"] and "@octocat" not in kept["output"]["summary"]
    server.state.checks.clear()
    assert post(server, wanted, "tok-bot").kind == "commit status"
    assert server.state.statuses[0]["state"] == "success"
    assert "says nothing about the change" in server.state.statuses[0]["description"]


def test_what_is_hostile_or_endless_fits_into_a_check(server):
    evil = "@octocat <img src=x>\x1b[31m\u202e" + "x" * 3000
    tests = [verdicts.entry(f"{evil}{n}", "regressed", 0.2, 0.01, reason=evil, launches=2) for n in range(80)]
    wanted = checks.check(verdicts.verdict(tests, outcome="regressed", warnings=(evil,) * 500), FRAME, "gate")
    post(server, wanted)
    (kept,) = server.state.checks.values()
    assert len(kept["annotations"]) == 50
    for text in (kept["output"]["title"], *(one["message"] + one["title"] for one in kept["annotations"])):
        assert_visible(text)
        assert len(text) < 800
    assert_inert_markdown(kept["output"]["summary"].replace(f"[run]({FRAME.run_url})", ""), 65_535, markers=0)

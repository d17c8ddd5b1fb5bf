"""Commands from comments, carried out on the tests' GitHub: the whole life of a pull request, each step twice."""

from __future__ import annotations

import pytest
import yaml

from bot import commanding, comment, ledger, proposals, reply
from bot.calls import GithubError, Sender
from bot.commanding import Measured
from bot.github import Client
from bot.report.markdown import Frame
from tests.bot import pullrequests, verdicts
from tests.bot.pullrequests import HEAD, LEDGER, REFERENCE, WORKFLOW, WORSE
from tests.github import connection
from tests.github.server import NOW, Server
from tests.github.test_server import emulate

LOGIN = "github-actions[bot]"


@pytest.fixture
def server():
    with connection.github() as server:
        server.number = pullrequests.furnish(server)
        yield server


def carry_out(server, payload, *, measured=(), more: str = "", token: str = "tok-actions"):
    client = connection.client(server, token)
    return commanding.carry_out(client, pullrequests.event(payload), pullrequests.config(more), measured)


def twice(server, payload, **options):
    """Carry out a command, and again, which changes nothing."""
    done = carry_out(server, payload, **options)
    before = server.snapshot()
    again = carry_out(server, payload, **options)
    assert server.snapshot() == before
    assert (again.state, again.url) == (done.state, done.url)
    return done


def replies(server) -> list[str]:
    return [
        kept["body"]
        for kept in server.state.comments.values()
        if kept["login"] == LOGIN and "torchwarden:reply" in kept["body"]
    ]


def last_reply(server) -> str:
    return replies(server)[-1].partition("-->\n")[2]


def reactions(server, payload) -> list[str]:
    return [content for key, _, content in server.state.reactions if key == payload["comment"]["id"]]


def test_the_whole_life_of_a_pull_request(server):
    number, client = server.number, connection.client(server)

    # Somebody asks, and the workflow is dispatched for the commit there is.
    asked = pullrequests.said(server, number, "/perf run smoke")
    assert twice(server, asked).state == "dispatched"
    assert reactions(server, asked) == ["eyes", "rocket"]
    (run,) = server.state.runs
    assert run["inputs"]["head"] == HEAD and run["inputs"]["suites"] == "smoke"
    assert run["display_title"].endswith(f"comment {asked['comment']['id']}")
    assert "🕐 waiting for a runner" in last_reply(server) and f"/runs/{run['id']}" in last_reply(server)

    # It runs, and ends; the reply is edited as it proceeds.
    for status, conclusion, words in (("in_progress", None, "▶ running"), ("completed", "success", "✅ finished")):
        run.update(status=status, conclusion=conclusion)
        for _ in range(2):
            commanding.follow(client, number, asked["comment"]["id"])
            assert words in last_reply(server) and len(replies(server)) == 1

    # The verdict is said.
    worse = pullrequests.of_commit(verdicts.mixed(), HEAD)
    for done in ("created", "unchanged"):
        assert comment.post(client, number, worse, Frame(head_sha=HEAD), run=1).done == done

    # A push; the command is asked for again, and the new verdict edits the same comment.
    pushed = "e" * 40
    server.move(number, pushed)
    again = pullrequests.said(server, number, "/perf rerun")
    assert twice(server, again).state == "dispatched"
    assert server.state.runs[-1]["inputs"] | {"comment": "", "head": ""} == run["inputs"] | {"comment": "", "head": ""}
    assert server.state.runs[-1]["inputs"]["head"] == pushed and "`/perf run smoke`" in last_reply(server)
    second = pullrequests.of_commit(verdicts.mixed(started="2026-08-24T10:15:00Z"), pushed)
    for done in ("updated", "unchanged"):
        assert comment.post(client, number, second, Frame(head_sha=pushed), run=2).done == done
    reports = [kept for kept in server.state.comments.values() if "torchwarden:report" in kept["body"]]
    assert len(reports) == 1 and "Earlier results: 1" in reports[0]["body"]

    # It is accepted, which is a pull request about the ledger, from a branch of its own.
    main = server.state.refs["refs/heads/main"]
    accepted = pullrequests.said(server, number, f'/perf accept {WORSE} reason="exact gradients" until=2027-03-31')
    measured = [Measured(second, REFERENCE)]
    assert twice(server, accepted, measured=measured).state == "recorded"
    (proposal,) = (kept for key, kept in server.state.pulls.items() if key != number)
    assert proposal["branch"] == proposals.branch_of(REFERENCE) and proposal["base"] == "main"
    assert server.state.refs["refs/heads/main"] == main, "the default branch is never pushed to"
    text = client.file(LEDGER, proposal["branch"]).decode()
    (item,) = ledger.parse(text, LEDGER).items
    assert (item.test, item.by, item.reason, item.commit) == (WORSE, "ada", "exact gradients", pushed)
    assert client.file(REFERENCE, proposal["branch"]) == pullrequests.norms()
    body = server.state.issues[max(server.state.pulls)]["body"]
    assert "| `test_train[BERT_pytorch-cpu-eager]` | accepted, +9.1 % | exact gradients | `ada` | 2027-03-31 |" in body
    assert f"#{max(server.state.pulls)}" in last_reply(server)

    # What is accepted later joins it.
    other = pullrequests.said(server, number, "/perf accept all reason=too")
    assert twice(server, other, measured=measured).state == "recorded"
    assert len(server.state.pulls) == 2
    items = ledger.parse(client.file(LEDGER, proposal["branch"]).decode(), LEDGER).items
    assert [one.test for one in items][:1] == [WORSE] and len(items) == len({one.test for one in items}) > 1


def test_who_may_only_read_gets_a_polite_refusal_and_nothing_is_dispatched(server):
    for login in ("guest", "stranger"):
        payload = pullrequests.said(server, server.number, "/perf run", login)
        assert twice(server, payload).state == "refused"
        assert reactions(server, payload) == ["eyes", "confused"]
        assert f"@{login} thank you, but" in last_reply(server)
    assert server.state.runs == []
    payload = pullrequests.said(server, server.number, "/perf run", "guest")
    assert carry_out(server, payload, more="permissions: {allow: [guest]}\n").state == "dispatched"


@pytest.mark.parametrize(
    "changes", [{"action": "edited"}, {"sender": {"login": "x[bot]", "type": "Bot"}}, {"action": "deleted"}]
)
def test_bots_and_edits_cost_no_call(server, changes):
    payload = pullrequests.said(server, server.number, "/perf run", **changes)
    assert carry_out(server, payload).state == "ignored"
    assert carry_out(server, pullrequests.said(server, server.number, "thanks!")).state == "ignored"
    assert server.calls == 0


def test_a_push_after_the_command_makes_it_void_and_one_before_does_not(server):
    payload = pullrequests.said(server, server.number, "/perf run")
    server.move(server.number, "e" * 40, pushed="2026-01-02T04:00:01Z")
    assert twice(server, payload).state == "refused"
    assert "a push came after this command" in last_reply(server) and server.state.runs == []
    late = pullrequests.said(server, server.number, "/perf run", at="2026-01-02T04:00:02Z")
    assert carry_out(server, late).state == "dispatched"
    # What was dispatched stays so, whatever is pushed when the job that did it runs again.
    server.move(server.number, "f" * 40, pushed="2026-01-02T05:00:00Z")
    before = server.snapshot()
    assert carry_out(server, late).state == "dispatched" and server.snapshot() == before


def test_a_fork_is_measured_when_its_push_is_known_to_be_older(server):
    number = server.pull("b" * 40, owner="someone", branch="patch-1")
    payload = pullrequests.said(server, number, "/perf run")
    assert carry_out(server, payload).state == "dispatched"
    server.state.pushes = [one for one in server.state.pushes if one[0] != "someone/models"]
    payload = pullrequests.said(server, number, "/perf run")
    assert twice(server, payload).state == "refused" and "Name the commit" in last_reply(server)
    assert len(server.state.runs) == 1


def test_inputs_of_a_dispatch_are_those_that_the_workflow_takes(server):
    carry_out(server, pullrequests.said(server, server.number, "/perf run smoke resnet* base=main device=cpu"))
    template = yaml.safe_load((pullrequests.ROOT / "workflows-templates" / WORKFLOW).read_text())
    takes = template[True]["workflow_dispatch"]["inputs"]
    (run,) = server.state.runs
    assert set(run["inputs"]) == set(takes)
    assert all(run["inputs"][name] for name, one in takes.items() if one.get("required"))


def test_place_in_the_queue_and_time_come_from_the_runs_there_are(server):
    def run(status, seconds=0, conclusion=None):
        payload = {"id": server.next_id(), "event": "workflow_dispatch", "head_sha": HEAD, "workflow": WORKFLOW}
        times = {"run_started_at": NOW, "updated_at": f"2026-01-02T03:{4 + seconds // 60:02}:05Z"}
        server.state.runs.append(
            {**payload, "status": status, "conclusion": conclusion, "display_title": "x", "inputs": {}, **times}
        )

    for minutes in (10, 20, 30):
        run("completed", 60 * minutes, "success")
    run("completed", 60, "failure")
    run("in_progress")
    run("in_progress")
    run("queued")
    run("queued")
    carry_out(server, pullrequests.said(server, server.number, "/perf run"))
    # Two at once of 20 minutes each: four before it are two rounds, its own the third.
    assert "4 runs before it; done in about 1 h 0 min, for such a run took 20 min (median of the last)" in last_reply(
        server
    )
    status = pullrequests.said(server, server.number, "/perf status", "stranger")
    assert twice(server, status).state == "answered"
    assert last_reply(server).count("| waiting |") == 3 and last_reply(server).count("| running |") == 2


def test_help_and_nonsense_are_answered_and_an_issue_too(server):
    issue = connection.client(server).create_issue(title="t", body="b").number
    assert twice(server, pullrequests.said(server, issue, "/perf help", pull=False)).state == "answered"
    assert "| command | what it does |" in last_reply(server)
    assert twice(server, pullrequests.said(server, server.number, "/perf rnu")).state == "refused"
    assert "did you mean run" in last_reply(server)
    assert twice(server, pullrequests.said(server, issue, "/perf status", pull=False)).state == "answered"
    assert "Nothing is running or waiting." in last_reply(server)


def test_a_workflow_that_is_not_installed_is_said_and_tried_again(server):
    payload = pullrequests.said(server, server.number, "/perf compare main v1")
    with pytest.raises(GithubError, match=r"torchwarden-compare\.yml"):
        carry_out(server, payload)
    assert "was not carried out" in last_reply(server) and reactions(server, payload) == ["eyes"]
    server.state.workflows.add("torchwarden-compare.yml")
    server.state.titles["torchwarden-compare.yml"] = "Compare · comment {comment}"
    assert twice(server, payload).state == "dispatched"
    assert len(replies(server)) == 1 and "was not carried out" not in last_reply(server)


@pytest.mark.parametrize(
    ("verdict", "command", "words"),
    [
        (None, "accept all reason=x", "there is no measurement of dddddddddd yet"),
        (verdicts.mixed(), "accept all reason=x", "the newest measurement is of no commit"),
        (
            pullrequests.of_commit(verdicts.mixed(), "e" * 40),
            "accept all reason=x",
            "the newest measurement is of commit eeeeeeeeee, and this pull request is at dddddddddd",
        ),
        (pullrequests.of_commit(verdicts.clean(), HEAD), "accept all reason=x", "has no signal"),
        (
            pullrequests.of_commit(verdicts.clean(), HEAD),
            "accept test_eval[nothing-cpu-eager] reason=x",
            "has no test",
        ),
        (None, "ignore test_eval[nothing-cpu-eager] reason=x", "no reference on the default branch holds"),
    ],
)
def test_what_cannot_be_recorded_is_refused_in_words(server, verdict, command, words):
    measured = [Measured(verdict, REFERENCE)] if verdict is not None else []
    payload = pullrequests.said(server, server.number, f"/perf {command}")
    before = dict(server.state.refs)
    assert twice(server, payload, measured=measured).state == "refused"
    assert words in last_reply(server).replace("&#95;", "_").replace("&#91;", "[").replace("&#93;", "]")
    assert server.state.refs == before and len(server.state.pulls) == 1


def test_ignoring_a_test_goes_into_the_ledger_of_its_reference(server):
    payload = pullrequests.said(server, server.number, f'/perf ignore {WORSE} reason="its loader waits"', "boss")
    assert twice(server, payload).state == "recorded"
    text = connection.client(server).file(LEDGER, proposals.branch_of(REFERENCE)).decode()
    (item,) = ledger.parse(text, LEDGER).items
    assert (item.kind, item.by, item.run) == ("ignored", "boss", f"comment-{payload['comment']['id']}")
    assert "change" not in text.partition("comment-")[2]


def test_two_replies_to_one_command_become_one_and_a_strangers_is_none(server):
    payload = pullrequests.said(server, server.number, "/perf run")
    carry_out(server, payload)
    (body,) = replies(server)
    server.comment(server.number, LOGIN, body)
    server.comment(server.number, "mallory", body)
    assert carry_out(server, payload).state == "dispatched"
    assert len(replies(server)) == 1
    assert [kept["login"] for kept in server.state.comments.values() if kept["body"] == body].count("mallory") == 1
    assert len(server.state.runs) == 1


@pytest.mark.parametrize("memory", ["", "AAAA", "e30=", "!!!", "eyJjb21tZW50IjoxfQ=="])
def test_a_reply_that_was_tampered_with_is_none(server, memory):
    connection.client(server).create_comment(server.number, f"<!-- torchwarden:reply {memory} -->\nhello\n")
    assert reply.found(connection.client(server).comments(server.number), LOGIN) == []


def test_a_dispatch_whose_answer_is_lost_is_not_sent_twice(server):
    payload = pullrequests.said(server, server.number, "/perf run")

    with Server() as other:
        number = pullrequests.furnish(other)
        carry_out(other, pullrequests.said(other, number, "/perf run"))
        calls = next(index for index, one in enumerate(other.exchanges) if one.path.endswith("/dispatches"))
    server.fail_at(calls, "502", done=True)
    assert carry_out(server, payload).state == "dispatched"
    assert len(server.state.runs) == 1


def test_an_emulator_that_we_did_not_write_agrees(tmp_path):
    with emulate(tmp_path) as url:
        waiting = connection.patience()
        send = Sender("tok-bot", url=url, patience=waiting, between_writes=0.0)
        client = Client("warden-bot/models", send, patience=waiting)
        main = client.branch(client.default_branch())
        with_reference = client.commit_files(main, {REFERENCE: pullrequests.norms()}, "a reference")
        client.set_branch(client.default_branch(), with_reference)
        change = proposals.accepting(REFERENCE, verdicts.mixed(), WORSE, reason="meant", by="ada")
        assert [proposals.propose(client, change).done for _ in range(2)] == ["created", "unchanged"]
        (pull,) = client.pull_requests(head=f"warden-bot:{proposals.branch_of(REFERENCE)}")
        assert b"meant" in client.file(LEDGER, pull.head.ref)
        memory = reply.Memory(comment=7, state="answered", to="ada")
        for text in ("one", "one", "two"):
            known = reply.found(client.comments(pull.number), client.login())
            reply.write(client, pull.number, known, memory, text)
        (found,) = reply.found(client.comments(pull.number), "warden-bot")
        assert found.body.endswith("two")

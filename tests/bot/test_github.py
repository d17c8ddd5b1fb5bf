"""The seam to GitHub, against a server judged by GitHub's own OpenAPI."""

from __future__ import annotations

import traceback

import pytest

from bot.calls import Call, Dry, GithubError, Refused, Sender, Unsure, checked_url
from bot.github import Client, checked
from harness.errors import UserError
from tests.github import connection, contract
from tests.github.server import Identity, Server

SHA = "a" * 40


@pytest.fixture
def server():
    with connection.github() as server:
        yield server


def test_lists_are_read_to_their_last_page(server):
    number = server.pull(SHA)
    for index in range(250):
        server.comment(number, "dev", f"comment {index}")
    found = list(connection.client(server).comments(number))
    assert [comment.text for comment in found] == [f"comment {index}" for index in range(250)]
    assert server.calls == 3


def test_pages_and_names_are_right_on_an_enterprise_server():
    with connection.github(prefix="/api/v3") as server:
        number = server.pull(SHA)
        for index in range(120):
            server.comment(number, "dev", str(index))
        client = connection.client(server)
        assert len(list(client.comments(number))) == 120
        assert client.login() == "github-actions[bot]"
        assert [one.path for one in server.exchanges][-2:] == ["/user", "/api/graphql"]


def test_an_account_and_an_app_learn_who_they_are(server):
    assert connection.client(server, "tok-bot").login() == "warden-bot"
    assert server.calls == 1
    app = connection.client(server, "tok-actions")
    assert (app.login(), app.login()) == ("github-actions[bot]", "github-actions[bot]")
    assert server.calls == 3


def test_issues_are_made_changed_found_and_labelled(server):
    client = connection.client(server)
    client.create_label("perf: regression", color="d73a4a", description="found by the bot")
    client.create_label("perf: regression", color="d73a4a")
    made = client.create_issue(title="slower", body="by 8 %", labels=["perf: regression"])
    other = client.create_issue(title="another", body="")
    server.pull(SHA)
    assert [issue.number for issue in client.issues()] == [other.number, made.number], "a pull request is no issue"
    assert [issue.number for issue in client.issues(labels=["perf: regression"])] == [made.number]
    assert list(client.issues(creator="somebody")) == []
    client.add_labels(made.number, ["a", "b"])
    client.add_labels(made.number, ["b"])
    client.remove_label(made.number, "a")
    client.remove_label(made.number, "a")
    closed = client.update_issue(made.number, state="closed", state_reason="not_planned", body="clean again")
    assert (closed.state, closed.state_reason, closed.body) == ("closed", "not_planned", "clean again")
    assert {label.name for label in client.issue(made.number).labels} == {"perf: regression", "b"}
    assert [issue.number for issue in client.issues(state="open")] == [other.number]


def test_a_label_that_cannot_be_made_is_an_error(server):
    with pytest.raises(Refused) as refusal:
        connection.client(server).create_label("perf", color="red")
    assert refusal.value.status == 404


def test_permissions_reactions_and_workflows(server):
    main = server.commit({"README.md": b"x"})
    server.state.refs["refs/heads/main"] = main
    server.state.permissions |= {"root": "admin", "dev": "maintain", "guest": "read"}
    server.state.workflows.add("perf.yml")
    comment = server.comment(server.pull(SHA), "dev", "/perf run")
    client = connection.client(server)
    assert [client.permission(login).may_write for login in ("root", "dev", "guest", "stranger")] == [
        *(True, True),
        *(False, False),
    ]
    client.react(comment, "eyes")
    client.react(comment, "eyes")
    assert server.state.reactions == [(comment, "github-actions[bot]", "eyes")]
    client.dispatch("perf.yml", ref="main", inputs={"suite": "smoke"})
    (run,) = client.workflow_runs("perf.yml", event="workflow_dispatch")
    assert run.head_sha == main
    with pytest.raises(Refused):
        client.dispatch("other.yml", ref="main", inputs={})


def test_a_branch_with_one_changed_file_becomes_a_pull_request(server):
    main = server.commit({"reference/smoke.yaml": b"old\n", "keep.txt": b"kept\n"})
    server.state.refs["refs/heads/main"] = main
    client = connection.client(server)
    assert client.default_branch() == "main"
    assert client.file("reference/smoke.yaml", "main") == b"old\n"
    assert client.file("nothing.txt", "main") is None

    def update() -> str:
        commit = client.commit_files(main, {"reference/smoke.yaml": b"new\n"}, "Update the reference")
        client.set_branch("torchwarden/reference", commit, force=True)
        return commit

    commit = update()
    before = server.snapshot()
    assert update() == commit and server.snapshot() == before
    assert client.file("reference/smoke.yaml", "torchwarden/reference") == b"new\n"
    assert client.file("keep.txt", commit) == b"kept\n"
    pull = client.create_pull_request(title="t", body="b", head="torchwarden/reference", base="main")
    assert [one.number for one in client.pull_requests(head="acme:torchwarden/reference")] == [pull.number]
    with pytest.raises(Refused, match="already exists"):
        client.create_pull_request(title="t", body="b", head="torchwarden/reference", base="main")
    assert client.update_pull_request(pull.number, body="c").body == "c"
    client.delete_branch("torchwarden/other") if client.branch("torchwarden/other") else None
    client.delete_branch("torchwarden/reference")
    assert client.branch("torchwarden/reference") is None


def test_a_rate_limit_is_waited_for_as_long_as_it_says(server):
    number = server.pull(SHA)
    slept: list[float] = []
    client = connection.client(server, slept=slept)
    server.fail_at(0, "429")
    assert client.pull_request(number).head.sha == SHA
    assert slept == [2.0]


def test_a_limit_without_a_word_takes_a_minute_and_one_too_long_is_given_up(server):
    slept: list[float] = []
    client = connection.client(server, slept=slept, longest=30.0)
    server._faulty = lambda fault: (403, {}, {"message": "You have exceeded a secondary rate limit."})
    server.fail_at(0, "403")
    with pytest.raises(GithubError, match=r"rate limit stands in the way of GET /user for 60 s more"):
        client.login()
    assert slept == [] and server.calls == 1
    server._faulty = lambda fault: (
        403,
        {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1010"},
        {"message": "API rate limit exceeded"},
    )
    server.fail_at(0, "403")
    assert client.login() == "github-actions[bot]"
    assert slept == [11.0]


def test_backoff_doubles_to_its_cap_and_ends(server):
    slept: list[float] = []
    client = connection.client(server, slept=slept, attempts=6, most=5.0)
    for number in range(6):
        server.fail_at(number, "502")
    with pytest.raises(GithubError, match="status 502, 6 times"):
        client.pull_request(1)
    assert slept == [1.0, 2.0, 4.0, 5.0, 5.0]


@pytest.mark.parametrize("kind", ["500", "502", "timeout", "reset", "truncated"])
@pytest.mark.parametrize("done", [False, True])
def test_a_lost_answer_to_something_new_is_looked_for_before_it_is_sent_again(server, kind, done):
    number = server.pull(SHA)
    client = connection.client(server, timeout=connection.TIMEOUT)

    def create():
        return client.create_comment(number, "only once")

    def look():
        return next((one for one in client.comments(number) if one.text == "only once"), None)

    server.fail_at(0, kind, done=done)
    assert client.once(create, look).text == "only once"
    assert len(server.state.comments) == 1


def test_something_new_is_never_sent_twice_by_itself(server):
    server.fail_at(0, "502", done=True)
    with pytest.raises(Unsure, match="may have been carried out or not"):
        connection.client(server).create_issue(title="t", body="b")
    assert server.calls == 1


def test_writes_are_kept_apart(server):
    now, slept = [0.0], []
    patience = connection.patience(slept)
    waiting = type(patience)(sleep=slept.append, clock=lambda: now[0])
    sender = Sender("tok-bot", url=server.url, patience=waiting)
    client = Client(server.repository, sender)
    number = server.pull(SHA)
    client.create_comment(number, "a")
    now[0] = 0.25
    list(client.comments(number))
    client.create_comment(number, "b")
    assert slept == [0.75]


def test_no_token_is_ever_said(server, capfd):
    secret = "ghs_16C7e42F292c6912E7710c838347Ae178B4a"
    client = connection.client(server, secret, timeout=connection.TIMEOUT, attempts=1)
    for kind in ("401", "502", "timeout", "reset"):
        server.fail_at(0, kind)
        with pytest.raises(GithubError) as error:
            client.pull_request(1)
        assert secret not in "".join(traceback.format_exception(error.value))
    assert secret not in repr(client) + repr(vars(client))
    assert secret not in "".join(capfd.readouterr())


def test_what_a_server_says_of_an_error_is_shown_in_visible_characters(server):
    server._faulty = lambda fault: (422, {}, {"message": "bad\x1b[31m\u202e @octocat\n" + "x" * 5000})
    server.fail_at(0, "422")
    with pytest.raises(Refused) as error:
        connection.client(server).pull_request(1)
    assert "\x1b" not in str(error.value) and "\u202e" not in str(error.value) and len(str(error.value)) < 400


def test_an_answer_of_another_shape_is_an_error_and_not_a_guess(server):
    server._faulty = lambda fault: (200, {}, {"number": "one"})
    server.fail_at(0, "200")
    with pytest.raises(GithubError, match="not GitHub's"):
        connection.client(server).pull_request(1)


def test_a_next_page_on_another_server_is_not_asked_for(server):
    elsewhere = {"link": '<http://evil.example/repos/acme/models/pulls?page=2>; rel="next"'}
    server._faulty = lambda fault: (200, elsewhere, [])
    server.fail_at(0, "200")
    with pytest.raises(GithubError, match="another server"):
        list(connection.client(server).pull_requests())
    assert server.calls == 1


@pytest.mark.parametrize(
    "url", ["http://github.example", "ftp://x", "github.com", "https://u:p@host/api", "https://host/?token=1", ""]
)
def test_a_token_goes_to_no_address_that_is_not_safe(url):
    with pytest.raises(UserError, match="cannot be the address of GitHub's API") as error:
        Sender("secret", url=url)
    assert "u:p" not in str(error.value)


def test_addresses_lose_their_last_slash():
    assert checked_url("https://github.example/api/v3/") == "https://github.example/api/v3"


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("repository", ["acme/models", "a-b/c.d_e"], ["acme", "a/b/c", "../x", "a/..", "a b/c", "a/b\n", "a/b?x"]),
        ("commit", [SHA, "0" * 64], ["A" * 40, "a" * 39, "main", SHA + "\n", SHA + "/.."]),
        ("login", ["octocat", "github-actions[bot]"], ["@octocat", "a/b", "", "x[bot]y", "a" * 300]),
        ("branch", ["main", "torchwarden/update-1.2"], ["a..b", "/a", "a/", "-x", "a b", "x.lock", "a/../b", "$(id)"]),
        ("path", ["reference/smoke/bench-1.yaml"], ["../x", "/etc/passwd", "a//b", "a/./b", "a\\b", "", "a?ref=x"]),
        ("workflow", ["perf.yml", "12345"], ["perf", "../x.yml", "a/b.yml", "perf.yml?x"]),
        ("label", ["perf: regression", "perf"], ["a,b", " x", "", "<b>", "a" * 51]),
    ],
)
def test_names_that_go_into_an_address_match_a_tight_pattern(kind, good, bad):
    for value in good:
        assert checked(value, kind) == value
    for value in bad:
        with pytest.raises(UserError, match=f"cannot be a {kind}"):
            checked(value, kind)


def test_a_dry_run_tells_every_call_and_makes_none():
    told: list[str] = []
    client = Client("acme/models", Dry(told.append, head_sha=SHA))
    assert client.pull_request(7).head.sha == SHA
    client.create_comment(7, "two\nlines")
    assert [one.text for one in client.comments(7)] == ["two\nlines"]
    assert told[:3] == [
        "GET https://api.github.com/repos/acme/models/pulls/7",
        "POST https://api.github.com/repos/acme/models/issues/7/comments",
        "  body: two\n    lines",
    ]


def test_the_judge_of_the_tests_can_say_no():
    with Server() as server:
        server.tokens["x"] = Identity("x")
        send = Sender("x", url=server.url, patience=connection.patience(), between_writes=0.0)
        number = server.pull(SHA)
        for call in (
            Call("POST", f"/repos/acme/models/issues/{number}/comments", body={}),
            Call("POST", f"/repos/acme/models/statuses/{SHA}", body={"state": "great"}),
            Call("POST", "/repos/acme/models/no/such/path", body={}),
        ):
            server.exchanges.clear()
            with pytest.raises(Refused):
                send(call)
            with pytest.raises(Exception, match=r"(?i)not found|invalid|error"):
                contract.judge(server.exchanges)
        server.exchanges.clear()
        send(Call("GET", f"/repos/acme/models/pulls/{number}"))
        assert contract.judge(server.exchanges) == 1
        wrong = server.exchanges[0].answer.replace(b'"state": "open"', b'"state": "ajar"')
        with pytest.raises(Exception, match=r"(?i)invalid|error"):
            contract.judge([type(server.exchanges[0])(**{**vars(server.exchanges[0]), "answer": wrong})])

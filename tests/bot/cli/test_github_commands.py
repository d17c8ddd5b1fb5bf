"""`torchwarden comment` and `check` as a workflow calls them, in a process of their own."""

from __future__ import annotations

import json
import pathlib

import pytest

from bot import verdict as verdict_files
from tests.bot import nights, verdicts
from tests.commandline import contents, one_sentence, torchwarden
from tests.github import connection

SHA = "a" * 40
NOTHING = dict.fromkeys(
    ("GITHUB_TOKEN", "TORCHWARDEN_TOKEN", "GITHUB_REPOSITORY", "GITHUB_API_URL", "GITHUB_EVENT_NAME", "GITHUB_RUN_ID"),
    "",
) | dict.fromkeys(("GITHUB_EVENT_PATH", "GITHUB_STEP_SUMMARY", "GITHUB_SERVER_URL", "GITHUB_RUN_ATTEMPT"), "")


@pytest.fixture
def server():
    with connection.github() as server:
        server.number = server.pull(SHA)
        yield server


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "verdict.json").write_bytes(verdict_files.encode(verdicts.mixed()))
    return tmp_path


def actions(server, folder: pathlib.Path, name: str, **payload) -> dict[str, str]:
    """The environment of a step on a runner."""
    (folder / "event.json").write_text(json.dumps(payload))
    return {
        **NOTHING,
        "GITHUB_TOKEN": "tok-actions",
        "GITHUB_API_URL": server.url,
        "GITHUB_REPOSITORY": server.repository,
        "GITHUB_SERVER_URL": "https://github.example",
        "GITHUB_RUN_ID": "77",
        "GITHUB_RUN_ATTEMPT": "1",
        "GITHUB_EVENT_NAME": name,
        "GITHUB_EVENT_PATH": str(folder / "event.json"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
    }


def test_a_step_of_a_pull_request_needs_no_options(server, folder):
    around = actions(server, folder, "pull_request", pull_request={"number": server.number, "head": {"sha": SHA}})
    done = torchwarden("comment", "verdict.json", cwd=folder, **around)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"comment on pull request {server.number}: created, https://github.invalid/")
    (kept,) = server.state.comments.values()
    assert "[run](https://github.example/acme/models/actions/runs/77)" in kept["body"]
    done = torchwarden("check", "verdict.json", "--policy", "gate", cwd=folder, **around)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("check run created: failure, https://github.invalid/")
    summary = (folder / "summary.md").read_text()
    assert summary.startswith("### 🔴 2 of 16 tests are slower · worst:")
    before = server.snapshot()
    assert "unchanged" in torchwarden("comment", "verdict.json", cwd=folder, **around).stdout
    assert "unchanged" in torchwarden("check", "verdict.json", "--policy", "gate", cwd=folder, **around).stdout
    assert server.snapshot() == before and (folder / "summary.md").read_text() == summary


def test_after_a_run_of_a_fork_the_pull_request_is_looked_up_and_a_list_in_the_event_not_believed(server, folder):
    run = {"head_sha": SHA, "event": "pull_request", "pull_requests": [{"number": 4711}]}
    around = actions(server, folder, "workflow_run", workflow_run=run)
    assert torchwarden("comment", "verdict.json", cwd=folder, **around).returncode == 0
    assert [kept["issue"] for kept in server.state.comments.values()] == [server.number]
    server.move(server.number, "b" * 40)
    done = torchwarden("comment", "verdict.json", "--config-name", "x", cwd=folder, **around)
    assert (done.returncode, done.stdout) == (
        0,
        "no open pull request is at aaaaaaaaaa (any more): nothing to comment on\n",
    )
    assert len(server.state.comments) == 1


def test_a_verdict_that_cannot_be_read_gives_a_neutral_check_and_no_comment(server, folder):
    (folder / "verdict.json").write_text('{"outcome": "unchanged", "@octocat": "<img src=x>"}')
    around = actions(server, folder, "push", after=SHA)
    done = torchwarden("check", "verdict.json", "--policy", "gate", cwd=folder, **around)
    assert done.returncode == 0 and "not a verdict" in one_sentence(done.stderr)
    (kept,) = server.state.checks.values()
    assert kept["conclusion"] == "neutral" and "says nothing about the change" in kept["output"]["title"]
    assert "says nothing about the change" in (folder / "summary.md").read_text()
    done = torchwarden("comment", "verdict.json", "--pr", server.number, "--head-sha", SHA, cwd=folder, **around)
    assert done.returncode == 2 and not server.state.comments


def test_a_dry_run_needs_no_token_and_reaches_nobody(folder):
    around = {**NOTHING, "GITHUB_API_URL": "http://127.0.0.1:9"}
    options = ("--repo", "acme/models", "--head-sha", SHA, "--dry-run")
    done = torchwarden("comment", "verdict.json", "--pr", 3, *options, cwd=folder, **around)
    assert (done.returncode, done.stderr) == (0, "")
    calls = [line for line in done.stdout.splitlines() if line.startswith(("GET ", "POST ", "PATCH "))]
    assert calls[0] == "GET http://127.0.0.1:9/repos/acme/models/pulls/3"
    assert "POST http://127.0.0.1:9/repos/acme/models/issues/3/comments" in calls
    assert "2 of 16 tests are slower" in done.stdout
    done = torchwarden("check", "verdict.json", *options, cwd=folder, **around)
    assert (done.returncode, done.stderr) == (
        0,
        "",
    ) and "POST http://127.0.0.1:9/repos/acme/models/check-runs" in done.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--repo", "acme"), "cannot be a repository"),
        (("--head-sha", "main"), "cannot be a commit"),
        (("--config-name", "a -->"), "--config-name"),
        (("--run-url", "javascript:alert(1)"), "can be linked to"),
        (("--api-url", "http://evil.example"), "cannot be the address"),
        (("--mode", "sometimes"), "there is no mode"),
        (("--author", "a/b"), "cannot be a login"),
        ((), "there is no token"),
    ],
)
def test_mistakes_are_one_sentence_and_change_nothing(folder, options, words):
    before = contents(folder)
    given = {"--repo": "acme/models", "--head-sha": SHA, "--pr": "1"} | dict(
        zip(options[::2], options[1::2], strict=True)
    )
    token = {"GITHUB_TOKEN": "ghs_secret"} if options else {}
    flat = [word for pair in given.items() for word in pair]
    done = torchwarden("comment", "verdict.json", *flat, cwd=folder, **{**NOTHING, **token})
    assert done.returncode == 2 and words in one_sentence(done.stderr)
    assert "ghs_secret" not in done.stdout + done.stderr
    assert contents(folder) == before


CONFIG = """\
version: 1
suites:
  smoke: {}
machines:
  hosted:
    runs-on: [ubuntu-24.04]
nightly:
  clean-nights: 1
owners:
  - match: smoke/resnet*
    owners: ["@dev"]
"""


def test_a_night_opens_an_issue_and_the_next_closes_it_as_the_configuration_says(server, tmp_path):
    (tmp_path / ".github").mkdir()
    (tmp_path / ".github" / "torchwarden.yml").write_text(CONFIG)
    server.state.permissions["dev"] = "write"
    for number, entry in ((1, nights.bad()), (2, nights.good())):
        (tmp_path / f"{number}.json").write_bytes(verdict_files.encode(nights.night(number, entry)))
    around = actions(server, tmp_path, "schedule")
    for number, words in ((1, "issue 2 opened, https://"), (2, "issue 2 closed, https://")):
        done = torchwarden("issues", f"{number}.json", "--source-repo", "acme/torch", cwd=tmp_path, **around)
        assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith(words)
        before = server.snapshot()
        done = torchwarden("issues", f"{number}.json", "--source-repo", "acme/torch", cwd=tmp_path, **around)
        assert done.stdout.startswith("nothing to do") and server.snapshot() == before
    kept = server.state.issues[2]
    assert kept["assignees"] == ["dev"] and "](https://github.example/acme/torch/compare/" in kept["body"]
    assert "(https://github.example/acme/models/actions/runs/77)" in kept["body"]


def test_a_dry_run_shows_the_issue_and_reaches_nobody(tmp_path):
    (tmp_path / "verdict.json").write_bytes(verdict_files.encode(nights.night(1, nights.bad())))
    around = {**NOTHING, "GITHUB_API_URL": "http://127.0.0.1:9"}
    done = torchwarden("issues", "verdict.json", "--repo", "acme/models", "--dry-run", cwd=tmp_path, **around)
    assert (done.returncode, done.stderr) == (0, "")
    assert "POST http://127.0.0.1:9/repos/acme/models/issues\n" in done.stdout
    assert "title: resnet18 is slower: +12.0 %" in done.stdout and "issue (new) opened" in done.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--label", "a,b"), "cannot be a label"),
        (("--source-repo", "acme"), "cannot be a repository"),
        (("--config", "none.yml"), "none.yml: cannot be read"),
        (("--bisection", "verdict.json"), "torchwarden bisect --json"),
        (("--page-url", "javascript:x"), "can be linked to"),
        (("--repo", "acme/models"), "there is no token"),
    ],
)
def test_mistakes_about_issues_are_one_sentence(folder, options, words):
    done = torchwarden("issues", "verdict.json", "--repo", "acme/models", *options, cwd=folder, **NOTHING)
    assert done.returncode == 2 and words in one_sentence(done.stderr)


def test_a_refusal_says_what_to_do(server, folder):
    around = {**actions(server, folder, "push", after=SHA), "GITHUB_TOKEN": "tok-wrong"}
    done = torchwarden("comment", "verdict.json", "--pr", 1, cwd=folder, **around)
    assert done.returncode == 2
    assert "401 (Bad credentials); give a valid token" in one_sentence(done.stderr)
    assert "tok-wrong" not in done.stderr

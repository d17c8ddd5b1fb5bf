"""Whether the tests' server can be trusted: schemathesis fuzzes it, and `emulate`, which we did not write, agrees."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
from collections.abc import Iterator

import hypothesis
import pytest

from bot import checks, comment
from bot.calls import Call, Refused, Sender
from bot.github import Client
from bot.report.markdown import Frame
from tests.bot import verdicts
from tests.github import connection, contract, node, openapi
from tests.github.server import Server

SHA = "a" * 40


def test_the_cut_is_small_and_without_prose():
    text = json.dumps(openapi.load())
    assert openapi.CUT.stat().st_size < 50_000
    assert '"summary":' not in text.replace('"summary": {"type"', "") and '"example' not in text
    assert {path: tuple(verbs) for path, verbs in openapi.OPERATIONS.items()} == {
        path: tuple(verb for verb in operations if verb != "parameters")
        for path, operations in openapi.load()["paths"].items()
    }


def test_schemathesis_finds_no_answer_that_github_would_not_give():
    schemathesis = pytest.importorskip("schemathesis")
    with Server() as server:
        server.state.permissions["dev"] = "write"
        server.state.workflows.add("perf.yml")
        server.state.refs["refs/heads/main"] = server.commit({"a": b"x"})
        server.comment(server.pull(SHA), "dev", "hello")
        schema = schemathesis.openapi.from_dict(openapi.load())
        schema.config.update(base_url=server.url)
        tried = 0
        for result in schema.get_all_operations():
            operation = result.ok()

            @hypothesis.settings(
                max_examples=6,
                deadline=None,
                database=None,
                derandomize=True,
                suppress_health_check=list(hypothesis.HealthCheck),
                phases=[hypothesis.Phase.generate],
            )
            @hypothesis.given(case=operation.as_strategy())
            def attempt(case):
                nonlocal tried
                tried += 1
                # GitHub's names: what is generated for them is nearly always somebody else's repository.
                case.path_parameters |= {
                    key: value
                    for key, value in {"owner": "acme", "repo": "models", "issue_number": 1, "pull_number": 1}.items()
                    if key in (case.path_parameters or {})
                }
                answer = case.call(headers={"Authorization": "token tok-actions"})
                assert answer.status_code < 500

            attempt()
        assert tried > 100
        assert contract.judge_answers(server.exchanges) > 100


@contextlib.contextmanager
def emulate(folder) -> Iterator[str]:
    """The npm emulator with one repository and one pull request in it."""
    program = node.modules() / "emulate" / "dist" / "index.js"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    seed = {
        "tokens": {"tok-bot": {"login": "warden-bot", "scopes": ["repo"]}},
        "github": {
            "users": [{"login": "warden-bot"}],
            "repos": [{"owner": "warden-bot", "name": "models", "auto_init": True}],
        },
    }
    (folder / "seed.yaml").write_text(json.dumps(seed))
    command = [*node.executable(), str(program), "start", "--service", "github", "--port", str(port)]
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen([*command, "--seed", str(folder / "seed.yaml")], stdout=log, stderr=log)
        try:
            for _ in range(200):
                with contextlib.suppress(OSError), socket.create_connection(("localhost", port), 1):
                    break
                assert process.poll() is None, (folder / "log.txt").read_text()
                time.sleep(0.05)
            yield f"http://localhost:{port}"
        finally:
            process.terminate()
            process.wait(10)


def test_an_emulator_that_we_did_not_write_agrees(tmp_path):
    with emulate(tmp_path) as url:
        waiting = connection.patience()
        send = Sender("tok-bot", url=url, patience=waiting, between_writes=0.0)
        client = Client("warden-bot/models", send, patience=waiting)
        main = client.branch(client.default_branch())
        head = client.commit_files(main, {"reference/smoke.yaml": b"a: 1\n"}, "one changed file")
        client.set_branch("topic", head)
        assert client.file("reference/smoke.yaml", "topic") == b"a: 1\n"
        pull = client.create_pull_request(title="t", body="b", head="topic", base=client.default_branch())
        assert client.pull_request(pull.number).head.sha == head
        frame = Frame(head_sha=head)
        for index in range(35):
            client.create_comment(pull.number, f"another's {index}")
        for verdict, done in (
            (verdicts.mixed(), "created"),
            (verdicts.mixed(), "unchanged"),
            (verdicts.clean(), "updated"),
            (verdicts.clean(), "unchanged"),
        ):
            assert comment.post(client, pull.number, verdict, frame).done == done
        assert len(comment.ours(client.comments(pull.number), "warden-bot", "default")) == 1
        wanted = checks.check(verdicts.mixed(), frame, "gate")
        for done in ("created", "unchanged"):
            assert checks.post(client, head, wanted, frame).done == done
        client.create_label("perf", color="d73a4a")
        issue = client.create_issue(title="slower", body="by 8 %", labels=["perf"])
        assert [one.number for one in client.issues(labels=["perf"])] == [issue.number]
        assert client.update_issue(issue.number, state="closed", state_reason="completed").state == "closed"
        with pytest.raises(Refused):
            send(Call("POST", "/repos/warden-bot/models/issues", body={"title": ""}))

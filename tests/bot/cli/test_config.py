"""`torchwarden config` and `torchwarden init`, as a user calls them."""

from __future__ import annotations

import json
import os
import pathlib
import pty
import subprocess
import sys

import pytest

from bot import config
from harness import records
from tests.commandline import contents, environment, one_sentence, torchwarden

SUITE = '''
import torch

from harness.benchmark import Request, Workload, benchmark


@benchmark("tiny", category="OTHER", domain="OTHER_TASKS", sizes={"small": {"batch": 4}}, types=("eval",))
def tiny(request: Request) -> Workload:
    """One linear layer."""
    model = torch.nn.Linear(64, 64).to(request.device).train(request.training)
    return Workload(model=model, inputs=(torch.randn(request.batch, 64),), items=request.batch)
'''


def test_init_and_check_in_an_empty_folder(tmp_path: pathlib.Path) -> None:
    done = torchwarden("init", "--yes", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    written = [line.removeprefix("wrote ") for line in done.stdout.splitlines() if line.startswith("wrote ")]
    assert set(written) == set(contents(tmp_path))
    assert str(config.PATH) in written
    checked = torchwarden("config", "check", cwd=tmp_path)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "Machine hosted, a runner labelled ubuntu-24.04" in checked.stdout
    assert "The check of a pull request never fails (advise)" in checked.stdout
    schema = torchwarden("schema", "config", cwd=tmp_path)
    assert schema.stdout == (tmp_path / ".github" / config.SCHEMA_FILE).read_text()


def test_init_replaces_nothing_without_being_told(tmp_path: pathlib.Path) -> None:
    path = tmp_path / config.PATH
    path.parent.mkdir()
    path.write_text("mine\n")
    before = contents(tmp_path)
    done = torchwarden("init", "--yes", cwd=tmp_path)
    assert done.returncode == 2
    assert one_sentence(done.stderr) == f"{config.PATH} exists already; keep it, or replace it with --force"
    assert contents(tmp_path) == before
    assert torchwarden("init", "--yes", "--force", cwd=tmp_path).returncode == 0
    assert config.load(path).comment == "always"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--suite", "nope"), "is not a built-in suite"),
        (("--suite", "my_suite.py"), "there is no file my_suite.py"),
        (("--machine", "x"), "is not a machine"),
        (("--mode", "gated"), "there is no mode 'gated'; choose gate"),
        (("nowhere",), "is not a folder"),
    ],
)
def test_a_mistake_writes_nothing(arguments: tuple[str, ...], words: str, tmp_path: pathlib.Path) -> None:
    done = torchwarden("init", "--yes", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert words in one_sentence(done.stderr)
    assert contents(tmp_path) == {}


def _asked(folder: pathlib.Path, typed: str, *arguments: str) -> tuple[int, str]:
    """Run init with somebody at the terminal, and return exit code and what stood on it."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "bot.cli", "init", *arguments],
        cwd=folder,
        env=environment(folder),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        os.close(theirs)
        os.write(ours, typed.encode())
        shown, _ = process.communicate(timeout=60)
        os.close(ours)
    return process.returncode, shown


def test_init_asks_what_it_was_not_told(tmp_path: pathlib.Path) -> None:
    code, shown = _asked(tmp_path, "smoke,timm\ngpu=self-hosted,gpu:cuda\n\ngate\n")
    assert code == 0, shown
    found = config.load(tmp_path / config.PATH)
    assert list(found.suites) == ["smoke", "timm"]
    assert found.machines["gpu"].runs_on == ("self-hosted", "gpu")
    assert (found.builds.install, found.policy.mode) == ("pip install -e .", "gate")


def test_init_does_not_ask_what_it_was_told(tmp_path: pathlib.Path) -> None:
    code, shown = _asked(tmp_path, "advise\n", "--suite", "smoke", "--machine", "a=b", "--install-command", "make")
    assert code == 0, shown
    assert "Suites" not in shown and "advise" in shown
    assert config.load(tmp_path / config.PATH).builds.install == "make"


def test_init_without_anyone_to_answer_is_a_sentence(tmp_path: pathlib.Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bot.cli", "init"],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "nobody answered" in done.stderr and "--yes" in done.stderr
    assert contents(tmp_path) == {}


def test_check_says_what_is_wrong_where(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "c.yml"
    path.write_text("version: 1\nsuites: {smoke: {}}\nmachines:\n  a: {runs-on: [b], devise: cpu}\n")
    done = torchwarden("config", "check", "c.yml", cwd=tmp_path)
    assert done.returncode == 2
    assert one_sentence(done.stderr) == "c.yml:4: there is no key 'devise' in machines.a; did you mean device."
    path.write_text("version: 1\nsuites: {mine: {file: mine.py}}\nmachines: {a: {runs-on: [b]}}\n")
    done = torchwarden("config", "check", "c.yml", cwd=tmp_path)
    assert done.returncode == 2 and "mine.py, which is not there" in one_sentence(done.stderr)
    assert torchwarden("config", "check", cwd=tmp_path).returncode == 2


def test_the_matrix_is_two_outputs_of_a_step(tmp_path: pathlib.Path) -> None:
    torchwarden("init", "--yes", "--suite", "smoke", "--suite", "timm", cwd=tmp_path)
    done = torchwarden("config", "matrix", "--suites", "timm", "--filter", "", "--device", "", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    outputs = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert [one["name"] for one in json.loads(outputs["jobs"])["include"]] == ["run.hosted.timm.1"]
    assert [one["name"] for one in json.loads(outputs["reports"])["include"]] == ["hosted.timm"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--suites", "../x"), "suites is '../x'"),
        (("--filter", "$(id)"), "filter is '$(id)'"),
        (("--lanes", "os:system"), "lanes is 'os:system'"),
        (("--device", "a b"), "device is 'a b'"),
        (("--suites", "timm"), "there is no suite 'timm'"),
        (("--event", "weekly"), "there is no event 'weekly'"),
    ],
)
def test_inputs_are_held_to_the_grammar_again(arguments: tuple[str, ...], words: str, tmp_path: pathlib.Path) -> None:
    torchwarden("init", "--yes", cwd=tmp_path)
    done = torchwarden("config", "matrix", *arguments, cwd=tmp_path)
    assert done.returncode == 2 and words in one_sentence(done.stderr)


def _git(folder: pathlib.Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: pathlib.Path) -> pathlib.Path:
    """A repository in which main has moved on since the branch `change` left it."""
    _git(tmp_path, "init", "-q", "-b", "main")
    for switch, message in (((), "common"), (("-b", "change"), "ours"), (("main",), "theirs")):
        if switch:
            _git(tmp_path, "checkout", "-q", *switch)
        _git(tmp_path, "commit", "-q", "--allow-empty", "-m", message)
    torchwarden("init", "--yes", cwd=tmp_path)
    return tmp_path


def test_the_base_is_the_merge_base(repository: pathlib.Path) -> None:
    common, head = _git(repository, "merge-base", "main", "change"), _git(repository, "rev-parse", "change")
    assert common != _git(repository, "rev-parse", "main")
    given = ("config", "run", "--machine", "hosted", "--suite", "smoke", "--out", "run.jsonl", "--show")
    done = torchwarden(*given, "--head", head, "--target", "main", "--base", "", "--shard", "", cwd=repository)
    assert done.returncode == 0, done.stderr
    assert f" --base git:{common} --head git:{head} " in done.stdout
    named = torchwarden(*given, "--head", head, "--target", "main", "--base", "torch==2.13.0", cwd=repository)
    assert " --base torch==2.13.0 " in named.stdout
    for arguments, words in (
        (("--head", "nowhere", "--target", "main"), "git knows no merge base"),
        (("--head", "--all", "--target", "main"), "'--all' is not a commit"),
        (("--target", "main"), "needs a commit; name it with --head"),
        (("--head", head, "--base", "a..b"), "base is 'a..b'"),
    ):
        failed = torchwarden(*given, *arguments, cwd=repository)
        assert failed.returncode == 2 and words in one_sentence(failed.stderr)


@pytest.mark.slow
def test_a_suite_is_measured_and_judged_as_configured(tmp_path: pathlib.Path) -> None:
    """The steps of the workflow, with builds that are there: nothing is a mock."""
    (tmp_path / "my_suite.py").write_text(SUITE)
    assert torchwarden("init", "--yes", "--suite", "my_suite.py", "--machine", "here=x", cwd=tmp_path).returncode == 0
    path = tmp_path / config.PATH
    text = (
        path.read_text()
        .replace("git:{base}", "current")
        .replace("git:{head}", "current")
        .replace("20s", "2s\n    nurseries: 2")
    )
    path.write_text(text.replace("[eval, train]", "[eval]") + "# the end\n")
    runs = tmp_path / "runs"
    (runs / "run.here.my_suite.1").mkdir(parents=True)
    named = ("--machine", "here", "--suite", "my_suite")
    absent = torchwarden("config", "judge", *named, "--runs", "runs", "--out", "verdict.json", cwd=tmp_path)
    assert absent.returncode == 2 and "is not there" in one_sentence(absent.stderr)
    out = runs / "run.here.my_suite.1" / "run.jsonl"
    done = torchwarden("config", "run", *named, "--filter", "tiny", "--out", out, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    header = records.read(out).header
    assert header.plan.tests == ("test_eval[tiny-cpu-eager]",)
    assert (header.plan.base, header.plan.head, header.machine.name) == ("base", "head", "here")
    assert header.plan.budget_seconds == 2
    assert header.command.startswith("torchwarden run --suite my_suite.py ")
    judged = torchwarden("config", "judge", *named, "--runs", "runs", "--out", "verdict.json", cwd=tmp_path)
    assert judged.returncode in (0, 1, 3), judged.stderr
    assert json.loads((tmp_path / "verdict.json").read_text())["plan"]["suites"] == ["my_suite.py"]

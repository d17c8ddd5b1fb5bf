from __future__ import annotations

import re
from typing import Any

import pytest
import typer

from bot import jobs
from bot.cli import boundary, measuring
from bot.cli.app import app
from bot.cli.options import Builds, Method, Selection
from bot.command import only
from bot.config import parse
from bot.jobs import Commits, Job, Wanted
from harness import buildspec
from harness.errors import UserError
from tests.bot.test_config import FULL, SMALL

SHA, OTHER = "a" * 40, "b" * 40
COMMITS = Commits(base=SHA, head=OTHER)


def options_of(arguments: list[str]) -> dict[str, Any]:
    """What the real command line makes of the arguments of `run`."""
    group: Any = typer.main.get_command(app)
    return dict(group.commands["run"].make_context("run", list(arguments)).params)


def test_jobs_are_suites_on_machines_in_shards() -> None:
    config = parse(FULL)
    assert jobs.jobs(config, "pull-request") == tuple(
        Job(machine, suite, number, count)
        for suite in ("timm", "my_suite")
        for machine, count in (("hosted", 4), ("gpu", 1))
        for number in range(1, count + 1)
    )
    assert Job("gpu", "torchbench", 1, 1) in jobs.jobs(config, "nightly")
    assert jobs.jobs(config, "pull-request", Wanted(suites=("torchbench",))) == (Job("gpu", "torchbench"),)
    assert {job.machine for job in jobs.jobs(config, "nightly", Wanted(device="cpu"))} == {"hosted"}
    assert Job("a-b", "c").name != Job("a", "b-c").name
    assert len({job.name for job in jobs.jobs(config, "nightly")}) == 11


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Wanted(suites=("tim",)), "there is no suite 'tim'; choose timm"),
        (Wanted(device="tpu"), "there is no device 'tpu'"),
        (Wanted(lanes=("egaer",)), "there is no lane 'egaer'; choose eager"),
        (Wanted(suites=("torchbench",), device="cpu"), "nothing is measured for torchbench on cpu"),
    ],
)
def test_what_the_configuration_does_not_have_is_refused(wanted: Wanted, words: str) -> None:
    with pytest.raises(UserError, match=re.escape(words)):
        jobs.jobs(parse(FULL), "pull-request", wanted)


@pytest.mark.parametrize("event", jobs.EVENTS)
@pytest.mark.parametrize("text", [SMALL, FULL], ids=["small", "full"])
@pytest.mark.parametrize(
    "wanted", [Wanted(), Wanted(filter="resnet*,bert", lanes=("eager", "jit"))], ids=["all", "some"]
)
def test_the_real_command_line_takes_the_arguments(text: str, event: Any, wanted: Wanted) -> None:
    config = parse(text)
    for job in jobs.jobs(config, event):
        options = options_of(
            [*jobs.run_arguments(config, job, event=event, commits=COMMITS, wanted=wanted), "--out", "x"]
        )
        suite, machine = config.suites[job.suite], config.machines[job.machine]
        assert options["suite"] == [suite.file or job.suite]
        assert options["head"] == ("nightly" if text == FULL and event == "nightly" else f"git:{OTHER}")
        assert options["type"] == ",".join(suite.types)
        assert options["machine_name"] == job.machine
        assert options["cpus"] == machine.cpus and options["cpu_preset"] == machine.cpu_preset
        assert (options["beside"] or []) == list(config.builds.with_)
        assert options["install_command"] == config.builds.install
        assert options["threshold"] == "7%"
        buildspec.parse(options["head"], "head")
        re.compile(options["only"] or "")


@pytest.mark.slow
def test_the_arguments_are_carried_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as a session is prepared, which checks every value: with builds that are there."""
    config = parse(SMALL.replace("smoke: {}", "smoke: {only: resnet, types: [eval]}") + "    total-budget: 30s\n")
    arguments = jobs.run_arguments(
        config,
        Job("hosted", "smoke"),
        commits=Commits(base_build="current", head_build="current"),
        wanted=Wanted(filter="18"),
        tests=jobs.count_tests(config.suites["smoke"], "smoke", config.machines["hosted"]),
    )
    options = options_of([*arguments, "--out", "x"])
    session = measuring.prepare(
        *(kind(**{key: options[key] for key in kind.__dataclass_fields__}) for kind in (Selection, Builds, Method)),
        command="test",
    )
    assert session.plan.tests == ("test_eval[resnet18-cpu-eager]",)
    assert (session.plan.base, session.plan.head) == ("base", "head")
    assert session.machine.name == "hosted"


@pytest.mark.parametrize("extra", [[], ["--to", "summary"]])
def test_the_arguments_of_judge_are_taken(extra: list[str], tmp_path: Any, capsys: Any) -> None:
    """Up to the file, which is not there."""
    arguments = ["judge", str(tmp_path / "no.jsonl"), *jobs.judge_arguments(parse(FULL)), *extra]
    assert boundary.run(app, arguments) == 2
    assert "no.jsonl" in capsys.readouterr().err


def test_a_lower_threshold_of_a_test_is_measured_for() -> None:
    config = parse(FULL.replace('"test_train[*]": 10%', '"test_train[*]": 2.5%'))
    arguments = jobs.run_arguments(config, Job("gpu", "torchbench"), commits=COMMITS)
    assert options_of([*arguments, "--out", "x"])["threshold"] == "2.5%"
    assert "test_train[*]=2.5%" in jobs.judge_arguments(config)


def test_a_total_budget_is_divided() -> None:
    machine = parse(FULL).machines["hosted"]
    assert jobs.seconds_per_test(machine, None) == 30
    assert jobs.seconds_per_test(machine, 100) == 30
    assert jobs.seconds_per_test(machine, 1000) == pytest.approx(4 * 3600 / 1000)
    with pytest.raises(UserError, match="less than a second for each of 20000 tests"):
        jobs.seconds_per_test(machine, 20_000)


def test_builds_of_an_event() -> None:
    config = parse(FULL)
    assert jobs.builds(config, "pull-request", COMMITS) == (f"git:{SHA}", f"git:{OTHER}")
    assert jobs.builds(config, "nightly", COMMITS) == ("torch==2.13.0", "nightly")
    assert jobs.builds(parse(SMALL), "nightly", COMMITS) == (None, f"git:{OTHER}")
    assert jobs.builds(config, "pull-request", Commits(base_build="nightly", head=OTHER)) == ("nightly", f"git:{OTHER}")


@pytest.mark.parametrize("commit", ["", "--upload-pack=x", "a b", "$(id)", "a" * 300, "x\n"])
def test_a_commit_that_is_none_is_refused(commit: str) -> None:
    with pytest.raises(UserError, match="--head"):
        jobs.builds(parse(SMALL), "pull-request", Commits(base=SHA, head=commit))


@pytest.mark.parametrize(
    ("text", "build"),
    [
        ("main", "git:main"),
        ("torch==2.13.0", "torch==2.13.0"),
        ("nightly:2026-11-24", "nightly:2026-11-24"),
        (SHA, f"git:{SHA}"),
    ],
)
def test_what_a_command_names_is_a_build(text: str, build: str) -> None:
    assert jobs.as_build(text) == build


@pytest.mark.parametrize(
    ("first", "second", "name", "found"),
    [
        ("", "", "anything", True),
        ("resnet", "", "test_eval[resnet50-cpu-eager]", True),
        ("", "bert", "test_eval[resnet50-cpu-eager]", False),
        ("resnet|bert", "cpu", "test_eval[bert-cpu-eager]", True),
        ("resnet|bert", "cuda", "test_eval[bert-cpu-eager]", False),
        ("^test_eval", "eager.$", "test_eval[bert-cpu-eager]", True),
        ("test_eval[bert-cpu-eager]", "bert", "test_eval[bert-cpu-eager]", True),
        ("test_eval[bert-cpu-eager]", "resnet", "test_eval[bert-cpu-eager]", False),
        ("resnet", only("test_eval[resnet50-cpu-eager]"), "test_eval[resnet50-cpu-eager]", True),
    ],
)
def test_two_selections_at_once(first: str, second: str, name: str, found: bool) -> None:
    assert (re.search(jobs.both(first, second), name) is not None) == found


def test_the_matrices_hold_what_a_workflow_needs() -> None:
    config = parse(FULL)
    found = jobs.jobs(config, "pull-request")
    entries = jobs.matrix(config, found)["include"]
    assert len(entries) == len(found) <= 256
    assert entries[0] == {
        "name": "run.hosted.timm.1",
        "machine": "hosted",
        "suite": "timm",
        "shard": "1/4",
        "runs-on": ["ubuntu-24.04"],
        "container": "",
    }
    assert jobs.reports(config, found)["include"][1] == {
        "name": "gpu.timm",
        "machine": "gpu",
        "suite": "timm",
        "comment": "on-change",
        "policy": "gate",
    }

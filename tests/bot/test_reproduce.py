"""The reproduce command selects the same tests, survives a shell, and gives no machine away."""

from __future__ import annotations

import re
import shlex

import msgspec
import pytest

from bot.reproduce import command
from harness.records import Header
from tests import synthetic
from tests.synthetic import Case

A, B = "test_eval[a.b-cpu-eager]", "test_train[c'$(id)`-cpu-eager]"


def header(**plan: object) -> Header:
    return synthetic.run([Case(A), Case(B), Case("test_eval[axb-cpu-eager]")], **plan).header  # type: ignore[arg-type]


def option(line: str, name: str) -> str:
    words = shlex.split(line)
    return words[words.index(name) + 1]


@pytest.mark.parametrize("tests", [[A], [B], [A, B]])
def test_only_selects_exactly_the_tests(tests: list[str]) -> None:
    pattern = option(command(header(), tests), "--only")
    assert [name for name in header().plan.tests if re.search(pattern, name)] == tests


def test_without_tests_the_whole_plan_is_named() -> None:
    pattern = option(command(header(), []), "--only")
    assert [name for name in header().plan.tests if re.search(pattern, name)] == list(header().plan.tests)


def test_a_long_list_is_left_out() -> None:
    assert "--only" not in command(header(), [f"test_eval[m{n}-cpu-eager]" for n in range(100)])


def test_options_of_the_plan_are_given() -> None:
    plan = {"threads": 3, "budget_seconds": 60.0, "seed": 5, "size": "v1", "allocator": "system", "code_pages": "own"}
    names = ("--threads", "--budget", "--seed", "--size", "--allocator", "--code-pages")
    line = command(header(**plan), [A])
    assert {name: option(line, name) for name in names} == {
        "--threads": "3",
        "--budget": "60s",
        "--seed": "5",
        "--size": "v1",
        "--allocator": "system",
        "--code-pages": "own",
    }


def test_what_changes_the_step_is_given() -> None:
    line = command(header(iterations=3, compat="v1", updates=False, accuracy=True), [A])
    assert (option(line, "--iterations"), option(line, "--compat")) == ("3", "v1")
    assert {"--no-update", "--accuracy"} <= set(shlex.split(line))
    assert not {"--iterations", "--compat", "--no-update", "--accuracy"} & set(shlex.split(command(header(), [A])))


def test_a_preset_of_cpus_stands_in_place_of_threads() -> None:
    line = command(header(threads=8, cpu_preset="physical-cores"), [A])
    assert option(line, "--cpu-preset") == "physical-cores"
    assert "--threads" not in line


def test_builds_are_named_without_paths() -> None:
    asked = msgspec.structs.replace(header(), command="torchwarden run --base /opt/base/bin/python --head x=current")
    line = command(asked, [A])
    assert option(line, "--base") == "torch==2.13.0+cpu"
    assert option(line, "--head") == "x=current"
    suite = command(header(suites=("/home/someone/my_suite.py",)), [A])
    assert option(suite, "--suite") == "my_suite.py"
    assert "/opt" not in line and "/home" not in suite


def test_a_build_that_was_not_named_is_the_current_one() -> None:
    asked = msgspec.structs.replace(header(), command="torchwarden run --base=current")
    assert option(command(asked, [A]), "--base") == option(command(asked, [A]), "--head") == "current"


def test_a_command_that_cannot_be_read_does_no_harm() -> None:
    broken = msgspec.structs.replace(header(), command="torchwarden run --base 'current")
    assert option(command(broken, [A]), "--base") == "torch==2.13.0+cpu"


def test_a_run_of_one_build_has_no_base() -> None:
    assert "--base" not in command(synthetic.run([Case(A)], base=None).header, [A])


def test_what_another_tool_measured_is_not_offered_again() -> None:
    imported = msgspec.structs.replace(header(), command="torchwarden import hud-v3")
    assert command(imported, [A]) == ""

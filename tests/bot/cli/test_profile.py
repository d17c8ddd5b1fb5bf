"""`torchwarden profile` on a real model, one of whose operators is deliberately doubled."""

from __future__ import annotations

import gzip
import json
import pathlib

import pytest

from bot import profiles
from harness import machine
from tests import sessions
from tests.bot.profiles import made
from tests.commandline import one_sentence, torchwarden

SUITE = str(sessions.SUITES / "doubled.py")
TEST = "test_eval[mixed-cpu-eager]"


def test_the_operator_that_was_doubled_is_ranked_first(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("torch")
    cpus = ",".join(map(str, machine.choose_cpus(1)))
    for size in ("small", "doubled"):
        extra = ("--trace", "trace.json.gz") if size == "small" else ()
        done = torchwarden(
            *("profile", TEST, "--suite", SUITE, "--size", size, "--json", f"{size}.json", "--steps", 200),
            *("--cpus", cpus, *extra),
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        assert "aten::bmm" in done.stdout and f"profile: {size}.json" in done.stdout
    found = profiles.compare(*(profiles.read(tmp_path / f"{size}.json") for size in ("small", "doubled")))
    first = found.rows[0]
    assert first.name == "aten::bmm"
    assert first.calls == (1, 2)
    assert first.change is not None and 0.5 < first.change < 3
    done = torchwarden("profile", "--diff", "small.json", "doubled.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("aten::")]
    assert rows[0].startswith("aten::bmm") and "1 → 2" in rows[0]
    with gzip.open(tmp_path / "trace.json.gz") as file:
        assert json.load(file)["traceEvents"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["doubled.json", "small.json", "trace.json.gz"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name one test"),
        ((TEST, "--diff", "a.json", "b.json"), "name one test"),
        (("--diff", "a.json", "b.json", "--json", "c.json"), "leave out --json"),
        (("--diff", "a.json", "b.json"), "a.json: cannot be read"),
        (("resnet18",), "is not the name of a test"),
        (("test_eval[resnet81-cpu-eager]",), "choose test_eval[resnet18-cpu-eager]"),
        (("test_eval[resnet18-cpu-magic]",), "magic"),
        (("test_eval[resnet18-cpu-eager]", "--json", "none/p.json"), "none/p.json cannot be written"),
        (("test_eval[resnet18-cpu-eager]", "--steps", "0"), "--steps"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: tuple[str, ...], said: str, tmp_path: pathlib.Path) -> None:
    done = torchwarden("profile", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert said in one_sentence(done.stderr)
    assert list(tmp_path.iterdir()) == []


def test_a_test_that_cannot_be_built_is_one_sentence_and_leaves_nothing(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("torch")
    done = torchwarden("profile", "test_eval[refuses-cpu-eager]", "--suite", SUITE, "--json", "p.json", cwd=tmp_path)
    assert done.returncode == 2
    assert "there are no weights" in one_sentence(done.stderr)
    assert list(tmp_path.iterdir()) == []


def test_profiles_of_one_step_blame_nobody(tmp_path: pathlib.Path) -> None:
    from harness.profiles import encode

    (tmp_path / "p.json").write_text(encode(made({"aten::mm": (1, 1e-3)})))
    done = torchwarden("profile", "--diff", "p.json", "p.json", cwd=tmp_path)
    assert done.returncode == 0 and "no operator can be blamed" in done.stdout

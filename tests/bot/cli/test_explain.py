"""`torchwarden explain` on two real builds, one of which calls an operator more often: from the run to the report."""

from __future__ import annotations

import json
import pathlib
import site
import venv

import pytest

from bot import explanation, verdict
from harness import machine
from tests import sessions
from tests.bot import verdicts
from tests.commandline import one_sentence, torchwarden

SUITE = str(sessions.SUITES / "flavoured.py")
TEST = "test_eval[flavoured-cpu-eager]"


def build(folder: pathlib.Path, products: int) -> str:
    """An interpreter with this one's packages and a module `flavour` of its own."""
    venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
    packages = next(folder.glob("lib/python*/site-packages"))
    (packages / "beside.pth").write_text("\n".join(site.getsitepackages()))
    (packages / "flavour.py").write_text(f"PRODUCTS = {products}\n")
    return str(folder / "bin" / "python")


@pytest.mark.slow
def test_a_signal_is_explained_from_the_run_to_the_report(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("torch")
    builds = ("--base", build(tmp_path / "one", 2), "--head", build(tmp_path / "two", 12))
    cpus = ",".join(map(str, machine.choose_cpus(1)))

    def warden(*arguments: object, codes: tuple[int, ...] = (0,)) -> str:
        done = torchwarden(*arguments, cwd=tmp_path, timeout=900)
        assert done.returncode in codes, done.stdout + done.stderr
        return done.stdout

    # On a busy machine a few seconds need not decide anything; what is explained does not hang on it.
    judged = (1, 3)
    plan = ("--suite", SUITE, "--type", "eval", "--budget", "4s", "--nurseries", 1, "--cpus", cpus)
    warden("run", *plan, *builds, "--code-pages", "shared", "--out", "run.jsonl")
    warden("judge", "run.jsonl", "--out", "verdict.json", codes=judged)
    said = warden(
        *("explain", "verdict.json", "--run", "run.jsonl", "--suite", SUITE, *builds, "--cpus", cpus),
        *("--tests", TEST, "--count-limit", "0s", "--out", "explain.json"),
    )
    (found,) = explanation.read(tmp_path / "explain.json").tests
    assert found.test == TEST and found.change is not None and found.change > 0.2
    first = found.lines[0]
    assert first.startswith("aten::bmm +") and "% of the change" in first and "calls 2 → 12" in first
    assert first in said
    row = next(row for row in found.tables.operators if row.name == "aten::bmm")
    assert row.stands_out and row.share is not None and 0.7 < row.share < 1.3
    assert found.skipped == {"instruction counts": "they were not asked for"}

    page = warden("judge", "run.jsonl", "--explanation", "explain.json", "--out", "told.json", codes=judged)
    assert f"Why {TEST}:" in page and "aten::bmm +" in page
    assert verdict.read(tmp_path / "told.json").tests[0].explanation == found.lines
    warden("judge", "--verify", "told.json", codes=judged)
    # A line that somebody made up does not follow from the inputs.
    text = (tmp_path / "told.json").read_text()
    (tmp_path / "told.json").write_text(text.replace("aten::bmm +", "aten::innocent +"))
    done = torchwarden("judge", "--verify", "told.json", cwd=tmp_path)
    assert done.returncode == 2 and "explanation" in one_sentence(done.stderr)

    swapped = torchwarden(
        *("explain", "verdict.json", "--base", builds[1], "--head", builds[1], "--tests", TEST),
        cwd=tmp_path,
    )
    assert swapped.returncode == 2 and "--suite" in one_sentence(swapped.stderr)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--base"),
        (("--base", "current", "--tests", "test_eval[nothing-cpu-eager]"), "there is no test"),
        (("--base", "current", "--run", "none.jsonl"), "none.jsonl cannot be read"),
        (("--base", "current", "--out", "none/e.json"), "none/e.json cannot be written"),
        (("--base", "current", "--count-limit", "soon"), "--count-limit"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: tuple[str, ...], said: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "v.json").write_bytes(verdict.encode(verdicts.mixed()))
    done = torchwarden("explain", "v.json", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert said in one_sentence(done.stderr)


def test_a_verdict_cannot_name_code_to_run(tmp_path: pathlib.Path) -> None:
    made = json.loads(verdict.encode(verdicts.mixed()))
    made["plan"]["suites"] = ["evil.py"]
    (tmp_path / "evil.py").write_text("raise SystemExit('was run')")
    (tmp_path / "v.json").write_text(json.dumps(made))
    done = torchwarden("explain", "v.json", "--base", "old=current", cwd=tmp_path)
    assert done.returncode == 2 and "--suite" in one_sentence(done.stderr)


def test_no_signal_is_nothing_to_explain(tmp_path: pathlib.Path) -> None:
    (tmp_path / "v.json").write_bytes(verdict.encode(verdicts.clean()))
    done = torchwarden("explain", "v.json", "--base", "old=current", cwd=tmp_path)
    assert done.returncode == 2 and "no signal to explain" in one_sentence(done.stderr)

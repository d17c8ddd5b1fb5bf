"""The whole way on real models: measure, judge, report."""

from __future__ import annotations

import json
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from bot import verdict
from harness import codepages, records
from tests.commandline import contents, environment, torchwarden

pytest.importorskip("torch")
pytestmark = pytest.mark.slow

TEST = "test_eval[squeezenet1_1-cpu-eager]"
SHORT = ("--nurseries", "2", "--budget", "6s")


def test_a_build_against_itself_is_no_regression(tmp_path: pathlib.Path) -> None:
    options = ("--nurseries", "3", "--budget", "12s", "--base", "current", "--out-dir", "results/new")
    done = torchwarden("bench", "--only", TEST, *options, cwd=tmp_path)
    assert done.returncode in (0, 3), done.stdout + done.stderr
    out = tmp_path / "results/new"
    found = verdict.read(out / "verdict.json")
    assert found.tests[0].outcome in ("unchanged", "inconclusive")
    assert [entry.test for entry in found.tests] == [TEST]
    assert found.tests[0].detectable is not None
    (run,) = out.glob("run-*.jsonl")
    assert records.read(run).complete
    comment = (out / "comment.md").read_text()
    assert comment.strip() in done.stdout
    assert str(pathlib.Path("results/new/index.html")) in done.stdout
    assert "<html" in (out / "index.html").read_text()
    assert torchwarden("judge", "--verify", "results/new/verdict.json", cwd=tmp_path).returncode == done.returncode
    assert "Traceback" not in done.stderr
    assert f"[1/1] {TEST}" in done.stderr


@pytest.mark.skipif(codepages.choose("auto", [1, 1], 1, 4) != "own", reason="this machine has no pages to copy to")
def test_two_interpreters_run_in_code_pages_of_their_own(tmp_path: pathlib.Path) -> None:
    other = tmp_path / "python"
    other.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    other.chmod(0o755)
    options = ("run", "--only", "eval.*dlrm", "--nurseries", "1", "--budget", "3s", "--base", "current")
    assert torchwarden(*options, "--head", "current", "--out", "one.jsonl", cwd=tmp_path).returncode == 0
    assert torchwarden(*options, "--head", f"other={other}", "--out", "two.jsonl", cwd=tmp_path).returncode == 0
    one, two = (records.read(tmp_path / name) for name in ("one.jsonl", "two.jsonl"))
    assert (one.header.plan.code_pages, two.header.plan.code_pages) == ("shared", "own")
    assert [test.status for test in (*one.tests, *two.tests)] == ["pass", "pass"]


def test_an_injected_slow_down_is_a_regression(tmp_path: pathlib.Path) -> None:
    options = ("--base", "current", "--nurseries", "3", "--budget", "20s", "--inject", f"{TEST}=30%", "--no-explain")
    done = torchwarden("bench", "--only", TEST, *options, cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    found = verdict.read(tmp_path / "out/verdict.json")
    (entry,) = found.tests
    assert entry.outcome == "regressed"
    assert entry.low is not None and entry.high is not None and entry.low < 0.4 and entry.high > 0.2
    assert entry.confirmation is not None and entry.confirmation.outcome == "confirmed"
    assert (tmp_path / "out/index.html").exists()


def test_one_build_in_two_modes_is_measured_without_a_comparison_of_builds(tmp_path: pathlib.Path) -> None:
    done = torchwarden("bench", "--only", "eval.*dlrm", "--modes", "eager,jit", *SHORT, cwd=tmp_path)
    assert done.returncode in (0, 3), done.stdout + done.stderr
    found = verdict.read(tmp_path / "out/verdict.json")
    assert found.plan.base is None
    assert [speedup.test for speedup in found.speedups] == ["test_eval[dlrm-cpu-jit]"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_kept_and_resumed(number: signal.Signals, tmp_path: pathlib.Path) -> None:
    out = tmp_path / "run.jsonl"
    options = ("run", "--only", "dlrm", "--budget", "8s", "--nurseries", "1", "--base", "current", "--out", str(out))
    process = subprocess.Popen(
        [sys.executable, "-m", "bot.cli", *options],
        cwd=tmp_path,
        env=environment(tmp_path, TMPDIR=str(tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A shell ignores SIGINT in what it starts in the background.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 200
    while process.poll() is None and time.monotonic() < deadline:
        if out.exists() and out.read_bytes().count(b"\n") >= 2:
            process.send_signal(number)
            break
        time.sleep(0.05)
    shown, _ = process.communicate(timeout=60)
    assert process.returncode == 130, shown
    assert "--resume" in shown and "Traceback" not in shown
    first = records.read(out)
    assert first.footers[-1].interrupted and len(first.tests) == 1
    assert list(tmp_path.glob("torchwarden-*")) == []
    resumed = torchwarden(*options, "--resume", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    whole = records.read(out)
    assert whole.complete
    assert whole.tests[0] == first.tests[0]
    assert out.read_bytes().count(b'"record":"test"') == 2


def test_calibration_is_kept_and_goes_into_the_next_run(tmp_path: pathlib.Path) -> None:
    state = tmp_path / "state"
    done = torchwarden(
        *("calibrate", "--brief", "--only", "eval.*dlrm", *SHORT), cwd=tmp_path, XDG_STATE_HOME=str(state)
    )
    assert done.returncode == 0, done.stderr
    assert "noise floor: ±" in done.stdout
    (kept,) = (state / "torchwarden").iterdir()
    floor = json.loads(kept.read_text())["noise_floor"]
    assert floor > 0
    assert set(contents(tmp_path)) == {str(kept.relative_to(tmp_path))}
    options = ("run", "--only", "eval.*dlrm", "--budget", "1s", "--nurseries", "1", "--out", "run.jsonl")
    assert torchwarden(*options, cwd=tmp_path, XDG_STATE_HOME=str(state)).returncode == 0
    header = records.read(tmp_path / "run.jsonl").header
    assert header.machine.noise_floor == floor
    assert header.command.startswith("torchwarden run --only")

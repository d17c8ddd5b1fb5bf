"""What `torchwarden run` prints at its end in the layouts of other benchmarks, and what it records of a CPU preset."""

from __future__ import annotations

import pathlib
import re

import pytest

from harness import machine, records
from harness.formats import FORMATS
from tests import sessions
from tests.commandline import torchwarden

pytest.importorskip("torch")

OPTIONS = ("--suite", sessions.TINY, "--only", "perceptron", "--budget", "1s", "--nurseries", "1", "--out", "run.jsonl")


def test_target_lines_are_printed_last_and_go_back_in(tmp_path: pathlib.Path) -> None:
    done = torchwarden("run", *OPTIONS, "--type", "eval", "--target-lines", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    match = re.fullmatch(r"\[TARGET\] perceptron Time (\d\S*)", last)
    assert match is not None
    run = records.read(tmp_path / "run.jsonl")
    (test,) = run.tests
    lane = test.lane("head")
    assert lane is not None and lane.typical_seconds is not None
    assert float(match[1]) == pytest.approx(lane.typical_seconds, rel=0.5)
    (back,) = FORMATS["target-lines"].read({"log.txt": done.stdout.encode()}).tests
    assert (back.benchmark, back.type) == ("perceptron", "eval")
    assert run.header.builds[0].libraries
    assert run.header.plan.cpu_preset is None


def test_every_file_of_a_layout_stands_under_its_name(tmp_path: pathlib.Path) -> None:
    preset = "single-core"
    done = torchwarden("run", *OPTIONS, "--layout", "convnet", "--cpu-preset", preset, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for kind in ("inference", "training"):
        assert f"# convnet-cpu-eager-{kind}.txt" in done.stdout.splitlines()
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("nn ")] == 2 * [
        ":forward:",
        ":backward:",
        ":update:",
        ":total:",
    ]
    plan = records.read(tmp_path / "run.jsonl").header.plan
    assert (plan.cpu_preset, plan.threads, plan.cpus) == (preset, 1, machine.preset_cpus(preset))

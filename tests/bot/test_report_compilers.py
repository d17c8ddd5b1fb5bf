"""The summary of a run of compilers, and its plots."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import msgspec
import pytest

from bot import aggregate
from bot.report.compilers import Side, summary
from harness import records
from tests.bot.test_aggregate import group, run

BEFORE = run(group("resnet18", 1.8), group("bert", 1.2), group("old", 2.0))
AFTER = run(
    group("resnet18", 1.3),
    group("bert", 0.9),
    group("wrong", accuracy="fail_accuracy"),
    planned=("test_eval[gone-cpu-inductor]",),
)


def _row(text: str, model: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| `{model}` | ")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def _section(text: str, title: str) -> str:
    return text.partition(f"### {title}\n")[2].partition("\n### ")[0].partition("\n<details>")[0]


def test_the_executive_summary_says_which_models_made_its_numbers() -> None:
    text = summary(Side.of(AFTER), None, aggregate.HUD)
    assert "50 %, 2/4" in text
    assert re.search(r"\| `inductor` \| 1\.08\d*× ± [\d.]+ \|", text)
    assert "leaves out `wrong` (fail&#95;accuracy), `gone` (absent)." in text
    assert "1 planned test of 7 left no line" in text


def test_every_model_has_a_row_the_failed_and_the_absent_too() -> None:
    text = summary(Side.of(AFTER), None, aggregate.HUD)
    assert _row(text, "gone")[2:5] == ["`absent`", "–", "–"]
    assert _row(text, "wrong")[2] == "`fail_accuracy`"
    assert _row(text, "resnet18")[4:8] == ["12", "10.0 ms", "7.69 ms", "30.0 s"]


def test_warnings_and_regressions_are_named_and_the_models_of_one_run_alone() -> None:
    text = summary(Side.of(AFTER), Side.of(BEFORE), aggregate.HUD)
    assert "`bert` (smoke, `inductor`): speedup 0.900×" in _section(text, "Warnings")
    regressions = _section(text, "Regressions since the last run")
    assert "`resnet18` (smoke, `inductor`): speedup 1.30×, before speedup 1.80×" in regressions
    assert "`gone`, `old`, `wrong`; means are compared without them" in regressions
    assert "over the 2 models of both runs: 1.4" in text
    assert "(before 100 %, 3/3)" in text


def test_a_pass_rate_is_warned_of_where_the_policy_has_a_limit() -> None:
    def said(run: records.Run, policy: aggregate.Thresholds) -> bool:
        return "pass rate" in _section(summary(Side.of(run), None, policy), "Warnings")

    assert "- smoke, `inductor`: pass rate 50 %, 2/4" in summary(Side.of(AFTER), None, aggregate.HUD)
    assert said(AFTER, aggregate.HUD)
    assert not said(BEFORE, aggregate.HUD)
    assert not said(AFTER, aggregate.RUNNER)


def test_without_an_earlier_run_nothing_is_said_to_have_regressed() -> None:
    assert "no earlier run" in _section(
        summary(Side.of(AFTER), None, aggregate.RUNNER), "Regressions since the last run"
    )


def test_reasons_of_graph_breaks_are_told() -> None:
    broken = records.GraphBreak(reason="Call to `print`", place="model.py:12", count=3)

    def told(test: records.Test) -> records.Test:
        lanes = [
            msgspec.structs.replace(
                lane, compilation=lane.compilation and msgspec.structs.replace(lane.compilation, breaks=(broken,))
            )
            for lane in test.lanes
        ]
        return msgspec.structs.replace(test, lanes=tuple(lanes))

    made = msgspec.structs.replace(BEFORE, tests=tuple(map(told, BEFORE.tests)))
    text = summary(Side.of(made), None, aggregate.HUD)
    assert "`resnet18` breaks its graph: <code>Call to &#96;print&#96;</code> at `model.py:12` (3 times)" in text


def test_what_a_run_says_does_nothing_on_github() -> None:
    hostile = "</details> @maintainer #1 <script> | ![x](http://evil)"
    tests = tuple(msgspec.structs.replace(test, benchmark=hostile, reason=hostile) for test in AFTER.tests)
    header = msgspec.structs.replace(AFTER.header, run=hostile)
    text = summary(Side.of(msgspec.structs.replace(AFTER, tests=tests, header=header)), None, aggregate.HUD)
    outside = re.sub(r"<code>.*?</code>|`[^`]*`", "", text)
    assert "@maintainer" not in outside and "<script" not in text and "](http" not in outside
    assert text.count("<details>") == text.count("</details>")


def test_plots_are_drawn_for_every_suite_and_over_runs() -> None:
    pytest.importorskip("vl_convert")
    from bot.report.compilerplots import plots

    drawn = plots([Side.of(BEFORE), Side.of(AFTER)], aggregate.HUD)
    assert sorted(drawn) == ["over-time-eval.svg", "speedup-smoke-eval-float32.svg"]
    words = {name: " ".join(ElementTree.fromstring(svg).itertext()) for name, svg in drawn.items()}
    assert (
        "resnet18" in words["speedup-smoke-eval-float32.svg"] and "wrong" not in words["speedup-smoke-eval-float32.svg"]
    )
    assert "geometric mean speedup" in words["over-time-eval.svg"] and "pass rate" in words["over-time-eval.svg"]
    assert list(plots([Side.of(AFTER)], aggregate.HUD)) == ["speedup-smoke-eval-float32.svg"]


def test_a_run_in_which_nothing_passes_has_a_summary_and_no_plot() -> None:
    pytest.importorskip("vl_convert")
    from bot.report.compilerplots import plots

    side = Side.of(run(group("wrong", accuracy="fail_accuracy")))
    assert "0 %, 0/1" in summary(side, None, aggregate.RUNNER)
    assert plots([side], aggregate.HUD) == {}

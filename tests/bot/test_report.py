"""The words and the Markdown of reports. Hostile verdicts are in test_report_hostile.py, the page in test_page.py."""

import re

import msgspec
import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from bot import report
from bot.report import markdown, terminal, wording
from bot.verdict import OUTCOMES, Policy, Verdict
from bot.verdict import TestVerdict as Entry
from harness.errors import UserError
from tests.bot import verdicts
from tests.bot.explanations import tables


def replace(verdict: Verdict, **changes) -> Verdict:
    return msgspec.structs.replace(verdict, **changes)


def visible(comment: str) -> list[str]:
    """The lines of a comment that are seen without unfolding anything."""
    without_folds = re.sub(r"<details>.*?</details>", "", comment, flags=re.DOTALL)
    without_comments = re.sub(r"<!--.*?-->", "", without_folds)
    return [line for line in without_comments.splitlines() if line.strip()]


def test_every_kind_of_report_can_be_asked_for():
    pytest.importorskip("altair", reason="the page needs the extra `site`")
    for kind in report.RENDERERS:
        assert report.render(verdicts.mixed(), kind)


def test_an_unknown_kind_is_refused_with_the_list():
    with pytest.raises(UserError, match="'pdf'; name one of terminal, comment, summary, html, json"):
        report.render(verdicts.clean(), "pdf")


def test_json_is_the_verdict_itself():
    verdict = verdicts.mixed()
    assert msgspec.json.decode(report.render(verdict, "json"), type=Verdict) == verdict


def test_the_headline_has_the_rate_the_worst_change_and_the_score():
    first, second = visible(report.render(verdicts.mixed(), "comment"))[:2]
    assert first == (
        "### 🔴 2 of 16 tests are slower · worst: train `BERT_pytorch` · cpu · eager +9.1 % ± 0.8 · score 987.4 ± 1.9"
    )
    assert "2 could not be decided, 1 failed and 1 is missing" in second
    assert "could see changes of 1.9 % or more in half of its tests, 17 % or more in all that were measured" in second


def test_the_top_table_is_worst_first_and_at_most_ten_rows():
    tests = [
        verdicts.entry(f"test_eval[model{n}-cpu-eager]", "regressed", 0.08 + n / 100, launches=2) for n in range(13)
    ]
    lines = visible(report.render(verdicts.verdict(tests, outcome="regressed", detectable=0.01), "comment"))
    rows = [line for line in lines if line.startswith("| eval")]
    assert [re.search(r"model\d+", row).group() for row in rows] == [f"model{n}" for n in range(12, 2, -1)]
    assert "and 3 more tests slower, see the table of all tests" in lines


def test_no_change_is_one_visible_line():
    assert visible(report.render(verdicts.clean(), "comment")) == [
        "🟢 **No test is slower.** This run could see changes of 1.6 % or more in half of its tests, "
        "2.9 % or more in all."
    ]


def test_an_a_a_run_says_so_in_that_line():
    (line,) = visible(report.render(verdicts.same_build(), "comment"))
    assert "This was an A/A run (base and head are the same build), so it should find nothing." in line


def test_an_a_a_run_that_found_something_says_that_it_should_not_have():
    tests = [verdicts.entry("test_eval[a-cpu-eager]", "regressed", 0.09)]
    verdict = replace(verdicts.same_build(), tests=tuple(tests), outcome="regressed")
    text = "\n".join(visible(report.render(verdict, "comment")))
    assert "1 of 1 test is slower" in text
    assert "A/A run" in text and "false alarm, or the machine was disturbed" in text


def test_an_injected_slowdown_is_said_and_is_no_false_alarm():
    verdict = verdicts.same_build()
    plan = msgspec.structs.replace(verdict.plan, inject={verdict.tests[0].test: 0.1})
    line = wording.headline(replace(verdict, plan=plan))
    assert "The head was slowed on purpose by 10 % in 1 test." in line.remarks
    assert "Otherwise base and head are the same build." in line.remarks
    assert "false alarm" not in line.remarks


@pytest.mark.parametrize("outcome", ["inconclusive", "failed", "missing"])
@pytest.mark.parametrize("whole", ["inconclusive", "unchanged"])
def test_what_is_not_known_never_sounds_like_a_pass(outcome, whole):
    tests = (*verdicts.clean().tests, Entry(test="test_eval[x-cpu-eager]", lane="eager@head", outcome=outcome))
    verdict = verdicts.clean(outcome=whole)
    first = visible(report.render(replace(verdict, tests=tests), "comment"))[0]
    assert first.startswith("### 🟠 Inconclusive, not a pass: 1 of 9 tests ")
    plain = report.render(replace(verdict, tests=tests), "terminal")
    assert "not a pass" in plain
    assert "No test is slower" not in first + plain


def test_a_run_without_tests_is_no_pass():
    line = wording.headline(verdicts.verdict(outcome="inconclusive"))
    assert (line.mark, line.title) == ("🟠", "Nothing was measured")
    assert "not a pass" in line.remarks


def test_an_undecided_score_is_no_pass():
    line = wording.headline(verdicts.clean(outcome="inconclusive"))
    assert line.title == "Inconclusive, not a pass: the score could not be decided"
    assert not line.quiet


def test_a_fallen_score_is_no_quiet_line():
    line = wording.headline(verdicts.clean(outcome="regressed"))
    assert line.mark == "🔴" and "score fell" in line.title and not line.quiet


def test_improvements_are_reported_as_plainly():
    tests = (verdicts.entry("test_eval[a-cpu-eager]", "improved", -0.12, 0.01), *verdicts.clean().tests)
    first = visible(report.render(replace(verdicts.clean(outcome="improved"), tests=tests), "comment"))[0]
    assert first.startswith(
        "### 🔵 1 of 9 tests is faster, none is slower · best: eval `a` · cpu · eager −12.0 % ± 1.0"
    )


def test_a_single_build_shows_speedups_and_says_that_there_is_nothing_to_compare_with():
    lines = visible(report.render(verdicts.single(), "comment").replace("<details open>", ""))
    assert lines[0] == "### ⚪ 8 tests were measured; nothing to compare with"
    assert any("1.50× ± 0.03" in line for line in lines)
    assert "slower" not in "".join(lines) and "unchanged" not in report.render(verdicts.single(), "comment")


def test_a_single_build_without_modes_shows_latencies():
    comment = report.render(verdicts.single(speedups=()), "comment")
    assert "<details open><summary>All 8 tests: 8 measured</summary>" in comment
    assert "| `test_eval[resnet18-cpu-eager]` | measured | 24.5 ms |" in comment


def test_a_run_against_a_reference_names_it():
    tests = tuple(msgspec.structs.replace(entry, against="reference") for entry in verdicts.mixed().tests)
    plan = msgspec.structs.replace(verdicts.mixed().plan, base=None)
    source = msgspec.structs.replace(verdicts.mixed().inputs[0], name="smoke.yaml", kind="reference")
    comment = report.render(replace(verdicts.mixed(), tests=tests, plan=plan, inputs=(source,)), "comment")
    assert "against reference `smoke.yaml`" in comment
    assert "| test | change | reference → head |" in comment


def test_two_runs_are_not_said_to_be_measured_side_by_side():
    plan = msgspec.structs.replace(verdicts.mixed().plan, base=None)
    sources = tuple(msgspec.structs.replace(verdicts.mixed().inputs[0], name=name) for name in ("old", "new"))
    verdict = replace(verdicts.mixed(), plan=plan, inputs=sources)
    assert "against an earlier run" in report.render(verdict, "comment")
    assert wording.comparison(verdict) == "one run against an earlier run"


def test_a_change_without_interval_says_so():
    tests = [verdicts.entry("test_eval[a-cpu-eager]", "regressed", 0.082143, None)]
    verdict = verdicts.verdict(tests, outcome="regressed", policy=Policy(name="v1"))
    for kind in ("comment", "terminal"):
        text = report.render(verdict, kind)
        assert "+8.2 % (no interval)" in text and "8.2143" not in text
        assert "could have seen is unknown" in text.replace("\n", " ")


def test_all_outcomes_and_reasons_are_in_the_folds():
    comment = report.render(verdicts.mixed(), "comment")
    for entry in verdicts.mixed().tests:
        assert f"`{entry.test}`" in comment
        assert entry.reason in comment
    assert "can't allocate memory: you tried to allocate 2147483648 bytes." in comment
    assert "torchwarden run --suite smoke" in comment
    assert "248 of 6,240 rounds disturbed" in comment
    covered = {*(entry.outcome for entry in verdicts.mixed().tests), "accepted"}
    assert covered == set(OUTCOMES), "the builder covers every outcome, but for what the next test shows"


def test_what_was_accepted_is_shown_with_its_reason():
    one = msgspec.structs.replace(
        verdicts.entry("test_eval[a-cpu-eager]", change=0.12), outcome="accepted", reason="accepted: exact gradients"
    )
    verdict = verdicts.verdict([one, verdicts.entry("test_eval[b-cpu-eager]")])
    for kind in report.RENDERERS:
        text = report.render(verdict, kind)
        assert "exact gradients" in text or kind == "json"
    assert "1 accepted change" in report.render(verdict, "comment")


def test_a_test_with_several_entries_is_shown_with_its_lanes():
    tests = [
        msgspec.structs.replace(verdicts.entry("test_eval[a-cpu-eager]"), lane=lane) for lane in ("eager@x", "eager@y")
    ]
    comment = report.render(verdicts.verdict(tests), "comment")
    assert "| `test_eval[a-cpu-eager]` in `eager@x` |" in comment and "in `eager@y` |" in comment


def test_warnings_are_shown_everywhere():
    verdict = verdicts.clean(warnings=("the governor is powersave",))
    weak = [msgspec.structs.replace(entry, warnings=("only 2 launches",)) for entry in verdict.tests[:2]]
    verdict = replace(verdict, tests=(*weak, *verdict.tests[2:]))
    comment = report.render(verdict, "comment")
    assert "2 warnings" in comment and "- `the governor is powersave`\n" in comment
    assert "- `only 2 launches` (2 tests: `test_eval[resnet18-cpu-eager]`, `test_train[resnet18-cpu-eager]`)" in comment
    terminal = " ".join(report.render(verdict, "terminal").split())
    assert "warning: the governor is powersave" in terminal
    assert "warning: only 2 launches (test_eval[resnet18-cpu-eager], test_train[resnet18-cpu-eager])" in terminal


def many(number: int) -> Verdict:
    tests = [
        verdicts.entry(f"test_eval[model_with_a_long_name_{n}-cpu-eager]", launches=0 if n else 1)
        for n in range(number)
    ]
    return verdicts.clean() if not number else replace(verdicts.clean(), tests=tuple(tests))


def test_a_long_comment_is_cut_to_the_limit_and_says_what_was_cut():
    comment = report.render(many(1000), "comment")
    assert len(comment.encode()) <= markdown.COMMENT_BYTES
    assert re.search(r"Cut to fit 65,536 bytes: \d{3} rows of the table of all tests\.", comment)
    assert "Cut to fit" not in report.render(many(100), "comment")


def test_the_summary_holds_the_whole_table_unfolded_and_no_marker():
    summary = report.render(many(1000), "summary")
    assert "Cut to fit" not in summary and markdown.MARKER not in summary
    assert "<details open><summary>All 1,000 tests" in summary
    assert summary.count("| 🟢 unchanged |") == 1000


def test_the_marker_is_that_of_the_configuration():
    assert report.render(verdicts.clean(), "comment").startswith("<!-- torchwarden:report default -->\n")
    named = markdown.comment(verdicts.clean(), markdown.Frame(configuration="arm"))
    assert named.startswith(markdown.marker("arm") + "\n") and markdown.marker("arm") != markdown.marker("default")


def test_rows_say_how_noisy_a_test_is_and_show_earlier_runs_where_there_are_any():
    lines = visible(report.render(verdicts.mixed(), "comment"))
    assert "| test | change | base → head | noise |" in lines
    assert any(line.endswith("| 98.9 → 107.9 ms | stable, sees 1.7 % |") for line in lines)
    history = {"test_train[BERT_pytorch-cpu-eager]": [0.1, 0.099, 0.0985, float("nan"), 0.0989]}
    lines = visible(markdown.comment(verdicts.mixed(), markdown.Frame(history=history)))
    assert "| test | change | base → head | noise | before |" in lines
    assert any(line.endswith("| stable, sees 1.7 % | ▂▁▁▁█ |") for line in lines)
    assert any("mobilenetv3" in line and line.endswith("| – |") for line in lines)


def test_links_and_the_commit_stand_above_the_table_and_in_the_quiet_line():
    frame = markdown.Frame(head_sha="ab" * 20, run_url="https://x.example/1", page_url="https://x.example/2")
    assert any(
        line.endswith("· commit `ababababab` · [run](https://x.example/1) · [page](https://x.example/2)")
        for line in visible(markdown.comment(verdicts.mixed(), frame))
    )
    (line,) = visible(markdown.comment(verdicts.clean(), frame))
    assert line.endswith("in all. · [run](https://x.example/1) · [page](https://x.example/2)")


@pytest.mark.parametrize(
    ("detectable", "words"),
    [(None, "unknown"), (0.01, "stable, sees 1.0 %"), (0.05, "fair, sees 5.0 %"), (0.2, "noisy, sees 20 %")],
)
def test_noise_is_told_against_the_threshold(detectable, words):
    assert wording.noise(replace(verdicts.clean().tests[0], detectable=detectable)) == words


@pytest.mark.parametrize(
    ("values", "bars"),
    [
        ([], ""),
        ([1.0], ""),
        ([1.0, 1.0], "▅▅"),
        ([1, 2, 3], "▁▅█"),
        ([0.0, float("inf"), 1.0], "▁█"),
        ([-1e308, 1e308], "▁█"),
    ],
)
def test_sparklines(values, bars):
    assert wording.sparkline(values) == bars
    assert len(wording.sparkline([float(n) for n in range(500)])) == 20


@pytest.mark.parametrize("make", [verdicts.mixed, verdicts.clean, verdicts.same_build, verdicts.single])
def test_tables_are_tables_and_nothing_is_left_over(make):
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(report.render(make(), "comment"))
    text = re.sub(r"<(pre|code)>.*?</\1>", "", html, flags=re.DOTALL)
    assert "|" not in text and "**" not in text and "###" not in text and "{{" not in text and "None" not in text
    assert html.count("<details") == html.count("</details>") > 0


def test_the_terminal_has_every_test_once_and_no_escape_codes():
    text = report.render(verdicts.mixed(), "terminal")
    assert text.startswith("\n2 of 16 tests are slower · worst: train BERT_pytorch (cpu · eager) +9.1 % ± 0.8")
    assert "\x1b" not in text
    for entry in verdicts.mixed().tests:
        assert entry.test in text
    assert max(map(len, text.splitlines())) <= terminal.WIDTH


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_the_terminal_report_fits_any_width_and_keeps_the_figures(width):
    console = Console(width=width, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        console.print(terminal.renderable(verdicts.mixed()))
    lines = capture.get().splitlines()
    assert max(map(len, lines)) <= width
    if width >= 60:
        assert any("+8.2 % ± 1.1" in line and "slower" in line for line in lines)


def test_the_terminal_draws_the_interval_where_it_is():
    entry = verdicts.entry("test_eval[a-cpu-eager]", "regressed", 0.14, 0.02)
    cells = terminal._interval(entry, 0.21)
    assert cells.index("●") == 17 and cells[10] == "│"
    assert cells.strip().startswith("┊") and "─" in cells
    outside = terminal._interval(verdicts.entry("test_eval[a-cpu-eager]", "regressed", 1.0, 0.9), 0.21)
    assert outside.endswith("●")


def test_the_terminal_limits_what_needs_no_look():
    text = report.render(many(200), "terminal")
    assert "and 160 more unchanged" in text


def test_a_build_says_what_it_computes_with_and_an_older_run_nothing():
    assert wording.libraries_of(verdicts.HEAD) == "oneDNN 3.12.0, ACL, kernels AVX512"
    assert wording.libraries_of(verdicts.BASE) == ""
    comment = report.render(verdicts.mixed(), "comment")
    lines = [line for line in comment.splitlines() if line.startswith("- build ")]
    assert [("oneDNN 3.12.0, ACL, kernels AVX512" in line) for line in lines] == [
        build.name == "head" for build in verdicts.mixed().builds
    ]


def test_the_preset_of_the_cpus_is_told():
    verdict = verdicts.mixed()
    told = re.compile(r"1 thread \(\S*single\S*core\S*\)")
    assert told.search(report.render(verdict, "comment")) is None
    verdict = replace(verdict, plan=msgspec.structs.replace(verdict.plan, threads=1, cpu_preset="single-core"))
    assert told.search(report.render(verdict, "comment")) is not None


@pytest.mark.parametrize("to", ["terminal", "comment", "html"])
def test_a_signal_says_why(to):
    if to == "html":
        pytest.importorskip("altair")
    test = verdicts.ROWS[0][0]
    lines = ("aten::mm +31 % accounts for 92 % of the change (12.0 → 15.7 ms)", "instructions +30.0 %: more code")
    made = verdicts.entry(test, "regressed", 0.09, explanation=lines, operators=tables().operators)
    shown = report.render(verdicts.verdict((made,), outcome="regressed"), to)
    at = shown.index("Why")
    assert shown.index("aten::mm +31", at) < shown.index("instructions +30.0", at)
    assert ("aten::convolution" in shown) == (to == "html"), "the table is on the page only"
    without = report.render(verdicts.mixed(), to)
    assert "Why" not in without

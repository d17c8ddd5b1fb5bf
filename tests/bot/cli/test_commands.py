"""Commands on files: judge, report, score, compare, reference, list, each from the shell's side."""

from __future__ import annotations

import json
import pathlib

import pytest

from bot import verdict
from bot.cli import main
from tests import synthetic
from tests.synthetic import Case

A, B = "test_eval[alexnet-cpu-eager]", "test_eval[resnet50-cpu-eager]"
REFERENCE = f"# ours\n{A}: {{norm: 0.01}}\n{B}: {{norm: 0.01}}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    for name, ratio in (("same", 1.0), ("slow", 1.2)):
        synthetic.write(synthetic.run([Case(A, ratio=ratio), Case(B)]), tmp_path / f"{name}.jsonl")
    synthetic.write(synthetic.run([Case(A), Case(B, status="timeout")]), tmp_path / "timeout.jsonl")
    (tmp_path / "norms.yaml").write_text(REFERENCE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    out, err = capfd.readouterr()
    return int(end.value.code or 0), out, err


@pytest.mark.parametrize(("run", "code", "outcome"), [("same", 0, "unchanged"), ("slow", 1, "regressed")])
def test_judge_writes_prints_and_exits(
    run: str, code: int, outcome: str, folder: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found, out, err = call(capfd, "judge", f"{run}.jsonl", "--out", "v.json")
    assert (found, err) == (code, "")
    assert A.replace("test_eval[alexnet-cpu-eager]", "alexnet") in out
    assert verdict.read(folder / "v.json").outcome == outcome
    assert call(capfd, "judge", "--verify", "v.json")[0] == code


def test_what_was_not_measured_is_not_passed(capfd: pytest.CaptureFixture[str]) -> None:
    assert call(capfd, "judge", "timeout.jsonl")[0] == 3


def test_the_threshold_is_that_of_the_run_unless_given(folder: pathlib.Path, capfd: pytest.CaptureFixture[str]) -> None:
    synthetic.write(synthetic.run([Case(A, ratio=1.2), Case(B)], threshold=0.5), folder / "lenient.jsonl")
    options = ("--policy", "v1", "--score-threshold", "50%")
    assert call(capfd, "judge", "lenient.jsonl", *options)[0] == 0
    assert call(capfd, "judge", "lenient.jsonl", *options, "--threshold", "10%")[0] == 1


def test_a_verdict_that_was_tampered_with_does_not_verify(
    folder: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    call(capfd, "judge", "slow.jsonl", "--out", "v.json")
    text = (folder / "v.json").read_text()
    (folder / "v.json").write_text(text.replace('"regressed"', '"unchanged"'))
    code, _, err = call(capfd, "judge", "--verify", "v.json")
    assert code == 2 and "v.json" in err
    # Inputs may lie elsewhere, when they are named.
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere/v.json").write_text(text)
    assert call(capfd, "judge", "--verify", "elsewhere/v.json")[0] == 2
    assert call(capfd, "judge", "--verify", "elsewhere/v.json", "slow.jsonl")[0] == 1


def test_shards_are_judged_as_one_run(folder: pathlib.Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = synthetic.run([Case(A, ratio=1.2), Case(B)])
    for number, part in enumerate(synthetic.shards(whole, 2)):
        synthetic.write(part, folder / f"part{number}.jsonl")
    code, out, _ = call(capfd, "judge", "part1.jsonl", "part0.jsonl", "--to", "json")
    assert code == 1
    assert {entry["test"] for entry in json.loads(out)["tests"]} == {A, B}


@pytest.mark.parametrize("to", ["terminal", "comment", "summary", "json"])
def test_report_prints_what_judge_would(to: str, folder: pathlib.Path, capfd: pytest.CaptureFixture[str]) -> None:
    _, judged, _ = call(capfd, "judge", "slow.jsonl", "--out", "v.json", "--to", to)
    code, printed, _ = call(capfd, "report", "v.json", "--to", to)
    assert (code, printed) == (0, judged)
    assert call(capfd, "report", "v.json", "--to", to, "--out", "r.txt") == (0, "", "")
    assert (folder / "r.txt").read_text() == printed


def test_score_prints_exactly_the_keys_of_v1(folder: pathlib.Path, capfd: pytest.CaptureFixture[str]) -> None:
    keys = [
        "total",
        "subscore-cpu-train",
        "subscore-cpu-eval",
        "subscore-cuda-train",
        "subscore-cuda-eval",
        "jit-speedup",
    ]
    (folder / "v1.json").write_text(
        json.dumps({"benchmarks": [{"name": name, "stats": {"mean": 0.005}} for name in (A, B)]})
    )
    for file, total in (("v1.json", 2000), ("same.jsonl", 1000)):
        for strict in ([], ["--strict-v1"]):
            code, out, _ = call(capfd, "score", file, "--reference", "norms.yaml", "--json", *strict)
            found = json.loads(out)
            assert code == 0
            assert list(found) == keys
            assert found["total"] == pytest.approx(total, rel=0.1)


def test_score_says_what_is_missing(folder: pathlib.Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capfd, "score", "timeout.jsonl", "--reference", "norms.yaml")
    assert code == 0
    assert "50 % of the weight" in out
    assert B in err
    code, _, err = call(capfd, "score", "timeout.jsonl", "--reference", "norms.yaml", "--strict-v1")
    assert code == 2 and B in err


def test_compare_warns_and_exits_as_judge_does(capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capfd, "compare", "same.jsonl", "slow.jsonl")
    assert code == 1
    assert "weaker evidence" in out
    row = next(line for line in out.splitlines() if line.strip().startswith(A))
    assert "regressed" in row and "+20" in row
    assert call(capfd, "compare", "same.jsonl", "same.jsonl")[0] == 0
    assert call(capfd, "compare", "same.jsonl", "timeout.jsonl")[0] == 3
    assert call(capfd, "compare", "same.jsonl", "same.jsonl", "slow.jsonl", "timeout.jsonl")[0] == 1


def test_a_reference_is_made_shown_updated_and_compared(
    folder: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert call(capfd, "reference", "update", "same.jsonl", "--reference", "new.yaml", "--dry-run")[0] == 0
    assert not (folder / "new.yaml").exists()
    code, out, _ = call(capfd, "reference", "update", "same.jsonl", "--reference", "new.yaml")
    assert code == 0 and f"+{A}:" in out
    before = (folder / "new.yaml").read_bytes()
    assert "holds these norms already" in call(capfd, "reference", "update", "same.jsonl", "--reference", "new.yaml")[1]
    assert (folder / "new.yaml").read_bytes() == before
    out = call(capfd, "reference", "show", "new.yaml")[1]
    assert "bench-1" in out and A in out
    # The head of `slow` is slower on A, its base is not.
    (folder / "base.yaml").write_bytes(before)
    call(capfd, "reference", "update", "slow.jsonl", "--reference", "new.yaml")
    call(capfd, "reference", "update", "slow.jsonl", "--reference", "base.yaml", "--lane", "base")
    out = call(capfd, "reference", "diff", "base.yaml", "new.yaml")[1]
    assert "+20" in next(line for line in out.splitlines() if A in line)
    assert call(capfd, "reference", "diff", "new.yaml", "new.yaml")[1] == "no difference\n"


def test_an_update_keeps_comments_and_skipped_tests_out(
    folder: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    skipped = "test_eval[bert-cpu-eager]"
    run = synthetic.run([Case(A), Case(B), Case(skipped, status="skip", reason="too large")])
    synthetic.write(run, folder / "skip.jsonl")
    assert call(capfd, "reference", "update", "skip.jsonl", "--reference", "norms.yaml")[0] == 0
    text = (folder / "norms.yaml").read_text()
    assert text.startswith("# ours\n") and skipped not in text


def test_list_names_tests_and_says_why_not(capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capfd, "list", "--json", "--device", "cpu,cuda")
    rows = json.loads(out)
    assert code == 0
    assert len({row["benchmark"] for row in rows}) >= 8
    assert {row["device"] for row in rows} == {"cpu", "cuda"}
    for row in rows:
        assert row["test"] == f"test_{row['type']}[{row['benchmark']}-{row['device']}-{row['mode']}]"
        assert row["category"] and row["domain"] and row["sizes"]
        assert row["supported"] == (row["reason"] is None)
    chosen = [row for row in rows if row["benchmark"] == "resnet18" and row["device"] == "cpu"]
    out = call(capfd, "list", "--only", "resnet18-cpu")[1]
    assert all(row["test"] in out for row in chosen)
    assert "dlrm" not in out
    assert "cait_m36_384" not in {row["benchmark"] for row in rows}
    (old,) = {
        tuple(row["lists"])
        for row in json.loads(call(capfd, "list", "--json", "--list", "all")[1])
        if row["benchmark"] == "cait_m36_384"
    }
    assert old == ("2025",)
    # A whole name is no pattern, and two suites may have a test of that name.
    named = json.loads(call(capfd, "list", "--only", chosen[0]["test"], "--json")[1])
    assert {row["test"] for row in named} == {chosen[0]["test"]}
    assert len({row["suite"] for row in named}) == len(named)

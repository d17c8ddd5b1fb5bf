"""Tonight's build beside the pinned one, what is measured again, and what people accept: the whole way, for real."""

from __future__ import annotations

import pathlib

import pytest

from bot import ledger as ledgers
from bot import reference as references
from bot import verdict
from harness import records
from tests import sessions
from tests.commandline import contents, one_sentence, torchwarden

pytest.importorskip("torch")
pytestmark = pytest.mark.slow

SUITE = ("--suite", sessions.TINY, "--type", "eval", "--only", "perceptron")
TEST = "test_eval[perceptron-cpu-eager]"
SHORT = ("--nurseries", "3", "--budget", "20s")


def read(folder: pathlib.Path) -> verdict.Verdict:
    return verdict.read(folder / "verdict.json")


@pytest.fixture
def reference(tmp_path: pathlib.Path) -> pathlib.Path:
    done = torchwarden("run", *SUITE, *SHORT, "--out", "norms.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    path = tmp_path / "reference.yaml"
    done = torchwarden("reference", "update", "norms.jsonl", "--reference", path, "--pin", "current", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return path


def test_a_night_with_a_regression_that_is_confirmed_and_then_accepted(
    reference: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    night = ("nightly", *SUITE, *SHORT, "--reference", reference, "--no-explain")
    done = torchwarden(*night, "--inject", f"{TEST}=40%", "--out-dir", "first", cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    found = read(tmp_path / "first")
    assert found.plan.base == "pinned"
    (entry,) = found.tests
    assert entry.confirmation is not None and entry.confirmation.outcome == "confirmed"
    assert found.second_run is not None and found.second_run.confirmed == 1
    (again,) = (tmp_path / "first").glob("confirm-*.jsonl")
    second, first = records.read(again).header, records.read(next((tmp_path / "first").glob("run-*.jsonl"))).header
    assert second.plan.confirms == first.run and second.plan.seed != first.plan.seed
    assert second.plan.budget_seconds == 3 * first.plan.budget_seconds
    assert torchwarden("judge", "--verify", "first/verdict.json", reference, cwd=tmp_path).returncode == 1

    options = (
        "--verdict",
        "first/verdict.json",
        "--reference",
        reference,
        "--reason",
        "meant: more layers",
        "--by",
        "ada",
    )
    before = contents(tmp_path)
    dry = torchwarden("reference", "accept", TEST, *options, "--dry-run", cwd=tmp_path)
    assert dry.returncode == 0 and "+  by: ada" in dry.stdout and contents(tmp_path) == before
    assert torchwarden("reference", "accept", TEST, *options, cwd=tmp_path).returncode == 0
    (item,) = ledgers.load(tmp_path / "reference.accepted.yaml").items
    assert (item.test, item.by, item.change) == (TEST, "ada", entry.change)
    # Injected work comes out by some percent more or less; with less of it no luck goes beyond what was accepted.
    done = torchwarden(*night, "--inject", f"{TEST}=25%", "--out-dir", "second", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [one.outcome for one in read(tmp_path / "second").tests] == ["accepted"]
    assert "meant: more layers" in done.stdout


def test_without_the_pinned_build_the_norms_decide_and_that_is_said(
    reference: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    text = reference.read_text().replace("pin: current", "pin: /no/such/python")
    assert "/no/such/python" in text
    reference.write_text(text)
    options = (*SUITE, *SHORT, "--reference", reference, "--no-confirm")
    done = torchwarden("nightly", *options, cwd=tmp_path)
    assert done.returncode in (0, 1, 3), done.stderr
    found = read(tmp_path / "out")
    assert found.plan.base is None and found.tests[0].against == "reference"
    assert any("/no/such/python" in said and "stored norms decide alone" in said for said in found.warnings)
    assert "stored norms decide alone" in done.stdout


def test_moves_of_the_reference_are_noted(reference: pathlib.Path, tmp_path: pathlib.Path) -> None:
    old = references.load(reference).tests[TEST].norm
    assert torchwarden("run", *SUITE, *SHORT, "--out", "later.jsonl", cwd=tmp_path).returncode == 0
    assert torchwarden("reference", "update", "later.jsonl", "--reference", reference, cwd=tmp_path).returncode == 0
    (item,) = ledgers.load(tmp_path / "reference.accepted.yaml").items
    assert item.kind == "moved" and item.since == "current"
    assert item.change == pytest.approx(references.load(reference).tests[TEST].norm / old - 1)


def test_a_second_run_elsewhere(tmp_path: pathlib.Path) -> None:
    options = (*SUITE, *SHORT, "--base", "old=current", "--inject", f"{TEST}=40%")
    assert torchwarden("run", *options, "--out", "first.jsonl", cwd=tmp_path).returncode == 0
    assert torchwarden("judge", "first.jsonl", "--out", "v.json", cwd=tmp_path).returncode == 1
    done = torchwarden("run", *options, "--confirm", "v.json", "--out", "second.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = torchwarden("judge", "first.jsonl", "--confirm-run", "second.jsonl", "--out", "v2.json", cwd=tmp_path)
    assert done.returncode == 1
    assert "Confirmed by a second run" in done.stdout
    one = torchwarden("judge", "first.jsonl", "--confirm-run", "first.jsonl", cwd=tmp_path)
    assert one.returncode == 2 and "confirms no other run" in one_sentence(one.stderr)
    quiet = torchwarden("run", *options[:-2], "--out", "quiet.jsonl", "--total-budget", "20s", cwd=tmp_path)
    assert quiet.returncode == 0 and "would have taken about" in quiet.stdout


def test_controls_are_measured_where_builds_differ(tmp_path: pathlib.Path) -> None:
    options = (*SUITE, "--nurseries", "2", "--budget", "4s", "--ab-env", "SOME_VARIABLE=1")
    assert torchwarden("run", *options, "--out", "run.jsonl", cwd=tmp_path).returncode == 0
    run = records.read(tmp_path / "run.jsonl")
    assert [(test.suite, test.status) for test in run.tests if test.suite == "control"] == [("control", "pass")] * 2
    assert torchwarden("run", *options, "--no-control", "--out", "bare.jsonl", cwd=tmp_path).returncode == 0
    assert [test.test for test in records.read(tmp_path / "bare.jsonl").tests] == [TEST]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nightly", "--reference", "none.yaml"), "none.yaml"),
        (("nightly",), "--reference"),
        (("run", "--confirm", "none.json"), "none.json"),
        (
            ("reference", "accept", TEST, "--verdict", "none.json", "--reference", "r.yaml", "--reason", "x"),
            "none.json",
        ),
        (("bench", "--confirm-budget", "soon"), "--confirm-budget"),
        (("run", "--total-budget", "0s"), "--total-budget"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: tuple[str, ...], said: str, tmp_path: pathlib.Path) -> None:
    done = torchwarden(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr and "Traceback" not in done.stderr
    assert not contents(tmp_path)

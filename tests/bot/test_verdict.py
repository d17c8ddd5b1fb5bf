"""The verdict's format: strict when read, exact when written, and described by its schema."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable
from typing import Any, get_args

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot import verdict as verdicts
from bot.judge import exit_code, judge
from bot.verdict import Policy, Verdict
from harness.errors import UserError
from tests import synthetic
from tests.synthetic import Case

A, B, C = (f"test_eval[{name}-cpu-eager]" for name in "abc")

VERDICT = judge(
    synthetic.run(
        [
            Case(A, ratio=1.2),
            Case("test_train[a-cpu-eager]", ratio=0.8),
            Case("test_train[a-cpu-inductor]"),
            Case(B, status="crash", reason="signal 11", stderr="Segmentation fault \N{SNOWMAN}\x1b[0m"),
            Case("test_eval[d-cpu-eager]", launches=1),
        ],
        planned=[C],
    ),
    inputs=[verdicts.Input(name="run.jsonl", kind="run", sha256="0" * 64)],
)


def write(path: pathlib.Path, edit: Callable[[dict[str, Any]], object] | None = None) -> pathlib.Path:
    document = json.loads(verdicts.encode(VERDICT))
    if edit is not None:
        edit(document)
    path.write_text(json.dumps(document))
    return path


def test_what_is_written_is_read(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "verdict.json"
    path.write_bytes(verdicts.encode(VERDICT))
    assert verdicts.read(path) == VERDICT
    assert path.read_bytes().endswith(b"}\n")


def test_the_file_holds_the_fields_of_the_design() -> None:
    document = json.loads(verdicts.encode(VERDICT))
    assert document["outcome"] == "regressed"
    found = next(entry for entry in document["tests"] if entry["test"] == A)
    assert found["lane"] == "eager@head"
    assert found["outcome"] == "regressed"
    assert found["low"] < found["change"] < found["high"]
    assert {"threshold", "base_seconds", "head_seconds"} <= found.keys()
    assert {"value", "low", "high", "coverage"} <= document["score"].keys()


def test_absent_figures_are_null_and_never_made_up() -> None:
    document = json.loads(verdicts.encode(VERDICT))
    for name in (B, C):
        found = next(entry for entry in document["tests"] if entry["test"] == name)
        assert [found[field] for field in ("change", "low", "high", "base_seconds", "p_value")] == [None] * 5
    single = next(entry for entry in document["tests"] if entry["test"] == "test_eval[d-cpu-eager]")
    assert single["change"] is not None
    assert single["low"] is single["high"] is single["detectable"] is None


def test_the_file_satisfies_the_exported_schema() -> None:
    schema = verdicts.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(verdicts.encode(VERDICT)), schema)


@pytest.mark.parametrize(
    ("edit", "place"),
    [
        (lambda document: document.update(mood="good"), "`mood`"),
        (lambda document: document.update(outcome="fine"), "$.outcome"),
        (lambda document: document.pop("tests"), "`tests`"),
        (lambda document: document["tests"][0].update(change="1"), "$.tests[0].change"),
        (lambda document: document["tests"][0].update(outcome="passed"), "$.tests[0].outcome"),
        (lambda document: document["tests"][0].update(mood="good"), "`mood` - at `$.tests[0]`"),
        (lambda document: document["inputs"][0].update(kind="picture"), "$.inputs[0].kind"),
        (lambda document: document["score"].update(value=None), "$.score.value"),
        (lambda document: document["tests"][0].update(change=float("nan")), "malformed"),
    ],
)
def test_an_error_names_file_and_field(tmp_path: pathlib.Path, edit: Callable[[Any], object], place: str) -> None:
    path = write(tmp_path / "verdict.json", edit)
    with pytest.raises(UserError) as caught:
        verdicts.read(path)
    assert str(path) in str(caught.value)
    assert place in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff\xfe", b"not json", b"[" * 100_000])
def test_foreign_files_are_refused(tmp_path: pathlib.Path, content: bytes) -> None:
    path = tmp_path / "verdict.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"verdict\.json"):
        verdicts.read(path)


def test_a_file_that_is_not_there_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError, match=r"none\.json cannot be read"):
        verdicts.read(tmp_path / "none.json")


def test_outcomes_and_exit_codes() -> None:
    assert get_args(verdicts.Outcome) == verdicts.OUTCOMES
    codes = {
        outcome: verdicts.EXIT_CODES[outcome] for outcome in ("unchanged", "improved", "regressed", "inconclusive")
    }
    assert codes == {"unchanged": 0, "improved": 0, "regressed": 1, "inconclusive": 3}
    assert exit_code(VERDICT) == 1


def test_of_and_signal() -> None:
    assert [entry.test for entry in VERDICT.of("failed", "missing")] == [B, C]
    assert [entry.test for entry in VERDICT.tests if entry.signal] == [A, "test_train[a-cpu-eager]"]
    assert all(bool(entry.samples) == entry.signal for entry in VERDICT.tests)


@settings(max_examples=50, deadline=None)
@given(
    st.floats(0.5, 2.0),
    st.sampled_from(["pass", "crash", "inconclusive", "skip"]),
    st.text(max_size=50),
    st.integers(0, 3),
)
def test_any_verdict_survives_its_file(
    tmp_path_factory: Any, ratio: float, status: Any, reason: str, launches: int
) -> None:
    cases = [Case(A, ratio=ratio, launches=launches), Case(B, status=status, reason=reason, stderr=reason)]
    verdict: Verdict = judge(synthetic.run(cases, rounds=3), policy=Policy(threshold=0.05))
    path = tmp_path_factory.mktemp("verdict") / "verdict.json"
    path.write_bytes(verdicts.encode(verdict))
    assert verdicts.read(path) == verdict

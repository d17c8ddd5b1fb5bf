from __future__ import annotations

import pathlib

import pytest

from bot import explanation
from harness.errors import UserError
from tests.bot.explanations import explained

MADE = explained("test_eval[net-cpu-eager]", "run-1", "aten::mm +20 %", skipped={"instruction counts": "too long"})


def test_explanations_are_read_as_they_were_written(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "e.json"
    path.write_text(explanation.encode(MADE))
    assert explanation.read(path) == MADE
    assert MADE.of("test_eval[net-cpu-eager]") == MADE.tests[0] and MADE.of("another") is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"schema_version": 1', '"schema_version": 2', "schema version 2"),
        ('"run": "run-1"', '"run": "run-1", "more": 1', "unknown field `more`"),
        ('"run": "run-1"', '"run": 1', "$.run"),
        ('"aten::mm +20 %"', '"a","b","c","d","e","f"', "length <= 5"),
        ('"aten::mm +20 %"', '""', "length >= 1"),
        ('"share": 0.92', '"share": 1e999', "is no explanation"),
        ('"base_calls": 20', '"base_calls": -20', "base_calls"),
        ("{", "[" * 100_000, "is no explanation"),
    ],
)
def test_anything_else_is_one_sentence(old: str, new: str, said: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "e.json"
    content = explanation.encode(MADE)
    assert old in content
    path.write_text(content.replace(old, new, 1))
    with pytest.raises(UserError, match=r"e\.json: ") as caught:
        explanation.read(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_a_test_is_explained_once(tmp_path: pathlib.Path) -> None:
    twice = explanation.Explanations(run="r", tool_version="0", tests=MADE.tests * 2)
    (tmp_path / "e.json").write_text(explanation.encode(twice))
    with pytest.raises(UserError, match="a test twice"):
        explanation.read(tmp_path / "e.json")

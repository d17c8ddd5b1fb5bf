from __future__ import annotations

import pathlib

import pytest

from bot import profiles
from harness.errors import UserError
from harness.profiles import encode
from tests.bot.profiles import made

BASE = made({"aten::convolution": (20, 12e-3), "aten::relu": (17, 2e-3), "aten::old": (1, 1e-3)})
HEAD = made({"aten::convolution": (21, 15.72e-3), "aten::relu": (17, 1.9e-3), "aten::fresh": (4, 1.4e-3)})


def test_operators_are_ranked_by_what_they_contribute_and_add_up() -> None:
    found = profiles.compare(BASE, HEAD)
    assert [row.name for row in found.rows] == ["aten::convolution", "aten::fresh", "aten::relu", "aten::old"]
    assert sum(row.change_seconds for row in found.rows) == pytest.approx(found.change_seconds)
    assert sum(row.explains for row in found.rows) == pytest.approx(1)
    assert [row.kind for row in found.rows] == ["both", "new", "both", "vanished"]
    assert found.rows[0].calls == (20, 21)
    assert found.rows[0].change == pytest.approx(0.31)
    assert found.rows[1].change is None
    assert found.warnings == ()


def test_where_the_step_became_faster_the_operators_that_gained_come_first() -> None:
    found = profiles.compare(HEAD, BASE)
    assert [row.name for row in found.rows] == ["aten::convolution", "aten::fresh", "aten::relu", "aten::old"]
    assert found.rows[0].explains > 0.9


def test_the_words_name_what_matters_in_at_most_five_lines() -> None:
    assert profiles.words(profiles.compare(BASE, HEAD)) == [
        "aten::convolution +31 % accounts for 93 % of the change (12.0 → 15.7 ms; calls 20 → 21)",
        "aten::fresh (new) accounts for 35 % of the change (1.40 ms; calls 0 → 4)",
    ]
    many = {f"aten::op{number}": (1.0, 1e-3) for number in range(12)}
    slower = dict.fromkeys(many, (1.0, 2e-3))
    assert len(profiles.words(profiles.compare(made(many), made(slower)))) == profiles.MOST_LINES


def test_a_change_within_the_spread_blames_nobody() -> None:
    found = profiles.compare(BASE, made({"aten::convolution": (20, 12.1e-3), "aten::relu": (17, 3e-3)}))
    assert found.within_spread
    (line,) = profiles.words(found)
    assert "within the spread" in line and "no operator can be blamed" in line
    wide = profiles.compare(
        made({"aten::mm": (1, 1e-3)}, halves_seconds=(1e-3, 3e-3)),
        made({"aten::mm": (1, 2e-3)}),
    )
    assert wide.spread_seconds == pytest.approx(2e-3) and wide.within_spread
    same = profiles.compare(BASE, BASE)
    assert same.within_spread and same.change == 0 and all(row.explains == 0 for row in same.rows)


def test_what_is_not_comparable_is_said() -> None:
    found = profiles.compare(BASE, made({"aten::mm": (1, 1.0)}, test="test_eval[other-cpu-eager]", threads=2))
    assert [warning.partition(":")[0] for warning in found.warnings] == [
        "base and head differ in their test",
        "base and head differ in their number of threads",
    ]


def test_an_empty_base_is_compared_without_a_division_by_zero() -> None:
    found = profiles.compare(made({}), HEAD)
    assert found.change is None
    assert {row.kind for row in found.rows} == {"new"}
    assert profiles.words(profiles.compare(made({}), made({})))


def test_a_hostile_name_is_cleaned_in_words() -> None:
    name = "aten::\x1b[31mmm\u202e" + "x" * 1500
    (line,) = profiles.words(profiles.compare(made({name: (1, 1e-3)}), made({name: (1, 2e-3)})))
    assert "\x1b" not in line and "\u202e" not in line and len(line) < 300


def test_a_profile_is_read_as_it_was_written(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(encode(BASE))
    assert profiles.read(path) == BASE


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"schema_version": 1', '"schema_version": 2', "schema version 2"),
        ('"threads": 1', '"threads": 1, "extra": 1', "unknown field `extra`"),
        ('"threads": 1', '"threads": "1"', "$.threads"),
        ('"aten::relu"', '"aten::old"', "an operator twice"),
        ('"calls": 20', '"calls": -1', "$.operators[0].calls"),
        ('"calls": 20', '"calls": 1e999', "is not a profile"),
        ('"calls": 20', '"calls": NaN', "malformed"),
        ("{", "[" * 100_000, "is not a profile"),
    ],
)
def test_anything_else_is_one_sentence(old: str, new: str, said: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "p.json"
    content = encode(BASE)
    assert old in content
    path.write_text(content.replace(old, new, 1))
    with pytest.raises(UserError, match=r"p\.json: ") as caught:
        profiles.read(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_a_file_that_is_absent_or_no_text_is_one_sentence(tmp_path: pathlib.Path) -> None:
    for content in (None, b"\xff\xfe{}", b""):
        path = tmp_path / "p.json"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UserError, match="torchwarden profile --json"):
            profiles.read(path)

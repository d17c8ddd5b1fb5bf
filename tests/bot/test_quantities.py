from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot import quantities
from harness.errors import UserError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60s", 60), ("2m", 120), ("2min", 120), ("1.5", 1.5), ("500ms", 0.5), ("1h", 3600), (" 7 s ", 7), (".5", 0.5)],
)
def test_durations(text: str, seconds: float) -> None:
    assert quantities.duration(text, "--budget") == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["0", "0s", "-1", "nan", "inf", "ten", "", "5 days", "1e3", "9999h", "60s60s", "٣s0"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UserError, match="--budget"):
        quantities.duration(text, "--budget")


@pytest.mark.parametrize(("text", "fraction"), [("7%", 0.07), ("0.5 %", 0.005), ("99.9%", 0.999)])
def test_percentages(text: str, fraction: float) -> None:
    assert quantities.percentage(text, "--threshold") == pytest.approx(fraction)


@pytest.mark.parametrize("text", ["0.07", "7", "0%", "-7%", "100%", "nan%", "%", "seven", "7%%"])
def test_what_is_no_percentage(text: str) -> None:
    with pytest.raises(UserError, match="--threshold"):
        quantities.percentage(text, "--threshold")


def test_a_fraction_is_not_guessed_at_but_asked_about() -> None:
    with pytest.raises(UserError, match=r"7% or 0\.07%\?"):
        quantities.percentage("0.07", "--threshold")


@given(st.text())
@example("0\x1f")
@example("0.07\x1f")
def test_any_text_is_an_amount_or_a_sentence(text: str) -> None:
    for parse in (quantities.duration, quantities.percentage, quantities.words):
        try:
            assert parse(text, "--x")
        except UserError as error:
            assert "\n" not in str(error)


def test_lists() -> None:
    assert quantities.words("eval, train,eval", "--type") == ("eval", "train")
    assert quantities.cpus("2,0-1,2") == (0, 1, 2)
    for bad in ("", "eval,", ","):
        with pytest.raises(UserError):
            quantities.words(bad, "--type")
    for bad in ("a", "3-1", "-1", "1.5", "1,"):
        with pytest.raises(UserError):
            quantities.cpus(bad)


def test_an_unknown_word_is_answered_with_near_ones() -> None:
    with pytest.raises(UserError, match=r"there is no mode 'eagre'; choose eager$"):
        quantities.known("eagre", ["eager", "inductor"], "mode")

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import numbers


@pytest.mark.parametrize(
    ("value", "low", "high", "shown"),
    [
        (0.082143, 0.0731, 0.0911, "+8.2 % ± 0.9"),
        (0.0821, 0.0709, 0.0933, "+8.2 % ± 1.1"),  # first digit 1: two digits
        (0.0821, 0.0625, 0.1017, "+8.2 % ± 2.0"),
        (0.0821, 0.0618, 0.1024, "+8 % ± 2"),
        (-0.1234, -0.1375, -0.1093, "−12.3 % ± 1.4"),
        (0.08, 0.07, 0.11, "+8 % ± 2"),  # asymmetric: half of the width
        (0.0001, -0.0099, 0.0101, "0.0 % ± 1.0"),  # what rounds to zero has no sign
        (-0.0001, -0.0101, 0.0099, "0.0 % ± 1.0"),
        (1.234, 0.86, 1.60, "+120 % ± 40"),
        (0.00123456, 0.00103456, 0.00143456, "+0.12 % ± 0.02"),
        (0.00123456, 0.00122, 0.00124, "+0.12 % ± <0.01"),
        (0.05, 0.05, 0.05, "+5.00 % ± <0.01"),
        (0.0821, None, None, "+8.2 % (no interval)"),
        (0.0821, 0.07, None, "+8.2 % (no interval)"),
        (0.0821, -math.inf, math.inf, "+8.2 % (no interval)"),
        (None, None, None, "unknown"),
        (math.nan, 0.0, 0.1, "unknown"),
    ],
)
def test_a_change_is_rounded_to_its_uncertainty(value, low, high, shown):
    assert numbers.change(value, low, high) == shown


@pytest.mark.parametrize(
    ("uncertainty", "decimals"),
    [(0.9, 1), (0.96, 1), (1.1, 1), (0.11, 2), (0.2, 1), (1.96, 1), (2.04, 0), (14.0, 0), (40.0, -1), (0.1, 2)],
)
def test_places_follow_the_first_digit_of_the_uncertainty(uncertainty, decimals):
    assert numbers.places(uncertainty) == decimals


@pytest.mark.parametrize("uncertainty", [0.0, -1.0, math.nan, math.inf])
def test_places_of_no_uncertainty_are_refused(uncertainty):
    with pytest.raises(ValueError, match="positive and finite"):
        numbers.places(uncertainty)


@pytest.mark.parametrize(
    ("value", "low", "high", "unit", "shown"),
    [
        (987.43, 985.51, 989.32, "", "987.4 ± 1.9"),
        (1.3241, 1.2841, 1.3641, "×", "1.32× ± 0.04"),
        (987.43, None, None, "", "987.4 (no interval)"),
        (1000.0, 1000.0, 1000.0, "", "1000.000000 ± 0.000000"),
    ],
)
def test_absolute_figures(value, low, high, unit, shown):
    assert numbers.measured(value, low, high, unit) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0989, "98.9 ms"),
        (1.2412, "1.24 s"),
        (0.000412, "412 µs"),
        (0.00000123, "1.23 µs"),
        (4e-9, "4.00 ns"),
        (0.0009999, "1.00 ms"),  # not "1000 µs"
        (125.2, "125 s"),
        (0.0, "0 ns"),
        (None, "unknown"),
        (math.nan, "unknown"),
    ],
)
def test_times_of_a_step(value, shown):
    assert numbers.seconds(value) == shown


@pytest.mark.parametrize(
    ("base", "head", "shown"),
    [
        (0.0989, 0.1079, "98.9 → 107.9 ms"),
        (0.00823, 0.00891, "8.23 → 8.91 ms"),
        (0.9995, 1.2, "1.00 → 1.20 s"),
        (0.0009, 0.0011, "900 → 1100 µs"),
        (0.0001, 2.0, "100 µs → 2.00 s"),
        (None, 0.0033, "3.30 ms"),
        (0.0033, None, "3.30 ms → unknown"),
    ],
)
def test_a_transition_has_one_unit(base, head, shown):
    assert numbers.transition(base, head) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0 B"), (512, "512 B"), (1536, "1.50 KiB"), (1.48e9, "1.38 GiB"), (2**50, "1024 TiB"), (None, "unknown")],
)
def test_sizes(value, shown):
    assert numbers.size(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(4.2, "4.2 s"), (45.4, "45 s"), (59.6, "1 min"), (252, "4 min 12 s"), (7500, "2 h 5 min"), (math.inf, "unknown")],
)
def test_durations(value, shown):
    assert numbers.duration(value) == shown


@pytest.mark.parametrize(
    ("fraction", "shown"), [(0.016, "1.6 %"), (0.02, "2.0 %"), (0.172, "17 %"), (1.0, "100 %"), (0.0, "0 %")]
)
def test_shares_have_two_digits(fraction, shown):
    assert numbers.percent(fraction) == shown


@pytest.mark.parametrize(("fraction", "shown"), [(0.07, "7 %"), (0.125, "12.5 %"), (0.0025, "0.25 %"), (0.95, "95 %")])
def test_what_a_person_chose_is_shown_as_chosen(fraction, shown):
    assert numbers.setting(fraction) == shown


def test_counts_and_rates_agree_with_their_verbs():
    assert numbers.rate(2, 94) == "2 of 94 tests are"
    assert numbers.rate(1, 94) == "1 of 94 tests is"
    assert numbers.rate(1, 1) == "1 of 1 test is"
    assert numbers.count(3400, "round") == "3,400 rounds"
    assert numbers.count(2, "launch", "launches") == "2 launches"


anything = st.none() | st.floats()


@given(anything, anything, anything)
def test_any_float_becomes_a_short_text(value, low, high):
    texts = [
        numbers.change(value, low, high),
        numbers.measured(value, low, high),
        numbers.transition(low, high),
        numbers.seconds(value),
        numbers.size(value),
        numbers.percent(value),
        numbers.signed_percent(value),
    ]
    if value is not None:
        texts += [numbers.duration(value), numbers.setting(value), numbers.significant(value, 3)]
    assert all(0 < len(text) < 60 and "nan" not in text and "inf" not in text for text in texts)


@given(st.floats(-0.5, 0.5), st.floats(1e-3, 0.5))
def test_the_figure_shown_is_the_figure_within_its_rounding(value, half):
    shown, _, uncertainty = numbers.change(value, value - half, value + half).partition(" % ± ")
    assert abs(float(shown.replace("−", "-")) - 100 * value) <= float(uncertainty)
    assert math.isclose(float(uncertainty), 100 * half, rel_tol=0.34)
    assert "." not in shown or len(shown.partition(".")[2]) == len(uncertainty.partition(".")[2])

"""The posterior over where a test stepped."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.culprits import Posterior, Reading

LAST = 20

readings = st.lists(
    st.builds(
        Reading,
        position=st.integers(1, LAST),
        log_ratio=st.floats(-1, 1),
        standard_error=st.floats(0, 0.1),
        degrees_of_freedom=st.floats(1, 40),
    ),
    max_size=12,
)


def clean(position: int, log_ratio: float, error: float = 0.003) -> Reading:
    return Reading(position, log_ratio, error, 11)


@settings(max_examples=60, deadline=None)
@given(readings)
def test_probabilities_are_such_and_add_up_to_one(given_readings: list[Reading]) -> None:
    found = Posterior(given_readings, LAST, 0.02)
    parts = [found.none, *found.single, found.several]
    assert all(-1e-9 <= part <= 1 + 1e-9 for part in parts)
    assert math.isclose(sum(parts), 1, abs_tol=1e-6)
    assert all(0 <= step.large <= step.probability + 1e-9 <= 1 + 2e-9 for step in found.steps)
    assert all(found.information(place, 0.004) >= 0 for place in range(1, LAST + 1))


@settings(max_examples=40, deadline=None)
@given(readings, st.randoms())
def test_the_order_of_readings_does_not_matter(given_readings: list[Reading], shuffled: random.Random) -> None:
    other = list(given_readings)
    shuffled.shuffle(other)
    one, two = Posterior(given_readings, LAST), Posterior(other, LAST)
    assert (one.none, one.several, list(one.single), one.steps) == (two.none, two.several, list(two.single), two.steps)


@pytest.mark.parametrize("size", [0.05, -0.05, 1.2, 0.025])
def test_a_step_between_neighbours_is_found_with_its_size_and_sign(size: float) -> None:
    found = Posterior([clean(7, 0.0), clean(8, size), clean(1, 0.001), clean(LAST, size)], LAST, 0.01)
    assert found.probability(7, 8) > 0.95
    assert found.size(7, 8) == pytest.approx(size, abs=0.006)
    assert found.single[7] > 0.9


def test_two_steps_that_undo_each_other_are_several() -> None:
    ups = [clean(place, 0.08 if 5 <= place < 12 else 0.0) for place in (1, 4, 5, 11, 12, LAST)]
    found = Posterior(ups, LAST, 0.02)
    assert found.several > 0.95
    assert found.probability(4, 5) > 0.9 and found.probability(11, 12) > 0.9
    assert found.size(11, 12) == pytest.approx(-0.08, abs=0.006)


def test_a_slope_is_no_single_step() -> None:
    found = Posterior([clean(place, 0.01 * place) for place in range(1, LAST + 1)], LAST, 0.02)
    assert found.several > 0.99
    assert max(found.single) < 0.01


def test_one_wrong_reading_does_not_decide() -> None:
    """Position 10 reads as slow once although 11 to 14 are fast: that one is doubted, and worth another look."""
    others = [clean(place, 0.0) for place in (11, 12, 14)] + [clean(place, 0.05) for place in (15, LAST)]
    found = Posterior([*others, clean(10, 0.05)], LAST, 0.02)
    assert found.probability(14, 15) > 0.95
    again = Posterior([*others, clean(10, 0.05), clean(10, 0.0), clean(10, 0.001)], LAST, 0.02)
    assert again.probability(14, 15) > found.probability(14, 15)
    assert again.probability(0, 10) < found.probability(0, 10)
    assert found.information(10, 0.004) > 10 * again.information(10, 0.004)


def test_without_readings_every_position_is_alike() -> None:
    found = Posterior([], LAST)
    assert max(found.single) == pytest.approx(min(found.single), rel=1e-6)


def test_the_middle_tells_most_and_the_known_nothing() -> None:
    found = Posterior([clean(8, 0.0), clean(16, 0.05), clean(LAST, 0.05)], LAST, 0.02)
    told = {place: found.information(place, 0.004) for place in range(1, LAST + 1)}
    assert max(told, key=lambda place: told[place]) == 12
    assert told[12] == pytest.approx(math.log(2), abs=0.05)
    assert told[4] < 0.05 and told[18] < 0.05


def test_a_noisy_reading_tells_less() -> None:
    found = Posterior([clean(LAST, 0.05)], LAST, 0.02)
    told = [found.information(10, error) for error in (0.002, 0.02, 0.05, 0.2)]
    assert told == sorted(told, reverse=True)
    assert told[-1] < 0.1 * told[0]

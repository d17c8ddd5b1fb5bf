"""The statistics: formulas against independent ones, and coverage and error rates by replaying recorded noise."""

from __future__ import annotations

import json
import math
import pathlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from harness import stats

NOISE = pathlib.Path(__file__).parents[1] / "data" / "aa_effects.json"
PAIRS = 6


def recorded_noise() -> dict[str, list[list[float]]]:
    """Launch effects (log ratios) of A/A runs on the development machine, by test and pair (benchmarks/aa.py)."""
    return json.loads(NOISE.read_text())["effects"]


class Replay:
    """Draws launch effects as one test of the recorded noise would give them: first pairs, then launches of each.

    Drawing pairs with replacement and, within a pair, launches with replacement keeps both levels of the noise. Each
    test's noise is centred, so the true effect is exactly `effect`. Pairs' means spread by pairs' own luck and by that
    of their launches; both are in the replay, so it is no quieter than what was recorded.
    """

    def __init__(self, pairs: list[list[float]], effect: float, generator: np.random.Generator) -> None:
        centre = float(np.mean([np.mean(pair) for pair in pairs]))
        chosen = generator.integers(len(pairs), size=PAIRS)
        self._pairs = [[value - centre + effect for value in pairs[index]] for index in chosen]
        self._generator = generator

    def __call__(self, launch: int) -> float:
        pair = self._pairs[launch % PAIRS]
        return pair[self._generator.integers(len(pair))]


def replays(count: int, effect: float, seed: int, budget: int = 36) -> list[tuple[stats.Estimate, str]]:
    """`count` whole tests under sequential stopping, spread over all recorded tests."""
    generator = np.random.default_rng(seed)
    noise = list(recorded_noise().values())
    rule = stats.StoppingRule()
    return [
        stats.run_until_stop(Replay(noise[index % len(noise)], effect, generator), rule, PAIRS, budget)
        for index in range(count)
    ]


def test_coverage_under_sequential_stopping_is_kept_on_recorded_noise() -> None:
    results = replays(6000, 0.0, seed=20261122)
    coverage = np.mean([estimate.low <= 0 <= estimate.high for estimate, _ in results])
    assert 0.93 <= coverage <= 0.99, f"the 95 % interval covered the truth in {coverage:.1%} of 6000 replays"


def test_no_false_regression_on_recorded_noise() -> None:
    """The judge's rule (beyond 7 % and significant) on noise without an effect, stopped by the sequential rule."""
    results = replays(6000, 0.0, seed=7)
    false = [estimate for estimate, _ in results if abs(estimate.change) >= 0.07 and estimate.p_value < 0.05]
    assert len(false) / len(results) <= 0.002


def test_ten_percent_is_found_on_recorded_noise() -> None:
    results = replays(2000, math.log(1.10), seed=8)
    found = [estimate for estimate, _ in results if estimate.change >= 0.07 and estimate.p_value < 0.05]
    assert len(found) / len(results) >= 0.95
    assert not [estimate for estimate, _ in results if estimate.change < 0 and estimate.p_value < 0.05]


def test_early_decisions_are_not_wrong_on_recorded_noise() -> None:
    """A test whose true change is just the threshold must not be called decided much more often than one look in
    1000.
    """
    results = replays(3000, math.log(1.07), seed=9)
    decided = [estimate for estimate, stop in results if stop == "decided"]
    assert len(decided) / len(results) <= 0.02


def test_a_rule_without_the_look_factor_and_the_pairs_would_be_seen() -> None:
    """The simulation can fail: treating launches as independent loses coverage where pairs differ."""
    generator = np.random.default_rng(3)
    naive = clustered = 0
    for _ in range(800):
        luck = generator.normal(0, 0.01, PAIRS)
        effects = [luck[i % PAIRS] + generator.normal(0, 0.006) for i in range(24)]
        mean, error = np.mean(effects), np.std(effects, ddof=1) / math.sqrt(24)
        naive += abs(mean) <= scipy_stats.t.ppf(0.975, 23) * error
        estimate = stats.estimate(effects, [i % PAIRS for i in range(24)])
        clustered += estimate.low <= 0 <= estimate.high
    assert naive / 800 < 0.8
    assert 0.93 <= clustered / 800 <= 0.985


@pytest.mark.parametrize(("pair_spread", "launch_spread"), [(0, 0.015), (0.005, 0.015), (0.01, 0.01), (0.01, 0.02)])
def test_coverage_on_normal_noise_with_stopping(pair_spread: float, launch_spread: float) -> None:
    generator = np.random.default_rng(11)
    covered, count = 0, 1500
    for _ in range(count):
        luck = generator.normal(0, pair_spread, PAIRS)
        estimate, _ = stats.run_until_stop(
            lambda i, luck=luck: luck[i % PAIRS] + generator.normal(0, launch_spread), stats.StoppingRule(), PAIRS, 36
        )
        covered += estimate.low <= 0 <= estimate.high
    assert 0.925 <= covered / count <= 0.99


def test_launch_effect_is_the_median_log_ratio() -> None:
    assert stats.launch_effect([1.0, 2.0, 4.0], [1.1, 2.2, 40.0]) == pytest.approx(math.log(1.1))


@pytest.mark.parametrize(("base", "head"), [([], []), ([1.0], [1.0, 2.0])])
def test_launch_effect_refuses_unpaired_samples(base: list[float], head: list[float]) -> None:
    with pytest.raises(ValueError, match="same rounds"):
        stats.launch_effect(base, head)


def test_one_launch_says_nothing() -> None:
    estimate = stats.estimate([0.1], [0])
    assert estimate.log_ratio == pytest.approx(0.1)
    assert (estimate.low, estimate.high, estimate.p_value) == (-math.inf, math.inf, 1.0)
    assert estimate.detectable == math.inf


def test_no_launch_at_all() -> None:
    assert math.isnan(stats.estimate([], []).log_ratio)


def test_pairs_that_differ_are_the_clusters() -> None:
    effects = [0.00, 0.05, 0.10, 0.001, 0.051, 0.101]
    estimate = stats.estimate(effects, [0, 1, 2, 0, 1, 2])
    means = [0.0005, 0.0505, 0.1005]
    error = np.std(means, ddof=1) / math.sqrt(3) * stats.LOOK_FACTOR
    assert estimate.degrees_of_freedom == 2
    assert estimate.standard_error == pytest.approx(error)
    assert estimate.half_width == pytest.approx(scipy_stats.t.ppf(0.975, 2) * error)


def test_pairs_that_do_not_differ_are_pooled() -> None:
    effects = [0.00, 0.01, 0.02, 0.02, 0.01, 0.00]
    estimate = stats.estimate(effects, [0, 1, 2, 0, 1, 2])
    assert estimate.degrees_of_freedom == 5
    assert estimate.standard_error == pytest.approx(np.std(effects, ddof=1) / math.sqrt(6) * stats.LOOK_FACTOR)


def test_p_value_and_interval_agree() -> None:
    generator = np.random.default_rng(5)
    for _ in range(50):
        estimate = stats.estimate(generator.normal(0.01, 0.01, 12).tolist(), [i % 6 for i in range(12)])
        assert (estimate.p_value < 0.05) == (estimate.low > 0 or estimate.high < 0)


@given(
    st.lists(st.floats(-0.5, 0.5), min_size=2, max_size=30),
    st.floats(-0.5, 0.5),
)
def test_swapping_lanes_mirrors_and_scaling_shifts(effects: list[float], shift: float) -> None:
    pairs = [i % 4 for i in range(len(effects))]
    estimate = stats.estimate(effects, pairs)
    mirrored = stats.estimate([-effect for effect in effects], pairs)
    moved = stats.estimate([effect + shift for effect in effects], pairs)
    assert mirrored.log_ratio == pytest.approx(-estimate.log_ratio, abs=1e-12)
    assert mirrored.low == pytest.approx(-estimate.high, abs=1e-9)
    assert moved.log_ratio == pytest.approx(estimate.log_ratio + shift, abs=1e-9)
    assert estimate.low <= estimate.log_ratio <= estimate.high


def test_shifted_adds_independent_errors() -> None:
    estimate = stats.estimate([0.0, 0.01, 0.02, 0.03], [0, 1, 2, 3])
    shifted = estimate.shifted(0.005, 0.02)
    assert shifted.log_ratio == pytest.approx(estimate.log_ratio - 0.005)
    assert shifted.standard_error == pytest.approx(math.hypot(estimate.standard_error, 0.02))


def test_weighted_mean_against_welch() -> None:
    """The mean of x and -y is half the difference of the means of x and y, which is what Welch's test judges."""
    generator = np.random.default_rng(1)
    x, y = generator.normal(0.01, 0.05, 4), generator.normal(0, 0.02, 7)
    parts = [
        stats.Part(0.5, float(values.mean()), float(values.std(ddof=1)) / math.sqrt(len(values)), len(values) - 1)
        for values in (x, -y)
    ]
    welch = scipy_stats.ttest_ind(x, y, equal_var=False)
    found = stats.weighted_mean(parts)
    assert found.log_ratio == pytest.approx((x.mean() - y.mean()) / 2)
    assert found.degrees_of_freedom == pytest.approx(welch.df)
    assert found.p_value == pytest.approx(welch.pvalue)


def test_weighted_mean_of_one_is_that_one() -> None:
    found = stats.weighted_mean([stats.Part(0.3, 0.02, 0.01, 5)])
    assert (found.log_ratio, found.standard_error, found.degrees_of_freedom) == pytest.approx((0.02, 0.01, 5))


def test_detectable_change_is_found_with_the_power_it_promises() -> None:
    generator = np.random.default_rng(12)
    spread, launches = 0.01, 12
    freedom = launches - 1
    effect = math.log1p(stats.detectable_change(spread / math.sqrt(launches), freedom))
    found = 0
    for _ in range(4000):
        values = generator.normal(effect, spread, launches)
        found += scipy_stats.ttest_1samp(values, 0).pvalue < 0.05
    assert 0.76 <= found / 4000 <= 0.86


@pytest.mark.parametrize(
    ("half", "launches", "stop"),
    [(0.009, 12, "precise"), (0.009, 6, ""), (0.012, 12, ""), (0.009, 13, "")],
)
def test_stops_when_precise_after_two_full_cycles(half: float, launches: int, stop: str) -> None:
    error = half / float(scipy_stats.t.ppf(0.975, 5))
    estimate = stats.Estimate(0.0, -half, half, error, 5, 1.0, launches, 6)
    assert stats.StoppingRule().look([estimate], launches, 6) == stop


def test_stops_early_only_on_overwhelming_evidence() -> None:
    surely = stats.Estimate(math.log(1.3), 0.2, 0.32, 0.02, 5, 1e-5, 6, 6)
    barely = stats.Estimate(math.log(1.1), 0.06, 0.13, 0.014, 5, 1e-3, 6, 6)
    rule = stats.StoppingRule()
    assert rule.look([surely], 6, 6) == "decided"
    assert rule.look([barely], 6, 6) == ""
    assert rule.look([surely, barely], 6, 6) == ""


def test_benjamini_hochberg_against_its_definition() -> None:
    p_values = [0.001, 0.3, 0.02, 0.04, 0.9]
    ranked = sorted(p_values)
    expected = [min(ranked[j] * 5 / (j + 1) for j in range(ranked.index(p), 5)) for p in p_values]
    assert stats.benjamini_hochberg(p_values) == pytest.approx(expected)
    assert stats.benjamini_hochberg([]) == []


def test_rounds_follow_kalibera_and_jones() -> None:
    assert stats.rounds_per_launch(1.0, 0.01, within=4e-4, between=1e-4) == pytest.approx(20)
    assert stats.rounds_per_launch(1.0, 0.01, within=4e-4, between=0.0) == math.inf


@pytest.mark.parametrize("truth", [0.0, 0.02, 0.08])
def test_wander_is_what_tests_scatter_beyond_their_own_errors(truth: float) -> None:
    generator = np.random.default_rng(5)
    found = []
    for _ in range(200):
        moved = generator.normal(0.03, truth, 40) + generator.normal(0, 0.01, 40)
        # A few tests changed for real: they must not pass for wander.
        moved[:4] += 0.5
        found.append(stats.wander([(value, 0.01) for value in moved]))
    assert np.mean(found) == pytest.approx(truth, abs=0.006 + 0.15 * truth)


def test_a_handful_of_tests_tells_nothing_of_wander() -> None:
    assert stats.wander([(0.1 * number, 0.01) for number in range(7)]) is None
    assert stats.wander([(0.0, 0.01)] * 8) == 0.0


def test_an_added_error_widens_the_interval_as_welch_and_satterthwaite_say() -> None:
    given = stats.estimate([0.01, 0.03, 0.02, 0.00], [0, 1, 2, 3])
    wide = stats.with_more_error(given, 0.04, 30)
    assert wide.log_ratio == given.log_ratio
    assert wide.standard_error == pytest.approx(math.hypot(given.standard_error, 0.04))
    assert 3 < wide.degrees_of_freedom <= 33
    half = scipy_stats.t.ppf(0.975, wide.degrees_of_freedom) * wide.standard_error
    assert wide.half_width == pytest.approx(half)
    assert stats.with_more_error(given, 0.0, 30) == given


def test_coverage_with_wander_is_kept() -> None:
    generator = np.random.default_rng(11)
    covered = []
    for _ in range(300):
        estimates = [
            stats.estimate(list(generator.normal(generator.normal(0, 0.04), 0.02, 6)), list(range(6)))
            for _ in range(20)
        ]
        error = stats.wander([(one.log_ratio, one.standard_error) for one in estimates])
        assert error is not None
        covered += [one.low <= 0 <= one.high for one in (stats.with_more_error(e, error, 19) for e in estimates)]
    assert 0.92 <= np.mean(covered) <= 0.98

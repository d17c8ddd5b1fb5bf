"""TorchBench score V1: exactly as the original computes it, and the same score with an interval, coverage and causes.

Promises two figures over the same weights. `strict_v1` reproduces torchbenchmark/score/compute_score_v1.py of
pytorch/benchmark (v1.0 branch) with its quirks, and gives no score when a test of the reference is missing. `score`
is for everyday use: it is renormalised over the tests at hand, says how much of the reference they are, how sure the
figure is, and which tests moved it. On a complete run both give the same total.

All functions are pure; times are mappings test name -> seconds, so a caller may bring them from a run, a reference or
a foreign file. 1000 means "as fast as the reference", more is faster.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from statistics import NormalDist

import msgspec

from bot.taskmap import TASKS, Task
from harness.errors import UserError
from harness.testname import canonical, is_test_name, listed, parse_test_name, quoted

TARGET = 1000.0
"""The score of the reference itself."""

# Outside of these a figure is a mistake in units, and the exponentials below could overflow.
SHORTEST_SECONDS, LONGEST_SECONDS = 1e-12, 1e9
_LARGEST_STANDARD_ERROR = 10.0

NORMAL_QUANTILE = NormalDist().inv_cdf(0.975)
"""Half-width of a 95 % interval in standard errors: a score adds up many tests."""

_SUBSCORES = tuple((device, kind) for device in ("cpu", "cuda") for kind in ("train", "eval"))


class Weights(msgspec.Struct, frozen=True):
    """What each test of a set counts for. All three mappings are test name -> weight; `combined` sums to 1."""

    domain: dict[str, float]
    """1 / categories / domains of the category / models of the domain: the same for all tests of a model."""
    config: dict[str, float]
    """Share of the test among its model's tests: 1 part for training on CPU, 2 parts for anything else."""
    combined: dict[str, float]
    """`domain` times `config`."""
    unknown_models: tuple[str, ...]
    """Models that neither map knew, sorted; each got a category of its own."""


class V1Score(msgspec.Struct, frozen=True):
    """The figures of the original. Sub-scores are quirky on purpose, see `strict_v1`."""

    total: float
    cpu_train: float
    cpu_eval: float
    cuda_train: float
    cuda_eval: float
    jit_speedup: float | None
    """Weighted geometric mean of eager / jit seconds; None when the run has no jit test (the original aborts there)."""


class SubScore(msgspec.Struct, frozen=True):
    """The score over the tests of one device and type; `value`, `low` and `high` are None where nothing is known."""

    name: str
    """`cpu-train`, `cpu-eval`, `cuda-train` or `cuda-eval`."""
    value: float | None
    low: float | None
    high: float | None
    coverage: float | None
    """Weight share of the reference's tests of this kind that was measured; None when the reference has none."""
    tests: int
    """Number of tests measured."""


class Mover(msgspec.Struct, frozen=True):
    """What one test did to the score."""

    test: str
    weight: float
    """Its weight among the tests at hand; these sum to 1."""
    log_ratio: float
    """ln(current / reference): positive is slower."""
    points: float
    """Its part of `value - 1000`: negative pulled the score down. The parts of all tests add up to the whole."""


class Score(msgspec.Struct, frozen=True):
    """The everyday score with what has to be known beside it. `warnings` are sentences that must be shown."""

    value: float
    low: float | None
    """95 % interval; None when no test came with a standard error."""
    high: float | None
    coverage: float
    """Weight share of the reference that was measured, above 0 and at most 1."""
    tests: int
    """Number of tests in the score."""
    subscores: tuple[SubScore, ...]
    """cpu-train, cpu-eval, cuda-train, cuda-eval, always all four and in this order."""
    jit_speedup: float | None
    """Weighted geometric mean of eager / jit seconds within the run; None without such a pair."""
    movers: tuple[Mover, ...]
    """The tests that moved the score most, largest effect first."""
    missing: tuple[str, ...]
    """Tests of the reference that the run lacks, sorted."""
    extra: tuple[str, ...]
    """Tests of the run that the reference lacks, sorted; they are not in the score."""
    without_error: tuple[str, ...]
    """Tests in the score that came without a standard error, sorted; the interval takes them for exact."""
    unknown_models: tuple[str, ...]
    """Models that no map knew, sorted; each got a category of its own, and so a large weight."""
    warnings: tuple[str, ...]


def weights(tests: Iterable[str], tasks: Mapping[str, tuple[str, str]] | None = None) -> Weights:
    """V1's weights over a set of test names.

    `tasks` gives (category, domain) of models that the frozen map does not know; for those it knows, the frozen map
    holds. A model that neither knows gets a category of its own and is named in `unknown_models`. Formula:
    `_setup_weights` of compute_score_v1.py. Raises UserError for a name that is not in V1's grammar.
    """
    names = {name: parse_test_name(name) for name in tests}
    task_of: dict[str, Task] = {}
    unknown: set[str] = set()
    for model in {name.model for name in names.values()}:
        if model in TASKS:
            task_of[model] = TASKS[model]
        elif tasks is not None and model in tasks:
            task_of[model] = Task(*tasks[model])
        else:
            unknown.add(model)
            # The brackets keep it apart from the categories of the maps.
            task_of[model] = Task(f"[{model}]", model)

    models_in = Counter(task_of.values())
    domains_in = Counter(task.category for task in models_in)
    parts = {name: 1.0 if (test.device, test.type) == ("cpu", "train") else 2.0 for name, test in names.items()}
    model_parts: Counter[str] = Counter()
    for name, test in names.items():
        model_parts[test.model] += int(parts[name])

    domain = {}
    for name, test in names.items():
        task = task_of[test.model]
        domain[name] = 1.0 / len(domains_in) / domains_in[task.category] / models_in[task]
    config = {name: parts[name] / model_parts[test.model] for name, test in names.items()}
    combined = {name: domain[name] * config[name] for name in names}
    return Weights(domain, config, combined, tuple(sorted(unknown)))


def strict_v1(current: Mapping[str, float], reference: Mapping[str, float]) -> V1Score:
    """Score V1 as the original gives it; both arguments are seconds by test name.

    Kept quirks: a sub-score takes its tests by substrings of the whole name ("cpu" and "train"), weighs them by the
    domain weight alone and does not renormalise, so a uniform change moves it by another factor than the total, and
    one without any test is 1000; the jit speed-up looks at the run alone, also at tests that the reference lacks.
    Tests of the run that the reference lacks are ignored in the scores (v1.0 branch).

    Raises UserError naming the tests when the run lacks one of the reference's (the original gives no score then),
    when a jit test lacks its eager twin, when a model is not one of V1's 51, or when seconds are not positive
    numbers.
    """
    now, then = _seconds(current, "the run"), _seconds(reference, "the reference")
    if not then:
        raise UserError("The reference holds no test, so there is nothing to score against: give one with tests.")
    missing = sorted(then.keys() - now.keys())
    if missing:
        raise UserError(
            f"Score V1 needs every test of the reference and the run lacks {len(missing)} of {len(then)} "
            f"({listed(missing)}): measure them too, or leave out --strict-v1 for a score over the tests at hand."
        )
    over = _v1_weights(then)
    speedup = {name: math.log(then[name] / now[name]) for name in then}

    def subscore(device: str, kind: str) -> float:
        chosen = [name for name in then if device in name and kind in name]
        return TARGET * math.exp(math.fsum(over.domain[name] * speedup[name] for name in chosen))

    return V1Score(
        total=TARGET * math.exp(math.fsum(over.combined[name] * speedup[name] for name in then)),
        cpu_train=subscore("cpu", "train"),
        cpu_eval=subscore("cpu", "eval"),
        cuda_train=subscore("cuda", "train"),
        cuda_eval=subscore("cuda", "eval"),
        jit_speedup=_v1_jit_speedup(now),
    )


def score(
    current: Mapping[str, float],
    reference: Mapping[str, float],
    standard_errors: Mapping[str, float] | None = None,
    *,
    tasks: Mapping[str, tuple[str, str]] | None = None,
    movers: int = 5,
) -> Score:
    """The score over the tests that `current` and `reference` share; both are seconds by test name.

    Weights are V1's over the whole reference, divided by the share that was measured (`coverage`): on a complete run
    the value is V1's total. Sub-scores are the same over their own tests.

    `standard_errors` gives by test the standard error of ln(current / reference). The interval is the delta method on
    the log scale, exp(mean ± 1.96 sqrt(sum (weight · error)²)): the errors of different tests are taken as
    independent, so a drift common to all tests of a run is not in it. Tests without an error count as exact and are
    named in a warning. `points` of the movers are the logarithmic mean decomposition (Ang, Energy Policy 33, 2005):
    exact and additive.

    `tasks` is as for `weights`; `movers` is how many are listed. Raises UserError when no test is shared, or when
    seconds or errors are not numbers in range.
    """
    now, then = _seconds(current, "the run"), _seconds(reference, "the reference")
    over = weights(then, tasks)
    shared = sorted(then.keys() & now.keys())
    if not shared:
        raise UserError(
            f"None of the run's {len(now)} tests is among the reference's {len(then)}, so there is nothing to score: "
            "give the reference of this suite and device."
        )
    slowdown = {name: math.log(now[name] / then[name]) for name in shared}
    errors = _errors(standard_errors or {}, slowdown)
    whole = _mean(shared, over.combined, slowdown, errors)
    subscores = tuple(_subscore(device, kind, over, slowdown, errors) for device, kind in _SUBSCORES)
    jit_speedup, unpaired, jit_unknown = _jit_speedup(now, tasks)
    missing = tuple(sorted(then.keys() - now.keys()))
    without_error = tuple(name for name in shared if name not in errors)
    unknown = tuple(sorted({*over.unknown_models, *jit_unknown}))
    coverage = _share(shared, over)

    warnings = []
    if missing:
        warnings.append(
            f"{len(missing)} of {len(then)} tests of the reference were not measured and are not in the score: "
            f"{listed(missing)}."
        )
    if without_error and errors:
        warnings.append(
            f"{len(without_error)} of {len(shared)} tests have no standard error and count as exact, "
            f"so the interval is too narrow: {listed(without_error)}."
        )
    elif without_error:
        warnings.append(
            f"None of the {len(shared)} tests has a standard error, so the score has no interval: "
            f"{listed(without_error)}."
        )
    if unknown:
        warnings.append(f"{len(unknown)} models have no task and count as a category each: {listed(unknown)}.")
    if unpaired:
        warnings.append(
            f"{len(unpaired)} jit tests have no eager twin and are not in the jit speed-up: {listed(unpaired)}."
        )
    return Score(
        value=whole.value,
        low=whole.low,
        high=whole.high,
        coverage=coverage,
        tests=len(shared),
        subscores=subscores,
        jit_speedup=jit_speedup,
        movers=_movers(over, slowdown, whole.value, movers),
        missing=missing,
        extra=tuple(sorted(now.keys() - then.keys())),
        without_error=without_error,
        unknown_models=unknown,
        warnings=tuple(warnings),
    )


def to_v1_json(result: Score | V1Score) -> dict[str, float | None]:
    """The keys of V1's own output; a figure that could not be had is None."""
    if isinstance(result, V1Score):
        total, parts = result.total, (result.cpu_train, result.cpu_eval, result.cuda_train, result.cuda_eval)
        subscores: dict[str, float | None] = {
            f"subscore-{device}-{kind}": value for (device, kind), value in zip(_SUBSCORES, parts, strict=True)
        }
    else:
        total = result.value
        subscores = {f"subscore-{part.name}": part.value for part in result.subscores}
    return {"total": total, **subscores, "jit-speedup": result.jit_speedup}


class _Mean(msgspec.Struct, frozen=True):
    value: float
    low: float | None
    high: float | None


def _mean(
    tests: list[str], weight: Mapping[str, float], slowdown: Mapping[str, float], errors: Mapping[str, float]
) -> _Mean:
    share = math.fsum(weight[name] for name in tests)
    mean = -math.fsum(weight[name] * slowdown[name] for name in tests) / share
    known = [weight[name] * errors[name] / share for name in tests if name in errors]
    value = TARGET * math.exp(mean)
    if not known:
        return _Mean(value, None, None)
    half = NORMAL_QUANTILE * math.sqrt(math.fsum(part * part for part in known))
    return _Mean(value, value * math.exp(-half), value * math.exp(half))


def _subscore(
    device: str, kind: str, over: Weights, slowdown: Mapping[str, float], errors: Mapping[str, float]
) -> SubScore:
    name = f"{device}-{kind}"
    wanted = [test for test in over.combined if _is_kind(test, device, kind)]
    measured = [test for test in wanted if test in slowdown]
    if not measured:
        return SubScore(name, None, None, None, 0.0 if wanted else None, 0)
    mean = _mean(measured, over.combined, slowdown, errors)
    share = math.fsum(over.combined[test] for test in measured) / math.fsum(over.combined[test] for test in wanted)
    return SubScore(name, mean.value, mean.low, mean.high, share, len(measured))


def _is_kind(test: str, device: str, kind: str) -> bool:
    parts = parse_test_name(test)
    return (parts.device, parts.type) == (device, kind)


def _share(shared: list[str], over: Weights) -> float:
    # A complete run is covered exactly, whatever the last bit of the weights' sum.
    return 1.0 if len(shared) == len(over.combined) else math.fsum(over.combined[name] for name in shared)


def _movers(over: Weights, slowdown: Mapping[str, float], value: float, limit: int) -> tuple[Mover, ...]:
    share = math.fsum(over.combined[name] for name in slowdown)
    log_change = math.log(value / TARGET)
    log_mean = (value - TARGET) / log_change if abs(log_change) > 1e-9 else TARGET
    every = []
    for name, log_ratio in slowdown.items():
        weight = over.combined[name] / share
        every.append(Mover(name, weight, log_ratio, -weight * log_ratio * log_mean))
    moved = sorted((mover for mover in every if mover.points), key=lambda mover: (-abs(mover.points), mover.test))
    return tuple(moved[: max(limit, 0)])


def _jit_speedup(
    now: Mapping[str, float], tasks: Mapping[str, tuple[str, str]] | None
) -> tuple[float | None, list[str], tuple[str, ...]]:
    """The speed-up, the jit tests without an eager twin, and the models without a task among the paired ones."""
    twins = {}
    for name in now:
        if not is_test_name(name):
            continue
        test = parse_test_name(name)
        head, separator, rest = test.mode.partition("_")
        if head == "jit":
            twins[name] = str(msgspec.structs.replace(test, mode="eager" + separator + rest))
    paired = {name: twin for name, twin in twins.items() if twin in now}
    unpaired = sorted(twins.keys() - paired.keys())
    if not paired:
        return None, unpaired, ()
    over = weights(paired, tasks)
    logs = math.fsum(over.combined[name] * math.log(now[twin] / now[name]) for name, twin in paired.items())
    return math.exp(logs), unpaired, over.unknown_models


def _v1_jit_speedup(now: Mapping[str, float]) -> float | None:
    twins = {}
    for name in now:
        if "-jit" in name:
            before, _, after = name.rpartition("-jit")
            twins[name] = f"{before}-eager{after}"
    if not twins:
        return None
    unpaired = sorted(name for name, twin in twins.items() if twin not in now)
    if unpaired:
        raise UserError(
            f"Score V1 needs an eager test beside each jit test and {len(unpaired)} lack it ({listed(unpaired)}): "
            "measure it too, or leave out --strict-v1."
        )
    over = _v1_weights(twins)
    return math.exp(math.fsum(over.combined[name] * math.log(now[twin] / now[name]) for name, twin in twins.items()))


def _v1_weights(tests: Iterable[str]) -> Weights:
    over = weights(tests)
    if over.unknown_models:
        raise UserError(
            f"Score V1 knows its own 51 models only, not {listed(over.unknown_models)}: "
            "leave out --strict-v1 to score these too."
        )
    return over


def _seconds(times: Mapping[str, float], whose: str) -> dict[str, float]:
    """`times` by canonical name, every figure checked."""
    checked: dict[str, float] = {}
    for name, seconds in times.items():
        if not _is_number(seconds) or not SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS:
            raise UserError(
                f"The seconds of {quoted(name)} in {whose} are {quoted(seconds)}: "
                f"give a number from {SHORTEST_SECONDS:g} to {LONGEST_SECONDS:g}."
            )
        key = canonical(name)
        if key in checked:
            raise UserError(
                f"{quoted(key)} stands twice in {whose}, once with -freeze, which V1 takes for the same test: "
                "remove one."
            )
        checked[key] = float(seconds)
    return checked


def _errors(standard_errors: Mapping[str, float], tests: Mapping[str, float]) -> dict[str, float]:
    checked = {}
    for name, error in standard_errors.items():
        if not _is_number(error) or not 0.0 <= error <= _LARGEST_STANDARD_ERROR:
            raise UserError(
                f"The standard error of {quoted(name)} is {quoted(error)}: "
                f"give that of its log ratio, a number from 0 to {_LARGEST_STANDARD_ERROR:g}."
            )
        if canonical(name) in tests:
            checked[canonical(name)] = float(error)
    return checked


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)

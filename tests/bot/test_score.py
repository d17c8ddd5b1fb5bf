"""The score against an independent computation, against the published figures, and against its own promises."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bot import score as scoring
from bot.taskmap import TASKS, UNLISTED
from harness.errors import UserError
from harness.testname import TestName as Name
from harness.testname import canonical, is_test_name, listed, parse_test_name
from tests.published import v1_reference

# This machine may be busy; how long an example takes is no property of the code.
UNTIMED = settings(deadline=None)

V1_KEYS = {
    "total",
    "subscore-cpu-train",
    "subscore-cpu-eval",
    "subscore-cuda-train",
    "subscore-cuda-eval",
    "jit-speedup",
}


@pytest.fixture(scope="module")
def published() -> dict[str, float]:
    return {name: entry["norm"] for name, entry in yaml.safe_load(v1_reference().read_text()).items()}


def plain_weights(names: list[str]) -> tuple[dict[str, float], dict[str, float]]:
    """V1's weights written down a second time, by sets and the facts' words rather than by the code's way."""
    part = {n: re.match(r"test_(.*)\[(.*)\-(.*)\-(.*)\]", n).groups() for n in names}  # type: ignore[union-attr]
    tree: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    raw_sum: dict[str, float] = defaultdict(float)
    raw = {}
    for n, (kind, model, device, _) in part.items():
        category, domain = TASKS[model]
        tree[category][domain].add(model)
        raw[n] = 1.0 if kind == "train" and device == "cpu" else 2.0
        raw_sum[model] += raw[n]
    domain_w, config_w = {}, {}
    for n, (_, model, _, _) in part.items():
        category, domain = TASKS[model]
        domain_w[n] = 1 / len(tree) * 1 / len(tree[category]) * 1 / len(tree[category][domain])
        config_w[n] = raw[n] / raw_sum[model]
    return domain_w, config_w


def plain_v1(current: dict[str, float], reference: dict[str, float]) -> dict[str, float]:
    domain_w, config_w = plain_weights(list(reference))
    total = sub = 0.0
    out = {}
    for n in reference:
        total += domain_w[n] * config_w[n] * math.log(reference[n] / current[n])
    for device in ("cpu", "cuda"):
        for kind in ("train", "eval"):
            sub = sum(domain_w[n] * math.log(reference[n] / current[n]) for n in reference if device in n and kind in n)
            out[f"subscore-{device}-{kind}"] = 1000 * math.exp(sub)
    jit = [n for n in current if "-jit" in n]
    domain_w, config_w = plain_weights(jit)
    log_jit = sum(domain_w[n] * config_w[n] * math.log(current[n.replace("-jit", "-eager")] / current[n]) for n in jit)
    return {"total": 1000 * math.exp(total), **out, "jit-speedup": math.exp(log_jit)}


def wobbled(times: dict[str, float]) -> dict[str, float]:
    return {name: seconds * (1 + 0.3 * math.sin(7.0 * i)) for i, (name, seconds) in enumerate(times.items())}


# names


def test_a_model_may_contain_dashes_and_freeze_goes_once() -> None:
    assert parse_test_name("test_train[a-b-c-cuda-jit]") == Name("train", "a-b-c", "cuda", "jit")
    assert parse_test_name("test_eval[resnet18-freeze-cpu-jit]") == Name("eval", "resnet18", "cpu", "jit")
    assert parse_test_name("test_eval[x-freeze-freeze-cpu-jit]").model == "x-freeze"
    assert canonical("test_eval[x-cpu-eager]") == "test_eval[x-cpu-eager]"


@pytest.mark.parametrize("name", ["", "resnet18", "test_eval[resnet18-cpu]", "test_eval[-cpu-eager]", "torchwarden"])
def test_what_is_not_a_name_is_refused(name: str) -> None:
    assert not is_test_name(name)
    with pytest.raises(UserError, match="not the name of a test"):
        parse_test_name(name)


_word = st.text("abcXYZ0189_.", min_size=1)


@UNTIMED
@given(_word, st.lists(_word, min_size=1, max_size=3).map("-".join), _word, _word)
def test_a_name_survives_reading(kind: str, model: str, device: str, mode: str) -> None:
    name = Name(kind, model, device, mode)
    assert parse_test_name(str(name)) == name


def test_a_list_of_names_is_short_and_has_no_control_characters() -> None:
    assert listed("abcdefg") == "a, b, c, d, e and 2 more"
    assert listed("ab") == "a, b"
    assert "\x1b" not in listed(["\x1b[2J"])
    assert len(listed(["x" * 10_000])) < 120


# the frozen map and the weights, against the published figures


def test_the_map_holds_the_51_models_of_the_published_reference(published: dict[str, float]) -> None:
    assert set(TASKS) == {parse_test_name(name).model for name in published}
    assert len(TASKS) == 51
    assert len({task.category for task in TASKS.values()}) == 6
    assert TASKS["yolov3"] == ("COMPUTER_VISION", "SEGMENTATION")
    assert sum(parse_test_name(name).model not in UNLISTED for name in published) == 234
    with pytest.raises(TypeError):
        TASKS["resnet18"] = TASKS["yolov3"]  # type: ignore[index]


DOMAIN_WEIGHTS = {
    "CLASSIFICATION": (0.00196, 0.00208),
    "DETECTION": (0.0333, 0.0333),
    "GENERATION": (0.0111, 0.0111),
    "OTHER_COMPUTER_VISION": (0.0167, 0.0333),
    "SEGMENTATION": (0.0333, 0.0333),
    "LANGUAGE_MODELING": (0.00556, 0.00694),
    "OTHER_NLP": (0.0556, 0.0556),
    "TRANSLATION": (0.0556, 0.0556),
    "OTHER_TASKS": (0.0208, 0.0208),
    "RECOMMENDATION": (0.0833, 0.0833),
    "OTHER_RL": (0.0556, 0.0556),
    "RECOGNITION": (0.0833, 0.0833),
    "SYNTHESIS": (0.0833, 0.0833),
}


@pytest.mark.parametrize("listed_only", [False, True])
def test_domain_weights_are_the_published_ones(published: dict[str, float], listed_only: bool) -> None:
    names = [n for n in published if not (listed_only and parse_test_name(n).model in UNLISTED)]
    over = scoring.weights(names)
    seen = set()
    for name in names:
        domain = TASKS[parse_test_name(name).model].domain
        assert over.domain[name] == pytest.approx(DOMAIN_WEIGHTS[domain][listed_only], rel=4e-3)
        seen.add(domain)
    assert seen == set(DOMAIN_WEIGHTS)
    assert over.unknown_models == ()


def test_weights_equal_an_independent_computation(published: dict[str, float]) -> None:
    domain_w, config_w = plain_weights(list(published))
    over = scoring.weights(published)
    assert over.domain == pytest.approx(domain_w, rel=1e-12)
    assert over.config == pytest.approx(config_w, rel=1e-12)
    assert math.fsum(over.combined.values()) == pytest.approx(1.0, abs=1e-12)


def test_heaviest_and_lightest_tests_are_the_published_ones(published: dict[str, float]) -> None:
    over = scoring.weights(published)
    ranked = sorted(over.combined, key=lambda name: -over.combined[name])
    assert set(ranked[:2]) == {"test_eval[speech_transformer-cuda-eager]", "test_train[speech_transformer-cuda-eager]"}
    assert over.combined[ranked[0]] == pytest.approx(0.0417, abs=5e-5)
    assert {parse_test_name(name).model for name in ranked[2:8]} == {"dlrm", "nvidia_deeprecommender", "tts_angular"}
    assert over.combined[ranked[2]] == pytest.approx(0.0238, abs=5e-5)
    assert over.combined[ranked[-1]] == pytest.approx(0.00014, abs=5e-6)


def test_subscore_weight_sums_are_the_published_ones(published: dict[str, float]) -> None:
    ten_percent_slower = {name: 1.1 * seconds for name, seconds in published.items()}
    result = scoring.strict_v1(ten_percent_slower, published)
    sums = {
        name: -math.log(value / 1000) / math.log(1.1)
        for name, value in scoring.to_v1_json(result).items()
        if name.startswith("sub") and value
    }
    assert sums == pytest.approx(
        {
            "subscore-cpu-train": 0.636,
            "subscore-cpu-eval": 1.076,
            "subscore-cuda-train": 1.284,
            "subscore-cuda-eval": 1.369,
        },
        abs=5e-4,
    )
    assert result.total == pytest.approx(909.09, abs=5e-3)


def test_an_unknown_model_gets_a_category_of_its_own_and_is_named() -> None:
    names = ["test_eval[resnet18-cpu-eager]", "test_eval[mine-cpu-eager]", "test_eval[yours-cpu-eager]"]
    over = scoring.weights(names)
    assert over.unknown_models == ("mine", "yours")
    assert list(over.combined.values()) == pytest.approx([1 / 3] * 3)
    told = scoring.weights(names, {"mine": ("COMPUTER_VISION", "CLASSIFICATION"), "yours": ("NLP", "OTHER_NLP")})
    assert told.unknown_models == ()
    assert list(told.combined.values()) == pytest.approx([1 / 4, 1 / 4, 1 / 2])
    # The frozen map cannot be overruled: V1's weights follow from it.
    assert scoring.weights(names[:1], {"resnet18": ("A", "B")}).unknown_models == ()
    assert scoring.weights([*names[:1], "test_eval[vgg16-cpu-eager]"], {"resnet18": ("A", "B")}).combined[
        names[0]
    ] == pytest.approx(0.5)
    two_domains = scoring.weights([*names[:1], "test_eval[yolov3-cpu-eager]", "test_eval[mine-cpu-eager]"])
    assert list(two_domains.combined.values()) == pytest.approx([1 / 4, 1 / 4, 1 / 2])


# strict V1


def test_the_reference_against_itself_is_1000(published: dict[str, float]) -> None:
    result = scoring.to_v1_json(scoring.strict_v1(published, published))
    assert set(result) == V1_KEYS
    jit = result.pop("jit-speedup")
    assert result == pytest.approx(dict.fromkeys(result, 1000.0), abs=1e-9)
    assert jit == pytest.approx(plain_v1(published, published)["jit-speedup"], rel=1e-12)
    everyday = scoring.score(published, published)
    assert everyday.value == pytest.approx(1000.0, abs=1e-9)
    assert everyday.coverage == 1.0
    assert everyday.movers == ()


def test_strict_equals_an_independent_computation(published: dict[str, float]) -> None:
    current = wobbled(published)
    result = scoring.strict_v1(current, published)
    assert scoring.to_v1_json(result) == pytest.approx(plain_v1(current, published), rel=1e-12)
    assert abs(result.total - 1000) > 1


def test_strict_gives_no_score_when_tests_are_missing(published: dict[str, float]) -> None:
    current = dict(published)
    for name in list(published)[:7]:
        del current[name]
    with pytest.raises(UserError, match="lacks 7 of 245") as caught:
        scoring.strict_v1(current, published)
    assert "test_eval[BERT_pytorch-cpu-eager]" in str(caught.value)
    assert "and 2 more" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_strict_ignores_extra_tests_and_freeze() -> None:
    reference = {"test_eval[resnet18-cpu-eager]": 1.0, "test_eval[resnet18-freeze-cpu-jit]": 0.5}
    current = {"test_eval[resnet18-freeze-cpu-eager]": 2.0, "test_eval[resnet18-cpu-jit]": 0.5, "test_x": 3.0}
    result = scoring.strict_v1({**current, "test_train[new-cpu-eager]": 1.0}, reference)
    assert result.total == pytest.approx(1000 / math.sqrt(2))
    assert result.cpu_eval == pytest.approx(500.0), "a sub-score ignores the configuration weights"
    assert result.cuda_train == 1000.0, "one without any test is 1000"
    assert result.jit_speedup == pytest.approx(4.0)


def test_strict_selects_by_substrings_of_the_whole_name() -> None:
    name = "test_eval[trainer_cuda-cpu-eager]"
    with pytest.raises(UserError, match="51 models only, not trainer_cuda"):
        scoring.strict_v1({name: 2.0}, {name: 1.0})
    odd = "test_eval[resnet18-cpu-cuda_train]"
    result = scoring.strict_v1({odd: 2.0}, {odd: 1.0})
    assert (result.cpu_train, result.cpu_eval, result.cuda_train, result.cuda_eval) == pytest.approx((500.0,) * 4)
    assert result.jit_speedup is None
    everyday = {part.name: part.value for part in scoring.score({odd: 2.0}, {odd: 1.0}).subscores}
    assert everyday == {"cpu-train": None, "cpu-eval": 500.0, "cuda-train": None, "cuda-eval": None}


def test_strict_wants_the_eager_twin_of_a_jit_test() -> None:
    name = "test_eval[resnet18-cpu-jit]"
    with pytest.raises(UserError, match=r"eager test beside each jit test.*resnet18-cpu-jit"):
        scoring.strict_v1({name: 1.0}, {name: 1.0})
    assert scoring.score({name: 1.0}, {name: 1.0}).jit_speedup is None
    assert "no eager twin" in scoring.score({name: 1.0}, {name: 1.0}, {name: 0.0}).warnings[0]


# the everyday score


def test_one_test_alone() -> None:
    name = "test_eval[resnet18-cpu-eager]"
    result = scoring.score({name: 1.1}, {name: 1.0}, {name: 0.01})
    assert result.value == pytest.approx(1000 / 1.1)
    assert result.low == pytest.approx(1000 / 1.1 * math.exp(-1.959964 * 0.01), rel=1e-6)
    assert result.high == pytest.approx(1000 / 1.1 * math.exp(1.959964 * 0.01), rel=1e-6)
    assert (result.coverage, result.tests, result.jit_speedup, result.warnings) == (1.0, 1, None, ())
    (mover,) = result.movers
    assert (mover.test, mover.weight, mover.log_ratio) == (name, 1.0, pytest.approx(math.log(1.1)))
    assert mover.points == pytest.approx(1000 / 1.1 - 1000)
    output = scoring.to_v1_json(result)
    assert set(output) == V1_KEYS
    assert output["subscore-cuda-eval"] is None
    assert output["jit-speedup"] is None
    json.dumps(output, allow_nan=False)


def test_on_a_complete_run_it_is_the_total_of_v1(published: dict[str, float]) -> None:
    current = wobbled(published)
    result = scoring.score(current, published)
    strict = scoring.strict_v1(current, published)
    assert result.value == pytest.approx(strict.total, rel=1e-12)
    assert result.jit_speedup == pytest.approx(strict.jit_speedup, rel=1e-12)
    assert result.low is None
    assert result.warnings[0].startswith("None of the 245 tests has a standard error")


def test_a_partial_run_is_renormalised_with_its_coverage(published: dict[str, float]) -> None:
    measured = [name for name in published if "-cpu-eager" in name]
    current = {name: 1.1 * published[name] for name in measured}
    result = scoring.score(current, published, dict.fromkeys(measured, 0.01))
    domain_w, config_w = plain_weights(list(published))
    assert result.value == pytest.approx(1000 / 1.1)
    assert result.coverage == pytest.approx(sum(domain_w[n] * config_w[n] for n in measured))
    assert len(result.missing) == 245 - len(measured)
    parts = {part.name: part for part in result.subscores}
    assert parts["cpu-eval"].value == pytest.approx(1000 / 1.1), "sub-scores are renormalised too"
    assert parts["cpu-eval"].tests == 40
    assert 0 < (parts["cpu-eval"].coverage or 0) < 1
    assert (parts["cuda-eval"].value, parts["cuda-eval"].coverage) == (None, 0.0)
    assert "183 of 245 tests of the reference were not measured" in result.warnings[0]


def test_the_interval_is_the_delta_method() -> None:
    names = ["test_eval[resnet18-cpu-eager]", "test_train[resnet18-cpu-eager]", "test_eval[dlrm-cpu-eager]"]
    reference = dict.fromkeys(names, 1.0)
    errors = dict(zip(names, (0.03, 0.06, 0.02), strict=True))
    result = scoring.score(reference, reference, errors)
    share = [1 / 2 * 2 / 3, 1 / 2 * 1 / 3, 1 / 2]
    sigma = math.sqrt(sum((w * e) ** 2 for w, e in zip(share, errors.values(), strict=True)))
    assert result.high == pytest.approx(1000 * math.exp(1.959964 * sigma), rel=1e-7)
    assert result.low == pytest.approx(1000 * math.exp(-1.959964 * sigma), rel=1e-7)
    del errors[names[0]]
    partial = scoring.score(reference, reference, errors)
    assert partial.without_error == (names[0],)
    assert "1 of 3 tests have no standard error" in partial.warnings[0]
    assert names[0] in partial.warnings[0]
    assert partial.high is not None
    assert result.high is not None
    assert partial.high < result.high


def test_movers_are_the_largest_effects_first() -> None:
    names = ["test_eval[resnet18-cpu-eager]", "test_eval[dlrm-cpu-eager]", "test_eval[fastNLP-cpu-eager]"]
    reference = dict.fromkeys(names, 1.0)
    current = dict(zip(names, (1.1, 0.7, 1.0), strict=True))
    result = scoring.score(current, reference)
    assert [mover.test for mover in result.movers] == [names[1], names[0]]
    assert result.movers[0].points > 0 > result.movers[1].points
    assert sum(mover.points for mover in result.movers) == pytest.approx(result.value - 1000)
    assert len(scoring.score(current, reference, movers=1).movers) == 1


def test_jit_speedup_of_a_mixed_run() -> None:
    pairs = {
        "test_eval[resnet18-cpu-eager]": 4.0,
        "test_eval[resnet18-cpu-jit]": 2.0,
        "test_eval[mine-cuda-eager_bf16]": 8.0,
        "test_eval[mine-cuda-jit_bf16]": 1.0,
        "test_eval[resnet18-cpu-inductor]": 1.0,
        "test_worker": 1.0,
    }
    reference = {"test_eval[resnet18-cpu-eager]": 4.0}
    result = scoring.score(pairs, reference)
    assert result.jit_speedup == pytest.approx(4.0), "geometric mean of 2 and 8, a category each"
    assert result.unknown_models == ("mine",)
    assert any("no task" in warning and "mine" in warning for warning in result.warnings)
    assert len(result.extra) == 5


@pytest.mark.parametrize("bad", [0, -1.0, math.nan, math.inf, True, "1.0", None, 1e12, 1e-300])
def test_bad_figures_are_refused(bad: object) -> None:
    name = "test_eval[resnet18-cpu-eager]"
    with pytest.raises(UserError, match=r"seconds of .*resnet18-cpu-eager.* in the run"):
        scoring.score({name: bad}, {name: 1.0})  # type: ignore[dict-item]
    with pytest.raises(UserError, match="in the reference"):
        scoring.strict_v1({name: 1.0}, {name: bad})  # type: ignore[dict-item]


@pytest.mark.parametrize("bad", [-0.1, math.nan, math.inf, True, 11.0])
def test_bad_errors_are_refused(bad: float) -> None:
    name = "test_eval[resnet18-cpu-eager]"
    with pytest.raises(UserError, match="standard error of"):
        scoring.score({name: 1.0}, {name: 1.0}, {name: bad})


def test_nothing_to_score_is_said() -> None:
    name = "test_eval[resnet18-cpu-eager]"
    with pytest.raises(UserError, match="None of the run's 1 tests"):
        scoring.score({"test_eval[a-cpu-eager]": 1.0}, {name: 1.0})
    for empty in (scoring.score, scoring.strict_v1):
        with pytest.raises(UserError):
            empty({name: 1.0}, {})
    with pytest.raises(UserError, match="stands twice in the run"):
        scoring.score({name: 1.0, "test_eval[resnet18-freeze-cpu-eager]": 1.0}, {name: 1.0})


# properties

_models = st.sampled_from([*sorted(TASKS)[::3], "my-own", "other.one"])
_names = st.builds(
    lambda kind, model, device, mode: str(Name(kind, model, device, mode)),
    st.sampled_from(["train", "eval"]),
    _models,
    st.sampled_from(["cpu", "cuda", "mps"]),
    st.sampled_from(["eager", "jit", "inductor"]),
)
_figures = st.tuples(st.floats(1e-4, 1e3), st.floats(1e-4, 1e3), st.floats(0, 1))
_tests = st.dictionaries(_names, _figures, min_size=1, max_size=30)


def split(tests: dict[str, tuple[float, float, float]]) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    return tuple({name: figures[i] for name, figures in tests.items()} for i in range(3))  # type: ignore[return-value]


@UNTIMED
@given(_tests)
def test_weights_sum_to_one(tests: dict[str, tuple[float, float, float]]) -> None:
    over = scoring.weights(tests)
    assert math.fsum(over.combined.values()) == pytest.approx(1.0, abs=1e-12)
    assert min(over.combined.values()) > 0


@UNTIMED
@given(_tests, st.floats(0.1, 10))
def test_scaling_all_times_scales_the_score(tests: dict[str, tuple[float, float, float]], factor: float) -> None:
    current, reference, errors = split(tests)
    scaled = {name: factor * seconds for name, seconds in current.items()}
    before, after = scoring.score(current, reference, errors), scoring.score(scaled, reference, errors)
    assert after.value == pytest.approx(before.value / factor, rel=1e-9)
    for was, now in zip(before.subscores, after.subscores, strict=True):
        assert (was.value is None) == (now.value is None)
        if was.value is not None:
            assert now.value == pytest.approx(was.value / factor, rel=1e-9)
    assert (after.jit_speedup is None) == (before.jit_speedup is None)
    assert after.jit_speedup is None or after.jit_speedup == pytest.approx(before.jit_speedup, rel=1e-9)


@UNTIMED
@given(_tests, st.randoms())
def test_order_does_not_matter(tests: dict[str, tuple[float, float, float]], random: object) -> None:
    current, reference, errors = split(tests)
    shuffled = list(tests)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = scoring.score({n: current[n] for n in shuffled}, {n: reference[n] for n in shuffled[::-1]}, errors)
    assert again == scoring.score(current, reference, errors)


@UNTIMED
@given(_tests, st.data())
def test_the_interval_holds_the_value_and_parts_add_up(
    tests: dict[str, tuple[float, float, float]], data: st.DataObject
) -> None:
    current, reference, errors = split(tests)
    kept = data.draw(st.lists(st.sampled_from(sorted(tests)), min_size=1, unique=True))
    result = scoring.score({name: current[name] for name in kept}, reference, errors, movers=100)
    assert result.low is not None
    assert result.high is not None
    assert result.low <= result.value <= result.high
    assert 0 < result.coverage <= 1 + 1e-12
    assert sorted([*result.missing, *kept]) == sorted(tests)
    assert math.fsum(m.points for m in result.movers) == pytest.approx(result.value - 1000, rel=1e-6, abs=1e-6)
    for part in result.subscores:
        assert part.value is None or (part.low or 0) <= part.value <= (part.high or math.inf)

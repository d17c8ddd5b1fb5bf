from __future__ import annotations

import dataclasses
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bot import answers
from bot.answers import Box
from harness.answering import Answers, Pair
from harness.benchmark import ANSWERS, Description
from harness.plan import Group

RANDOM = np.random.default_rng(7)


def pair(
    kind: str, base: dict[str, Any], head: dict[str, Any], *, weights: str = "trained", labels: tuple[str, ...] = ()
) -> Pair:
    description = Description("net", "mine", "TEST", "TEST", {"small": {}}, answers=kind, weights=weights)
    group = Group("mine", description, "eval", "cpu", "small", ("eager", "eager_bf16"), {})
    sides = (Answers({name: np.asarray(value, "f4") for name, value in side.items()}, labels) for side in (base, head))
    return Pair(group, None, *sides)


def values(model: answers.Model) -> dict[str, float | None]:
    return {figure.name: figure.value for figure in model.figures}


def test_every_kind_has_criteria_for_both_kinds_of_weights() -> None:
    assert set(answers.CRITERIA) == {(kind, real) for kind in ANSWERS for real in (False, True)}


def test_the_same_answers_are_the_same_in_every_kind() -> None:
    boxes = {"boxes 0": [[0, 0, 4, 4]], "labels 0": [1], "scores 0": [0.9]}
    matrix = RANDOM.normal(size=(5, 9))
    for kind, tensors in {
        "": {"output 0": matrix},
        "classification": {"logits": matrix},
        "embedding": {"embeddings": matrix},
        "span": {"start_logits": matrix, "end_logits": matrix},
        "detection": boxes,
    }.items():
        for weights in ("random", "trained"):
            model = answers.compare(pair(kind, tensors, tensors, weights=weights))
            assert (model.outcome, model.reason) == ("same", ""), kind
            assert all(item.same for item in model.items)
            # Every criterion has a figure.
            names = {figure.name for figure in model.figures if figure.limit is not None}
            assert names == set(answers.CRITERIA[kind, weights == "trained"])


def test_another_best_class_changes_the_answer_and_is_shown_first() -> None:
    base = np.eye(4, 6) * 5
    head = base.copy()
    head[2] = np.roll(head[2], 1)
    model = answers.compare(pair("classification", {"logits": base}, {"logits": head}))
    assert model.outcome == "changed"
    assert values(model)["same best class"] == 0.75
    assert model.reason == "same best class 75 %, at least 99 % wanted"
    first = model.items[0]
    assert (first.label, first.same, first.note) == ("item 3", False, "another class is the best")
    assert first.base[0] == f"class 2: {100 * math.exp(5) / (math.exp(5) + 5):.2f} %"
    assert first.head[0].startswith("class 3: ")


def test_with_random_weights_the_numbers_decide_and_not_the_classes() -> None:
    base = np.array([[1.0, 1.001, -3.0], [0.0, 2.0, 1.0]])
    head = base + np.array([[0.002, -0.002, 0], [0, 0, 0]])
    near = answers.compare(pair("classification", {"logits": base}, {"logits": head}, weights="random"))
    assert (near.outcome, values(near)["same best class"]) == ("same", 0.5)
    far = answers.compare(pair("classification", {"logits": base}, {"logits": base * 1.5}, weights="random"))
    assert (far.outcome, values(far)["same best class"]) == ("changed", 1.0)
    assert far.reason.startswith("error ")


def test_the_error_is_relative_to_the_deviation_so_that_an_offset_hides_nothing() -> None:
    base = 1000 + RANDOM.normal(size=400)
    head = base + 0.5 * RANDOM.normal(size=400)
    model = answers.compare(pair("", {"output 0": base}, {"output 0": head}))
    assert values(model)["error"] == pytest.approx(0.5, rel=0.1)
    assert model.outcome == "changed"
    constant = answers.compare(pair("", {"output 0": [2.0, 2.0]}, {"output 0": [2.0, 2.0]}))
    assert values(constant)["error"] == 0


def test_what_writing_the_answer_in_16_bits_costs_is_no_error() -> None:
    near = pair("", {"output 0": [0.5012, 0.5013]}, {"output 0": [0.5, 0.5]}, weights="random")
    assert answers.compare(near).outcome == "changed"
    assert near.head is not None
    rounded = dataclasses.replace(near, head=dataclasses.replace(near.head, spacings={"output 0": 2.0**-7}))
    assert answers.compare(rounded).outcome == "same"
    far = dataclasses.replace(rounded, base=Answers({"output 0": np.array([0.4, 0.6], "f4")}, ()))
    assert answers.compare(far).outcome == "changed"


def test_rankings_of_neighbours_are_compared_by_hand_counted_figures() -> None:
    angles = np.radians([0, 10, 30, 70])
    base = np.stack([np.cos(angles), np.sin(angles)], 1)
    turned = np.radians([0, 35, 30, 70])
    head = np.stack([np.cos(turned), np.sin(turned)], 1)
    labels = ("a", "b", "c", "d")
    model = answers.compare(pair("embedding", {"embeddings": base}, {"embeddings": head}, labels=labels))
    found = values(model)
    # Neighbours of a: b c d, then c b d; of b: a c d, then c a d and of c: b a d, still; of d: c b a, then b c a.
    assert found["same nearest"] == 0.25
    assert found["nearest three in common"] == 1.0
    assert found["Kendall's tau"] == pytest.approx((1 / 3 + -1 / 3 + 1 + 1 / 3) / 4, abs=0.35)
    assert model.outcome == "changed"
    assert [item.label for item in model.items][-1] == "c"
    item = next(item for item in model.items if item.label == "a")
    assert [line.split()[1] for line in item.base] == ["b", "c", "d"]
    assert [line.split()[1] for line in item.head] == ["c", "b", "d"]


def test_spans_are_compared_by_where_they_begin_and_end() -> None:
    start, end = np.eye(3, 8), np.roll(np.eye(3, 8), 2, 1)
    moved = np.roll(end, 1, 1)
    model = answers.compare(
        pair("span", {"start_logits": start, "end_logits": end}, {"start_logits": start, "end_logits": moved})
    )
    assert (model.outcome, values(model)["same span"]) == ("changed", 0.0)
    assert (model.items[0].base, model.items[0].head) == (("tokens 0 to 2",), ("tokens 0 to 3",))


def _box(left: float, top: float, right: float, bottom: float, label: int = 1, score: float = 0.9) -> Box:
    return Box(left=left, top=top, right=right, bottom=bottom, label=label, score=score, iou=0.0)


def test_boxes_are_matched_once_by_label_the_greatest_overlap_first() -> None:
    base = [_box(0, 0, 10, 10), _box(0, 0, 10, 10, label=2), _box(50, 50, 60, 60)]
    head = [_box(0, 0, 10, 8), _box(0, 0, 10, 10), _box(50, 50, 55, 54)]
    assert answers.match(base, head) == [(0, 1, 1.0)]
    assert answers.overlap(base[0], head[0]) == pytest.approx(0.8)
    assert answers.overlap(base[2], head[2]) == pytest.approx(0.2)
    assert answers.overlap(_box(0, 0, 0, 0), _box(0, 0, 0, 0)) == 0
    assert answers.overlap(_box(0, 0, 1, 1), _box(2, 2, 3, 3)) == 0


def test_detections_that_are_lost_or_new_change_the_answer() -> None:
    base = {"boxes 0": [[0, 0, 4, 4], [5, 5, 9, 9]], "labels 0": [1, 1], "scores 0": [0.9, 0.01]}
    lost = {"boxes 0": np.zeros((0, 4)), "labels 0": [], "scores 0": []}
    model = answers.compare(pair("detection", base, lost))
    assert (model.outcome, values(model)["boxes found again"]) == ("changed", 0.0)
    # The box with a score of a hundredth does not count.
    assert model.items[0].note == "0 of 1 boxes found again, 0 new"
    assert model.items[0].head == ("no box",)
    nothing = answers.compare(pair("detection", lost, lost))
    assert nothing.outcome == "same"


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ({"output 0": [1.0, math.nan]}, "NaN or infinity in the lane"),
        ({"output 0": [1.0, 2.0, 3.0]}, "shapes"),
        ({"output 1": [1.0, 2.0]}, "in one lane only"),
    ],
)
def test_what_has_no_number_to_compare_has_changed(head: dict[str, Any], said: str) -> None:
    model = answers.compare(pair("", {"output 0": [1.0, 2.0]}, head))
    assert model.outcome == "changed" and said in model.reason
    assert answers.compare(pair("", {"output 0": [math.inf]}, {"output 0": [math.inf]})).outcome == "changed"


@pytest.mark.parametrize("kind", ["", "classification", "embedding", "span"])
@pytest.mark.parametrize("rows", [0, 1, 2])
@pytest.mark.parametrize("fill", [0.0, 1e30])
def test_no_numbers_raise(kind: str, rows: int, fill: float) -> None:
    names = {"": ["x"], "classification": ["logits"], "embedding": ["embeddings"]}.get(kind, [])
    tensors = {name: np.full((rows, 3), fill) for name in names or ["start_logits", "end_logits"]}
    assert answers.compare(pair(kind, tensors, tensors)).outcome in ("same", "changed")


def test_a_lane_that_did_not_answer_has_failed_or_was_skipped() -> None:
    one = pair("", {}, {})
    failed = dataclasses.replace(one, base=None, head=None, reason="eager: it raised")
    assert answers.compare(failed).outcome == "failed"
    assert answers.compare(dataclasses.replace(failed, skipped=True)).outcome == "skipped"


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        (["same"], 0),
        (["same", "skipped"], 0),
        (["same", "changed", "failed"], 1),
        (["same", "failed"], 3),
        (["skipped"], 3),
    ],
)
def test_exit_codes(outcomes: list[str], code: int) -> None:
    def of(*wanted: str) -> list[str]:
        return [outcome for outcome in outcomes if outcome in wanted]

    validation: Any = SimpleNamespace(of=of)
    assert answers.exit_code(validation) == code

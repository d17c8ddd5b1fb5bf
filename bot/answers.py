"""Whether a lane changes the answers: two lanes' outputs compared by what they mean.

By the kind that the benchmark declares: classes by the best five, embeddings by the order of neighbours, spans by where
they begin and end, detections by boxes that overlap, anything else by its numbers. Whatever a network with random
weights says means nothing, so there the numbers decide and the meaning is shown only; detections are compared by their
boxes either way. `CRITERIA` holds every limit. Promises a value for each criterion, no exception for any numbers, and
that an answer which holds NaN or infinity has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal

import msgspec
import numpy as np

from bot import numbers
from harness.answering import Answers, Pair
from harness.records import Build, Machine

SCHEMA_VERSION = 1
TOP, NEIGHBOURS = 5, 3
IOU = 0.5
LEAST_SCORE = 0.05
"""Boxes with a lower score are not counted, unless an image has no other."""
MOST_ITEMS = 64
"""Items of a model that are shown side by side; all of them are compared."""
MOST_BOXES = 12

Outcome = Literal["same", "changed", "failed", "skipped"]
Floats = np.ndarray


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all parts: immutable and strict."""


class Figure(_Strict, frozen=True, kw_only=True):
    """One figure of agreement. `limit` is the least or, of an error, the most that passes; None where it only informs.

    `value` is None where it cannot be had, which passes no limit.
    """

    name: str
    value: float | None
    limit: float | None = None
    at_most: bool = False

    @property
    def passed(self) -> bool:
        """Whether the figure keeps its limit."""
        if self.limit is None:
            return True
        if self.value is None:
            return False
        return self.value <= self.limit if self.at_most else self.value >= self.limit


class Box(_Strict, frozen=True, kw_only=True):
    """A detected box in pixels, with the share of it that the best box of the other lane covers (IoU)."""

    left: float
    top: float
    right: float
    bottom: float
    label: int
    score: float
    iou: float


class Item(_Strict, frozen=True, kw_only=True):
    """What both lanes answer to one item, in lines of text; boxes too where they are detections.

    `number` is its place in the batch, from 0.
    """

    number: int
    label: str
    same: bool
    base: tuple[str, ...] = ()
    head: tuple[str, ...] = ()
    note: str = ""
    base_boxes: tuple[Box, ...] = ()
    head_boxes: tuple[Box, ...] = ()


class Model(_Strict, frozen=True, kw_only=True):
    """How the two lanes of one benchmark agree. `weights` is `random`, `trained`, or the name of a file."""

    name: str
    suite: str
    kind: str
    weights: str
    outcome: Outcome
    reason: str = ""
    figures: tuple[Figure, ...] = ()
    items: tuple[Item, ...] = ()
    items_compared: int = 0

    @property
    def real(self) -> bool:
        """Whether the weights are from training, so that the answers mean something."""
        return self.weights != "random"


class Validation(_Strict, frozen=True, kw_only=True):
    """All models of a suite in two modes of one build."""

    schema_version: int = SCHEMA_VERSION
    tool_version: str
    started: str
    command: str
    machine: Machine
    build: Build
    suite: str
    size: str
    device: str
    against: str
    mode: str
    models: Annotated[tuple[Model, ...], msgspec.Meta(min_length=1)]

    def of(self, *outcomes: Outcome) -> list[Model]:
        """The models that ended so."""
        return [model for model in self.models if model.outcome in outcomes]


def exit_code(validation: Validation) -> int:
    """1 when a lane changes answers, 3 when that is not known of a model that was to be asked or of any, else 0."""
    if validation.of("changed"):
        return 1
    return 3 if validation.of("failed") or not validation.of("same") else 0


def encode(validation: Validation) -> str:
    """The validation as JSON, with a newline at its end."""
    return msgspec.json.format(msgspec.json.encode(validation), indent=1).decode() + "\n"


_NUMBERS = {"error": (0.1, True)}
CRITERIA: Mapping[tuple[str, bool], Mapping[str, tuple[float, bool]]] = {
    ("", False): _NUMBERS,
    ("", True): _NUMBERS,
    ("classification", False): _NUMBERS,
    ("classification", True): {"same best class": (0.99, False), "best five in common": (0.9, False)},
    ("embedding", False): _NUMBERS,
    ("embedding", True): {
        "same nearest": (0.95, False),
        "nearest three in common": (0.9, False),
        "Kendall's tau": (0.9, False),
    },
    ("span", False): _NUMBERS,
    ("span", True): {"same span": (0.95, False)},
    ("detection", False): {"boxes found again": (0.9, False), "mean IoU": (0.9, False)},
    ("detection", True): {"boxes found again": (0.9, False), "mean IoU": (0.9, False)},
}
"""Limits by kind and by whether the weights are trained: the figure's name, its limit, and whether that is the most."""


def compare(pair: Pair) -> Model:
    """How the two lanes of a benchmark agree."""
    description = pair.group.description
    kind = description.answers
    weights = pair.weights.name if pair.weights is not None else description.weights
    unknown: Outcome = "skipped" if pair.skipped else "failed"
    model = Model(
        name=description.name,
        suite=description.suite,
        kind=kind,
        weights=weights,
        outcome=unknown,
        reason=pair.reason,
    )
    if pair.base is None or pair.head is None:
        return model
    base, head = pair.base, pair.head
    ours, theirs = (
        {name: tensor for name, tensor in side.tensors.items() if not name.startswith("image ")}
        for side in (base, head)
    )
    if reason := _incomparable(ours, theirs, kind):
        # A shape or a number that is not finite is an answer too, and another one.
        return msgspec.structs.replace(model, outcome="changed", reason=reason)
    found, items = _KINDS[kind](ours, theirs, base.labels)
    if kind != "detection":
        errors = (_error(ours[name], theirs[name], head.spacings.get(name, 0.0)) for name in ours)
        found["error"] = max(errors, default=0.0)
        found["cosine"] = min((_cosine(ours[name], theirs[name]) for name in ours), default=1.0)
    limits = CRITERIA[kind, weights != "random"]
    figures = tuple(
        Figure(name=name, value=value, limit=limits[name][0], at_most=limits[name][1])
        if name in limits
        else Figure(name=name, value=value)
        for name, value in found.items()
    )
    missed = [figure for figure in figures if not figure.passed]
    differing_first = sorted(items, key=lambda item: item.same)
    return msgspec.structs.replace(
        model,
        outcome="changed" if missed else "same",
        reason="; ".join(map(criterion_text, missed)),
        figures=figures,
        items=tuple(differing_first[:MOST_ITEMS]),
        items_compared=len(items),
    )


def criterion_text(figure: Figure) -> str:
    """`same best class 75 %, at least 99 % wanted`."""
    if figure.limit is None:
        return f"{figure.name} {value_text(figure)}"
    word = "at most" if figure.at_most else "at least"
    limit = Figure(name=figure.name, value=figure.limit)
    return f"{figure.name} {value_text(figure)}, {word} {value_text(limit)} wanted"


_PLAIN = ("Kendall's tau", "cosine", "mean IoU")


def value_text(figure: Figure) -> str:
    """A figure's value for people: shares in percent, coefficients as they are."""
    if figure.value is None:
        return numbers.UNKNOWN
    if figure.name in _PLAIN:
        return numbers.fixed(figure.value, 4)
    # 99.7 % of all must not read as all.
    return numbers.percent(figure.value) if figure.value < 0.995 else f"{numbers.fixed(100 * figure.value, 1)} %"


def _incomparable(base: Mapping[str, Floats], head: Mapping[str, Floats], kind: str) -> str:
    """Why the numbers of both cannot be compared, or ""."""
    if base.keys() != head.keys():
        return f"{min(base.keys() ^ head.keys())} is answered in one lane only"
    for name, tensor in base.items():
        # How many boxes a detector finds is its answer.
        if kind != "detection" and tensor.shape != head[name].shape:
            return f"{name} has the shapes {tensor.shape} and {head[name].shape}"
        if np.isfinite(tensor).all() and not np.isfinite(head[name]).all():
            return f"{name} holds NaN or infinity in the lane, and not in what it is compared with"
        if not np.isfinite(tensor).all():
            return f"{name} holds NaN or infinity in what the lane is compared with"
    return ""


def _error(base: Floats, head: Floats, spacing: float = 0.0) -> float:
    """Root mean square of the difference over the standard deviation of the base; of a constant, over its size.

    What writing a number in the type of the head's answer costs, `spacing` times its size, does not count: two
    probabilities of 0.5012 and 0.5013 cannot be told apart in bfloat16, whatever computed them.
    """
    if not base.size:
        return 0.0
    ours, theirs = base.astype(np.float64), head.astype(np.float64)
    beyond = np.maximum(np.abs(ours - theirs) - spacing * np.abs(ours), 0.0)
    difference = float(np.sqrt(np.mean(beyond**2)))
    scale = float(ours.std()) or float(np.sqrt(np.mean(ours**2)))
    return difference / scale if scale else (0.0 if difference == 0 else 1.0)


def _cosine(base: Floats, head: Floats) -> float:
    ours, theirs = base.astype(np.float64).ravel(), head.astype(np.float64).ravel()
    lengths = float(np.linalg.norm(ours) * np.linalg.norm(theirs))
    return float(ours @ theirs) / lengths if lengths else float(np.array_equal(ours, theirs))


_Compared = tuple[dict[str, float | None], list[Item]]


def _label(labels: Sequence[str], number: int) -> str:
    return labels[number] if number < len(labels) else f"item {number + 1}"


def _share(values: Sequence[float | bool]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _classification(base: Mapping[str, Floats], head: Mapping[str, Floats], labels: Sequence[str]) -> _Compared:
    sides = base["logits"], head["logits"]
    first, overlap, items = [], [], []
    for number, (ours, theirs) in enumerate(zip(*sides, strict=True)):
        best, probabilities = zip(*map(_best, (ours, theirs)), strict=True)
        same = bool(best[0][:1] == best[1][:1])
        first.append(same)
        overlap.append(len({*best[0]} & {*best[1]}) / max(len(best[0]), 1))
        texts = [
            tuple(f"class {place}: {100 * chance[place]:.2f} %" for place in order)
            for order, chance in zip(best, probabilities, strict=True)
        ]
        note = "" if same else "another class is the best"
        items.append(
            Item(number=number, label=_label(labels, number), same=same, base=texts[0], head=texts[1], note=note)
        )
    return {"same best class": _share(first), "best five in common": _share(overlap)}, items


def _best(logits: Floats) -> tuple[list[int], Floats]:
    """The best classes, best first, and the probability of each class."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(initial=-np.inf))
    chances = shifted / shifted.sum() if shifted.size else shifted
    return [int(place) for place in np.argsort(-chances, kind="stable")[:TOP]], chances


def _embedding(base: Mapping[str, Floats], head: Mapping[str, Floats], labels: Sequence[str]) -> _Compared:
    from scipy import stats

    ours, theirs = (_similarities(side["embeddings"]) for side in (base, head))
    first, overlap, taus, items = [], [], [], []
    for number in range(len(ours)):
        others = [place for place in range(len(ours)) if place != number]
        if not others:
            continue
        rows = ours[number][others], theirs[number][others]
        nearest = [[others[place] for place in np.argsort(-row, kind="stable")] for row in rows]
        tau = float(stats.kendalltau(*rows).statistic) if len(others) > 1 else 1.0
        # Where all are equally near there is no order to be kept; it is kept where it is the same in both.
        taus.append(tau if np.isfinite(tau) else float(np.array_equal(nearest[0], nearest[1])))
        same = nearest[0][:NEIGHBOURS] == nearest[1][:NEIGHBOURS]
        first.append(nearest[0][0] == nearest[1][0])
        kept = min(NEIGHBOURS, len(others))
        overlap.append(len({*nearest[0][:kept]} & {*nearest[1][:kept]}) / kept)
        texts = [
            tuple(f"{side[number][place]:.4f} {_label(labels, place)}" for place in order[:NEIGHBOURS])
            for side, order in zip((ours, theirs), nearest, strict=True)
        ]
        note = f"Kendall's tau {numbers.fixed(taus[-1], 4)}"
        items.append(
            Item(number=number, label=_label(labels, number), same=same, base=texts[0], head=texts[1], note=note)
        )
    figures = {
        "same nearest": _share(first),
        "nearest three in common": _share(overlap),
        "same nearest three in order": _share([item.same for item in items]),
        "Kendall's tau": _share(taus),
    }
    return figures, items


def _similarities(vectors: Floats) -> Floats:
    wide = vectors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    scaled = wide / np.where(lengths > 0, lengths, 1.0)
    found: Floats = scaled @ scaled.T
    return found


def _span(base: Mapping[str, Floats], head: Mapping[str, Floats], labels: Sequence[str]) -> _Compared:
    ours, theirs = (
        list(zip(side["start_logits"].argmax(1), side["end_logits"].argmax(1), strict=True)) for side in (base, head)
    )
    items = [
        Item(
            number=number,
            label=_label(labels, number),
            same=bool(one == other),
            base=(f"tokens {one[0]} to {one[1]}",),
            head=(f"tokens {other[0]} to {other[1]}",),
        )
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True))
    ]
    return {"same span": _share([item.same for item in items])}, items


def _detection(base: Mapping[str, Floats], head: Mapping[str, Floats], labels: Sequence[str]) -> _Compared:
    found, overlaps, items = [], [], []
    for number in range(sum(name.startswith("boxes ") for name in base)):
        ours, theirs = (_boxes(side, number) for side in (base, head))
        pairs = match(ours, theirs)
        overlaps += [iou for _, _, iou in pairs]
        every = len(ours) + len(theirs)
        found.append(2 * len(pairs) / every if every else 1.0)
        best = [dict.fromkeys(range(len(side)), 0.0) for side in (ours, theirs)]
        for one, other, iou in pairs:
            best[0][one] = best[1][other] = iou
        marked = [
            tuple(msgspec.structs.replace(box, iou=ious[place]) for place, box in enumerate(side))
            for side, ious in zip((ours, theirs), best, strict=True)
        ]
        texts = [tuple(map(_box_text, side[:MOST_BOXES])) or ("no box",) for side in marked]
        items.append(
            Item(
                number=number,
                label=_label(labels, number),
                same=2 * len(pairs) == every,
                base=texts[0],
                head=texts[1],
                note=f"{len(pairs)} of {len(ours)} boxes found again, {len(theirs) - len(pairs)} new",
                base_boxes=marked[0][:MOST_BOXES],
                head_boxes=marked[1][:MOST_BOXES],
            )
        )
    # Without a box in either lane there is nothing that could overlap less.
    mean = _share(overlaps) if overlaps or any(item.base_boxes or item.head_boxes for item in items) else 1.0
    return {"boxes found again": _share(found), "mean IoU": mean}, items


def _boxes(side: Mapping[str, Floats], number: int) -> list[Box]:
    boxes, labels, scores = (side[f"{name} {number}"] for name in ("boxes", "labels", "scores"))
    every = [
        Box(
            left=float(box[0]),
            top=float(box[1]),
            right=float(box[2]),
            bottom=float(box[3]),
            label=int(label),
            score=float(score),
            iou=0.0,
        )
        for box, label, score in zip(boxes.reshape(-1, 4), labels.ravel(), scores.ravel(), strict=True)
    ]
    return [box for box in every if box.score >= LEAST_SCORE] or every


def match(base: Sequence[Box], head: Sequence[Box]) -> list[tuple[int, int, float]]:
    """Pairs of boxes of one label that overlap by `IOU` or more, each box once, the greatest overlaps first."""
    candidates = sorted(
        (
            (overlap(one, other), place, position)
            for place, one in enumerate(base)
            for position, other in enumerate(head)
            if one.label == other.label
        ),
        key=lambda found: (-found[0], found[1], found[2]),
    )
    pairs, ours, theirs = [], set(), set()
    for iou, place, position in candidates:
        if iou >= IOU and place not in ours and position not in theirs:
            ours.add(place)
            theirs.add(position)
            pairs.append((place, position, iou))
    return pairs


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes; 0 where neither has an area."""
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    shared = max(0.0, width) * max(0.0, height)
    whole = sum(max(0.0, box.right - box.left) * max(0.0, box.bottom - box.top) for box in (one, other)) - shared
    return shared / whole if whole > 0 else 0.0


def _box_text(box: Box) -> str:
    place = ", ".join(f"{number:.0f}" for number in (box.left, box.top, box.right, box.bottom))
    return f"label {box.label}, score {box.score:.3f}, at {place}, IoU {box.iou:.2f}"


def _anything(base: Mapping[str, Floats], head: Mapping[str, Floats], labels: Sequence[str]) -> _Compared:
    items = [
        Item(
            number=number,
            label=f"{name}, {'x'.join(map(str, tensor.shape)) or 'a number'}",
            same=bool(np.array_equal(tensor, head[name])),
            base=(_numbers_text(tensor),),
            head=(_numbers_text(head[name]),),
            note=f"error {numbers.percent(_error(tensor, head[name]))}",
        )
        for number, (name, tensor) in enumerate(base.items())
    ]
    return {}, items


def _numbers_text(tensor: Floats) -> str:
    if not tensor.size:
        return "no numbers"
    wide = tensor.astype(np.float64)
    return f"mean {wide.mean():.5g}, deviation {wide.std():.5g}, from {wide.min():.5g} to {wide.max():.5g}"


_KINDS: Mapping[str, Callable[[Mapping[str, Floats], Mapping[str, Floats], Sequence[str]], _Compared]] = {
    "": _anything,
    "classification": _classification,
    "detection": _detection,
    "embedding": _embedding,
    "span": _span,
}


def images(answers: Answers) -> list[Floats]:
    """The pictures that a detector was given, of shape (channels, height, width), in their order."""
    return [tensor for name, tensor in answers.tensors.items() if name.startswith("image ")]
